"""The lock on a state: one process has it at a time, and can say at any moment whether it still has it."""

from __future__ import annotations

import contextlib
import os
import threading
import zlib
from pathlib import Path
from typing import Protocol, TextIO

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from crmsync.errors import ConfigError

try:
    import fcntl
except ModuleNotFoundError:  # every command comes by here
    raise SystemExit("crmsync needs Linux or macOS; on Windows, install and run it in WSL 2") from None

ADVISORY_LOCK = 0x63726D73  # "crms"

_GRANTED = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    f" AND objid = {ADVISORY_LOCK} AND classid = :schema"
)
_HELD_HERE = text(f"{_GRANTED} AND pid = pg_backend_pid()")
# Advisory locks belong to a database; another one on this server may use the same number.
_HELD_BY_ANYBODY = text(f"{_GRANTED} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
_POOLED = (
    "[state] url is the address of a connection pooler in transaction mode (PgBouncer with pool_mode = transaction), "
    "which does not support locks; use the address of PostgreSQL itself, or pool_mode = session"
)


class Lock(Protocol):
    """`lease` is how long (seconds) a request of a holder that vanished may still be on its way."""

    lease: float

    def take(self, who: str) -> bool:
        """Try once to get it. Raises what the driver raises where the database does not answer."""
        ...

    def holder(self) -> str:
        """Who has it at present, as far as that is known; empty where nobody has."""
        ...

    def is_held(self) -> bool:
        """Whether this process still has it, as of now."""
        ...

    def release(self) -> None:
        """Give it back, if it is still there."""
        ...


def lock_of(engine: Engine) -> Lock | None:
    """The lock on the state behind an engine; `None` for a state that only this process can see."""
    if engine.dialect.name == "postgresql":
        return PostgresLock(engine)
    database = engine.url.database
    return FileLock(database) if database and database != ":memory:" else None


class FileLock:
    """A lock file beside the database file, found by its real path, so that no second name leads around it.

    The system takes the lock back when its process ends, however it ends: what can still arrive was sent before.
    """

    lease = 5.0

    def __init__(self, database: str) -> None:
        self._path = Path(f"{os.path.realpath(database)}.lock")
        self._file: TextIO | None = None

    def take(self, who: str) -> bool:
        while True:
            # Not "w", which would empty the name of a holder before the lock is ours.
            file = open(self._path, "r+", encoding="utf-8", opener=_create_private)  # noqa: SIM115  it outlives this call
            if not is_flocked(file):
                file.close()
                return False
            if self._is_in_place(file):
                break
            file.close()  # somebody removed it between our opening and our locking: others lock another file by now
        file.truncate()
        file.write(f"{who} (process {os.getpid()})")
        # Others read it while the file stays open.
        file.flush()
        self._file = file
        return True

    def holder(self) -> str:
        try:
            with open(self._path, encoding="utf-8") as file:
                # A shared lock: two who look at once do not take each other for the holder.
                return "" if is_flocked(file, fcntl.LOCK_SH) else file.read().strip() or "another process"
        except OSError:
            return ""

    def is_held(self) -> bool:
        # The lock alone says little: if somebody removed the file, a second process holds the lock on a new one (J04).
        return self._file is not None and self._is_in_place(self._file)

    def release(self) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def _is_in_place(self, file: TextIO) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False


def _create_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def is_flocked(file: TextIO, how: int = fcntl.LOCK_EX) -> bool:
    """Try once to get the system's lock on a file; whether it is ours now."""
    try:
        fcntl.flock(file.fileno(), how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class PostgresLock:
    """An advisory lock of a session of its own, for the schema of the state: a database may hold several states.

    The server takes it back when the session ends, which its holder may not notice: it may be paused, or cut off.
    """

    # Believed for a sixth, it leaves 75 s: more than a request's 10 s to connect and 60 s to be answered (`TIMEOUT`).
    lease = 90.0

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._one_at_a_time = threading.Lock()

    def take(self, who: str) -> bool:
        with self._one_at_a_time:
            try:
                if self._connection is None:
                    # AUTOCOMMIT, because a session that leaves a transaction open is ended (`OPEN_TRANSACTION`).
                    self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                    # Out of the pool, which would hand it to others.
                    self._connection.detach()
                    self._refuse_pooler(self._connection)
                key = _number_of_schema(self._connection) << 32 | ADVISORY_LOCK
                return bool(self._connection.scalar(select(func.pg_try_advisory_lock(key))))
            # Whatever it was, also Ctrl-C: a session that stays behind would hold the lock.
            except BaseException:
                self._drop()
                raise

    def holder(self) -> str:
        with self._engine.connect() as connection:
            if not connection.scalar(_HELD_BY_ANYBODY, {"schema": _number_of_schema(connection)}):
                return ""
            with contextlib.suppress(ProgrammingError):  # while the state is being made there is no such table
                return connection.scalar(text("SELECT holder FROM writer")) or "another process"
        return "another process"

    def is_held(self) -> bool:
        with self._one_at_a_time:
            try:
                if self._connection is None:
                    return False
                schema = _number_of_schema(self._connection)
                return bool(self._connection.scalar(_HELD_HERE, {"schema": schema}))
            except SQLAlchemyError:
                self._drop()
                return False

    def release(self) -> None:
        with self._one_at_a_time:
            if self._connection is not None:
                with contextlib.suppress(SQLAlchemyError):
                    # All that the session has, which is this one.
                    self._connection.scalar(select(func.pg_advisory_unlock_all()))
            self._drop()

    def _refuse_pooler(self, connection: Connection) -> None:
        """Behind a pooler, a server process that one session used a moment ago serves another one now."""
        mine = connection.scalar(select(func.pg_backend_pid()))
        with self._engine.connect() as other:
            theirs = other.scalar(select(func.pg_backend_pid()))
        if theirs == mine or connection.scalar(select(func.pg_backend_pid())) != mine:
            raise ConfigError(_POOLED)

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None


def _number_of_schema(connection: Connection) -> int:
    """What the lock of a schema has in its upper half: 31 bits, none of them for the schema that everybody has.

    Raises `ConfigError` where the address names a schema that is not there.
    """
    schema = connection.scalar(select(func.current_schema()))
    if schema is None:
        raise ConfigError("[state] url names a schema that is not there; make it with CREATE SCHEMA, or leave it out")
    return 0 if schema == "public" else zlib.crc32(schema.encode()) >> 1
