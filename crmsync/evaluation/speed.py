"""How soon people were contacted and won, and what that had to do with the outcome."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.cases import NEVER, JudgedCases
from crmsync.evaluation.proportions import Conversion, count_conversion
from crmsync.scoring.calendar import DAY

LIMITS = (("5 minutes", 300), ("1 hour", 3_600), ("4 hours", 14_400), ("1 day", DAY), ("3 days", 3 * DAY))
"""How soon: names, and seconds."""


class ContactSpeed(NamedTuple):
    """How soon those who were handed over were contacted, by the clock: minutes from hand-off to first touch."""

    handed_over: int
    touched: int
    median_minutes: float | None
    buckets: list[Conversion]


def measure_speed_to_lead(judged: JudgedCases) -> ContactSpeed:
    """The speed to lead, and conversion by it."""
    handed = judged.handed_off != NEVER
    took = judged.touched - judged.handed_off
    touched = handed & (judged.touched != NEVER) & (took >= 0)
    buckets, low, before = [], -1, ""
    for name, limit in LIMITS:
        spelled = f"{before} to {name}" if before else f"up to {name}"
        buckets.append(_count_bucket(spelled, judged, touched & (took > low) & (took <= limit)))
        low, before = limit, name
    buckets.append(_count_bucket(f"more than {before}", judged, touched & (took > low)))
    buckets.append(_count_bucket("no touch known", judged, handed & ~touched))
    median = float(np.median(took[touched])) / 60 if touched.any() else None
    return ContactSpeed(int(handed.sum()), int(touched.sum()), median, buckets)


def measure_sla(judged: JudgedCases, within: timedelta, now: int) -> list[Conversion]:
    """Conversion of those contacted within the limit and after it, by the clock; who may still be is in neither."""
    handed, limit = judged.handed_off != NEVER, int(within.total_seconds())
    took = judged.touched - judged.handed_off
    touched = handed & (judged.touched != NEVER) & (took >= 0)
    is_late = (touched & (took > limit)) | (handed & ~touched & (now - judged.handed_off > limit))
    return [_count_bucket("within", judged, touched & (took <= limit)), _count_bucket("breached", judged, is_late)]


def _count_bucket(name: str, judged: JudgedCases, which: NDArray[np.bool_]) -> Conversion:
    people, won = int((which & judged.closed).sum()), int((which & judged.won).sum())
    return count_conversion(name, people, int(which.sum()) - people, won)


class Cycle(NamedTuple):
    """How long it took: the median of days, and of how many people."""

    people: int
    median_days: float | None


def measure_cycle(start: NDArray[np.int64], end: NDArray[np.int64], which: NDArray[np.bool_]) -> Cycle:
    """Days between two instants (n,) of some people, where both are known."""
    both = which & (start != NEVER) & (end != NEVER)
    if not both.any():
        return Cycle(0, None)
    return Cycle(int(both.sum()), float(np.median(end[both] - start[both])) / DAY)
