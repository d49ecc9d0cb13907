"""A feed that is dead is told, and one that only pauses is not."""

from datetime import timedelta

import pytest

from crmsync.cycle import run_cycle
from crmsync.dead_feeds import find_dead_feeds
from crmsync.doctor import diagnose
from crmsync.reporting.status import health_document
from crmsync.store import feed_days
from tests.support.make import NOW, activity, config, contact, crm, work

TODAY = 20_000


def dead(days, today=TODAY, **limits):
    of = {("hubspot", "page_viewed"): days}
    return [each.silent for each in find_dead_feeds(of, {f"{kind}": value for kind, value in limits.items()}, today)]


def daily(last, every=1, number=30):
    return {last - every * place: 1 for place in range(number)}


@pytest.mark.parametrize(
    ("days", "silent"),
    [
        (daily(TODAY - 3), []),  # three times its longest pause, and not longer
        (daily(TODAY - 4), [4]),
        (daily(TODAY - 1), []),
        (daily(TODAY - 21, every=7), []),
        (daily(TODAY - 22, every=7), [22]),
        (daily(TODAY - 90), [90]),  # dead for longer than the window
        (daily(TODAY - 4, number=19), []),  # too little is known
        ({TODAY - 50: 40}, []),  # one day has no pause
        ({**daily(TODAY - 9), TODAY + 5: 1}, [9]),  # a meeting of next week is no sign of life
        ({}, []),
    ],
)
def test_a_feed_is_dead_after_three_times_its_longest_pause(days, silent):
    assert dead(days) == silent


def test_the_config_says_how_long_a_kind_may_be_silent():
    assert dead(daily(TODAY - 9), page_viewed=timedelta(days=10)) == []
    assert dead(daily(TODAY - 11), page_viewed=timedelta(days=10)) == [11]
    assert dead(daily(TODAY - 300), page_viewed=timedelta(0)) == []


def test_a_dead_feed_makes_its_crm_unhealthy_and_one_that_wakes_does_not(state):
    hubspot = crm("hubspot")
    ada = contact(1)
    hubspot.edit(ada)
    for number in range(30):
        hubspot.happen(activity(number, ada, kind="page_viewed", days_ago=number + 1, url="/x"))
    settings = config(hubspot={}, schedule={"every": "30d"})
    run_cycle(work(state, hubspot, settings=settings))
    assert health_document(settings, state, NOW)["healthy"]
    late = NOW + timedelta(days=9)
    said = health_document(settings, state, late)["crms"]["hubspot"]
    assert not said["healthy"]
    assert "no page_viewed for 10 days (longest pause before: 1 day)" in said["why"]
    hubspot.happen(activity(99, ada, kind="page_viewed", days_ago=-9, url="/x"))
    run_cycle(work(state, hubspot, settings=settings, now=late))
    assert health_document(settings, state, late)["healthy"]


def test_days_are_counted_once_an_activity(state):
    with state.begin() as tx:
        feed_days.add_feed_days(tx, [("hubspot", "call", 0), ("hubspot", "call", 0), ("hubspot", "call", 1)])
    with state.begin() as tx:
        feed_days.add_feed_days(tx, [("hubspot", "call", 0)])
    with state.read() as reading:
        assert feed_days.read_feed_days(reading) == {("hubspot", "call"): {0: 3, 1: 1}}


def test_a_type_that_no_source_brings_is_an_error_of_check(tmp_path):
    mistyped = config(
        hubspot={}, feeds={"email_opend": "3d", "page_viewed": "3d"}, state={"url": f"sqlite:///{tmp_path}/state.db"}
    )
    (said,) = [each for each in diagnose(mistyped, NOW, None)["problems"] if "[feeds]" in each]
    assert said.startswith("[feeds] email_opend: no activity source has this type; the types are call_attempted, ")
