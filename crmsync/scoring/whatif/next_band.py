"""What is missing to the next band, and what somebody would have to do to get there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns, Fact
from crmsync.config.model import Model, selections_of_rule
from crmsync.config.rules import Behavior, Pattern
from crmsync.config.rules import Sequence as SequenceRule
from crmsync.config.units import to_hundredths
from crmsync.counts import count_of
from crmsync.scoring.activities import Index, WhatIf, has_recent
from crmsync.scoring.adjustment import clamp_adjustment, points_needed
from crmsync.scoring.bands import bands_of
from crmsync.scoring.calendar import find_midnights
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.decay import NEVER
from crmsync.scoring.engine import LEARNED, Scoring
from crmsync.scoring.fact_selection import selection_key
from crmsync.scoring.ledger import Points
from crmsync.scoring.scored_people import ScoredPeople
from crmsync.scoring.whatif.scenarios import copy_rows, cut_into_stretches, score_copies
from crmsync.scoring.wording import to_points

MOST_TOGETHER = 5
"""More things than this to do are no advice."""

TRIED_AT_ONCE = 3
"""Of what brought most before, so many are tried beside what is chosen already."""

LEAST = -(2**62)

MONTH = 31
"""Days after which an activity is of no week or month that is still going on."""


@dataclass(frozen=True)
class NextBand:
    """What is missing to the next band: its name, single rules that each reach it, or several that do together.

    `points` are points of rules: a learned adjustment may make more or fewer of them.
    """

    band: str
    points: int | float
    any_of: tuple[str, ...]
    together: tuple[str, ...]
    said: str


def find_next_bands(scored: ScoredPeople) -> list[NextBand | None]:
    """What each lacks for the next band; `None` for who is in the highest one, or disqualified."""
    scored, model = _until_now(scored), scored.model
    open_ = np.flatnonzero((scored.band + 1 < len(model.bands)) & (scored.scores.disqualified[scored.rows] < 0))
    told: list[NextBand | None] = [None] * len(scored.rows)
    before, clamped = _before_adjustment(scored)
    rules = [rule for rule in model.behavior if rule.points > 0]
    for some in cut_into_stretches(len(open_), max(1, len(rules))):
        which = open_[some]
        for at, reached in zip(which.tolist(), _reached(scored, which, rules), strict=True):
            told[at] = _short(scored, at, int(before[at]), int(clamped[at]), *reached)
    return told


def find_advice_due(model: Model, columns: Columns, now: datetime, zone: tzinfo) -> NDArray[np.int64]:
    """When time alone may change what one more activity would bring (n,), in seconds; `FAR` for never.

    That is where no score may change: an activity that does not count yet leaves its window, or a day begins anew.
    """
    acts = ScoringContext(model, columns, now, zone).activities(slice(0, len(columns.people)))
    wait = np.full(acts.rows, NEVER, dtype=np.int32)
    for rule in model.behavior:
        some = acts.taken(rule.on, rule.where)
        if rule.window is not None:
            young = some.within(rule.window.days)
            np.minimum.at(wait, young.person, young.waits(rule.window.days + 1 - young.age))
        if rule.per_day or rule.max_per_week or rule.max_per_month:
            young = some.within(MONTH)
            np.minimum.at(wait, young.person, young.waits(np.ones(len(young), dtype=np.int32)))
        if rule.unless is not None:
            wait = np.minimum(wait, has_recent(acts, rule.unless.on, rule.unless.where, rule.unless.window)[1])
    together: list[SequenceRule | Pattern] = [*model.sequence, *model.pattern]
    for several in together:
        if several.within is not None:
            for on, where in selections_of_rule(several):
                young = acts.taken(on, where).within(several.within.days)
                np.minimum.at(wait, young.person, young.waits(np.maximum(several.within.days - young.age, 1)))
    return find_midnights(acts.today, wait, zone)


def _before_adjustment(scored: ScoredPeople) -> tuple[Points, Points]:
    """The total of each by rules alone, and what adjustments come to before bands and limits cut them."""
    total = scored.scores.total[scored.rows]
    if not scored.model.learned.active:
        return total, np.zeros_like(total)
    scoring = Scoring(ScoringContext(scored.model, scored.columns, scored.now, scored.zone))
    given = scored.scores.points[scored.scores.lines.index(LEARNED)][scored.rows]
    return total - given, clamp_adjustment(scored.model, scoring.wanted_adjustment())


def _until_now(scored: ScoredPeople) -> ScoredPeople:
    """The scored without what has not happened yet."""
    past = scored.columns.at <= int(scored.now.timestamp())
    columns = scored.columns
    kept = replace(columns, person=columns.person[past], at=columns.at[past], fact=columns.fact[past])
    return replace(scored, columns=kept)


def _short(
    scored: ScoredPeople, at: int, before: int, clamped: int, alone: Sequence[str], together: Sequence[str]
) -> NextBand:
    row = int(scored.rows[at])
    number = int(scored.band[at]) + 1
    band = scored.model.band_names()[number]
    bands = bands_of(scored.model, scored.scores, row)
    needed, minimums = points_needed(bands, number, clamped), list(bands.values())[number]
    lacking = {
        "": needed - before if needed is not None else 0,
        " of fit": _points_short(minimums.min_fit, int(scored.scores.fit[row])),
        " of behavior": _points_short(minimums.min_behavior, int(scored.scores.behavior[row])),
    }
    short = {of: to_points(each) for of, each in lacking.items() if each > 0}
    return NextBand(band, short.get("", 0), tuple(alone), tuple(together), _said(band, short, alone, together))


def _points_short(least: float | None, given: int) -> int:
    """What is missing to a minimum, in hundredths; 0 or less where there is none or it is met."""
    return 0 if least is None else to_hundredths(least) - given


def _said(band: str, short: Mapping[str, int | float], alone: Sequence[str], together: Sequence[str]) -> str:
    *others, last = [f"{count_of(each, 'more point')}{of}" for of, each in short.items()] or ["more points"]
    head = f"{band} needs {' and '.join([', '.join(others), last] if others else [last])}"
    if alone:
        return f"{head}: {' or '.join(alone)}"
    return f"{head}: {' and '.join(together)}" if together else head


def _reached(scored: ScoredPeople, which: Index, rules: Sequence[Behavior]) -> list[tuple[list[str], list[str]]]:
    """For each person the rules that alone reach the next band; where there is none, several that do together."""
    if not rules:
        return [([], []) for _ in which]
    goal = scored.band[which].astype(np.int64) + 1
    chosen = np.zeros((len(which), len(rules)), dtype=bool)
    everyone = np.repeat(np.arange(len(which)), len(rules))
    band, total = _tried(scored, which, rules, chosen, everyone, np.tile(np.arange(len(rules)), len(which)))
    band, total = band.reshape(chosen.shape), total.reshape(chosen.shape)
    alone = band >= goal[:, None]
    seeking = np.flatnonzero(~alone.any(axis=1))
    gain = total[seeking] - scored.scores.total[scored.rows[which[seeking]]][:, None]
    found = _together(scored, which[seeking], rules, goal[seeking], gain)
    together = dict(zip(seeking.tolist(), found, strict=True))
    return [
        (
            [rules[number].name for number in np.flatnonzero(alone[at]).tolist()],
            [rules[number].name for number in together.get(at, ())],
        )
        for at in range(len(which))
    ]


def _together(
    scored: ScoredPeople, which: Index, rules: Sequence[Behavior], goal: Points, gain: Points
) -> list[list[int]]:
    """Rules that together reach a band: always the one more that brings most; nothing when `MOST_TOGETHER` do not.

    `gain` (people, rules) is what each rule brought when it was last tried: the best of these are tried again.
    """
    order: list[list[int]] = [[] for _ in which]
    chosen, base = np.zeros(gain.shape, dtype=bool), scored.scores.total[scored.rows[which]].copy()
    going = np.arange(len(which))
    for step in range(min(MOST_TOGETHER, len(rules))):
        width = min(TRIED_AT_ONCE, len(rules) - step)
        # What is chosen already gets the largest number, so that it is never tried again.
        tries = np.argsort(np.where(chosen[going], -LEAST, -gain[going]), axis=1, kind="stable")[:, :width]
        owner, rule = np.repeat(going, width), tries.ravel()
        band, total = _tried(scored, which, rules, chosen, owner, rule)
        gain[owner, rule] = total - base[owner]
        band, total = band.reshape(tries.shape), total.reshape(tries.shape)
        each, best = np.arange(len(going)), _best(band, total)
        chosen[going, tries[each, best]] = True
        base[going] = total[each, best]
        for person, number in zip(going.tolist(), tries[each, best].tolist(), strict=True):
            order[person].append(number)
        going = going[band[each, best] < goal[going]]
    for person in going.tolist():
        order[person] = []
    return order


def _best(band: NDArray[np.int8], total: Points) -> Index:
    """For each person the try that leads to the highest band, and among these to the highest total."""
    highest = band == band.max(axis=1, keepdims=True)
    best: Index = np.where(highest, total, LEAST).argmax(axis=1)
    return best


def _tried(
    scored: ScoredPeople, which: Index, rules: Sequence[Behavior], chosen: NDArray[np.bool_], owner: Index, rule: Index
) -> tuple[NDArray[np.int8], Points]:
    """The band and total of people (`owner`, an index of `which`) had they just done what `rule` and the chosen ask."""
    copies = copy_rows(scored.columns, which[owner])
    done = chosen[owner]
    done[np.arange(len(owner)), rule] = True
    person, number = np.nonzero(done)
    known = len(copies.facts)
    everyone = np.concatenate([copies.person, person.astype(np.int32)])
    # Stable, so that what is made up comes last of each person: it happens now.
    order = np.argsort(everyone, kind="stable")
    at = np.full(len(person), int(scored.now.timestamp()), dtype=np.int64)
    acted = replace(
        copies,
        person=everyone[order],
        at=np.concatenate([copies.at, at])[order],
        fact=np.concatenate([copies.fact, (number + known).astype(np.int32)])[order],
        facts=[*copies.facts, *(Fact(each.on[0], {}) for each in rules)],
    )
    taken = {known + place: selection_key(each.on, each.where) for place, each in enumerate(rules)}
    then = score_copies(scored, acted, which[owner], WhatIf(np.zeros(len(owner), dtype=np.int32), taken))
    return then.band, then.total
