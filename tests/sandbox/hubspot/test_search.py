"""The sandbox's HubSpot: search, with its odd rules and its ceiling."""

from datetime import timedelta

import orjson
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from connectors.sandbox.hubspot import SandboxPortal
from connectors.sandbox.hubspot.wire import HubspotCall
from connectors.sandbox.world import World
from tests.support.sandbox_hubspot import DAY, NOW, Asker, Clock, does, human, only

TOKEN = {"authorization": "Bearer sandbox-token"}


def test_search_compares_numbers_times_and_text_by_their_type(ask):
    assert ask.found(does("num_notes", "GTE", "6")) == {"First1"}
    assert ask.found(does("email", "EQ", "PERSON7@umbra.example")) == {"First7"}
    assert ask.found(does("firstname", "EQ", "first7")) == {"First7"}
    assert ask.found(does("lifecyclestage", "EQ", "OPPORTUNITY")) == set()
    assert ask.found(does("lifecyclestage", "EQ", "opportunity")) == {"First4"}
    recent = does("lastmodifieddate", "GTE", str(int((NOW - DAY).timestamp() * 1000)))
    assert ask.found(recent) == ask.found(does("lastmodifieddate", "GT", "2026-11-20T09:00:00Z")) == {"First1"}


def test_not_equal_and_not_in_match_a_missing_property(ask):
    assert "First5" in ask.found(does("jobtitle", "NEQ", "VP, IT Security"))
    assert "First5" in ask.found(does("jobtitle", "NOT_IN", "vp, it security"))
    assert ask.found(does("jobtitle", "NOT_HAS_PROPERTY")) == {"First5"}
    assert "First5" not in ask.found(does("jobtitle", "HAS_PROPERTY"))


def test_in_takes_text_in_lower_case_only(ask):
    assert ask.found(does("firstname", "IN", "first7", "first8")) == {"First7", "First8"}
    assert ask.found(does("firstname", "IN", "First7")) == set()


def test_between_tokens_and_associations(ask, portal):
    company = str(portal.state.records["companies"].live[0])
    between = {
        "propertyName": "createdate",
        "operator": "BETWEEN",
        "value": "2025-10-24",
        "highValue": "2025-10-25T12:00:00Z",
    }
    assert len(ask.found(between)) == 2
    assert len(ask.found(does("jobtitle", "CONTAINS_TOKEN", "secur*"))) == 28
    assert ask.found(does("jobtitle", "NOT_CONTAINS_TOKEN", "security")) == {"First5"}
    assert "First5" not in ask.found(does("associations.company", "EQ", company))


def test_a_search_sees_what_changed_since_it_was_last_asked(ask, portal):
    company, contact = str(portal.state.records["companies"].live[0]), only(portal, "First5")
    linked = does("associations.company", "EQ", company)
    before = ask.found(linked)
    portal.actions["associate"]({"id": contact, "to": "companies", "other": company})
    assert ask.found(linked) - before == {"First5"}
    portal.actions["update"]({"id": contact, "properties": {"firstname": "Fifth"}})
    assert ask.found(linked) - before == {"Fifth"}


def test_a_truth_is_found_by_true(ask):
    assert "First1" in ask.found(does("hs_is_contact", "EQ", True))


def test_groups_are_or_and_filters_are_and(ask):
    groups = [
        {"filters": [does("firstname", "EQ", f"First{each}"), does("jobtitle", "HAS_PROPERTY")]} for each in (5, 6, 7)
    ]
    found = ask.post("/crm/v3/objects/contacts/search", {"filterGroups": groups})
    assert {each["properties"]["firstname"] for each in found["results"]} == {"First6", "First7"}


def test_search_pages_by_number_and_the_client_follows(client):
    seen, after = [], 0
    while after is not None:
        request = {"sorts": [{"propertyName": "hs_object_id", "direction": "DESCENDING"}], "limit": 7, "after": after}
        page = client.crm.contacts.search_api.do_search(public_object_search_request=request)
        seen += [int(each.id) for each in page.results]
        after = page.paging and page.paging.next.after
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == page.total == 30


def test_search_sorts_by_creation_unless_told_and_missing_values_come_last(ask):
    by_default = [each["createdAt"] for each in ask.search()["results"]]
    assert by_default == sorted(by_default)
    by_title = ask.search(sorts=[{"propertyName": "jobtitle", "direction": "DESCENDING"}], properties=["jobtitle"])
    assert by_title["results"][-1]["properties"]["jobtitle"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"filterGroups": [{"filters": [does("firstname", "EQ", "x")]}] * 6},
        {"filterGroups": [{"filters": [does("firstname", "EQ", "x")] * 7}]},
        {"sorts": ["firstname", "lastname"]},
        {"limit": 201},
        {"after": "abc"},
        {"after": "10000"},
        {"filterGroups": [{"filters": [does("nonsense", "EQ", "x")]}]},
        {"filterGroups": [{"filters": [does("firstname", "LIKE", "x")]}]},
        {"filterGroups": [{"filters": [does("firstname", "IN")]}]},
        {"query": "x" * 3_000},
    ],
)
def test_search_refuses_what_hubspot_refuses(ask, body):
    answer = ask("POST", "/crm/objects/2026-09/contacts/search", body)
    assert answer.status_code == 400
    assert answer.json()["category"] == "VALIDATION_ERROR"


