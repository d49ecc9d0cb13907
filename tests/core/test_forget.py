"""Of somebody who was forgotten nothing stays, in no table and in no byte, and nothing comes back with a pull."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from crmsync.cycle import preview_run, run_cycle
from crmsync.model import Ref
from crmsync.store import journal, run_journal, schema
from crmsync.store.activities import save_activities
from crmsync.store.contacts import save_contacts
from crmsync.store.database import open_store, wipe_forgotten
from crmsync.store.forgetting import forget_records, pause_writer
from crmsync.store.queries import find_contacts
from crmsync.store.scores import pulled_counts
from crmsync.store.tombstones import forgotten_refs
from tests.support.cycles import after_pull, balanced
from tests.support.make import NOW, activity, contact, crm, work
from tests.support.state import rows, save

CANARY = "canary"
ADA = Ref("hubspot", "contact", "1")
MAIL = f"{CANARY}.mail@firm.example"


def someone(number=1, **over):
    given = {"emails": (MAIL,), "name": f"{CANARY} name", "fields": {"title": f"VP {CANARY} title", "employees": 300}}
    return contact(number, **{**given, "group": CANARY, **over})


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


def forget(store, who=MAIL):
    with store.begin() as tx:
        pause_writer(tx)
        return forget_records(tx, [each.id for each in find_contacts(tx, who)])


def counts(store, run):
    with store.read() as reading:
        return pulled_counts(reading, run)


def stubs(store):
    return [row for row in rows(store, schema.record) if row["forgotten"]]


@pytest.fixture
def stored(state):
    """Ada and somebody else, with what they did."""
    save(state, someone(), contact(2))
    with state.begin() as tx:
        save_activities(tx, [*happenings(someone()), activity(3, contact(2))])
    return state


def test_what_was_removed_is_counted_by_table_and_others_keep_theirs(stored):
    removed = forget(stored)
    assert removed["record"] == 1
    assert removed["activity"] == 2
    assert removed["fact"] == 2
    assert removed["identity"] == 2
    assert left(stored) == {}
    assert [row["ref_id"] for row in rows(stored, schema.record)] == ["2"]
    assert len(rows(stored, schema.activity)) == 1
    assert all(len(row["hash"]) == 64 for row in rows(stored, schema.tombstone))
    assert len(rows(stored, schema.tombstone)) == 2


@pytest.mark.parametrize(
    "delivered",
    [
        someone(),
        someone(emails=(f"{CANARY}.new@firm.example",)),
        someone(9),
        someone(9, emails=(f" {MAIL.upper()} ",)),
        someone("00Q1", crm="salesforce", kind="lead"),
        someone(9, emails=(), aliases=("1",)),
        someone("0031", crm="salesforce", emails=(), links=(ADA,)),
        someone(gone=True),
    ],
    ids=[
        "the same",
        "another address",
        "another record",
        "spelled otherwise",
        "the other CRM",
        "merged",
        "linked",
        "gone",
    ],
)
def test_what_a_crm_delivers_again_is_stored_without_anything_personal(stored, delivered):
    forget(stored)
    for run in ("r2", "r3"):
        save(stored, delivered, run=run)
        with stored.begin() as tx:
            save_activities(tx, happenings(delivered))
        assert left(stored) == {}
        (stub,) = stubs(stored)
        assert (stub["ref_id"], stub["known"], stub["dirty"], stub["person"]) == (delivered.ref.id, False, False, None)
        assert stub["seen_run"] == run
        assert counts(stored, run) == {delivered.ref.crm: {"excluded": 1}}
        assert len(rows(stored, schema.activity)) == 1


def test_what_somebody_forgotten_does_is_not_stored_before_their_record_is_pulled(stored):
    forget(stored)
    with stored.begin() as tx:
        save_activities(tx, happenings(someone()))
    assert left(stored) == {}
    assert len(rows(stored, schema.record)) == 1


def test_who_gets_the_address_of_somebody_forgotten_is_forgotten_while_they_have_it(stored):
    forget(stored)
    save(stored, contact(2, emails=(MAIL,), name=f"{CANARY} heir"), run="r2")
    assert left(stored) == {}
    assert rows(stored, schema.activity) == []
    save(stored, contact(2, name="Bo"), run="r3")
    (bo,) = rows(stored, schema.record)
    assert (bo["name"], bo["known"], bo["forgotten"], bo["dirty"]) == ("Bo", True, False, True)


def test_an_address_that_others_carry_too_does_not_take_them_along(stored):
    save(stored, someone(emails=(MAIL, "info@firm.example")), contact(2, emails=("info@firm.example",)))
    forget(stored)
    save(stored, contact(2, emails=("info@firm.example",), name="Bo"), run="r2")
    assert [row["name"] for row in rows(stored, schema.record)] == ["Bo"]
    assert stubs(stored) == []


def test_a_refusal_that_repeats_a_name_is_blotted_out_of_runs(stored):
    with stored.begin() as tx:
        run_journal.begin_run(tx, "r1", "sync", 1, ("m", "c"), "")
        run_journal.end_run(
            tx, "r1", 2, "partial", {"problems": [f"hubspot said “{MAIL} is no address of {CANARY} name”"]}
        )
    assert forget(stored)["run"] == 1
    (run,) = rows(stored, schema.run)
    assert run["result"] == '{"problems":["hubspot said “(forgotten) is no address of (forgotten)”"]}'


def test_changes_go_also_those_of_plans_that_were_made_on_a_copy(stored):
    change = journal.Change(ADA, {"score": None}, {"reason": f"{CANARY} did"}, f"{CANARY} did")
    with stored.begin() as tx:
        journal.add_changes(tx, "r1", [(1, change), (0, change)], 1)
    assert forget(stored)["change"] == 2
    with stored.begin() as tx:
        journal.copy_changes(tx, "r2", [journal.JournalRow(1, 1, change)], 1)
    assert rows(stored, schema.change) == []


def test_nothing_is_asked_or_kept_before_somebody_was_forgotten(stored):
    with stored.read() as reading:
        assert forgotten_refs(reading, [ADA]) == set()
    assert [row["name"] for row in rows(stored, schema.note)] == []


def test_C10_no_byte_of_the_files_is_of_who_was_forgotten(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/state.db")
    for run in ("r1", "r2"):
        with store.begin() as tx:
            some = [
                someone(n, name=f"{CANARY}{n} {'x' * (n % 90)}", emails=(f"{CANARY}{n}@firm.example",))
                for n in range(400)
            ]
            save_contacts(tx, run, some, NOW)
            save_activities(tx, [activity(f"{run}{CANARY}{n}", each) for n, each in enumerate(some)])
    others = {}
    with store.begin() as tx:
        pause_writer(tx)
        for n in range(400):
            others = forget_records(tx, [each.id for each in find_contacts(tx, f"{CANARY}{n}@firm.example")])
    assert others["record"] == 1
    assert wipe_forgotten(store, "crmsync forget")
    for file in tmp_path.glob("state.db*"):
        assert CANARY.encode() not in file.read_bytes().lower(), file.name
    store.close()


# Beside and after runs


@pytest.fixture
def made():
    """Ada, of whom crmsync knows everything, in a portal of three."""
    portal = crm()
    for each in (someone(stage="lead"), contact(2), contact(3)):
        portal.edit(each)
    for each in happenings(someone()):
        portal.happen(each)
    return portal


def run(state, portal, hours=0, **how):
    return balanced(run_cycle(work(state, portal, now=NOW + timedelta(hours=hours)), approved=True, **how))


def test_nothing_comes_back_with_later_runs_and_the_crm_keeps_what_was_written(state, made):
    run(state, made)
    made.edit(someone(fields={"title": f"CEO {CANARY} now"}, stage="lead", changed_at=NOW))
    run(state, made, 1)
    written = made.records[ADA].current
    assert {"record", "identity", "past_field", "fact", "change", "score_input"} <= set(left(state))
    removed = forget(state)
    assert removed["change"] >= 2
    assert left(state) == {}
    made.edit(
        someone(fields={"title": f"Clerk {CANARY}"}, stage="lead", changed_at=NOW + timedelta(hours=1), current=written)
    )
    for hours, full in ((2, False), (3, True), (4, True)):
        result = run(state, made, hours, full=full)
        assert left(state) == {}
        assert result.crms["hubspot"].planned == 0
    assert result.crms["hubspot"].skipped["excluded"] == 1
    assert result.crms["hubspot"].pulled == 3
    assert written["score"]
    assert made.records[ADA].current == written
    assert len(rows(state, schema.person)) == 2


def test_who_is_forgotten_between_pull_and_plan_is_not_planned_for(state, made):
    after_pull(made, lambda: forget(state))
    run(state, made)
    assert left(state) == {}
    assert made.records[ADA].current == {}
    assert made.records[Ref("hubspot", "contact", "2")].current != {}


@pytest.mark.parametrize("sent", [False, True], ids=["before the batch", "with the batch"])
def test_who_is_forgotten_while_a_run_writes_leaves_nothing_behind(state, made, sent):
    taken = made.write

    def forgotten(changes, narrow=list):
        def then(batch):
            narrowed = narrow(batch)
            if ADA in {each.ref for each in batch}:
                forget(state)
            return narrowed

        if not sent:
            forget(state)
        return taken(changes, then if sent else narrow)

    made.write = forgotten
    run(state, made)
    assert left(state) == {}
    assert bool(made.records[ADA].current) is sent
    made.write = taken
    assert run(state, made, 1, full=True).crms["hubspot"].skipped["excluded"] == 1
    assert left(state) == {}


def test_who_is_forgotten_and_refused_meanwhile_leaves_nothing_behind(state, made):
    made.refusing[ADA] = f"{CANARY} is no option"
    taken = made.write

    def forgotten(changes, narrow=list):
        for each in taken(changes, narrow):
            forget(state)
            yield each

    made.write = forgotten
    run(state, made)
    assert left(state) == {}


def test_a_preview_that_began_before_leaves_nothing_behind(state, made):
    run(state, made)
    made.edit(someone(fields={"title": f"CEO {CANARY} now"}, changed_at=NOW))
    after_pull(made, lambda: forget(state))
    preview_run(work(state, made, now=NOW + timedelta(hours=1)))
    assert left(state) == {}


def test_a_plan_that_waits_loses_the_changes_of_who_is_forgotten(state, made):
    plan = preview_run(work(state, made)).run
    forget(state)
    assert left(state) == {}
    with state.read() as reading:
        assert not [row for *_, row in journal.rows_of(reading, plan) if row.change.ref == ADA]
    run(state, made, 1)
    assert made.records[ADA].current == {}


def test_who_keeps_other_records_is_scored_again_without_those_that_went(state, made):
    run(state, made)
    forget(state)
    made.edit(contact(2, emails=("person2@firm.example",), fields={"title": "VP"}, changed_at=NOW))
    made.edit(contact(4, emails=("person2@firm.example",), changed_at=NOW))
    run(state, made, 1)
    made.edit(contact(4, emails=(MAIL, "person2@firm.example"), changed_at=NOW + timedelta(hours=1)))
    run(state, made, 2)
    assert left(state) == {}
    held = {row["ref_id"]: row["forgotten"] for row in rows(state, schema.record)}
    assert (held["2"], held["4"]) == (False, True)


def test_C10_no_byte_of_the_files_is_of_who_was_forgotten_after_runs_and_a_full_pull(tmp_path, made):
    store = open_store(f"sqlite:///{tmp_path}/state.db")
    run(store, made)
    made.edit(someone(fields={"title": f"CEO {CANARY} now"}, changed_at=NOW))
    run(store, made, 1)
    with store.writer("crmsync run"):
        forget(store)
        assert not wipe_forgotten(store, "crmsync forget")  # the worker's next run does it
        run(store, made, 2, full=True)
    for file in tmp_path.glob("state.db*"):
        assert CANARY.encode() not in file.read_bytes().lower(), file.name
    assert left(store) == {}
    store.close()
