"""The ledger: every line that goes into a score, in whole hundredths, so that the lines sum to it by construction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import Limit
from crmsync.config.units import to_hundredths

Sort = Literal["rule", "decay", "cap", "group", "channel", "clamp", "weight", "rounding", "learned"]
Points = NDArray[np.int64]
NarrowPoints = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """One line: what it is called, the axis it counts for, its sort, and the rule, group or channel behind it."""

    name: str
    axis: Literal["fit", "behavior", "total"]
    sort: Sort
    about: str


@dataclass(frozen=True)
class Scores:
    """The scores of `n` people and every line that led to them; points in hundredths.

    `points`: for each line n numbers. `fit`, `behavior`, `total` are the written scores. `band`, `grade`, `level`,
    `segment`, `disqualified` (n,) are indexes into the model's names, -1 for none; `reach` is the band that the points
    alone would give. `qualified` is 0 no, 1 unknown, 2 yes. `due` (n,): seconds since 1970 at which time alone next
    changes something. `channels`: sub-scores by name. `warnings` are sentences.
    """

    people: NDArray[np.int64]
    lines: Sequence[Line]
    points: Sequence[NarrowPoints]
    fit: Points
    behavior: Points
    total: Points
    band: NDArray[np.int8]
    reach: NDArray[np.int8]
    grade: NDArray[np.int8]
    level: NDArray[np.int8]
    segment: NDArray[np.int16]
    disqualified: NDArray[np.int16]
    qualified: NDArray[np.int8]
    due: Points
    channels: Mapping[str, Points]
    warnings: Sequence[str]


def join_scores(parts: Sequence[Scores], every: Callable[..., Iterable[NarrowPoints]] = map) -> Scores:
    """The scores of several sets of people, one after the other; all by one model. `every` may be the map of a pool."""
    first = parts[0]
    whole: dict[str, Any] = {
        each.name: np.concatenate([getattr(part, each.name) for part in parts])
        for each in fields(Scores)
        if isinstance(getattr(first, each.name), np.ndarray)
    }
    whole["points"] = tuple(every(_chained, zip(*(part.points for part in parts), strict=True)))
    whole["channels"] = {name: np.concatenate([part.channels[name] for part in parts]) for name in first.channels}
    return replace(first, **whole)


def _chained(points: Sequence[NarrowPoints]) -> NarrowPoints:
    # A stride of 0 is what `_nothing` made: it goes on taking no memory.
    if all(each.strides == (0,) for each in points):
        return _nothing(sum(map(len, points)))
    chained: NarrowPoints = np.concatenate(points)  # type: ignore[assignment]
    return chained


EVERYBODY = slice(None)
Rows = NDArray[np.intp] | slice


@dataclass(frozen=True)
class PartialPoints:
    """Points of some people: of those of `rows`, ascending; everybody else has none."""

    rows: Rows
    points: Points


class Ledger:
    """Lines as they are added, and what each axis has come to so far."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.lines: list[Line] = []
        self.points: list[NarrowPoints] = []
        self.sums: dict[str, Points] = {axis: np.zeros(rows, dtype=np.int64) for axis in ("fit", "behavior", "total")}

    def add(self, line: Line, some: PartialPoints) -> None:
        """Add a line."""
        self.steps([line], some.rows, [some.points])

    def steps(self, lines: Sequence[Line], rows: Rows, points: Sequence[Points]) -> None:
        """Add lines of one axis that lead from nothing to each of `points` in turn."""
        self.lines += lines
        changes = [points[0], *(after - before for before, after in pairwise(points))]
        self.points += [spread_points(PartialPoints(rows, each), self.rows) for each in changes]
        self.sums[lines[0].axis][rows] += points[-1]

    def limit(self, line: Line, some: PartialPoints, limit: Limit) -> PartialPoints:
        """Add the line that brings points between the limit's floor and cap; what they are afterwards."""
        if limit.cap is None and limit.floor is None:
            return some
        kept = clip_points(some.points, limit)
        self.add(line, PartialPoints(some.rows, kept - some.points))
        return PartialPoints(some.rows, kept)

    def move(self, line: Line, points: Points) -> None:
        """Add the line that brings its axis to `points`."""
        self.add(line, PartialPoints(EVERYBODY, points - self.sums[line.axis]))


def clip_points(points: Points, limit: Limit) -> Points:
    """Points between the limit's floor and cap."""
    low = None if limit.floor is None else to_hundredths(limit.floor)
    high = None if limit.cap is None else to_hundredths(limit.cap)
    return np.clip(points, low, high)


_EXACT_IN_FLOATS = 2**46
"""Below it, for the units we round to, a quotient in floats is on the same side of every half as the exact one."""


def round_points(points: Points, unit: int) -> Points:
    """The nearest multiple of `unit`; from the middle to the even one."""
    if not len(points) or max(-int(points.min()), int(points.max())) < _EXACT_IN_FLOATS:
        quick: Points = (np.rint(points / unit) * unit).astype(np.int64)
        return quick
    low = points // unit
    twice = 2 * (points - low * unit)
    up = (twice > unit) | ((twice == unit) & (low % 2 == 1))
    nearest: Points = (low + up) * unit
    return nearest


def spread_points(some: PartialPoints, rows: int) -> NarrowPoints:
    """Points for everybody, in as few bytes as they need."""
    low, high = (int(some.points.min()), int(some.points.max())) if len(some.points) else (0, 0)
    if low == high == 0:
        return _nothing(rows)
    if low >= -(2**15) and high < 2**15:
        return _filled(np.zeros(rows, dtype=np.int16), some)
    if low >= -(2**31) and high < 2**31:
        return _filled(np.zeros(rows, dtype=np.int32), some)
    return _filled(np.zeros(rows, dtype=np.int64), some)


def _filled(points: NarrowPoints, some: PartialPoints) -> NarrowPoints:
    points[some.rows] = some.points.astype(points.dtype)  # quicker than to convert number by number
    return points


def _nothing(rows: int) -> NarrowPoints:
    """No points for everybody, which take no memory."""
    return np.broadcast_to(np.zeros(1, dtype=np.int16), rows)
