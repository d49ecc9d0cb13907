"""Of somebody whom a CRM erased nothing stays, in no table and in no byte; a deleted record may come back."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from crmsync.cycle import preview_run, run_cycle
from crmsync.model import Page, Ref
from crmsync.store import schema
from crmsync.store.copy import copy_state
from tests.support.make import NOW, activity, contact, crm, work
from tests.support.runs import VARIABLES, Runs

CANARY = "canary"
PERSONAL = {"emails": (f"{CANARY}.mail@firm.example",), "name": f"{CANARY} name", "stage": "lead"}
ADA = Ref("hubspot", "contact", "1")


def someone(**over):
    return contact(
        1, **{**PERSONAL, "fields": {"title": f"VP {CANARY} title", "employees": 300}, "group": CANARY, **over}
    )


def happenings(of):
    yield activity(1, of, form=f"demo {CANARY} form")
    yield activity(2, of, kind="page_viewed", url=f"/pricing/{CANARY}")


def left(store):
    with store.read() as reading:
        return {
            table.name: found
            for table in schema.metadata.sorted_tables
            if (found := [row for row in reading.execute(select(table)) if CANARY in str(row).lower()])
        }


@pytest.fixture
def known(state):
    """Ada, of whom crmsync knows everything that it ever knows of anybody, in a portal of three."""
    made = crm()
    made.records = {}
    for each in (someone(), contact(2), contact(3)):
        made.edit(each)
    for each in happenings(someone()):
        made.happen(each)
    run_cycle(work(state, made), approved=True)
    made.edit(someone(fields={"title": f"CEO {CANARY} now"}, changed_at=NOW))  # a past field, a score before
    made.refusing[ADA] = f"{CANARY} is no option"
    run_cycle(work(state, made, now=NOW + timedelta(hours=1)), approved=True)
    made.edit(someone(fields={"title": f"Clerk {CANARY}"}, owner="hubspot-bob", changed_at=NOW + timedelta(hours=1)))
    preview_run(work(state, made, now=NOW + timedelta(hours=2)))  # waits, as a preview does
    return made


def later(state, made, *, full, hours):
    return run_cycle(work(state, made, now=NOW + timedelta(hours=hours)), full=full, approved=True)


def test_C10_nothing_stays_of_who_was_erased(state, known):
    assert {"record", "identity", "past_field", "fact", "change"} <= set(left(state))
    del known.records[ADA]
    with state.begin() as tx:
        row_id = tx.scalar(select(schema.record.c.id).where(schema.record.c.ref_id == "1"))
        tx.execute(schema.alias.insert().values(crm="hubspot", kind="contact", old_id=f"{CANARY}1", record=row_id))
    known.activities = lambda cursor: iter([Page((), cursor or "0")])  # nobody says that what Ada did is no more
    later(state, known, full=True, hours=3)
    later(state, known, full=False, hours=4)
    assert left(state) == {}
    with state.read() as reading:
        row = reading.execute(select(schema.record).where(schema.record.c.ref_id == "1")).one()
        ours = select(schema.activity).where(schema.activity.c.record == row.id)
        assert (row.gone, row.person, row.last_written, row.owner, row.stage) == (True, None, "{}", None, None)
        assert reading.execute(ours).all() == []
        changes = select(schema.change).where(schema.change.c.ref_id == "1")
        for each in reading.execute(changes):
            assert (each.before, each.after, each.because, each.reason, each.refused) == ("{}", "{}", "", "", "{}")
        assert len(reading.execute(select(schema.person)).all()) == 2


def test_C10_what_a_deleted_record_did_stays_until_the_crm_has_it_no_more(state, known):
    known.edit(someone(gone=True, changed_at=NOW + timedelta(hours=2)))
    later(state, known, full=False, hours=3)
    assert set(left(state)) == {"fact"}
    later(state, known, full=True, hours=4)
    assert set(left(state)) == {"fact"}
    known.edit(someone(changed_at=NOW + timedelta(hours=4)))  # restored: what it did counts again
    known.refusing.clear()
    assert later(state, known, full=False, hours=5).crms["hubspot"].updated == 1
    assert known.records[ADA].current["behavior"] > 0
    known.edit(someone(gone=True, changed_at=NOW + timedelta(hours=5)))
    later(state, known, full=False, hours=6)
    del known.records[ADA]
    known.happened.clear()
    later(state, known, full=True, hours=7)
    assert left(state) == {}


def test_C10_nothing_stays_of_who_was_erased_between_pull_and_write(state, known):
    known.refusing.clear()
    taken = known.write

    def erased(changes, narrow=list):
        known.records.pop(ADA, None)
        return taken(changes, narrow)

    known.write = erased
    later(state, known, full=False, hours=3)
    assert set(left(state)) == {"fact"}
    known.happened.clear()
    later(state, known, full=True, hours=4)
    assert left(state) == {}


@pytest.mark.parametrize("name", ["hubspot", "salesforce"])
def test_C10_no_byte_of_the_files_is_of_who_was_erased(sandbox, tmp_path, monkeypatch, name):
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(f"CRMSYNC_{variable}", value)
    sandbox.do("hubspot", "issue_token", token=VARIABLES["HUBSPOT__TOKEN"])
    runs = Runs(sandbox, tmp_path)
    kind, named = ("contact", "properties") if name == "hubspot" else ("lead", "fields")
    runs.run(name)
    ref = next(
        each["ref_id"] for each in runs.rows() if each["kind"] == kind and each["person"] and not each["converted_into"]
    )
    values = {"hubspot": {"firstname": CANARY, "email": f"{CANARY}@x.example", "jobtitle": f"VP {CANARY}"}}
    values["salesforce"] = {
        "LastName": CANARY,
        "Email": f"{CANARY}@x.example",
        "Title": f"VP {CANARY}",
        "Company": CANARY,
    }
    runs.do(name, "update", id=ref, **{named: values[name]})
    if name == "hubspot":
        runs.do(name, "add_activity", id=ref, kind="form_submitted", attributes={"form": f"demo {CANARY}"})
    else:
        runs.do(name, "add_activity", who=ref, fields={"Subject": f"call {CANARY}"})
    runs.run(name)
    with copy_state(runs.state) as copy:
        assert CANARY.encode() in (tmp_path / copy.engine.url.database).read_bytes()
    if name == "hubspot":
        runs.do(name, "gdpr_delete", id=ref)
    else:
        runs.do(name, "delete", id=ref)
        runs.do(name, "purge")
    with runs.state.read() as reading:
        assert reading.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
    runs.run(name, full=True)
    for file in tmp_path.glob("state.db*"):
        assert CANARY.encode() not in file.read_bytes().lower(), file.name
    assert left(runs.state) == {}
    runs.state.close()
