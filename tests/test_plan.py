"""Decisions about one record, and about a whole plan: values in, values out."""

import pytest

from crmsync.config import Guard
from crmsync.model import FieldMap, Holding, Ref
from crmsync.plan import REWRITES, Tally, Wanted, decide, narrowed, not_kept, too_much
from tests.make import contact

DAY = 86_400_000
NAMES = FieldMap(
    outputs={"score": "crmsync_score", "band": "crmsync_band"},
    stages={"lead": "lead", "mql": "marketingqualifiedlead", "sql": {"lead": "Working"}},
)
LADDER = ["lead", "mql", "sql"]


def held(**over):
    given = {
        "id": 1, "ref": Ref("hubspot", "contact", "1"), "person": 1, "group": "", "stage": None, "owner": None,
        "current": {}, "base": {}, "leases": {}, "parked": {}, "attempts": 0, **over,
    }  # fmt: skip
    return Holding(**given)


def wanted(score=50, band="mql", stage=None, owner=None):
    return Wanted({"score": score, "band": band}, stage, owner, "because")


def decided(holding, want, now=100 * DAY):
    return decide(holding, want, NAMES, LADDER, now, 14 * DAY)


def test_only_what_differs_is_planned():
    decision = decided(held(current={"score": 40, "band": "mql"}), wanted())
    assert decision.change.after == {"score": 50}
    assert decision.change.before == {"score": 40}


def test_nothing_differs_nothing_is_planned():
    assert decided(held(current={"score": 50, "band": "mql"}), wanted()).change is None


def test_an_output_that_is_not_mapped_is_not_written():
    decision = decided(held(), Wanted({"score": 50, "reason": "…"}, None, None, ""))
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
        ("lead", "sql", False),  # has no spelling for a HubSpot contact
        ("lead", None, False),
    ],
)
def test_a_stage_only_moves_forward_along_the_ladder(current, want, moves):
    change = decided(held(stage=current, current={"score": 50, "band": "mql"}), wanted(stage=want)).change
    assert (change is not None) == moves


def test_a_persons_stage_is_respected_and_then_handed_back():
    record = held(stage="lead", base={"stage": "mql"}, current={"score": 50, "band": "mql"})
    first = decided(record, wanted(stage="mql"), now=100 * DAY)
    assert first.change is None
    assert first.leases == {"stage": 100 * DAY}
    assert first.left_alone == ["stage_changed_by_a_person"]
    later = record._replace(leases=first.leases)
    assert decided(later, wanted(stage="mql"), now=113 * DAY).change is None
    assert decided(later, wanted(stage="mql"), now=114 * DAY).change.after == {"stage": "mql"}


def test_a_persons_owner_does_not_stop_the_score():
    record = held(owner="human", base={"owner": "ours"})
    decision = decided(record, wanted(owner="ours"))
    assert decision.change.after == {"score": 50, "band": "mql"}


def test_a_parked_change_is_not_sent_again_and_another_one_is():
    record = held(current={"band": "mql"}, parked={"after": {"score": 50}, "reason": "a validation rule"})
    assert decided(record, wanted()).left_alone == ["parked"]
    assert decided(record, wanted(score=51)).change.after == {"score": 51}


def test_a_value_that_others_keep_changing_back_is_given_up():
    record = held(current={"score": 88, "band": "mql"}, base={"score": 50, "band": "mql"}, attempts=REWRITES)
    assert decided(record, wanted()).left_alone == ["changed_back_by_others"]
    assert decided(record._replace(attempts=REWRITES - 1), wanted()).change.after == {"score": 50}


def test_a_change_gives_way_to_what_somebody_moved_meanwhile():
    change = decided(held(stage="lead"), wanted(stage="mql", owner="ann")).change
    assert narrowed(change, contact(1, stage="lead")) is change
    assert set(narrowed(change, contact(1, stage="customer")).after) == {"score", "band", "owner"}
    assert set(narrowed(change, contact(1, stage="lead", owner="eve")).after) == {"score", "band", "stage"}


def test_a_change_of_nothing_but_what_somebody_moved_is_nothing():
    change = decided(held(stage="lead", current={"score": 50, "band": "mql"}), wanted(stage="mql")).change
    assert narrowed(change, contact(1, stage="customer")) is None


def test_what_the_crm_did_not_keep_is_named():
    change = decided(held(), wanted(score=0, stage="mql")).change
    assert not_kept(change, contact(1, stage="mql", current={"score": 0, "band": "mql"})) == {}
    assert not_kept(change, contact(1, stage="lead", current={"band": "mql"})) == {"score": None, "stage": "lead"}


def tally(**over):
    return {"hubspot": Tally(**{"records": 100, "scored": 100, **over})}


def test_a_plan_that_moves_too_many_bands_is_unsafe():
    assert too_much(tally(bands=26), Guard(), model_changed=False) == [
        "hubspot: another band for 26 of 100 records (26%); [guard] bands allows 25%"
    ]
    assert not too_much(tally(bands=25), Guard(), model_changed=False)


def test_time_may_move_every_score_but_a_changed_model_may_not():
    assert not too_much(tally(rescored=100), Guard(), model_changed=False)
    assert too_much(tally(rescored=21), Guard(), model_changed=True)


def test_a_small_base_and_a_first_run_are_not_guarded():
    assert not too_much(tally(records=19, scored=19, bands=19), Guard(), model_changed=True)
    assert not too_much(tally(scored=0, stages=90), Guard(), model_changed=True)


def test_an_empty_value_is_no_loss():
    one = Tally()
    one.add(decided(held(), wanted(stage="mql", owner="ann")).change)
    assert one == Tally()
    one.add(decided(held(stage="lead", current={"score": 1, "band": "cold"}), wanted(stage="mql")).change)
    assert one == Tally(rescored=1, bands=1, stages=1)
