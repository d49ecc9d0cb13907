"""The shape in which people and their activities are scored: columns, never objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.model import Scalar

RUNNING = 2**30
"""A day after all days: stands in `clocks` for a clock that goes on."""


class Fact(NamedTuple):
    """A distinct kind of activity with its attributes; many activities point to one."""

    kind: str
    attributes: Mapping[str, Scalar]


@dataclass(frozen=True)
class Columns:
    """`n` people and their `m` activities.

    `people` int64 (n,): the ids of the people. `fields`: canonical name → n values, `None` where not known.
    `person` int32 (m,): for each activity the row of its person, ascending. `at` int64 (m,): seconds since 1970, UTC,
    ascending within a person. `fact` int32 (m,): index into `facts`. `clocks`: kind of activity whose feed is dead →
    int32 (n,): the day (since 1970) on which each person's clock for that kind stands, or `RUNNING`.
    """

    people: NDArray[np.int64]
    fields: Mapping[str, Sequence[Scalar | None]]
    person: NDArray[np.int32]
    at: NDArray[np.int64]
    fact: NDArray[np.int32]
    facts: Sequence[Fact]
    clocks: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)


def renumber_facts(fact: NDArray[np.integer[Any]]) -> tuple[list[int], NDArray[np.int32]]:
    """The facts that activities (m,) point to, ascending, and for each activity the place of its fact among these."""
    there = np.bincount(fact)
    used = np.flatnonzero(there)
    places = np.zeros(len(there), dtype=np.int32)
    places[used] = np.arange(len(used), dtype=np.int32)
    return used.tolist(), places[fact]


def number_groups(columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each column of a matrix, the same one for equal columns."""
    order = np.lexsort(columns)
    begins = np.any(np.diff(columns[:, order], axis=1) != 0, axis=0)
    number = np.zeros(columns.shape[1], dtype=np.int64)
    number[order[1:]] = np.cumsum(begins)
    return number
