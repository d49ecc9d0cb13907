"""Records that were merged, converted or deleted."""

import pytest

from connectors.sandbox.faults import Fault
from crmsync.model import Ref
from tests.support.pages import pulled
from tests.support.salesforce import by_ref, change, connect, do, live, written


def test_merged_and_converted_records_say_where_they_went(sandbox, crm):
    first, second, third, *_ = live(crm)
    _, cursor = pulled(crm.contacts(None))
    do(sandbox, "merge", winner=first.ref.id, losers=[second.ref.id])
    became = do(sandbox, "convert", id=third.ref.id)
    found = by_ref(pulled(connect(sandbox).contacts(cursor))[0])
    assert (found[second.ref].gone, found[second.ref].merged_into) == (True, first.ref)
    assert found[third.ref].converted_into == Ref("salesforce", "contact", became["contact"])
    assert found[third.ref].converted_into in found
    read = by_ref(connect(sandbox).read([second.ref, third.ref]))
    assert read[second.ref].merged_into == first.ref
    assert read[third.ref].converted_into == found[third.ref].converted_into


def test_a_purged_record_reads_as_gone(sandbox, crm):
    lead = live(crm)[0]
    do(sandbox, "delete", id=lead.ref.id)
    do(sandbox, "purge")
    assert [each.gone for each in crm.read([lead.ref])] == [True]


def test_a_converted_lead_names_its_contact(sandbox, crm, leads):
    became = do(sandbox, "convert", id=leads[0].id)
    told = written(crm, *map(change, leads))
    assert told[leads[0]].moved_to == Ref("salesforce", "contact", became["contact"])
    assert all(each.ok for ref, each in told.items() if ref != leads[0])


def test_an_org_that_lets_converted_leads_be_edited_is_no_error(sandbox, crm, leads):
    do(sandbox, "set", edit_converted=True)
    do(sandbox, "convert", id=leads[0].id)
    assert written(crm, change(leads[0]))[leads[0]].ok


def test_a_chain_of_merges_is_followed(sandbox, crm, leads):
    first, second, third = leads[:3]
    do(sandbox, "merge", winner=second.id, losers=[first.id])
    do(sandbox, "merge", winner=third.id, losers=[second.id])
    told = written(crm, change(first), change(third))
    assert (told[first].ok, told[first].moved_to) == (False, third)
    assert told[third].ok


def test_a_deleted_record_is_gone_and_not_made_again(sandbox, crm, leads):
    do(sandbox, "delete", id=leads[0].id)
    told = written(crm, change(leads[0]), change(leads[1]))
    assert (told[leads[0]].ok, told[leads[0]].gone, told[leads[1]].ok) == (False, True, True)


NOT_SHOWN = ["INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND"]


@pytest.mark.parametrize("code", NOT_SHOWN)
def test_a_record_that_is_only_not_shown_is_refused_and_not_gone(sandbox, crm, leads, code):
    hidden, *others = leads
    do(sandbox, "unshare", ids=[hidden.id], code=code)
    told = written(crm, *(change(ref, score=7, band="A", stage="mql") for ref in leads))
    assert (told[hidden].ok, told[hidden].gone, told[hidden].moved_to) == (False, False, None)
    assert "'View All Records'" in told[hidden].reason
    assert all(told[ref].ok for ref in others)
    [read] = crm.read([hidden])
    assert read.unseen


def test_a_purged_record_is_gone_where_salesforce_still_names_it_as_deleted(sandbox, crm, leads):
    purged, hidden, *others = leads
    do(sandbox, "delete", id=purged.id)
    do(sandbox, "purge")
    do(sandbox, "unshare", ids=[hidden.id])
    sandbox.clock.advance(60)
    sandbox.calls.clear()
    told = written(crm, *(change(ref) for ref in leads))
    assert [told[ref].gone for ref in leads] == [True, False, *(False for _ in others)]
    read = by_ref(crm.read([purged, hidden]))
    assert [(read[ref].gone, read[ref].unseen) for ref in (purged, hidden)] == [(True, False), (True, True)]
    asked = [each for each in sandbox.calls.of("salesforce") if "/deleted" in each.path]
    assert len(asked) == 2


@pytest.mark.parametrize(
    "why",
    ["long ago", "refused", "without a list", "without ids", "broken", "a page of HTML", "led elsewhere", "retired"],
)
def test_a_purged_record_that_salesforce_does_not_name_cannot_be_told_from_one_that_is_not_shown(
    sandbox, crm, leads, why
):
    do(sandbox, "delete", id=leads[0].id)
    do(sandbox, "purge")
    sandbox.clock.advance(16 * 86_400 if why == "long ago" else 60)
    answers = {
        "refused": {"status": 400, "body": [{"errorCode": "EXCEEDED_ID_LIMIT", "message": "too many"}]},
        "without a list": {"status": 200, "body": {"deletedRecords": None}},
        "without ids": {"status": 200, "body": {"deletedRecords": [None, {"id": 7}, {"id": ""}]}},
        "broken": {"status": 500, "body": "oops"},
        "a page of HTML": {"status": 200, "body": "<html>"},
        "led elsewhere": {"status": 302, "body": ""},
        "retired": {"status": 410, "body": [{"errorCode": "GONE", "message": "no such version"}]},
    }
    if why in answers:
        sandbox.faults.add(Fault(do="answer", vendor="salesforce", path="/sobjects/Lead/deleted", **answers[why]))
    told = written(crm, change(leads[0]))[leads[0]]
    assert (told.ok, told.gone) == (False, False)
    assert "crmsync backfill --yes" in told.reason
    [read] = crm.read([leads[0]])
    assert read.unseen


def test_a_record_that_salesforce_calls_deleted_is_gone_though_nothing_shows_it(sandbox, crm, leads):
    do(sandbox, "unshare", ids=[leads[0].id], code="ENTITY_IS_DELETED")
    assert written(crm, change(leads[0]))[leads[0]].gone


def test_a_record_that_was_merged_into_one_that_is_not_shown_is_gone(sandbox, crm, leads):
    loser, winner = leads[:2]
    do(sandbox, "merge", winner=winner.id, losers=[loser.id])
    do(sandbox, "unshare", ids=[winner.id])
    told = written(crm, change(loser), change(winner))
    assert (told[loser].gone, told[winner].gone) == (True, False)


def test_what_a_bulk_job_may_not_see_is_refused_and_not_gone(sandbox, crm, leads):
    do(sandbox, "unshare", ids=[leads[0].id])
    made = connect(sandbox)
    object.__setattr__(made._org.settings, "bulk_threshold", 0)
    told = written(made, *map(change, leads))
    assert [ref for ref, each in told.items() if not each.ok] == [leads[0]]
    assert not told[leads[0]].gone
