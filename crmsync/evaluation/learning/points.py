"""Points that a person can read, out of log-odds: whole, of at most two digits, on the scale of today's card."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from crmsync.evaluation.learning.regression import Fitted, fit_line
from crmsync.evaluation.metrics import Floats, Mask
from crmsync.evaluation.proportions import Z

MOST = 99
"""The most points of a rule: two digits."""

FINER = (1, 2, 5, 10)
"""How many times the scale may grow so that whole points say what was learned."""

LOSS = 0.002
"""The share of the log-likelihood that rounding may cost."""

FIRST_SPREAD = 15.0
"""The spread of totals where today's card has none."""


class Points(NamedTuple):
    """`points` (p,): whole ones, 0 where nothing is known of a rule; `low`, `high` (p,): their 95 % interval."""

    points: Floats
    low: Floats
    high: Floats
    unit: float


def round_weights(fitted: Fitted, doses: Floats, won: Mask, today: Floats, held: Mask) -> Points:
    """Points for each column of `doses` (n, p); `today` (p,) are those of today, 0 for a new question.

    Those that are `held` stay. The spread of the totals stays that of today's, unless whole points would be too coarse.
    """
    weights, errors = fitted.weights[1:], fitted.errors[1:]
    unit = find_unit(fitted, doses, today)
    exact = _mean_loss(doses @ weights, won)
    found: list[Points] = []
    for finer in FINER:
        rounded = _round(weights * finer / unit, today, held, errors * finer / unit)
        if found and np.abs(rounded[~held]).max(initial=0) > MOST:
            break
        found.append(Points(rounded, *_interval(weights, errors, unit / finer), unit / finer))
        # What is held does not grow with the scale.
        if held.any() or _mean_loss(doses @ rounded, won) <= exact * (1 + LOSS):
            break
    return found[-1]


def find_unit(fitted: Fitted, doses: Floats, today: Floats) -> float:
    """The log-odds of one point, such that totals spread as today's do and no rule has more than `MOST` points."""
    weights = fitted.weights[1:]
    learned = float((doses @ weights).std())
    wanted = float((doses @ today).std()) or FIRST_SPREAD
    return max(learned / wanted, float(np.abs(weights).max(initial=0)) / MOST, 1e-12)


def _round(exact: Floats, today: Floats, held: Mask, errors: Floats) -> Floats:
    """Whole points. A rule of today's keeps at least one point, and its sign unless the data speak against it."""
    rounded = np.rint(exact)
    sure = np.abs(exact) > Z * errors
    least = np.where(sure | (today == 0), np.sign(exact), np.sign(today))
    against = (today != 0) & (np.sign(rounded) != np.sign(today)) & ~sure
    rounded = np.where((today != 0) & ((rounded == 0) | against), least, rounded)
    return np.where(held, today, rounded)


def _interval(weights: Floats, errors: Floats, unit: float) -> tuple[Floats, Floats]:
    return (weights - Z * errors) / unit, (weights + Z * errors) / unit


def _mean_loss(scores: Floats, won: Mask) -> float:
    line = fit_line(scores, won)
    log_odds = line.intercept + line.slope * scores
    return float((np.logaddexp(0, log_odds) - won * log_odds).mean())
