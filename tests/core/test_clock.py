"""Clocks that are wrong: nothing is decided by them, and what they left behind is put right."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import orjson
import pytest
import time_machine
from apscheduler.schedulers import base
from apscheduler.schedulers.background import BackgroundScheduler
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import select, update
from typer.testing import CliRunner

from connectors.hubspot.client import PARKED
from connectors.sandbox.faults import Fault
from connectors.sandbox.salesforce import auth
from crmsync.cli import app
from crmsync.clock_skew import judge_clocks
from crmsync.config.worker import Schedule
from crmsync.cycle import preview_run, run_cycle
from crmsync.daemon import scheduler as schedule
from crmsync.daemon import signals
from crmsync.daemon.scheduler import clock_setting, follow_clock, trigger_of
from crmsync.errors import ConfigError, Unavailable, WrongClock
from crmsync.exit_codes import outcome_of
from crmsync.reporting import status
from crmsync.store import run_journal, schema
from crmsync.store.database import BUSY_SECONDS, open_store
from tests.support import hubspot, make
from tests.support.cycles import held, two_crms, world
from tests.support.demo import SECRETS, environment
from tests.support.make import NOW, apply_plan, contact, work
from tests.support.processes import read_until
from tests.support.salesforce import connect as salesforce
from tests.support.state import ledgers

DAYS = timedelta(days=20)
DECAY = {"guard": {"scores": 1.0, "bands": 1.0, "stages": 1.0, "owners": 1.0}}


def by(**ahead):
    return {crm: timedelta(**how) for crm, how in ahead.items()}


@pytest.mark.parametrize(
    ("ahead", "sentence"),
    [
        (by(hubspot={"days": 20}, salesforce={"days": 20}), "20 days ahead of hubspot's and salesforce's"),
        (by(hubspot={"hours": -3}), "3 hours behind hubspot's"),
        (by(hubspot={"minutes": 6}), "6 minutes ahead of hubspot's"),
        (
            by(hubspot={"days": 20}, salesforce={"hours": -3}),
            "20 days ahead of hubspot's and 3 hours behind salesforce's",
        ),
    ],
)
def test_a_clock_that_no_crm_agrees_with_is_told_with_what_to_do(ahead, sentence):
    with pytest.raises(WrongClock) as raised:
        judge_clocks(ahead)
    end = outcome_of(raised.value)
    assert (end.code, end.kind) == (1, "clock")
    assert (
        f"this machine's clock is {sentence}, and crmsync does not work with a wrong clock; correct it" in end.said[0]
    )


@pytest.mark.parametrize("ahead", [{}, by(hubspot={"minutes": 5}), by(hubspot={"minutes": -5}, salesforce={})])
def test_minutes_are_no_wrong_clock(ahead):
    assert judge_clocks(ahead) == {}


# Before anything is decided


def rows(state, table):
    with state.read() as reading:
        return [row._asdict() for row in reading.execute(select(table))]


@pytest.mark.parametrize("wrong", [DAYS, -DAYS])
def test_R36_nothing_is_pulled_or_scored_or_written_by_a_wrong_clock(state, wrong):
    crms = two_crms()
    for each in crms:
        each.time = NOW
    run_cycle(work(state, *crms))
    before, contacts, people = [held(each) for each in crms], rows(state, schema.record), rows(state, schema.person)
    crms[0].edit(contact(3))
    for run in (run_cycle, preview_run):
        with pytest.raises(WrongClock, match=r"20 days (ahead of|behind) hubspot's and salesforce's"):
            run(work(state, *crms, now=NOW + wrong))
    with pytest.raises(WrongClock):
        run_cycle(work(state, *crms, now=NOW + wrong), "backfill", full=True, approved=True)
    assert rows(state, schema.record) == contacts
    assert rows(state, schema.person) == people
    assert [len(each.writes) for each in crms] == [len(before[0]), len(before[1])]
    failed = [row for row in rows(state, schema.run) if row["verdict"] == "failed"]
    assert len(failed) == 2
    assert "correct it (for example with NTP) and run again" in orjson.loads(failed[0]["result"])["problems"][0]
    assert run_cycle(work(state, *crms)).verdict == "ok"


def test_R36_what_was_approved_waits_for_a_right_clock(state):
    crms = two_crms()
    for each in crms:
        each.time = NOW
    dry = preview_run(work(state, *crms))
    with pytest.raises(WrongClock):
        apply_plan(work(state, *crms, now=NOW + DAYS), dry.run)
    assert not crms[0].writes
    edited = make.config(**DECAY, write={**make.config().write.model_dump(), "owner": False})
    run_cycle(work(state, *crms))
    with pytest.raises(WrongClock):
        run_cycle(work(state, *crms, settings=edited, now=NOW + DAYS))


def test_R36_a_crm_with_an_odd_clock_is_skipped_and_the_other_goes_on(state):
    hubspot, salesforce = two_crms()
    hubspot.time, salesforce.time = NOW + timedelta(minutes=2), NOW - DAYS
    result = run_cycle(work(state, hubspot, salesforce))
    assert result.verdict == "partial"
    assert result.skipped["salesforce"].startswith("its clock is 20 days behind this machine's, which agrees with hub")
    assert hubspot.writes
    assert not salesforce.writes


def test_R36_the_clock_is_held_against_a_crm_that_misses_a_field(state):
    hubspot, salesforce = two_crms()
    hubspot.time, salesforce.time = NOW, NOW

    def refused():
        raise Unavailable("salesforce", "it is down")

    salesforce.account = refused
    with pytest.raises(WrongClock, match="ahead of hubspot's, and"):
        run_cycle(work(state, hubspot, salesforce, now=NOW + DAYS))


def test_R36_what_passed_since_the_run_began_is_counted(state):
    hubspot, _ = two_crms()
    hubspot.time = NOW + timedelta(hours=2)
    long_copy = work(state, hubspot)._replace(elapsed=lambda: 7_200.0)
    assert run_cycle(long_copy).verdict == "ok"
    with pytest.raises(WrongClock, match="2 hours behind"):
        run_cycle(work(state, hubspot))


def test_R36_commands_end_with_a_sentence_by_a_sandbox_whose_clock_is_behind(config, sandbox, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    sandbox.clock.advance(-DAYS.total_seconds())
    before = len(sandbox.calls.writes())
    for words in (["plan"], ["sync"], ["backfill", "--yes"]):
        ended = CliRunner().invoke(app, [*words, "--json", "-c", str(config)])
        said = orjson.loads(ended.stdout)
        assert (ended.exit_code, said["error"]) == (1, "clock"), ended.stderr
        (sentence,) = said["problems"]
        assert sentence.startswith("this machine's clock is 20 days ahead of hubspot's and salesforce's")
    assert len(sandbox.calls.writes()) == before


def test_R36_a_daemon_waits_until_its_clock_is_right(started, sandbox):
    sandbox.clock.advance(-DAYS.total_seconds())
    process = started("run")
    assert "20 days ahead of hubspot's and salesforce's" in read_until(process, "run_failed")
    sandbox.clock.advance(DAYS.total_seconds())
    read_until(process, "run_done")


# The CRMs' own clocks


def test_both_crms_tell_their_time_without_a_call_of_its_own(sandbox, now):
    for made in (hubspot.hubspot(sandbox), salesforce(sandbox)):
        assert made.clock() is None
        made.account()
        calls = made.calls
        assert timedelta(0) <= made.clock() - now < timedelta(minutes=1)
        assert made.calls == calls
        made.close()


def test_a_note_that_parks_for_more_than_a_day_is_not_believed(sandbox):
    notes = {PARKED: (datetime.now(UTC) + timedelta(days=400)).isoformat()}
    made = hubspot.hubspot(sandbox, notes=notes)
    assert made.account()
    assert PARKED not in notes
    made.close()


def test_a_jwt_by_a_wrong_clock_is_made_again_by_salesforces(sandbox, now, monkeypatch):
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: sandbox.clock().timestamp()))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    none = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none).decode()
    how = {"auth": "jwt", "username": "crmsync@sandbox.example", "private_key": pem}
    with time_machine.travel(now + DAYS, tick=True):
        made = salesforce(sandbox, **how)
        assert made.account()
        made.close()
    sandbox.faults.add(Fault(do="answer", path="/oauth2/token", status=400, body={"error": "invalid_grant"}))
    with time_machine.travel(now, tick=True):
        made = salesforce(sandbox, **how)
        with pytest.raises(ConfigError, match="invalid_grant"):
            made.account()
        assert made.calls == 1
        made.close()


# What a clock that was ahead left behind


def scores(state):
    """What everybody scored, and in the CRM."""
    lines = ledgers(state)
    return {row["id"]: (row["total"], row["band"], lines[row["id"]]) for row in rows(state, schema.person)}


def test_R37_scores_of_a_clock_that_was_ahead_are_mended_by_the_next_run(state, tmp_path):
    crms, twins = world(5), world(5)
    run_cycle(work(state, *crms), approved=True)
    run_cycle(work(state, *crms, now=NOW + DAYS * 3), approved=True)
    hurt = [held(each) for each in crms]
    hour = timedelta(hours=1)
    run_cycle(work(state, *crms, now=NOW + hour), approved=True)
    other = open_store(f"sqlite:///{tmp_path}/twin.db")
    run_cycle(work(other, *twins), approved=True)
    run_cycle(work(other, *twins, now=NOW + hour), approved=True)
    assert [{key: value[0] for key, value in held(each).items()} for each in crms] == [
        {key: value[0] for key, value in held(each).items()} for each in twins
    ]
    assert hurt != [held(each) for each in crms]
    assert scores(state) == scores(other)
    assert run_cycle(work(state, *crms, now=NOW + 2 * hour)).crms["hubspot"].planned == 0
    other.close()


def test_R37_a_good_run_of_the_future_is_none(state):
    crms = two_crms()
    settings = make.config(hubspot={})
    run_cycle(work(state, crms[0], settings=settings))
    ahead = run_cycle(work(state, crms[0], settings=settings, now=NOW + DAYS), "backfill", full=True)
    assert ahead.verdict == "ok"
    four = NOW + timedelta(hours=4)
    said = status.health_document(settings, state, four)
    assert not said["healthy"]
    assert "no successful run since 2026-11-21 12:00 UTC" in said["health"][0]
    assert "No run since then" in said["health"][0]
    with state.read() as reading:
        assert run_journal.last_full_pull(reading, int(four.timestamp() * 1000)) == int(NOW.timestamp() * 1000)
    now = run_cycle(work(state, crms[0], settings=settings, now=four))
    assert status.health_document(settings, state, four)["healthy"]
    first, second, _third = status.status_document(settings, state, four)["runs"]
    assert (first["run"], second["run"]) == (now.run, ahead.run)
    assert (second["verdict"], second["started"]) == ("failed", "2026-11-21 15:59 UTC")
    assert second["problems"][0] == "it was dated by a clock that was ahead"


def test_R37_where_all_runs_are_of_the_future_the_sentence_says_so(state):
    hubspot, _ = two_crms()
    settings = make.config(hubspot={})
    run_cycle(work(state, hubspot, settings=settings, now=NOW + DAYS))
    said = status.health_document(settings, state, NOW)
    assert not said["healthy"]
    assert "its date is in the future: this machine's clock is or was wrong" in said["health"][0]


def test_R37_an_approval_of_the_future_is_not_good_for_ever(state):
    crms = two_crms()
    small = make.config(guard={"first_run": 1})
    waits = run_cycle(work(state, *crms, settings=small)).held
    with state.begin() as tx:
        assert run_journal.approve_plan(tx, waits.run, int((NOW + DAYS).timestamp() * 1000), "ann")
    again = run_cycle(work(state, *crms, settings=small, now=NOW + timedelta(minutes=1)))
    assert again.held is not None
    assert not crms[0].writes
    assert status.status_document(small, state, NOW)["approved"] == []


def test_R37_overrides_and_refusals_of_the_future_end_as_if_they_were_of_now(state):
    hubspot, _ = two_crms()
    run_cycle(work(state, hubspot))
    run_cycle(work(state, hubspot, now=NOW + DAYS))
    far = int((NOW + DAYS).timestamp() * 1000)
    lease = orjson.dumps({"stage": {"since": far, "value": "lead"}}).decode()
    parked = orjson.dumps({"after": {"score": 1}, "reason": "no", "at": far, "whole": False}).decode()
    with state.begin() as tx:
        tx.execute(update(schema.record).values(overrides=lease, on_hold=parked))
    soon = NOW + timedelta(hours=1)
    run_cycle(work(state, hubspot, now=soon))
    for row in rows(state, schema.record):
        assert row["on_hold"] == ""
        assert orjson.loads(row["overrides"])["stage"]["since"] == int(soon.timestamp() * 1000)
        assert (
            row["wake_at"] - int(soon.timestamp() * 1000) == make.config().write.manual_override.total_seconds() * 1000
        )


def test_R37_nothing_is_forgotten_by_a_clock_that_no_crm_confirms(state):
    hubspot, _ = two_crms()
    first = run_cycle(work(state, hubspot))
    late = NOW + timedelta(days=500)
    run_cycle(work(state, hubspot, now=late), approved=True)
    assert first.run in [row["id"] for row in rows(state, schema.run)]
    hubspot.time = late
    run_cycle(work(state, hubspot, now=late), approved=True)
    assert first.run not in [row["id"] for row in rows(state, schema.run)]


# The schedule


class Clocks:
    """A clock on the wall that a test sets, and one that only passes."""

    def __init__(self, now):
        self.wall, self.seconds = now, 100.0

    def go_on(self, **by):
        self.wall += timedelta(**by)
        self.seconds += timedelta(**by).total_seconds()

    def setting(self):
        return clock_setting(lambda: self.wall, lambda: self.seconds)


def test_J14_a_clock_that_is_set_is_noticed_and_one_that_is_corrected_is_not():
    clocks = Clocks(NOW)
    setting = clocks.setting()
    clocks.go_on(seconds=5)
    assert setting() == timedelta(0)
    for _ in range(3):
        clocks.wall += timedelta(seconds=0.9)
        clocks.go_on(seconds=5)
    assert setting() == timedelta(seconds=2.7)
    clocks.wall -= timedelta(hours=3)
    clocks.go_on(seconds=5)
    assert setting() == timedelta(hours=-3)
    assert setting() == timedelta(0)


@pytest.fixture
def scheduler():
    made = BackgroundScheduler(timezone=UTC)
    made.start(paused=True)
    yield made
    made.shutdown()


def due(scheduler, settings, at, moved, now, ran_ago=timedelta(minutes=1)):
    """When the job that was due `at` is due once the clock was moved to `now`."""
    scheduler.add_job(lambda: None, trigger_of(settings), id="cycle", next_run_time=at, replace_existing=True)
    follow_clock(scheduler, moved, now, ran_ago)
    return scheduler.get_job("cycle").next_run_time


@pytest.mark.parametrize("moved", [timedelta(hours=-3), DAYS, timedelta(seconds=-30)])
def test_J14_an_interval_is_elapsed_time_however_the_clock_is_set(scheduler, moved):
    now = NOW + moved
    at = due(scheduler, Schedule(every="15m"), NOW + timedelta(minutes=10), moved, now)
    assert at - now == timedelta(minutes=10)
    ran_by_the_new_clock = now + timedelta(minutes=15)
    assert due(scheduler, Schedule(every="15m"), ran_by_the_new_clock, moved, now) - now <= timedelta(minutes=15)


@pytest.mark.parametrize(
    ("cron", "moved", "now", "ran_ago", "expected"),
    [
        ("0 6 * * *", {"hours": -3}, "2026-11-21 02:30", {"hours": 20}, "2026-11-21 06:00"),
        ("0 6 * * *", {"hours": -1}, "2026-11-21 05:30", {"minutes": 30}, "2026-11-22 06:00"),
        ("0 6 * * *", {"days": -20}, "2026-11-21 05:30", {"hours": 20}, "2026-11-21 06:00"),
        ("0 * * * *", {"hours": -3}, "2026-11-21 05:30", {"minutes": 30}, "2026-11-21 06:00"),
        ("0 * * * *", {"minutes": -10}, "2026-11-21 05:55", {"minutes": 5}, "2026-11-21 07:00"),
        ("0 9,17 * * *", {"hours": -9}, "2026-11-21 08:30", {"minutes": 30}, "2026-11-21 17:00"),
    ],
)
def test_J14_a_cron_goes_by_the_new_clock_and_serves_no_slot_twice(scheduler, cron, moved, now, ran_ago, expected):
    now, moved = datetime.fromisoformat(now).replace(tzinfo=UTC), timedelta(**moved)
    settings = Schedule(cron=cron, timezone="UTC")
    before = trigger_of(settings).get_next_fire_time(None, now - moved)
    assert f"{due(scheduler, settings, before, moved, now, timedelta(**ran_ago)):%Y-%m-%d %H:%M}" == expected


def test_J14_a_slot_that_a_clock_set_ahead_leapt_over_runs_late_and_once(scheduler):
    settings, now = Schedule(cron="0 6 * * *", timezone="UTC"), datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
    at = now.replace(hour=6)
    assert due(scheduler, settings, at, timedelta(hours=2), now) == at


def test_J14_what_is_to_run_soon_does(scheduler):
    scheduler.add_job(lambda: None, "date", run_date=NOW + timedelta(seconds=20), id="soon")
    follow_clock(scheduler, timedelta(hours=-3), NOW - timedelta(hours=3), None)
    assert scheduler.get_job("soon").next_run_time == NOW - timedelta(hours=3) + timedelta(seconds=20)
    follow_clock(scheduler, DAYS, NOW, None)
    assert scheduler.get_job("soon").next_run_time <= NOW + schedule.APART


def test_J14_a_daemon_goes_on_when_the_clock_is_set_back(monkeypatch):
    back = [timedelta(0)]

    class Wall(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + back[0]

    monkeypatch.setattr(base, "datetime", Wall)
    monkeypatch.setattr(schedule, "datetime", Wall)
    monkeypatch.setattr(schedule, "CLOCK_EVERY", 0.05)
    stop, ran = threading.Event(), []

    def tick(_work_now, _watch, _tell):
        ran.append(back[0])
        if len(ran) == 2:
            back[0] = timedelta(hours=-3)
        elif len(ran) == 4:
            stop.set()

    monkeypatch.setattr(schedule, "run_scheduled", tick)
    given_up = threading.Timer(30, stop.set)
    given_up.start()
    settings = SimpleNamespace(schedule=Schedule(every="10s"))
    monkeypatch.setattr(schedule, "trigger_of", lambda _: schedule.IntervalTrigger(seconds=1, timezone=UTC))
    schedule.run_daemon(settings, None, schedule.Watch(), stop)
    given_up.cancel()
    assert len(ran) == 4


# SIGTERM while C waits

LOCKED = """
import sys, threading
from crmsync.daemon import signals
from crmsync.store.database import BUSY_SECONDS, open_store
signals.GRACE = 0.2
last_words = threading.Event().wait if sys.argv[2] == "unheard" else lambda: print("cut off")
store = open_store(sys.argv[1])
with signals.raise_stop_on_signals(1, last_words):
    print("waiting", flush=True)
    with store.begin():
        print("got the lock")
