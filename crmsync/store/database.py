"""Opening the state database: engine, migrations, one writer, and a refusal where it could not be safe."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, delete, event, exists, func, select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from crmsync.connector import Stop
from crmsync.errors import Cancelled, ConfigError, StateError, StateInUse, StateOutdated
from crmsync.failpoint import failpoint
from crmsync.store import schema
from crmsync.store.address import address_of, is_there, make_private, refuse_network_filesystem, shown_address
from crmsync.store.lock import Lock, lock_of
from crmsync.store.sql import upsert
from crmsync.store.turn import WriterTurn

_log = logging.getLogger(__name__)

FIRST, HEAD = "0001", "0023"
"""The oldest and the newest migration; a test holds the latter against `migrations/versions`."""

BACKUP = 0x63726D73  # "crms"
"""What the header of a backup says it is, and that of a state does not; SQLite keeps this number for it."""

BYTES_LEFT = {"crm": "", "name": "bytes_left"}
"""The note that says that the file may still hold bytes of somebody forgotten (see `wipe_log`)."""

BUSY_SECONDS = 30

ATTEMPT, ATTEMPTS = 2.0, 1_800
"""Seconds for which a transaction that writes waits for another one before an interrupt is heard, and how often: to
plan for a million people is one transaction of some minutes.
"""


STANDBY_POLL = 1.0
"""Seconds between attempts of a standby to take the lock."""


MIGRATION_POLL, MIGRATION_POLLS = 0.1, 100
"""Seconds between looks whether somebody else has brought the state up to date, and how many."""


SILENT_CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
"""How soon a connection to PostgreSQL whose other end is gone is noticed; seconds, unless said otherwise."""


OPEN_TRANSACTION = 60_000
"""Milliseconds after which PostgreSQL ends a transaction that does nothing: a paused worker must not hold others up."""


class Store:
    """The state database. `begin()` is a transaction that writes, `read()` one that only reads.

    `lease` is for how many seconds a request of a worker that vanished may still arrive; else the lock says it.
    """

    def __init__(self, engine: Engine, url: str, lease: float | None = None) -> None:
        self.engine, self.url, self.lease = engine, url, lease
        self._turn: WriterTurn | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A writing transaction: commits at the end of the block, leaves nothing behind when it raises.

        Raises `LostLock` where this process was the writer and is not any more.
        """
        with _told(self.url), self.engine.begin() as connection:
            if self._turn is not None:
                # First of all, so that nobody can take over until this commits.
                self._turn.fence(connection)
            yield connection
            failpoint("commit")
        failpoint("committed")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A reading transaction: a steady view that never blocks the writer."""
        with _told(self.url), self.engine.connect() as connection:
            yield connection.execution_options(crmsync_reads=True)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A reading transaction that sees one instant to its end, beside whoever writes."""
        # SQLite's transactions do so anyway; PostgreSQL's see what others commit between two statements.
        level = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with _told(self.url), self.engine.connect() as connection:
            yield connection.execution_options(crmsync_reads=True, **level)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def is_writer(self) -> bool:
        """Whether this process is the one that writes."""
        return self._turn is not None and self._turn.lasts()

    def may_write(self) -> bool:
        """Whether this process may go on writing: it is the writer, or never meant to be."""
        return self._turn is None or self._turn.lasts()

    @contextmanager
    def writer(
        self,
        who: str,
        stop: Stop | None = None,
        standing_by: Callable[[str], object] | None = None,
        landing: Callable[[float], object] = lambda _seconds: None,
    ) -> Iterator[None]:
        """Be the one process that changes this state.

        Raises `StateInUse` if another is; with `standing_by`, which is told once who that is, it waits for the other to
        leave. Where that one left changes behind that it had sent, it waits until they cannot arrive any more, which
        `landing` is told in seconds. Raises `Cancelled` when `stop` is raised meanwhile.
        """
        lock = lock_of(self.engine)
        if lock is None:
            yield
            return
        stop = stop or Event()
        try:
            self._take(lock, who, stop, standing_by)
            lease = lock.lease if self.lease is None else self.lease
            # Before the wait: from here on a worker that was paused can store nothing more.
            epoch, left_at = self._begin_turn(who)
            self._turn = WriterTurn(lock, epoch, lease)
            # What was sent before may land after anything that we write.
            if seconds := self._seconds_to_land(lease, left_at):
                landing(seconds)
                if stop.wait(seconds):
                    raise Cancelled("stopped while waiting for what an earlier worker had sent")
            yield
        finally:
            # Noted while the lock is still ours.
            self._end_turn()
            lock.release()

    def _take(self, lock: Lock, who: str, stop: Stop, standing_by: Callable[[str], object] | None) -> None:
        told = False
        while True:
            try:
                with _told(self.url):
                    if lock.take(who):
                        return
                    holder = lock.holder() or "another process"
            except StateError as error:
                if standing_by is None:
                    raise
                # A standby outlives a database that does not answer for a while.
                holder = f"nobody ({error})"
            if standing_by is None:
                raise StateInUse(holder)
            if not told:
                standing_by(holder)
                told = True
            if stop.wait(STANDBY_POLL):
                raise Cancelled(f"stopped while {holder} works on the state")

    def _begin_turn(self, who: str) -> tuple[int, int | None]:
        """Raise the epoch. Returns it, and when the turn before ended (milliseconds), if it ended by itself."""
        row = schema.writer
        with self.begin() as writing:
            # FOR UPDATE waits for transactions of the turn before, which hold the row FOR SHARE (`WriterTurn.fence`).
            before = writing.execute(select(row.c.epoch, row.c.left_at).with_for_update()).one()
            mine = {"epoch": before.epoch + 1, "holder": f"{who} (process {os.getpid()})"}
            # Empty until this turn ends by itself: after a crash nobody knows when its last request left.
            writing.execute(update(row).values(**mine, config="", left_at=None))
        return before.epoch + 1, before.left_at

    def _end_turn(self) -> None:
        """Say that this turn ended by itself, unless it was lost."""
        with suppress(StateError):
            if self._turn is not None:
                with self.begin() as writing:
                    writing.execute(update(schema.writer).values(holder="", config="", left_at=_database_ms(writing)))
        self._turn = None

    def _seconds_to_land(self, lease: float, left_at: int | None) -> float:
        """How long something that was sent in an earlier turn, and was never heard of again, may still arrive."""
        with self.read() as reading:
            if not reading.scalar(select(exists().where(schema.OPEN, schema.change.c.state == "sent"))):
                return 0.0
            # Where nobody knows, it may have lasted until now.
            since = 0.0 if left_at is None else (_database_ms(reading) - left_at) / 1000
        # The database's clock may have been set meanwhile: that must not make the wait longer.
        return min(max(lease - since, 0.0), lease)


