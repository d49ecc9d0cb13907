"""Who looks never waits for who writes, makes no state, and leaves an older one as it is."""

import json
import os
import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import make_url, text
from typer.testing import CliRunner

from crmsync.cli import app
from crmsync.cycle import run_cycle
from crmsync.errors import StateError, StateInUse
from crmsync.store import database
from crmsync.store.database import open_existing_store, open_store
from tests.support import make

CRMS = '\n[hubspot]\n[salesforce]\ninstance_url = "https://acme.my.salesforce.com"\n'
LOOKING = (
    *(("status",), ("status", "--health"), ("status", "--feeds"), ("explain", "person1@firm.example")),
    *(("simulate", "--routing"), ("simulate",), ("audit",), ("models",), ("check",)),
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("CRMSYNC_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def path(tmp_path, state_url):
    made = tmp_path / "crmsync.toml"
    made.write_text(
        f'{make.MODEL}{CRMS}\n[state]\nurl = "{make_url(state_url).render_as_string(hide_password=False)}"\n'
    )
    return made


def crmsync(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def filled(url):
    store = open_store(url)
    hubspot = make.crm("hubspot")
    hubspot.edit(make.contact(1))
    run_cycle(make.work(store, hubspot, now=datetime.now(UTC)))
    return store


@contextmanager
def writing(store):
    """Somebody in the middle of a long writing transaction."""
    with store.begin() as tx:
        tx.execute(text("UPDATE record SET name = 'halfway'"))
        yield


def end_waiting(monkeypatch):
    """Whoever waited would end with an error."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 1)
    monkeypatch.setattr(database, "ATTEMPTS", 1)


@pytest.mark.parametrize("words", LOOKING)
def test_looking_does_not_wait_for_a_transaction_that_writes(path, state_url, monkeypatch, words):
    end_waiting(monkeypatch)
    store = filled(state_url)
    try:
        with writing(store):
            ended = crmsync(*words, "-c", path, "--json")
        assert ended.exit_code == 0, ended.output
        assert "halfway" not in ended.stdout
    finally:
        store.close()


def test_a_state_that_is_up_to_date_is_opened_without_a_transaction_that_writes(state_url, monkeypatch):
    end_waiting(monkeypatch)
    store = filled(state_url)
    with writing(store):
        open_store(state_url).close()
    store.close()


@pytest.mark.parametrize("words", LOOKING)
def test_looking_makes_no_state(tmp_path, words):
    path = tmp_path / "crmsync.toml"
    path.write_text(make.MODEL + CRMS)
    ended = crmsync(*words, "-c", path, "--json")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["crmsync.toml"]
    said = json.loads(ended.stdout)
    if words[0] == "explain":
        assert (ended.exit_code, "No run yet" in said["problems"][0], said["next"]) == (
            2, True, f"crmsync plan --config {path}",
        )  # fmt: skip
    elif words[0] == "status":
        assert ended.exit_code == (1 if "--health" in words else 0)
        assert said["health"] == [f"No run yet. Next: crmsync plan --config {path}"]
        assert said["healthy"] is False
        assert f"No run yet. Next: crmsync plan --config {path}" in crmsync(*words, "-c", path).stdout


def test_an_empty_file_is_no_state(tmp_path):
    (tmp_path / "crmsync.db").touch()
    assert open_existing_store(f"sqlite:///{tmp_path}/crmsync.db") is None
    assert (tmp_path / "crmsync.db").stat().st_size == 0


def test_a_database_without_tables_is_no_state(request):
    import psycopg

    server = request.getfixturevalue("_postgres")
    url = make_url(server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE blank")
    assert open_existing_store(url.set(database="blank").render_as_string(hide_password=False)) is None
    with psycopg.connect(
        url.set(database="blank").render_as_string(hide_password=False), autocommit=True
    ) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


@pytest.mark.parametrize("words", LOOKING)
def test_looking_leaves_an_older_state_as_it_is(path, state_url, words):
    store = filled(state_url)
    with store.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    ended = crmsync(*words, "-c", path, "--json")
    said = json.loads(ended.stdout)
    if words[0] == "check":
        assert (ended.exit_code, any("older version" in each for each in said["notes"])) == (0, True)
    else:
        assert (ended.exit_code, said["error"]) == (1, "state")
        assert "the next run upgrades it" in said["problems"][0]
    with store.read() as reading:
        assert reading.scalar(text("SELECT version_num FROM alembic_version")) == "0001"
    store.close()


def test_an_older_state_is_not_changed_under_a_worker(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    store = filled(url)
    with store.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with store.writer("crmsync run"), pytest.raises(StateInUse):
        open_store(url)
    store.close()


def test_a_state_of_a_newer_version_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    open_store(url).close()
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StateError, match="newer crmsync"):
        open_existing_store(url)
