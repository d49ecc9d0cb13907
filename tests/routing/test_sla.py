"""Until when somebody has to be contacted, and how soon owners do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from crmsync.config.deciding import OwnerPool
from crmsync.config.sla import Sla
from crmsync.model import HandedOver
from crmsync.routing.sla import describe_breaches, find_breaches, measure_groups, measure_speed

MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TWO_DAYS = Sla(within="48h")
FOUR_HOURS = Sla(within="4h")
ANN, BOB = "ann@acme.example", "bob@acme.example"
MINUTE = timedelta(minutes=1)


def ms(at):
    return int(at.timestamp() * 1000)


def handed(at=MONDAY, owner=ANN, touched=None, owned_at=None, stage="mql", owned=True, person=1):
    return HandedOver(
        person, owner, stage, ms(at), owned_at and ms(owned_at), None if touched is None else ms(at + touched), owned
    )


def found(*hand_offs, sla=TWO_DAYS, now=MONDAY, members=(), zone=UTC):
    pools = [OwnerPool(name="sales", members=list(members))] if members else []
    return find_breaches(sla, pools, hand_offs, now, zone)


def breached(hand_off, **how):
    (deadline,) = found(hand_off, **how)
    return deadline.breached


def test_S0_26_without_a_touch_two_days_later_the_time_is_over():
    assert breached(handed(), now=MONDAY + timedelta(hours=48) + MINUTE)
    assert not breached(handed(), now=MONDAY + timedelta(hours=48))


def test_S0_26_a_touch_a_minute_before_the_end_is_in_time():
    later = MONDAY + timedelta(days=30)
    assert not breached(handed(touched=timedelta(hours=47, minutes=59)), now=later)
    assert not breached(handed(touched=timedelta(hours=48)), now=later)
    assert breached(handed(touched=timedelta(hours=48, seconds=1)), now=later)


def test_only_the_owners_working_time_counts():
    ann = {"email": ANN, "hours": "Mon-Fri 09:00-17:00", "away": ["2026-11-24"]}
    (deadline,) = found(handed(at=MONDAY + timedelta(hours=6)), sla=FOUR_HOURS, members=[ann])
    assert deadline.due == datetime(2026, 11, 25, 11, 0, tzinfo=UTC)  # two hours of Monday, none of Tuesday


def test_a_holiday_does_not_count():
    ann = {"email": ANN, "hours": "Mon-Fri 09:00-17:00", "holidays": "US"}
    (deadline,) = found(handed(at=datetime(2026, 11, 25, 16, 0, tzinfo=UTC)), sla=FOUR_HOURS, members=[ann])
    assert deadline.due == datetime(2026, 11, 27, 12, 0, tzinfo=UTC)  # Thanksgiving is on the 26th


def test_hours_are_local_to_the_config_where_a_member_has_no_zone():
    ann = {"email": " ANN@acme.example", "hours": "Mon-Fri 09:00-17:00"}
    (deadline,) = found(handed(), sla=FOUR_HOURS, members=[ann], zone=ZoneInfo("America/New_York"))
    assert deadline.due == datetime(2026, 11, 23, 18, 0, tzinfo=UTC)


def test_a_user_without_a_pool_works_around_the_clock():
    (deadline,) = found(handed(owner=BOB), sla=FOUR_HOURS, members=[{"email": ANN, "hours": "Mon 09:00-10:00"}])
    assert deadline.due == MONDAY + timedelta(hours=4)


def test_the_time_begins_when_the_owner_has_the_person():
    (deadline,) = found(handed(owned_at=MONDAY + timedelta(hours=5)), sla=FOUR_HOURS)
    assert deadline.due == MONDAY + timedelta(hours=9)
    (deadline,) = found(handed(owned_at=MONDAY - timedelta(hours=5)), sla=FOUR_HOURS)
    assert deadline.due == MONDAY + timedelta(hours=4)


def test_whom_somebody_else_owns_by_now_nobody_is_waited_for():
    assert found(handed(owned=False)) == []
    assert len(found(handed(owned=False, touched=MINUTE))) == 1


def test_only_the_stages_that_are_named_count():
    two = (handed(stage="lead"), handed(stage="mql", person=2))
    assert [each.hand_off.person for each in found(*two, sla=Sla(within="4h", stages=["mql"]))] == [2]
    assert len(found(*two)) == 2


def speed(*minutes, **how):
    return measure_speed(found(*(handed(touched=each * MINUTE, person=each) for each in minutes), **how))


def test_S4_16_touches_after_5_30_120_and_600_minutes_are_75_minutes_in_the_middle():
    assert [tuple(each) for each in speed(5, 30, 120, 600)] == [(ANN, 4, 75.0, 456.0)]


def test_speed_is_in_working_time_and_by_owner():
    ann = {"email": ANN, "hours": "Mon-Fri 09:00-10:00"}
    two = [handed(touched=timedelta(hours=24, minutes=30)), handed(owner=BOB, touched=timedelta(hours=25))]
    said = measure_speed(found(*two, handed(person=3), members=[ann]))
    assert [(each.owner, each.leads, each.median_minutes) for each in said] == [(ANN, 1, 90.0), (BOB, 1, 1500.0)]


def test_a_touch_before_the_crm_took_the_owner_took_no_time():
    hand_off = handed(touched=MINUTE, owned_at=MONDAY + timedelta(hours=1))
    (deadline,) = found(hand_off)
    assert (deadline.took, deadline.breached) == (timedelta(), False)


def test_a_group_has_who_waits_who_was_contacted_and_both_that_were_too_late():
    minutes = (5, 30, 120, 600)
    mql = [handed(touched=each * MINUTE, person=each)._replace(band="mql") for each in minutes]
    others = [handed(person=1), handed(person=2, at=MONDAY + timedelta(hours=99))]
    deadlines = found(*mql, *others, sla=FOUR_HOURS, now=MONDAY + timedelta(hours=100))
    said = measure_groups(deadlines, lambda each: each.hand_off.band)
    assert [tuple(each) for each in said] == [("", 2, 0, 1, None, None), ("mql", 0, 4, 1, 75.0, 456.0)]


@pytest.mark.parametrize(("people", "said"), [(1, "1 person was"), (3, "3 people were")])
def test_the_sentence_counts_who_still_waits(people, said):
    late = [handed(person=each) for each in range(people)] + [handed(person=9, touched=timedelta(days=9))]
    deadlines = found(*late, sla=FOUR_HOURS, now=MONDAY + timedelta(days=10))
    assert describe_breaches(FOUR_HOURS, deadlines) == f"{said} not contacted within 4h: crmsync status"


def test_there_is_no_sentence_where_nobody_waits():
    touched = found(handed(touched=timedelta(days=9)), handed(person=2), now=MONDAY + timedelta(hours=1))
    assert describe_breaches(TWO_DAYS, touched) == ""
