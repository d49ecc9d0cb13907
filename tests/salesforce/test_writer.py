"""Writing to Salesforce: one bad field or record holds back nothing else."""

import threading
from dataclasses import replace

import pytest

from connectors.salesforce import writer
from crmsync.connector import FieldMap
from crmsync.errors import Cancelled
from crmsync.model import Ref
from tests.support.pages import pulled
from tests.support.salesforce import NAMES, change, connect, do, fault, live, patches, row, written
from tests.support.stop import Hurried, Interrupted

# One call


def test_every_output_the_stage_and_the_owner_are_written(sandbox, crm, leads):
    owner = crm.owners()[0].id
    after = {"score": 73, "fit": 33, "behavior": 40, "band": "mql", "reason": "asked for a demo"}
    told = written(crm, change(leads[0], **after, stage="mql", owner=owner))[leads[0]]
    assert (told.ok, told.refused) == (True, {})
    now = row(sandbox, leads[0])
    assert [now[f"Crmsync_{name.title()}__c"] for name in after] == [73, 33, 40, "mql", "asked for a demo"]
    assert (now["Status"], now["OwnerId"]) == ("Working - Contacted", owner)


def test_a_stage_of_a_contact_goes_into_its_own_field(sandbox, crm, contacts):
    assert written(crm, change(contacts[0], stage="mql"))[contacts[0]].ok
    assert row(sandbox, contacts[0])["Crmsync_Stage__c"] == "MQL"


def test_two_hundred_rows_are_one_call(sandbox, crm, leads, contacts):
    sandbox.calls.clear()
    assert all(told.ok for told in written(crm, *map(change, [*leads, *contacts])).values())
    assert len(patches(sandbox)) == 2


def test_a_record_named_twice_is_written_in_turn(sandbox, crm, leads):
    told = list(crm.write([change(leads[0], score=1), change(leads[0], score=2)]))
    assert [each.ok for each in told] == [True, True]
    assert row(sandbox, leads[0])["Crmsync_Score__c"] == 2


def test_rows_are_sorted_by_their_account(sandbox, crm, contacts, monkeypatch):
    sent = []
    rest = crm._org.rest
    monkeypatch.setattr(crm._org, "rest", lambda *asked: sent.append(asked) or rest(*asked))
    groups = ["b", "a", "c", "a"]
    written(crm, *(change(ref, group=group) for ref, group in zip(contacts, groups, strict=False)))
    ids = [each["id"] for method, path, *body in sent if method == "PATCH" for each in body[0]["records"]]
    order = {ref.id: group for ref, group in zip(contacts, groups, strict=False)}
    assert [order[each] for each in ids] == ["a", "a", "b", "c"]


def test_values_are_made_to_fit(sandbox, crm, leads):
    told = written(crm, change(leads[0], reason="\U0001f680" * 200, score=12.0, band="x" * 100))[leads[0]]
    assert told.ok
    now = row(sandbox, leads[0])
    assert now["Crmsync_Reason__c"] == "\U0001f680" * 127
    assert len(now["Crmsync_Band__c"]) == 80


def test_a_number_that_does_not_fit_holds_back_nothing(sandbox, crm, leads):
    told = written(crm, change(leads[0], score=10**12, band="mql"))[leads[0]]
    assert told.ok
    assert "9 digits" in told.refused["score"]
    assert row(sandbox, leads[0])["Crmsync_Band__c"] == "mql"


def test_what_the_config_does_not_spell_is_refused_without_a_call(sandbox, crm, leads):
    made = connect(sandbox, names=FieldMap(score_fields={"score": {"contact": "Crmsync_Score__c"}}))
    sandbox.calls.clear()
    told = written(made, change(leads[0]))[leads[0]]
    assert not told.ok
    assert "has no mapping of score" in told.reason
    assert not patches(sandbox)


# Assignment rules


@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_assignment_rule_takes_a_lead_even_when_the_session_ends(sandbox, crm, leads, number):
    before = {ref: row(sandbox, ref)["OwnerId"] for ref in leads}
    made = connect(sandbox)
    body = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    fault(sandbox, "answer", "/services/data", nth=number, status=401, body=body)
    assert all(told.ok for told in written(made, *map(change, leads)).values())
    assert {ref: row(sandbox, ref)["OwnerId"] for ref in leads} == before


