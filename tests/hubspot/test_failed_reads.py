"""Batches that succeed and of which HubSpot failed to read a part: asked again, then unknown, and never nothing."""

from dataclasses import replace

import pytest

from connectors.hubspot.associations import attach_associated
from connectors.hubspot.client import Api
from connectors.hubspot.cursors import load_cursors
from connectors.sandbox.faults import Fault
from crmsync.errors import Unavailable
from tests.hubspot.test_tasks import WITH_TASKS, task, tasks_of
from tests.support.hubspot import (
    FORMS,
    NAMES,
    calls,
    contacts,
    create,
    deals,
    edit_deal,
    hubspot,
    join_deal,
    sell,
    sent,
    update,
)

ALWAYS = 99


def fail(sandbox, *ids, times=ALWAYS):
    sandbox.portal.switches.failed_reads = {str(each): times for each in ids}


def call_with(sandbox, contact_id):
    call = sandbox.do("hubspot", "create", type="calls", properties={"hs_timestamp": "2026-11-20T09:00:00Z"})["id"]
    sandbox.do("hubspot", "associate", type="calls", id=call, to="contacts", other=contact_id)
    return call


def pull(pages):
    """The items of a stream, what was odd, the beginnings of ids that came whole, and the cursor behind it all."""
    found = list(pages)
    items, odd = [each for page in found for each in page.items], [each for page in found for each in page.odd]
    return items, odd, {each for page in found for each in page.whole}, found[-1].cursor


@pytest.fixture
def lists_bring_nothing(monkeypatch):
    """A version of the API whose lists come without associations."""
    monkeypatch.setattr("connectors.hubspot.engagements.attach_listed", attach_associated)


def test_whose_a_call_is_that_failed_to_be_read_once_is_asked_again(sandbox, ready, lists_bring_nothing):
    call = call_with(sandbox, create(sandbox, email="asked@acme.example"))
    fail(sandbox, call, times=2)
    items, odd, whole, _ = pull(ready.activities(None))
    assert f"calls:{call}" in {each.id for each in items}
    assert not odd
    assert "calls:" in whole
    assert len(calls(sandbox, "calls/contacts/batch/read")) == 3


def test_a_call_of_which_nobody_knows_whose_it_is_is_named_and_its_kind_did_not_come_whole(
    sandbox, ready, lists_bring_nothing
):
    call = call_with(sandbox, create(sandbox, email="asked@acme.example"))
    fail(sandbox, call)
    items, odd, whole, _ = pull(ready.activities(None))
    assert f"calls:{call}" not in {each.id for each in items}
    assert [(each.what, each.why) for each in odd] == [(f"calls {call}", "with an error of HubSpot (INTERNAL_ERROR)")]
    assert "calls:" not in whole
    assert "meetings:" in whole


def test_a_call_that_is_known_is_not_gone_while_hubspot_fails_to_say_whose_it_is(sandbox, ready):
    call = call_with(sandbox, create(sandbox, email="asked@acme.example"))
    cursor = pull(ready.activities(None))[3]
    sandbox.do("hubspot", "update", type="calls", id=call, properties={"hs_call_title": "Again"})
    fail(sandbox, call)
    items, odd, _, cursor = pull(ready.activities(cursor))
    assert [each for each in items if each.id == f"calls:{call}"] == []
    assert [each.what for each in odd] == [f"calls {call}"]
    fail(sandbox)
    sandbox.clock.advance(90_000)
    items, odd, _, _ = pull(ready.activities(cursor))
    assert {each.gone for each in items if each.id == f"calls:{call}"} == {False}
    assert not odd


