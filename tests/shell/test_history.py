"""What a person's score, stage and owner were over time, and who else changed them, as an admin meets it."""

from contextlib import closing
from datetime import timedelta

import pytest

from crmsync.config import load
from crmsync.cycle import run_cycle
from crmsync.model import Ref
from crmsync.store import run_journal
from crmsync.store.database import open_store
from tests.core.test_give_back import too_late
from tests.support.commands import crmsync, settings_alone, write_model
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, hot, two_crms
from tests.support.make import activity, contact, crm, work


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    with settings_alone(monkeypatch, {}):
        yield


@pytest.fixture
def path(tmp_path):
    return write_model(tmp_path, NEVER_FADES)


@pytest.fixture
def state(path):
    with closing(open_store(f"sqlite:///{path.parent}/state.db")) as made:
        yield made


def go(path, state, *crms, at=DAYS[0]):
    return run_cycle(work(state, *crms, now=at, settings=load(path)))


def told(path, who="ada@x.example"):
    """The history, the oldest row first."""
    ended = crmsync("history", who, "--json", "-c", path)
    assert ended.code == 0, ended.out
    rows = ended.json["history"]
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    return rows[::-1], ended.json


def brief(rows):
    return [(row["by"], row["score"], row["stage"], row["owner"]) for row in rows]


def test_what_a_run_wrote_has_the_run_the_model_and_why(path, state):
    ran = go(path, state, hot())
    (row,), document = told(path)
    assert row["at"] == DAYS[0].isoformat()
    assert (row["run"], row["model"], row["by"]) == (ran.run, load(path).model_hash(), "crmsync")
    assert (row["score"], row["band"], row["stage"], row["owner"]) == (65, "mql", "mql", "ann@acme.example")
    assert row["why"].startswith("mql, 65 points: Demo requested +30")
    assert "owner: round robin in pool sales" in row["why"]
    assert (row["changed"], row["records"]) == (["score", "band", "stage", "owner"], ["hubspot:contact:1"])
    assert document["notes"] == []


def test_what_a_user_changed_is_theirs_and_when_it_was_noticed(path, state):
    hubspot = hot()
    go(path, state, hubspot)
    edit(hubspot, ADA, stage="sql", owner="hubspot-bob")
    go(path, state, hubspot, at=DAYS[1])
    hubspot.happen(activity("more", hubspot.records[ADA], kind="page_viewed", url="https://x.example/pricing"))
    go(path, state, hubspot, at=DAYS[2])
    edit(hubspot, ADA, owner=None)
    go(path, state, hubspot, at=DAYS[3])
    rows, _ = told(path)
    assert brief(rows) == [
        ("crmsync", 65, "mql", "ann@acme.example"),
        ("user", 65, "sql", "Bob@acme.example"),
        ("crmsync", 80, "sql", "Bob@acme.example"),
        ("user", 80, "sql", None),
    ]
    assert [row["changed"] for row in rows] == [
        ["score", "band", "stage", "owner"], ["stage", "owner"], ["score"], ["owner"],
    ]  # fmt: skip
    assert rows[1]["at"] == DAYS[1].isoformat()
    assert (rows[1]["run"], rows[1]["model"]) == (None, None)


def test_a_score_that_somebody_else_changed_and_that_was_written_again(path, state):
    hubspot = hot()
    go(path, state, hubspot)
    edit(hubspot, ADA, current={**hubspot.records[ADA].current, "score": 0})
    go(path, state, hubspot, at=DAYS[1])
    rows, _ = told(path)
    assert [(row["by"], row["score"]) for row in rows] == [("crmsync", 65), ("user", 0), ("crmsync", 65)]


def test_what_was_given_back_to_a_user_is_theirs(path, state):
    hubspot = hot()
    too_late(hubspot, owner="hubspot-bob")
    go(path, state, hubspot)
    rows, _ = told(path)
    assert sorted(brief(rows)) == sorted(
        [("user", None, "lead", "Bob@acme.example"), ("crmsync", 65, "mql", "Bob@acme.example")]
    )


