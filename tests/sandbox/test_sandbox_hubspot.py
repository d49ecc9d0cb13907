"""The sandbox's HubSpot over real HTTP and the real client: what it tells, what it takes, what it refuses."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import requests
import uvicorn
from hubspot import HubSpot
from hubspot.crm.contacts import ApiException
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from connectors.sandbox.hubspot import SandboxPortal
from connectors.sandbox.hubspot.wire import HubspotCall
from connectors.sandbox.world import Firm, Happening, Human, Rep, World, salesforce_id

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
TOKEN = {"authorization": "Bearer sandbox-token"}
BOTH = frozenset({"hubspot", "salesforce"})
FIRM = Firm(1, "Umbra Clinics", "umbra.example", "Healthcare", 420, "Germany", 9_000_000)
REPS = (Rep(1, "Rita", "Reed", "rita@ours.example"), Rep(2, "Olaf", "Old", "olaf@ours.example", active=False))
DID = (
    ("page_viewed", {"url": "https://www.ours.example/pricing?x=1", "seconds": 30}),
    ("page_viewed", {"url": "https://www.ours.example/docs", "seconds": 9}),
    ("form_submitted", {"form": "Request a demo", "url": "https://www.ours.example/demo"}),
    ("content_downloaded", {"asset": "Whitepaper"}),
    ("email_sent", {"subject": "News", "campaign": "Newsletter"}),
    ("email_opened", {"subject": "News", "campaign": "Newsletter"}),
    ("email_clicked", {"subject": "News", "campaign": "Newsletter"}),
    ("email_sent", {"subject": "Hello", "campaign": ""}),
    ("email_opened", {"subject": "Hello", "campaign": ""}),
    ("email_replied", {"subject": "Hello", "campaign": ""}),
    ("meeting_held", {"subject": "Demo", "outcome": "COMPLETED"}),
    ("call_completed", {"subject": "Intro", "outcome": "CONNECTED", "seconds": 60}),
    ("webinar_attended", {"campaign": "Scoring"}),
    ("task_completed", {"subject": "Send offer"}),
    ("note_logged", {"subject": "Likes tea"}),
)
HAPPENINGS = tuple(
    Happening(kind, NOW - timedelta(hours=20 - place), about, BOTH) for place, (kind, about) in enumerate(DID)
)


def human(number: int, **given: object) -> Human:
    known = {
        "number": number,
        "first": f"First{number}",
        "last": f"Last{number}",
        "email": f"person{number}@umbra.example",
        "title": "VP, IT Security",
        "firm": FIRM,
        "country": "Germany",
        "in_hubspot": 1,
        "in_salesforce": (),
        "created_at": NOW - (400 - number) * DAY,
        "owner": None,
    }
    return Human(**(known | given))


WORLD = World(
    NOW,
    REPS,
    (FIRM,),
    (
        human(1, owner=1, happenings=HAPPENINGS, in_salesforce=("lead",), native_link=True),
        human(2, in_hubspot=2, email="Double@Umbra.example"),
        human(3, in_hubspot=0, in_salesforce=("contact",)),
        human(4, in_salesforce=("converted", "contact"), native_link=True),
        human(5, email=None, firm=None, title=None, country=None),
        *(human(number) for number in range(6, 31)),
    ),
)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


class Served:
    """The portal of the present test behind a server that all of them share."""

    app = None
    url = ""

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    line.bind(("127.0.0.1", 0))
    held = Served()
    held.url = f"http://127.0.0.1:{line.getsockname()[1]}"
    config = uvicorn.Config(held, lifespan="off", log_config=None, access_log=False, ws="none", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([line],), daemon=True)
    line.listen(50)
    thread.start()
    yield held
    server.should_exit = server.force_exit = True
    thread.join(10)
    line.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def portal(served: Served, clock: Clock) -> SandboxPortal:
    made = SandboxPortal(clock)
    made.load(WORLD)
    served.app = Starlette(routes=made.routes())
    return made


@pytest.fixture
def client(served: Served, portal: SandboxPortal) -> HubSpot:
    return HubSpot.create(access_token="sandbox-token", host=served.url)


class Asker:
    """Plain HTTP with the token."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self.url, self.session = url, session

    def __call__(self, method: str, path: str, body=None, token="sandbox-token", **query):
        headers = {"Authorization": f"Bearer {token}"}
        return self.session.request(method, self.url + path, json=body, params=query, headers=headers, timeout=10)

    def get(self, path: str, **query):
        return self("GET", path, **query).json()

    def post(self, path: str, body):
        return self("POST", path, body).json()

    def search(self, *filters, kind="contacts", **more):
        body = {"filterGroups": [{"filters": list(filters)}] if filters else [], "limit": 200, **more}
        return self.post(f"/crm/objects/2026-09/{kind}/search", body)

    def found(self, *filters, **more) -> set[str]:
        return {each["properties"].get("firstname") for each in self.search(*filters, **more)["results"]}


