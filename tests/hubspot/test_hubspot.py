"""The HubSpot connector against the sandbox: what it reads, what it writes, and what it makes of what goes wrong."""

import json
import logging
import os
import threading
from collections import Counter
from datetime import timedelta

import pytest

from connectors.hubspot import Settings, client, connect
from connectors.hubspot.errors import Forbidden, Unauthorized
from connectors.sandbox.faults import Fault
from crmsync.config.tables import Feed
from crmsync.connector import FieldMap
from crmsync.errors import Cancelled, ConfigError, Unavailable
from crmsync.model import Change, Ref

NAMES = FieldMap(
    fields={"title": "jobtitle", "country": "country", "employees": "company.numberofemployees"},
    score_fields={"score": "ls_score", "band": "ls_band", "reason": "ls_reason"},
    stages={"lead": "lead", "mql": "marketingqualifiedlead", "sql": "salesqualifiedlead"},
)


class Hurry:
    """A stop flag that nobody raises and that does not wait; it remembers how long it was asked to."""

    def __init__(self):
        self.waited = []

    def is_set(self):
        return False

    def wait(self, timeout=None):
        self.waited.append(timeout)
        return False


def hubspot(sandbox, names=NAMES, notes=None, stop=None, **settings):
    """A connector that is in a hurry, so that tests are too."""
    settings = {"token": "sandbox-token", "calls_per_10s": 100_000, "searches_per_second": 100_000, **settings}
    return connect(Settings(base_url=sandbox.url, **settings), names, {} if notes is None else notes, stop or Hurry())


def pulled(pages):
    """All items of a stream and the cursor behind them."""
    items, cursor = [], None
    for page in pages:
        items += page.items
        cursor = page.cursor
    return items, cursor


def contacts(connector, cursor=None):
    items, cursor = pulled(connector.contacts(cursor))
    return {each.ref.id: each for each in items}, cursor


def create(sandbox, **properties):
    return sandbox.do("hubspot", "create", properties=properties)["id"]


def crowd(sandbox, count):
    """Many contacts at once."""
    for number in range(count):
        sandbox.portal.actions["create"]({"properties": {"email": f"crowd{number}@acme.example"}})


def update(sandbox, contact_id, **properties):
    return sandbox.do("hubspot", "update", id=contact_id, properties=properties)


def calls(sandbox, part=""):
    return [each for each in sandbox.calls.of("hubspot") if part in each.path]


def properties(sandbox, contact_id):
    return sandbox.portal.state.contacts.by_id[int(contact_id)].properties


def change(contact_id, before=None, **after):
    return Change(Ref("hubspot", "contact", contact_id), before or dict.fromkeys(after), after)


def refused(status=400, **body):
    return {"do": "answer", "status": status, "body": {"status": "error", **body}}


@pytest.fixture
def ready(sandbox):
    """A connector to a portal that has our properties."""
    connector = hubspot(sandbox)
    connector.create_fields()
    sandbox.calls.clear()
    yield connector
    connector.close()


# What it reads


@pytest.mark.parametrize("version", ["2026-09", "2026-03", "v3"])
def test_reads_and_writes_the_same_in_every_version(sandbox, version):
    connector = hubspot(sandbox, api_version=version)
    connector.create_fields()
    found, _ = contacts(connector)
    activities, _ = pulled(connector.activities(None))
    receipts = list(connector.write([change(contact_id, score=7) for contact_id in found]))
    assert set(found) == {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}
    assert {each.kind for each in activities} >= {"page_viewed", "form_submitted", "email_sent", "meeting_held"}
    assert all(each.ok for each in receipts)
    assert {each.current["score"] for each in contacts(connector)[0].values()} == {7}


def test_a_contact_has_typed_fields_of_itself_and_of_its_company(sandbox, ready):
    company = sandbox.do("hubspot", "create", type="companies", properties={"name": "Acme", "numberofemployees": "250"})
    contact_id = create(
        sandbox, email="Ann@Acme.example", jobtitle="CTO", lifecyclestage="marketingqualifiedlead", ls_score="42"
    )
    sandbox.do("hubspot", "associate", id=contact_id, to="companies", other=company["id"], primary=True)
    update(sandbox, contact_id, associatedcompanyid=company["id"])
    found = contacts(ready)[0][contact_id]
    assert found.ref == Ref("hubspot", "contact", contact_id)
    assert found.emails == ("Ann@Acme.example",) or found.emails == ("ann@acme.example",)
    assert found.fields == {"title": "CTO", "employees": 250}
    assert found.stage == "mql"
    assert found.current == {"score": 42}


def test_a_stage_that_the_config_does_not_name_keeps_hubspots_value(sandbox, ready):
    contact_id = create(sandbox, email="e@acme.example", lifecyclestage="evangelist")
    assert contacts(ready)[0][contact_id].stage == "evangelist"


def test_a_pull_by_cursor_brings_what_changed_and_not_the_rest(sandbox, ready):
    _, cursor = contacts(ready)
    sandbox.clock.advance(3600)
    _, cursor = contacts(ready, cursor)
    sandbox.clock.advance(3600)
    contact_id = create(sandbox, email="new@acme.example")
    assert set(contacts(ready, cursor)[0]) == {contact_id}


def test_incremental_pulls_add_up_to_a_full_one(sandbox, ready):
    known, cursor = contacts(ready)
    ids = sorted(known)
    for step in range(4):
        sandbox.clock.advance(1200)
        update(sandbox, ids[step], jobtitle=f"Title {step}")
        create(sandbox, email=f"new{step}@acme.example")
        sandbox.do("hubspot", "archive", id=ids[20 + step])
        sandbox.clock.advance(90_000)
        changed, cursor = contacts(ready, cursor)
        known |= changed
    assert known == contacts(ready)[0]


def test_a_contact_edited_while_it_is_pulled_comes_with_the_next_pull(sandbox, ready):
    ids = sorted(sandbox.portal.state.contacts.live)
    pages = ready.contacts(None)
    first = next(pages)
    sandbox.clock.advance(1)
    update(sandbox, first.items[0].ref.id, jobtitle="Edited meanwhile")
    rest, cursor = pulled(pages)
    assert len(first.items) + len(rest) == len(ids)
    assert contacts(ready, cursor)[0][first.items[0].ref.id].fields["title"] == "Edited meanwhile"


def test_contacts_that_the_index_shows_late_are_not_lost(sandbox, ready):
    _, cursor = contacts(ready)
    sandbox.clock.advance(3600)
    sandbox.portal.switches.index_lag = 30.0
    contact_id = create(sandbox, email="late@acme.example")
    first, cursor = contacts(ready, cursor)
    sandbox.clock.advance(60)
    second, _ = contacts(ready, cursor)
    assert contact_id not in first
    assert contact_id in second


@pytest.mark.parametrize("count", [199, 200, 201, 1_234])
def test_contacts_changed_in_one_millisecond_all_come_once(sandbox, ready, count):
    for number in range(count - len(sandbox.portal.state.contacts.live)):
        create(sandbox, email=f"bulk{number}@acme.example")
    _, cursor = contacts(ready)
    sandbox.clock.advance(7200)
    changed = sandbox.do("hubspot", "bulk_edit", count=count, properties={"country": "Chile"})["changed"]
    found = Counter(each.ref.id for each in pulled(ready.contacts(cursor))[0])
    assert len(found) == changed
    assert set(found.values()) == {1}


