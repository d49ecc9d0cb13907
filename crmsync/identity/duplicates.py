"""Events that both CRMs tell of count once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def once_per_person(
    person: NDArray[np.int32], record: NDArray[np.int32], at: NDArray[np.int64], kind: NDArray[np.integer[Any]]
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
    # The n-th of one record is the n-th of the other: of each rank one is kept.
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
