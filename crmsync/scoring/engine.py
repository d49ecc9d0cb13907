"""Columns in, points out: one pass that scores everybody and keeps every line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.conditions import Condition
from crmsync.config.model import Limit, Model, Weights
from crmsync.config.rules import Axis, Behavior, Disqualify, Inactivity, Pattern, Rule
from crmsync.config.rules import Sequence as SequenceRule
from crmsync.config.units import to_hundredths
from crmsync.scoring.activities import Mask, RuleResult, WhatIf, find_behavior
from crmsync.scoring.adjustment import adjust_total, clamp_adjustment
from crmsync.scoring.answers import YES
from crmsync.scoring.bands import band_of, grade_of
from crmsync.scoring.calendar import DAY, FAR, find_midnights, local_days, midnight_of
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.disqualifiers import find_disqualified
from crmsync.scoring.ledger import (
    EVERYBODY,
    Ledger,
    Line,
    PartialPoints,
    Points,
    Scores,
    clip_points,
    join_scores,
    round_points,
)
from crmsync.scoring.patterns import find_inactivity, find_pattern, find_sequence

PEOPLE_AT_ONCE = 64_000
"""With fewer, threads would wait for each other; with more, what they work on would take more memory."""

THREADS = 2
"""What stands between numpy's loops runs one at a time: a third would mostly wait, and cost the others time."""


def score(
    model: Model,
    columns: Columns,
    now: datetime,
    zone: tzinfo,
    previous: Sequence[str | None] | None = None,
    *,
    waits_for_rounded: bool = False,
) -> Scores:
    """Score everybody in `columns` as of `now` (aware); ages are whole calendar days in `zone`.

    `previous` is each person's band at the last run. For the kinds in `columns.clocks`, whose feeds are dead, no points
    decay and no inactivity grows. With `waits_for_rounded` nobody is due for fading that no rounded number shows, which
    takes some time to find out.
    """
    unit = model.score.unit if waits_for_rounded else 1
    return scores_of(ScoringContext(model, columns, now, zone, previous, unit=unit))


