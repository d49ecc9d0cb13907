"""The daemon: when cycles begin, what it survives, and how quickly it leaves."""

import json
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from connectors.sandbox.faults import Fault
from crmsync.config.worker import Schedule
from crmsync.daemon import scheduler as schedule
from crmsync.daemon import signals
from crmsync.errors import Cancelled, ConfigError, StateError, Unavailable
from crmsync.reporting.standing import next_run_document
from crmsync.store import run_journal
from crmsync.store.database import held_by, open_store
from tests.support import make
from tests.support.processes import left, read_until, until

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def ticks(settings, start, count):
    """The first instants after `start` at which cycles begin."""
    trigger, at, found = schedule.trigger_of(settings), None, []
    now = start
    for _ in range(count):
        at = trigger.get_next_fire_time(at, now)
        found.append(at)
        now = at
    return found


# When


def test_every_is_a_matter_of_elapsed_time_not_of_local_clocks():
    settings = Schedule(every="30m", timezone="Europe/Berlin")
    over_the_gap = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    found = ticks(settings, over_the_gap, 6)
    assert {after - before for before, after in pairwise(found)} == {timedelta(minutes=30)}


@pytest.mark.parametrize(
    ("zone", "cron", "night"),
    [
        (BERLIN, "30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=BERLIN)),
        (NEW_YORK, "30 1 * * *", datetime(2026, 10, 31, 12, tzinfo=NEW_YORK)),
        (BERLIN, "0,30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=BERLIN)),
    ],
)
def test_a_daily_cron_runs_once_in_the_night_that_has_an_hour_twice(zone, cron, night):
    found = ticks(Schedule(cron=cron, timezone=str(zone)), night, 6)
    assert len({each.replace(tzinfo=None) for each in found}) == 6
    assert all(each.fold == 0 for each in found)


def test_an_hourly_cron_runs_in_both_of_the_two_hours():
    found = ticks(Schedule(cron="30 * * * *", timezone="Europe/Berlin"), datetime(2026, 10, 25, 0, 0, tzinfo=UTC), 4)
    apart = {after.timestamp() - before.timestamp() for before, after in pairwise(found)}
    assert apart == {3600.0}


def test_a_cron_of_the_missing_hour_still_runs_that_day():
    found = ticks(Schedule(cron="30 2 * * *", timezone="Europe/Berlin"), datetime(2026, 3, 28, 12, tzinfo=BERLIN), 2)
    assert [each.date().isoformat() for each in found] == ["2026-03-29", "2026-03-30"]


@pytest.mark.parametrize(
    ("weekday", "first"),
    [
        ("0", "2026-11-22"),
        ("7", "2026-11-22"),
        ("1-5", "2026-11-23"),
        ("6", "2026-11-21"),
        ("*/2", "2026-11-21"),
        ("5-7", "2026-11-21"),
        ("2,4", "2026-11-24"),
    ],
)
def test_weekdays_are_those_of_crontab(weekday, first):
    (found,) = ticks(Schedule(cron=f"0 12 * * {weekday}"), START, 1)
    assert found.date().isoformat() == first


@pytest.mark.parametrize("settings", [Schedule(every="10m"), Schedule(every="7d"), Schedule(cron="0 6 * * 1")])
def test_a_tick_that_is_a_day_late_runs_once_and_none_is_dropped_for_being_late(settings):
    ran = []

    def act():
        job = scheduler.get_job("cycle")
        ran.append((job.misfire_grace_time, job.coalesce, job.max_instances))
        scheduler.shutdown(wait=False)

    scheduler = schedule.scheduler_of(settings, act, datetime.now(UTC) - timedelta(days=1))
    scheduler.start()
    assert ran == [(None, True, 1)]


# What it survives


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("hubspot", "it is down"),
        ConfigError("the token was revoked"),
        StateError("the disk is full"),
        Cancelled("stopped"),
        KeyError("a fault"),
    ],
)
def test_a_cycle_that_fails_is_told_and_the_next_one_goes_on(monkeypatch, error):
    def failing(_work, _command):
        raise error

    monkeypatch.setattr(schedule, "run_cycle", failing)
    watch = schedule.Watch()
    assert schedule.run_scheduled(lambda: None, watch) is None
    assert watch.since is None


