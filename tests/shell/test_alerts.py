"""Alerts over real HTTP: from every run, once, with no secret and nobody's name, whatever becomes of the sinks."""

import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
import time_machine
from rich.console import Console

from connectors.sandbox.faults import Fault
from crmsync.cycle import run_cycle
from crmsync.errors import ConfigError, CrmsyncError, StateError, Unavailable
from crmsync.exit_codes import outcome_of
from crmsync.reporting import alerts, sinks
from crmsync.reporting.alert_status import alerts_document
from crmsync.reporting.alerts import Spoken, send_alerts
from crmsync.reporting.print_status import print_status
from crmsync.reporting.status import status_document
from crmsync.store.feed_days import DAY, add_feed_days
from tests.support import make
from tests.support.commands import crmsync, settings_alone
from tests.support.cycles import ADA, edit, two_crms
from tests.support.demo import SECRETS
from tests.support.processes import left, until
from tests.support.sinks import TOKEN, open_sink

CRMS = {"hubspot": {}, "salesforce": {"instance_url": "https://acme.my.salesforce.com"}}


@pytest.fixture
def sink():
    with open_sink() as made:
        yield made


class World:
    """Runs over two CRMs in memory, each a quarter of an hour after the one before, that tell a sink."""

    def __init__(self, store, *urls, heartbeat=None):
        self.store, self.at, self.spoken = store, make.NOW, Spoken(str, {})
        self.config = make.config(**CRMS, alerts={"urls": list(urls), "heartbeat": heartbeat})
        self.crms = two_crms()

    def settings(self, **tables):
        self.config = make.config(**CRMS, alerts=self.config.alerts, **tables)

    def run(self, later=timedelta(minutes=15), approved=True):
        self.at += later
        with time_machine.travel(self.at, tick=False):
            try:
                work = make.work(self.store, *self.crms, now=self.at, settings=self.config)
                run_cycle(work, approved=approved)
            except CrmsyncError as error:
                self.tell(error)
            else:
                self.tell()

    def tell(self, error=None):
        with time_machine.travel(self.at, tick=False):
            send_alerts(self.config, self.store, self.spoken, outcome_of(error) if error else None)

    def status(self):
        with self.store.read() as reading:
            return alerts_document(self.config, reading, str)

    @contextmanager
    def down(self, *places, until=""):
        """CRMs that are down, by their place."""

        def refuse(crm):
            def raise_outage():
                raise Unavailable(crm.name, "status 503 for jo.smith@firm.example", until)

            return raise_outage

        with pytest.MonkeyPatch.context() as patch:
            for place in places:
                patch.setattr(self.crms[place], "owners", refuse(self.crms[place]))
            yield


@pytest.fixture
def world(tmp_path, sink):
    store = make.store(tmp_path)
    yield World(store, sink.url, heartbeat=sink.heartbeat)
    store.close()


def test_a_crm_that_is_out_is_told_once_and_so_is_its_recovery(world, sink):
    world.run()
    assert sink.take() == []
    with world.down(0):
        world.run()
        (said,) = sink.take()
        assert said == "New: hubspot could not be used. status 503 for [hidden]. Next: crmsync check --online"
        assert sink.titles == ["crmsync: New: hubspot could not be used"]
        world.run()
        assert sink.take() == []
        world.run(later=timedelta(days=1))
        (said,) = sink.take()
        assert said.startswith("Still, since 2026-11-21 12:30 UTC: hubspot could not be used.")
    world.run()
    (said,) = sink.take()
    assert said.startswith("Over at ")
    assert said.endswith("began 2026-11-21 12:30 UTC: hubspot could not be used.")


def test_a_restart_repeats_nothing(world, sink):
    with world.down(0):
        world.run()
        assert len(sink.take()) == 1
        world.spoken = Spoken(str, {})
        world.run()
        assert sink.take() == []


