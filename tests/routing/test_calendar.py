"""When a member is there, and how much working time passes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.config.deciding import Member
from crmsync.config.working_hours import holidays_of
from crmsync.routing.calendar import (
    absence_of,
    add_working_time,
    local_day,
    next_presence,
    was_away,
    working_time_between,
)

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
LEAD, NO_LEAD = timedelta(days=2), timedelta()
WEEK = "Mon-Fri 09:00-17:00"


def somebody(**told) -> Member:
    return Member.model_validate({"email": "ann@x.io", **told})


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def why(member: Member, at: datetime, lead: timedelta = LEAD) -> str:
    found = absence_of(member, at, BERLIN, lead)
    return found.why if found else ""


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-11-30 08:59:59", "outside working hours"),
        ("2026-11-30 09:00", ""),
        ("2026-11-30 16:59:59", ""),
        ("2026-11-30 17:00", "outside working hours"),
        ("2026-11-28 12:00", "outside working hours"),
    ],
)
def test_hours_begin_sharp_and_end_sharp(at, said):
    assert why(somebody(hours=WEEK), berlin(at)) == said


@pytest.mark.parametrize(
    ("at", "is_out"),
    [
        ("2026-11-30 23:59", False),
        ("2026-12-01 00:00", True),
        ("2026-12-05 23:59", True),
        ("2026-12-06 00:00", False),
    ],
)
def test_days_away_are_both_counted(at, is_out):
    said = why(somebody(away="2026-12-01/2026-12-05"), berlin(at))
    assert said == ("away until 2026-12-05" if is_out else "")


def test_a_day_is_the_members_own():
    member = somebody(away="2026-12-01", timezone="America/New_York")
    assert why(member, berlin("2026-12-01 05:59")) == ""
    assert why(member, berlin("2026-12-01 06:00")) == "away until 2026-12-01"
    assert local_day(member, berlin("2026-12-01 05:59"), BERLIN) == date(2026, 11, 30)
    assert local_day(somebody(), berlin("2026-12-01 05:59"), BERLIN) == date(2026, 12, 1)


@pytest.mark.parametrize(
    ("away", "first"),
    [
        (["2026-11-30/2026-12-04"], "2026-11-30"),  # five working days
        (["2026-11-30/2026-12-06"], "2026-11-30"),  # and a weekend
        (["2026-11-30/2026-12-07"], "2026-11-26"),  # six
        (["2026-12-07/2026-12-11", "2026-11-30/2026-12-04"], "2026-11-26"),  # ten in two pieces
        (["2026-11-30/2026-12-04", "2026-12-08/2026-12-11"], "2026-11-30"),  # a working day between
        (["2026-12-21/2026-12-28"], "2026-12-21"),  # six weekdays, one of them Christmas Day
    ],
)
def test_a_long_absence_begins_two_working_days_earlier(away, first):
    member = somebody(away=away, hours=WEEK, holidays="DE-BY")
    day = berlin(f"{first} 12:00")
    assert why(member, day).startswith("away until")
    before = absence_of(member, day - timedelta(days=1), BERLIN, LEAD)
    assert before is None or before.kind == "hours"


def test_no_lead_begins_on_the_day_and_all_are_back_the_day_after():
    member = somebody(away="2026-11-30/2026-12-11")
    assert why(member, berlin("2026-11-29 12:00"), NO_LEAD) == ""
    assert why(member, berlin("2026-11-29 12:00")) == "away until 2026-12-11"
    assert why(member, berlin("2026-12-12 00:00")) == ""


def test_the_lead_skips_days_without_hours_and_holidays():
    member = somebody(away="2026-12-28/2027-01-15", hours="Wed-Fri 09:00-17:00", holidays="DE")
    assert why(member, berlin("2026-12-23 12:00")) == "away until 2027-01-15"  # Wed and Thu; Fri is Christmas Day
    assert why(member, berlin("2026-12-22 12:00")) == "outside working hours"


def test_a_holiday_of_the_region():
    epiphany = berlin("2026-01-06 12:00")
    assert why(somebody(hours=WEEK, holidays="DE-BY"), epiphany) == "on holiday (Epiphany)"
    assert why(somebody(hours=WEEK, holidays="DE-BE"), epiphany) == ""


@pytest.mark.parametrize("language", ["C.UTF-8", "de_DE.UTF-8", "uk", None])
@pytest.mark.parametrize(("region", "day", "name"), [("DE-BY", "2026-01-06", "Epiphany"), ("CU", "2026-01-01", None)])
def test_a_holiday_has_one_name_whatever_the_language_of_the_machine(monkeypatch, language, region, day, name):
    for each in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(each, raising=False)
    if language is not None:
        monkeypatch.setenv("LANG", language)
    holidays_of.cache_clear()
    found = holidays_of(region)[date.fromisoformat(day)]
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    holidays_of.cache_clear()
    assert found == holidays_of(region)[date.fromisoformat(day)]
    assert name in (None, found)


def test_away_goes_before_holiday_and_holiday_before_hours():
    at = berlin("2026-12-25 03:00")
    assert absence_of(somebody(hours=WEEK, holidays="DE", away="2026-12-25"), at, BERLIN, LEAD).kind == "away"
    assert absence_of(somebody(hours=WEEK, holidays="DE"), at, BERLIN, LEAD).kind == "holiday"
    assert absence_of(somebody(hours=WEEK), at, BERLIN, LEAD).kind == "hours"


def test_hours_over_midnight():
    member = somebody(hours="Mon-Fri 22:00-06:00")
    for at, is_there in [
        ("2026-11-30 05:59", False),  # Monday; Sunday's night is free
        ("2026-11-30 22:00", True),
        ("2026-12-01 00:00", True),
        ("2026-12-01 06:00", False),
        ("2026-12-05 05:59", True),  # Saturday, of Friday's night
        ("2026-12-05 22:00", False),
    ]:
        assert (why(member, berlin(at)) == "") == is_there, at
    # Five nights are five working days, though a sixth day has hours.
    assert why(somebody(hours="Mon-Fri 22:00-06:00", away="2026-11-30/2026-12-05"), berlin("2026-11-27 23:00")) == ""


def test_was_away_looks_back_a_year():
    member = somebody(away="2026-01-05")
    assert not was_away(member, berlin("2026-01-04 12:00"), BERLIN, LEAD)
    assert was_away(member, berlin("2026-12-05 12:00"), BERLIN, LEAD)
    assert not was_away(member, berlin("2027-02-05 12:00"), BERLIN, LEAD)


def test_next_presence():
    member = somebody(hours=WEEK, holidays="DE", away="2026-12-28/2026-12-30")
    now = berlin("2026-11-30 10:00")
    assert next_presence(member, now, BERLIN, LEAD) == now
    assert next_presence(member, berlin("2026-12-24 17:00"), BERLIN, LEAD) == berlin("2026-12-31 09:00")
    assert next_presence(somebody(away="2026-01-01/2030-01-01"), now, BERLIN, LEAD) is None


def test_working_time_goes_over_nights_weekends_and_holidays():
    member = somebody(hours=WEEK, holidays="DE")
    assert add_working_time(member, berlin("2026-12-24 16:00"), timedelta(hours=2), BERLIN) == berlin(
        "2026-12-28 10:00"
    )
    assert add_working_time(member, berlin("2026-12-24 16:00"), timedelta(hours=1), BERLIN) == berlin(
        "2026-12-24 17:00"
    )
    assert add_working_time(
        somebody(away="2026-12-02"), berlin("2026-12-01 12:00"), timedelta(days=1), BERLIN
    ) == berlin("2026-12-03 12:00")
    start = berlin("2026-12-05 12:00")
    assert add_working_time(None, start, timedelta(hours=3), BERLIN) == start + timedelta(hours=3)
    assert add_working_time(member, start, timedelta(), BERLIN) == start


def test_who_never_works_is_not_waited_for():
    start = berlin("2026-06-01 12:00")
    due = add_working_time(somebody(away="2026-01-01/2090-01-01"), start, timedelta(hours=1), BERLIN)
    assert due.astimezone(UTC) == start.astimezone(UTC) + timedelta(days=366, hours=1)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, "2026-03-29", 23),
        (BERLIN, "2026-10-25", 25),
        (NEW_YORK, "2026-03-08", 23),
        (NEW_YORK, "2026-11-01", 25),
    ],
)
def test_days_on_which_the_clocks_are_turned(zone, day, hours):
    midnight = datetime.fromisoformat(day).replace(tzinfo=zone)
    next_day = midnight + timedelta(days=1)
    assert working_time_between(somebody(), midnight, next_day, zone) == timedelta(hours=hours)
    night = somebody(hours="Sat 22:00-06:00")
    began = midnight - timedelta(hours=2)
    assert working_time_between(night, began, next_day, zone) == timedelta(hours=hours - 16)
    assert add_working_time(night, began, timedelta(hours=hours - 16), zone) == midnight + timedelta(hours=6)
    office = somebody(hours="Sun 09:00-17:00")
    assert working_time_between(office, midnight, next_day, zone) == timedelta(hours=8)


def test_a_time_that_comes_twice_or_never():
    to_half_past, from_half_past = somebody(hours="Sun 01:00-02:30"), somebody(hours="Sun 02:30-04:00")
    for day, first, last in [("2026-10-25", 2.5, 2.5), ("2026-03-29", 1.5, 0.5)]:
        midnight = berlin(day)
        for member, length in [(to_half_past, first), (from_half_past, last)]:
            passed = working_time_between(member, midnight, midnight + timedelta(days=1), BERLIN)
            assert passed == timedelta(hours=length)
    both = somebody(hours="Sun 01:00-02:15, Sun 02:45-04:00")
    midnight = berlin("2026-10-25")
    assert working_time_between(both, midnight, midnight + timedelta(days=1), BERLIN) == timedelta(hours=4)


def test_spans_that_overlap_count_once():
    member = somebody(hours="Mon-Fri 09:00-17:00, Mon 12:00-18:00")
    monday = berlin("2026-11-30")
    assert working_time_between(member, monday, monday + timedelta(days=1), BERLIN) == timedelta(hours=9)


MEMBERS = [
    somebody(**told, **zone)
    for told in [
        {},
        {"hours": WEEK},
        {"hours": "Mon-Fri 22:00-06:00", "holidays": "US"},
        {"hours": "Mon 09:00-12:00, Sun 01:30-02:30", "away": ["2026-03-28/2026-04-03", "2026-10-26"]},
        {"away": ["2026-11-02/2026-11-20"], "holidays": "DE-BY"},
    ]
    for zone in [{"timezone": "Europe/Berlin"}, {"timezone": "America/New_York"}]
]
INSTANTS = st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30), timezones=st.just(UTC))  # noqa: DTZ001


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MEMBERS), INSTANTS, st.integers(0, 30 * 86_400))
def test_adding_working_time_is_undone_by_measuring_it(member, start, seconds):
    length = timedelta(seconds=seconds)
    end = add_working_time(member, start, length, BERLIN)
    assert working_time_between(member, start, end, BERLIN) == length
    if length:
        assert working_time_between(member, start, end - timedelta(seconds=1), BERLIN) < length


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MEMBERS), INSTANTS, st.integers(0, 20 * 86_400), st.integers(0, 20 * 86_400))
def test_working_time_adds_up(member, start, first, second):
    middle = start + timedelta(seconds=first)
    end = middle + timedelta(seconds=second)
    parts = working_time_between(member, start, middle, BERLIN) + working_time_between(member, middle, end, BERLIN)
    assert working_time_between(member, start, end, BERLIN) == parts <= end - start


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MEMBERS), INSTANTS)
def test_the_next_presence_is_the_first(member, at):
    found = next_presence(member, at, BERLIN, NO_LEAD)
    assert found is not None
    assert absence_of(member, found, BERLIN, NO_LEAD) is None
    assert working_time_between(member, at, found, BERLIN) == timedelta()
    assert (found == at) == (absence_of(member, at, BERLIN, NO_LEAD) is None)
