"""What is not so yet: until when a band lasts, and what would reach the next one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns, Fact
from crmsync.rules import Behavior, Model, hundredths
from crmsync.scoring.activities import WhatIf, selection_key
from crmsync.scoring.days import day_of, midnight
from crmsync.scoring.engine import scores_of
from crmsync.scoring.explain import bands_of
from crmsync.scoring.known import Known
from crmsync.scoring.ledger import Scores
from crmsync.scoring.values import take
from crmsync.scoring.words import plain, spelled_date

HORIZON = 400
"""How many days ahead a forecast looks."""


@dataclass(frozen=True)
class Ahead:
    """When time alone moves a person to another band: the first instant of it (aware UTC), and which band."""

    at: datetime
    band: str
    said: str


@dataclass(frozen=True)
class Short:
    """What is missing to the next band: its name, the points, single rules that each reach it, or several together."""

    band: str
    points: int | float
    any_of: tuple[str, ...]
    together: tuple[str, ...]
    said: str


def ahead(
    model: Model, scores: Scores, columns: Columns, rows: Sequence[int], now: datetime, zone: tzinfo
) -> list[Ahead | None]:
    """For each of some people, when and where time alone moves them within `HORIZON` days, else `None`."""
    names, today = model.band_names(), day_of(now, zone)
    if not names or not len(rows):
        return [None] * len(rows)
    days = np.arange(1, HORIZON + 1, dtype=np.int32)
    later = np.tile(days, len(rows))
    many = take(columns, np.repeat(np.asarray(rows, dtype=np.intp), HORIZON))
    before = [names[scores.band[row]] for row in rows for _ in days]
    what_if = WhatIf(later, {})
    then = scores_of(Known(model, many, now, zone, before, what_if=what_if)).band.reshape(len(rows), HORIZON)
    return [_first_move(names, int(scores.band[row]), then[at], today, zone) for at, row in enumerate(rows)]


def _first_move(names: Sequence[str], band: int, then: NDArray[np.int8], today: int, zone: tzinfo) -> Ahead | None:
    moved = np.flatnonzero(then != band)
    if not len(moved):
        return None
    day = today + int(moved[0]) + 1
    to = names[then[moved[0]]]
    return Ahead(
        at=datetime.fromtimestamp(midnight(day, zone), UTC),
        band=to,
        said=f"{names[band]} until {spelled_date(day - 1)} if nothing happens, then {to}",
    )


def short(model: Model, scores: Scores, columns: Columns, row: int, now: datetime, zone: tzinfo) -> Short | None:
    """What a person lacks for the next band; `None` in the highest one, or when the person is disqualified."""
    names, band = model.band_names(), int(scores.band[row])
    if band + 1 >= len(names) or scores.disqualified[row] >= 0:
        return None
    goal = band + 1
    needed = bands_of(model, scores, row)[names[goal]].at
    missing = max(0, hundredths(needed) - int(scores.total[row])) if needed is not None else 0
    tries = [(rule,) for rule in model.behavior if rule.points > 0]
    alone = [names_[0] for names_, reached in _tried(model, columns, row, now, zone, tries) if reached[0] >= goal]
    together = () if alone else _together(model, columns, row, now, zone, goal)
    return Short(names[goal], plain(missing), tuple(alone), together, _said(names[goal], missing, alone, together))


def _said(band: str, missing: int, alone: Sequence[str], together: Sequence[str]) -> str:
    head = f"{plain(missing)} points short of {band}" if missing else f"held below {band} by a gate"
    if alone:
        return f"{head}: {' or '.join(alone)}"
    return f"{head}: {' and '.join(together)}" if together else head


def _tried(
    model: Model, columns: Columns, row: int, now: datetime, zone: tzinfo, tries: Sequence[tuple[Behavior, ...]]
) -> Iterator[tuple[list[str], tuple[int, int]]]:
    """The band and total of the person, had they just done what each rule of a try asks for."""
    rules = list({rule.name: rule for each in tries for rule in each}.values())
    if not rules:
        return
    copies = take(columns, [row] * len(tries))
    place = {rule.name: len(copies.facts) + number for number, rule in enumerate(rules)}
    facts = [*copies.facts, *(Fact(rule.on[0], {}) for rule in rules)]
    at = int(now.timestamp())
    person = [number for number, each in enumerate(tries) for _ in each]
    fact = [place[rule.name] for each in tries for rule in each]
    order = np.argsort(np.concatenate([copies.person, np.array(person, dtype=np.int32)]), kind="stable")
    acted = replace(
        copies,
        person=np.concatenate([copies.person, np.array(person, dtype=np.int32)])[order],
        at=np.concatenate([np.minimum(copies.at, at), np.full(len(person), at, dtype=np.int64)])[order],
        fact=np.concatenate([copies.fact, np.array(fact, dtype=np.int32)])[order],
        facts=facts,
    )
    taken = {place[rule.name]: selection_key(rule.on, rule.where) for rule in rules}
    what_if = WhatIf(np.zeros(len(tries), dtype=np.int32), taken)
    then = scores_of(Known(model, acted, now, zone, what_if=what_if))
    for number, each in enumerate(tries):
        yield [rule.name for rule in each], (int(then.band[number]), int(then.total[number]))


def _together(model: Model, columns: Columns, row: int, now: datetime, zone: tzinfo, goal: int) -> tuple[str, ...]:
    """Several rules that together reach a band: always the one more that brings most; nothing when five do not."""
    chosen: tuple[Behavior, ...] = ()
    for _ in range(5):
        rest = [rule for rule in model.behavior if rule.points > 0 and rule not in chosen]
        tries = [(*chosen, rule) for rule in rest]
        if not tries:
            break
        results = [reached for _, reached in _tried(model, columns, row, now, zone, tries)]
        best = max(range(len(tries)), key=lambda number: results[number])
        chosen = tries[best]
        if results[best][0] >= goal:
            return tuple(rule.name for rule in chosen)
    return ()
