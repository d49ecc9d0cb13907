"""The journal: runs, the changes each one wants, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, delete, func, select, update

from crmsync.model import Change, Ref, Scalar
from crmsync.store.database import upsert
from crmsync.store.pulled import IN_LIST, chunks, drop_sheets, dump, outdate
from crmsync.store.schema import OPEN, PARKED, change, contact, model, past_field, pointer, run

FULL_RUNS = ("backfill", "reconcile")
"""The commands of runs that pull everything."""

PLANNED, SENT, KEPT, FAILED, SKIPPED = "planned", "sent", "kept", "failed", "skipped"


class Row(NamedTuple):
    """A change in the journal: `id` is its own, `contact` the row id of its record."""

    id: int
    contact: int
    change: Change


def begin_run(connection: Connection, run_id: str, command: str, now: int, config_hash: str, config_text: str) -> None:
    """Write that a run has started, and with which model."""
    if connection.scalar(select(model.c.hash).where(model.c.hash == config_hash)) is None:
        connection.execute(model.insert().values(hash=config_hash, text=config_text, first_used=now))
    connection.execute(
        run.insert().values(id=run_id, command=command, started=now, model=config_hash, verdict="running")
    )


def end_run(connection: Connection, run_id: str, now: int, verdict: str, result: Mapping[str, Any]) -> None:
    """Write how a run ended."""
    connection.execute(update(run).where(run.c.id == run_id).values(ended=now, verdict=verdict, result=dump(result)))


def find_run(connection: Connection, run_id: str) -> Any:
    """The row of a run, or `None`."""
    return connection.execute(select(run).where(run.c.id == run_id)).first()


def recent_runs(connection: Connection, most: int) -> list[Any]:
    """The latest runs, newest first."""
    return list(connection.execute(select(run).order_by(run.c.started.desc(), run.c.id.desc()).limit(most)))


def last_model(connection: Connection) -> str | None:
    """The hash of the model that was last written to a CRM."""
    written = select(run.c.model).where(run.c.verdict.in_(("ok", "partial")))
    return connection.scalar(written.order_by(run.c.started.desc(), run.c.id.desc()).limit(1))


def approve(connection: Connection, run_id: str) -> None:
    """A plan that waited for review goes on: what it would do to the rotation is done now."""
    found = find_run(connection, run_id)
    set_pointers(connection, orjson.loads(found.pointers))
    connection.execute(update(run).where(run.c.id == run_id).values(verdict="running", ended=None))


def hold(connection: Connection, run_id: str, pointers: Mapping[str, str]) -> None:
    """Keep a plan for review: its contacts stay dirty, so that the next cycle plans for them anew."""
    connection.execute(update(run).where(run.c.id == run_id).values(pointers=dump(dict(pointers))))
    planned = select(change.c.contact).where(change.c.run == run_id)
    connection.execute(update(contact).where(contact.c.id.in_(planned)).values(dirty=True))


def supersede(connection: Connection, run_id: str) -> None:
    """An unsafe plan takes the place of earlier ones: a daemon makes one at each tick until somebody looks."""
    older = list(connection.scalars(select(run.c.id).where(run.c.verdict == "unsafe", run.c.id != run_id)))
    for some in chunks(older, IN_LIST):
        connection.execute(delete(change).where(change.c.run.in_(some)))
        connection.execute(update(run).where(run.c.id.in_(some)).values(verdict="superseded"))


def prune(connection: Connection, before: int) -> None:
    """Forget runs that started before an instant, with their changes; those with changes still to be made stay."""
    undone = select(change.c.run).where(OPEN)
    old = list(connection.scalars(select(run.c.id).where(run.c.started < before, run.c.id.not_in(undone))))
    for some in chunks(old, IN_LIST):
        connection.execute(delete(change).where(change.c.run.in_(some)))
        connection.execute(delete(run).where(run.c.id.in_(some)))
    connection.execute(delete(past_field).where(past_field.c.until < before))


def runs_to_finish(connection: Connection, crm: str) -> list[str]:
    """Runs with changes for this CRM that are still to be made, oldest first; those kept for review are not."""
    query = (
        select(run.c.id)
        .join(change, change.c.run == run.c.id)
        .where(change.c.crm == crm, OPEN, run.c.verdict.not_in(("dry", "unsafe")))
        .distinct()
        .order_by(run.c.id)
    )
    return list(connection.scalars(query))


def count_open(connection: Connection, crm: str, runs: Sequence[str]) -> int:
    """How many changes of these runs for one CRM are planned or sent."""
    query = select(func.count()).where(change.c.crm == crm, OPEN, change.c.run.in_(runs))
    return connection.scalar(query) or 0


def add_changes(
    connection: Connection, run_id: str, changes: Sequence[tuple[int, Change]], now: int, state: str = PLANNED
) -> None:
    """Journal what a run wants; each change comes with the row id of its record."""
    rows = [
        {
            "run": run_id, "contact": row_id, "crm": each.ref.crm, "kind": each.ref.kind, "ref_id": each.ref.id,
            "grouped": each.group, "before": dump(dict(each.before)), "after": dump(dict(each.after)),
            "because": each.because, "state": state, "at": now,
        }
        for row_id, each in changes
    ]  # fmt: skip
    if rows:
        connection.execute(change.insert(), rows)


def open_rows(connection: Connection, crm: str, states: Sequence[str], runs: Sequence[str], most: int) -> list[Row]:
    """The first `most` changes of these runs in these states for one CRM, in the order they were planned."""
    query = (
        select(change)
        .where(change.c.crm == crm, OPEN, change.c.state.in_(states), change.c.run.in_(runs))
        .order_by(change.c.id)
        .limit(most)
    )
    return [_row(each) for each in connection.execute(query)]


def last_full_pull(connection: Connection) -> int | None:
    """When everything was last pulled (milliseconds): the latest full run that ended, else the very first run."""
    full = select(func.max(run.c.started)).where(
        run.c.command.in_(FULL_RUNS), run.c.verdict.not_in(("running", "failed"))
    )
    last: int | None = connection.scalar(full) or connection.scalar(select(func.min(run.c.started)))
    return last


def runs_with_sent(connection: Connection, crm: str) -> list[str]:
    """Runs with changes that were sent and never heard of again."""
    return list(
        connection.scalars(select(change.c.run).where(change.c.crm == crm, OPEN, change.c.state == SENT).distinct())
    )


def rows_of(connection: Connection, run_id: str) -> Iterator[tuple[str, str, Row]]:
    """Every change of a run as (state, reason, row), in the order they were planned."""
    for each in connection.execute(select(change).where(change.c.run == run_id).order_by(change.c.id)):
        yield each.state, each.reason, _row(each)


def history(connection: Connection, row_ids: Sequence[int], most: int) -> list[Any]:
    """The latest changes to these contacts, newest first."""
    query = select(change).where(change.c.contact.in_(row_ids)).order_by(change.c.id.desc()).limit(most)
    return list(connection.execute(query))


def _row(each: Any) -> Row:
    ref = Ref(each.crm, each.kind, each.ref_id)
    before, after = orjson.loads(each.before), orjson.loads(each.after)
    return Row(each.id, each.contact, Change(ref, before, after, each.because, each.grouped))


def mark(connection: Connection, ids: Sequence[int], state: str, now: int, reason: str = "") -> None:
    """Move changes to a state."""
    for some in chunks(ids, IN_LIST):
        connection.execute(update(change).where(change.c.id.in_(some)).values(state=state, reason=reason, at=now))


def amend(connection: Connection, row: Row) -> None:
    """Write a change as it will be sent, where less of it is sent than was planned."""
    connection.execute(
        update(change)
        .where(change.c.id == row.id)
        .values(after=dump(dict(row.change.after)), before=dump(dict(row.change.before)))
    )


def keep(connection: Connection, rows: Sequence[Row]) -> None:
    """The CRM holds what these changes say: remember it as ours, so that the echo of our own write changes nothing."""
    stored = _holdings(connection, [row.contact for row in rows])
    updates = []
    for row in rows:
        if row.contact not in stored:
            continue
        holding = stored[row.contact]
        after = dict(row.change.after)
        plain = {name: after.pop(name) for name in ("stage", "owner") if name in after}
        updates.append(
            {
                "row_id": row.contact,
                "now_stage": plain.get("stage", holding.stage),
                "now_owner": plain.get("owner", holding.owner),
                "now_current": dump(_without_none(orjson.loads(holding.current) | after)),
                "now_base": dump(_without_none(orjson.loads(holding.base) | dict(row.change.after))),
                "now_attempts": holding.attempts + 1 if holding.base == _merged(holding.base, row) else 0,
            }
        )
    if updates:
        connection.execute(
            update(contact)
            .where(contact.c.id == bindparam("row_id"))
            .values(
                stage=bindparam("now_stage"),
                owner=bindparam("now_owner"),
                current=bindparam("now_current"),
                base=bindparam("now_base"),
                attempts=bindparam("now_attempts"),
                parked="",
            ),
            updates,
        )
    drop_sheets(connection, [row.contact for row in rows if "stage" in row.change.after])


def _merged(base: str, row: Row) -> str:
    return dump(_without_none(orjson.loads(base) | dict(row.change.after)))


def _without_none(values: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    return {name: value for name, value in values.items() if value is not None}


def _holdings(connection: Connection, row_ids: Sequence[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for some in chunks(row_ids, IN_LIST):
        query = select(
            contact.c.id, contact.c.stage, contact.c.owner, contact.c.current, contact.c.base, contact.c.attempts
        ).where(contact.c.id.in_(some))
        found |= {row.id: row for row in connection.execute(query)}
    return found


def retry_later(connection: Connection, row_ids: Sequence[int]) -> None:
    """These contacts are planned for again in the next run."""
    for some in chunks(row_ids, IN_LIST):
        statement = update(contact).where(contact.c.id.in_(some))
        connection.execute(statement.values(dirty=True, attempts=contact.c.attempts + 1))


def park(connection: Connection, row: Row, reason: str, now: int) -> None:
    """The CRM will not take this change: leave the contact alone for a while, or until something changes."""
    value = dump({"after": dict(row.change.after), "reason": reason, "at": now})
    connection.execute(update(contact).where(contact.c.id == row.contact).values(parked=value))


def unpark(connection: Connection, before: int) -> None:
    """Try again what was parked before an instant (milliseconds): somebody may have mended what was in its way."""
    query = select(contact.c.id, contact.c.parked).where(PARKED)
    ready = [row_id for row_id, parked in connection.execute(query) if orjson.loads(parked).get("at", 0) <= before]
    for some in chunks(ready, IN_LIST):
        connection.execute(update(contact).where(contact.c.id.in_(some)).values(parked="", attempts=0, dirty=True))


def bury(connection: Connection, row_ids: Sequence[int]) -> None:
    """These records are gone from the CRM: stop scoring and writing them."""
    for some in chunks(row_ids, IN_LIST):
        connection.execute(update(contact).where(contact.c.id.in_(some)).values(gone=True))
    outdate(connection, row_ids)


def state_counts(connection: Connection, run_id: str) -> dict[str, dict[str, int]]:
    """For each CRM how many of a run's changes are in each state."""
    query = select(change.c.crm, change.c.state, func.count()).where(change.c.run == run_id)
    counts: dict[str, dict[str, int]] = {}
    for crm, state, number in connection.execute(query.group_by(change.c.crm, change.c.state)):
        counts.setdefault(crm, {})[state] = number
    return counts


def pointers(connection: Connection) -> dict[str, str]:
    """For each pool the member whose turn it was last."""
    return dict(connection.execute(select(pointer.c.pool, pointer.c.last)).all())


def set_pointers(connection: Connection, pools: Mapping[str, str]) -> None:
    """Move the rotation."""
    upsert(connection, pointer, [{"pool": pool, "last": last} for pool, last in pools.items()])


def attempts(connection: Connection, row_id: int) -> int:
    """How often in a row a change to this contact did not go through, or had to be made again."""
    return connection.scalar(select(contact.c.attempts).where(contact.c.id == row_id)) or 0