@pytest.fixture
def ask(served: Served, portal: SandboxPortal) -> Iterator[Asker]:
    with requests.Session() as session:
        yield Asker(served.url, session)


def only(portal: SandboxPortal, first: str) -> str:
    """The id of the contact with that first name."""
    found = [each for each in portal.state.contacts.by_id.values() if each.properties.get("firstname") == first]
    return str(found[0].id)


def does(name, operator, *values):
    key = "values" if operator in ("IN", "NOT_IN") else "value"
    given = {key: list(values) if key == "values" else values[0]} if values else {}
    return {"propertyName": name, "operator": operator, **given}


# What the real client reads


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


@pytest.mark.parametrize("version", ["2025-09", "2026-03", "2026-09"])
@pytest.mark.parametrize(
    ("legacy", "dated"),
    [
        ("/crm/v3/objects/contacts", "/crm/objects/{}/contacts"),
        ("/crm/v3/objects/0-1", "/crm/objects/{}/CONTACT"),
        ("/crm/v3/properties/contacts", "/crm/properties/{}/contacts"),
        ("/crm/v3/pipelines/contacts", "/crm/pipelines/{}/contacts"),
        ("/crm/v3/owners/", "/crm/owners/{}/"),
        ("/account-info/v3/details", "/account-info/{}/details"),
        ("/events/v3/events?eventType=e_visited_page", "/events/event-occurrences/{}?eventType=e_visited_page"),
        ("/marketing/v3/forms", "/marketing/forms/{}"),
    ],
)
def test_a_date_moves_through_the_path_and_the_answer_stays(ask, legacy, dated, version):
    one, other = ask.get(legacy), ask.get(dated.format(version))
    one.pop("paging", None), other.pop("paging", None)
    assert one == other


# What they did


def test_counts_on_the_contact_agree_with_what_they_did(ask, portal):
    names = [
        "hs_email_delivered",
        "hs_email_open",
        "hs_email_click",
        "hs_analytics_num_page_views",
        "num_conversion_events",
    ]
    names += ["recent_conversion_event_name", "hs_analytics_last_url", "num_notes", "hs_email_last_open_date"]
    found = ask.get(f"/crm/v3/objects/contacts/{only(portal, 'First1')}", properties=",".join(names))["properties"]
    assert [found[each] for each in names] == [
        "1",
        "1",
        "1",
        "2",
        "1",
        "Demo: Request a demo",
        "https://www.ours.example/docs",
        "6",
        "2026-11-20T18:00:00.000Z",
    ]


def test_event_occurrences_are_read_for_the_whole_portal_and_for_one_contact(ask, portal):
    path = "/events/event-occurrences/2026-09"
    assert "pe48000001_webinar_attended" in ask.get(f"{path}/event-types")["eventTypes"]
    first = ask.get(path, eventType="e_visited_page", limit=1)
    second = ask.get(path, eventType="e_visited_page", limit=1, after=first["paging"]["next"]["after"])
    assert "paging" not in second
    urls = [each["results"][0]["properties"]["hs_url"] for each in (first, second)]
    assert urls == ["https://www.ours.example/pricing?x=1", "https://www.ours.example/docs"]
    of_one = ask.get(path, objectType="contact", objectId=only(portal, "First1"), limit=100)["results"]
    assert len(of_one) == 4
    late = ask.get(path, eventType="e_visited_page", occurredAfter="2026-11-20T13:30:00Z", sort="-occurredAt")[
        "results"
    ]
    assert [each["properties"]["hs_url"] for each in late] == urls[1:]


def test_event_occurrences_need_an_enterprise_portal(ask, portal):
    portal.actions["set"]({"tier": "professional"})
    assert ask("GET", "/events/v3/events", eventType="e_visited_page").status_code == 403


