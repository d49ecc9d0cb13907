"""Logistic curves and what they promise, held against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from sklearn import metrics as peers
from sklearn.linear_model import LogisticRegression

from crmsync.evaluation.calibration import calibrate_score
from crmsync.evaluation.learning.regression import fit_line
from crmsync.evaluation.logistic import fit_counts, fit_curve
from crmsync.evaluation.metrics import tally_scores
from tests.evaluation.test_metrics import PEOPLE, split


@given(PEOPLE)
def test_the_curve_is_the_logistic_regression_of_scikit_learn(people):
    score, won = split(people)
    if len(set(score.tolist())) == 1:
        assert fit_curve(tally_scores(score, won)).chances(score)[0] == pytest.approx(won.mean())
        return
    x = ((score - score.mean()) / score.std()).reshape(-1, 1)
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x, won).predict_proba(x)[:, 1]
    assert fit_curve(tally_scores(score, won)).chances(score) == pytest.approx(peer, abs=1e-5)


def test_counts_of_people_are_fitted_as_single_ones_are():
    random = np.random.default_rng(6)
    parts = random.normal(size=(40, 3))
    many = random.integers(1, 9, 40)
    won = random.binomial(many, 1 / (1 + np.exp(-(parts @ [1.0, -0.5, 0.2] - 0.3))))
    design = np.column_stack([np.ones(40), parts])
    mine, _ = fit_counts(design, many.astype(float), won.astype(float), np.array([1e-9, 2, 2, 2]), np.zeros(4))
    rows, outcome = (
        np.repeat(parts, many, axis=0),
        np.concatenate([np.arange(n) < k for n, k in zip(many, won, strict=True)]),
    )
    peer = LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000).fit(rows, outcome)
    assert mine == pytest.approx([peer.intercept_[0], *peer.coef_[0]], abs=1e-6)


def test_s4_13_a_separable_set_is_told_apart():
    scores = np.arange(100.0)
    won = scores >= 60
    line = fit_line(scores, won)
    assert np.isfinite(line.slope)
    assert line.chances(scores)[won].min() > 0.5 > line.chances(scores)[~won].max()


def test_the_later_half_is_judged_by_what_the_earlier_one_taught():
    random = np.random.default_rng(2)
    score = random.integers(0, 100, 20_000) * 100
    won = random.random(20_000) < 1 / (1 + np.exp(3 - score / 2500))
    at = np.arange(20_000)
    found = calibrate_score(score, won, at)
    assert found.ratio == pytest.approx(1, abs=0.06)
    assert (found.middle, found.fitted, found.tried) == (10_000, 10_000, 10_000)
    chance = found.curve.chances(score[10_000:])
    assert found.brier == pytest.approx(peers.brier_score_loss(won[10_000:], chance))
    assert found.expected == pytest.approx(chance.sum())
    assert found.brier < found.brier_base
    # Twice as many lost later: what was promised came half as often.
    fewer = won & ~((at >= 10_000) & (random.random(20_000) < 0.5))
    assert calibrate_score(score, fewer, at).ratio == pytest.approx(0.5, abs=0.05)


def test_a_half_with_nine_won_says_nothing():
    won = np.zeros(100, dtype=bool)
    won[[*range(9), *range(50, 70)]] = True
    said = calibrate_score(np.arange(100), won, np.arange(100))
    assert said == "the earlier half of the period has 9 won and 41 lost; each needs 10"
    assert calibrate_score(np.arange(0), won[:0], np.arange(0)) == "nobody has an outcome yet"
    same_instant = calibrate_score(np.arange(100), won, np.zeros(100, dtype=np.int64))
    assert same_instant == "the earlier half of the period has 0 won and 0 lost; each needs 10"
