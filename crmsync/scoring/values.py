"""Columns of values, each distinct value looked at once: what is not believable is unknown, never a wrong number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns, Fact
from crmsync.model import Scalar

LONGEST_TEXT = 65_536
"""The longest text a CRM field holds; anything longer was not typed by a person."""

LARGEST_NUMBER = 1e15
"""Beyond it a float no longer holds every whole number."""


@dataclass(frozen=True)
class Column:
    """`n` values as `codes` (n,) into `distinct`; an unknown one is `None`. `odd` says what was not believable."""

    codes: NDArray[np.int32]
    distinct: tuple[Scalar | None, ...]
    odd: Mapping[int, str]

    def spread(self, answers: NDArray[np.int8]) -> NDArray[np.int8]:
        """An answer for each distinct value, spread over the rows."""
        spread: NDArray[np.int8] = answers[self.codes]
        return spread

    def rows_with(self, codes: Sequence[int]) -> int:
        """How many rows have one of these values."""
        return int(np.isin(self.codes, np.array(codes, dtype=np.int32)).sum())


def column(values: Sequence[Scalar | None]) -> Column:
    """A column of what was pulled."""
    seen: dict[Any, int] = {}
    kinds = set(map(type, values))
    if len(kinds - {type(None)}) <= 1:
        codes = [seen.setdefault(value, len(seen)) for value in values]
        raw = list(seen)
    else:  # True, 1 and 1.0 are equal to a dict, and different to a rule
        codes = [seen.setdefault((type(value), value), len(seen)) for value in values]
        raw = [value for _, value in seen]
    cleaned = [_clean(value) for value in raw]
    odd = {code: why for code, (_, why) in enumerate(cleaned) if why}
    return Column(np.array(codes, dtype=np.int32), tuple(value for value, _ in cleaned), odd)


def _clean(value: Any) -> tuple[Scalar | None, str]:
    """A value that rules may read (or `None`), and what was wrong with it."""
    if value is None or isinstance(value, bool):
        return value, ""
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, (int, float)):
        return _clean_number(value)
    if isinstance(value, (tuple, list)):
        parts = [_clean_text(each) for each in value if isinstance(each, str)]
        kept = tuple(text for text, _ in parts if isinstance(text, str))
        return kept or None, next((why for _, why in parts if why), "")
    return None, "not a text, number, yes/no or list"


def _clean_text(value: str) -> tuple[Scalar | None, str]:
    if len(value) > LONGEST_TEXT:
        return None, f"a text of more than {LONGEST_TEXT} characters"
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        return None, "a text that is not valid Unicode"
    return (value, "") if value.strip() else (None, "")


def _clean_number(value: float) -> tuple[Scalar | None, str]:
    if math.isnan(value):
        return None, "not a number (NaN)"
    if abs(value) > LARGEST_NUMBER:
        return None, "a number too large to be true"
    if value == 0 and math.copysign(1, value) < 0:
        return None, "a negative zero"
    return value, ""


def attributes(facts: Sequence[Fact], name: str) -> Column:
    """One attribute of the distinct facts, as a column."""
    return column([fact.attributes.get(name) for fact in facts])


def unknown(rows: int) -> Column:
    """A column nobody filled in."""
    return Column(np.zeros(rows, dtype=np.int32), (None,), {})


def take(columns: Columns, rows: Sequence[int] | NDArray[np.intp]) -> Columns:
    """The people of some rows, in that order (a row may come more than once), with their activities."""
    rows = np.asarray(rows, dtype=np.intp)
    starts = np.searchsorted(columns.person, rows, side="left")
    counts = np.searchsorted(columns.person, rows, side="right") - starts
    offset = np.repeat(starts - np.concatenate(([0], np.cumsum(counts)[:-1])) if len(rows) else starts, counts)
    picked = (np.arange(int(counts.sum())) + offset).astype(np.intp)
    return Columns(
        people=columns.people[rows],
        fields={name: [values[row] for row in rows] for name, values in columns.fields.items()},
        person=np.repeat(np.arange(len(rows), dtype=np.int32), counts),
        at=columns.at[picked],
        fact=columns.fact[picked],
        facts=columns.facts,
    )