def test_all_that_changed_is_one_message(world, sink):
    with world.down(0, 1):
        world.run()
    (said,) = sink.take()
    assert [line.partition(".")[0] for line in said.splitlines()] == [
        "New: hubspot could not be used",
        "New: salesforce could not be used",
    ]
    world.run()
    (said,) = sink.take()
    assert [line.split()[0] for line in said.splitlines()] == ["Over", "Over"]
    assert sink.titles[-1] == "crmsync: 2 changes"


def test_a_run_that_ends_with_an_error_is_told(world, sink):
    world.run()
    world.tell(ConfigError(["the token of sam@firm.example is missing"], "crmsync check"))
    assert sink.take() == ["New: the last run failed. the token of [hidden] is missing. Next: crmsync check"]
    world.run()
    assert sink.take()[0].endswith(": the last run failed.")


def test_a_state_that_cannot_be_read_is_told_once_by_a_process(world, sink, monkeypatch):
    def refuse():
        raise StateError("the disk is full")

    world.run()
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "read", refuse)
        for _ in range(3):
            world.tell(StateError("the disk is full"))
    assert sink.take() == ["New: the last run failed. the disk is full."]
    world.run()
    assert [line.split()[0] for line in sink.take()] == ["Over"]


def test_nobody_else_than_the_writer_tells(world, sink, monkeypatch):
    monkeypatch.setattr(world.store, "may_write", lambda: False)
    world.tell(StateError("the disk is full"))
    assert sink.take() == []


@pytest.mark.parametrize("status", [500, 404, None])
def test_what_a_sink_has_not_heard_is_told_after_the_next_run_and_the_status_names_it(world, sink, status):
    world.run()
    sink.status, sink.hangs = status or 200, status is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alerts, "call_addresses", lambda *given: sinks.call_addresses(*given, seconds=0.5))
        with world.down(0):
            world.run()
    assert sink.take() == []
    down = [(each["sink"], each["since"], each["unsent"]) for each in world.status()["down"]]
    assert ("json://127.0.0.1", "2026-11-21 12:30 UTC", 1) in down
    sink.status, sink.hangs = 200, False
    sink.free.set()
    world.run()
    (said,) = sink.take()
    assert [line.split()[0] for line in said.splitlines()] == ["New:", "Over"]
    assert world.status()["down"] == []


def test_a_sink_that_heard_it_is_not_told_again_since_another_one_is_down(world, sink):
    world.run()
    with open_sink() as gone:
        world.config = make.config(**CRMS, alerts={"urls": [gone.url, sink.url]})
    with world.down(0):
        world.run()
        assert len(sink.take()) == 1
        assert [each["unsent"] for each in world.status()["down"]] == [1]
        world.run()
    assert sink.take() == []
    world.config = make.config(**CRMS, alerts={"urls": [sink.url]})
    world.run()
    assert world.status()["down"] == []


def test_a_sink_that_hangs_holds_nobody_up(sink):
    sink.hangs = True
    before = time.monotonic()
    told = sinks.call_addresses({sink.url: sinks.Message("t", ["x"])}, sink.heartbeat, seconds=0.5)
    assert time.monotonic() - before < 5
    assert told == dict.fromkeys((sink.url, sink.heartbeat), "no answer within 0.5 seconds")


def test_a_heartbeat_without_an_answer_is_told_as_one_that_is_waited_for(sink):
    sink.hangs = True
    assert sinks._beat(sink.heartbeat, 0.05) == "no answer within 0.05 seconds"


def test_the_heartbeat_is_asked_for_after_runs_that_were_good_for_every_crm(world, sink):
    world.run()
    assert sink.beats == 1
    with world.down(0):
        world.run()
    world.tell(StateError("the disk is full"))
    assert sink.beats == 1
    world.run()
    assert sink.beats == 2


def test_a_heartbeat_that_is_down_is_named_and_fails_nothing(world, sink):
    sink.status = 503
    world.run()
    assert [each["sink"] for each in world.status()["down"]] == ["heartbeat http://127.0.0.1"]
    sink.status = 200
    world.run()
    assert world.status()["down"] == []


