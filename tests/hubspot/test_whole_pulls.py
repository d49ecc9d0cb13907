"""Which sources a pull says came whole, and what was deleted meanwhile."""

import pytest

from connectors.sandbox.faults import Fault
from crmsync.config.tables import Feed
from tests.support.hubspot import FORMS, calls, create, hubspot, refused, sent
from tests.support.pages import pulled


def whole(pages):
    """What a stream says came whole, each beginning of ids once and after everything that has it."""
    named = []
    for page in pages:
        assert not [each for each in page.items if each.id.startswith(tuple(named))]
        named += page.whole
    assert len(set(named)) == len(named)
    return set(named)


EVENTS = ("content_downloaded", "webinar_registered", "webinar_attended", "event_registered", "event_attended")
ENGAGEMENTS = {"emails:", "meetings:", "calls:", "notes:", "communications:", "tasks:"}


@pytest.fixture
def complete(sandbox):
    """A portal that has every type of event that the default feeds read."""
    for name in EVENTS:
        sandbox.do("hubspot", "add_activity", id=create(sandbox, email=f"{name}@acme.example"), kind=name)
    return sandbox


def test_a_full_pull_says_of_every_source_that_it_came_whole(complete):
    connector = hubspot(complete)
    assert whole(connector.activities(None)) == ENGAGEMENTS | {"forms:", "events:"}


@pytest.mark.parametrize("kind", EVENTS)
def test_each_event_of_the_default_feeds_counts_as_what_it_is(sandbox, kind):
    who = create(sandbox, email="ada@acme.example")
    sandbox.do("hubspot", "add_activity", id=who, kind=kind)
    found = pulled(hubspot(sandbox).activities(None))[0]
    assert [each.kind for each in found if each.ref.id == who] == [kind]


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
