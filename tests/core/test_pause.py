"""A pause stops all writing, by the daemon and by hand, whenever it comes; looking goes on."""

import json
import os
import signal
import threading
from contextlib import closing
from datetime import timedelta

import pytest

from connectors.sandbox.faults import Fault
from crmsync.cycle import preview_run, run_cycle
from crmsync.errors import Paused
from crmsync.exit_codes import outcome_of
from crmsync.reporting import status
from crmsync.store import journal, schema
from crmsync.store.database import open_store
from crmsync.store.pausing import PauseStop, begin_pause, end_pause, find_pause
from crmsync.store.sql import to_ms
from tests.core.test_one_writer import Worker
from tests.support.cycles import balanced, held, two_crms, world
from tests.support.make import NOW, work
from tests.support.processes import until
from tests.support.state import rows
from tests.support.stop import Hurried

HOUR = 3_600_000


def pause(state, since=NOW, end=None, why=""):
    with state.begin() as tx:
        return begin_pause(tx, to_ms(since), end and to_ms(end), why)


def paused_at(state, at):
    with state.read() as reading:
        return find_pause(reading, to_ms(at))


def test_a_pause_ends_by_itself_and_a_second_one_changes_the_end(state):
    pause(state, end=NOW + timedelta(hours=1), why="the portal is being migrated")
    second = pause(state, NOW + timedelta(minutes=30), NOW + timedelta(hours=3))
    assert second == (to_ms(NOW), to_ms(NOW) + 3 * HOUR, "the portal is being migrated")
    assert paused_at(state, NOW + timedelta(hours=2, minutes=59)) == second
    assert paused_at(state, NOW + timedelta(hours=3)) is None
    later = pause(state, NOW + timedelta(hours=4))
    assert later == (to_ms(NOW) + 4 * HOUR, None, "")


def test_a_clock_that_is_set_back_is_within_the_pause_again(state):
    pause(state, end=NOW + timedelta(hours=1))
    assert paused_at(state, NOW + timedelta(days=1)) is None
    assert paused_at(state, NOW) is not None


def test_resume_ends_it_once(state):
    pause(state)
    with state.begin() as tx:
        assert [end_pause(tx, to_ms(NOW) + 1), end_pause(tx, to_ms(NOW) + 2)] == [True, False]
    assert paused_at(state, NOW + timedelta(hours=1)) is None


def test_a_run_in_a_pause_asks_no_crm_and_leaves_no_run(state):
    crms = two_crms()
    pause(state, end=NOW + timedelta(hours=1), why="of the audit")
    with pytest.raises(Paused) as raised:
        run_cycle(work(state, *crms))
    assert [each.calls for each in crms] == [0, 0]
    assert rows(state, schema.run) == []
    end = outcome_of(raised.value)
    assert (end.code, end.kind, end.next) == (3, "paused", "crmsync resume")
    assert end.said == (
        "Paused since 2026-11-21 12:00 UTC until 2026-11-21 13:00 UTC, because of the audit. Meanwhile nothing is "
        "written; crmsync plan works.",
    )
    assert run_cycle(work(state, *crms, now=NOW + timedelta(hours=1))).verdict == "ok"


def test_a_preview_in_a_pause_says_what_a_run_would_write(state):
    crms = two_crms()
    pause(state)
    assert sum(each.planned for each in preview_run(work(state, *crms)).crms.values()) == 4
    assert [each.writes for each in crms] == [[], []]


@pytest.mark.parametrize("after", [0, 1, 5])
def test_no_batch_is_sent_after_a_pause_and_the_end_is_that_of_a_run_without_one(state, tmp_path, after):
    crms, undisturbed = world(3, 20), world(3, 20)
    with closing(open_store(f"sqlite:///{tmp_path}/other.db")) as other:
        run_cycle(work(other, *undisturbed))
    for each in crms:
        _pause_after(state, each, crms, after)
    with pytest.raises(Paused):
        run_cycle(work(state, *crms))
    assert sum(len(each.writes) for each in crms) == after
    (run,) = rows(state, schema.run)
    assert run["verdict"] == "failed"
    assert "Paused since" in run["result"]
    with state.begin() as tx:
        end_pause(tx, to_ms(NOW) + 1)
    resumed = balanced(run_cycle(work(state, *crms, now=NOW + timedelta(minutes=1))))
    assert resumed.verdict == "ok"
    assert [held(each) for each in crms] == [held(each) for each in undisturbed]
    assert not [row for row in rows(state, schema.change) if row["state"] in (journal.PLANNED, journal.SENT)]


