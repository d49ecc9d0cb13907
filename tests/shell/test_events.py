"""Sources of events on the command line: what is in the file and what is not, and what an admin reads of them."""

from datetime import timedelta

import pytest

from crmsync.alerting.conditions import EndedRun, Facts, find_conditions
from crmsync.cli.command import results_console
from crmsync.config import load, unused_variables
from crmsync.config.load import config_of
from crmsync.cycle import preview_run, run_cycle
from crmsync.errors import ConfigError
from crmsync.model import Ref
from crmsync.redaction import secrets_of
from crmsync.reporting.print_status import print_status
from crmsync.reporting.status import health_document, status_document
from crmsync.store import schema
from crmsync.store.database import open_store
from tests.core.test_events import EVENTS, GUARD, MODEL, event, go, lines
from tests.support.commands import crmsync_in
from tests.support.make import NOW, config, contact, crm, store, work
from tests.support.state import rows

FILE = """
[[events]]
name = "product"
folder = "usage"
kind = "logged_in"

[[events]]
name = "billing"
query = "select 1 as id"
cursor = "id"
kind = "paid"
"""


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "crmsync.toml"
    made.write_text(FILE)
    return made


@pytest.fixture
def hubspot():
    made = crm("hubspot")
    for number in (1, 2):
        made.edit(contact(number))
    return made


def test_secrets_come_from_the_environment_or_the_folder_and_stand_nowhere(file, monkeypatch, tmp_path):
    url = "postgresql://reader:sesame-street@db/usage"
    monkeypatch.setenv("CRMSYNC_EVENTS__BILLING__URL", url)
    monkeypatch.setenv("CRMSYNC_EVENTS__GONE__SECRET", "sesame-street")
    made = load(file)
    product, billing = made.events
    assert (billing.url.get_secret_value(), product.url, product.folder) == (url, None, str(tmp_path / "usage"))
    assert "sesame" not in made.decision_text() + repr(made)
    assert config_of(made.decision_text(), made).events == made.events
    assert {url, "sesame-street"} <= set(secrets_of(made))
    assert unused_variables(made) == [
        "CRMSYNC_EVENTS__GONE__SECRET is set, but not used, because the file has no [[events]] with the name 'gone'"
    ]
    monkeypatch.delenv("CRMSYNC_EVENTS__BILLING__URL")
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "CRMSYNC_EVENTS__BILLING__URL").write_text(f"{url}\n")
    monkeypatch.setenv("CRMSYNC_SECRETS", str(folder))
    assert load(file).events[1].url.get_secret_value() == url
    assert load(file).model_hash() == made.model_hash()


WRONG = {
    'url = "sqlite:///x"': "set CRMSYNC_EVENTS__BILLING__URL in the environment",
    'folder = "x"': "write one of folder (files), query (a database) or listen (HTTP)",
    'timezone = "Mars"': "is not a time zone",
    'crm = "pipedrive"': "there is no CRM 'pipedrive'",
    'columns = { kind = "x" }': 'write either kind = "…" for all events, or columns.kind',
    '[[events]]\nname = "product"\nfolder = "x"\nkind = "x"': "two [[events]] have the name 'product'",
    '[[events]]\nname = "hubspot"\nfolder = "x"\nkind = "x"': "cannot be called 'hubspot'",
    '[[events]]\nname = "Usage"\nfolder = "x"\nkind = "x"': "write a name of small letters",
    '[[events]]\nname = "a"\nfolder = "x"\nkind = "x"\nfiles = "../*.csv"': "write names of files in the folder",
    '[[events]]\nname = "a"\nkind = "x"\nquery = "delete from x"\ncursor = "id"': "the query must be a select",
    '[[events]]\nname = "a"\nkind = "x"\nquery = "select 1"': "query and cursor go together",
}


@pytest.mark.parametrize("more", WRONG)
def test_what_is_wrong_with_a_source_is_said_with_its_line(file, more):
    file.write_text(FILE + more)
    with pytest.raises(ConfigError) as error:
        load(file)
    assert WRONG[more] in str(error.value)
    assert "crmsync.toml, line " in str(error.value)


def settings(folder, **over):
    return config(MODEL, events=[{**EVENTS, "folder": str(folder), **over}], guard=GUARD)


def test_the_status_and_each_run_say_what_came_what_waits_and_what_is_wrong(state, tmp_path, hubspot, capsys):
    (tmp_path / "a.jsonl").write_text(
        lines(event(1), event(2, "new@firm.example"), event(3, "", domain="x.example")) + "x\n"
    )
    go(state, tmp_path, hubspot)
    told = status_document(settings(tmp_path), state, NOW)
    assert told["events"]["product"] == {
        "events": 3,
        "last": "2026-11-21",
        "waiting": 1,
        "unmatched": 1,
        "domains": 1,
        "unreadable": 1,
        "last_unreadable": "a.jsonl line 4 is not JSON",
        "last_good": "2026-11-21 12:00 UTC",
        "healthy": True,
        "why": "",
    }
    print_status(results_console(), told)
    said = capsys.readouterr().out
    assert "3 events, the last one on 2026-11-21" in said
    assert "1 event of 1 addresses or records wait for their person" in said
    assert "new@" not in said
    result = go(state, tmp_path / "gone", hubspot, hours=1)
    sick = health_document(settings(tmp_path / "gone"), state, NOW + timedelta(hours=8))
    assert not sick["healthy"]
    assert "there is no folder" in sick["events"]["product"]["why"]
    (first, *_rest) = find_conditions(Facts(["hubspot"], ["product"], [EndedRun("partial", result.as_json())]))
    assert (first.key, first.title) == ("crm_out:product", "product could not be used")


