"""What a card might ask besides: cuts of numbers, values of texts, and pairs of its own rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crmsync.config.conditions import Condition
from crmsync.config.model import Model
from crmsync.evaluation.metrics import Mask
from crmsync.folding import fold_text
from crmsync.scoring.values import Column

FEWEST_PEOPLE, FEWEST_OF_EACH = 30, 5
"""So many people, and won and lost ones among them, a candidate needs."""

CUTS = 19
"""Cuts of a number lie at its twentieths."""

STRONGEST = 6
"""Pairs are made of so many questions."""


@dataclass(frozen=True)
class Candidate:
    """A question about a person as a rule of `fit` would ask it, and for whom (n,) the answer is yes."""

    name: str
    when: Mapping[str, Any]
    fields: frozenset[str]
    holds: Mask


def list_candidates(
    columns: Mapping[str, Column], left_out: frozenset[str], values_left_out: frozenset[tuple[str, str]], won: Mask
) -> list[Candidate]:
    """Cuts and values of fields that enough people have, without the fields and values that are left out."""
    found = [
        each
        for name in sorted(columns.keys() - left_out)
        for each in (*list_cuts(name, columns[name]), *list_levels(name, columns[name]), _absence(name, columns[name]))
        if (name, each.name) not in values_left_out
    ]
    return [each for each in found if has_enough(each.holds, won)]


def has_enough(holds: Mask, won: Mask) -> bool:
    """Whether there are enough people on both sides of a question, of both outcomes where it holds."""
    people, hits = int(holds.sum()), int((holds & won).sum())
    enough = people >= FEWEST_PEOPLE and len(won) - people >= FEWEST_PEOPLE
    return enough and hits >= FEWEST_OF_EACH and people - hits >= FEWEST_OF_EACH


def list_questions(model: Model, doses: NDArray[np.float64]) -> list[Candidate]:
    """The plain rules about who people are, as questions that may be asked in pairs."""
    return [
        Candidate(rule.name, write_question(rule.when), frozenset(rule.when.fields()), doses[:, place] > 0)
        for place, rule in enumerate(model.fit)
        if not rule.segments and rule.when.fields()
    ]


def list_pairs(questions: Sequence[Candidate], won: Mask) -> list[Candidate]:
    """Pairs of the strongest questions, about different fields, for those for whom both answers are yes."""
    strongest = sorted(questions, key=lambda each: (-_strength(each.holds, won), each.name))[:STRONGEST]
    pairs = [
        Candidate(
            f"{one.name} and {other.name}"[:120].strip(),
            {"all": [dict(one.when), dict(other.when)]},
            one.fields | other.fields,
            one.holds & other.holds,
        )
        for one, other in combinations(strongest, 2)
        if not one.fields & other.fields
    ]
    return [each for each in pairs if has_enough(each.holds, won)]


def _strength(holds: Mask, won: Mask) -> float:
    """How far an answer goes along with the outcome: the size of their correlation."""
    spread = float(holds.std() * won.std())
    return abs(float((holds & won).mean() - holds.mean() * won.mean())) / spread if spread else 0.0


def write_question(when: Condition) -> dict[str, Any]:
    """A question as an admin writes it, the field first."""
    written = when.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    return {key: _field_first(written[key]) for key in sorted(written, key=lambda key: key != "field")}


def _field_first(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _field_first(value[key]) for key in sorted(value, key=lambda key: key != "field")}
    return [_field_first(each) for each in value] if isinstance(value, list) else value


def list_cuts(name: str, column: Column) -> Iterator[Candidate]:
    """A number that is at least so much."""
    values = column.numbers[column.codes]
    known = values[~np.isnan(values)]
    if len(known) < FEWEST_PEOPLE:
        return
    steps = np.quantile(known, np.arange(1, CUTS + 1) / (CUTS + 1))
    low = float(known.min())
    seen = set()
    for cut in (_round_cut(each) for each in steps.tolist()):
        if cut > low and cut not in seen:
            seen.add(cut)
            written = int(cut) if cut == int(cut) else cut
            said = f"{label_field(name)} {written:,} or more"
            yield Candidate(said, {"field": name, "gte": written}, frozenset({name}), _at_least(values, cut))


def _absence(name: str, column: Column) -> Candidate:
    """That it is not known, of a field that does not leak by that."""
    holds: Mask = column.missing[column.codes]
    return Candidate(f"{label_field(name)} is not known", {"field": name, "missing": True}, frozenset({name}), holds)


def _at_least(values: NDArray[np.float64], cut: float) -> Mask:
    holds: Mask = np.nan_to_num(values, nan=-np.inf) >= cut
    return holds


def _round_cut(value: float) -> float:
    """A number as people would write it: two digits that matter."""
    if value == 0:
        return 0.0
    digits = 1 - int(np.floor(np.log10(abs(value))))
    return float(round(value, digits))


def list_levels(name: str, column: Column) -> Iterator[Candidate]:
    """A text or yes/no that is one of those that people have."""
    codes = defaultdict(list)
    spelled: dict[Any, Any] = {}
    counts = np.bincount(column.codes, minlength=len(column.distinct))
    for code, value in enumerate(column.distinct):
        if isinstance(value, bool | str):
            key = fold_text(value) if isinstance(value, str) else value
            codes[key].append(code)
            if key not in spelled or counts[code] > counts[codes[key]].max():
                spelled[key] = value.strip() if isinstance(value, str) else value
    for key in sorted(codes, key=lambda key: (-int(counts[codes[key]].sum()), str(key))):
        if int(counts[codes[key]].sum()) >= FEWEST_PEOPLE:
            value = spelled[key]
            said = ("yes" if value else "no") if isinstance(value, bool) else value
            holds = np.isin(column.codes, codes[key])
            named = f"{label_field(name)} is {said}"[:120].strip()
            yield Candidate(named, {"field": name, "is": value}, frozenset({name}), holds)


def label_field(name: str) -> str:
    """A field as a heading: `annual_revenue` → "Annual revenue"."""
    words = name.replace("_", " ").replace(".", " ").strip()
    return words[:1].upper() + words[1:]
