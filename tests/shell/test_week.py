"""A week of an admin: what changes, what goes wrong, and what they read of it on the terminal, page, and in alerts."""

import html
import json
import re
import shlex
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import MetaData, select

from crmsync.config import load
from crmsync.store import schema
from crmsync.store.database import HEAD, open_store
from crmsync.store.ledgers import ledger_reader
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import REPS, SECRETS, write_config
from tests.support.sinks import open_sink
from tests.web.conftest import served

MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
WORKING_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
DAYS = (*WORKING_DAYS, "Saturday", "Sunday", "the next Monday")
DANA, GRETE = REPS
VERA = {"email": "vera@kestrel.example", "firstname": "Vera", "lastname": "Kestrel", "jobtitle": "VP, IT Security"}

POOL = f"""members = [
    {{ email = "{DANA}", away = ["2026-11-24/2026-11-25"] }},
    {{ email = "{GRETE}", away = ["2026-11-24"] }},
]"""
CONFIG = {
    f'members = ["{DANA}", "{GRETE}"]': POOL,
    "\n# [web] ": "\n[web] ",
    "\n# [feeds] ": "\n[feeds] ",
    '# webinar_attended = "45d" ': 'page_viewed = "1d" ',
}
TERMINAL = {"TERM": "dumb", "COLUMNS": "80"}
UNHURRIED = {"CRMSYNC_HUBSPOT__SEARCHES_PER_SECOND": "10000", "CRMSYNC_HUBSPOT__CALLS_PER_10S": "10000"}
DOCUMENT = Path(__file__).parents[2] / "docs" / "week.md"
RUN = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b")


class Week:
    """An admin at a terminal of 80 columns, both CRMs, who is told by alerts, and a clock that stands unless moved."""

    def __init__(self, folder, sandbox, sink, clock, patch):
        self.folder, self.sandbox, self.sink, self.patch = folder, sandbox, sink, patch
        self.path = write_config(folder, sandbox.url, REPS, CONFIG)
        self._clock, self._now, self.run = clock, MONDAY, ""
        self.typed, self.heard = [], []
        self.vera = sandbox.do("hubspot", "create", properties=VERA)["id"]

    def on(self, day, time="09:00"):
        """It is that time (UTC) of a day; on working days the website is looked at from nine."""
        hours, minutes = map(int, time.split(":"))
        self._move(MONDAY.replace(hour=hours, minute=minutes) + timedelta(days=DAYS.index(day)))
        if time == "09:00" and day in WORKING_DAYS:
            self.sees_vera_do("page_viewed", url="https://www.ourproduct.example/")

    def types(self, line, code=0):
        """The words that a command prints, which ends with an exit code; it takes a minute. `run` is the last id."""
        ended = crmsync(*shlex.split(line))
        said = ended.out + ended.err
        assert ended.code == code, f"crmsync {line}: {said}"
        # An address or an id is never broken.
        assert not [each for each in said.splitlines() if len(each.rstrip()) > 80 and " " in each.strip()], said
        self._move(self._now + timedelta(minutes=1))
        self.run = (RUN.findall(said) or [self.run])[-1]
        self.typed.append((words(line), code, words(said)))
        return words(said)

    def hears(self):
        """The lines of alerts since this was asked last."""
        lines = [words(line) for text in self.sink.take() for line in text.splitlines()]
        self.heard += lines
        return lines

    def looks_at_the_page(self):
        """The words of the status page."""
        with contextmanager(served)(load(self.path)) as site:
            answer = requests.get(site.url, timeout=20)
        assert answer.status_code == 200
        return words(html.unescape(re.sub("<[^>]+>", " ", answer.text)))

    def edits(self, old, new):
        """The admin edits the config."""
        text = self.path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        self.path.write_text(text.replace(old, new), encoding="utf-8")

    def sees_vera_do(self, kind, **attributes):
        """A person of HubSpot does something."""
        self.sandbox.do("hubspot", "add_activity", id=self.vera, kind=kind, attributes=attributes)

    def _move(self, now):
        self._now = now
        self._clock.move_to(now)
        self.sandbox.clock.set(now)


def words(text):
    return RUN.sub("RUN", " ".join(text.split()))


@pytest.fixture
def week(sandbox, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: self.name in ("<stdout>", "<stderr>"))
    with open_sink() as sink:
        told = {"CRMSYNC_ALERTS__URLS": sink.url, "CRMSYNC_ALERTS__HEARTBEAT": sink.heartbeat}
        variables = {**SECRETS, **TERMINAL, **UNHURRIED, **told}
        with settings_alone(monkeypatch, variables, MONDAY, tick=False) as clock:
            yield Week(tmp_path, sandbox, sink, clock, monkeypatch)


