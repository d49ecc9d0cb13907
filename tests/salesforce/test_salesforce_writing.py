"""Writing to Salesforce: one bad field or record holds back nothing else, and no job is lost, doubled or given up."""

import json
import threading
from dataclasses import replace

import pytest

from connectors.salesforce import bulk, writer
from connectors.salesforce.payload import Update
from connectors.salesforce.row_errors import RowError, first_error, refusal_of_bulk
from connectors.salesforce.writer import Try, judge_row
from connectors.sandbox.faults import Fault
from crmsync.connector import FieldMap
from crmsync.errors import Cancelled, ConfigError, Unavailable
from crmsync.model import Change, Ref
from tests.support.salesforce_org import NAMES, Hurried, connect, do, fault, live, org_with_our_fields, pulled  # noqa: F401


def change(ref, group="", **after):
    after = after or {"score": 42}
    return Change(ref, dict.fromkeys(after), after, group=group)


def written(made, *changes, narrow=list):
    return {receipt.ref: receipt for receipt in made.write(changes, narrow)}


def row(sandbox, ref):
    return sandbox.snapshot("salesforce")[ref.kind.title()][ref.id]


def patches(sandbox):
    return [call for call in sandbox.calls if call.method == "PATCH" and call.path.endswith("composite/sobjects")]


@pytest.fixture
def leads(crm):
    return [each.ref for each in live(crm)]


@pytest.fixture
def contacts(crm):
    return [each.ref for each in live(crm, "contact")]


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


def test_no_assignment_rule_takes_a_lead_in_bulk(sandbox, crm, leads, in_bulk):
    before = {ref: row(sandbox, ref)["OwnerId"] for ref in leads}
    assert all(told.ok for told in written(in_bulk(), *map(change, leads)).values())
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
    crm.fields()
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
    crm.fields()
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
    assert len(stop.waits) == 2
    assert stop.waits[0] < stop.waits[1]


def test_a_row_that_stays_locked_is_a_receipt_to_retry(sandbox, crm, leads):
    do(sandbox, "lock_rows", ids=[leads[2].id], times=-1)
    told = written(crm, *map(change, leads))
    assert [ref for ref, each in told.items() if not each.ok] == [leads[2]]
    assert told[leads[2]].retry
    assert "locked" in told[leads[2]].reason


def test_a_stop_while_rows_are_locked_ends_the_write(sandbox, crm, leads):
    class Stopped(Hurried):
        def wait(self, timeout=None):
            return True

    do(sandbox, "lock_rows", ids=[leads[2].id], times=-1)
    with pytest.raises(Cancelled):
        list(connect(sandbox, stop=Stopped()).write([change(leads[2])]))


# Records that moved


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


@pytest.mark.parametrize("purged", [False, True])
def test_a_deleted_record_is_gone_and_not_made_again(sandbox, crm, leads, purged):
    do(sandbox, "delete", id=leads[0].id)
    if purged:
        do(sandbox, "purge")
    told = written(crm, change(leads[0]), change(leads[1]))
    assert (told[leads[0]].ok, told[leads[0]].gone, told[leads[1]].ok) == (False, True, True)


# Owners


def test_owners_go_in_a_pass_after_the_scores(sandbox, crm, leads):
    owner = crm.owners()[1].id
    sandbox.calls.clear()
    written(crm, *(change(ref, score=1, owner=owner) for ref in leads))
    assert len(patches(sandbox)) == 2


def test_an_inactive_owner_holds_back_nothing(sandbox, crm, leads):
    owner = crm.owners()[0]
    before = row(sandbox, leads[0])["OwnerId"]
    do(sandbox, "deactivate_user", id=owner.id)
    told = written(crm, change(leads[0], score=5, owner=owner.id))[leads[0]]
    assert told.ok
    assert "inactive" in told.refused["owner"]
    assert (row(sandbox, leads[0])["Crmsync_Score__c"], row(sandbox, leads[0])["OwnerId"]) == (5, before)


