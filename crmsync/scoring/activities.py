"""What people did, chosen and counted: which activities a rule takes, and what they are worth today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, tzinfo
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import RUNNING, Columns
from crmsync.config.conditions import Where
from crmsync.config.model import selects_kind
from crmsync.config.rules import Behavior
from crmsync.config.units import to_hundredths
from crmsync.scoring.calendar import FAR, day_of, local_days, midnight_of, months_of, weeks_of
from crmsync.scoring.decay import NEVER, changes_in, only_falls, value_by_age
from crmsync.scoring.fact_selection import FactSelection, selection_key
from crmsync.scoring.ledger import round_points
from crmsync.scoring.machine_clicks import find_machines

Index = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RuleResult:
    """What a rule found, for the people of `rows` (ascending) and nobody else, in hundredths of a point.

    `full` is the points before they faded, `points` what is left; `counted` of `seen` activities were taken, the newest
    on `newest` (days since 1970). In `wait` days, time alone changes the points.
    """

    rows: Index
    full: NDArray[np.int64]
    points: NDArray[np.int64]
    wait: NDArray[np.int32]
    counted: NDArray[np.int64]
    seen: NDArray[np.int64]
    newest: NDArray[np.int32]

    def only(self, mask: Mask) -> RuleResult:
        """The same for those of the people for whom `mask` (over everybody) is true."""
        kept = mask[self.rows]
        return RuleResult(*(getattr(self, each.name)[kept] for each in fields(self)))


@dataclass(frozen=True)
class WhatIf:
    """A question about what is not so: each person so many days `later` (n,), and facts that a selection shall take.

    `taken`: index of a made-up fact → key of the selection that takes it, whatever its attributes. `until` (n,): the
    instant (seconds) up to which each person's activities have happened, where it is not the start of the later day.
    """

    later: NDArray[np.int32]
    taken: Mapping[int, str]
    until: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class ActivitySlice:
    """Some activities, ascending by person and time: row of the person, local date, and the day that is today.

    `stands` is true where the clock of an activity stands; `None` where that is nowhere.
    """

    person: NDArray[np.int32]
    day: NDArray[np.int32]
    today: NDArray[np.int32] | np.int32
    stands: Mask | None = None

    def __len__(self) -> int:
        return len(self.person)

    def only(self, which: Mask | Index | slice) -> ActivitySlice:
        """Some of them."""
        today = self.today if isinstance(self.today, np.int32) else self.today[which]
        stands = None if self.stands is None else self.stands[which]
        return ActivitySlice(self.person[which], self.day[which], today, stands)

    def within(self, window: int | None) -> ActivitySlice:
        """Those that are not older than `window` days."""
        if window is None:
            return self
        young = self.is_within(window)
        return self if young.all() else self.only(young)

    def is_within(self, window: int) -> Mask:
        """Which of them are not older than `window` days."""
        return self.day >= self.today - np.int32(window)

    @property
    def age(self) -> Index:
        """The age of each in whole days."""
        # Where a dead feed has stopped the clock, an activity may lie after today.
        return np.maximum(np.subtract(self.today, self.day, dtype=np.intp), 0)

    def waits(self, days: NDArray[np.signedinteger]) -> NDArray[np.int32]:
        """In how many days time alone changes something of each: in `days`, and never where the clock stands."""
        return (days if self.stands is None else np.where(self.stands, NEVER, days)).astype(np.int32, copy=False)


class ActivityTable:
    """The activities of some columns; what is chosen of them has happened by `now`.

    Arrays of `m`: `person` (row), `at` (seconds), `day` (local date). `later`: each person so many days later (n,),
    which moves no clock that stands. `until`: see `WhatIf`. `unit` (hundredths): to what sums are rounded, where waits
    are to be until a rounded sum moves.
    """

    def __init__(
        self,
        chosen: FactSelection,
        columns: Columns,
        now: datetime,
        zone: tzinfo,
        later: NDArray[np.int32] | None = None,
        until: NDArray[np.int64] | None = None,
        unit: int = 1,
    ) -> None:
        self.rows, self.unit = len(columns.people), unit
        self.zone, self.today = zone, day_of(now, zone)
        self.facts = columns.facts
        self.later = np.zeros(self.rows, dtype=np.int32) if later is None else later
        self._stops = columns.clocks
        self._keys, self._amounts = chosen.keys, chosen.amounts
        self._take(columns, chosen, self._until(now) if until is None else until)

    def _until(self, now: datetime) -> NDArray[np.int64]:
        """The instant up to which each person's activities have happened: `now`, or the start of a later day."""
        second = int(now.timestamp())
        if not self.later.any():
            return np.full(1, second, dtype=np.int64)
        ahead, which = np.unique(self.later, return_inverse=True)
        starts = [midnight_of(self.today + int(each), self.zone) if each else second for each in ahead]
        return np.array(starts, dtype=np.int64)[which]

    def _take(self, columns: Columns, chosen: FactSelection, until: NDArray[np.int64]) -> None:
        """Sort the activities that matter by class and, within it, by person and time."""
        self.person, self.at, self.fact = columns.person, columns.at, columns.fact
        classes = chosen.class_of.take(self.fact) if len(chosen.class_of) else np.zeros(0, np.uint8)
        # Planned meetings come before they happen: `next_at` says when one begins to count.
        late = self.at > (until if len(until) == 1 else until[self.person])
        self.next_at = np.full(self.rows, FAR, dtype=np.int64)
        if late.any():
            coming = late & (classes > 0)
            np.minimum.at(self.next_at, self.person[coming], self.at[coming])
            classes[late] = 0
        machines, how = find_machines(chosen.rules, chosen.mail, columns, ~late)
        would_count = classes[machines] > 0
        # Those that would have counted: an explanation tells of them.
        self.machines, self.machine_signs = machines[would_count], how[would_count]
        classes[machines] = 0
        kept = np.flatnonzero(classes > 0)
        classes = classes[kept]
        # Stable, so that a class stays in the order of person and time.
        self._order = kept[np.argsort(classes, kind="stable")]
        ends = np.cumsum(np.bincount(classes, minlength=len(self._keys) + 1)).tolist()
        self._of_class = {number: slice(ends[number - 1], ends[number]) for number in self._keys}

    @cached_property
    def day(self) -> NDArray[np.int32]:
        """The local date of each activity."""
        return local_days(self.at, self.zone)

    @cached_property
    def _todays(self) -> NDArray[np.int32] | np.int32:
        """The day from which each activity's age is counted; one number when it is the same for all."""
        today: NDArray[np.int32] | np.int32 = np.int32(self.today)
        if self.later.any():
            today = today + self.later[self.person]
        return today if self._stopped is None else np.minimum(today, self._stopped)

    @cached_property
    def _stopped(self) -> NDArray[np.int32] | None:
        """The day on which each activity's clock stands, or one after all days; `None` where no clock does."""
        if not self._stops:
            return None
        stopped = np.full(len(self.person), RUNNING, dtype=np.int32)
        for kind, day in self._stops.items():
            of_kind = np.flatnonzero(np.array([fact.kind == kind for fact in self.facts], dtype=bool)[self.fact])
            stopped[of_kind] = day[self.person[of_kind]]
        return stopped

    @cached_property
    def _sorted(self) -> ActivitySlice:
        """The activities of all classes, sorted by class."""
        return self.acts(self._order)

    @cached_property
    def same_instant(self) -> Index:
        """For each activity the first one of the same person and instant."""
        return _first_of_run(_changed(self.person) | _changed(self.at))

    @cached_property
    def same_day(self) -> Index:
        """For each activity the first one of the same person and local date."""
        return _first_of_run(_changed(self.person) | _changed(self.day))

    def today_of(self, *selections: Sequence[str]) -> tuple[NDArray[np.int64], Mask | None]:
        """For each person today, or the day on which a clock stands for a kind of one of these selections.

        And for whom one does; `None` where that is nobody.
        """
        today = self.today + self.later.astype(np.int64)
        stops = [day for kind, day in self._stops.items() if any(selects_kind(kinds, kind) for kinds in selections)]
        if not stops:
            return today, None
        first = np.minimum.reduce(stops)
        return np.minimum(today, first), first < RUNNING

    def stopped_kinds(self, row: int, *selections: Sequence[str]) -> dict[str, int]:
        """For each kind of these selections for which a person's clock stands, the day of it."""
        return {
            kind: int(day[row])
            for kind, day in self._stops.items()
            if day[row] < RUNNING and any(selects_kind(kinds, kind) for kinds in selections)
        }

    def acts(self, index: Index) -> ActivitySlice:
        """Some of the activities."""
        stands = None if self._stopped is None else self._stopped < RUNNING
        return ActivitySlice(self.person, self.day, self._todays, stands).only(index)

    def taken(self, on: Sequence[str], where: Where) -> ActivitySlice:
        """What `select` chooses."""
        classes = self._classes(on, where)
        return self._sorted.only(classes[0]) if len(classes) == 1 else self.acts(self.select(on, where))

    def select(self, on: Sequence[str], where: Where) -> Index:
        """The activities of a selection, ascending: by person, then by time."""
        parts = [self._order[each] for each in self._classes(on, where)]
        if not parts:
            return np.zeros(0, dtype=np.intp)
        return parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts), kind="stable")

    def sums(self, on: Sequence[str], where: Where, window: int | None, name: str) -> NDArray[np.int64]:
        """What an attribute of such activities inside the window adds up to for each person (n,), in thousandths."""
        chosen = self.select(on, where)
        if window is not None:
            chosen = chosen[self.acts(chosen).is_within(window)]
        sums = np.zeros(self.rows, dtype=np.int64)
        np.add.at(sums, self.person[chosen], self._amounts[name][self.fact[chosen]])
        return sums

    def _classes(self, on: Sequence[str], where: Where) -> Sequence[slice]:
        key = selection_key(on, where)
        return [self._of_class[number] for number, keys in self._keys.items() if key in keys]


