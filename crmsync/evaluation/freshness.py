"""How soon the score in a CRM follows what happens there: from an event to the confirmed update, in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from math import ceil
from typing import NamedTuple

GOAL = 90
"""Seconds within which 95 % of people should have their new score where the CRM calls (webhooks)."""

HISTORY = timedelta(hours=1)
"""What happened so long before the pull that could first have brought it is history: an import, a feed that is new."""


class Freshness(NamedTuple):
    """How many people, and after how many seconds half of them and 95 % of them had their new score."""

    people: int
    median_seconds: int | None
    p95_seconds: int | None


def date_events(found: Iterable[tuple[int, int]], pulled: int) -> Iterator[tuple[int, int]]:
    """From when on records wait for what a pull found of them (row and instant of each); `pulled` is the pull before.

    The CRM did not have it then, or it would have come. History is left out. All in milliseconds.
    """
    oldest = pulled - HISTORY // timedelta(milliseconds=1)
    return ((row_id, max(at, pulled)) for row_id, at in found if at >= oldest)


def round_wait(seconds: float) -> int:
    """Seconds rounded up to two digits, so that waits of any length are few different numbers: 47, 90, 130, 7,300."""
    whole = max(ceil(seconds), 0)
    step: int = 10 ** max(len(str(whole)) - 2, 0)
    return -(-whole // step) * step


def add_waits(counts: Iterable[Mapping[str, int]]) -> dict[int, int]:
    """Counts of people by how long they waited, as runs keep them, in one: ascending."""
    found: dict[int, int] = {}
    for each in counts:
        for seconds, people in each.items():
            found[int(seconds)] = found.get(int(seconds), 0) + people
    return dict(sorted(found.items()))


def measure_freshness(counts: Iterable[Mapping[str, int]]) -> Freshness:
    """The median and the 95th percentile of such counts; `None` of nobody."""
    waits = add_waits(counts)
    people = sum(waits.values())
    return Freshness(people, _find_wait(waits, people * 0.5), _find_wait(waits, people * 0.95))


def _find_wait(waits: Mapping[int, int], people: float) -> int | None:
    """The fewest seconds within which so many people had their new score."""
    reached = 0
    for seconds, many in waits.items():
        reached += many
        if reached >= people:
            return seconds
    return None