def test_an_owner_who_leaves_meanwhile_is_a_receipt(sandbox, crm, leads, monkeypatch):
    owner = crm.owners()[0]
    do(sandbox, "deactivate_user", id=owner.id)
    monkeypatch.setattr(type(crm), "owners", lambda self: [owner])
    told = written(crm, change(leads[0], score=5, owner=owner.id))[leads[0]]
    assert (told.ok, set(told.refused)) == (True, {"owner"})


def test_a_queue_owns_leads_only(sandbox, crm, leads, contacts):
    queue = next(each.id for each in crm.owners() if each.kind == "queue")
    told = written(crm, change(leads[0], owner=queue), change(contacts[0], owner=queue))
    assert told[leads[0]].ok
    assert "queues can own only leads" in told[contacts[0]].reason


def test_an_unknown_owner_is_refused_without_a_call(sandbox, crm, leads):
    told = written(crm, change(leads[0], owner="005000000000zzzAAA"))[leads[0]]
    assert "no user or queue" in told.reason
    assert not patches(sandbox)


# Bulk


@pytest.fixture
def in_bulk(sandbox):
    """A connector that writes everything by bulk."""

    def made(**how):
        connector = connect(sandbox, **how)
        object.__setattr__(connector._org.settings, "bulk_threshold", 0)
        return connector

    return made


def jobs(sandbox):
    """The ingest jobs that were begun."""
    return [call for call in sandbox.calls if call.method == "POST" and "/jobs/ingest" in call.path]


TEXTS = ["Bodø ™ \U0001f680 שלום", 'a "quoted", comma; \\ x', "two\nlines", "=cmd()", "e\u0301", "1.50", "true"]


def test_bulk_writes_what_collections_write(sandbox, crm, leads, contacts, in_bulk):
    changes = [
        change(ref, score=number, reason=TEXTS[number % len(TEXTS)], band=None if number % 3 else "mql")
        for number, ref in enumerate([*leads, *contacts])
    ]
    assert all(each.ok and not each.refused for each in written(crm, *changes).values())
    whole = {each.change.ref: row(sandbox, each.change.ref) for each in map(Update, changes)}
    written(crm, *(change(each.ref, score=None, reason="old", band="old") for each in changes))
    sandbox.calls.clear()
    assert all(each.ok and not each.refused for each in written(in_bulk(), *changes).values())
    stamps = ("SystemModstamp", "LastModifiedDate")
    for ref, before in whole.items():
        now = row(sandbox, ref)
        assert {k: v for k, v in now.items() if k not in stamps} == {k: v for k, v in before.items() if k not in stamps}
    assert not patches(sandbox)


def test_columns_a_row_does_not_write_stay(sandbox, crm, leads, in_bulk):
    written(crm, change(leads[0], band="old"))
    assert all(each.ok for each in written(in_bulk(), change(leads[0], score=3), change(leads[1], band="new")).values())
    assert row(sandbox, leads[0])["Crmsync_Band__c"] == "old"


def test_a_refused_row_of_a_job_gets_its_reason_and_the_rest_of_it_is_written(
    sandbox,
    crm,
    leads,
    contacts,
    in_bulk,
):
    do(sandbox, "add_validation_rule", object="Lead", when="Status = 'Working - Contacted'", message="Call, first: now")
    became = do(sandbox, "convert", id=leads[0].id)
    do(sandbox, "delete", id=leads[1].id)
    new = next(ref for ref in leads[2:] if row(sandbox, ref)["Status"] != "Working - Contacted")
    told = written(in_bulk(), *(change(ref, score=4, stage="mql") for ref in [new, *leads[:2]]))
    assert told[new].ok
    assert "Call, first: now" in told[new].refused["stage"]
    assert told[leads[0]].moved_to == Ref("salesforce", "contact", became["contact"])
    assert told[leads[1]].gone


