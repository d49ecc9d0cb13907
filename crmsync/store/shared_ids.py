"""Ids that activities carry beyond their CRM, such as the Message-ID of an e-mail: kept as hashes, by record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, delete, select, update

from crmsync.store.schema import shared_id
from crmsync.store.sql import one_of, plain_rows, unindexed, upsert, write_many

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
    rows = [{"of": row_id, "gone": activity_id} for row_id, activity_id in keys]
    write_many(connection, delete(shared_id).where(*this), rows)


def move_shared_ids(connection: Connection, old_row: int, row_id: int) -> None:
    """What a record's activities carry stays with them when they move to another."""
    have = select(shared_id.c.activity).where(shared_id.c.record == row_id)
    connection.execute(delete(shared_id).where(shared_id.c.record == old_row, shared_id.c.activity.in_(have)))
    connection.execute(update(shared_id).where(shared_id.c.record == old_row).values(record=row_id))