def score_as_of(
    model: Model,
    columns: Columns,
    at: NDArray[np.int64],
    zone: tzinfo,
    previous: Sequence[str | None] | None = None,
) -> Scores:
    """Score each person as of an instant of their own (`at`, seconds since 1970, (n,)): nothing after it counts.

    The same numbers as `score` gives for each of them alone with that instant as `now`; `due` means nothing here.
    """
    days = local_days(at, zone)
    first = int(days.min(initial=int(FAR // DAY)))
    what_if = WhatIf((days - first).astype(np.int32), {}, at)
    now = datetime.fromtimestamp(midnight_of(first, zone), UTC)
    return scores_of(ScoringContext(model, columns, now, zone, previous, what_if))


def scores_of(known: ScoringContext, people_at_once: int = PEOPLE_AT_ONCE, threads: int = THREADS) -> Scores:
    """The scores of everybody, some people at a time; neither how many nor the threads change anything."""
    count = max(1, -(-known.rows // people_at_once))
    # Equally large blocks, so that the threads end together.
    ends = [known.rows * number // count for number in range(count + 1)]
    blocks = [slice(start, end) for start, end in pairwise(ends)]
    if count == 1:
        return replace(Scoring(known).scores(), warnings=known.warnings())
    with ThreadPoolExecutor(min(threads, count)) as pool:
        parts = list(pool.map(lambda rows: Scoring(known, rows).scores(), blocks))
        return replace(join_scores(parts, pool.map), warnings=known.warnings())


LEARNED = Line("Learned adjustment", "total", "learned", "learned")
"""The line that all learned adjustments make together."""


class Scoring:
    """One evaluation of some of the people: what the rules came to, kept while the lines are added."""

    def __init__(self, known: ScoringContext, rows: slice = slice(None)) -> None:
        self.known, self.model = known, known.model
        self.block = slice(*rows.indices(known.rows))
        self.rows = self.block.stop - self.block.start
        self.unit = self.model.score.unit
        self.activities = known.activities(self.block)
        self.segment = known.segment[self.block]
        self.wait = known.wait[self.block].copy()
        self.ledger = Ledger(self.rows)
        self.channels: dict[str, Points] = {}

    def scores(self) -> Scores:
        """Everything, in the order of the ledger."""
        model, ledger = self.model, self.ledger
        self._fit()
        # Rounded before the sum: fit and behavior are written too, and must add up to the total.
        self._close("fit", model.score.fit)
        self._behavior()
        self._close("behavior", model.score.behavior)
        fit, acted = ledger.sums["fit"], ledger.sums["behavior"]
        ledger.sums["total"] += fit + acted
        self._weigh(fit, acted)
        self._close("total", model.score.total)
        self._adjust()
        total = ledger.sums["total"]
        disqualified = self._disqualified()
        band, reach = self._bands(total, fit, acted)
        return Scores(
            people=self.known.columns.people[self.block],
            lines=tuple(ledger.lines),
            points=tuple(ledger.points),
            fit=fit,
            behavior=acted,
            total=total,
            # Not simply 0: without bands in the model it is -1.
            band=np.where(disqualified >= 0, np.minimum(band, 0), band).astype(np.int8),
            reach=reach,
            grade=grade_of(model.grades, fit),
            level=grade_of(model.grid, acted),
            segment=self.segment,
            disqualified=disqualified,
            qualified=self._qualified(),
            due=self._due(),
            channels=self.channels,
            warnings=(),
        )

    def found(self, rule: Rule) -> RuleResult:
        """What a rule that is not about fit has found, for everybody it may be for or not."""
        return EVALUATIONS[type(rule)](rule, self)

    def silent_since(self, rule: Inactivity) -> NDArray[np.int64] | None:
        """The local date from which on people could have acted, where the rule names a field for it."""
        since = self.known.since.get(rule.since or "")
        return None if since is None else since[self.block]

    def applies(self, rule: Rule) -> Mask:
        """Whom a rule is for: those of its segments for whom its question is answered yes."""
        mask = np.ones(self.rows, dtype=bool)
        if rule.segments:
            numbers = [number for number, each in enumerate(self.model.segment) if each.name in rule.segments]
            mask &= np.isin(self.segment, numbers)
        if rule.when is not None:
            mask &= self._ask(rule.when) == YES
        return mask

    def _ask(self, condition: Condition) -> NDArray[np.int8]:
        return self.known.asker.ask(condition)[self.block]

    def _fit(self) -> None:
        given = {}
        for rule in self.model.fit:
            rows = np.flatnonzero(self.applies(rule))
            given[rule.name] = PartialPoints(rows, np.full(len(rows), to_hundredths(rule.points), dtype=np.int64))
            self.ledger.add(Line(rule.name, "fit", "rule", rule.name), given[rule.name])
        self._group("fit", self.model.fit, given)

    def _behavior(self) -> None:
        model = self.model
        acting = (*model.behavior, *model.inactivity, *model.sequence, *model.pattern)
        given = {rule.name: self._acted(rule) for rule in acting}
        cut = self._group("behavior", acting, given)
        for name, limit in model.channels.items():
            members = [rule for rule in acting if rule.channel == name]
            parts = [given[rule.name] for rule in members]
            # What a group has cut away must not count against the channel once more.
            parts += [cut[each] for each in {rule.group for rule in members} if each in cut]
            line = Line(f"Limit of the channel {name}", "behavior", "channel", name)
            self.channels[name] = self.ledger.limit(line, self._together(parts), limit).points

    def _acted(self, rule: Rule) -> PartialPoints:
        """Add the lines of one rule about activities; what it gives after its cap."""
        found = self.found(rule)
        if rule.when is not None or rule.segments:
            found = found.only(self.applies(rule))
        self.wait[found.rows] = np.minimum(self.wait[found.rows], found.wait)
        lines, points = [Line(rule.name, "behavior", "rule", rule.name)], [found.full]
        if rule.limits.decay is not None:
            lines.append(Line(f"{rule.name}: time decay", "behavior", "decay", rule.name))
            points.append(round_points(found.points, self.unit))
        cap = rule.limits.cap
        if cap is not None:
            lines.append(Line(f"{rule.name}: at most {cap:.15g}", "behavior", "cap", rule.name))
            # The cap of a rule that takes points is the most that it takes.
            points.append(clip_points(points[-1], Limit(cap=cap) if cap > 0 else Limit(floor=cap)))
        self.ledger.steps(lines, found.rows, points)
        return PartialPoints(found.rows, points[-1])

    def _group(
        self, axis: Axis, rules: Sequence[Rule], given: Mapping[str, PartialPoints]
    ) -> dict[str | None, PartialPoints]:
        """Add the lines of the groups of an axis; what each cut away (a negative number) or filled up."""
        cut: dict[str | None, PartialPoints] = {}
        for name, limit in self.model.groups.items():
            members = [given[rule.name] for rule in rules if rule.group == name]
            if members:
                together = self._together(members)
                kept = self.ledger.limit(Line(f"Limit of the group {name}", axis, "group", name), together, limit)
                cut[name] = PartialPoints(kept.rows, kept.points - together.points)
        return cut

    def _together(self, parts: Sequence[PartialPoints]) -> PartialPoints:
        """The sum of some points, for everybody."""
        together = np.zeros(self.rows, dtype=np.int64)
        for part in parts:
            together[part.rows] += part.points
        return PartialPoints(EVERYBODY, together)

    def _close(self, axis: Literal["fit", "behavior", "total"], limit: Limit) -> None:
        """Clamp and round an axis."""
        if limit.cap is not None or limit.floor is not None:
            line = Line(f"Limit of {axis}", axis, "clamp", axis)
            self.ledger.move(line, clip_points(self.ledger.sums[axis], limit))
        if self.unit > 1:
            line = Line(f"Rounding of {axis}", axis, "rounding", axis)
            self.ledger.move(line, round_points(self.ledger.sums[axis], self.unit))

    def _weigh(self, fit: Points, acted: Points) -> None:
        """Add what the weights make of fit and behavior; a segment may have weights of its own."""
        own = [self.model.weights, *(each.weights or self.model.weights for each in self.model.segment)]
        for axis, points in (("fit", fit), ("behavior", acted)):
            weights = np.array([_ten_thousandths(each, axis) for each in own], dtype=np.int64)
            if (weights != 10_000).any():
                # Whole numbers throughout, so that every machine rounds alike.
                weighed = round_points(points * weights[self.segment + 1], 10_000 * self.unit) // 10_000
                line = Line(f"Weight of {axis}", "total", "weight", axis)
                self.ledger.move(line, self.ledger.sums["total"] + weighed - points)

    def wanted_adjustment(self) -> Points:
        """The sum of everybody's learned adjustments (hundredths), which nothing has cut yet."""
        wanted = np.zeros(self.rows, dtype=np.int64)
        for each in self.model.learned.active:
            wanted += to_hundredths(each.points) * (self._ask(each.when) == YES)
        return wanted

    def _adjust(self) -> None:
        """Add what is learned to the total."""
        if not self.model.learned.active:
            return
        total, clamped = self.ledger.sums["total"], clamp_adjustment(self.model, self.wanted_adjustment())
        adjusted = adjust_total(self.model, self.model.bands, total, clamped)
        for number, each in enumerate(self.model.segment):
            if each.bands:
                mine = self.segment == number
                adjusted[mine] = adjust_total(self.model, each.bands, total[mine], clamped[mine])
        self.ledger.move(LEARNED, adjusted)

    def _bands(self, total: Points, fit: Points, acted: Points) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        previous = self.known.previous[self.block]
        band, reach = band_of(self.model.bands, total, fit, acted, previous)
        for number, each in enumerate(self.model.segment):
            if each.bands:
                mine = self.segment == number
                band[mine], reach[mine] = band_of(each.bands, total[mine], fit[mine], acted[mine], previous[mine])
        return band, reach

    def _disqualified(self) -> NDArray[np.int16]:
        disqualified = np.full(self.rows, -1, dtype=np.int16)
        for number, each in enumerate(self.model.disqualify):
            # The first reason that holds is the one that is told.
            disqualified[(disqualified < 0) & self._fails(each)] = number
        return disqualified

    def _fails(self, rule: Disqualify) -> Mask:
        fails = np.ones(self.rows, dtype=bool)
        if rule.on is not None:
            fails, wait = find_disqualified(rule, self.activities)
            self.wait = np.minimum(self.wait, wait)
        if rule.when is not None:
            fails = fails & (self._ask(rule.when) == YES)
        return fails

    def _qualified(self) -> NDArray[np.int8]:
        qualified = np.full(self.rows, YES, dtype=np.int8)
        for each in self.model.qualification:
            qualified = np.minimum(qualified, self._ask(each.when))
        return qualified

    def _due(self) -> Points:
        at = find_midnights(self.activities.today, self.wait, self.known.zone)
        return np.minimum(at, self.activities.next_at)


def _ten_thousandths(weights: Weights, axis: str) -> int:
    return round((weights.fit if axis == "fit" else weights.behavior) * 10_000)


EVALUATIONS: Mapping[type[Rule], Callable[[Any, Scoring], RuleResult]] = {
    Behavior: lambda rule, scoring: find_behavior(rule, scoring.activities),
    Inactivity: lambda rule, scoring: find_inactivity(rule, scoring.activities, scoring.silent_since(rule)),
    SequenceRule: lambda rule, scoring: find_sequence(rule, scoring.activities),
    Pattern: lambda rule, scoring: find_pattern(rule, scoring.activities),
}
"""What each kind of rule about activities has found."""
