"""Records of which a CRM's answer could not be read: they are asked for again in each run until it can."""

from __future__ import annotations

from collections.abc import Collection

import orjson
from sqlalchemy import Connection, select

from crmsync.model import Ref
from crmsync.store.schema import note
from crmsync.store.sql import upsert

ODD_RECORDS = "odd_records"
"""The note that holds, as JSON, the kind and id of each."""

MOST = 1_000
"""Records that are remembered; what is odd beyond that is left to the next pull of everything."""


def read_odd_records(connection: Connection, crm: str) -> list[Ref]:
    """The records of a CRM that could not be read when they were asked for last."""
    text = connection.scalar(select(note.c.value).where(note.c.crm == crm, note.c.name == ODD_RECORDS))
    return [Ref(crm, kind, record_id) for kind, record_id in orjson.loads(text or "[]")]


def update_odd_records(
    connection: Connection, crm: str, *, add: Collection[Ref] = (), drop: Collection[Ref] = ()
) -> None:
    """Remember records that cannot be read, and forget those that can."""
    before = read_odd_records(connection, crm)
    after = [ref for ref in dict.fromkeys((*before, *add)) if ref not in drop][:MOST]
    if after != before:
        value = orjson.dumps([[ref.kind, ref.id] for ref in after]).decode()
        upsert(connection, note, [{"crm": crm, "name": ODD_RECORDS, "value": value}])
