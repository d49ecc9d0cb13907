"""Logistic regression that is drawn towards the points of a card instead of towards nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from crmsync.evaluation.logistic import Curve, fit_curve
from crmsync.evaluation.metrics import Floats, Mask, tally_scores

HOLD = 1e9
"""A penalty under which a weight stays where it is drawn to."""


SMALL = 200_000
"""So many products of numbers at a time: for more, the library that multiplies would start threads that wait for each
other wherever the machine has something else to do.
"""


class Fitted(NamedTuple):
    """Log-odds: `weights` (p,), the first that of everybody; `errors` (p,) their standard errors, the penalty
    included; `covariance` (p, p).
    """

    weights: Floats
    errors: Floats
    covariance: Floats


def fit_logistic(design: Floats, won: Mask, center: Floats, penalty: Floats, start: Floats | None = None) -> Fitted:
    """The weights w that minimise −log-likelihood + ½ Σ penalty · (w − center)².

    `design` (n, p) has a first column of ones; `won` (n,); `center` and `penalty` (p,), the penalty of the first
    being 0. scikit-learn's ridge is the case of a center of zeros and one penalty, 1 / C.
    """
    from scipy.optimize import minimize

    problem = _Problem(design, won.astype(np.float64), center, penalty)
    if start is None:
        start = center.copy()
        rate = min(max(float(won.mean()), 1e-6), 1 - 1e-6)
        start[0] = np.log(rate / (1 - rate))
    found = minimize(
        problem.loss,
        start,
        jac=problem.slope,
        hess=problem.curvature,
        method="trust-exact",
        options={"gtol": 1e-7, "maxiter": 100},
    )
    weights = np.asarray(found.x, dtype=np.float64)
    covariance: Floats = np.linalg.pinv(problem.curvature(weights) * len(won), hermitian=True).astype(np.float64)
    return Fitted(weights, np.sqrt(np.maximum(np.diag(covariance), 0)), covariance)


class _Problem:
    """The loss per person with its derivatives; what they share is calculated once for each point."""

    def __init__(self, design: Floats, won: Floats, center: Floats, penalty: Floats) -> None:
        self.won, self.center = won, center
        size = max(SMALL // design.shape[1] ** 2, 1)
        self.parts = [(design[start : start + size], slice(start, start + size)) for start in range(0, len(won), size)]
        self.penalty = penalty / len(won)
        self._at: Floats | None = None
        self._log_odds = self._chance = np.zeros(0)

    def loss(self, weights: Floats) -> float:
        self._go_to(weights)
        lost = np.logaddexp(0, self._log_odds) - self.won * self._log_odds
        return float(lost.mean() + 0.5 * (self.penalty * (weights - self.center) ** 2).sum())

    def slope(self, weights: Floats) -> Floats:
        self._go_to(weights)
        missed = self._chance - self.won
        slope = np.zeros(len(weights))
        for part, rows in self.parts:
            slope += missed[rows] @ part
        return slope / len(self.won) + self.penalty * (weights - self.center)

    def curvature(self, weights: Floats) -> Floats:
        self._go_to(weights)
        spread = np.sqrt(self._chance * (1 - self._chance) / len(self.won))
        curvature = np.zeros((len(weights), len(weights)))
        for part, rows in self.parts:
            scaled = part * spread[rows, None]
            curvature += scaled.T @ scaled
        curvature[np.diag_indices_from(curvature)] += self.penalty
        return curvature

    def _go_to(self, weights: Floats) -> None:
        from scipy.special import expit

        if self._at is None or not np.array_equal(self._at, weights):
            self._at = weights.copy()
            self._log_odds = np.concatenate([part @ weights for part, _rows in self.parts])
            self._chance = expit(self._log_odds)


def fit_line(scores: Floats, won: Mask) -> Curve:
    """The calibration of a score: what it says in log-odds."""
    # So little a penalty only keeps a score that tells everything from an infinite slope.
    return fit_curve(tally_scores(scores, won), 0.1)


def measure_losses(design: Floats, won: Mask, weights: Floats) -> Floats:
    """−log-likelihood of each person (n,)."""
    log_odds = design @ weights
    loss: Floats = np.logaddexp(0, log_odds) - won * log_odds
    return loss
