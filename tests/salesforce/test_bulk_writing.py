"""Jobs that write: none is lost, doubled or given up."""

import json

import pytest

from connectors.salesforce import bulk
from connectors.salesforce.payload import Update
from connectors.sandbox.faults import Fault
from crmsync.errors import Cancelled, Unavailable
from crmsync.model import Ref
from tests.support.salesforce import change, connect, do, fault, patches, row, written
from tests.support.stop import Hurried, Interrupted


def test_no_assignment_rule_takes_a_lead_in_bulk(sandbox, crm, leads, in_bulk):
    before = {ref: row(sandbox, ref)["OwnerId"] for ref in leads}
    assert all(told.ok for told in written(in_bulk(), *map(change, leads)).values())
    assert {ref: row(sandbox, ref)["OwnerId"] for ref in leads} == before


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
    notes = {}
    do(sandbox, "set", bulk_polls=4)
    with pytest.raises(Cancelled):
        written(in_bulk(notes=notes, stop=Interrupted()), *map(change, leads))
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
