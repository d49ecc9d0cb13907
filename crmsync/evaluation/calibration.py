"""What a score means as a probability: fitted on the earlier half of a period, tried on the later half."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.metrics import ENOUGH, Floats, Tally, tally_scores


class Curve(NamedTuple):
    """A probability by score: its log odds are `start + slope * score`, scores in hundredths."""

    start: float
    slope: float

    def chances(self, score: NDArray[np.int64]) -> Floats:
        """The probability of each score (n,)."""
        odds: Floats = np.clip(self.start + self.slope * score, -500, 500)
        chances: Floats = 1 / (1 + np.exp(-odds))
        return chances


def fit_curve(of: Tally) -> Curve:
    """Logistic regression of the outcome on the score, penalised as by one more observation (C = 1 on the score
    divided by its deviation), so that it has an end where the scores tell all apart.

    Without won or lost people, or where all have one score, it is flat at the rate.
    """
    everybody = of.won + of.lost
    count, won = everybody.sum(), of.won.sum()
    mean = float((of.score * everybody).sum() / max(count, 1))
    spread = float(np.sqrt((everybody * (of.score - mean) ** 2).sum() / max(count, 1)))
    if not 0 < won < count or spread < 1e-9:
        # A rate of 0 or 1 has no log odds; half a person more on each side.
        share = won / count if 0 < won < count else (won + 0.5) / (count + 1)
        return Curve(float(np.log(share / (1 - share))), 0.0)
    x = (of.score - mean) / spread
    # By Newton's method: the sum is convex, and from the rate it takes a handful of steps.
    start, slope = float(np.log(won / (count - won))), 0.0
    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(start + slope * x, -500, 500)))
        error, weight = of.won - everybody * chance, everybody * chance * (1 - chance)
        gradient = np.array([error.sum(), (error * x).sum() - slope])
        bend = np.array([[weight.sum(), (weight * x).sum()], [(weight * x).sum(), (weight * x * x).sum() + 1.0]])
        step = np.linalg.solve(bend + 1e-12 * np.eye(2), gradient)
        step *= min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-300))
        start, slope = start + float(step[0]), slope + float(step[1])
        if float(np.abs(step).max()) < 1e-10:
            break
    return Curve(start - slope * mean / spread, slope / spread)


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
    came, base = tally_scores(total[later], won[later]), float(won[~later].mean())
    return CalibrationResult(
        curve=curve,
        middle=middle,
        fitted=int((~later).sum()),
        tried=int(later.sum()),
        observed=int(came.won.sum()),
        expected=float((curve.chances(came.score) * (came.won + came.lost)).sum()),
        brier=_brier(came, curve.chances(came.score)),
        brier_base=_brier(came, np.full(len(came.score), base)),
        later=later,
    )


def _brier(of: Tally, chance: Floats) -> float:
    wrong = (of.won * (1 - chance) ** 2 + of.lost * chance**2).sum()
    return float(wrong / (of.won + of.lost).sum())
