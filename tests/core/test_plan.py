"""Decisions about one record, and about a whole plan: values in, values out."""

import time
from datetime import UTC, datetime

import pytest

from crmsync.config.worker import Guard
from crmsync.config.write import LeastMove
from crmsync.connector import FieldMap
from crmsync.model import SCORE_FIELDS, Protection
from crmsync.planning.changes import (
    EntryValues,
    Ladder,
    WantedValues,
    decide_change,
    is_owner_chosen,
    is_stage_overridden,
    unconfirmed_fields,
    without_human_edits,
)
from crmsync.planning.guard import ChangeCounts, Held, Violation, guard_violations, people_to_hold
from tests.support.deciding import held
from tests.support.make import contact

DAY = 86_400_000
NAMES = FieldMap(
    score_fields={"score": "crmsync_score", "band": "crmsync_band"},
    stages={"lead": "lead", "mql": "marketingqualifiedlead", "sql": {"lead": "Working"}},
)
LADDER = Ladder(["lead", "mql", "sql"], ("subscriber", "lead", "marketingqualifiedlead", "7000123", "customer"))


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


# What waits, what is left, and what is said of it

SAME = {"score": 50, "band": "mql"}


def test_the_override_that_ends_first_wakes_the_record():
    overrides = {
        "stage": {"value": "lead", "since": 95 * DAY},
        "owner": {"value": "human", "since": 90 * DAY},
    }
    assert decided(held(overrides=overrides), wanted()).wake_at == 104 * DAY


def test_a_users_stage_that_nobody_wants_to_move_is_not_said_to_be_protected():
    record = held(stage="mql", overrides={"stage": {"value": "mql", "since": 99 * DAY}})
    told = decided(record, wanted(stage="mql"))
    assert (told.stage_why, told.protections) == ("already mql", [])


def test_a_value_that_was_not_written_before_has_not_been_changed_back():
    record = held(current={"score": 88, "band": "cold"}, last_written={"score": 50, "band": "warm"}, attempts=5)
    assert decided(record, wanted()).change.after == SAME
    assert decided(record._replace(last_written={"score": 50}), wanted()).change.after == SAME
    emptied = record._replace(current={"score": 50, "band": "cold"}, last_written={"score": 50})
    assert decided(emptied, wanted(band=None)).change.after == {"band": None}


def test_what_is_given_up_is_told_with_what_is_there_and_what_was_wanted():
    record = held(stage="lead", current=SAME, last_written={"stage": "mql"}, attempts=2)
    told = decided(record, wanted(stage="mql"))
    assert (told.change, told.given_up.after) == (None, {"stage": "mql"})
    assert told.protections == [Protection("changed_back_by_others", "stage", "lead", "mql")]


def undone(**values):
    return {name: {"value": value, "run": "r1"} for name, value in values.items()}


def test_an_undone_stage_waits_and_is_told():
    record = held(stage="lead", current=SAME, undone=undone(stage="mql"))
    told = decided(record, wanted(stage="mql"))
    assert (told.change, told.undone.after, told.undone.before) == (None, {"stage": "mql"}, {"stage": "lead"})
    assert told.protections == [Protection("undone", "stage", "lead", "mql")]
    assert told.stage_why == "held: run r1 was undone"
    assert decided(record, wanted(stage="sql")).undone is None


def test_an_undone_score_says_nothing_of_the_stage():
    told = decided(held(stage="mql", current={"band": "mql"}, undone=undone(score=50)), wanted(stage="mql"))
    assert (told.change, told.stage_why) == (None, "already mql")


def test_what_tells_of_an_undone_score_waits_with_it_and_not_with_another_score():
    record = held(undone=undone(score=50, band="warm"))
    assert decided(record, wanted()).undone.after == SAME
    assert decided(record, wanted(score=51, band="warm")).change.after == {"score": 51, "band": "warm"}


def test_beside_an_undone_value_a_small_move_is_not_written_either():
    record = held(
        stage="lead", current={"score": 49, "band": "mql"}, last_written={"score": 49}, undone=undone(stage="mql")
    )
    told = decide_change(record, wanted(stage="mql"), NAMES, LADDER, 100 * DAY, 14 * DAY, least=LeastMove(points=5))
    assert (told.change, told.is_small, told.undone.after) == (None, True, {"stage": "mql"})


def test_a_record_refused_whole_is_tried_again_with_anything_else_and_then_whole():
    record = held(on_hold={"after": {"score": 50}, "reason": "locked"})
    assert decided(record, wanted()).change.after == SAME


# What moves although the ladder says otherwise

PAST = {"stage_why": "leaves sql: employees is 5; back to lead", "leaves": "sql"}


@pytest.mark.parametrize(
    ("stage", "only_forward", "moves"),
    [
        ("sql", False, True),
        ("mql", False, True),  # on the way back
        ("lead", False, False),
        ("customer", False, False),  # where the person never was with us
        ("sql", True, False),
        ("mql", True, False),
    ],
)
def test_who_left_a_stage_goes_back_from_there_and_from_no_other(stage, only_forward, moves):
    ladder = LADDER._replace(only_forward=only_forward)
    want = wanted(stage="lead")._replace(**PAST)
    told = decide_change(held(stage=stage, current=SAME), want, NAMES, ladder, 100 * DAY, 14 * DAY)
    assert (told.change is not None) == moves
    assert ("moves stages only forward" in told.stage_why) == only_forward


def test_a_stage_beyond_the_one_that_was_left_stays():
    want = wanted(stage="lead")._replace(stage_why="leaves mql", leaves="mql")
    assert decided(held(stage="sql", current=SAME), want).change is None