def test_a_preview_reads_what_a_run_would_read_and_leaves_no_trace(state, tmp_path, hubspot):
    go(state, tmp_path, hubspot)
    (tmp_path / "a.jsonl").write_text(lines(event(1)) + "x\n")
    before = {table.name: rows(state, table) for table in (schema.cursor, schema.activity, schema.note, schema.record)}
    seen = preview_run(work(state, hubspot, now=NOW + timedelta(hours=1), settings=settings(tmp_path)))
    assert (seen.events["product"].read, seen.crms["hubspot"].planned) == (1, 1)
    after = {table.name: rows(state, table) for table in (schema.cursor, schema.activity, schema.note, schema.record)}
    assert before == after
    result = go(state, tmp_path, hubspot, hours=1)
    assert result.events["product"].read == 1
    assert hubspot.records[Ref("hubspot", "contact", "1")].current["behavior"] == 10


def test_the_first_preview_of_all_names_what_it_could_not_read(state, tmp_path, hubspot):
    (tmp_path / "a.jsonl").write_text(lines(event(1)) + "x\n")
    seen = preview_run(work(state, hubspot, settings=settings(tmp_path)))
    assert (seen.events["product"].read, seen.events["product"].unreadable) == (1, 1)
    assert seen.problems == ["product: not read, because a.jsonl line 2 is not JSON"]


def test_a_source_that_went_silent_stops_the_clocks_of_what_it_brings(state, tmp_path, hubspot):
    often = [event(number, hours=24 * number) for number in range(25)]
    (tmp_path / "a.jsonl").write_text(lines(*often))
    gone = [{"name": "Quiet", "points": -5, "on": "invitation_sent", "after": "3d"}]
    over = config(MODEL, events=[{**EVENTS, "folder": str(tmp_path)}], guard=GUARD, inactivity=gone)
    run_cycle(work(state, hubspot, settings=over))
    held = run_cycle(work(state, hubspot, now=NOW + timedelta(days=10), settings=over))
    assert [(each["crm"], each["kind"]) for each in held.holds] == [("product", "invitation_sent")]
    assert hubspot.records[Ref("hubspot", "contact", "1")].current["behavior"] == 250
    told = status_document(over, state, NOW + timedelta(days=10))
    assert "no invitation_sent for 10 days" in told["events"]["product"]["why"]


def test_check_online_tries_each_source(tmp_path):
    (tmp_path / "usage").mkdir()
    (tmp_path / "crmsync.toml").write_text(FILE + "[bands]\ncold = 0\n")
    done = crmsync_in(tmp_path)("check", "--online", "--json")
    found = done.json
    assert found["events"]["product"] == {
        "reached": True,
        "problems": [],
        "notes": [f"no file in {tmp_path}/usage is called *.jsonl, *.csv yet"],
    }
    assert found["events"]["billing"]["problems"] == [
        "billing: the address of the database is missing; set CRMSYNC_EVENTS__BILLING__URL in the environment"
    ]
    assert done.code == 2
    shown = crmsync_in(tmp_path)("check", "--online").out
    assert "error: billing: the address of the database is missing" in shown.replace("\n", " ")


def test_who_is_in_no_crm_can_be_forgotten_by_address(tmp_path, hubspot):
    made = store(tmp_path)
    (tmp_path / "a.jsonl").write_text(lines(event(1, "new@firm.example"), event(2)))
    go(made, tmp_path, hubspot)
    made.close()
    (tmp_path / "crmsync.toml").write_text(f"{FILE}[bands]\ncold = 0\n[state]\nurl = 'sqlite:///{tmp_path}/state.db'\n")
    run = crmsync_in(tmp_path)
    done = run("forget", "NEW@firm.example", "--yes", "--json")
    assert (done.code, done.json["person"], done.json["removed"]["activity"]) == (0, None, 1)
    assert run("forget", "NEW@firm.example", "--yes").code != 0
    made = open_store(f"sqlite:///{tmp_path}/state.db")
    (tmp_path / "b.jsonl").write_text(lines(event(3, "new@firm.example")))
    go(made, tmp_path, hubspot, hours=1)
    assert [each["id"] for each in rows(made, schema.activity)] == ["e2"]
    assert not [each for each in rows(made, schema.record) if "new@" in each["ref_id"]]
    made.close()
