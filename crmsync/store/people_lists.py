"""What lists of people are made of, each in one or two queries however many people there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, case, func, or_, select

from crmsync.identity.matching import MAIL
from crmsync.model import Ref
from crmsync.store.schema import LIVE, identity, person, record
from crmsync.store.sql import plain_rows


class ListedRecord(NamedTuple):
    """A record as lists show it; `decided` is the stage that crmsync decided of its person, `""` where none was."""

    id: int
    person: int | None
    ref: Ref
    name: str
    emails: list[str]
    changed_at: int
    stage: str | None
    owner: str | None
    current: dict[str, Any]
    decided: str
    why: str


_REPLACED = (record.c.merged_into != "") | (record.c.converted_into != "")
NOT_MATCHED = record.c.known & ~record.c.gone & record.c.ambiguous & ~_REPLACED
"""Records that no address tells apart from those of other people."""


def find_duplicates(connection: Connection) -> tuple[list[ListedRecord], dict[int, set[str]]]:
    """The live records of people who have several in one CRM, and by record (row id) what each is known by."""
    several = select(record.c.person).where(LIVE, record.c.person.is_not(None)).group_by(record.c.person, record.c.crm)
    theirs = LIVE, record.c.person.in_(several.having(func.count() > 1))
    query = select(identity.c.record, identity.c.key).where(identity.c.record.in_(select(record.c.id).where(*theirs)))
    keys: dict[int, set[str]] = {}
    for row_id, key in plain_rows(connection, query):
        keys.setdefault(row_id, set()).add(key)
    return list(_listed(connection, *theirs)), keys


def find_not_matched(
    connection: Connection,
) -> tuple[list[ListedRecord], dict[str, dict[str, int]], dict[int, set[str]]]:
    """The records that no address tells apart, by address key how many records of each CRM carry it, and their keys."""
    theirs = select(record.c.id).where(NOT_MATCHED)
    shared = select(identity.c.key).where(identity.c.record.in_(theirs), identity.c.key.startswith(MAIL))
    query = (
        select(identity.c.record, identity.c.key, record.c.crm)
        .join(record, record.c.id == identity.c.record)
        # The addresses of a replaced record say nothing of who somebody is (see `matching.Identified`).
        .where(identity.c.key.in_(shared), ~_REPLACED)
    )
    counts: dict[str, dict[str, int]] = {}
    keys: dict[int, set[str]] = {}
    for row_id, key, crm in plain_rows(connection, query):
        here = counts.setdefault(key, {})
        here[crm] = here.get(crm, 0) + 1
        keys.setdefault(row_id, set()).add(key)
    return list(_listed(connection, NOT_MATCHED)), counts, keys


def find_in_several_crms(connection: Connection) -> Iterator[ListedRecord]:
    """The live records of people who are in several CRMs, and of those whose decided stage one does not have."""
    several = select(record.c.person).where(LIVE).group_by(record.c.person)
    both = record.c.person.in_(several.having(func.count(record.c.crm.distinct()) > 1))
    differs = (person.c.stage != "") & (record.c.stage != "") & (record.c.stage != person.c.stage)
    return _listed(connection, LIVE, or_(both, differs))


def find_left_out(connection: Connection) -> Iterator[ListedRecord]:
    """The records of people who are neither scored nor written, of those who are not routed whatever the routes say
    (the CRM itself took them further, or a user's tag keeps them back), and of people who were forgotten.
    """
    left_out = (person.c.excluded != "") | person.c.destination.in_(("crm_owned", "disqualified"))
    stays = record.c.known & ~record.c.gone & ~_REPLACED & left_out
    why = case((person.c.excluded != "", person.c.excluded), else_=person.c.owner_why)
    return _listed(connection, or_(stays, record.c.forgotten & ~record.c.gone), why=why)


def find_waiting(connection: Connection) -> Iterator[ListedRecord]:
    """The live records of people who wait for an owner."""
    return _listed(connection, LIVE, person.c.waiting != "", why=person.c.waiting)


def _listed(connection: Connection, *conditions: Any, why: Any = person.c.waiting) -> Iterator[ListedRecord]:
    """Records by person, of each CRM contacts before leads and the newest first; those of nobody come at the end."""
    it = record.c
    query = (
        select(it.id, it.person, it.crm, it.kind, it.ref_id, it.name, it.emails, it.changed_at)
        .add_columns(it.stage, it.owner, it.current, func.coalesce(person.c.stage, ""), func.coalesce(why, ""))
        .outerjoin(person, person.c.id == it.person)
        .where(*conditions)
        .order_by(it.person.is_(None), it.person, it.crm, it.kind)
        .order_by(func.length(it.ref_id).desc(), it.ref_id.desc())
    )
    for (
        row_id,
        person_id,
        crm,
        kind,
        ref_id,
        name,
        emails,
        changed_at,
        stage,
        owner,
        current,
        decided,
        said,
    ) in plain_rows(connection, query):
        yield ListedRecord(
            row_id, person_id, Ref(crm, kind, ref_id), name, orjson.loads(emails), changed_at,
            stage, owner, orjson.loads(current), decided, said,
        )  # fmt: skip
