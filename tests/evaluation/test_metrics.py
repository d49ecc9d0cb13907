"""Measures of ranking, held against scikit-learn and scipy on data with ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as peers

from crmsync.evaluation.metrics import (
    compare_rankings,
    count_line,
    divide_scores,
    measure_auc,
    measure_auc_error,
    measure_auc_interval,
    measure_average_precision,
    measure_line,
    measure_precision_at,
    tally_scores,
)

PEOPLE = st.lists(st.tuples(st.integers(-5, 12), st.booleans()), min_size=4, max_size=80).filter(
    lambda people: 2 <= sum(won for _, won in people) <= len(people) - 2
)


def split(people):
    score, won = zip(*people, strict=True)
    return np.array(score, dtype=np.int64) * 100, np.array(won)


@given(PEOPLE)
def test_auc_and_average_precision_are_those_of_scikit_learn(people):
    score, won = split(people)
    of = tally_scores(score, won)
    assert measure_auc(of) == pytest.approx(peers.roc_auc_score(won, score))
    assert measure_average_precision(of) == pytest.approx(peers.average_precision_score(won, score))


@given(PEOPLE)
def test_auc_is_the_rank_sum_of_scipy(people):
    score, won = split(people)
    ranked = stats.mannwhitneyu(score[won], score[~won]).statistic
    assert measure_auc(tally_scores(score, won)) == pytest.approx(ranked / (won.sum() * (~won).sum()))


@given(PEOPLE)
def test_the_error_of_the_auc_is_delongs_by_all_pairs(people):
    score, won = split(people)
    pairs = (score[won][:, None] > score[~won]) + 0.5 * (score[won][:, None] == score[~won])
    variance = np.var(pairs.mean(1), ddof=1) / won.sum() + np.var(pairs.mean(0), ddof=1) / (~won).sum()
    assert measure_auc_error(tally_scores(score, won)) == pytest.approx(np.sqrt(variance), abs=1e-12)


def test_the_interval_of_the_auc_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(4)
    truth, covered = stats.norm.cdf(1 / np.sqrt(2)), 0
    for _ in range(400):
        won = np.arange(150) < 50
        score = np.round(random.normal(won * 1.0, 1) * 1000).astype(np.int64)
        low, high = measure_auc_interval(tally_scores(score, won))
        covered += low < truth < high
    assert 0.92 <= covered / 400 <= 0.98


def test_where_all_are_told_apart_there_is_no_interval():
    of = tally_scores(np.array([1, 2, 3, 4]), np.array([False, False, True, True]))
    assert (measure_auc(of), measure_auc_interval(of)) == (1.0, None)


@pytest.mark.parametrize("step", [1, 10**9], ids=["close together", "far apart"])
def test_scores_are_counted_the_same_however_far_apart_they_lie(step):
    of = tally_scores(np.array([5, -3, 5, 9]) * step, np.array([True, False, False, True]))
    assert [each.tolist() for each in of] == [[-3 * step, 5 * step, 9 * step], [0, 1, 1], [1, 1, 0]]
    assert [len(each) for each in tally_scores(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))] == [0, 0, 0]


def test_without_won_or_lost_there_is_no_auc():
    of = tally_scores(np.array([1, 2]), np.array([False, False]))
    assert (measure_auc(of), measure_auc_error(of), measure_average_precision(of)) == (None, None, None)


@given(PEOPLE, st.integers(-5, 12))
def test_precision_recall_and_f1_are_those_of_scikit_learn(people, line):
    score, won = split(people)
    above = score >= line * 100
    found = measure_line(above, won)
    peer = peers.precision_recall_fscore_support(won, above, average="binary", zero_division=0)
    assert (found.precision or 0, found.recall or 0, found.f1 or 0) == pytest.approx(peer[:3])
    assert (found.precision is None) == (not above.any())


@given(PEOPLE)
def test_precision_at_k_is_the_mean_over_every_order_of_ties(people):
    score, won = split(people)
    of = tally_scores(score, won)
    draws = np.random.default_rng(1).random((400, len(score)))
    orders = np.argsort(-(score + draws), axis=1)  # scores are whole hundreds
    for count in (1, len(score) // 2, len(score)):
        peer = won[orders[:, :count]].mean()
        assert measure_precision_at(of, count) == pytest.approx(peer, abs=0.15)
    assert measure_precision_at(of, len(score)) == pytest.approx(won.mean())
    assert measure_precision_at(of, len(score) + 1) is None


@given(PEOPLE)
def test_tenths_hold_everybody_once_and_never_divide_a_score(people):
    score, won = split(people)
    found = divide_scores(tally_scores(score, won))
    assert (sum(found.won), sum(found.lost)) == (won.sum(), (~won).sum())
    assert found.number == sorted(found.number)
    assert all(1 <= each <= 10 for each in found.number)
    for first, last, *counts in zip(found.first, found.last, found.won, found.lost, strict=True):
        assert sum(counts) == ((score >= first) & (score <= last)).sum()


def test_ten_scores_are_ten_tenths():
    found = divide_scores(tally_scores(np.arange(100), np.arange(100) >= 90))
    assert found.number == list(range(1, 11))
    assert (found.first[0], found.last[0], found.won[0], sum(found.won)) == (90, 99, 10, 10)


def test_S4_17_precision_recall_and_f1():
    found = count_line(right=30, wrong=20, missed=10)
    assert (f"{found.precision:.3f}", f"{found.recall:.3f}", f"{found.f1:.3f}") == ("0.600", "0.750", "0.667")
    above, won = np.arange(100) < 50, np.arange(100) >= 20
    won[60:] = False  # 30 won above the line, 10 below, 20 lost above
    assert measure_line(above, won) == found


def test_S4_18_auc_and_precision_at_two():
    of = tally_scores(np.array([90, 70, 60, 80, 50, 40, 30]), np.arange(7) < 3)
    assert f"{measure_auc(of):.4f}" == "0.8333"
    assert measure_precision_at(of, 2) == 0.5


def test_ranking_is_that_of_scikit_learn_and_its_interval_that_of_many_samples():
    rng = np.random.default_rng(5)
    won = rng.random(400) < 0.3
    one, other = (won * size + rng.normal(size=400).round(1) for size in (0.8, 1.1))
    found = compare_rankings(one, other, won)
    assert found.now.value == pytest.approx(peers.roc_auc_score(won, one))
    assert found.learned.value == pytest.approx(peers.roc_auc_score(won, other))
    again = []
    for _ in range(400):
        rows = rng.integers(0, 400, 400)
        again.append(peers.roc_auc_score(won[rows], other[rows]) - peers.roc_auc_score(won[rows], one[rows]))
    assert found.gain.high - found.gain.low == pytest.approx(2 * 1.96 * np.std(again), rel=0.15)


@given(PEOPLE, st.randoms(use_true_random=False))
def test_two_rankings_have_the_errors_of_each_and_that_of_their_difference_by_all_pairs(people, luck):
    score, won = split(people)
    other = np.array(luck.choices(range(5), k=len(won))) / 2
    found = compare_rankings(score, other, won)
    pairs = [(each[won][:, None] > each[~won]) + 0.5 * (each[won][:, None] == each[~won]) for each in (score, other)]
    apart = pairs[1] - pairs[0]
    variance = np.var(apart.mean(1), ddof=1) / won.sum() + np.var(apart.mean(0), ddof=1) / (~won).sum()
    assert found.gain.value == pytest.approx(apart.mean(), abs=1e-12)
    assert found.gain.high - found.gain.low == pytest.approx(2 * 1.959964 * np.sqrt(variance), rel=1e-6, abs=1e-7)
    of = tally_scores(score, won)
    auc, error = measure_auc(of), measure_auc_error(of)
    assert found.now == pytest.approx((auc, max(auc - 1.959964 * error, 0), min(auc + 1.959964 * error, 1)), abs=1e-7)
    halves = tally_scores(other, won)
    assert measure_auc(halves) == pytest.approx(peers.roc_auc_score(won, other))
