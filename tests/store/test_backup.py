"""A backup is the whole state or nothing, goes from one database to the other, and writes nothing afterwards unseen."""

import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update

from crmsync.cycle import preview_run, run_cycle
from crmsync.errors import Cancelled, ConfigError, StateError, StateInUse
from crmsync.reporting.history import person_history
from crmsync.store import backup, database, journal, run_journal, schema
from crmsync.store.backup import opened_backup, save_backup
from crmsync.store.cursors import StoredNotes, read_cursor
from crmsync.store.database import open_existing_store, open_store
from crmsync.store.forgetting import forget_records
from crmsync.store.pausing import begin_pause, find_pause
from crmsync.store.restoring import restore_state, restored_crms
from crmsync.store.sql import to_ms
from crmsync.store.undone import request_undo, undo_requests
from tests.support.cycles import ADA, edit, held, hot, world
from tests.support.make import NOW, activity, apply_plan, contact, work
from tests.support.state import make_empty, rows, save

MADE = to_ms(NOW)


def silent(_what, _crm, _more):
    pass


def keep(store, path, *, replace=False, stop=None):
    return save_backup(store, path, MADE, silent, stop or threading.Event(), replace=replace)


def bring(path, store, at=MADE):
    with opened_backup(path) as source:
        return restore_state(source, store, at, silent, threading.Event(), lambda _seconds: None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "backup.db"


@pytest.fixture(params=["sqlite to sqlite", "sqlite to postgresql", "postgresql to sqlite"])
def both(request, tmp_path):
    """An old and a new state, each on a database of its own."""
    kinds = request.param.split(" to ")
    urls = [
        f"sqlite:///{tmp_path}/{name}.db" if kind == "sqlite" else request.getfixturevalue("new_database")
        for name, kind in zip(("old", "new"), kinds, strict=True)
    ]
    stores = [open_store(url) for url in urls]
    yield stores
    for each in stores:
        each.close()


MOVING = {"writer", "note", "cursor", "seen_activity"}
"""Tables that are not the same after a restore, for what was under way is not."""


def everything(store):
    found = {each.name: rows(store, each) for each in schema.metadata.sorted_tables if each.name not in MOVING}
    return {name: sorted(map(repr, each)) for name, each in found.items()}


def filled(store, *crms):
    """A state in which something of everything is: runs, hand-offs, tombstones, a plan that waits, a user's choice."""
    run_cycle(work(store, *crms))
    edit(crms[1], next(iter(crms[1].records)), owner="salesforce-eve", changed_at=NOW + timedelta(minutes=3))
    run_cycle(work(store, *crms, now=NOW + timedelta(minutes=5)))
    preview_run(work(store, *crms, now=NOW + timedelta(minutes=6)))
    with store.begin() as tx:
        forget_records(tx, [tx.scalar(select(schema.record.c.id).order_by(schema.record.c.id.desc()).limit(1))])
        begin_pause(tx, MADE - 2, MADE - 1, "of the audit")


def test_everything_arrives_whatever_the_databases_are(both, path):
    old, new = both
    filled(old, *world(5))
    before = everything(old)
    assert all(before[name] for name in ("record", "change", "run", "hand_off", "turn", "tombstone", "person", "pause"))
    keep(old, path)
    restored = bring(path, new)
    assert everything(new) == before
    assert restored.made_at == MADE
    assert restored.rows["record"] == len(before["record"])
    with old.read() as one, new.read() as other:
        key = select(schema.note.c.value).where(schema.note.c.name == "tombstone_key")
        assert one.scalar(key) == other.scalar(key) is not None


def test_new_rows_get_new_numbers_after_a_move(both, path):
    old, new = both
    filled(old, *world(5))
    keep(old, path)
    bring(path, new)
    last = max(each["id"] for each in rows(new, schema.record))
    save(new, contact("new"))
    assert max(each["id"] for each in rows(new, schema.record)) > last


def test_the_run_after_a_restore_pulls_everything_and_its_plan_waits(both, path):
    old, new = both
    crms = world(5)
    run_cycle(work(old, *crms))
    keep(old, path)
    # After the backup: new scores, and people who only a full pull would bring again.
    for each in crms:
        for ref in list(each.records)[:3]:
            edit(each, ref, fields={"title": "Clerk", "employees": 5}, changed_at=NOW + timedelta(minutes=1))
    run_cycle(work(old, *crms, now=NOW + timedelta(minutes=5)))
    for each in crms:
        for ref in list(each.records)[3:5]:
            edit(each, ref, fields={"title": "CEO", "employees": 500}, changed_at=NOW - timedelta(days=9))
    bring(path, new)
    writes = [len(each.writes) for each in crms]
    for minutes in (10, 11):
        result = run_cycle(work(new, *crms, now=NOW + timedelta(minutes=minutes)))
        assert (result.verdict, [len(each.writes) for each in crms]) == ("held", writes)
        assert "after the state was restored from a backup" in result.held.reasons[0]
    with new.read() as reading:
        assert set(restored_crms(reading).values()) == {"approve"}
    applied = apply_plan(work(new, *crms, now=NOW + timedelta(minutes=12)), result.held.run)
    assert applied.held is None
    with new.read() as reading:
        assert restored_crms(reading) == {}
    run_cycle(work(new, *crms, now=NOW + timedelta(minutes=13)))
    with closing(open_store("sqlite://")) as fresh:
        assert not any(
            each.planned
            for each in run_cycle(work(fresh, *crms, now=NOW + timedelta(minutes=14)), approved=True).crms.values()
        )


def test_what_was_written_after_the_backup_is_not_said_to_be_a_users(both, path):
    old, new = both
    hubspot = hot()
    run_cycle(work(old, hubspot))
    keep(old, path)
    hubspot.happen(activity("more", hubspot.records[ADA], kind="page_viewed", url="https://x.example/pricing"))
    run_cycle(work(old, hubspot, now=NOW + timedelta(days=1)))
    bring(path, new)
    later = NOW + timedelta(days=2)
    run_cycle(work(new, hubspot, now=later))
    edit(hubspot, ADA, owner="hubspot-bob")
    run_cycle(work(new, hubspot, now=later + timedelta(days=1)))
    keep(new, path, replace=True)
    bring(path, new, at=to_ms(later + timedelta(days=2)))
    run_cycle(work(new, hubspot, now=later + timedelta(days=2)))
    told = person_history(work(new).config, new, "ada@x.example")["history"]
    assert [each["by"] for each in told][-3:] == ["user", "unknown", "crmsync"]
    assert told[-2]["why"] == "found in hubspot: written by crmsync after the backup was made, or by a user"


def test_a_restore_over_crms_that_are_as_they_were_leaves_nothing_to_approve(both, path):
    old, new = both
    crms = world(5)
    run_cycle(work(old, *crms))
    keep(old, path)
    bring(path, new)
    before = [held(each) for each in crms]
    assert run_cycle(work(new, *crms, now=NOW + timedelta(minutes=1))).verdict == "ok"
    assert [held(each) for each in crms] == before
    with new.read() as reading:
        assert restored_crms(reading) == {}


def test_what_was_under_way_when_the_backup_was_made_is_not_gone_on_with(state, path):
    state.lease = 0.1  # a restore waits, too, until what was sent can arrive no more
    crms = world(5)
    run_cycle(work(state, *crms))
    StoredNotes(state, "hubspot")["import"] = "7"
    with state.begin() as tx:
        tx.execute(insert(schema.cursor).values(crm="hubspot", stream="full:activities", value="9"))
        first = tx.scalar(select(schema.change.c.id).order_by(schema.change.c.id).limit(1))
        tx.execute(update(schema.change).where(schema.change.c.id == first).values(state=journal.SENT))
        run_journal.add_plan(tx, "seen", run_journal.APPROVED, ("m", "c"), MADE, {"kind": "preview"})
    keep(state, path)
    bring(path, state)
    assert list(StoredNotes(state, "hubspot")) == []
    with state.read() as reading:
        assert read_cursor(reading, "hubspot", "full:activities") is None
        assert read_cursor(reading, "hubspot", "activities") is not None
    assert {each["state"] for each in rows(state, schema.change) if each["id"] == first} == {journal.PLANNED}
    assert [each["verdict"] for each in rows(state, schema.run) if each["id"] == "seen"] == [run_journal.SUPERSEDED]


def test_who_was_forgotten_since_the_backup_stays_forgotten(state, path):
    crms = world(5)
    run_cycle(work(state, *crms))
    keep(state, path)
    with state.begin() as tx:
        gone = tx.execute(select(schema.record).order_by(schema.record.c.id).limit(1)).one()
        forget_records(tx, [gone.id])
    bring(path, state)
    assert gone.id not in [each["id"] for each in rows(state, schema.record)]
    run_cycle(work(state, *crms, now=NOW + timedelta(minutes=1)))
    (row,) = [each for each in rows(state, schema.record) if each["ref_id"] == gone.ref_id and each["crm"] == gone.crm]
    assert (row["forgotten"], row["emails"]) == (True, "[]")


def test_a_pause_outlives_a_restore(state, path):
    keep(state, path)
    with state.begin() as tx:
        begin_pause(tx, MADE, None, "of the audit")
    bring(path, state)
    with state.read() as reading:
        assert find_pause(reading, MADE).why == "of the audit"


# A backup is complete or not there


def test_a_backup_is_for_its_owner_alone_and_one_file(state, path, tmp_path):
    save(state, contact(1))
    assert keep(state, path) == path.stat().st_size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir() if "backup" in each.name] == ["backup.db"]


