"""The rows of CRM records: found by the ids that a CRM gives them, and marked as outdated."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, or_, select, update

from crmsync.identity.matching import MAIL
from crmsync.identity.names import name_words
from crmsync.model import Ref, Scalar
from crmsync.store.schema import LIVE, alias, identity, name_word, record, score_input
from crmsync.store.sql import has_rows, one_of, plain_rows, unindexed, upsert, write_many


def held_band(current: Mapping[str, Scalar]) -> str:
    """The band among the score fields that a CRM has of a record; `""` without one."""
    return str(current.get("band") or "")


def bands_in_crms(connection: Connection, people: Collection[int], order: Sequence[str]) -> dict[int, str]:
    """For these people the band that the CRMs hold: the highest one of their live records, by `order`, lowest first."""
    places = {name: place for place, name in enumerate(order)}
    found: dict[int, str] = {}
    query = select(record.c.person, record.c.band).where(one_of(record.c.person, people), LIVE)
    for whose, band in plain_rows(connection, query) if people else ():
        found[whose] = max(found.get(whose, ""), band, key=lambda name: places.get(name, -1))
    return found


def rows_by_ref(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, dict[str, Any]]:
    """The stored rows of these records; records never seen are left out."""
    found: dict[Ref, dict[str, Any]] = {}
    for crm, kind, theirs in _by_kind(refs):
        query = select(record).where(record.c.crm == crm, record.c.kind == kind, one_of(record.c.ref_id, theirs))
        found |= {theirs[row["ref_id"]]: dict(row) for row in connection.execute(query).mappings()}
    return found


def ids_by_ref(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, int]:
    """The row ids of these records; an id that a merge replaced leads to the survivor's row."""
    it, refs = alias.c, [*refs]
    found = ids_by_exact_ref(connection, refs)
    if not has_rows(connection, alias):
        return found
    # In this order: an old id that still has a row of its own leads to the survivor all the same.
    return found | {
        theirs[old_id]: row_id
        for crm, kind, theirs in _by_kind(refs)
        for old_id, row_id in plain_rows(
            connection, select(it.old_id, it.record).where(it.crm == crm, it.kind == kind, one_of(it.old_id, theirs))
        )
    }


def _by_kind(refs: Iterable[Ref]) -> Iterable[tuple[str, str, dict[str, Ref]]]:
    by_kind: dict[tuple[str, str], dict[str, Ref]] = {}
    for ref in refs:
        by_kind.setdefault(ref[:2], {})[ref.id] = ref
    return ((crm, kind, theirs) for (crm, kind), theirs in by_kind.items())


def ids_by_exact_ref(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, int]:
    """The row ids of exactly these records, replaced ones too."""
    it = record.c
    return {
        theirs[ref_id]: row_id
        for crm, kind, theirs in _by_kind(refs)
        for ref_id, row_id in plain_rows(
            connection, select(it.ref_id, it.id).where(it.crm == crm, it.kind == kind, one_of(it.ref_id, theirs))
        )
    }


def former_keys(connection: Connection, row_ids: Collection[int]) -> dict[int, set[str]]:
    """By record (row id) the keys of the ids that lead to it since a merge or conversion."""
    found: dict[int, set[str]] = {}
    if row_ids and has_rows(connection, alias):
        query = select(alias.c.record, alias.c.crm, alias.c.kind, alias.c.old_id)
        for row_id, *ref in plain_rows(connection, query.where(one_of(alias.c.record, row_ids))):
            found.setdefault(row_id, set()).add(f"record:{Ref(*ref)}")
    return found


def save_identity_keys(connection: Connection, now: Mapping[int, set[str]]) -> None:
    """Store what contacts (row ids) are known by. Whoever shares an address that one of them loses is decided about.

    They may have been several people because of it, and would not be found by an address that is no longer there.
    """
    if not now:
        return
    of_these = one_of(identity.c.record, now)
    pairs = plain_rows(connection, select(identity.c.record, identity.c.key).where(of_these))
    lost = {mark for row_id, mark in pairs if mark.startswith(MAIL) and mark not in now[row_id]}
    connection.execute(delete(identity).where(of_these))
    upsert(
        connection,
        identity,
        [{"record": row_id, "key": mark} for row_id, theirs in now.items() for mark in sorted(theirs)],
    )
    if lost:
        sharing = select(identity.c.record).where(one_of(identity.c.key, lost))
        connection.execute(update(record).where(record.c.id.in_(sharing)).values(dirty=True))


def save_names(connection: Connection, names: Mapping[int, str]) -> None:
    """Store by which words records (row ids) are found, by the name that each has now."""
    if not names:
        return
    connection.execute(delete(name_word).where(one_of(name_word.c.record, names)))
    rows = [{"record": row_id, "word": word} for row_id, name in names.items() for word in sorted({*name_words(name)})]
    write_many(connection, name_word.insert(), rows)


def dirty_in(crms: Collection[str]) -> tuple[Any, Any]:
    """Conditions for the dirty records of these CRMs, by the index of the dirty ones."""
    return record.c.dirty, unindexed(record.c.crm).in_(crms)


def mark_dirty(connection: Connection, row_ids: Collection[int], *, edited: bool = False) -> None:
    """Something changed about these contacts: they are dirty, and the sheets of their people hold no more.

    It is `edited` where somebody took something away that a score rests on.
    """
    if not row_ids:
        return
    values = {"dirty": True, "edited": True} if edited else {"dirty": True}
    # Whoever is so already is not written again: in a first pull that is almost everybody.
    others = or_(*(~record.c[name] for name in values))
    connection.execute(update(record).where(one_of(record.c.id, row_ids), others).values(values))
    drop_score_inputs(connection, row_ids)


def drop_score_inputs(connection: Connection, row_ids: Collection[int]) -> None:
    """What scoring reads of the people of these contacts has to be read from their records anew."""
    if row_ids and has_rows(connection, score_input):
        theirs = select(record.c.person).where(one_of(record.c.id, row_ids), record.c.person.is_not(None))
        connection.execute(delete(score_input).where(score_input.c.person.in_(theirs)))