# One row that is wrong


def test_a_validation_rule_refuses_one_row_and_says_why(sandbox, crm, leads):
    poor = leads[3]
    do(sandbox, "update", id=poor.id, fields={"Title": "Poisoned"})
    do(sandbox, "add_validation_rule", object="Lead", when="Title = 'Poisoned'", message="Title must be real")
    told = written(crm, *map(change, leads))
    assert [ref for ref, each in told.items() if not each.ok] == [poor]
    assert "validation rule" in told[poor].reason
    assert "Title must be real" in told[poor].reason
    assert not told[poor].retry


def test_a_rule_that_blames_a_field_of_others_refuses_the_row_with_one_call(sandbox, crm, leads):
    do(sandbox, "update", id=leads[0].id, fields={"Title": "Poisoned"})
    do(sandbox, "add_validation_rule", object="Lead", when="Title = 'Poisoned'", message="No", field="Title")
    after = {"score": 7, "fit": 3, "behavior": 4, "band": "A", "reason": "why"}
    told = written(crm, *(change(ref, **after) for ref in leads))
    assert [ref for ref, each in told.items() if not each.ok] == [leads[0]]
    assert "No" in told[leads[0]].reason
    assert len(patches(sandbox)) == 1


def test_a_rule_on_the_stage_that_blames_another_field_lets_the_score_through(sandbox, crm, leads):
    when, new = "Status = 'Working - Contacted'", leads[0]
    do(sandbox, "update", id=new.id, fields={"Status": "Open - Not Contacted"})
    do(sandbox, "add_validation_rule", object="Lead", when=when, message="Title first", field="Title")
    told = written(crm, change(new, score=9, fit=3, band="A", stage="mql"))[new]
    assert told.ok
    assert set(told.refused) == {"stage"}
    assert len(patches(sandbox)) == 3


def test_rows_without_the_column_that_a_call_is_refused_for_are_written(sandbox, crm, leads):
    crm.missing_fields()
    do(sandbox, "set", unknown_field="request")
    do(sandbox, "hide_field", object="Lead", field="Crmsync_Fit__c")
    told = written(crm, change(leads[0], score=7, fit=3), *(change(ref, score=7, band="A") for ref in leads[1:]))
    assert [ref for ref, each in told.items() if not each.ok or each.refused] == [leads[0]]
    assert all(row(sandbox, ref)["Crmsync_Score__c"] == 7 for ref in leads)


def test_a_rule_on_the_stage_lets_the_score_through(sandbox, crm, leads):
    do(sandbox, "add_validation_rule", object="Lead", when="Status = 'Working - Contacted'", message="Call first")
    new = next(ref for ref in leads if row(sandbox, ref)["Status"] != "Working - Contacted")
    told = written(crm, change(new, score=9, stage="mql"))[new]
    assert told.ok
    assert "Call first" in told.refused["stage"]
    assert row(sandbox, new)["Crmsync_Score__c"] == 9


def test_a_duplicate_rule_that_only_alerts_lets_the_row_through(sandbox, crm, leads):
    do(sandbox, "add_duplicate_rule", object="Lead", field="Company")
    assert all(each.ok for each in written(crm, *map(change, leads)).values())


def test_a_duplicate_rule_that_blocks_is_a_receipt(sandbox, crm, leads):
    for ref in leads[:2]:
        do(sandbox, "update", id=ref.id, fields={"Email": "same@twin.example"})
    do(sandbox, "add_duplicate_rule", object="Lead", field="Email", block=True)
    told = written(crm, *map(change, leads))
    assert {ref for ref, each in told.items() if not each.ok} >= set(leads[:2])
    assert "duplicate rule" in told[leads[0]].reason


@pytest.mark.parametrize("unknown", ["request", "row"])
@pytest.mark.parametrize("action", ["hide_field", "remove_field"])
def test_a_field_that_goes_meanwhile_holds_back_nothing(sandbox, crm, leads, unknown, action):
    crm.missing_fields()
    do(sandbox, "set", unknown_field=unknown)
    do(sandbox, action, object="Lead", field="Crmsync_Fit__c")
    told = written(crm, *(change(ref, score=7, fit=3) for ref in leads))
    assert all(each.ok and set(each.refused) == {"fit"} for each in told.values())
    assert all(row(sandbox, ref)["Crmsync_Score__c"] == 7 for ref in leads)
    assert len(patches(sandbox)) < 8