"""


@pytest.mark.parametrize(("words", "said"), [("heard", "cut off\n"), ("unheard", "")])
def test_J11_who_waits_for_somebodys_lock_is_cut_off_though_no_python_runs(tmp_path, words, said):
    url = f"sqlite:///{tmp_path}/state.db"
    open_store(url).close()
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        command = [sys.executable, "-c", LOCKED, url, words]
        with subprocess.Popen(command, env=environment(), stdout=-1, text=True) as process:
            assert process.stdout.readline() == "waiting\n"
            threading.Event().wait(0.3)  # until SQLite has it: what came before would be heard in any case
            process.terminate()
            begun = time.monotonic()
            out, _err = process.communicate(timeout=60)
            assert time.monotonic() - begun < BUSY_SECONDS / 2
    assert (process.returncode, out) == (1, said)


def test_J11_ctrl_c_at_a_question_is_heard_at_once(monkeypatch):
    monkeypatch.setattr(signals, "_cut_off_later", lambda _code, _words: None)
    with signals.raise_stop_on_signals(1) as stop:
        with pytest.raises(KeyboardInterrupt), signals.allow_interrupt():
            signal.raise_signal(signal.SIGINT)
        assert stop.wait(10)
        signal.raise_signal(signal.SIGINT)  # and raises nothing any more
