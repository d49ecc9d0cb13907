"""Pages that lead round in a circle, each with another token than the one before: a pull ends, and says so."""

import pytest

from connectors.sandbox.faults import Fault
from crmsync.config.tables import Feed
from crmsync.errors import Unavailable
from tests.support.hubspot import FORMS, contacts, create, hubspot, sent
from tests.support.pages import pulled

VISITS = [Feed(source="e_visited_page", kind="page_viewed")]
CALLS = [Feed(source="calls", kind="call_completed")]


def lead_round(sandbox, path, results, **more):
    """Two pages in turn, each of which names the other as the next one."""
    for place, following in ((1, "b7"), (2, "a9")):
        body = {"results": results, "paging": {"next": {"after": following}}, **more}
        sandbox.faults.add(Fault(do="answer", status=200, body=body, path=path, first=place, every=2, last=400))


def contact(number):
    return {"id": str(number), "properties": {"hs_object_id": str(number)}, "createdAt": "2026-01-01T00:00:00Z"}


def test_a_list_in_no_order_that_leads_round_ends_the_pull(sandbox, ready):
    lead_round(sandbox, "objects/2026-09/contacts$", [contact(70), contact(60)])
    with pytest.raises(Unavailable, match="again and again"):
        contacts(ready)


def test_a_search_of_empty_pages_that_leads_round_ends_the_pull(sandbox, ready):
    _, cursor = contacts(ready)
    lead_round(sandbox, "contacts/search$", [], total=5)
    with pytest.raises(Unavailable, match="again and again"):
        contacts(ready, cursor)


def test_events_that_lead_round_end_the_pull(sandbox):
    connector = hubspot(sandbox, activities=VISITS)
    lead_round(sandbox, "event-occurrences/2026-09$", [])
    with pytest.raises(Unavailable, match="again and again"):
        pulled(connector.activities(None))


def test_sent_forms_that_lead_round_end_the_pull(sandbox):
    sent(sandbox, create(sandbox, email="form@acme.example"))
    lead_round(sandbox, "submissions/forms/", [])
    with pytest.raises(Unavailable, match="again and again"):
        pulled(hubspot(sandbox, activities=FORMS).activities(None))


def test_associations_that_lead_round_end_the_pull(sandbox):
    call = str(sandbox.portal.state.records["calls"].live[0])
    for place, following in ((1, "b7"), (2, "a9")):
        result = {"from": {"id": call}, "to": [], "paging": {"next": {"after": following}}}
        body = {"status": "COMPLETE", "results": [result]}
        sandbox.faults.add(
            Fault(do="answer", status=200, body=body, path="calls/contacts/batch/read", first=place, every=2, last=400)
        )
    connector = hubspot(sandbox, activities=CALLS)
    connector.account()
    _, cursor = pulled(connector.activities(None))
    sandbox.do("hubspot", "update", type="calls", id=call, properties={"hs_call_title": "Again"})
    with pytest.raises(Unavailable, match="again and again"):
        pulled(connector.activities(cursor))


def test_marketing_emails_that_lead_round_end_the_pull(sandbox):
    for place, offset in ((1, "b7"), (2, "a9")):
        body = {"events": [], "hasMore": True, "offset": offset}
        how = {"first": place, "every": 2, "last": 400}
        sandbox.faults.add(Fault(do="answer", status=200, body=body, path="email/public/v1/events", **how))
    opened = [Feed(source="email_events", kind="email_opened", where={"type": "OPEN"})]
    with pytest.raises(Unavailable, match="again and again"):
        pulled(hubspot(sandbox, activities=opened).activities(None))
