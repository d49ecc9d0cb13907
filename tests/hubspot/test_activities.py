"""Activities from every feed, behind one cursor."""

from datetime import timedelta

import pytest

from crmsync.config.tables import Feed
from tests.support.hubspot import calls, contacts, create, hubspot
from tests.support.pages import pulled


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
