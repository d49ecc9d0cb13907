"""Rates of groups of people: how sure each is, and whether two of them differ."""

from __future__ import annotations

from math import erfc, exp, log, sqrt
from typing import NamedTuple

Z = 1.959963984540054
"""How many standard errors an interval of 95 % reaches to each side."""


class Interval(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Rate(NamedTuple):
    """`part` of `whole`, as a fraction with its 95 % interval (Wilson); all `None` of nobody."""

    rate: float | None
    low: float | None
    high: float | None


class Ratio(NamedTuple):
    """One rate divided by another one, with its 95 % interval; `None` is not known, or without end."""

    ratio: float | None
    low: float | None
    high: float | None


class RateComparison(NamedTuple):
    """How far two numbers lie apart in standard errors (`z`), and how often chance alone does as much (`p`)."""

    z: float
    p: float


def divide_counts(part: int | None, whole: int) -> float | None:
    """A share from 0 to 1; `None` where nobody is there to have one, or the part is not known."""
    return None if part is None or whole <= 0 else part / whole


def wilson_interval(part: int, whole: int) -> tuple[float, float]:
    """The interval of 95 % (Wilson) of the rate `part` of `whole`; of nobody it is 0 to 1."""
    if whole <= 0:
        return 0.0, 1.0
    rate = part / whole
    middle, width = rate + Z * Z / (2 * whole), Z * sqrt(rate * (1 - rate) / whole + Z * Z / (4 * whole * whole))
    scale = 1 + Z * Z / whole
    # At the ends the formula is exact, its floats are not.
    low = 0.0 if part == 0 else max((middle - width) / scale, 0.0)
    high = 1.0 if part == whole else min((middle + width) / scale, 1.0)
    return low, high


def measure_rate(part: int, whole: int) -> Rate:
    """A rate with its interval."""
    return Rate(None, None, None) if whole <= 0 else Rate(part / whole, *wilson_interval(part, whole))


class Conversion(NamedTuple):
    """`people` of whom the outcome is known, `won` of them, and `open` ones besides, who are in no rate."""

    name: str
    people: int
    open: int
    won: int
    rate: float | None
    low: float | None
    high: float | None


def count_conversion(name: str, people: int, still_open: int, won: int) -> Conversion:
    """A conversion with its Wilson interval."""
    return Conversion(name, people, still_open, won, *measure_rate(won, people))


def divide_rates(part: int, whole: int, other: int, whole_other: int) -> Ratio:
    """The rate `part` of `whole` divided by that of `other` of `whole_other`.

    The interval is that of the logarithm (Katz); where one of them is 0, half a person is added to all, and what is
    divided by 0 has no ratio and no upper end.
    """
    if not whole or not whole_other or (not part and not other):
        return Ratio(None, None, None)
    more = 0.0 if part and other else 0.5
    a, n, b, m = part + more, whole + more, other + more, whole_other + more
    middle, width = log(a / n) - log(b / m), Z * sqrt(max(1 / a - 1 / n + 1 / b - 1 / m, 0.0))
    low, high = exp(middle - width), exp(middle + width)
    if not other:
        return Ratio(None, low, None)
    return Ratio((part / whole) / (other / whole_other), low if part else 0.0, high)


def compare_rates(part: int, whole: int, other: int, whole_other: int) -> RateComparison | None:
    """The first rate against the other one, with one common rate (pooled); `None` where they cannot be compared."""
    if not whole or not whole_other:
        return None
    common = (part + other) / (whole + whole_other)
    spread = sqrt(common * (1 - common) * (1 / whole + 1 / whole_other))
    if not spread:
        return None
    return judge_z((part / whole - other / whole_other) / spread)


def judge_z(z: float) -> RateComparison:
    """How often chance alone brings a normal variable as far from 0 as this, on either side."""
    return RateComparison(z, erfc(abs(z) / sqrt(2)))
