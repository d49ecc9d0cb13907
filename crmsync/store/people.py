"""Which records are one person."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import Connection, bindparam, delete, func, select, update

from crmsync.identity.matching import MAIL, Identified
from crmsync.store.companies import people_around
from crmsync.store.schema import EVENTS, identity, note, person, record, score_input
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, read_column, upsert

Resolver: TypeAlias = partial[tuple[dict[int, int], set[int]]]
"""Decides who is who: `people.resolve` with the settings that it decides by, as keywords."""


def refresh_people(connection: Connection, resolve: Resolver, *, colleagues: bool = False) -> None:
    """Decide anew who the dirty contacts are. Everybody whose person changes becomes dirty too.

    When it was decided by other settings the last time, all whom they may concern are dirty; with `colleagues` so is
    everybody of an account that a record brings somebody into who was scored before.
    """
    _notice_other_settings(connection, dump_json(resolve.keywords))
    dirty = connection.scalars(select(record.c.id).where(record.c.dirty).order_by(record.c.id)).all()
    done: set[int] = set()
    for some in in_chunks(dirty, IN_LIST // 2):
        group = _joined(connection, {row_id for row_id in some if row_id not in done})
        done |= group
        gained = _assign(connection, group, resolve)
        if colleagues:
            _notice_colleagues(connection, gained)


def _notice_other_settings(connection: Connection, settings: str) -> None:
    """Make everybody dirty who shares an address with another record of the same CRM, when the settings are others."""
    now = {"crm": "", "name": "identity", "value": settings}
    last = connection.scalar(select(note.c.value).where(note.c.crm == now["crm"], note.c.name == now["name"]))
    if last == settings:
        return
    shared = (
        select(identity.c.key)
        .join(record, record.c.id == identity.c.record)
        .where(identity.c.key.startswith(MAIL))
        .group_by(identity.c.key, record.c.crm)
        .having(func.count() > 1)
    )
    sharing = select(identity.c.record).where(identity.c.key.in_(shared))
    connection.execute(update(record).where(record.c.id.in_(sharing)).values(dirty=True))
    upsert(connection, note, [now])


def _notice_colleagues(connection: Connection, people: Collection[int]) -> None:
    """Make everybody dirty around those of these people who were scored before."""
    if scored := read_column(connection, person.c.id, person.c.id, people):
        for some in in_chunks(people_around(connection, scored), IN_LIST):
            connection.execute(update(record).where(record.c.person.in_(some)).values(dirty=True))


def _joined(connection: Connection, row_ids: set[int]) -> set[int]:
    """The contacts that share a person or (over any number of steps) a mark with these."""
    people = read_column(connection, record.c.person, record.c.id, row_ids)
    row_ids |= read_column(connection, record.c.id, record.c.person, people)
    fresh, seen_marks = row_ids, set[Any]()
    while fresh:
        new_marks = read_column(connection, identity.c.key, identity.c.record, fresh) - seen_marks
        seen_marks |= new_marks
        fresh = read_column(connection, identity.c.record, identity.c.key, new_marks) - row_ids
        row_ids |= fresh
    return row_ids


def _assign(
    connection: Connection,
    row_ids: Collection[int],
    resolve: Resolver,
) -> set[int]:
    """Decide who these contacts are. Returns the people to whom one of them came.

    Where all that is left of somebody are records that were merged or converted into others which are not there, they
    are nobody until one comes: else they would have a score beside that of the same human elsewhere.
    """
    now: dict[int, tuple[str, int | None, bool]] = {}
    became: dict[int, bool] = {}
    held: dict[int, set[str]] = {}
    following, there = set[int](), set[int]()
    for some in in_chunks(sorted(row_ids), IN_LIST):
        query = select(record.c.id, record.c.crm, record.c.person, record.c.ambiguous, EVENTS.label("follows"))
        became_what = (record.c.merged_into + record.c.converted_into).label("became")
        query = query.add_columns(record.c.gone, record.c.known, became_what)
        for row in connection.execute(query.where(record.c.id.in_(some))):
            now[row.id] = (row.crm, row.person, row.ambiguous)
            # A deleted record is nobody, unless it says who it became.
            if not row.gone or row.became:
                became[row.id] = bool(row.became)
            if row.known and not row.gone and not row.became:
                there.add(row.id)
            if row.follows:
                following.add(row.id)
        pairs = select(identity.c.record, identity.c.key).where(identity.c.record.in_(some))
        for row_id, mark in connection.execute(pairs):
            held.setdefault(row_id, set()).add(mark)
    marked = [
        Identified(row_id, now[row_id][0], frozenset(held.get(row_id, ())), replaced, row_id in following)
        for row_id, replaced in became.items()
    ]
    people, unclear = resolve(marked)
    alive = {people[row_id] for row_id in there & people.keys()}
    people = {row_id: whose for row_id, whose in people.items() if whose in alive}
    moved = [
        {"row_id": row_id, "now": people.get(row_id), "unclear": row_id in unclear}
        for row_id, (_crm, was, was_unclear) in now.items()
        if (people.get(row_id), row_id in unclear) != (was, was_unclear)
    ]
    if not moved:
        return set()
    connection.execute(
        update(record)
        .where(record.c.id == bindparam("row_id"))
        .values(person=bindparam("now"), ambiguous=bindparam("unclear"), dirty=True),
        moved,
    )
    # Also whom a record left: their score rested on it.
    left = {now[row_id][1] for row_id in now} | set(people.values())
    for some in in_chunks(sorted(each for each in left if each is not None), IN_LIST):
        connection.execute(update(record).where(record.c.person.in_(some)).values(dirty=True))
        connection.execute(delete(score_input).where(score_input.c.person.in_(some)))
        inhabited = select(record.c.person).where(record.c.person.in_(some))
        connection.execute(delete(person).where(person.c.id.in_(some), person.c.id.not_in(inhabited)))
    return {each for row_id, each in people.items() if each != now[row_id][1]}
