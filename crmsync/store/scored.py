"""People and their scores: who is who, what scoring reads (as columns), and what it said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, bindparam, case, delete, func, or_, select, update

from crmsync.columns import Columns, Fact, once_per_person
from crmsync.model import Holding, Ref, Scalar
from crmsync.people import Marked
from crmsync.store.database import upsert
from crmsync.store.pulled import IN_LIST, chunks, dump
from crmsync.store.schema import activity, contact, fact, identity, person, tape

PEOPLE_AT_ONCE = 20_000
"""People scored in one go: bounds memory; IN lists of this size are still fine for both databases."""

LIVE = and_(
    contact.c.known,
    ~contact.c.gone,
    ~contact.c.ambiguous,
    contact.c.merged_into == "",
    contact.c.converted_into == "",
)
"""Records that are scored and may be written."""


def refresh_people(
    connection: Connection, resolve: Callable[[Sequence[Marked]], tuple[dict[int, int], set[int]]]
) -> None:
    """Decide anew who the dirty contacts are. Everybody whose person changes becomes dirty too."""
    dirty = connection.scalars(select(contact.c.id).where(contact.c.dirty).order_by(contact.c.id)).all()
    done: set[int] = set()
    for some in chunks(dirty, IN_LIST // 2):
        group = _joined(connection, {row_id for row_id in some if row_id not in done})
        done |= group
        _assign(connection, group, resolve)


def _joined(connection: Connection, row_ids: set[int]) -> set[int]:
    """The contacts that share a person or (over any number of steps) a mark with these."""
    people = _column(connection, contact.c.person, contact.c.id, row_ids)
    row_ids |= _column(connection, contact.c.id, contact.c.person, people)
    fresh, seen_marks = row_ids, set[Any]()
    while fresh:
        new_marks = _column(connection, identity.c.mark, identity.c.contact, fresh) - seen_marks
        seen_marks |= new_marks
        fresh = _column(connection, identity.c.contact, identity.c.mark, new_marks) - row_ids
        row_ids |= fresh
    return row_ids


def _column(connection: Connection, wanted: Any, where: Any, values: Collection[Any]) -> set[Any]:
    found: set[Any] = set()
    for some in chunks(sorted(values), IN_LIST):
        found |= {value for value in connection.scalars(select(wanted).where(where.in_(some))) if value is not None}
    return found


def _assign(
    connection: Connection,
    row_ids: Collection[int],
    resolve: Callable[[Sequence[Marked]], tuple[dict[int, int], set[int]]],
) -> None:
    now: dict[int, tuple[str, int | None, bool]] = {}
    held: dict[int, set[str]] = {}
    for some in chunks(sorted(row_ids), IN_LIST):
        query = select(contact.c.id, contact.c.crm, contact.c.person, contact.c.ambiguous).where(contact.c.id.in_(some))
        now |= {row.id: (row.crm, row.person, row.ambiguous) for row in connection.execute(query)}
        pairs = select(identity.c.contact, identity.c.mark).where(identity.c.contact.in_(some))
        for row_id, mark in connection.execute(pairs):
            held.setdefault(row_id, set()).add(mark)
    marked = [Marked(row_id, now[row_id][0], frozenset(held.get(row_id, ()))) for row_id in sorted(now)]
    people, unclear = resolve(marked)
    moved = [
        {"row_id": row_id, "now": people.get(row_id), "unclear": row_id in unclear}
        for row_id, (_crm, was, was_unclear) in now.items()
        if (people.get(row_id), row_id in unclear) != (was, was_unclear)
    ]
    if not moved:
        return
    connection.execute(
        update(contact)
        .where(contact.c.id == bindparam("row_id"))
        .values(person=bindparam("now"), ambiguous=bindparam("unclear"), dirty=True),
        moved,
    )
    left = {now[row_id][1] for row_id in now} | set(people.values())
    for some in chunks(sorted(each for each in left if each is not None), IN_LIST):
        connection.execute(update(contact).where(contact.c.person.in_(some)).values(dirty=True))
        inhabited = select(contact.c.person).where(contact.c.person.in_(some))
        connection.execute(delete(person).where(person.c.id.in_(some), person.c.id.not_in(inhabited)))


def people_to_score(connection: Connection, now: int, everybody: bool) -> NDArray[np.int64]:
    """The people whose score may have changed, ascending: dirty, due by `now` (seconds), or everybody."""
    live = select(contact.c.person).where(LIVE, contact.c.person.is_not(None))
    if everybody:
        query = live.distinct()
    else:
        dirty = select(contact.c.person).where(contact.c.dirty, contact.c.person.is_not(None))
        due = select(person.c.id).where(person.c.due <= now)
        query = live.where(or_(contact.c.person.in_(dirty), contact.c.person.in_(due))).distinct()
    return np.fromiter(connection.scalars(query.order_by(contact.c.person)), dtype=np.int64)


def refresh_tapes(connection: Connection, people: Sequence[int]) -> None:
    """Pack the activities of the contacts of these people that gained or lost some since they were last packed."""
    bare = (
        select(contact.c.id)
        .outerjoin(tape, tape.c.contact == contact.c.id)
        .where(contact.c.person.in_(people), tape.c.contact.is_(None))
        .order_by(contact.c.id)
    )
    for some in chunks(connection.scalars(bare).all(), IN_LIST):
        query = (
            select(activity.c.contact, activity.c.at, activity.c.fact)
            .where(activity.c.contact.in_(some))
            .order_by(activity.c.contact, activity.c.at, activity.c.fact)
        )
        found = np.array(connection.execute(query).all(), dtype=np.int64).reshape(-1, 3)
        events = found[:, 1:].astype("<u4")
        starts = np.searchsorted(found[:, 0], some, side="left")
        ends = np.searchsorted(found[:, 0], some, side="right")
        upsert(
            connection,
            tape,
            [
                {"contact": row_id, "events": events[start:end].tobytes()}
                for row_id, start, end in zip(some, starts, ends, strict=True)
            ],
        )


def all_facts(connection: Connection) -> dict[int, Fact]:
    """Every distinct activity, by its id."""
    query = select(fact.c.id, fact.c.kind, fact.c.attributes)
    return {row.id: Fact(row.kind, _attributes(row.attributes)) for row in connection.execute(query)}


def _attributes(text: str) -> Mapping[str, Scalar]:
    return {name: _scalar(value) for name, value in orjson.loads(text).items()}


def _scalar(value: Any) -> Scalar:
    return tuple(value) if isinstance(value, list) else value


def columns(
    connection: Connection,
    people: Sequence[int],
    fields: Sequence[str],
    precedence: Sequence[str],
    facts: Mapping[int, Fact],
) -> Columns:
    """What is known of these people (ascending ids), in the shape that scoring reads.

    A field's value is that of the first record that knows it: live before replaced, then by CRM in order of `precedence`,
    then the latest changed.
    """
    rank = case({crm: place for place, crm in enumerate(precedence)}, value=contact.c.crm, else_=len(precedence))
    query = (
        select(contact.c.id, contact.c.person, contact.c.fields, contact.c.emails, tape.c.events)
        .outerjoin(tape, tape.c.contact == contact.c.id)
        .where(contact.c.person.in_(people), contact.c.known, or_(~contact.c.gone, contact.c.merged_into != ""))
        .order_by(contact.c.person, case((LIVE, 0), else_=1), rank, contact.c.changed_at.desc(), contact.c.id)
    )
    row_of = {person_id: row for row, person_id in enumerate(people)}
    values: dict[str, list[Scalar | None]] = {name: [None] * len(people) for name in fields}
    mails = values.setdefault("email", [None] * len(people))
    tapes: list[tuple[int, bytes]] = []
    for found in connection.execute(query):
        row = row_of[found.person]
        for name, value in orjson.loads(found.fields).items():
            column = values.get(name)
            if column is not None and column[row] is None:
                column[row] = _scalar(value)
        if mails[row] is None and found.emails != "[]":
            mails[row] = orjson.loads(found.emails)[0]
        if found.events:
            tapes.append((row, found.events))
    activity_row, at, fact_id = _unrolled(tapes, facts)
    used, index = np.unique(fact_id, return_inverse=True)
    return Columns(
        people=np.asarray(people, dtype=np.int64),
        fields=values,
        person=activity_row,
        at=at,
        fact=index.astype(np.int32),
        facts=[facts[int(each)] for each in used],
    )


def _unrolled(
    tapes: Sequence[tuple[int, bytes]], facts: Mapping[int, Fact]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    events = np.frombuffer(b"".join(each for _row, each in tapes), dtype="<u4").reshape(-1, 2)
    lengths = [len(each) // 8 for _row, each in tapes]
    row = np.repeat(np.fromiter((row for row, _each in tapes), np.int32, len(tapes)), lengths)
    record = np.repeat(np.arange(len(tapes), dtype=np.int32), lengths)
    at, fact_id = events[:, 0].astype(np.int64), events[:, 1].astype(np.int64)
    kinds = {kind: number for number, kind in enumerate(sorted({each.kind for each in facts.values()}))}
    kind_of = np.zeros(max(facts, default=0) + 1, dtype=np.int32)
    for each, known in facts.items():
        kind_of[each] = kinds[known.kind]
    keep = once_per_person(row, record, at, kind_of[fact_id])
    row, at, fact_id = row[keep], at[keep], fact_id[keep]
    order = np.lexsort((fact_id, at, row))
    return row[order], at[order], fact_id[order]


def known_scores(connection: Connection, people: Sequence[int]) -> dict[int, Any]:
    """The last score of each of these people who has one: rows of `person`."""
    return {row.id: row for row in connection.execute(select(person).where(person.c.id.in_(people)))}


def save_scores(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Store what the people scored; all columns but `was` are given, `lines` as JSON text."""
    for some in chunks(rows, IN_LIST):
        before = known_scores(connection, [row["id"] for row in some])
        upsert(connection, person, [{**row, "was": _was(before.get(row["id"]), row["lines"])} for row in some])


