"""Judged cases made of plain arrays, for tests and benchmarks of what watches over time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from crmsync.config.model import Model
from crmsync.evaluation.cases import LOST, NEVER, OPEN, WON, Group, JudgedCases
from crmsync.evaluation.drift import find_drift
from crmsync.evaluation.silent_rules import RuleDays
from crmsync.reporting.drift import describe_drift
from crmsync.scoring.calendar import DAY
from tests.support.outcomes import make_people, true_log_odds

BANDS = {"cold": {}, "warm": 20, "mql": 50}
HORIZON = 180 * DAY


def judged_of(at: Any, score: Any, won: Any, took: Any = 1, *, source: Any = None, handed: bool = False) -> JudgedCases:
    """People who were judged at `at` (seconds) with a score (points); `won` is 1, 0 or -1, `took` seconds later."""
    at, outcome = np.asarray(at, dtype=np.int64), np.asarray(won).astype(np.int8)
    n, model = len(at), Model(bands=BANDS)
    total = np.round(np.asarray(score, dtype=np.float64) * 100).astype(np.int64)
    never = np.full(n, NEVER, dtype=np.int64)
    texts = ["Web"] * n if source is None else list(source)
    labels = sorted(set(texts))
    return JudgedCases(
        model=model,
        at=at,
        came=at,
        outcome=np.where(outcome == 1, WON, np.where(outcome == 0, LOST, OPEN)).astype(np.int8),
        outcome_at=np.where(outcome < 0, NEVER, at + took),
        value=np.full(n, np.nan),
        milestones={},
        touched=never,
        handed_off=at if handed else never,
        scored_then=never,
        groups={"source": Group(np.array([labels.index(each) for each in texts], dtype=np.int32), labels)},
        names=[f"p{number}" for number in range(n)],
        total=total,
        fit=total,
        behavior=np.zeros(n, dtype=np.int64),
        band=np.searchsorted([2000, 5000], total, side="right").astype(np.int8),
        segment=np.full(n, -1, dtype=np.int16),
        disqualified=np.full(n, -1, dtype=np.int16),
        rules=[],
        points=np.zeros((n, 0), dtype=np.int32),
        fields=[],
        known=np.zeros((n, 0), dtype=np.bool_),
    )


def drift_of(judged: JudgedCases, now: int) -> dict[str, Any]:
    """The document about them."""
    return describe_drift(find_drift(judged, RuleDays(), "mql", UTC, now, HORIZON), judged.model, "mql")


def world_of(count: int, seed: int, card: Any, **how: Any) -> JudgedCases:
    """People of `make_people` who are closed, by the second before their outcome."""
    people = [each for each in make_people(count, seed, card=card, **how) if "outcome" in each]
    at = [int(datetime.fromisoformat(each["outcome_at"]).timestamp()) - 1 for each in people]
    score = [20 + 20 * true_log_odds(each, card) for each in people]
    return judged_of(at, score, [each["outcome"] == "won" for each in people])
