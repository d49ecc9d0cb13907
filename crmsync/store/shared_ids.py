"""Ids that activities carry beyond their CRM, such as the Message-ID of an e-mail: kept as hashes, by record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, bindparam, delete, select, update

from crmsync.store.schema import activity, record, shared_id
from crmsync.store.sql import IN_LIST, column_chunks, in_chunks, one_of, plain_rows, unindexed, upsert

Key = tuple[int, str]
"""The row of a record and the id of an activity."""


def hash_shared_id(text: str) -> int:
    """A number of 64 bits for an id: what it says of people and their mail servers is of no use here. Never 0."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True) or 1


def save_shared_ids(connection: Connection, now: Mapping[Key, int | None]) -> set[int]:
    """Store what these activities carry now; `None` is nothing. Returns the records of which that is something else."""
    it = shared_id.c
    # By record alone: by both the database would try each record with each activity.
    theirs = one_of(it.record, {row_id for row_id, _ in now}), one_of(unindexed(it.activity), {each for _, each in now})
    rows = plain_rows(connection, select(it.record, it.activity, it.hash).where(*theirs))
    before = {(row_id, activity_id): value for row_id, activity_id, value in rows}
    changed = {key: value for key, value in now.items() if before.get(key) != value}
    delete_shared_ids(connection, [key for key, value in changed.items() if value is None])
    new = [{"record": key[0], "activity": key[1], "hash": value} for key, value in changed.items() if value]
    upsert(connection, shared_id, new)
    return {row_id for row_id, _activity in changed}


def delete_shared_ids(connection: Connection, keys: Iterable[Key]) -> None:
    """Forget what these activities carry."""
    this = shared_id.c.record == bindparam("of"), shared_id.c.activity == bindparam("gone")
    if rows := [{"of": row_id, "gone": activity_id} for row_id, activity_id in keys]:
        connection.execute(delete(shared_id).where(*this), rows)


def move_shared_ids(connection: Connection, old_row: int, row_id: int) -> None:
    """What a record's activities carry stays with them when they move to another."""
    have = select(shared_id.c.activity).where(shared_id.c.record == row_id)
    connection.execute(delete(shared_id).where(shared_id.c.record == old_row, shared_id.c.activity.in_(have)))
    connection.execute(update(shared_id).where(shared_id.c.record == old_row).values(record=row_id))


def has_shared_ids(connection: Connection) -> bool:
    """Whether there are any: where one CRM is configured, nothing is looked up."""
    return connection.scalar(select(shared_id.c.record).limit(1)) is not None


def read_shared_ids(
    connection: Connection, records: NDArray[np.int64], at: NDArray[np.int64], facts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The hash that each of these activities (m,) carries; 0 for none. `records` and `facts` are ids of rows.

    Of two activities of a record that are alike in everything else, it does not matter which one gets which.
    """
    found = np.zeros(len(records), dtype=np.int64)
    rows = _read_carried(connection, records)
    if not len(rows):
        return found
    own = np.stack([records, at, facts])
    group = _number_groups(np.concatenate([own, rows[:, :3].T], axis=1))
    ours, theirs = group[: len(records)], group[len(records) :]
    by_group, named = np.argsort(ours, kind="stable"), np.lexsort((rows[:, 3], theirs))
    starts = np.searchsorted(ours[by_group], theirs[named])
    place = starts + np.arange(len(named)) - np.searchsorted(theirs[named], theirs[named])
    # What was not asked for carries ids, too.
    ends = np.searchsorted(ours[by_group], theirs[named], side="right")
    fits = place < ends
    found[by_group[place[fits]]] = rows[named[fits], 3]
    return found


def _read_carried(connection: Connection, records: NDArray[np.int64]) -> NDArray[np.int64]:
    """Record, instant, fact and hash of each activity of some records that carries one; (k, 4)."""
    carried = and_(
        activity.c.crm == record.c.crm, activity.c.id == shared_id.c.activity, activity.c.record == shared_id.c.record
    )
    columns = (shared_id.c.record, activity.c.at, activity.c.fact, shared_id.c.hash)
    query = select(*columns).join(record, record.c.id == shared_id.c.record).join(activity, carried)
    rows = [np.zeros((0, 4), dtype=np.int64)]
    if not has_shared_ids(connection):
        return rows[0]
    for some in in_chunks(np.unique(records).tolist(), IN_LIST):
        theirs = query.where(one_of(shared_id.c.record, some))
        rows += [np.array(each, dtype=np.int64).T for each in column_chunks(connection, theirs, 100_000)]
    return np.concatenate(rows)


def _number_groups(columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each column of a matrix, the same one for equal columns."""
    order = np.lexsort(columns)
    begins = np.any(np.diff(columns[:, order], axis=1) != 0, axis=0)
    number = np.zeros(columns.shape[1], dtype=np.int64)
    number[order[1:]] = np.cumsum(begins)
    return number
