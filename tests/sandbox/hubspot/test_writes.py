"""The sandbox's HubSpot: updates, stages, owners, merges, and what it refuses."""

from datetime import timedelta

import pytest
from hubspot.crm.contacts import ApiException

from tests.support.sandbox_hubspot import NOW, only, stage, updated

# Batch update


def test_batch_update_through_the_client(client, portal, clock):
    clock.at += timedelta(minutes=1)
    contact = only(portal, "First7")
    body = {"inputs": [{"id": contact, "properties": {"jobtitle": "CEO", "phone": "1"}}]}
    answer = client.crm.contacts.batch_api.update(body)
    assert answer.status == "COMPLETE"
    assert answer.results[0].properties["jobtitle"] == "CEO"
    assert answer.results[0].properties["lastmodifieddate"] == "2026-11-21T09:01:00.000Z"


def test_an_unknown_id_spares_the_others(ask, portal):
    good, gone = only(portal, "First7"), only(portal, "First8")
    portal.actions["archive"]({"id": gone})
    answer = updated(ask, {"id": good, "properties": {"phone": "1"}}, {"id": gone, "properties": {"phone": "1"}})
    body = answer.json()
    assert (answer.status_code, body["status"], body["numErrors"]) == (207, "COMPLETE", 1)
    assert [each["id"] for each in body["results"]] == [good]
    assert (body["errors"][0]["category"], body["errors"][0]["context"]) == ("OBJECT_NOT_FOUND", {"ids": [gone]})


def test_2026_09_may_answer_partial_failures_with_200(ask, portal):
    portal.actions["set"]({"partial_failures": "ok"})
    unknown = {"id": "999", "properties": {"phone": "1"}}
    assert [updated(ask, unknown, version=each).status_code for each in ("2026-09", "2026-03")] == [200, 207]
    assert updated(ask, unknown).json()["numErrors"] == 1


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("nonsense", "x", "PROPERTY_DOESNT_EXIST"),
        ("lifecyclestage", "Lead", "INVALID_OPTION"),
        ("hubspotscore", "7", "READ_ONLY_VALUE"),
        ("hubspotscore", "", "READ_ONLY_VALUE"),
        ("associatedcompanyid", "1,000", "INVALID_INTEGER"),
        ("associatedcompanyid", "nan", "INVALID_INTEGER"),
        ("hubspot_owner_id", "7", "INVALID_OWNER_ID"),
        ("hubspot_owner_id", "41629702", "INVALID_OWNER_ID"),
        ("email", "not an address", "INVALID_EMAIL"),
    ],
)
def test_one_bad_value_spoils_the_whole_batch(ask, portal, name, value, code):
    one, other = only(portal, "First7"), only(portal, "First8")
    before = portal.snapshot()
    answer = updated(ask, {"id": one, "properties": {"phone": "1"}}, {"id": other, "properties": {name: value}})
    body = answer.json()
    assert answer.status_code == 400
    assert body["category"] == "VALIDATION_ERROR"
    assert body["message"].startswith('Property values were not valid: [{"isValid":false,')
    assert [(each["code"], each["context"]) for each in body["errors"]] == [(code, {"propertyName": [name]})]
    assert portal.snapshot() == before


def test_trace_ids_may_spare_the_others(ask, portal):
    portal.actions["set"]({"traced_updates": True})
    inputs = [
        {"id": only(portal, "First7"), "properties": {"phone": "1"}, "objectWriteTraceId": "a"},
        {"id": only(portal, "First8"), "properties": {"nonsense": "1"}, "objectWriteTraceId": "b"},
    ]
    answer = updated(ask, *inputs)
    assert (answer.status_code, len(answer.json()["results"])) == (207, 1)
    assert answer.json()["errors"][0]["context"]["objectWriteTraceId"] == ["b"]


