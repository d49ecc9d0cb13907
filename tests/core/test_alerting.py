"""What is told of what is wrong: each beginning once, each end, once a day while it lasts, and no flapping."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.alerting.conditions import AlertCondition, EndedRun, Facts, find_conditions
from crmsync.alerting.decisions import AGAIN, CALM, decide_alerts
from crmsync.dead_feeds import DeadFeed

START = 1_795_000_000_000
MINUTE = 60_000
OUT = AlertCondition("crm_out:hubspot", "error", "hubspot could not be used", "The token is refused.", "crmsync check")
CRMS = ("hubspot", "salesforce")


def play(moments):
    """What is told at each of (minutes, conditions), as (minutes, kind, key)."""
    memory, told = {}, []
    for minutes, conditions in moments:
        lines, memory = decide_alerts(conditions, memory, START + minutes * MINUTE)
        told += [(minutes, line.kind, line.key) for line in lines]
    return told


def kinds(moments):
    return [(minutes, kind) for minutes, kind, _key in play(moments)]


def test_a_condition_is_told_when_it_begins_and_when_it_ends():
    assert kinds([(0, []), (15, [OUT]), (30, [OUT]), (45, []), (60, [])]) == [(15, "began"), (45, "ended")]


def test_a_line_says_what_why_since_when_and_what_to_type():
    lines, memory = decide_alerts([OUT], {}, START)
    assert [line.text for line in lines] == [
        "New: hubspot could not be used. The token is refused. Next: crmsync check"
    ]
    lines, memory = decide_alerts([OUT], memory, START + AGAIN)
    assert lines[0].text.startswith("Still, since 2026-11-18 11:06 UTC: hubspot could not be used. The token")
    lines, memory = decide_alerts([], memory, START + AGAIN + MINUTE)
    assert [line.text for line in lines] == [
        "Over at 2026-11-19 11:07 UTC, began 2026-11-18 11:06 UTC: hubspot could not be used."
    ]


def test_what_lasts_is_told_once_a_day():
    assert kinds([(minutes, [OUT]) for minutes in range(0, 3 * 1440, 15)]) == [
        (0, "began"),
        (1440, "still"),
        (2880, "still"),
    ]


def test_what_comes_back_within_an_hour_is_not_told_again_until_it_has_lasted_one():
    flaps = [(15 * each, [OUT] if each % 2 else []) for each in range(20)]
    assert kinds(flaps) == [(15, "began"), (30, "ended")]
    assert kinds([(0, [OUT]), (15, []), (30, [OUT]), (75, [OUT]), (90, [OUT]), (105, [])]) == [
        (0, "began"),
        (15, "ended"),
        (90, "began"),
        (105, "ended"),
    ]
    assert kinds([(0, [OUT]), (15, []), (75, [OUT])]) == [(0, "began"), (15, "ended"), (75, "began")]


def test_what_flaps_for_days_is_told_once_a_day():
    told = kinds([(15 * each, [OUT] if each % 2 else []) for each in range(4 * 24 * 3)])
    assert [minutes // 1440 for minutes, kind in told if kind == "began"] == [0, 1, 2]


def test_a_clock_that_was_set_back_silences_nothing():
    assert kinds([(0, [OUT]), (-2 * 1440, [OUT])]) == [(0, "began"), (-2880, "still")]


KEYS = st.sets(st.sampled_from(["a", "b"]))
MOMENTS = st.lists(st.tuples(st.integers(1, 2_000), KEYS), max_size=60)


@given(MOMENTS)
def test_law_each_beginning_is_told_once_each_end_follows_it_and_nothing_is_silent_for_a_day(steps):
    minutes, memory, open_, last, since = 0, {}, set(), {}, {}
    for step, present in steps:
        minutes += step
        lines, memory = decide_alerts(
            [AlertCondition(key, "error", key) for key in sorted(present)], memory, minutes * MINUTE
        )
        assert len({line.key for line in lines}) == len(lines)
        for key in set(since) - present:
            del since[key]
        for key in present:
            since.setdefault(key, minutes)
        for line in lines:
            if line.kind == "began":
                assert line.key in present - open_
                open_.add(line.key)
            elif line.kind == "still":
                assert (minutes - last[line.key]) * MINUTE >= AGAIN
                open_.add(line.key)
            else:
                assert line.key in open_ - present
                open_.discard(line.key)
            if line.kind != "ended":
                last[line.key] = minutes
        # Whoever was told of a beginning hears of the end at once; what lasts is known, and not for longer than a day.
        assert open_ <= present
        for key in present:
            if key not in open_:
                assert (minutes - since[key]) * MINUTE < CALM
            assert (minutes - last[key]) * MINUTE < AGAIN


def run(verdict="ok", crms=CRMS, skipped=(), out_of_calls=()):
    result = {
        "crms": {crm: {} for crm in crms},
        "skipped": dict.fromkeys(skipped, "the token is refused"),
        "out_of_calls": list(out_of_calls),
    }
    return EndedRun(verdict, result)


@pytest.mark.parametrize(
    ("facts", "keys"),
    [
        ({}, []),
        ({"runs": [run("partial", skipped=["hubspot"]), run()]}, ["crm_out:hubspot"]),
        ({"runs": [run(), run("partial", skipped=["hubspot"])]}, []),
        # A run that was cut off says nothing of a CRM.
        ({"runs": [run("failed"), run("partial", skipped=["hubspot"])]}, ["crm_out:hubspot"]),
        ({"runs": [run("failed", crms=[]), run()]}, []),
        ({"runs": [run("partial", skipped=["hubspot"], out_of_calls=["hubspot"])]}, ["quota:hubspot"]),
        (
            {"runs": [run("failed", skipped=CRMS)], "failed": (["both are down"], "")},
            ["crm_out:hubspot", "crm_out:salesforce"],
        ),
        ({"failed": (["the disk is full"], "")}, ["run_failed"]),
        (
            {"runs": [run("partial", skipped=["hubspot"])], "failed": (["the disk is full"], "")},
            ["run_failed", "crm_out:hubspot"],
        ),
        ({"overdue": {"hubspot": "no successful run since …"}}, ["no_good_run:hubspot"]),
        (
            {"overdue": {"hubspot": "no successful run"}, "runs": [run("partial", skipped=["hubspot"])]},
            ["crm_out:hubspot"],
        ),
        ({"waiting": [{"run": "r1", "reasons": ["too many"], "next": "crmsync apply r1"}]}, ["held:r1"]),
        ({"refused": {("hubspot", "read-only"): 3}}, ["refused:hubspot:read-only"]),
        ({"dead": [DeadFeed("hubspot", "page_viewed", 9, 2, 20_000)]}, ["feed_dead:hubspot:page_viewed"]),
        ({"unowned": {"sales: nobody is there": 2}}, ["waiting_for_owner"]),
        ({"contested": {"hubspot": 1}}, ["contested:hubspot"]),
        ({"unowned": {}}, []),
        ({"late": 1}, ["sla_breaches"]),
    ],
)
def test_each_condition_has_a_key_that_stays(facts, keys):
    assert [each.key for each in find_conditions(Facts(CRMS, **facts))] == keys


def test_a_dead_feed_that_holds_scores_says_so():
    dead = DeadFeed("hubspot", "page_viewed", 9, 1, 20_000)
    other = dead._replace(kind="email_sent")
    held, free = find_conditions(Facts(CRMS, dead=[dead, other], holds=[dead]), str)
    said = "Its longest pause before was 1 day. Check that it is still tracked and may be read."
    assert held.sentence == f"{said} Until one comes, decay and inactivity are on hold for it."
    assert free.sentence == said


def test_conditions_are_told_with_counts_and_the_command_as_it_is_typed_here():
    facts = Facts(CRMS, refused={("hubspot", "read-only"): 1_200}, unowned={"nobody is there": 1}, late=2)
    found = find_conditions(facts, lambda command: f"/opt/{command}")
    assert [(each.title, each.sentence, each.next) for each in found] == [
        ("hubspot rejects updates", "1,200 records on hold: read-only.", "/opt/crmsync status"),
        ("1 person waits for an owner", "nobody is there: 1.", "/opt/crmsync people --waiting"),
        ("2 people were not contacted in time", "", "/opt/crmsync status"),
    ]