def test_twelve_thousand_contacts_changed_in_one_millisecond(sandbox, ready, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.contacts.LIST_IS_QUICKER", 2.0)
    sandbox.between_requests(lambda: crowd(sandbox, 12_100))
    _, cursor = contacts(ready)
    sandbox.clock.advance(7200)
    sandbox.do("hubspot", "bulk_edit", count=12_000, properties={"country": "Chile"})
    found, _ = contacts(ready, cursor)
    assert sum(each.fields.get("country") == "Chile" for each in found.values()) == 12_000


def test_a_search_that_compares_ids_as_text_loses_nobody(sandbox, ready):
    sandbox.portal.switches.id_order = "text"
    for number in range(700):
        create(sandbox, email=f"bulk{number}@acme.example")
    _, cursor = contacts(ready)
    sandbox.clock.advance(7200)
    sandbox.do("hubspot", "bulk_edit", properties={"country": "Chile"})
    assert set(contacts(ready, cursor)[0]) == {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}


def test_a_large_portal_is_walked_in_several_places_and_every_contact_comes_once(sandbox, ready):
    sandbox.between_requests(lambda: crowd(sandbox, 5_000))
    found = Counter(each.ref.id for each in pulled(ready.contacts(None))[0])
    assert set(found) == {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}
    assert set(found.values()) == {1}
    assert len(calls(sandbox, "/contacts")) < 1.5 * len(found) / 100


def test_a_walk_goes_on_where_it_was_stopped(sandbox, ready):
    sandbox.between_requests(lambda: crowd(sandbox, 3_000))
    expected = {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}
    pages = ready.contacts(None)
    seen, cursor = set(), None
    for _ in range(13):
        page = next(pages)
        seen |= {each.ref.id for each in page.items}
        cursor = page.cursor
    pages.close()
    other = hubspot(sandbox)
    seen |= set(contacts(other, cursor)[0])
    assert seen == expected


def test_a_cursor_in_hubspots_future_is_not_believed(sandbox, ready):
    _, cursor = contacts(ready)
    sandbox.clock.advance(-4 * 3600)
    assert len(contacts(ready, cursor)[0]) == len(sandbox.portal.state.contacts.live)


@pytest.mark.parametrize("cursor", ["", "nonsense", "[]", '{"v":0}', '{"v":1,"contacts":{"was":1}}'])
def test_a_cursor_that_cannot_be_read_is_as_good_as_none(sandbox, ready, cursor):
    assert len(contacts(ready, cursor)[0]) == len(sandbox.portal.state.contacts.live)


def test_a_deleted_contact_is_gone(sandbox, ready):
    found, cursor = contacts(ready)
    contact_id = sorted(found)[3]
    sandbox.do("hubspot", "archive", id=contact_id)
    sandbox.clock.advance(90_000)
    assert contacts(ready, cursor)[0][contact_id].gone
    assert [each.gone for each in ready.read([Ref("hubspot", "contact", contact_id)])] == [True]


def test_an_erased_contact_is_gone_when_it_is_read(sandbox, ready):
    contact_id = sorted(contacts(ready)[0])[3]
    sandbox.do("hubspot", "gdpr_delete", id=contact_id)
    assert [each.gone for each in ready.read([Ref("hubspot", "contact", contact_id)])] == [True]


@pytest.mark.parametrize("missing", ["", "hs_merged_object_ids", "hs_calculated_merged_vids"])
def test_a_merged_contact_knows_the_ids_it_had(sandbox, ready, missing):
    a, b, c = sorted(contacts(ready)[0])[:3]
    _, cursor = contacts(ready)
    sandbox.clock.advance(7200)
    first = sandbox.do("hubspot", "merge", id=a, other=b)["id"]
    last = sandbox.do("hubspot", "merge", id=first, other=c)["id"]
    if missing:
        properties(sandbox, last).pop(missing, None)
    found = contacts(ready, cursor)[0][last]
    assert {a, b, c, first} <= set(found.aliases) or missing
    for contact_id in (a, b, c, first):
        (read,) = ready.read([Ref("hubspot", "contact", contact_id)])
        assert (read.ref.id, read.gone) == (last, False)
        assert contact_id in read.aliases


def test_a_hundred_and_eighty_are_read_and_the_missing_ones_named(sandbox, ready):
    for number in range(200):
        create(sandbox, email=f"n{number}@acme.example")
    ids = [str(contact_id) for contact_id in sandbox.portal.state.contacts.live[:180]]
    read = list(ready.read([Ref("hubspot", "contact", contact_id) for contact_id in [*ids, "999000111", "999000112"]]))
    assert {each.ref.id for each in read if not each.gone} == set(ids)
    assert {each.ref.id for each in read if each.gone} == {"999000111", "999000112"}


def test_what_is_read_by_id_has_the_companys_values_too(sandbox, ready):
    found, _ = contacts(ready)
    assert {each.ref.id: each for each in ready.read([each.ref for each in found.values()])} == found


def test_a_companys_change_reaches_its_contacts(sandbox, ready):
    _, cursor = contacts(ready)
    company = next(each for each in sandbox.portal.state.records["companies"].live if members(sandbox, each))
    sandbox.clock.advance(7200)
    sandbox.do("hubspot", "update", type="companies", id=str(company), properties={"numberofemployees": "4321"})
    changed, _ = contacts(ready, cursor)
    for contact_id in members(sandbox, company):
        assert changed[str(contact_id)].fields["employees"] == 4321


def members(sandbox, company):
    """The contacts whose primary company it is."""
    return [
        contact_id
        for contact_id in sandbox.portal.state.contacts.live
        if properties(sandbox, contact_id).get("associatedcompanyid") == str(company)
    ]


def test_companies_are_found_without_the_property_that_names_them(sandbox, ready):
    expected = contacts(ready)[0]
    sandbox.do("hubspot", "hide_property", property="associatedcompanyid")
    assert contacts(hubspot(sandbox))[0] == expected


def test_a_property_that_was_removed_is_unknown_and_said_so(sandbox, ready):
    sandbox.do("hubspot", "hide_property", property="jobtitle")
    found, _ = contacts(ready)
    assert len(found) == len(sandbox.portal.state.contacts.live)
    assert not any("title" in each.fields for each in found.values())
    assert any("jobtitle" in problem and "unknown" in problem for problem in ready.check().problems)


def test_nine_hundred_properties_do_not_make_an_address_too_long(sandbox):
    names = {f"p{number}": f"custom_property_{number}" for number in range(400)}
    for name in names.values():
        post(sandbox, "/crm/v3/properties/contacts", name=name, label=name, type="string", fieldType="text")
    create(sandbox, email="wide@acme.example", custom_property_399="yes")
    found, cursor = contacts(hubspot(sandbox, FieldMap(fields=names)))
    assert [each.fields["p399"] for each in found.values() if "p399" in each.fields] == ["yes"]
    assert all(len(each.query) < 8_000 for each in calls(sandbox))
    changed, _ = contacts(hubspot(sandbox, FieldMap(fields=names)), cursor)
    assert any(each.fields.get("p399") == "yes" for each in changed.values())


def post(sandbox, path, **body):
    """Send something as another client would."""
    import requests

    answer = requests.post(
        sandbox.url + path,
        json={"groupName": "contactinformation", **body},
        headers={"Authorization": "Bearer sandbox-token"},
    )
    answer.raise_for_status()


def test_the_native_salesforce_sync_links_records_and_is_said(sandbox, ready):
    linked = [each for each in contacts(ready)[0].values() if each.links]
    assert linked
    assert {each.crm for contact in linked for each in contact.links} == {"salesforce"}
    assert any("one system" in note for note in ready.check().notes)


def test_owners_come_with_the_deactivated_ones(sandbox, ready):
    first = ready.owners()[0]
    sandbox.do("hubspot", "archive_owner", id=first.id)
    found = {each.id: each.active for each in hubspot(sandbox).owners()}
    assert found[first.id] is False
    assert any(found.values())


# The export


def test_an_export_brings_what_the_list_brings(sandbox, ready):
    notes = {}
    exporting = hubspot(sandbox, backfill="export", notes=notes)
    assert contacts(exporting)[0] == contacts(ready)[0]
    assert len(calls(sandbox, "export/async")) == 4
    assert notes == {}


@pytest.mark.parametrize("times", ["iso", "milliseconds"])
def test_a_large_export_is_an_archive(sandbox, ready, times):
    sandbox.portal.switches.export_times = times
    sandbox.between_requests(lambda: crowd(sandbox, 2_000))
    update(sandbox, sandbox.portal.state.contacts.live[7], jobtitle='Line\r\nbreak \u2028 "quoted" ' + "x" * 200_000)
    for contact_id in sandbox.portal.state.contacts.live[8:20]:
        update(sandbox, contact_id, jobtitle="y" * 200_000)
    assert contacts(hubspot(sandbox, backfill="export"))[0] == contacts(ready)[0]


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("https://api.hubapi.com", "http://127.0.0.1:1/x"),
        ("https://api.hubapi.com", "https://127.0.0.1:1/x"),
        ("https://api.hubapi.com", "https://169.254.169.254/latest"),
        ("http://127.0.0.1:1", "https://10.0.0.1/x"),
        ("http://127.0.0.1:1", "http://8.8.8.8/x"),
    ],
)
def test_a_file_is_not_fetched_from_inside_the_network(base, address, tmp_path):
    made = connect(Settings(base_url=base, token="x"), NAMES, {}, Hurry())
    with (tmp_path / "file").open("wb") as file, pytest.raises(Unavailable, match="gave a file address"):
        made._api.download(address, file)
    assert made.calls == 0


def test_an_export_that_never_ends_is_replaced_by_the_list(sandbox, ready):
    sandbox.faults.add(Fault(do="answer", status=200, body={"status": "PENDING"}, path="tasks/.*/status$"))
    found, _ = contacts(hubspot(sandbox, backfill="export"))
    assert {str(contact_id) for contact_id in sandbox.portal.state.contacts.live} == set(found)


def test_a_file_without_end_is_given_up(sandbox, ready, monkeypatch):
    monkeypatch.setattr(client, "MOST_FILE", 1_000)
    with pytest.raises(Unavailable, match="export file is larger than"):
        contacts(hubspot(sandbox, backfill="export"))


def test_an_export_that_was_asked_for_is_waited_for_by_the_next_process(sandbox, ready):
    notes = {}
    sandbox.faults.add(Fault(do="answer", status=503, path="export/async/tasks"))
    with pytest.raises(Unavailable):
        contacts(hubspot(sandbox, backfill="export", notes=notes))
    assert "hubspot.export" in notes
    sandbox.faults.clear()
    assert contacts(hubspot(sandbox, backfill="export", notes=notes))[0] == contacts(ready)[0]
    assert len([each for each in calls(sandbox, "export/async") if each.method == "POST"]) == 1


def left_export(sandbox, notes):
    """An export that a process asked for and did not come to read."""
    sandbox.faults.add(Fault(do="answer", status=503, path="export/async/tasks"))
    with pytest.raises(Unavailable):
        contacts(hubspot(sandbox, backfill="export", notes=notes))
    sandbox.faults.clear()


@pytest.mark.parametrize("seen", ["at once", "later", "by the next pull"])
def test_an_edit_made_while_an_export_waited_is_not_lost(sandbox, ready, seen, monkeypatch):
    notes, edited = {}, create(sandbox, email="late@acme.example", jobtitle="Before")
    connector = hubspot(sandbox, backfill="export", notes=notes)
    left_export(sandbox, notes)
    (made,) = sandbox.portal.state.exports
    status = connector._api.place("export_status", id=made)
    while connector._api.get(status)["status"] != "COMPLETE":
        pass
    sandbox.portal.switches.index_lag = 300.0 if seen == "later" else 0.0
    sandbox.clock.advance(7_200)
    update(sandbox, edited, jobtitle="After")
    sandbox.clock.advance(60)
    with monkeypatch.context() as patched:
        if seen == "by the next pull":
            patched.setattr("connectors.hubspot.contacts.WORTH_COUNTING", 0)
            patched.setattr("connectors.hubspot.contacts.LIST_IS_QUICKER", 0)
        found, cursor = contacts(connector)
    sandbox.clock.advance(7_200)
    later, _ = contacts(connector, cursor)
    assert (found | later)[edited].fields["title"] == "After"
    assert (found[edited].fields["title"] == "After") is (seen == "at once")


def test_a_file_that_breaks_off_is_fetched_again(sandbox, ready):
    sandbox.faults.add(Fault(do="short", path="hubfs-exports", nth=1))
    assert contacts(hubspot(sandbox, backfill="export"))[0] == contacts(ready)[0]


@pytest.mark.parametrize(
    "fault",
    [
        refused(403, category="MISSING_SCOPES", message="no") | {"path": "export/async$"},
        refused(429, category="RATE_LIMITS", message="the limit of 30 exports in 24 hours") | {"path": "export/async$"},
        {"do": "answer", "status": 200, "body": {"status": "CANCELED"}, "path": "export/async/tasks"},
        {"do": "answer", "status": 200, "body": "Record ID,Job\n1,CTO\n", "path": "hubfs-exports"},
        {"do": "answer", "status": 200, "body": "hs_object_id,jobtitle\n51,CTO\n", "path": "hubfs-exports"},
    ],
)
def test_without_an_export_to_be_trusted_the_list_is_read(sandbox, ready, fault):
    sandbox.faults.add(Fault(**fault))
    found = contacts(hubspot(sandbox, backfill="export"))[0]
    assert {str(contact_id) for contact_id in sandbox.portal.state.contacts.live} <= set(found)


# Activities


def test_every_activity_of_the_portal_comes_once_with_a_contact(sandbox, ready):
    found, _ = pulled(ready.activities(None))
    assert len({(each.id, each.ref) for each in found}) == len(found)
    assert {each.ref.id for each in found} <= {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}
    assert all(each.at.utcoffset() == timedelta(0) for each in found)
    assert "meetings" in {each.id.split(":")[0] for each in found}


def test_an_idle_portal_costs_few_calls_and_brings_nothing_new(sandbox, ready):
    sandbox.clock.advance(3600)
    _, cursor = pulled(ready.activities(None))
    _, behind = contacts(ready)
    sandbox.calls.clear()
    assert pulled(ready.activities(cursor))[0] == []
    assert contacts(ready, behind)[0] == {}
    assert len(calls(sandbox)) <= 20


@pytest.mark.parametrize(
    "kind", ["page_viewed", "form_submitted", "meeting_held", "call_completed", "webinar_attended"]
)
def test_a_new_activity_comes_with_the_next_pull(sandbox, ready, kind):
    sandbox.clock.advance(3600)
    _, cursor = pulled(ready.activities(None))
    contact_id = create(sandbox, email="busy@acme.example")
    attributes = {"form": "Demo request", "url": "https://acme.example/pricing", "outcome": "COMPLETED", "seconds": 60}
    sandbox.do("hubspot", "add_activity", id=contact_id, kind=kind, attributes=attributes)
    found, _ = pulled(ready.activities(cursor))
    assert [(each.kind, each.ref.id) for each in found] == [(kind, contact_id)]


@pytest.mark.parametrize("count", [101, 501, 1_000])
def test_a_meeting_with_many_people_is_an_activity_of_each(sandbox, ready, count):
    sandbox.portal.switches.association_page = 100
    meeting = sandbox.do(
        "hubspot",
        "create",
        type="meetings",
        properties={"hs_timestamp": "2026-11-20T09:00:00Z", "hs_meeting_outcome": "COMPLETED"},
    )["id"]
    ids = [create(sandbox, email=f"guest{number}@acme.example") for number in range(count)]
    for contact_id in ids:
        sandbox.do("hubspot", "associate", type="meetings", id=meeting, to="contacts", other=contact_id)
    found = [each for each in pulled(ready.activities(None))[0] if each.id == f"meetings:{meeting}"]
    assert sorted(each.ref.id for each in found) == sorted(ids)


