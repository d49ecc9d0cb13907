"""Events in a database: what a query brings, in the order of its cursor column, and nothing is ever written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Connection, bindparam, column, create_engine, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from crmsync.config.events import EventSource
from crmsync.errors import ConfigError, Unavailable
from crmsync.events.rows import EventPage, PageBuilder

PAGE = 1_000
"""Rows that are read and stored together."""

LOOK_BACK = timedelta(minutes=10)
"""How long after a later one a row may become visible: transactions do not end in the order of their numbers."""

FIRST_AGAIN = 10
"""Pages at the end of the first reading of all that are read again by the next one."""

_TYPES: Mapping[str, Any] = {
    "int": int,
    "float": float,
    "text": str,
    "decimal": Decimal,
    "uuid": UUID,
    "instant": datetime.fromisoformat,
    "day": date.fromisoformat,
}


def read_table(source: EventSource, cursor: str | None, now: datetime) -> Iterator[EventPage]:
    """What came since the cursor, and what lies up to ten minutes before it again: it is known by its ids.

    Raises `Unavailable` where the database cannot be used, and `ConfigError` where the address or query is wrong.
    """
    reached = _load_reached(cursor)
    at, most = reached.at if reached.is_under_way else reached.begin, PAGE
    with open_table(source) as connection:
        while True:
            rows = _read_rows(source, connection, at, most)
            last = rows[-1][source.cursor or ""] if rows else None
            if len(rows) == most and last == at:
                # More rows than a page of one value: else it would never go on.
                most *= 2
                continue
            page = PageBuilder(source, now)
            for row in rows:
                page.add(f"row {source.cursor} = {row[source.cursor or '']}", row)
            at = at if last is None else last
            is_end = len(rows) < most
            reached = reached.end(at, now) if is_end else reached.go_on(at)
            yield page.take(reached.dump())
            if is_end:
                return
            most = PAGE


def check_table(source: EventSource) -> Sequence[str]:
    """The columns of the query. Raises as `read_table`."""
    with open_table(source) as connection:
        found = _execute(source, connection, select(text("*")).select_from(_query(source)).limit(0))
        names = [*found.keys()]
    if source.cursor not in names:
        raise ConfigError(f"{source.name}: the query has no column {source.cursor!r}; it has {', '.join(names)}")
    return names


@contextmanager
def open_table(source: EventSource) -> Iterator[Connection]:
    """A connection that reads only. Raises `ConfigError` without an address or driver, `Unavailable` else."""
    variable = f"CRMSYNC_EVENTS__{source.name.upper()}__URL"
    secret = source.url.get_secret_value().strip() if source.url else ""
    if not secret:
        raise ConfigError(f"{source.name}: the address of the database is missing; set {variable} in the environment")
    try:
        url = make_url(secret)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    except (ArgumentError, ValueError):
        said = "is not one that SQLAlchemy reads; write for example postgresql://user:password@host/database"
        raise ConfigError(f"{source.name}: {variable} {said}") from None
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        driver = getattr(error, "name", None) or make_url(secret).drivername
        said = f"the database driver {driver} is not installed; install it beside crmsync (pip install …)"
        raise ConfigError(f"{source.name}: {said}") from None
    try:
        with engine.connect() as connection:
            _forbid_writing(connection)
            yield connection
            connection.rollback()
    except DBAPIError as error:
        raise Unavailable(source.name, f"the database cannot be used ({_word_of(error)})") from None
    finally:
        engine.dispose()


def _forbid_writing(connection: Connection) -> None:
    """Tell the databases that know it that this connection only reads; the query is part of a select in any case."""
    match connection.dialect.name:
        case "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        case "postgresql":
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        case "mysql" | "mariadb":
            connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
            connection.rollback()  # it holds from the next transaction on


def _query(source: EventSource) -> Any:
    # A colon would be read as a parameter.
    inner = re.sub(r"(?<!:):(?!:)", r"\\:", (source.query or "").strip().rstrip(";"))
    return text(f"({inner}) events")


def _read_rows(source: EventSource, connection: Connection, at: Any, most: int) -> list[Mapping[str, Any]]:
    order: ColumnElement[Any] = column(source.cursor or "")
    query = select(text("*")).select_from(_query(source)).where(order.is_not(None)).order_by(order).limit(most)
    if at is not None:
        query = query.where(order >= bindparam("at", at))
    rows: list[Mapping[str, Any]] = [dict(row) for row in _execute(source, connection, query).mappings()]
    if rows and source.cursor not in rows[0]:
        named = ", ".join(rows[0])
        raise ConfigError(f"{source.name}: the query has no column {source.cursor!r}; it has {named}")
    return rows


def _execute(source: EventSource, connection: Connection, query: Any) -> Any:
    try:
        return connection.execute(query)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise ConfigError(f"{source.name}: the database does not take the query ({_word_of(error)})") from None
    except SQLAlchemyError as error:
        raise ConfigError(f"{source.name}: the query cannot be used ({type(error).__name__})") from None


def _word_of(error: DBAPIError) -> str:
    """What a driver says, in one line, without what may be a value or a password."""
    code = getattr(error.orig, "sqlstate", None) or type(error.orig).__name__
    if str(code).startswith("22"):  # a data exception: PostgreSQL repeats the value
        return f"{code}: a value does not fit; try the query by hand"
    said = " ".join(str(error.orig).split())
    # Databases quote names of columns, and values in places of their own.
    plain = re.sub(r"'[^']*'|DETAIL:.*|CONTEXT:.*", "…", said)
    return f"{code}: {plain[:200]}"


class _Reached(NamedTuple):
    """How far a table was read: `trail` says when (milliseconds) a reading ended at which value, oldest first.

    The next one begins at the oldest. While a reading is under way, `at` is where it has come to; of the first one of
    all `ends` are its last pages, since nobody knows when its rows became visible.
    """

    trail: Sequence[tuple[int, Any]] = ()
    at: Any = None
    ends: Sequence[Any] = ()
    is_under_way: bool = False

    @property
    def begin(self) -> Any:
        """Where the next reading begins; `None` is the beginning of all."""
        return self.trail[0][1] if self.trail else None

    def go_on(self, at: Any) -> _Reached:
        """A page was read, and there are more."""
        return self._replace(at=at, ends=() if self.trail else (*self.ends, at)[-FIRST_AGAIN:], is_under_way=True)

    def end(self, at: Any, now: datetime) -> _Reached:
        """The reading came to its end."""
        if at is None:
            return _Reached(self.trail)
        ms = int(now.timestamp() * 1000)
        old = ms - int(LOOK_BACK.total_seconds() * 1000)
        first = (old, self.ends[0] if len(self.ends) == FIRST_AGAIN else None)
        grown = [*(each for each in self.trail or [first] if each[0] < ms), (ms, at)]
        # The newest that is old enough, and all that are younger.
        places = [place for place, each in enumerate(grown) if each[0] <= old]
        return _Reached(grown[places[-1] if places else 0 :])

    def dump(self) -> str:
        """As a cursor."""
        trail = [[at, *_spell(value)] for at, value in self.trail]
        return orjson.dumps([trail, _spell(self.at), [*map(_spell, self.ends)], self.is_under_way]).decode()


def _load_reached(cursor: str | None) -> _Reached:
    if cursor is None:
        return _Reached()
    trail, at, ends, is_under_way = orjson.loads(cursor)
    return _Reached(
        [(ms, _read(*spelled)) for ms, *spelled in trail], _read(*at), [_read(*each) for each in ends], is_under_way
    )


def _read(kind: str, value: Any) -> Any:
    return None if kind == "" else _TYPES[kind](value)


def _spell(value: Any) -> tuple[str, Any]:
    match value:
        case None:
            return "", None
        case bool():
            raise ConfigError("cursor is a column of true and false; name one that rises with each event")
        case int():
            return "int", value
        case float():
            return "float", value
        case Decimal():
            return "decimal", str(value)
        case UUID():
            return "uuid", str(value)
        case datetime():
            return "instant", value.isoformat()
        case date():
            return "day", value.isoformat()
        case _:
            return "text", str(value)
