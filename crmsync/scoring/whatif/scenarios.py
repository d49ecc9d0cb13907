"""The same people several times over, to be scored as they are not: later, busier, or better known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.model import Model
from crmsync.scoring.activities import WhatIf
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.engine import scores_of
from crmsync.scoring.ledger import Scores
from crmsync.scoring.values import Column, acts_of, make_column, take_rows

Index = NDArray[np.intp]

MOST_COPIES = 65_536
"""So many are scored at a time, to bound the memory they take."""


@dataclass(frozen=True)
class Scenarios:
    """Some people as they were scored, about whom something is asked: `rows` of `scores`, in the order of `columns`."""

    model: Model
    scores: Scores
    columns: Columns
    rows: Index
    now: datetime
    zone: tzinfo

    @cached_property
    def band(self) -> NDArray[np.int8]:
        """The band of each."""
        return self.scores.band[self.rows]

    def scored(self, copies: Columns, which: Index, what_if: WhatIf | None = None) -> Scores:
        """The scores of copies of these people (`which` of them), who were in the band they are in now."""
        names = self.model.band_names()
        before = [names[band] if band >= 0 else None for band in self.band[which].tolist()]
        return scores_of(ScoringContext(self.model, copies, self.now, self.zone, before, what_if=what_if))


def scenarios_of(
    model: Model, scores: Scores, columns: Columns, rows: Sequence[int] | Index, now: datetime, zone: tzinfo
) -> Scenarios:
    """Some people, their fields encoded once."""
    some = take_rows(columns, rows)
    used = model.used_fields()
    read = {name: make_column(values) for name, values in some.fields.items() if name in used}
    return Scenarios(model, scores, replace(some, fields=read), np.asarray(rows, dtype=np.intp), now, zone)


def copy_rows(columns: Columns, which: Index) -> Columns:
    """The people of some rows, as often and in the order that they are named; fields must be encoded."""
    picked, counts = acts_of(columns, which)
    return Columns(
        people=columns.people[which],
        fields=_picked(columns.fields, which),  # type: ignore[arg-type]
        person=np.repeat(np.arange(len(which), dtype=np.int32), counts),
        at=columns.at[picked],
        fact=columns.fact[picked],
        facts=columns.facts,
    )


def _picked(fields: Mapping[str, Column], which: Index) -> dict[str, Column]:
    return {name: Column(values.codes[which], values.distinct, values.odd) for name, values in fields.items()}


def cut_into_stretches(count: int, each: int = 1) -> Iterator[slice]:
    """Stretches of `count` things that make `each` copies, so that none makes too many."""
    size = max(1, MOST_COPIES // each)
    yield from (slice(start, min(start + size, count)) for start in range(0, count, size))