def test_a_week(week, new_database):
    it_runs_for_the_first_time(week)
    nobody_of_the_pool_is_there(week)
    somebody_is_back(week)
    a_bad_model_is_held(week)
    it_is_approved_all_the_same(week)
    it_is_undone(week)
    writing_is_paused(week)
    a_token_is_revoked(week)
    a_feed_is_dead(week)
    the_disk_dies(week)
    a_new_version_is_installed(week)
    the_state_moves_to_postgresql(week, new_database)
    everything_in_the_document_was_read(week)


def it_runs_for_the_first_time(week):
    week.on("Monday")
    assert "5 score fields are missing; create them with: crmsync setup" in week.types("check --online", code=2)
    week.types("setup")
    assert "Succeeded: 87 records updated in run RUN." in week.types("backfill --yes")
    assert week.types("status").startswith("Healthy.")
    assert "Healthy" in week.looks_at_the_page()
    assert (week.hears(), week.sink.beats) == ([], 1)


def nobody_of_the_pool_is_there(week):
    week.on("Tuesday")
    week.sees_vera_do("form_submitted", form="Request a demo")
    week.sees_vera_do("meeting_held", subject="Demo")
    away = f"nobody of pool sales is available: {DANA} away until 2026-11-25, {GRETE} away until 2026-11-24"
    assert f"Waiting for an owner: 1 person 1: {away}" in week.types("sync")
    assert week.types("people --waiting").startswith(f"Vera Kestrel <vera@kestrel.example> {away} 1 person waiting")
    assert f"1 person waiting for an owner: 1 : {away}" in week.looks_at_the_page()
    (alert,) = week.hears()
    assert alert.startswith("New: 1 person waits for an owner. nobody of pool sales is available: ")
    assert alert.endswith(" Next: crmsync people --waiting")
    assert not {DANA, GRETE, VERA["email"]} & set(alert.split())
    assert week.types("status --health") == "Healthy."


def somebody_is_back(week):
    week.on("Wednesday")
    assert f"New people by owner: {GRETE} 1" in week.types("sync")
    assert f"Owner: {GRETE}; round robin in pool sales: 0 turns, the fewest of 1 available" in week.types(
        "explain vera@kestrel.example"
    )
    assert week.hears() == ["Over at 2026-11-25 09:00 UTC, began 2026-11-24 09:00 UTC: 1 person waits for an owner."]


GOOD, BAD = (f'points = {points}\nwhen = {{ field = "title", seniority_at_least = "vp" }}' for points in (25, 52))
TOO_MANY = (
    "hubspot: 10 of 45 records (22.2%) would get another score because data or the config were edited; [guard] scores "
    "allows 20%"
)


def a_bad_model_is_held(week):
    week.on("Wednesday", "10:00")
    week.edits(GOOD, BAD)
    planned = week.types("plan")
    assert "What changed in the config since the last run changed: [[fit]] VP or C-level: points: 25 → 52" in planned
    assert "hubspot, scores changed: 10 of at most 9; EXCEEDED" in planned
    held = week.types("sync", code=3)
    assert TOO_MANY in held
    assert "Run RUN wrote nothing. Held for approval: 10 records in hubspot, 10 records in salesforce." in held
    for read in (week.types("status"), week.looks_at_the_page()):
        assert "Held for approval: plan RUN" in read
        assert TOO_MANY in read
        assert "crmsync apply RUN" in read
    (alert,) = week.hears()
    assert alert.startswith(f"New: plan RUN is held for approval. {TOO_MANY}; ")
    assert alert.endswith(" Next: crmsync apply RUN")


def it_is_approved_all_the_same(week):
    applied = week.types("apply --yes")
    assert "Updates of plan RUN: 20 as you saw them. Succeeded: 20 records updated in run RUN." in applied
    assert "109 points: mql" in week.types("explain vera@kestrel.example")
    (alert,) = week.hears()
    assert alert.startswith("Over at 2026-11-25 10:")
    assert alert.endswith(": plan RUN is held for approval.")


def it_is_undone(week):
    week.on("Wednesday", "11:00")
    undone = week.types(f"undo {week.run} --yes")
    assert undone.startswith("Restored: 76 values of 20 records")
    assert "Run RUN was undone by run RUN." in undone
    waits = "score 84; the update was undone and waits, until the config changes or somebody approves it"
    assert waits in week.types("explain vera@kestrel.example")
    why = "run RUN was undone; the same values wait until the config changes or this is approved"
    assert why in week.types("sync", code=3)
    assert week.hears() == [f"New: plan RUN is held for approval. {why}. Next: crmsync apply RUN"]
    week.edits(BAD, GOOD)
    assert "Succeeded: 0 records updated in run RUN." in week.types("sync")
    assert week.types("status").startswith("Healthy.")
    (alert,) = week.hears()
    assert alert.endswith(": plan RUN is held for approval.")