def test_an_old_call_that_a_backfill_could_not_read_is_asked_for_in_each_run_until_it_comes(
    sandbox, ready, lists_bring_nothing
):
    call = call_with(sandbox, create(sandbox, email="asked@acme.example"))
    sandbox.clock.advance(30 * 86_400)
    fail(sandbox, call)
    cursor = pull(ready.activities(None))[3]
    sandbox.clock.advance(900)
    items, odd, _, cursor = pull(hubspot(sandbox).activities(cursor))
    assert [each.id for each in items if each.id == f"calls:{call}"] == []
    assert [each.what for each in odd] == [f"calls {call}"]
    fail(sandbox)
    sandbox.clock.advance(900)
    items, odd, _, cursor = pull(hubspot(sandbox).activities(cursor))
    assert [(each.id, each.gone) for each in items] == [(f"calls:{call}", False)]
    assert not odd
    sandbox.clock.advance(900)
    sandbox.calls.clear()
    items, _, _, _ = pull(hubspot(sandbox).activities(cursor))
    assert items == []
    assert calls(sandbox, "calls/batch/read") == []


@pytest.mark.parametrize("is_whole_batch", [False, True])
def test_a_missed_call_that_is_there_no_more_is_not_asked_for_again(
    sandbox, ready, lists_bring_nothing, is_whole_batch
):
    call = call_with(sandbox, create(sandbox, email="asked@acme.example"))
    fail(sandbox, call)
    cursor = pull(ready.activities(None))[3]
    fail(sandbox)
    sandbox.do("hubspot", "archive", type="calls", id=call)
    if is_whole_batch:
        body = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "none of them"}
        sandbox.faults.add(Fault(do="answer", status=404, body=body, path="calls/batch/read"))
    for asked in (1, 0):
        sandbox.clock.advance(900)
        sandbox.calls.clear()
        items, odd, _, cursor = pull(hubspot(sandbox).activities(cursor))
        assert (f"calls:{call}" in {each.id for each in items if not each.gone}, odd) == (False, [])
        assert len(calls(sandbox, "calls/batch/read")) == asked


