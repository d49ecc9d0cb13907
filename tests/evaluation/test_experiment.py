"""Experiments: arms by chance that stay the same, and a comparison that waits until it is due."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from crmsync.batch.cases_file import read_cases_file
from crmsync.batch.people_file import FileTally
from crmsync.config import load
from crmsync.config.experiment import Experiment
from crmsync.errors import ConfigError
from crmsync.evaluation.experiment import Arm, ArmPeople, compare_arms, judge_arms
from crmsync.reporting.experiment import choose_experiment, experiment_document
from crmsync.scoring import score
from crmsync.scoring.arms import choose_arm, find_arms
from crmsync.scoring.calendar import DAY

NOW = datetime(2026, 11, 1, tzinfo=UTC)
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
HALVES = {"a": 0.5, "b": 0.5}

CONFIG = """
[[fit]]
name = "Employees"
points = 45
when = { field = "employees", gte = 1 }

[[fit]]
name = "Director"
points = 15
when = { field = "title", is = "Director" }

[[fit]]
name = "Software"
points = 10
when = { field = "industry", is = "Software" }

[bands]
cold = 0
mql = 50
"""

LINES = """
[experiment.line]
arms = { a = 50, b = 70 }
start = 2026-01-01
size = 120
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        file = tmp_path / "crmsync.toml"
        file.write_text(CONFIG + text)
        return load(file)

    return write


def read(config, people):
    tally = FileTally()
    lines = [json.dumps(each).encode() for each in people]
    cases = list(read_cases_file(config, lines, "people.jsonl", int(NOW.timestamp()), tally))
    assert tally.problems == []
    return cases


def addresses_in(arm, count, experiment="line"):
    found = (f"p{each}@kestrel.example" for each in range(100_000))
    wanted = (each for each in found if choose_arm(experiment, HALVES, each) == arm)
    return [next(wanted) for _ in range(count)]


def person(address, won=False, came="2026-02-01T00:00:00Z", handed_off="2026-02-01T00:00:00Z", **fields):
    known = {"email": address, "employees": 200, "title": "Director", "industry": "Software", **fields}
    came_of = {"outcome": "won" if won else "lost", "outcome_at": "2026-03-01T00:00:00Z"}
    return {"id": address, "fields": known, "created_at": came, "handed_off_at": handed_off, **came_of}


def arm_people(arm, hit, came=START + 30 * DAY, due=True, reached=True):
    arm = np.asarray(arm, dtype=np.int64)
    n = len(arm)
    return ArmPeople(
        arm,
        np.full(n, came, dtype=np.int64),
        np.asarray(hit, dtype=bool),
        np.full(n, due),
        np.full(n, reached),
    )


