"""What is printed of a card that was learned from outcomes."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.shared import EXACTLY, Points


@with_config(EXACTLY)
class LearnedNumber(TypedDict):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@with_config(EXACTLY)
class LearnedRuleDocument(TypedDict):
    """A rule: `points_now` (`null` for a new one), `points` with their interval `low` to `high`, and how many people
    got points by it and were won; `rate` with its Wilson interval. Without a learned card `points` are those of today.
    """

    name: str
    points_now: Points | None
    points: Points
    low: float | None
    high: float | None
    people: int
    won: int
    rate: float | None
    rate_low: float | None
    rate_high: float | None
    note: str


LaterPeriod = TypedDict(
    "LaterPeriod",
    {
        "from": str,
        "until": str,
        "people": int,
        "won": int,
        "lost": int,
        "auc_now": LearnedNumber,
        "auc_learned": LearnedNumber,
        "gain": LearnedNumber,
        "brier_now": float,
        "brier_learned": float,
        "observed_expected": LearnedNumber,
    },
)
"""The later people, of whom nothing was learned: `gain` is `auc_learned` − `auc_now` of the same people.

Brier scores are of probabilities that were calibrated in the earlier period. The interval of `observed_expected` is
what chance alone would explain.
"""


@with_config(EXACTLY)
class LeakDocument(TypedDict):
    """A field, or a value or rule of it, that tells the outcome and was left out."""

    kind: Literal["missing", "separates", "alone", "changed"]
    name: str
    field: str
    people: int
    won: int
    why: str


@with_config(EXACTLY)
class ThresholdDocument(TypedDict):
    """Where a band begins. `per_week` people reach it in the later period, `precision` of whom were won."""

    band: str
    at_now: Points | None
    at: Points | None
    min_fit_now: Points | None
    min_fit: Points | None
    min_behavior_now: Points | None
    min_behavior: Points | None
    people_now: int
    people: int
    by: Literal["people", "capacity", "precision"]
    per_week: float | None
    precision: LearnedNumber | None
    note: str


@with_config(EXACTLY)
class HalfLifeDocument(TypedDict):
    """A rule's half-life in days; an end of the interval outside of what was tried is `null`."""

    rule: str
    days_now: int | None
    days: int
    low: float | None
    high: float | None
    people: int
    suggested: bool
    note: str


@with_config(EXACTLY)
class LearnedCalibration(TypedDict):
    """Log-odds of being won: `intercept` + `slope` · score, by the learned card."""

    intercept: float
    slope: float


@with_config(EXACTLY)
class LearnDocument(TypedDict):
    """`crmsync learn`. Without enough people there is no `later_period`, and without a learned card no `patch`.

    `forecast` is the sum of the calibrated probabilities of `open` people by the learned card.
    """

    verdict: Literal["better", "no_better", "not_enough"]
    why: str
    people: int
    won: int
    lost: int
    open: int
    disqualified: int
    patch: str
    written: str | None
    auc_now: float | None
    auc_learned: float | None
    later_period: LaterPeriod | None
    rules: list[LearnedRuleDocument]
    leaks: list[LeakDocument]
    thresholds: list[ThresholdDocument]
    half_lives: list[HalfLifeDocument]
    calibration: LearnedCalibration | None
    forecast: float | None
    notes: list[str]
    problems: list[str]
    warnings: list[str]
