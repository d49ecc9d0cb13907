"""Whether an edit lets more people over the line, and whether that is near the end of a quarter."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, timedelta

import pytest

from crmsync.config import config_class
from crmsync.evaluation.loosening import (
    LooseningEffect,
    find_leanings,
    find_quarter_end,
    is_at_quarter_end,
    list_loosenings,
    measure_effect,
)

MODEL = """
[[fit]]
name = "VP"
points = 20
when = { field = "title", is = "VP" }

[[behavior]]
name = "Demo requested"
points = 30
on = ["form_submitted"]
decay = { half_life = "30d" }
cap = 60
max_times = 2
at_least_sum = { seconds = 120 }

[[behavior]]
name = "Unsubscribed"
points = -15
on = ["email_unsubscribed"]
max_times = 1

[[inactivity]]
name = "No activity"
points = -10
after = "30d"

[[disqualify]]
name = "Student"
when = { field = "title", is = "Student" }

[bands]
cold = {}
warm = 20
mql = { at = 50, min_fit = 10, drop_below = 40 }
sql = 80

[weights]
fit = 1.0

[exclude]
domains = ["rival.example"]
"""


def config(text):
    return config_class()(**tomllib.loads(text))


def leanings(old, new, model=MODEL):
    assert old in model
    return [tuple(each) for each in find_leanings(config(model), config(model.replace(old, new)))]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("at = 50", "at = 40", "mql: at 50 → 40"),
        ("min_fit = 10", "min_fit = 5", "mql: min_fit 10 → 5"),
        (", min_fit = 10", "", "mql: min_fit 10 → none"),
        ("drop_below = 40", "drop_below = 30", "mql: drop_below 40 → 30"),
        ("sql = 80", "sql = 70", "sql: at 80 → 70"),
        ("points = 20", "points = 25", "VP: points 20 → 25"),
        ("points = -15", "points = -5", "Unsubscribed: points -15 → -5"),
        ("cap = 60", "cap = 90", "Demo requested: cap 60 → 90"),
        ("cap = 60\n", "", "Demo requested: cap 60 → none"),
        ("seconds = 120", "seconds = 60", "Demo requested: at_least_sum seconds 120 → 60"),
        ("at_least_sum = { seconds = 120 }\n", "", "Demo requested: at_least_sum seconds 120 → none"),
        ("max_times = 2", "max_times = 3", "Demo requested: max_times 2 → 3"),
        ("max_times = 2\n", "", "Demo requested: max_times 2 → none"),
        ('half_life = "30d"', 'half_life = "60d"', "Demo requested: half_life 30d → 60d"),
        ('decay = { half_life = "30d" }\n', "", "Demo requested: half_life 30d → none"),
        ('after = "30d"', 'after = "60d"', "No activity: after 30d → 60d"),
        ("fit = 1.0", "fit = 1.5", "[weights] fit 1 → 1.5"),
        ('domains = ["rival.example"]', "domains = []", "[exclude] domains: 1 fewer"),
        (
            '[[disqualify]]\nname = "Student"\nwhen = { field = "title", is = "Student" }\n',
            "",
            "disqualification removed: Student",
        ),
        (
            "[[inactivity]]",
            '[[fit]]\nname = "CEO"\npoints = 9\nwhen = { field = "title", is = "CEO" }\n\n[[inactivity]]',
            "rule added: CEO (+9)",
        ),
        (
            '[[inactivity]]\nname = "No activity"\npoints = -10\nafter = "30d"\n',
            "",
            "rule removed: No activity (-10)",
        ),
        ("[weights]", "[groups]\ndownloads = { floor = 5 }\n\n[weights]", "[groups] downloads: floor none → 5"),
    ],
)
def test_each_loosening_is_named_and_its_reverse_tightens(old, new, said):
    assert leanings(old, new) == [("loosens", said)]
    before, after = config(MODEL.replace(old, new)), config(MODEL)
    assert [each.direction for each in find_leanings(before, after)] == ["tightens"]
    assert list_loosenings(find_leanings(before, after)) == []


LEARNED = """
[learned]
mode = "hybrid"
clamp = 5
[[learned.adjustment]]
name = "Large"
points = 4
when = { field = "employees", gte = 200 }
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("points = 4", "points = 6", "[learned] Large: points 4 → 6"),
        ("clamp = 5", "clamp = 8", "[learned] clamp 5 → 8"),
        (LEARNED[LEARNED.index("[[") :], "", "[learned] Large: points 4 → none"),
        ('mode = "hybrid"', 'mode = "rules"', "[learned] Large: points 4 → none"),
    ],
)
def test_s4_14_more_learned_points_and_a_higher_clamp_loosen(old, new, said):
    direction = "tightens" if said.endswith("none") else "loosens"
    assert leanings(old, new, MODEL + LEARNED) == [(direction, said)]
    before, after = config((MODEL + LEARNED).replace(old, new)), config(MODEL + LEARNED)
    assert [each.direction for each in find_leanings(before, after)] == [
        "loosens" if direction == "tightens" else "tightens"
    ]


