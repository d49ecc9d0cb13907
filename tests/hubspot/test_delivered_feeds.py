"""A kind that no feed delivers is counted by the contact's own counters."""

from connectors.sandbox.faults import Fault
from tests.support.hubspot import contacts, hubspot
from tests.support.pages import pulled


def test_a_portal_without_events_counts_page_views_instead(sandbox, ready):
    sandbox.portal.switches.tier = "professional"
    connector = hubspot(sandbox)
    found, _ = contacts(connector)
    activities, _ = pulled(connector.activities(None))
    assert any("page_viewed" in each.counters for each in found.values())
    assert "page_viewed" not in {each.kind for each in activities}
    assert any("e_visited_page" in note for note in connector.check().notes)


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
