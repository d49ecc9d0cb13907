"""SQL that both databases understand, and values as the state keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import Table

IN_LIST = 5_000
"""Values in one IN list: SQLite takes 32,766 parameters, PostgreSQL 65,535."""


T = TypeVar("T")


def in_chunks(items: Iterable[T], size: int) -> Iterable[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def dump_json(value: Any) -> str:
    """JSON with sorted keys: equal values are equal texts."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(at.timestamp() * 1000)


def from_ms(at: int) -> datetime:
    """The aware UTC instant of `to_ms`."""
    return datetime.fromtimestamp(at / 1000, UTC)


LONGEST_LIST = 30_000
"""Values in one condition: SQLite takes 32,766."""


def upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or overwrite the given columns of those whose primary key is there. All rows have the same keys."""
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    changing = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    if changing:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changing)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement, rows)


def id_range(column: Any, ids: Sequence[int]) -> Any:
    """A condition that finds at least these ids (ascending): a range, many times cheaper, where they lie close."""
    if ids and (ids[-1] - ids[0] < 4 * len(ids) or len(ids) > LONGEST_LIST):
        return column.between(ids[0], ids[-1])
    return column.in_(ids)


LAST = "\U0010ffff"
"""The last character there is: every text with some beginning sorts before that one and this."""


def begins_with(connection: Connection, column: Any, start: str) -> Any:
    """A condition that finds by index the texts that begin with `start`, of a column whose index is `BY_BYTES`."""
    if connection.dialect.name == "postgresql":
        return column.bool_op("~>=~")(start) & column.bool_op("~<~")(start + LAST)
    return (column >= start) & (column < start + LAST)


def distinct_pairs(connection: Connection, first: Any, second: Any, *where: Any) -> Iterator[tuple[str, str]]:
    """The pairs of texts that there are in two columns, ascending: each is one look into an index that begins with what
    `where` says and these two, however many rows have it.
    """

    def list_values(column: Any, *conditions: Any) -> Iterator[str]:
        last = ""
        while found := connection.scalar(select(func.min(column)).where(*conditions, column > last)):
            yield found
            last = found

    for this in list_values(first, *where):
        for that in list_values(second, *where, first == this):
            yield this, that


def plain_rows(connection: Connection, query: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a query as the driver gives them, for those that come by the million: numbers, texts and bytes only.

    SQLAlchemy's own rows take longer to make than SQLite takes to find them.
    """
    with connection.execute(query) as result:
        yield from iter(result.cursor.fetchone, None)


def column_chunks(connection: Connection, query: Any, size: int = 1_000) -> Iterator[list[list[Any]]]:
    """The same as columns, of so many rows at a time: no row outlives the next ones."""
    with connection.execute(query) as result:
        while rows := result.cursor.fetchmany(size):
            yield [[*map(itemgetter(place), rows)] for place in range(len(rows[0]))]
