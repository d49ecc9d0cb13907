"""The tasks for owners: planned, sent and made, each once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, update

from crmsync.model import Ref
from crmsync.store.schema import LIVE, OPEN, hand_off, owner, record, task
from crmsync.store.sql import IN_LIST, in_chunks, plain_rows, upsert

PLANNED, SENT, CREATED, DROPPED, CLOSED = "planned", "sent", "created", "dropped", "closed"
"""How far a task is: `dropped` ones are never made, `closed` ones were completed by us."""


class OpenTask(NamedTuple):
    """A task that is still to be made; `crm` is `""` until it was sent to one, `try_at` and others are milliseconds."""

    key: str
    person: int
    event: str
    owner: str
    at: int
    due: int
    body: str
    crm: str
    state: str
    try_at: int


def add_tasks(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Plan tasks (key, person, event, owner, run, at, due, body) that are not known yet, and say how many these are."""
    known: set[str] = set()
    for some in in_chunks([row["key"] for row in rows], IN_LIST):
        known |= set(connection.scalars(select(task.c.key).where(task.c.key.in_(some))))
    new = [{**row, "state": PLANNED} for row in rows if row["key"] not in known]
    upsert(connection, task, new)
    return len(new)


def open_tasks(connection: Connection) -> list[OpenTask]:
    """All tasks that are still to be made, the oldest first."""
    columns = [task.c[name] for name in OpenTask._fields]
    query = select(*columns).where(OPEN).order_by(task.c.at, task.c.key)
    return [OpenTask(*row) for row in plain_rows(connection, query)]


def owned_records(connection: Connection, people: Collection[int]) -> dict[int, list[tuple[Ref, str, str]]]:
    """By person the live records that an active user owns: the ref, the owner's id in the CRM and their address."""
    found: dict[int, list[tuple[Ref, str, str]]] = {}
    theirs = (owner.c.crm == record.c.crm) & (owner.c.id == record.c.owner)
    for some in in_chunks(sorted(people), IN_LIST):
        query = (
            select(record.c.person, record.c.crm, record.c.kind, record.c.ref_id, owner.c.id)
            .add_columns(func.lower(func.trim(owner.c.email)))
            .join(owner, theirs)
            .where(LIVE, record.c.person.in_(some), owner.c.active)
            .order_by(record.c.id)
        )
        for person_id, crm, kind, ref_id, owner_id, address in plain_rows(connection, query):
            found.setdefault(person_id, []).append((Ref(crm, kind, ref_id), owner_id, address))
    return found


def latest_owners(connection: Connection, people: Collection[int]) -> dict[int, str]:
    """By person to whom they were handed over last (an address)."""
    found: dict[int, str] = {}
    for some in in_chunks(sorted(people), IN_LIST):
        latest = select(func.max(hand_off.c.id)).where(hand_off.c.person.in_(some)).group_by(hand_off.c.person)
        query = select(hand_off.c.person, hand_off.c.owner).where(hand_off.c.id.in_(latest))
        found |= dict(plain_rows(connection, query))
    return found


def mark_tasks(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store how far tasks are: of each `key` its `state`, `crm`, `task_id`, `reason` and `try_at` (milliseconds)."""
    if rows:
        names = ("state", "crm", "task_id", "reason", "try_at")
        values: dict[str, Any] = {name: bindparam(f"now_{name}") for name in names}
        statement = update(task).where(task.c.key == bindparam("its_key")).values(values)
        connection.execute(
            statement, [{"its_key": row["key"], **{f"now_{name}": row[name] for name in names}} for row in rows]
        )


def tasks_of_run(connection: Connection, run_id: str) -> list[OpenTask]:
    """The tasks that a run planned and that are to be made, or are made and were not closed by us."""
    columns = [task.c[name] for name in OpenTask._fields]
    query = select(*columns).where(task.c.run == run_id, task.c.state.in_((PLANNED, SENT, CREATED)))
    return [OpenTask(*row) for row in plain_rows(connection, query.order_by(task.c.key))]


def count_tasks(connection: Connection, run_id: str) -> dict[str, int]:
    """By state how many tasks a run planned."""
    query = select(task.c.state, func.count()).where(task.c.run == run_id).group_by(task.c.state)
    return dict(plain_rows(connection, query))


def tasks_of(connection: Connection, person_id: int) -> list[dict[str, Any]]:
    """The tasks about a person, newest first; `at` and `due` are milliseconds."""
    names = ("at", "event", "owner", "due", "state", "crm", "task_id", "reason")
    query = select(*(task.c[name] for name in names)).where(task.c.person == person_id)
    rows = plain_rows(connection, query.order_by(task.c.at.desc(), task.c.key))
    return [dict(zip(names, row, strict=True)) for row in rows]