def _changed(values: NDArray[np.int32] | NDArray[np.int64]) -> Mask:
    """Where a value differs from the one before it."""
    changed = np.ones(len(values), dtype=bool)
    changed[1:] = values[1:] != values[:-1]
    return changed


def _first_of_run(begins: Mask) -> Index:
    return np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))


def newest_first(begins: Mask, most: int) -> Mask:
    """The last `most` of each run; `begins` is true where a run begins."""
    if most == 1:
        return np.append(begins[1:], True)
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(begins))
    return np.repeat(ends, ends - starts) - np.arange(len(begins)) <= most


def _limited(rule: Behavior, acts: ActivitySlice, people: int) -> ActivitySlice:
    """The activities that count after `max_per_day` and its like, and those that make them `at_least` many."""
    for most, period in ((rule.per_day, None), (rule.max_per_week, weeks_of), (rule.max_per_month, months_of)):
        if most is not None and len(acts):
            run = _changed(acts.person) | _changed(period(acts.day) if period else acts.day)
            acts = acts.only(newest_first(run, most))
    if rule.max_times is not None and len(acts):
        acts = acts.only(newest_first(_changed(acts.person), max(rule.max_times, rule.at_least)))
    if rule.at_least > 1 and len(acts):
        enough = np.bincount(acts.person, minlength=people) >= rule.at_least
        acts = acts.only(enough[acts.person])
    return acts


