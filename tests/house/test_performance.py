"""The page about performance says what was measured, and what was not."""

import json

from benchmarks.budgets import BUDGETS, FIGURES, FIRST_PULL, IDLE, MILLION, PAGE, render

MEASURED = {"date": "2026-01-31", "machine": "2 cores", "facts": 4_000}


def test_the_page_holds_the_last_measurements():
    assert PAGE.read_text() == render(json.loads(FIGURES.read_text()))


def test_what_is_over_budget_or_was_not_measured_says_so():
    pull = next(each for each in BUDGETS if each.step == FIRST_PULL)
    few = {"10000": {**MEASURED, "figures": {FIRST_PULL: [pull.limit, 100], IDLE: [0.01, 100]}}}
    rows = dict(line[2:].split(" |", 1) for line in render(few).splitlines() if line.startswith("| "))

    assert "**over budget** with 10,000 people; not measured with a million" in rows[FIRST_PULL]
    assert "within budget with 10,000 people" in rows[IDLE]
    assert "not measured" in rows["midnight"]


def test_memory_counts_as_well_as_time():
    pull = next(each for each in BUDGETS if each.step == FIRST_PULL)
    whole = {str(MILLION): {**MEASURED, "figures": {FIRST_PULL: [pull.limit, pull.memory + 1]}}}

    assert "**over budget** |" in render(whole)