def test_form_submissions_know_the_address_and_not_the_contact(ask):
    forms = {each["name"]: each["id"] for each in ask.get("/marketing/v3/forms?formTypes=all")["results"]}
    (found,) = ask.get(f"/form-integrations/v1/submissions/forms/{forms['Request a demo']}")["results"]
    assert {"name": "email", "value": "person1@umbra.example", "objectTypeId": "0-1"} in found["values"]
    assert found["pageUrl"] == "https://www.ours.example/demo"
    assert ask.get(f"/form-integrations/v1/submissions/forms/{forms['Newsletter']}") == {"results": []}


def test_forms_are_listed_by_type_and_only_hubspots_own_unless_asked(ask, portal):
    for kind in ("captured", "flow", "blog_comment"):
        attributes = {"form": f"A {kind}", "form_type": kind}
        portal.actions["add_activity"](
            {"id": only(portal, "First6"), "kind": "form_submitted", "attributes": attributes}
        )

    def listed(query=""):
        return {each["formType"] for each in ask.get(f"/marketing/v3/forms{query}")["results"]}

    assert listed() == {"hubspot"}
    assert listed("?formTypes=captured&formTypes=flow") == {"captured", "flow"}
    assert listed("?formTypes=all") == {"hubspot", "captured", "flow", "blog_comment"}
    assert ask("GET", "/marketing/v3/forms?formTypes=popup").status_code == 400


def test_a_blog_comment_form_has_no_submissions_to_read(ask):
    (comments,) = ask.get("/marketing/v3/forms?formTypes=blog_comment")["results"]
    assert ask("GET", f"/form-integrations/v1/submissions/forms/{comments['id']}").status_code == 400


def test_marketing_email_events_are_read_newest_first(ask):
    first = ask.get("/email/public/v1/events", limit=3)
    rest = ask.get("/email/public/v1/events", limit=3, offset=first["offset"])
    assert [each["type"] for each in first["events"] + rest["events"]] == ["CLICK", "OPEN", "DELIVERED", "SENT"]
    assert (first["hasMore"], rest["hasMore"]) == (True, False)


def test_the_native_salesforce_sync_leaves_its_ids(ask, portal):
    names = "salesforceleadid,salesforcecontactid"
    lead, contact = (
        ask.get(f"/crm/v3/objects/contacts/{only(portal, first)}", properties=names)["properties"]
        for first in ("First1", "First4")
    )
    assert (lead["salesforceleadid"], lead["salesforcecontactid"]) == (salesforce_id("00Q", 4), None)
    assert (contact["salesforceleadid"], contact["salesforcecontactid"]) == (None, salesforce_id("003", 17))


def test_a_duplicate_has_another_address_because_hubspot_has_one_contact_for_each(portal):
    found = [each.properties.get("email") for each in portal.state.contacts.by_id.values()]
    assert {"double@umbra.example", "double+2@umbra.example"} <= set(found)


# Search


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


# Batch read


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


# Batch update


def updated(ask, *inputs, version="2026-09"):
    return ask("POST", f"/crm/objects/{version}/contacts/batch/update", {"inputs": list(inputs)})


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


def stage(ask, contact, value=None, name="lifecyclestage"):
    path = f"/crm/objects/2026-09/contacts/{contact}"
    if value is not None:
        assert ask("PATCH", path, {"properties": {"lifecyclestage": value}}).status_code == 200
    return ask.get(path, properties=name)["properties"][name]


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


# What moves lastmodifieddate


def test_every_change_and_every_activity_moves_lastmodifieddate(ask, portal, clock):
    contact = only(portal, "First7")
    clock.at += timedelta(minutes=1)
    portal.actions["add_activity"]({"id": contact, "kind": "note_logged", "attributes": {"subject": "Hm"}})
    assert stage(ask, contact, name="lastmodifieddate") == "2026-11-21T09:01:00.000Z"
    clock.at += timedelta(minutes=1)
    updated(ask, {"id": contact, "properties": {"phone": "1"}})
    assert stage(ask, contact, name="lastmodifieddate") == "2026-11-21T09:02:00.000Z"
    clock.at += timedelta(minutes=1)
    updated(ask, {"id": contact, "properties": {"phone": "1"}})
    assert stage(ask, contact, name="lastmodifieddate") == "2026-11-21T09:02:00.000Z"