def find_behavior(rule: Behavior, activities: ActivityTable) -> RuleResult:
    """What a rule of behavior finds, before its cap."""
    window = rule.window.days if rule.window else None
    every = activities.taken(rule.on, rule.where).within(window)
    needed = _limited(rule, every, activities.rows)
    for name, least in rule.at_least_sum.items():
        enough = activities.sums(rule.on, rule.where, window, name) >= round(least * 1_000)
        needed = needed.only(enough[needed.person])
    acts = needed
    if rule.max_times is not None and rule.max_times < rule.at_least and len(acts):
        acts = acts.only(newest_first(_changed(acts.person), rule.max_times))
    table = value_by_age(rule.points, rule.decay, rule.window)
    found = add_up(acts, to_hundredths(rule.points), table, fades=rule.decay is not None, unit=activities.unit)
    if rule.at_least > 1 and window is not None and len(needed):
        # The first of them to leave may leave too few, also where it had faded to nothing.
        starts = _last_of_each(needed.person)[1]
        leaves = np.minimum.reduceat(needed.waits(window + 1 - needed.age), starts)
        found = replace(found, wait=np.minimum(found.wait, leaves))
    if len(acts) < len(every):
        seen = np.bincount(every.person, minlength=activities.rows)
        found = replace(found, seen=seen[found.rows])
    if rule.at_least_sum and window is not None and len(every):
        # Any of them that leaves the window makes the sum smaller, also one that no limit let count.
        starts = _last_of_each(every.person)[1]
        leaves = np.full(activities.rows, NEVER, dtype=np.int32)
        leaves[every.person[starts]] = np.minimum.reduceat(every.waits(window + 1 - every.age), starts)
        found = replace(found, wait=np.minimum(found.wait, leaves[found.rows]))
    if rule.unless is None:
        return found
    return _unless(found, *has_recent(activities, rule.unless.on, rule.unless.where, rule.unless.window))


