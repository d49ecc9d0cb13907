"""Meetings and calls as activities of whom they are associated with."""

import pytest

from tests.support.hubspot import create
from tests.support.pages import pulled


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