def test_an_activity_logged_by_a_client_moves_its_contact_too(ask, portal, clock):
    contact = only(portal, "First7")
    clock.at += timedelta(minutes=1)
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]
    note = {"properties": {"hs_note_body": "Hm"}, "associations": [{"to": {"id": contact}, "types": types}]}
    made = ask("POST", "/crm/v3/objects/notes", note)
    assert made.status_code == 201
    assert stage(ask, contact, name="lastmodifieddate") == "2026-11-21T09:01:00.000Z"
    clock.at += timedelta(minutes=1)
    other = only(portal, "First8")
    ask("PUT", f"/crm/v4/objects/notes/{made.json()['id']}/associations/default/contacts/{other}")
    assert stage(ask, other, name="lastmodifieddate") == "2026-11-21T09:02:00.000Z"


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


@pytest.mark.parametrize(("switch", "kind"), [("html", "text/html"), ("json", "application/json")])
def test_an_unknown_record_is_a_404(ask, portal, switch, kind):
    portal.actions["set"]({"unknown_id": switch})
    answer = ask("GET", "/crm/v3/objects/contacts/999")
    assert (answer.status_code, answer.headers["content-type"].startswith(kind)) == (404, True)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/crm/v3/objects/contacts?after=x", None),
        ("GET", "/crm/v3/objects/contacts?limit=101", None),
        ("GET", "/crm/v3/owners?after=x", None),
        ("GET", "/events/v3/events?objectId=x", None),
        ("GET", "/events/v3/events?eventType=e_visited_page&after=%21", None),
        ("GET", "/events/v3/events", None),
        ("POST", "/crm/v3/objects/contacts/batch/read", [1]),
        ("POST", "/crm/v3/objects/contacts/batch/read", {"inputs": ["1"]}),
        ("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": [{"id": "1"}]}),
        ("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": [{"idProperty": "email"}]}),
        ("POST", "/crm/v3/exports/export/async", {}),
        ("POST", "/crm/v3/imports", {}),
        ("POST", "/crm/associations/2026-09/contacts/notes/batch/read", {"inputs": [{"id": "51", "after": "x"}]}),
    ],
)
def test_nonsense_is_a_400_and_never_a_fault_of_the_sandbox(ask, method, path, body):
    assert ask(method, path, body).status_code == 400


def test_another_method_is_not_allowed_on_a_known_path(ask):
    answer = ask("DELETE", "/crm/v3/objects/contacts/batch/read")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert ask("PUT", "/crm/owners/2026-09").headers["allow"] == "GET"


def test_an_input_without_an_id_spoils_the_batch(ask):
    answer = ask("POST", "/crm/v3/objects/contacts/batch/read", {"inputs": [{"id": None}]})
    assert (answer.status_code, answer.json()["message"]) == (400, "Some required fields were not set: [id]")


def test_an_unknown_operator_is_a_mistake_in_the_json(ask):
    said = ask.search(does("firstname", "LIKE", "Ada"))["message"]
    assert said.startswith("Invalid input JSON on line 1, column ")
    assert "Enum type must be one of: [" in said
    assert "CONTAINS_TOKEN" in said


def test_an_unknown_path_is_a_page_and_an_unknown_type_a_sentence(ask):
    page = ask("GET", "/crm/v3/nonsense")
    assert "<html>" in page.text
    assert page.headers["content-type"] == "text/html;charset=iso-8859-1"
    answer = ask("GET", "/crm/v3/objects/butterflies")
    assert (answer.status_code, answer.json()["message"]) == (400, "Unable to infer object type from: butterflies")


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


# Setting up


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


# Associations


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


# Tokens, scopes, limits


def test_another_token_is_refused(served, portal):
    with pytest.raises(ApiException) as refusal:
        HubSpot.create(access_token="wrong", host=served.url).crm.contacts.basic_api.get_page()
    assert refusal.value.status == 401
    assert "INVALID_AUTHENTICATION" in refusal.value.body


def test_the_word_bearer_has_a_capital(served, portal):
    headers = {"Authorization": "bearer sandbox-token"}
    assert requests.get(f"{served.url}/crm/v3/owners", headers=headers, timeout=5).status_code == 401


