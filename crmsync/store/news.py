"""Whose record had news in a run, where an update of them went through, and how long that took."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import orjson
from sqlalchemy import Connection, select

from crmsync.store.journal import PARTLY, UPDATED
from crmsync.store.schema import change, record, run
from crmsync.store.sql import IN_LIST, in_chunks


def news_of_people(connection: Connection, news: Mapping[int, int]) -> dict[int, int]:
    """The earliest news of each person; `news` has an instant by the row of a record."""
    found: dict[int, int] = {}
    for some in in_chunks(sorted(news), IN_LIST):
        for row_id, whose in connection.execute(select(record.c.id, record.c.person).where(record.c.id.in_(some))):
            if whose is not None:
                found[whose] = min(found.get(whose, news[row_id]), news[row_id])
    return found


def updated_people(connection: Connection, run_id: str, crm: str, people: Collection[int]) -> set[int]:
    """Of whom a run updated a record in a CRM, among these people."""
    found: set[int] = set()
    for some in in_chunks(sorted(people), IN_LIST):
        query = select(record.c.person).join(change, change.c.record == record.c.id)
        went = (change.c.run == run_id, change.c.crm == crm, change.c.state.in_((UPDATED, PARTLY)))
        found |= set(connection.scalars(query.where(record.c.person.in_(some), *went)))
    return found


def read_waits(connection: Connection, since: int, until: int) -> list[dict[str, int]]:
    """What the runs that began in a time (milliseconds) counted as `freshness`, of those that counted anybody."""
    counted = run.c.result.contains('"freshness":{"', autoescape=True)
    query = select(run.c.result).where(run.c.started.between(since, until), counted)
    return [orjson.loads(result)["freshness"] for result in connection.scalars(query)]
