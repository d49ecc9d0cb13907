"""Reading what changed: windows on the server's clock, keyset pages, a cursor that says where each stream stands."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from connectors.http import refuse_repeat
from connectors.salesforce import bulk
from connectors.salesforce.client import Org
from connectors.salesforce.errors import CRM, RequestRefused, is_id
from connectors.salesforce.refused_columns import droppable_columns, learn_refusal
from connectors.salesforce.schema import KINDS, READ_BOOLEAN, TASK_KEY, Field, Schema, instant_of, reader_of
from connectors.salesforce.sizes import size_of
from connectors.salesforce.source import Source
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Odd, Ref, Scalar

OVERLAP = timedelta(minutes=15)
"""How far back each pull looks: a row carries the time its transaction ran and appears when that commits, up to ten
minutes later (airbytehq/airbyte#27146)."""

IN_LIST = 350
"""Ids in one IN-list: a query travels in a URL of at most 16 kB."""

SHORT_IN_LIST = 500
"""The same for a query of two or three columns: 13.5 kB."""

Row: TypeAlias = Mapping[str, Scalar]
"""The cells of one record by the path of their column; what is not known is absent."""

After: TypeAlias = tuple[str, ...]
"""The values of the ordering columns of the last row read."""


@dataclass(frozen=True)
class Done:
    """How far a stream was read: up to `until`, with these columns."""

    until: str
    columns: tuple[str, ...] = ()
    mark: str = ""


@dataclass(frozen=True)
class Cursor:
    """A cursor: what is done, and where the pull that is under way stands.

    `until` is the server's time when the pull began, `stream` the one it is reading, after the row `after` or at the
    `locator` of the Bulk job `job` that has had `read` rows read of it, asked for what has this `shape`.
    `whole` says that the pull began without a cursor.
    """

    done: Mapping[str, Done] = field(default_factory=dict)
    until: str = ""
    finished: tuple[str, ...] = ()
    stream: str = ""
    after: After = ()
    job: str = ""
    locator: str = ""
    read: int = 0
    shape: str = ""
    whole: bool = False

    def spelled(self) -> str:
        """The cursor as text."""
        done = {name: [each.until, list(each.columns), each.mark] for name, each in self.done.items()}
        job = [self.job, self.locator, self.read, self.shape]
        here = [self.until, list(self.finished), self.stream, list(self.after), *job, self.whole]
        return json.dumps({"v": 1, "done": done, "here": here}, separators=(",", ":"))


def cursor_of(cursor: str | None) -> Cursor:
    """Read a cursor. Raises `ConfigError` for one of another kind: going on from a guess would lose records."""
    if not cursor:
        return Cursor(whole=True)
    try:
        told = json.loads(cursor)
        done = {name: Done(until, tuple(columns), mark) for name, (until, columns, mark) in told["done"].items()}
        until, finished, stream, after, *job = told["here"]
        if told["v"] == 1:
            return Cursor(done, until, tuple(finished), stream, tuple(after), *job)
    except (ValueError, KeyError, TypeError):
        pass
    raise ConfigError(
        "this version of crmsync cannot read the stored Salesforce cursor; run: crmsync backfill", "crmsync backfill"
    )


@dataclass(frozen=True)
class Window:
    """The instants a stream is read for, both ends included; `since` is `None` for everything.

    Everything has no end either: a row that is edited while it is read would be beyond it, and seem to be no more.
    """

    since: datetime | None
    until: datetime


def window_of(source: Source, at: Cursor) -> Window:
    """What to read of a stream: everything the first time, and again when it is asked for more than it was."""
    until = _instant(at.until)
    known = at.done.get(source.stream)
    # A row of before has no key: to read everything for it would be in vain.
    new = set(source.columns) - set(known.columns) - {TASK_KEY} if known else set()
    if known is None or known.mark != source.mark or new:
        return Window(None, until)
    # Salesforce's clock may have been set back since the last pull (R07).
    return Window(min(_instant(known.until), until) - OVERLAP, until)


def _instant(text: str) -> datetime:
    return instant_of(text) or datetime.min.replace(tzinfo=UTC)


def query_of(source: Source, window: Window, after: After, schema: Schema) -> str:
    """The query for a window, after a row."""
    beyond = [_beyond(source, after, schema)] if after else []
    return f"{_select(source, window, beyond)} ORDER BY {', '.join(source.order)}"


def bulk_soql(source: Source, window: Window) -> str:
    """The same for Bulk 2.0, whose own way of splitting a query an ORDER BY switches off."""
    return _select(source, window, [])


def _select(source: Source, window: Window, beyond: Sequence[str]) -> str:
    conditions = [each for each in (source.where, *_within(source, window), *beyond) if each]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {', '.join(_columns(source))} FROM {source.object}{where}"


def _columns(source: Source) -> list[str]:
    return list(dict.fromkeys((*source.order, *source.columns)))


def _within(source: Source, window: Window) -> list[str]:
    if window.since is None:
        return []
    stamp = source.order[0] if source.parent is None else "SystemModstamp"
    between = [f"{stamp} >= {instant_literal(window.since)}", f"{stamp} <= {instant_literal(window.until)}"]
    if source.parent is None:
        return between
    key, parent = source.parent
    return [f"{key} IN (SELECT Id FROM {parent} WHERE {' AND '.join(between)})"]


def _beyond(source: Source, after: After, schema: Schema) -> str:
    """The keyset: rows behind `after` in the order of the query, whatever number of them share its first value."""
    values = [
        _literal_of(schema.resolve(source.object, each), value) for each, value in zip(source.order, after, strict=True)
    ]
    if len(values) == 1:
        return f"{source.order[0]} > {values[0]}"
    (stamp, key), (at, last) = source.order, values
    return f"{stamp} >= {at} AND ({stamp} > {at} OR ({stamp} = {at} AND {key} > {last}))"


def _literal_of(known: Field | None, value: str) -> str:
    return instant_literal(_instant(value)) if known and known.type == "datetime" else text_literal(value)


def instant_literal(at: datetime) -> str:
    """An aware instant in SOQL, whole seconds, never quoted."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def text_literal(text: str) -> str:
    """Text in SOQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def id_lists(ids: Sequence[str], most: int = IN_LIST) -> Iterator[str]:
    """`('…','…')` lists that fit a query."""
    for start in range(0, len(ids), most):
        yield "(" + ",".join(text_literal(each) for each in ids[start : start + most]) + ")"


class QueryColumn(NamedTuple):
    """A column of a query: its path, the way to it in a JSON record, how its value is read, and whether not every text
    will do.
    """

    path: str
    steps: tuple[str, ...]
    read: Callable[[Any], Scalar | None]
    is_strict: bool = False

    def is_plain(self, value: Any) -> bool:
        """Whether a value of JSON is one that a field of any type may have, and an id or a truth is one."""
        if self.path == "Id":
            return is_id(value)
        if isinstance(value, float):
            return math.isfinite(value)
        is_truth = isinstance(value, bool) or value in ("true", "false")
        return isinstance(value, str | int) and (self.read is not READ_BOOLEAN or is_truth)


def query_columns(source: Source, schema: Schema) -> list[QueryColumn]:
    """The columns of a source, in the order of its query."""
    known = {path: schema.resolve(source.object, path) for path in _columns(source)}
    readers = {path: reader_of(it.type if it else "string") for path, it in known.items()}
    return [
        QueryColumn(path, tuple(path.split(".")), read, path == "Id" or read is READ_BOOLEAN)
        for path, read in readers.items()
    ]


def readable_rows(org: Org, source: Source, columns: Sequence[QueryColumn], records: Iterable[Any]) -> list[Row]:
    """The records of a page of JSON, or of CSV, that can be read; the org remembers why the others cannot.

    Salesforce answers every column that was asked for, if only with nothing: a record without one is no answer.
    """
    rows: list[Row] = []
    odd: list[Odd] = []
    needed = [each.path for each in columns if each.path in NEEDED or each.path in source.order]
    for record in records:
        try:
            if isinstance(record, list) and len(record) != len(columns):
                raise _Unreadable("without its fields")
            values = record if isinstance(record, list) else [_walk(record, column) for column in columns]
            row = _read(values, columns)
            if missing := [path for path in needed if path not in row]:
                raise _Unreadable(f"without a {NEEDED.get(missing[0], missing[0])}")
            rows.append(row)
        except _Unreadable as error:
            odd.append(_odd(source.object, record, columns, str(error)))
    org.note_odd(odd)
    return rows


NEEDED = {"Id": "record's id", "SystemModstamp": "time stamp"}


class _Unreadable(Exception):
    """Why a record cannot be read, as it stands after "it came"."""


def _odd(object_: str, record: Any, columns: Sequence[QueryColumn], why: str) -> Odd:
    places = {column.path: place for place, column in enumerate(columns)}
    told = record[places["Id"]] if isinstance(record, list) and places.get("Id", len(record)) < len(record) else None
    id_ = record.get("Id") if isinstance(record, dict) else told
    if not is_id(id_):
        return Odd(f"one of the {object_} records", why)
    return Odd(f"{object_} {id_}", why, Ref(CRM, KINDS[object_], str(id_)) if object_ in KINDS else None)


def _read(values: Iterable[Any], columns: Sequence[QueryColumn]) -> Row:
    return {
        path: known
        for (path, _steps, read, _strict), value in zip(columns, values, strict=True)
        # CSV has no null: an empty cell is nothing.
        if value is not None and value != "" and (known := read(value)) is not None
    }


def _walk(record: Any, column: QueryColumn) -> Any:
    value = record
    for step in column.steps:
        try:
            value = value[step]
        except (KeyError, TypeError):
            # An empty lookup comes as null, with nothing below it: a contact without an account.
            if value is None and value is not record:
                return None
            raise _Unreadable("without its fields") from None
    # Nearly all cells are texts where any text will do: these need no other look.
    if value is None or (type(value) is str and not column.is_strict) or column.is_plain(value):
        return value
    raise _Unreadable("with values of an unexpected type")


def begin_pull(cursor: str | None, org: Org) -> Cursor:
    """The place of a pull under way, or of one that begins now."""
    at = cursor_of(cursor)
    # One end for all streams and pages: what is edited while they are read comes with the next pull (R04).
    return at if at.until else replace(at, until=org.ahead.end_of(cursor) or instant_literal(org.now()))


def after_stream(at: Cursor, source: Source) -> Cursor:
    """The place once a stream is read to its end."""
    done = {**at.done, source.stream: Done(at.until, source.columns, source.mark)}
    finished = (*at.finished, source.stream)
    return Cursor(done, at.until, finished, whole=at.whole)


def after_none(at: Cursor) -> Cursor:
    """The place where a stream is given up for this pull: the next one reads it from where it stood before."""
    return Cursor(at.done, at.until, at.finished, whole=at.whole)


def after_all(at: Cursor) -> Cursor:
    """The place once every stream is read: the next pull opens a window of its own."""
    return Cursor(at.done)


def pull_pages(org: Org, schema: Schema, make: Callable[[], Source], at: Cursor) -> Iterator[tuple[list[Row], Cursor]]:
    """The pages of one stream from a place on, each with the place behind it; the last place is behind the stream.

    `make` says what to read: it is asked again when a field has gone since the last describe, or cannot be read.
    """
    is_anew = False
    while True:
        source = make()
        try:
            for rows, behind in _stream_pages(org, schema, source, at):
                yield rows, behind
                at = behind
        except RequestRefused as error:
            learn_refusal(schema, make, source, error, is_anew=is_anew)
            is_anew = True
        else:
            return


def _stream_pages(org: Org, schema: Schema, source: Source, at: Cursor) -> Iterator[tuple[list[Row], Cursor]]:
    within = window_of(source, at)
    if source.parent and within.since is None:
        yield [], after_stream(at, source)  # everything was read anyway
        return
    if at.stream != source.stream or at.shape != fingerprint_of(source):
        at = _beginning(at, source)
    after, columns = at.after, query_columns(source, schema)
    # Three ways: a job under way, or an object that is large as a whole, by Bulk; else by REST.
    # The third is below: Bulk after all, where the first page of REST says that there are many more.
    large = bool(at.job) or (within.since is None and not after and _is_large(org, source))
    if large:
        # Some objects cannot be asked for by Bulk; REST reads them, too.
        with contextlib.suppress(bulk.NotBegun):
            yield from _bulk_pages(org, schema, columns, source, within, at)
            return
        at = _beginning(at, source)
    page = org.query(query_of(source, within, after, schema))
    if not large and not source.parent and page.get("totalSize", 0) > org.settings.bulk_query_threshold:
        with contextlib.suppress(bulk.NotBegun):
            yield from _bulk_pages(org, schema, columns, source, within, at)
            return
    links: set[str] = set()
    while True:
        rows = readable_rows(org, source, columns, page["records"])
        # Without a row there is no place to go on after: each pull would ask for this page again, for ever.
        if not rows and not page["done"]:
            raise Unavailable(CRM, f"Salesforce sent a page of {source.object} in which nothing can be read")
        after = _advanced(source, rows[-1], after) if rows else after
        at = after_stream(at, source) if page["done"] else replace(at, after=after, shape=fingerprint_of(source))
        yield rows, at
        if page["done"]:
            return
        told = f"Salesforce returns the same pages of {source.object} again and again"
        refuse_repeat(links, page["nextRecordsUrl"], Unavailable(CRM, told))
        page = _following(org, schema, source, within, after, page["nextRecordsUrl"])


def _beginning(at: Cursor, source: Source) -> Cursor:
    return replace(at, stream=source.stream, after=(), job="", locator="", read=0, shape=fingerprint_of(source))


def fingerprint_of(source: Source) -> str:
    """A few signs that change when something else is asked for: what was read before then is not all of it."""
    return hashlib.sha256(" ".join([*_columns(source), source.mark]).encode()).hexdigest()[:8]


def _is_large(org: Org, source: Source) -> bool:
    """Whether a whole object is too much for REST: sorting it might take too long.

    Without a count REST begins, and its first page tells.
    """
    return (size_of(org, source.object) or 0) > org.settings.bulk_query_threshold


def _bulk_pages(
    org: Org, schema: Schema, columns: Sequence[QueryColumn], source: Source, within: Window, at: Cursor
) -> Iterator[tuple[list[Row], Cursor]]:
    """The same by Bulk 2.0. The job is in the cursor before it is waited for, its locator before each further page."""
    afresh = _beginning(at, source)
    try:
        if at.job:
            with contextlib.suppress(
                RequestRefused
            ):  # the job is gone: results live a week, and belong to one API version
                yield from _job_pages(org, columns, source, at)
                return
        at = replace(afresh, job=bulk.begin_query(org, bulk_soql(source, within)))
        # An empty page, for its cursor: the job's id is stored before anybody waits for it (W05).
        yield [], at
        yield from _job_pages(org, columns, source, at, just_begun=True)
    except bulk.QueryFailed as error:
        # Stored before it is raised, or the next pull would go on with the same job.
        yield [], afresh
        if droppable_columns(schema, source, str(error)):
            raise RequestRefused("INVALID_FIELD", str(error)) from error
        raise Unavailable(CRM, f"a bulk query of {source.object} must be started again: {error}") from error


def _job_pages(
    org: Org, columns: Sequence[QueryColumn], source: Source, at: Cursor, *, just_begun: bool = False
) -> Iterator[tuple[list[Row], Cursor]]:
    """The pages of a job from a locator on. Raises `QueryFailed` where it failed, or is short of rows or columns.

    A page comes in parts, behind the last of which alone the cursor is another: whoever was cut off within a page reads
    it again from its beginning.
    """
    promised = bulk.ended_query(org, at.job, just_begun=just_begun)
    names = [column.path for column in columns]
    locators = {""}
    while at.job:
        job = at.job
        with bulk.job_page(org, job, at.locator, names) as page:
            read = at.read + page.size
            # Before any of the last page is handed on, because behind it the stream counts as read.
            if not page.locator:
                bulk.refuse_short(read, promised)
            else:
                refuse_repeat(locators, page.locator, bulk.QueryFailed("its pages come again and again"))
            behind = replace(at, locator=page.locator, read=read) if page.locator else after_stream(at, source)
            left = page.size
            for part in page.parts():
                left -= len(part)
                yield readable_rows(org, source, columns, part), at if left else behind
        at = behind
    # Not before the page above is stored: until then a crash must find the job.
    bulk.delete_query(org, job)


def _following(org: Org, schema: Schema, source: Source, within: Window, after: After, link: str) -> dict[str, Any]:
    """The next page; where its locator has expired, a new query from the last row on."""
    try:
        return org.more(link)
    except RequestRefused as error:
        if error.code != "INVALID_QUERY_LOCATOR":
            raise
    return org.query(query_of(source, within, after, schema))


def _advanced(source: Source, last: Row, before: After) -> After:
    """The ordering values of the last row. Raises `Unavailable` where paging does not move: it would never end."""
    after = tuple(str(last[each]) for each in source.order)
    if after == before:
        raise Unavailable(CRM, f"Salesforce returns the same page of {source.object} again and again")
    return after
