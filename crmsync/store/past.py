"""What was known of people as of past instants: the fields then, and which of them nobody can know any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection, case, func, or_, select

from crmsync.columns import Columns
from crmsync.connector import FieldMap, plain_name
from crmsync.model import Scalar
from crmsync.store.edits import EMAILS, MOVED, OURS, REPLACED
from crmsync.store.field_values import FieldReading, make_record_reader
from crmsync.store.mapped_fields import KnownSince, read_history_since, read_mapped_since
from crmsync.store.schema import LIVE, past_field, record
from crmsync.store.score_inputs import AS_KEPT, Facts, hashable, rank_oldness, read_columns
from crmsync.store.sql import id_range, plain_rows

Spelled = Mapping[str, Mapping[str, str | Mapping[str, str]]]
"""By CRM how it calls each mapped field."""

STAGE = f"{MOVED}stage"

UNKNOWN_BEFORE = ""
"""The value of a row of `past_field` that says that nothing is known of the field until then."""


class PastColumns(NamedTuple):
    """People as of an instant of each one's own, by field whose value then nobody can know any more (n,), and of whom
    there was a record then (n,).
    """

    columns: Columns
    unknown: Mapping[str, NDArray[np.bool_]]
    there: NDArray[np.bool_]

    def count_unknown(self, fields: Collection[str]) -> tuple[int, int]:
        """Of these fields the pairs of field and person that are unknown as of then, and how many pairs there are."""
        asked = [self.unknown[name] for name in fields if name in self.unknown]
        return sum(int(each.sum()) for each in asked), sum(len(each) for each in asked)


class PastQuestion(NamedTuple):
    """What is asked of the past: how fields are `spelled`, whose value counts first (`precedence`), which are `stable`
    (today's value stands for the past too), since when (seconds) former values are kept at all, and how many seconds
    apart two CRMs log one activity.
    """

    fields: Sequence[str]
    spelled: Spelled
    precedence: Sequence[str]
    stable: Collection[str] = ()
    kept_since: int = 0
    reading: FieldReading = AS_KEPT


def read_past_columns(
    connection: Connection,
    people: Sequence[int],
    at: NDArray[np.int64],
    asked: PastQuestion,
    facts: Facts | None = None,
) -> PastColumns:
    """What was known of these people (ascending ids) as of `at` (seconds, (n,)), in the shape that scoring reads.

    Activities are all there: those after `at` do not count in `score_as_of`. A field is known as of then if our pulls
    had seen the record by then, if the CRM's own history reaches back that far, or if it is stable; otherwise it is
    `None` and unknown. A record that the CRM got later says nothing.
    """
    now = read_columns(connection, people, asked.fields, asked.precedence, facts, reading=asked.reading)
    if not len(now.people):
        return PastColumns(now, {}, np.zeros(0, dtype=bool))
    names = [*asked.fields, "stage", "email"]
    reach = _Reach(connection, asked)
    outlines = _outlines(connection, now.people, at)
    former = _former_values(connection, outlines)
    there, changed = reach.compare(outlines, former, len(now.people))
    rows = np.flatnonzero(changed)
    known: dict[int, dict[str, Any]] = {row: {} for row in rows.tolist()}
    lacking: dict[int, frozenset[str]] = {}
    for row, said, unknown in _records_then(connection, now.people, at, rows, former, reach):
        # Of what nothing is known the next record may tell.
        known[row] = {**said, **{name: value for name, value in known[row].items() if value is not None}}
        if unknown:
            lacking[row] = lacking.get(row, frozenset()) | unknown
    fields: dict[str, Sequence[Scalar | None]] = {}
    unknown_then: dict[str, NDArray[np.bool_]] = {}
    for name in names:
        column: list[Any] = [*now.fields[name]]
        for row, values in known.items():
            column[row] = hashable(values.get(name))
        fields[name], unknown_then[name] = column, ~there
        lacks = [row for row, of in lacking.items() if name in of and column[row] is None]
        unknown_then[name][lacks] = True
    return PastColumns(replace(now, fields=fields), unknown_then, there)


class _Outlines(NamedTuple):
    """All records of some people, as columns: (row id, row of the person, whether live, CRM and kind, when it came and
    was seen (seconds; -1 where not known), and as of when its person is asked for).
    """

    id: NDArray[np.int64]
    place: NDArray[np.int64]
    live: NDArray[np.bool_]
    kind: Sequence[tuple[str, str]]
    created: NDArray[np.int64]
    seen: NDArray[np.int64]
    then: NDArray[np.int64]


def _outlines(connection: Connection, people: NDArray[np.int64], at: NDArray[np.int64]) -> _Outlines:
    it = record.c
    query = select(it.id, it.person, case((LIVE, 1), else_=0), it.crm, it.kind)
    query = query.add_columns(func.coalesce(it.created_at, -1), func.coalesce(it.seen_at, -1))
    query = query.where(id_range(it.person, people.tolist()), it.known, or_(~it.gone, it.merged_into != ""))
    found = list(plain_rows(connection, query))
    columns: list[Any] = [*zip(*found, strict=True)] if found else [()] * 7
    persons = np.array(columns[1], dtype=np.int64)
    places = np.minimum(np.searchsorted(people, persons), len(people) - 1)
    inside = people[places] == persons
    kinds = (
        columns[3:5] if inside.all() else [[column[row] for row in np.flatnonzero(inside)] for column in columns[3:5]]
    )
    return _Outlines(
        np.array(columns[0], dtype=np.int64)[inside],
        places[inside],
        np.array(columns[2], dtype=bool)[inside],
        [*zip(*kinds, strict=True)],
        np.array(columns[5], dtype=np.int64)[inside] // 1000,
        np.array(columns[6], dtype=np.int64)[inside] // 1000,
        at[places[inside]],
    )


def _records_then(
    connection: Connection,
    people: NDArray[np.int64],
    at: NDArray[np.int64],
    rows: NDArray[np.intp],
    former: Mapping[int, _Past],
    reach: _Reach,
) -> Iterator[tuple[int, dict[str, Any], frozenset[str]]]:
    """For each record that was one of its own then, of the people in some rows: the row, what it said, and what is
    unknown of it. In the order in which they count.
    """
    if not len(rows):
        return
    chosen, read = people[rows], make_record_reader(reach.asked.reading)
    it, precedence = record.c, reach.asked.precedence
    crms = case({crm: place for place, crm in enumerate(precedence)}, value=it.crm, else_=len(precedence))
    rank = 2 * crms + case((it.kind == "contact", 0), else_=1)
    query = select(it.id, it.person, case((LIVE, 1), else_=0), rank, it.ref_id, it.crm, it.kind)
    query = query.add_columns(it.fields, it.emails, it.stage, it.created_at, it.seen_at)
    query = query.where(id_range(it.person, chosen.tolist()), it.known, or_(~it.gone, it.merged_into != ""))
    wanted = {*chosen.tolist()}
    found = [row for row in plain_rows(connection, query) if row[1] in wanted]
    persons = np.array([row[1] for row in found], dtype=np.int64)
    ranks = np.array([row[3] for row in found], dtype=np.int64)
    places = rows[np.searchsorted(chosen, persons)]
    order = np.lexsort((rank_oldness(persons, [row[4] for row in found]), ranks, persons))
    for number, place in zip(order.tolist(), places[order].tolist(), strict=True):
        each = _Row(*found[number])
        past = former.get(each.id, _NOTHING)
        if each.live or REPLACED in past.values:
            said = reach.read(each, past, int(at[place]))
            if said is not None:
                values = read(said[0])
                yield place, values, frozenset(map(plain_name, said[1])) - values.keys()


class _Row(NamedTuple):
    id: int
    person: int
    live: int
    rank: int
    ref_id: str
    crm: str
    kind: str
    fields: str
    emails: str
    stage: str | None
    created_at: int | None
    seen_at: int | None


class _Past(NamedTuple):
    """The former values of one record that held then, as JSON, and the fields of which nothing was known before."""

    values: dict[str, str]
    unknown: set[str]


_NOTHING = _Past({}, set())


def _former_values(connection: Connection, outlines: _Outlines) -> dict[int, _Past]:
    """By record (row id) the former values of fields that changed after the instant that it is asked for."""
    found: dict[int, _Past] = {}
    if not len(outlines.id):
        return found
    it, then = past_field.c, dict(zip(outlines.id.tolist(), outlines.then.tolist(), strict=True))
    query = select(it.record, it.until, it.field, it.value).where(
        id_range(it.record, sorted(then)),
        it.until >= int(outlines.then.min()) * 1000,
        ~it.field.startswith(OURS) | (it.field == f"{OURS}stage"),
        it.field != f"{MOVED}owner",
    )
    rows = []
    for row_id, until, field, value in plain_rows(connection, query):
        at = then.get(row_id)
        # What we wrote in the second of a score came after it.
        if at is not None and (until // 1000 > at or (field == STAGE and until // 1000 == at)):
            rows.append((row_id, until, field, value))
    # The earliest change after then comes last and stays; of a change by others and our answer to it, theirs does.
    rows.sort(key=lambda each: (-each[1], each[2]))
    for row_id, _until, field, value in rows:
        past = found.setdefault(row_id, _Past({}, set()))
        if value == UNKNOWN_BEFORE:
            past.unknown.add(field)
        else:
            past.values[STAGE if field == f"{OURS}stage" else field] = value
    return found


class _Reach:
    """How far back each field is known, and what a record said then."""

    def __init__(self, connection: Connection, asked: PastQuestion) -> None:
        self.asked, self.stable = asked, frozenset(asked.stable)
        self.mapped = read_mapped_since(connection)
        self.history = read_history_since(connection)
        self.read_crms = {crm for crm, _name in self.mapped}
        self.names: dict[tuple[str, str], tuple[list[tuple[str, int, KnownSince | None]], int]] = {}

    def compare(
        self, outlines: _Outlines, former: Mapping[int, _Past], people: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of which people (n,) there was a record then, and of which it may have said something else than today."""
        kinds = {kind: self._names(*kind)[1] for kind in {*outlines.kind}}
        newest = np.array([kinds[kind] for kind in outlines.kind], dtype=np.int64)
        then = outlines.then
        seen = (outlines.seen >= 0) & (outlines.seen <= then) & (then >= self.asked.kept_since)
        was = seen | (outlines.created < 0) | (outlines.created <= then)
        moved = np.isin(outlines.id, np.fromiter(former, dtype=np.int64, count=len(former)))
        other = moved | (outlines.live & ~(seen & (then >= newest)))
        replaced = {row_id for row_id, past in former.items() if REPLACED in past.values}
        lived = outlines.live | np.isin(outlines.id, np.fromiter(replaced, dtype=np.int64, count=len(replaced)))
        there, changed = np.zeros(people, dtype=bool), np.zeros(people, dtype=bool)
        there[outlines.place[was & lived]] = True
        changed[outlines.place[other]] = True
        return there, changed

    def read(self, row: _Row, past: _Past, at: int) -> tuple[dict[str, Any], frozenset[str]] | None:
        """What a record said at an instant (seconds), and of which fields nobody knows; `None` where it was not yet."""
        seen = row.seen_at is not None and row.seen_at // 1000 <= at and at >= self.asked.kept_since
        if not seen and row.created_at is not None and row.created_at // 1000 > at:
            return None
        now: dict[str, Any] = orjson.loads(row.fields)
        now = {"stage": row.stage, **now, "email": next(iter(orjson.loads(row.emails)), None)}
        _fields, newest = self._names(row.crm, row.kind)
        if seen and at >= newest and not past.values:
            return now, frozenset()
        former = {name: orjson.loads(value) for name, value in past.values.items()}
        values, unknown = self._read_mapped(row, former, past, now, at, seen=seen)
        email = next(iter(former[EMAILS]), None) if EMAILS in former else now["email"]
        for name, value in (("stage", former.get(STAGE, now["stage"])), ("email", email)):
            if seen or name in self.stable:
                values.setdefault(name, value)
            elif values.get(name) is None:
                unknown.add(name)
        return values, frozenset(unknown)

    def _read_mapped(
        self, row: _Row, former: Mapping[str, Any], past: _Past, now: Mapping[str, Any], at: int, *, seen: bool
    ) -> tuple[dict[str, Any], set[str]]:
        values: dict[str, Any] = {}
        unknown: set[str] = set()
        for name, since, history in self._names(row.crm, row.kind)[0]:
            is_known = (seen and at >= since) or name in self.stable or self._tells(history, row, past, name, at)
            if not is_known:
                unknown.add(name)
            elif (value := former.get(name, now.get(name))) is not None:
                values[name] = value
        return values, unknown

    def _tells(self, history: KnownSince | None, row: _Row, past: _Past, name: str, at: int) -> bool:
        """Whether the CRM's own history says what a field was."""
        if history is None or name in past.unknown or at < self.asked.kept_since:
            return False
        return at * 1000 >= history.since and row.seen_at is not None and row.seen_at <= history.read_at

    def _names(self, crm: str, kind: str) -> tuple[list[tuple[str, int, KnownSince | None]], int]:
        """The fields that are mapped for a kind of record, since when (seconds) pulls tell of each, and the history.

        With it comes since when pulls tell of all.
        """
        if (crm, kind) not in self.names:
            spelled, further = FieldMap.spelled(self.asked.spelled.get(crm, {}), kind), self.asked.reading.further
            # An older crmsync noted nothing; a field that is new in the file was not read before.
            default = FAR_AHEAD if crm in self.read_crms else 0
            names = [
                (name, -(-self.mapped.get((crm, name), default) // 1000), self.history.get((crm, kind, name)))
                for name in (*self.asked.fields, *(each for some in further.values() for each in some))
                if name in spelled
            ]
            self.names[crm, kind] = names, max((since for _name, since, _history in names), default=0)
        return self.names[crm, kind]


FAR_AHEAD = 2**62
"""Later than any instant (milliseconds)."""
