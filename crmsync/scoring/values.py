"""Columns of values, each distinct value looked at once: what is not believable is unknown, never a wrong number."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns, renumber_facts
from crmsync.folding import UNSEEN, fold_text
from crmsync.model import Scalar
from crmsync.scoring.spellings import only_text, read_host, read_machine_number, read_number

LONGEST_TEXT = 65_536
"""The longest text a CRM field holds; anything longer was not typed by a person."""

LARGEST_NUMBER = 1e15
"""Beyond it a float no longer holds every whole number."""


SAMPLE = 1_000
"""A column whose first so many values are all different is taken as one of which most are."""


class Matching(str):
    """A made-up text that exactly these regular expressions match (for asking "what if it were known?")."""

    patterns: frozenset[str]

    def __new__(cls, text: str, patterns: Iterable[str]) -> Matching:
        made = super().__new__(cls, text)
        made.patterns = frozenset(patterns)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matching) and str.__eq__(self, other) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash((str(self), self.patterns))


@dataclass(frozen=True)
class Column(Sequence[Scalar | None]):
    """`n` values as `codes` (n,) into `distinct` (nearly so: some may be there twice); an unknown one is `None`.

    `odd`: what was not believable → the codes of such values.
    """

    codes: NDArray[np.int32]
    distinct: Sequence[Scalar | None]
    odd: Mapping[str, Sequence[int]]

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, row: int) -> Scalar | None: ...
    @overload
    def __getitem__(self, row: slice) -> list[Scalar | None]: ...
    def __getitem__(self, row: int | slice) -> Scalar | list[Scalar | None] | None:
        if isinstance(row, slice):
            return [self.distinct[code] for code in self.codes[row]]
        return self.distinct[int(self.codes[row])]

    def spread(self, answers: NDArray[np.int8]) -> NDArray[np.int8]:
        """An answer for each distinct value, spread over the rows."""
        spread: NDArray[np.int8] = answers[self.codes]
        return spread

    def rows_with(self, codes: Sequence[int] | NDArray[np.intp]) -> int:
        """How many rows have one of these values."""
        counts = np.bincount(self.codes, minlength=len(self.distinct))
        return int(counts[np.asarray(codes, dtype=np.intp)].sum())

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Which distinct values are unknown."""
        return np.array([value is None for value in self.distinct], dtype=bool)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The distinct values as numbers; NaN for what is none."""
        return np.array([value if type(value) in (int, float) else np.nan for value in self.distinct], dtype=np.float64)

    @cached_property
    def _spelled(self) -> dict[str, NDArray[np.float64]]:
        return {}

    def spelled_numbers(self, mark: str) -> NDArray[np.float64]:
        """Like `numbers`, with texts that say one; `mark` comes before decimals, `""` is as programs write them."""
        if mark not in self._spelled:
            read = read_machine_number if not mark else lambda text: read_number(text, mark)
            texts = [None if (text := only_text(value or "")) is None else read(text) for value in self.distinct]
            said = np.array([np.nan if number is None else number for number in texts], dtype=np.float64)
            self._spelled[mark] = np.where(np.isnan(self.numbers), said, self.numbers)
        return self._spelled[mark]

    @cached_property
    def texts(self) -> Sequence[Sequence[str] | None]:
        """The texts of each distinct value, folded; `None` for what is no text."""
        return [_folded_texts(value) for value in self.distinct]

    @cached_property
    def domains(self) -> Column:
        """The domain of each distinct value, as a column of its own; unknown where it is no address."""
        # In two steps, because there are far fewer domains than addresses; odd ones are looked at as a whole.
        tails = make_column([_tail_of(value) if isinstance(value, str) else None for value in self.distinct])
        read = make_column([read_host(tail) if isinstance(tail, str) else None for tail in tails.distinct])
        return Column(read.codes[tails.codes], read.distinct, {})


_PLAIN_ADDRESS = re.compile(r"[\w.+-]+@(?=[\w.-]+$)", re.ASCII)


def _tail_of(address: str) -> str:
    """What comes after the @ of a plain address; anything else as it is."""
    found = _PLAIN_ADDRESS.match(address)
    return address[found.end() :] if found else address


def _folded_texts(value: Scalar | None) -> Sequence[str] | None:
    if isinstance(value, str):
        return (fold_text(value),)
    return tuple(fold_text(each) for each in value) if isinstance(value, tuple) else None


def domain_of(text: str) -> str:
    """The domain of an e-mail address, a web address or a bare domain: lower case, without `www.`."""
    domain = fold_text(text.rpartition("@")[2])
    domain = domain.partition("://")[2] or domain
    for end in "/:?#":
        domain = domain.partition(end)[0]
    return domain.removeprefix("*.").strip(".").removeprefix("www.")


def make_column(values: Sequence[Any], missing: Collection[str] = ()) -> Column:
    """A column of what was pulled; one that is a `Column` already stays as it is.

    Texts of `missing` (folded) count as not known.
    """
    if isinstance(values, Column):
        return values
    kinds = set(map(type, values))
    mixed = len(kinds - {type(None)}) > 1  # True, 1 and 1.0 are equal to a dict, and different to a rule
    keys = [(type(value), value) for value in values] if mixed else values
    if len(set(keys[:SAMPLE])) == SAMPLE:  # addresses and the like: next to nothing is there twice, so nobody looks
        return Column(np.arange(len(values), dtype=np.int32), *_cleaned(list(values), missing))
    index = defaultdict[Any, int]()
    index.default_factory = index.__len__  # numbers what it sees for the first time
    codes = np.fromiter(map(index.__getitem__, keys), dtype=np.int32, count=len(keys))
    return Column(codes, *_cleaned([key[1] for key in index] if mixed else list(index), missing))


def column_of_codes(codes: NDArray[np.int32], distinct: list[Any], missing: Collection[str] = ()) -> Column:
    """A column whose values are numbered already; some of them may be there twice, or may be what no rule reads.

    Texts that are among `missing`, folded, count as unknown.
    """
    return Column(codes, *_cleaned(distinct, missing))


def _cleaned(raw: list[Any], missing: Collection[str]) -> tuple[list[Scalar | None], dict[str, list[int]]]:
    """The values that rules may read, and what was odd about which of them."""
    odd: dict[str, list[int]] = {}
    for code in _suspects(raw):
        raw[code], why = _clean(raw[code])
        if why:
            odd.setdefault(why, []).append(code)
    longest = max(map(len, missing), default=0)
    for code, value in enumerate(raw):
        if type(value) is str:
            if len(value.strip()) <= longest and fold_text(value) in missing:
                raw[code] = None
        elif type(value) is tuple:
            raw[code] = tuple(each for each in value if fold_text(each) not in missing) or None
    return raw, odd


def _suspects(distinct: Sequence[Any]) -> Iterable[int]:
    """The values that deserve a closer look: all of them, unless they are short plain texts, which is quickly seen."""
    texts = [value for value in distinct if value is not None]
    plain = set(map(type, texts)) == {str} and all(map(str.isascii, texts)) and max(map(len, texts)) < LONGEST_TEXT
    if plain and "" not in texts and not any(map(str.isspace, texts)):
        return ()
    return range(len(distinct))


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
        return None, f"a text of more than {LONGEST_TEXT:,} characters"
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        return None, "a text that is not valid Unicode"
    return (value, "") if value.strip(UNSEEN) else (None, "")


def _clean_number(value: float) -> tuple[Scalar | None, str]:
    if value != value:
        return None, "not a number (NaN)"
    if abs(value) > LARGEST_NUMBER:
        return None, "an impossibly large number"
    if value == 0 and math.copysign(1, value) < 0:
        return None, "a negative zero"
    return value, ""


def unknown_column(rows: int) -> Column:
    """A column nobody filled in."""
    return Column(np.zeros(rows, dtype=np.int32), [None], {})


def take_rows(columns: Columns, rows: Sequence[int] | NDArray[np.intp]) -> Columns:
    """The people of some rows, in that order (a row may come more than once), with their activities."""
    rows = np.asarray(rows, dtype=np.intp)
    picked, counts = acts_of(columns, rows)
    used, fact = renumber_facts(columns.fact[picked])
    return Columns(
        people=columns.people[rows],
        fields={name: [values[row] for row in rows] for name, values in columns.fields.items()},
        person=np.repeat(np.arange(len(rows), dtype=np.int32), counts),
        at=columns.at[picked],
        fact=fact,
        facts=[columns.facts[number] for number in used],
        clocks=take_clocks(columns, rows),
    )


def take_clocks(columns: Columns, rows: NDArray[np.intp] | slice) -> dict[str, NDArray[np.int32]]:
    """The clocks of the people of some rows."""
    return {kind: days[rows] for kind, days in columns.clocks.items()}


def acts_of(columns: Columns, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The places of the activities of some rows, in the order of these, and how many each row has."""
    alike = rows.astype(columns.person.dtype)  # of another type, the search would copy everybody
    starts = np.searchsorted(columns.person, alike, side="left")
    counts = np.searchsorted(columns.person, alike, side="right") - starts
    before = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) + np.repeat(starts - before, counts), counts


def slice_rows(columns: Columns, rows: slice) -> Columns:
    """The people of a stretch of rows with their activities, without their fields; copies nothing but row numbers."""
    ends = np.array([rows.start, rows.stop], dtype=columns.person.dtype)  # of another type, it would copy everybody
    acted = slice(*np.searchsorted(columns.person, ends).tolist())
    return Columns(
        people=columns.people[rows],
        fields={},
        person=columns.person[acted] - np.int32(rows.start),
        at=columns.at[acted],
        fact=columns.fact[acted],
        facts=columns.facts,
        clocks=take_clocks(columns, rows),
    )
