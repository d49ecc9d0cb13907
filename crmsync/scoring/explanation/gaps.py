"""What is not known of people, and which rules wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.conditions import Condition
from crmsync.config.learned import Adjustment
from crmsync.config.model import Model, selections_of, selects_kind
from crmsync.config.rules import Inactivity, Rule
from crmsync.scoring.activities import has_recent
from crmsync.scoring.answers import UNKNOWN, YES
from crmsync.scoring.calendar import UNKNOWN_DAY
from crmsync.scoring.conditions import NO_DAY, ConditionEvaluator, encode_attributes, today_of
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.engine import Scoring
from crmsync.scoring.scored_people import ScoredPeople
from crmsync.scoring.values import Column


def find_gaps(scored: ScoredPeople) -> list[list[str]]:
    """Of each the fields that rules read and nobody filled in with anything usable, with the rules that wait."""
    model, read = scored.model, scored.fields
    asker = _evaluator(scored)
    waiting: list[dict[str, list[str]]] = [{} for _ in scored.rows]
    asking: tuple[Rule | Adjustment, ...] = (*model.rules(), *model.learned.active)
    for rule in asking:
        for name, unknown in _unknown(asker, rule.when.parts() if rule.when else ()).items():
            for at in unknown.tolist():
                waiting[at].setdefault(name, []).append(rule.name)
    for silence, at in _find_undated(scored, asker):
        waiting[at].setdefault(str(silence.since), []).append(silence.name)
    return [
        [
            f"{name} {_why(read.get(name), at)}: {', '.join(dict.fromkeys(rules))}"
            for name, rules in sorted(each.items())
        ]
        for at, each in enumerate(waiting)
    ]


def _evaluator(scored: ScoredPeople) -> ConditionEvaluator:
    return ConditionEvaluator(len(scored.rows), scored.fields, scored.model, today_of(scored.now, scored.zone))


def _find_undated(scored: ScoredPeople, asker: ConditionEvaluator) -> Iterator[tuple[Inactivity, int]]:
    """The rules of inactivity that wait for the date that they count from: of people who did nothing so far."""
    rules = [rule for rule in scored.model.inactivity if rule.since]
    if not rules:
        return
    acts = Scoring(ScoringContext(scored.model, scored.columns, scored.now, scored.zone)).activities
    for rule in rules:
        column, days = scored.fields.get(str(rule.since)), asker.days(str(rule.since))
        dated = np.zeros(len(scored.rows), dtype=bool) if column is None else days[column.codes] != UNKNOWN_DAY
        acted, _wait = has_recent(acts, rule.on or (), rule.where, None)
        yield from ((rule, at) for at in np.flatnonzero(~dated & ~acted).tolist())


def find_warnings(scored: ScoredPeople) -> list[list[str]]:
    """Of each a sentence on every value that is there, that rules read, and that counts as unknown."""
    model, some, read = scored.model, scored.columns, scored.fields
    asker = _evaluator(scored)
    asked = [part for each in model.conditions() for part in each.parts() if part.field in read]
    dated = {str(rule.since) for rule in model.inactivity if rule.since} & read.keys()
    answers = {name: [asker.match(name, part) for part in asked if part.field == name] for name in read}
    for name in dated:
        days = asker.days(name)[read[name].codes]
        answers[name].append(np.where(days == UNKNOWN_DAY, UNKNOWN, YES))
    odd = [_odd(name, values, answers[name]) for name, values in read.items()]
    told: list[dict[str, None]] = [{} for _ in scored.rows]
    for sentence, places in (found for each in odd for found in each.items()):
        for at in places.tolist():
            told[at][sentence] = None
    for sentence, facts in _odd_attributes(model, some).items():
        for at in np.unique(some.person[np.isin(some.fact, facts)]).tolist():
            told[at][sentence] = None
    return [[*each] for each in told]


def _odd_attributes(model: Model, columns: Columns) -> dict[str, NDArray[np.intp]]:
    """Sentences on attributes that rules read and cannot use, each with the facts that have such a value."""
    found: dict[str, NDArray[np.intp]] = {}
    words = model.missing_words()
    for on, where in selections_of(model):
        chosen = np.array([at for at, fact in enumerate(columns.facts) if selects_kind(on, fact.kind)], dtype=np.intp)
        facts = [columns.facts[at] for at in chosen.tolist()]
        read = encode_attributes(words, facts, where)
        asker = ConditionEvaluator(len(facts), read, model, NO_DAY, untyped=True)
        for name, match in where.items():
            for sentence, places in _odd(f"the attribute {name}", read[name], [asker.match(name, match)]).items():
                found[sentence] = np.union1d(found.get(sentence, chosen[:0]), chosen[places])
    return found


def _odd(name: str, values: Column, answers: Sequence[NDArray[np.int8]]) -> dict[str, NDArray[np.intp]]:
    """Sentences on values of a column that count as unknown, each with the rows that have such a value."""
    found = {
        f"{name}: the value is {why}, so it counts as unknown": np.flatnonzero(np.isin(values.codes, codes))
        for why, codes in values.odd.items()
    }
    there = ~values.missing[values.codes]
    unread = [there & (each == UNKNOWN) for each in answers]
    if unread and np.any(unread):
        sentence = f"{name}: its rules cannot use the value, so it counts as unknown"
        found[sentence] = np.flatnonzero(np.any(unread, axis=0))
    return found


def _unknown(asker: ConditionEvaluator, parts: Iterable[Condition]) -> dict[str, NDArray[np.intp]]:
    """For each field of a question, where its answer is not known."""
    places: dict[str, NDArray[np.intp]] = {}
    for part in parts:
        if part.field is not None:
            found = np.flatnonzero(asker.match(part.field, part) == UNKNOWN)
            places[part.field] = np.union1d(places[part.field], found) if part.field in places else found
    return places


def _why(values: Column | None, at: int) -> str:
    """Why the value of a row is not known."""
    code = -1 if values is None else int(values.codes[at])
    odd = next((why for why, codes in values.odd.items() if code in codes), "") if values is not None else ""
    if odd:
        return f"is not known, because its value is {odd}"
    if values is None or values.distinct[code] is None:
        return "is not known"
    return "has a value that its rules cannot use"
