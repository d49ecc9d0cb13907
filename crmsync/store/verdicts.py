"""What reviewers said of the scores of people, and what of people a sample shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from crmsync.store.ledgers import ledger_reader
from crmsync.store.schema import INCLUDED, LIVE, owner, person, record, verdict
from crmsync.store.sql import IN_LIST, in_chunks, plain_rows, upsert


class SamplingFrame(NamedTuple):
    """Everybody who is scored, ascending: their ids, totals (hundredths) and bands."""

    people: NDArray[np.int64]
    total: NDArray[np.int64]
    band: Sequence[str]


def read_sampling_frame(connection: Connection) -> SamplingFrame:
    """The scores of the last run of everybody who is not left out and has a live record."""
    living = select(record.c.person).where(LIVE, record.c.person == person.c.id).exists()
    query = select(person.c.id, person.c.total, person.c.band).where(INCLUDED, living).order_by(person.c.id)
    rows = list(plain_rows(connection, query))
    return SamplingFrame(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        [row[2] for row in rows],
    )


def read_lines(connection: Connection, people: Collection[int]) -> dict[int, dict[str, int]]:
    """The points (hundredths) of each line of the scores of some people."""
    query, read = select(person.c.id, person.c.ledger), ledger_reader(connection)
    return {row[0]: read(row[1]) for row in plain_rows(connection, query.where(person.c.id.in_(people)))}


def read_owners_of(connection: Connection, people: Collection[int]) -> dict[int, str]:
    """The owner of each of some people, by address or else name, of their first record that has one."""
    theirs = (owner.c.crm == record.c.crm) & (owner.c.id == record.c.owner)
    query = select(record.c.person, owner.c.email, owner.c.name).join(owner, theirs).order_by(record.c.id)
    found: dict[int, str] = {}
    for whose, email, name in plain_rows(connection, query.where(record.c.person.in_(people), LIVE)):
        found.setdefault(whose, email or name)
    return found


def save_verdicts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep verdicts (all columns); one of the same person and sample is replaced."""
    for some in in_chunks(rows, IN_LIST // 6):
        upsert(connection, verdict, [dict(each) for each in some])


def read_verdicts(connection: Connection) -> list[tuple[str, str]]:
    """The band and the verdict of each that was kept."""
    return [(band, said) for band, said in plain_rows(connection, select(verdict.c.band, verdict.c.verdict))]


def find_known_people(connection: Connection, people: Collection[int]) -> set[int]:
    """Those of some people who are in the state."""
    found: set[int] = set()
    for some in in_chunks(people, IN_LIST):
        found |= set(connection.scalars(select(person.c.id).where(person.c.id.in_(some))))
    return found
