"""The sandbox's HubSpot: what moves the time stamp of a contact."""

from datetime import timedelta

from tests.support.sandbox_hubspot import only, stage, updated


def test_every_change_and_every_activity_moves_lastmodifieddate(ask, portal, clock):
    contact = only(portal, "First7")
    clock.at += timedelta(minutes=1)
    portal.actions["add_activity"]({"id": contact, "kind": "note_logged", "attributes": {"subject": "Hm"}})
    assert stage(ask, contact, name="lastmodifieddate") == "2026-11-21T09:01:00.000Z"
    clock.at += timedelta(minutes=1)
    updated(ask, {"id": contact, "properties": {"phone": "1"}})
    assert stage(ask, contact, name="lastmodifieddate") == "2026-11-21T09:02:00.000Z"
    clock.at += timedelta(minutes=1)
    updated(ask, {"id": contact, "properties": {"phone": "1"}})
    assert stage(ask, contact, name="lastmodifieddate") == "2026-11-21T09:02:00.000Z"


def test_an_activity_logged_by_a_client_moves_its_contact_too(ask, portal, clock):
    contact = only(portal, "First7")
    clock.at += timedelta(minutes=1)
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]
    values = {"hs_note_body": "Hm", "hs_timestamp": "2026-11-21T09:01:00Z"}
    note = {"properties": values, "associations": [{"to": {"id": contact}, "types": types}]}
    made = ask("POST", "/crm/v3/objects/notes", note)
    assert made.status_code == 201
    assert stage(ask, contact, name="lastmodifieddate") == "2026-11-21T09:01:00.000Z"
    clock.at += timedelta(minutes=1)
    other = only(portal, "First8")
    ask("PUT", f"/crm/v4/objects/notes/{made.json()['id']}/associations/default/contacts/{other}")
    assert stage(ask, other, name="lastmodifieddate") == "2026-11-21T09:02:00.000Z"