def test_a_field_that_may_not_be_edited_is_refused_without_a_call(sandbox, crm, leads):
    do(sandbox, "hide_field", object="Lead", field="Crmsync_Fit__c", readable=True)
    told = written(connect(sandbox), change(leads[0], score=7, fit=3))[leads[0]]
    assert told.ok
    assert "grant Edit" in told.refused["fit"]


def test_a_stage_value_that_goes_meanwhile_holds_back_nothing(sandbox, crm, leads):
    new = next(ref for ref in leads if row(sandbox, ref)["Status"] != "Working - Contacted")
    crm.missing_fields()
    do(sandbox, "remove_picklist_value", object="Lead", field="Status", value="Working - Contacted")
    for made in (crm, connect(sandbox)):
        told = written(made, change(new, score=7, stage="mql"))[new]
        assert told.ok
        assert "picklist" in told.refused["stage"]


def test_a_converted_status_is_never_written(sandbox, crm, leads):
    names = FieldMap(score_fields=NAMES.score_fields, stages={"customer": {"lead": "Closed - Converted"}})
    told = written(connect(sandbox, names=names), change(leads[0], score=1, stage="customer"))[leads[0]]
    assert "only a lead conversion" in told.refused["stage"]
    assert row(sandbox, leads[0])["Status"] != "Closed - Converted"


def test_a_whole_call_that_is_refused_is_halved_to_the_culprit(sandbox, crm, leads):
    bad = Ref("salesforce", "lead", "00Q!")
    told = written(crm, *map(change, [*leads, bad]))
    assert [ref for ref, each in told.items() if not each.ok] == [bad]


def test_rows_an_answer_leaves_out_have_no_receipt(sandbox, crm, leads):
    fault(sandbox, "empty", "composite/sobjects", nth=1)
    assert written(crm, *map(change, leads)) == {}
    assert row(sandbox, leads[0])["Crmsync_Score__c"] == 42


def test_a_lost_answer_is_asked_for_again(sandbox, crm, leads):
    fault(sandbox, "drop", "composite/sobjects", nth=1)
    before = crm.calls
    assert all(each.ok for each in written(crm, *map(change, leads)).values())
    assert crm.calls - before == 2


# Locks


def test_locked_rows_are_tried_again_in_smaller_company(sandbox, crm, leads):
    do(sandbox, "lock_rows", ids=[ref.id for ref in leads[:5]], times=2)
    stop = Hurried()
    assert all(each.ok for each in written(connect(sandbox, stop=stop), *map(change, leads)).values())
    assert len(stop.waited) == 2
    assert stop.waited[0] < stop.waited[1]


def test_a_row_that_stays_locked_is_a_receipt_to_retry(sandbox, crm, leads):
    do(sandbox, "lock_rows", ids=[leads[2].id], times=-1)
    told = written(crm, *map(change, leads))
    assert [ref for ref, each in told.items() if not each.ok] == [leads[2]]
    assert told[leads[2]].retry
    assert "locked" in told[leads[2]].reason


def test_a_stop_while_rows_are_locked_ends_the_write(sandbox, crm, leads):
    do(sandbox, "lock_rows", ids=[leads[2].id], times=-1)
    with pytest.raises(Cancelled):
        list(connect(sandbox, stop=Interrupted()).write([change(leads[2])]))


# What is narrowed at the last moment


def without(*names, refs=()):
    """Takes these names out of each change, and out of what comes back the changes of these refs."""

    def narrow(batch):
        less = [replace(each, after={n: v for n, v in each.after.items() if n not in names}) for each in batch]
        return [each for each in less if each.after and each.ref not in refs]

    return narrow


def test_what_narrowing_takes_away_is_not_sent(sandbox, crm, leads):
    new = next(ref for ref in leads if row(sandbox, ref)["Status"] != "Working - Contacted")
    told = written(crm, change(new, score=9, stage="mql"), narrow=without("stage"))[new]
    assert (told.ok, told.refused) == (True, {})
    assert row(sandbox, new)["Crmsync_Score__c"] == 9
    assert row(sandbox, new)["Status"] != "Working - Contacted"