def test_search_stops_at_ten_thousand_though_it_counts_more(served, clock):
    big = SandboxPortal(clock)
    big.load(World(NOW, (), (), tuple(human(number, firm=None) for number in range(1, 10_051))))
    served.app = Starlette(routes=big.routes())
    with requests.Session() as session:
        page = Asker(served.url, session).search(after="9900", sorts=["hs_object_id"])
    assert (page["total"], len(page["results"]), page["paging"]["next"]["after"]) == (10_050, 100, "10000")


def test_the_index_lags_behind_when_told_to(ask, portal, clock):
    portal.actions["set"]({"index_lag": 30})
    contact = only(portal, "First7")
    portal.actions["update"]({"id": contact, "properties": {"firstname": "Renamed"}})
    portal.actions["create"]({"properties": {"firstname": "Newborn"}})
    assert ask.found(does("firstname", "EQ", "First7")) == {"First7"}
    assert ask.found(does("firstname", "IN", "renamed", "newborn")) == set()
    assert ask.get(f"/crm/v3/objects/contacts/{contact}")["properties"]["firstname"] == "Renamed"
    clock.at += timedelta(seconds=31)
    assert ask.found(does("firstname", "IN", "renamed", "newborn")) == {"Renamed", "Newborn"}


def test_search_never_finds_archived_records(ask, portal):
    portal.actions["archive"]({"id": only(portal, "First7")})
    assert ask.found(does("firstname", "EQ", "First7")) == set()
    (archived,) = ask.get("/crm/v3/objects/contacts", archived="true")["results"]
    assert archived["archived"] is True
    assert archived["archivedAt"] == "2026-11-21T09:00:00.000Z"


def test_the_recycle_bin_forgets_after_ninety_days(ask, portal, clock):
    portal.actions["archive"]({"id": only(portal, "First1")})
    clock.at += timedelta(days=89)
    assert len(ask.get("/crm/v3/objects/contacts", archived="true")["results"]) == 1
    clock.at += DAY
    assert ask.get("/crm/v3/objects/contacts", archived="true")["results"] == []


def test_a_bulk_edit_stamps_one_millisecond_on_everybody(ask, portal, clock):
    clock.at += timedelta(milliseconds=7)
    portal.actions["bulk_edit"]({"properties": {"hs_lead_status": "NEW"}, "count": 12})
    found = ask.search(does("lastmodifieddate", "EQ", "2026-11-21T09:00:00.007Z"), sorts=["hs_object_id"], limit=5)
    assert (found["total"], len(found["results"])) == (12, 5)


edits = st.lists(st.tuples(st.sampled_from(["edit", "archive", "restore", "back"]), st.integers(0, 29)), max_size=40)


@given(edits=edits, low=st.integers(-5, 40), span=st.integers(0, 40), after=st.integers(0, 29))
@settings(max_examples=60, deadline=None)
def test_a_window_of_time_finds_exactly_the_records_that_are_in_it(edits, low, span, after):
    clock = Clock()
    portal = SandboxPortal(clock)
    portal.load(World(NOW - DAY, (), (), tuple(human(number, firm=None) for number in range(1, 31))))
    contacts = portal.state.contacts
    ids = list(contacts.live)
    for kind, place in edits:
        clock.at += timedelta(seconds=-3 if kind == "back" else 1)
        record = contacts.by_id[ids[place]]
        if (record.archived_at is None) == (kind != "restore") and kind != "back":
            portal.actions["update" if kind == "edit" else kind](
                {"id": ids[place], "properties": {"phone": str(clock.at)}}
            )
    start = int(NOW.timestamp() * 1000) + low * 1000
    window = [does("lastmodifieddate", "GTE", start), does("lastmodifieddate", "LT", start + span * 1000)]
    body = {"filterGroups": [{"filters": [*window, does("hs_object_id", "GT", str(ids[after]))]}], "limit": 200}
    call = HubspotCall("POST", "/crm/v3/objects/contacts/search", 0, headers=TOKEN, raw=orjson.dumps(body))
    found = {int(each["id"]) for each in portal.answer(call).body["results"]}
    live = (contacts.by_id[number] for number in contacts.live)
    assert found == {each.id for each in live if start <= each.updated < start + span * 1000 and each.id > ids[after]}


def test_an_unknown_operator_is_a_mistake_in_the_json(ask):
    said = ask.search(does("firstname", "LIKE", "Ada"))["message"]
    assert said.startswith("Invalid input JSON on line 1, column ")
    assert "Enum type must be one of: [" in said
    assert "CONTAINS_TOKEN" in said
