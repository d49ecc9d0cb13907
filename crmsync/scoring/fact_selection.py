"""Which of the distinct facts each selection of a model takes: each fact is asked once, whoever did it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Fact
from crmsync.config.conditions import Where
from crmsync.config.machine_clicks import MachineClicks
from crmsync.config.model import Model, selections_of, selects_kind
from crmsync.scoring.answers import YES
from crmsync.scoring.conditions import NO_DAY, ConditionEvaluator, encode_attributes
from crmsync.scoring.machine_clicks import MailFacts, read_mail_facts
from crmsync.scoring.values import make_column

Mask = NDArray[np.bool_]

LARGEST_AMOUNT = 1e10
"""What one activity adds to a sum, at the most: a thousand million of them still fit into 64 bits."""


def selection_key(on: Sequence[str], where: Where) -> str:
    """Two selections with the same key choose the same activities."""
    tests = sorted((name, match.model_dump_json(exclude_defaults=True)) for name, match in where.items())
    return repr((sorted(on), tests))


@dataclass(frozen=True)
class FactSelection:
    """Which facts the selections of a model take; facts that the same selections take are of one class.

    `keys`: for each class, from 1, its selections. `class_of` (one per fact): 0 where none takes it. `warnings`: what
    was odd about an attribute → how many facts. `mail`: what the facts say of e-mails, by `rules`. `amounts`: an
    attribute that some rule adds up → for each fact so many thousandths.
    """

    keys: Mapping[int, frozenset[str]]
    class_of: NDArray[np.uint8] | NDArray[np.uint16]
    warnings: Mapping[tuple[str, str], int]
    mail: MailFacts
    rules: MachineClicks
    amounts: Mapping[str, NDArray[np.int64]]


def select_facts(model: Model, facts: Sequence[Fact], taken: Mapping[int, str] | None = None) -> FactSelection:
    """Ask each distinct fact once; attributes are read for the kinds that a selection names only. See `WhatIf`."""
    kinds = make_column([fact.kind for fact in facts])
    alike: dict[tuple[str, ...], list[Where]] = {}
    for on, where in selections_of(model):
        alike.setdefault(tuple(sorted(on)), []).append(where)
    masks: dict[str, Mask] = {}
    warnings: dict[tuple[str, str], int] = {}
    words = model.missing_words()
    for named, wheres in alike.items():
        of_kind = np.array([selects_kind(named, str(kind)) for kind in kinds.distinct], dtype=bool)
        rows = np.flatnonzero(of_kind[kinds.codes])
        asker = _asker(model, words, [facts[row] for row in rows.tolist()], wheres)
        for where in wheres:
            mask = np.ones(len(rows), dtype=bool)
            for name, match in where.items():
                mask &= asker.match(name, match) == YES
            masks[selection_key(named, where)] = np.zeros(len(facts), dtype=bool)
            masks[selection_key(named, where)][rows[mask]] = True
        warnings |= asker.warnings
    for fact, key in (taken or {}).items():
        masks[key][fact] = True
    keys, class_of = _classes(masks, len(facts))
    # Mostly one byte is enough, and there is one for each activity.
    summed = sorted({name for rule in model.behavior for name in rule.at_least_sum})
    amounts = {name: _amounts(facts, name) for name in summed}
    mail = read_mail_facts(model.machine_clicks, facts, taken or ())
    return FactSelection(
        keys, class_of.astype(np.min_scalar_type(len(keys))), warnings, mail, model.machine_clicks, amounts
    )


def _amounts(facts: Sequence[Fact], name: str) -> NDArray[np.int64]:
    """A number of each fact in thousandths: whole, so that the order in which they are added changes nothing."""
    column = make_column([fact.attributes.get(name) for fact in facts])
    # As `where` reads them: what is no number there is none here.
    numbers = np.nan_to_num(column.spelled_numbers("")[column.codes])
    return np.rint(np.clip(numbers, 0, LARGEST_AMOUNT) * 1_000).astype(np.int64)


def _asker(
    model: Model, words: Mapping[str, frozenset[str]], facts: Sequence[Fact], wheres: Iterable[Where]
) -> ConditionEvaluator:
    """Answers questions about the attributes of some facts."""
    names = {name for where in wheres for name in where}
    return ConditionEvaluator(len(facts), encode_attributes(words, facts, names), model, NO_DAY, untyped=True)


def _classes(masks: Mapping[str, Mask], facts: int) -> tuple[dict[int, frozenset[str]], NDArray[np.uint16]]:
    """Facts that the same selections take are of one class; class 0 is of those that none takes."""
    if not masks or not facts:
        return {}, np.zeros(facts, dtype=np.uint16)
    keys = list(masks)
    packed = np.packbits(np.array([masks[key] for key in keys]), axis=0).T
    distinct, first, class_of = np.unique(
        np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True
    )
    taken = [frozenset(key for key in keys if masks[key][fact]) for fact in first]
    number, numbers = 0, np.zeros(len(distinct), dtype=np.uint16)
    classes = {}
    for position, selected in enumerate(taken):
        if selected:
            number += 1
            numbers[position], classes[number] = number, selected
    return classes, numbers[class_of]
