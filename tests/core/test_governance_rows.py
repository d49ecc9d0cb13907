"""Who changed the model, why, and what came of it: row by row, through whole runs."""

import json
import subprocess
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import insert, select

from crmsync.alerting.conditions import Facts, find_conditions
from crmsync.cli.git_log import FileCommit, note_file_commit, parse_git_log, read_file_commit
from crmsync.config.load import load
from crmsync.errors import StateError
from crmsync.model import Opportunity, Ref
from crmsync.reporting.alerts import _find_loosened
from crmsync.reporting.documents import check_document
from crmsync.reporting.print_status import print_status
from crmsync.reporting.status import status_document
from crmsync.store import run_journal, schema
from crmsync.store.database import open_store
from crmsync.store.opportunities import save_opportunities
from crmsync.store.sql import to_ms
from crmsync.store.versions import list_model_versions, note_version, read_line_entries
from tests.conftest import NOW
from tests.shell.test_console import printed
from tests.support import make
from tests.support.commands import crmsync, settings_alone
from tests.support.cycles import DAYS, NEVER_FADES, hot, run

LINE = "mql = 50"


def adopt(state, text, at, **tables):
    """A config that a run adopted at an instant."""
    config = make.config(text, **tables)
    with state.begin() as tx:
        run_journal.keep_text(tx, config.decision_hash(), config.decision_text(), to_ms(at))
        run_journal.adopt_config(tx, config.decision_hash(), ["hubspot"], ["hubspot"], to_ms(at))
    return config


def enter_line(state, at, people, accepted, first):
    """So many people who came over the line from an instant on, in ten days, and how many were accepted at once."""
    step = timedelta(days=10) / people
    rows = []
    for number in range(people):
        entry = {
            "person": first + number, "run": "r", "at": to_ms(at + number * step), "stage": "", "band": "mql",
            "total": 6000, "fit": 0, "behavior": 6000, "ledger": b"", "model": "m", "owner": "",
        }  # fmt: skip
        rows.append(entry)
        if number < accepted:
            rows.append({**entry, "at": entry["at"] + 1000, "stage": "sql"})
    with state.begin() as tx:
        tx.execute(insert(schema.stage_entry), rows)


def status(state, config, at):
    said = status_document(config, state, at)
    check_document("status", json.loads(json.dumps(said)))
    return said


CHANGED = datetime(2026, 9, 25, 9, tzinfo=UTC)
LATER = CHANGED + timedelta(days=10, hours=1)


@pytest.fixture
def loosened(state):
    """The line went from 50 to 40 on 25 September, and more people came over it, of whom fewer were accepted."""
    tables = {"outcome": {"accepted": ["sql"]}}
    adopt(state, make.MODEL, CHANGED - timedelta(days=60), **tables)
    config = adopt(state, make.MODEL.replace(LINE, "mql = 40"), CHANGED, **tables)
    with state.begin() as tx:
        latest = list_model_versions(tx, 1)[0]
        note_version(tx, latest.id, to_ms(CHANGED), {"author": "Dana Example", "reason": "more pipeline"})
    enter_line(state, CHANGED - timedelta(days=10), 100, 40, 1)
    enter_line(state, CHANGED, 130, 31, 1001)
    return config


def test_S3_14_a_line_lowered_near_the_quarters_end_alerts_with_author_date_and_what_came_of_it(state, loosened):
    (said,) = status(state, loosened, LATER)["models"]["loosened"]
    assert said["changes"] == ["mql: at 50 → 40"]
    assert (said["author"], said["quarter_end"], said["days"]) == ("Dana Example", "2026-09-30", 10)
    assert (said["mql_before"], said["mql_after"]) == (100, 130)
    assert (said["accepted_before"], said["accepted_after"]) == (0.4, pytest.approx(31 / 130))
    sentence = (
        "mql: at 50 → 40 on 25 September 2026 by Dana Example, 5 days before the end of the quarter. "
        "New in mql or above in the 10 days before and after: 100 (40 % accepted) → 130 (24 % accepted), +30 %."
    )
    assert said["said"] == sentence
    with state.read() as reading:
        found = _find_loosened(loosened, reading, LATER)
    (alert,) = find_conditions(Facts(["hubspot"], loosened=found))
    assert alert.key == f"loosened:{loosened.decision_hash()}:{to_ms(CHANGED)}"
    assert alert.sentence == sentence
    assert "Dana" not in alert.title + alert.key