def test_a_duplicate_rule_that_only_alerts_lets_the_rows_of_a_job_through(sandbox, crm, leads, in_bulk):
    for ref in leads[:3]:
        do(sandbox, "update", id=ref.id, fields={"Email": "same@twin.example"})
    do(sandbox, "add_duplicate_rule", object="Lead", field="Email")
    asked = []
    told = written(
        in_bulk(), *map(change, leads), narrow=lambda batch: asked.append([each.ref for each in batch]) or batch
    )
    assert {each.ok for each in told.values()} == {True}
    assert {row(sandbox, ref)["Crmsync_Score__c"] for ref in leads} == {42}
    assert (len(jobs(sandbox)), len(patches(sandbox))) == (1, 1)
    assert sorted(asked[-1]) == sorted(ref for ref in leads if ref in leads[:3])


def test_a_duplicate_rule_that_blocks_is_the_receipt_of_a_jobs_row(sandbox, crm, leads, in_bulk):
    for ref in leads[:2]:
        do(sandbox, "update", id=ref.id, fields={"Email": "same@twin.example"})
    do(sandbox, "add_duplicate_rule", object="Lead", field="Email", block=True)
    told = written(in_bulk(), *map(change, leads))
    assert set(told) == set(leads)
    assert "duplicate rule" in told[leads[0]].reason


def test_a_stage_or_an_owner_never_waits_in_a_job(sandbox, crm, leads, in_bulk):
    owner = crm.owners()[1].id
    moved, owned, *rest = leads
    changes = [change(moved, score=1, stage="mql"), change(owned, score=1, owner=owner), *map(change, rest)]
    assert all(each.ok for each in written(in_bulk(), *changes).values())
    columns = {name for job in sandbox.org.jobs.all.values() for name in job.columns}
    ids = {id_ for job in sandbox.org.jobs.all.values() for id_, *_ in job.done}
    assert columns == {"Id", "Crmsync_Score__c"}
    assert ids == {ref.id for ref in rest}
    assert row(sandbox, owned)["OwnerId"] == owner


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


def test_locked_rows_of_a_job_are_tried_again(sandbox, crm, leads, in_bulk):
    do(sandbox, "lock_rows", ids=[ref.id for ref in leads[:4]], times=1)
    assert all(each.ok for each in written(in_bulk(), *map(change, leads)).values())


@pytest.mark.parametrize("do_", ["html", "reset", "drop", "truncate"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs/ingest$"),
        ("PUT", "/batches$"),
        ("PATCH", "/jobs/ingest/\\w+$"),
        ("GET", "/jobs/ingest/\\w+$"),
        ("GET", "/successfulResults"),
        ("GET", "/failedResults"),
        ("DELETE", "/jobs/ingest/\\w+$"),
    ],
)
def test_a_job_survives_a_call_that_goes_wrong(sandbox, crm, leads, in_bulk, do_, method, path):
    notes = {}
    sandbox.faults.add(Fault(do=do_, vendor="salesforce", method=method, path=path, nth=1))
    told = written(in_bulk(notes=notes), *map(change, leads))
    assert set(told) == set(leads)
    assert all(each.ok for each in told.values())
    assert notes == {}
    assert "Aborted" not in {job.state for job in sandbox.org.jobs.all.values()}


@pytest.mark.parametrize("number", range(1, 8))
def test_a_session_that_ends_at_any_step_of_a_job_is_renewed(sandbox, crm, leads, in_bulk, number):
    body = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    fault(sandbox, "answer", "/jobs/ingest", nth=number, status=401, body=body)
    assert all(each.ok for each in written(in_bulk(), *map(change, leads)).values())
    assert len([call for call in jobs(sandbox) if call.status == 200]) == 1


def test_the_jobs_id_is_noted_before_its_data_is_sent(sandbox, crm, leads, in_bulk):
    notes = {}
    sandbox.faults.add(Fault(do="answer", vendor="salesforce", method="PUT", path="/batches", status=503, times=6))
    with pytest.raises(Unavailable):
        written(in_bulk(notes=notes), *map(change, leads))
    [(note, said)] = notes.items()
    assert note.startswith("ingest:750")
    assert json.loads(said)["object"] == "Lead"
    assert all(each.ok for each in written(in_bulk(notes=notes), *map(change, leads)).values())
    assert notes == {}


