"""Who came into a stage or band and who left it, and who has no owner. It changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from crmsync.store.journal import PARTLY, UPDATED
from crmsync.store.run_journal import PLANS
from crmsync.store.schema import LIVE, change, owner, person, record, run
from crmsync.store.sql import json_value, plain_rows


class Move(NamedTuple):
    """The stage or band of a record before and after a run moved it; `id` is that of the change.

    The record `holds` a place unless it was deleted, merged or converted since.
    """

    person: int
    id: int
    run: str
    record: int
    holds: bool
    before: str | None
    after: str | None


def read_moves(connection: Connection, field: str, since: int) -> Iterator[Move]:
    """What runs that began since an instant (milliseconds) wrote to the field `stage` or `band`.

    They come by person, the oldest first.
    """
    it, of = change.c, record.c
    query = (
        select(of.person, it.id, it.run, of.id, LIVE)
        .add_columns(json_value(connection, it.before, field), json_value(connection, it.after, field))
        .join_from(change, record, of.id == it.record)
        .where(_wrote(field, since), of.person.is_not(None))
        .order_by(of.person, it.id)
    )
    return (Move(*row) for row in plain_rows(connection, query))


def read_unmoved(connection: Connection, field: str, since: int) -> Iterator[tuple[int, str]]:
    """The stage or band (and the person) of the other records of whomever `read_moves` tells of."""
    of, moved = record.c, select(change.c.record).where(_wrote(field, since))
    theirs = select(of.person).where(of.id.in_(moved))
    value = {"stage": of.stage, "band": of.band}[field]
    query = select(of.person, value).where(LIVE, of.person.in_(theirs), of.id.not_in(moved), value != "")
    yield from plain_rows(connection, query)


def _wrote(field: str, since: int) -> ColumnElement[bool]:
    """Whether a change moved its record: a run wrote the field lately, and the CRM took it."""
    it, key = change.c, f'"{field}":'
    lately = select(run.c.id).where(run.c.started >= since, run.c.verdict.not_in(PLANS))
    is_taken = it.state.in_((UPDATED, PARTLY)) & ~it.refused.contains(key, autoescape=True)
    return it.is_move & it.run.in_(lately) & is_taken & it.after.contains(key, autoescape=True)


def count_unowned(connection: Connection, nobody: Collection[str], bands: Collection[str]) -> tuple[int, int]:
    """How many people no active user owns in any CRM, and how many of them are in one of these bands.

    `nobody` are the addresses (lower case) of users who count as no owner.
    """
    it, of = record.c, owner.c
    # An owner that the CRM does not list stands for somebody.
    vacant = and_(of.id.is_not(None), or_(~of.active, of.kind != "user", func.lower(of.email).in_(nobody)))
    owned = case((and_(it.owner.is_not(None), it.owner != "", ~func.coalesce(vacant, False)), 1), else_=0)
    people = (
        select(it.person, func.max(owned).label("owned"))
        .outerjoin(owner, (of.crm == it.crm) & (of.id == it.owner))
        .where(LIVE, it.person.is_not(None))
        .group_by(it.person)
        .subquery()
    )
    query = (
        select(func.count(), func.sum(case((person.c.band.in_(bands), 1), else_=0)))
        .select_from(people)
        .outerjoin(person, person.c.id == people.c.person)
        .where(people.c.owned == 0, func.coalesce(person.c.excluded, "") == "")
    )
    many, among = connection.execute(query).one()
    return int(many), int(among or 0)
