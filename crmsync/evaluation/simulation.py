"""What another scoring model would change: bands, people over the line, and the line that a capacity allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import Band, Model
from crmsync.config.units import to_hundredths
from crmsync.evaluation.cases import NEVER, OPEN, WON, Group, JudgedCases
from crmsync.evaluation.proportions import divide_counts

NO_BAND = "none"
"""What stands for the band of people in a model that has none."""

EXCLUDED = "excluded"
"""What stands for the band of people whom one of two models leaves out."""

WEEK = 7

DECILES = 10

FEWEST_CLOSED = 40
"""Outcomes below which no conversion is expected of anybody."""

HIGHEST = 100
"""Points up to which the curve goes at least."""

MOST_STEPS = 250
"""Steps of the curve: beyond, it goes by wider ones."""


@dataclass(frozen=True)
class ComparedPeople:
    """`n` people, whatever model scores them.

    `in_flow` bool (n,): those whose arrivals are counted a week, in `weeks`; `None` where nobody knows when they came.
    `outcome` int8 (n,) as in `Cases`; `accepted` bool (n,), or `None` where that cannot be known; `rep` who has them.
    """

    in_flow: NDArray[np.bool_]
    weeks: float | None
    outcome: NDArray[np.int8]
    accepted: NDArray[np.bool_] | None
    rep: Group | None

    @property
    def settled(self) -> NDArray[np.bool_]:
        """Of whom it is known whether sales accepted them: accepted, or at an end without it."""
        closed: NDArray[np.bool_] = self.outcome != OPEN
        return closed if self.accepted is None else closed | self.accepted


@dataclass(frozen=True)
class Placed:
    """Where a model places the same people.

    `total` (n,) in hundredths; `band` int8 (n,) into `bands`, -1 for none and `len(bands)` for those left out; `over`
    bool (n,): in the band of the line or above; `able` bool (n,): who is over the line as soon as the points allow it.
    """

    total: NDArray[np.int64]
    band: NDArray[np.int8]
    bands: Sequence[str]
    over: NDArray[np.bool_]
    able: NDArray[np.bool_]


class Over(NamedTuple):
    """Who is over a line: so many people, a week and a week for each rep, and what came of them.

    Of `settled` people it is known whether they were accepted; `acceptance` and `conversion` (won ÷ (won + lost)) are
    from 0 to 1. What is not known is `None`.
    """

    points: float | None
    people: int
    per_week: float | None
    per_rep: float | None
    won: int
    lost: int
    conversion: float | None
    accepted: int | None
    settled: int
    acceptance: float | None


class CapacityLine(NamedTuple):
    """The lowest line that leaves at most `capacity` people a week; `over_by`: how many the present one has above."""

    capacity: float
    points: float
    over: Over
    over_by: float | None


def list_minimums(model: Model, line: str, bands: Mapping[str, Band]) -> tuple[int, int]:
    """The least fit and behavior (hundredths) that the band of the line and those below it ask for."""
    names = list(bands)
    asked = [bands[name] for name in names[1 : names.index(line) + 1]]
    least = [
        max((to_hundredths(points) for each in asked if (points := getattr(each, key)) is not None), default=-(2**62))
        for key in ("min_fit", "min_behavior")
    ]
    return least[0], least[1]


def place_people(
    model: Model,
    line: str | None,
    total: NDArray[np.int64],
    fit: NDArray[np.int64],
    behavior: NDArray[np.int64],
    band: NDArray[np.int8],
    segment: NDArray[np.int16],
    disqualified: NDArray[np.int16],
    left_out: NDArray[np.bool_] | None = None,
) -> Placed:
    """Where a model places people, out of its scores (hundredths; `band`, `segment`, `disqualified` as in `Scores`)."""
    names = model.band_names()
    here = band if left_out is None else np.where(left_out, np.int8(len(names)), band)
    able, over = disqualified < 0, np.zeros(len(total), dtype=bool)
    if left_out is not None:
        able &= ~left_out
    if line is not None:
        over = (here >= names.index(line)) & (here < len(names))
        of_segments = [each.bands or model.bands for each in model.segment]
        for number, bands in enumerate([model.bands, *of_segments], start=-1):
            least_fit, least_behavior = list_minimums(model, line, bands)
            able &= (segment != number) | ((fit >= least_fit) & (behavior >= least_behavior))
    return Placed(total, here, names, over, able)


def place_judged(judged: JudgedCases, line: str | None) -> Placed:
    """Where the model of judged cases places them."""
    it = judged
    return place_people(it.model, line, it.total, it.fit, it.behavior, it.band, it.segment, it.disqualified)


def describe_population(judged: JudgedCases, zone: tzinfo, since: int | None, until: int | None) -> ComparedPeople:
    """Judged cases as a population: a week by when they were handed over, or else came.

    The weeks are whole days from the first to the last of them, within `since` and `until` (seconds): one at least.
    """
    came = np.where(judged.handed_off != NEVER, judged.handed_off, judged.came)
    accepted = judged.milestones.get("accepted")
    weeks = count_weeks(came, zone, since, until) if len(came) else None
    return ComparedPeople(
        in_flow=np.ones(len(came), dtype=bool),
        weeks=weeks,
        outcome=judged.outcome,
        accepted=None if accepted is None else accepted != NEVER,
        rep=judged.groups.get("rep"),
    )


def count_weeks(came: NDArray[np.int64], zone: tzinfo, since: int | None = None, until: int | None = None) -> float:
    """The weeks from the first to the last of some instants (seconds), in whole days of a zone: at least one."""
    first = max(int(came.min()), int(came.min()) if since is None else since)
    last = min(int(came.max()), int(came.max()) if until is None else until - 1)
    days = [datetime.fromtimestamp(at, UTC).astimezone(zone).date().toordinal() for at in (first, last)]
    return max(days[1] - days[0] + 1, WEEK) / WEEK


def cross_bands(before: Placed, after: Placed) -> dict[str, dict[str, int]]:
    """How many of each old band are in each new one; the cells sum to the people. Only cells with people and bands.

    Bands are in their order, also those in which nobody is.
    """
    rows, columns = (_labels(each) for each in (before, after))
    width = len(columns)
    counts = np.bincount(
        (before.band.astype(np.int64) + 1) * width + after.band + 1, minlength=len(rows) * width
    ).reshape(len(rows), width)
    shown = [number for number, name in enumerate(columns) if counts[:, number].any() or name in after.bands]
    return {
        name: {columns[number]: int(counts[row, number]) for number in shown}
        for row, name in enumerate(rows)
        if counts[row].any() or name in before.bands
    }


def _labels(placed: Placed) -> list[str]:
    return [NO_BAND, *placed.bands, EXCLUDED]


def count_moves(before: Placed, after: Placed) -> tuple[int, int]:
    """How many people come into a higher and into a lower band; bands are compared by their place."""
    known = [(each.band >= 0) & (each.band < len(each.bands)) for each in (before, after)]
    old, new = (np.where(here, each.band, np.int8(-1)) for here, each in zip(known, (before, after), strict=True))
    if list(before.bands) == list(after.bands):
        return int((new > old).sum()), int((new < old).sum())
    # A band that only one of them has stands where its neighbours are, so that only the line can be compared.
    return int((after.over & ~before.over).sum()), int((before.over & ~after.over).sum())


def measure_over(
    people: ComparedPeople, which: NDArray[np.bool_], reps: int | None, points: float | None = None
) -> Over:
    """What is to be said of those over a line."""
    won, closed = int((which & (people.outcome == WON)).sum()), int((which & (people.outcome != OPEN)).sum())
    accepted = None if people.accepted is None else int((which & people.accepted).sum())
    settled = int((which & people.settled).sum())
    per_week = None if people.weeks is None else int((which & people.in_flow).sum()) / people.weeks
    return Over(
        points=points,
        people=int(which.sum()),
        per_week=per_week,
        per_rep=per_week / reps if per_week is not None and reps else None,
        won=won,
        lost=closed - won,
        conversion=divide_counts(won, closed),
        accepted=accepted,
        settled=settled,
        acceptance=divide_counts(accepted, settled),
    )


def draw_curve(people: ComparedPeople, placed: Placed, reps: int | None) -> list[Over]:
    """Who is over each line in whole points, from 0 (or the lowest score) to 100 (or the highest).

    The minimums of fit and behavior stay as they are, and the points of the bands below go with the line, so that
    the people over a line never become more as it rises.
    """
    scores = placed.total[placed.able]
    top = max(HIGHEST, -(-int(scores.max(initial=0)) // 100) + 1)
    step = max(1, -(-top // MOST_STEPS))
    lines = np.arange(min(0, int(scores.min(initial=0)) // 100), top + step, step, dtype=np.int64)
    return measure_lines(people, placed, lines * 100, reps)


def measure_lines(people: ComparedPeople, placed: Placed, lines: NDArray[np.int64], reps: int | None) -> list[Over]:
    """Who is over each of some lines (hundredths)."""
    rows = np.flatnonzero(placed.able)
    rows = rows[np.argsort(-placed.total[rows], kind="stable")]
    scores = -placed.total[rows]
    many = np.searchsorted(scores, -lines, side="right")

    def count(which: NDArray[np.bool_]) -> list[int]:
        sums = np.concatenate([[0], np.cumsum(which[rows])])
        return [int(each) for each in sums[many]]

    won, closed = count(people.outcome == WON), count(people.outcome != OPEN)
    accepted = None if people.accepted is None else count(people.accepted)
    settled, flow = count(people.settled), count(people.in_flow)
    found = []
    for number, line in enumerate(lines.tolist()):
        per_week = None if people.weeks is None else flow[number] / people.weeks
        taken = None if accepted is None else accepted[number]
        found.append(
            Over(
                points=line / 100,
                people=int(many[number]),
                per_week=per_week,
                per_rep=per_week / reps if per_week is not None and reps else None,
                won=won[number],
                lost=closed[number] - won[number],
                conversion=divide_counts(won[number], closed[number]),
                accepted=taken,
                settled=settled[number],
                acceptance=divide_counts(taken, settled[number]),
            )
        )
    return found


def find_capacity_line(
    people: ComparedPeople, placed: Placed, capacity: float, decimals: int, reps: int | None
) -> CapacityLine | None:
    """The lowest line that leaves at most `capacity` people a week, in the steps of the score's `decimals`.

    `None` where nobody knows how many came a week.
    """
    if people.weeks is None:
        return None
    unit = 10 ** (2 - decimals)
    scores = np.sort(placed.total[placed.able & people.in_flow])[::-1]
    most = int(np.floor(capacity * people.weeks + 1e-9))
    # One step above the first who is too many: whoever has as many points stays below the line, too.
    line = (int(scores[most]) // unit + 1) * unit if most < len(scores) else min(0, int(scores.min(initial=0)))
    (over,) = measure_lines(people, placed, np.array([line], dtype=np.int64), reps)
    now = measure_over(people, placed.over, reps).per_week
    return CapacityLine(capacity, line / 100, over, None if now is None else now - capacity)


class ConversionTable(NamedTuple):
    """Conversion by score: `rates` of people from each of `edges` (hundredths, ascending) on."""

    edges: NDArray[np.int64]
    rates: NDArray[np.float64]


def estimate_conversion(total: NDArray[np.int64], outcome: NDArray[np.int8]) -> ConversionTable | None:
    """Conversion by tenths of those whose outcome is known, by score; `None` where these are too few."""
    closed = outcome != OPEN
    if int(closed.sum()) < FEWEST_CLOSED or not (outcome == WON).any():
        return None
    scores, won = total[closed], outcome[closed] == WON
    cuts = np.quantile(scores, np.arange(1, DECILES) / DECILES, method="higher")
    edges = np.unique(np.concatenate([[scores.min()], cuts])).astype(np.int64)
    bins = np.searchsorted(edges, scores, side="right") - 1
    many = np.bincount(bins, minlength=len(edges))
    return ConversionTable(edges, np.bincount(bins, weights=won, minlength=len(edges)) / many)


def expect_wins(placed: Placed, outcome: NDArray[np.int8], table: ConversionTable | None) -> float | None:
    """Wins among those over the line: those that are, and of the open ones what their score converted so far."""
    if table is None:
        return None
    still = placed.over & (outcome == OPEN)
    bins = np.clip(np.searchsorted(table.edges, placed.total[still], side="right") - 1, 0, None)
    return float((placed.over & (outcome == WON)).sum() + table.rates[bins].sum())


def measure_reps(people: ComparedPeople, before: Placed, after: Placed) -> list[tuple[str, float, float]]:
    """For each rep how many over the line came a week by both models, the fullest first; none where nobody is known."""
    if people.rep is None or people.weeks is None:
        return []
    loads = [
        np.bincount(people.rep.codes[each.over & people.in_flow], minlength=len(people.rep.labels)) / people.weeks
        for each in (before, after)
    ]
    found = [
        (label, float(old), float(new))
        for label, old, new in zip(people.rep.labels, *loads, strict=True)
        if label and (old or new)
    ]
    return sorted(found, key=lambda each: (-each[2], -each[1], each[0]))
