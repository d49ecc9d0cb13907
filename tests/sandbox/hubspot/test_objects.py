"""The sandbox's HubSpot: what the real client reads, and batch reads."""

import pytest

from tests.support.sandbox_hubspot import only


def test_the_client_reads_every_contact_page_by_page(client, portal):
    found = client.crm.contacts.get_all(properties=["email", "jobtitle"])
    assert [int(each.id) for each in found] == sorted(portal.state.contacts.by_id)
    assert len(found) == 30
    assert found[0].properties["email"] == "person1@umbra.example"


def test_values_are_text_or_null_and_three_properties_always_come(ask):
    record = ask.get("/crm/v3/objects/contacts", limit=1, properties="num_conversion_events,phone,nonsense")["results"][
        0
    ]
    assert record["properties"] == {
        "num_conversion_events": "1",
        "phone": None,
        "hs_object_id": record["id"],
        "createdate": record["createdAt"],
        "lastmodifieddate": record["updatedAt"],
    }
    assert record["archived"] is False
    assert record["url"].endswith(f"/record/0-1/{record['id']}")


@pytest.mark.parametrize(
    "kind", ["companies", "emails", "calls", "meetings", "notes", "tasks", "communications", "deals"]
)
def test_the_client_reads_every_other_object(client, portal, kind):
    page = client.crm.objects.basic_api.get_page(kind, limit=100)
    assert len(page.results) == len(portal.state.records[kind].live)


def test_batch_read_reports_what_is_missing_and_gives_the_rest(client, portal):
    ids = [only(portal, "First1"), "999", "nonsense"]
    answer = client.crm.contacts.batch_api.read({"inputs": [{"id": each} for each in ids], "properties": ["email"]})
    assert [each.id for each in answer.results] == ids[:1]
    assert answer.num_errors == 1
    assert answer.errors[0].context["ids"] == ids[1:]


def test_batch_read_by_email(ask):
    body = {"idProperty": "email", "inputs": [{"id": "person7@umbra.example"}], "properties": ["firstname"]}
    answer = ask("POST", "/crm/objects/2026-09/contacts/batch/read", body)
    assert (answer.status_code, answer.json()["results"][0]["properties"]["firstname"]) == (200, "First7")


def test_batches_hold_a_hundred_and_fifty_with_history(ask):
    path, inputs = "/crm/v3/objects/contacts/batch/read", [{"id": str(each)} for each in range(101)]
    assert ask("POST", path, {"inputs": inputs}).status_code == 400
    assert ask("POST", path, {"inputs": inputs[:51], "propertiesWithHistory": ["email"]}).status_code == 400


def test_history_says_who_set_a_value(ask, portal):
    contact = only(portal, "First7")
    portal.actions["update"]({"id": contact, "properties": {"lifecyclestage": "lead"}, "source": "AUTOMATION_PLATFORM"})
    ask("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"lifecyclestage": "customer"}})
    body = {"inputs": [{"id": contact}], "propertiesWithHistory": ["lifecyclestage"]}
    (record,) = ask.post("/crm/v3/objects/contacts/batch/read", body)["results"]
    found = [(each["value"], each["sourceType"]) for each in record["propertiesWithHistory"]["lifecyclestage"]]
    assert found == [("customer", "INTEGRATION"), ("lead", "AUTOMATION_PLATFORM"), ("subscriber", "FORM")]