def test_a_repeated_id_spoils_the_whole_batch(ask, portal):
    contact = only(portal, "First7")
    answer = updated(ask, {"id": contact, "properties": {"phone": "1"}}, {"id": contact, "properties": {"phone": "2"}})
    assert answer.status_code == 400
    assert answer.json()["message"] == f"Duplicate IDs found in batch input: [{contact}]. IDs must be unique"
    assert answer.json()["context"] == {"ids": [contact]}


def test_a_property_that_is_not_unique_is_no_id(ask):
    answer = updated(ask, {"id": "51", "idProperty": "hs_object_id", "properties": {"phone": "1"}})
    assert answer.status_code == 400
    assert "non-unique 0-1 property" in answer.json()["message"]


def test_a_body_without_inputs_is_an_empty_success(ask):
    answer = ask("POST", "/crm/v3/objects/contacts/batch/update", {"contacts": [{"id": "51"}]})
    assert (answer.status_code, answer.json()["results"]) == (200, [])


def test_a_locked_record_is_423_and_nothing_is_written(ask, portal):
    one, other = only(portal, "First7"), only(portal, "First8")
    portal.actions["lock"]({"ids": [other]})
    inputs = [{"id": each, "properties": {"phone": "1"}} for each in (one, other)]
    before = portal.snapshot()
    assert (updated(ask, *inputs).status_code, portal.snapshot() == before) == (423, True)
    assert updated(ask, *inputs).status_code == 200


def test_an_admins_rule_is_enforced_from_2026_09_on(ask, portal):
    rule = {"property": "lifecyclestage", "equals": "customer", "requires": "phone"}
    portal.actions["set"]({"required": [rule]})
    wanted = {"id": only(portal, "First7"), "properties": {"lifecyclestage": "customer"}}
    assert updated(ask, wanted).status_code == 400
    assert updated(ask, wanted, version="2026-03").status_code == 200
    assert (
        updated(ask, {"id": only(portal, "First8"), "properties": {**wanted["properties"], "phone": "1"}}).status_code
        == 200
    )


def test_an_email_that_another_contact_has_is_a_conflict(ask, portal):
    path = f"/crm/v3/objects/contacts/{only(portal, 'First7')}"
    answer = ask("PATCH", path, {"properties": {"email": "person8@umbra.example"}})
    assert (answer.status_code, answer.json()["category"]) == (409, "CONFLICT")


def test_one_record_is_updated_by_its_email(ask):
    path = "/crm/v3/objects/contacts/person7@umbra.example"
    ask("PATCH", f"{path}?idProperty=email", {"properties": {"phone": "7"}})
    assert ask.get(path, idProperty="email", properties="phone")["properties"]["phone"] == "7"


# Stages and owners


def test_a_backward_stage_is_taken_and_silently_ignored(ask, portal):
    contact = only(portal, "First4")
    assert stage(ask, contact, "lead") == "opportunity"
    assert stage(ask, contact, "customer") == "customer"
    assert stage(ask, contact, name="hs_lifecyclestage_customer_date") == "2026-11-21T09:00:00.000Z"


def test_clearing_first_lets_a_stage_go_back_and_wipes_its_date(ask, portal):
    contact = only(portal, "First4")
    assert stage(ask, contact, "") is None
    assert stage(ask, contact, name="hs_lifecyclestage_opportunity_date") is None
    assert stage(ask, contact, "lead") == "lead"


def test_some_portals_accept_a_backward_stage(ask, portal):
    portal.actions["set"]({"backward_stages": "accepted"})
    assert stage(ask, only(portal, "First4"), "lead") == "lead"


def test_a_custom_stage_has_a_number_and_a_place(ask, portal):
    portal.actions["add_stage"]({"id": "10042", "label": "Nurture", "before": "salesqualifiedlead"})
    contact = only(portal, "First7")
    assert stage(ask, contact, "10042") == "10042"
    assert stage(ask, contact, "marketingqualifiedlead") == "10042"
    assert stage(ask, contact, "salesqualifiedlead") == "salesqualifiedlead"
    (pipeline,) = ask.get("/crm/pipelines/2026-09/contacts")["results"]
    assert [each["id"] for each in pipeline["stages"]][2:5] == ["marketingqualifiedlead", "10042", "salesqualifiedlead"]


