"""How a portal describes the properties of contacts and companies."""

from connectors.sandbox.faults import Fault
from tests.support.hubspot import YES_NO, calls, hubspot, post, refused


def described(sandbox):
    return {each.name: each for each in hubspot(sandbox).describe_fields()}


def test_properties_come_with_labels_types_and_the_values_of_pick_lists(sandbox):
    found = described(sandbox)
    assert {each.kind for each in found.values()} == {"contact"}
    assert found["jobtitle"][2:] == ("Jobtitle", "text", ())
    assert found["lifecyclestage"].type == "choice"
    assert found["lifecyclestage"].choices[2] == ("marketingqualifiedlead", "Marketing Qualified Lead")
    assert found["company.numberofemployees"].type == "number"
    assert found["createdate"].type == "date"
    assert found["hs_is_contact"][3:] == ("yes_no", ())
    assert {"company.industry", "industry"} <= found.keys()
    assert [each.path for each in calls(sandbox)] == [
        "/crm/properties/2026-09/contacts",
        "/crm/properties/2026-09/companies",
    ]


def test_a_yes_or_no_that_was_made_by_the_api_is_described_as_one(sandbox):
    made = {"name": "wants_demo", "label": "Wants a demo", "type": "enumeration", "fieldType": "booleancheckbox"}
    post(sandbox, "/crm/v3/properties/contacts", **made, options=YES_NO)
    assert described(sandbox)["wants_demo"] == ("contact", "wants_demo", "Wants a demo", "yes_no", ())


def test_several_choices_are_told_from_one_and_users_are_no_choices(sandbox):
    options = [{"label": "Düsseldorf 🏭", "value": "dus", "displayOrder": 1, "hidden": False}]
    made = {"name": "plants", "label": 'The "plants"', "type": "enumeration", "fieldType": "checkbox"}
    post(sandbox, "/crm/v3/properties/contacts", **made, options=options)
    found = described(sandbox)
    assert found["plants"] == ("contact", "plants", 'The "plants"', "choices", (("dus", "Düsseldorf 🏭"),))
    assert found["hubspot_owner_id"][3:] == ("other", ())


def test_without_the_scope_for_companies_there_are_those_of_contacts(sandbox):
    sandbox.faults.add(Fault(**refused(403, message="no"), path="properties/2026-09/companies"))
    found = described(sandbox)
    assert "jobtitle" in found
    assert not any(name.startswith("company.") for name in found)
