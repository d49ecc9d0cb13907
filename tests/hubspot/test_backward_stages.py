"""A stage moves back in two steps where the admin wants that, and never stays cleared."""

import pytest

from connectors.sandbox.faults import Fault
from crmsync.errors import Unavailable
from crmsync.model import Ref
from tests.support.hubspot import Look, change, create, hubspot, properties, scores_of


@pytest.mark.parametrize("portal", ["ignored", "accepted"])
def test_a_stage_is_not_moved_back(sandbox, ready, portal):
    sandbox.portal.switches.backward_stages = portal
    contact_id = create(sandbox, email="a@acme.example", lifecyclestage="salesqualifiedlead")
    (receipt,) = ready.write([change(contact_id, {"stage": "sql", "score": None}, stage="lead", score=9)])
    assert "moves stages only forward" in receipt.refused["stage"]
    assert properties(sandbox, contact_id)["lifecyclestage"] == "salesqualifiedlead"
    assert properties(sandbox, contact_id)["ls_score"] == "9"


@pytest.mark.parametrize("portal", ["ignored", "accepted"])
def test_a_stage_is_moved_back_in_two_steps_when_the_admin_wants_that(sandbox, ready, portal):
    sandbox.portal.switches.backward_stages = portal
    notes = {}
    connector = hubspot(sandbox, notes=notes, backward_stages=True)
    ids = [create(sandbox, email=f"n{number}@acme.example", lifecyclestage="salesqualifiedlead") for number in range(3)]
    receipts = list(
        connector.write(
            [change(contact_id, {"stage": "sql", "score": None}, stage="lead", score=9) for contact_id in ids]
        )
    )
    assert all(each.ok and not each.refused for each in receipts)
    assert [properties(sandbox, contact_id)["lifecyclestage"] for contact_id in ids] == ["lead"] * 3
    assert "hubspot.moving_back" not in notes


def test_a_move_that_was_cut_in_two_is_finished_before_anything_is_read(sandbox, ready):
    notes = {}
    connector = hubspot(sandbox, notes=notes, backward_stages=True)
    contact_id = create(sandbox, email="a@acme.example", lifecyclestage="salesqualifiedlead")
    sandbox.faults.add(Fault(do="answer", status=500, path="batch/update", first=2))
    with pytest.raises(Unavailable):
        list(connector.write([change(contact_id, {"stage": "sql"}, stage="lead")]))
    assert not properties(sandbox, contact_id).get("lifecyclestage")
    sandbox.faults.clear()
    (read,) = hubspot(sandbox, notes=notes).read([Ref("hubspot", "contact", contact_id)])
    assert read.stage == "lead"
    assert "hubspot.moving_back" not in notes


def test_the_order_of_stages_is_the_portals_own(sandbox, ready):
    sandbox.do("hubspot", "add_stage", id="7000123", label="Nurture", before="lead")
    contact_id = create(sandbox, email="a@acme.example", lifecyclestage="7000123")
    (receipt,) = ready.write([change(contact_id, {"stage": "7000123"}, stage="lead")])
    assert receipt.ok
    assert properties(sandbox, contact_id)["lifecyclestage"] == "lead"


def test_a_stage_is_not_cleared_where_a_person_was_faster(sandbox, ready):
    notes, connector = {}, hubspot(sandbox, backward_stages=True)
    connector = hubspot(sandbox, notes=notes, backward_stages=True)
    ids = [create(sandbox, email=f"n{number}@acme.example", lifecyclestage="salesqualifiedlead") for number in range(3)]

    def less(each):
        return change(each.ref.id, score=9) if each.ref.id == ids[1] else each

    changes = [change(each, {"stage": "sql", "score": None}, stage="lead", score=9) for each in ids]
    assert all(each.ok for each in connector.write(changes, Look(sandbox, less)))
    stages = [properties(sandbox, each)["lifecyclestage"] for each in ids]
    assert stages == ["lead", "salesqualifiedlead", "lead"]
    assert scores_of(sandbox, ids) == {"9"}
    assert "hubspot.moving_back" not in notes


def test_a_move_that_was_cut_in_two_is_finished_by_the_same_process(sandbox, ready):
    connector = hubspot(sandbox, backward_stages=True)
    moved = create(sandbox, email="a@acme.example", lifecyclestage="salesqualifiedlead")
    sandbox.faults.add(Fault(do="answer", status=500, path="batch/update", first=2))
    with pytest.raises(Unavailable):
        list(connector.write([change(moved, {"stage": "sql"}, stage="lead")]))
    sandbox.faults.clear()
    assert [each.stage for each in connector.read([Ref("hubspot", "contact", moved)])] == ["lead"]


def test_a_move_that_was_cut_in_two_is_finished_as_soon_as_its_contact_can_be_read(sandbox, ready):
    notes = {}
    connector = hubspot(sandbox, notes=notes, backward_stages=True)
    moved = create(sandbox, email="a@acme.example", lifecyclestage="salesqualifiedlead")
    sandbox.faults.add(Fault(do="answer", status=500, path="batch/update", first=2))
    with pytest.raises(Unavailable):
        list(connector.write([change(moved, {"stage": "sql"}, stage="lead")]))
    sandbox.faults.clear()
    odd = {"id": moved, "properties": None}
    sandbox.faults.add(Fault(do="answer", status=200, body={"results": [odd]}, path="batch/read$"))
    sandbox.faults.add(Fault(do="answer", status=200, body=odd, path=f"contacts/{moved}$"))
    assert list(connector.read([Ref("hubspot", "contact", moved)])) == []
    sandbox.faults.clear()
    assert [each.stage for each in connector.read([Ref("hubspot", "contact", moved)])] == ["lead"]
    assert "hubspot.moving_back" not in notes
