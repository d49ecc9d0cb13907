"""Whether a source of activities is dead, silent for much longer than it ever was, and what that holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from crmsync.config import Config
from crmsync.config.model import Model, selections_of_rule, selects_kind
from crmsync.config.rules import Rule
from crmsync.counts import count_of, format_date

HISTORY = 20
"""Activities that a kind must have had, for its pauses to say anything."""

WINDOW = 60
"""Days before its last activity within which the longest pause of a kind is looked for."""

SHORTEST = 2
"""Days for which nothing is called dead."""

DAY = 86_400
"""Seconds in a day of UTC."""

EPOCH = date(1970, 1, 1).toordinal()

FeedDays = Mapping[tuple[str, str], Mapping[int, int]]
"""By CRM and kind the activities on each day (days since 1970, UTC)."""


class DeadFeed(NamedTuple):
    """A kind of activity that comes no more: for how many days, and its longest pause until then.

    `last` is the day of its last activity (days since 1970, UTC), on which clocks stand.
    """

    crm: str
    kind: str
    silent: int
    pause: int
    last: int

    def describe_hold(self) -> str:
        """Since when decay and inactivity are on hold, why, and what ends it."""
        return (
            f"Decay and inactivity are on hold for {self.crm} {self.kind} since "
            f"{format_date(self.last)}, because none came for {count_of(self.silent, 'day')} (longest pause before: "
            f"{count_of(self.pause, 'day')}). Both go on as soon as one comes. If none is expected any more, write "
            f'{self.kind} = "0d" into [feeds]'
        )

    def as_json(self) -> dict[str, Any]:
        """A hold as documents have it."""
        return {
            "crm": self.crm,
            "kind": self.kind,
            "since": date.fromordinal(EPOCH + self.last).isoformat(),
            "silent_days": self.silent,
            "longest_pause_days": self.pause,
            "said": self.describe_hold(),
        }


def find_dead_feeds(days: FeedDays, limits: Mapping[str, timedelta], today: int) -> list[DeadFeed]:
    """The kinds that are silent for more than three times their longest pause, and for at least two days.

    `limits` says of a kind how long it may be silent instead, where the config does, and nothing (0) that it may be for
    ever. What happens after `today` counts for nothing.
    """
    found = []
    for (crm, kind), counts in sorted(days.items()):
        past = sorted(day for day in counts if day <= today)
        if not past or sum(counts[day] for day in past) < HISTORY:
            continue
        silent, pause = today - past[-1], _longest_pause([day for day in past if past[-1] - day <= WINDOW])
        allowed = limits[kind].total_seconds() / 86_400 if kind in limits else 3 * pause if pause else None
        if allowed and silent > allowed and silent >= SHORTEST:
            found.append(DeadFeed(crm, kind, silent, pause, past[-1]))
    return found


def _longest_pause(days: list[int]) -> int:
    """The most days between two days with an activity; 0 where there is only one."""
    return max((later - earlier for earlier, later in pairwise(days)), default=0)


def find_holds(days: FeedDays, config: Config, now: datetime) -> list[DeadFeed]:
    """The dead feeds of the config's CRMs of which a rule asks how long ago something was, as of `now` (aware)."""
    crms = config.source_names()
    timed = [*_timed_selections(config), *(each.on for each in config.account_counts().values() if each.window)]
    return [
        each
        for each in find_dead_feeds(days, config.feeds, int(now.timestamp()) // DAY)
        if each.crm in crms and any(selects_kind(kinds, each.kind) for kinds in timed)
    ]


def _timed_selections(model: Model) -> Iterator[Sequence[str]]:
    """The kinds of activity whose points change as time goes by."""
    unless = (rule.unless for rule in model.behavior)
    yield from (each.on for each in (*unless, *model.disqualify) if each and each.on and each.window)
    yield from (rule.on or () for rule in model.inactivity)
    yield from (rule.on for rule in model.behavior if _is_timed(rule))
    chained = [rule for rule in (*model.sequence, *model.pattern) if _is_timed(rule)]
    yield from (kinds for rule in chained for kinds, _where in selections_of_rule(rule))


def _is_timed(rule: Rule) -> bool:
    return rule.limits.window is not None or rule.limits.decay is not None
