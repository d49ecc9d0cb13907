"""Former values of fields as the CRMs keep them: stored beside those that our own pulls saw change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, delete, select

from crmsync.connector import PastFields
from crmsync.model import Ref
from crmsync.store.cursors import drop_cursor, drop_cursors, read_cursor, write_cursor
from crmsync.store.edits import MOVED
from crmsync.store.past import UNKNOWN_BEFORE
from crmsync.store.schema import LIVE, field_history, past_field, record
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, to_ms, upsert

STREAM = "history:"
"""How the row among the cursors begins that says how far the histories of a mapping were read."""

Since = dict[str, dict[str, int]]
"""By kind and field since when a history is whole (milliseconds; 0 is since a record exists)."""


class HistoryReading(NamedTuple):
    """How far a reading of histories is: the last record (row id), when it began, and since when fields are whole.

    `alone` is the same of pages about one record: it counts where there is no other page.
    """

    last: int
    began: int
    whole: Since
    alone: Since


def read_progress(connection: Connection, crm: str, mapping: str, now: int) -> HistoryReading:
    """Where a reading of histories goes on; at its beginning where it was by another mapping."""
    drop_cursors(connection, crm, STREAM, keep=f"{STREAM}{mapping}")
    held = read_cursor(connection, crm, f"{STREAM}{mapping}")
    return HistoryReading(*orjson.loads(held)) if held else HistoryReading(0, now, {}, {})


def next_records(connection: Connection, crm: str, after: int, most: int) -> dict[Ref, int]:
    """The next live records of a CRM after a row id, with their row ids."""
    query = select(record.c.kind, record.c.ref_id, record.c.id).where(LIVE, record.c.crm == crm, record.c.id > after)
    rows = connection.execute(query.order_by(record.c.id).limit(most))
    return {Ref(crm, kind, ref_id): row_id for kind, ref_id, row_id in rows}


def save_histories(
    connection: Connection,
    crm: str,
    mapping: str,
    reading: HistoryReading,
    asked: Mapping[Ref, int],
    pages: Iterable[PastFields],
    fields: Sequence[str],
) -> tuple[HistoryReading, int]:
    """Store what a CRM knows of some records (row ids by ref), and that they were asked for.

    Within the time of which the history misses nothing it takes the place of what our pulls noticed, which is later.
    Returns how far the reading is now, and how many values were stored.
    """
    rows: dict[tuple[int, str, int], str] = {}
    apart: dict[Ref, Mapping[str, int]] = {}
    here: Since = {}
    for page in pages:
        since = _instants(page, fields)
        refs = {each.ref for each in page.values}
        only = next(iter(refs)) if len(refs) == 1 and any(map(any, map(dict.values, since.values()))) else None
        if only is not None:
            apart[only] = since.get(only.kind, {})
        _widen(reading.alone if only is not None else here, since)
        for each in page.values:
            row_id, name = asked.get(each.ref), each.field if each.field in fields else f"{MOVED}{each.field}"
            if row_id is not None and each.field in (*since.get(each.ref.kind, {}), "stage"):
                rows.setdefault((row_id, name, to_ms(each.until)), dump_json(each.value))
    for ref in apart.keys() & asked.keys():
        _drop_own(connection, [asked[ref]], apart[ref])
        rows |= {(asked[ref], name, at): UNKNOWN_BEFORE for name, at in apart[ref].items() if at}
    for kind, since_of in here.items():
        others = [row_id for ref, row_id in asked.items() if ref.kind == kind and ref not in apart]
        _drop_own(connection, others, since_of)
    _widen(reading.whole, here)
    names = ("record", "field", "until")
    upsert(connection, past_field, [{**dict(zip(names, key, strict=True)), "value": it} for key, it in rows.items()])
    done = reading._replace(last=max(asked.values()))
    write_cursor(connection, crm, f"{STREAM}{mapping}", dump_json(list(done)))
    return done, sum(value != UNKNOWN_BEFORE for value in rows.values())


def end_histories(connection: Connection, crm: str, mapping: str, reading: HistoryReading) -> None:
    """All records of a CRM were asked for: since when their fields are known from now on."""
    drop_cursor(connection, crm, f"{STREAM}{mapping}")
    connection.execute(delete(field_history).where(field_history.c.crm == crm))
    whole = {(kind, name): at for kind, each in reading.alone.items() for name, at in each.items()}
    whole |= {(kind, name): at for kind, each in reading.whole.items() for name, at in each.items()}
    rows = [
        {"crm": crm, "kind": kind, "field": name, "since": at, "read_at": reading.began}
        for (kind, name), at in whole.items()
    ]
    upsert(connection, field_history, rows)


def _instants(page: PastFields, fields: Sequence[str]) -> Since:
    return {
        kind: {name: _ms(at) for name, at in each.items() if name in fields} for kind, each in page.whole_since.items()
    }


def _ms(at: datetime | None) -> int:
    return 0 if at is None else max(to_ms(at), 0)


def _widen(into: Since, since: Since) -> None:
    """The latest instant counts: since then nothing is missing of any of them."""
    for kind, each in since.items():
        held = into.setdefault(kind, {})
        held.update({name: max(at, held.get(name, 0)) for name, at in each.items()})


def _drop_own(connection: Connection, row_ids: Sequence[int], since: Mapping[str, Any]) -> None:
    for some in in_chunks(row_ids, IN_LIST):
        for name, at in since.items():
            theirs = past_field.c.record.in_(some), past_field.c.field == name, past_field.c.until >= at
            connection.execute(delete(past_field).where(*theirs))
