"""SQL that both databases understand, and values as the state keeps them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Connection,
    Dialect,
    FunctionElement,
    Integer,
    Text,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import Table
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeDecorator

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


class _List(TypeDecorator[Any]):
    """Values of one kind as a single parameter: an array for PostgreSQL, JSON for SQLite, which has no arrays."""

    impl = Text
    cache_ok = True

    def __init__(self, of: type[BigInteger] | type[Text]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(postgresql.ARRAY(self.of) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return value if dialect.name == "postgresql" else orjson.dumps(value).decode()


class _OneOf(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        # Else SQLAlchemy writes "= 1" behind it for SQLite, and no index serves it.
        return self


@compiles(_OneOf, "sqlite")
def _in_json(element: _OneOf, compiler: SQLCompiler, **kwargs: Any) -> str:
    column, values = (compiler.process(each, **kwargs) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(_OneOf, "postgresql")
def _in_array(element: _OneOf, compiler: SQLCompiler, **kwargs: Any) -> str:
    column, values = (compiler.process(each, **kwargs) for each in element.clauses)
    return f"{column} = ANY({values})"


def one_of(column: Any, values: Iterable[int] | Iterable[str]) -> Any:
    """A condition that a column has one of these values, however many: they are one parameter, where `in_` makes one of
    each and a statement of its own for each length.
    """
    kind = BigInteger if isinstance(column.type, Integer) else Text
    return _OneOf(column, bindparam(None, [*values], type_=_List(kind)))


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or overwrite the given columns of those whose primary key is there. All rows have the same keys."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    is_postgres = connection.dialect.name == "postgresql"
    at_once = is_postgres and len(rows) >= MANY
    insert = postgresql.insert if is_postgres else sqlite.insert
    statement = _insert_arrays(table, keys, rows) if at_once else insert(table)
    changing = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    if changing:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changing)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    if at_once:
        connection.execute(statement)
    else:
        write_many(connection, statement, rows)


MANY = 100
"""So many rows are worth it to hand them to PostgreSQL as columns."""


def _insert_arrays(table: Table, keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> postgresql.Insert:
    """An insert of rows as one array for each column: row by row PostgreSQL and its driver take twice as long."""
    # One statement must not meet a key twice, and the last one counts.
    last = [*{tuple(row[name] for name in keys): row for row in rows}.values()]
    arrays = [
        bindparam(None, [row[name] for row in last], type_=postgresql.ARRAY(table.c[name].type)) for name in rows[0]
    ]
    columns = func.unnest(*arrays).table_valued(*rows[0]).render_derived()
    return postgresql.insert(table).from_select([*rows[0]], select(*columns.c))


FEW = 10
"""Fewer rows than these are not worth it to compile a statement for them: SQLAlchemy keeps those that it has made."""


def write_many(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement for each row of values, which all have the same keys: numbers, texts, bytes and booleans.

    The driver gets them as they are; what SQLAlchemy does with each value takes longer than SQLite to store it.
    """
    if not rows:
        return
    if len(rows) < FEW:
        connection.execute(statement, [*rows])
        return
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
    given: Sequence[Any] = rows
    if compiled.positional:
        names = compiled.positiontup
        given = [*map(itemgetter(*names), rows)] if len(names) > 1 else [(row[names[0]],) for row in rows]
    connection.exec_driver_sql(compiled.string, given)


def unindexed(column: Any) -> Any:
    """A column (of texts, or of numbers) as no index serves it: where the database would rather look through all of a
    CRM than through the few rows that another condition finds.
    """
    return column + 0 if isinstance(column.type, Integer) else column.concat("")


def id_range(column: Any, ids: Sequence[int]) -> Any:
    """A condition that finds at least these ids (ascending): a range, many times cheaper, where they lie close."""
    if ids and ids[-1] - ids[0] < 4 * len(ids):
        return column.between(ids[0], ids[-1])
    return one_of(column, ids)


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


def json_value(connection: Connection, column: Any, name: str) -> Any:
    """One value of a column that holds JSON, as text."""
    if connection.dialect.name == "postgresql":
        return cast(column, JSON)[name].as_string()
    return func.json_extract(column, f"$.{name}")


def has_rows(connection: Connection, table: Table) -> bool:
    """Whether a table has any: in one that mostly has none nothing need be looked up."""
    # The least key, which an index gives: a plan with LIMIT would call one row a scan.
    return connection.scalar(select(func.min(next(iter(table.primary_key))))) is not None


def read_column(connection: Connection, wanted: Any, where: Any, values: Collection[Any], *conditions: Any) -> set[Any]:
    """The values of one column that are there, of the rows in which another has one of these."""
    if not values:
        return set()
    query = select(wanted).where(one_of(where, values), *conditions)
    return {value for (value,) in plain_rows(connection, query) if value is not None}


def plain_rows(connection: Connection, query: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a query as the driver gives them, for those that come by the million: numbers, texts and bytes only.

    SQLAlchemy's own rows take longer to make than SQLite takes to find them.
    """
    with connection.execute(query) as result:
        while rows := result.cursor.fetchmany(1_000):
            yield from rows


def column_chunks(connection: Connection, query: Any, size: int = 1_000) -> Iterator[list[list[Any]]]:
    """The same as columns, of so many rows at a time: no row outlives the next ones."""
    with connection.execute(query) as result:
        while rows := result.cursor.fetchmany(size):
            yield [[*map(itemgetter(place), rows)] for place in range(len(rows[0]))]
