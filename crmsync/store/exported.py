"""What an export reads of the state, and an import puts back: people with their scores, and every table as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, and_, delete, func, or_, select

from crmsync.store.ledgers import ledger_reader
from crmsync.store.run_journal import GOOD
from crmsync.store.schema import INCLUDED, LEFT_OUT, LIVE, metadata, person, record, run, score_input, writer
from crmsync.store.sql import IN_LIST, id_range, in_chunks, plain_rows

MOVED = tuple(table for table in metadata.sorted_tables if table not in (writer, score_input))
"""The tables that a state is made of: without whose turn it is, and what is made anew of the rest."""


def find_exported_people(connection: Connection) -> NDArray[np.int64]:
    """Everybody with a live record who is not left out, ascending."""
    left_out = select(person.c.id).where(LEFT_OUT)
    query = select(record.c.person).where(LIVE, record.c.person.is_not(None), record.c.person.not_in(left_out))
    return np.fromiter(connection.scalars(query.distinct().order_by(record.c.person)), dtype=np.int64)


def count_left_out(connection: Connection) -> int:
    """How many people are neither scored nor written."""
    return connection.scalar(select(func.count()).select_from(person).where(LEFT_OUT)) or 0


def find_last_scoring(connection: Connection) -> int | None:
    """As of when the stored scores are (milliseconds): the last run that scored; `None` before the first one."""
    scored = connection.scalar(select(func.max(person.c.scored_at)))
    began = connection.scalar(select(func.max(run.c.started)).where(run.c.verdict.in_(GOOD)))
    return None if scored is None else max(scored, began or 0)


def find_pending(connection: Connection, model: str) -> set[int]:
    """The people of whom there is news that no score rests on yet, or whose score is by another model (name)."""
    dirty = select(record.c.person).where(record.c.dirty, record.c.person.is_not(None))
    others = select(person.c.id).where(INCLUDED, or_(person.c.model < model, person.c.model > model))
    return {*connection.scalars(dirty), *connection.scalars(others)}


class ExportedScore(NamedTuple):
    """A stored score: points in hundredths, `scored_at` in milliseconds; the ledger has the points of each line."""

    id: int
    fit: int
    behavior: int
    total: int
    band: str
    model: str
    scored_at: int
    ledger: Mapping[str, int]


def read_scores(connection: Connection, people: Sequence[int]) -> dict[int, ExportedScore]:
    """The stored scores of these people (ascending) who have one."""
    columns = [person.c[name] for name in ExportedScore._fields]
    rows = plain_rows(connection, select(*columns).where(id_range(person.c.id, people), INCLUDED))
    read = ledger_reader(connection)
    return {row[0]: ExportedScore(*row)._replace(ledger=read(row[-1])) for row in rows}


class Called(NamedTuple):
    """What somebody is called, and their live records as `crm:kind:id`."""

    name: str
    records: Sequence[str]


def read_called(connection: Connection, people: Sequence[int]) -> dict[int, Called]:
    """Names and records of these people (ascending)."""
    it = record.c
    query = select(it.person, it.name, it.crm, it.kind, it.ref_id).where(and_(LIVE, id_range(it.person, people)))
    found: dict[int, tuple[list[str], list[str]]] = {}
    for whose, name, crm, kind, ref_id in plain_rows(connection, query.order_by(it.person, it.crm, it.kind, it.ref_id)):
        names, refs = found.setdefault(whose, ([], []))
        names.append(name)
        refs.append(f"{crm}:{kind}:{ref_id}")
    return {each: Called(next(filter(None, names), ""), refs) for each, (names, refs) in found.items()}


def read_rows(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """Every row of a table, some at a time."""
    rows = connection.execution_options(yield_per=IN_LIST).execute(select(table)).mappings()
    for some in in_chunks(rows, IN_LIST):
        yield [dict(each) for each in some]


def empty_tables(connection: Connection) -> None:
    """Make room for what is imported."""
    for table in reversed(MOVED):
        connection.execute(delete(table))
