"""The shape in which people and their activities are scored: columns, never objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.model import Scalar


class Fact(NamedTuple):
    """A distinct kind of activity with its attributes; many activities point to one."""

    kind: str
    attributes: Mapping[str, Scalar]


@dataclass(frozen=True)
class Columns:
    """`n` people and their `m` activities.

    `people` int64 (n,): the ids of the people. `fields`: canonical name → n values, `None` where not known.
    `person` int32 (m,): for each activity the row of its person, ascending. `at` int64 (m,): seconds since 1970, UTC,
    ascending within a person. `fact` int32 (m,): index into `facts`.
    """

    people: NDArray[np.int64]
    fields: Mapping[str, Sequence[Scalar | None]]
    person: NDArray[np.int32]
    at: NDArray[np.int64]
    fact: NDArray[np.int32]
    facts: Sequence[Fact]


def renumbered(fact: NDArray[np.integer[Any]]) -> tuple[list[int], NDArray[np.int32]]:
    """The facts that activities (m,) point to, ascending, and for each activity the place of its fact among these."""
    there = np.bincount(fact)
    used = np.flatnonzero(there)
    places = np.zeros(len(there), dtype=np.int32)
    places[used] = np.arange(len(used), dtype=np.int32)
    return used.tolist(), places[fact]


def once_per_person(
    person: NDArray[np.int32], record: NDArray[np.int32], at: NDArray[np.int64], kind: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Which activities to keep so that an event that several records of one person carry counts once.

    All arrays are (m,). Two records of a person (a duplicate, the same human in the other CRM) that each have n
    activities of one kind in one second have seen the same n events: of each kind and second, the person has as many as
    the record with the most.
    """
    keep = np.ones(len(person), dtype=bool)
    if not len(person):
        return keep
    order = np.lexsort((record, at, kind, person))
    same_moment = np.zeros(len(order), dtype=bool)
    same_moment[1:] = (
        (person[order][1:] == person[order][:-1])
        & (kind[order][1:] == kind[order][:-1])
        & (at[order][1:] == at[order][:-1])
    )
    if not same_moment.any():
        return keep
    same_record = same_moment.copy()
    same_record[1:] &= record[order][1:] == record[order][:-1]
    rank = _rank(same_record)
    moment = np.cumsum(~same_moment)
    by_rank = np.lexsort((record[order], rank, moment))
    twin = np.zeros(len(order), dtype=bool)
    twin[1:] = (moment[by_rank][1:] == moment[by_rank][:-1]) & (rank[by_rank][1:] == rank[by_rank][:-1])
    keep[order[by_rank[twin]]] = False
    return keep


def _rank(continues: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each row how many rows of its run come before it; `continues` is false where a run begins."""
    index = np.arange(len(continues))
    starts = np.maximum.accumulate(np.where(continues, 0, index))
    return index - starts