def test_an_idle_run_tells_nothing_and_writes_nothing(world, sink, monkeypatch):
    world.run()
    monkeypatch.setattr(world.store, "begin", None)
    world.tell()
    assert sink.take() == []


def test_a_crash_between_storing_and_sending_loses_nothing(world, sink, monkeypatch):
    def die(*_given):
        raise KeyboardInterrupt

    with world.down(0):
        with monkeypatch.context() as patch:
            patch.setattr(alerts, "call_addresses", die)
            with pytest.raises(KeyboardInterrupt):
                world.run()
        world.run()
    assert len(sink.take()) == 1


def test_nothing_of_an_address_is_in_the_log_or_the_state(world, sink, capfd, tmp_path):
    from crmsync import log
    from crmsync.redaction import secrets_of

    assert TOKEN in secrets_of(world.config)
    log.start_logging("json", 10, secrets_of(world.config))
    sink.status = 500
    with world.down(0):
        world.run()
    err = capfd.readouterr().err
    assert "alert_not_sent" in err
    assert TOKEN not in err
    world.store.close()
    for path in tmp_path.iterdir():
        assert TOKEN.encode() not in path.read_bytes()
    assert TOKEN not in repr(world.config)
    assert TOKEN not in world.config.decision_text()


# What is told, as real runs leave it


def said_of(sink, word):
    """The lines told since that have this word."""
    return [line for said in sink.take() for line in said.splitlines() if word in line]


def test_a_plan_that_is_held_is_told_with_the_command_and_that_it_is_over(world, sink):
    world.settings(guard={"first_run": 0, "from_records": 1})
    world.run(approved=False)
    (line,) = said_of(sink, "is held for approval")
    plan = line.split()[2]
    assert line.endswith(f"Next: crmsync apply {plan}")
    world.run(approved=False)
    assert sink.take() == []
    make.apply_plan(make.work(world.store, *world.crms, now=world.at, settings=world.config), plan)
    world.tell()
    assert said_of(sink, f"plan {plan} is held for approval.")[0].startswith("Over at ")


def test_what_a_crm_refuses_is_told_by_cause_and_without_its_words(world, sink):
    world.crms[0].refusing.update(dict.fromkeys(world.crms[0].records, "the field is read-only: “jo.smith”"))
    world.run()
    (line,) = said_of(sink, "rejects updates")
    assert line == (
        "New: hubspot rejects updates. 2 records on hold: the field is read-only: “…”. Next: crmsync status"
    )


def test_a_record_that_another_tool_keeps_changing_back_is_told_daily_and_its_end_a_day_after_it(world, sink):
    bot, score = world.crms[0], 65
    world.run()
    for _each in range(3):
        assert sink.take() == []
        edit(bot, ADA, current={**bot.records[ADA].current, "score": 1})
        world.run()
    contested = "another tool keeps changing values back in hubspot"
    assert sink.take() == [
        f"New: {contested}. 1 record on hold: look for a workflow, flow or sync that sets them. "
        "Next: crmsync status --refused"
    ]
    # A day later it is written once more: that alone is no recovery.
    world.run(later=timedelta(days=1))
    assert (bot.records[ADA].current["score"], sink.take()) == (score, [])
    for _each in range(2):
        edit(bot, ADA, current={**bot.records[ADA].current, "score": 1})
        world.run()
    (line,) = sink.take()
    assert line.startswith(f"Still, since 2026-11-21 13:00 UTC: {contested}. 1 record on hold")
    world.run(later=timedelta(days=1))  # and now the other tool is switched off
    assert (bot.records[ADA].current["score"], said_of(sink, contested)) == (score, [])
    world.run(later=timedelta(days=1))
    assert said_of(sink, contested) == [f"Over at 2026-11-23 13:30 UTC, began 2026-11-21 13:00 UTC: {contested}."]
    world.run()
    assert sink.take() == []