def _unless(found: RuleResult, there: Mask, wait: NDArray[np.int32]) -> RuleResult:
    """Nothing for people who did what the rule excludes, until that has left its window."""
    out = there[found.rows]
    zero = np.int64(0)
    full, points, counted = (np.where(out, zero, each) for each in (found.full, found.points, found.counted))
    waits = np.where(out, wait[found.rows], found.wait).astype(np.int32)
    return replace(found, full=full, points=points, counted=counted, wait=waits)


def add_up(acts: ActivitySlice, each: int, table: NDArray[np.int64], fades: bool, unit: int = 1) -> RuleResult:
    """Add up, for each person, what activities are worth at their age, and `each` for what they were when new.

    The wait is until the sum, rounded to `unit`, is another one.
    """
    last, starts = _last_of_each(acts.person)
    counted = last - starts + 1
    full, wait = counted * each, np.full(len(starts), NEVER, dtype=np.int32)
    points, end = full, len(table) - 1
    if end and not fades:
        if acts.stands is None:
            wait = (end - acts.only(starts).age).astype(np.int32)  # the oldest leaves the window first
        elif len(acts):
            wait = np.minimum.reduceat(acts.waits(end - acts.age), starts)
    elif end and len(acts):
        age = acts.age
        points = np.add.reduceat(table.take(age, mode="clip"), starts)
        wait = np.minimum.reduceat(acts.waits(changes_in(table).take(age, mode="clip")), starts)
        if unit > 1 and only_falls(table):
            wait = np.maximum(wait, _wait_for_rounded(acts, starts, points, table, unit))
    rows = acts.person[starts].astype(np.intp)
    return RuleResult(rows, full, points, wait, counted, counted, acts.day[last])


FARTHEST_LOOK = 64
"""Days up to which it is worked out when a rounded sum moves: a power of two, since halving finds it."""


def _wait_for_rounded(
    acts: ActivitySlice, starts: Index, points: NDArray[np.int64], table: NDArray[np.int64], unit: int
) -> NDArray[np.int32]:
    """In how many days each sum of what only falls first rounds to something else; after `FARTHEST_LOOK`, so many."""
    age, now = acts.age.astype(np.int32), round_points(points, unit)
    own = np.repeat(np.arange(len(starts), dtype=np.int32), np.diff(np.append(starts, len(age))))

    def is_same(days: NDArray[np.int32]) -> Mask:
        more = days[own]
        if acts.stands is not None:
            more = np.where(acts.stands, np.int32(0), more)
        then = np.add.reduceat(table.take(age + more, mode="clip"), starts)
        same: Mask = round_points(then, unit) == now
        return same

    same_for = np.zeros(len(starts), dtype=np.int32)
    step = FARTHEST_LOOK
    while step := step // 2:
        same_for += np.int32(step) * is_same(same_for + np.int32(step))
    for_ever = is_same(np.full(len(starts), len(table), dtype=np.int32))
    return np.where(for_ever, NEVER, same_for + np.int32(1)).astype(np.int32)


def _last_of_each(person: NDArray[np.int32]) -> tuple[Index, Index]:
    """The position of each person's last activity, and of their first."""
    starts = np.flatnonzero(_changed(person))
    return np.append(starts[1:], len(person))[: len(starts)] - 1, starts


def has_recent(
    activities: ActivityTable, on: Sequence[str], where: Where, window: object
) -> tuple[Mask, NDArray[np.int32]]:
    """Who has such an activity inside the window, and in how many days they no longer will."""
    length = getattr(window, "days", None)
    acts = activities.taken(on, where).within(length)
    there, wait = np.zeros(activities.rows, dtype=bool), np.full(activities.rows, NEVER, dtype=np.int32)
    acts = acts.only(_last_of_each(acts.person)[0])
    there[acts.person] = True
    if length is not None:
        # In a window of N days the age N still counts.
        wait[acts.person] = acts.waits(length + 1 - acts.age)
    return there, wait