def writing_is_paused(week):
    week.on("Thursday")
    paused = "Paused since 2026-11-26 09:00 UTC until 2026-11-26 11:00 UTC, because Salesforce is being migrated."
    said = week.types('pause --until 2h --why "Salesforce is being migrated"')
    assert said == f"{paused} To write again: crmsync resume"
    beats, calls = week.sink.beats, len(week.sandbox.calls)
    refused = week.types("sync", code=3)
    assert refused == f"{paused} Meanwhile nothing is written; crmsync plan works. Next: crmsync resume"
    assert len(week.sandbox.calls) == calls
    assert "Nothing was written. To write this plan: crmsync apply RUN" in week.types("plan")
    assert week.types("status --health") == paused
    page = week.looks_at_the_page()
    assert "Nothing is written since 2026-11-26 09:00 UTC, until 2026-11-26 11:00 UTC: Salesforce is being" in page
    assert week.types("resume") == "Resumed: crmsync writes again."
    assert "Succeeded: 3 records updated in run RUN." in week.types("sync")
    assert (week.hears(), week.sink.beats) == ([], beats + 1)


def a_token_is_revoked(week):
    week.on("Friday")
    week.sandbox.do("hubspot", "revoke_token", token=SECRETS["CRMSYNC_HUBSPOT__TOKEN"])
    why = (
        "HubSpot does not accept the token (INVALID_AUTHENTICATION): create a new service key in HubSpot under "
        "Development → Keys and set it as CRMSYNC_HUBSPOT__TOKEN"
    )
    beats = week.sink.beats
    done = week.types("sync", code=4)
    assert f"hubspot: {why} Completed with errors: 3 of 3 records updated in run RUN." in done
    assert week.hears() == [f"New: hubspot could not be used. {why}. Next: crmsync check --online"]
    skipped = f"hubspot: no successful run since 2026-11-26 09:05 UTC. Run RUN skipped it: {why}"
    assert week.types("status --health", code=1) == skipped
    page = week.looks_at_the_page()
    assert "hubspot: not ok" in page
    assert "salesforce: ok" in page
    assert skipped in page
    assert f"hubspot: account unknown error: {why}" in week.types("check --online", code=2)
    assert week.sink.beats == beats
    week.sandbox.do("hubspot", "issue_token", token="a-new-key")
    week.patch.setenv("CRMSYNC_HUBSPOT__TOKEN", "a-new-key")
    week.on("Friday", "10:00")
    assert "Succeeded: " in week.types("sync")
    assert week.types("status --health") == "Healthy."
    assert week.hears() == ["Over at 2026-11-27 10:00 UTC, began 2026-11-27 09:00 UTC: hubspot could not be used."]


def a_feed_is_dead(week):
    week.on("Sunday")
    week.types("sync")
    (alert,) = week.hears()
    assert alert.startswith("New: no page_viewed from hubspot for 2 days.")
    assert alert.endswith(" Next: crmsync status --feeds")
    silent = "hubspot: no page_viewed for 2 days"
    assert week.types("status --health", code=1).startswith(silent)
    assert silent in week.looks_at_the_page()
    assert re.search(r"hubspot page_viewed \d+ 2026-11-27 09:00 UTC", week.types("status --feeds"))
    assert week.types("backup sunday.db").startswith("Backup written: sunday.db, ")


def the_disk_dies(week):
    week.on("Sunday", "11:00")
    week.sees_vera_do("page_viewed", url="https://www.ourproduct.example/pricing")
    week.types("sync")
    (alert,) = week.hears()
    assert alert.endswith(": no page_viewed from hubspot for 2 days.")
    for each in week.folder.glob("crmsync.db*"):
        each.unlink()
    week.sees_vera_do("email_replied")
    week.on("Sunday", "12:00")
    assert week.types("status --health", code=1) == "No run yet. Next: crmsync plan"
    restored = week.types("restore sunday.db")
    assert restored == (
        "Restored: 95 records, as of 2026-11-29 09:03 UTC. The next run pulls everything again, and what it would "
        "change waits for approval. To see it now: crmsync plan"
    )
    why = "hubspot: 1 record would change after the state was restored from a backup"
    assert why in week.types("sync", code=3)
    assert why in week.types("status")
    over, held = sorted(week.hears(), reverse=True)
    assert over.endswith(": no page_viewed from hubspot for 2 days.")
    assert held == f"New: plan RUN is held for approval. {why}. Next: crmsync apply RUN"
    assert "Updates of plan RUN: 1 as you saw them. Succeeded: 1 record updated" in week.types("apply --yes")
    assert week.types("status --health") == "Healthy."
    assert len(week.hears()) == 1
    assert "found after a restore" in week.types("history vera@kestrel.example")


