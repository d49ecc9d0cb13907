"""Rows of other objects that point to the rows of a page, many queries to a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectors.salesforce import bulk
from connectors.salesforce.client import Org
from connectors.salesforce.errors import RequestRefused
from connectors.salesforce.paging import SHORT_IN_LIST, Row, id_lists, query_columns, readable_rows
from connectors.salesforce.schema import Schema
from connectors.salesforce.sizes import size_of
from connectors.salesforce.source import Source
from crmsync.errors import Unavailable

ASKED_BY_ID = 5_000
"""Ids that one pull asks for by IN-lists, before it reads the keys of all rows by a bulk job."""

MOST_KEYS = 2_000_000
"""Keys of so many rows are kept in memory while a pull goes on: 30 MB."""


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


class KeyFinder:
    """Says for one pull which ids some row of an object points to.

    A few ids are asked for by themselves. A pull of everything has so many that it is cheaper to read the keys of all
    rows; what points to a record that is made meanwhile comes with the record, in the next pull.
    """

    def __init__(self, org: Org, schema: Schema, name: str, key: str) -> None:
        self._org, self._schema, self._lookup = org, schema, Lookup(name, key)
        self._asked = 0
        self._whole: NDArray[np.bytes_] | None = None

    def find(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that a living row points to; none where this user does not see the object."""
        if not ids or not is_readable(self._schema, self._lookup):
            return set()
        before, self._asked = self._asked, self._asked + len(ids)
        if before <= ASKED_BY_ID < self._asked:
            self._whole = _all_keys(self._org, self._schema, self._lookup)
        if self._whole is None:
            [rows] = read_lookups(self._org, self._schema, [self._lookup], ids)
            return {str(row[self._lookup.key]) for row in rows}
        there = np.isin(np.array(ids, _SHORT_ID), self._whole)
        return {id_ for id_, is_there in zip(ids, there, strict=True) if is_there}


_SHORT_ID = "S15"
"""Ids come with 15 characters or with 18; the first 15 are the same."""


def _all_keys(org: Org, schema: Schema, lookup: Lookup) -> NDArray[np.bytes_] | None:
    """The keys of all living rows; `None` where they are too many, or Bulk does not tell them."""
    try:
        # Not where nobody knows how many there are.
        if (size_of(org, lookup.object) or MOST_KEYS) >= MOST_KEYS:
            return None
        parts = list(_key_parts(org, schema, lookup))
    # Whatever it is, the ids can be asked for by themselves, and that says what is wrong.
    except (RequestRefused, Unavailable, bulk.NotBegun, bulk.QueryFailed):
        return None
    return np.unique(np.concatenate([np.array([], _SHORT_ID), *parts]))


def _key_parts(org: Org, schema: Schema, lookup: Lookup) -> Iterator[NDArray[np.bytes_]]:
    alive = " WHERE IsDeleted = false" if schema.resolve(lookup.object, "IsDeleted") else ""
    job = bulk.begin_query(org, f"SELECT {lookup.key} FROM {lookup.object}{alive}")
    promised, locator, read = bulk.ended_query(org, job, just_begun=True), "", 0
    while True:
        with bulk.job_page(org, job, locator, [lookup.key]) as page:
            for part in page.parts():
                yield np.array([cells[0] for cells in part if cells[0]], _SHORT_ID)
            locator, read = page.locator, read + page.size
        if not locator:
            break
    bulk.refuse_short(read, promised)
    bulk.delete_query(org, job)