def test_a_job_that_outlives_us_is_waited_for_and_not_sent_again(sandbox, crm, leads, in_bulk):
    notes = {}
    do(sandbox, "set", bulk_polls=4)
    with pytest.raises(Unavailable, match="is still working on the bulk job"):
        written(in_bulk(notes=notes, bulk_wait="2s"), *map(change, leads))
    assert len(notes) == 1
    sandbox.calls.clear()
    made = in_bulk(notes=notes)
    assert {each.current.get("score") for each in made.read(leads)} == {42}
    assert notes == {}
    assert not jobs(sandbox)


def test_a_job_whose_data_never_came_whole_cannot_begin_any_more(sandbox, crm, leads, in_bulk):
    """Whoever made it may only be paused: it comes back, ends the upload, and old scores go over newer ones."""
    notes = {}

    class Paused(Hurried):
        """A worker that is stopped as soon as its job is made, before any data is sent."""

        def is_set(self):
            return bool(notes)

    with pytest.raises(Cancelled):
        written(in_bulk(notes=notes, stop=Paused()), *map(change, leads))
    (note,) = notes
    made = in_bulk(notes=notes)
    assert {each.current.get("score") for each in made.read(leads)} == {None}
    assert notes == {}
    job = sandbox.org.jobs.all[note.partition(":")[2]]
    assert job.state == "Aborted"


def test_a_stop_during_a_job_leaves_it_running(sandbox, crm, leads, in_bulk):
    class Stopped(Hurried):
        def wait(self, timeout=None):
            return True

    notes = {}
    do(sandbox, "set", bulk_polls=4)
    with pytest.raises(Cancelled):
        written(in_bulk(notes=notes, stop=Stopped()), *map(change, leads))
    assert len(notes) == 1
    assert all(each.ok for each in written(in_bulk(notes=notes), *map(change, leads)).values())


def test_a_job_that_fails_half_way_is_finished_row_by_row(sandbox, crm, leads, in_bulk):
    do(sandbox, "set", bulk_fails_after=5)
    told = written(in_bulk(), *map(change, leads))
    assert set(told) == set(leads)
    assert all(each.ok for each in told.values())
    assert {row(sandbox, ref)["Crmsync_Score__c"] for ref in leads} == {42}


@pytest.mark.parametrize("path", ["/jobs/ingest$", "/batches$"])
def test_what_bulk_does_not_take_goes_by_collections(sandbox, crm, leads, in_bulk, path):
    notes = {}
    said = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "Bulk API is not enabled"}]
    fault(sandbox, "answer", path, status=403, body=said)
    assert all(each.ok for each in written(in_bulk(notes=notes), *map(change, leads)).values())
    assert notes == {}


def test_a_note_of_a_job_that_is_no_more_is_dropped(sandbox, crm, leads, in_bulk):
    notes = {"ingest:7500000000000zzAAA": "{}"}
    assert written(in_bulk(notes=notes), change(leads[0]))[leads[0]].ok
    assert notes == {}


def test_bodies_are_split_by_size_and_hold_each_row_once():
    rows = {f"00Q{number}": {"Score__c": number, "Reason__c": "é" * 50} for number in range(100)}
    parts = list(bulk.csv_bodies(rows, most=2_000))
    assert all(len(body) <= 2_000 for body, _ in parts)
    assert [each for _, ids in parts for each in ids] == list(rows)
    assert all(body.startswith(b"Id,Reason__c,Score__c\n") for body, _ in parts)


def test_cells_of_a_body():
    rows = {"1": {"A": None, "B": True}, "2": {"A": 1.5, "B": 'x,"y"'}, "3": {"C": 1e-7}}
    [(body, _)] = bulk.csv_bodies(rows)
    assert body.decode() == 'Id,A,B,C\n1,#N/A,true,\n2,1.5,"x,""y""",\n3,,,0.0000001\n'


