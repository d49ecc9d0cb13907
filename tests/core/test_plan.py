"""Decisions about one record, and about a whole plan: values in, values out."""

import time
from datetime import UTC, datetime

import pytest

from crmsync.config.worker import Guard
from crmsync.connector import FieldMap
from crmsync.model import Holding, Protection, Ref
from crmsync.planning.changes import (
    Ladder,
    WantedValues,
    decide_change,
    unconfirmed_fields,
    without_human_edits,
)
from crmsync.planning.guard import ChangeCounts, Held, Violation, guard_violations, people_to_hold
from tests.support.make import contact

DAY = 86_400_000
NAMES = FieldMap(
    score_fields={"score": "crmsync_score", "band": "crmsync_band"},
    stages={"lead": "lead", "mql": "marketingqualifiedlead", "sql": {"lead": "Working"}},
)
LADDER = Ladder(["lead", "mql", "sql"], ("subscriber", "lead", "marketingqualifiedlead", "7000123", "customer"))


def held(**over):
    given = {
        "id": 1, "ref": Ref("hubspot", "contact", "1"), "person": 1, "group": "", "stage": None, "owner": None,
        "current": {}, "last_written": {}, "overrides": {}, "on_hold": {}, "attempts": 0, **over,
    }  # fmt: skip
    return Holding(**given)


def wanted(score=50, band="mql", stage=None, owner=None):
    return WantedValues({"score": score, "band": band}, stage, owner, "because")


def decided(holding, want, now=100 * DAY):
    return decide_change(holding, want, NAMES, LADDER, now, 14 * DAY)


def test_only_what_differs_is_planned():
    decision = decided(held(current={"score": 40, "band": "mql"}), wanted())
    assert decision.change.after == {"score": 50}
    assert decision.change.before == {"score": 40}


def test_nothing_differs_nothing_is_planned():
    assert decided(held(current={"score": 50, "band": "mql"}), wanted()).change is None


def test_an_output_that_is_not_mapped_is_not_written():
    decision = decided(held(), WantedValues({"score": 50, "reason": "…"}, None, None, ""))
    assert decision.change.after == {"score": 50}


@pytest.mark.parametrize(
    ("current", "want", "moves"),
    [
        (None, "mql", True),
        ("", "mql", True),
        ("lead", "mql", True),
        ("mql", "mql", False),
        ("mql", "lead", False),
        ("customer", "mql", False),
        ("subscriber", "mql", True),  # the config does not name it, the portal has it before
        ("7000123", "mql", False),  # and this one after
        ("999", "mql", False),  # and of this one nobody knows
        ("lead", "sql", False),  # has no spelling for a HubSpot contact
        ("lead", None, False),
    ],
)
def test_a_stage_only_moves_forward_along_the_ladder(current, want, moves):
    change = decided(held(stage=current, current={"score": 50, "band": "mql"}), wanted(stage=want)).change
    assert (change is not None) == moves


def test_a_stage_that_nobody_knows_the_place_of_is_told():
    decision = decided(held(stage="999", current={"score": 50, "band": "mql"}), wanted(stage="mql"))
    assert decision.protected == ["stage_not_in_config"]
    assert "neither the config nor" in decision.stage_why


def test_a_users_stage_is_respected_and_then_handed_back():
    overrides = {"stage": {"value": "lead", "since": 100 * DAY}}
    record = held(stage="lead", overrides=overrides, current={"score": 50, "band": "mql"})
    first = decided(record, wanted(stage="mql"), now=100 * DAY)
    assert first.change is None
    assert (first.overrides, first.wake_at) == (overrides, 114 * DAY)
    assert first.protections == [Protection("stage_changed_by_a_user", "stage", "lead", "mql", 114 * DAY)]
    assert first.stage_why == "protected: changed by a user, until 1970-04-25"
    assert decided(record, wanted(stage="mql"), now=113 * DAY).change is None
    ended = decided(record, wanted(stage="mql"), now=114 * DAY)
    assert ended.change.after == {"stage": "mql"}
    assert (ended.overrides, ended.wake_at) == ({}, None)


def test_a_users_owner_does_not_stop_the_score():
    record = held(owner="human", overrides={"owner": {"value": "human", "since": 99 * DAY}})
    decision = decided(record, wanted(owner="ours"))
    assert decision.change.after == {"score": 50, "band": "mql"}


def test_a_parked_change_is_not_sent_again_and_another_one_is():
    record = held(current={"band": "mql"}, on_hold={"after": {"score": 50}, "reason": "a validation rule"})
    assert decided(record, wanted()).protected == ["on_hold"]
    assert decided(record, wanted(score=51)).change.after == {"score": 51}


def test_of_a_partly_updated_record_only_the_refused_values_wait():
    record = held(on_hold={"after": {"band": "mql"}, "reason": "not in the picklist", "whole": False})
    decision = decided(record, wanted())
    assert (decision.change.after, decision.protected) == ({"score": 50}, ["on_hold"])
    assert decision.protections == [Protection("on_hold", "band", None, "mql")]
    assert decided(record, wanted(band="hot")).change.after == {"score": 50, "band": "hot"}


