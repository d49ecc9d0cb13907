"""The sandbox's HubSpot: associations, in the form of v4 and in the older one of v3."""

from tests.support.sandbox_hubspot import only


def test_activities_come_with_their_contacts(client, portal):
    page = client.crm.objects.meetings.basic_api.get_page(limit=10, associations=["contacts"])
    assert [each.id for each in page.results[0].associations["contacts"].results] == [only(portal, "First1")]
    assert page.results[0].associations["contacts"].results[0].type == "meeting_to_contact"


def test_associations_of_a_contact_name_the_primary_company_first(client, portal):
    contact, company = only(portal, "First1"), str(portal.state.records["companies"].live[0])
    answer = client.crm.associations.v4.batch_api.get_page(
        "contacts", "companies", batch_input_public_fetch_associations_batch_request={"inputs": [{"id": contact}]}
    )
    (to,) = answer.results[0].to
    assert (str(to.to_object_id), [(each.type_id, each.label) for each in to.association_types]) == (
        company,
        [(1, "Primary"), (279, None)],
    )


def test_a_record_with_many_associations_is_paged(ask, portal):
    contact = only(portal, "First7")
    for _ in range(501):
        portal.actions["add_activity"]({"id": contact, "kind": "note_logged"})
    path, seen, asked = "/crm/associations/2026-09/contacts/notes/batch/read", [], {"id": contact}
    while asked:
        (result,) = ask.post(path, {"inputs": [asked]})["results"]
        seen += [each["toObjectId"] for each in result["to"]]
        asked = {"id": contact, "after": result["paging"]["next"]["after"]} if "paging" in result else None
    assert (len(seen), len(set(seen))) == (501, 501)
    assert all(isinstance(each, int) for each in seen)
    assert len(ask.get(f"/crm/v4/objects/contacts/{contact}/associations/notes", limit=500)["results"]) == 500


def test_v3_associations_stop_at_a_hundred_and_ignore_after(ask, portal):
    contact = only(portal, "First7")
    for _ in range(101):
        portal.actions["add_activity"]({"id": contact, "kind": "note_logged"})
    path = "/crm/v3/associations/contacts/notes/batch/read"
    first, second = (ask.post(path, {"inputs": [{"id": contact, "after": each}]})["results"] for each in ("0", "100"))
    assert len(first[0]["to"]) == 100
    assert first == second


def test_records_without_associations_are_errors_of_their_own(ask, portal):
    contact = only(portal, "First5")
    answer = ask("POST", "/crm/associations/2026-09/contacts/companies/batch/read", {"inputs": [{"id": contact}]})
    assert answer.status_code == 207
    assert answer.json()["errors"][0] == {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No company is associated with contact {contact}.",
        "context": {"fromObjectId": [contact], "fromObjectType": ["contact"], "toObjectType": ["company"]},
    }


def test_linking_two_records_answers_what_the_specification_says(ask, portal):
    contact, company = only(portal, "First5"), portal.state.records["companies"].live[0]
    path = f"/crm/v4/objects/contacts/{contact}/associations"
    spec = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]
    made = ask("PUT", f"{path}/companies/{company}", spec)
    assert (made.status_code, made.json()["labels"]) == (201, ["Primary"])
    plain = ask("PUT", f"{path}/default/companies/{company}")
    assert (plain.status_code, plain.json()["status"]) == (200, "COMPLETE")
    assert plain.json()["results"] == [
        {
            "from": {"id": contact},
            "to": {"id": str(company)},
            "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279},
        }
    ]


def test_the_client_makes_a_company_the_primary_one(client, portal):
    contact, company = only(portal, "First5"), str(portal.state.records["companies"].live[0])
    spec = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]
    api = client.crm.associations.v4.basic_api
    api.create("contacts", contact, "companies", company, association_spec=spec)
    another = portal.actions["create"]({"type": "companies", "properties": {"name": "Another"}})["id"]
    api.create("contacts", contact, "companies", another, association_spec=spec)
    one, other = api.get_page("contacts", contact, "companies").results
    assert [[kind.label for kind in each.association_types] for each in (one, other)] == [[None], ["Primary", None]]
    assert portal.state.contacts.find(contact).properties["associatedcompanyid"] == another
    api.archive("contacts", contact, "companies", company)
    assert len(api.get_page("contacts", contact, "companies").results) == 1


def test_an_archived_contact_is_no_longer_associated_until_it_is_restored(ask, portal):
    contact, meeting = only(portal, "First1"), portal.state.records["meetings"].live[0]
    path, inputs = "/crm/associations/2026-09/meetings/contacts/batch/read", {"inputs": [{"id": str(meeting)}]}
    portal.actions["archive"]({"id": contact})
    assert ask.post(path, inputs)["results"] == []
    portal.actions["restore"]({"id": contact})
    assert ask.post(path, inputs)["results"][0]["to"][0]["toObjectId"] == int(contact)


def test_2026_09_has_no_page_of_one_records_associations(ask, portal):
    path = f"/crm/objects/{{}}/contacts/{only(portal, 'First1')}/associations/companies"
    assert [ask("GET", path.format(each)).status_code for each in ("2026-03", "2026-09")] == [200, 404]
