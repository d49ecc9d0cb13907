"""Rates of two or more groups of people: how sure each is, and whether they differ."""

from __future__ import annotations

import math
from typing import NamedTuple

WIDTH = 1.959963984540054
"""How many standard errors reach from the middle of an interval of 95 % to its ends."""


class RateComparison(NamedTuple):
    """How far two numbers lie apart in standard errors (`z`), and how often chance alone does as much (`p`)."""

    z: float
    p: float


def wilson_interval(hits: int, people: int) -> tuple[float, float]:
    """The interval of 95 % (Wilson) of a rate of `hits` of `people`; of nobody it is 0 to 1."""
    if not people:
        return 0.0, 1.0
    rate, square = hits / people, WIDTH * WIDTH
    middle = rate + square / (2 * people)
    half = WIDTH * math.sqrt(rate * (1 - rate) / people + square / (4 * people * people))
    return max(0.0, (middle - half) / (1 + square / people)), min(1.0, (middle + half) / (1 + square / people))


def compare_rates(hits: int, people: int, other_hits: int, other_people: int) -> RateComparison | None:
    """The first rate against the other one, with one common rate (pooled); `None` where they cannot be compared."""
    if not people or not other_people:
        return None
    common = (hits + other_hits) / (people + other_people)
    spread = math.sqrt(common * (1 - common) * (1 / people + 1 / other_people))
    if not spread:
        return None
    return judge_z((hits / people - other_hits / other_people) / spread)


def judge_z(z: float) -> RateComparison:
    """How often chance alone brings a normal variable as far from 0 as this, on either side."""
    return RateComparison(z, math.erfc(abs(z) / math.sqrt(2)))