class WriterStop:
    """A stop for connectors that is raised, too, as soon as this process may not write any more."""

    def __init__(self, stop: Stop, store: Store) -> None:
        self._stop, self._store = stop, store

    def is_set(self) -> bool:
        """Whether to leave; asked before each attempt of a request, so that none begins after the turn is over."""
        failpoint("request")
        return self._stop.is_set() or not self._store.may_write()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the stop itself; the turn is looked at before the next request."""
        return self._stop.wait(timeout)


def open_store(url: str, lease: float | None = None, version: str | None = None) -> Store:
    """Open the state at `url`, creating it or migrating it to a `version` (the newest one); `lease` as for `Store`.

    Raises `ConfigError` for an address that cannot be used and `StateError` for a state that cannot: `StateInUse` where
    it is of an older version and somebody works on it.
    """
    address = address_of(url)
    with _opened(address, lease) as store:
        # Before anything is in it.
        make_private(address)
        _migrate(store, version or HEAD)
    return store


def open_existing_store(url: str, *, older: bool = False) -> Store | None:
    """Open the state at `url` to look at it: nothing is created, changed or waited for. `None` where there is none.

    Raises like `open_store`, and `StateError` for a state of an older version, unless an `older` one will do.
    """
    address = address_of(url)
    if not is_there(address):
        return None
    with _opened(address, looking=True) as store:
        version = _version(store.engine)
    if version is None:
        store.close()
        return None
    if version != HEAD and not older:
        store.close()
        raise StateOutdated(
            f"the state at {store.url} has an older version ({version}; this crmsync needs {HEAD}); "
            "the next run upgrades it: restart crmsync run, or run crmsync sync"
        )
    return store


@contextmanager
def _opened(address: URL, lease: float | None = None, *, looking: bool = False) -> Iterator[Store]:
    """A state that stays open, unless the block raises."""
    if address.drivername != "sqlite":
        # What the admin wrote into the address wins.
        own = {name: value for name, value in SILENT_CONNECTION.items() if name not in address.query}
        # Parameters are hidden, because they are people's data and errors reach the log (C10).
        engine = create_engine(address, connect_args=own, pool_pre_ping=True, hide_parameters=True)
        event.listen(engine, "connect", _prepare_postgres)
    # SQLite makes files beside its own, which is not possible here.
    elif looking and address.database and not os.access(Path(address.database).resolve().parent, os.W_OK):
        engine = create_engine(address, creator=_read_only(Path(address.database)), hide_parameters=True)
        event.listen(engine, "connect", _begin_ourselves)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        if address.database:
            refuse_network_filesystem(Path(address.database))
        engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    store = Store(engine, shown_address(address), lease)
    try:
        with _told(store.url):
            yield store
    except BaseException:
        store.close()
        raise


def quick_check(store: Store, now: datetime) -> None:
    """Raise `StateError` when the file is damaged; SQLite only (PostgreSQL looks after itself).

    A large file takes seconds to read, so one that was found whole today is not read again.
    """
    if store.engine.dialect.name != "sqlite":
        return
    checked = {"crm": "", "name": "found_whole_on", "value": f"{now:%Y-%m-%d}"}
    with store.read() as reading:
        if reading.scalar(select(schema.note.c.value).where(schema.note.c.name == checked["name"])) == checked["value"]:
            return
        said = reading.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if said != "ok":
        raise StateError(_damaged(store.url))
    with store.begin() as writing:
        upsert(writing, schema.note, [checked])


def wipe_log(store: Store) -> bool:
    """Take what was deleted out of SQLite's log, too, unless somebody reads at the moment: then the next run does.

    Where somebody was forgotten since the last time, the file is written anew as well. Returns whether nothing is left
    to do.
    """
    if store.engine.dialect.name != "sqlite":
        return True
    is_written_anew = _write_anew(store)
    with _told(store.url), closing(store.engine.raw_connection()) as connection:
        cursor = connection.cursor()
        # Without patience for readers, which the connection gets back for whoever uses it next.
        cursor.execute("PRAGMA busy_timeout=0").fetchall()
        busy, *_pages = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}").fetchall()
    return is_written_anew and not busy


def wipe_forgotten(store: Store, who: str) -> bool:
    """The same for who forgot somebody beside the worker: `False` where the end of its next run does it."""
    if store.engine.dialect.name != "sqlite":
        return True
    lock = lock_of(store.engine)
    try:
        with _told(store.url):
            # The file is written anew in one go, for which a worker would have to wait.
            return (lock is None or lock.take(who)) and wipe_log(store)
    finally:
        if lock is not None:
            lock.release()


def _write_anew(store: Store) -> bool:
    """Write the file anew where somebody was forgotten: SQLite leaves copies of rows that it moved between pages."""
    left = schema.note.c.name == BYTES_LEFT["name"]
    with store.read() as reading:
        if reading.scalar(select(schema.note.c.value).where(left)) is None:
            return True
    try:
        with closing(store.engine.raw_connection()) as connection:
            # The copy that it makes first is as large as the file.
            for statement in ("PRAGMA temp_store=FILE", "VACUUM", "PRAGMA temp_store=MEMORY"):
                connection.cursor().execute(statement).fetchall()
    except sqlite3.OperationalError:  # somebody writes, or the disk has no room for a copy: the next run tries again
        return False
    with store.begin() as writing:
        writing.execute(delete(schema.note).where(left))
    return True


def bind_account(store: Store, crm: str, account: str) -> None:
    """Remember which portal or org this state belongs to. Raises `ConfigError` when it belongs to another one."""
    with store.read() as reading:
        known = reading.scalar(select(schema.account.c.account).where(schema.account.c.crm == crm))
    if known is None:
        with store.begin() as writing:
            writing.execute(schema.account.insert().values(crm=crm, account=account))
    elif known != account:
        raise ConfigError(
            f"the state at {store.url} belongs to {crm} account {known}, but the credentials are for account "
            f"{account}; "
            "use the right credentials, or set another [state] url for this account"
        )


def _read_only(path: Path) -> Callable[[], sqlite3.Connection]:
    """How to connect to a file beside which nothing can be made. Raises `StateError` where it cannot be read so."""
    log = path.with_name(path.name + "-wal")
    shared = path.with_name(path.name + "-shm").exists()
    if log.exists() and log.stat().st_size > 0 and not shared:
        raise StateError(
            f"the state {path} was not closed, so it can be read only in a folder that can be written to: copy it "
            "there, with its -wal file, or run crmsync status there"
        )
    # where nobody has it open, it needs no locks and no shared memory, which could not be made
    options = "mode=ro" if log.exists() and shared else "mode=ro&immutable=1"
    address = f"file:{quote(str(path.resolve()))}?{options}"
    # Any thread may use the state (D09); the pool lends a connection to one at a time.
    return lambda: sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)


def _begin_ourselves(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's deferred BEGIN fails at once


def _prepare_sqlite(connection: Any, record: Any) -> None:
    _begin_ourselves(connection, record)
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        # FULL: what was noted as sent must be on the disk before it is sent, also after a power cut (J10).
        "synchronous=FULL",
        "cache_size=-65536",
        "temp_store=MEMORY",
        # Overwritten with zeros: no byte of the file may be of who was erased (C10).
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgres(connection: Any, _record: Any) -> None:
    connection.execute(f"SET idle_in_transaction_session_timeout = {OPEN_TRANSACTION}")
    # Committed, because a rollback would take the setting back.
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("crmsync_reads"):
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA busy_timeout={round(ATTEMPT * 1000)}")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            # A deferred transaction that reads and then writes fails at once, without any patience
            # (python/cpython#124510).
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            break
        except OperationalError as error:
            if "locked" not in str(error.orig) or attempt == ATTEMPTS:
                raise
            # Only whoever typed a command waits in the main thread; in a daemon the other one may be its own run.
            if attempt == 1 and threading.current_thread() is threading.main_thread():
                _log.warning("waiting_for_another_writer", extra={"why": "another crmsync writes to this state"})
    connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn what a database driver raises into a sentence for the admin."""
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).partition("\n")[0]  # PostgreSQL's further lines repeat values
        if "malformed" in said or "not a database" in said:
            raise StateError(_damaged(url)) from error
        if not (isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated):
            raise
        if "locked" in said or "readonly" in said or "unable to open" in said or "full" in said:
            raise StateError(f"the state at {url} cannot be used: {said}; nothing was written to it") from error
        raise StateError(f"the state database at {url} does not answer: {said}") from error


