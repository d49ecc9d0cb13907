"""Who came into a stage or band and who left it, and who has no owner. It changes nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, and_, case, func, or_, select

from crmsync.store.journal import PARTLY, UPDATED
from crmsync.store.run_journal import PLANS
from crmsync.store.schema import LIVE, change, owner, person, record, run
from crmsync.store.sql import json_value, plain_rows


class Move(NamedTuple):
    """The stage or band of somebody's record before and after a run moved it."""

    person: int
    before: str | None
    after: str | None


def read_moves(connection: Connection, field: str, since: int) -> list[Move]:
    """What runs that began since an instant (milliseconds) wrote to the field `stage` or `band`, the latest first."""
    it, of, key = change.c, record.c, f'"{field}":'
    lately = select(run.c.id).where(run.c.started >= since, run.c.verdict.not_in(PLANS))
    taken = it.state.in_((UPDATED, PARTLY)) & it.after.contains(key, autoescape=True)
    query = (
        select(of.person, json_value(connection, it.before, field), json_value(connection, it.after, field))
        .join(record, of.id == it.record)
        .where(it.is_move, it.run.in_(lately), taken)
        .where(~it.refused.contains(key, autoescape=True), of.person.is_not(None))
        .order_by(it.id.desc())
    )
    return [Move(*row) for row in plain_rows(connection, query)]


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
