"""Two scores of the same people held against what came of them: ranking, probabilities, and how sure that is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

Z95 = 1.959963984540054
"""Standard errors on either side of a 95 % interval."""


class Interval(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Ranking(NamedTuple):
    """The AUC of two scores, and of the second minus the first."""

    now: Interval
    learned: Interval
    gain: Interval


def rate_interval(hits: int, people: int) -> Interval | None:
    """A share with its Wilson interval; `None` of nobody."""
    if not people:
        return None
    share, z2 = hits / people, Z95**2
    middle = (share + z2 / (2 * people)) / (1 + z2 / people)
    half = Z95 / (1 + z2 / people) * float(np.sqrt(share * (1 - share) / people + z2 / (4 * people**2)))
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0))


def auc_of_scores(scores: Numbers, won: Mask) -> float:
    """The share of pairs of a won and a lost one in which the won one has more; a tie is half a pair."""
    return float(_placements(scores, won)[0].mean())


def compare_rankings(now: Numbers, learned: Numbers, won: Mask) -> Ranking:
    """The AUC of two scores of the same people, and their difference, with intervals by DeLong.

    There must be people of both outcomes.
    """
    first, second = _placements(now, won), _placements(learned, won)
    areas = np.array([first[0].mean(), second[0].mean()])
    covariance = sum(
        np.atleast_2d(np.cov(np.vstack(pair))) / max(len(pair[0]), 1) if len(pair[0]) > 1 else np.full((2, 2), 0.25)
        for pair in zip(first, second, strict=True)
    )
    errors = np.sqrt(np.maximum(np.diag(covariance), 0))
    step = np.array([-1.0, 1.0])
    error = float(np.sqrt(max(step @ covariance @ step, 0)))
    gain = float(areas[1] - areas[0])
    both = [
        Interval(float(area), max(float(area - Z95 * each), 0.0), min(float(area + Z95 * each), 1.0))
        for area, each in zip(areas, errors, strict=True)
    ]
    return Ranking(both[0], both[1], Interval(gain, gain - Z95 * error, gain + Z95 * error))


def _placements(scores: Numbers, won: Mask) -> tuple[Numbers, Numbers]:
    """Of each won one the share of lost ones below, and of each lost one the share of won ones above."""
    good, bad = np.sort(scores[won]), np.sort(scores[~won])
    mine = scores[won]
    below = (np.searchsorted(bad, mine, "left") + np.searchsorted(bad, mine, "right")) / (2 * max(len(bad), 1))
    theirs = scores[~won]
    above = 1 - (np.searchsorted(good, theirs, "left") + np.searchsorted(good, theirs, "right")) / (
        2 * max(len(good), 1)
    )
    return below, above


def brier_of(chances: Numbers, won: Mask) -> float:
    """The mean squared difference between probabilities and outcomes."""
    return float(((chances - won) ** 2).mean())


def brier_gain(now: Numbers, learned: Numbers, won: Mask) -> Interval:
    """By how much the Brier score of the second probabilities is lower than that of the first."""
    each = (now - won) ** 2 - (learned - won) ** 2
    error = float(each.std(ddof=1)) / float(np.sqrt(len(each))) if len(each) > 1 else np.inf
    gain = float(each.mean())
    return Interval(gain, gain - Z95 * error, gain + Z95 * error)


def observed_expected(chances: Numbers, won: Mask) -> Interval:
    """How many were won for each one that was expected to be, with the interval that chance alone explains."""
    expected = float(chances.sum())
    if not expected:
        return Interval(np.nan, np.nan, np.nan)
    error = float(np.sqrt((chances * (1 - chances)).sum()))
    observed = float(won.sum())
    return Interval(
        observed / expected,
        max((observed - Z95 * error) / expected, 0.0),
        (observed + Z95 * error) / expected,
    )
