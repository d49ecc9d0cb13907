"""What fields that nobody filled in could change: the range of a score, and which of them are worth knowing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from itertools import pairwise, product
from math import prod

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.model import Model
from crmsync.config.rules import Fit, Rule
from crmsync.config.units import to_hundredths
from crmsync.model import Scalar
from crmsync.scoring.activities import Index
from crmsync.scoring.adjustment import clamp_adjustment
from crmsync.scoring.answers import UNKNOWN, YES
from crmsync.scoring.calendar import UNKNOWN_DAY, day_of
from crmsync.scoring.conditions import ConditionEvaluator, find_known, today_of
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.engine import Scoring, score
from crmsync.scoring.ledger import Scores
from crmsync.scoring.patterns import count_silences
from crmsync.scoring.scored_people import ScoredPeople
from crmsync.scoring.values import Column, make_column, take_rows, unknown_column
from crmsync.scoring.whatif.candidates import candidate_values
from crmsync.scoring.whatif.scenarios import copy_rows, cut_into_stretches, score_copies
from crmsync.scoring.wording import to_points

MOST_COMBINATIONS = 2_000
"""Beyond this many combinations of unknown fields, each field is tried on its own, best first."""

Kinds = NDArray[np.intp]
"""For each field that decides something the kind of its value, -1 where it is not known: one row (or many)."""


@dataclass(frozen=True)
class Range:
    """The lowest and highest total over the fields that are not known, and the bands that come with them."""

    lowest: int | float
    highest: int | float
    bands: tuple[str, ...]
    unknown: tuple[str, ...]


def possible_ranges(scored: ScoredPeople) -> list[Range]:
    """The range of each one's total over the fields that rules read and nobody filled in."""
    model, scores = scored.model, scored.scores
    read = {name: _answered(model, scored, name) for name in sorted(_decisive(model))}
    lacking = [tuple(name for name in read if read[name].kinds[at] < 0) for at in range(len(scored.rows))]
    seen = [[(int(scores.total[row]), int(scores.band[row]))] for row in scored.rows]
    for at, found in _tried(scored, read, [at for at, names in enumerate(lacking) if names]):
        seen[at] = found
    names = model.band_names()
    return [
        Range(
            to_points(min(total for total, _ in found)),
            to_points(max(total for total, _ in found)),
            tuple(names[band] for band in sorted({band for _, band in found if band >= 0})),
            unknown,
        )
        for found, unknown in zip(seen, lacking, strict=True)
    ]


@dataclass(frozen=True)
class Answered:
    """One field of some people: values that answer every question of the model alike are of one kind.

    `distinct`: a value of each kind, and `None` at the end. `kinds` (n,): of which kind each value is, -1 where
    it is not known. `options`: of which kinds it could be.
    """

    distinct: Sequence[Scalar | None]
    kinds: Kinds
    options: Sequence[int]

    def codes(self, kinds: Kinds) -> Kinds:
        """Where the value of each kind stands in `distinct`."""
        return np.where(kinds < 0, len(self.distinct) - 1, kinds)


def _answered(model: Model, scored: ScoredPeople, name: str) -> Answered:
    known = scored.columns.fields.get(name)
    held = known if isinstance(known, Column) else unknown_column(len(scored.rows))
    # In one column, so that the same answers sort what is known and what could be.
    today = today_of(scored.now, scored.zone)
    made = make_column([*held.distinct, *candidate_values(model, name, day_of(scored.now, scored.zone))])
    asker = ConditionEvaluator(len(made), {name: made}, model, today)
    answers = _answers_about(model, asker, name)
    _, first, kind = np.unique(answers, axis=0, return_index=True, return_inverse=True)
    count = len(held.distinct)
    # What a question cannot read is as unknown as what is not there.
    unread = (answers[:count] == UNKNOWN).any(axis=1) | held.missing
    kinds = np.where(unread, -1, kind.ravel()[:count])
    options = sorted({*kind.ravel()[count:][~made.missing[made.codes][count:]].tolist()})
    return Answered([*(made[int(at)] for at in first), None], kinds[held.codes], options)


