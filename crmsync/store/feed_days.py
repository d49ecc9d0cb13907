"""On which days each kind of activity happened, kept as activities come: whether a feed is dead must cost no search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from crmsync.store.schema import feed_day
from crmsync.store.sql import plain_rows, write_many

DAY = 86_400
"""Seconds in a day of UTC."""


def add_feed_days(connection: Connection, happened: Iterable[tuple[str, str, int]], sign: int = 1) -> None:
    """Count activities (CRM, kind, day since 1970) on their days; what a CRM takes away later stays counted.

    With `sign` -1 they are no longer counted.
    """
    counts = Counter(happened)
    if not counts:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(feed_day)
    more = {"activities": feed_day.c.activities + statement.excluded.activities}
    keys = [column.name for column in feed_day.primary_key]
    rows = [
        dict(zip((*keys, "activities"), (*key, sign * number), strict=True)) for key, number in sorted(counts.items())
    ]
    write_many(connection, statement.on_conflict_do_update(index_elements=keys, set_=more), rows)


def read_feed_days(connection: Connection) -> dict[tuple[str, str], dict[int, int]]:
    """By CRM and kind, for each day (since 1970) how many activities it had."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    it = feed_day.c
    query = select(it.crm, it.kind, it.day, it.activities).where(it.activities > 0)
    for crm, kind, day, activities in plain_rows(connection, query):
        found.setdefault((crm, kind), {})[day] = activities
    return found
