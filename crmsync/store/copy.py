"""A private copy of the state: what is tried on it leaves no trace in anything that a later run reads."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import delete, select

from crmsync.connector import LEARNED
from crmsync.store.database import Store, open_store
from crmsync.store.odd_records import ODD_RECORDS
from crmsync.store.schema import metadata, note, writer
from crmsync.store.sql import IN_LIST, in_chunks


@contextmanager
def copy_state(store: Store) -> Iterator[Store]:
    """The state as it is at this instant, in a file of its own that goes with the block; nobody waits for it.

    It knows nothing of what connectors have under way (jobs, moves), so that nobody who looks goes on with those.
    """
    with tempfile.TemporaryDirectory(prefix="crmsync-") as folder:
        path = Path(folder) / "copy.db"
        if store.engine.dialect.name == "sqlite":
            with (
                closing(sqlite3.connect(str(store.engine.url.database))) as source,
                closing(sqlite3.connect(path)) as to,
            ):
                # Not a copy of the file, which would lack what is still in the log beside it.
                source.backup(to)
        copy = open_store(f"sqlite:///{path}")
        try:
            if store.engine.dialect.name != "sqlite":
                _copy_rows(store, copy)
            with copy.begin() as writing:
                under_way = note.c.name.not_like(f"%{LEARNED}") & (note.c.name != ODD_RECORDS)
                writing.execute(delete(note).where(note.c.crm != "", under_way))
            yield copy
        finally:
            copy.close()


def _copy_rows(store: Store, copy: Store) -> None:
    """Every row, as of one instant."""
    with store.engine.connect().execution_options(isolation_level="REPEATABLE READ", yield_per=IN_LIST) as source:
        for table in metadata.sorted_tables:
            if table is writer:  # nobody else works on a copy
                continue
            for rows in in_chunks(source.execute(select(table)).mappings(), IN_LIST):
                with copy.begin() as writing:
                    writing.execute(table.insert(), [dict(row) for row in rows])