def test_S3_14_a_tightening_alerts_nobody(state):
    adopt(state, make.MODEL.replace(LINE, "mql = 40"), CHANGED - timedelta(days=60))
    config = adopt(state, make.MODEL, CHANGED)
    assert status(state, config, LATER)["models"]["loosened"] == []


@pytest.mark.parametrize(
    ("review", "many"),
    [
        ({}, 1),
        ({"quarter_end": "0d"}, 0),
        ({"quarter_end": "5d"}, 0),
        ({"quarter_end": "6d"}, 1),
        ({"fiscal_year": "02"}, 0),
        ({"fiscal_year": "04"}, 1),
    ],
)
def test_c12_the_calendar_is_that_of_the_config(state, loosened, review, many):
    config = make.config(make.MODEL.replace(LINE, "mql = 40"), review=review)
    assert len(status(state, config, LATER)["models"]["loosened"]) == many


def test_c12_the_alarm_ends_four_weeks_after_the_quarter(state, loosened):
    end = datetime(2026, 10, 28, 23, tzinfo=UTC)
    assert len(status(state, loosened, end)["models"]["loosened"]) == 1
    assert status(state, loosened, end + timedelta(days=1))["models"]["loosened"] == []


def test_without_outcomes_nobody_says_how_many_were_accepted(state, loosened):
    config = make.config(make.MODEL.replace(LINE, "mql = 40"))
    (said,) = status(state, config, LATER)["models"]["loosened"]
    assert (said["mql_before"], said["accepted_before"]) == (100, None)
    assert "100 (accepted: not known) → 130 (accepted: not known)" in said["said"]


def test_going_back_and_loosening_again_alerts_again(state, loosened):
    tight = adopt(state, make.MODEL, CHANGED + timedelta(days=2), outcome={"accepted": ["sql"]})
    assert tight.decision_hash() != loosened.decision_hash()
    adopt(state, make.MODEL.replace(LINE, "mql = 40"), CHANGED + timedelta(days=3), outcome={"accepted": ["sql"]})
    assert len(status(state, loosened, LATER)["models"]["loosened"]) == 2


def test_S4_31_each_version_has_its_config_approver_and_reason_and_runs_and_scores_name_it(state):
    first = run(state, hot(), at=DAYS[0])
    edited = NEVER_FADES.replace("points = 30", "points = 29")
    config = make.config(edited)
    with state.begin() as tx:
        run_journal.keep_text(tx, config.decision_hash(), config.decision_text(), to_ms(DAYS[0]))
        run_journal.add_plan(
            tx,
            "P",
            run_journal.WAITING,
            (config.model_hash(), config.decision_hash()),
            to_ms(DAYS[0]),
            {"kind": "config"},
        )
        assert run_journal.approve_plan(tx, "P", to_ms(DAYS[1]), "dana")
    run(state, hot(), at=DAYS[1], model=edited, guard={"scores": 1, "bands": 1, "first_run": 100})
    with state.read() as reading:
        versions = list_model_versions(reading)
        runs = [(row.id, row.config) for row in reading.execute(select(schema.run)) if row.verdict == "ok"]
        scored = list(reading.scalars(select(schema.person.c.model)))
    assert [(each.hash, each.approver) for each in versions] == [
        (config.decision_hash(), "dana"), (make.config(NEVER_FADES).decision_hash(), ""),
    ]  # fmt: skip
    assert [config for _id, config in runs] == [each.hash for each in reversed(versions)]
    assert first.run == runs[0][0]
    assert scored == [config.model_hash()]


def test_a_version_without_a_reason_is_named_with_the_command(state):
    run(state, hot(), at=DAYS[0])
    config = make.config(NEVER_FADES)
    assert status(state, config, DAYS[0])["models"]["without_reason"] == []  # the first changed nothing
    edited = adopt(state, NEVER_FADES.replace("points = 30", "points = 29"), DAYS[1])
    said = status(state, edited, DAYS[1])
    (missing,) = said["models"]["without_reason"]
    command = f'crmsync models note {edited.decision_hash()} --reason "why"'
    assert (missing["hash"], missing["next"]) == (edited.decision_hash(), command)
    assert command in " ".join(" ".join(printed(print_status, said)).split())