def test_a_meeting_that_is_called_off_is_no_activity_any_more(sandbox, ready):
    contact_id = create(sandbox, email="host@acme.example")
    meeting = sandbox.do(
        "hubspot",
        "create",
        type="meetings",
        properties={"hs_timestamp": "2026-11-20T09:00:00Z", "hs_meeting_outcome": "SCHEDULED"},
    )["id"]
    sandbox.do("hubspot", "associate", type="meetings", id=meeting, to="contacts", other=contact_id)
    sandbox.clock.advance(3600)
    found, cursor = pulled(ready.activities(None))
    assert [each.kind for each in found if each.id == f"meetings:{meeting}"] == ["meeting_booked"]
    sandbox.do("hubspot", "update", type="meetings", id=meeting, properties={"hs_meeting_outcome": "CANCELED"})
    assert [(each.id, each.gone) for each in pulled(ready.activities(cursor))[0]] == [(f"meetings:{meeting}", True)]


def test_a_deleted_call_is_gone(sandbox, ready):
    call = str(sandbox.portal.state.records["calls"].live[0])
    _, cursor = pulled(ready.activities(None))
    sandbox.do("hubspot", "archive", type="calls", id=call)
    sandbox.clock.advance(90_000)
    assert (f"calls:{call}", True) in {(each.id, each.gone) for each in pulled(ready.activities(cursor))[0]}


def test_an_old_call_that_gains_a_contact_counts_within_a_day(sandbox, ready):
    contact_id = create(sandbox, email="joined@acme.example")
    call = sandbox.do("hubspot", "create", type="calls", properties={"hs_timestamp": "2026-11-20T09:00:00Z"})["id"]
    _, cursor = pulled(ready.activities(None))
    sandbox.do("hubspot", "associate", type="calls", id=call, to="contacts", other=contact_id)
    sandbox.clock.advance(90_000)
    assert (f"calls:{call}", contact_id) in {(each.id, each.ref.id) for each in pulled(ready.activities(cursor))[0]}


def test_a_portal_without_events_counts_page_views_instead(sandbox, ready):
    sandbox.portal.switches.tier = "professional"
    connector = hubspot(sandbox)
    found, _ = contacts(connector)
    activities, _ = pulled(connector.activities(None))
    assert any("page_viewed" in each.counters for each in found.values())
    assert "page_viewed" not in {each.kind for each in activities}
    assert any("e_visited_page" in note for note in connector.check().notes)


def test_an_event_that_the_portal_does_not_have_is_left_out(sandbox):
    feeds = [Feed(source="e_visited_page", kind="page_viewed"), Feed(source="pe_never_heard_of", kind="x")]
    connector = hubspot(sandbox, activities=feeds)
    assert {each.kind for each in pulled(connector.activities(None))[0]} == {"page_viewed"}
    assert any("pe_never_heard_of" in note for note in connector.check().notes)
    unlisted = hubspot(sandbox, activities=feeds)
    sandbox.faults.add(Fault(**refused(403, message="no"), path="event-types"))
    sandbox.faults.add(Fault(**refused(400, message="Unknown event"), path="event-occurrences/2026-09$", first=10))
    assert {each.kind for each in pulled(unlisted.activities(None))[0]} == {"page_viewed"}


def test_forms_of_every_type_that_people_send_in_are_read(sandbox):
    for number, kind in enumerate(("hubspot", "captured", "flow", "blog_comment")):
        attributes = {"form": f"Form {number}", "form_type": kind}
        of = create(sandbox, email=f"{kind}@acme.example")
        sandbox.do("hubspot", "add_activity", id=of, kind="form_submitted", attributes=attributes)
    connector = hubspot(sandbox, activities=FORMS)
    found, _ = pulled(connector.activities(None))
    assert {"Form 0", "Form 1", "Form 2"} <= {each.attributes["form"] for each in found}
    assert "Form 3" not in {each.attributes["form"] for each in found}
    assert not any("Form 3" in note for note in connector.check().notes)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_form_that_hubspot_refuses_costs_that_form_only_and_is_named(sandbox, status):
    sent(sandbox, create(sandbox, email="a@acme.example"), form="Odd form")
    sent(sandbox, create(sandbox, email="b@acme.example"), form="Good form")
    odd = next(each.id for each in sandbox.portal.state.tracking.forms.values() if each.name == "Odd form")
    sandbox.faults.add(Fault(**refused(status, message="not for this form"), path=f"submissions/forms/{odd}"))
    connector = hubspot(sandbox)
    kinds, forms = set(), set()
    for each in pulled(connector.activities(None))[0]:
        kinds.add(each.kind)
        forms.add(each.attributes.get("form"))
    assert {"page_viewed", "form_submitted"} <= kinds
    assert "Good form" in forms
    assert "Odd form" not in forms
    (note,) = [each for each in hubspot(sandbox).check().notes if "forms" in each]
    assert "Odd form" in note
    assert "Good form" not in note


def test_forms_that_hubspot_refuses_to_list_are_left_out_and_the_rest_comes(sandbox):
    connector = hubspot(sandbox)
    sandbox.faults.add(Fault(**refused(400, message="no"), path="/forms$", first=2))
    kinds = {each.kind for each in pulled(connector.activities(None))[0]}
    assert "form_submitted" not in kinds
    assert {"page_viewed", "meeting_held"} <= kinds
    assert any("forms" in note for note in connector.check().notes)


def sent(sandbox, contact_id, number=1, form="Demo request"):
    attributes = {"form": form, "url": f"https://acme.example/{number}"}
    sandbox.do("hubspot", "add_activity", id=contact_id, kind="form_submitted", attributes=attributes)


FORMS = [Feed(source="forms", kind="form_submitted", attributes={"form": "form"})]


@pytest.mark.parametrize("merges", [1, 3, 9])
def test_forms_sent_from_an_address_that_a_merge_made_the_second_one_are_the_survivors(sandbox, merges):
    survivor = create(sandbox, email="first@acme.example")
    for number in range(merges):
        other = create(sandbox, email=f"Second{number}@Acme.example")
        sent(sandbox, other)
        survivor = sandbox.do("hubspot", "merge", id=survivor, other=other)["id"]
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert sum(each.ref.id == survivor for each in found) == merges


def test_many_strange_addresses_are_looked_for_with_few_searches(sandbox):
    survivor = create(sandbox, email="first@acme.example")
    for number in range(30):
        other = create(sandbox, email=f"stranger{number}@acme.example")
        sent(sandbox, other)
        if number == 7:
            survivor = sandbox.do("hubspot", "merge", id=survivor, other=other)["id"]
        else:
            sandbox.do("hubspot", "archive", id=other)
    sandbox.calls.clear()
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert sum(each.ref.id == survivor for each in found) == 1
    assert len(calls(sandbox, "/contacts/search")) == 1


