"""How well a score tells the won from the lost: rates with intervals, and measures of ranking."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""How many standard errors an interval of 95 % reaches to each side."""

ENOUGH = 10
"""Fewer won, or fewer lost, say nothing of a ranking."""

Floats = NDArray[np.float64]


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


class Tally(NamedTuple):
    """Won and lost people by score: `score` (s,) ascending and distinct, `won` and `lost` (s,) how many have it."""

    score: NDArray[np.int64]
    won: Floats
    lost: Floats


def measure_rate(part: int, whole: int) -> Rate:
    """A rate with its Wilson interval."""
    if whole <= 0:
        return Rate(None, None, None)
    rate = part / whole
    middle, width = rate + Z * Z / (2 * whole), Z * sqrt(rate * (1 - rate) / whole + Z * Z / (4 * whole * whole))
    scale = 1 + Z * Z / whole
    # At the ends the formula is exact, its floats are not.
    low = 0.0 if part == 0 else max((middle - width) / scale, 0.0)
    high = 1.0 if part == whole else min((middle + width) / scale, 1.0)
    return Rate(rate, low, high)


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


def tally_scores(score: NDArray[np.integer[Any]], won: NDArray[np.bool_]) -> Tally:
    """Count the won and the lost by score; `score` and `won` (n,) are those of people whose outcome is known."""
    low = int(score.min(initial=0))
    if int(score.max(initial=0)) - low > 4 * len(score) + 1_024:
        values, place = np.unique(score, return_inverse=True)
    else:  # a place for each score between the lowest and the highest: nothing needs to be sorted
        place = (score - low).astype(np.int64)
        values = np.arange(low, low + int(place.max(initial=-1)) + 1)
    everybody = np.bincount(place, minlength=len(values)).astype(np.float64)
    theirs = np.bincount(place[won], minlength=len(values)).astype(np.float64)
    there = np.flatnonzero(everybody)
    return Tally(values[there].astype(np.int64), theirs[there], everybody[there] - theirs[there])


def measure_auc(of: Tally) -> float | None:
    """How often a won person has a higher score than a lost one, ties counting half; `None` without both."""
    won, lost = of.won.sum(), of.lost.sum()
    if not won or not lost:
        return None
    below = np.cumsum(of.lost) - of.lost
    return float((of.won * (below + of.lost / 2)).sum() / (won * lost))


def measure_auc_error(of: Tally) -> float | None:
    """The standard error of the AUC by DeLong, DeLong and Clarke-Pearson; `None` with fewer than two of either."""
    won, lost = of.won.sum(), of.lost.sum()
    if won < 2 or lost < 2:
        return None
    beaten = (np.cumsum(of.lost) - of.lost / 2) / lost
    above = (won - np.cumsum(of.won) + of.won / 2) / won
    return sqrt(_variance(beaten, of.won) / won + _variance(above, of.lost) / lost)


def _variance(values: Floats, times: Floats) -> float:
    count = times.sum()
    mean = (values * times).sum() / count
    return float((times * (values - mean) ** 2).sum() / (count - 1))


def measure_auc_interval(of: Tally) -> tuple[float, float] | None:
    """The 95 % interval of the AUC, on the scale of its log odds; `None` where all are told apart, or too few there."""
    auc, error = measure_auc(of), measure_auc_error(of)
    if auc is None or not error or not 0 < auc < 1:
        return None
    middle, width = log(auc / (1 - auc)), Z * error / (auc * (1 - auc))
    return 1 / (1 + exp(width - middle)), 1 / (1 + exp(-middle - width))


def measure_average_precision(of: Tally) -> float | None:
    """The mean of the precision at each won person, from the highest score down; `None` without a won one."""
    won = of.won[::-1]
    if not won.sum():
        return None
    taken, all_taken = np.cumsum(won), np.cumsum(won + of.lost[::-1])
    return float((won / won.sum() * (taken / all_taken)).sum())


class AtLine(NamedTuple):
    """What a line does: `right` were won above it, `wrong` lost above it, `missed` won below it."""

    right: int
    wrong: int
    missed: int
    precision: float | None
    recall: float | None
    f1: float | None


def measure_line(above: NDArray[np.bool_], won: NDArray[np.bool_]) -> AtLine:
    """Precision, recall and F1 of a line, where `above` (n,) says who is at or over it; of people with an outcome."""
    right = int((above & won).sum())
    return count_line(right, int(above.sum()) - right, int(won.sum()) - right)


def count_line(right: int, wrong: int, missed: int) -> AtLine:
    """The same from counts."""
    precision = right / (right + wrong) if right + wrong else None
    recall = right / (right + missed) if right + missed else None
    f1 = 2 * right / (2 * right + wrong + missed) if right + wrong + missed else None
    return AtLine(right, wrong, missed, precision, recall, f1)


def measure_precision_at(of: Tally, count: int) -> float | None:
    """The share of won people among the `count` with the highest scores; of a tie at the end its mean.

    `None` where there are fewer people.
    """
    won, everybody = of.won[::-1], (of.won + of.lost)[::-1]
    if count < 1 or count > everybody.sum():
        return None
    before = np.cumsum(everybody) - everybody
    taken = np.clip(count - before, 0, everybody)
    return float((won * taken / everybody).sum() / count)


class Deciles(NamedTuple):
    """People by tenths of the scores, the highest tenth first: scores from and to, and counts, each (d,).

    People of one score are in one tenth, so there may be fewer than ten, and they are not equally large.
    """

    number: list[int]
    first: list[int]
    last: list[int]
    won: list[int]
    lost: list[int]


def divide_scores(of: Tally) -> Deciles:
    """Tenths of the people by score."""
    everybody = of.won + of.lost
    if not len(everybody):
        return Deciles([], [], [], [], [])
    tenth = ((np.cumsum(everybody) - everybody / 2) * 10 / everybody.sum()).astype(int)
    numbers, start = np.unique(tenth, return_index=True)
    end = np.append(start[1:], len(tenth)) - 1
    won, lost = (np.add.reduceat(each, start) for each in (of.won, of.lost))
    order = slice(None, None, -1)
    return Deciles(
        (10 - numbers[order]).tolist(),
        of.score[start][order].tolist(),
        of.score[end][order].tolist(),
        won[order].astype(int).tolist(),
        lost[order].astype(int).tolist(),
    )
