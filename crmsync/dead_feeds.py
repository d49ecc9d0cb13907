"""Whether a source of activities is dead: silent for much longer than it ever was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

HISTORY = 20
"""Activities that a kind must have had, for its pauses to say anything."""

WINDOW = 60
"""Days before its last activity within which the longest pause of a kind is looked for."""

SHORTEST = 2
"""Days for which nothing is called dead."""


class DeadFeed(NamedTuple):
    """A kind of activity that comes no more: for how many days, and its longest pause until then."""

    crm: str
    kind: str
    silent: int
    pause: int


def find_dead_feeds(
    days: Mapping[tuple[str, str], Mapping[int, int]], limits: Mapping[str, timedelta], today: int
) -> list[DeadFeed]:
    """The kinds that are silent for more than three times their longest pause, and for at least two days.

    `days` has by CRM and kind the activities on each day (days since 1970); `limits` says of a kind how long it may be
    silent instead, where the config does, and nothing (0) that it may be for ever.
    """
    found = []
    for (crm, kind), counts in sorted(days.items()):
        past = sorted(day for day in counts if day <= today)
        if not past or sum(counts[day] for day in past) < HISTORY:
            continue
        silent, pause = today - past[-1], _longest_pause([day for day in past if past[-1] - day <= WINDOW])
        allowed = limits[kind].total_seconds() / 86_400 if kind in limits else 3 * pause if pause else None
        if allowed and silent > allowed and silent >= SHORTEST:
            found.append(DeadFeed(crm, kind, silent, pause))
    return found


def _longest_pause(days: list[int]) -> int:
    """The most days between two days with an activity; 0 where there is only one."""
    return max((later - earlier for earlier, later in pairwise(days)), default=0)
