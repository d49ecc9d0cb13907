"""Questions answered for many rows at once: yes, no, or unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from functools import partial
from threading import RLock

import numpy as np

from crmsync.config.conditions import Condition, Match
from crmsync.scoring.operators import (
    _NUMBER_TESTS,
    _WORDS,
    NO,
    UNKNOWN,
    YES,
    Answers,
    _all_text,
    _answers,
    _compared,
    _domain_test,
    _equal_test,
    _joined,
    _regex_test,
    _title_test,
)
from crmsync.scoring.titles import TitleReader
from crmsync.scoring.values import Column, fold_text, unknown_column


class ConditionEvaluator:
    """Answers questions about one set of columns, each question once, and remembers what was odd.

    `columns` has the fields by name; `lists` the config's lists, `reader` reads titles. With `untyped`, a number may
    also be spelled as text: CRMs send the attributes of activities like this, and fields with their type.
    """

    def __init__(
        self,
        rows: int,
        columns: Mapping[str, Column],
        lists: Mapping[str, Iterable[str]],
        reader: TitleReader,
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
        column = self.columns.get(name) or unknown_column(self.rows)
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
        words = tuple(fold_text(each) for each in ([listed] if isinstance(listed, str) else listed))  # type: ignore[attr-defined]
        return _answers(column.texts, partial(_WORDS[key], wanted=words))