def test_an_owner_that_narrowing_takes_away_leaves_the_receipt_of_the_score(sandbox, crm, leads):
    before, owner = row(sandbox, leads[0])["OwnerId"], crm.owners()[1].id
    told = written(crm, change(leads[0], score=9, owner=owner), change(leads[1], owner=owner), narrow=without("owner"))
    assert set(told) == {leads[0]}
    assert told[leads[0]].ok
    assert row(sandbox, leads[0])["OwnerId"] == before


@pytest.mark.parametrize("threshold", [0, 2000])
def test_a_change_that_narrowing_leaves_out_has_no_receipt(sandbox, crm, leads, threshold):
    made = connect(sandbox)
    object.__setattr__(made._org.settings, "bulk_threshold", threshold)
    told = written(made, *map(change, leads), narrow=without(refs=leads[:2]))
    assert set(told) == set(leads[2:])
    assert row(sandbox, leads[0]).get("Crmsync_Score__c") is None


def test_a_batch_that_narrowing_empties_costs_no_call(sandbox, crm, leads):
    assert written(crm, *map(change, leads), narrow=lambda batch: []) == {}
    assert patches(sandbox) == []


def test_each_call_is_narrowed_just_before_it_is_sent(sandbox, crm, leads, monkeypatch):
    monkeypatch.setattr(writer, "COLLECTION", 5)
    monkeypatch.setattr(writer, "LOCK_SIZES", (5, 5, 5, 5))
    do(sandbox, "lock_rows", ids=[leads[0].id], times=1)
    seen = []
    threads = set()

    def narrow(batch):
        threads.add(threading.get_ident())
        seen.append((len(patches(sandbox)), len(batch)))
        return batch

    sandbox.calls.clear()
    written(crm, *map(change, leads), narrow=narrow)
    assert [number for number, _ in seen] == list(range(len(patches(sandbox))))
    assert (seen[0][1], seen[-1][1], threads) == (5, 1, {threading.get_ident()})


def test_narrowing_sees_of_a_change_what_is_still_to_be_sent(sandbox, crm, leads):
    do(sandbox, "add_validation_rule", object="Lead", when="Status = 'Working - Contacted'", message="Call first")
    new = next(ref for ref in leads if row(sandbox, ref)["Status"] != "Working - Contacted")
    asked = change(new, score=9, stage="mql", owner=crm.owners()[1].id)
    seen = []
    written(crm, asked, narrow=lambda batch: seen.extend(batch) or batch)
    assert [set(each.after) for each in seen] == [{"score", "stage"}, {"score"}, {"stage"}, {"owner"}]
    assert all(set(each.before) == set(each.after) for each in seen)


# Nothing but what is ours


def test_no_write_names_a_field_that_is_not_ours(sandbox, crm, leads, monkeypatch):
    sent = []
    rest = crm._org.rest
    monkeypatch.setattr(crm._org, "rest", lambda *asked: sent.append(asked) or rest(*asked))
    written(crm, change(leads[0], score=1, stage="mql", owner=crm.owners()[0].id))
    keys = {key for method, _, *body in sent if method == "PATCH" for each in body[0]["records"] for key in each}
    assert keys == {"attributes", "id", "Crmsync_Score__c", "Status", "OwnerId"}


def test_reading_writes_nothing(sandbox, crm):
    sandbox.calls.clear()
    pulled(crm.contacts(None))
    pulled(crm.activities(None))
    crm.check()
    crm.owners()
    unknown = [Ref("salesforce", "lead", f"00Q0000000{number:05}AAA") for number in range(40_000, 40_800)]
    list(crm.read([*(each.ref for each in live(crm)), *unknown]))
    assert any(call.path.endswith("/composite") for call in sandbox.calls)
    assert sandbox.calls.writes() == []


def test_receipts_come_while_the_rest_is_still_to_be_sent(sandbox, crm, leads, monkeypatch):
    monkeypatch.setattr(writer, "COLLECTION", 5)
    monkeypatch.setattr(writer, "LOCK_SIZES", (5, 5, 5, 5))
    receipts = crm.write([change(ref) for ref in leads])
    next(receipts)
    assert len(patches(sandbox)) == 1