def test_a_backup_is_of_one_instant_while_a_worker_writes(state, path):
    """Each transaction writes two rows; a backup never has one of them alone."""
    ended = threading.Event()

    def write():
        number = 0
        while not ended.is_set():
            with state.begin() as tx:
                for stream in ("a", "b"):
                    tx.execute(insert(schema.cursor).values(crm=str(number), stream=stream, value="1"))
            number += 1

    writing = threading.Thread(target=write)
    writing.start()
    found = []
    try:
        for _ in range(5):
            keep(state, path, replace=True)
            with closing(sqlite3.connect(path)) as made:
                found.append(made.execute("SELECT count(*), count(DISTINCT crm) FROM cursor").fetchone())
    finally:
        ended.set()
        writing.join()
    assert all(many == 2 * pairs for many, pairs in found)
    assert found[-1] > found[0]


def test_nothing_is_replaced_without_yes(state, path):
    path.write_text("precious")
    with pytest.raises(ConfigError, match="already exists and was not changed"):
        keep(state, path)
    assert path.read_text() == "precious"
    keep(state, path, replace=True)
    with opened_backup(path):
        pass


def test_the_state_itself_is_no_place_for_a_backup(tmp_path):
    with (
        closing(open_store(f"sqlite:///{tmp_path}/state.db")) as store,
        pytest.raises(ConfigError, match="is the state itself"),
    ):
        keep(store, tmp_path / "state.db", replace=True)


