"""Rates, their intervals and their comparison, held against scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crmsync.evaluation.proportions import compare_rates, divide_rates, measure_rate, wilson_interval


@given(st.integers(0, 300), st.integers(1, 300))
def test_intervals_of_rates_are_wilsons(part, whole):
    part = min(part, whole)
    peer = stats.binomtest(part, whole).proportion_ci(method="wilson")
    found = measure_rate(part, whole)
    assert found.rate == part / whole
    assert (found.low, found.high) == (pytest.approx(peer.low, abs=1e-9), pytest.approx(peer.high, abs=1e-9))
    assert (measure_rate(0, 0), wilson_interval(0, 0)) == ((None, None, None), (0.0, 1.0))


@given(st.integers(1, 50), st.integers(50, 90), st.integers(1, 50), st.integers(50, 90))
def test_a_ratio_of_rates_is_that_of_scipy(part, whole, other, whole_other):
    peer = stats.contingency.relative_risk(part, whole, other, whole_other)
    low, high = peer.confidence_interval(0.95)
    found = divide_rates(part, whole, other, whole_other)
    assert found == pytest.approx((peer.relative_risk, low, high))


def test_a_ratio_to_nothing_is_not_known_and_has_no_upper_end():
    assert divide_rates(0, 10, 0, 30) == (None, None, None)
    assert divide_rates(6, 10, 6, 0) == (None, None, None)
    only_won, only_lost = divide_rates(6, 10, 0, 30), divide_rates(0, 10, 6, 30)
    assert only_won.ratio is None
    assert only_won.high is None
    assert only_won.low > 1
    assert only_lost[:2] == (0.0, 0.0)
    assert only_lost.high > 1


def test_comparisons_agree_with_scipy():
    for a, n, b, m in ((30, 120, 30, 200), (60, 200, 36, 200), (1, 50, 4, 60)):
        compared = compare_rates(a, n, b, m)
        expected = stats.chi2_contingency([[a, n - a], [b, m - b]], correction=False)
        assert compared.z**2 == pytest.approx(expected.statistic)
        assert compared.p == pytest.approx(expected.pvalue)
    assert compare_rates(0, 5, 0, 9) is None
    assert compare_rates(0, 0, 1, 9) is None
