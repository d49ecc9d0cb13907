"""What was undone: the values that wait instead of being written again, and undos that a daemon is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, delete, select, update

from crmsync.model import Scalar
from crmsync.store.records import bands_in_crms
from crmsync.store.schema import INCLUDED, LIVE, UNDONE, change, note, person, record, run
from crmsync.store.scores import make_dirty
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, upsert, write_many

REQUEST = "undo:"
"""How the notes begin that ask a daemon to undo a run."""

UNDO = "undo"
"""The command of a run that undid another one."""


def hold_undone(
    connection: Connection, fields: Mapping[int, Mapping[str, Scalar | None]], run_id: str, configs: Sequence[str]
) -> None:
    """Let these values of records (row ids) wait from now on: a run was undone that had written them.

    They wait for as long as decisions are made by one of `configs` (hashes). What waited of the same fields does no
    more.
    """
    rows = []
    for row_id, undone in _read_undone(connection, fields).items():
        kept = {name: each for name, each in undone.items() if set(each["configs"]) & set(configs)}
        new = {
            name: {"value": value, "run": run_id, "configs": list(configs)} for name, value in fields[row_id].items()
        }
        rows.append((row_id, kept | new))
    _write_undone(connection, rows)


def drop_undone(connection: Connection, fields: Mapping[int, Collection[str]]) -> None:
    """These fields of records (row ids) do not wait any longer."""
    found = _read_undone(connection, fields)
    _write_undone(
        connection,
        [
            (row_id, {name: each for name, each in undone.items() if name not in fields[row_id]})
            for row_id, undone in found.items()
            if undone.keys() & set(fields[row_id])
        ],
    )


def release_by_config(connection: Connection, config_hash: str, order: Sequence[str]) -> None:
    """Nothing waits any longer that was undone under other configs; those records are planned for again.

    Their people are in the band again that the CRMs hold (`order` has the lowest first): whom a run brought into a
    band does not stay in it by its `drop_below` once that run was undone.
    """
    others = select(record.c.id, record.c.person, record.c.undone)
    rows = connection.execute(others.where(UNDONE, ~record.c.undone.contains(config_hash, autoescape=True))).all()
    ids = [row.id for row in rows]
    for some in in_chunks(ids, IN_LIST):
        connection.execute(update(record).where(record.c.id.in_(some)).values(undone=""))
    moved = {row.person for row in rows if row.person is not None and "band" in orjson.loads(row.undone)}
    held = bands_in_crms(connection, moved, order)
    remembered = update(person).where(person.c.id == bindparam("who"), INCLUDED).values(band=bindparam("held_band"))
    write_many(connection, remembered, [{"held_band": band, "who": who} for who, band in held.items()])
    make_dirty(connection, ids)


def release_plans(connection: Connection, plan_ids: Sequence[str]) -> dict[int, str]:
    """What waits in these plans does so no longer; their records are planned for again.

    Returns the owners that were to be given, by record (row id): whose turn it was stays so.
    """
    fields: dict[int, list[str]] = {}
    owners: dict[int, str] = {}
    same = (change.c.crm == record.c.crm) & (change.c.kind == record.c.kind) & (change.c.ref_id == record.c.ref_id)
    query = select(record.c.id, change.c.after).join(change, same).where(change.c.run.in_(plan_ids))
    for row_id, text in connection.execute(query) if plan_ids else ():
        after = orjson.loads(text)
        fields.setdefault(row_id, []).extend(after)
        if after.get("owner"):
            owners[row_id] = str(after["owner"])
    drop_undone(connection, fields)
    make_dirty(connection, sorted(fields))
    return owners


def drop_dead_changes(connection: Connection, plan_ids: Sequence[str]) -> None:
    """Take the changes of records that are not scored any more out of plans."""
    live = select(record.c.id).where(LIVE)
    connection.execute(delete(change).where(change.c.run.in_(plan_ids), change.c.record.not_in(live)))


def _read_undone(connection: Connection, row_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for some in in_chunks(row_ids, IN_LIST):
        for row_id, text in connection.execute(select(record.c.id, record.c.undone).where(record.c.id.in_(some))):
            found[row_id] = orjson.loads(text or "{}")
    return found


def _write_undone(connection: Connection, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    given = [{"row_id": row_id, "now": dump_json(dict(undone)) if undone else ""} for row_id, undone in rows]
    if given:
        statement = update(record).where(record.c.id == bindparam("row_id"))
        connection.execute(statement.values(undone=bindparam("now")), given)


class Request(NamedTuple):
    """That a daemon is asked to undo a run: since when (milliseconds)."""

    run: str
    at: int


def request_undo(connection: Connection, run_id: str, now: int) -> None:
    """Ask the daemon on this state to undo a run."""
    upsert(connection, note, [{"crm": "", "name": f"{REQUEST}{run_id}", "value": str(now)}])


def undo_requests(connection: Connection) -> list[Request]:
    """The runs that a daemon is asked to undo, the oldest request first."""
    query = select(note.c.name, note.c.value).where(note.c.crm == "", note.c.name.startswith(REQUEST))
    found = [Request(name.removeprefix(REQUEST), int(value)) for name, value in connection.execute(query)]
    return sorted(found, key=lambda each: (each.at, each.run))


def drop_request(connection: Connection, run_id: str) -> None:
    """Nobody is asked any longer to undo a run."""
    connection.execute(delete(note).where(note.c.crm == "", note.c.name == f"{REQUEST}{run_id}"))


def undos_of(connection: Connection, run_id: str) -> list[Any]:
    """The runs that undid a run, newest first."""
    query = select(run).where(run.c.command == UNDO).order_by(run.c.started.desc(), run.c.id.desc())
    return [row for row in connection.execute(query) if orjson.loads(row.plan).get("undoes") == run_id]
