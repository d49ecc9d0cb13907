"""What a score means as a probability, and how well that holds for people whom it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.logistic import Curve, fit_curve
from crmsync.evaluation.metrics import ENOUGH, Floats, tally_scores
from crmsync.evaluation.proportions import Interval, Z


@dataclass(frozen=True)
class CalibrationResult:
    """What the earlier half promised of the later one.

    `middle`: the instant that divides them (seconds). `fitted`, `tried`: how many people each half has. `observed` and
    `expected`: won people of the later half. `brier`: the mean square of what the probabilities were wrong by, and
    `brier_base` that of saying the earlier half's rate of everybody. `later` (n,): who, of the closed, is in it.
    """

    curve: Curve
    middle: int
    fitted: int
    tried: int
    observed: int
    expected: float
    brier: float
    brier_base: float
    later: NDArray[np.bool_]

    @property
    def ratio(self) -> float:
        """Observed ÷ expected."""
        return self.observed / self.expected


def calibrate_score(total: NDArray[np.int64], won: NDArray[np.bool_], at: NDArray[np.int64]) -> CalibrationResult | str:
    """Fit the earlier half of people with an outcome by the instant of judgement (`at`) and try the later half.

    All (n,). Returns a sentence where a half has fewer than ten won or lost.
    """
    if not len(at):
        return "nobody has an outcome yet"
    # People of one instant stay together.
    middle = int(np.partition(at, len(at) // 2)[len(at) // 2])
    later: NDArray[np.bool_] = at >= middle
    for half, name in ((~later, "earlier"), (later, "later")):
        count = int((won & half).sum()), int((~won & half).sum())
        if min(count) < ENOUGH:
            return f"the {name} half of the period has {count[0]:,} won and {count[1]:,} lost; each needs {ENOUGH}"
    curve = fit_curve(tally_scores(total[~later], won[~later]))
    chance, came = curve.chances(total[later]), won[later]
    return CalibrationResult(
        curve=curve,
        middle=middle,
        fitted=int((~later).sum()),
        tried=int(later.sum()),
        observed=int(came.sum()),
        expected=float(chance.sum()),
        brier=measure_brier(chance, came),
        brier_base=measure_brier(np.full(len(came), won[~later].mean()), came),
        later=later,
    )


def measure_brier(chances: Floats, won: NDArray[np.bool_]) -> float:
    """The mean squared difference between probabilities and outcomes."""
    return float(((chances - won) ** 2).mean())


def compare_briers(now: Floats, learned: Floats, won: NDArray[np.bool_]) -> Interval:
    """By how much the Brier score of the second probabilities is lower than that of the first."""
    each = (now - won) ** 2 - (learned - won) ** 2
    error = float(each.std(ddof=1)) / float(np.sqrt(len(each))) if len(each) > 1 else np.inf
    gain = float(each.mean())
    return Interval(gain, gain - Z * error, gain + Z * error)


def divide_by_expected(chances: Floats, won: NDArray[np.bool_]) -> Interval:
    """How many were won for each one that was expected to be, with the interval that chance alone explains."""
    expected = float(chances.sum())
    if not expected:
        return Interval(np.nan, np.nan, np.nan)
    error = float(np.sqrt((chances * (1 - chances)).sum()))
    observed = float(won.sum())
    return Interval(
        observed / expected,
        max((observed - Z * error) / expected, 0.0),
        (observed + Z * error) / expected,
    )
