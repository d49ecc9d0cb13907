"""Undo as an admin meets it on a terminal: it shows what would be restored, and asks."""

import pytest

from connectors.sandbox.faults import Fault
from crmsync.attempt import open_run
from crmsync.errors import Cancelled
from crmsync.result import Result
from crmsync.store import run_journal
from crmsync.store.undone import UNDO
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import SECRETS, write_config

STDIN = "typer.testing._NamedTextIOWrapper.isatty"


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    with settings_alone(monkeypatch, SECRETS):
        yield


@pytest.fixture
def path(small_sandbox, tmp_path):
    made = write_config(tmp_path, small_sandbox.url)
    assert crmsync("setup", "-c", made).code == 0
    return made


def scores(sandbox):
    return [each.get("crmsync_score") for each in sandbox.snapshot("hubspot")["contacts"].values()]


def test_on_a_terminal_it_shows_what_would_be_restored_and_asks(path, small_sandbox, monkeypatch):
    assert crmsync("backfill", "--yes", "-c", path).code == 0
    run = crmsync("show", "latest", "--json", "-c", path).json["run"]
    contact = next(iter(small_sandbox.snapshot("hubspot")["contacts"]))
    small_sandbox.do("hubspot", "update", id=contact, properties={"crmsync_score": "999"})
    was = scores(small_sandbox)
    asked = []
    monkeypatch.setattr(STDIN, lambda self: self.name == "<stdin>")
    monkeypatch.setattr("crmsync.cli.runs.says_yes", lambda question: asked.append(question))
    calls = len(small_sandbox.calls.writes())
    ended = crmsync("undo", run, "-c", path)
    assert (ended.code, asked) == (3, [f"Undo run {run}?"])
    assert ended.out.count("Would be restored") == 1
    assert "Would be left as it is" in ended.out
    assert "why: changed since by somebody" in ended.out
    assert ended.out.rstrip().endswith("Nothing was written.")
    assert scores(small_sandbox) == was
    assert not [each for each in small_sandbox.calls.writes()[calls:] if "batch/update" in each.path]
    monkeypatch.setattr("crmsync.cli.runs.says_yes", lambda question: True)
    assert crmsync("undo", run, "-c", path).code == 4
    assert crmsync("undo", run, "-c", path).code == 0
    assert crmsync("undo", run, "--yes", "-c", path).code == 0
    assert [each for each in scores(small_sandbox) if each] == ["999"]
    ended = crmsync("status", "-c", path)
    assert "undo" in ended.out
    waits = crmsync("sync", "-c", path)
    assert waits.code == 3
    assert "was undone" in waits.out
    assert "undone, held for approval" in waits.out
    report = crmsync("apply", "--json", "-c", path).json["held"]["changes"]["report"]
    bands = {each["name"]: (each["before"], each["after"]) for each in report["bands"]}
    scored = report["people"]["scored"]
    assert bands.pop(None) == (scored, 0)
    assert {before for before, _after in bands.values()} == {0}
    assert sum(after for _before, after in bands.values()) == scored
    looked = crmsync("plan", "-c", path)
    assert "the CRMs already hold the right values" not in looked.out
    assert f"crmsync status --config {path}" in looked.out


def test_before_the_first_run_there_is_nothing_to_undo(path):
    ended = crmsync("undo", "latest", "--json", "-c", path)
    assert (ended.code, ended.json["next"]) == (2, f"crmsync plan --config {path}")


def test_a_crm_that_is_down_is_not_done_the_second_time_either(path, small_sandbox, monkeypatch):
    assert crmsync("backfill", "--yes", "-c", path).code == 0
    run = crmsync("show", "latest", "--json", "-c", path).json["run"]
    small_sandbox.faults.add(Fault(do="answer", vendor="hubspot", status=401))
    codes = [crmsync("undo", run, "--json", "-c", path).code for _time in range(2)]
    monkeypatch.setattr(STDIN, lambda self: self.name == "<stdin>")
    shown = crmsync("undo", run, "-c", path)
    assert (codes, shown.code) == ([4, 4], 4)
    assert f"Nothing of run {run} would be restored." in shown.out
    small_sandbox.faults.clear()
    assert crmsync("undo", run, "--json", "-c", path).code == 0
    assert crmsync("undo", run, "--json", "-c", path).code == 0


def test_what_an_undo_left_that_was_cut_off_is_still_to_be_told(path, small_sandbox, monkeypatch):
    assert crmsync("backfill", "--yes", "-c", path).code == 0
    run = crmsync("show", "latest", "--json", "-c", path).json["run"]
    for contact in small_sandbox.snapshot("hubspot")["contacts"]:
        small_sandbox.do("hubspot", "update", id=contact, properties={"crmsync_score": "999"})
    with monkeypatch.context() as patched:
        patched.setattr("crmsync.cli.runs.undo_run", cut_off)
        assert crmsync("undo", run, "--json", "-c", path).code == 1
    assert crmsync("undo", run, "--json", "-c", path).code == 4


def cut_off(work, run_id):
    """An undo that ends where it has begun."""
    open_run(work, Result("20261128-120000-dead"), UNDO)
    with work.store.begin() as writing:
        run_journal.rewrite_plan(writing, "20261128-120000-dead", {"undoes": run_id, "left": []})
    raise Cancelled