def test_only_so_many_missed_records_are_asked_for_again(sandbox, ready, lists_bring_nothing, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.cursors.MOST_MISSED", 2)
    who = create(sandbox, email="asked@acme.example")
    made = [call_with(sandbox, who) for _ in range(4)]
    fail(sandbox, *made)
    cursor = pull(ready.activities(None))[3]
    assert len(load_cursors(cursor)["calls"].missed) == 2


def test_a_source_of_which_something_was_missed_does_not_rest(sandbox, ready, lists_bring_nothing):
    call = call_with(sandbox, create(sandbox, email="asked@acme.example"))
    fail(sandbox, call)
    _, cursor = contacts(ready)
    known = pull(ready.activities(None))[3]
    fail(sandbox)
    sandbox.clock.advance(900)
    contacts(ready, cursor)
    items, _, _, _ = pull(ready.activities(known))
    assert f"calls:{call}" in {each.id for each in items}


def test_an_old_deal_that_a_backfill_could_not_read_is_asked_for_in_each_run_until_it_comes(
    sandbox, ready, monkeypatch
):
    monkeypatch.setattr("connectors.hubspot.outcomes.attach_listed", attach_associated)
    deal = sell(sandbox, create(sandbox, email="buyer@acme.example"))
    sandbox.clock.advance(30 * 86_400)
    fail(sandbox, deal)
    items, odd, _, cursor = pull(ready.outcomes(None))
    assert deal not in {each.ref.id for each in items}
    assert {each.what for each in odd} == {f"deals {deal}"}
    for fails in (True, False):
        fail(sandbox, *([deal] if fails else []))
        sandbox.clock.advance(900)
        items, odd, _, cursor = pull(hubspot(sandbox).outcomes(cursor))
        assert [each.ref.id for each in items] == ([] if fails else [deal])
        assert bool(odd) is fails
    sandbox.clock.advance(900)
    sandbox.calls.clear()
    assert pull(hubspot(sandbox).outcomes(cursor))[:2] == ([], [])
    assert calls(sandbox, "deals/batch/read") == []


@pytest.mark.parametrize("context", [{}, {"context": {}}, {"context": {"fromObjectType": ["call"]}}, {"context": 7}])
def test_an_error_that_names_no_record_may_be_about_any(sandbox, ready, lists_bring_nothing, context):
    call_with(sandbox, create(sandbox, email="asked@acme.example"))
    expected = pull(ready.activities(None))[0]
    error = {"status": "error", "category": "INTERNAL_ERROR", "message": "no", **context}
    body = {"status": "COMPLETE", "results": [], "errors": [error]}
    sandbox.faults.add(Fault(do="answer", status=207, body=body, path="calls/contacts/batch/read", times=2))
    items, odd, whole, _ = pull(ready.activities(None))
    assert not odd
    assert "calls:" in whole
    assert sorted(items, key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("category", ["VALIDATION_ERROR", "MISSING_SCOPES"])
@pytest.mark.parametrize("is_named", [True, False])
def test_what_hubspot_would_refuse_again_is_asked_for_once(
    sandbox, ready, lists_bring_nothing, category, is_named, monkeypatch
):
    pauses = []
    monkeypatch.setattr(Api, "pause", lambda _api, seconds: pauses.append(seconds))
    call = call_with(sandbox, create(sandbox, email="asked@acme.example"))
    error = {"status": "error", "category": category, "message": "no"}
    error |= {"context": {"fromObjectId": [call]}} if is_named else {}
    body = {"status": "COMPLETE", "results": [], "errors": [error]}
    sandbox.faults.add(Fault(do="answer", status=207, body=body, path="calls/contacts/batch/read"))
    _, odd, whole, _ = pull(ready.activities(None))
    asked = calls(sandbox, "calls/contacts/batch/read")
    assert (len(asked), pauses) == (1, [])
    assert (f"calls {call}", f"with an error of HubSpot ({category})") in {(each.what, each.why) for each in odd}
    assert "calls:" not in whole


def test_beside_what_would_be_refused_again_only_what_passes_is_asked_for_again(sandbox, ready, lists_bring_nothing):
    who = create(sandbox, email="asked@acme.example")
    lasting, passing = call_with(sandbox, who), call_with(sandbox, who)
    errors = [
        {"status": "error", "category": category, "message": "no", "context": {"fromObjectId": [call]}}
        for category, call in (("VALIDATION_ERROR", lasting), ("INTERNAL_ERROR", passing))
    ]
    body = {"status": "COMPLETE", "results": [], "errors": errors}
    sandbox.faults.add(Fault(do="answer", status=207, body=body, path="calls/contacts/batch/read", times=1))
    items, odd, _, _ = pull(ready.activities(None))
    assert [each.what for each in odd] == [f"calls {lasting}"]
    assert f"calls:{passing}" in {each.id for each in items}
    assert len(calls(sandbox, "calls/contacts/batch/read")) == 2


def test_a_contact_whose_company_nobody_can_tell_keeps_what_was_known_of_it(sandbox, ready):
    sandbox.do("hubspot", "hide_property", property="associatedcompanyid")
    names = replace(NAMES, companies=True)
    known, cursor = contacts(hubspot(sandbox, names))
    employed = next(each for each in known.values() if each.company)
    connector = hubspot(sandbox, names)
    update(sandbox, employed.ref.id, jobtitle="Director")
    fail(sandbox, employed.ref.id)
    connector.account()
    items, odd, _, cursor = pull(connector.contacts(cursor))
    assert employed.ref not in {each.ref for each in items}
    assert [each.ref for each in odd] == [employed.ref]
    assert list(connector.read([employed.ref])) == []
    fail(sandbox)
    (found,) = connector.read([employed.ref])
    assert found.company == employed.company
    connector.close()


def test_a_contact_that_fails_inside_a_batch_is_read_alone(sandbox, ready):
    contact_id = create(sandbox, email="alone@acme.example")
    (ref,) = [each.ref for each in contacts(ready)[0].values() if each.ref.id == contact_id]
    fail(sandbox, contact_id)
    (found,) = ready.read([ref])
    assert (found.ref, found.gone) == (ref, False)


def test_nobody_is_taken_for_erased_by_law_while_the_recycle_bin_fails(sandbox, ready):
    contact_id = create(sandbox, email="binned@acme.example")
    (ref,) = [each.ref for each in contacts(ready)[0].values() if each.ref.id == contact_id]
    sandbox.do("hubspot", "archive", id=contact_id)
    fail(sandbox, contact_id)
    (found,) = ready.read([ref])
    assert (found.gone, found.erased) == (True, False)


def test_a_deal_that_fails_to_be_read_keeps_its_contacts(sandbox, ready):
    contact_id = create(sandbox, email="buyer@acme.example")
    deal = sell(sandbox, contact_id)
    known, cursor = deals(ready)
    assert [each.id for each in known[deal].records] == [contact_id]
    join_deal(sandbox, deal, create(sandbox, email="other@acme.example"))
    edit_deal(sandbox, deal, amount="1")
    fail(sandbox, deal)
    items, odd, _, _ = pull(ready.outcomes(cursor))
    assert (items, {each.what for each in odd}) == ([], {f"deals {deal}"})


def test_an_address_that_failed_to_be_looked_up_is_asked_for_in_the_next_run_and_never_named(sandbox):
    email = "form@acme.example"
    sent(sandbox, create(sandbox, email=email))
    fail(sandbox, email)
    connector = hubspot(sandbox, activities=FORMS)
    _, odd, whole, _ = pull(connector.activities(None))
    assert email not in str(odd)
    assert [each.what for each in odd] == ["one of the contacts"]
    assert not whole
    fail(sandbox)
    items, odd, whole, _ = pull(connector.activities(None))
    assert not odd
    assert whole
    assert len(items) >= 1
    connector.close()


def test_a_task_that_fails_to_be_found_is_neither_made_again_nor_taken_for_closed(sandbox):
    crm = hubspot(sandbox, WITH_TASKS)
    crm.create_fields()
    wanted = task(sandbox, "t-1")
    assert [each.ok for each in crm.create_tasks([wanted])] == [True]
    fail(sandbox, "t-1")
    assert [(each.ok, each.retry) for each in crm.create_tasks([wanted])] == [(False, True)]
    assert [(each.ok, each.retry) for each in crm.close_tasks(["t-1"])] == [(False, True)]
    assert tasks_of(sandbox)["t-1"].properties["hs_task_status"] == "NOT_STARTED"
    crm.close()


def test_nothing_is_said_of_the_past_of_a_contact_that_fails_to_be_read(sandbox, ready):
    contact_id = create(sandbox, email="past@acme.example", jobtitle="Engineer")
    (ref,) = [each.ref for each in contacts(ready)[0].values() if each.ref.id == contact_id]
    sandbox.clock.advance(3600)
    update(sandbox, contact_id, jobtitle="Director")
    fail(sandbox, contact_id)
    parts = list(ready.past_fields([ref]))
    assert [value for each in parts for value in each.values] == []
    assert any(since for each in parts for kinds in each.whole_since.values() for since in kinds.values())


def test_nobody_is_taken_for_deleted_where_an_address_is_not_answered(sandbox, ready):
    (ref, *_) = [each.ref for each in contacts(ready)[0].values()]
    sandbox.faults.add(Fault(do="answer", status=404, body="<html>", path=r"contacts/batch/read$|contacts/\d+$"))
    with pytest.raises(Unavailable):
        list(ready.read([ref]))
    sandbox.faults.clear()
    nothing = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "no such contacts"}
    sandbox.faults.add(Fault(do="answer", status=404, body=nothing, path=r"contacts/batch/read$|contacts/\d+$"))
    assert [each.gone for each in ready.read([ref])] == [True]
