"""When people came: the creation of their first record."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from crmsync.store.schema import LIVE, record
from crmsync.store.sql import plain_rows


class Arrivals(NamedTuple):
    """When people came (milliseconds, by person, ascending), and of how many others no CRM says when."""

    at: dict[int, int]
    undated: int


def find_arrivals(connection: Connection, crms: Collection[str], since: int, until: int) -> Arrivals:
    """Who came between two instants (milliseconds): their first live record in these CRMs was created then."""
    first = func.min(record.c.created_at).label("first")
    people = (
        select(record.c.person, first)
        .where(LIVE, record.c.person.is_not(None), record.c.crm.in_(crms))
        .group_by(record.c.person)
        .subquery()
    )
    came = select(people.c.person, people.c.first).where(people.c.first.between(since, until))
    undated = select(func.count()).select_from(people).where(people.c.first.is_(None))
    return Arrivals(
        {person: int(at) for person, at in plain_rows(connection, came.order_by(people.c.person))},
        int(connection.scalar(undated) or 0),
    )
