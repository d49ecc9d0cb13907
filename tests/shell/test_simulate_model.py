"""What `crmsync simulate` says of another scoring model, of a file and of the state."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from crmsync.cycle import run_cycle
from crmsync.model import Opportunity, Ref
from crmsync.store.database import open_store
from crmsync.store.opportunities import save_opportunities
from crmsync.store.schema import record
from crmsync.store.sql import to_ms
from tests.conftest import NOW
from tests.support import make
from tests.support.commands import crmsync, settings_alone

MODEL = """
[[fit]]
name = "Points"
points = 1
when = { field = "size", gte = 0 }

[[fit]]
name = "Director"
points = 40
when = { field = "title", is = "Director" }

[[behavior]]
name = "Demo requested"
points = 30
on = ["form_submitted"]

[bands]
cold = {}
mql = 50

[fields]
title = { hubspot = "jobtitle" }
size = { hubspot = "numberofemployees" }

[hubspot]
"""

DAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    with settings_alone(monkeypatch, {}):
        yield


def write(folder, name, text=MODEL):
    (folder / name).write_text(f'{text}\n[state]\nurl = "sqlite:///{folder}/state.db"\n')
    return folder / name


def save_people(folder, people):
    file = folder / "people.jsonl"
    file.write_text("\n".join(json.dumps(each) for each in people) + "\n")
    return file


def arrivals():
    """28 people in 28 days, one a day: every fourth is a director with a demo (71 points), of whom every second won."""
    for day in range(28):
        at = DAY + timedelta(days=day)
        hot = day % 4 == 0
        won = hot and day % 8 == 0
        acts = [{"kind": "form_submitted", "at": (at - timedelta(hours=1)).isoformat()}] if hot else []
        yield {
            "id": f"p{day}",
            "fields": {"title": "Director" if hot or day % 2 else "Clerk", "size": 10},
            "activities": acts,
            "created_at": at.isoformat(),
            "handed_off_at": at.isoformat(),
            "outcome": "won" if won else "lost",
            "outcome_at": (at + timedelta(days=40)).isoformat(),
        }


def test_another_model_is_held_against_a_file_over_the_past(tmp_path):
    old = write(tmp_path, "old.toml")
    new = write(tmp_path, "new.toml", MODEL.replace("mql = 50", "mql = 40"))
    file = save_people(tmp_path, arrivals())
    ended = crmsync("simulate", "-c", new, "--against", old, "--input", file, "--capacity", "2", "--json")
    assert ended.code == 0, ended.err
    said = ended.json
    assert (said["people"], said["weeks"], said["population"], said["against_is"]) == (28, 4, "past", "file")
    assert said["matrix"] == {"cold": {"cold": 7, "mql": 14}, "mql": {"cold": 0, "mql": 7}}
    assert sum(many for row in said["matrix"].values() for many in row.values()) == 28
    over = said["over_line"]
    assert [(over[it]["people"], over[it]["per_week"], over[it]["won"], over[it]["lost"]) for it in ("old", "new")] == [
        (7, 1.75, 4, 3), (21, 5.25, 4, 17),
    ]  # fmt: skip
    line = said["line"]
    assert (line["points"], line["people"], line["per_week"], line["over_by"]) == (42, 7, 1.75, 3.25)
    assert line["said"].startswith("2 a week: set it at 42, expected conversion 57 %.")
    assert said["said"] == (
        "14 people would be in another band, of 28 people, each as known when they were judged; "
        "over the line 7 (accepted: not known) → 21 (accepted: not known)."
    )
    counts = [each["people"] for each in said["curve"]]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("--capacity", "inf", "less than or equal to 1000000000"),
        ("--fail-if", "owners > 3", "there is no 'owners'; the names are cold, mql, people"),
        ("--fail-if", "mql", '"mql > +20%", with >, <, >= or <=; the names are cold, mql, people'),
    ],
)
def test_what_a_simulation_cannot_use_is_answered_with_what_it_can(tmp_path, option, given, said):
    ended = crmsync(
        "simulate", "-c", write(tmp_path, "c.toml"), "--input", save_people(tmp_path, arrivals()), option, given
    )
    assert ended.code == 2
    assert said in " ".join(ended.err.split())


def test_a_file_without_another_config_is_held_against_itself(tmp_path):
    file = save_people(tmp_path, arrivals())
    ended = crmsync("simulate", "-c", write(tmp_path, "crmsync.toml"), "--input", file, "--json")
    said = ended.json
    assert said["against_is"] == "itself"
    assert said["matrix"] == {"cold": {"cold": 21, "mql": 0}, "mql": {"cold": 0, "mql": 7}}
    assert said["said"].startswith("The config is held against itself, so that nobody changes")
    assert said["curve"]


def test_a_terminal_gets_what_changes_first_and_80_columns(tmp_path):
    old = write(tmp_path, "old.toml")
    new = write(tmp_path, "new.toml", MODEL.replace("mql = 50", "mql = 40"))
    ended = crmsync("simulate", "-c", new, "--against", old, "--input", save_people(tmp_path, arrivals()))
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[0].startswith("14 people would be in another band")
    tables = [line for line in ended.out.splitlines() if not line.endswith(".") and " and above: " not in line]
    assert max(map(len, (line.rstrip() for line in tables))) <= 80


def test_lines_with_mistakes_are_told_and_the_others_count(tmp_path):
    file = save_people(tmp_path, list(arrivals())[:8])
    file.write_text(file.read_text() + '{"fields": 3}\n')
    ended = crmsync("simulate", "-c", write(tmp_path, "crmsync.toml"), "--input", file, "--json")
    assert ended.code == 4
    assert ended.json["people"] == 8
    assert "line 9" in ended.json["problems"][0]


def test_a_pipeline_stops_where_too_many_more_are_over_the_line(tmp_path):
    old = write(tmp_path, "old.toml")
    new = write(tmp_path, "new.toml", MODEL.replace("mql = 50", "mql = 40"))
    file = save_people(tmp_path, arrivals())
    words = ("simulate", "-c", new, "--against", old, "--input", file, "--json", "--fail-if")
    ended = crmsync(*words, "mql > +20%")
    assert ended.code == 1
    assert ended.json["gates"] == [
        {
            "gate": "mql > +20%",
            "failed": True,
            "said": "--fail-if 'mql > +20%': mql would have 21 people instead of 7 (+14, +200.0%)",
        }
    ]
    assert crmsync(*words, "mql > 21").code == 0
    assert crmsync(*words, "changes > 21").code == 2


def test_the_curve_is_a_csv_file(tmp_path):
    file, to = save_people(tmp_path, arrivals()), tmp_path / "curve.csv"
    assert crmsync("simulate", "-c", write(tmp_path, "crmsync.toml"), "--input", file, "--csv", to).code == 0
    lines = to.read_text().splitlines()
    assert lines[0] == "points,people,per_week,per_rep,won,lost,conversion,accepted,settled,acceptance"
    assert len(lines) == 102


@pytest.fixture
def path(tmp_path, state_url):
    made = tmp_path / "crmsync.toml"
    made.write_text(f'{make.MODEL}\n[hubspot]\n[state]\nurl = "{state_url}"\n')
    return made


@pytest.fixture
def filled(path, state_url):
    """Twelve people of whom six are hot, who all came today."""
    store = open_store(state_url)
    hubspot = make.crm("hubspot")
    for number in range(1, 13):
        hot = {"title": "VP Sales", "employees": 900} if number % 2 else {}
        one = make.contact(number, fields=hot, created_at=NOW - timedelta(days=number))
        hubspot.edit(one)
        if number % 2:
            hubspot.happen(make.activity(number, one))
    run_cycle(make.work(store, hubspot, now=NOW), approved=True)
    yield store
    store.close()


def test_the_state_is_held_against_the_model_in_use(path, filled, tmp_path):
    same = crmsync("simulate", "-c", path, "--json").json
    assert (same["against_is"], same["population"], same["people"]) == ("in_use", "now", 12)
    assert (same["higher"], same["lower"]) == (0, 0)
    edited = tmp_path / "edited.toml"
    edited.write_text(path.read_text().replace("points = 30", "points = 1"))
    ended = crmsync("simulate", "-c", edited, "--capacity", "0", "--json")
    assert ended.code == 0, ended.out
    said = ended.json
    assert said["model"] != said["against"]
    assert said["lower"] == 6
    assert sum(many for row in said["matrix"].values() for many in row.values()) == 12
    assert said["over_line"]["old"]["per_week"] == pytest.approx(6 / 13)
    assert said["over_line"]["new"]["accepted"] is None
    assert any("[outcome]" in note for note in said["notes"])


def test_without_a_state_it_says_what_to_do(tmp_path):
    ended = crmsync("simulate", "-c", write(tmp_path, "crmsync.toml"), "--json")
    assert ended.code == 2
    assert "give --input FILE" in ended.json["problems"][0]


def test_with_outcomes_the_state_is_simulated_over_the_past_and_as_it_is_now(path, filled, tmp_path):
    with filled.begin() as tx:
        tx.execute(
            update(record).values(created_at=to_ms(NOW - timedelta(days=300)), seen_at=to_ms(NOW - timedelta(days=300)))
        )
        won = [Ref("hubspot", "contact", str(number)) for number in (1, 3)]
        lost = [Ref("hubspot", "contact", "5")]
        save_opportunities(
            tx,
            [
                Opportunity(
                    Ref("hubspot", "deal", ref.id),
                    NOW,
                    state,
                    NOW - timedelta(hours=12),
                    NOW - timedelta(hours=1),
                    (ref,),
                )
                for refs, state in ((won, "won"), (lost, "lost"))
                for ref in refs
            ],
        )
    edited = tmp_path / "edited.toml"
    edited.write_text(path.read_text().replace("mql = 50", "mql = 90") + "\n[outcome]\n")
    ended = crmsync("simulate", "-c", edited, "--capacity", "1", "--json")
    assert ended.code == 0, ended.out
    said = ended.json
    assert said["population"] == "past"
    assert sum(many for row in said["matrix"].values() for many in row.values()) == said["people"] == 12
    now = said["now"]
    assert now["people"] == 12
    assert now["matrix"]["mql"]["mql"] == 0
    assert now["lower"] == now["over_line"]["old"]["people"] == 6
    old = said["over_line"]["old"]
    assert (old["won"], old["lost"], old["accepted"]) == (2, 1, 3)
    shown = crmsync("simulate", "-c", edited).out
    assert "People as known now (12):" in shown


def test_outcomes_that_are_not_read_yet_leave_the_present(path, filled):
    path.write_text(path.read_text() + "\n[outcome]\n")
    ended = crmsync("simulate", "-c", path, "--json")
    assert ended.code == 0, ended.out
    assert ended.json["population"] == "now"
    assert any(note.startswith("Of the past nothing can be said") for note in ended.json["notes"])
    assert crmsync("simulate", "-c", path, "--since", "2026-11-02", "--until", "2026-11-01").code == 2
