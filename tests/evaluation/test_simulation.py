"""What another model would change: the curve, the matrix, and the line that a capacity allows."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.evaluation.cases import LOST, OPEN, WON, Group
from crmsync.evaluation.simulation import (
    ComparedPeople,
    Placed,
    count_moves,
    count_weeks,
    cross_bands,
    draw_curve,
    estimate_conversion,
    expect_wins,
    find_capacity_line,
    measure_lines,
    measure_over,
    measure_reps,
)
from crmsync.reporting.numbers import describe_accepted, show_share

BANDS = ("cold", "warm", "mql")


def placed(totals, cuts=(30, 50), able=None):
    total = np.array(totals, dtype=np.int64) * 100
    band = np.searchsorted(np.array(cuts) * 100, total, side="right").astype(np.int8)
    allowed = np.ones(len(total), dtype=bool) if able is None else np.array(able)
    return Placed(total, np.where(allowed, band, np.int8(1)), BANDS, (band == 2) & allowed, allowed)


def people(n, weeks=1.0, outcome=None, accepted=None, rep=None):
    return ComparedPeople(
        np.ones(n, dtype=bool),
        weeks,
        np.full(n, OPEN, dtype=np.int8) if outcome is None else np.array(outcome, dtype=np.int8),
        None if accepted is None else np.array(accepted, dtype=bool),
        rep,
    )


def test_S1_09_the_number_over_the_line_never_rises_with_the_threshold():
    rng = np.random.default_rng(7)
    totals = rng.integers(-40, 140, 500).tolist()
    curve = draw_curve(people(500), placed(totals, able=rng.random(500) < 0.8), None)
    points = [each.points for each in curve]
    assert set(range(101)) <= set(points)
    counts = [each.people for each in curve]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0


def test_S2_19_and_c13_120_a_week_with_a_capacity_of_80_is_40_too_many_and_the_line_leaves_80_at_most():
    totals = [*range(50, 170)] * 4  # 120 a week over 50, for four weeks, and of each score one a week
    found = find_capacity_line(people(480, weeks=4.0), placed(totals), 80, 0, None)
    assert (found.over_by, found.points, found.over.per_week) == (40, 90, 80)
    lower = measure_lines(people(480, weeks=4.0), placed(totals), np.array([8900]), None)
    assert lower[0].per_week == 81


def test_those_with_as_many_points_as_the_first_who_is_too_many_stay_below_the_line():
    found = find_capacity_line(people(100), placed([60] * 90 + [70] * 10), 80, 0, None)
    assert (found.points, found.over.people) == (61, 10)
    with_decimals = find_capacity_line(people(100), placed([60] * 90 + [70] * 10), 80, 2, None)
    assert with_decimals.points == 60.01


def test_where_everybody_fits_the_line_is_at_the_bottom():
    found = find_capacity_line(people(10), placed([60] * 10), 80, 0, None)
    assert (found.points, found.over.people, found.over_by) == (0, 10, -70)


def test_S4_23_each_line_has_the_leads_for_a_rep_a_week():
    curve = draw_curve(people(120, weeks=2.0), placed(list(range(120))), reps=5)
    assert [(each.people, each.per_week, each.per_rep) for each in curve if each.points in (0, 60, 100)] == [
        (120, 60, 12), (60, 30, 6), (20, 10, 2),
    ]  # fmt: skip


def test_whose_minimums_are_not_met_is_over_no_line():
    (over,) = measure_lines(people(3), placed([90, 80, 70], able=[True, False, True]), np.array([7000]), None)
    assert over.people == 2


def test_acceptance_counts_those_of_whom_it_is_known():
    of = people(4, outcome=[WON, LOST, OPEN, OPEN], accepted=[True, False, True, False])
    over = measure_over(of, np.ones(4, dtype=bool), None)
    assert (over.accepted, over.settled, over.acceptance, over.conversion) == (2, 3, 2 / 3, 0.5)


def test_what_nobody_knows_is_none_and_never_0():
    over = measure_over(people(2, weeks=None), np.ones(2, dtype=bool), 3)
    assert (over.per_week, over.per_rep, over.conversion, over.accepted, over.acceptance) == (None,) * 5


def test_the_cells_of_the_matrix_are_the_people():
    old, new = placed([10, 40, 60, 60]), placed([60, 40, 10, 60])
    assert cross_bands(old, new) == {
        "cold": {"cold": 0, "warm": 0, "mql": 1},
        "warm": {"cold": 0, "warm": 1, "mql": 0},
        "mql": {"cold": 1, "warm": 0, "mql": 1},
    }
    assert count_moves(old, new) == (1, 1)


@given(st.lists(st.tuples(st.integers(-50, 150), st.integers(-50, 150)), min_size=1, max_size=60))
def test_law_the_matrix_sums_to_everybody_and_its_edges_are_the_bands(scores):
    old, new = (placed([each[side] for each in scores]) for side in (0, 1))
    matrix = cross_bands(old, new)
    assert sum(many for row in matrix.values() for many in row.values()) == len(scores)
    assert {name: sum(row.values()) for name, row in matrix.items()} == {
        name: int((old.band == number).sum()) for number, name in enumerate(BANDS)
    }


@given(st.lists(st.integers(-20, 150), min_size=1, max_size=80), st.integers(0, 90))
def test_law_the_line_is_the_lowest_that_leaves_no_more_than_the_capacity(totals, capacity):
    of, where = people(len(totals)), placed(totals)
    found = find_capacity_line(of, where, capacity, 0, None)
    assert found.over.people <= capacity
    if found.points > min(0, *totals):
        (below,) = measure_lines(of, where, np.array([found.points - 1]).astype(np.int64) * 100, None)
        assert below.people > capacity


def test_wins_are_expected_by_what_a_score_converted():
    outcome = np.array([WON, LOST] * 20 + [LOST] * 40, dtype=np.int8)
    total = np.array([60] * 40 + [10] * 40, dtype=np.int64) * 100
    table = estimate_conversion(total, outcome)
    still = placed([60, 60, 10])
    assert expect_wins(still, np.full(3, OPEN, dtype=np.int8), table) == pytest.approx(1.0)
    assert estimate_conversion(total[:10], outcome[:10]) is None


def test_a_week_counts_whole_days_and_at_least_one_week():
    days = np.array([int(datetime(2026, 11, day, 23, tzinfo=UTC).timestamp()) for day in (1, 28)])
    assert count_weeks(days, UTC) == 4
    assert count_weeks(days[:1], UTC) == 1


def test_the_load_of_each_rep_by_both_models():
    rep = Group(np.array([0, 0, 1, 2], dtype=np.int32), ["ann", "bob", ""])
    of = people(4, weeks=2.0, rep=rep)
    assert measure_reps(of, placed([60, 10, 60, 60]), placed([60, 60, 10, 60])) == [
        ("ann", 0.5, 1.0),
        ("bob", 0.5, 0.0),
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (describe_accepted(118, 48), "118 (41 % accepted)"),
        (describe_accepted(1_180, 48, 480), "1,180 (10 % accepted)"),
        (describe_accepted(118, None), "118 (accepted: not known)"),
        (describe_accepted(118, 0), "118 (0 % accepted)"),
        (describe_accepted(118, 0, 0), "118 (accepted: not known)"),
        (describe_accepted(0, None), "0"),
        (show_share(0.043), "4.3 %"),
    ],
)
def test_S3_15_a_count_has_the_accepted_share_beside_it(said, expected):
    assert said == expected