# What a refusal means


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "FIELD_CUSTOM_VALIDATION_EXCEPTION:Call, first: now:Status --",
            RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Call, first: now", ("Status",)),
        ),
        ("UNABLE_TO_LOCK_ROW:no exclusive access:--", RowError("UNABLE_TO_LOCK_ROW", "no exclusive access")),
        ("INVALID_FIELD:a:b c --", RowError("INVALID_FIELD", "a", ("b", "c"))),
        ("CODE:told\nin two lines", RowError("CODE", "told\nin two lines")),
        ("something else: entirely", RowError("UNKNOWN", "something else: entirely")),
        ("", RowError("UNKNOWN", "")),
    ],
)  # fmt: skip
def test_an_error_cell_is_read_as_far_as_it_is_one(text, told):
    assert refusal_of_bulk(text) == told


def test_both_spellings_of_an_error_are_read():
    one = {"statusCode": "X", "message": "m", "fields": ["A"]}
    other = {"errorCode": "X", "message": "m", "fields": ["A"]}
    assert first_error([one]) == first_error([other]) == RowError("X", "m", ("A",))
    assert first_error([]).code == first_error(None).code == "UNKNOWN"


SPELLED = {"score": "S__c", "band": "B__c", "stage": "Status", "owner": "OwnerId"}


def names(tries):
    return sorted(sorted(each.names) for each in tries)


@pytest.mark.parametrize(
    ("why", "sent", "following", "refused"),
    [
        (RowError("X", "", ("B__c",)), {"score", "band"}, [["score"]], {"band"}),
        (RowError("X", "", ("Id",)), {"score", "band"}, [], {"score", "band"}),
        (RowError("REQUIRED_FIELD_MISSING", "m"), {"score", "band", "stage"}, [["band", "score"], ["stage"]], set()),
        (RowError("STRING_TOO_LONG", "m"), {"score", "band"}, [["band"], ["score"]], set()),
        (RowError("STRING_TOO_LONG", "m"), {"score"}, [], {"score"}),
        (RowError("UNABLE_TO_LOCK_ROW", "m"), {"score", "band"}, [["band", "score"]], set()),
        (RowError("ENTITY_IS_DELETED", "m"), {"score", "band"}, [], {"score", "band"}),
    ],
)  # fmt: skip
def test_what_is_sent_after_a_refusal(why, sent, following, refused):
    ref = Ref("salesforce", "lead", "00Q1")
    each = Try(Update(change(ref)), frozenset(sent))
    assert names(judge_row(each, why, SPELLED)) == following
    assert set(each.row.refused) == refused


def test_a_lock_is_not_tried_for_ever():
    each = Try(Update(change(Ref("salesforce", "lead", "00Q1"))), frozenset({"score", "band"}))
    rounds = 0
    tries = [each]
    while tries:
        tries = [more for one in tries for more in judge_row(one, RowError("UNABLE_TO_LOCK_ROW", ""), SPELLED)]
        rounds += 1
    assert rounds == len(writer.LOCK_SIZES)


# Fields and the check-up


def test_fields_are_created_once_and_visible(sandbox):
    made = connect(sandbox)
    first = made.create_fields()
    assert "Lead.Crmsync_Score__c: created" in first
    assert any("11 fields granted, assigned" in each for each in first)
    known = {(each.kind, each.name): each for each in made.fields()}
    assert known["contact", "Crmsync_Stage__c"].options == ("New", "MQL")
    assert known["lead", "Crmsync_Score__c"].type == "number"
    assert known["lead", "Crmsync_Score__c"].writable
    before = sandbox.snapshot("salesforce")
    again = made.create_fields()
    assert all("found" in each for each in again)
    assert sandbox.snapshot("salesforce") == before


LADDER = {
    "new": {"lead": "Open - Not Contacted", "contact": "New"},
    "mql": {"lead": "Working - Contacted", "contact": "MQL"},
    "sql": {"lead": "Qualified", "contact": "SQL"},
}


def laddered(**more):
    return FieldMap(score_fields=NAMES.score_fields, stages={**LADDER, **more})


def options(made, name="Crmsync_Stage__c"):
    return next(each.options for each in made.fields() if (each.kind, each.name) == ("contact", name))


