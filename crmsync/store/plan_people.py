"""Whom the changes of a run concern: their records with what would change, their scores, and where everybody stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, distinct, func, select

from crmsync.model import Ref, Scalar
from crmsync.store.journal import tell_because
from crmsync.store.ledgers import ledger_reader
from crmsync.store.schema import LIVE, change, owner, person, record
from crmsync.store.sql import IN_LIST, id_range, in_chunks, plain_rows

Values = Mapping[str, Scalar | None]


class PlannedRecord(NamedTuple):
    """A live record of somebody whom a run changes, with its own change; without one, `after` is empty.

    `total` (hundredths) is what the person scores by that run.
    """

    person: int
    ref: Ref
    name: str
    email: str
    stage: str | None
    owner: str | None
    total: int
    before: Values
    after: Values
    because: str = ""
    stage_why: str = ""
    owner_why: str = ""


class PersonLines(NamedTuple):
    """What somebody scored: the total (hundredths), and the points of each line (hundredths), which sum to it."""

    person: int
    total: int
    lines: Mapping[str, int]


def planned_people(connection: Connection, run_id: str) -> Iterator[list[PlannedRecord]]:
    """For each person whom the changes of a run concern all their live records, by person."""
    theirs = select(record.c.person).join(change, change.c.record == record.c.id).where(change.c.run == run_id)
    it = record.c
    query = (
        select(it.person, it.crm, it.kind, it.ref_id, it.name, it.emails, it.stage, it.owner, person.c.total)
        .add_columns(change.c.before, change.c.after, change.c.because, person.c.stage_why, person.c.owner_why)
        .outerjoin(change, (change.c.record == it.id) & (change.c.run == run_id))
        .outerjoin(person, person.c.id == it.person)
        .where(LIVE, it.person.in_(theirs))
        .order_by(it.person, it.crm, it.kind, it.ref_id)
    )
    for _person, rows in groupby(plain_rows(connection, query), key=lambda row: row[0]):
        yield [_planned_record(row) for row in rows]


def _planned_record(row: tuple[Any, ...]) -> PlannedRecord:
    person_id, crm, kind, ref_id, name, emails, stage, owner_id, total, before, after, because, *whys = row
    addresses = orjson.loads(emails)
    changed = (orjson.loads(before), orjson.loads(after)) if after else ({}, {})
    email = addresses[0] if addresses else ""
    texts = (tell_because(because or "", changed[1]), *(why or "" for why in whys))
    return PlannedRecord(person_id, Ref(crm, kind, ref_id), name, email, stage, owner_id, total or 0, *changed, *texts)


def rescored_people(connection: Connection, run_id: str) -> Iterator[list[PersonLines]]:
    """Everybody whose score a run stored, by person, some thousands at a time; those left out have no lines."""
    query, read = select(person.c.id, person.c.total, person.c.ledger), ledger_reader(connection)
    query = query.where(person.c.scored_run == run_id)
    for rows in in_chunks(plain_rows(connection, query.order_by(person.c.id)), IN_LIST):
        yield [PersonLines(row[0], row[1], read(row[2])) for row in rows]


class ScoredPerson(NamedTuple):
    """What somebody scores: the total and the points of each line (hundredths), which sum to it, and the band."""

    person: int
    total: int
    band: str
    lines: Mapping[str, int]


def scored_people(connection: Connection) -> Iterator[list[ScoredPerson]]:
    """Everybody who has a live record and a score, by person, some thousands at a time; not those left out."""
    alive, read = select(record.c.person).where(LIVE), ledger_reader(connection)
    query = select(person.c.id, person.c.total, person.c.band, person.c.ledger).where(
        person.c.excluded == "", person.c.id.in_(alive)
    )
    for rows in in_chunks(plain_rows(connection, query.order_by(person.c.id)), IN_LIST):
        yield [ScoredPerson(row[0], row[1], row[2], read(row[3])) for row in rows]


def lines_of_people(connection: Connection, people: Sequence[int]) -> dict[int, PersonLines]:
    """What these people (ascending) last scored, of those who have a score."""
    query, read = select(person.c.id, person.c.total, person.c.ledger), ledger_reader(connection)
    rows = plain_rows(connection, query.where(id_range(person.c.id, people)))
    return {row[0]: PersonLines(row[0], row[1], read(row[2])) for row in rows}


def call_people(connection: Connection, people: Sequence[int]) -> dict[int, tuple[str, str]]:
    """The name and first e-mail address of each of these people."""
    found: dict[int, tuple[str, str]] = {}
    for some in in_chunks(people, IN_LIST):
        query = select(record.c.person, record.c.name, record.c.emails).where(LIVE, record.c.person.in_(some))
        for person_id, name, emails in plain_rows(connection, query.order_by(record.c.id)):
            held, addresses = found.get(person_id, ("", "")), orjson.loads(emails)
            found[person_id] = (held[0] or name, held[1] or (addresses[0] if addresses else ""))
    return found


def total_counts(connection: Connection) -> dict[int, int]:
    """People by their total (hundredths)."""
    query = select(person.c.total, func.count()).where(person.c.excluded == "").group_by(person.c.total)
    return {int(total): int(many) for total, many in plain_rows(connection, query)}


def people_by_stage(connection: Connection) -> dict[str, int]:
    """People by the stage that their records have in the CRMs; who has two is counted in both."""
    many = func.count(distinct(record.c.person))
    query = select(record.c.stage, many).where(LIVE, record.c.stage.is_not(None), record.c.stage != "")
    return {stage: int(number) for stage, number in plain_rows(connection, query.group_by(record.c.stage))}


def people_by_owner(connection: Connection) -> dict[str, int]:
    """People by the owner of their records: the address, or the name of a queue; who has two is counted for both."""
    address, same = owner.c.email, (owner.c.crm == record.c.crm) & (owner.c.id == record.c.owner)
    query = (
        select(func.lower(address), func.max(owner.c.name), func.count(distinct(record.c.person)))
        .join(owner, same)
        .where(LIVE, record.c.owner.is_not(None), record.c.owner != "")
        .group_by(func.lower(address), func.coalesce(func.nullif(address, ""), owner.c.name))
    )
    found: dict[str, int] = {}
    for email, name, many in plain_rows(connection, query):
        found[email or name] = found.get(email or name, 0) + int(many)
    return found


def count_placed(connection: Connection) -> dict[str, int]:
    """How many `people` there are, how many with a `stage` and with an `owner`, and how many live `records`."""
    them = func.count(distinct(record.c.person))
    has = {name: (record.c[name].is_not(None), record.c[name] != "") for name in ("stage", "owner")}
    counts = {name: connection.scalar(select(them).where(LIVE, *conditions)) or 0 for name, conditions in has.items()}
    records = connection.scalar(select(func.count()).select_from(record).where(LIVE)) or 0
    return {"people": connection.scalar(select(them).where(LIVE)) or 0, "records": records, **counts}