def test_a_full_disk_leaves_the_backup_from_before_and_nothing_half(state, path, tmp_path, monkeypatch):
    keep(state, path)
    before, files = path.read_bytes(), sorted(tmp_path.iterdir())

    def full(*_arguments):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(backup, "_copy_file", full)
    monkeypatch.setattr(backup, "_copy_tables", full)
    with pytest.raises(StateError, match=r"cannot be written: database or disk is full; nothing of it was kept"):
        keep(state, path, replace=True)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == files


def test_a_folder_that_is_not_there_gets_a_sentence(state, tmp_path):
    with pytest.raises(StateError, match="cannot be written: No such file"):
        keep(state, tmp_path / "no" / "backup.db")


def test_a_backup_that_is_stopped_leaves_nothing(state, path, tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "LOOK_EVERY", 1)
    save(state, *(contact(number) for number in range(50)))
    files, stop = sorted(tmp_path.iterdir()), threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        keep(state, path, stop=stop)
    assert sorted(tmp_path.iterdir()) == files


def test_what_is_left_of_somebody_forgotten_is_in_no_byte_of_a_backup(tmp_path, path):
    with closing(open_store(f"sqlite:///{tmp_path}/state.db")) as store:
        save(store, *(contact(number, name=f"canary-{number}" * 20) for number in range(300)))
        with store.begin() as tx:
            forget_records(tx, [each.id for each in tx.execute(select(schema.record.c.id))])
        keep(store, path)
    assert b"canary-" not in path.read_bytes()


# What is refused


