"""The same people several times over, to be scored as they are not: later, busier, or better known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from crmsync.columns import Columns
from crmsync.scoring.activities import Index, WhatIf
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.engine import scores_of
from crmsync.scoring.ledger import Scores
from crmsync.scoring.scored_people import ScoredPeople
from crmsync.scoring.values import Column, acts_of, take_clocks

MOST_COPIES = 65_536
"""So many are scored at a time, to bound the memory they take."""


def score_copies(some: ScoredPeople, copies: Columns, which: Index, what_if: WhatIf | None = None) -> Scores:
    """The scores of copies of people (`which` of them), who were in the band they are in now."""
    names = some.model.band_names()
    before = [names[band] if band >= 0 else None for band in some.band[which].tolist()]
    return scores_of(ScoringContext(some.model, copies, some.now, some.zone, before, what_if=what_if))


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
        clocks=take_clocks(columns, which),
    )


def _picked(fields: Mapping[str, Column], which: Index) -> dict[str, Column]:
    return {name: Column(values.codes[which], values.distinct, values.odd) for name, values in fields.items()}


def cut_into_stretches(count: int, each: int = 1) -> Iterator[slice]:
    """Stretches of `count` things that make `each` copies, so that none makes too many."""
    size = max(1, MOST_COPIES // each)
    yield from (slice(start, min(start + size, count)) for start in range(0, count, size))