def test_more_second_addresses_than_fit_a_page_are_searched_for_by_what_they_are(sandbox, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.email_lookup.SEARCH_PAGE", 3)
    survivor = create(sandbox, email="first@acme.example")
    for number in range(8):
        other = create(sandbox, email=f"second{number}@acme.example")
        main = create(sandbox, email=f"main{number}@acme.example")
        sent(sandbox, other)
        survivor = sandbox.do("hubspot", "merge", id=main, other=other)["id"]
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert sum(each.ref.id == survivor for each in found) == 1
    assert len(calls(sandbox, "/contacts/search")) == 3


def test_a_portal_that_cannot_search_second_addresses_keeps_the_other_forms(sandbox):
    survivor, other = create(sandbox, email="first@acme.example"), create(sandbox, email="second@acme.example")
    sent(sandbox, other)
    sandbox.do("hubspot", "merge", id=survivor, other=other)
    sandbox.faults.add(Fault(**refused(400, message="no such property"), path="/contacts/search"))
    assert pulled(hubspot(sandbox, activities=FORMS).activities(None))[0] != []


def test_what_is_typed_for_an_address_and_is_none_does_no_harm(sandbox):
    for number, address in enumerate(("*@acme.example", "x" * 4_000 + "@acme.example", "none", "a b@\N{ROCKET}")):
        contact_id = create(sandbox, email=f"typo{number}@acme.example")
        sandbox.portal.state.contacts.by_id[int(contact_id)].properties["email"] = address
        sent(sandbox, contact_id)
        sandbox.do("hubspot", "archive", id=contact_id)
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert found
    assert {each.ref.id for each in found} <= {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}


def test_the_addresses_of_all_forms_are_looked_up_together(sandbox):
    for number in range(130):
        sent(sandbox, create(sandbox, email=f"sender{number}@acme.example"), form=f"Form {number % 20}")
    sandbox.calls.clear()
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert len(found) >= 130
    assert len(calls(sandbox, "/contacts/batch/read")) == 2


def test_companies_that_are_not_remembered_are_looked_up_page_by_page(sandbox, ready, monkeypatch):
    expected = contacts(ready)[0]
    monkeypatch.setattr("connectors.hubspot.companies.KEPT", 3)
    monkeypatch.setattr("connectors.hubspot.paging.LIST_PAGE", 9)
    assert contacts(hubspot(sandbox))[0] == expected


def test_a_kind_that_a_feed_delivers_is_not_counted_as_well(sandbox):
    notes = {}
    fed = {each.kind for each in pulled(hubspot(sandbox, notes=notes).activities(None))[0]}
    counted = {kind for each in contacts(hubspot(sandbox, notes=notes))[0].values() for kind in each.counters}
    assert counted & fed == set()
    assert {"email_opened", "email_clicked"} <= counted


def test_a_feed_that_delivers_nothing_leaves_its_kind_to_the_counter(sandbox):
    notes, nothing = {}, {"do": "answer", "status": 200, "body": {"results": []}}
    sandbox.faults.add(Fault(**nothing, path="event-occurrences/2026-09$"))
    connector = hubspot(sandbox, notes=notes)
    assert "page_viewed" not in {each.kind for each in pulled(connector.activities(None))[0]}
    assert any("page_viewed" in each.counters for each in contacts(connector)[0].values())
    sandbox.faults.clear()
    assert "page_viewed" in {each.kind for each in pulled(connector.activities(None))[0]}
    for later in (connector, hubspot(sandbox, notes=notes)):
        assert not any("page_viewed" in each.counters for each in contacts(later)[0].values())


def test_a_feed_that_delivered_once_and_is_refused_now_leaves_its_kind_to_the_counter(sandbox):
    notes = {}
    pulled(hubspot(sandbox, notes=notes).activities(None))
    sandbox.portal.switches.tier = "professional"
    found, _ = contacts(hubspot(sandbox, notes=notes))
    assert any("page_viewed" in each.counters for each in found.values())
    assert not any("form_submitted" in each.counters for each in found.values())


def test_counters_can_be_switched_off(sandbox):
    assert not any(each.counters for each in contacts(hubspot(sandbox, counters=False))[0].values())


def test_a_pull_of_events_goes_on_where_it_was_stopped(sandbox, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.events.EVENT_PAGE", 7)
    feeds = [Feed(source="e_visited_page", kind="page_viewed")]
    expected = {each.id for each in pulled(hubspot(sandbox, activities=feeds).activities(None))[0]}
    pages, seen, cursor = hubspot(sandbox, activities=feeds).activities(None), set(), None
    for _ in range(9):
        page = next(pages)
        seen |= {each.id for each in page.items}
        cursor = page.cursor
    pages.close()
    assert 0 < len(seen) < len(expected)
    seen |= {each.id for each in pulled(hubspot(sandbox, activities=feeds).activities(cursor))[0]}
    assert seen == expected


def test_smaller_pages_of_events_do_too(sandbox, ready):
    expected = {each.id for each in pulled(ready.activities(None))[0]}
    body = {"status": "error", "category": "VALIDATION_ERROR", "message": "limit must not be over 100"}
    sandbox.faults.add(Fault(do="answer", status=400, body=body, path="event-occurrences/2026-09$", nth=2))
    assert {each.id for each in pulled(hubspot(sandbox, concurrency=1).activities(None))[0]} == expected


def test_marketing_emails_are_an_option(sandbox):
    feeds = [Feed(source="email_events", kind="email_opened", where={"type": "OPEN"})]
    connector = hubspot(sandbox, activities=feeds)
    assert any("email_opened" in each.counters for each in contacts(connector)[0].values())
    found, cursor = pulled(connector.activities(None))
    assert {each.kind for each in found} == {"email_opened"}
    assert not any("email_opened" in each.counters for each in contacts(connector)[0].values())
    sandbox.clock.advance(3600)
    assert pulled(connector.activities(cursor))[0] == []


def test_opens_that_hubspot_holds_for_machines_can_be_left_out(sandbox):
    opened = create(sandbox, email="opened@acme.example")
    for machine in (0, 1, 1):
        attributes = {"campaign": "News", "filtered": machine}
        sandbox.do("hubspot", "add_activity", id=opened, kind="email_opened", attributes=attributes)

    def opens(**where):
        feeds = [Feed(source="email_events", kind="email_opened", where={"type": "OPEN", **where})]
        return [each.ref.id for each in pulled(hubspot(sandbox, activities=feeds).activities(None))[0]].count(opened)

    assert (opens(), opens(filteredEvent=False), opens(filteredEvent=True)) == (3, 1, 2)


def test_other_feeds_of_a_source_mean_reading_it_again(sandbox, ready):
    _, cursor = pulled(ready.activities(None))
    sandbox.clock.advance(3600)
    feeds = [Feed(source="emails", kind="mail", where={"hs_email_direction": "INCOMING_EMAIL"})]
    found, _ = pulled(hubspot(sandbox, activities=feeds).activities(cursor))
    assert {each.kind for each in found if not each.gone} == {"mail"}
    assert any(each.gone for each in found)


def test_a_feed_that_the_token_may_not_read_is_left_out_and_the_others_come(sandbox):
    sandbox.portal.switches.scopes = [
        "crm.objects.contacts.read",
        "crm.objects.companies.read",
        "crm.objects.owners.read",
    ]
    connector = hubspot(sandbox)
    kinds = {each.kind for each in pulled(connector.activities(None))[0]}
    assert "form_submitted" not in kinds
    assert "meeting_held" in kinds
    assert any("forms" in note for note in connector.check().notes)


# What came whole


def whole(pages):
    """What a stream says came whole, each beginning of ids once and after everything that has it."""
    named = []
    for page in pages:
        assert not [each for each in page.items if each.id.startswith(tuple(named))]
        named += page.whole
    assert len(set(named)) == len(named)
    return set(named)


ENGAGEMENTS = {"emails:", "meetings:", "calls:", "notes:", "communications:", "tasks:"}


@pytest.fixture
def complete(sandbox):
    """A portal that has every type of event that the default feeds read."""
    for name in ("content_downloaded", "webinar_registered", "webinar_attended", "event_registered", "event_attended"):
        sandbox.do("hubspot", "add_activity", id=create(sandbox, email=f"{name}@acme.example"), kind=name)
    return sandbox


def test_a_full_pull_says_of_every_source_that_it_came_whole(complete):
    connector = hubspot(complete)
    assert whole(connector.activities(None)) == ENGAGEMENTS | {"forms:", "events:"}


def test_a_pull_by_cursor_says_it_of_none(complete):
    _, cursor = pulled(hubspot(complete).activities(None))
    other = [Feed(source="meetings", kind="met"), *FORMS]
    for connector, begun in (
        (hubspot(complete), cursor),
        (hubspot(complete, activities=other), cursor),
        (hubspot(complete), "nonsense"),
    ):
        assert whole(connector.activities(begun)) == set()


@pytest.mark.parametrize("stopped_after", [1, 2, 3, 5, 8, 12])
def test_a_full_pull_that_was_interrupted_says_it_too(complete, stopped_after, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.paging.LIST_PAGE", 20)
    first = hubspot(complete).activities(None)
    pages = [next(first) for _ in range(stopped_after)]
    first.close()
    pages += hubspot(complete).activities(pages[-1].cursor)
    named = [each for page in pages for each in page.whole]
    assert sorted(named) == sorted(ENGAGEMENTS | {"forms:", "events:"})
    assert whole(hubspot(complete).activities(pages[-1].cursor)) == set()


def test_a_source_that_cannot_be_read_is_never_whole(complete):
    complete.portal.switches.tier = "professional"
    complete.faults.add(Fault(**refused(403, message="no"), path="/forms$"), Fault(**refused(404), path="/tasks$"))
    assert whole(hubspot(complete).activities(None)) == ENGAGEMENTS - {"tasks:"}


def test_a_refused_form_or_type_of_event_keeps_its_source_from_being_whole(complete):
    form = next(iter(complete.portal.state.tracking.submissions))
    event = Fault(**refused(400, message="no"), path="event-occurrences/2026-09$", first=4)
    complete.faults.add(Fault(**refused(400, message="no"), path=f"submissions/forms/{form}"), event)
    assert whole(hubspot(complete).activities(None)) == ENGAGEMENTS


def test_forms_are_not_whole_where_further_addresses_cannot_be_looked_for(complete):
    survivor, other = create(complete, email="first@acme.example"), create(complete, email="second@acme.example")
    sent(complete, other)
    complete.do("hubspot", "merge", id=survivor, other=other)
    complete.faults.add(Fault(**refused(400, message="no such property"), path="/contacts/search"))
    assert whole(hubspot(complete, activities=FORMS).activities(None)) == set()


def test_what_was_deleted_does_not_come_with_a_full_pull(complete):
    before = {each.id for each in pulled(hubspot(complete).activities(None))[0]}
    call = f"calls:{complete.portal.state.records['calls'].live[0]}"
    complete.do("hubspot", "archive", type="calls", id=call.partition(":")[2])
    complete.calls.clear()
    found, _ = pulled(hubspot(complete).activities(None))
    assert before - {each.id for each in found} == {call}
    assert not [each for each in calls(complete) if "archived=true" in each.query]


def test_a_kind_that_cannot_be_searched_loses_what_was_deleted_once_a_day(sandbox):
    feeds = [Feed(source="communications", kind="note_logged")]
    of = create(sandbox, email="chatty@acme.example")
    values = {"hs_timestamp": "2026-11-20T09:00:00Z"}
    message = sandbox.do("hubspot", "create", type="communications", properties=values)["id"]
    sandbox.do("hubspot", "associate", type="communications", id=message, to="contacts", other=of)
    sandbox.faults.add(Fault(**refused(400, message="not searchable"), path="communications/search"))
    connector = hubspot(sandbox, activities=feeds)
    found, cursor = pulled(connector.activities(None))
    assert [each.id for each in found] == [f"communications:{message}"]
    sandbox.do("hubspot", "archive", type="communications", id=message)
    sandbox.clock.advance(90_000)
    assert [(each.id, each.gone) for each in pulled(connector.activities(cursor))[0]] == [(found[0].id, True)]


# What it writes


def test_everything_is_written_and_read_back(sandbox, ready):
    ids = sorted(contacts(ready)[0])
    owner = ready.owners()[0].id
    wanted = {"score": 55, "band": "hot", "reason": "Bodø ™ 🚀 שלום", "owner": owner}
    receipts = list(ready.write([change(contact_id, **wanted) for contact_id in ids]))
    assert sorted(each.ref.id for each in receipts) == ids
    assert all(each.ok and not each.refused for each in receipts)
    for each in ready.read([each.ref for each in receipts]):
        assert each.current == {"score": 55, "band": "hot", "reason": "Bodø ™ 🚀 שלום"}
        assert each.owner == owner


def test_none_clears_a_field(sandbox, ready):
    contact_id = create(sandbox, email="a@acme.example", ls_score="12", ls_band="hot")
    list(ready.write([change(contact_id, score=None, band=None)]))
    assert contacts(ready)[0][contact_id].current == {}


def test_text_that_is_no_unicode_or_too_long_is_made_to_fit(sandbox, ready):
    contact_id = create(sandbox, email="a@acme.example")
    (receipt,) = ready.write([change(contact_id, reason="a\0b\ud800c" + "x" * 100_000)])
    assert receipt.ok
    assert properties(sandbox, contact_id)["ls_reason"].startswith("abcxx")


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("partial", ["multi_status", "ok"])
def test_one_deleted_contact_does_not_lose_its_batch(sandbox, ready, traced, partial):
    sandbox.portal.switches.traced_updates, sandbox.portal.switches.partial_failures = traced, partial
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(100)]
    sandbox.do("hubspot", "archive", id=ids[57])
    receipts = {each.ref.id: each for each in ready.write([change(contact_id, score=9) for contact_id in ids])}
    assert {contact_id for contact_id, each in receipts.items() if not each.ok} == {ids[57]}
    assert receipts[ids[57]].gone
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 99


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("place", [0, 57, 99])
def test_one_poisonous_value_does_not_lose_its_batch(sandbox, ready, traced, place):
    sandbox.portal.switches.traced_updates = traced
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(100)]
    ready.owners()
    list(ready.write([change(ids[0], stage="lead")]))
    sandbox.do("hubspot", "remove_option", property="lifecyclestage", value="salesqualifiedlead")
    sandbox.calls.clear()
    changes = [
        change(contact_id, score=9, **({"stage": "sql"} if number == place else {}))
        for number, contact_id in enumerate(ids)
    ]
    receipts = {each.ref.id: each for each in ready.write(changes)}
    assert len(receipts) == 100
    assert all(each.ok for each in receipts.values())
    assert {contact_id for contact_id, each in receipts.items() if each.refused} == {ids[place]}
    assert set(receipts[ids[place]].refused) == {"stage"}
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 100
    assert len(calls(sandbox, "batch/update")) <= 16


def test_three_poisonous_values_are_three_receipts(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(100)]
    list(ready.write([change(ids[0], stage="lead")]))
    sandbox.do("hubspot", "remove_option", property="lifecyclestage", value="salesqualifiedlead")
    bad = {ids[3], ids[4], ids[88]}
    receipts = list(
        ready.write(
            [change(contact_id, score=9, **({"stage": "sql"} if contact_id in bad else {})) for contact_id in ids]
        )
    )
    assert {each.ref.id for each in receipts if each.refused} == bad
    assert len(receipts) == 100
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 100


def test_a_stage_that_the_portal_lacks_is_refused_before_it_is_sent(sandbox, ready):
    sandbox.do("hubspot", "remove_option", property="lifecyclestage", value="salesqualifiedlead")
    contact_id = create(sandbox, email="a@acme.example")
    (receipt,) = ready.write([change(contact_id, score=9, stage="sql")])
    assert "salesqualifiedlead" in receipt.refused["stage"]
    assert properties(sandbox, contact_id)["ls_score"] == "9"
    assert len(calls(sandbox, "batch/update")) == 1


def test_a_property_that_became_read_only_is_left_out_of_the_whole_batch(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(50)]
    list(ready.write([change(ids[0], score=1)]))
    sandbox.do("hubspot", "lock_property", property="ls_band")
    sandbox.calls.clear()
    receipts = list(ready.write([change(contact_id, score=9, band="hot") for contact_id in ids]))
    assert all(each.ok and set(each.refused) == {"band"} for each in receipts)
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 50
    assert len(calls(sandbox, "batch/update")) <= 3


def test_a_property_that_vanished_is_named_and_the_rest_written(sandbox, ready):
    contact_id = create(sandbox, email="a@acme.example")
    list(ready.write([change(contact_id, score=1)]))
    sandbox.do("hubspot", "hide_property", property="ls_band")
    (receipt,) = ready.write([change(contact_id, score=9, band="hot")])
    assert (receipt.ok, set(receipt.refused)) == (True, {"band"})
    assert properties(sandbox, contact_id)["ls_score"] == "9"


def test_a_deactivated_owner_does_not_drag_the_score_down(sandbox, ready):
    contact_id, owner = create(sandbox, email="a@acme.example"), ready.owners()[0].id
    list(ready.write([change(contact_id, owner=None, score=1)]))
    sandbox.do("hubspot", "archive_owner", id=owner)
    for connector in (ready, hubspot(sandbox)):
        (receipt,) = connector.write([change(contact_id, score=9, owner=owner)])
        assert (receipt.ok, set(receipt.refused)) == (True, {"owner"})
    assert properties(sandbox, contact_id)["ls_score"] == "9"
    assert not properties(sandbox, contact_id).get("hubspot_owner_id")


@pytest.mark.parametrize("portal", ["ignored", "accepted"])
def test_a_stage_is_not_moved_back(sandbox, ready, portal):
    sandbox.portal.switches.backward_stages = portal
    contact_id = create(sandbox, email="a@acme.example", lifecyclestage="salesqualifiedlead")
    (receipt,) = ready.write([change(contact_id, {"stage": "sql", "score": None}, stage="lead", score=9)])
    assert "moves stages only forward" in receipt.refused["stage"]
    assert properties(sandbox, contact_id)["lifecyclestage"] == "salesqualifiedlead"
    assert properties(sandbox, contact_id)["ls_score"] == "9"


@pytest.mark.parametrize("portal", ["ignored", "accepted"])
def test_a_stage_is_moved_back_in_two_steps_when_the_admin_wants_that(sandbox, ready, portal):
    sandbox.portal.switches.backward_stages = portal
    notes = {}
    connector = hubspot(sandbox, notes=notes, backward_stages=True)
    ids = [create(sandbox, email=f"n{number}@acme.example", lifecyclestage="salesqualifiedlead") for number in range(3)]
    receipts = list(
        connector.write(
            [change(contact_id, {"stage": "sql", "score": None}, stage="lead", score=9) for contact_id in ids]
        )
    )
    assert all(each.ok and not each.refused for each in receipts)
    assert [properties(sandbox, contact_id)["lifecyclestage"] for contact_id in ids] == ["lead"] * 3
    assert "hubspot.moving_back" not in notes


def test_a_move_that_was_cut_in_two_is_finished_before_anything_is_read(sandbox, ready):
    notes = {}
    connector = hubspot(sandbox, notes=notes, backward_stages=True)
    contact_id = create(sandbox, email="a@acme.example", lifecyclestage="salesqualifiedlead")
    sandbox.faults.add(Fault(do="answer", status=500, path="batch/update", first=2))
    with pytest.raises(Unavailable):
        list(connector.write([change(contact_id, {"stage": "sql"}, stage="lead")]))
    assert not properties(sandbox, contact_id).get("lifecyclestage")
    sandbox.faults.clear()
    (read,) = hubspot(sandbox, notes=notes).read([Ref("hubspot", "contact", contact_id)])
    assert read.stage == "lead"
    assert "hubspot.moving_back" not in notes


def test_the_order_of_stages_is_the_portals_own(sandbox, ready):
    sandbox.do("hubspot", "add_stage", id="7000123", label="Nurture", before="lead")
    contact_id = create(sandbox, email="a@acme.example", lifecyclestage="7000123")
    (receipt,) = ready.write([change(contact_id, {"stage": "7000123"}, stage="lead")])
    assert receipt.ok
    assert properties(sandbox, contact_id)["lifecyclestage"] == "lead"


def test_a_conditional_rule_of_the_admin_costs_the_stage_and_not_the_score(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(10)]
    sandbox.portal.switches.required = [
        {"property": "lifecyclestage", "equals": "salesqualifiedlead", "requires": "phone"}
    ]
    receipts = list(
        ready.write([change(contact_id, score=9, stage="sql" if contact_id == ids[4] else "mql") for contact_id in ids])
    )
    assert {each.ref.id for each in receipts if each.refused} == {ids[4]}
    assert all(each.ok for each in receipts)
    assert properties(sandbox, ids[4])["ls_score"] == "9"


def test_an_email_address_is_no_id(sandbox, ready):
    (receipt,) = ready.write([change("ann@acme.example", score=9)])
    assert (receipt.ok, receipt.code) == (False, "NO_ID")
    assert calls(sandbox, "batch/update") == []


def test_an_id_twice_is_two_batches(sandbox, ready):
    contact_id = create(sandbox, email="a@acme.example")
    receipts = list(ready.write([change(contact_id, score=1), change(contact_id, band="hot")]))
    assert [each.ok for each in receipts] == [True, True]
    assert (properties(sandbox, contact_id)["ls_score"], properties(sandbox, contact_id)["ls_band"]) == ("1", "hot")


@pytest.mark.parametrize("pair", ["refused", "applied"])
def test_two_ids_of_one_survivor_are_both_accounted_for(sandbox, ready, pair):
    sandbox.portal.switches.merged_pair = pair
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(20)]
    survivor = sandbox.do("hubspot", "merge", id=ids[3], other=ids[11])["id"]
    receipts = {each.ref.id: each for each in ready.write([change(contact_id, score=9) for contact_id in ids])}
    assert set(receipts) == set(ids)
    assert {receipts[ids[3]].moved_to.id, receipts[ids[11]].moved_to.id} == {survivor}
    assert (
        sum(
            properties(sandbox, contact_id).get("ls_score") == "9"
            for contact_id in ids
            if contact_id not in (ids[3], ids[11])
        )
        == 18
    )