def test_S0_22_of_leads_with_70_60_and_45_points_arm_50_hands_over_two_and_arm_70_one(written):
    config = written(LINES)
    bands = {}
    for arm in "ab":
        address = addresses_in(arm, 1)[0]
        fields = ({}, {"industry": "Energy"}, {"industry": "Energy", "title": "Buyer"})
        (cases,) = read(config, [person(address, **each) for each in fields])
        scores = score(config, cases.columns, NOW, UTC)
        assert (scores.total // 100).tolist() == [70, 60, 45]
        bands[arm] = [config.band_names()[band] for band in scores.band]
    assert bands == {"a": ["mql", "mql", "cold"], "b": ["mql", "cold", "cold"]}


def test_S0_22_30_of_200_against_30_of_120_is_15_against_25_percent_z_2_22_and_p_0_0265(written):
    config = written(LINES)
    people = [person(each, number < 30) for number, each in enumerate(addresses_in("a", 200))]
    people += [person(each, number < 30) for number, each in enumerate(addresses_in("b", 120))]
    document = experiment_document(config, "line", read(config, people), NOW)
    assert [(each["people"], each["hits"], each["rate"]) for each in document["arms"]] == [
        (200, 30, 0.15),
        (120, 30, 0.25),
    ]
    assert (round(document["z"], 2), round(document["p"], 4)) == (2.22, 0.0265)
    assert document["verdict"] == "b"
    assert "15.0 % of 200 in a, 25.0 % of 120 in b were won (z 2.22, p 0.0265)" in document["why"]


def test_there_is_no_winner_before_the_declared_size(written):
    config = written(LINES.replace("size = 120", "size = 130"))
    people = [person(each, number < 30) for number, each in enumerate(addresses_in("a", 200))]
    people += [person(each, number < 30) for number, each in enumerate(addresses_in("b", 120))]
    document = experiment_document(config, "line", read(config, people), NOW)
    assert (document["verdict"], document["z"], document["p"]) == ("not_enough", None, None)
    assert [each["missing"] for each in document["arms"]] == [0, 10]
    assert "10 in b are missing of 130" in document["why"]


def test_S4_26_the_same_person_is_always_in_the_same_arm_and_10_000_are_halved():
    people = [f"person{number}@acme.example" for number in range(10_000)]
    arms = [choose_arm("line", HALVES, each) for each in people]
    assert 4_800 <= arms.count("a") <= 5_200
    assert arms == [choose_arm("line", HALVES, f" {each.upper()} ") for each in people]
    # As it was when it was written: another hash would move everybody in a running experiment.
    assert "".join(arms[:16]) == "aaaabbaaabaabbbb"
    assert (
        4_800 <= sum(choose_arm("other", HALVES, each) == arm for each, arm in zip(people, arms, strict=True)) <= 5_200
    )


def test_shares_are_kept():
    shares = Experiment(arms=["control", "holdout"], share={"control": 9}, start="2026-01-01", size=1).shares()
    arms = [choose_arm("x", shares, f"p{number}@acme.example") for number in range(10_000)]
    assert 900 < arms.count("holdout") < 1_100


def test_only_who_comes_after_the_start_and_until_the_end_is_in_an_arm():
    made = Experiment(arms=["a", "b"], start="2026-01-01", until="2026-01-31", size=1)
    came = [START - 1, START, START + 31 * DAY - 1, START + 31 * DAY, None]
    arms = find_arms("x", made, ["p@acme.example"] * 5, came, UTC)
    assert [each == "none" for each in arms] == [True, False, False, True, True]
    assert find_arms("x", made, [""], [START], UTC) == ["none"]


def test_S4_27_who_came_in_the_14_days_of_wash_out_is_excluded(written):
    config = written(LINES)
    came = ("2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-01-14T23:59:59Z", "2026-01-15T00:00:00Z")
    people = [person(each, came=at) for each, at in zip(addresses_in("a", 4), came, strict=True)]
    document = experiment_document(config, "line", read(config, people), NOW)
    assert (document["before"], document["washed_out"]) == (1, 2)
    assert [each["people"] for each in document["arms"]] == [1, 0]


def test_equal_arms_are_no_difference_and_the_end_is_an_alternative_to_a_size():
    made = Experiment(arms=["a", "b"], start="2026-01-01", until="2026-03-31")
    part = arm_people([0] * 100 + [1] * 100, [True] * 10 + [False] * 90 + [True] * 12 + [False] * 88)
    end = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp())
    found = compare_arms(made, [part], UTC, end)
    assert found.verdict == "no_difference"
    assert compare_arms(made, [part], UTC, end - 1).verdict == "not_enough"
    late = arm_people([0], [False], due=False)
    assert compare_arms(made, [part, late], UTC, end).verdict == "not_enough"


def test_of_three_arms_the_best_is_held_against_the_first_and_chance_is_counted_three_times():
    arms = [Arm("a", 200, 30, 200, 30), Arm("b", 200, 25, 200, 25), Arm("c", 120, 30, 120, 30)]
    verdict, z, p = judge_arms(arms)
    two = judge_arms([arms[0], arms[2]])
    assert (verdict, z) == ("no_difference", two[1])
    assert p == pytest.approx(3 * two[2])
    assert two[0] == "c"