def test_the_reason_goes_with_a_stage_that_was_left_for_good():
    want = wanted(stage="lead")._replace(**PAST)
    assert decided(held(stage="lead", current=SAME), want).stage_why == PAST["stage_why"]
    assert decided(held(stage="sql", current=SAME), want).stage_why == PAST["stage_why"]


@pytest.mark.parametrize(
    ("stage", "only_forward", "moves"),
    [
        ("sql", False, True),
        ("999", False, True),  # nobody knows its place, and the other CRM leads
        ("lead", True, True),
        ("sql", True, False),
        ("999", True, False),
    ],
)
def test_a_carried_stage_goes_backwards_where_the_crm_takes_it_and_says_as_in_which_crm(stage, only_forward, moves):
    ladder = LADDER._replace(only_forward=only_forward)
    want = wanted(stage="mql")._replace(carried=True, stage_why="mql, as in salesforce")
    told = decide_change(held(stage=stage, current=SAME), want, NAMES, ladder, 100 * DAY, 14 * DAY)
    assert (told.change is not None) == moves
    stays = f"; stays {stage}: hubspot moves stages only forward (see [hubspot] backward_stages)"
    assert told.stage_why == "mql, as in salesforce" + ("" if moves else stays)


def test_a_stage_that_a_kind_of_record_does_not_have_says_so():
    told = decided(held(stage="lead", current=SAME), wanted(stage="sql"))
    assert told.stage_why == "[[stage]] sql has no value for hubspot contacts"


# What the score fields say of a stage

TELLING = FieldMap(score_fields={**NAMES.score_fields, "stage_reason": "r", "stage_since": "s"}, stages=NAMES.stages)
MQL = EntryValues("mql", "enters mql", "2026-11-01", "2026-11-21", "2026-11-11")


def told_of(record, want, ladder=LADDER):
    decision = decide_change(record, want._replace(entry=MQL), TELLING, ladder, 100 * DAY, 14 * DAY)
    after = decision.change.after if decision.change else {}
    values = {**record.current, **after}
    return values.get("stage_reason"), values.get("stage_since")


def test_a_stage_that_comes_now_is_there_since_today_and_one_that_is_there_since_it_came():
    assert told_of(held(stage="lead"), wanted(stage="mql")) == ("enters mql", "2026-11-21")
    assert told_of(held(stage="mql"), wanted(stage="mql")) == ("enters mql", "2026-11-01")


def test_a_long_reason_is_cut_to_what_the_field_takes_in_units_of_utf_16():
    length = SCORE_FIELDS["stage_reason"].length
    long = MQL._replace(reason="x" + "😀" * length)
    decision = decide_change(held(stage="mql"), wanted()._replace(entry=long), TELLING, LADDER, 0, DAY)
    assert decision.change.after["stage_reason"] == "x" + "😀" * ((length - 1) // 2)


def test_a_later_day_stays_with_the_same_reason_alone():
    later = {"stage_since": "2026-11-05"}
    same = held(stage="mql", current={**later, "stage_reason": "enters mql"})
    assert told_of(same, wanted(stage="mql")) == ("enters mql", "2026-11-05")
    other = held(stage="mql", current={**later, "stage_reason": "set by a user"})
    assert told_of(other, wanted(stage="mql")) == ("enters mql", "2026-11-01")


def test_a_stage_that_was_refused_is_not_told_as_if_it_were_there():
    record = held(stage="lead", on_hold={"after": {"stage": "mql"}, "reason": "locked", "whole": False})
    assert told_of(record, wanted(stage="mql")) == (None, None)


def test_a_user_is_named_for_a_stage_only_while_their_change_holds():
    lease = {"stage": {"value": "lead", "since": 95 * DAY}}
    assert told_of(held(stage="lead", overrides=lease), wanted(stage="mql")) == ("set by a user", "2026-11-11")
    lease = {"stage": {"value": "lead", "since": 80 * DAY}}
    assert told_of(held(stage="lead", overrides=lease), wanted()) == (None, None)


@pytest.mark.parametrize(("stage", "only_forward"), [("sql", False), ("lead", True), ("customer", True)])
def test_another_stage_than_the_persons_has_no_reason_unless_the_crm_keeps_it(stage, only_forward):
    ladder = LADDER._replace(only_forward=only_forward)
    assert told_of(held(stage=stage), wanted(), ladder) == (None, None)


def test_a_stage_that_the_crm_keeps_says_why_and_since_when_it_is_there():
    record = held(stage="sql", current={"stage_since": "2026-10-01"})
    said = "mql: enters mql; hubspot moves stages only forward"
    assert told_of(record, wanted(), LADDER._replace(only_forward=True)) == (said, "2026-10-01")


# What counts as a user's own


def test_a_chosen_owner_holds_for_its_time_and_no_longer():
    record = held(owner="human", overrides={"owner": {"value": "human", "since": 90 * DAY}})
    assert is_owner_chosen(record, 104 * DAY - 1, 14 * DAY)
    assert not is_owner_chosen(record, 104 * DAY, 14 * DAY)


@pytest.mark.parametrize(
    ("theirs", "taken_back"), [("lead", True), (None, True), ("", True), ("customer", False), ("999", False)]
)
def test_a_stage_is_taken_back_by_who_moves_it_back_or_clears_it(theirs, taken_back):
    record = held(last_written={"stage": "mql"}, overrides={"stage": {"value": theirs, "since": 0}})
    assert is_stage_overridden(record, NAMES, LADDER) is taken_back


def test_an_empty_text_and_nothing_are_the_same():
    change = decided(held(stage="lead"), wanted(band="", stage="mql", owner="ann")).change
    assert without_human_edits(change, contact(1, stage="lead", owner="")) is change
    assert unconfirmed_fields(change, contact(1, stage="mql", owner="ann", current={"score": 50})) == {}
