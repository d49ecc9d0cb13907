"""Drift: whether the score still says what it said, by month, range of scores, mix of people, rule and source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.cases import NEVER, OPEN, WON, JudgedCases
from crmsync.evaluation.drift_alarm import Alarm, Month, watch_days
from crmsync.evaluation.expected_rates import YEAR, count_by_day, standardise_score
from crmsync.evaluation.monthly_quality import measure_mix, measure_order, measure_slope
from crmsync.evaluation.months import begin_months
from crmsync.evaluation.proportions import Interval, RateComparison, compare_rates, judge_z
from crmsync.evaluation.silent_rules import IdleRule, RuleDays, SilentRule, find_idle_rules, find_silent_rules
from crmsync.scoring.calendar import DAY, local_days

MOST = 0.95
"""Of those who were won, so many had been within the wait."""

MIXED, FEWEST_MIXED = 0.2, 100
"""The PSI from which on the mix of people counts as another one, and how many people it takes to tell."""

SURE, FEWEST, MONTHS = 0.005, 100, 3
"""A range of scores is held against before with its last 100 people or more, out of three months at most."""

A_SEASON = 0.5
"""Log-odds that a season may move a rate by as long as there are no two years to tell: smaller changes are none."""


class MonthQuality(NamedTuple):
    """A month of people who were judged in it; `expected` and what rests on it is `None` where too few came before.

    `first` and `end`: days since 1970; `complete` is false for a month of which not everybody is mature. `bands` has
    people by band.
    """

    first: int
    complete: bool
    people: int
    won: int
    expected: float | None
    comparison: RateComparison | None
    slope: Interval | None
    order: Interval | None
    mix: float | None
    bands: Sequence[int]


class RateChange(NamedTuple):
    """Hits among people lately, and before: of a range of scores those won, of a fit rule the won whom it holds for."""

    name: str
    since: int
    people: int
    hits: int
    people_before: int
    hits_before: int
    comparison: RateComparison | None
    alarming: bool


class SourceCount(NamedTuple):
    """Of a source: how many came, were scored, reached the line, and of these were handed over (`None`: unknown)."""

    name: str
    seen: int
    scored: int
    reached: int | None
    routed: int | None


class Drift(NamedTuple):
    """What was found. `wait` is in seconds; `immature` people are not judged yet; `seasoned` is whether two years are
    there.
    """

    people: int
    won: int
    immature: int
    wait: int
    seasoned: bool
    watched: bool
    months: Sequence[MonthQuality]
    alarms: Sequence[Alarm]
    ranges: Sequence[RateChange]
    fit_rules: Sequence[RateChange]
    silent: Sequence[SilentRule]
    idle: Sequence[IdleRule]
    sources: Sequence[SourceCount]
    weeks: Sequence[tuple[int, int, int]]


def find_wait(judged: JudgedCases, now: int, horizon: int) -> int:
    """Within how many seconds most of those who were won had been, at most `horizon`.

    Told by those who were judged a horizon ago, where 50 of them were won: of the younger ones the slow are still open.
    """
    won = judged.won
    took = (judged.outcome_at - judged.at)[won]
    old = took[judged.at[won] <= now - horizon]
    took = old if len(old) >= 50 else took
    return min(max(0, int(np.quantile(took, MOST, method="higher"))), horizon) if len(took) else horizon


def find_drift(judged: JudgedCases, seen: RuleDays, line: str | None, zone: tzinfo, now: int, horizon: int) -> Drift:
    """Hold each month of mature people against those before; instants and `horizon` are in seconds.

    Who was judged less than the wait ago is not looked at, and what came of others after the wait does not count:
    young and old have equally long. Who was not won by then, whether lost or open, was not.
    """
    wait = find_wait(judged, now, horizon)
    mature = (judged.outcome != OPEN) | ((judged.at + wait <= now) & (judged.at < now - DAY))
    mature &= judged.at + wait <= now
    rows = np.flatnonzero(mature)
    # Sums of floats depend on the order of what is summed; that of the lines of a file says nothing.
    people = judged.only(rows[np.lexsort((judged.outcome_at[rows], judged.total[rows], judged.at[rows]))])
    won = (people.outcome == WON) & (people.outcome_at <= people.at + wait)
    day = local_days(people.at, zone).astype(np.int64)
    names = people.model.band_names()
    empty: tuple[list[MonthQuality], list[Alarm], bool] = ([], [], False)
    months, alarms, watched = _watch(people, won, day, now - wait, zone) if len(people) else empty
    last = int(day.max()) if len(day) else 0
    holds = people.points != 0
    fit = [number for number, rule in enumerate(people.model.rules()) if people.model.axis(rule) == "fit"]
    seasoned = bool(len(day)) and last - int(day.min()) >= 2 * YEAR - 31
    until = seen.until if seen.until is not None else last
    return Drift(
        people=len(people),
        won=int(won.sum()),
        immature=len(judged) - len(people),
        wait=wait,
        seasoned=seasoned,
        watched=watched,
        months=months,
        alarms=alarms,
        ranges=[_compare_range(name, people.band == number, won, day, seasoned) for number, name in enumerate(names)]
        if len(people)
        else [],
        fit_rules=[_compare_rule(people.rules[number], holds[won, number], day[won], len(fit)) for number in fit]
        if won.any()
        else [],
        silent=find_silent_rules(seen),
        idle=find_idle_rules(list(people.rules), holds, day > last - 90, seen.of_rule, until)
        if len(people) >= FEWEST
        else [],
        sources=_count_sources(judged, line),
        weeks=_count_weeks(day, won),
    )


def _watch(
    people: JudgedCases, won: NDArray[np.bool_], day: NDArray[np.int64], ripe: int, zone: tzinfo
) -> tuple[list[MonthQuality], list[Alarm], bool]:
    days = count_by_day(day, people.total, won)
    watched, alarms = watch_days(days)
    score = standardise_score(people.total)
    order = np.argsort(day, kind="stable")
    sorted_day = day[order]
    mature_until = int(local_days(np.array([ripe], dtype=np.int64), zone)[0])
    bands = max(len(people.model.band_names()), 1)
    before = np.zeros(bands, dtype=np.int64)
    months = []
    for each in watched:
        rows = order[np.searchsorted(sorted_day, each.first) : np.searchsorted(sorted_day, each.end)]
        mix = np.bincount(np.maximum(people.band[rows], 0), minlength=bands)
        if len(rows):
            psi = measure_mix(before.tolist(), mix.tolist())
            months.append(_judge_month(each, people, rows, won[rows], score[rows], day[rows], psi, mix, mature_until))
        before += mix
    return months, alarms, any(each.expectation is not None for each in watched)


def _judge_month(
    month: Month,
    people: JudgedCases,
    rows: NDArray[np.intp],
    won: NDArray[np.bool_],
    score: NDArray[np.float64],
    day: NDArray[np.int64],
    psi: float | None,
    mix: NDArray[np.intp],
    mature_until: int,
) -> MonthQuality:
    expected, comparison, slope = None, None, None
    if month.expectation is not None:
        said = month.expectation.probabilities(score, day)
        chance = said * (1 - said)
        lean = month.expectation.gradient(score, day, chance)
        own = float(lean @ month.expectation.spread @ lean)
        expected = float(said.sum())
        comparison = judge_z((int(won.sum()) - expected) / float(chance.sum() + own) ** 0.5)
        slope = measure_slope(said, won)
    first = begin_months(month.first, month.first + 1)[0]
    return MonthQuality(
        first,
        month.end <= mature_until,
        len(rows),
        int(won.sum()),
        expected,
        comparison,
        slope,
        measure_order(people.total[rows], won),
        psi,
        mix.tolist(),
    )


def _compare_range(
    name: str, there: NDArray[np.bool_], won: NDArray[np.bool_], day: NDArray[np.int64], seasoned: bool
) -> RateChange:
    """The last months of a range of scores against all before, or where two years are there the same months before."""
    since, end = _begin_lately(day[there], int(day.max()) + 1)
    late = there & (day >= since)
    before = there & (day < since)
    if seasoned:
        turn = (day - since) % YEAR
        same = before & (turn < end - since)
        before = same if same.sum() >= FEWEST else before
    counts = int(late.sum()), int(won[late].sum()), int(before.sum()), int(won[before].sum())
    compared = compare_rates(counts[1], counts[0], counts[3], counts[2])
    alarming = compared is not None and min(counts[0], counts[2]) >= FEWEST and compared.p <= SURE
    if alarming and not seasoned:
        here, there_before = (_log_odds(hits, many) for many, hits in (counts[:2], counts[2:]))
        alarming = abs(here - there_before) >= A_SEASON
    return RateChange(name, since, *counts, compared, alarming)


def _begin_lately(day: NDArray[np.int64], end: int) -> tuple[int, int]:
    """The first day of the fewest last months that have enough people, and the day after the last."""
    begins = begin_months(int(day.min()) if len(day) else end - 1, end)[-MONTHS:]
    for begin in reversed(begins):
        if (day >= begin).sum() >= FEWEST:
            return begin, end
    return begins[0], end


def _log_odds(hits: int, people: int) -> float:
    return float(np.log((hits + 0.5) / (people - hits + 0.5)))


def _compare_rule(name: str, holds: NDArray[np.bool_], day: NDArray[np.int64], rules: int) -> RateChange:
    """For how many of those won a fit rule holds, in the last 90 days against before."""
    since = int(day.max()) - 89
    late = day >= since
    counts = int(late.sum()), int(holds[late].sum()), int((~late).sum()), int(holds[~late].sum())
    compared = compare_rates(counts[1], counts[0], counts[3], counts[2])
    alarming = compared is not None and min(counts[0], counts[2]) >= 20 and compared.p <= SURE / rules
    return RateChange(name, since, *counts, compared, alarming)


def _count_sources(judged: JudgedCases, line: str | None) -> list[SourceCount]:
    if "source" not in judged.groups:
        return []
    codes, labels = judged.groups["source"]
    names = judged.model.band_names()
    reached = judged.band >= names.index(line) if line in names else None
    handed = judged.handed_off != NEVER
    count = len(labels)

    def by_source(which: NDArray[np.bool_]) -> list[int]:
        counted: list[int] = np.bincount(codes[which], minlength=count).tolist()
        return counted

    known = reached is not None and bool(handed.any())
    seen, scored = np.bincount(codes, minlength=count).tolist(), by_source(judged.band >= 0 if names else handed | True)
    above = by_source(reached) if reached is not None else [None] * count
    routed = by_source(reached & handed) if reached is not None and known else [None] * count
    rows = [SourceCount(*each) for each in zip(labels, seen, scored, above, routed, strict=True) if each[1]]
    return sorted(rows, key=lambda each: (-each.seen, each.name))


def _count_weeks(day: NDArray[np.int64], won: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """The Monday of each week (days since 1970), its people and those of them who were won."""
    if not len(day):
        return []
    monday = day - (day + 3) % 7
    mondays, which = np.unique(monday, return_inverse=True)
    many, hits = np.bincount(which), np.bincount(which, weights=won)
    return [(int(each), int(a), int(b)) for each, a, b in zip(mondays, many, hits, strict=True)]
