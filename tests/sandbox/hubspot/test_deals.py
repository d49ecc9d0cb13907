"""The sandbox's HubSpot: deals, the pipelines they move through, and whom they are about."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.sandbox.hubspot import SandboxPortal
from tests.support.sandbox_hubspot import LOST, WON, WORLD, does, only

HOUR = timedelta(hours=1)
ELSEWHERE = replace(WON, number=3, seen_by=frozenset({"salesforce"}))


@pytest.fixture
def sold(portal: SandboxPortal, served, clock) -> SandboxPortal:
    """A portal of a world in which something was sold."""
    from starlette.applications import Starlette

    made = SandboxPortal(clock)
    made.load(replace(WORLD, deals=(LOST, WON, ELSEWHERE)))
    served.app = Starlette(routes=made.routes())
    return made


def shown(ask, deal, *names):
    query = {"properties": ",".join(names), "associations": "contacts,companies"}
    return ask.get(f"/crm/objects/2026-09/deals/{deal}", **query)


def test_the_deals_of_a_world_went_through_their_stages(ask, sold):
    won, lost = sold.state.records["deals"].live
    entered = [f"hs_v2_date_entered_{each}" for each in ("qualifiedtobuy", "contractsent", "closedwon", "closedlost")]
    names = ("dealstage", "closedate", "hs_is_closed_won", "amount", "hs_campaign", "hs_analytics_source", *entered)
    found = shown(ask, won, *names)
    assert found["properties"] == {
        "hs_object_id": str(won),
        "createdate": "2026-10-22T09:00:00.000Z",
        "hs_lastmodifieddate": "2026-11-11T09:00:00.000Z",
        "dealstage": "closedwon",
        "closedate": "2026-11-26T00:00:00.000Z",
        "hs_is_closed_won": "true",
        "amount": "12000",
        "hs_campaign": "Autumn",
        "hs_analytics_source": "WEBINAR",
        "hs_v2_date_entered_qualifiedtobuy": "2026-10-22T09:00:00.000Z",
        "hs_v2_date_entered_contractsent": "2026-11-01T09:00:00.000Z",
        "hs_v2_date_entered_closedwon": "2026-11-11T09:00:00.000Z",
        "hs_v2_date_entered_closedlost": None,
    }
    contacts = {each["id"] for each in found["associations"]["contacts"]["results"]}
    assert contacts == {only(sold, "First1"), only(sold, "First6")}
    assert len({each["id"] for each in found["associations"]["companies"]["results"]}) == 1
    values = shown(ask, lost, "closed_lost_reason", "hs_is_closed", "hs_is_closed_won", "amount")["properties"]
    assert (values["closed_lost_reason"], values["hs_is_closed"], values["hs_is_closed_won"]) == (
        "No budget",
        "true",
        "false",
    )
    (source,) = [
        each["label"]
        for each in ask.get("/crm/properties/2026-09/deals/hs_analytics_source")["options"]
        if each["value"] == "WEBINAR"
    ]
    assert source == "Webinar"


def test_a_contact_counts_its_deals(ask, sold):
    names = "num_associated_deals"
    counted = {
        first: ask.get(f"/crm/objects/2026-09/contacts/{only(sold, first)}", properties=names)["properties"][names]
        for first in ("First1", "First6", "First7")
    }
    assert counted == {"First1": "1", "First6": "1", "First7": None}


def test_somebody_whose_lead_was_converted_has_an_open_deal_where_the_world_says_nothing_of_deals(portal, sold):
    assert len(portal.state.records["deals"].live) == 1
    assert len(sold.state.records["deals"].live) == 2


def move(portal, deal, **properties):
    portal.actions["update"]({"type": "deals", "id": deal, "properties": properties})


def test_a_deal_that_moves_remembers_when(ask, portal, clock):
    deal = portal.actions["create"]({"type": "deals", "properties": {"dealstage": "qualifiedtobuy"}})["id"]
    names = [
        f"hs_v2_date_{moved}_{stage}" for stage in ("qualifiedtobuy", "closedwon") for moved in ("entered", "exited")
    ]
    names += ["hs_is_closed", "closedate", "pipeline"]
    for stage in ("closedwon", "qualifiedtobuy", "closedwon"):
        clock.at += HOUR
        move(portal, deal, dealstage=stage)
    values = shown(ask, deal, *names)["properties"]
    assert {name: values[name] for name in names} == {
        "hs_v2_date_entered_qualifiedtobuy": "2026-11-21T11:00:00.000Z",
        "hs_v2_date_exited_qualifiedtobuy": "2026-11-21T12:00:00.000Z",
        "hs_v2_date_entered_closedwon": "2026-11-21T12:00:00.000Z",
        "hs_v2_date_exited_closedwon": "2026-11-21T11:00:00.000Z",
        "hs_is_closed": "true",
        "closedate": "2026-11-21T12:00:00.000Z",
        "pipeline": "default",
    }
    body = {"inputs": [{"id": deal}], "properties": [], "propertiesWithHistory": ["dealstage"]}
    (record,) = ask.post("/crm/objects/2026-09/deals/batch/read", body)["results"]
    moves = [each["value"] for each in record["propertiesWithHistory"]["dealstage"]]
    assert moves == ["closedwon", "qualifiedtobuy", "closedwon", "qualifiedtobuy"]


def test_a_client_moves_a_deal_and_cannot_say_when(ask, portal):
    deal = portal.actions["create"]({"type": "deals", "properties": {"dealstage": "qualifiedtobuy"}})["id"]
    path = f"/crm/objects/2026-09/deals/{deal}"
    assert ask("PATCH", path, {"properties": {"dealstage": "closedlost"}}).status_code == 200
    assert shown(ask, deal, "hs_is_closed")["properties"]["hs_is_closed"] == "true"
    refused = {"properties": {"hs_v2_date_entered_closedlost": "2026-01-01T00:00:00Z"}}
    assert ask("PATCH", path, refused).status_code == 400
    assert ask("PATCH", path, {"properties": {"dealstage": "nowhere"}}).status_code == 400


def test_pipelines_say_which_stages_are_won(ask, portal, client):
    (pipeline,) = client.crm.pipelines.pipelines_api.get_all("deals").results
    assert [(each.id, each.metadata) for each in pipeline.stages][-3:] == [
        ("contractsent", {"isClosed": "false", "probability": "0.9"}),
        ("closedwon", {"isClosed": "true", "probability": "1.0"}),
        ("closedlost", {"isClosed": "true", "probability": "0.0"}),
    ]
    stages = [{"id": "990010", "label": "Renewed", "probability": 1, "closed": True}]
    portal.actions["put_pipeline"]({"id": "88001", "label": "Renewals", "stages": stages})
    assert [each["id"] for each in ask.get("/crm/pipelines/2026-09/deals")["results"]] == ["default", "88001"]
    assert ask.get("/crm/pipelines/2026-09/deals/88001/stages")["results"][0]["label"] == "Renewed"
    assert "990010" in {each["value"] for each in ask.get("/crm/properties/2026-09/deals/dealstage")["options"]}
    assert "hs_v2_date_entered_990010" in {each["name"] for each in ask.get("/crm/properties/2026-09/deals")["results"]}


@pytest.mark.parametrize(("deal_links", "moved"), [("silent", False), ("modify", True)])
def test_an_association_modifies_the_contact_and_perhaps_the_deal(ask, portal, clock, deal_links, moved):
    portal.actions["set"]({"deal_links": deal_links})
    contact = only(portal, "First7")
    deal = portal.actions["create"]({"type": "deals", "properties": {"dealstage": "qualifiedtobuy"}})["id"]
    clock.at += HOUR
    portal.actions["associate"]({"type": "deals", "id": deal, "to": "contacts", "other": contact})
    since = str(int(clock.at.timestamp() * 1000))
    assert [each["id"] for each in ask.search(does("lastmodifieddate", "GTE", since))["results"]] == [contact]
    changed = ask.search(does("hs_lastmodifieddate", "GTE", since), kind="deals")["results"]
    assert bool(changed) is moved


def test_a_history_goes_back_as_far_as_hubspot_keeps_it(ask, portal, clock):
    portal.actions["set"]({"versions": 3})
    contact = only(portal, "First7")
    for number in range(5):
        clock.at += HOUR
        portal.actions["update"]({"id": contact, "properties": {"jobtitle": f"Title {number}"}})
    body = {"inputs": [{"id": contact}], "properties": [], "propertiesWithHistory": ["jobtitle"]}
    (record,) = ask.post("/crm/objects/2026-09/contacts/batch/read", body)["results"]
    kept = [each["value"] for each in record["propertiesWithHistory"]["jobtitle"]]
    assert kept == ["Title 4", "Title 3", "Title 2"]


def test_deals_need_their_own_scope(ask, portal):
    portal.actions["set"]({"scopes": ["crm.objects.contacts.read"]})
    answer = ask("GET", "/crm/objects/2026-09/deals")
    assert answer.status_code == 403
    assert answer.json()["context"]["requiredGranularScopes"] == ["crm.objects.deals.read"]
    assert ask("GET", "/crm/pipelines/2026-09/deals").status_code == 200
