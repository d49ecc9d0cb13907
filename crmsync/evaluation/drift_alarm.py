"""The drift alarm: whether fewer or more people are won than their scores and the season say, watched day by day."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.expected_rates import Days, Expectation, fit_expectation
from crmsync.evaluation.metrics import Floats
from crmsync.evaluation.months import begin_months
from crmsync.evaluation.proportions import RateComparison, judge_z

WINDOWS = (30, 90)
"""Days that are looked at together, each day anew: a break shows in the short ones, a slow slide in the long ones."""

FALL, RISE = 3.6, 3.85
"""Standard errors at which the alarm fires: so far down or up come 730 days of chance alone, looked at each day in both
windows, in about 3 of 100 (`benchmarks/drift.py`). One look at one month would need 2 for as much.
"""

WATCHED = 730
"""So many of the last days are watched; those before are only held against."""

WON_BEFORE, DAYS_BEFORE, PEOPLE_IN_WINDOW = 50, 90, 20
"""What must be there before anything is expected, and how many people a window must have."""

STEADY = 24
"""So many months without more than chance are assumed beside those that were seen."""


class Month(NamedTuple):
    """A month that was held against all before it: its days from `first` to before `end` (days since 1970)."""

    first: int
    end: int
    expectation: Expectation | None


class Alarm(NamedTuple):
    """That the rate left what was expected: `since` about when, `fired` on which day that could be told (since 1970).

    `observed` of `people` from `since` to `fired`, where `expected` were to be won.
    """

    since: int
    fired: int
    people: int
    observed: int
    expected: float
    comparison: RateComparison


def watch_days(days: Days) -> tuple[list[Month], list[Alarm]]:
    """Each month with what was expected of it, and every alarm.

    Of each month, what is to be expected is told by the people before it; a window is held against what the month in
    which it begins is. After an alarm, the new rate is what further ones are held against; the months are not.
    """
    end = days.first + len(days.people)
    begins = [*begin_months(days.first, end), end]
    alarms: list[Alarm] = []
    months = _expect_months(days, begins, ())
    held = months
    while (found := _find_alarm(days, held, alarms[-1] if alarms else None)) is not None:
        alarms.append(found)
        held = _expect_months(days, begins, tuple(each.since for each in alarms))
    return months, alarms


def _expect_months(days: Days, begins: list[int], changes: tuple[int, ...]) -> list[Month]:
    months: list[Month] = []
    before = days.won.sum(axis=1).cumsum()
    cuts = sorted({*begins, *changes})
    fitted: Expectation | None = None
    for first, end in pairwise(cuts):
        elapsed = first - days.first
        if elapsed < DAYS_BEFORE or before[elapsed - 1] < WON_BEFORE:
            months.append(Month(max(first, days.first), end, None))
            continue
        known = tuple(each for each in changes if each <= first)
        fitted = fit_expectation(days, first, known, fitted)
        months.append(Month(first, end, fitted))
    return months


class _Window(NamedTuple):
    """A window that ends on day `end` inclusive; `z` its distance in standard errors."""

    begin: int
    end: int
    z: float


def _find_alarm(days: Days, months: list[Month], last: Alarm | None) -> Alarm | None:
    """The first alarm after the last one."""
    end = days.first + len(days.people)
    begun, excess = end - WATCHED, 0.0
    first: tuple[_Window, Expectation] | None = None
    won, people = (np.concatenate([[0.0], each.sum(axis=1).cumsum()]) for each in (days.won, days.people))
    tested = 0
    for month in months:
        if month.expectation is None or (last is not None and month.first < last.since):
            continue
        reach = min(month.end + max(WINDOWS), end)
        expected, chance, slope = (
            np.concatenate([np.zeros((1, *each.shape[1:])), each.cumsum(axis=0)])
            for each in month.expectation.of_days(days, month.first, reach)
        )
        spread = max(1.0, (STEADY + excess) / (STEADY + tested)) ** 0.5
        for length in WINDOWS:
            starts = np.arange(month.first, min(month.end, end - length + 1))
            if not len(starts):
                continue
            a, b = starts - month.first, starts - month.first + length
            z = (
                standardise(
                    won[starts - days.first + length] - won[starts - days.first],
                    expected[b] - expected[a],
                    chance[b] - chance[a],
                    slope[b] - slope[a],
                    month.expectation.spread,
                )
                / spread
            )
            many = people[starts - days.first + length] - people[starts - days.first]
            ends = starts + length - 1
            fires = (many >= PEOPLE_IN_WINDOW) & (ends >= begun) & ((z <= -FALL) | (z >= RISE))
            if last is not None:
                fires &= ends > last.fired
            if fires.any():
                at = int(np.argmax(fires))
                if first is None or ends[at] < first[0].end:
                    first = _Window(int(starts[at]), int(ends[at]), float(z[at])), month.expectation
        size = min(month.end, end) - month.first
        once = standardise(
            np.array([won[month.first - days.first + size] - won[month.first - days.first]]),
            expected[size : size + 1],
            chance[size : size + 1],
            slope[size : size + 1],
            month.expectation.spread,
        )
        excess, tested = excess + float(once[0]) ** 2, tested + 1
    return None if first is None else _describe_alarm(days, *first, last)


def _describe_alarm(days: Days, window: _Window, expectation: Expectation, last: Alarm | None) -> Alarm:
    """When it most likely began: the start from which on the days up to the alarm say so most clearly."""
    earliest = max(days.first, window.end - 2 * max(WINDOWS), last.since + 1 if last else 0)
    expected, chance, slope = expectation.of_days(days, earliest, window.end + 1)
    here = slice(earliest - days.first, window.end + 1 - days.first)
    back = [each[::-1].cumsum(axis=0)[::-1] for each in (days.won[here].sum(axis=1), expected, chance, slope)]
    won, expected, chance, slope = back
    z = standardise(won, expected, chance, slope, expectation.spread) * np.sign(window.z)
    # A few last days alone are chance; a window says so with its whole length.
    at = int(np.argmax(z[: max(len(z) - 6, 1)]))
    observed, among = days.won[here][at:].sum(), days.people[here][at:].sum()
    return Alarm(earliest + at, window.end, int(among), int(observed), float(expected[at]), judge_z(window.z))


def standardise(won: Floats, expected: Floats, chance: Floats, slope: Floats, spread: Floats) -> NDArray[np.float64]:
    """How many standard errors `won` (n,) is from `expected` (n,), with the error of the expectation itself.

    The signed root of the deviance, half a person nearer to what was expected: unlike a plain difference, it tells the
    ends of small numbers rightly.
    """
    expected = np.maximum(expected, 1e-9)
    chance = np.maximum(chance, 1e-9)
    away = won - expected
    near = expected + np.sign(away) * np.maximum(np.abs(away) - 0.5, 0)
    share = np.clip(1 - chance / expected, 1e-9, 1 - 1e-9)
    size = np.maximum(expected / share, np.maximum(near, expected) + 1e-9)
    left = size - near
    with np.errstate(divide="ignore", invalid="ignore"):
        hits = np.where(near > 0, near * np.log(np.maximum(near, 1e-300) / expected), 0.0)
        rest = np.where(left > 0, left * np.log(np.maximum(left, 1e-300) / (size - expected)), 0.0)
    root = np.sign(away) * np.sqrt(np.maximum(2 * (hits + rest), 0))
    own = np.einsum("ni,ij,nj->n", slope, spread, slope)
    return np.asarray(root * np.sqrt(chance / (chance + own)))
