"""Questions about dates, which move with time: what a local date answers today, and when that changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.scoring.answers import NO, UNKNOWN, YES, Answers
from crmsync.scoring.calendar import UNKNOWN_DAY
from crmsync.scoring.decay import NEVER

Dates = NDArray[np.int64]
Day = NDArray[np.int64] | int
_EPOCH = date(1970, 1, 1).toordinal()


class AgeSpan(NamedTuple):
    """The ages in days, both included, at which a date answers yes; `None` is no end."""

    youngest: int | None = None
    oldest: int | None = None


def _in_span(spans: Callable[[Any], AgeSpan]) -> Callable[[Dates, Any, Day], Answers]:
    def answer(days: Dates, wanted: Any, today: Day) -> Answers:
        span, ages = spans(wanted), today - days
        holds = np.ones(len(days), dtype=bool)
        if span.youngest is not None:
            holds &= ages >= span.youngest
        if span.oldest is not None:
            holds &= ages <= span.oldest
        return np.where(days == UNKNOWN_DAY, UNKNOWN, np.where(holds, YES, NO)).astype(np.int8)

    return answer


def _on_side(holds: Callable[[Dates, int], NDArray[np.bool_]]) -> Callable[[Dates, Any, Day], Answers]:
    def answer(days: Dates, wanted: date, _today: Day) -> Answers:
        answers = np.where(holds(days, wanted.toordinal() - _EPOCH), YES, NO)
        return np.where(days == UNKNOWN_DAY, UNKNOWN, answers).astype(np.int8)

    return answer


SPANS: Mapping[str, Callable[[timedelta], AgeSpan]] = {
    "within": lambda wanted: AgeSpan(0, wanted.days),
    "within_next": lambda wanted: AgeSpan(-wanted.days, 0),
    "older_than": lambda wanted: AgeSpan(wanted.days + 1),
}
"""The ages for which each of the questions that move with time is answered yes."""


class DateOperator(NamedTuple):
    """One key: the `answer` of local dates (n,) on a day, the question in words, and dates beside which it changes."""

    answer: Callable[[Dates, Any, Day], Answers]
    describe: Callable[[Any], str]
    edges: Callable[[Any, int], Sequence[int]]


def format_day(wanted: date) -> str:
    """A date as an English reader knows it: "4 December 2026"."""
    return f"{wanted.day} {wanted:%B %Y}"


def _count(wanted: timedelta) -> str:
    return "1 day" if wanted.days == 1 else f"{wanted.days:,} days"


def _ends(key: str) -> Callable[[timedelta, int], Sequence[int]]:
    return lambda wanted, today: [today - age for age in SPANS[key](wanted) if age is not None]


DATE_OPERATORS: Mapping[str, DateOperator] = {
    "before": DateOperator(
        _on_side(lambda days, wanted: days < wanted),
        lambda wanted: f"is before {format_day(wanted)}",
        lambda wanted, _today: [wanted.toordinal() - _EPOCH],
    ),
    "after": DateOperator(
        _on_side(lambda days, wanted: days > wanted),
        lambda wanted: f"is after {format_day(wanted)}",
        lambda wanted, _today: [wanted.toordinal() - _EPOCH],
    ),
    "within": DateOperator(
        _in_span(SPANS["within"]), lambda wanted: f"is in the last {_count(wanted)}", _ends("within")
    ),
    "within_next": DateOperator(
        _in_span(SPANS["within_next"]), lambda wanted: f"is in the next {_count(wanted)}", _ends("within_next")
    ),
    "older_than": DateOperator(
        _in_span(SPANS["older_than"]), lambda wanted: f"is more than {_count(wanted)} ago", _ends("older_than")
    ),
}
"""By the key that an admin writes."""


def wait_for_change(days: Dates, key: str, wanted: Any, today: Day) -> NDArray[np.int64]:
    """In how many days the answer of each date changes; `NEVER` where time alone does not change it any more."""
    wait = np.full(len(days), int(NEVER), dtype=np.int64)
    if key not in SPANS:
        return wait
    span, ages = SPANS[key](wanted), today - days
    if span.oldest is not None:
        wait = np.where(ages <= span.oldest, span.oldest + 1 - ages, wait)
    if span.youngest is not None:
        wait = np.where(ages < span.youngest, span.youngest - ages, wait)
    return np.where(days == UNKNOWN_DAY, int(NEVER), wait)


def last_change(days: Dates, key: str, wanted: Any, today: Day) -> NDArray[np.int64]:
    """In how many days the answer of each date changes for the last time; 0 where it does not any more."""
    if key not in SPANS:
        return np.zeros(len(days), dtype=np.int64)
    span = SPANS[key](wanted)
    last = span.oldest + 1 if span.oldest is not None else span.youngest or 0
    return np.where(days == UNKNOWN_DAY, 0, np.maximum(last - (today - days), 0))
