"""Conditions on one value, as functions of a row."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from typing import Any, TypeAlias

from connectors.sandbox.salesforce.reading import ValueReader
from connectors.sandbox.salesforce.schema import NUMBERS, SandboxField
from connectors.sandbox.salesforce.values import wire
from connectors.sandbox.soql import Joined, WhereCondition

Predicate: TypeAlias = Callable[[int], bool]
"""Decides about a row."""

_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def first_moment(day: date, type_: str) -> str:
    return day.isoformat() if type_ == "date" else wire(datetime.combine(day, time(), UTC))


def join_predicates(word: str, parts: list[Predicate]) -> Predicate:
    if len(parts) == 2:
        first, second = parts
        if word == "and":
            return lambda row: first(row) and second(row)
        return lambda row: first(row) or second(row)
    if word == "and":
        return lambda row: all(part(row) for part in parts)
    return lambda row: any(part(row) for part in parts)


def is_null(operator_: str, read: ValueReader, each: SandboxField) -> Predicate:
    if operator_ not in ("=", "!="):
        return lambda row: False
    if operator_ == "=":
        return lambda row: read(row) is None
    return lambda row: read(row) is not None


def comparable_value(each: SandboxField, read: ValueReader) -> ValueReader:
    """Reads a value as it is compared: text without regard to case, ids with it."""
    if each.type in ("id", "reference", "boolean", "date", "datetime", *NUMBERS):
        return read
    return lambda row: value.lower() if (value := read(row)) is not None else None


def compare(operator_: str, key: ValueReader, wanted: Any) -> Predicate:
    if operator_ == "=":
        return lambda row: key(row) == wanted
    if operator_ == "!=":
        return lambda row: key(row) != wanted
    test = _OPERATORS[operator_]
    return lambda row: (value := key(row)) is not None and test(value, wanted)


def like(text: str) -> re.Pattern[str]:
    wild = {"%": ".*", "_": "."}
    parts = re.findall(r"\\[%_]|.", text, re.DOTALL)
    return re.compile("".join(wild.get(part) or re.escape(part.lstrip("\\") or part) for part in parts), re.I | re.S)


def conjuncts(condition: WhereCondition) -> Iterator[WhereCondition]:
    if isinstance(condition, Joined) and condition.word == "and":
        for each in condition.conditions:
            yield from conjuncts(each)
    else:
        yield condition
