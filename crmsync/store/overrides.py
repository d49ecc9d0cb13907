"""What users took back of what crmsync decided: owners by hand-off, stages by the change that wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BindParameter, Connection, bindparam, case, func, select, update

from crmsync.store.journal import PARTLY, UPDATED
from crmsync.store.schema import change, hand_off, record
from crmsync.store.sql import dump_json, plain_rows


class OwnerOverride(NamedTuple):
    """That a user took a person from the owner (an address) whom they were given to, noticed at `since` (ms)."""

    person: int
    owner: str
    since: int


class StageOverride(NamedTuple):
    """That a user moved a record (row id) back from a stage of ours, noticed at `since` (milliseconds)."""

    record: int
    stage: str
    since: int


class OverrideCount(NamedTuple):
    """Of so many hand-offs or moves of a rule or rep, how many a user overrode."""

    name: str
    total: int
    overridden: int


def mark_owner_overrides(connection: Connection, rows: Sequence[OwnerOverride]) -> None:
    """Mark the hand-offs that users overrode; one that is marked stays as it is."""
    latest = select(func.max(hand_off.c.id)).where(hand_off.c.person == bindparam("whose"), hand_off.c.at <= _SINCE)
    this = hand_off.c.id == latest.scalar_subquery(), hand_off.c.owner == bindparam("whom")
    statement = update(hand_off).where(*this, hand_off.c.overridden_at.is_(None)).values(overridden_at=_SINCE)
    if rows:
        connection.execute(statement, [{"whose": it.person, "whom": it.owner, "since": it.since} for it in rows])


def mark_stage_overrides(connection: Connection, rows: Sequence[StageOverride]) -> None:
    """Mark the changes whose stage users overrode; one that is marked stays as it is."""
    mine = change.c.record == bindparam("whose")
    latest = select(func.max(change.c.id)).where(mine, _MOVED, change.c.at <= _SINCE)
    this = change.c.id == latest.scalar_subquery(), change.c.after.contains(bindparam("what"), escape="/")
    statement = update(change).where(*this, change.c.overridden_at.is_(None)).values(overridden_at=_SINCE)
    if rows:
        connection.execute(
            statement, [{"whose": it.record, "what": _escaped(_written(it.stage)), "since": it.since} for it in rows]
        )


_SINCE: BindParameter[int] = bindparam("since")

_MOVED = (
    ((change.c.state == UPDATED) | (change.c.state == PARTLY))
    & change.c.after.contains('"stage":', autoescape=True)
    & ~change.c.refused.contains('"stage":', autoescape=True)
)
"""Changes by which a CRM took a stage."""


def _written(stage: str) -> str:
    return f'"stage":{dump_json(stage)}'


def _escaped(text: str) -> str:
    for each in "/%_":
        text = text.replace(each, f"/{each}")
    return text


def count_owner_overrides(connection: Connection, since: int) -> tuple[list[OverrideCount], list[OverrideCount]]:
    """The hand-offs from an instant on (milliseconds) by route, and by owner; those to queues do not count."""
    people = hand_off.c.at >= since, ~hand_off.c.owner.startswith("queue:")
    counts = []
    for column in (hand_off.c.route, hand_off.c.owner):
        query = select(column, func.count(), func.count(hand_off.c.overridden_at)).where(*people).group_by(column)
        counts.append([OverrideCount(*row) for row in plain_rows(connection, query.order_by(column))])
    return counts[0], counts[1]


def count_stage_overrides(connection: Connection, since: int, stages: Sequence[str]) -> list[OverrideCount]:
    """The moves into some stages from an instant on, in the order given; a person's records in a run are one move."""
    if not stages:
        return []
    texts = {name: change.c.after.contains(_written(name), autoescape=True) for name in stages}
    stage = case(*((found, name) for name, found in texts.items()), else_="").label("stage")
    moves = (
        select(change.c.run, record.c.person, stage, func.max(change.c.overridden_at).label("overridden_at"))
        .join(record, record.c.id == change.c.record)
        .where(_MOVED, change.c.at >= since)
        .group_by(change.c.run, record.c.person, stage)
        .subquery()
    )
    query = select(moves.c.stage, func.count(), func.count(moves.c.overridden_at)).group_by(moves.c.stage)
    found = {row[0]: OverrideCount(*row) for row in plain_rows(connection, query)}
    return [found[name] for name in stages if name in found]
