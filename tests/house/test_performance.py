"""The page about performance says what was measured, and what was not."""

import json

from benchmarks.budgets import BUDGETS, FIGURES, FIRST_PULL, IDLE, MIDNIGHT, MILLION, PAGE, render

MEASURED = {"date": "2026-01-31", "machine": "2 cores", "facts": 4_000}


def test_the_page_holds_the_last_measurements():
    assert PAGE.read_text() == render(json.loads(FIGURES.read_text()))


def test_what_is_over_budget_or_was_not_measured_says_so():
    pull = next(each for each in BUDGETS if each.step == FIRST_PULL)
    few = {"runs": {"10000": {**MEASURED, "figures": {FIRST_PULL: [pull.limit, 100], IDLE: [0.01, 100]}}}}
    rows = dict(line[2:].split(" |", 1) for line in render(few).splitlines() if line.startswith("| "))

    assert "**over budget** with 10,000 people; not measured with a million" in rows[FIRST_PULL]
    assert "within budget with 10,000 people" in rows[IDLE]
    assert "not measured" in rows["midnight"]
    assert "## A month\n\nNot measured." in render(few)


def test_memory_counts_as_well_as_time():
    pull = next(each for each in BUDGETS if each.step == FIRST_PULL)
    whole = {"runs": {str(MILLION): {**MEASURED, "figures": {FIRST_PULL: [pull.limit, pull.memory + 1]}}}}

    assert "**over budget** |" in render(whole)


def test_what_was_written_stands_beside_the_least_that_hubspot_takes_for_it():
    night = {"runs": {"10000": {**MEASURED, "figures": {MIDNIGHT: [2.0, 100, 9_500]}}}}

    assert "2.00 s, 100 MB; 9,500 written, HubSpot's limit 5 s" in render(night)


def test_a_month_says_by_how_much_the_state_grows_in_a_day():
    rows = [[0, 300, 500, 90, 100_000, 3_000], [5, 310, 400, 20, 9_000, 200], [10, 330, 400, 20, 9_000, 200]]
    said = render({"runs": {}, "month": {**MEASURED, "people": 2_000, "rows": rows}})

    # 20 MB for the 45,000 that were written from day 5 on.
    assert "From day 5 on a day adds 4.0 MB to the state, or 466 bytes for each record written" in said
    assert "| 10 | 330 MB | 400 MB | 20 s | 9,000 | 200 |" in said
