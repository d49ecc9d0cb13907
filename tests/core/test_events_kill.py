"""A worker that is killed like a power cut while it reads events, and goes on: the same scores as without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from crmsync.events import files, table
from crmsync.store import schema
from crmsync.store.database import open_store
from tests.core.test_account_counts import KESTREL, fits, go, login, tables
from tests.core.test_events import event, lines
from tests.support.make import NOW, contact, crm, new_sqlite
from tests.support.state import rows

ROOT = Path(__file__).parents[2]
BILLING = {"name": "billing", "query": "select * from usage", "cursor": "id", "kind": "logged_in", "timezone": "UTC"}


def hubspot():
    made = crm("hubspot")
    for number in (1, 2, 3):
        made.edit(contact(number, emails=(f"p{number}@kestrel.example",), company=KESTREL))
    made.edit(contact(4, emails=("p4@rival.example",)))
    made.edit(contact(5, emails=("p5@gmail.com",)))
    return made


def prepare(folder):
    """A folder of usage and a database of it, both of several pages."""
    usage = folder / "usage"
    usage.mkdir(parents=True)
    for number in range(3):
        some = [login(10 * number + each, f"p{each}@kestrel.example", each + 1) for each in range(5)]
        bought = event(90 + number, "", "bought", domain="kestrel.example", seats=4)
        (usage / f"{number}.jsonl").write_text(lines(*some[:3]) + "broken\n" + lines(*some[3:], bought))
    engine = create_engine(f"sqlite:///{folder}/usage.db")
    with engine.begin() as connection:
        connection.execute(text("create table usage (id integer primary key, email text, at text)"))
        for number in range(1, 8):
            values = {"id": number, "email": "p5@gmail.com" if number % 2 else "new@kestrel.example", "at": str(NOW)}
            connection.execute(text("insert into usage values (:id, :email, :at)"), values)
    engine.dispose()


def work_once(folder, of):
    """One run, with small pages."""
    files.PAGE = table.PAGE = 2
    url = f"sqlite:///{folder}/usage.db"
    state = open_store(f"sqlite:///{folder}/state.db", 1.0)
    try:
        over = tables(folder / "usage")
        return go(state, folder, of, **{**over, "events": [*over["events"], {**BILLING, "url": url}]})
    finally:
        state.close()


def end_of(folder, of):
    state = open_store(f"sqlite:///{folder}/state.db", 1.0)
    try:
        acts = {(each["crm"], each["id"], each["at"]) for each in rows(state, schema.activity)}
        notes = {each["value"].partition('"last"')[2] for each in rows(state, schema.note) if "unread" in each["name"]}
        many = [each["value"] for each in rows(state, schema.note) if "unread" in each["name"]]
        return fits(of), acts, notes, ['"many":3' in each for each in many]
    finally:
        state.close()


@pytest.fixture
def small_pages(monkeypatch):
    for module in (files, table):
        monkeypatch.setattr(module, "PAGE", 2)


@pytest.mark.parametrize("where", ["page_stored:5", "page_stored:14", "commit:11"])
def test_a_run_that_is_killed_while_it_reads_events_ends_like_one_that_was_not(tmp_path, small_pages, where):
    ends = []
    for name, failpoint in (("whole", ""), ("killed", where)):
        folder = tmp_path / name
        prepare(folder)
        new_sqlite(folder)
        if failpoint:
            code = f"from tests.core.test_events_kill import *\nwork_once(Path({str(folder)!r}), hubspot())"
            env = {**os.environ, "CRMSYNC_FAILPOINT": failpoint, "PYTHONPATH": str(ROOT)}
            ended = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True)
            assert ended.returncode == -9, ended.stderr
        of = hubspot()
        work_once(folder, of)
        ends.append(end_of(folder, of))
    assert ends[0] == ends[1]
    assert ends[0][0] == [47, 47, 47, 0, 0]
