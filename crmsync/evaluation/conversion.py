"""What came of people by band, by tenth of the scores and by group."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.config.units import to_hundredths
from crmsync.evaluation.calibration import CalibrationResult
from crmsync.evaluation.cases import NEVER, Group, JudgedCases
from crmsync.evaluation.logistic import Curve, fit_curve
from crmsync.evaluation.metrics import (
    ENOUGH,
    AtLine,
    Tally,
    divide_scores,
    measure_auc,
    measure_line,
    tally_scores,
)
from crmsync.evaluation.months import group_months
from crmsync.evaluation.proportions import Conversion, count_conversion, divide_counts, measure_rate
from crmsync.evaluation.speed import measure_cycle

ENOUGH_TO_SUGGEST = 20
"""With fewer outcomes nothing is suggested about a group's points."""

GROUP_NAMES = ("segment", "source", "campaign", "month", "rep")
"""What people can be compared by."""

WITH_POINTS = ("segment", "source", "campaign")
"""Those that a rule can give points for."""


def measure_bands(judged: JudgedCases) -> list[Conversion]:
    """The conversion of each band, the lowest first."""
    names = judged.model.band_names()
    closed, won, still_open = (
        np.bincount(judged.band[which], minlength=len(names)).tolist() if names else []
        for which in (judged.closed, judged.won, ~judged.closed)
    )
    return [count_conversion(*each) for each in zip(names, closed, still_open, won, strict=True)]


class Decile(NamedTuple):
    """A tenth of the people with an outcome, 1 the highest: points from and to, and its conversion."""

    decile: int
    first: float
    last: float
    people: int
    won: int
    rate: float | None
    low: float | None
    high: float | None


def measure_deciles(of: Tally) -> list[Decile]:
    """The conversion by tenth of the scores (hundredths), of people with an outcome."""
    found = divide_scores(of)
    return [
        Decile(number, first / 100, last / 100, theirs + lost, theirs, *measure_rate(theirs, theirs + lost))
        for number, first, last, theirs, lost in zip(*found, strict=True)
    ]


def is_above(judged: JudgedCases, line: str | None) -> NDArray[np.bool_]:
    """Who (n,) is in the band `line` or a higher one; nobody without a line."""
    if line is None:
        return np.zeros(len(judged), dtype=bool)
    above: NDArray[np.bool_] = judged.band >= judged.model.band_names().index(line)
    return above


def find_line_points(judged: JudgedCases, line: str | None) -> NDArray[np.int64] | None:
    """The points (hundredths) at which the band `line` begins for each person (n,); `None` where it has none."""
    if line is None or (at := judged.model.bands[line].at) is None:
        return None
    needed = [each.bands[line].at if each.bands else at for each in judged.model.segment]
    lines = np.array([to_hundredths(at if each is None else each) for each in (*needed, at)], dtype=np.int64)
    points: NDArray[np.int64] = lines[judged.segment]  # -1 is no segment, and the last
    return points


def measure_thresholds(judged: JudgedCases) -> list[tuple[str, AtLine]]:
    """What the line of each band but the lowest does, of people with an outcome."""
    closed, won = judged.closed, judged.won
    return [
        (name, measure_line(judged.band[closed] >= place, won[closed]))
        for place, name in enumerate(judged.model.band_names())
        if place
    ]


class GroupResult(NamedTuple):
    """A group: what came of it, how the score does in it, and whether its people do better than their scores say.

    `rate` has the won and lost in it. `observed_expected` is of the later half. `suggestion` is `more`, `fewer` or
    `keep` points, or `None` with the reason in `why`; `expected_rate` is what people of the same scores come to.
    """

    name: str
    people: int
    won: int
    lost: int
    open: int
    rate: float | None
    low: float | None
    high: float | None
    auc: float | None
    observed_expected: float | None
    expected_rate: float | None
    mql: int
    mql_rate: float | None
    accepted: int | None
    accepted_rate: float | None
    cycle_days: float | None
    suggestion: str | None
    why: str


def divide_people(judged: JudgedCases, name: str, zone: tzinfo) -> Group:
    """People by one of `GROUP_NAMES`; a month is that in which they came. `""` is for those of whom it is not known."""
    if name == "segment":
        return Group(judged.segment.astype(np.int32) + 1, ["", *(each.name for each in judged.model.segment)])
    if name == "month":
        return group_months(judged.came, zone)
    return judged.groups[name]


def compare_groups(
    judged: JudgedCases, name: str, mql: NDArray[np.bool_], calibration: CalibrationResult | str, zone: tzinfo
) -> Iterator[GroupResult]:
    """The groups by one of `GROUP_NAMES`, most people first; `mql` (n,) says who was an MQL."""
    by = divide_people(judged, name, zone)
    closed = judged.closed
    curve = fit_curve(tally_scores(judged.total[closed], judged.won[closed]))
    later = np.zeros(len(judged), dtype=bool)
    if not isinstance(calibration, str):
        later[closed] = calibration.later
    order = np.argsort(by.codes, kind="stable")
    ends = np.searchsorted(by.codes[order], np.arange(len(by.labels) + 1))
    sizes = np.diff(ends)
    for place in np.argsort(-sizes, kind="stable").tolist():
        if not sizes[place]:
            continue
        rows = order[ends[place] : ends[place + 1]]
        fitted = None if isinstance(calibration, str) else calibration.curve
        found = _measure_group(judged, by.labels[place], rows, mql, curve, fitted, later[rows])
        yield found if name in WITH_POINTS else found._replace(suggestion=None, why=f"no rule is about a {name}")


def _measure_group(
    judged: JudgedCases,
    name: str,
    rows: NDArray[np.intp],
    mql: NDArray[np.bool_],
    curve: Curve,
    fitted: Curve | None,
    later: NDArray[np.bool_],
) -> GroupResult:
    closed, total = judged.closed[rows], judged.total[rows]
    won = judged.won[rows][closed]
    theirs, lost = int(won.sum()), int((~won).sum())
    over = mql[rows]
    accepted = None if "accepted" not in judged.milestones else judged.milestones["accepted"][rows] != NEVER
    passed = None if accepted is None else int((accepted & over).sum())
    ratio = None
    if fitted is not None and later.sum() >= ENOUGH:
        ratio = float(judged.won[rows][later].sum() / fitted.chances(total[later]).sum())
    expected = float(curve.chances(total[closed]).mean()) if len(won) else None
    rate = measure_rate(theirs, theirs + lost)
    return GroupResult(
        name,
        len(rows),
        theirs,
        lost,
        len(rows) - theirs - lost,
        *rate,
        measure_auc(tally_scores(total[closed], won)) if min(theirs, lost) >= ENOUGH else None,
        ratio,
        expected,
        int(over.sum()),
        divide_counts(int(over.sum()), len(rows)),
        passed,
        None if passed is None else divide_counts(passed, int(over.sum())),
        measure_cycle(judged.came[rows], judged.outcome_at[rows], judged.won[rows]).median_days,
        *_suggest_points(theirs, lost, rate.low, rate.high, expected),
    )


def _suggest_points(
    won: int, lost: int, low: float | None, high: float | None, expected: float | None
) -> tuple[str | None, str]:
    """Whether people of a group are won more often, or less, than the others with their scores."""
    if won + lost < ENOUGH_TO_SUGGEST or low is None or high is None or expected is None:
        return None, f"not enough data: {won + lost:,} of {ENOUGH_TO_SUGGEST} outcomes"
    told = f"{won:,} of {won + lost:,} won, {100 * expected:.1f} % expected by score"
    return ("more" if low > expected else "fewer" if high < expected else "keep"), told
