"""What is asked once for everybody, before any points are given: fields, segments, and the distinct activities."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.model import Model
from crmsync.counts import count_of
from crmsync.scoring.activities import ActivityTable, WhatIf, select_facts
from crmsync.scoring.bands import remember_bands
from crmsync.scoring.calendar import local_dates
from crmsync.scoring.conditions import ConditionEvaluator
from crmsync.scoring.operators import YES
from crmsync.scoring.titles import title_reader
from crmsync.scoring.values import make_column, slice_rows


class ScoringContext:
    """One set of columns, looked at with one model as of `now` (aware).

    `segment` (n,): index of the segment, -1 for none. `since`: for each field that silence may begin at, the local date
    in each row (n,). See `score` for `previous`.
    """

    def __init__(
        self,
        model: Model,
        columns: Columns,
        now: datetime,
        zone: tzinfo,
        previous: Sequence[str | None] | None = None,
        what_if: WhatIf | None = None,
    ) -> None:
        self.model, self.columns, self.now, self.zone = model, columns, now, zone
        self.rows = len(columns.people)
        self.previous = remember_bands(previous, model.band_names(), self.rows)
        read = {name: make_column(columns.fields[name]) for name in model.used_fields() if name in columns.fields}
        self.asker = ConditionEvaluator(self.rows, read, model.lists, title_reader(model.titles))
        self.chosen = select_facts(model, columns.facts, what_if.taken if what_if else None)
        self.later = what_if.later if what_if else None
        self.until = what_if.until if what_if else None
        self.segment = self._segments()
        since = {rule.since for rule in model.inactivity if rule.since}
        self.since = {name: local_dates(read[name].distinct, zone)[read[name].codes] for name in since & read.keys()}

    def activities(self, rows: slice) -> ActivityTable:
        """What some of the people did."""
        later = None if self.later is None else self.later[rows]
        until = None if self.until is None else self.until[rows]
        return ActivityTable(self.chosen, slice_rows(self.columns, rows), self.now, self.zone, later, until)

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

    def _segments(self) -> NDArray[np.int16]:
        segment = np.full(self.rows, -1, dtype=np.int16)
        for number, each in enumerate(self.model.segment):
            segment[(segment < 0) & (self.asker.ask(each.when) == YES)] = number
        return segment


def _said(why: str) -> str:
    return why if why.startswith("cannot") else f"is {why}"