def test_a_new_stage_is_added_to_our_own_picklist_in_its_place(sandbox):
    connect(sandbox).create_fields()
    sandbox.clock.advance(60)
    do(sandbox, "add_picklist_value", object="Contact", field="Crmsync_Stage__c", value="Partner")
    ladder = {"new": LADDER["new"], "raw": {"contact": "Raw"}, **LADDER, "customer": {"contact": "Customer"}}
    made = connect(sandbox, names=FieldMap(score_fields=NAMES.score_fields, stages=ladder))
    [before] = [each for each in made.check().problems if "'Raw'" in each]
    assert before.endswith("run: crmsync setup")
    told = made.create_fields()
    assert "Contact.Crmsync_Stage__c: the values 'Raw', 'SQL', 'Customer' added" in told
    assert options(made) == ("New", "Raw", "MQL", "SQL", "Customer", "Partner")
    assert not any("Crmsync_Stage__c" in each for each in made.check().problems)
    snapshot = sandbox.snapshot("salesforce")
    assert "Contact.Crmsync_Stage__c: found" in (again := made.create_fields())
    assert not any("added" in each for each in again if "Crmsync_Stage__c" in each)
    assert sandbox.snapshot("salesforce") == snapshot


def test_a_stage_that_was_taken_away_is_given_back(sandbox):
    connect(sandbox).create_fields()
    do(sandbox, "remove_picklist_value", object="Contact", field="Crmsync_Stage__c", value="MQL")
    do(sandbox, "remove_picklist_value", object="Contact", field="Crmsync_Stage__c", value="New")
    made = connect(sandbox, names=FieldMap(score_fields=NAMES.score_fields, stages={"mql": {"contact": "MQL"}}))
    made.create_fields()
    assert options(made) == ("MQL",)


@pytest.mark.parametrize("stage_field", ["Status", "Tier__c"])
def test_the_orgs_own_picklist_gets_clicks_and_no_value(sandbox, stage_field):
    sandbox.do(
        "salesforce", "add_field", object="Lead", field="Tier__c", type="picklist", values=["Open - Not Contacted"]
    )
    made = connect(sandbox, names=laddered(), stage_field={"lead": stage_field, "contact": "Crmsync_Stage__c"})
    told = [each for each in made.create_fields() if each.startswith(f"Lead.{stage_field}: ")]
    assert any(
        "'Qualified'" in each and f"Object Manager > Lead > Fields & Relationships > {stage_field}" in each
        for each in told
    )
    known = next(each for each in made.fields() if (each.kind, each.name) == ("lead", stage_field))
    assert "Qualified" not in known.options
    [problem] = [each for each in made.check().problems if "'Qualified'" in each]
    assert ("Object Manager" in problem) is (stage_field == "Status")


def test_without_metadata_rights_a_new_stage_gets_clicks(sandbox):
    connect(sandbox).create_fields()
    sandbox.do("salesforce", "set", metadata_forbidden=True)
    told = connect(sandbox, names=laddered()).create_fields()
    [said] = [each for each in told if "'SQL'" in each]
    assert "insufficient access" in said
    assert "Object Manager > Contact > Fields & Relationships > Crmsync_Stage__c" in said


def test_a_picklist_of_a_global_value_set_gets_clicks(sandbox):
    connect(sandbox).create_fields()
    asked = {
        "label": "Lifecycle stage",
        "type": "Picklist",
        "valueSet": {"valueSetName": "Stages", "valueSetDefinition": None},
    }
    body = {"FullName": "Contact.Crmsync_Stage__c", "Metadata": asked}
    sandbox.faults.add(
        Fault(
            do="answer", vendor="salesforce", method="GET", path="/tooling/sobjects/CustomField/", status=200, body=body
        )
    )
    told = connect(sandbox, names=laddered()).create_fields()
    assert any("'SQL'" in each and "Picklist Value Sets > Stages" in each for each in told)


def test_a_picklist_whose_definition_is_not_shown_gets_clicks(sandbox):
    connect(sandbox).create_fields()
    fault(sandbox, "answer", "/tooling/query", status=200, body={"records": [], "done": True})
    [said] = [each for each in connect(sandbox, names=laddered()).create_fields() if "'SQL'" in each]
    assert "Object Manager > Contact > Fields & Relationships > Crmsync_Stage__c" in said


