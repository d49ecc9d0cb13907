"""The commands drift and experiment, as an admin meets them."""

import csv
import io
import json
from datetime import timedelta

import numpy as np
import pytest

from tests.conftest import NOW
from tests.support.commands import crmsync, settings_alone

MODEL = """
[[fit]]
name = "Director"
points = 40
when = { field = "title", is = "Director" }

[[behavior]]
name = "Demo requested"
points = 30
on = "form_submitted"
decay = { half_life = "365d" }

[bands]
cold = 0
mql = 40

[experiment.offer]
arms = ["control", "holdout"]
start = 2026-01-01
size = 50
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    with settings_alone(monkeypatch, {}):
        yield


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "crmsync.toml"
    made.write_text(MODEL)
    return made


def write_people(folder, halved=False, count=2_400):
    """Two years of people, of whom directors are won more often; in the last 60 days half of those that were."""
    rng = np.random.default_rng(1)
    lines = []
    for number in range(count):
        ago = timedelta(days=730 * (1 - number / count), hours=1)
        is_director = rng.random() < 0.5
        won = rng.random() < (0.7 if is_director else 0.4)
        won = won and not (halved and ago < timedelta(days=60) and rng.random() < 0.6)
        at = NOW - ago
        lines.append(
            {
                "id": f"p{number}",
                "fields": {"email": f"p{number}@kestrel.example", "title": "Director" if is_director else "Buyer"},
                "activities": [{"kind": "form_submitted", "at": (at - timedelta(days=5)).isoformat()}],
                "created_at": (at - timedelta(days=40)).isoformat(),
                "outcome": "won" if won else "lost",
                "outcome_at": at.isoformat(),
            }
        )
    file = folder / "people.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def test_drift_says_the_verdict_first_and_what_changed(path, tmp_path):
    ended = crmsync("drift", "--config", path, "--input", write_people(tmp_path, halved=True), "--json")
    assert ended.code == 0
    document = ended.json
    assert document["verdict"] == "drift"
    alert = document["alerts"][0]
    assert alert["what"] == "conversion"
    assert alert["observed"] < 0.7 * alert["expected"]
    assert alert["p"] < 0.001
    assert document["why"] == alert["said"]
    assert abs((NOW.date() - timedelta(days=60) - type(NOW).fromisoformat(alert["since"]).date()).days) < 21
    text = crmsync("drift", "--config", path, "--input", tmp_path / "people.jsonl").out
    assert text.startswith("Fewer people are won than their scores say, since about ")
    assert "2026-11" in text


def test_no_drift_is_said_and_the_months_are_rows_of_a_csv_file(path, tmp_path):
    people = write_people(tmp_path)
    assert crmsync("drift", "--config", path, "--input", people).out.startswith("No drift: ")
    ended = crmsync("drift", "--config", path, "--input", people, "--csv", "-")
    months = list(csv.DictReader(io.StringIO(ended.out)))
    assert len(months) == 25
    assert sum(int(each["people"]) for each in months) == 2_400
    assert (months[0]["expected"], months[0]["z"]) == ("", "")
    assert 0.8 < float(months[-1]["observed_expected"]) < 1.25


def test_where_everybody_is_won_there_is_nothing_to_tell(path, tmp_path):
    people = write_people(tmp_path)
    won = [line for line in people.read_text().splitlines() if '"outcome": "won"' in line]
    people.write_text("\n".join(won))
    found = crmsync("drift", "-c", path, "--input", people, "--json").json
    assert found["verdict"] == "not_enough"
    assert "10 who were not" in found["why"]


def test_a_period_and_mistakes_of_lines(path, tmp_path):
    people = write_people(tmp_path)
    with people.open("a") as file:
        file.write('\n{"id": "x", "outcome": "maybe", "outcome_at": "2026-01-01T00:00:00Z"}')
    ended = crmsync("drift", "--config", path, "--input", people, "--since", "2026-09-01", "--json")
    assert ended.code == 4
    assert len(ended.json["problems"]) == 1
    assert [each["month"] for each in ended.json["months"]] == ["2026-09", "2026-10", "2026-11"]
    people.write_text('{"id": "x", "outcome": "maybe", "outcome_at": "2026-01-01T00:00:00Z"}')
    assert crmsync("drift", "--config", path, "--input", people, "--json").code == 2


def test_an_experiment_from_a_file(path, tmp_path):
    people = write_people(tmp_path)
    ended = crmsync("experiment", "--config", path, "--input", people, "--json")
    assert ended.code == 0
    assert [each["name"] for each in ended.json["arms"]] == ["control", "holdout"]
    assert ended.json["verdict"] in ("no_difference", "control", "holdout")
    assert ended.json["before"] > 1_000
    text = crmsync("experiment", "offer", "--config", path, "--input", people).out
    assert text.startswith(("No difference", "Arm "))
    wrong = crmsync("experiment", "price", "--config", path, "--input", people)
    assert wrong.code == 2
    assert "there is no experiment 'price'; the config has offer" in wrong.err


def test_score_puts_people_of_a_file_into_their_arms(path, tmp_path):
    path.write_text(MODEL + '\n[[segment]]\nname = "Held"\nwhen = { field = "experiment.offer", is = "holdout" }\n')
    people = write_people(tmp_path, count=400)
    ended = crmsync("score", "--config", path, "--input", people, "--json")
    held = sum(each["segment"] == "Held" for each in ended.json["people"])
    came_since = sum(
        json.loads(line)["created_at"] >= "2026-01-01" for line in people.read_text(encoding="utf-8").splitlines()
    )
    assert 0.35 * came_since < held < 0.65 * came_since
    assert ended.json["warnings"] == []
