"""What HubSpot's tracking saw: events, sent forms and marketing e-mails."""

import pytest

from connectors.hubspot.errors import RequestRefused
from connectors.sandbox.faults import Fault
from crmsync.config.tables import Feed
from tests.support.hubspot import FORMS, calls, contacts, create, hubspot, properties, refused, sent
from tests.support.pages import pulled
from tests.support.scoring import model, total


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


def forms_since(sandbox, connector, cursor):
    """The names of the forms that were sent since a cursor, and the cursor behind them, an hour later."""
    sandbox.clock.advance(3_600)
    connector.account()
    found, cursor = pulled(connector.activities(cursor))
    return {each.attributes["form"] for each in found}, cursor


def send(sandbox, contact_id, form, shows):
    """A form that was sent, which the contact shows or does not show."""
    sent(sandbox, contact_id, form=form)
    if not shows:
        properties(sandbox, contact_id).pop("recent_conversion_date")


@pytest.mark.parametrize("shows", [False, True])
def test_a_sent_form_comes_with_the_next_run_also_where_contacts_do_not_show_it(sandbox, shows):
    ada, connector = create(sandbox, email="ada@acme.example"), hubspot(sandbox, activities=FORMS)
    send(sandbox, ada, "First", shows)
    _, cursor = forms_since(sandbox, connector, None)
    sandbox.calls.clear()
    assert forms_since(sandbox, connector, cursor)[0] == set()
    # Where they do, forms are asked for only when a contact shows one.
    assert bool(calls(sandbox, "submissions")) is not shows
    send(sandbox, ada, "Second", shows)
    assert forms_since(sandbox, connector, cursor)[0] == {"Second"}


def test_contacts_that_show_no_forms_any_more_are_asked_no_longer(sandbox):
    ada, connector = create(sandbox, email="ada@acme.example"), hubspot(sandbox, activities=FORMS)
    send(sandbox, ada, "First", shows=True)
    _, cursor = forms_since(sandbox, connector, None)
    send(sandbox, ada, "Second", shows=False)
    assert forms_since(sandbox, connector, cursor)[0] == set()
    sandbox.clock.advance(82_000)
    found, cursor = forms_since(sandbox, connector, cursor)
    assert "Second" in found
    send(sandbox, ada, "Third", shows=False)
    assert forms_since(sandbox, connector, cursor)[0] == {"Third"}


def test_forms_that_hubspot_refuses_to_list_are_left_out_and_the_rest_comes(sandbox):
    connector = hubspot(sandbox)
    sandbox.faults.add(Fault(**refused(400, message="no"), path="/forms$", first=2))
    kinds = {each.kind for each in pulled(connector.activities(None))[0]}
    assert "form_submitted" not in kinds
    assert {"page_viewed", "meeting_held"} <= kinds
    assert any("forms" in note for note in connector.check().notes)


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


def test_case_S7_a_rule_asks_for_opens_that_hubspot_does_not_hold_for_machines(sandbox):
    opened = create(sandbox, email="opened@acme.example")
    for machine in (0, 1, 1):
        attributes = {"campaign": "News", "filtered": machine}
        sandbox.do("hubspot", "add_activity", id=opened, kind="email_opened", attributes=attributes)
    feed = Feed(
        source="email_events", kind="email_opened", where={"type": "OPEN"}, attributes={"machine": "filteredEvent"}
    )
    found = [each for each in pulled(hubspot(sandbox, activities=[feed]).activities(None))[0] if each.ref.id == opened]
    done = [{"kind": each.kind, "at": each.at, "attributes": dict(each.attributes)} for each in found]
    asks = model(behavior=[{"name": "open", "points": 5, "on": "email_opened", "where": {"machine": False}}])
    assert total(asks, done) == 5


def test_an_event_tells_how_soon_after_the_sending_it_was(sandbox):
    contact_id = create(sandbox, email="opened@acme.example")
    about = {"campaign": "News", "subject": "Autumn"}
    sandbox.do("hubspot", "add_activity", id=contact_id, kind="email_sent", attributes=about)
    for wait, url in ((3, "https://acme.example/a"), (90, "https://acme.example/b")):
        sandbox.clock.advance(wait)
        sandbox.do("hubspot", "add_activity", id=contact_id, kind="email_clicked", attributes={**about, "url": url})
    feed = Feed(source="email_events", kind="email_clicked", where={"type": "CLICK"}, attributes={"url": "url"})
    found = pulled(hubspot(sandbox, activities=[feed]).activities(None))[0]
    assert sorted([dict(each.attributes) for each in found if each.ref.id == contact_id], key=str) == [
        {"url": "https://acme.example/a", "seconds_after_sending": 3},
        {"url": "https://acme.example/b"},
    ]


def test_events_whose_next_page_is_refused_however_often_they_begin_anew_are_left_out_and_named(sandbox, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.events.EVENT_PAGE", 3)
    monkeypatch.setattr("connectors.hubspot.events.SMALLER_EVENT_PAGE", 2)
    feeds = [Feed(source="e_visited_page", kind="page_viewed"), *FORMS]
    sent(sandbox, create(sandbox, email="a@acme.example"))
    connector = hubspot(sandbox, activities=feeds, concurrency=1)
    get, asked = connector._api.get, []

    def refuse_tokens(where, query=()):
        asked.append(dict(query).get("after"))
        assert len(asked) < 60, "it has no end"
        if where.words == "read events" and asked[-1]:
            raise RequestRefused(400, {"message": "the token is not valid"}, where.words)
        return get(where, query)

    monkeypatch.setattr(connector._api, "get", refuse_tokens)
    found, _ = pulled(connector.activities(None))
    assert "form_submitted" in {each.kind for each in found}
    assert any("e_visited_page" in note for note in connector.check().notes)
