"""The sandbox's HubSpot: what other people's clients still read."""

import pytest

from tests.support.sandbox_hubspot import DAY, NOW, only


def test_the_old_names_of_properties_and_pipelines(ask):
    found = {each["name"]: each for each in ask.get("/properties/v2/contact/properties")}
    assert found["hubspotscore"]["readOnlyValue"] is True
    (pipeline,) = ask.get("/crm-pipelines/v1/pipelines/deals")["results"]
    assert (pipeline["pipelineId"], pipeline["stages"][0]["stageId"]) == ("default", "appointmentscheduled")


def test_old_engagements_come_with_their_contacts(ask, portal):
    first = ask.get("/engagements/v1/engagements/paged", count=4)
    rest = ask.get("/engagements/v1/engagements/paged", count=4, offset=first["offset"])
    assert (first["hasMore"], rest["hasMore"], rest["total"]) == (True, False, 6)
    kinds = sorted(each["engagement"]["type"] for each in first["results"] + rest["results"])
    assert kinds == ["CALL", "EMAIL", "EMAIL", "MEETING", "NOTE", "TASK"]
    assert {each["associations"]["contactIds"][0] for each in first["results"]} == {int(only(portal, "First1"))}


def test_opting_out_is_a_change_in_the_old_timeline(ask, portal, clock):
    contact = only(portal, "First7")
    about = {"subject": "News", "campaign": "Newsletter"}
    portal.actions["add_activity"]({"id": contact, "kind": "email_unsubscribed", "attributes": about})
    (change,) = ask.get("/email/public/v1/subscriptions/timeline")["timeline"]
    assert change["recipient"] == "person7@umbra.example"
    late = int(NOW.timestamp() * 1000) + 1
    clock.at += DAY
    assert ask.get("/email/public/v1/subscriptions/timeline", startTimestamp=late)["timeline"] == []


@pytest.mark.parametrize(
    "path",
    ["/automation/v3/workflows", "/settings/v3/users", "/settings/v3/users/teams", "/crm/v3/schemas"],
)
def test_what_clients_look_for_is_there_even_if_empty(ask, path):
    assert ask("GET", path).status_code == 200