def test_with_lines_who_did_not_reach_the_line_is_not_in_the_rate_and_still_told():
    made = Experiment(arms={"a": 50, "b": 70}, start="2026-01-01", size=1)
    parts = [arm_people([0, 1], [True, True]), arm_people([0, 1], [False, False], reached=False)]
    a, b = compare_arms(made, parts, UTC, START).arms
    assert a == Arm("a", 2, 1, 1, 1)
    assert b == Arm("b", 2, 1, 1, 1)


def test_a_metric_that_nobody_knows_is_said(written):
    config = written(LINES + 'metric = "accepted"\n')
    document = experiment_document(config, "line", read(config, [person("p1@kestrel.example")]), NOW)
    assert document["verdict"] == "not_enough"
    assert "nothing here says who were accepted" in document["why"]


def test_a_meeting_counts_from_when_they_came(written):
    config = written(LINES + 'metric = "meeting"\n')
    later = (NOW - timedelta(days=200)).isoformat()
    met = person(addresses_in("a", 1)[0]) | {"activities": [{"kind": "meeting_held", "at": later}]}
    none = person(addresses_in("b", 1)[0]) | {"activities": [{"kind": "page_viewed", "at": later}]}
    document = experiment_document(config, "line", read(config, [met, none]), NOW)
    assert [each["hits"] for each in document["arms"]] == [1, 0]


def test_an_arm_may_be_asked_for_by_rules_and_what_a_file_says_holds(written):
    rule = '[[disqualify]]\nname = "Hold-out"\nwhen = { field = "experiment.x", is = "holdout" }\n'
    config = written(rule + '[experiment.x]\narms = ["control", "holdout"]\nstart = 2026-01-01\nsize = 5\n')
    people = [person("p@kestrel.example", **{"experiment.x": each}) for each in ("control", "holdout", "none")]
    (cases,) = read(config, people)
    assert score(config, cases.columns, NOW, UTC).disqualified.tolist() == [-1, 0, -1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[experiment.x]\narms = ["a"]\nstart = 2026-01-01\nsize = 5\n', "arms"),
        ('[experiment.x]\narms = ["a", "a"]\nstart = 2026-01-01\nsize = 5\n', "two arms have the same name"),
        ('[experiment.x]\narms = ["a", "b"]\nstart = 2026-01-01\n', "say when the arms may be compared"),
        ("[experiment.x]\narms = { a = 50, b = 0 }\nstart = 2026-01-01\nsize = 5\n", "the bands would not rise"),
        ("[experiment.x]\narms = { a = 50 }\nstart = 2026-01-01\nsize = 5\n", "one arm is nothing to compare"),
        (
            LINES + '[[segment]]\nname = "Big"\nwhen = { field = "employees", gte = 500 }\n',
            "lines and [[segment]] do not go together",
        ),
        (LINES + LINES.replace("line", "other"), "both move the line"),
        (
            LINES + '[[disqualify]]\nname = "c"\nwhen = { field = "experiment.line", is = "c" }\n',
            "there is no arm 'c' in experiment.line; the arms are a, b",
        ),
        ('[[disqualify]]\nname = "c"\nwhen = { field = "experiment.x", is = "c" }\n[hubspot]\n', "experiment.x"),
    ],
)
def test_a_mistake_is_told(written, text, said):
    with pytest.raises(ConfigError, match=r"line \d+|crmsync") as error:
        written(text + ('[fields]\nemployees = { hubspot = "numberofemployees" }\n' if "[hubspot]" in text else ""))
    assert said in str(error.value)


def test_which_experiment_must_be_clear(written):
    one = written(LINES)
    assert choose_experiment(one, None) == "line"
    with pytest.raises(ConfigError, match="there is no experiment 'x'; the config has line"):
        choose_experiment(one, "x")
    with pytest.raises(ConfigError, match="the config has no experiment"):
        choose_experiment(written(""), None)
