"""Undo against both sandbox CRMs: by the connectors over HTTP, by the shipped command, beside a daemon, killed."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from connectors.sandbox.server import Clock
from crmsync.reporting.status import status_document
from crmsync.reporting.undone import undo_document
from crmsync.store.changes import list_changes
from crmsync.undo import undo_run
from crmsync.work import Work
from tests.core.test_kill import around, end_state
from tests.support.commands import crmsync_in
from tests.support.demo import write_config

ROOT = Path(__file__).parents[2]
FORWARD = "hubspot moves stages only forward (see [hubspot] backward_stages)"


def written(sandbox):
    """What both CRMs hold of what crmsync may write; an empty value is none."""
    return {
        key: {name: str(value) for name, value in record.items() if value not in (None, "")}
        for key, record in end_state(sandbox).items()
    }


def undo(runs, run_id):
    made = {crm: runs.connect(crm) for crm in ("hubspot", "salesforce")}
    runs.sandbox.clock.advance(60)
    ended = undo_run(Work(runs.config, runs.state, made, runs.sandbox.clock()), run_id)
    for each in made.values():
        each.close()
    return undo_document(runs.state, ended.run)


def moved_back(before, after):
    return [
        key
        for key in before
        if before[key].get("lifecyclestage") and before[key]["lifecyclestage"] != after[key]["lifecyclestage"]
    ]


def test_what_a_run_wrote_to_both_crms_is_put_back_but_stages_that_hubspot_only_moves_forward(runs, sandbox):
    before = written(sandbox)
    ran = runs.run("hubspot", "salesforce")
    assert written(sandbox) != before
    done = undo(runs, ran.run)
    after = written(sandbox)
    left = {(each["record"], each["field"]): each["reason"] for each in done["left"]}
    assert {field for _record, field in left} == {"stage"}
    assert set(left.values()) == {FORWARD}
    assert len(left) == len(moved_back(before, after))
    stage = status_document(runs.config, runs.state, sandbox.clock())["qualified"][0]
    assert (stage["field"], stage["entered"] - stage["left"]) == ("stage", len(left))
    for key, record in before.items():
        mine = {name: value for name, value in record.items() if name != "lifecyclestage"}
        assert {name: value for name, value in after[key].items() if name != "lifecyclestage"} == mine
    again = undo(runs, ran.run)
    assert again["restored"] == []
    assert len(again["left"]) == len(left)
    held = runs.run("hubspot", "salesforce")
    assert (held.verdict, held.held.kind) == ("held", "undo")
    assert sum(each.planned for each in held.crms.values()) == 0
    assert written(sandbox) == after


def test_with_backward_stages_everything_is_put_back(runs, sandbox):
    runs.config = runs.config.model_copy(
        update={"hubspot": runs.config.hubspot.model_copy(update={"backward_stages": True})}
    )
    before = written(sandbox)
    ran = runs.run("hubspot", "salesforce")
    done = undo(runs, ran.run)
    assert (done["left"], done["verdict"]) == ([], "ok")
    assert written(sandbox) == before
    again = undo(runs, ran.run)
    assert (again["restored"], again["left"]) == ([], [])


def test_what_a_person_edited_in_between_stays_in_both_crms(runs, sandbox):
    ran = runs.run("hubspot", "salesforce")
    with runs.state.read() as reading:
        found = [each.change.ref for each in list_changes(reading, ran.run) if "score" in each.taken]
    contact = next(ref for ref in found if ref.crm == "hubspot")
    lead = next(ref for ref in found if ref.kind == "lead")
    runs.do("hubspot", "update", id=contact.id, properties={"crmsync_score": "1"})
    runs.do("salesforce", "update", id=lead.id, fields={"Crmsync_Score__c": 2, "Status": "Closed - Not Converted"})
    done = undo(runs, ran.run)
    left = {(each["record"], each["field"]): each["reason"] for each in done["left"]}
    assert left[str(contact), "score"] == left[str(lead), "score"] == "changed since by somebody"
    assert sandbox.snapshot("hubspot")["contacts"][contact.id]["crmsync_score"] == "1"
    row = sandbox.snapshot("salesforce")["Lead"][lead.id]
    assert (row["Crmsync_Score__c"], row["Status"]) == (2, "Closed - Not Converted")
    assert not row.get("Crmsync_Band__c")


# The shipped command


@pytest.fixture
def folder(sandbox, tmp_path):
    sandbox.clock = Clock()  # a command goes by this machine's
    sales = [rep.email for rep in sandbox.world.reps if rep.active]
    write_config(tmp_path, sandbox.url, sales, {"backward_stages = false": "backward_stages = true "})
    assert crmsync(tmp_path, "setup").code == 0
    return tmp_path


def crmsync(folder, *words, **env):
    return crmsync_in(folder, CRMSYNC_STATE__LEASE="1s", **env)(*words)


@pytest.fixture
def state_env(request, folder):
    """The environment of a worker whose state is on a database."""

    def of(kind):
        url = f"sqlite:///{folder}/crmsync.db" if kind == "sqlite" else request.getfixturevalue("new_database")
        return {"CRMSYNC_STATE__URL": url}

    return of


@pytest.mark.parametrize(
    ("step", "kind"), [("plan_stored:1", "sqlite"), ("batch_written:1", "sqlite"), ("request:20", "postgresql")]
)
def test_killed_amid_an_undo_and_undone_again_the_end_is_the_same(sandbox, folder, state_env, step, kind):
    env = state_env(kind)
    before = written(sandbox)
    ran = crmsync(folder, "backfill", "--yes", "--json", **env)
    assert ran.code == 0, ran.err
    run = ran.json["run"]
    command = [sys.executable, "-m", "crmsync", "undo", run, "--json"]
    around_it = around({"PYTHONPATH": str(ROOT), "CRMSYNC_FAILPOINT": f"{step}:kill", **env})
    killed = subprocess.run(command, cwd=folder, env=around_it, check=False, capture_output=True, timeout=100)
    assert killed.returncode == -signal.SIGKILL
    # A run in between writes nothing of it again.
    between = crmsync(folder, "sync", "--json", **env)
    assert sum(each["planned"] for each in between.json["crms"].values()) == 0
    done = crmsync(folder, "undo", run, "--json", **env)
    assert (done.code, done.json["left"]) == (0, []), done.out
    assert written(sandbox) == before
    again = crmsync(folder, "undo", run, "--json", **env)
    assert (again.code, again.json["restored"], again.json["left"]) == (0, [], [])
    held = crmsync(folder, "sync", "--json", **env)
    assert (held.code, held.json["held"]["kind"]) == (3, "undo")
    assert written(sandbox) == before


def test_beside_a_daemon_it_is_taken_up_at_once_and_what_was_undone_waits(sandbox, folder):
    before = written(sandbox)
    command = [sys.executable, "-m", "crmsync", "run"]
    env = around({"PYTHONPATH": str(ROOT)})
    with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as daemon:
        given_up = threading.Timer(100, daemon.kill)
        given_up.start()
        try:
            for line in daemon.stderr:
                if "run_done" in line:
                    break
            threading.Thread(target=daemon.stderr.read, daemon=True).start()
            run = crmsync(folder, "show", "latest", "--json").json["run"]
            assert written(sandbox) != before
            done = crmsync(folder, "undo", run, "--json")
            assert (done.code, done.json["left"]) == (0, []), done.out
            assert done.json["restored"]
            assert written(sandbox) == before
            for _ in range(100):
                (waiting,) = crmsync(folder, "status", "--json").json["waiting"] or [None]
                if waiting:
                    break
            assert waiting["kind"] == "undo"
            applied = crmsync(folder, "apply", waiting["run"], "--json")
            assert applied.code == 0, applied.out
            assert written(sandbox) != before
        finally:
            given_up.cancel()
            daemon.kill()


def test_where_a_person_was_faster_the_exit_code_is_4_and_the_command_says_whom(sandbox, folder):
    run = crmsync(folder, "backfill", "--yes", "--json").json["run"]
    shown = crmsync(folder, "show", run, "--json").json["changes"]
    row = next(each for each in shown if each["field"] == "score" and each["record"].startswith("hubspot:"))
    sandbox.do("hubspot", "update", id=row["record"].split(":")[2], properties={"crmsync_score": "1"})
    ended = crmsync(folder, "undo", run, "--yes")
    assert ended.code == 4
    assert "Left as it is: 1 value of 1 record" in ended.out
    assert "why: changed since by somebody" in ended.out
    assert f"Run {run} was undone by run" in ended.out
    assert "  band: cold → (empty)" in ended.out
    undone = crmsync(folder, "status", "--json").json["runs"][0]
    assert (undone["command"], undone["verdict"]) == ("undo", "partial")
    seen = crmsync(folder, "show", undone["run"], "--json").json
    assert (seen["command"], seen["undoes"]) == ("undo", run)


def test_what_cannot_be_undone_is_said(folder):
    early = crmsync(folder, "undo", "20260101-000000-abcd", "--json")
    assert (early.code, early.json["next"]) == (2, "crmsync plan")
    plan = crmsync(folder, "plan", "--json").json["run"]
    assert "a plan has written nothing" in crmsync(folder, "undo", plan, "--json").json["problems"][0]
    ghost = crmsync(folder, "undo", "ghost", "--json")
    assert (ghost.code, ghost.json["next"]) == (2, "crmsync status --runs 50")