def test_records_that_changed_alike_are_one_row_and_others_their_own(path, state):
    hubspot, salesforce = two_crms()
    go(path, state, hubspot, salesforce)
    rows, _ = told(path)
    (row,) = rows
    assert row["records"] == ["hubspot:contact:1", "salesforce:lead:00Q1"]
    edit(salesforce, Ref("salesforce", "lead", "00Q1"), owner="salesforce-bob")
    go(path, state, hubspot, salesforce, at=DAYS[1])
    rows, _ = told(path)
    assert [(row["by"], row["records"]) for row in rows[1:]] == [("user", ["salesforce:lead:00Q1"])]


def test_the_first_sight_of_a_record_is_nobodys_change(path, state):
    hubspot = crm("hubspot")
    hubspot.edit(contact(1, emails=("ada@x.example",), stage="sql", owner="hubspot-bob"))
    go(path, state, hubspot)
    rows, _ = told(path)
    assert [row["by"] for row in rows] == ["crmsync"]
    assert (rows[0]["changed"], rows[0]["owner"]) == (["score", "band"], None)


def test_another_mapping_of_stages_is_nobodys_change(path, state):
    hubspot = hot()
    go(path, state, hubspot)
    path.write_text(path.read_text().replace('name = "mql"', 'name = "qualified"'))
    edit(hubspot, ADA, stage="qualified")
    go(path, state, hubspot, at=DAYS[1])
    assert [row["by"] for row in told(path)[0]] == ["crmsync"]


def test_what_was_pruned_is_said_and_a_hand_off_still_tells_what_it_knows(path, state):
    hubspot = hot()
    old = go(path, state, hubspot)
    for number in range(3):
        hubspot.happen(
            activity(f"v{number}", hubspot.records[ADA], kind="page_viewed", url="https://x.example/pricing")
        )
        go(path, state, hubspot, at=DAYS[10 + number])
    with state.begin() as tx:
        now = int(DAYS[13].timestamp() * 1000)
        run_journal.prune_runs(tx, now - int(timedelta(days=5).total_seconds() * 1000), now)
    rows, document = told(path)
    assert (rows[0]["run"], rows[0]["owner"], rows[0]["score"]) == (old.run, "ann@acme.example", 65)
    assert rows[1]["score"] == 80
    assert "What was before 2026-12-01 is not known any more" in document["notes"][0]
    assert "([state] keep)" in document["notes"][0]


def test_the_history_in_words(path, state):
    hubspot = hot()
    edit(hubspot, ADA, name="Ada Ng")
    ran = go(path, state, hubspot)
    edit(hubspot, ADA, owner=None)
    go(path, state, hubspot, at=DAYS[1])
    ended = crmsync("history", "Ada Ng", "-c", path)
    assert ended.code == 0
    assert ended.out.startswith("Ada Ng <ada@x.example>")
    assert f"2026-11-21 12:00 UTC, run {ran.run}" in ended.out
    assert "  score 65, band mql, stage mql, owner ann@acme.example" in ended.out
    assert "2026-11-22 12:00 UTC, changed by a user\n  owner unassigned" in ended.out
    assert "hubspot-ann" not in ended.out


def test_records_that_a_run_changed_differently_are_told_apart_by_their_names(path, state):
    hubspot, salesforce = two_crms()
    edit(salesforce, Ref("salesforce", "lead", "00Q1"), owner="salesforce-ann")
    ran = go(path, state, hubspot, salesforce)
    told = crmsync("history", "ada@x.example", "-c", path).out
    assert f"run {ran.run}, hubspot contact 1\n" in told
    assert f"run {ran.run}, salesforce lead 00Q1\n" in told


def test_nobody_has_no_history(path, state):
    go(path, state, hot())
    ended = crmsync("history", "ghost@x.example", "-c", path, "--json")
    assert (ended.code, ended.json["error"]) == (2, "config")


def test_before_the_first_run_there_is_no_history(path):
    ended = crmsync("history", "ada@x.example", "-c", path, "--json")
    assert (ended.code, ended.json["next"]) == (2, f"crmsync plan --config {path}")
