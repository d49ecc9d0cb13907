"""Rules of behavior that no activity matches any more, and rules that do nothing or the same as another one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.model import Model, selections_of_rule
from crmsync.config.rules import Rule
from crmsync.scoring.calendar import local_days
from crmsync.scoring.fact_selection import select_facts, selection_key

LATELY, BEFORE, UNUSED = 14, 90, 90
"""Days: a rule is silent that nothing matched in the last 14, though in the 90 before something did; and unused that
nothing matched in 90.
"""

ALIKE = 0.95
"""Rules that hold for the same people are one signal: their correlation is above this."""


@dataclass
class RuleDays:
    """How many activities matched each rule of behavior on each day (since 1970); `until` is the last day of any."""

    of_rule: dict[str, Counter[int]] = field(default_factory=dict)
    until: int | None = None

    def add(self, model: Model, columns: Columns, zone: tzinfo, now: int) -> None:
        """Count the activities of some people, those after `now` (seconds) left out."""
        kept = columns.at <= now
        fact, day = columns.fact[kept], local_days(columns.at[kept], zone)
        for rule in list_watched_rules(model):
            self.of_rule.setdefault(rule.name, Counter())
        if not len(day):
            return
        self.until = max(int(day.max()), self.until or int(day.max()))
        chosen = select_facts(model, columns.facts)
        for rule in list_watched_rules(model):
            wanted = {selection_key(on, where) for on, where in list(selections_of_rule(rule))[:1]}
            takes = np.zeros(max(chosen.keys, default=0) + 1, dtype=bool)
            takes[[number for number, keys in chosen.keys.items() if keys & wanted]] = True
            days, many = np.unique(day[takes[chosen.class_of[fact]]], return_counts=True)
            self.of_rule[rule.name].update(dict(zip(days.tolist(), many.tolist(), strict=True)))


def list_watched_rules(model: Model) -> Iterator[Rule]:
    """The rules that an activity makes hold (of a sequence, its first step)."""
    yield from (*model.behavior, *model.sequence, *model.pattern)


class SilentRule(NamedTuple):
    """A rule of which nothing came in the last 14 days: `last` is the day (since 1970) of the latest.

    `before` matched in the 90 days before those; `p` is how often chance alone makes such a gap.
    """

    name: str
    last: int
    before: int
    expected: float
    p: float


def find_silent_rules(days: RuleDays) -> list[SilentRule]:
    """Rules that matched before and not lately, the most telling first."""
    if days.until is None:
        return []
    begin = days.until - LATELY + 1
    silent = []
    for name, found in days.of_rule.items():
        if not found or max(found) >= begin:
            continue
        before = sum(many for day, many in found.items() if day >= begin - BEFORE)
        expected = before * LATELY / BEFORE
        if before:
            silent.append(SilentRule(name, max(found), before, expected, math.exp(-expected)))
    return sorted(silent, key=lambda each: (each.p, each.name))


class IdleRule(NamedTuple):
    """A rule to think about: `other` is the one it goes along with, with `correlation`; without, nothing matched it."""

    name: str
    other: str | None
    correlation: float | None


def find_idle_rules(
    names: list[str], holds: NDArray[np.bool_], lately: NDArray[np.bool_], days: Mapping[str, Counter[int]], until: int
) -> list[IdleRule]:
    """Rules that nothing made hold in 90 days, and pairs that hold for the same people.

    `holds` (n, rules) is for whom; `lately` (n,) who was judged in these days; `days` as in `RuleDays`.
    """
    idle = []
    for number, name in enumerate(names):
        used = any(day > until - UNUSED for day in days[name]) if name in days else holds[lately, number].any()
        if not used:
            idle.append(IdleRule(name, None, None))
    share = holds.mean(axis=0) if len(holds) else np.zeros(len(names))
    varied = np.flatnonzero((share > 0) & (share < 1))
    if len(varied) > 1:
        some = holds[:, varied].astype(np.float32)
        together = (some.T @ some).astype(np.float64) / len(some) - np.outer(share[varied], share[varied])
        spread = np.sqrt(share[varied] * (1 - share[varied]))
        related = together / np.outer(spread, spread)
        for a, b in zip(*np.nonzero(np.triu(related > ALIKE, 1)), strict=True):
            idle.append(IdleRule(names[varied[a]], names[varied[b]], float(related[a, b])))
    return idle
