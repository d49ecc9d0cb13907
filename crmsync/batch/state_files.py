"""The tables of the state as Parquet files, from which an import makes a state again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import BigInteger, Boolean, Connection, Double, Integer, LargeBinary, Table

from crmsync.batch.inputs import MANIFEST
from crmsync.batch.parquet_files import open_parquet
from crmsync.batch.score_output import make_folder, private_file
from crmsync.connector import Stop
from crmsync.errors import Cancelled, ConfigError, StateError
from crmsync.scoring.arrow import load_pyarrow
from crmsync.store.backup import MADE_AT
from crmsync.store.database import HEAD, Store, open_store
from crmsync.store.exported import MOVED, empty_tables, read_rows
from crmsync.store.schema import note
from crmsync.store.sql import IN_LIST, to_ms, upsert
from crmsync.work import Progress

if TYPE_CHECKING:
    import pyarrow as pa


def write_state_tables(reading: Connection, folder: Path, progress: Progress, stop: Stop) -> None:
    """Write each table of the state into a file of its name. Raises `Cancelled` when `stop` is raised."""
    pa = load_pyarrow()
    import pyarrow.parquet

    make_folder(folder)
    for table in MOVED:
        schema = _schema_of(table)
        with (
            private_file(folder / f"{table.name}.parquet") as file,
            pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as made,
        ):
            for rows in read_rows(reading, table):
                if stop.is_set():
                    raise Cancelled("stopped while the state was exported; the folder has a part of it")
                made.write_table(pa.Table.from_pylist(rows, schema=schema))
                progress("rows", "", len(rows))


def _schema_of(table: Table) -> pa.Schema:
    return load_pyarrow().schema([(column.name, _type_of(column.type)) for column in table.columns])


def _type_of(kind: Any) -> Any:
    pa = load_pyarrow()
    # A big number may be a variant of its own for SQLite.
    for made, arrow in (
        (Boolean, pa.bool_()),
        (BigInteger, pa.int64()),
        (Integer, pa.int64()),
        (Double, pa.float64()),
        (LargeBinary, pa.binary()),
    ):
        if isinstance(kind, made):
            return arrow
    return pa.string()


@contextmanager
def opened_export(folder: Path, progress: Progress, stop: Stop) -> Iterator[Store]:
    """The state that an export is of, to restore it from. Raises `ConfigError` where the folder has none."""
    load_pyarrow()
    try:
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
        version, made_at = manifest["version"], to_ms(datetime.fromisoformat(manifest["at"]))
    except (OSError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{folder} is no export, or not a whole one; crmsync export {folder} makes one") from None
    if version != HEAD:
        raise StateError(
            f"{folder} is of another version of crmsync (its state is {version}, this one needs {HEAD}); import it "
            "with that version, or export again"
        )
    with tempfile.TemporaryDirectory(prefix="crmsync-") as place:
        store = open_store(f"sqlite:///{place}/import.db")
        try:
            with store.begin() as writing:
                empty_tables(writing)
                for table in MOVED:
                    _fill(writing, table, folder / "state" / f"{table.name}.parquet", progress, stop)
                upsert(writing, note, [{"crm": "", "name": MADE_AT, "value": str(made_at)}])
            yield store
        finally:
            store.close()


def _fill(writing: Connection, table: Table, path: Path, progress: Progress, stop: Stop) -> None:
    pa = load_pyarrow()
    with open_parquet(path) as file:
        if not file.schema_arrow.equals(_schema_of(table)):
            raise ConfigError(f"{path} has other columns than the table {table.name} of the state; export again")
        try:
            for batch in file.iter_batches(IN_LIST):
                if stop.is_set():
                    raise Cancelled("stopped while the export was read; the state is as before")
                writing.execute(table.insert(), batch.to_pylist())
                progress("rows", "", len(batch))
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(f"{path} cannot be read to its end: {str(error).partition(chr(10))[0]}") from None
