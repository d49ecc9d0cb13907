"""Each command that judges people tells mistakes of a file, what was not used, and notes of the state in one way."""

import json
from datetime import timedelta

import pytest

from crmsync.batch.cases_file import read_cases_file
from crmsync.batch.people_file import FileTally
from tests.conftest import NOW
from tests.support.commands import crmsync, settings_alone

MODEL = """
[outcome]

[[fit]]
name = "Director"
points = 40
when = { field = "title", is = "Director" }

[bands]
cold = 0
mql = 40

[experiment.offer]
arms = ["control", "holdout"]
start = 2026-01-01
size = 50

[fields]
title = { hubspot = "jobtitle" }

[hubspot]
"""

MISTAKEN = '{"id": "x", "outcome": "maybe", "outcome_at": "2026-01-01T00:00:00Z"}'

FROM_FILE = [["evaluate"], ["drift"], ["experiment"], ["learn"], ["simulate"], ["audit"]]
FROM_STATE = [["evaluate"], ["drift"], ["experiment"], ["learn"], ["simulate", "--against"]]


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    with settings_alone(monkeypatch, {}):
        yield


@pytest.fixture
def config(tmp_path):
    made = tmp_path / "crmsync.toml"
    made.write_text(f'{MODEL}\n[state]\nurl = "sqlite:///{tmp_path}/state.db"\n')
    return made


def lines(count=40):
    return [
        json.dumps(
            {
                "id": f"p{number}",
                "fields": {"title": "Director" if number % 2 else "Buyer", "shoe_size": 44},
                "outcome": "won" if number % 3 else "lost",
                "outcome_at": (NOW - timedelta(days=number + 1)).isoformat(),
            }
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("words", FROM_FILE, ids=" ".join)
def test_mistakes_of_lines_and_what_was_not_used(config, tmp_path, words):
    file = tmp_path / "people.jsonl"
    file.write_text("\n".join([*lines(), MISTAKEN]))
    told = crmsync(*words, "--config", config, "--input", file)
    assert told.code == 4
    assert "line 41: " in told.err
    assert "'shoe_size', so it is ignored" in " ".join(told.err.split())
    ended = crmsync(*words, "--config", config, "--input", file, "--json")
    assert (ended.code, ended.err) == (4, "")
    assert ["line 41: " in each for each in ended.json["problems"]] == [True]
    assert any("shoe_size" in each for each in ended.json["warnings"])


@pytest.mark.parametrize("words", FROM_FILE, ids=" ".join)
def test_a_file_of_nothing_but_mistakes_is_wrong(config, tmp_path, words):
    file = tmp_path / "people.jsonl"
    file.write_text(MISTAKEN)
    told, ended = (crmsync(*words, "--config", config, "--input", file, *more) for more in ([], ["--json"]))
    assert (told.code, "line 1: " in told.err) == (2, True)
    assert (ended.code, ["line 1: " in each for each in ended.json["problems"]]) == (2, [True])


@pytest.mark.parametrize("words", FROM_STATE, ids=" ".join)
def test_notes_of_the_state(config, tmp_path, monkeypatch, words):
    def read_noted(config, _store, now, _since, _until, tally):
        tally.notes.append("3 opportunities without a person")
        return read_cases_file(config, map(str.encode, lines()), "state", int(now.timestamp()), FileTally())

    monkeypatch.setattr("crmsync.cli.cases.read_state_cases", read_noted)
    words = [*words, config] if "--against" in words else words
    told = crmsync(*words, "--config", config)
    assert (told.code, "3 opportunities without a person" in told.err) == (0, True)
    ended = crmsync(*words, "--config", config, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert "3 opportunities without a person" in ended.json["warnings"]
