"""The state under pressure: many processes at once, power cuts, old versions, and runs without end."""

import gc
import shutil
import sqlite3
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from random import Random
from string import ascii_lowercase

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from crmsync.cycle import run_cycle
from crmsync.errors import ConfigError, StateError, Unavailable
from crmsync.model import Page, Ref
from crmsync.reporting.person import explain_person
from crmsync.store import database, schema
from crmsync.store.contacts import save_contacts
from crmsync.store.cursors import read_cursor, write_cursor
from crmsync.store.database import open_store, quick_check
from crmsync.store.queries import find_beginning, find_named
from tests.support.cycles import two_crms, world
from tests.support.make import NOW, config, contact, crm, store, work


def rows(state, table):
    with state.read() as reading:
        return [row._asdict() for row in reading.execute(select(table))]


# Many at once


def test_D01_no_transaction_is_open_while_a_crm_is_asked(tmp_path):
    """Another process can write during any call: none of them waits for a CRM."""
    state, crms = store(tmp_path), world(1, 15)
    asked = []

    def look(crm_):
        call = crm_._call

        def calling():
            call()
            with closing(sqlite3.connect(tmp_path / "state.db", timeout=0, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
            asked.append(crm_.name)

        crm_._call = calling

    for each in crms:
        each.page_size = 4
        look(each)
    assert run_cycle(work(state, *crms)).verdict == "ok"
    assert len(asked) > 30
    state.close()


def test_D01_D09_who_reads_and_then_writes_waits_for_another_writer(tmp_path):
    """A deferred transaction would fail at once here, whatever its timeout."""
    state, begun = store(tmp_path), threading.Event()

    def other():
        with state.begin() as tx:
            write_cursor(tx, "hubspot", "contacts", "1")
            begun.set()
            threading.Event().wait(0.2)

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait(5)
    with state.begin() as tx:
        assert read_cursor(tx, "hubspot", "contacts") == "1"
        write_cursor(tx, "hubspot", "contacts", "2")
    thread.join()
    with state.read() as reading:
        assert read_cursor(reading, "hubspot", "contacts") == "2"
    state.close()


def test_D02_D09_eight_readers_and_a_writer_never_meet_a_lock(state):
    ended, errors, looked = threading.Event(), [], []

    def read():
        try:
            while not ended.is_set():
                with state.read() as reading:
                    looked.append(reading.scalar(select(func.count()).select_from(schema.record)))
        except StateError as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for each in readers:
        each.start()
    for number in range(15):
        with state.begin() as tx:
            save_contacts(tx, "r", [contact(number)], NOW)
    ended.set()
    for each in readers:
        each.join()
    assert errors == []
    assert len(rows(state, schema.record)) == 15
    assert len(looked) >= 8


# Power cuts


def test_J10_a_commit_is_on_the_disk_before_anything_is_sent(tmp_path):
    state = store(tmp_path)
    with state.read() as reading:
        assert reading.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert reading.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    state.close()


def test_J10_a_log_that_was_torn_anywhere_leaves_pages_that_agree_with_their_cursors(tmp_path):
    state = store(tmp_path)
    for number in range(1, 9):
        with state.begin() as tx:
            save_contacts(tx, "r", [contact(f"{number}.{each}") for each in range(5)], NOW)
            write_cursor(tx, "hubspot", "contacts", str(number))
    for each in ("state.db", "state.db-wal"):
        shutil.copy(tmp_path / each, tmp_path / f"whole.{each}")
    state.close()
    size = (tmp_path / "whole.state.db-wal").stat().st_size
    found = set()
    for part in range(9):
        folder = tmp_path / f"cut{part}"
        folder.mkdir()
        shutil.copy(tmp_path / "whole.state.db", folder / "state.db")
        torn = (tmp_path / "whole.state.db-wal").read_bytes()[: size * part // 8]
        (folder / "state.db-wal").write_bytes(torn)
        cut = store(folder)
        quick_check(cut, NOW)
        with cut.read() as reading:
            cursor = int(read_cursor(reading, "hubspot", "contacts") or 0)
        assert len(rows(cut, schema.record)) == 5 * cursor
        found.add(cursor)
        cut.close()
    assert {0, 8} <= found
    assert len(found) > 3


# Old versions


def test_R30_a_state_of_the_first_version_goes_on_from_its_cursors(tmp_path):
    old = open_store(f"sqlite:///{tmp_path}/state.db", version="0001")
    with old.begin() as tx:
        assert tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "0001"
        write_cursor(tx, "hubspot", "contacts:abc", "7")
    old.close()
    new = open_store(f"sqlite:///{tmp_path}/state.db")
    with new.read() as reading:
        assert reading.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == database.HEAD
        assert read_cursor(reading, "hubspot", "contacts:abc") == "7"
    new.close()


def test_names_of_a_state_from_before_the_search_by_words_are_found(tmp_path):
    old = open_store(f"sqlite:///{tmp_path}/state.db", version="0013")
    with old.begin() as tx:
        row = {"crm": "hubspot", "kind": "contact", "known": True}
        named = [(1, "Jürgen Großmann"), (2, ""), (3, "Ada Ada O'Hara")]
        for number, name in named:
            tx.execute(schema.record.insert().values(**row, id=number, ref_id=str(number), name=name, person=number))
    old.close()
    new = open_store(f"sqlite:///{tmp_path}/state.db")
    with new.read() as reading:
        found = [find_beginning(reading, text, 9) for text in ("gross jur", "o'har ada", "urgen", "")]
        assert found == [[1], [3], [], []]
        assert [each.id for each in find_named(reading, "JURGEN GROSSMANN")] == [1]
        assert find_named(reading, "Jurgen") == []
    new.close()


def test_a_name_as_long_as_a_text_is_kept_and_found(state):
    name = "".join(Random(1).choices(ascii_lowercase, k=9_000))
    with state.begin() as tx:
        save_contacts(tx, "r1", [contact(1, name=f"Ann {name}")], NOW)
    with state.read() as reading:
        assert [each.name for each in find_named(reading, f"ann {name}")] == [f"Ann {name}"]


def test_nothing_of_a_name_stays_of_a_record_that_is_deleted_merged_or_renamed(tmp_path):
    made = store(tmp_path)
    people = [contact(number, name=f"Canary Number{number}") for number in (1, 2, 3)]
    for each in (*people, replace(people[0], name="", gone=True), replace(people[1], name="Dee Smith", aliases=("3",))):
        with made.begin() as tx:
            save_contacts(tx, "run", [each], NOW)
    assert sorted((row["record"], row["word"]) for row in rows(made, schema.name_word)) == [(2, "dee"), (2, "smith")]
    made.close()


# Without end


class Endless:
    """A CRM with any number of contacts, none of which it keeps; it measures what is held after each page."""

    def __init__(self, people):
        self.made, self.people, self.held = crm("hubspot"), people, []

    def contacts(self, cursor: str | None) -> Iterator[Page]:
        for start in range(int(cursor or 0), self.people, 100):
            numbers = range(start, min(start + 100, self.people))
            yield Page([contact(each, fields={"title": "x" * 4_000}) for each in numbers], str(numbers[-1] + 1))
            self.held.append(tracemalloc.get_traced_memory()[0])


def test_R23_what_a_pull_holds_in_memory_does_not_grow_with_what_it_pulls(tmp_path, monkeypatch):
    monkeypatch.setattr("crmsync.page_groups.RECORDS", 200)
    state, endless = store(tmp_path), Endless(2_000)
    endless.made.contacts = endless.contacts
    endless.made.owners = lambda: _unavailable()
    tracemalloc.start()
    with pytest.raises(Unavailable):
        run_cycle(work(state, endless.made))
    tracemalloc.stop()
    assert len(rows(state, schema.record)) == 2_000
    # Two groups: the one that is stored, and the one that comes.
    assert max(endless.held) - endless.held[4] < 2 * 200 * 4_000 * 2
    state.close()


def _unavailable():
    raise Unavailable("hubspot", "it stops after the pull")


def test_J13_what_a_daemon_holds_in_memory_does_not_grow_with_its_runs(tmp_path):
    state, crms, settings, held = store(tmp_path), two_crms(), config(), []
    for number in range(20):
        of = work(state, *crms, now=NOW + timedelta(minutes=15 * number), settings=settings)
        if number % 5 == 4:
            with pytest.MonkeyPatch.context() as patch:
                for each in crms:
                    patch.setattr(each, "owners", _unavailable)
                with pytest.raises(Unavailable):
                    run_cycle(of, "run")
        else:
            run_cycle(of, "run")
        if number == 4:
            tracemalloc.start()
        if number in (11, 19):
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[1] - held[0] < 50_000
    state.close()


# Half old, half new


def test_S09_a_run_scores_everybody_by_the_config_it_began_with(state):
    crms, settings = world(2, 20), config()

    def edit(what, _crm, _more):
        for change in (lambda: setattr(settings, "bands", {}), lambda: setattr(settings.fit[0], "points", 99)):
            with pytest.raises(ValidationError, match="frozen"):
                change()

    result = run_cycle(work(state, *crms, settings=settings)._replace(progress=edit))
    assert result.verdict == "ok"
    assert {each["model"] for each in rows(state, schema.person)} == {settings.model_hash()}


# Whose state it is, and what it remembers


def test_D08_a_run_with_the_credentials_of_another_account_writes_nothing(state):
    hubspot, salesforce = two_crms()
    run_cycle(work(state, hubspot, salesforce))
    other = crm("hubspot")
    other.edit(contact(1, fields={"title": "VP Sales"}))
    other.account = lambda: "memory:another"
    with pytest.raises(ConfigError, match="belongs to hubspot account memory:hubspot"):
        run_cycle(work(state, other))
    assert other.writes == []


def test_O03_a_refusal_is_kept_word_for_word_and_explained_to_who_asks(state):
    hubspot, _ = two_crms()
    ada = Ref("hubspot", "contact", "1")
    hubspot.refusing[ada] = "FIELD_CUSTOM_VALIDATION_EXCEPTION: Budget is required"
    run_cycle(work(state, hubspot))
    said = explain_person(config(), state, "ada@x.example", NOW)
    assert "Budget is required" in next(each for each in said["records"] if each["ref"] == str(ada))["on_hold"]
    assert "Budget is required" in said["history"][0]["reason"]


# What a disk or a database says


def test_J08_a_full_disk_ends_a_run_in_words_and_the_next_one_goes_on(tmp_path):
    state, crms = store(tmp_path), world(4, 40)
    with state.read() as reading:
        pages = reading.exec_driver_sql("PRAGMA page_count").scalar()
    state.close()

    def cramped(connection, _record):
        connection.execute(f"PRAGMA max_page_count={pages + 4}")

    state = store(tmp_path)
    database.event.listen(state.engine, "connect", cramped)
    state.engine.dispose()
    with pytest.raises(StateError, match="full"):
        run_cycle(work(state, *crms))
    assert [each.writes for each in crms] == [[], []]
    state.close()
    state = open_store(f"sqlite:///{tmp_path}/state.db")
    quick_check(state, NOW)
    assert run_cycle(work(state, *crms)).verdict == "ok"
    assert crms[0].writes
    state.close()
