"""Questions answered for many rows at once: yes, no, or unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from threading import RLock

import numpy as np

from crmsync.config.conditions import Condition, Match
from crmsync.scoring.operators import OPERATORS, UNKNOWN, YES, Answers, OperatorContext
from crmsync.scoring.titles import TitleReader
from crmsync.scoring.values import Column, unknown_column


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
        self.rows, self.columns = rows, columns
        self.context = OperatorContext({name: [*texts] for name, texts in lists.items()}, reader, untyped)
        self.warnings: MutableMapping[tuple[str, str], int] = {}
        self._answers: dict[str, Answers] = {}
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
        column = self.columns.get(name) or unknown_column(self.rows)
        answers = np.full(len(column.distinct), YES, dtype=np.int8)
        for key, wanted in match.keys().items():
            answers = np.minimum(answers, self._key(name, column, key, wanted))
        return column.spread(answers)

    def _key(self, name: str, column: Column, key: str, wanted: object) -> Answers:
        answers = OPERATORS[key].answer(column, wanted, self.context)
        if key in ("exists", "missing"):
            return answers
        wrong = np.flatnonzero((answers == UNKNOWN) & ~column.missing)
        if len(wrong):
            self.warnings[name, f"cannot be read by {key!r}"] = column.rows_with(wrong)
        for why, codes in column.odd.items():
            self.warnings[name, why] = column.rows_with(codes)
        return answers
