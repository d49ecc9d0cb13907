"""What looks wrong with a model once there are people who were scored by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.countries import read_country, read_state, suggest_place
from crmsync.config.model import Model, selections_of, selects_kind
from crmsync.config.patch import write_value
from crmsync.config.rules import Behavior
from crmsync.counts import count_of
from crmsync.lint.finding import Finding
from crmsync.scoring.answers import YES
from crmsync.scoring.conditions import NO_DAY, ConditionEvaluator, encode_attributes
from crmsync.scoring.ledger import Scores
from crmsync.scoring.titles import title_reader
from crmsync.scoring.values import make_column

FEWEST_PEOPLE = 20
"""Fewer people than this say nothing about a rule."""

TWINS = 0.95
"""Correlation above which two rules say the same."""

SILENT = timedelta(days=14)

MOST_TEXTS = 10
LONGEST_TEXT = 60
"""So that a line of the list stays whole on a terminal, and can be copied."""

LIKE = 0.8
SHORTEST_TO_SUGGEST = 4
"""What is less like a name, or so short, may be anything."""


def lint_with_data(
    model: Model,
    scores: Scores,
    columns: Columns,
    known_kinds: Collection[str],
    now: int,
    unread: Collection[str] = (),
) -> list[Finding]:
    """What can be said of a model once people were scored by it; `now` in seconds since 1970.

    Nothing can be said of rules about fields that are `unread`: mapped, and not pulled since.
    """
    checks = (
        _dead_rules(model, scores, unread),
        _twins(model, scores),
        _strange_kinds(model, columns, known_kinds),
        _gone_silent(model, columns, now),
        _unknown_titles(model, columns),
        _unknown_places(model, columns),
    )
    return [finding for check in checks for finding in check]


def _given(scores: Scores) -> dict[str, NDArray[np.bool_]]:
    """For each rule, who got points from it."""
    lines = zip(scores.lines, scores.points, strict=True)
    return {line.about: points != 0 for line, points in lines if line.sort == "rule"}


def _dead_rules(model: Model, scores: Scores, unread: Collection[str]) -> Iterator[Finding]:
    if len(scores.people) < FEWEST_PEOPLE:
        return
    waiting = {rule.name for rule in model.rules() if rule.when is not None and rule.when.fields() & {*unread}}
    for name, given in _given(scores).items():
        if name in waiting:
            continue
        if not given.any():
            everybody = count_of(len(scores.people), "person")
            yield Finding("warning", f'"{name}" gives no points to any of {everybody}')
        elif given.all():
            yield Finding("note", f'"{name}" gives points to everybody, so it does not help to compare people')


def _twins(model: Model, scores: Scores) -> Iterator[Finding]:
    """Rules that nearly always count for the same people: their correlation is above 0.95."""
    if len(scores.people) < FEWEST_PEOPLE:
        return
    given = {name: who for name, who in _given(scores).items() if who.any() and not who.all()}
    if len(given) < 2:
        return
    alike: NDArray[np.float64] = np.corrcoef(np.array(list(given.values()), dtype=np.float64))
    for (one, left), (other, right) in combinations(enumerate(given), 2):
        if alike[one, other] > TWINS:
            sentence = (
                f'"{left}" and "{right}" match the same people (correlation {alike[one, other]:.2f}); consider one rule'
            )
            yield Finding("warning", sentence)


def _strange_kinds(model: Model, columns: Columns, known: Collection[str]) -> Iterator[Finding]:
    counts = np.bincount(columns.fact, minlength=len(columns.facts)).tolist()
    seen: dict[str, int] = {}
    for fact, count in zip(columns.facts, counts, strict=True):
        seen[fact.kind] = seen.get(fact.kind, 0) + count
    chosen = [on for on, _ in selections_of(model)]
    for kind, count in sorted(seen.items()):
        there = count_of(count, "activity")
        if count and kind not in known:
            yield Finding("warning", f'{there} of the type "{kind}" exist, but no activity source has this type')
        elif count and not any(selects_kind(on, kind) for on in chosen):
            yield Finding("note", f'{there} of the type "{kind}" exist, but no rule uses them')


def _gone_silent(model: Model, columns: Columns, now: int) -> Iterator[Finding]:
    """Rules whose activities came and no longer come: a page was renamed, a form replaced, a feed has died."""
    for rule in model.behavior:
        newest = _newest(model, rule, columns, now)
        if newest is not None and now - newest > SILENT.total_seconds():
            idle = count_of(int(now - newest) // 86_400, "day")
            yield Finding("warning", f'"{rule.name}" has found no activity for {idle}')


def _newest(model: Model, rule: Behavior, columns: Columns, now: int) -> int | None:
    """The instant of the newest activity that a rule takes."""
    taken = np.isin(np.array([fact.kind for fact in columns.facts], dtype=object), rule.on)
    read = encode_attributes(model.missing_words(), columns.facts, rule.where)
    asker = ConditionEvaluator(len(columns.facts), read, model, NO_DAY, untyped=True)
    for name, match in rule.where.items():
        taken &= asker.match(name, match) == YES
    at = columns.at[taken[columns.fact] & (columns.at <= now)] if len(taken) else columns.at
    return int(at.max()) if len(at) else None


def _unknown_titles(model: Model, columns: Columns) -> Iterator[Finding]:
    """Titles of which no word is known, for each field that a question reads as a title."""
    reader = title_reader(model.titles)
    for name in _asked_fields(model, columns, ("seniority", "seniority_at_least", "department")):
        unknown, people = _count_unknown(model, columns, name, lambda title: reader.read(title).is_known)
        if unknown:
            yield Finding("note", _paste_titles(name, unknown, people))


def _unknown_places(model: Model, columns: Columns) -> Iterator[Finding]:
    """What is no country or state, for each field of which a question asks for some."""
    for key, read in (("country", read_country), ("state", read_state)):
        for name in _asked_fields(model, columns, (key,)):
            unknown, people = _count_unknown(model, columns, name, read)
            if unknown:
                yield Finding("note", _list_places(key, name, unknown, people))


def _asked_fields(model: Model, columns: Columns, keys: Iterable[str]) -> list[str]:
    """The fields of which questions ask with one of some keys."""
    parts = [part for condition in model.conditions() for part in condition.parts()]
    asked = {part.field for part in parts if part.field and not part.keys().keys().isdisjoint(keys)}
    return sorted(asked & columns.fields.keys())


def _count_unknown(
    model: Model, columns: Columns, name: str, is_known: Callable[[str], object]
) -> tuple[Counter[str], int]:
    """How many people have each text of a field that is not known, and how many people there are."""
    words = model.missing_words()
    column = make_column(columns.fields[name], words.get(name, words[""]))
    counts = np.bincount(column.codes, minlength=len(column.distinct)).tolist()
    unknown: Counter[str] = Counter()
    for value, count in zip(column.distinct, counts, strict=True):
        if isinstance(value, str) and count and not is_known(value):
            unknown[" ".join(value.split())] += count
    return unknown, sum(counts)


def _most_frequent(unknown: Counter[str]) -> list[tuple[str, int]]:
    often = sorted(unknown.items(), key=lambda each: (-each[1], each[0]))
    return [each for each in often if len(each[0]) <= LONGEST_TEXT][:MOST_TEXTS]


def _list_places(key: str, name: str, unknown: Counter[str], people: int) -> str:
    """How many have such a value, and the most frequent ones with what they are like."""
    lines = []
    for text, count in _most_frequent(unknown):
        near = suggest_place(key, text, LIKE) if len(text) >= SHORTEST_TO_SUGGEST else ""
        lines.append(f"  {write_value(text)}: {count:,}" + (f"; did you mean {near}?" if near else ""))
    return "\n".join(
        [
            f"{name}: what {unknown.total():,} of {people:,} people have is no {key} that is known. "
            "Correct in the CRM what is misspelled:",
            *lines,
        ]
    )


def _paste_titles(name: str, unknown: Counter[str], people: int) -> str:
    """How many have such a title, and the most frequent ones as lines of the config."""
    lines = [f"    {write_value(title)},  # {count:,}" for title, count in _most_frequent(unknown)]
    return "\n".join(
        [
            f"{name}: no word is known of the titles of {unknown.total():,} of {people:,} people, who count as staff "
            "of no department. To give them a level, put these lines into the config and the titles under the right "
            "level (departments are the same: titles.department):",
            "  [titles.seniority]",
            "  staff = [",
            *lines,
            "  ]",
        ]
    )
