"""Rows of other objects that point to the rows of a page, many queries to a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from connectors.salesforce.client import Org
from connectors.salesforce.paging import SHORT_IN_LIST, Row, Source, id_lists, query_columns, readable_rows
from connectors.salesforce.schema import Schema


class Lookup(NamedTuple):
    """The living rows of `object` whose field `key` has one of some ids, with `columns`; `needed` are never empty.

    `where` narrows.
    """

    object: str
    key: str
    columns: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    where: str = ""


def is_readable(schema: Schema, lookup: Lookup) -> bool:
    """Whether this user sees the object, and all that is needed of it."""
    return all(schema.resolve(lookup.object, path) for path in (lookup.key, *lookup.needed))


def read_lookups(org: Org, schema: Schema, lookups: Sequence[Lookup], ids: Sequence[str]) -> list[list[Row]]:
    """The rows of each lookup for these ids; none where this user does not see the object."""
    found: list[list[Row]] = [[] for _ in lookups]
    sources = [Source(each.object, each.object, (each.key, *each.columns), order=each.needed) for each in lookups]
    columns = [
        [column for column in query_columns(source, schema) if schema.resolve(source.object, column.path)]
        for source in sources
    ]
    asked = [at for at, each in enumerate(lookups) if ids and is_readable(schema, each)]
    queries = [(at, soql) for at in asked for soql in _queries(schema, lookups[at], [c.path for c in columns[at]], ids)]
    answers = org.rows_of_each([soql for _, soql in queries])
    for (at, _), records in zip(queries, answers, strict=True):
        rows = readable_rows(org, sources[at], columns[at], records)
        found[at] += [row for row in rows if lookups[at].key in row]
    return found


def _queries(schema: Schema, lookup: Lookup, paths: Sequence[str], ids: Sequence[str]) -> list[str]:
    alive = "IsDeleted = false" if schema.resolve(lookup.object, "IsDeleted") else ""
    more = "".join(f" AND {each}" for each in (alive, lookup.where) if each)
    return [
        f"SELECT {', '.join(paths)} FROM {lookup.object} WHERE {lookup.key} IN {some}{more}"
        for some in id_lists(ids, SHORT_IN_LIST)
    ]
