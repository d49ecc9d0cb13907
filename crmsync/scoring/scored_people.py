"""Some people as they were scored: what everything that is said of them begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.model import Model
from crmsync.scoring.activities import Index
from crmsync.scoring.conditions import encode_fields
from crmsync.scoring.ledger import Scores
from crmsync.scoring.values import Column, take_rows


@dataclass(frozen=True)
class ScoredPeople:
    """Some people as they were scored: `rows` (n,) of `scores`, in the order of `columns`, whose fields are encoded."""

    model: Model
    scores: Scores
    columns: Columns
    rows: Index
    now: datetime
    zone: tzinfo

    @property
    def fields(self) -> Mapping[str, Column]:
        """The fields that rules read, encoded."""
        return self.columns.fields  # type: ignore[return-value]

    @cached_property
    def band(self) -> NDArray[np.int8]:
        """The band of each."""
        return self.scores.band[self.rows]


def choose_people(
    model: Model, scores: Scores, columns: Columns, rows: Sequence[int] | Index, now: datetime, zone: tzinfo
) -> ScoredPeople:
    """The people of some rows of all that were scored; the fields that rules read are encoded once."""
    some = take_rows(columns, rows)
    read = encode_fields(model, some.fields, model.used_fields())
    return ScoredPeople(model, scores, replace(some, fields=read), np.asarray(rows, dtype=np.intp), now, zone)
