"""What moved the scores, line by line: how many people, how many points, who most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOVERS = 20
"""People of whom the difference is told line by line."""


class Rescored(NamedTuple):
    """Somebody's points by line (hundredths) before and after; `is_new` says that there was no score before."""

    person: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    is_new: bool = False

    @property
    def moved(self) -> int:
        """By how much the total moves (hundredths)."""
        return sum(self.after.values()) - sum(self.before.values())


@dataclass
class Effect:
    """What one line of the score did: people, points (hundredths), and who gained and lost most by it."""

    people: int = 0
    points: int = 0
    gain: tuple[int, int] = (0, 0)
    loss: tuple[int, int] = (0, 0)

    def add(self, person: int, points: int) -> None:
        """Count what it did to one person (points in hundredths)."""
        self.people += 1
        self.points += points
        self.gain = max(self.gain, (points, person), key=lambda each: each[0])
        self.loss = min(self.loss, (points, person), key=lambda each: each[0])

    @property
    def example(self) -> int:
        """The person whom it moved most."""
        return max(self.gain, self.loss, key=lambda each: abs(each[0]))[1]


@dataclass
class Effects:
    """What each line did, and whom all of them together moved most."""

    lines: dict[str, Effect] = field(default_factory=dict)
    movers: list[Rescored] = field(default_factory=list)
    moved: int = 0


def sum_effects(people: Iterable[Rescored]) -> Effects:
    """Sum up how people's points moved."""
    found = Effects()
    for each in people:
        for name in sorted({*each.before, *each.after}):
            points = each.after.get(name, 0) - each.before.get(name, 0)
            if points:
                found.lines.setdefault(name, Effect()).add(each.person, points)
        if each.moved:
            found.moved += each.moved
            if not each.is_new:
                _keep_mover(found.movers, each)
    found.movers.sort(key=_most_first)
    del found.movers[MOVERS:]
    return found


def _keep_mover(movers: list[Rescored], each: Rescored) -> None:
    movers.append(each)
    # Sorted only once it is long, instead of for each of a million people.
    if len(movers) > 100 * MOVERS:
        movers.sort(key=_most_first)
        del movers[MOVERS:]


def _most_first(each: Rescored) -> tuple[int, int]:
    return -abs(each.moved), each.person


def list_differences(each: Rescored) -> list[dict[str, Any]]:
    """The lines that moved somebody, the largest first; `change` is `new`, `gone` or `other`, points in points."""
    found = []
    for name in {*each.before, *each.after}:
        before, after = each.before.get(name, 0), each.after.get(name, 0)
        if before != after:
            change = "new" if name not in each.before else "gone" if name not in each.after else "other"
            found.append({"rule": name, "points": (after - before) / 100, "change": change})
    return sorted(found, key=lambda row: (-abs(row["points"]), row["rule"]))
