"""Silence, sequences and patterns: points for how activities lie in time."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import selections_of_rule
from crmsync.config.rules import Inactivity, Pattern, Sequence
from crmsync.config.units import to_hundredths
from crmsync.scoring.activities import ActivityTable, Index, RuleResult
from crmsync.scoring.calendar import UNKNOWN_DAY
from crmsync.scoring.decay import NEVER, changes_in, value_by_age
from crmsync.scoring.ledger import round_points

# Room for all days of Python's calendar (-719,162 to 2,932,896), lifted above zero.
_DAY_BITS = 23
_DAY_ZERO = 1 << 20


def find_inactivity(rule: Inactivity, activities: ActivityTable, since: NDArray[np.int64] | None) -> RuleResult:
    """What a rule of inactivity finds. `since` (n,) is the local date from which on people could have acted."""
    kinds = rule.on or []
    index = activities.select(kinds, rule.where)
    last = np.full(activities.rows, UNKNOWN_DAY, dtype=np.int64)
    if since is not None:
        last = np.maximum(last, since)
    last[activities.person[index]] = activities.day[index]  # the last assignment wins, and it is the newest activity
    today, stands = activities.today_of(kinds)
    known = last > UNKNOWN_DAY
    over = np.where(known, today - last, 0) - rule.after.days
    times = count_silences(rule, np.where(known, over, -1))
    rows = np.flatnonzero(known)
    times, over = times[rows], over[rows]
    points = times * to_hundredths(rule.points)
    wait = _wait(rule, over, times)
    if stands is not None:
        wait[stands[rows]] = NEVER
    return RuleResult(rows, points, points, wait, times, times, last[rows].astype(np.int32))


def count_silences(rule: Inactivity, over: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often the points are given, `over` days after the silence became one."""
    times = np.where(over < 0, 0, 1 + over // rule.every.days if rule.every else 1)
    return np.minimum(times, rule.max_times) if rule.max_times else times


def _wait(rule: Inactivity, over: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.int32]:
    again = rule.every.days - over % rule.every.days if rule.every else np.full(len(over), int(NEVER))
    if rule.max_times:
        again = np.where(times >= rule.max_times, int(NEVER), again)
    return np.where(over < 0, -over, again).astype(np.int32)


def find_sequence(rule: Sequence, activities: ActivityTable) -> RuleResult:
    """What a rule of sequence finds: for each person the newest way through all the steps."""
    ends, starts = _chains(rule, activities)
    if rule.within is not None:
        close = activities.day[ends] - activities.day[starts] < rule.within.days
        ends = ends[close]
    return _newest(activities, activities.person[ends], activities.day[ends], rule)


def _chains(rule: Sequence, activities: ActivityTable) -> tuple[Index, Index]:
    """Activities that complete the steps, each with the start of the shortest chain to it."""
    steps = [(step, number) for step in rule.steps for number in range(step.times)]
    ends = activities.select(steps[0][0].on, steps[0][0].where)
    starts = ends
    for step, number in steps[1:]:
        index = activities.select(step.on, step.where)
        barrier = activities.same_day if number and step.distinct_days else activities.same_instant
        # What lies in the same instant (or day, where days must differ) does not follow.
        before = np.searchsorted(ends, barrier[index], side="left") - 1
        index, before = index[before >= 0], before[before >= 0]
        # The latest start makes the shortest chain.
        latest = np.maximum.accumulate(starts)[before] if len(before) else before
        same = activities.person[latest] == activities.person[index]
        ends, starts = index[same], latest[same]
    return ends, starts


def find_pattern(rule: Pattern, activities: ActivityTable) -> RuleResult:
    """What a rule of pattern finds: for each person the newest day on which such a stretch ended."""
    visits = _keys(activities, activities.select(rule.on, rule.where))
    covered = [_keys(activities, activities.select(step.on, step.where)) for step in rule.covering]
    ends = np.unique(np.concatenate([visits, *covered]))
    enough = _in_stretch(visits, ends, rule.within) >= rule.times
    enough &= _in_stretch(np.unique(visits), ends, rule.within) >= rule.days
    for keys in covered:
        enough &= _in_stretch(keys, ends, rule.within) >= 1
    ends = ends[enough]
    day = ((ends & ((1 << _DAY_BITS) - 1)) - _DAY_ZERO).astype(np.int32)
    person = (ends >> _DAY_BITS).astype(np.int32)
    return _newest(activities, person, day, rule)


def _keys(activities: ActivityTable, index: Index) -> NDArray[np.int64]:
    """Person and day of each activity as one ascending number."""
    return (activities.person[index].astype(np.int64) << _DAY_BITS) | (activities.day[index] + _DAY_ZERO)


def _in_stretch(keys: NDArray[np.int64], ends: NDArray[np.int64], within: timedelta) -> NDArray[np.int64]:
    """How many of the keys lie in the stretch of so many days that ends on each day of `ends`."""
    first = ends - (within.days - 1)
    return np.searchsorted(keys, ends, side="right") - np.searchsorted(keys, first, side="left")


def _newest(
    activities: ActivityTable, person: NDArray[np.int32], day: NDArray[np.int32], rule: Sequence | Pattern
) -> RuleResult:
    """Points once, for the newest completion of each person that is inside the window (all ascending by person)."""
    window = rule.window
    today, stands = activities.today_of(*(kinds for kinds, _where in selections_of_rule(rule)))
    age = np.maximum(today[person] - day, 0)
    if window is not None:
        person, day, age = (each[age <= window.days] for each in (person, day, age))
    last = np.flatnonzero(np.append(person[1:] != person[:-1], True)) if len(person) else np.zeros(0, dtype=np.intp)
    table = value_by_age(rule.points, rule.decay, window)
    ages = np.minimum(age[last], len(table) - 1)
    once = np.ones(len(last), dtype=np.int64)
    full = once * to_hundredths(rule.points)
    wait = changes_in(table if rule.decay is None else round_points(table, activities.unit))[ages]
    if stands is not None:
        wait = np.where(stands[person[last]], NEVER, wait)
    return RuleResult(person[last].astype(np.intp), full, table[ages], wait, once, once, day[last])
