"""Until when a band lasts if nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import Model
from crmsync.config.rules import Behavior, Disqualify, Pattern, Rule, Selection
from crmsync.config.rules import Sequence as SequenceRule
from crmsync.counts import format_date
from crmsync.scoring.activities import ActivityTable, Index, Mask, WhatIf, has_recent
from crmsync.scoring.calendar import FAR, day_of, find_midnights, local_days, midnight_of
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.decay import NEVER, value_by_age
from crmsync.scoring.engine import Scoring
from crmsync.scoring.scored_people import ScoredPeople
from crmsync.scoring.whatif.scenarios import copy_rows, cut_into_stretches, score_copies

HORIZON = 400
"""How many days ahead a forecast looks."""


@dataclass(frozen=True)
class Forecast:
    """When time alone moves a person to another band: the first instant of it (aware UTC), and which band."""

    at: datetime
    band: str
    said: str


def forecast_bands(scored: ScoredPeople) -> list[Forecast | None]:
    """For each of some people, when and where time alone moves them within `HORIZON` days, else `None`."""
    told: list[Forecast | None] = [None] * len(scored.rows)
    names, today = scored.model.band_names(), day_of(scored.now, scored.zone)
    if names and len(scored.rows):
        for at, later, band in _moves(scored):
            day = today + later
            said = f"{names[scored.band[at]]} until {format_date(day - 1)} without new activity, then {names[band]}"
            told[at] = Forecast(datetime.fromtimestamp(midnight_of(day, scored.zone), UTC), names[band], said)
    return told


def _moves(scored: ScoredPeople) -> Iterator[tuple[int, int, int]]:
    """Who moves, in how many days, to which band."""
    known = ScoringContext(scored.model, scored.columns, scored.now, scored.zone)
    acts, dated = Scoring(known).activities, known.wait < NEVER
    changing, comes = scored.scores.due[scored.rows] < FAR, acts.next_at < FAR
    rises = _may_rise(scored, acts) | dated
    # Points that only fall cross a band once, which halving finds; others are tried day by day.
    yield from _falls(scored, np.flatnonzero(changing & ~comes & ~rises))
    plain = changing & ~comes & rises
    yield from _scanned(scored, np.flatnonzero(plain & ~dated), _settled(scored.model))
    last = max(_settled(scored.model), int(known.last_change().max(initial=0)))
    yield from _scanned(scored, np.flatnonzero(plain & dated), min(HORIZON, last))
    yield from _scanned(scored, np.flatnonzero(changing & comes), HORIZON)


def _falls(scored: ScoredPeople, which: Index) -> Iterator[tuple[int, int, int]]:
    """The moves of people whose points only fall with time, found by halving the time."""
    last = np.full(len(which), HORIZON, dtype=np.int32)
    # Points only fall, so that whoever is in the same band at the end has never left it.
    which = which[_bands(scored, which, last) != scored.band[which]]
    same, moved = np.zeros(len(which), dtype=np.int32), np.full(len(which), HORIZON, dtype=np.int32)
    while (moved - same > 1).any():
        middle = (same + moved) // 2
        left = _bands(scored, which, middle) != scored.band[which]
        moved, same = np.where(left, middle, moved), np.where(left, same, middle)
    yield from zip(which.tolist(), moved.tolist(), _bands(scored, which, moved).tolist(), strict=True)


def _scanned(scored: ScoredPeople, which: Index, last: int) -> Iterator[tuple[int, int, int]]:
    """The moves of people who may rise and fall: every day up to the last is tried."""
    days = np.arange(1, last + 1, dtype=np.int32)
    for some in cut_into_stretches(len(which), last):
        people = which[some]
        then = _bands(scored, np.repeat(people, last), np.tile(days, len(people))).reshape(-1, last)
        moved = then != scored.band[people][:, None]
        first = moved.argmax(axis=1)
        for at in np.flatnonzero(moved.any(axis=1)).tolist():
            yield int(people[at]), int(days[first[at]]), int(then[at, first[at]])


def _bands(scored: ScoredPeople, which: Index, later: NDArray[np.int32]) -> NDArray[np.int8]:
    """The bands of people so many days later."""
    if not len(which):
        return np.zeros(0, dtype=np.int8)
    return score_copies(scored, copy_rows(scored.columns, which), which, WhatIf(later.astype(np.int32), {})).band


def _may_rise(scored: ScoredPeople, acts: ActivityTable) -> Mask:
    """Whose points, or whose band, may become higher by time alone, because something bad passes."""
    model = scored.model
    # Points for silence come with time.
    rises = np.full(len(scored.rows), any(rule.points > 0 for rule in model.inactivity))
    passing = {rule.name for rule in model.rules() if rule.points < 0 and _passes(rule)}
    for line, points in zip(scored.scores.lines, scored.scores.points, strict=True):
        if line.sort == "rule" and line.about in passing:
            rises |= points[scored.rows] != 0
    for each in _against(model):
        rises |= has_recent(acts, each.on or (), each.where, each.window)[0]
    return rises


def _against(model: Model) -> Iterator[Selection | Disqualify]:
    """The activities in a window that take something away while they are there."""
    yield from (rule.unless for rule in model.behavior if rule.unless and rule.unless.window)
    yield from (each for each in model.disqualify if each.on and each.window)


def find_forecast_due(scored: ScoredPeople, due: NDArray[np.int64]) -> NDArray[np.int64]:
    """When a forecast of each may be another one (seconds), of people in whose scores nothing changes before `due`.

    A move that is too far ahead today may come into sight before that.
    """
    coming = scored.columns.at > int(scored.now.timestamp())
    if _last_age(scored.model) <= HORIZON and not scored.model.moving_questions() and not coming.any():
        return due
    known = ScoringContext(scored.model, scored.columns, scored.now, scored.zone)
    acts, today = Scoring(known).activities, day_of(scored.now, scored.zone)
    waits = np.where(due < FAR, local_days(due, scored.zone) - np.int32(today), NEVER)
    far = (due < FAR) & (waits > HORIZON)
    due = np.where(far, find_midnights(today, waits - HORIZON, scored.zone), due)
    comes = acts.next_at < FAR
    late = (due < FAR) & ((_last_age(scored.model) > HORIZON) | comes | (known.last_change() > HORIZON))
    rises = _may_rise(scored, acts) | (known.wait < NEVER) | comes
    falls = np.flatnonzero(late & ~rises)
    sure = HORIZON + np.where(far, waits - HORIZON, waits)[falls] - 1
    then, soon = (_bands(scored, falls, days) for days in (sure, np.full(len(falls), HORIZON)))
    comes_into_sight = late & rises
    comes_into_sight[falls] = (then != scored.band[falls]) & (soon == scored.band[falls])
    return np.where(comes_into_sight, np.minimum(due, midnight_of(today + 1, scored.zone)), due)


def _settled(model: Model) -> int:
    """After how many days time alone changes nothing more, as long as nothing is to come; at most `HORIZON`."""
    return min(HORIZON, _last_age(model))


def _last_age(model: Model) -> int:
    """After how many days time alone changes nothing more, as long as nothing is to come."""
    fading: list[Behavior | SequenceRule | Pattern] = [*model.behavior, *model.sequence, *model.pattern]
    ages = [len(value_by_age(rule.points, rule.decay, rule.window)) for rule in fading]
    ages += [each.window.days + 1 for each in _against(model) if each.window]
    for rule in model.inactivity:
        endless = rule.since or (rule.every and not rule.max_times)
        again = rule.every.days * (rule.max_times or 1) if rule.every else 0
        ages.append(int(NEVER) if endless else rule.after.days + again)
    return max(ages, default=1)


def _passes(rule: Rule) -> bool:
    """Whether what a rule gives becomes less, or nothing, with age."""
    return rule.limits.window is not None or rule.limits.decay is not None
