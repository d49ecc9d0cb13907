"""Where the bands of the learned card begin: as many people as today, or what a capacity or a precision asks for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import Band, Model
from crmsync.config.units import to_hundredths
from crmsync.evaluation.cases import JudgedCases
from crmsync.evaluation.learning.learn import Periods
from crmsync.evaluation.metrics import Mask
from crmsync.evaluation.proportions import Rate, measure_rate

WEEK = 7 * 86_400

FEWEST = 30
"""So many people whose outcome is known a precision is read from."""


class Target(NamedTuple):
    """What the line is set by: people a week, or the share of won ones above it; neither keeps the number of people."""

    line: str | None = None
    capacity: float | None = None
    precision: float | None = None


class BandLimits(NamedTuple):
    """A band with today's and the new limits. `people_now`, `people`: how many reach it; `per_week`: in the later
    period; `precision`: the share of won ones among those of the later period whose outcome is known.
    """

    band: str
    now: Band
    new: Band
    by: str
    people_now: int
    people: int
    per_week: float | None
    precision: Rate
    note: str


def suggest_thresholds(
    model: Model, now: JudgedCases, learned: JudgedCases, periods: Periods, target: Target
) -> list[BandLimits]:
    """The bands from the lowest to the highest; people in segments with bands of their own do not count."""
    own = [number for number, each in enumerate(model.segment) if each.bands]
    counted = (now.disqualified < 0) & ~np.isin(now.segment, own)
    before, after = now.only(counted), learned.only(counted)
    late, weeks = _later(before, now, periods)
    found: list[BandLimits] = []
    for name, band in model.bands.items():
        reached = _reach(band, before, band.at)
        new = _minimums(band, before, after)
        by, note = "people", ""
        if band.at is not None:
            totals = np.sort(after.total[_reach(new, after, None)])
            at = _same_number(totals, int(reached.sum())) if not reached.all() else band.at
            if name == target.line and (target.capacity is not None or target.precision is not None):
                at, by, note = _targeted(target, new, after, late, weeks, at)
            above = found[-1].new.at if found else None
            at = at if above is None else max(at, above + 1)
            drop = None if band.drop_below is None else at - (band.at - band.drop_below)
            new = new.model_copy(update={"at": float(at), "drop_below": drop})
        reaching = _reach(new, after, new.at)
        closed = reaching & late & after.closed
        found.append(
            BandLimits(
                name,
                band,
                new,
                by,
                int(reached.sum()),
                int(reaching.sum()),
                float((reaching & late).sum() / weeks) if weeks else None,
                measure_rate(int((closed & after.won).sum()), int(closed.sum())),
                note,
            )
        )
    return found


def _later(some: JudgedCases, everybody: JudgedCases, periods: Periods) -> tuple[Mask, float]:
    """Who was judged in the later period, and how many weeks it has."""
    at = everybody.at[periods.late]
    if not len(at):
        return np.zeros(len(some), dtype=bool), 0.0
    late: Mask = (some.at >= at.min()) & (some.at <= at.max())
    return late, max(float(at.max() - at.min()) / WEEK, 1.0)


def _reach(band: Band, people: JudgedCases, at: float | None) -> Mask:
    reach = np.ones(len(people), dtype=bool)
    for points, least in ((people.total, at), (people.fit, band.min_fit), (people.behavior, band.min_behavior)):
        if least is not None:
            reach &= points >= to_hundredths(least)
    return reach


def _minimums(band: Band, before: JudgedCases, after: JudgedCases) -> Band:
    """The band with minimums of fit and behavior that as many people have as today."""
    changed = {
        key: float(_same_number(np.sort(new), int((old >= to_hundredths(least)).sum())))
        for key, least, old, new in (
            ("min_fit", band.min_fit, before.fit, after.fit),
            ("min_behavior", band.min_behavior, before.behavior, after.behavior),
        )
        if least is not None
    }
    return band.model_copy(update=changed)


def _same_number(ascending: NDArray[np.int64], wanted: int) -> float:
    """The whole points that the number of people comes closest to `wanted`; the higher of two."""
    cuts = _whole_points(ascending)
    above = len(ascending) - np.searchsorted(ascending, cuts * 100)
    misses = np.abs(above - wanted)
    return float(cuts[len(cuts) - 1 - int(np.argmin(misses[::-1]))])


def _whole_points(ascending: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(ascending):
        return np.zeros(1, dtype=np.int64)
    return np.arange(int(ascending[0]) // 100, int(ascending[-1]) // 100 + 2, dtype=np.int64)


def _targeted(
    target: Target, band: Band, people: JudgedCases, late: Mask, weeks: float, otherwise: float
) -> tuple[float, str, str]:
    """Where the line is as it is asked for, by what, and a note where it cannot be."""
    some = late & _reach(band, people, None)
    totals, order = np.sort(people.total[some]), np.argsort(people.total[some], kind="stable")
    cuts = _whole_points(totals)
    places = np.searchsorted(totals, cuts * 100)
    if target.capacity is not None:
        fits = (len(totals) - places) <= target.capacity * weeks
        return float(cuts[int(np.argmax(fits))]), "capacity", ""
    closed = np.append(0, np.cumsum(people.closed[some][order]))
    won = np.append(0, np.cumsum(people.won[some][order]))
    known, hits = closed[-1] - closed[places], won[-1] - won[places]
    precise = (known >= FEWEST) & (hits >= (target.precision or 0) * known)
    if not precise.any():
        said = f"no line of the later period is that precise with {FEWEST} people above it; kept by number"
        return otherwise, "people", said
    return float(cuts[int(np.argmax(precise))]), "precision", ""