def test_S2_18_and_S4_35_two_dates_are_due_and_what_is_overdue_is_printed(state):
    run(state, hot(), at=DAYS[0])
    today = datetime(2026, 11, 21, 12, tzinfo=UTC)
    config = make.config(NEVER_FADES, review={"on": date(2026, 8, 1), "rules_on": date(2026, 11, 1)})
    said = status(state, config, today)
    assert said["reviews"] == [
        {"what": "rules", "on": "2026-11-01", "due": "2026-12-02", "days": 20, "overdue": False},
        {"what": "model", "on": "2026-08-01", "due": "2026-11-01", "days": 112, "overdue": True},
    ]
    words = " ".join(" ".join(printed(print_status, said)).split())
    assert "The model was last reviewed on 2026-08-01 (112 days ago); a review was due on 2026-11-01." in words
    assert "The rules were" not in words
    late = make.config(NEVER_FADES, review={"rules_on": date(2026, 10, 20)})
    words = " ".join(" ".join(printed(print_status, status(state, late, today))).split())
    assert "The rules were last checked on 2026-10-20 (32 days ago); a check was due on 2026-11-20." in words


@pytest.mark.parametrize("value", ["1", "13", "feb"])
def test_the_month_of_a_fiscal_year_has_two_digits(value):
    with pytest.raises(ValueError, match='from "01" to "12"'):
        make.config(review={"fiscal_year": value})


def test_a_quarter_is_no_longer_than_itself():
    with pytest.raises(ValueError, match="whole days"):
        make.config(review={"quarter_end": "100d"})


# Git ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def git(folder, *words):
    who = ("-c", "user.name=Dana  Example", "-c", "user.email=dana@acme.example")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def work_tree(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "crmsync.toml").write_text("[bands]\ncold = {}\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Lower the line\n\nMore words.")
    return tmp_path


def test_the_last_commit_that_touched_the_file_says_who_and_why(work_tree):
    found = read_file_commit(work_tree / "crmsync.toml")
    assert (found.author, found.reason) == ("Dana Example", "Lower the line")
    assert len(found.commit) >= 7
    (work_tree / "other.txt").write_text("x")
    git(work_tree, "add", ".")
    git(work_tree, "commit", "-qm", "Something else")
    assert read_file_commit(work_tree / "crmsync.toml") == found


def test_an_edit_that_is_not_committed_is_nobodys(work_tree):
    (work_tree / "crmsync.toml").write_text("[bands]\ncold = {}\nmql = 3\n")
    assert read_file_commit(work_tree / "crmsync.toml") is None


def test_outside_a_work_tree_or_without_git_nobody_is_known(tmp_path, monkeypatch):
    (tmp_path / "crmsync.toml").write_text("")
    assert read_file_commit(tmp_path / "crmsync.toml") is None
    monkeypatch.setenv("PATH", "")
    assert read_file_commit(tmp_path / "crmsync.toml") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ab12\0Ann\0Raise \x1b[31mpoints\n", FileCommit("ab12", "Ann", "Raise [31mpoints")),
        ("", None),
        ("ab12\0Ann", None),
        ("\0Ann\0why", None),
    ],
)
def test_what_git_prints_is_read(text, found):
    assert parse_git_log(text) == found


# The command ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def commanded(tmp_path, state, state_url, monkeypatch):
    path = tmp_path / "crmsync.toml"
    path.write_text(f'{make.MODEL.replace(LINE, "mql = 40")}\n[hubspot]\n[state]\nurl = "{state_url}"\n')
    adopt(state, make.MODEL, NOW - timedelta(days=30))
    adopt(state, make.MODEL.replace(LINE, "mql = 40"), NOW - timedelta(days=1))
    with settings_alone(monkeypatch, {}):
        yield SimpleNamespace(path=path, hash=load(path).decision_hash())


def test_models_lists_versions_with_what_changed(commanded):
    said = crmsync("models", "-c", commanded.path, "--json").json
    latest, first = said["models"]
    assert (latest["hash"], latest["changes"], latest["loosens"]) == (
        commanded.hash, ["[bands] mql.at: 50 → 40"], ["mql: at 50 → 40"],
    )  # fmt: skip
    assert (first["first"], first["changes"]) == (True, None)
    shown = crmsync("models", "-c", commanded.path).out
    assert "Lets more people over the line: mql: at 50 → 40" in shown
    assert f"crmsync models note {commanded.hash}" in shown


