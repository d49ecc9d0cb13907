"""Questions answered for many rows at once: yes, no, or unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime, tzinfo
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns, Fact
from crmsync.config.conditions import DATE_KEYS, Condition, Match
from crmsync.config.model import FREE_MAIL_LIST, Model
from crmsync.identity.domains import FREE_MAIL
from crmsync.model import Scalar
from crmsync.scoring.answers import UNKNOWN, YES, Answers
from crmsync.scoring.calendar import UNKNOWN_DAY, day_of, local_dates
from crmsync.scoring.dates import DATE_OPERATORS, last_change, wait_for_change
from crmsync.scoring.decay import NEVER
from crmsync.scoring.operators import VALUE_OPERATORS, OperatorContext
from crmsync.scoring.spellings import flag_reader
from crmsync.scoring.titles import title_reader
from crmsync.scoring.values import Column, domain_of, make_column, unknown_column


class Today(NamedTuple):
    """The local date of each row (n,), or of all of them, as days since 1970, and the zone whose midnights count."""

    day: NDArray[np.int64] | int
    zone: tzinfo


def today_of(now: datetime, zone: tzinfo) -> Today:
    """The same date for everybody."""
    return Today(day_of(now, zone), zone)


NO_DAY = Today(0, UTC)
"""For where nothing is asked about dates: attributes of activities."""


def encode_fields(
    model: Model, fields: Mapping[str, Sequence[Scalar | None]], names: Iterable[str]
) -> dict[str, Column]:
    """Those of some fields that are there, as columns of what rules may read."""
    wanted = {*names}
    there = [name for name in fields if name in wanted]  # in their order, which is always the same
    if all(isinstance(fields[name], Column) for name in there):
        return {name: make_column(fields[name]) for name in there}
    words = model.missing_words()
    return {name: make_column(fields[name], words.get(name, words[""])) for name in there}


def encode_attributes(
    words: Mapping[str, frozenset[str]], facts: Sequence[Fact], names: Iterable[str]
) -> dict[str, Column]:
    """Some attributes of the distinct facts, as columns; `words` are `Model.missing_words`."""
    return {
        name: make_column([fact.attributes.get(name) for fact in facts], words.get(name, words[""])) for name in names
    }


class ConditionEvaluator:
    """Answers questions about one set of columns, each question once, and remembers what was odd.

    `columns` has the fields by name; the `model` has the lists and says how values are read. With `untyped`, a number
    that is kept as text is as programs write it: CRMs send the attributes of activities like this.
    """

    def __init__(
        self, rows: int, columns: Mapping[str, Column], model: Model, today: Today, untyped: bool = False
    ) -> None:
        self.rows, self.columns, self.today = rows, columns, today
        self.context = _read_context(model, untyped)
        self.warnings: MutableMapping[tuple[str, str], int] = {}
        self._answers: dict[str, Answers] = {}
        self._days: dict[str, NDArray[np.int64]] = {}
        # Re-entrant, since a question asks its parts.
        self._one_at_a_time = RLock()

    def ask(self, condition: Condition) -> Answers:
        """`NO`, `UNKNOWN` or `YES` for each row."""
        key = condition.model_dump_json(exclude_defaults=True)
        # People are scored in several threads, which ask the same questions.
        with self._one_at_a_time:
            if key not in self._answers:
                self._answers[key] = self._answer(condition)
        return self._answers[key]

    def _answer(self, condition: Condition) -> Answers:
        if condition.field is not None:
            return self.match(condition.field, condition)
        if condition.not_ is not None:
            # What is unknown stays so: 2 - 1 is 1.
            return YES - self.ask(condition.not_)
        parts = [self.ask(part) for part in condition.all_ or condition.any_ or ()]
        joined: Answers = (np.minimum if condition.all_ is not None else np.maximum).reduce(parts)
        return joined

    def match(self, name: str, match: Match) -> Answers:
        """The answer for each row of one column."""
        column = self._column(name)
        answers, asked = np.full(len(column.distinct), YES, dtype=np.int8), match.keys()
        for key in asked.keys() - DATE_KEYS:
            answers = np.minimum(answers, self._key(name, column, key, asked[key]))
        spread = column.spread(answers)
        for key in asked.keys() & DATE_KEYS:
            day = self.days(name)
            self._warn(name, column, key, np.flatnonzero((day == UNKNOWN_DAY) & ~column.missing))
            spread = np.minimum(spread, DATE_OPERATORS[key].answer(day[column.codes], asked[key], self.today.day))
        return spread

    def days(self, name: str) -> NDArray[np.int64]:
        """The local date of each distinct value of a column; `UNKNOWN_DAY` for what is none."""
        with self._one_at_a_time:
            if name not in self._days:
                self._days[name] = local_dates(self._column(name).distinct, self.today.zone)
        return self._days[name]

    def wait(self, questions: Iterable[Condition]) -> NDArray[np.int32]:
        """For each row in how many days time alone changes the answer to one of these questions about dates."""
        waits = (wait_for_change(day, key, wanted, self.today.day) for day, key, wanted in self._dated(questions))
        soonest: NDArray[np.int64] = np.minimum.reduce([np.full(self.rows, int(NEVER)), *waits])
        return soonest.astype(np.int32)

    def last_change(self, questions: Iterable[Condition]) -> NDArray[np.int64]:
        """For each row in how many days time alone changes the answer to one of them for the last time; 0 for never."""
        lasts = (last_change(day, key, wanted, self.today.day) for day, key, wanted in self._dated(questions))
        latest: NDArray[np.int64] = np.maximum.reduce([np.zeros(self.rows, dtype=np.int64), *lasts])
        return latest

    def _dated(self, questions: Iterable[Condition]) -> Iterator[tuple[NDArray[np.int64], str, Any]]:
        """The local date of each row (n,), key and wanted value of each question about dates."""
        for each in questions:
            name = each.field or ""
            day = self.days(name)[self._column(name).codes]
            yield from ((day, key, wanted) for key, wanted in each.keys().items() if key in DATE_KEYS)

    def _column(self, name: str) -> Column:
        return self.columns.get(name) or unknown_column(self.rows)

    def _key(self, name: str, column: Column, key: str, wanted: object) -> Answers:
        answers = VALUE_OPERATORS[key].answer(column, wanted, self.context)
        if key not in ("exists", "missing"):
            self._warn(name, column, key, np.flatnonzero((answers == UNKNOWN) & ~column.missing))
        return answers

    def _warn(self, name: str, column: Column, key: str, wrong: NDArray[np.intp]) -> None:
        """Note the distinct values that a question cannot read, and those that were not believable."""
        if len(wrong):
            self.warnings[name, f"cannot be read by {key!r}"] = column.rows_with(wrong)
        for why, codes in column.odd.items():
            self.warnings[name, why] = column.rows_with(codes)


def find_known(model: Model, columns: Columns, today: Today, names: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each of some fields is known of each person (n, names): there, and readable for all that is asked."""
    read = encode_fields(model, columns.fields, names)
    asker = ConditionEvaluator(len(columns.people), read, model, today)
    asked = [part for part in model.asked_fields() if part.field in read]
    known = np.zeros((len(columns.people), len(names)), dtype=bool)
    for place, name in enumerate(names):
        if name in read:
            known[:, place] = ~read[name].missing[read[name].codes]
            for part in asked:
                if part.field == name:
                    known[:, place] &= asker.match(name, part) != UNKNOWN
            if any(rule.since == name for rule in model.inactivity):
                known[:, place] &= (asker.days(name) != UNKNOWN_DAY)[read[name].codes]
    return known


def _read_context(model: Model, untyped: bool) -> OperatorContext:
    lists = {name: [*texts] for name, texts in model.lists.items()}
    own = [each.strip() for each in lists.get(FREE_MAIL_LIST, ())]
    free = FREE_MAIL
    if own:
        refused = {domain_of(each[1:]) for each in own if each.startswith("!")}
        free = (free | {domain_of(each) for each in own if not each.startswith("!")}) - refused
    values = model.values
    reader = flag_reader(tuple(values.yes), tuple(values.no))
    return OperatorContext(lists, title_reader(model.titles), "" if untyped else values.decimal_mark, reader, free)