def test_an_owner_is_set_cleared_and_refused_once_archived(ask, portal):
    contact = only(portal, "First7")
    assert updated(ask, {"id": contact, "properties": {"hubspot_owner_id": "41629701"}}).status_code == 200
    assert stage(ask, contact, name="hubspot_owner_assigneddate") == "2026-11-21T09:00:00.000Z"
    assert updated(ask, {"id": contact, "properties": {"hubspot_owner_id": ""}}).status_code == 200
    assert stage(ask, contact, name="hubspot_owner_id") is None
    portal.actions["archive_owner"]({"email": "rita@ours.example"})
    assert updated(ask, {"id": contact, "properties": {"hubspot_owner_id": "41629701"}}).status_code == 400


# Merged, forgotten, restored


def test_a_merge_makes_a_new_record_that_both_ids_lead_to(ask, portal):
    main, other = only(portal, "First1"), only(portal, "First7")
    pair = {"primaryObjectId": main, "objectIdToMerge": other}
    merged = ask.post("/crm/v3/objects/contacts/merge", pair)["id"]
    assert merged not in (main, other)
    body = {"inputs": [{"id": other}], "properties": ["firstname", "hs_merged_object_ids", "hs_calculated_merged_vids"]}
    (found,) = ask.post("/crm/objects/2026-09/contacts/batch/read", body)["results"]
    assert found["id"] == merged
    at = int(NOW.timestamp() * 1000)
    assert found["properties"]["firstname"] == "First1"
    assert found["properties"]["hs_merged_object_ids"] == f"{main};{other}"
    assert found["properties"]["hs_calculated_merged_vids"] == f"{main}:{at};{other}:{at}"
    occurrences = ask.get("/events/v3/events", objectType="contact", objectId=main)["results"]
    assert {each["objectId"] for each in occurrences} == {merged}
    assert len(portal.state.links.of(("contacts", "meetings"), int(merged))) == 1


def test_a_chain_of_merges_is_followed(portal, ask):
    one, other, third = (only(portal, f"First{each}") for each in (7, 8, 9))
    first = portal.actions["merge"]({"id": one, "other": other})["id"]
    last = portal.actions["merge"]({"id": third, "other": first})["id"]
    answer = updated(ask, {"id": one, "properties": {"phone": "1"}}).json()
    assert answer["results"][0]["id"] == last
    ids = ask.get(f"/crm/v3/objects/contacts/{last}", properties="hs_merged_object_ids")["properties"]
    assert set(ids["hs_merged_object_ids"].split(";")) == {one, other, third, first}


def test_two_ids_of_one_survivor_in_a_batch(portal, ask):
    one, other = only(portal, "First7"), only(portal, "First8")
    portal.actions["merge"]({"id": one, "other": other})
    inputs = [{"id": each, "properties": {"phone": each}} for each in (one, other)]
    assert updated(ask, *inputs).status_code == 400
    portal.actions["set"]({"merged_pair": "accepted"})
    assert updated(ask, *inputs).status_code == 200


def test_a_forgotten_contact_leaves_no_trace(portal, ask):
    contact = only(portal, "First1")
    assert ask("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": contact}).status_code == 204
    assert ask("POST", "/crm/v3/objects/contacts/batch/read", {"inputs": [{"id": contact}]}).json()["results"] == []
    assert ask.get("/events/v3/events", eventType="e_visited_page") == {"results": []}
    assert ask.get("/crm/v3/objects/contacts", archived="true")["results"] == []


def test_a_restored_contact_is_back_in_its_place(portal, ask):
    contact = only(portal, "First7")
    portal.actions["archive"]({"id": contact})
    portal.actions["restore"]({"id": contact})
    ids = [int(each["id"]) for each in ask.get("/crm/v3/objects/contacts", limit=100)["results"]]
    assert int(contact) in ids
    assert ids == sorted(ids)