@pytest.mark.parametrize(
    ("spoil", "error", "sentence"),
    [
        (lambda path: path.unlink(), ConfigError, "there is no file"),
        (lambda path: path.write_text("this is a letter" * 99), StateError, "damaged or no backup"),
        (lambda path: path.write_bytes(path.read_bytes()[:20_000]), StateError, "damaged"),
        (lambda path: change_pragma(path, "application_id=7"), ConfigError, "is no backup"),
        (lambda path: set_version(path, "9999"), StateError, "made by a newer crmsync"),
        (lambda path: set_version(path, "0000"), StateError, "damaged or no backup"),
        (lambda path: spoil_by(path, "DELETE FROM alembic_version"), StateError, "damaged or no backup"),
        (lambda path: spoil_by(path, "DROP TABLE alembic_version"), StateError, "damaged or no backup"),
        (lambda path: spoil_by(path, "DROP TABLE record"), StateError, "damaged or no backup"),
        (lambda path: spoil_by(path, "ALTER TABLE record DROP COLUMN name"), StateError, "damaged or no backup"),
        (lambda path: spoil_by(path, "UPDATE note SET value = 'x'"), StateError, "damaged or no backup"),
    ],
)
def test_what_is_no_sound_backup_is_refused_and_the_state_stays(state, path, spoil, error, sentence):
    save(state, contact(1))
    keep(state, path)
    spoil(path)
    with pytest.raises(error, match=sentence):
        bring(path, state)
    assert len(rows(state, schema.record)) == 1
    with state.read() as reading:
        assert restored_crms(reading) == {}


def change_pragma(path, pragma):
    with closing(sqlite3.connect(path)) as made:
        made.execute(f"PRAGMA {pragma}")


def set_version(path, version):
    spoil_by(path, f"UPDATE alembic_version SET version_num = '{version}'")


def spoil_by(path, statement):
    with closing(sqlite3.connect(path)) as made, made:
        made.execute(statement)


def test_a_backup_that_was_copied_to_the_place_of_the_state_is_not_worked_on(state, path, tmp_path):
    save(state, contact(1))
    keep(state, path)
    for opened in (open_store, open_existing_store):
        with pytest.raises(StateError, match=r"is a backup and no state; .* crmsync restore"):
            opened(f"sqlite:///{path}")
    with closing(open_store(f"sqlite:///{tmp_path}/new.db")) as new:
        bring(path, new)
    open_store(f"sqlite:///{tmp_path}/new.db").close()


def test_an_undo_that_was_asked_for_when_the_backup_was_made_is_not_done_after_a_restore(state, path):
    with state.begin() as tx:
        request_undo(tx, "20261121-090000-abcd", MADE)
    keep(state, path)
    bring(path, state)
    with state.read() as reading:
        assert undo_requests(reading) == []


def test_a_restore_is_refused_while_somebody_works_on_the_state(state, path):
    keep(state, path)
    with closing(open_store(state.engine.url.render_as_string(hide_password=False))) as other:
        with other.writer("crmsync run"), pytest.raises(StateInUse):
            bring(path, state)
        bring(path, state)


def test_a_restore_that_is_cut_off_leaves_the_state_as_it_was(both, path):
    old, new = both
    filled(old, *world(5))
    keep(old, path)
    save(new, contact("precious"))
    before, told = everything(new), []

    def fail(_what, _crm, more):
        told.append(more)
        if len(told) == 5:
            raise RuntimeError("the power went")

    with opened_backup(path) as source, pytest.raises(RuntimeError):
        restore_state(source, new, MADE, fail, threading.Event(), lambda _seconds: None)
    assert everything(new) == before


# Older versions


def test_a_state_of_each_older_version_can_be_kept_and_comes_up_to_date(state_url, path, tmp_path, request):
    make_empty(state_url)
    with closing(open_store(state_url, version="0001")) as old, old.begin() as tx:
        tx.exec_driver_sql("INSERT INTO cursor (crm, stream, value) VALUES ('hubspot', 'contacts:abc', '7')")
        tx.exec_driver_sql("INSERT INTO account (crm, account) VALUES ('hubspot', '42')")
    with closing(open_existing_store(state_url, older=True)) as old:
        keep(old, path)
    with closing(open_store(f"sqlite:///{tmp_path}/new.db")) as new:
        bring(path, new)
        with new.read() as reading:
            assert read_cursor(reading, "hubspot", "contacts:abc") == "7"
            assert restored_crms(reading) == {"hubspot": "pull"}
            assert reading.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == database.HEAD
    shutil.copyfile(path, tmp_path / "kept.db")
    with closing(sqlite3.connect(path)) as made:
        # Who restores it changes nothing of the backup.
        assert made.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
