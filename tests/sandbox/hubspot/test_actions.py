"""The sandbox's HubSpot: what people and workflows do in it when told to."""

from datetime import timedelta

import pytest

from connectors.sandbox.hubspot import SandboxPortal
from tests.support.sandbox_hubspot import WORLD, only, stage, updated


def test_an_action_that_cannot_be_done_says_so(portal):
    with pytest.raises(ValueError) as refusal:
        portal.actions["update"]({"id": "999", "properties": {}})
    assert str(refusal.value) == "contacts have no such record: '999'"
    with pytest.raises(ValueError) as unknown:
        portal.actions["set"]({"nonsense": 1})
    assert "there is no switch nonsense" in str(unknown.value)
    with pytest.raises(ValueError) as wrong:
        portal.actions["set"]({"id_order": "random"})
    assert str(wrong.value) == "id_order is number or text, not 'random'"


def test_a_portal_can_lose_writes_and_say_nothing(ask, portal):
    portal.actions["set"]({"lost_writes": 1})
    ids = [only(portal, first) for first in ("First7", "First8")]
    answer = updated(ask, *({"id": each, "properties": {"phone": "1"}} for each in ids))
    assert (answer.status_code, [each["id"] for each in answer.json()["results"]]) == (200, ids[1:])
    assert stage(ask, ids[0], name="phone") is None


def test_a_workflow_can_undo_what_a_client_set(ask, portal):
    portal.actions["set"]({"workflows": [{"when": "hubspot_owner_id", "set": {"hubspot_owner_id": ""}}]})
    contact = only(portal, "First7")
    assert updated(ask, {"id": contact, "properties": {"hubspot_owner_id": "41629701"}}).status_code == 200
    assert stage(ask, contact, name="hubspot_owner_id") is None
    body = {"inputs": [{"id": contact}], "propertiesWithHistory": ["hubspot_owner_id"]}
    (record,) = ask.post("/crm/v3/objects/contacts/batch/read", body)["results"]
    sources = [each["sourceType"] for each in record["propertiesWithHistory"]["hubspot_owner_id"]]
    assert sources == ["AUTOMATION_PLATFORM", "INTEGRATION"]


def test_the_snapshot_is_equal_for_equal_ends(portal, clock):
    other = SandboxPortal(clock)
    other.load(WORLD)
    clock.at += timedelta(hours=1)
    contact = only(portal, "First7")
    for each in (portal, other):
        each.actions["update"]({"id": contact, "properties": {"jobtitle": "CEO"}})
        clock.at += timedelta(hours=1)
    assert portal.snapshot() == other.snapshot()
    assert portal.snapshot()["contacts"][contact]["jobtitle"] == "CEO"