def test_models_note_keeps_who_and_why(commanded):
    words = ("models", "note", commanded.hash[:6], "--reason", "Webinars  pay", "--approver", "Dana")
    said = crmsync(*words, "-c", commanded.path, "--json").json
    assert said["noted"] == commanded.hash
    assert (said["models"][0]["reason"], said["models"][0]["approver"]) == ("Webinars pay", "Dana")
    crmsync("models", "note", "--author", "Ann", "-c", commanded.path)
    latest = crmsync("models", "-c", commanded.path, "--json").json["models"][0]
    assert (latest["author"], latest["reason"]) == ("Ann", "Webinars pay")


@pytest.mark.parametrize(
    "words",
    [("models", "forget"), ("models", "note"), ("models", "--reason", "x"), ("models", "note", "zzz", "--reason", "x")],
)
def test_what_models_cannot_do_it_says(commanded, words):
    ended = crmsync(*words, "-c", commanded.path)
    assert ended.code == 2
    assert ended.err


def test_the_versions_of_an_older_state_are_those_of_its_runs(state_url, tmp_path):
    url = f"sqlite:///{tmp_path}/older.db"
    with closing(open_store(url, version="0017")) as older, older.begin() as tx:
        for name in "abc":
            run_journal.keep_text(tx, name, name, 1)
        runs = [("1", "a", "ok", 10), ("2", "b", "failed", 20), ("3", "a", "partial", 30), ("4", "b", "ok", 40)]
        runs += [("5", "a", "ok", 50), ("6", "gone", "ok", 60)]
        for run_id, config, verdict, started in runs:
            row = {"id": run_id, "command": "sync", "started": started, "model": "m", "verdict": verdict}
            tx.execute(insert(schema.run).values(**row, config=config))
        approved = {"id": "P", "command": "plan", "started": 5, "model": "m", "verdict": "approved", "config": "b"}
        tx.execute(insert(schema.run).values(**approved, approved_at=35, approved_by="dana"))
    with closing(open_store(url)) as newer, newer.read() as reading:
        found = [(each.hash, each.at, each.approver) for each in list_model_versions(reading)]
    assert found == [("a", 50, ""), ("b", 40, "dana"), ("a", 10, "")]


def test_the_last_commit_is_noted_of_the_version_that_a_run_adopted(work_tree, state, monkeypatch):
    path = work_tree / "crmsync.toml"
    path.write_text(make.MODEL)
    git(work_tree, "commit", "-qam", "A card of our own")
    config = load(path)
    with settings_alone(monkeypatch, {}):
        now = datetime.now(UTC)
        with state.begin() as tx:
            run_journal.keep_text(tx, config.decision_hash(), config.decision_text(), to_ms(now))
            run_journal.adopt_config(tx, config.decision_hash(), ["hubspot"], ["hubspot"], to_ms(now))
        note_file_commit(path, config, state)
        with state.read() as reading:
            (found,) = list_model_versions(reading)
        assert (found.author, found.reason) == ("Dana Example", "A card of our own")
        assert found.commit_id
        with state.begin() as tx:
            note_version(tx, found.id, 1, {"reason": "mine"})
        note_file_commit(path, config, state)
        with state.read() as reading:
            assert list_model_versions(reading)[0].reason == "mine"


def test_what_is_wrong_with_git_or_the_state_makes_no_run_fail(work_tree, monkeypatch):
    def fail(*_words):
        raise StateError("gone")

    note_file_commit(work_tree / "crmsync.toml", make.config(), SimpleNamespace(read=fail))


def test_an_opportunity_of_the_person_is_an_acceptance_too(state):
    run(state, hot(), at=DAYS[0])
    with state.begin() as tx:
        it = schema.record.c
        (one,) = tx.execute(select(it.crm, it.kind, it.ref_id))
        deal = Opportunity(
            Ref(one.crm, "deal", "1"), DAYS[0], "open", DAYS[0] + timedelta(hours=2), None,
            (Ref(one.crm, one.kind, one.ref_id),), pipeline="Sales",
        )  # fmt: skip
        save_opportunities(tx, [deal])
    with state.read() as reading:
        window = (to_ms(DAYS[0]) - 1, to_ms(DAYS[1]))
        found = [
            read_line_entries(reading, ["mql"], ["mql"], *window, [], each) for each in ([], [" sales"], ["Other"])
        ]
        assert read_line_entries(reading, ["mql"], [], window[1], window[1] + 1, []) == []
    entered = to_ms(DAYS[0])
    taken = to_ms(DAYS[0] + timedelta(hours=2))
    assert found == [[(entered, taken)], [(entered, taken)], [(entered, None)]]