def test_a_value_that_others_keep_changing_back_is_given_up():
    record = held(current={"score": 88, "band": "mql"}, last_written={"score": 50, "band": "mql"}, attempts=2)
    assert decided(record, wanted()).protected == ["changed_back_by_others"]
    assert decided(record._replace(attempts=1), wanted()).change.after == {"score": 50}


def test_a_change_gives_way_to_what_somebody_moved_meanwhile():
    change = decided(held(stage="lead"), wanted(stage="mql", owner="ann")).change
    assert without_human_edits(change, contact(1, stage="lead")) is change
    assert set(without_human_edits(change, contact(1, stage="customer")).after) == {"score", "band", "owner"}
    assert set(without_human_edits(change, contact(1, stage="lead", owner="eve")).after) == {"score", "band", "stage"}


def test_a_change_of_nothing_but_what_somebody_moved_is_nothing():
    change = decided(held(stage="lead", current={"score": 50, "band": "mql"}), wanted(stage="mql")).change
    assert without_human_edits(change, contact(1, stage="customer")) is None


def test_what_the_crm_did_not_keep_is_named():
    change = decided(held(), wanted(score=0, stage="mql")).change
    assert unconfirmed_fields(change, contact(1, stage="mql", current={"score": 0, "band": "mql"})) == {}
    assert unconfirmed_fields(change, contact(1, stage="lead", current={"band": "mql"})) == {
        "score": None,
        "stage": "lead",
    }


def violated(category, number, guard=None, approved=None, odd=(), **over):
    """The people who would have to wait where so many records of a category are counted, and the sentences."""
    tally = ChangeCounts(**{"live": 100, "scored": 100, **over})
    tally.people[category] = list(range(number))
    tally.odd = set(odd)
    found = list(guard_violations({"hubspot": tally}, guard or Guard(), approved or {}))
    held = people_to_hold({"hubspot": tally}, found, set())
    assert not held.people or not held.first
    return set(held.everybody()), [each.sentence for each in found]


def test_a_plan_that_moves_too_many_bands_waits():
    assert violated("bands", 26) == (
        set(range(26)),
        ["hubspot: 26 of 100 records (26.0%) would get another band; [guard] bands allows 25%"],
    )
    assert violated("bands", 25) == (set(), [])


def test_where_the_odd_ones_alone_are_too_many_only_they_wait():
    assert violated("bands", 30, odd=range(20))[0] == set(range(20))
    assert violated("bands", 60, odd=range(20))[0] == set(range(60))


def test_what_was_approved_goes_and_a_tenth_more():
    assert violated("bands", 40, approved={"hubspot": {"bands": 44}}) == (set(), [])
    assert len(violated("bands", 50, approved={"hubspot": {"bands": 44}})[0]) == 6


def test_a_small_base_is_not_guarded():
    assert violated("bands", 19, live=19, scored=19) == (set(), [])


def test_a_first_run_is_as_large_as_the_config_allows():
    assert violated("first", 1000, live=2000, scored=0) == (set(), [])
    assert len(violated("first", 1001, live=2000, scored=0)[0]) == 1001
    assert violated("first", 1001, live=9000, scored=6000) == (set(), [])  # what is usual for a large CRM


def test_an_empty_value_is_no_loss():
    one = ChangeCounts()
    one.add(7, decided(held(), wanted(stage="mql", owner="ann")).change, is_odd=True)
    assert one.numbers() == {"records": 1, "first": 1, "scores": 0, "bands": 0, "stages": 0, "owners": 0}
    one.add(
        7, decided(held(stage="lead", current={"score": 1, "band": "cold"}), wanted(stage="mql")).change, is_odd=True
    )
    assert one.numbers() == {"records": 2, "first": 1, "scores": 1, "bands": 1, "stages": 1, "owners": 0}


def test_a_score_that_time_moves_is_not_odd():
    one = ChangeCounts()
    one.add(7, decided(held(current={"score": 1, "band": "mql"}), wanted()).change, is_odd=False)
    assert one.numbers()["scores"] == 0


def test_first_scores_wait_in_their_crm_alone_and_other_moves_wait_with_the_whole_person():
    tally = ChangeCounts(live=100, scored=0)
    tally.people["first"] = [1, 2, 3]
    first = [Violation("hubspot", "first", 1, 0, "")]
    assert people_to_hold({"hubspot": tally}, first, {2}) == Held(first={"hubspot": frozenset({1, 2, 3})})
    approved = [Violation("hubspot", "first", 1, 1, "")]
    assert people_to_hold({"hubspot": tally}, approved, {2}) == Held(first={"hubspot": frozenset({1, 3})})
    tally.people["bands"] = [4, 5]
    assert people_to_hold({"hubspot": tally}, [Violation("hubspot", "bands", 1, 0, "")], ()) == Held(frozenset({4, 5}))


def test_a_protected_stage_says_the_day_in_utc_until_when(monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        late = int(datetime(2026, 11, 21, 23, 30, tzinfo=UTC).timestamp() * 1000)
        lease = {"stage": {"value": "lead", "since": late}}
        told = decide_change(held(stage="lead", overrides=lease), wanted(stage="mql"), NAMES, LADDER, late, DAY)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told.stage_why == "protected: changed by a user, until 2026-11-22"
