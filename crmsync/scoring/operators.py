"""The operators of `when` and `where`: one entry for each key says what it asks, how it reads, and what answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from crmsync.config.conditions import SENIORITIES
from crmsync.config.countries import read_country, read_state
from crmsync.folding import fold_text
from crmsync.model import Scalar
from crmsync.scoring.answers import NO, UNKNOWN, YES, Answers
from crmsync.scoring.dates import DATE_OPERATORS, DateOperator
from crmsync.scoring.spellings import only_text, read_number
from crmsync.scoring.titles import TitleReader
from crmsync.scoring.values import Column, Matching, domain_of

PATIENCE = 1.0
"""Seconds that a regular expression may take over one value, before the value is unknown to the rule."""

Numbers = NDArray[np.float64]
Test = Callable[[Scalar], bool | None]
Lists = Mapping[str, Sequence[str]]


class OperatorContext(NamedTuple):
    """What answering needs besides a column: the config's lists, and how titles, numbers, yes or no are read.

    `mark` is what stands before the decimals of a text, `""` in one that a program wrote; `free_mail` are domains.
    """

    lists: Lists
    titles: TitleReader
    mark: str
    flag: Callable[[Scalar], bool | None]
    free_mail: Set[str]


class Examples(NamedTuple):
    """What answers a question: values at and beside these numbers, with these words, titles, patterns or domains."""

    cuts: Sequence[float] = ()
    words: Sequence[str] = ()
    departments: Sequence[str] = ()
    patterns: Sequence[str] = ()
    domains: Sequence[str] = ()
    places: Sequence[str] = ()
    of_titles: bool = False
    of_addresses: bool = False


class Operator(NamedTuple):
    """One key: the `answer` for each distinct value of a column, the question in words, and `examples` of values."""

    answer: Callable[[Column, Any, OperatorContext], Answers]
    describe: Callable[[Any], str]
    examples: Callable[[Any, Lists], Examples]


# Answers

_ANSWER = {None: UNKNOWN, True: YES, False: NO}


def _answers(values: Sequence[Any], test: Callable[[Any], bool | None]) -> Answers:
    """The answer for each value; unknown where there is none, or none that the test can read."""
    return np.array([_ANSWER[None if value is None else test(value)] for value in values], dtype=np.int8)


def _number(holds: Callable[[Numbers, Any], NDArray[np.bool_]]) -> Callable[[Column, Any, OperatorContext], Answers]:
    def answer(column: Column, wanted: Any, context: OperatorContext) -> Answers:
        values = column.spelled_numbers(context.mark)
        return np.where(np.isnan(values), UNKNOWN, np.where(holds(values, wanted), YES, NO)).astype(np.int8)

    return answer


def _text(holds: Callable[[Sequence[str], tuple[str, ...]], bool]) -> Callable[[Column, Any, OperatorContext], Answers]:
    def answer(column: Column, wanted: Any, _context: OperatorContext) -> Answers:
        words = tuple(fold_text(each) for each in _listed(wanted))
        return _answers(column.texts, lambda texts: holds(texts, words))

    return answer


def _listed(wanted: Any) -> Sequence[Any]:
    return wanted if isinstance(wanted, list) else [wanted]


def _is_one_of(column: Column, wanted: Any, context: OperatorContext) -> Answers:
    """Whether a value is one of several of mixed types; one that can be read as none of these types is unknown."""
    listed = _listed(wanted)
    words = [each for each in listed if isinstance(each, str)]
    answers = _text(_equals)(column, words, context) if words else np.full(len(column.distinct), UNKNOWN)
    test = _typed_test(listed, context)
    # A text that is asked for as text needs no closer look.
    closer = [texts is None or len(words) < len(listed) for texts in column.texts]
    for code in np.flatnonzero(closer & ~column.missing & (answers != YES)).tolist():
        found = test(column, code)
        answers[code] = answers[code] if found is None else _ANSWER[found]
    return answers.astype(np.int8)


def _is_known(column: Column, known: bool) -> Answers:
    holds = [(value is not None) is known for value in column.distinct]
    return np.where(holds, YES, NO).astype(np.int8)


def _is_in_list(column: Column, wanted: str, context: OperatorContext) -> Answers:
    return _text(_equals)(column, [*context.lists[wanted]], context)


def _is_level(column: Column, wanted: Iterable[str], context: OperatorContext) -> Answers:
    levels = frozenset(wanted)
    return _answers(context.titles.read_column(column), lambda title: title.seniority in levels)


def _is_in_department(column: Column, wanted: Iterable[str], context: OperatorContext) -> Answers:
    departments = frozenset(wanted)
    return _answers(context.titles.read_column(column), lambda title: bool(departments & title.departments))


def _is_place(read: Callable[[str], frozenset[str]]) -> Callable[[Column, Any, OperatorContext], Answers]:
    def answer(column: Column, wanted: Iterable[str], _context: OperatorContext) -> Answers:
        codes = frozenset(code for each in wanted for code in read(each))

        def test(value: Scalar) -> bool | None:
            found = read(text) if (text := only_text(value)) else frozenset()
            return not codes.isdisjoint(found) if found else None

        return _answers(column.distinct, test)

    return answer


def _is_at_domain(column: Column, wanted: Iterable[str], _context: OperatorContext) -> Answers:
    domains = frozenset(domain_of(each) for each in wanted)
    return _of_domains(column, lambda domain: _is_below(str(domain), domains))


def _is_free_mail(column: Column, wanted: bool, context: OperatorContext) -> Answers:
    return _of_domains(column, lambda domain: (domain in context.free_mail) is wanted)


def _of_domains(column: Column, test: Test) -> Answers:
    return _answers(column.domains.distinct, test)[column.domains.codes]


def _is_below(domain: str, domains: frozenset[str]) -> bool:
    """Whether it is one of them or below one: `mail.example.com` is below `example.com`."""
    while domain not in domains:
        _, dot, domain = domain.partition(".")
        if not dot:
            return False
    return True


def _equals(texts: Sequence[str], wanted: tuple[str, ...]) -> bool:
    return not set(wanted).isdisjoint(texts)


def _typed_test(wanted: Sequence[object], context: OperatorContext) -> Callable[[Column, int], bool | None]:
    """Whether one distinct value is one of the numbers, yes or no; what is typed is held against words for them."""
    flags = {each for each in wanted if isinstance(each, bool)}
    numbers = {float(each) for each in wanted if isinstance(each, (int, float)) and not isinstance(each, bool)}
    words = [each for each in wanted if isinstance(each, str)]
    said = {number for each in words if (number := read_number(each, context.mark or ".")) is not None}
    said_flags = {flag for each in words if (flag := context.flag(each)) is not None}

    def test(column: Column, code: int) -> bool | None:
        value, number = column.distinct[code], float(column.spelled_numbers(context.mark)[code])
        of_numbers = numbers | said if isinstance(value, (int, float)) else numbers
        of_flags = flags | said_flags if value in (True, False) else flags
        flag = context.flag(value) if of_flags and value is not None else None
        found = [flag in of_flags] if flag is not None else []
        found += [number in of_numbers] if of_numbers and number == number else []
        return any(found) if found else None

    return test


def _contains(texts: Sequence[str], wanted: tuple[str, ...]) -> bool:
    for text in texts:
        for word in wanted:
            if word in text:
                return True
    return False


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


# Words


def join_options(wanted: Any, joint: str = "or") -> str:
    """Some values as a choice: "a, b or c"."""
    listed = [_one(each) for each in (wanted if isinstance(wanted, list) else [wanted])]
    return f" {joint} ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)


def _one(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.15g}" if isinstance(value, (int, float)) else str(value)


_SPELLED = {"vp": "VP", "c_level": "C-level", "it": "IT", "hr": "HR"}


def format_word(word: str) -> str:
    """A level or department of job titles as people write it: "c_level" → "C-level"."""
    return _SPELLED.get(word, word.replace("_", " "))


def _of_titles(wanted: list[str]) -> str:
    return join_options([format_word(each) for each in wanted])


# Examples


def _of_numbers(wanted: Any, _lists: Lists) -> Examples:
    return Examples(cuts=[wanted])


def _of_words(wanted: Any, _lists: Lists) -> Examples:
    return Examples(words=_listed(wanted))


def _of_values(wanted: Any, _lists: Lists) -> Examples:
    numbers = [each for each in _listed(wanted) if isinstance(each, (int, float)) and not isinstance(each, bool)]
    return Examples(cuts=numbers, words=[each for each in _listed(wanted) if isinstance(each, str)])


def _of_places(other: str) -> Callable[[Any, Lists], Examples]:
    return lambda wanted, _lists: Examples(places=[*wanted, other])


def _of_nothing(_wanted: Any, _lists: Lists) -> Examples:
    return Examples()


def _of_levels(_wanted: Any, _lists: Lists) -> Examples:
    return Examples(of_titles=True)


VALUE_OPERATORS: Mapping[str, Operator] = {
    "is": Operator(_is_one_of, lambda wanted: f"is {join_options(wanted)}", _of_values),
    "in": Operator(_is_one_of, lambda wanted: f"is {join_options(wanted)}", _of_values),
    "contains": Operator(_text(_contains), lambda wanted: f"contains {join_options(wanted)}", _of_words),
    "excludes": Operator(
        _text(lambda texts, wanted: not _contains(texts, wanted)),
        lambda wanted: f"does not contain {join_options(wanted)}",
        _of_words,
    ),
    "starts_with": Operator(
        _text(lambda texts, wanted: any(text.startswith(wanted) for text in texts)),
        lambda wanted: f"starts with {join_options(wanted)}",
        _of_words,
    ),
    "ends_with": Operator(
        _text(lambda texts, wanted: any(text.endswith(wanted) for text in texts)),
        lambda wanted: f"ends with {join_options(wanted)}",
        _of_words,
    ),
    "regex": Operator(
        lambda column, wanted, _context: _answers(column.distinct, _regex_test(wanted)),
        lambda wanted: f"matches {wanted}",
        lambda wanted, _lists: Examples(patterns=[wanted]),
    ),
    "gt": Operator(
        _number(lambda values, limit: values > limit), lambda wanted: f"is over {wanted:,.15g}", _of_numbers
    ),
    "gte": Operator(
        _number(lambda values, limit: values >= limit), lambda wanted: f"is {wanted:,.15g} or more", _of_numbers
    ),
    "lt": Operator(
        _number(lambda values, limit: values < limit), lambda wanted: f"is under {wanted:,.15g}", _of_numbers
    ),
    "lte": Operator(
        _number(lambda values, limit: values <= limit), lambda wanted: f"is {wanted:,.15g} or less", _of_numbers
    ),
    "between": Operator(
        _number(lambda values, limits: (values >= limits[0]) & (values <= limits[1])),
        lambda wanted: f"is from {wanted[0]:,.15g} to {wanted[1]:,.15g}",
        lambda wanted, _lists: Examples(cuts=wanted),
    ),
    "exists": Operator(
        lambda column, _wanted, _context: _is_known(column, True), lambda _wanted: "is known", _of_nothing
    ),
    "missing": Operator(
        lambda column, _wanted, _context: _is_known(column, False), lambda _wanted: "is not known", _of_nothing
    ),
    "has": Operator(
        _text(lambda texts, wanted: _equals([*_parts(texts)], wanted)),
        lambda wanted: f"has {join_options(wanted)}",
        _of_words,
    ),
    "has_all": Operator(
        _text(lambda texts, wanted: set(wanted) <= _parts(texts)),
        lambda wanted: f"has {join_options(wanted, 'and')}",
        lambda wanted, _lists: Examples(words=[";".join(wanted)]),
    ),
    "in_list": Operator(
        _is_in_list,
        lambda wanted: f"is in the list {wanted}",
        lambda wanted, lists: Examples(words=lists[wanted]),
    ),
    "domain": Operator(
        _is_at_domain,
        lambda wanted: f"has the domain {join_options(wanted)}",
        lambda wanted, _lists: Examples(domains=wanted, of_addresses=True),
    ),
    "domain_list": Operator(
        lambda column, wanted, context: _is_at_domain(column, context.lists[wanted], context),
        lambda wanted: f"has a domain in the list {wanted}",
        lambda wanted, lists: Examples(domains=lists[wanted], of_addresses=True),
    ),
    "free_mail": Operator(
        _is_free_mail,
        lambda wanted: "is a free-mail address" if wanted else "is not a free-mail address",
        lambda _wanted, _lists: Examples(of_addresses=True),
    ),
    "seniority": Operator(_is_level, lambda wanted: f"has the seniority {_of_titles(wanted)}", _of_levels),
    "seniority_at_least": Operator(
        lambda column, wanted, context: _is_level(column, SENIORITIES[SENIORITIES.index(wanted) :], context),
        lambda wanted: f"has the seniority {format_word(wanted)} or above",
        _of_levels,
    ),
    "department": Operator(
        _is_in_department,
        lambda wanted: f"is in the department {_of_titles(wanted)}",
        lambda wanted, _lists: Examples(departments=wanted, of_titles=True),
    ),
    "country": Operator(
        _is_place(read_country), lambda wanted: f"is the country {join_options(wanted)}", _of_places("Antarctica")
    ),
    "state": Operator(
        _is_place(read_state), lambda wanted: f"is the state {join_options(wanted)}", _of_places("AD-02")
    ),
}
"""What is asked of a value, by the key that an admin writes; each distinct value is asked once."""

OPERATORS: Mapping[str, Operator | DateOperator] = {**VALUE_OPERATORS, **DATE_OPERATORS}
"""Everything that can be asked."""