def test_calls_that_are_used_up_are_told_as_such(world, sink):
    world.run()
    with world.down(0, until="midnight"):
        world.run()
    (line,) = said_of(sink, "hubspot")
    assert line.startswith("New: the API calls that crmsync may use in hubspot are used up.")


def test_people_whom_nobody_can_take_are_told_by_reason(world, sink):
    for crm in world.crms:
        crm.people = []
    world.run()
    (line,) = said_of(sink, "wait")
    assert line.startswith("New: 1 person waits for an owner. ")
    assert line.endswith(": 1. Next: crmsync people --waiting")


def test_people_who_are_not_contacted_in_time_are_told(world, sink):
    world.settings(sla={"within": "4h"})
    world.run()
    assert sink.take() == []
    world.run(later=timedelta(hours=5))
    assert said_of(sink, "contacted") == ["New: 1 person was not contacted in time. Next: crmsync status"]


def test_a_feed_that_is_silent_is_told(world, sink):
    today = int(world.at.timestamp()) // DAY
    with world.store.begin() as writing:
        add_feed_days(writing, [("hubspot", "meeting_held", today - 20 - day) for day in range(25)])
    world.run()
    (line,) = said_of(sink, "meeting_held")
    assert line.startswith("New: no meeting_held from hubspot for 20 days.")


def test_no_good_run_for_too_long_is_told_although_no_run_says_why(world, sink):
    world.run()
    world.at += timedelta(hours=5)
    world.tell(StateError("the disk is full"))
    lines = sink.take()[0].splitlines()
    assert [line.partition(".")[0] for line in lines] == [
        "New: the last run failed",
        "New: hubspot is not up to date",
        "New: salesforce is not up to date",
    ]


# Commands


@pytest.fixture
def alone(monkeypatch):
    with settings_alone(monkeypatch, SECRETS):
        yield monkeypatch


def test_alert_says_of_each_sink_whether_it_took_a_test(config, alone, sink):
    with open_sink() as gone:
        alone.setenv("CRMSYNC_ALERTS__URLS", f"{sink.url} {gone.url.replace('json', 'xml')}")
    ended = crmsync("alert", "--test", "-c", config)
    assert (ended.code, TOKEN in ended.out + ended.err) == (1, False)
    assert ended.out.splitlines() == [
        "json://127.0.0.1: sent",
        "xml://127.0.0.1: failed: it did not accept the message, or could not be reached",
    ]
    assert len(sink.take()) == 1
    alone.setenv("CRMSYNC_ALERTS__URLS", f'["{sink.url}"]')
    ended = crmsync("alert", "--test", "--json", "-c", config)
    assert (ended.code, ended.json) == (0, {"sinks": [{"sink": "json://127.0.0.1", "ok": True, "why": ""}]})


def test_alert_without_any_sink_says_how_to_set_one(config, alone):
    ended = crmsync("alert", "--test", "-c", config)
    assert ended.code == 2
    assert "CRMSYNC_ALERTS__URLS" in ended.err
    assert crmsync("alert", "-c", config).code == 2
    assert "CRMSYNC_ALERTS__URLS" in crmsync("check", "-c", config).out


def test_an_address_of_no_service_is_a_sentence(config, alone):
    alone.setenv("CRMSYNC_ALERTS__URLS", f"nonsense://{TOKEN}")
    ended = crmsync("alert", "--test", "-c", config)
    assert (ended.code, TOKEN in ended.out + ended.err) == (1, False)
    assert ended.out.startswith("nonsense://…: failed: there is no service of this name")


@pytest.mark.parametrize("command", [["sync"], ["backfill", "--yes"]])
def test_one_shot_runs_tell_and_beat(config, alone, sink, command):
    alone.setenv("CRMSYNC_ALERTS__URLS", sink.url)
    alone.setenv("CRMSYNC_ALERTS__HEARTBEAT", sink.heartbeat)
    ended = crmsync(*command, "-c", config)
    assert ended.code in (0, 4), ended.err
    assert sink.beats == 1
    alone.delenv("CRMSYNC_SALESFORCE__CLIENT_SECRET")
    alone.delenv("CRMSYNC_HUBSPOT__TOKEN")
    assert crmsync(*command, "-c", config).code == 2
    assert sink.beats == 1
    (said,) = sink.take()[-1:]
    assert "New: the last run failed. " in said
    assert "CRMSYNC_HUBSPOT__TOKEN" in said