def _was(before: Any, lines: str) -> str:
    if before is None:
        return ""
    return str(before.was if before.lines == lines else before.lines)


def live_contacts(connection: Connection, people: Sequence[int]) -> list[Holding]:
    """The live records of these people, by person."""
    query = (
        select(contact)
        .where(LIVE, contact.c.person.in_(people))
        .order_by(contact.c.person, contact.c.crm, contact.c.kind, contact.c.ref_id)
    )
    return [
        Holding(
            row.id, Ref(row.crm, row.kind, row.ref_id), row.person, row.grouped, row.stage, row.owner,
            orjson.loads(row.current), orjson.loads(row.base), orjson.loads(row.leases),
            orjson.loads(row.parked or "{}"), row.attempts,
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def settle(connection: Connection, crms: Collection[str], leases: Mapping[int, Mapping[str, int]]) -> None:
    """Everybody in these CRMs has been planned for: nobody there is dirty any more, and leases stand as given."""
    connection.execute(update(contact).where(contact.c.dirty, contact.c.crm.in_(crms)).values(dirty=False))
    rows = [{"row_id": row_id, "now": dump(dict(each))} for row_id, each in leases.items()]
    if rows:
        statement = update(contact).where(contact.c.id == bindparam("row_id")).values(leases=bindparam("now"))
        connection.execute(statement, rows)


def carrying(connection: Connection, crm: str) -> tuple[int, int]:
    """How many live records a CRM has, and how many of them carry a score of ours."""
    has_score = func.count(case((contact.c.current.like('%"score":%'), 1)))
    found = connection.execute(select(func.count(), has_score).where(LIVE, contact.c.crm == crm)).one()
    return int(found[0]), int(found[1])


def unseen(connection: Connection, run: str, crm: str) -> tuple[list[Ref], int]:
    """The live records of a CRM that this run has not pulled, and how many it has."""
    query = select(contact.c.kind, contact.c.ref_id).where(LIVE, contact.c.crm == crm, contact.c.seen_run != run)
    missing = [Ref(crm, kind, ref_id) for kind, ref_id in connection.execute(query.order_by(contact.c.id))]
    seen = select(func.count()).select_from(contact).where(contact.c.crm == crm, contact.c.seen_run == run)
    return missing, connection.scalar(seen) or 0


def pulled_counts(connection: Connection, run: str) -> dict[str, dict[str, int]]:
    """For each CRM what became of the records that this run pulled: `scored`, or the reason why not."""
    became = case(
        (contact.c.merged_into != "", "merged"),
        (contact.c.gone, "deleted"),
        (contact.c.converted_into != "", "converted"),
        (contact.c.ambiguous, "ambiguous"),
        (person.c.scored_run == run, "scored"),
        else_="unchanged",
    )
    query = (
        select(contact.c.crm, became, func.count())
        .outerjoin(person, person.c.id == contact.c.person)
        .where(contact.c.seen_run == run)
        .group_by(contact.c.crm, became)
    )
    counts: dict[str, dict[str, int]] = {}
    for crm, reason, number in connection.execute(query):
        counts.setdefault(crm, {})[reason] = number
    return counts


def rescored(connection: Connection, run: str, crm: str) -> int:
    """How many live records of a CRM this run scored, pulled or not."""
    query = select(func.count()).select_from(contact.join(person, person.c.id == contact.c.person))
    return connection.scalar(query.where(LIVE, contact.c.crm == crm, person.c.scored_run == run)) or 0


def band_counts(connection: Connection) -> dict[str, int]:
    """People in each band."""
    return dict(connection.execute(select(person.c.band, func.count()).group_by(person.c.band)).all())
