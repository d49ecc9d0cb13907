"""Who enters and leaves each band and stage, and who goes to whom, in people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

NAMED = 20
"""People who are named of each movement; all of them are counted."""

Places = frozenset[str]
"""The bands, stages or owners of somebody; empty where they have none."""


NOWHERE = frozenset([""])
"""Where people are counted who are nowhere else."""


class Moved(NamedTuple):
    """Somebody whom a plan changes, before and after it: score in points, owners as what they are called."""

    person: int
    name: str
    email: str
    score: tuple[float | None, float | None]
    band: tuple[Places, Places]
    stage: tuple[Places, Places]
    owner: tuple[Places, Places]
    records: int
    why: Mapping[str, str]


@dataclass
class Level:
    """How many people enter and leave a band, a stage or an owner, and the first of them."""

    entered: int = 0
    left: int = 0
    who_enters: list[dict[str, Any]] = field(default_factory=list)
    who_leaves: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Movements:
    """A plan in people: each sort of place with what enters and leaves it; `""` is none."""

    people: int = 0
    records: int = 0
    reassigned: int = 0
    places: dict[str, dict[str, Level]] = field(default_factory=lambda: {"band": {}, "stage": {}, "owner": {}})
    scores: Counter[float | None] = field(default_factory=Counter)
    scored: Counter[float] = field(default_factory=Counter)


def count_movements(people: Iterable[Moved]) -> Movements:
    """Sum up whom a plan moves."""
    found = Movements()
    for each in people:
        found.people += 1
        found.records += each.records
        found.reassigned += each.owner[0] != each.owner[1]
        before, after = each.score
        if before != after:
            found.scores[before] += 1
            if after is not None:
                found.scored[after] += 1
        for what, levels in found.places.items():
            _add_movement(levels, what, each)
    return found


def _add_movement(levels: dict[str, Level], what: str, each: Moved) -> None:
    before, after = (some or NOWHERE for some in getattr(each, what))
    for name in sorted(after - before):
        level = levels.setdefault(name, Level())
        level.entered += 1
        if len(level.who_enters) < NAMED:
            level.who_enters.append(_somebody(each, what))
    for name in sorted(before - after):
        level = levels.setdefault(name, Level())
        level.left += 1
        if len(level.who_leaves) < NAMED:
            level.who_leaves.append(_somebody(each, what))


def _somebody(each: Moved, what: str) -> dict[str, Any]:
    before, after = getattr(each, what)
    return {
        "person": each.person,
        "name": each.name,
        "email": each.email,
        "from": _listed(before),
        "to": _listed(after),
        "score": {"from": each.score[0], "to": each.score[1]},
        "owner": _listed(each.owner[1]),
        "why": each.why.get(what, ""),
    }


def _listed(places: Places) -> str | None:
    return ", ".join(sorted(places)) or None
