"""How well a score did in one period: its order of people, the slope of what it expects, and the mix of people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.proportions import WIDTH


class Estimate(NamedTuple):
    """A number and its interval of 95 %."""

    value: float
    low: float
    high: float


FEWEST = 5
"""So many won and so many lost there must be before an order or a slope is told of them."""


def measure_order(score: NDArray[np.int64], won: NDArray[np.bool_]) -> Estimate | None:
    """The AUC of a score: how often somebody won has more than somebody lost, a tie being half (DeLong's interval)."""
    hits, misses = int(won.sum()), int((~won).sum())
    if min(hits, misses) < FEWEST:
        return None
    among_all = _middle_ranks(score)
    above = (among_all[won] - _middle_ranks(score[won])) / misses
    below = 1 - (among_all[~won] - _middle_ranks(score[~won])) / hits
    value = float(above.mean())
    half = WIDTH * math.sqrt(float(above.var(ddof=1)) / hits + float(below.var(ddof=1)) / misses)
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def _middle_ranks(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """The place of each from 1, equal ones sharing the middle of theirs."""
    _distinct, which, many = np.unique(values, return_inverse=True, return_counts=True)
    last = many.cumsum()
    middle: NDArray[np.float64] = ((last - many + 1 + last) / 2)[which]
    return middle


def measure_slope(expected: NDArray[np.float64], won: NDArray[np.bool_]) -> Estimate | None:
    """The calibration slope: 1 where log-odds rise as expected (probabilities in 0 to 1), less where they rise less."""
    if min(int(won.sum()), int((~won).sum())) < FEWEST:
        return None
    said = np.clip(expected, 1e-9, 1 - 1e-9)
    log_odds = np.log(said / (1 - said))
    if np.ptp(log_odds) < 1e-9:
        return None
    parts, mean = np.stack([np.ones(len(log_odds)), log_odds], axis=1), np.array([0.0, 1.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(parts @ mean, -30, 30)))
        curve = (parts * (p * (1 - p))[:, None]).T @ parts + np.eye(2) * 1e-9
        step = np.linalg.solve(curve, parts.T @ (won - p))
        mean = mean + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    half = WIDTH * math.sqrt(float(np.linalg.inv(curve)[1, 1]))
    return Estimate(float(mean[1]), float(mean[1]) - half, float(mean[1]) + half)


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