def test_an_org_that_forbids_metadata_gets_clicks(sandbox):
    sandbox.do("salesforce", "set", metadata_forbidden=True)
    told = connect(sandbox).create_fields()
    assert any("Object Manager > Lead > Fields & Relationships > New: Number" in each for each in told)


def test_a_field_of_the_wrong_type_is_told(sandbox):
    sandbox.do("salesforce", "add_field", object="Lead", field="Crmsync_Score__c", type="string")
    assert any("its type is string" in each for each in connect(sandbox).create_fields())
    assert any("must be a number" in each for each in connect(sandbox).check().problems)


def test_a_healthy_org_has_no_problems(sandbox, crm):
    found = crm.check()
    assert found.problems == ()
    assert found.account == "00D000000000001EAA"


def test_the_check_names_what_is_missing(sandbox, crm):
    do(sandbox, "hide_field", object="Lead", field="Title")
    do(sandbox, "hide_field", object="Lead", field="Crmsync_Score__c", readable=True)
    do(sandbox, "remove_picklist_value", object="Lead", field="Status", value="Working - Contacted")
    do(sandbox, "add_field", object="Contact", field="Tier__c", formula="Account.Industry")
    names = FieldMap(
        fields={**NAMES.fields, "tier": {"contact": "Tier__c"}},
        score_fields=NAMES.score_fields,
        stages={**NAMES.stages, "customer": {"lead": "Closed - Converted"}},
    )
    found = connect(sandbox, names=names).check()
    said = "\n".join(found.problems)
    assert "Lead.Title (the field 'title') does not exist" in said
    assert "Lead.Crmsync_Score__c (the score field 'score') cannot be edited" in said
    assert "no active value 'Working - Contacted'" in said
    assert "'customer' is the converted status" in said
    assert any("is a formula" in each for each in found.notes)


def test_the_check_tells_of_records_that_sharing_hides(sandbox, crm):
    body = {"sObjects": [{"name": "Lead", "count": 4_000}, {"name": "Contact", "count": 3}]}
    fault(sandbox, "answer", "/recordCount", status=200, body=body)
    assert any("of about 4,000 Lead records" in each for each in crm.check().problems)


def test_the_check_tells_of_activity_that_is_captured_elsewhere(sandbox, crm):
    lead = live(crm)[0]
    assert not any("Einstein" in each for each in crm.check().problems)
    for name in ("Task", "Event", "EmailMessage", "CampaignMember"):
        for id_ in list(sandbox.snapshot("salesforce")[name]):
            sandbox.do("salesforce", "delete", id=id_)
    table = sandbox.org.state.of("Lead")
    table.set(table.rows[lead.ref.id], "LastActivityDate", "2026-11-20")
    assert any("Einstein" in each for each in crm.check().problems)


@pytest.mark.parametrize(
    ("source", "grant"), [("Event", "Access Activities"), ("CampaignMember", "'Read' on Campaign")]
)
def test_the_check_says_how_to_show_a_source(sandbox, crm, source, grant):
    sandbox.org.state.tables.pop(source.lower())
    assert any(each.startswith(source) and grant in each for each in connect(sandbox).check().notes)


def test_the_check_of_a_wrong_secret_is_a_problem(sandbox):
    assert "consumer secret" in connect(sandbox, client_secret="wrong").check().problems[0]


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


def test_an_org_without_lead_access_says_what_to_grant(sandbox, crm):
    sandbox.org.state.tables.pop("lead")
    with pytest.raises(ConfigError, match="View All Records"):
        list(connect(sandbox).contacts(None))


def test_receipts_come_while_the_rest_is_still_to_be_sent(sandbox, crm, leads, monkeypatch):
    monkeypatch.setattr(writer, "COLLECTION", 5)
    monkeypatch.setattr(writer, "LOCK_SIZES", (5, 5, 5, 5))
    receipts = crm.write([change(ref) for ref in leads])
    next(receipts)
    assert len(patches(sandbox)) == 1
