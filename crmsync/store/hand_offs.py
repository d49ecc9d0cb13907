"""Whose turn it is, and who got whom: turns by pool and member, and each hand-off."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, cast, delete, func, insert, select

from crmsync.model import TOUCHES, HandedOver, Standing
from crmsync.store.journal import PARTLY, PLANNED, REJECTED, SENT, UPDATED
from crmsync.store.run_journal import PLANS
from crmsync.store.schema import (
    LIVE,
    activity,
    activity_owner,
    change,
    fact,
    hand_off,
    open_turn,
    owner,
    person,
    record,
    run,
    stage_entry,
    turn,
)
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, plain_rows, upsert, write_many


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


class NewEntry(NamedTuple):
    """That a person came into a stage, or up into the band of the hand-off, and who owns them (an address)."""

    person: int
    stage: str
    owner: str


def save_entries(connection: Connection, run: str, now: int, model: str, entries: Sequence[NewEntry]) -> None:
    """Store entries with the score that is stored of each person, which is the one that they were decided by."""
    it = person.c
    names = ("person", "run", "at", "stage", "model", "owner", "band", "total", "fit", "behavior", "ledger")
    given = [
        cast(bindparam(f"its_{name}"), stage_entry.c[name].type).label(name)
        for name in ("run", "at", "stage", "model", "owner")
    ]
    scored = select(it.id, *given, it.band, it.total, it.fit, it.behavior, it.ledger)
    statement = insert(stage_entry).from_select(names, scored.where(it.id == bindparam("its_person")))
    rows = [
        {"its_person": each.person, "its_stage": each.stage, "its_owner": each.owner}
        | {"its_run": run, "its_at": now, "its_model": model}
        for each in entries
    ]
    for some in in_chunks(rows, IN_LIST):
        connection.execute(statement, some)


def entry_before(connection: Connection, person_id: int, at: int) -> dict[str, Any] | None:
    """The last entry of a person into a stage or band until an instant (milliseconds), as it was stored."""
    it = stage_entry.c
    query = select(stage_entry).where(it.person == person_id, it.at <= at).order_by(it.id.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else dict(row)


class OpenTurn(NamedTuple):
    """Whom a run gave to a `member` (an address or a queue), where nobody knows yet whether a CRM took it.

    `at` is when (milliseconds), `worth` what the person counts in the pool (hundredths), `records` has by the row id of
    each record the CRM's ids of the owner and of the one before.
    """

    id: int
    run: str
    at: int
    person: int
    pool: str
    member: str
    worth: int
    records: Mapping[int, tuple[str, str]]


def save_open_turns(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store whom a run gave to whom: all of `OpenTurn` but its id."""
    stored = [{**row, "records": dump_json({str(each): ids for each, ids in row["records"].items()})} for row in rows]
    write_many(connection, open_turn.insert(), stored)


def read_open_turns(connection: Connection) -> list[OpenTurn]:
    """Whom runs gave to whom, as far as it is not known whether a CRM took it."""
    of = open_turn.c
    query = select(of.id, of.run, of.at, of.person, of.pool, of.member, of.worth, of.records).order_by(of.id)
    return [
        OpenTurn._make((*row[:7], {int(row_id): tuple(ids) for row_id, ids in orjson.loads(row[7]).items()}))
        for row in plain_rows(connection, query)
    ]


def end_turns(connection: Connection, ended: Sequence[OpenTurn], unused: Sequence[OpenTurn]) -> None:
    """It is known what became of these; those that are `unused` count for nobody, as if they had not been."""
    for some in in_chunks([each.id for each in ended], IN_LIST):
        connection.execute(delete(open_turn).where(open_turn.c.id.in_(some)))
    given, its = {(each.person, each.run, each.pool, each.member) for each in unused}, hand_off.c
    for some in in_chunks(sorted({each.person for each in unused}), IN_LIST):
        theirs = plain_rows(
            connection, select(its.id, its.person, its.run, its.pool, its.owner).where(its.person.in_(some))
        )
        ids = [hand_off_id for hand_off_id, *what in theirs if tuple(what) in given]
        connection.execute(delete(hand_off).where(its.id.in_(ids)))
    standings = read_standings(connection) if unused else {}
    changed: dict[str, dict[str, Standing]] = {}
    for each in unused:
        if had := standings.get(each.pool, {}).get(each.member):
            # Where it was to make up for days away, that is still to be made up for.
            left = Standing(max(had.turns - 1, 0), max(had.value - each.worth, 0))
            standings[each.pool][each.member] = changed.setdefault(each.pool, {})[each.member] = left
    save_standings(connection, changed)


class OwnerWrite(NamedTuple):
    """What became of an owner (the CRM's id) whom a run wanted to give a record, and when (milliseconds)."""

    owner: str
    at: int
    is_taken: bool
    is_refused: bool
    is_open: bool


def owner_writes(connection: Connection, row_ids: Sequence[int], since: int) -> dict[int, list[OwnerWrite]]:
    """By record (row id) each owner whom a run wanted to give it since an instant (milliseconds), in their order."""
    found: dict[int, list[OwnerWrite]] = {}
    of = change.c
    plans = select(run.c.id).where(run.c.verdict.in_(PLANS))
    for some in in_chunks(row_ids, IN_LIST):
        query = select(of.record, of.at, of.state, of.after, of.refused).where(
            of.record.in_(some), of.at >= since, of.run.not_in(plans), of.after.contains('"owner":', autoescape=True)
        )
        for row_id, at, state, after, said in plain_rows(connection, query.order_by(of.id)):
            refused = state == REJECTED or (state == PARTLY and "owner" in orjson.loads(said))
            taken = state in (UPDATED, PARTLY) and not refused
            owner_id = str(orjson.loads(after)["owner"] or "")
            write = OwnerWrite(owner_id, int(at), taken, refused, state in (PLANNED, SENT))
            found.setdefault(row_id, []).append(write)
    return found