def test_a_locked_record_is_waited_for(sandbox):
    stop = Hurry()
    connector = hubspot(sandbox, stop=stop)
    connector.create_fields()
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(5)]
    sandbox.do("hubspot", "lock", ids=[ids[2]], times=1)
    receipts = list(connector.write([change(contact_id, score=9) for contact_id in ids]))
    assert all(each.ok for each in receipts)
    assert max(stop.waited) >= 2


def test_a_record_that_stays_locked_is_for_later_and_the_others_are_written(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(8)]
    sandbox.do("hubspot", "lock", ids=[ids[2]], times=1_000)
    receipts = {each.ref.id: each for each in ready.write([change(contact_id, score=9) for contact_id in ids])}
    assert {contact_id for contact_id, each in receipts.items() if not each.ok} == {ids[2]}
    assert receipts[ids[2]].retry
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 7


def test_success_without_results_is_looked_up_and_was_written(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(5)]
    sandbox.faults.add(Fault(do="empty", path="batch/update", nth=1))
    receipts = list(ready.write([change(contact_id, score=9) for contact_id in ids]))
    assert [each.ok for each in receipts] == [True] * 5


def test_success_without_results_that_wrote_nothing_is_a_failure(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(5)]
    body = {"status": "COMPLETE", "results": []}
    sandbox.faults.add(Fault(do="answer", status=200, body=body, path="batch/update", nth=1))
    receipts = list(ready.write([change(contact_id, score=9) for contact_id in ids]))
    assert sorted(each.ref.id for each in receipts) == sorted(ids)
    assert {(each.ok, each.retry, each.code) for each in receipts} == {(False, True, "NOT_KEPT")}


def test_errors_that_name_no_record_are_looked_up(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(3)]
    body = {
        "status": "COMPLETE",
        "results": [{"id": ids[0]}, {"id": "31337"}],
        "numErrors": 7,
        "errors": [{"status": "error"}],
    }
    sandbox.faults.add(Fault(do="answer", status=207, body=body, path="batch/update", nth=1))
    receipts = {each.ref.id: each.ok for each in ready.write([change(contact_id, score=9) for contact_id in ids])}
    assert receipts == {ids[0]: True, ids[1]: False, ids[2]: False}


def test_an_answer_lost_after_the_write_is_repeated_without_harm(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(3)]
    sandbox.faults.add(Fault(do="drop", path="batch/update", nth=1))
    receipts = list(ready.write([change(contact_id, score=9) for contact_id in ids]))
    assert all(each.ok for each in receipts)


def test_batches_go_out_several_at_once_and_every_change_has_a_receipt(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(1_050)]
    sandbox.calls.clear()
    receipts = list(ready.write([change(contact_id, score=9) for contact_id in ids]))
    assert sorted(each.ref.id for each in receipts) == sorted(ids)
    assert len(calls(sandbox, "batch/update")) == 11


def test_nothing_but_updates_by_id_is_ever_sent(sandbox, ready):
    list(ready.write([change(contact_id, score=9) for contact_id in sorted(contacts(ready)[0])]))
    pulled(ready.activities(None))
    assert {each.path.rpartition("contacts/")[2] for each in sandbox.calls.writes("hubspot")} == {"batch/update"}


# The last look before a batch is sent


class Look:
    """A `narrow` that remembers what it was asked, where, and what was written by then."""

    def __init__(self, sandbox, less=lambda change: change):
        self.sandbox, self.less, self.asked, self.threads, self.written = sandbox, less, [], set(), []

    def __call__(self, changes):
        self.asked.append([each.ref.id for each in changes])
        self.threads.add(threading.get_ident())
        self.written.append(len(self.sandbox.calls.writes("hubspot")))
        return [left for each in changes if (left := self.less(each))]


def test_each_batch_is_looked_at_just_before_it_is_sent(sandbox):
    connector = hubspot(sandbox, concurrency=1)
    connector.create_fields()
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(250)]
    sandbox.calls.clear()
    look = Look(sandbox)
    receipts = list(connector.write([change(each, score=9) for each in ids], look))
    assert sorted(each.ref.id for each in receipts) == sorted(ids)
    assert [each for batch in look.asked for each in batch] == ids
    assert [len(each) for each in look.asked] == [100, 100, 50]
    assert look.threads == {threading.get_ident()}
    assert look.written == [0, 1, 2]


@pytest.mark.parametrize("settings", [{}, {"mass_write": "import", "import_threshold": 100}])
def test_only_what_the_look_leaves_is_sent(sandbox, ready, settings):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(250)]
    skipped, halved = set(ids[100:200]), set(ids[:5])

    def less(each):
        if each.ref.id in skipped:
            return None
        return change(each.ref.id, score=9) if each.ref.id in halved else each

    receipts = list(
        hubspot(sandbox, **settings).write([change(each, score=9, band="a") for each in ids], Look(sandbox, less))
    )
    assert {each.ref.id for each in receipts if each.ok} == set(ids) - skipped
    assert {properties(sandbox, each).get("ls_score") for each in skipped} == {None}
    assert {properties(sandbox, each).get("ls_band") for each in halved} == {None}
    assert {properties(sandbox, each).get("ls_score") for each in halved} == {"9"}


