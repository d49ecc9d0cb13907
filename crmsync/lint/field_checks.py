"""What rules ask of fields that can never hold them, by what a CRM says of its fields."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any, NamedTuple

from crmsync.config import Config
from crmsync.config.conditions import DATE_KEYS, Condition
from crmsync.config.learned import Adjustment
from crmsync.config.rules import Rule
from crmsync.connector import DescribedField, FieldMap, plain_name
from crmsync.folding import fold_text
from crmsync.lint.finding import Finding
from crmsync.model import Scalar
from crmsync.scoring.answers import UNKNOWN, YES, Answers
from crmsync.scoring.conditions import ConditionEvaluator, Today, encode_fields

_NUMBER_KEYS = frozenset({"gt", "gte", "lt", "lte", "between"})

_IS = {"text": "text", "number": "a number", "yes_no": "yes or no", "date": "a date", "choice": "a pick list"}
_IS |= {"choices": "a pick list of several values"}
_ASKED = {"number": "a number", "date": "a date", "yes_no": "yes or no", "text": "a text"}
_AS_TEXT = {"number": '"1,200"', "date": '"2026-11-21"', "yes_no": '"yes" or "false"'}

MOST_VALUES = 8
"""So many values of a pick list are named."""


def lint_fields(config: Config, described: Mapping[str, tuple[str, Sequence[DescribedField]]]) -> list[Finding]:
    """A warning for each question that no value of a field can answer as it is in a CRM.

    `described` has by CRM what people call it, and its fields.
    """
    known = {
        crm: {(each.kind, each.name.casefold()): each for each in fields} for crm, (_label, fields) in described.items()
    }
    found: dict[Finding, None] = {}
    for who, condition in _asking(config):
        for part in condition.parts():
            places = [
                _Place(described[crm][0], field)
                for crm in described
                for kind, spelled in _spellings(config, crm, part.field or "")
                if (field := known[crm].get((kind, spelled.casefold()))) is not None and field.type != "other"
            ]
            for place in places:
                others = [each.field for each in places if each is not place]
                said = _lint_part(config, who, part, place, others)
                found |= {Finding("warning", each): None for each in said}
    return [*found]


class _Place(NamedTuple):
    """A field in the CRM that people call `label`."""

    label: str
    field: DescribedField


def _asking(config: Config) -> Iterator[tuple[str, Condition]]:
    """Every question with what asks it."""
    rules: tuple[Rule | Adjustment, ...] = (*config.rules(), *config.learned.active)
    yield from ((f"the rule {each.name!r}", each.when) for each in rules if each.when is not None)
    for loc, row in config.placed("disqualify", "qualification", "segment", "route"):
        if row.when is not None:
            yield f"[[{loc[0]}]] {row.name}", row.when
    for stage in config.stage:
        yield from ((f"[[stage]] {stage.name}", each) for each in (stage.enter, stage.exit) if each is not None)
    yield from ((f"[tracks] {name}", each.when) for name, each in config.tracks.items() if each.when is not None)
    yield from ((f"[account.roles] {loc[2]}", each) for loc, each in config.placed_roles())
    if config.exclude.when is not None:
        yield "[exclude]", config.exclude.when


def _spellings(config: Config, crm: str, name: str) -> Iterator[tuple[str, str]]:
    """By kind of record the fields of a CRM that a name is mapped to."""
    mapped = {own: each for own, each in config.field_map(crm).fields.items() if plain_name(own) == name}
    kinds = {kind for each in mapped.values() if isinstance(each, Mapping) for kind in each}
    for kind in sorted(kinds | {"contact", "lead"}):
        yield from ((kind, each) for each in FieldMap.spelled(mapped, kind).values())


def _lint_part(
    config: Config, who: str, part: Condition, place: _Place, others: Sequence[DescribedField]
) -> Iterator[str]:
    asked, (label, field) = _asked_type(part.keys()), place
    if not asked:
        return
    head = f"{field.name} is {_IS[field.type]} in {label}; {who} asks for {_ASKED[asked]}"
    if field.type == "text":
        if asked in _AS_TEXT:
            yield f"{head}; only what is written like {_AS_TEXT[asked]} is read, and everything else is unknown"
        return
    answers = _try_values(config, part, _possible_values(field))
    if field.type in ("choice", "choices"):
        strange = [*_strange_words(part, field, others)]
        yield from (
            f"{field.name} has no value {word!r} in {label}, which {who} asks for{hint}" for word, hint in strange
        )
        if not part.words() and not (answers == YES).any():
            yield f"{head} that none of its values has: {_some_values(field)}"
    elif (answers == UNKNOWN).all():
        yield f"{head}, so it can never match"


def _asked_type(keys: Mapping[str, Any]) -> str:
    """What the keys ask for: number, date, yes_no or text; `""` where it is only whether something is known."""
    values = [each for key in ("is", "in") for each in _listed(keys.get(key))]
    if not _NUMBER_KEYS.isdisjoint(keys) or (values and all(_is_number(each) for each in values)):
        return "number"
    if not keys.keys().isdisjoint(DATE_KEYS):
        return "date"
    if values and all(isinstance(each, bool) for each in values):
        return "yes_no"
    return "text" if keys.keys() - {"exists", "missing"} else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _possible_values(field: DescribedField) -> list[Scalar]:
    """Values that a field of this type may have: all of a pick list, and some of any other one."""
    if field.type in ("choice", "choices"):
        values = [value for value, _label in field.choices]
        return [*values] if field.type == "choice" else [*((value,) for value in values), tuple(values)]
    typed: dict[str, list[Scalar]] = {"number": [0, 1, 1000], "yes_no": [True, False]}
    return typed.get(field.type, ["2026-11-21"])


def _try_values(config: Config, part: Condition, values: Sequence[Scalar]) -> Answers:
    name = part.field or ""
    columns = encode_fields(config, {name: values}, [name])
    return ConditionEvaluator(len(values), columns, config, Today(0, UTC)).match(name, part)


def _strange_words(
    part: Condition, field: DescribedField, others: Sequence[DescribedField]
) -> Iterator[tuple[str, str]]:
    """The whole values that are asked for and that no pick list has, each with what was likely meant.

    What another place that the name is mapped to may hold is meant for that one.
    """
    if any(each.type == "text" for each in others):
        return
    elsewhere = {fold_text(value) for each in others for value, _label in each.choices}
    values = {fold_text(value): value for value, _label in field.choices}
    labels = {fold_text(label): value for value, label in field.choices}
    flags = {each for each in map(fold_text, values) if each in ("true", "false")}
    for word in dict.fromkeys(part.words()):
        folded = fold_text(word)
        if folded in values or folded in elsewhere or flags:
            continue
        near = difflib.get_close_matches(folded, [*values, *labels], n=1)
        meant = labels.get(folded) or (near and (values.get(near[0]) or labels.get(near[0])))
        yield word, f"; did you mean {meant!r}?" if meant else f"; its values are {_some_values(field)}"


def _some_values(field: DescribedField) -> str:
    values = [value for value, _label in field.choices]
    more = f" and {len(values) - MOST_VALUES:,} more" if len(values) > MOST_VALUES else ""
    return f"{', '.join(values[:MOST_VALUES])}{more}"
