"""What is asked once for everybody, before any points are given: fields, segments, and the distinct activities."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.model import Model
from crmsync.counts import count_of
from crmsync.scoring.activities import ActivityTable, WhatIf
from crmsync.scoring.answers import YES
from crmsync.scoring.bands import remember_bands
from crmsync.scoring.calendar import UNKNOWN_DAY, day_of
from crmsync.scoring.conditions import ConditionEvaluator, Today, encode_fields, today_of
from crmsync.scoring.fact_selection import select_facts
from crmsync.scoring.values import slice_rows


class ScoringContext:
    """One set of columns, looked at with one model as of `now` (aware).

    `segment` (n,): index of the segment, -1 for none. `since`: for each field that silence may begin at, the local date
    in each row (n,). `wait` (n,): in how many days time alone changes the answer to a question about dates. See `score`
    for `previous`, `ActivityTable` for `unit`.
    """

    def __init__(
        self,
        model: Model,
        columns: Columns,
        now: datetime,
        zone: tzinfo,
        previous: Sequence[str | None] | None = None,
        what_if: WhatIf | None = None,
        unit: int = 1,
    ) -> None:
        self.unit = unit
        self.model, self.columns, self.now, self.zone = model, columns, now, zone
        self.rows = len(columns.people)
        self.previous = remember_bands(previous, model.band_names(), self.rows)
        moving = model.moving_questions()
        read = encode_fields(model, columns.fields, model.used_fields() | {str(each.field) for each in moving})
        self.asker = ConditionEvaluator(self.rows, read, model, _today(now, zone, what_if))
        self.chosen = select_facts(model, columns.facts, what_if.taken if what_if else None)
        self.later = what_if.later if what_if else None
        self.until = what_if.until if what_if else None
        self.segment = self._segments()
        since = {rule.since for rule in model.inactivity if rule.since}
        self.since = {name: self._since(name) for name in since & read.keys()}
        self.wait = self.asker.wait(moving)

    def activities(self, rows: slice) -> ActivityTable:
        """What some of the people did."""
        later = None if self.later is None else self.later[rows]
        until = None if self.until is None else self.until[rows]
        return ActivityTable(self.chosen, slice_rows(self.columns, rows), self.now, self.zone, later, until, self.unit)

    def last_change(self) -> NDArray[np.int64]:
        """In how many days (n,) the answers to questions about dates change for the last time; 0 for never."""
        return self.asker.last_change(self.model.moving_questions())

    def warnings(self) -> tuple[str, ...]:
        """Sentences about the values that count as unknown; complete once everything has been asked."""
        people = [
            f"{name}: {count_of(count, 'person')} {'has' if count == 1 else 'have'} a value that {_said(why)}; "
            f"it counts as unknown"
            for (name, why), count in sorted(self.asker.warnings.items())
        ]
        facts = [
            f"activities: the attribute {name} has a value that {_said(why)}; it counts as unknown"
            for name, why in sorted(self.chosen.warnings)
        ]
        return (*people, *facts)

    def _since(self, name: str) -> NDArray[np.int64]:
        column, days = self.asker.columns[name], self.asker.days(name)
        wrong = np.flatnonzero((days == UNKNOWN_DAY) & ~column.missing)
        if len(wrong):
            self.asker.warnings[name, "cannot be read by 'since'"] = column.rows_with(wrong)
        return days[column.codes]

    def _segments(self) -> NDArray[np.int16]:
        segment = np.full(self.rows, -1, dtype=np.int16)
        for number, each in enumerate(self.model.segment):
            segment[(segment < 0) & (self.asker.ask(each.when) == YES)] = number
        return segment


def _today(now: datetime, zone: tzinfo, what_if: WhatIf | None) -> Today:
    """What day it is for each person: today, or so many days later."""
    if what_if is None or not what_if.later.any():
        return today_of(now, zone)
    return Today(day_of(now, zone) + what_if.later.astype(np.int64), zone)


def _said(why: str) -> str:
    return why if why.startswith("cannot") else f"is {why}"
