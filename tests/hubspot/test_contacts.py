"""Contacts out of HubSpot: all of them or what changed, while people edit, delete and merge."""

from collections import Counter

import pytest

from connectors.sandbox.faults import Fault
from crmsync.errors import Unavailable
from crmsync.model import Ref
from tests.support.hubspot import calls, contacts, create, crowd, hubspot, properties, update
from tests.support.pages import pulled


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