def _database_ms(connection: Connection) -> int:
    """The instant by the database's clock, in milliseconds: the same for all who share it."""
    if connection.dialect.name == "postgresql":
        # Not now(), which is when the transaction began.
        return int(connection.scalars(select(func.extract("epoch", func.clock_timestamp()))).one() * 1000)
    return int(time.time() * 1000)


def _damaged(url: str) -> str:
    return (
        f"the state at {url} is damaged, so crmsync writes nothing; keep the file, move it away and restore a backup, "
        "or set [state] url to a new file and run: crmsync backfill"
    )


def _version(engine: Engine) -> str | None:
    """The newest migration that was made, or `None`. Raises `StateError` for one that this crmsync does not know."""
    with engine.connect().execution_options(crmsync_reads=True) as connection:
        if engine.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA application_id").scalar() == BACKUP:
            file = engine.url.database
            raise StateError(
                f"{file} is a backup and no state; move it away, and put it in the place of the state by: "
                "crmsync restore FILE"
            )
        # Read here, because Alembic takes a while to load, and most commands only ask.
        is_made = connection.dialect.has_table(connection, "alembic_version")
        at = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if is_made else None
    # Four digits each, so that their order as texts is the right one.
    if at is not None and at > HEAD:
        raise StateError(
            f"the state was made by a newer crmsync (its version is {at}, this one needs {HEAD}); upgrade crmsync"
        )
    return at


def _migrate(store: Store, version: str) -> None:
    """Bring a state up to date, under the lock: whoever comes at the same time waits until that is done."""
    if _version(store.engine) == version:
        return
    lock = lock_of(store.engine)
    try:
        for _ in range(MIGRATION_POLLS):
            if lock is None or lock.take("crmsync, which upgrades the state"):
                break
            time.sleep(MIGRATION_POLL)
            if _version(store.engine) == version:
                return
        else:
            raise StateInUse((lock and lock.holder()) or "another process")
        # Once more: whoever had the lock until now may have done it.
        if _version(store.engine) != version:
            _upgrade(store.engine, version)
    finally:
        if lock is not None:
            lock.release()


def _upgrade(engine: Engine, version: str) -> None:
    from alembic import command
    from alembic.config import Config as AlembicConfig

    settings = AlembicConfig()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    settings.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, version)


def state_version(store: Store) -> str | None:
    """The newest migration of a state. Raises `StateError` for one that this crmsync does not know."""
    with _told(store.url):
        return _version(store.engine)


def held_by(store: Store) -> str | None:
    """Who is writing to this state at present, or `None`."""
    lock = lock_of(store.engine)
    return (lock.holder() if lock else "") or None
