"""The commands as an admin meets them: what they print, in JSON and in words, and how they end."""

import json
import logging
import re
import sqlite3
import stat
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import time_machine
from typer.testing import CliRunner

from connectors.sandbox.faults import Fault
from connectors.sandbox.server import serve
from crmsync import demo
from crmsync.cli import app
from crmsync.identity.names import name_words
from crmsync.store.database import open_store
from tests.conftest import NOW
from tests.support.commands import Ended, crmsync, settings_alone
from tests.support.demo import REPS, SECRETS, write_config

ROOT = Path(__file__).parents[2]
HOUR = timedelta(hours=1)
COUNTS = {"pulled", "activities", "scored", "skipped", "planned", "updated", "partly", "rejected"}


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    with settings_alone(monkeypatch, SECRETS):
        yield


@pytest.fixture
def sandbox(small_sandbox):
    """A smaller one than other tests have: these run many whole cycles."""
    return small_sandbox


@pytest.fixture
def path(sandbox, tmp_path):
    """A config for the sandbox, with a state of its own."""
    return write_config(tmp_path, sandbox.url)


@pytest.fixture
def ready(path):
    """The same, with the score fields made."""
    assert crmsync("setup", "-c", path).code == 0
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A config whose sandbox was backfilled, for commands that only look."""
    folder = tmp_path_factory.mktemp("done")
    with serve(people=30, seed=1, now=NOW) as sandbox, pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        path = write_config(folder, sandbox.url)
        with time_machine.travel(NOW, tick=True):
            crmsync("setup", "-c", path)
            assert crmsync("backfill", "-c", path).code == 0
        yield path


def line_of(path, begin):
    """The number of the line that begins like this."""
    return next(at for at, line in enumerate(path.read_text().split("\n"), start=1) if line.startswith(begin))


def with_strangers(path, *members):
    """Add members to the pool of a config."""
    more = ", ".join(f'"{each}"' for each in members)
    path.write_text(path.read_text().replace(f'"{REPS[1]}"]', f'"{REPS[1]}", {more}]'))


def balance(counts):
    assert counts["pulled"] == counts["scored"] + sum(counts["skipped"].values())
    outcomes = ("updated", "partly", "rejected", "edited", "unknown")
    assert counts["planned"] == sum(counts[name] for name in outcomes)


def test_the_version_is_printed():
    ended = crmsync("--version")
    assert (ended.code, ended.out.startswith("crmsync ")) == (0, True)


# Before the first cycle


def test_check_finds_the_example_fine(path):
    ended = crmsync("check", "-c", path, "--json")
    assert ended.code == 0
    assert ended.json["ok"] is True
    assert ended.json["problems"] == []
    assert ended.json["test_leads"] == 3
    assert "exit_code" not in ended.json


def test_check_fails_when_a_golden_lead_comes_out_differently(path):
    path.write_text(path.read_text().replace("points = 30\n", "points = 3\n"))
    ended = crmsync("check", "-c", path)
    assert ended.code == 2
    line = path.read_text().split("\n").index('name = "VP who requested a demo last week"')
    assert f"error: {path}, line {line}: test lead 'VP who requested a demo last week': band is " in ended.out


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        ('band = "mql", stage = "mql", owner = "dana.whitlock@ourproduct.example"', ""),
        ('stage = "sql"', "stage is 'mql', expected 'sql'"),
        ('owner = "grete.holm@ourproduct.example"', "owner is 'dana.whitlock@ourproduct.example', expected"),
    ],
)
def test_check_knows_where_a_golden_lead_goes(path, expected, sentence):
    path.write_text(path.read_text().replace('expect = { band = "mql" }', f"expect = {{ {expected} }}"))
    ended = crmsync("check", "-c", path)
    assert ended.code == (2 if sentence else 0)
    assert sentence in ended.out


def test_check_online_asks_the_crms(ready):
    ended = crmsync("check", "--online", "-c", ready, "--json")
    assert ended.code == 0
    assert ended.json["crms"]["hubspot"]["account"]
    assert ended.json["crms"]["salesforce"]["account"]


def test_check_online_names_the_members_of_each_pool(ready, sandbox):
    with_strangers(ready, "zoe@elsewhere.example", "ivo.marek@ourproduct.example")
    ended = crmsync("check", "--online", "-c", ready, "--json")
    assert ended.code == 0
    for crm in ("hubspot", "salesforce"):
        states = {each["email"]: each["state"] for each in ended.json["crms"][crm]["members"]}
        assert states["zoe@elsewhere.example"] == "missing"
        assert states[REPS[0]] == "active"
        assert {each["pool"] for each in ended.json["crms"][crm]["members"]} == {"sales"}
        assert f"zoe@elsewhere.example is not a user in {crm}" in " ".join(ended.json["warnings"])
    words = crmsync("check", "--online", "-c", ready).out
    assert words.count(f"pool sales: {REPS[0]} active, {REPS[1]} active, zoe@elsewhere.example not a user, ") == 2
    assert "warning: [[owner_pool]] sales: zoe@elsewhere.example" in words


def test_check_online_names_a_member_who_left(ready, sandbox):
    table = sandbox.org.state.table("User")
    (user,) = [id_ for id_, row in table.rows.items() if table.get(row, "Email") == REPS[0]]
    sandbox.do("salesforce", "deactivate_user", id=user)
    ended = crmsync("check", "--online", "-c", ready, "--json")
    assert ended.code == 0
    assert f"{REPS[0]} is not active in salesforce" in " ".join(ended.json["warnings"])


def test_check_online_fails_where_nobody_of_a_pool_can_own_anything(ready):
    ready.write_text(re.sub(r"members = \[.*\]", 'members = ["ann@acme.example"]', ready.read_text()))
    ended = crmsync("check", "--online", "-c", ready)
    assert ended.code == 2
    line = line_of(ready, "members =")
    said = f"error: {ready}, line {line}: [[owner_pool]] sales: no member can own records in hubspot"
    assert said in " ".join(ended.out.split())
    ready.write_text(ready.read_text().replace("\nowner = true", "\nowner = false"))
    document = crmsync("check", "--online", "-c", ready, "--json").json
    assert document["ok"] is True
    assert all(each["members"] == [] for each in document["crms"].values())


def test_check_online_knows_the_stages_that_the_crm_owns(ready):
    listed = '\n[lifecycle]\ncrm_owned = ["oportunity", "Customer"]\n'
    ready.write_text(ready.read_text() + listed)
    notes = crmsync("check", "--online", "-c", ready, "--json").json["crms"]["hubspot"]["notes"]
    said = "[lifecycle] crm_owned: hubspot has no stage oportunity; correct the name if it should have"
    assert said in notes


def test_check_online_knows_the_users_and_queues_that_routes_name(ready):
    written = ready.read_text()
    pool = f'\n[[owner_pool]]\nname = "late"\nmembers = ["{REPS[0]}"]\nfallback = "queue:Nobody\\u2019s"\n'
    routes = "".join(
        f'\n[[route]]\nname = "{name}"\nwhen = {{ field = "score", gte = 900 }}\nto = "{to}"\n'
        for name, to in (("A", "zoe@elsewhere.example"), ("B", "queue:inbound leads "), ("C", "late"))
    )
    at = written.index("[[route]]")
    ready.write_text(written[:at] + routes + written[at:] + pool)
    ended = crmsync("check", "--online", "-c", ready, "--json")
    assert ended.code == 2
    route, queue = line_of(ready, 'to = "zoe'), line_of(ready, 'fallback = "queue:No')
    assert [each.removeprefix(f"{ready}, ") for each in ended.json["problems"]] == [
        *(
            f"line {route}: [[route]] A: zoe@elsewhere.example is not a user in {crm}, so people who are routed to "
            "them get no owner there; correct the address, or add the user"
            for crm in ("hubspot", "salesforce")
        ),
        f"line {queue}: [[owner_pool]] late: no CRM has the queue Nobody\u2019s, so people who are routed to it wait; "
        "correct the name, or add the queue",
    ]


def test_check_warns_of_a_pool_that_no_route_leads_to(path):
    path.write_text(path.read_text() + '\n[[owner_pool]]\nname = "spare"\nmembers = ["ann@acme.example"]\n')
    document = crmsync("check", "-c", path, "--json").json
    assert document["ok"] is True
    assert "[[owner_pool]] spare: no [[route]] uses it" in " ".join(document["warnings"])


def test_check_says_of_a_new_field_that_it_is_not_read_yet(done, tmp_path):
    new = '\nreferrer = { hubspot = "hs_latest_source" }\n'
    rule = '\n[[fit]]\nname = "Came by referral"\npoints = 5\nwhen = { field = "referrer", is = "REFERRALS" }\n'
    edited = done.with_name("new-field.toml")
    edited.write_text(done.read_text().replace("\n[fields]", f"\n[fields]{new}", 1) + rule)
    found = crmsync("check", "-c", edited, "--json").json
    assert "referrer is new and not read yet; the next run does that: crmsync plan" in found["notes"]
    assert not [each for each in (*found["warnings"], *found["notes"]) if "Came by referral" in each]
    assert not [each for each in found["notes"] if each.startswith("referrer is missing")]


def test_a_new_stage_needs_setup_once_more_and_nothing_by_hand(ready):
    new = '[[stage]]\nname = "partner"\nvalues = { salesforce = "Partner" }\n\n'
    written = ready.read_text()
    at = written.index('[[stage]]\nname = "customer"')
    ready.write_text(written[:at] + new + written[at:])
    before = crmsync("check", "--online", "-c", ready, "--json")
    assert before.code == 2
    assert before.json["crms"]["salesforce"]["problems"] == [
        f"{kind}.Crmsync_Stage__c has no active value 'Partner' for the stage 'partner'; crmsync setup adds it"
        for kind in ("Lead", "Contact")
    ]
    assert "Lead.Crmsync_Stage__c: the value 'Partner' added" in crmsync("setup", "-c", ready).out
    assert crmsync("check", "--online", "-c", ready).code == 0


def test_check_names_variables_of_a_crm_that_the_file_leaves_out(tmp_path):
    path = tmp_path / "crmsync.toml"
    crmsync("init", "-c", path, "--only", "hubspot")
    ended = crmsync("check", "-c", path, "--json")
    assert ended.code == 0
    for key in ("CLIENT_ID", "CLIENT_SECRET"):
        said = f"CRMSYNC_SALESFORCE__{key} is set, but not used, because the file has no [salesforce]"
        assert said in ended.json["notes"]


def test_a_file_without_a_crm_is_told_so_whatever_is_set(tmp_path):
    path = tmp_path / "crmsync.toml"
    path.write_text("[bands]\ncold = 0\n")
    ended = crmsync("check", "-c", path, "--json")
    assert ended.code == 2
    assert "the config has no CRM" in ended.json["problems"][0]


def test_check_online_names_what_is_missing(path):
    ended = crmsync("check", "--online", "-c", path, "--json")
    assert ended.code == 2
    assert any("crmsync_score" in each for each in ended.json["crms"]["hubspot"]["problems"])
    words = crmsync("check", "--online", "-c", path).out
    assert words.count("score fields are missing; create them with: ") == 2
    assert words.count("error: ") == 2


def test_check_online_says_when_a_token_is_wrong(ready, monkeypatch):
    monkeypatch.setenv("CRMSYNC_HUBSPOT__TOKEN", "canary-3f9d1c7e55")
    ended = crmsync("check", "--online", "-c", ready)
    assert ended.code == 2
    assert "error: " in ended.out
    assert "canary" not in ended.out + ended.err


def test_missing_credentials_are_named(path, monkeypatch):
    for name in SECRETS:
        monkeypatch.delenv(name)
    assert "CRMSYNC_HUBSPOT__TOKEN" in crmsync("sync", "-c", path).err
    ended = crmsync("check", "--online", "-c", path, "--json")
    assert ended.code == 2
    assert "CRMSYNC_HUBSPOT__TOKEN" in ended.json["crms"]["hubspot"]["problems"][0]
    assert "CRMSYNC_SALESFORCE__CLIENT_SECRET" in ended.json["crms"]["salesforce"]["problems"][0]
    ended = crmsync("setup", "-c", path)
    assert (ended.code, f"Next: crmsync check --online --config {path}" in ended.out) == (2, True)


def test_check_prints_a_schema():
    assert "hubspot" in crmsync("check", "--schema").json["properties"]


def test_setup_creates_the_fields_once(path):
    first, second = crmsync("setup", "-c", path, "--json"), crmsync("setup", "-c", path)
    assert first.code == second.code == 0
    assert set(first.json["crms"]) == {"hubspot", "salesforce"}
    assert "salesforce: Lead.Crmsync_Score__c: found" in second.out


# Cycles


def test_a_plan_writes_nothing_and_apply_writes_exactly_it(ready, sandbox):
    before = len(sandbox.calls.writes())
    plan = crmsync("plan", "-c", ready, "--json")
    assert plan.code == 0
    assert plan.json["verdict"] == "preview"
    assert len(sandbox.calls.writes()) == before
    planned = {crm: each["planned"] for crm, each in plan.json["crms"].items()}
    applied = crmsync("apply", plan.json["run"], "-c", ready, "--json")
    assert applied.code == 0
    assert applied.json["verdict"] == "ok"
    assert {crm: each["updated"] for crm, each in applied.json["crms"].items()} == planned
    again = crmsync("sync", "-c", ready, "--json")
    assert [each["planned"] for each in again.json["crms"].values()] == [0, 0]


def test_a_plan_in_words_shows_bands_movers_and_the_next_command(ready):
    ended = crmsync("plan", "-c", ready)
    assert "Bands: who enters and who leaves\n" in ended.out
    assert ended.out.index("who enters and who leaves") < ended.out.index("records by band, old (down) → new (across)")
    assert "rejected" not in ended.out
    assert "Largest score changes" in ended.out
    assert "Nothing was written. To write this plan:\n" in ended.out
    assert f" --config {ready}" in ended.out
    command = ended.out.splitlines()[-1].strip()
    assert crmsync("status", "-c", ready).out.rstrip().endswith(f"can be written. Next: {command}")


def test_the_history_that_the_crms_keep_is_read_by_a_command_of_its_own(ready):
    assert crmsync("backfill", "--yes", "-c", ready).code == 0
    ended = crmsync("backfill", "--history", "-c", ready, "--json")
    assert ended.code == 0
    asked = ended.json["crms"].keys()
    told = [each.partition(" ")[0] for each in ended.json["notes"]]
    assert {*asked, *told} == {"hubspot", "salesforce"}
    assert crmsync("backfill", "--history", "-c", ready).out


def test_a_backfill_in_json_has_the_promised_keys_and_balances(ready):
    ended = crmsync("backfill", "-c", ready, "--json")
    assert ended.code == 0
    assert ended.json["verdict"] == "ok"
    assert list(ended.json["bands"]) == [band for band in ("cold", "warm", "hot", "mql") if band in ended.json["bands"]]
    for counts in ended.json["crms"].values():
        assert {*COUNTS, "api_calls", "seconds"} <= set(counts)
        balance(counts)
    assert ended.err == ""


def test_apply_of_an_unknown_run_is_told(ready):
    ended = crmsync("apply", "20260101-000000-0000", "-c", ready)
    assert ended.code == 2
    assert "there is no plan 20260101-000000-0000" in ended.err


def test_an_unsafe_plan_waits_for_review(ready):
    assert crmsync("backfill", "-c", ready).code == 0
    text = ready.read_text().replace("from_records = 20", "from_records = 5")
    ready.write_text(text.replace("cold = 0\nwarm = 25", "cold = 0\nwarm = 1"))
    plan = crmsync("plan", "-c", ready)
    assert plan.code == 0
    assert "A run would hold this plan for approval:\nhubspot: " in plan.out
    words = crmsync("sync", "-c", ready)
    assert words.code == 3
    assert "Held for approval: " in words.out
    assert words.err == ""
    ended = crmsync("sync", "-c", ready, "--json")
    assert ended.code == 3
    assert ended.json["verdict"] == "held"
    assert any("[guard]" in each for each in ended.json["problems"])
    assert ended.json["crms"]["hubspot"]["updated"] == 0
    assert f"apply {ended.json['held']['run']}" in ended.json["next"]
    applied = crmsync("apply", ended.json["held"]["run"], "-c", ready)
    assert applied.code == 0
    assert re.search(rf"Updates of plan {ended.json['held']['run']}: \d+ as you saw them\.", applied.out)
    assert crmsync("sync", "-c", ready, "--json").json["crms"]["hubspot"]["planned"] == 0


def test_who_ends_the_input_at_the_question_has_not_said_yes(ready, sandbox, monkeypatch):
    assert crmsync("plan", "-c", ready).code == 0
    before = len(sandbox.calls.writes())
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: self.name == "<stdin>")
    ended = crmsync("apply", "-c", ready)
    assert ended.code == 3
    assert "Nothing was written. To approve this plan:" in ended.out
    assert "bug in crmsync" not in ended.err
    assert len(sandbox.calls.writes()) == before


@pytest.fixture
def impatient(monkeypatch):
    """Retries that do not wait."""
    monkeypatch.setattr("connectors.http.PATIENCE", 0.0)


@pytest.mark.usefixtures("impatient")
def test_one_crm_is_down_and_the_other_goes_on(ready, sandbox):
    sandbox.faults.add(Fault(do="answer", vendor="salesforce", status=503))
    ended = crmsync("sync", "-c", ready, "--json")
    assert ended.code == 4
    assert ended.json["verdict"] == "partial"
    assert ended.json["crms"]["hubspot"]["updated"] > 0
    assert any(each.startswith("salesforce: ") for each in ended.json["problems"])


@pytest.mark.usefixtures("impatient")
def test_a_plan_without_one_crm_does_not_say_that_nothing_differs(ready, sandbox):
    assert crmsync("backfill", "-c", ready).code == 0
    assert "There is nothing to write: the CRMs already hold the right values." in crmsync("plan", "-c", ready).out
    sandbox.faults.add(Fault(do="answer", vendor="hubspot", status=503))
    ended = crmsync("plan", "-c", ready)
    assert ended.code == 4
    assert "There is nothing to write in salesforce. hubspot could not be checked." in ended.out
    sandbox.faults.add(Fault(do="html", status=503))
    ended = crmsync("plan", "-c", ready)
    assert ended.code == 1
    assert "hubspot could not be used: " in ended.err
    assert "salesforce could not be used: " in ended.err
    assert "is kept" not in ended.err


@pytest.mark.usefixtures("impatient")
def test_both_crms_are_down(ready, sandbox):
    sandbox.faults.add(Fault(do="html", status=503))
    ended = crmsync("sync", "-c", ready, "--json")
    assert ended.code == 1
    assert ended.json["verdict"] == "failed"
    assert ended.json["error"] == "unavailable"
    assert ended.json["run"]


def test_a_wrong_token_everywhere_is_a_matter_of_the_config(ready, monkeypatch):
    for name in ("CRMSYNC_HUBSPOT__TOKEN", "CRMSYNC_SALESFORCE__CLIENT_SECRET"):
        monkeypatch.setenv(name, "canary-3f9d1c7e55")
    ended = crmsync("sync", "-c", ready)
    assert ended.code == 2
    said = ended.out + ended.err
    assert "canary" not in said
    assert (said.count("HubSpot does not accept the token"), said.count("Salesforce refused the log-in")) == (1, 1)


def test_two_writers_do_not_meet(ready):
    store = open_store(f"sqlite:///{ready.parent}/crmsync.db")
    with store.writer("somebody else"):
        ended = crmsync("sync", "-c", ready, "--json")
    store.close()
    assert ended.code == 1
    assert ended.json["error"] == "state"
    assert "in use by somebody else" in ended.json["problems"][0]


# Looking


def test_explain_in_json_sums_to_the_total(done):
    people = [crmsync("explain", number, "-c", done, "--json") for number in (1, 2, 3)]
    for ended in people:
        assert ended.code == 0
        document = ended.json
        assert {"person", "refs", "fit", "behavior", "total", "band", "stage", "owner", "lines"} <= set(document)
        assert sum(Decimal(str(line["points"])) for line in document["lines"]) == Decimal(str(document["total"]))
        assert document["written"]["total"] == document["total"]


def test_somebody_is_explained_as_of_the_past_in_json_and_in_words(done):
    after, before = ((NOW + each).isoformat() for each in (HOUR, -HOUR))
    with time_machine.travel(NOW + 2 * HOUR, tick=True):
        now = crmsync("explain", 1, "-c", done, "--json").json
        then = crmsync("explain", 1, "--at", after, "-c", done, "--json").json
        said = crmsync("explain", 1, "--at", after, "-c", done).out
        earlier = crmsync("explain", 1, "--at", before, "-c", done).out
    assert (then["total"], then["person"], then["unknown_then"]) == (now["total"], now["person"], [])
    assert then["at"] == after
    assert f"by the present model: {then['total']:g} points" in said
    assert "Not known any more as of then: " in earlier
    assert "crmsync backfill --history" in earlier


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "--at", "2026-11-21T12:00:00Z"], "--at is for a person"),
        (["person:1", "--at", "yesterday"], "--at 'yesterday' is not a date and time"),
        (["person:1", "--at", "2031-01-01T00:00:00Z"], "is still to come; give an instant of the past"),
    ],
)
def test_an_instant_that_cannot_be_explained_is_refused(done, words, said):
    ended = crmsync("explain", *words, "-c", done)
    assert ended.code == 2
    assert said in " ".join(ended.err.replace("\u2502", " ").split())


def test_explain_finds_somebody_by_whatever_they_are_known(done):
    first = crmsync("explain", "person:1", "-c", done, "--json").json
    mail, ref = first["emails"][0], first["refs"][0]
    for who in (mail, mail.upper(), ref, ref.split(":")[2], 1):
        assert crmsync("explain", who, "-c", done, "--json").json["person"] == 1


def test_explain_finds_somebody_by_name_and_lists_who_share_it(done):
    with sqlite3.connect(done.parent / "crmsync.db") as state:
        people = state.execute("SELECT name, min(person), max(person) FROM record WHERE person IS NOT NULL GROUP BY 1")
        rows = [row for row in people.fetchall() if row[0].isascii()]
    state.close()
    name, person = next((name, one) for name, one, other in rows if one == other)
    assert crmsync("explain", name.upper(), "-c", done, "--json").json["person"] == person
    with sqlite3.connect(done.parent / "crmsync.db") as state:
        other = state.execute("SELECT max(person) FROM record WHERE person != ?", (person,)).fetchone()[0]
        old = state.execute("SELECT id, name FROM record WHERE person = ?", (other,)).fetchall()
        state.execute("UPDATE record SET name = ? WHERE person = ?", (name, other))
        query = "SELECT record, word FROM name_word JOIN record ON id = record WHERE person = ?"
        kept = state.execute(query, (other,)).fetchall()
        found = [(row, word) for row, _was in old for word in {*name_words(name)}]
        state.executemany("INSERT OR IGNORE INTO name_word VALUES (?, ?)", found)
        state.commit()
        ended, words = crmsync("explain", name, "-c", done, "--json"), crmsync("explain", name, "-c", done)
        state.executemany("UPDATE record SET name = ? WHERE id = ?", [(was, row) for row, was in old])
        state.executemany("DELETE FROM name_word WHERE record = ? AND word = ?", sorted({*found} - {*kept}))
    state.close()
    assert (ended.code, ended.json["error"]) == (1, "several")
    assert "matches 2 people; choose one by its crmsync id:" in words.err
    for each in (person, other):
        assert re.search(rf"  person:{each}  {name} <", words.err)


def test_explain_finds_short_salesforce_ids(done):
    with sqlite3.connect(done.parent / "crmsync.db") as state:
        query = "SELECT ref_id FROM record WHERE crm = 'salesforce' AND person IS NOT NULL LIMIT 1"
        (ref_id,) = state.execute(query).fetchone()
    state.close()
    short, long = (crmsync("explain", each, "-c", done, "--json") for each in (ref_id[:15], ref_id))
    assert short.json["person"] == long.json["person"]


def test_explain_in_words(done):
    ended = crmsync("explain", "person:1", "-c", done)
    assert ended.code == 0
    assert "points: " in ended.out
    assert "total" in ended.out
    assert "crmsync id 1\n" in ended.out
    assert re.search(r"hubspot contact \d+: .*, written\n", ended.out)
    assert "Stage: " in ended.out
    assert "Owner: " in ended.out
    assert "owner 4162" not in ended.out


@pytest.mark.parametrize("who", ["nobody@nowhere.example", "hubspot:contact:1", "'; --", "999999999999999999999", "%"])
def test_explain_of_nobody(done, who):
    ended = crmsync("explain", who, "-c", done, "--json")
    assert ended.code == 2
    assert "nobody was found for" in ended.json["problems"][0]


def test_status_tells_how_things_stand(done):
    ended = crmsync("status", "-c", done, "--json")
    assert ended.code == 0
    assert ended.json["healthy"] is True
    assert ended.json["runs"][0]["verdict"] == "ok"
    assert ended.json["crms"]["hubspot"]["records"] > 0
    assert ended.json["held_by"] is None
    assert "feeds" not in ended.json
    feeds = crmsync("status", "--feeds", "-c", done, "--json").json["feeds"]
    assert {"form_submitted", "page_viewed"} <= {each["kind"] for each in feeds}
    words = crmsync("status", "-c", done)
    assert words.out.startswith("Healthy.\n")
    assert "Last runs" in words.out
    assert "succeeded" in words.out
    assert "People per band, as stored in the CRMs: cold " in words.out
    assert "hubspot: ok, last successful run 2026-11-21 09:0" in words.out
    assert re.search(
        r"API calls left, as of the last run: hubspot 999,\d{3} \(100.0%\), salesforce [\d,]+ \(", words.out
    )
    for crm, limit in (("hubspot", 1_000_000), ("salesforce", 5_000_000)):
        left, used = (ended.json["crms"][crm][name] for name in ("api_left", "api_used"))
        assert left / (1 - used) == pytest.approx(limit, rel=0.001)
    assert ended.json["next_run"]["daemon"] is False
    assert words.out.endswith(f"To start it:\n  crmsync run --config {done}\n")
    assert {"waiting", "waiting_for_owner", "refused", "on_hold", "bands", "crms", "runs"} <= set(ended.json)


def test_status_says_who_is_at_work(done):
    store = open_store(f"sqlite:///{done.parent}/crmsync.db")
    with store.writer("somebody else"):
        assert crmsync("status", "-c", done, "--json").json["held_by"].startswith("somebody else")
    store.close()


def test_health_follows_the_last_good_run(done):
    assert crmsync("status", "--health", "-c", done).code == 0
    with time_machine.travel(NOW.replace(hour=20), tick=True):
        ended = crmsync("status", "--health", "-c", done)
    assert ended.code == 1
    assert "hubspot: no successful run since 2026-11-21 09:00 UTC; one was due by 2026-11-21 10:30 UTC" in ended.out
    assert "No run since then: check that crmsync run is running, or start one: crmsync sync" in ended.out


def test_health_before_the_first_run(path):
    ended = crmsync("status", "--health", "-c", path, "--json")
    assert ended.code == 1
    assert ended.json["healthy"] is False
    assert ended.json["crms"]["hubspot"]["why"] == f"No run yet. Next: crmsync plan --config {path}"
    status = crmsync("status", "-c", path)
    assert (status.code, status.out) == (0, f"No run yet. Next: crmsync plan --config {path}\n")
    assert not (path.parent / "crmsync.db").exists()


def test_health_of_a_state_that_cannot_be_read(path):
    (path.parent / "crmsync.db").write_bytes(b"not a database at all" * 100)
    ended = crmsync("status", "--health", "-c", path, "--json")
    assert ended.code == 1
    assert "damaged" in ended.json["problems"][0]


def test_score_needs_no_crm(path, tmp_path):
    people = tmp_path / "people.jsonl"
    people.write_text(
        '{"id": "a", "fields": {"title": "VP Sales"}, "activities": '
        '[{"kind": "meeting_held", "at": "2026-11-20T12:00:00Z"}]}\n\n{"id": "b"}\n'
    )
    ended = crmsync("score", "--input", people, "--at", "2026-11-21T12:00:00Z", "-c", path)
    first, second = (json.loads(line) for line in ended.out.splitlines())
    assert (first["person"], second["person"]) == ("a", "b")
    assert first["total"] == sum(line["points"] for line in first["lines"])
    assert len(crmsync("score", "--input", people, "-c", path, "--json").json["people"]) == 2
    people.write_text('{"id": 1}\n{"id": 2\n')
    assert f"1 person scored; 1 error in {people}." in crmsync("score", "--input", people, "-c", path).err


@pytest.mark.parametrize(
    ("text", "at", "sentence"),
    [
        ('{"id": 1', "2026-11-21T12:00:00Z", "line 1: this is not JSON"),
        ('{"activities": [{"kind": "x"}]}', "2026-11-21T12:00:00Z", "line 1: activity no. 1: it needs at, an instant"),
        (
            '{"fields": {"title": {"a": 1}}}',
            "2026-11-21T12:00:00Z",
            "line 1: the field 'title' has a table as its value",
        ),
        ('{"previous": "hott"}', "2026-11-21T12:00:00Z", "previous 'hott' is not a band of the model"),
        ("[\n{}\n]", "2026-11-21T12:00:00Z", "line 1 begins with '['"),
        ("{\n}", "2026-11-21T12:00:00Z", "line 1 begins with '{'"),
        ("id,title\n1,VP", "2026-11-21T12:00:00Z", "line 1 begins with 'id,title'"),
        ("{}", "yesterday", "is not a date and time"),
        ("{}", "2026-11-21T12:00:00", "needs a time zone"),
    ],
)
def test_score_tells_what_is_wrong_with_its_input(path, tmp_path, text, at, sentence):
    people = tmp_path / "people.jsonl"
    people.write_text(text)
    ended = crmsync("score", "--input", people, "--at", at, "-c", path)
    assert ended.code == 2
    assert sentence in ended.err
    assert ended.out == ""
    assert sentence in " ".join(crmsync("score", "--input", people, "--at", at, "-c", path, "--json").json["problems"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"id": 1}'.encode("utf-16"), "begins with text that is not UTF-8"),
        ('{"id": "Jürgen"}'.encode("latin-1"), "line 1: this is not UTF-8"),
        (b'{"id": "\\ud800"}', "line 1: this is not JSON"),
        (b'{"id": NaN}', "line 1: this is not JSON"),
    ],
)
def test_score_tells_of_another_encoding(path, tmp_path, content, sentence):
    people = tmp_path / "people.jsonl"
    people.write_bytes(content)
    ended = crmsync("score", "--input", people, "-c", path)
    assert (ended.code, sentence in ended.err) == (2, True)


def test_score_of_what_cannot_be_opened(path, tmp_path):
    for given, said in ((tmp_path, "has no file that ends in .jsonl"), (tmp_path / "none.jsonl", "No such file")):
        ended = crmsync("score", "--input", given, "-c", path)
        assert (ended.code, said in ended.err) == (2, True)


MIXED = """\ufeff{"id": "a", "fields": {"title": "VP Sales 😀"}}