# The daemon


def told_by(sink, word):
    until(lambda: any(word in each for each in sink.texts))
    return next(each for each in sink.texts if word in each)


@pytest.fixture
def listening(config, sink):
    """The config of a daemon whose alerts go to the sink."""
    urls = f'[alerts]\nurls = ["json://127.0.0.1:{sink.port}/"]\nheartbeat = "http://127.0.0.1:{sink.port}/"\n'
    config.write_text(config.read_text(encoding="utf-8") + urls, encoding="utf-8")
    return config


def test_a_daemon_tells_that_no_crm_lets_it_in_and_that_it_is_over(started, listening, sandbox, sink):
    sandbox.faults.add(Fault(do="answer", status=401))
    process = started("run")
    said = told_by(sink, "hubspot could not be used")
    assert "salesforce could not be used" in said
    assert sink.beats == 0
    sandbox.faults.clear()
    assert f"crmsync check --online --config {listening}" in said
    assert "salesforce could not be used" in told_by(sink, "Over at ")
    until(lambda: sink.beats)
    assert left(process)[1] == 0
    assert len([each for each in sink.texts if "hubspot could not be used" in each]) == 2


def test_a_daemon_whose_run_hangs_tells_so_before_it_ends(started, listening, sandbox, sink):
    text = listening.read_text(encoding="utf-8")
    listening.write_text(text.replace('stall_timeout = "1h" ', 'stall_timeout = "1s" '), encoding="utf-8")
    sandbox.faults.add(Fault(do="silence"))
    process = started("run")
    assert "a run made no progress for 1 second" in told_by(sink, "New: the last run failed.")
    assert process.wait(20) == 1


def test_a_daemon_that_cannot_begin_tells_so(started, listening, sink, monkeypatch):
    for name in ("CRMSYNC_HUBSPOT__TOKEN", "CRMSYNC_SALESFORCE__CLIENT_SECRET"):
        monkeypatch.delitem(SECRETS, name)
    process = started("run")
    assert process.wait(40) == 2
    assert "New: the last run failed. " in told_by(sink, "CRMSYNC_")


def test_status_names_a_sink_that_is_down(config, alone, sink):
    sink.status = 500
    alone.setenv("CRMSYNC_ALERTS__HEARTBEAT", sink.heartbeat)
    assert crmsync("sync", "-c", config).code in (0, 4)
    ended = crmsync("status", "-c", config)
    assert "Alerts: heartbeat http://127.0.0.1 could not be called since 2026-11-21" in ended.out
    assert TOKEN not in ended.out + ended.err
    said = crmsync("status", "--json", "-c", config).json["alerts"]
    assert (said["heartbeat"], said["sinks"]) == (True, [])


def test_who_is_named_later_hears_of_what_began_before(world, sink):
    urls, world.config = world.config, make.config(**CRMS, alerts={"heartbeat": sink.heartbeat})
    with world.down(0):
        world.run()
        assert world.status()["open"] == []
        world.config = urls
        world.run()
    assert "New: hubspot could not be used." in sink.take()[0]


def test_status_says_how_to_try_a_sink_that_is_down(world, sink, capsys):
    sink.status = 500
    with world.down(0):
        world.run()
    document = status_document(world.config, world.store, world.at)
    assert [each["key"] for each in document["alerts"]["open"]][:1] == ["crm_out:hubspot"]
    print_status(Console(width=200), document)
    out = capsys.readouterr().out
    assert "Alerts: json://127.0.0.1 could not be called since 2026-11-21 12:15 UTC, 2 lines not sent yet." in out
    assert "crmsync alert --test" in out
