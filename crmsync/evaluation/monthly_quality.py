"""How well a score did in one period: its order of people, the slope of what it expects, and the mix of people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.logistic import fit_counts
from crmsync.evaluation.metrics import clip_auc, measure_auc, measure_auc_error, tally_scores
from crmsync.evaluation.proportions import Interval, Z

FEWEST = 5
"""So many won and so many lost there must be before an order or a slope is told of them."""


def measure_order(score: NDArray[np.int64], won: NDArray[np.bool_]) -> Interval | None:
    """The AUC of a score: how often somebody won has more than somebody lost, a tie being half (DeLong's interval)."""
    if min(int(won.sum()), int((~won).sum())) < FEWEST:
        return None
    of = tally_scores(score, won)
    return clip_auc(measure_auc(of) or 0.0, measure_auc_error(of) or 0.0)


def measure_slope(expected: NDArray[np.float64], won: NDArray[np.bool_]) -> Interval | None:
    """The calibration slope: 1 where log-odds rise as expected (probabilities in 0 to 1), less where they rise less."""
    if min(int(won.sum()), int((~won).sum())) < FEWEST:
        return None
    said = np.clip(expected, 1e-9, 1 - 1e-9)
    log_odds = np.log(said / (1 - said))
    if np.ptp(log_odds) < 1e-9:
        return None
    parts = np.stack([np.ones(len(log_odds)), log_odds], axis=1)
    nothing, as_expected = np.full(2, 1e-9), np.array([0.0, 1.0])
    weights, curvature = fit_counts(parts, np.ones(len(won)), won.astype(np.float64), nothing, as_expected)
    half = Z * math.sqrt(float(np.linalg.inv(curvature)[1, 1]))
    return Interval(float(weights[1]), float(weights[1]) - half, float(weights[1]) + half)


def measure_mix(before: Sequence[float], now: Sequence[float]) -> float | None:
    """The population stability index (PSI) of two counts of the same groups; `None` where one has nobody.

    A group without anybody counts as half a person, so that the logarithm stays finite.
    """
    old, new = np.asarray(before, dtype=np.float64), np.asarray(now, dtype=np.float64)
    if not old.sum() or not new.sum():
        return None
    there = (old > 0) | (new > 0)
    p, q = (np.where(each == 0, 0.5, each)[there] / each.sum() for each in (old, new))
    return float(((q - p) * np.log(q / p)).sum())