class OwnedRecord(NamedTuple):
    """Who has a record (the CRM's id, `""` for nobody), whether it is there, and whether it is to be decided about, or
    will be, since its owner is on hold.
    """

    owner: str
    is_live: bool
    is_waiting: bool


def owned_records_by_id(connection: Connection, row_ids: Sequence[int]) -> dict[int, OwnedRecord]:
    """Who has these records (row ids), as far as they are known."""
    found: dict[int, OwnedRecord] = {}
    for some in in_chunks(row_ids, IN_LIST):
        query = select(record.c.id, record.c.owner, LIVE, record.c.on_hold, record.c.dirty)
        for row_id, owner_id, is_live, on_hold, is_dirty in plain_rows(connection, query.where(record.c.id.in_(some))):
            is_waiting = bool(is_dirty) or "owner" in orjson.loads(on_hold or "{}").get("after", {})
            found[row_id] = OwnedRecord(owner_id or "", bool(is_live), is_waiting)
    return found


def hand_offs_since(connection: Connection, since: int) -> list[tuple[str, int]]:
    """Who got somebody and when (milliseconds), from an instant on."""
    query = select(hand_off.c.owner, hand_off.c.at).where(hand_off.c.at >= since)
    return [(address, int(at)) for address, at in plain_rows(connection, query)]


def hand_offs_of(connection: Connection, person_id: int) -> list[dict[str, Any]]:
    """Each time that a person got an owner, newest first: `at` is in milliseconds, `total` in hundredths."""
    it = hand_off.c
    names = ("at", "owner", "route", "pool", "stage", "why", "run", "band", "total", "model")
    query = select(*(it[name] for name in names)).where(it.person == person_id).order_by(it.id.desc())
    return [dict(zip(names, row, strict=True)) for row in plain_rows(connection, query)]


def latest_hand_offs(connection: Connection, now: int, person_id: int | None = None) -> list[HandedOver]:
    """The latest hand-off of each person who is there and not left out, or of one, and its owner's first touch since.

    What is looked at of activities are those after a hand-off, of the person's records. Queues do not count. Where the
    CRM does not say who made an activity, it counts as the owner's.
    """
    it = hand_off.c
    mine = record.c.person == it.person
    after = activity.c.at.between(it.at // 1000, now // 1000), fact.c.kind.in_(TOUCHES)
    maker = (owner.c.crm == activity_owner.c.crm) & (owner.c.id == activity_owner.c.owner)
    by_owner = (
        select(owner.c.id)
        .join(activity_owner, maker)
        .where(activity_owner.c.id == activity.c.owner, func.lower(func.trim(owner.c.email)) == it.owner)
        .correlate(activity, hand_off)
    )
    touched = (
        select(func.min(activity.c.at))
        .select_from(record)
        .join(activity, activity.c.record == record.c.id)
        .join(fact, fact.c.id == activity.c.fact)
        .where(mine, *after, activity.c.owner.is_(None) | by_owner.exists())
    )
    taken = change.c.state.in_(("updated", "partly")) & ~change.c.refused.contains('"owner":', autoescape=True)
    owned_at = (
        select(func.min(change.c.at))
        .select_from(record)
        .join(change, change.c.record == record.c.id)
        .where(mine, taken, change.c.at >= it.at, change.c.after.contains('"owner":', autoescape=True))
    )
    theirs = (owner.c.crm == record.c.crm) & (owner.c.id == record.c.owner)
    owned = select(record.c.id).join(owner, theirs).where(mine, LIVE, func.lower(func.trim(owner.c.email)) == it.owner)
    latest = select(func.max(it.id)).group_by(it.person)
    query = (
        select(it.person, it.owner, it.stage, it.at, it.band, it.rerouted)
        .add_columns(owned_at.scalar_subquery(), touched.scalar_subquery(), owned.exists())
        .join(person, person.c.id == it.person)
        .where(it.id.in_(latest if person_id is None else latest.where(it.person == person_id)))
        .where(person.c.excluded == "", ~it.owner.startswith("queue:"), select(record.c.id).where(mine, LIVE).exists())
        .order_by(it.id)
    )
    return [
        HandedOver(whose, address, stage, at, since, None if first is None else first * 1000, bool(theirs), band, again)
        for whose, address, stage, at, band, again, since, first, theirs in plain_rows(connection, query)
    ]


def stages_and_tags(connection: Connection, people: Sequence[int]) -> list[tuple[int, str, str, int | None]]:
    """Each of some people with their stage, their tag, and since when a run knows it (milliseconds)."""
    it, found = person.c, []
    for some in in_chunks(people, IN_LIST):
        query = select(it.id, it.stage, it.feedback, it.feedback_since).where(it.id.in_(some))
        found += [(whose, stage, tag, since) for whose, stage, tag, since in plain_rows(connection, query)]
    return found


def names_of_people(connection: Connection, people: Sequence[int]) -> dict[int, str]:
    """What to call some people: the name, or the e-mail address."""
    found: dict[int, str] = {}
    for some in in_chunks(people, IN_LIST):
        query = select(record.c.person, record.c.name, record.c.emails).where(record.c.person.in_(some), LIVE)
        for person_id, name, emails in plain_rows(connection, query.order_by(record.c.id)):
            found[person_id] = found.get(person_id) or name or next(iter(orjson.loads(emails)), "")
    return found


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