def test_a_batch_of_which_nothing_is_left_is_not_sent(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(120)]
    sandbox.calls.clear()
    for settings in ({}, MASS, {"backward_stages": True}):
        stages = {} if settings is MASS else {"stage": "lead"}
        changes = [change(each, {"stage": "mql"}, score=9, **stages) for each in ids]
        assert list(hubspot(sandbox, **settings).write(changes, lambda _: [])) == []
    assert sandbox.calls.writes("hubspot") == []


def test_a_batch_that_is_halved_is_looked_at_once(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(8)]
    list(ready.write([change(ids[0], stage="lead")]))
    sandbox.do("hubspot", "remove_option", property="lifecyclestage", value="salesqualifiedlead")
    look = Look(sandbox)
    receipts = list(
        ready.write([change(each, score=9, stage="sql" if each == ids[3] else "mql") for each in ids], look)
    )
    assert [each.ref.id for each in receipts if each.refused] == [ids[3]]
    assert look.asked == [ids]


def test_a_stage_is_not_cleared_where_a_person_was_faster(sandbox, ready):
    notes, connector = {}, hubspot(sandbox, backward_stages=True)
    connector = hubspot(sandbox, notes=notes, backward_stages=True)
    ids = [create(sandbox, email=f"n{number}@acme.example", lifecyclestage="salesqualifiedlead") for number in range(3)]

    def less(each):
        return change(each.ref.id, score=9) if each.ref.id == ids[1] else each

    changes = [change(each, {"stage": "sql", "score": None}, stage="lead", score=9) for each in ids]
    assert all(each.ok for each in connector.write(changes, Look(sandbox, less)))
    stages = [properties(sandbox, each)["lifecyclestage"] for each in ids]
    assert stages == ["lead", "salesqualifiedlead", "lead"]
    assert scores_of(sandbox, ids) == {"9"}
    assert "hubspot.moving_back" not in notes


def test_a_move_that_was_cut_in_two_is_finished_by_the_same_process(sandbox, ready):
    connector = hubspot(sandbox, backward_stages=True)
    moved = create(sandbox, email="a@acme.example", lifecyclestage="salesqualifiedlead")
    sandbox.faults.add(Fault(do="answer", status=500, path="batch/update", first=2))
    with pytest.raises(Unavailable):
        list(connector.write([change(moved, {"stage": "sql"}, stage="lead")]))
    sandbox.faults.clear()
    assert [each.stage for each in connector.read([Ref("hubspot", "contact", moved)])] == ["lead"]


def test_a_move_that_was_cut_in_two_is_finished_as_soon_as_its_contact_can_be_read(sandbox, ready):
    notes = {}
    connector = hubspot(sandbox, notes=notes, backward_stages=True)
    moved = create(sandbox, email="a@acme.example", lifecyclestage="salesqualifiedlead")
    sandbox.faults.add(Fault(do="answer", status=500, path="batch/update", first=2))
    with pytest.raises(Unavailable):
        list(connector.write([change(moved, {"stage": "sql"}, stage="lead")]))
    sandbox.faults.clear()
    odd = {"id": moved, "properties": None}
    sandbox.faults.add(Fault(do="answer", status=200, body={"results": [odd]}, path="batch/read$"))
    sandbox.faults.add(Fault(do="answer", status=200, body=odd, path=f"contacts/{moved}$"))
    assert list(connector.read([Ref("hubspot", "contact", moved)])) == []
    sandbox.faults.clear()
    assert [each.stage for each in connector.read([Ref("hubspot", "contact", moved)])] == ["lead"]
    assert "hubspot.moving_back" not in notes


def test_a_stage_or_owner_never_waits_for_an_import_even_where_it_is_refused(sandbox, many):
    owner = next(each.id for each in hubspot(sandbox).owners() if not each.active)
    look = Look(sandbox)
    moved = {each: {"stage": "mql"} for each in many[:2]} | {each: {"owner": owner} for each in many[2:4]}
    changes = [change(each, score=5, **moved.get(each, {})) for each in many]
    receipts = list(hubspot(sandbox, **MASS).write(changes, look))
    assert sorted(each.ref.id for each in receipts if each.ok) == sorted(many)
    assert look.asked == [many[:4], many[4:]]
    assert len(sandbox.portal.state.imports["7000001"].rows) == len(many) - 4
    assert scores_of(sandbox, many) == {"5"}


# The import


MASS = {"mass_write": "import", "import_threshold": 100}


