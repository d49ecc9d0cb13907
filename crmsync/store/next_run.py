"""When the daemon begins its next scheduled run, which it alone knows."""

from __future__ import annotations

from sqlalchemy import Connection, select

from crmsync.store.schema import note
from crmsync.store.sql import upsert

NOTE = {"crm": "", "name": "next_run"}
"""The note that holds the instant in milliseconds; it says nothing where no daemon is at work."""


def save_next_run(connection: Connection, at: int) -> None:
    """Note when the next scheduled run begins (milliseconds)."""
    upsert(connection, note, [{**NOTE, "value": str(at)}])


def read_next_run(connection: Connection) -> int | None:
    """When the daemon that was last at work would begin its next scheduled run (milliseconds)."""
    query = select(note.c.value).where(note.c.crm == NOTE["crm"], note.c.name == NOTE["name"])
    value = connection.scalar(query)
    return None if value is None else int(value)