def test_a_cycle_without_progress_is_noticed(monkeypatch):
    clock = iter([100.0, 150.0, 161.0])
    monkeypatch.setattr(schedule.time, "monotonic", lambda: next(clock))
    watch = schedule.Watch()
    watch.begin()
    assert not watch.stalled(60)
    assert watch.stalled(60)
    watch.end()
    assert not watch.stalled(60)


def test_the_daemon_notes_in_the_state_when_its_next_run_is(monkeypatch, state):
    stop, noted, settings = threading.Event(), [], make.config(schedule={"every": "15m"})

    def said():
        with state.read() as reading:
            return next_run_document(settings, reading, held_by(state), datetime.now(UTC), str)

    def ran(*_given):
        until(lambda: said()["at"])
        noted.append(said())
        stop.set()

    monkeypatch.setattr(schedule, "run_scheduled", ran)
    monkeypatch.setattr(schedule, "STATE_EVERY", 0.01)
    began = datetime.now(UTC)
    assert said() == {
        "schedule": "every 15m",
        "daemon": False,
        "at": None,
        "start": "crmsync run",
        "delay_seconds": None,
    }
    with state.writer("crmsync run"):
        with state.begin() as tx:
            run_journal.set_worker_config(tx, "a hash")
        schedule.run_daemon(settings, lambda: None, schedule.Watch(), stop, (), state)
        (found,) = noted
        assert (found["daemon"], found["start"]) == (True, None)
        assert timedelta(minutes=14) < datetime.fromisoformat(found["at"]) - began < timedelta(minutes=16)
    assert said()["at"] is None


# Signals


def test_a_signal_in_the_midst_of_looking_at_the_flag_does_not_hang(monkeypatch):
    monkeypatch.setattr(signals, "_cut_off_later", lambda _code, _words: None)
    with signals.raise_stop_on_signals(0) as stop:
        with stop._cond:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(10)


# The real process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_runs_a_cycle_at_once_and_leaves_when_told(started, sandbox, number):
    process = started("run")
    assert '"verdict": "' in read_until(process, "run_done")
    seconds, code = left(process, number)
    assert code == 0
    assert seconds < 8
    assert "stopped" in process.stderr.read()


def test_a_daemon_that_never_gets_an_answer_leaves_in_time_and_twice_told_too(started, sandbox):
    sandbox.faults.add(Fault(do="silence"))
    process = started("run")
    until(lambda: sandbox.faults.fired()[0][1] > 0)
    process.send_signal(signal.SIGTERM)
    seconds, code = left(process)
    assert code == 0
    assert seconds < 8


def test_a_backfill_that_is_stopped_says_so_and_goes_on_later(started, sandbox):
    sandbox.faults.add(Fault(do="silence", path="/query|/search|/objects/contacts"))
    process = started("backfill", "--json")
    until(lambda: sandbox.faults.fired()[0][1] > 0)
    seconds, code = left(process)
    assert code == 1
    assert seconds < 8
    said = json.loads(process.stdout.read())
    assert said["error"] == "cancelled"
    assert said.get("verdict", "failed") == "failed"
    sandbox.faults.clear()
    process = started("backfill", "--json")
    assert process.wait(60) in (0, 4)


def test_a_daemon_waits_behind_another_writer_and_takes_over(started, config, sandbox):
    store, before = open_store(f"sqlite:///{config.parent}/crmsync.db"), len(sandbox.calls)
    with store.writer("the other one"):
        process = started("run")
        assert "the other one" in read_until(process, "standing_by")
        assert len(sandbox.calls) == before
    store.close()
    read_until(process, "run_done")
    assert left(process)[1] == 0


def test_a_daemon_that_waits_leaves_when_told(started, config):
    store = open_store(f"sqlite:///{config.parent}/crmsync.db")
    with store.writer("the other one"):
        process = started("run")
        read_until(process, "started")
        seconds, code = left(process)
    store.close()
    assert code == 0
    assert seconds < 8


def test_a_cycle_that_hangs_ends_the_daemon_for_its_supervisor(started, config, sandbox):
    config.write_text(config.read_text().replace('stall_timeout = "1h" ', 'stall_timeout = "1s" '))
    sandbox.faults.add(Fault(do="silence"))
    process = started("run")
    read_until(process, "run_stalled")
    assert process.wait(20) == 1


def test_a_daemon_goes_on_when_no_crm_lets_it_in(started, sandbox):
    sandbox.faults.add(Fault(do="answer", status=401))
    process = started("run")
    read_until(process, "run_failed")
    sandbox.faults.clear()
    read_until(process, "run_done")
    assert left(process)[1] == 0