def _answers_about(model: Model, asker: ConditionEvaluator, name: str) -> NDArray[np.int64]:
    """What each value of the column (n,) answers to each question about it, in a row for each value.

    How often a rule of inactivity counts from it, is one, too: one more than `UNKNOWN` says that it counts never.
    """
    parts = [part for each in model.conditions() for part in each.parts() if part.field == name]
    answers = [asker.match(name, part).astype(np.int64) for part in parts]
    rules = [rule for rule in model.inactivity if rule.since == name]
    days = asker.days(name)[asker.columns[name].codes] if rules else np.zeros(0, dtype=np.int64)
    for rule in rules:
        over = np.asarray(asker.today.day) - days - rule.after.days
        answers.append(np.where(days == UNKNOWN_DAY, int(UNKNOWN), count_silences(rule, over) + UNKNOWN + 1))
    return np.array(answers).T


def _tried(
    scored: ScoredPeople, read: Mapping[str, Answered], people: Sequence[int]
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """For each person the totals and bands that come of the ways to fill in what is not known.

    Of ways that differ in nothing but the points of fit, those with the fewest and the most are enough, unless bands
    lie between them.
    """
    if not people:
        return
    profiles, profile = np.unique(
        np.array([each.kinds[people] for each in read.values()]).T, axis=0, return_inverse=True
    )
    ends, between = _ways(scored, read, profiles)
    mine = dict(zip(people, profile.ravel().tolist(), strict=True))
    found = _outcomes(scored, read, mine, people, ends)
    open_ = [person for person in people if _apart([band for _, band in found[person]])]
    more = _outcomes(scored, read, mine, open_, between)
    yield from ((person, [*found[person], *more.get(person, ())]) for person in people)


def _apart(bands: Sequence[int]) -> bool:
    return max(bands) - min(bands) > 1


def _outcomes(
    scored: ScoredPeople,
    read: Mapping[str, Answered],
    profile: Mapping[int, int],
    people: Sequence[int],
    ways: Sequence[Kinds],
) -> dict[int, list[tuple[int, int]]]:
    """Total and band of people for each of the ways that their profile has."""
    found: dict[int, list[tuple[int, int]]] = {person: [] for person in people}
    counts = [len(ways[profile[person]]) for person in people]
    which = np.repeat(np.array(people, dtype=np.intp), counts)
    kinds = np.concatenate([np.zeros((0, len(read)), dtype=np.intp), *(ways[profile[person]] for person in people)])
    for some in cut_into_stretches(len(which)):
        then = _filled(scored, read, which[some], kinds[some])
        for person, total, band in zip(which[some].tolist(), then.total.tolist(), then.band.tolist(), strict=True):
            found[person].append((total, band))
    return found


def _filled(scored: ScoredPeople, read: Mapping[str, Answered], which: Index, kinds: Kinds) -> Scores:
    """The scores of people with the fields that they lack filled in."""
    copies = copy_rows(scored.columns, which)
    fields = dict(copies.fields)
    for (name, each), kind in zip(read.items(), kinds.T, strict=True):
        held = fields.get(name)
        held = held if isinstance(held, Column) else unknown_column(len(which))
        codes = np.where(each.kinds[which] < 0, len(held.distinct) + each.codes(kind), held.codes)
        fields[name] = Column(codes.astype(np.int32), [*held.distinct, *each.distinct], held.odd)
    return score_copies(scored, replace(copies, fields=fields), which)


def _ways(scored: ScoredPeople, read: Mapping[str, Answered], profiles: Kinds) -> tuple[list[Kinds], list[Kinds]]:
    """For each profile the ways to fill it in that matter: those with the least and most fit, and those in between."""
    every = [_all_ways(scored, read, profile) for profile in profiles]
    starts = np.cumsum([0, *map(len, every)])
    stacked = np.concatenate(every)
    influence = np.concatenate([_influence(scored, read, stacked[some]) for some in cut_into_stretches(len(stacked))])
    split = [_split(influence[start:end]) for start, end in pairwise(starts.tolist())]
    ends = [ways[outer] for ways, (outer, _) in zip(every, split, strict=True)]
    between = [ways[inner] for ways, (_, inner) in zip(every, split, strict=True)]
    return ends, between


def _split(influence: NDArray[np.int64]) -> tuple[Index, Index]:
    """Of ways that differ in nothing but fit, those with the least and the most, and one for each fit in between."""
    distinct, first = np.unique(influence, axis=0, return_index=True)
    begins = np.ones(len(first), dtype=bool)
    # `np.unique` sorts the rows and fit comes last: each run of equal rest begins with the least fit.
    begins[1:] = (distinct[1:, :-1] != distinct[:-1, :-1]).any(axis=1)
    outer = begins | np.append(begins[1:], True)
    return first[outer], first[~outer]


def _all_ways(scored: ScoredPeople, read: Mapping[str, Answered], profile: Kinds) -> Kinds:
    """Every way to fill in a profile, or many ways where there are too many."""
    options = [each.options if kind < 0 else [kind] for each, kind in zip(read.values(), profile, strict=True)]
    if prod(map(len, options)) > MOST_COMBINATIONS:
        return _walked(scored, read, profile)
    return np.array(list(product(*options)), dtype=np.intp)


def _walked(scored: ScoredPeople, read: Mapping[str, Answered], profile: Kinds) -> Kinds:
    """The ways met on two walks, up and down, that fill in one field after the other with what moves points most.

    Each field has its turn twice, because what a field can do depends on the others.
    """
    model, answered, seen = scored.model, [*read.values()], []
    points = np.array([to_hundredths(rule.points) for rule in _asking(model)], dtype=np.int64)
    for up in (1, -1):
        way = profile.copy()
        for place in [*np.flatnonzero(profile < 0).tolist()] * 2:
            tries = np.repeat(way[None], len(answered[place].options), axis=0)
            tries[:, place] = answered[place].options
            influence = _influence(scored, read, tries)
            direct = influence[:, -2:].sum(axis=1) if model.learned.active else influence[:, -1]
            way = tries[np.argmax(up * (direct + influence[:, 1 : len(points) + 1] @ points))]
            seen.append(tries)
    return np.unique(np.concatenate(seen), axis=0)


def _asking(model: Model) -> list[Rule]:
    """The rules about activities that depend on fields."""
    return [rule for rule in model.rules() if not isinstance(rule, Fit) and (rule.when or rule.segments)]


def _influence(scored: ScoredPeople, read: Mapping[str, Answered], ways: Kinds) -> NDArray[np.int64]:
    """What fields decide, in a row for each way: segment, rules that count, disqualifications; at the end fit.

    Before it, where there are any, what the learned adjustments come to.
    """
    model, none = scored.model, np.zeros(0, dtype=np.int64)
    fields = {
        name: Column(each.codes(kind).astype(np.int32), each.distinct, {})
        for (name, each), kind in zip(read.items(), ways.T, strict=True)
    }
    columns = Columns(np.arange(len(ways)), fields, none.astype(np.int32), none, none.astype(np.int32), ())
    known = ScoringContext(model, columns, scored.now, scored.zone)
    scoring = Scoring(known)
    decided = [known.segment, *(scoring.applies(rule) for rule in _asking(model))]
    decided += [known.asker.ask(each.when) == YES for each in model.disqualify if each.when]
    # From when on somebody could have acted decides about the points of inactivity.
    decided += [ways[:, place] for place, name in enumerate(read) if any(it.since == name for it in model.inactivity)]
    if model.learned.active:
        decided.append(clamp_adjustment(model, scoring.wanted_adjustment()))
    return np.column_stack([*decided, scoring.scores().fit]).astype(np.int64)


def worth_knowing(
    model: Model, scores: Scores, columns: Columns, now: datetime, zone: tzinfo
) -> list[tuple[str, int, int]]:
    """For each field: how many people lack it, and for how many of them it could change the band; most first."""
    ranked = [(name, *_moved(model, scores, columns, now, zone, name)) for name in sorted(_decisive(model))]
    return sorted((each for each in ranked if each[1]), key=lambda each: (-each[2], -each[1], each[0]))


def _decisive(model: Model) -> set[str]:
    """The fields that can change a score or a band: all that are read, save by qualifications."""
    return model.model_copy(update={"qualification": []}).used_fields() - model.chosen_fields()


def _moved(model: Model, scores: Scores, columns: Columns, now: datetime, zone: tzinfo, name: str) -> tuple[int, int]:
    rows = np.flatnonzero(~find_known(model, columns, today_of(now, zone), [name])[:, 0])
    some = take_rows(columns, rows)
    moved = np.zeros(len(rows), dtype=bool)
    for value in candidate_values(model, name, day_of(now, zone)) if len(rows) else ():
        then = score(model, replace(some, fields={**some.fields, name: [value] * len(rows)}), now, zone)
        moved |= then.band != scores.band[rows]
    return len(rows), int(moved.sum())
