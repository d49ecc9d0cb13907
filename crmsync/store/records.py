"""The rows of CRM records: found by the ids that a CRM gives them, and marked as outdated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from crmsync.identity.matching import MAIL
from crmsync.identity.names import name_words
from crmsync.model import Ref
from crmsync.store.schema import alias, identity, name_word, record, score_input
from crmsync.store.sql import IN_LIST, in_chunks, upsert


def rows_by_ref(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, dict[str, Any]]:
    """The stored rows of these records; records never seen are left out."""
    found: dict[Ref, dict[str, Any]] = {}
    for crm, kind, ids in _by_kind(refs):
        query = select(record).where(record.c.crm == crm, record.c.kind == kind, record.c.ref_id.in_(ids))
        found |= {Ref(crm, kind, row["ref_id"]): dict(row) for row in connection.execute(query).mappings()}
    return found


def ids_by_ref(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, int]:
    """The row ids of these records; an id that a merge replaced leads to the survivor's row."""
    found: dict[Ref, int] = {}
    for crm, kind, ids in _by_kind(refs):
        old = select(alias.c.old_id, alias.c.record).where(
            alias.c.crm == crm, alias.c.kind == kind, alias.c.old_id.in_(ids)
        )
        own = select(record.c.ref_id, record.c.id).where(
            record.c.crm == crm, record.c.kind == kind, record.c.ref_id.in_(ids)
        )
        # In this order: an old id that still has a row of its own leads to the survivor all the same.
        for query in (own, old):
            found |= {Ref(crm, kind, ref_id): row_id for ref_id, row_id in connection.execute(query)}
    return found


def _by_kind(refs: Iterable[Ref]) -> Iterable[tuple[str, str, list[str]]]:
    crm_group: dict[tuple[str, str], list[str]] = {}
    for ref in refs:
        crm_group.setdefault((ref.crm, ref.kind), []).append(ref.id)
    for (crm, kind), ids in crm_group.items():
        for some in in_chunks(ids, IN_LIST):
            yield crm, kind, some


def ids_by_exact_ref(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, int]:
    """The row ids of exactly these records, replaced ones too."""
    return {ref: row["id"] for ref, row in rows_by_ref(connection, refs).items()}


def save_identity_keys(connection: Connection, now: Mapping[int, set[str]]) -> None:
    """Store what contacts (row ids) are known by. Whoever shares an address that one of them loses is decided about.

    They may have been several people because of it, and would not be found by an address that is no longer there.
    """
    lost: set[str] = set()
    for some in in_chunks(now, IN_LIST):
        pairs = connection.execute(select(identity.c.record, identity.c.key).where(identity.c.record.in_(some)))
        lost |= {mark for row_id, mark in pairs if mark.startswith(MAIL) and mark not in now[row_id]}
        connection.execute(delete(identity).where(identity.c.record.in_(some)))
    upsert(
        connection,
        identity,
        [{"record": row_id, "key": mark} for row_id, theirs in now.items() for mark in sorted(theirs)],
    )
    for marks_ in in_chunks(sorted(lost), IN_LIST):
        sharing = select(identity.c.record).where(identity.c.key.in_(marks_))
        connection.execute(update(record).where(record.c.id.in_(sharing)).values(dirty=True))


def save_names(connection: Connection, names: Mapping[int, str]) -> None:
    """Store by which words records (row ids) are found, by the name that each has now."""
    for some in in_chunks(names, IN_LIST):
        connection.execute(delete(name_word).where(name_word.c.record.in_(some)))
    rows = [{"record": row_id, "word": word} for row_id, name in names.items() for word in sorted({*name_words(name)})]
    if rows:
        connection.execute(name_word.insert(), rows)


def mark_dirty(connection: Connection, row_ids: Sequence[int], *, edited: bool = False) -> None:
    """Something changed about these contacts: they are dirty, and the sheets of their people hold no more.

    It is `edited` where somebody took something away that a score rests on.
    """
    values = {"dirty": True, "edited": True} if edited else {"dirty": True}
    for some in in_chunks(row_ids, IN_LIST):
        connection.execute(update(record).where(record.c.id.in_(some)).values(values))
    drop_score_inputs(connection, row_ids)


def drop_score_inputs(connection: Connection, row_ids: Sequence[int]) -> None:
    """What scoring reads of the people of these contacts has to be read from their records anew."""
    for some in in_chunks(row_ids, IN_LIST):
        theirs = select(record.c.person).where(record.c.id.in_(some))
        connection.execute(delete(score_input).where(score_input.c.person.in_(theirs)))
