"""Where each stream of a CRM's pull goes on, and a connector's notes."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, or_, select

from crmsync.store.database import Store
from crmsync.store.schema import cursor, note
from crmsync.store.sql import dump_json, upsert


class StoredNotes(MutableMapping[str, str]):
    """A connector's notes: each is durable when the assignment returns."""

    def __init__(self, store: Store, crm: str) -> None:
        self._store, self._crm = store, crm

    def __getitem__(self, name: str) -> str:
        with self._store.read() as reading:
            value = reading.scalar(select(note.c.value).where(note.c.crm == self._crm, note.c.name == name))
        if value is None:
            raise KeyError(name)
        return str(value)

    def __setitem__(self, name: str, value: str) -> None:
        with self._store.begin() as writing:
            upsert(writing, note, [{"crm": self._crm, "name": name, "value": value}])

    def __delitem__(self, name: str) -> None:
        with self._store.begin() as writing:
            gone = writing.execute(delete(note).where(note.c.crm == self._crm, note.c.name == name))
        if not gone.rowcount:
            raise KeyError(name)

    def __iter__(self) -> Any:
        with self._store.read() as reading:
            names = reading.scalars(select(note.c.name).where(note.c.crm == self._crm).order_by(note.c.name)).all()
        return iter([str(name) for name in names])

    def __len__(self) -> int:
        return len(list(iter(self)))


def read_cursor(connection: Connection, crm: str, stream: str) -> str | None:
    """Where a stream goes on, or `None` at its start."""
    return connection.scalar(select(cursor.c.value).where(cursor.c.crm == crm, cursor.c.stream == stream))


def write_cursor(connection: Connection, crm: str, stream: str, value: str) -> None:
    """Move a stream's cursor: only in the transaction that stores what is before it."""
    upsert(connection, cursor, [{"crm": crm, "stream": stream, "value": value}])


FULL_RUNS = "full:runs"
"""The row among the cursors that says, by stream, which runs have read since its pull of everything under way began."""


def note_full_run(connection: Connection, crm: str, stream: str, run: str, *, begins: bool) -> list[str]:
    """A run reads a stream. Returns the runs since its pull of everything began, which is now or was cut off before.

    None where the stream was read to its end before. What it brings counts for another stream's pull of everything.
    """
    under_way = _full_runs(connection, crm)
    if begins:
        # Begun anew: what came in runs before this one may be gone by now.
        under_way[stream] = []
    if not under_way:
        return []
    # For all streams under way: a record that came by any of them is there.
    now = {each: [*runs, run] for each, runs in under_way.items()}
    write_cursor(connection, crm, FULL_RUNS, dump_json(now))
    return now.get(stream, [])


def end_full_run(connection: Connection, crm: str, stream: str) -> None:
    """A stream's pull of everything came to its end."""
    under_way = _full_runs(connection, crm)
    under_way.pop(stream, None)
    if under_way:
        write_cursor(connection, crm, FULL_RUNS, dump_json(under_way))
    else:
        drop_cursor(connection, crm, FULL_RUNS)


def _full_runs(connection: Connection, crm: str) -> dict[str, list[str]]:
    """The runs by stream; those of an older crmsync, which named no stream, are not known."""
    runs = orjson.loads(read_cursor(connection, crm, FULL_RUNS) or "{}")
    return runs if isinstance(runs, dict) else {}


def drop_cursor(connection: Connection, crm: str, stream: str) -> None:
    """Forget where a stream was: its next pull begins at the start."""
    connection.execute(delete(cursor).where(cursor.c.crm == crm, cursor.c.stream == stream))


CONTACTS = "contacts:"
"""How the streams of contacts begin: each mapping of fields has one of its own."""


def was_read_so(connection: Connection, crm: str, mapping: str) -> bool:
    """Whether a CRM's contacts were read to their end by a mapping of fields (its hash)."""
    return read_cursor(connection, crm, f"{CONTACTS}{mapping}") is not None


def was_ever_read(connection: Connection, crm: str) -> bool:
    """Whether a CRM's contacts were read to their end at least once."""
    streams = connection.scalars(select(cursor.c.stream).where(cursor.c.crm == crm))
    return any(stream.startswith(CONTACTS) for stream in streams)


def promote_cursors(connection: Connection, crm: str, streams: Sequence[str]) -> None:
    """A full pull is complete: later pulls go on from where it ended."""
    for stream in streams:
        if value := read_cursor(connection, crm, f"full:{stream}"):
            write_cursor(connection, crm, stream, value)
        connection.execute(delete(cursor).where(cursor.c.crm == crm, cursor.c.stream == f"full:{stream}"))


def drop_cursors(connection: Connection, crm: str, begin: str, keep: str) -> None:
    """Forget the streams that begin like one that takes their place: what it stores is not what they had read."""
    ours = or_(*(cursor.c.stream.startswith(each, autoescape=True) for each in (begin, f"full:{begin}")))
    others = cursor.c.stream.not_in((keep, f"full:{keep}"))
    connection.execute(delete(cursor).where(cursor.c.crm == crm, ours, others))