def test_s4_14_a_higher_clamp_tightens_where_adjustments_only_take():
    model = MODEL + LEARNED.replace("points = 4", "points = -9")
    assert leanings("clamp = 5", "clamp = 8", model) == [("tightens", "[learned] clamp 5 → 8")]
    assert leanings("gte = 200", "gte = 300", model) == [("either", "[learned] Large: another when")]
    assert leanings("clamp = 5", "clamp = 8", model.replace("hybrid", "rules")) == []


def test_what_lies_below_the_line_lets_nobody_through():
    assert leanings("warm = 20", "warm = 10") == []


def test_of_another_condition_nobody_can_tell():
    assert leanings('is = "VP"', 'is = "CEO"') == [("either", "VP: another when")]
    assert leanings('is = "Student"', 'is = "Intern"') == [("either", "disqualification Student: another condition")]


def test_the_line_of_a_segment_counts_too():
    segment = MODEL + '\n[[segment]]\nname = "Large"\nwhen = { field = "title", is = "VP" }\n'
    bands = "cold = {}\nwarm = 20\nmql = { at = 30, min_fit = 10, drop_below = 30 }\nsql = 80\n"
    own = f"{segment}[segment.bands]\n{bands}"
    assert leanings("at = 30", "at = 35", own)[0] == ("tightens", "Large, mql: at 30 → 35")
    assert [each.said for each in find_leanings(config(segment), config(own))] == [
        "Large, mql: at 50 → 30", "Large, mql: drop_below 40 → 30",
    ]  # fmt: skip


def test_an_edit_of_names_and_schedules_leans_nowhere():
    assert leanings("[weights]", '[schedule]\nevery = "5m"\n\n[weights]') == []


@pytest.mark.parametrize(
    ("day", "first", "end"),
    [
        ("2026-09-25", 1, "2026-09-30"),
        ("2026-12-31", 1, "2026-12-31"),
        ("2026-01-31", 2, "2026-01-31"),
        ("2026-02-01", 2, "2026-04-30"),
        ("2024-01-15", 3, "2024-02-29"),
        ("2026-11-30", 12, "2026-11-30"),
        ("2026-12-01", 12, "2027-02-28"),
        ("2026-11-29", 12, "2026-11-30"),
    ],
)
def test_the_end_of_a_quarter(day, first, end):
    assert find_quarter_end(date.fromisoformat(day), first) == date.fromisoformat(end)


@pytest.mark.parametrize(
    ("day", "days", "is_near"),
    [("2026-09-16", 14, False), ("2026-09-17", 14, True), ("2026-09-30", 14, True), ("2026-10-01", 14, False),
     ("2026-09-30", 0, False), ("2026-09-30", 1, True)],
)  # fmt: skip
def test_the_last_fourteen_days_of_a_quarter(day, days, is_near):
    assert is_at_quarter_end(date.fromisoformat(day), timedelta(days=days), 1) is is_near


def test_S3_14_what_came_of_it_counts_as_many_days_before_and_after():
    at = int(datetime(2026, 9, 25, tzinfo=UTC).timestamp())
    day = 86_400
    entered, accepted = [], []
    for start, people, taken in ((at - 10 * day, 100, 40), (at, 130, 31)):
        for number in range(people):
            came = start + number * 10 * day // people
            entered.append(came)
            accepted.append(came + 60 if number < taken else None)
    entered.append(at - 11 * day)  # too early
    accepted.append(at - 11 * day)
    found = measure_effect(entered, accepted, at, at + 10 * day + 5)
    assert found == LooseningEffect(10, 100, 130, 40, 31)
    assert found.growth == pytest.approx(0.3)
    assert found.rates == (pytest.approx(0.4), pytest.approx(0.2385, abs=1e-4))


def test_who_is_accepted_later_than_the_days_counts_on_neither_side():
    day = 86_400
    entered, accepted = [day, 3 * day], [2 * day, 40 * day]
    assert measure_effect(entered, accepted, 3 * day, 5 * day) == LooseningEffect(2, 1, 1, 1, 0)
    assert measure_effect(entered, None, 3 * day, 5 * day) == LooseningEffect(2, 1, 1, None, None)
    assert measure_effect(entered, accepted, 3 * day, 3 * day + 100) is None


def test_no_more_than_four_weeks_count():
    assert measure_effect([0], None, 100 * 86_400, 200 * 86_400).days == 28
