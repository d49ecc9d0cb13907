"""What scoring reads of people, as columns: made of their records, and kept until one of them changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, MutableMapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection, Text, and_, case, cast, func, or_, select

from crmsync.columns import Columns, Fact, renumber_facts
from crmsync.model import Scalar
from crmsync.store.carried_ids import read_shared_ids
from crmsync.store.field_values import FieldReading, make_record_reader
from crmsync.store.schema import EVENTS, LIVE, activity, fact, record, score_input
from crmsync.store.second_logs import LoggedActivities, count_once
from crmsync.store.sql import IN_LIST, id_range, in_chunks, plain_rows, upsert

AS_KEPT = FieldReading()
"""Every value counts."""

Facts = MutableMapping[int, Fact]
"""Distinct activities by id: what was read of them so far."""


class _Asked(NamedTuple):
    """Which fields are read, whose value counts first, and how the values of a record are read."""

    fields: Sequence[str]
    precedence: Sequence[str]
    reading: FieldReading

    @property
    def made_for(self) -> str:
        """What a sheet is made for: another one is of no use."""
        key = self.reading.key
        return f"{','.join(self.precedence)}: {','.join(self.fields)}{f'; {key}' if key else ''}"


WIDE = 2**31
"""An instant (32 bits) times this plus the id of a fact (31 bits): numbers come many times quicker than rows do."""


def _facts(connection: Connection, query: Any) -> Iterable[tuple[int, Fact]]:
    for row in connection.execute(query):
        values = orjson.loads(row.attributes)
        yield row.id, Fact(row.kind, {name: hashable(value) for name, value in values.items()})


def hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def read_columns(
    connection: Connection,
    people: Sequence[int],
    fields: Sequence[str],
    precedence: Sequence[str],
    facts: Facts | None = None,
    *,
    keep: bool = False,
    reading: FieldReading = AS_KEPT,
) -> Columns:
    """What is known of these people (ascending ids), in the shape that scoring reads: fields, stage, e-mail address.

    A field's value is that of the first live record that knows it: by CRM in order of `precedence`, a contact before a
    lead, then the newest, which is the one with the highest id. (When a record was last changed decides nothing: what
    crmsync writes moves that, and a state built anew would see it differently.) An event that several records carry is
    there once, and so is what two CRMs log under one id or at most `same_activity` seconds apart. `facts` are those
    read before, and those that are read now are added. With `keep` the sheets that had to be made are stored.
    """
    facts = {} if facts is None else facts
    ids = np.asarray(people, dtype=np.int64)
    texts, events = _sheets(connection, ids, _Asked(fields, precedence, reading), facts, keep)
    flat = np.frombuffer(b"".join(events), dtype="<u4").reshape(-1, 2)
    counts = np.fromiter(map(len, events), np.int64, len(events)) // 8
    used, fact_of = renumber_facts(flat[:, 1])
    _learn(connection, facts, used)
    return Columns(
        people=ids,
        fields=_columns(texts, fields),
        person=np.repeat(np.arange(len(ids), dtype=np.int32), counts),
        at=flat[:, 0].astype(np.int64),
        fact=fact_of,
        facts=[facts[each] for each in used],
    )


def read_fields(
    connection: Connection,
    people: Sequence[int],
    fields: Sequence[str],
    precedence: Sequence[str],
    reading: FieldReading = AS_KEPT,
) -> dict[str, list[Scalar | None]]:
    """What `read_columns` knows of these people (ascending ids) besides their activities: `fields`, stage, address."""
    asked = _Asked(fields, precedence, reading)
    query = select(score_input.c.person, score_input.c.known).where(
        id_range(score_input.c.person, people), score_input.c.made_for == asked.made_for
    )
    known: dict[int, str] = dict(plain_rows(connection, query))
    missing = np.array([each for each in people if each not in known], dtype=np.int64)
    if len(missing):
        records = _records(connection, missing, precedence)
        rows = np.searchsorted(missing, records.person).tolist()
        known |= zip(missing.tolist(), _merged(records, rows, len(missing), asked), strict=True)
    return _columns([known[each] for each in people], fields)


def read_field(
    connection: Connection, people: Sequence[int], field: str, precedence: Sequence[str]
) -> dict[int, Scalar]:
    """The value of one field of each of these people (ascending) of whom it is known, as scoring reads it."""
    found: dict[int, Scalar] = {}
    for some in in_chunks(people, IN_LIST):
        records = _records(connection, np.asarray(some, dtype=np.int64), precedence)
        for person, live, text in zip(records.person.tolist(), records.live, records.fields, strict=True):
            value = orjson.loads(text).get(field) if live and person not in found else None
            if value is not None:
                found[person] = hashable(value)
    return found


def _columns(texts: Sequence[str], fields: Sequence[str]) -> dict[str, list[Scalar | None]]:
    names = [*fields, "stage", "email"]
    flat = orjson.loads(f"[{','.join(texts)}]")  # no list for each person: the garbage collector would walk them all
    columns = [flat[place :: len(names)] for place in range(len(names))]
    return {
        name: [hashable(each) for each in column] if list in set(map(type, column)) else column
        for name, column in zip(names, columns, strict=True)
    }


def _learn(connection: Connection, facts: Facts, ids: Collection[int]) -> None:
    """Read the facts of these ids that were not read before."""
    missing = [each for each in ids if each not in facts]
    if missing:
        facts.update(_facts(connection, select(fact).where(id_range(fact.c.id, missing))))


def _sheets(
    connection: Connection,
    people: NDArray[np.int64],
    asked: _Asked,
    facts: Facts,
    keep: bool,
) -> tuple[list[str], list[bytes]]:
    """For each of these people the values as in `_merged` and the packed activities; made where no sheet is there."""
    made_for = asked.made_for
    query = select(score_input.c.person, score_input.c.known, score_input.c.events).where(
        id_range(score_input.c.person, people.tolist()), score_input.c.made_for == made_for
    )
    ids: list[int] = []
    texts: list[str] = []
    events: list[bytes] = []
    for person, known, packed in plain_rows(connection, query.order_by(score_input.c.person)):
        ids.append(person)
        texts.append(known)
        events.append(packed)
    missing = np.setdiff1d(people, ids, assume_unique=True)
    if len(missing):
        made = list(_made(connection, missing, asked, facts))
        if keep:
            names = ("person", "made_for", "known", "events")
            rows = [(each, made_for, *rest) for each, rest in zip(missing.tolist(), made, strict=True)]
            upsert(connection, score_input, [dict(zip(names, row, strict=True)) for row in rows])
        ids += missing.tolist()
        texts += [text for text, _ in made]
        events += [packed for _, packed in made]
    # Mostly everybody has a sheet, and they come in this order.
    if np.array_equal(ids, people):
        return texts, events
    order = np.argsort(ids)
    places = order[np.isin(np.array(ids)[order], people)].tolist()
    return [texts[place] for place in places], [events[place] for place in places]


def _made(
    connection: Connection,
    people: NDArray[np.int64],
    asked: _Asked,
    facts: Facts,
) -> Iterable[tuple[str, bytes]]:
    """The values and activities of these people, from their records."""
    records = _records(connection, people, asked.precedence)
    rows = np.searchsorted(people, records.person).astype(np.int32)
    return zip(
        _merged(records, rows.tolist(), len(people), asked),
        _packed(connection, records, rows, len(people), facts, asked.reading.same_activity),
        strict=True,
    )


class Records(NamedTuple):
    """Records as columns: by person, and for each person in order of precedence. `crm` is its place there."""

    id: NDArray[np.int64]
    person: NDArray[np.int64]
    crm: NDArray[np.int64]
    live: Sequence[bool]
    fields: Sequence[str]
    emails: Sequence[str]
    stage: Sequence[str | None]


def _records(connection: Connection, people: NDArray[np.int64], precedence: Sequence[str]) -> Records:
    """The known records of these people, the deleted ones left out."""
    it = record.c
    crms = case({crm: place for place, crm in enumerate(precedence)}, value=it.crm, else_=len(precedence))
    rank = 2 * crms + case((it.kind == "contact", 0), else_=1)
    query = select(it.id, it.person, case((LIVE, 0), else_=1), it.fields, it.emails, it.stage, rank, it.ref_id)
    # Merged records and converted leads, too: what happened to them goes on counting (docs/salesforce.md).
    known = or_(and_(it.known, or_(~it.gone, it.merged_into != "")), EVENTS)
    query = query.where(id_range(it.person, people.tolist()), known)
    found = list(plain_rows(connection, query))
    ids, person, replaced, fields, emails, stages, ranks, refs = zip(*found, strict=True) if found else ((),) * 8
    persons = np.array(person, dtype=np.int64)
    order = np.lexsort((rank_oldness(persons, refs), ranks, replaced, persons))
    order = order[np.isin(persons[order], people)]
    sorted_ = ([column[place] for place in order] for column in (fields, emails, stages))
    live = [not replaced[place] for place in order]
    crm = np.array(ranks, dtype=np.int64)[order] // 2
    return Records(np.array(ids, dtype=np.int64)[order], persons[order], crm, live, *sorted_)


def rank_oldness(persons: NDArray[np.int64], refs: Sequence[str]) -> NDArray[np.int64]:
    """For each record a number that is lower the newer it is, by its id: a longer one is a higher number.

    Where a person has one record only it is 0.
    """
    _people, which, counts = np.unique(persons, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts[which] > 1)
    texts = np.array([refs[place] for place in several.tolist()], dtype=np.str_)
    oldness = np.zeros(len(persons), dtype=np.int64)
    oldness[several[np.lexsort((texts, np.char.str_len(texts)))]] = -np.arange(len(several))
    return oldness


def _merged(records: Records, rows: Sequence[int], people: int, asked: _Asked) -> Iterable[str]:
    """For each person the fields, the stage (unless [fields] maps another) and the e-mail address: JSON, by commas."""
    read = make_record_reader(asked.reading)
    known: list[dict[str, Any]] = [{}] * people
    mails: list[str | None] = [None] * people
    stages: list[str | None] = [None] * people
    columns = zip(rows, records.live, records.fields, records.emails, records.stage, strict=True)
    for row, live, values, emails, stage in columns:
        if not live:
            continue
        known[row] = read(orjson.loads(values)) | known[row]
        mails[row] = mails[row] or next(iter(orjson.loads(emails)), None)
        stages[row] = stages[row] or stage
    for each, mail, stage in zip(known, mails, stages, strict=True):
        yield orjson.dumps([*map(each.get, asked.fields), each.get("stage", stage), mail])[1:-1].decode()


def _packed(
    connection: Connection,
    records: Records,
    rows: NDArray[np.int32],
    people: int,
    facts: Facts,
    same_activity: int,
) -> Iterable[bytes]:
    """For each person the activities as pairs (at, fact) of uint32, little-endian, ascending, each event once."""
    own, events = _activities(connection, records.id)
    row, at, fact_id = rows[own], events // WIDE, events % WIDE
    # Only people with several records can carry one event twice.
    several = np.flatnonzero(np.bincount(rows, minlength=1)[row] > 1)
    keep = np.ones(len(row), dtype=bool)
    if len(several):
        which = row[several], own[several], at[several], fact_id[several]
        logged = _logged(connection, records, *which, facts, same_activity)
        keep[several] = count_once(logged, facts, same_activity).keep
    order = np.lexsort((events, row))
    order = order[keep[order]]
    packed = np.stack([at[order], fact_id[order]], axis=1).astype("<u4").tobytes()
    ends = (8 * np.cumsum(np.bincount(row[order], minlength=people))).tolist()
    return (packed[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True))


def _activities(connection: Connection, record_ids: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The activities of these records: the place of the record, and when (seconds) · `WIDE` + the id of the fact."""
    ids, counts, texts = [], [], []
    event = cast(activity.c.at * WIDE + activity.c.fact, Text)
    # Put together by the database: a first plan takes a third less time than with a row for each activity.
    together = select(activity.c.record, func.count(), func.aggregate_strings(event, ",")).group_by(activity.c.record)
    wanted = set(record_ids.tolist())
    for some in in_chunks(sorted(wanted), IN_LIST):
        for row_id, count, text in plain_rows(connection, together.where(id_range(activity.c.record, some))):
            if row_id in wanted:
                ids.append(row_id)
                counts.append(count)
                texts.append(text)
    by_id = np.argsort(record_ids)
    places = by_id[np.searchsorted(record_ids, ids, sorter=by_id)].astype(np.int32)
    events = np.fromstring(",".join(texts), dtype=np.int64, sep=",") if texts else np.zeros(0, dtype=np.int64)
    return np.repeat(places, counts), events


