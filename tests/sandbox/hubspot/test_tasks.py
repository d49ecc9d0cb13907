"""The sandbox's HubSpot: tasks of a client, and unique properties of an admin's own."""

import pytest

from tests.support.sandbox_hubspot import only

KEY = {
    "name": "our_key", "label": "Key", "type": "string", "fieldType": "text", "hasUniqueValue": True,
    "groupName": "engagementinformation",
}  # fmt: skip
OF_CONTACT = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]


@pytest.fixture
def create(ask):
    assert ask("POST", "/crm/v3/properties/tasks", KEY).status_code == 201

    def create(*inputs):
        return ask("POST", "/crm/objects/2026-09/tasks/batch/create", {"inputs": list(inputs)})

    return create


def task(key, contact=None, trace=False, **properties):
    given = {"our_key": key, "hs_task_subject": "Call", "hs_timestamp": "1764576000000", **properties}
    links = [{"to": {"id": contact}, "types": OF_CONTACT}] if contact else []
    return {"properties": given, "associations": links, **({"objectWriteTraceId": key} if trace else {})}


def read(ask, *keys):
    body = {"idProperty": "our_key", "properties": ["our_key"], "inputs": [{"id": key} for key in keys]}
    return ask("POST", "/crm/objects/2026-09/tasks/batch/read", body)


def test_a_task_is_found_by_its_key_and_belongs_to_its_contact(ask, portal, create):
    contact = only(portal, "First7")
    made = create(task("a", contact)).json()["results"][0]
    answer = read(ask, "a", "b")
    assert [each["id"] for each in answer.json()["results"]] == [made["id"]]
    assert answer.json()["errors"][0]["context"] == {"ids": ["b"]}
    assert [str(each) for each, _ in portal.state.linked(("tasks", "contacts"), int(made["id"]))] == [contact]


@pytest.mark.parametrize(("switch", "status"), [("invalid", 400), ("conflict", 409)])
def test_a_taken_key_spoils_a_batch_without_trace_ids(ask, portal, create, switch, status):
    portal.actions["set"]({"unique_conflicts": switch})
    create(task("a"))
    assert create(task("b"), task("a")).status_code == status
    assert len(read(ask, "a", "b").json()["results"]) == 1


@pytest.mark.parametrize("switch", ["invalid", "conflict"])
def test_with_trace_ids_a_taken_key_spares_the_others(portal, create, switch):
    portal.actions["set"]({"unique_conflicts": switch})
    create(task("a"))
    body = create(task("b", trace=True), task("a", trace=True)).json()
    assert [each["properties"]["our_key"] for each in body["results"]] == ["b"]
    assert [each["context"]["objectWriteTraceId"] for each in body["errors"]] == [["a"]]


def test_a_task_needs_its_time(create):
    answer = create(task("a", hs_timestamp=""))
    assert (answer.status_code, answer.json()["errors"][0]["context"]) == (400, {"propertyName": ["hs_timestamp"]})


def test_a_contact_that_is_not_there_spoils_the_whole_batch(ask, portal, create):
    gone = only(portal, "First8")
    portal.actions["archive"]({"id": gone})
    answer = create(task("a", only(portal, "First7"), trace=True), task("b", gone, trace=True))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "INVALID_OBJECT_IDS")
    assert read(ask, "a", "b").json()["results"] == []


def test_a_key_that_changes_hands_leads_to_the_task_that_has_it(ask, create):
    first = create(task("a")).json()["results"][0]["id"]
    ask("PATCH", f"/crm/v3/objects/tasks/{first}", {"properties": {"our_key": "c"}})
    assert read(ask, "a").json()["results"] == []
    assert read(ask, "c").json()["results"][0]["id"] == first


def test_a_property_that_is_hidden_finds_nothing(ask, portal, create):
    create(task("a"))
    portal.actions["hide_property"]({"type": "tasks", "property": "our_key"})
    assert read(ask, "a").status_code == 400


def test_creating_needs_the_scope_of_contacts(portal, create):
    portal.switches.scopes = ["crm.objects.contacts.read"]
    answer = create(task("a"))
    assert answer.status_code == 403
    assert "crm.objects.contacts.write" in answer.text