def _pause_after(state, crm, crms, writes):
    """Pause once so many records were written in all; before the first one, when the plan is about to be made."""
    edited, owners = crm.edit, crm.owners

    def edit(record):
        edited(record)
        if sum(len(each.writes) for each in crms) == writes:
            pause(state)

    def ask():
        if not rows(state, schema.pause):
            pause(state)
        return owners()

    if writes:
        crm.edit = edit
    else:
        crm.owners = ask


def test_connectors_are_told_to_leave_as_soon_as_it_is_paused(state):
    raised = Hurried()
    stop = PauseStop(raised, state, lambda: NOW)
    assert not stop.is_set()
    pause(state)
    assert stop.is_set()
    with state.begin() as tx:
        end_pause(tx, to_ms(NOW))
    assert not stop.is_set()


# Health


def documents(of, at=NOW):
    return status.health_document(of.config, of.store, at), status.status_document(of.config, of.store, at)


def test_in_a_pause_all_is_well_and_afterwards_health_counts_from_its_end(state):
    of = work(state, *two_crms())._replace(config=status_config())
    run_cycle(of)
    pause(state, NOW, NOW + timedelta(days=3), "of the audit")
    kept = {"since": NOW.isoformat(), "until": (NOW + timedelta(days=3)).isoformat(), "why": "of the audit"}
    for said in documents(of, NOW + timedelta(days=2)):
        assert (said["healthy"], said["health"], said["paused"]) == (True, [], kept)
        assert all(each["healthy"] for each in said["crms"].values())
    for said in documents(of, NOW + timedelta(days=3, minutes=30)):
        assert (said["healthy"], said["paused"]) == (True, None)
    for said in documents(of, NOW + timedelta(days=3, hours=3)):
        assert not said["healthy"]


def test_a_pause_before_the_first_run_is_well_too(state):
    of = work(state, *two_crms())
    pause(state)
    assert all(said["healthy"] for said in documents(of))


def status_config():
    from tests.support.make import config

    return config(hubspot={}, salesforce={"instance_url": "https://acme.my.salesforce.com"})


# With processes of their own


@pytest.fixture
def worker(config):
    running = []

    def start(url, *words):
        running.append(Worker(config, url, words))
        return running[-1]

    yield start
    for each in running:
        each.end()


def do(worker, url, *words, code=0):
    """Run a command to its end. Returns its document."""
    one = worker(url, *words, "--json")
    out, _ = one.process.communicate(timeout=60)
    assert one.process.returncode == code, one.said
    return json.loads(out)


def test_a_pause_amid_the_writes_of_a_daemon_stops_them_and_resume_goes_on(worker, state_url, sandbox, config):
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("# concurrency = 8", "concurrency = 1"), encoding="utf-8")
    sandbox.faults.add(Fault(do="delay", delay=4, path="/batch/update", vendor="hubspot"))
    daemon = worker(state_url, "run")
    until(lambda: any("batch/update" in call.path for call in sandbox.calls))
    do(worker, state_url, "pause", "--until", "2h", "--why", "the portal is being migrated")
    before = len(sandbox.calls.writes())
    daemon.wait_for("paused")
    daemon.wait_for("run_stopped")
    # The sandbox counts a call when it has answered it: one was under way.
    threading.Event().wait(4.5)
    stored = len(sandbox.calls.writes())
    assert stored <= before + 1
    assert not any("composite" in call.path for call in sandbox.calls.writes())
    sandbox.faults.clear()
    # A daemon that was killed meanwhile finds the pause again.
    os.kill(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait(20)
    again = worker(state_url, "run")
    again.wait_for("run_stopped", 2)
    assert do(worker, state_url, "sync", code=3)["error"] == "paused"
    assert do(worker, state_url, "plan")["verdict"] == "preview"
    assert len(sandbox.calls.writes()) == stored
    assert do(worker, state_url, "resume") == {"paused": None, "was_paused": True}
    again.wait_for("run_done")
    assert len(sandbox.calls.writes()) > stored


def test_a_pause_outlives_a_kill_in_the_moment_after_it_was_said(worker, state_url):
    one = worker(state_url, "pause", "--json")
    assert json.loads(one.process.stdout.readline() + one.process.stdout.read())["paused"]["until"] is None
    one.end()
    assert do(worker, state_url, "status", "--health")["paused"]["since"]