def _kinds(
    connection: Connection, facts: Facts, fact_ids: NDArray[np.int64]
) -> tuple[Sequence[str], NDArray[np.int32]]:
    """The kinds of some facts, and for each of these facts the number of its kind."""
    distinct, which = np.unique(fact_ids, return_inverse=True)
    _learn(connection, facts, distinct.tolist())
    names, numbers = np.unique([facts[each].kind for each in distinct.tolist()], return_inverse=True)
    return names.tolist(), numbers.astype(np.int32)[which]


def _logged(
    connection: Connection,
    records: Records,
    row: NDArray[np.int32],
    own: NDArray[np.int32],
    at: NDArray[np.int64],
    fact_id: NDArray[np.int64],
    facts: Facts,
    same_activity: int,
) -> LoggedActivities:
    """What tells activities (m,) that are one from those that are several; ids only where two CRMs may log one."""
    kinds, kind = _kinds(connection, facts, fact_id)
    ids = records.id[own]
    shared = read_shared_ids(connection, ids, at, fact_id) if same_activity else np.zeros(len(row), dtype=np.int64)
    return LoggedActivities(row, own, records.crm[own], at, fact_id, kind, kinds, shared)


class SecondLog(NamedTuple):
    """An activity that counts once although two CRMs log it: how many seconds apart they do, and whether both have the
    same id for it.
    """

    kind: str
    at: int
    seconds: int
    has_one_id: bool


def list_second_logs(
    connection: Connection, person: int, precedence: Sequence[str], same_activity: int
) -> list[SecondLog]:
    """What two CRMs log of one person under one id or some seconds apart, the newest first."""
    records = _records(connection, np.array([person], dtype=np.int64), precedence)
    own, events = _activities(connection, records.id)
    if not same_activity or not len(events):
        return []
    facts: Facts = {}
    at, fact_id, row = events // WIDE, events % WIDE, np.zeros(len(events), dtype=np.int32)
    logged = _logged(connection, records, row, own, at, fact_id, facts, same_activity)
    found = [
        SecondLog(
            facts[int(fact_id[first])].kind,
            int(at[first]),
            int(at[second] - at[first]),
            bool(logged.shared[first] == logged.shared[second] != 0),
        )
        for first, second in count_once(logged, facts, same_activity).pairs
    ]
    return sorted(found, key=lambda each: (-each.at, each.kind))