@pytest.mark.parametrize("what", ["read", "update"])
def test_an_input_without_an_id_spoils_the_batch(ask, what):
    answer = ask("POST", f"/crm/v3/objects/contacts/batch/{what}", {"inputs": [{"id": None}]})
    assert (answer.status_code, answer.json()["message"]) == (400, "Some required fields were not set: [id]")


# What other clients do


def test_the_client_creates_upserts_and_archives(client, portal):
    made = client.crm.contacts.basic_api.create({"properties": {"email": "new@x.example", "lastname": "New"}})
    assert made.properties["lifecyclestage"] == "lead"
    with pytest.raises(ApiException) as conflict:
        client.crm.contacts.basic_api.create({"properties": {"email": "NEW@x.example"}})
    assert conflict.value.status == 409
    inputs = [
        {"id": each, "idProperty": "email", "properties": {"lastname": "U"}}
        for each in ("new@x.example", "b@x.example")
    ]
    answer = client.crm.contacts.batch_api.upsert({"inputs": inputs})
    assert [each.new for each in answer.results] == [False, True]
    client.crm.contacts.basic_api.archive(made.id)
    assert portal.state.contacts.find(made.id).archived_at is not None


def test_a_batch_of_new_contacts_names_the_one_that_exists(ask):
    inputs = [
        {"properties": {"email": "person7@umbra.example"}, "objectWriteTraceId": "0"},
        {"properties": {"email": "fresh@x.example"}, "objectWriteTraceId": "1"},
    ]
    answer = ask("POST", "/crm/v3/objects/contacts/batch/create", {"inputs": inputs})
    assert (answer.status_code, len(answer.json()["results"])) == (207, 1)
    assert answer.json()["errors"][0]["context"]["objectWriteTraceId"] == ["0"]


ODD = [[None, None]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("associations/2026-09/contacts/companies/batch/read", {"inputs": ODD}),
        ("associations/2026-09/contacts/companies/batch/create", {"inputs": "all"}),
        ("properties/2026-09/contacts/batch/create", {"inputs": ODD}),
        ("properties/2026-09/contacts/batch/read", {"inputs": ODD}),
        ("properties/2026-09/contacts/batch/archive", {"inputs": {"name": "x"}}),
        ("objects/2026-09/contacts/batch/read", {"inputs": ODD}),
        ("objects/2026-09/contacts/batch/update", {"inputs": [{"id": "", "properties": ODD}]}),
        ("objects/2026-09/contacts/batch/upsert", {"inputs": [{"id": "a", "idProperty": "email", "properties": ODD}]}),
        ("objects/2026-09/contacts/batch/create", {"inputs": [{"properties": {}, "associations": ODD}]}),
        ("objects/2026-09/contacts", {"properties": ODD}),
        ("objects/2026-09/contacts/search", {"filterGroups": ODD}),
        ("objects/2026-09/contacts/search", {"filterGroups": [{"filters": ODD}]}),
        ("objects/2026-09/contacts/search", {"filterGroups": [{"filters": [{"operator": {}}]}]}),
        ("objects/2026-09/contacts/search", {"sorts": ODD}),
        ("objects/2026-09/contacts/search", {"properties": [{}]}),
        ("objects/2026-09/contacts/batch/read", {"inputs": [{"id": "1"}], "propertiesWithHistory": ODD}),
        ("objects/2026-09/contacts/batch/read", {"inputs": [{"id": "1"}], "idProperty": ODD}),
        ("objects/2026-09/contacts/batch/update", {"inputs": [{"id": "1", "idProperty": ODD}]}),
    ],
)
def test_what_has_another_shape_is_a_mistake_in_the_json(ask, path, body):
    said = ask("POST", f"/crm/{path}", body)
    assert (said.status_code, said.json()["message"][:18]) == (400, "Invalid input JSON")