def test_a_token_that_expired_says_when(ask, portal, clock):
    portal.actions["issue_token"]({"token": "short", "seconds": 20})
    assert ask("GET", "/crm/v3/owners", token="short").status_code == 200
    clock.at += timedelta(seconds=21)
    answer = ask("GET", "/crm/v3/owners", token="short")
    assert (answer.status_code, answer.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")


def test_a_missing_scope_is_named(ask, portal):
    portal.actions["set"]({"scopes": ["crm.objects.contacts.read"]})
    assert ask("POST", "/crm/objects/2026-09/contacts/search", {}).status_code == 200
    answer = updated(ask, {"id": only(portal, "First7"), "properties": {"phone": "1"}})
    assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
    assert answer.json()["context"]["requiredGranularScopes"] == ["crm.objects.contacts.write"]
    assert ask("GET", "/crm/v3/owners").status_code == 403


@pytest.mark.parametrize("version", ["v1", "2026-09"])
def test_a_refresh_token_is_rotated_and_the_old_one_refused(served, portal, version):
    form = {"grant_type": "refresh_token", "client_id": "sandbox", "client_secret": "sandbox"}
    tokens = [
        requests.post(
            f"{served.url}/oauth/{version}/token", data={**form, "refresh_token": "sandbox-refresh"}, timeout=5
        )
        for _ in range(2)
    ]
    assert [each.status_code for each in tokens] == [200, 400]
    assert (tokens[0].json()["expires_in"], tokens[1].json()["status"]) == (1_800, "BAD_REFRESH_TOKEN")
    answer = Asker(served.url, requests)("GET", "/crm/v3/owners", token=tokens[0].json()["access_token"])
    assert answer.status_code == 200


def test_the_burst_limit_rolls(ask, portal, clock):
    portal.actions["set"]({"rate_limits": True, "burst": 3})
    assert [ask("GET", "/crm/v3/owners").status_code for _ in range(4)] == [200, 200, 200, 429]
    body = ask("GET", "/crm/v3/owners").json()
    assert (body["errorType"], body["policyName"]) == ("RATE_LIMIT", "TEN_SECONDLY_ROLLING")
    assert body["message"] == "You have reached your ten_secondly_rolling limit."
    clock.at += timedelta(seconds=10)
    answer = ask("GET", "/crm/v3/owners")
    assert answer.headers["X-HubSpot-RateLimit-Remaining"] == "2"


def test_searches_have_a_limit_of_their_own_and_no_headers(ask, portal, clock):
    portal.actions["set"]({"rate_limits": True})
    answers = [ask("POST", "/crm/v3/objects/contacts/search", {}) for _ in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert answers[-1].json()["policyName"] == "SECONDLY"
    assert not [each for each in answers[0].headers if "ratelimit" in each.lower()]
    clock.at += timedelta(seconds=1)
    assert ask("POST", "/crm/v3/objects/contacts/search", {}).status_code == 200


def test_the_day_ends_at_the_portals_midnight(ask, portal, clock):
    portal.actions["set"]({"rate_limits": True, "daily": 2, "retry_after": 7})
    answers = [ask("GET", "/crm/v3/owners") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert (answers[2].json()["policyName"], answers[2].headers["Retry-After"]) == ("DAILY", "7")
    clock.at = datetime(2026, 11, 21, 23, 0, tzinfo=UTC)
    assert ask("GET", "/crm/v3/owners").status_code == 200


# The control


def test_an_action_that_cannot_be_done_says_so(portal):
    with pytest.raises(ValueError) as refusal:
        portal.actions["update"]({"id": "999", "properties": {}})
    assert str(refusal.value) == "contacts have no such record: '999'"
    with pytest.raises(ValueError) as unknown:
        portal.actions["set"]({"nonsense": 1})
    assert "there is no switch nonsense" in str(unknown.value)
    with pytest.raises(ValueError) as wrong:
        portal.actions["set"]({"id_order": "random"})
    assert str(wrong.value) == "id_order is number or text, not 'random'"


def test_a_version_can_be_retired(ask, portal):
    portal.actions["set"]({"retired": ["v3"]})
    assert [ask("GET", path).status_code for path in ("/crm/v3/owners", "/crm/owners/2026-09")] == [404, 200]


def test_a_portal_can_lose_writes_and_say_nothing(ask, portal):
    portal.actions["set"]({"lost_writes": 1})
    ids = [only(portal, first) for first in ("First7", "First8")]
    answer = updated(ask, *({"id": each, "properties": {"phone": "1"}} for each in ids))
    assert (answer.status_code, [each["id"] for each in answer.json()["results"]]) == (200, ids[1:])
    assert stage(ask, ids[0], name="phone") is None


def test_a_workflow_can_undo_what_a_client_set(ask, portal):
    portal.actions["set"]({"workflows": [{"when": "hubspot_owner_id", "set": {"hubspot_owner_id": ""}}]})
    contact = only(portal, "First7")
    assert updated(ask, {"id": contact, "properties": {"hubspot_owner_id": "41629701"}}).status_code == 200
    assert stage(ask, contact, name="hubspot_owner_id") is None
    body = {"inputs": [{"id": contact}], "propertiesWithHistory": ["hubspot_owner_id"]}
    (record,) = ask.post("/crm/v3/objects/contacts/batch/read", body)["results"]
    sources = [each["sourceType"] for each in record["propertiesWithHistory"]["hubspot_owner_id"]]
    assert sources == ["AUTOMATION_PLATFORM", "INTEGRATION"]


def test_the_snapshot_is_equal_for_equal_ends(portal, clock):
    other = SandboxPortal(clock)
    other.load(WORLD)
    clock.at += timedelta(hours=1)
    contact = only(portal, "First7")
    for each in (portal, other):
        each.actions["update"]({"id": contact, "properties": {"jobtitle": "CEO"}})
        clock.at += timedelta(hours=1)
    assert portal.snapshot() == other.snapshot()
    assert portal.snapshot()["contacts"][contact]["jobtitle"] == "CEO"


# Slow jobs: files out, files in


EXPORT = {
    "exportType": "VIEW",
    "exportName": "all",
    "format": "CSV",
    "language": "EN",
    "objectType": "CONTACT",
    "objectProperties": ["email", "lifecyclestage", "lastmodifieddate"],
    "associatedObjectType": ["COMPANY"],
    "exportInternalValuesOptions": ["NAMES", "VALUES"],
    "includeLabeledAssociations": False,
    "includePrimaryDisplayPropertyForAssociatedObjects": False,
    "overrideAssociatedObjectsPerDefinitionPerRowLimit": False,
}


def exported(ask, version="/crm/exports/2026-09", **change):
    """Start an export and ask until it is there: the answers of all polls, and the file."""
    started = ask("POST", f"{version}/export/async", {**EXPORT, **change})
    assert started.status_code == 202
    path, answers = f"{version}/export/async/tasks/{started.json()['id']}/status", []
    while not answers or answers[-1]["status"] != "COMPLETE":
        answers.append(ask.get(path))
    host, _, rest = answers[-1]["result"].removeprefix("http://").partition("/")
    assert ask.url.endswith(host)
    return answers, requests.get(f"{ask.url}/{rest}", timeout=5)


def test_an_export_is_slow_and_then_a_file(ask, portal):
    answers, file = exported(ask)
    assert [each["status"] for each in answers] == ["PROCESSING", "PROCESSING", "COMPLETE"]
    lines = file.text.splitlines()
    company = portal.state.records["companies"].live[0]
    assert lines[0] == "hs_object_id,email,lifecyclestage,lastmodifieddate,Associated Company IDs"
    assert lines[1] == f"51,person1@umbra.example,lead,2026-11-21T03:00:00.000Z,{company}"
    assert len(lines) == 31


def test_an_export_without_internal_names_has_labels(ask):
    _, file = exported(ask, "/crm/v3/exports", exportInternalValuesOptions=[], associatedObjectType=[])
    assert file.text.splitlines()[1].split(",")[2] == "Lead"
    assert file.text.startswith("Record ID,Email,Lifecyclestage,")


def test_an_export_link_expires_and_is_given_anew(ask, clock):
    answers, _ = exported(ask)
    clock.at += timedelta(minutes=5)
    assert ask("GET", "/hubfs-exports/" + answers[-1]["result"].rpartition("/")[2]).status_code == 403


def test_an_export_may_be_of_a_part(ask):
    recent = {"filters": [does("lastmodifieddate", "GTE", "2026-11-20T00:00:00Z")], "query": "", "sorts": []}
    _, file = exported(ask, publicCrmSearchRequest=recent)
    assert len(file.text.splitlines()) == 2


def test_exports_queue_and_thirty_a_day_are_enough(ask, clock):
    path = "/crm/exports/2026-09/export/async"
    ids = [ask.post(path, EXPORT)["id"] for _ in range(30)]
    assert ask.get(f"{path}/tasks/{ids[1]}/status")["status"] == "PENDING"
    assert ask("POST", path, EXPORT).status_code == 429
    clock.at += DAY
    assert ask("POST", path, EXPORT).status_code == 202


def imported(client, portal, tmp_path, text, operation="UPDATE", column="HUBSPOT_OBJECT_ID", prop=None):
    """Import a file through the real client: the last state, and the errors."""
    file = tmp_path / "scores.csv"
    file.write_text(text, encoding="utf-8")
    key, *others = text.splitlines()[0].split(",")
    mapped = [{"columnObjectTypeId": "0-1", "columnName": key, "propertyName": prop, "columnType": column}]
    mapped += [{"columnObjectTypeId": "0-1", "columnName": each, "propertyName": each} for each in others]
    page = {"hasHeader": True, "columnMappings": mapped}
    wanted = {
        "name": "scores",
        "importOperations": {"0-1": operation} if operation else {},
        "files": [{"fileName": "scores.csv", "fileFormat": "CSV", "fileImportPage": page}],
    }
    api = client.crm.imports.core_api
    last = api.create(import_request=orjson.dumps(wanted).decode(), files=str(file))
    while last.state != "DONE":
        last = api.get_by_id(int(last.id))
    errors = client.crm.imports.public_imports_api.get_errors(int(last.id)).results
    return last, [(each.error_type, each.source_data.line_number) for each in errors]


def test_an_import_updates_by_id_and_reports_each_bad_cell(client, portal, ask, tmp_path, clock):
    one, other = only(portal, "First7"), only(portal, "First8")
    text = f"id,phone,lifecyclestage\n{one},+49,customer\n{other},,nonsense\n999,1,lead\n"
    clock.at += timedelta(minutes=1)
    last, errors = imported(client, portal, tmp_path, text)
    assert errors == [("INVALID_ENUMERATION_OPTION", 3), ("INVALID_OBJECT_ID", 4)]
    assert last.metadata.counters == {
        "TOTAL_ROWS": 3,
        "UPDATED_OBJECTS": 2,
        "ERRORS": 1,
        "PROPERTY_VALUES_EMITTED": 2,
    }
    assert stage(ask, one) == "customer"
    assert stage(ask, one, name="phone") == "+49"
    assert len(portal.state.contacts.live) == 30


@pytest.mark.parametrize(
    "wanted", [b"[]", b"true", b'{"files": true}', b'{"files": [{"fileImportPage": {"columnMappings": [7]}}]}', b"{"]
)
def test_an_import_request_of_another_form_is_refused(ask, wanted):
    head, form = {"Authorization": "Bearer sandbox-token"}, {"importRequest": (None, wanted)}
    path = f"{ask.url}/crm/imports/2026-09"
    assert ask.session.post(path, files=form, headers=head, timeout=10).status_code == 400


def test_an_import_that_does_not_say_update_creates_contacts(client, portal, tmp_path):
    imported(client, portal, tmp_path, "mail,phone\nnobody@x.example,1\n", "", "HUBSPOT_ALTERNATE_ID", "email")
    assert len(portal.state.contacts.live) == 31


def test_an_empty_cell_is_ignored_unless_the_portal_clears(client, portal, ask, tmp_path):
    contact = only(portal, "First7")
    imported(client, portal, tmp_path, f"id,jobtitle\n{contact},\n")
    assert stage(ask, contact, name="jobtitle") == "VP, IT Security"
    portal.actions["set"]({"empty_cells": "clear"})
    imported(client, portal, tmp_path, f"id,jobtitle\n{contact},\n")
    assert stage(ask, contact, name="jobtitle") is None


# What other people's clients still read


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


def test_an_address_can_be_too_long(ask):
    assert ask("GET", "/crm/v3/objects/contacts", properties="x" * 16_001).status_code == 414


@pytest.mark.parametrize(("tier", "burst"), [("free", "100"), ("enterprise", "190")])
def test_a_bigger_subscription_has_a_bigger_burst(served, clock, tier, burst):
    served.app = Starlette(routes=SandboxPortal(clock, tier=tier).routes())
    answer = Asker(served.url, requests)("GET", "/crm/v3/owners")
    assert answer.headers["X-HubSpot-RateLimit-Max"] == burst
