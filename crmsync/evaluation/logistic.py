"""Logistic curves: probabilities whose log odds are a sum of parts, fitted to counts of people."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.metrics import Floats, Tally


class Curve(NamedTuple):
    """A probability by score: its log odds are `intercept + slope * score`."""

    intercept: float
    slope: float

    def chances(self, score: NDArray[Any]) -> Floats:
        """The probability of each score (n,)."""
        return to_chances(self.intercept + self.slope * score)


def to_chances(log_odds: Floats) -> Floats:
    """The probabilities of log odds; none is exactly 0 or 1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))


def fit_counts(parts: Floats, many: Floats, won: Floats, hold: Floats, start: Floats) -> tuple[Floats, Floats]:
    """The weights w (k,) that maximise the log-likelihood less ½ Σ hold · w², and the curvature (k, k) there.

    `parts` (n, k); `many` and `won` (n,) people of each row; `hold` (k,) above 0, so that there is an end where the
    parts tell all apart. By Newton's method: the sum is convex, and from `start` it takes a handful of steps.
    """
    weights = start
    for _ in range(50):
        chance = to_chances(parts @ weights)
        curvature = (parts * (many * chance * (1 - chance))[:, None]).T @ parts + np.diag(hold)
        step = np.linalg.solve(curvature, parts.T @ (won - many * chance) - hold * weights)
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(weights), np.asarray(curvature)


def fit_curve(of: Tally, penalty: float = 1.0) -> Curve:
    """Logistic regression of the outcome on the score, as scikit-learn's with C = 1 ÷ `penalty` on the score divided
    by its deviation: it has an end where the scores tell all apart.

    Without won or lost people, or where all have one score, it is flat at the rate.
    """
    everybody = of.won + of.lost
    count, won = float(everybody.sum()), float(of.won.sum())
    mean = float((of.score * everybody).sum() / max(count, 1))
    spread = float(np.sqrt((everybody * (of.score - mean) ** 2).sum() / max(count, 1)))
    is_flat = not 0 < won < count or spread < 1e-9
    # A rate of 0 or 1 has no log odds; half a person more on each side.
    share = won / count if 0 < won < count else (won + 0.5) / (count + 1)
    level = float(np.log(share / (1 - share)))
    if is_flat:
        return Curve(level, 0.0)
    parts = np.stack([np.ones(len(everybody)), (of.score - mean) / spread], axis=1)
    weights, _ = fit_counts(parts, everybody, of.won, np.array([1e-9, penalty]), np.array([level, 0.0]))
    intercept, slope = weights.tolist()
    return Curve(intercept - slope * mean / spread, slope / spread)