class Switched(Hurry):
    """A stop flag that is raised during the first wait of that many seconds."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.raised = seconds, False

    def is_set(self):
        return self.raised

    def wait(self, timeout=None):
        self.raised = self.raised or timeout == self.seconds
        return self.raised


@pytest.fixture
def many(sandbox, ready):
    """Contacts enough for an import."""
    return [create(sandbox, email=f"mass{number}@acme.example") for number in range(120)]


def asked_for(sandbox):
    return len([each for each in calls(sandbox, "/imports") if each.method == "POST"])


def scores_of(sandbox, ids):
    return {properties(sandbox, contact_id).get("ls_score") for contact_id in ids}


@pytest.mark.parametrize("version", ["2026-09", "2026-03", "v3"])
def test_a_mass_of_scores_is_one_import(sandbox, many, version):
    notes = {}
    connector = hubspot(sandbox, notes=notes, api_version=version, **MASS)
    sandbox.calls.clear()
    because = 'Zoë, "quoted"; semi'
    receipts = list(connector.write([change(contact_id, score=73, band="mql", reason=because) for contact_id in many]))
    assert sorted(each.ref.id for each in receipts if each.ok and not each.refused) == sorted(many)
    assert {properties(sandbox, contact_id)["ls_reason"] for contact_id in many} == {because}
    assert asked_for(sandbox) == 1
    assert calls(sandbox, "/batch/") == []
    assert len(calls(sandbox, "/imports")) == 5
    assert notes == {}
    assert sandbox.portal.state.imports["7000001"].wanted["importOperations"] == {"0-1": "UPDATE"}


def test_what_an_import_may_not_carry_goes_by_batch(sandbox, many):
    owner = next(each.id for each in hubspot(sandbox).owners() if each.active)
    odd = {
        many[0]: {"score": 5, "stage": "sql"},
        many[1]: {"score": 5, "owner": owner},
        many[2]: {"score": 5, "reason": None},
        many[3]: {"score": 5, "reason": "two\nlines"},
        many[4]: {"score": 5},
    }
    changes = [change(contact_id, **odd.get(contact_id, {"score": 5, "reason": "why"})) for contact_id in many]
    receipts = list(hubspot(sandbox, **MASS).write(changes))
    assert sorted(each.ref.id for each in receipts if each.ok and not each.refused) == sorted(many)
    assert len(sandbox.portal.state.imports["7000001"].rows) == len(many) - len(odd)
    assert scores_of(sandbox, many) == {"5"}
    assert properties(sandbox, many[0])["lifecyclestage"] == "salesqualifiedlead"
    assert properties(sandbox, many[3])["ls_reason"] == "two\nlines"


def test_few_scores_are_no_import_and_neither_are_many_without_the_setting(sandbox, many):
    list(hubspot(sandbox, **MASS).write([change(contact_id, score=5) for contact_id in many[:99]]))
    list(hubspot(sandbox).write([change(contact_id, score=5) for contact_id in many]))
    assert asked_for(sandbox) == 0
    assert scores_of(sandbox, many) == {"5"}


def graded(sandbox):
    """A portal in which the band has options."""
    options = [{"label": each, "value": each, "displayOrder": 0, "hidden": False} for each in ("hot", "cold")]
    body = {"name": "ls_band", "label": "Band", "type": "enumeration", "fieldType": "select", "options": options}
    post(sandbox, "/crm/properties/2026-09/contacts", groupName="contactinformation", **body)


def without_row(error, shift):
    source = {"fileId": 1, "lineNumber": error["sourceData"]["lineNumber"] + shift}
    return {**error, "sourceData": source}


@pytest.mark.parametrize("shift", [None, 0, -1, -2])
def test_each_row_that_an_import_did_not_take_is_a_receipt_in_hubspots_words(sandbox, shift):
    graded(sandbox)
    connector = hubspot(sandbox, **MASS)
    connector.create_fields()
    ids = [create(sandbox, email=f"mass{number}@acme.example") for number in range(120)]
    list(connector.write([change(ids[0], band="cold")]))
    sandbox.do("hubspot", "remove_option", property="ls_band", value="hot")
    sandbox.do("hubspot", "archive", id=ids[50])
    changes = [
        change(contact_id, score=8, band="hot" if contact_id in (ids[7], ids[90]) else "cold") for contact_id in ids
    ]
    if shift is not None:
        errors = [
            {
                "errorType": "INVALID_OPTION",
                "errorMessage": "hot was not one of the options",
                "sourceData": {"lineNumber": at},
            }
            for at in (9, 92)
        ] + [{"errorType": "UNKNOWN_OBJECT", "sourceData": {"lineNumber": 52}}]
        body = {"results": [without_row(each, shift) for each in errors]}
        sandbox.faults.add(Fault(do="answer", status=200, body=body, path=r"/imports/.*/errors"))
    receipts = {each.ref.id: each for each in connector.write(changes)}
    assert set(receipts) == set(ids)
    assert {contact_id for contact_id, each in receipts.items() if each.refused} == {ids[7], ids[90]}
    assert all("hot" in receipts[ids[place]].refused["band"] for place in (7, 90))
    assert {contact_id for contact_id, each in receipts.items() if not each.ok} == {ids[50]}
    assert receipts[ids[50]].gone
    assert scores_of(sandbox, set(ids) - {ids[50]}) == {"8"}
    assert len(calls(sandbox, "/batch/read")) <= 3


def test_numbers_of_an_import_that_do_not_add_up_mean_reading_everything(sandbox, many):
    body = {"id": "7000001", "state": "DONE", "metadata": {"counters": {"UPDATED_OBJECTS": 118}}}
    sandbox.faults.add(Fault(do="answer", status=200, body=body, path=r"/imports/[^/]+/7000001$"))
    receipts = list(hubspot(sandbox, **MASS).write([change(contact_id, score=5) for contact_id in many]))
    assert sorted(each.ref.id for each in receipts if each.ok) == sorted(many)
    assert scores_of(sandbox, many) == {"5"}
    assert len(calls(sandbox, "/batch/update")) == 2


@pytest.mark.parametrize(
    "fault",
    [
        refused(403, category="MISSING_SCOPES", message="no"),
        refused(400, message="columnMappings"),
        refused(429, category="RATE_LIMITS", message="the limit of 500 imports in 24 hours"),
        {"do": "html", "status": 503},
    ],
)
def test_without_imports_batches_are_written(sandbox, many, fault):
    notes = {}
    sandbox.faults.add(Fault(**fault, method="POST", path="/imports"))
    connector = hubspot(sandbox, notes=notes, **MASS)
    for value in (5, 6):
        assert all(each.ok for each in connector.write([change(contact_id, score=value) for contact_id in many]))
    assert scores_of(sandbox, many) == {"6"}
    assert 1 <= asked_for(sandbox) <= 4
    assert notes == {}


def test_check_says_that_imports_are_not_to_be_had(sandbox, ready):
    sandbox.faults.add(Fault(**refused(403, category="MISSING_SCOPES", message="no"), path="/imports"))
    assert any("mass_write" in each for each in hubspot(sandbox, **MASS).check().notes)
    assert not any("mass_write" in each for each in hubspot(sandbox).check().notes)


@pytest.mark.parametrize("do", ["drop", "truncate", "empty", "html", "reset"])
def test_an_import_is_never_asked_for_twice(sandbox, many, do):
    sandbox.faults.add(Fault(do=do, method="POST", path="/imports", nth=1))
    receipts = list(hubspot(sandbox, **MASS).write([change(contact_id, score=5) for contact_id in many]))
    assert sorted(each.ref.id for each in receipts if each.ok) == sorted(many)
    assert len(sandbox.portal.state.imports) == 1


def test_an_import_that_a_process_left_is_waited_for_by_the_next_one(sandbox, many):
    notes = {}
    left = hubspot(sandbox, notes=notes, stop=Switched(2.0), **MASS)
    with pytest.raises(Cancelled):
        list(left.write([change(contact_id, score=5) for contact_id in many]))
    assert json.loads(notes["hubspot.import"])["id"] == "7000001"
    found = list(hubspot(sandbox, notes=notes).read([Ref("hubspot", "contact", contact_id) for contact_id in many]))
    assert {each.current["score"] for each in found} == {5}
    assert len(sandbox.portal.state.imports) == 1
    assert notes == {}


def test_an_import_whose_id_never_arrived_is_found_by_its_name(sandbox, many):
    notes = {}
    sandbox.faults.add(Fault(do="drop", method="POST", path="/imports"), Fault(do="html", status=503, path="/imports"))
    with pytest.raises(Unavailable):
        list(hubspot(sandbox, notes=notes, **MASS).write([change(contact_id, score=5) for contact_id in many]))
    sandbox.faults.clear()
    found = list(hubspot(sandbox, notes=notes).read([Ref("hubspot", "contact", contact_id) for contact_id in many]))
    assert {each.current["score"] for each in found} == {5}
    assert notes == {}


@pytest.mark.parametrize("status", [403, 404])
def test_an_import_that_nobody_knows_any_more_is_forgotten(sandbox, many, status):
    notes = {"hubspot.import": '{"name": "crmsync", "id": "42"}'}
    sandbox.faults.add(Fault(**refused(status, message="no"), path="/imports"))
    assert all(each.ok for each in hubspot(sandbox, notes=notes).write([change(many[0], score=5)]))
    assert notes == {}


@pytest.mark.parametrize(("state", "retry", "scores"), [("FAILED", False, {"5"}), ("CANCELED", True, {None})])
def test_an_import_that_did_not_end_well(sandbox, many, state, retry, scores):
    body = {"id": "7000001", "state": state, "metadata": {"counters": {}}}
    sandbox.faults.add(Fault(do="answer", status=200, body=body, path=r"/imports/[^/]+/7000001$"))
    receipts = list(hubspot(sandbox, **MASS).write([change(contact_id, score=5) for contact_id in many]))
    assert {(each.ok, each.retry) for each in receipts} == {(not retry, retry)}
    assert len(receipts) == len(many)
    assert scores_of(sandbox, many) == scores


def test_an_import_that_takes_hours_is_left_to_the_next_cycle(sandbox, many):
    sandbox.portal.switches.job_polls = 1_000
    notes, stop = {}, Hurry()
    connector = hubspot(sandbox, notes=notes, stop=stop, **MASS)
    with pytest.raises(Unavailable, match="still working"):
        list(connector.write([change(contact_id, score=5) for contact_id in many]))
    assert 7_200 <= sum(each for each in stop.waited if each) < 7_400
    assert "hubspot.import" in notes


# Setting up


def test_create_fields_is_done_once(sandbox):
    connector = hubspot(sandbox)
    first, second = connector.create_fields(), connector.create_fields()
    assert sum("created" in each for each in first) == 4
    assert not any("created" in each for each in second)
    assert connector.check().problems == ()


YES_NO = [
    {"label": "Yes", "value": "true", "displayOrder": 0, "hidden": False},
    {"label": "No", "value": "false", "displayOrder": 1, "hidden": False},
]


def test_an_existing_property_of_the_wrong_type_is_named(sandbox):
    wrong = {"name": "ls_score", "label": "x", "type": "bool", "fieldType": "booleancheckbox", "options": YES_NO}
    post(sandbox, "/crm/v3/properties/contacts", **wrong)
    connector = hubspot(sandbox)
    assert any("ls_score" in each and "type bool" in each for each in connector.create_fields())
    assert any("ls_score" in each for each in connector.check().problems)


def test_an_archived_property_of_the_same_name_is_named(sandbox, ready):
    sandbox.do("hubspot", "hide_property", property="ls_score")
    assert any("ls_score" in each and "restore" in each for each in ready.create_fields())


def test_fields_say_what_can_be_mapped(sandbox, ready):
    found = {each.name: each for each in ready.fields()}
    assert found["ls_score"].type == "number"
    assert found["lifecyclestage"].options[:2] == ("subscriber", "lead")
    assert not found["hs_object_id"].writable
    assert found["company.numberofemployees"].type == "number"


def test_a_yes_or_no_that_was_made_by_the_api_is_one(sandbox):
    made = {"name": "wants_demo", "label": "x", "type": "enumeration", "fieldType": "booleancheckbox"}
    post(sandbox, "/crm/v3/properties/contacts", **made, options=YES_NO)
    wants = create(sandbox, email="a@acme.example", wants_demo="true")
    connector = hubspot(sandbox, FieldMap(fields={"demo": "wants_demo"}))
    assert contacts(connector)[0][wants].fields == {"demo": True}
    (field,) = [each for each in connector.fields() if each.name == "wants_demo"]
    assert (field.type, field.options) == ("bool", ())


def test_check_names_what_is_missing(sandbox):
    names = FieldMap(
        fields={"title": "job_title", "size": "company.size_of_it"},
        score_fields={"score": "ls_score"},
        stages={"mql": "marketing_qualified"},
    )
    said = "\n".join(hubspot(sandbox, names).check().problems)
    for word in ("job_title", "company.size_of_it", "ls_score", "marketing_qualified", "crmsync setup"):
        assert word in said


def test_missing_fields_are_named_with_what_they_are_for(sandbox):
    names = FieldMap(
        fields={"title": "job_title", "city": "city", "size": "company.size_of_it", "revenue": "company.annualrevenue"},
        score_fields={"score": "ls_score"},
        stages={"mql": "marketingqualifiedlead"},
    )
    connector = hubspot(sandbox, names)
    missing = {(each.role, each.name): each for each in connector.missing_fields()}
    assert set(missing) == {("field", "title"), ("field", "size"), ("score_field", "score")}
    assert {each.kind for each in missing.values()} == {"contact"}
    assert "job_title" in missing["field", "title"].sentence
    assert "[fields]" in missing["field", "size"].sentence
    assert "crmsync setup" in missing["score_field", "score"].sentence
    assert {each.sentence for each in missing.values()} <= set(connector.check().problems)
    connector.create_fields()
    assert {each.role for each in connector.missing_fields()} == {"field"}


def test_a_field_that_went_between_two_runs_is_missing_in_the_second(sandbox, ready):
    assert ready.missing_fields() == []
    contacts(ready)
    sandbox.do("hubspot", "hide_property", property="jobtitle")
    assert [each.name for each in ready.missing_fields()] == ["title"]
    sandbox.do("hubspot", "show_property", property="jobtitle")
    assert ready.missing_fields() == []
    sandbox.do("hubspot", "hide_property", property="lifecyclestage")
    assert [(each.role, each.name) for each in ready.missing_fields()] == [("stage", "stage")]


def test_company_fields_that_the_token_may_not_see_are_missing(sandbox, ready):
    sandbox.portal.switches.scopes = ["crm.objects.contacts.read", "crm.schemas.contacts.read"]
    (missing,) = ready.missing_fields()
    assert (missing.role, missing.name) == ("field", "employees")
    assert "crm.schemas.companies.read" in missing.sentence


@pytest.mark.parametrize("asked_first", ["missing_fields", "stage_order"])
def test_a_run_asks_for_the_properties_of_each_kind_once(sandbox, ready, asked_first):
    cursor, behind = contacts(ready)[1], pulled(ready.activities(None))[1]
    for _ in range(2):
        sandbox.calls.clear()
        ready.account()
        if asked_first == "missing_fields":
            ready.missing_fields()
        _, cursor = contacts(ready, cursor)
        _, behind = pulled(ready.activities(behind))
        ready.stage_order()
        list(ready.write([change(create(sandbox, email=f"{cursor[-9:]}@acme.example"), score=1)]))
        asked = [each.path for each in calls(sandbox, "/properties/")]
        assert len(asked) == len(set(asked)) == 2
        assert len(calls(sandbox, "account-info")) <= 1


def test_the_order_of_stages_is_told_with_those_of_the_admin(sandbox, ready):
    default = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead")
    rest = ("opportunity", "customer", "evangelist", "other")
    assert ready.stage_order() == {"contact": (*default, *rest)}
    sandbox.do("hubspot", "add_stage", id="7000123", label="Nurture", before="marketingqualifiedlead")
    assert hubspot(sandbox).stage_order() == {"contact": (*default[:2], "7000123", *default[2:], *rest)}
    sandbox.do("hubspot", "hide_property", property="lifecyclestage")
    assert hubspot(sandbox).stage_order() == {}


def test_check_names_the_stages_that_contacts_can_be_in_and_the_config_does_not_name(sandbox, ready):
    sandbox.do("hubspot", "add_stage", id="7000123", label="Nurture", before="marketingqualifiedlead")
    (note,) = [each for each in ready.check().notes if "[[stage]]" in each]
    assert "subscriber, 7000123" in note
    assert "customer" not in note
    stages = {name: name for name in ("subscriber", "lead")}
    assert not [each for each in hubspot(sandbox, FieldMap(stages=stages)).check().notes if "[[stage]]" in each]


def test_check_names_a_portal_without_room_for_our_properties(sandbox):
    sandbox.portal.switches.tier = "free"
    for number in range(8):
        post(sandbox, "/crm/v3/properties/contacts", name=f"p{number}", label="x", type="string", fieldType="text")
    said = "\n".join(hubspot(sandbox).check().problems)
    assert "allows 2 more" in said
    assert any("limit of 10" in each for each in hubspot(sandbox).create_fields())


def test_check_names_missing_scopes_in_words(sandbox):
    sandbox.portal.switches.scopes = ["crm.objects.contacts.read"]
    said = "\n".join(hubspot(sandbox).check().problems)
    assert "crm.objects.contacts.write" in said
    assert "crm.objects.owners.read" in said


def test_check_changes_nothing(sandbox, ready):
    before = sandbox.snapshot("hubspot")
    ready.check()
    assert sandbox.snapshot("hubspot") == before


# Credentials, limits and the line


@pytest.mark.parametrize("do", ["truncate", "short", "reset", "drop", "html"])
def test_a_broken_answer_is_read_again_and_the_pull_is_whole(sandbox, ready, do):
    for number in range(300):
        create(sandbox, email=f"n{number}@acme.example")
    sandbox.faults.add(Fault(do=do, path="objects/2026-09/contacts$", first=2, last=3))
    assert set(contacts(ready)[0]) == {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}


def test_an_answer_that_stays_broken_ends_the_pull_between_pages(sandbox, ready):
    for number in range(300):
        create(sandbox, email=f"n{number}@acme.example")
    sandbox.faults.add(Fault(do="truncate", path="objects/2026-09/contacts$", first=3))
    pages, seen = ready.contacts(None), []
    for _ in range(2):
        page = next(pages)
        seen += [each.ref.id for each in page.items]
    with pytest.raises(Unavailable):
        next(pages)
    sandbox.faults.clear()
    assert len(seen) == 200
    assert {*seen, *contacts(ready, page.cursor)[0]} == {
        str(contact_id) for contact_id in sandbox.portal.state.contacts.live
    }


def test_a_page_served_again_and_again_ends_the_pull(sandbox, ready):
    page = {"results": [{"id": "51", "properties": {}}], "paging": {"next": {"after": "51"}}}
    sandbox.faults.add(Fault(do="answer", status=200, body=page, path="objects/2026-09/contacts$"))
    with pytest.raises(Unavailable, match="again and again"):
        contacts(ready)


def test_a_search_that_ignores_its_filter_is_replaced_by_the_list(sandbox, ready):
    _, cursor = contacts(ready)
    told = {"createdAt": "2026-01-01T00:00:00Z"}
    results = [{"id": str(each), "properties": {"hs_object_id": str(each)}, **told} for each in range(200)]
    page = {"total": 5_000, "results": results, "paging": {"next": {"after": "200"}}}
    sandbox.faults.add(Fault(do="answer", status=200, body=page, path="contacts/search$"))
    assert {str(contact_id) for contact_id in sandbox.portal.state.contacts.live} <= set(contacts(ready, cursor)[0])


@pytest.mark.parametrize(
    ("policy", "headers", "seconds"),
    [
        ("TEN_SECONDLY_ROLLING", {}, 10),
        ("TEN_SECONDLY_ROLLING", {"Retry-After": "11"}, 11),
        ("SECONDLY", {}, 1),
        ("", {"Retry-After": "Sat, 21 Nov 2026 09:00:30 GMT"}, 30),
    ],
)
def test_a_rate_limit_is_waited_out_by_its_policy(sandbox, policy, headers, seconds):
    stop = Hurry()
    connector = hubspot(sandbox, stop=stop)
    body = {"status": "error", "errorType": "RATE_LIMIT", "policyName": policy, "message": "limit"}
    sandbox.faults.add(Fault(do="answer", status=429, headers=headers, body=body, path="search$", nth=1))
    _, cursor = contacts(connector)
    contacts(connector, cursor)
    assert seconds <= max(stop.waited) <= seconds + 0.5


def test_a_wait_of_days_is_not_begun(sandbox, ready):
    body = {"status": "error", "policyName": "TEN_SECONDLY_ROLLING"}
    sandbox.faults.add(
        Fault(do="answer", status=429, headers={"Retry-After": "999999"}, body=body, path="objects/2026-09/contacts$")
    )
    with pytest.raises(Unavailable):
        contacts(ready)
    assert len(calls(sandbox, "objects/2026-09/contacts")) == 1


def test_the_daily_limit_parks_the_connector_until_the_portals_midnight(sandbox):
    notes = {}
    connector = hubspot(sandbox, notes=notes)
    connector.account()
    body = {"status": "error", "policyName": "DAILY", "message": "You have reached your daily limit."}
    sandbox.faults.add(Fault(do="answer", status=429, body=body, path="/crm/"))
    with pytest.raises(Unavailable) as told:
        contacts(connector)
    sandbox.calls.clear()
    with pytest.raises(Unavailable):
        contacts(connector)
    assert told.value.until == "00:00 on 2026-11-22 in Europe/Berlin"
    assert calls(sandbox) == []
    sandbox.faults.clear()
    notes["hubspot.parked_until"] = "2020-01-01T00:00:00+00:00"
    assert contacts(connector)[0]


def test_the_configured_share_of_the_day_is_not_exceeded(sandbox, ready):
    sandbox.portal.switches.daily, sandbox.portal.switches.daily_used = 1_000, 750
    with pytest.raises(Unavailable, match="api_share"):
        contacts(ready)


def test_the_burst_limit_is_learned(sandbox):
    sandbox.portal.switches.burst = 123
    connector = hubspot(sandbox, calls_per_10s=None)
    connector.account()
    assert connector._api._burst.rate == 123


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_errors_that_waiting_does_not_help_are_sent_once(sandbox, ready, status):
    sandbox.faults.add(Fault(**refused(status, message="no", category="X"), path="properties"))
    with pytest.raises((ConfigError, Unavailable)):
        contacts(ready)
    assert len(calls(sandbox, "properties")) == 1


def test_a_server_error_is_tried_a_few_times(sandbox, ready):
    sandbox.faults.add(Fault(do="answer", status=503, path="properties", last=3))
    assert contacts(ready)[0]
    assert len(calls(sandbox, "properties/2026-09/contacts")) == 4


def test_a_bug_is_not_repeated(sandbox, ready, monkeypatch):
    tried = []

    def broken(*_):
        tried.append(1)
        raise KeyError("a bug")

    monkeypatch.setattr(ready._api, "_send", broken)
    with pytest.raises(KeyError):
        ready.owners()
    assert len(tried) == 1


def test_a_wrong_token_is_told_and_not_shown(sandbox):
    with pytest.raises(Unauthorized) as told:
        contacts(hubspot(sandbox, token="canary-secret"))
    assert "CRMSYNC_HUBSPOT__TOKEN" in str(told.value)
    assert "canary" not in f"{told.value!r} {told.value} {told.value.__cause__!r} {told.value.__context__!r}"


def test_no_token_at_all(sandbox):
    with pytest.raises(ConfigError, match="CRMSYNC_HUBSPOT__TOKEN"):
        connect(Settings(base_url=sandbox.url), NAMES, {}, Hurry())


def test_a_missing_scope_is_named(sandbox):
    sandbox.portal.switches.scopes = ["crm.objects.owners.read"]
    with pytest.raises(Forbidden, match=r"crm\.objects\.contacts\.read"):
        contacts(hubspot(sandbox))


def test_a_page_in_another_encoding_is_no_bug(sandbox, ready):
    sandbox.faults.add(
        Fault(do="answer", status=502, body="Störung", headers={"Content-Type": "text/html"}, path="owners", nth=1)
    )
    assert ready.owners()


def test_a_server_that_never_answers_is_given_up(sandbox, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.client.TIMEOUT", (1.0, 0.05))
    sandbox.faults.add(Fault(do="silence", path="owners"))
    with pytest.raises(Unavailable, match="ReadTimeoutError"):
        hubspot(sandbox).owners()


def test_a_body_that_drips_is_given_up_and_asked_for_again(sandbox, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.client.BODY_DEADLINE", 0.05)
    sandbox.faults.add(Fault(do="drip", seconds=0.0005, path="owners", nth=1))
    assert hubspot(sandbox).owners()
    assert len(calls(sandbox, "owners")) == 3


def test_nobody_listens(sandbox):
    connector = connect(Settings(base_url="http://127.0.0.1:9", token="x"), NAMES, {}, Hurry())
    with pytest.raises(Unavailable, match="cannot be reached"):
        connector.account()


def test_a_redirect_is_not_followed(sandbox, ready):
    elsewhere = {"Location": "http://localhost:1/evil"}
    sandbox.faults.add(Fault(do="answer", status=307, headers=elsewhere, path="owners"))
    with pytest.raises(Unavailable, match="another address"):
        ready.owners()


def test_a_link_to_the_next_page_is_not_followed_elsewhere(sandbox, ready):
    page = {"results": [], "paging": {"next": {"after": "5", "link": "https://evil.example/steal"}}}
    sandbox.faults.add(Fault(do="answer", status=200, body=page, path="owners", nth=1))
    ready.owners()
    assert all(each.path.startswith("/crm/owners") for each in calls(sandbox)[-3:])


@pytest.mark.parametrize(
    "url",
    [
        "http://api.hubapi.com",
        "https://api.hubapi.com.evil.io",
        "https://user:pw@api.hubapi.com",
        "https://169.254.169.254",
    ],
)
def test_a_token_goes_to_hubspot_only(url):
    with pytest.raises(ValueError, match=r"https://|host must be|remove the user name"):
        Settings(base_url=url)


def oauth(sandbox, tmp_path, **more):
    return {
        "token": None,
        "client_id": "sandbox",
        "client_secret": "sandbox",
        "refresh_token": "sandbox-refresh",
        "token_file": str(tmp_path / "hubspot.token"),
        **more,
    }


def test_oauth_renews_before_the_end_and_keeps_the_rotated_token(sandbox, tmp_path):
    connector = hubspot(sandbox, **oauth(sandbox, tmp_path))
    assert contacts(connector)[0]
    kept = tmp_path / "hubspot.token"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["refresh_token"] != "sandbox-refresh"
    assert contacts(hubspot(sandbox, **oauth(sandbox, tmp_path)))[0]


def test_oauth_goes_on_when_a_token_ends_in_the_middle(sandbox, tmp_path):
    connector = hubspot(sandbox, **oauth(sandbox, tmp_path))
    connector.account()
    sandbox.clock.advance(1_801)
    assert contacts(connector)[0]


def test_oauth_that_was_revoked_is_told_once(sandbox, tmp_path):
    sandbox.do("hubspot", "revoke_token", token="sandbox-refresh")
    with pytest.raises(ConfigError, match="CRMSYNC_HUBSPOT__REFRESH_TOKEN"):
        contacts(hubspot(sandbox, **oauth(sandbox, tmp_path)))
    assert len(calls(sandbox)) == 1


def test_oauth_needs_all_its_parts(sandbox):
    with pytest.raises(ValueError, match="token_file"):
        Settings(client_id="a", client_secret="b", refresh_token="c")


def test_stop_ends_a_wait_at_once(sandbox):
    stop = threading.Event()
    connector = hubspot(sandbox, stop=stop)
    sandbox.faults.add(Fault(do="answer", status=429, headers={"Retry-After": "290"}, path="owners"))
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Cancelled):
        connector.owners()


def test_stop_is_heard_while_hubspot_says_nothing(sandbox):
    stop = threading.Event()
    connector = hubspot(sandbox, stop=stop)
    sandbox.faults.add(Fault(do="silence", path="owners"))
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Cancelled):
        connector.owners()


def test_stop_is_heard_while_batches_are_under_way(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(300)]
    stop = threading.Event()
    connector = hubspot(sandbox, stop=stop)
    sandbox.faults.add(Fault(do="silence", path="batch/update", first=2))
    receipts = connector.write([change(contact_id, score=9) for contact_id in ids])
    assert next(receipts).ok
    stop.set()
    with pytest.raises(Cancelled):
        list(receipts)


def test_calls_leave_no_threads_or_sockets_behind(sandbox, ready):
    def held():
        return len(os.listdir("/proc/self/fd"))

    pulled(ready.activities(None))
    before = held()
    for _ in range(30):
        ready._portal.forget()
        pulled(ready.contacts(None))
    assert held() <= before + 8


def test_no_secret_is_logged_even_when_everything_is(sandbox, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    sandbox.do("hubspot", "issue_token", token="canary-token")
    connector = hubspot(sandbox, token="canary-token")
    sandbox.faults.add(Fault(do="answer", status=503, path="owners", nth=1))
    sandbox.faults.add(Fault(**refused(404, message="no"), path="pipelines"))
    contacts(connector)
    assert connector.owners()
    assert "canary" not in caplog.text
    assert "canary" not in repr(connector._api.settings)


def test_stop_ends_a_pull_between_pages(sandbox):
    stop = threading.Event()
    pages = hubspot(sandbox, stop=stop).contacts(None)
    next(pages)
    stop.set()
    with pytest.raises(Cancelled):
        list(pages)


def test_two_portals_in_one_process_keep_their_tokens_apart(sandbox):
    right, wrong = hubspot(sandbox), hubspot(sandbox, token="another")
    assert right.account()
    with pytest.raises(Unauthorized):
        wrong.account()
    assert right.owners()


def test_the_account_is_known_even_without_its_endpoint(sandbox, ready):
    expected = ready.account()
    sandbox.faults.add(Fault(**refused(403, message="no"), path="account-info"))
    assert hubspot(sandbox).account() == expected
