"""Finding people by what somebody types or pastes: a name, a part of it, an address, an id."""

from __future__ import annotations

from typing import NamedTuple

import orjson
from sqlalchemy import Connection, select

from crmsync.store.queries import find_beginning, find_contacts, find_named
from crmsync.store.schema import LIVE, person, record

MOST_FOUND = 50
"""People whom a search lists."""


class Found(NamedTuple):
    """Somebody who may be meant; `total` are points."""

    person: int
    name: str
    emails: list[str]
    band: str
    total: float


def find_people(connection: Connection, who: str) -> list[Found]:
    """The people who may be meant, at most `MOST_FOUND`: those exactly so called, else those with such beginnings."""
    rows = find_contacts(connection, who) or find_named(connection, who)
    people = [each.person for each in rows if each.person is not None]
    if not people and len(who) >= 2:
        people = find_beginning(connection, who, MOST_FOUND)
    return _found(connection, list(dict.fromkeys(people))[:MOST_FOUND])


def _found(connection: Connection, people: list[int]) -> list[Found]:
    query = (
        select(record.c.person, record.c.name, record.c.emails, person.c.band, person.c.total)
        .join(person, person.c.id == record.c.person)
        .where(record.c.person.in_(people), LIVE)
        .order_by(person.c.total.desc(), record.c.id)
    )
    found: dict[int, Found] = {}
    for person_id, name, emails, band, total in connection.execute(query):
        held = found.get(person_id)
        mails = sorted({*(held.emails if held else ()), *orjson.loads(emails)})
        found[person_id] = Found(person_id, (held.name if held else "") or name, mails, band, total / 100)
    return list(found.values())
