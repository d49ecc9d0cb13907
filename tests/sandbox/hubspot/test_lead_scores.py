"""The sandbox's HubSpot: its lead scores, and their values on contacts."""

import pytest
import requests

from connectors.sandbox.hubspot import SandboxPortal
from tests.support.sandbox_hubspot import DAY, WORLD, only

SCORES = "/marketing/lead-scoring/2026-09-beta/scores"
POINTS = "contact_lead_score,contact_lead_score_fit,contact_lead_score_engagement,contact_lead_score_threshold"


def points(ask, contact, name="contact_lead_score"):
    return ask.get(f"/crm/objects/2026-09/contacts/{contact}", properties=name)["properties"][name]


@pytest.mark.parametrize("version", ["2026-09-beta", "2027-03-beta"])
def test_scores_come_in_pages_without_their_rules(ask, version):
    where = f"/marketing/lead-scoring/{version}/scores"
    first = ask.get(where, limit=1)
    assert [(each["id"], each["name"], each["scoredObjectTypeId"]) for each in first["results"]] == [
        ("60001", "Lead score", "0-1")
    ]
    assert "groupConfigs" not in first["results"][0]
    rest = ask.get(where, limit=1, after=first["paging"]["next"]["after"])
    assert ([each["id"] for each in rest["results"]], "paging" in rest) == (["60002"], False)


@pytest.mark.parametrize("version", ["2026-09", "2025-09"])
def test_other_versions_do_not_know_them(ask, version):
    assert ask("GET", f"/marketing/lead-scoring/{version}/scores").status_code == 404


def test_a_score_shows_its_groups_rules_and_outputs(ask):
    score = ask.get(f"{SCORES}/60001")
    assert [(each["groupName"], each["groupCategory"]) for each in score["groupConfigs"]] == [
        ("Role", "FIT"),
        ("Company", "FIT"),
        ("Forms", "INTENT"),
        ("Website", "INTENT"),
        ("Applicants", "INTENT"),
    ]
    assert score["groupConfigs"][2]["groupDecay"] == {"decayIntervalDays": 30, "percentToDecayPerInterval": 50}
    assert (score["maxScore"], score["maxScorePerCategory"], score["scoreStatus"]) == (100, 50, "published")
    outputs = {each["propertyName"]: each["outputType"] for each in score["outputConfiguration"]["outputs"]}
    assert outputs["contact_lead_score_threshold"] == "THRESHOLD"


@pytest.mark.parametrize(("number", "status"), [("60009", 404), ("first", 400)])
def test_an_unknown_score_is_told_in_json(ask, number, status):
    answer = ask("GET", f"{SCORES}/{number}")
    assert (answer.status_code, answer.json()["status"]) == (status, "error")


def test_they_need_a_scope(ask, portal):
    portal.actions["set"]({"scopes": ["crm.objects.contacts.read"]})
    answer = ask("GET", SCORES)
    assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
    assert answer.json()["context"]["requiredGranularScopes"] == ["mh-lead-scoring-view", "mh-lead-scoring-edit"]
    portal.actions["set"]({"scopes": ["mh-lead-scoring-view"]})
    assert ask("GET", SCORES).status_code == 200


def test_a_free_portal_has_none(clock):
    portal = SandboxPortal(clock, tier="free")
    portal.load(WORLD)
    assert portal.state.lead_scores == {}
    assert "contact_lead_score" not in portal.state.contacts.schema.known


def test_contacts_carry_the_values_of_both_scores(ask, portal):
    contact = only(portal, "First1")
    # VP (25), 420 employees (10); a demo form (30 + 4) today, pricing (5) and two pages (2).
    values = ask.get(f"/crm/objects/2026-09/contacts/{contact}", properties=f"{POINTS},ideal_customer_fit")[
        "properties"
    ]
    assert {name: value for name, value in values.items() if "score" in name or "fit" in name} == {
        "contact_lead_score": "76",
        "contact_lead_score_fit": "35",
        "contact_lead_score_engagement": "41",
        "contact_lead_score_threshold": "High",
        "ideal_customer_fit": "20",
    }
    assert portal.state.contacts.schema.known["contact_lead_score"]["modificationMetadata"]["readOnlyValue"]


def test_points_fade_when_time_has_passed_and_hubspot_calculates_again(ask, portal, clock):
    contact = only(portal, "First1")
    clock.at += 31 * DAY
    assert portal.actions["recalculate_scores"]({})["changed"] > 0
    # Half of 34, and no page is young enough any longer.
    assert points(ask, contact, "contact_lead_score_engagement") == "17"
    clock.at += 30 * DAY
    portal.actions["recalculate_scores"]({})
    assert points(ask, contact, "contact_lead_score_engagement") == "0"


def test_who_is_on_an_excluded_list_has_no_value(ask, portal):
    contact = only(portal, "First1")
    listed = portal.actions["put_on_list"]({"name": "Customers", "add": [contact]})["id"]
    score = ask.get(f"{SCORES}/60001")
    score["filterConfiguration"] = {"listFilterType": "EXCLUDES", "segmentIds": [int(listed)]}
    portal.actions["put_lead_score"]({"score": score})
    assert points(ask, contact) is None


def test_a_draft_gives_nobody_points(ask, portal):
    score = {**ask.get(f"{SCORES}/60002"), "id": None, "name": "New", "scoreStatus": "draft"}
    made = portal.actions["put_lead_score"]({"score": score})
    assert made == {"id": "60003"}
    shown = ask.get(f"{SCORES}/60003")
    assert (shown["scoreStatus"], "publishedAt" in shown) == ("draft", False)
    portal.actions["delete_lead_score"]({"id": "60003"})
    assert ask("GET", f"{SCORES}/60003").status_code == 404
    with pytest.raises(ValueError, match="there is no lead score"):
        portal.actions["delete_lead_score"]({"id": "60003"})


def test_clients_cannot_set_a_score(ask, portal):
    path = f"/crm/objects/2026-09/contacts/{only(portal, 'First1')}"
    assert ask("PATCH", path, {"properties": {"contact_lead_score": "1"}}).status_code == 400
    with pytest.raises(requests.HTTPError):
        ask("POST", SCORES, {}).raise_for_status()
