"""When people came (the creation of their first record), and when somebody got in touch with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select

from crmsync.model import TOUCHES
from crmsync.store.schema import LIVE, activity, fact, record
from crmsync.store.sql import id_range, plain_rows


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


class FirstRecord(NamedTuple):
    """The oldest record of a person: when its CRM got it (seconds; `None` where it does not say), and what it is."""

    came: int | None
    ref: str


def read_first_records(connection: Connection, people: Sequence[int]) -> dict[int, FirstRecord]:
    """The oldest record of each of these people (ascending), converted leads and merged ones included.

    What a person was first does not change when they are converted, and is the same in a state that was built again.
    """
    it = record.c
    query = (
        select(it.person, it.created_at, it.crm, it.kind, it.ref_id)
        .where(id_range(it.person, people), it.known, or_(~it.gone, it.merged_into != ""))
        .order_by(it.person, it.created_at.is_(None), it.created_at, it.crm, it.kind.desc(), it.ref_id)
    )
    found: dict[int, FirstRecord] = {}
    for person, created, crm, kind, ref_id in plain_rows(connection, query):
        if person not in found:
            found[person] = FirstRecord(None if created is None else created // 1000, f"{crm}:{kind}:{ref_id}")
    return found


def read_touches(connection: Connection, people: Sequence[int], since: int, until: int) -> dict[int, list[int]]:
    """When anybody got in touch with these people (ascending) between two instants; all in milliseconds."""
    query = (
        select(record.c.person, activity.c.at)
        .select_from(record)
        .join(activity, activity.c.record == record.c.id)
        .join(fact, fact.c.id == activity.c.fact)
        .where(id_range(record.c.person, people), activity.c.at.between(since // 1000, until // 1000))
        .where(fact.c.kind.in_(TOUCHES))
        .order_by(activity.c.at)
    )
    found: dict[int, list[int]] = {}
    for person, at in plain_rows(connection, query):
        found.setdefault(person, []).append(at * 1000)
    return found
