"""A backup: the whole state as of one instant in one SQLite file, whatever database it is of."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import MetaData, inspect, select

from crmsync.connector import Stop
from crmsync.errors import Cancelled, ConfigError, StateError
from crmsync.store import schema
from crmsync.store.database import BACKUP, FIRST, HEAD, Store, open_store, state_version
from crmsync.store.lock import is_flocked
from crmsync.store.sql import IN_LIST, in_chunks

MADE_AT = "backup_at"
"""The note of a backup that says when it was made (milliseconds)."""

LOOK_EVERY = 200_000
"""Steps of SQLite between looks at how far it is, and whether to stop."""

Told = Callable[[str, str, int], None]


def save_backup(store: Store, path: Path, now: int, told: Told, stop: Stop, *, replace: bool) -> int:
    """Write the state to a file, beside whoever works on it. Returns its size in bytes.

    It is complete or not there. Raises `ConfigError` where it cannot be there, `StateError` where it cannot be written
    or the state cannot be read, `Cancelled` when `stop` is raised.
    """
    database = store.engine.url.database
    if store.engine.dialect.name == "sqlite" and database and path.exists() and os.path.samefile(path, database):
        raise ConfigError(f"{path} is the state itself; name another file")
    if path.exists() and not (replace and path.is_file()):
        raise ConfigError(f"{path} already exists and was not changed; name another file, or add --yes to replace it")
    with _part_of(path) as part:
        if store.engine.dialect.name == "sqlite":
            _copy_file(store, part, told, stop)
        else:
            _copy_tables(store, part, told, stop)
        with closing(sqlite3.connect(part)) as made:
            made.execute("PRAGMA journal_mode=DELETE")
            made.execute(f"PRAGMA application_id={BACKUP}")
            made.execute("INSERT OR REPLACE INTO note (crm, name, value) VALUES ('', ?, ?)", (MADE_AT, str(now)))
            made.commit()
        size = part.stat().st_size
        os.replace(part, path)
        _sync_folder(path)
    return size


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """A new file beside one that is in the making, for its owner alone; what is left of it at the end goes."""
    part = path.with_name(f".{path.name}.part")
    try:
        # Named after the file, so that what a killed process left is used and not kept for ever.
        with open(part, "a", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            if not is_flocked(file):
                raise StateError(f"another process is writing {path} at present")
            file.truncate(0)
            os.chmod(part, 0o600)
            try:
                yield part
            finally:
                for end in ("", "-wal", "-shm", "-journal", ".lock"):
                    with suppress(OSError):
                        os.unlink(f"{part}{end}")
    except (OSError, sqlite3.Error) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise StateError(f"{path} cannot be written: {said}; nothing of it was kept") from error


def _copy_file(store: Store, part: Path, told: Told, stop: Stop) -> None:
    """SQLite: all but the pages that nothing is on, so that no byte of somebody forgotten is among it."""
    seen = 0

    def look() -> int:
        nonlocal seen
        size = part.stat().st_size // 1_000_000
        told("megabytes", "", size - seen)
        seen = size
        return int(stop.is_set())

    with closing(store.engine.raw_connection()) as connection:
        driver: Any = connection.driver_connection
        driver.set_progress_handler(look, LOOK_EVERY)
        try:
            driver.execute("VACUUM INTO ?", (str(part),))
        except sqlite3.OperationalError:
            if stop.is_set():
                raise Cancelled("stopped while the state was written to a file") from None
            raise
        finally:
            driver.set_progress_handler(None, 0)
    with open(part, "rb") as written:
        os.fsync(written.fileno())


def _copy_tables(store: Store, part: Path, told: Told, stop: Stop) -> None:
    """PostgreSQL: every row, as of one instant, into tables of the same version."""
    version = state_version(store) or HEAD
    tables = schema.metadata
    if version != HEAD:
        tables = MetaData()
        tables.reflect(store.engine)
    with (
        closing(open_store(f"sqlite:///{part}", version=version)) as to,
        store.engine.connect().execution_options(isolation_level="REPEATABLE READ", yield_per=IN_LIST) as source,
        to.begin() as writing,
    ):
        for table in tables.sorted_tables:
            if table.name in ("alembic_version", "writer"):
                continue
            for rows in in_chunks(source.execute(select(table)).mappings(), IN_LIST):
                if stop.is_set():
                    raise Cancelled("stopped while the state was written to a file")
                writing.execute(table.insert(), [dict(row) for row in rows])
                told("rows", "", len(rows))


def _sync_folder(path: Path) -> None:
    """A rename outlives a power cut only once the folder is on the disk."""
    folder = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def opened_backup(path: Path) -> Iterator[Store]:
    """A backup to read, brought up to date on a copy where it is of an older version.

    Raises `ConfigError` where it is no backup, and `StateError` where it is damaged or of a newer crmsync.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    try:
        _check_file(path)
    except sqlite3.Error as error:
        raise _unsound(path, str(error)) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    with tempfile.TemporaryDirectory(prefix="crmsync-") as folder:
        copy = Path(folder) / "backup.db"
        try:
            shutil.copyfile(path, copy)
        except OSError as error:
            raise StateError(f"{path} cannot be copied to {folder}: {error.strerror}; nothing was changed") from error
        _make_state(copy, path)
        store = open_store(f"sqlite:///{copy}")
        try:
            _check_tables(store, path)
            yield store
        finally:
            store.close()


def _make_state(copy: Path, path: Path) -> None:
    """Have a copy of a backup taken for a state, where its version is one that there was. Raises `StateError`."""
    with closing(sqlite3.connect(copy)) as connection:
        try:
            (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
            made = connection.execute("SELECT value FROM note WHERE name = ?", (MADE_AT,)).fetchone()
            connection.execute("PRAGMA application_id=0")
        except sqlite3.Error as error:
            raise _unsound(path, str(error)) from error
    if version > HEAD:
        raise StateError(
            f"{path} was made by a newer crmsync (its version is {version}, this one needs {HEAD}); "
            "upgrade crmsync; nothing was changed"
        )
    if version < FIRST or made is None or not made[0].isdecimal():
        raise _unsound(path, "it does not say when and by which version it was made")


def _check_tables(store: Store, path: Path) -> None:
    """Raise `StateError` where a table or column is missing, before what is there makes room for it."""
    found = inspect(store.engine).get_multi_columns()
    for table in schema.metadata.sorted_tables:
        columns = {each["name"] for each in found.get((None, table.name), ())}
        if missing := sorted({each.name for each in table.columns} - columns):
            raise _unsound(path, f"{table.name} has no {missing[0]}")


def _unsound(path: Path, why: str) -> StateError:
    return StateError(f"{path} is damaged or no backup: {why}; nothing was changed")


def _check_file(path: Path) -> None:
    """Raise `ConfigError` where the file is no backup, `StateError` where it is damaged, and what SQLite raises."""
    with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != BACKUP:
            raise ConfigError(f"{path} is no backup; crmsync backup FILE makes one")
        (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise StateError(f"{path} is damaged, so nothing was changed; use another backup")
