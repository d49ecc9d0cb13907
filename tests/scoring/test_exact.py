"""Exactness: windows and days across zones, thresholds, limits, and values that no person would type."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydantic import ValidationError

from crmsync.config.model import Band, Model
from crmsync.errors import ConfigError
from crmsync.scoring import columns_of, score, score_people, summarize
from crmsync.scoring.bands import band_of, grade_of
from crmsync.scoring.calendar import day_of, local_days, midnight_of
from crmsync.scoring.wording import truncate
from tests.support.scoring import NOW, behavior_rule, did, fit_rule, foreseen, model, one, person, points, total

BERLIN, NEW_YORK, HAVANA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("America/Havana")


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def event(instant, kind="page_viewed", **attributes):
    return [{"kind": kind, "at": instant.isoformat(), "attributes": attributes}]


@pytest.mark.parametrize("zone", [UTC, BERLIN, NEW_YORK])
def test_ages_are_midnights_in_the_configured_zone(zone):
    of = model(behavior=[behavior_rule(window="1d")])
    late = at("2026-11-19T23:59:59", zone)
    assert total(of, event(late), now=at("2026-11-20T23:59:59", zone), zone=zone) == 10
    assert total(of, event(late), now=at("2026-11-21T00:00:00", zone), zone=zone) == 0


@pytest.mark.parametrize(("before", "after"), [("2026-03-28", "2026-03-30"), ("2026-10-24", "2026-10-26")])
def test_a_day_is_a_day_when_the_clocks_are_turned(before, after):
    of = model(behavior=[behavior_rule(window="1d"), behavior_rule(name="two", points=1, window="2d")])
    done = event(at(f"{before}T12:00:00", BERLIN))
    assert total(of, done, now=at(f"{after}T00:00:00", BERLIN), zone=BERLIN) == 1


@pytest.mark.parametrize("zone", [UTC, BERLIN, NEW_YORK, HAVANA, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Africa/Cairo")])
def test_days_agree_with_the_calendar(zone):
    start = int(datetime(2019, 1, 1, tzinfo=UTC).timestamp())
    instants = np.arange(start, start + 8 * 366 * 86_400, 40_000, dtype=np.int64)
    expected = [day_of(datetime.fromtimestamp(int(each), UTC), zone) for each in instants]
    assert local_days(instants, zone).tolist() == expected


def test_an_instant_off_the_calendar_is_of_one_of_its_last_days():
    days = local_days(np.array([-(10**15), 0, 10**15], dtype=np.int64), UTC).tolist()
    assert days == [
        date(*each).toordinal() - date(1970, 1, 1).toordinal() for each in ((1, 1, 3), (1970, 1, 1), (9999, 12, 30))
    ]


@pytest.mark.parametrize("zone", [UTC, BERLIN])
def test_days_of_many_activities_of_some_weeks_agree_with_the_calendar(zone):
    start = int(datetime(2026, 10, 20, tzinfo=UTC).timestamp())
    instants = np.arange(start, start + 14 * 86_400, 700, dtype=np.int64)
    expected = [day_of(datetime.fromtimestamp(int(each), UTC), zone) for each in instants]
    assert local_days(instants, zone).tolist() == expected


@pytest.mark.parametrize("zone", [UTC, BERLIN, HAVANA])
def test_midnight_is_the_first_second_of_a_day(zone):
    for number in range(20_500, 20_900):
        first = midnight_of(number, zone)
        assert day_of(datetime.fromtimestamp(first, UTC), zone) == number
        assert day_of(datetime.fromtimestamp(first - 1, UTC), zone) == number - 1


def test_what_has_not_happened_yet_does_not_count_until_it_has():
    of = model(behavior=[behavior_rule("meeting_booked")])
    done = event(NOW + timedelta(hours=1), "meeting_booked")
    scores = score(of, columns_of([person(done)]), NOW, UTC)
    assert int(scores.total[0]) == 0
    assert int(scores.due[0]) == int((NOW + timedelta(hours=1)).timestamp())
    assert total(of, done, now=NOW + timedelta(hours=1)) == 10


@pytest.mark.parametrize(("points", "band"), [(49.99, "cold"), (50, "mql"), (50.01, "mql")])
def test_a_line_is_reached_at_its_points(points, band):
    of = model(fit=[fit_rule(points, field="vip", **{"is": True})], bands={"cold": 0, "mql": 50}, score={"decimals": 2})
    assert one(of, vip=True)["band"] == band


def test_scores_are_rounded_to_the_even_neighbour_with_a_line_of_their_own():
    for value, expected in ((0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (7.25, 7)):
        got = one(model(fit=[fit_rule(value, field="vip", **{"is": True})]), vip=True)
        assert got["total"] == expected
        assert sum(points(got).values()) == expected


def test_a_faded_rule_is_whole_points_unless_decimals_are_asked_for():
    decay = {"half_life": "30d"}
    done = did("page_viewed", 10)
    assert points(one(model(behavior=[behavior_rule(decay=decay)]), done))["acted: time decay"] == -2
    fine = model(behavior=[behavior_rule(decay=decay)], score={"decimals": 2})
    assert points(one(fine, done))["acted: time decay"] == -2.06


@pytest.mark.parametrize(("kept", "expected"), [(50, 5), (0, 0)])
def test_one_step_of_fading_holds_for_every_later_age(kept, expected):
    of = model(behavior=[behavior_rule(decay={"steps": {"15d": kept}})])
    assert [total(of, did("page_viewed", age)) for age in (14, 15, 16, 400)] == [10, expected, expected, expected]


def test_each_step_of_fading_holds_until_the_next():
    of = model(behavior=[behavior_rule(decay={"steps": {"10d": 50, "20d": 20}})])
    assert [total(of, did("page_viewed", age)) for age in (9, 10, 19, 20, 400)] == [10, 5, 5, 2, 2]


@pytest.mark.parametrize(("table", "member"), [("groups", "group"), ("channels", "channel")])
def test_what_a_limit_of_several_rules_takes_away_is_explained(table, member):
    of = model(**{table: {"news": {"cap": 6}}}, behavior=[behavior_rule(**{member: "news"})])
    *_, line = one(of, did("page_viewed"))["lines"]
    assert (line["points"], line["why"]) == (-4, "all rules of 'news' together give at most 6")


def test_limits_of_a_rule_take_the_newest():
    of = model(behavior=[behavior_rule(points=16, decay={"half_life": "10d"}, max_times=2)])
    assert total(of, did("page_viewed", 0), did("page_viewed", 10), did("page_viewed", 20)) == 24


def test_a_week_is_monday_to_sunday_and_a_month_a_calendar_month():
    def counted(limit, *days):
        return total(model(behavior=[behavior_rule(**{limit: 1})]), *(event(at(f"{day}T12:00:00")) for day in days))

    assert counted("max_per_week", "2026-11-09", "2026-11-15") == 10
    assert counted("max_per_week", "2026-11-08", "2026-11-09") == 20
    assert counted("max_per_month", "2026-10-01", "2026-10-31", "2026-11-01") == 20


def test_clamps_and_caps_are_lines():
    of = model(
        fit=[fit_rule(80, field="vip", **{"is": True})],
        behavior=[behavior_rule(points=30, cap=50), behavior_rule("email_opened", -5, "bad", cap=-10)],
        score={"fit": {"cap": 60}, "total": {"cap": 100}},
    )
    got = one(of, did("page_viewed", times=2), did("email_opened", times=3), vip=True)
    assert got["total"] == 100
    assert points(got) == {
        "fit": 80,
        "Limit of fit": -20,
        "acted": 60,
        "acted: at most 50": -10,
        "bad": -15,
        "bad: at most -10": 5,
    }


HOSTILE = [float("nan"), float("inf"), 1e308, -1e308, -0.0, "1.2M", 10**400, 10**16]


@pytest.mark.parametrize("value", HOSTILE, ids=[str(each)[:10] for each in HOSTILE])
def test_an_unbelievable_number_is_unknown_with_a_warning(value):
    of = model(
        fit=[
            fit_rule(1, "less", field="employees", lt=1_000),
            fit_rule(2, "more", field="employees", gte=0),
            fit_rule(4, "not", **{"not": {"field": "employees", "gt": 10}}),
        ]
    )
    scores = score(of, columns_of([person(employees=value), person(employees=50)]), NOW, UTC)
    assert scores.total.tolist() == [0, 300]
    (warning,) = scores.warnings if isinstance(value, float) or value != "1.2M" else scores.warnings[:1]
    assert warning.startswith("employees: 1 person has a value that ")


@pytest.mark.parametrize("value", ["x" * 200_000, "VP \ud800", "", "   ", 7, True])
def test_an_unbelievable_text_is_unknown(value):
    of = model(
        fit=[
            fit_rule(1, field="title", contains="x"),
            fit_rule(2, "not", **{"not": {"field": "title", "contains": "z"}}),
        ]
    )
    scores = score(of, columns_of([person(title=value)]), NOW, UTC)
    assert scores.total.tolist() == [0]
    assert bool(scores.warnings) == (value not in ("", "   "))


def test_each_person_is_told_what_of_theirs_counts_as_unknown():
    of = model(
        fit=[fit_rule(1, "size", field="employees", gt=5), fit_rule(2, "vp", field="title", contains="vp")],
        behavior=[behavior_rule(where={"seconds": {"gte": 60}}), behavior_rule("x", name="x", where={"url": "/"})],
    )
    people = [
        person(did("page_viewed", seconds="soon"), employees=float("nan"), title="VP"),
        person(did("page_viewed", seconds=75), did("x", seconds="soon"), employees="250-500", title=7, other=-0.0),
        person(did("page_viewed", seconds="75"), employees=250, title="VP"),
        person(),
    ]
    assert [each["warnings"] for each in score_people(of, people, NOW, UTC)] == [
        [
            "employees: the value is not a number (NaN), so it counts as unknown",
            "the attribute seconds: its rules cannot use the value, so it counts as unknown",
        ],
        [
            "employees: its rules cannot use the value, so it counts as unknown",
            "title: its rules cannot use the value, so it counts as unknown",
        ],
        [],
        [],
    ]


@pytest.mark.parametrize("value", [*HOSTILE[:5], 10**400, "x" * 200_000, "VP \ud800"], ids=lambda each: str(each)[:10])
def test_who_has_an_unbelievable_value_is_warned(value):
    of = model(fit=[fit_rule(1, field="f", contains="x"), fit_rule(2, "more", field="f", gt=1)])
    first, second = score_people(of, [person(f=value), person(f=None)], NOW, UTC)
    assert len(first["warnings"]) == 1
    assert second["warnings"] == []


def test_a_gap_says_what_was_wrong_with_the_value():
    of = model(fit=[fit_rule(1, "size", field="employees", gt=5), fit_rule(2, "vp", field="title", contains="vp")])
    assert [one(of, employees=value, title="x")["gaps"] for value in (None, float("nan"), "many", 250)] == [
        ["employees is not known: size"],
        ["employees is not known, because its value is not a number (NaN): size"],
        ["employees has a value that its rules cannot use: size"],
        [],
    ]


def test_true_is_not_one():
    of = model(fit=[fit_rule(1, "yes", field="a", **{"is": True}), fit_rule(2, "one", field="a", **{"is": 1})])
    assert [
        int(each) // 100 for each in score(of, columns_of([person(a=True), person(a=1), person(a=1.0)]), NOW, UTC).total
    ] == [1, 3, 3]


def test_a_regular_expression_that_never_ends_is_given_up():
    of = model(fit=[fit_rule(1, field="title", regex=r"(a|aa)+(b|bb)*$x")])
    scores = score(of, columns_of([person(title="a" * 60 + "!")]), NOW, UTC)
    assert scores.total.tolist() == [0]


def test_text_is_compared_without_regard_to_case_accents_encoding_and_blanks():
    of = model(fit=[fit_rule(1, field="city", **{"is": "Zürich"}), fit_rule(2, "s", field="city", contains="STRASSE")])
    assert [total(of, city=each) for each in ("ZÜRICH", "Zu\u0308rich ", "Zurich", "Straße")] == [1, 1, 0, 2]


def test_unknown_is_neither_no_nor_zero():
    of = model(
        fit=[
            fit_rule(1, "not big", **{"not": {"field": "employees", "gt": 200}}),
            fit_rule(2, "small", field="employees", lt=50),
            fit_rule(4, "missing", field="employees", missing=True),
            fit_rule(8, "any", any=[{"field": "employees", "gt": 5}, {"field": "title", "contains": "vp"}]),
            fit_rule(16, "all", all=[{"field": "employees", "gt": 5}, {"field": "title", "contains": "vp"}]),
        ]
    )
    assert total(of, title="VP") == 12
    assert total(of, title="VP", employees=10) == 27


@pytest.mark.parametrize(
    ("email", "free", "at_acme"),
    [
        ("a@gmail.com", True, False),
        ("A@GMAIL.COM", True, False),
        ("a@acme.example", False, True),
        ("a@mail.acme.example", False, True),
        ("a@notacme.example", False, False),
        ("https://www.acme.example/about", False, True),
        ("nothing", False, False),
    ],
)
def test_domains(email, free, at_acme):
    of = model(
        fit=[fit_rule(1, field="email", free_mail=True), fit_rule(2, "acme", field="email", domain=["acme.example"])]
    )
    assert total(of, email=email) == free + 2 * at_acme


def test_silence_of_who_never_acted_counts_from_a_date_if_there_is_one():
    quiet = {"name": "silent", "points": -10, "after": "30d", "since": "created"}
    of = model(inactivity=[quiet])
    assert total(of) == 0
    assert total(of, created="2026-10-22") == -10
    assert total(of, created="2026-10-23") == 0
    assert total(of, created="2026-10-21T23:30:00Z", zone=BERLIN) == -10
    assert total(of, did("page_viewed"), created="2026-01-01") == 0


def test_what_others_do_does_not_end_a_silence():
    of = model(inactivity=[{"name": "silent", "points": -10, "after": "30d"}])
    for kind in ("email_sent", "email_auto_replied", "call_attempted"):
        assert total(of, did("page_viewed", 40), did(kind, 1)) == -10
    assert total(of, did("page_viewed", 40), did("email_opened", 1)) == 0
    assert total(of, did("page_viewed", 40), did("a_kind_of_your_own", 1)) == 0


LONG_VISITS = behavior_rule(
    "page_viewed", 10, where={"url": {"contains": "/pricing"}}, at_least_sum={"seconds": 120}, window="30d"
)


def visited(ago, seconds, url="/pricing"):
    return did("page_viewed", ago, url=url, seconds=seconds)


@pytest.mark.parametrize(
    ("done", "points"),
    [
        ([visited(1, 70), visited(3, 70)], 20), ([visited(1, 120)], 10), ([visited(1, 119.999)], 0),
        ([visited(1, 70)], 0), ([visited(1, 70), visited(3, 70, "/blog")], 0), ([visited(1, 70), visited(31, 70)], 0),
        ([visited(1, "70"), visited(3, "70.0")], 20), ([visited(1, 200), visited(3, -100)], 20),
        ([visited(1, "inf")], 0), ([visited(1, "1_000")], 0), ([visited(1, 1e308)], 0),
        ([visited(1, "long"), visited(3, True)], 0), ([did("page_viewed", url="/pricing")], 0), ([], 0),
        ([visited(number, 0.1) for number in range(20)] + [visited(2, 118)], 210),
    ],
)  # fmt: skip
def test_case_S1_an_attribute_of_all_activities_is_added_up(done, points):
    assert total(model(behavior=[LONG_VISITS]), *done) == points


def test_what_no_limit_lets_count_is_added_up_too():
    of = model(behavior=[{**LONG_VISITS, "max_times": 1}], bands={"cold": 0, "mql": 5})
    told = foreseen(of, visited(1, 70), visited(29, 70))
    (line,) = told["lines"]
    assert (line["points"], line["why"][:35]) == (10, "1× in the last 30 days, on 20 Novem")
    assert line["why"].endswith("1 of 2 count; seconds add up to 140")
    assert told["until"]["at"][:10] == "2026-11-23"


def test_time_that_takes_away_from_a_sum_is_known_ahead():
    of = model(behavior=[{**LONG_VISITS, "max_times": 1}])
    columns = columns_of([person(visited(1, 70), visited(29, 70))])
    (due,) = score(of, columns, NOW, UTC).due.tolist()
    assert datetime.fromtimestamp(due, UTC) == datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"seconds": -1}, {"seconds": "long"}, {"seconds": float("inf")}])
def test_a_sum_is_a_number_above_nothing(wrong):
    with pytest.raises(ValueError, match="at_least_sum"):
        model(behavior=[behavior_rule(at_least_sum=wrong)])


UNSUBSCRIBED = {
    "name": "Unsubscribed",
    "on": "email_unsubscribed",
    "unless": {"on": "form_submitted", "where": {"form": ["Resubscribe"]}},
}


@pytest.mark.parametrize(
    ("done", "disqualified"),
    [
        ([did("email_unsubscribed", 700)], True),
        ([did("email_unsubscribed", 700), did("form_submitted", 1, form="Resubscribe")], False),
        ([did("email_unsubscribed", 700), did("form_submitted", 1, form="Demo")], True),
        ([did("email_unsubscribed", 1), did("form_submitted", 700, form="Resubscribe")], True),
        (
            [did("email_unsubscribed", 9), did("form_submitted", 5, form="Resubscribe"), did("email_unsubscribed", 2)],
            True,
        ),
        ([did("email_unsubscribed", 9, times=2), did("form_submitted", 9, form="Resubscribe")], True),
        ([did("form_submitted", 5, form="Resubscribe")], False),
    ],
)  # fmt: skip
def test_case_S4_who_came_back_after_leaving_is_not_disqualified(done, disqualified):
    told = one(model(disqualify=[UNSUBSCRIBED], bands={"cold": 0, "mql": 0.5}), *done)
    assert told["disqualified"] == ("Unsubscribed" if disqualified else None)


def test_who_came_back_a_while_ago_is_disqualified_again():
    again = {**UNSUBSCRIBED, "unless": {"on": "form_submitted", "window": "30d"}}
    of = model(
        disqualify=[again],
        behavior=[behavior_rule("form_submitted", 10)],
        bands={"cold": 0, "mql": 5},
    )
    told = foreseen(of, did("email_unsubscribed", 90), did("form_submitted", 29))
    assert (told["band"], told["until"]["at"][:10], told["until"]["band"]) == ("mql", "2026-11-23", "cold")


def test_an_exception_needs_what_it_is_one_to():
    with pytest.raises(ValueError, match="unless need on"):
        model(disqualify=[{"name": "x", "when": {"field": "vip", "is": True}, "unless": {"on": "form_submitted"}}])


def test_a_dead_feed_neither_fades_nor_falls_silent():
    of = model(
        behavior=[behavior_rule("email_opened", 40, "open", decay={"half_life": "10d"})],
        inactivity=[{"name": "silent", "points": -10, "after": "30d"}],
    )
    columns = columns_of([person(did("email_opened", 30))])
    dead_since = day_of(NOW - timedelta(days=30), UTC)
    assert score(of, columns, NOW, UTC).total.tolist() == [-500]
    clocks = {"email_opened": np.array([dead_since])}
    assert score(of, replace(columns, clocks=clocks), NOW, UTC).total.tolist() == [4000]


def test_the_reason_is_one_sentence_cut_between_graphemes():
    family = "👩‍👩‍👧"
    rules = [behavior_rule(points=50 - number, name=f"{family * 3} {number}") for number in range(9)]
    of = model(behavior=[{**rule, "on": "page_viewed"} for rule in rules])
    columns = columns_of([person(did("page_viewed"))])
    said = summarize(of, score(of, columns, NOW, UTC), 0)
    assert len(said.encode("utf-16-le")) // 2 <= 255
    assert said.endswith("…")
    assert "\u200d…" not in said
    assert truncate("e\u0301" * 200).rstrip("…").endswith("e\u0301")


def test_the_reason_tells_what_weighs_most_first():
    of = model(
        fit=[fit_rule(20, "VP", field="title", contains="vp")],
        behavior=[behavior_rule(points=40, decay={"half_life": "30d"})],
        bands={"cold": 0, "mql": 30},
    )
    columns = columns_of([person(did("page_viewed", 30, times=2), title="VP")])
    assert summarize(of, score(of, columns, NOW, UTC), 0) == "mql, 60 points: acted +40, VP +20"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (
            {"activities": [{"kind": "page_viewed", "at": "2026-11-21T12:00:00"}]},
            "activity no. 1: it needs at, an instant with",
        ),
        (
            {"activities": [{"kind": "page_viewed", "at": "2026-11-21"}]},
            "activity no. 1: it needs at, an instant with",
        ),
        (
            {"activities": [{"kind": "page_viewed"}]},
            "activity no. 1: it needs at, an instant with",
        ),
        (
            {"activities": [{"at": "2026-11-21T12:00:00Z"}]},
            "activity no. 1: it needs a kind, and attr",
        ),
        (
            {"activities": [{"at": "2026-11-21T12:00:00Z", "kind": "x", "attributes": "y"}]},
            "activity no. 1: it needs a kind, and attr",
        ),
        ({"field": {}}, "'field' is not a key of a person"),
        ([], "person no. 1: write"),
        ({"id": {}}, "id must be a text or a number"),
        ({"fields": {"a": {"b": 1}}}, "the field 'a' has a table as its value"),
        ({"fields": {"a": [1, "b"]}}, "the field 'a' has a list with other values than texts"),
        ({"activities": "abc"}, "person no. 1, activity no. 1: write"),
        (
            {"activities": [{"kind": None, "at": "2026-11-21T12:00:00Z"}]},
            "activity no. 1: it needs a kind, and attr",
        ),
        (
            {"activities": [{"kind": "x", "at": 5}]},
            "activity no. 1: it needs at, an instant with",
        ),
        (
            {"activities": [{"kind": "x", "at": "2026-11-21T12:00:00Z", "id": []}]},
            "person no. 1, activity no. 1: its id is a table or a list",
        ),
        (
            {"activities": [{"kind": "x", "at": "2026-11-21T12:00:00Z", "attributes": {"a": {}}}]},
            "person no. 1, activity no. 1: the attribute 'a' has a table as its value",
        ),
        ({"previous": "hot"}, "previous 'hot' is not a band of the model; its bands are none"),
    ],
)
def test_a_person_written_wrongly_is_told_where(bad, said):
    with pytest.raises(ConfigError, match=r"person no\. 1") as error:
        list(score_people(model(), [bad], NOW, UTC))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"fit": [fit_rule(0, field="a", gt=1)]}, "a rule with 0 points has no effect"),
        ({"fit": [fit_rule(0.005, field="a", gt=1)]}, "at most two decimals"),
        ({"fit": [fit_rule(float("nan"), field="a", gt=1)]}, "write a number"),
        ({"fit": [fit_rule(1e308, field="a", gt=1)]}, "points must be between"),
        ({"fit": [fit_rule(1, field="a")]}, "add a condition for 'a'"),
        ({"fit": [fit_rule(1, field="a", gt=1), fit_rule(1, field="b", gt=1)]}, "two rules have the name 'fit'"),
        ({"fit": [fit_rule(1, field="a", regex="(")]}, "not a regular expression"),
        ({"fit": [fit_rule(1, field="a", in_list="x")]}, "uses the list 'x', which"),
        ({"behavior": [behavior_rule(window="36h")]}, "write whole days or weeks"),
        ({"behavior": [behavior_rule(cap=-5)]}, "must have the same sign"),
        ({"behavior": [behavior_rule(max_per_week=1, max_per_month=1)]}, "use only one of max_per_week"),
        ({"behavior": [behavior_rule(channel="mail")]}, "uses 'mail', which"),
        ({"behavior": [behavior_rule(decay={"half_life": "3d", "linear": "3d"})]}, "write one of half_life"),
        (
            {"bands": {"a": 0, "b": {"at": 5, "drop_below": 6}}},
            "drop_below is 6, which is above at (5)",
        ),
        ({"bands": {"a": 0, "b": {}}}, "needs at, min_fit or min_behavior"),
        ({"grades": {"A": 1, "B": 2}}, "best first"),
        ({"weights": {"fit": 0, "behavior": 0}}, "both weights are 0"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused_with_a_sentence(tables, said):
    with pytest.raises(ValidationError) as error:
        Model(**tables)
    assert said in str(error.value)


def test_who_has_exactly_the_points_of_a_grade_has_the_grade():
    points = np.array([4000, 3999, 2000, 1999, 0, -1], dtype=np.int64)
    assert grade_of({"A": 40, "B": 20, "C": 0}, points).tolist() == [0, 1, 1, 2, 2, 2]
    assert grade_of({"A": 40}, points).tolist() == [0] * 6
    assert grade_of({}, points).tolist() == [-1] * 6


def test_who_has_exactly_the_points_of_a_band_is_in_it_and_stays_down_to_its_last_point():
    bands = {"cold": Band(at=0), "warm": Band(at=20, min_fit=5, min_behavior=3), "hot": Band(at=50, drop_below=40)}
    total = np.array([1999, 2000, 4999, 5000, 4999, 4000, 3999, 5000, 5000], dtype=np.int64)
    fit = np.array([500] * 7 + [499, 500], dtype=np.int64)
    behavior = np.array([300] * 8 + [299], dtype=np.int64)
    before = np.array([-1, -1, 1, 1, 2, 2, 2, 2, 2], dtype=np.int8)
    band, reach = band_of(bands, total, fit, behavior, before)
    assert band.tolist() == [0, 1, 1, 2, 2, 2, 1, 0, 0]
    assert reach.tolist() == [0, 1, 1, 2, 2, 2, 1, 2, 2]


@pytest.mark.parametrize(("times", "gets"), [(1, 0), (2, 20), (3, 30)])
def test_activities_count_from_the_least_number_that_a_rule_asks_for(times, gets):
    assert total(model(behavior=[behavior_rule(at_least=2)]), did("page_viewed", times=times)) == gets


@pytest.mark.parametrize(("days", "gets"), [((3, 4, 5, 6), 0), ((3, 4, 5, 6, 10), 10), ((3, 4, 5, 6, 11), 0)])
def test_points_given_once_for_many_activities_count_the_newest_while_there_are_enough(days, gets):
    rule = behavior_rule(at_least=5, max_times=1, window="10d")
    assert total(model(behavior=[rule]), *(did("page_viewed", day) for day in days)) == gets


def test_points_given_once_for_many_activities_go_when_one_that_made_them_enough_leaves_the_window():
    rule = behavior_rule(at_least=3, max_times=1, window="10d")
    done = [did("page_viewed", day) for day in (1, 2, 8)]
    assert days_to_due(model(behavior=[rule]), *done) == 3


def test_more_activities_than_a_rule_asks_for_hold_its_points_until_too_few_are_left():
    rule = behavior_rule(at_least=3, max_times=1, window="10d")
    done = [did("page_viewed", day) for day in (1, 2, 5, 8, 9)]
    assert days_to_due(model(behavior=[rule]), *done) == 6


def days_to_due(of, *done):
    (due,) = local_days(score(of, columns_of([person(*done)]), NOW, UTC).due, UTC).tolist()
    return due - day_of(NOW, UTC)


@pytest.mark.parametrize("when", [{"is": "labs"}, {"in": ["labs", 7]}])
@pytest.mark.parametrize(("value", "gets"), [(["b2b", "Labs"], 10), (["b2b"], 0), ("labs", 10)])
def test_one_value_of_several_is_enough_to_be_what_a_rule_asks_for(when, value, gets):
    assert total(model(fit=[fit_rule(field="tags", **when)]), tags=value) == gets


def test_who_misses_two_gates_of_a_band_is_told_of_both():
    of = model(
        fit=[fit_rule(field="vip", **{"is": True})],
        behavior=[behavior_rule()],
        bands={"cold": 0, "hot": {"at": 20, "min_fit": 15, "min_behavior": 12}},
    )
    got = one(of, did("page_viewed"), vip=True)
    assert got["band"] == "cold"
    assert [line["why"] for line in got["lines"] if line["rule"] == "Minimum of hot"] == [
        "minimum fit 15, not met: fit is 10; minimum behavior 12, not met: behavior is 10"
    ]


def test_a_rule_may_ask_whether_a_field_is_filled():
    of = model(fit=[fit_rule(1, "filled", field="city", exists=True), fit_rule(2, "empty", field="city", missing=True)])
    assert points(one(of, city="Berlin")) == {"filled": 1}
    assert points(one(of, city=None)) == {"empty": 2}