{"id": "b"
{"id": "c", "fields": {"employees": 1e300, "titel": "VP"}, "activities": [\
{"kind": "page_vieewd", "at": "2026-11-20T12Z"}]}
{"id": "d", "field": {}}
{"id": "e", "fields": {"employees": 1e300}}
"""


@pytest.mark.parametrize("at_once", [1, 2, 10_000])
def test_score_loses_no_line_for_the_mistakes_of_others(path, tmp_path, monkeypatch, at_once):
    monkeypatch.setattr("crmsync.batch.people_file.AT_ONCE", at_once)
    people = tmp_path / "people.jsonl"
    people.write_text(MIXED, encoding="utf-8", newline="\r\n")
    ended = crmsync("score", "--input", people, "-c", path)
    assert ended.code == 4
    assert [(each["line"], each["person"]) for each in map(json.loads, ended.out.splitlines())] == [
        (1, "a"), (4, "c"), (6, "e"),
    ]  # fmt: skip
    assert ended.err.splitlines() == [
        f"{people}, line 3: this is not JSON: unexpected end of data, at character 11",
        f"{people}, line 5: 'field' is not a key of a person; the keys are id, fields, activities, previous, outcome, "
        "outcome_at, created_at, handed_off_at, touched_at, value, owner, name",
        "warning: 2 people: employees: the value is an impossibly large number, so it counts as unknown",
        "warning: 1 person: the config has no field 'titel', so it is ignored; did you mean 'title'?",
        "warning: 1 person: the config has no activity type 'page_vieewd', so it is ignored; did you mean "
        "'page_viewed'?",
        f"3 people scored; 2 errors in {people}.",
    ]
    document = crmsync("score", "--input", people, "-c", path, "--json").json
    assert (len(document["people"]), len(document["problems"]), len(document["warnings"])) == (3, 2, 3)


def test_score_reads_a_pipe_and_says_when_it_is_empty(path):
    words = ["score", "--input", "-", "-c", str(path)]
    ended = Ended(CliRunner().invoke(app, words, input='{"id": 1}\n'))
    assert (ended.code, json.loads(ended.out)["person"]) == (0, 1)
    ended = Ended(CliRunner().invoke(app, words, input="\n"))
    assert (ended.code, ended.out, ended.err) == (0, "", "- is empty: there are no people to score.\n")


def test_the_keys_of_an_explanation_and_of_a_score_are_those_of_the_readme(done, tmp_path):
    people = tmp_path / "people.jsonl"
    people.write_text('{"id": 1}\n{"id": 2}\n')
    (row,) = [
        line for line in (ROOT / "docs" / "commands.md").read_text().splitlines() if line.startswith("| `explain` |")
    ]
    explained = crmsync("explain", "person:1", "-c", done, "--json").json
    scored = crmsync("score", "--input", people, "-c", done, "--json").json["people"]
    assert {*re.findall(r"`([a-z]+)`", row.partition(" | ")[2])} <= {*explained}
    assert [{*each} - {*explained} for each in scored] == [{"line"}, {"line"}]
    assert {"until", "next", "range", "warnings", "gaps", "lines"} <= {*scored[0]}


@pytest.mark.parametrize("name", ["config.example.toml", "examples/starter.toml", "examples/segments.toml"])
def test_the_model_is_explained_without_a_crm_or_a_state(name, monkeypatch):
    for variable in SECRETS:
        monkeypatch.delenv(variable)
    ended = crmsync("explain", "--model", "-c", ROOT / name)
    assert ended.code == 0
    document = crmsync("explain", "--model", "--json", "-c", ROOT / name).json
    assert {"model", "rules", "bands"} <= set(document)
    assert [line["name"] for line in document["rules"] if line["name"] not in ended.out] == []


@pytest.mark.parametrize(("words", "is_both"), [([], False), (["somebody@firm.example", "--model"], True)])
def test_an_explanation_is_of_somebody_or_of_the_model(words, is_both, path):
    ended = crmsync("explain", *words, "-c", path)
    assert ended.code == 2
    said = " ".join(ended.err.split())
    assert ("give a person or --model" in said, "not both" in said) == (True, is_both)


# Endings


COMMANDS = [
    ["check"], ["setup"], ["plan"], ["sync"], ["backfill"], ["apply", "x"], ["run"], ["explain", "x"], ["status"],
    ["score", "--input", "x"],
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_command_without_a_config_says_how_to_make_one(tmp_path, words):
    ended = crmsync(*words, "-c", tmp_path / "none.toml", "--json")
    assert ended.code == 2
    assert ended.json["error"] == "config"
    assert ended.json["problems"] == [f"there is no config file {tmp_path}/none.toml"]
    assert ended.json["next"] == f"crmsync init --config {tmp_path}/none.toml"


@pytest.mark.parametrize(
    ("words", "following"),
    [
        (["check"], None),
        (["sync"], "crmsync check --config {path}"),
        (["status", "--health"], "crmsync check --config {path}"),
    ],
)
@pytest.mark.parametrize("broken", ["[guard]\nbands = 20\n", "[bands\n", "pionts = 3\n"])
def test_what_is_wrong_with_the_config_is_not_sent_in_circles(tmp_path, words, following, broken):
    path = tmp_path / "crmsync.toml"
    path.write_text(broken)
    ended = crmsync(*words, "-c", path, "--json")
    assert (ended.code, ended.json["error"]) == (2, "config")
    assert ended.json.get("next") == (following and following.format(path=path))


@pytest.mark.parametrize(
    ("words", "following"),
    [
        (["explain", "nobody@nowhere.example"], None),
        (["apply", "20260101-000000-0000"], "crmsync status"),
        (["score", "--input", "none.jsonl"], None),
        (["score", "--input", "none.jsonl", "--at", "noon"], None),
    ],
)
def test_what_is_no_mistake_in_the_config_does_not_send_to_check(done, words, following):
    ended = crmsync(*words, "-c", done, "--json")
    assert (ended.code, ended.json.get("next")) == (2, following and f"{following} --config {done}")


def test_what_concerns_no_config_does_not_send_to_check(tmp_path, sandbox):
    port = sandbox.url.rpartition(":")[2]
    for words in (["init", "--only", "hubspo", "-c", tmp_path / "new.toml"], ["sandbox", "--port", port]):
        ended = crmsync(*words, "--json")
        assert (ended.code, ended.json.get("next")) == (2, None)


@pytest.mark.parametrize("words", [["plann"], ["sync", "--colour"], ["explain"]])
def test_usage(words):
    ended = crmsync(*words)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_the_config_may_be_named_in_the_environment(done, monkeypatch):
    monkeypatch.setenv("CRMSYNC_CONFIG", str(done))
    assert crmsync("status", "--json").code == 0


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_a_fault_of_crmsync_is_one_sentence(done, monkeypatch, debug):
    def broken(*_given):
        token = "canary-3f9d1c7e55"
        raise KeyError(len(token))

    monkeypatch.setattr("crmsync.reporting.person.explain_person", broken)
    ended = crmsync("explain", "person:1", "-c", done, *debug)
    assert ended.code == 1
    assert "This is a bug in crmsync (KeyError)" in ended.err
    assert ("Traceback" in ended.err) == bool(debug)
    assert "canary" not in ended.err


def test_no_secret_in_any_output(ready):
    said = ""
    for words in (["sync"], ["check", "--online"], ["status"], ["plan", "--json"]):
        ended = crmsync(*words, "-c", ready, "--debug")
        said += ended.out + ended.err
    assert logging.getLogger().isEnabledFor(logging.DEBUG)
    assert "sandbox-token" not in said
    assert "Bearer 0" not in said


# Trying it


def test_the_demo_runs_the_whole_job(tmp_path, monkeypatch):
    monkeypatch.setenv("CRMSYNC_HUBSPOT__BASE_URL", "https://api.hubapi.com")
    folder = tmp_path / "demo"
    with time_machine.travel(time_machine.escape_hatch.datetime.datetime.now(), tick=True):  # its sandbox's time
        ended = crmsync("demo", "--people", 12, "--folder", folder, "--json")
    assert ended.code == 0
    document = ended.json
    assert document["backfill"]["verdict"] == document["second"]["verdict"] == "ok"
    assert all(each["planned"] == 0 for each in document["second"]["crms"].values())
    assert 0 < len(document["hottest"]) <= 10
    assert "CRMSYNC_HUBSPOT__BASE_URL" in document["ignored_environment"]
    for name in demo.SECRETS:
        assert stat.S_IMODE((folder / "secrets" / name).stat().st_mode) == 0o600
    assert crmsync("check", "-c", folder / "config.toml").code == 0
    following = document["next"]
    assert [each.split()[1] for each in following] == ["explain", "status", "demo"]
    assert following[2] == f"crmsync demo --people 12 --folder {folder} --keep"
    assert re.fullmatch(r"crmsync explain person:\d+ --config .*", following[0])
    assert crmsync(*following[0].split()[1:]).code == 0


def test_the_demo_leaves_other_folders_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    ended = crmsync("demo", "--people", 5, "--folder", tmp_path)
    assert ended.code == 2
    assert "choose another folder with --folder" in ended.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--latency", "soon"], "write for example 250ms"),
        (["--faults", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_the_sandbox_says_what_is_wrong(words, sentence):
    ended = crmsync("sandbox", "--people", 5, "--port", 0, *words)
    assert ended.code == 2
    assert sentence in ended.err