def a_new_version_is_installed(week):
    week.on("the next Monday")
    before = week.types("history vera@kestrel.example"), week.types("show latest")
    state = week.folder / "crmsync.db"
    make_older(state)
    said = week.types("status", code=1)
    assert f"has an older version (0012; this crmsync needs {HEAD})" in said
    assert "the next run upgrades it: restart crmsync run, or run crmsync sync" in said
    week.types("backup before.db")
    with closing(sqlite3.connect(week.folder / "before.db")) as kept:
        assert kept.execute("SELECT version_num FROM alembic_version").fetchone() == ("0012",)
    assert (week.types("history vera@kestrel.example", code=1), week.hears()) == (said, [])
    assert "Succeeded: " in week.types("sync")
    assert week.types("history vera@kestrel.example").endswith(before[0].partition("crmsync id ")[2].split(" ", 1)[1])
    assert week.types("status").startswith("Healthy.")
    assert week.hears() == []


def the_state_moves_to_postgresql(week, url):
    week.on("the next Monday", "09:30")
    before = week.types("history vera@kestrel.example")
    week.types("pause --why moving")
    week.types("backup moving.db")
    week.patch.setenv("CRMSYNC_STATE__URL", url)
    assert week.types("status").startswith("No run yet. Next: crmsync plan")
    assert week.types("restore moving.db").startswith("Restored: 95 records, as of 2026-11-30 09:32 UTC.")
    assert week.types("status").startswith("Paused since 2026-11-30 09:31 UTC without an end, because moving.")
    assert week.types("resume") == "Resumed: crmsync writes again."
    assert week.types("plan").endswith("There is nothing to write: the CRMs already hold the right values.")
    assert "Succeeded: 0 records updated in run RUN." in week.types("sync")
    assert week.types("history vera@kestrel.example") == before
    assert week.types("status --health") == "Healthy."
    assert "Healthy" in week.looks_at_the_page()
    assert week.hears() == []


def everything_in_the_document_was_read(week):
    blocks = re.findall(r"```(\w+)\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    commands = [each for kind, text in blocks if kind == "console" for each in text.split("$ crmsync ")[1:]]
    assert len(commands) > 20
    for each in commands:
        first, _, rest = each.partition("\n")
        line, _, code = first.partition("    # exit code ")
        said = [words(part) for part in rest.split("\n\n")]
        assert any(
            (line, int(code or 0)) == (typed, ended) and all(part in printed for part in said)
            for typed, ended, printed in week.typed
        ), each
    alerts = [line for kind, text in blocks if kind == "text" for line in text.splitlines()]
    assert len(alerts) > 5
    for alert in alerts:
        assert any(each.startswith(alert.removeprefix("Alert: ")) for each in week.heard), alert


LEDGERS = {"lines": "ledger", "was": "ledger_before"}
"""How older versions call ledgers, which they keep as JSON."""


def texts_of_ledgers(reading):
    """The ledgers of everybody as older versions keep them."""
    read = ledger_reader(reading)
    return {
        row.id: {
            name: "" if (packed := getattr(row, column)) is None else json.dumps([*read(packed).items()])
            for name, column in LEDGERS.items()
        }
        for row in reading.execute(select(schema.person))
    }


def make_older(path):
    """Turn a state into what the version before the alerts has left: its migrations, and all rows that it knows."""
    older = path.with_name("older.db")
    with (
        closing(open_store(f"sqlite:///{older}", version="0012")) as old,
        closing(open_store(f"sqlite:///{path}")) as new,
    ):
        tables = MetaData()
        tables.reflect(old.engine)
        with new.read() as reading, old.begin() as writing:
            ledgers = texts_of_ledgers(reading)
            for table in [each for each in tables.sorted_tables if each.name != "alembic_version"]:
                writing.execute(table.delete())
                known = [column for column in table.columns if column.name not in LEDGERS]
                rows = [row._asdict() for row in reading.execute(select(*known))]
                if table.name == "person":
                    rows = [row | ledgers[row["id"]] for row in rows]
                if rows:
                    writing.execute(table.insert(), rows)
    for each in path.parent.glob("crmsync.db*"):
        each.unlink()
    older.rename(path)
