"""Whose turn it is, and who got whom: turns by pool and member, and each hand-off."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select

from crmsync.model import Standing
from crmsync.store.schema import LIVE, hand_off, person, record, turn
from crmsync.store.sql import IN_LIST, in_chunks, plain_rows, upsert


def read_standings(connection: Connection) -> dict[str, dict[str, Standing]]:
    """For each pool how often it was whose turn (by address)."""
    found: dict[str, dict[str, Standing]] = {}
    it = turn.c
    for pool, member, *standing in plain_rows(connection, select(it.pool, it.member, it.turns, it.value, it.made_up)):
        found.setdefault(pool, {})[member] = Standing(*standing)
    return found


def save_standings(connection: Connection, pools: Mapping[str, Mapping[str, Standing]]) -> None:
    """Store whose turns there were."""
    rows: list[dict[str, Any]] = [
        {"pool": pool, "member": member, **standing._asdict()}
        for pool, standings in pools.items()
        for member, standing in standings.items()
    ]
    upsert(connection, turn, rows)


def save_hand_offs(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store who got whom: all columns of `hand_off` but its id."""
    for some in in_chunks(list(rows), IN_LIST):
        connection.execute(insert(hand_off), some)


def hand_offs_since(connection: Connection, since: int) -> list[tuple[str, int]]:
    """Who got somebody and when (milliseconds), from an instant on."""
    query = select(hand_off.c.owner, hand_off.c.at).where(hand_off.c.at >= since)
    return [(owner, int(at)) for owner, at in plain_rows(connection, query)]


def count_open(
    connection: Connection, owners: Mapping[tuple[str, str], str], crm_owned: Collection[str]
) -> dict[str, int]:
    """How many people each of some owners (address by CRM and id) has, however they got them.

    People on a track, in a stage that the CRM itself gives, or left out do not count.
    """
    crms, ids = {crm for crm, _id in owners}, {owner_id for _crm, owner_id in owners}
    query = (
        select(record.c.crm, record.c.owner, record.c.person)
        .join(person, person.c.id == record.c.person)
        .where(LIVE, record.c.crm.in_(crms), record.c.owner.in_(ids))
        .where(person.c.excluded == "", person.c.track == "")
        .where(func.coalesce(record.c.stage, "").not_in(crm_owned))
        .distinct()
    )
    people: dict[str, set[int]] = {}
    for crm, owner_id, person_id in plain_rows(connection, query):
        if (crm, owner_id) in owners:
            people.setdefault(owners[crm, owner_id], set()).add(person_id)
    return {address: len(theirs) for address, theirs in people.items()}
