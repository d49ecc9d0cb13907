"""The sandbox's HubSpot: properties, stages, owners, the account and its limits."""

import pytest

from tests.support.sandbox_hubspot import only, stage, updated


def test_an_owner_who_left_has_no_user_id(ask):
    (left,), active = ask.get("/crm/v3/owners?archived=true")["results"], ask.get("/crm/v3/owners")["results"]
    assert "userId" not in left
    assert all("userId" in each for each in active)


def test_owners_come_active_or_archived(client):
    active, archived = (client.crm.owners.get_all(archived=each) for each in (False, True))
    assert [each.email for each in active] == ["rita@ours.example"]
    assert [each.email for each in archived] == ["olaf@ours.example"]
    assert archived[0].user_id is None
    assert client.crm.owners.owners_api.get_by_id(int(active[0].user_id), id_property="userId").id == active[0].id


def test_properties_and_stages_describe_the_portal(client):
    found = {each.name: each for each in client.crm.properties.core_api.get_all("contacts").results}
    assert found["hubspotscore"].modification_metadata.read_only_value
    assert [each.value for each in found["lifecyclestage"].options][:3] == [
        "subscriber",
        "lead",
        "marketingqualifiedlead",
    ]
    (pipeline,) = client.crm.pipelines.pipelines_api.get_all("contacts").results
    assert pipeline.id == "contacts-lifecycle-pipeline"
    assert [each.id for each in pipeline.stages] == [each.value for each in found["lifecyclestage"].options]


def test_the_account_says_who_it_is_and_when_its_day_ends(ask):
    assert ask.get("/account-info/2026-09/details")["portalId"] == 48_000_001
    assert ask.get("/account-info/v3/details")["utcOffset"] == "+01:00"
    (usage,) = ask.get("/account-info/2026-09/api-usage/daily/private-apps")["results"]
    assert (usage["currentUsage"], usage["resetsAt"]) == (3, "2026-11-21T23:00:00.000Z")


GROUP = {"name": "leadscore", "label": "Lead score", "displayOrder": -1}
NUMBER = {"name": "ls_fit", "label": "Fit", "groupName": "leadscore", "type": "number", "fieldType": "number"}


def test_a_group_and_properties_are_made_once(ask, portal):
    base = "/crm/properties/2026-09/contacts"
    assert [ask("POST", f"{base}/groups", GROUP).status_code for _ in range(2)] == [201, 409]
    assert [ask("POST", base, NUMBER).status_code for _ in range(2)] == [201, 409]
    band = {
        **NUMBER,
        "name": "ls_band",
        "type": "enumeration",
        "fieldType": "select",
        "options": [{"label": "Hot", "value": "hot"}],
    }
    answer = ask("POST", f"{base}/batch/create", {"inputs": [NUMBER, band]})
    assert [each["name"] for each in answer.json()["results"]] == ["ls_band"]
    assert answer.json()["errors"][0]["subCategory"] == "Properties.PROPERTY_WITH_NAME_EXISTS"
    contact = only(portal, "First7")
    assert updated(ask, {"id": contact, "properties": {"ls_fit": 12.5, "ls_band": "hot"}}).status_code == 200
    assert stage(ask, contact, name="ls_fit") == "12.5"
    assert updated(ask, {"id": contact, "properties": {"ls_band": "Hot"}}).status_code == 400


@pytest.mark.parametrize(
    "change", [{"groupName": "nowhere"}, {"fieldType": "text"}, {"name": "Fit Score"}, {"label": ""}]
)
def test_a_property_that_makes_no_sense_is_refused(ask, change):
    ask("POST", "/crm/v3/properties/contacts/groups", GROUP)
    assert ask("POST", "/crm/v3/properties/contacts", {**NUMBER, **change}).status_code == 400


ODD = [{"name": 5.3e203}, {"label": -9.3}, {"options": -5581}, {"options": ["hot"]}, {"options": [{"value": 1}]}]


@pytest.mark.parametrize("change", [*ODD, {"displayOrder": "first"}, {"groupName": ["leadscore"]}])
def test_a_definition_of_another_shape_is_refused(ask, change):
    base = "/crm/v3/properties/contacts"
    ask("POST", f"{base}/groups", GROUP)
    ask("POST", base, NUMBER)
    assert ask("POST", base, {**NUMBER, "name": "ls_new", **change}).status_code == 400
    assert ask("POST", f"{base}/batch/create", {"inputs": [{**NUMBER, "name": "ls_new", **change}]}).status_code == 400
    assert ask("PATCH", f"{base}/ls_fit", change).status_code == 400
    assert ask("POST", f"{base}/groups", {**GROUP, "name": "other", **change}).status_code == 400
    assert ask("PATCH", f"{base}/groups/leadscore", change).status_code == 400


def test_limits_have_a_share_for_each_kind_and_for_all(ask):
    assert 0 <= ask.get("/crm/limits/2026-09/custom-properties")["overallPercentage"] <= 100


def test_a_free_portal_has_room_for_ten_properties(ask, portal):
    portal.actions["set"]({"tier": "free"})
    ask("POST", "/crm/v3/properties/contacts/groups", GROUP)
    made = [
        ask("POST", "/crm/v3/properties/contacts", {**NUMBER, "name": f"p{each}"}).status_code for each in range(11)
    ]
    assert made == [201] * 10 + [400]
    by_type = ask.get("/crm/limits/2026-09/custom-properties")["byObjectType"]
    assert [(each["usage"], each["limit"]) for each in by_type if each["objectTypeId"] == "0-1"] == [(10, 10)]


def test_a_hidden_property_is_no_longer_there(ask, portal):
    portal.actions["hide_property"]({"property": "jobtitle"})
    contact = only(portal, "First7")
    assert "jobtitle" not in ask.get(f"/crm/v3/objects/contacts/{contact}", properties="jobtitle")["properties"]
    assert updated(ask, {"id": contact, "properties": {"jobtitle": "x"}}).status_code == 400
    assert [each["name"] for each in ask.get("/crm/v3/properties/contacts", archived="true")["results"]] == ["jobtitle"]


def test_an_option_that_was_removed_is_refused(ask, portal):
    portal.actions["remove_option"]({"property": "lifecyclestage", "value": "customer"})
    assert updated(ask, {"id": only(portal, "First7"), "properties": {"lifecyclestage": "customer"}}).status_code == 400
