"""Cases out of a file: as of when each person is judged, and what came of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from crmsync.batch.cases_file import read_cases_file
from crmsync.batch.people_file import FileTally
from crmsync.config import load
from crmsync.evaluation.cases import LOST, NEVER, OPEN, WON, join_judged, judge_cases

NOW = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())

CONFIG = """
[[fit]]
name = "Director"
points = 20
when = { field = "title", is = "Director" }

[[behavior]]
name = "Demo requested"
points = 30
on = ["form_submitted"]
decay = { half_life = "30d" }

[bands]
cold = {}
mql = 40
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "crmsync.toml"
    file.write_text(CONFIG)
    return load(file)


def person(name, **more):
    demo = {"kind": "form_submitted", "at": "2026-03-01T09:00:00Z"}
    return {"id": name, "fields": {"title": "Director", "source": "Webinar"}, "activities": [demo], **more}


def read(config, people):
    tally = FileTally()
    lines = [json.dumps(each).encode() for each in people]
    return list(read_cases_file(config, lines, "people.jsonl", NOW, tally)), tally


def judged(config, people):
    (cases,), _tally = read(config, people)
    return judge_cases(config, cases, config.zone)


def test_each_is_judged_just_before_the_outcome_at_the_hand_off_or_now(config):
    won = person("a", outcome="won", outcome_at="2026-03-31T09:00:00Z")
    handed = person("b", outcome="lost", outcome_at="2026-06-01T09:00:00Z", handed_off_at="2026-03-01T10:00:00Z")
    found = judged(config, [won, handed, person("c")])
    assert found.outcome.tolist() == [WON, LOST, OPEN]
    assert [datetime.fromtimestamp(each, UTC).isoformat() for each in found.at.tolist()] == [
        "2026-03-31T08:59:59+00:00",
        "2026-03-01T10:00:00+00:00",
        "2026-11-01T00:00:00+00:00",
    ]
    assert found.total.tolist()[:2] == [3500, 5000]
    assert found.points[1].tolist() == [2000, 3000]
    assert found.names == ["a", "b", "c"]


def test_what_the_outcome_brought_does_not_count(config):
    before = judged(config, [person("a", outcome="won", outcome_at="2026-03-31T09:00:00Z")])
    again = {"kind": "form_submitted", "at": "2026-03-31T09:00:00Z"}
    later = person("a", outcome="won", outcome_at="2026-03-31T09:00:00Z")
    after = judged(config, [{**later, "activities": [*later["activities"], again]}])
    assert after.total.tolist() == before.total.tolist()
    assert after.came.tolist() == before.came.tolist()


def test_joined_they_are_what_they_were_together(config):
    people = [person(str(number), outcome="won", outcome_at="2026-05-01T00:00:00Z") for number in range(4)]
    people[2]["fields"] = {"source": "Partner"}
    whole = judged(config, people)
    parts = [judged(config, people[:2]), judged(config, people[2:])]
    joined = join_judged(parts)
    assert joined.total.tolist() == whole.total.tolist()
    assert np.array_equal(joined.points, whole.points)
    assert joined.groups["source"].labels == whole.groups["source"].labels == ["Webinar", "Partner"]
    assert joined.groups["source"].codes.tolist() == whole.groups["source"].codes.tolist()
    assert joined.only(joined.total > 2500).names == ["0", "1", "3"]
    assert joined.known.tolist() == [[True], [True], [False], [True]]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"outcome": "maybe", "outcome_at": "2026-05-01T00:00:00Z"}, 'write "won" or "lost"'),
        ({"outcome": "won"}, "write outcome and outcome_at together"),
        ({"outcome_at": "2026-05-01T00:00:00Z"}, "write outcome and outcome_at together"),
        ({"outcome": "won", "outcome_at": "2026-05-01"}, "write an instant as 2026-11-21T12:00:00Z"),
        ({"created_at": "0001-01-01T00:00:00Z"}, "from the years 1900 to 2199"),
        ({"created_at": "1899-12-31T23:59:59Z"}, "from the years 1900 to 2199"),
        ({"touched_at": "2200-01-01T00:00:00Z"}, "from the years 1900 to 2199"),
        ({"outcome": "lost", "outcome_at": "9999-12-31T00:00:00Z"}, "from the years 1900 to 2199"),
        ({"value": "much"}, "write a number"),
        ({"owner": 7}, "write a text"),
    ],
)
def test_a_mistake_is_told_by_its_line_and_the_others_count(config, more, said):
    (cases,), tally = read(config, [person("a"), person("b", **more)])
    assert cases.names == ["a"]
    (problem,) = tally.problems
    assert problem.startswith("people.jsonl, line 2: ")
    assert said in problem


def test_a_period_takes_those_judged_in_it(config):
    people = [person(str(month), outcome="won", outcome_at=f"2026-0{month}-15T00:00:00Z") for month in (3, 4, 5)]
    (cases,), _tally = read(config, people)
    april, may = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (4, 5))
    assert cases.between(april, may).names == ["4"]
    assert cases.between(april, None).names == ["4", "5"]
    assert cases.between(None, may).columns.fields["title"] == ["Director", "Director"]


def test_nothing_from_the_outcome_on_counts_even_where_the_hand_off_is_said_to_be_later(config):
    demo = {"kind": "form_submitted", "at": "2026-03-31T09:00:00Z"}
    dates = {"outcome": "won", "outcome_at": "2026-03-31T09:00:00Z"}
    late = person("a", handed_off_at="2026-04-20T09:00:00Z", **dates)
    same = person("b", handed_off_at="2026-03-31T09:00:00Z", **dates)
    for each in (late, same):
        each["activities"] = [demo]
    (cases,), tally = read(config, [late, same])
    assert judge_cases(config, cases, config.zone).behavior.tolist() == [0, 0]
    assert [each != NEVER for each in cases.handed_off.tolist()] == [False, True]
    assert tally.warnings(config) == [
        "1 person: handed_off_at is after outcome_at; they are judged the second before the outcome"
    ]


def test_nobody_came_after_they_were_judged(config):
    dates = {"outcome": "won", "outcome_at": "2026-03-31T09:00:00Z", "created_at": "2026-10-01T00:00:00Z"}
    (cases,), tally = read(config, [person("a", **dates)])
    assert cases.came.tolist() == cases.at.tolist()
    assert "created_at is after the hand-off or the outcome" in tally.warnings(config)[0]


def test_instants_in_the_future_are_told(config):
    dates = {"outcome": "won", "outcome_at": "2030-03-31T09:00:00Z", "handed_off_at": "2030-03-01T09:00:00Z"}
    _cases, tally = read(config, [person("a", **dates)])
    assert sorted(tally.odd) == [
        "handed_off_at is in the future; check it",
        "outcome_at is in the future; check it, an outcome is what has happened",
    ]


def test_a_line_that_is_there_again_counts_once(config):
    dates = {"outcome": "won", "outcome_at": "2026-03-31T09:00:00Z"}
    other = {"outcome": "lost", "outcome_at": "2026-05-31T09:00:00Z"}
    (cases,), tally = read(config, [person("a", **dates), person("a", **dates), person("a", **other), person("b")])
    assert cases.names == ["a", "a", "b"]
    assert sorted(tally.warnings(config)) == [
        "1 person: another line has the same id; each line counts as a person of its own",
        "1 person: the same line is there again; it counts once",
    ]
