"""Since when each mapped field is known: by our own pulls, and by the history that a CRM keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select

from crmsync.store.schema import field_history, mapped_field
from crmsync.store.sql import dump_json, plain_rows, upsert


def note_mapped_fields(connection: Connection, crm: str, fields: Mapping[str, Any], now: int, *, is_same: bool) -> None:
    """All records of a CRM were read by this mapping at least once: since when each field is known.

    Those that are new in it are known from `now` (milliseconds) on, in a first reading (or by an older crmsync, which
    noted nothing, as long as the mapping `is_same`) since each record was seen first.
    """
    it = mapped_field.c
    held = dict(plain_rows(connection, select(it.field, it.spelled).where(it.crm == crm)))
    spelled = {name: dump_json(value) for name, value in fields.items()}
    if held == spelled:
        return
    since = 0 if not held and is_same else now
    other = [name for name in held if held[name] != spelled.get(name)]
    connection.execute(delete(mapped_field).where(it.crm == crm, it.field.in_(other)))
    # What was read of a field is of another one now.
    connection.execute(delete(field_history).where(field_history.c.crm == crm, field_history.c.field.in_(other)))
    new = [
        {"crm": crm, "field": name, "spelled": value, "since": since}
        for name, value in spelled.items()
        if held.get(name) != value
    ]
    upsert(connection, mapped_field, new)


def read_mapped_since(connection: Connection) -> dict[tuple[str, str], int]:
    """By CRM and field since when pulls tell of it (milliseconds; 0 is the first sight of each record)."""
    it = mapped_field.c
    return {(crm, name): int(since) for crm, name, since in connection.execute(select(it.crm, it.field, it.since))}


class KnownSince(NamedTuple):
    """Since when a field is known by a CRM's history (milliseconds), of records first seen by `read_at`."""

    since: int
    read_at: int


def read_history_since(connection: Connection) -> dict[tuple[str, str, str], KnownSince]:
    """By CRM, kind and field since when the CRM's history is whole; 0 is since a record exists."""
    it = field_history.c
    rows = connection.execute(select(it.crm, it.kind, it.field, it.since, it.read_at))
    return {(crm, kind, name): KnownSince(since, read_at) for crm, kind, name, since, read_at in rows}
