"""The journal of runs: each run and how it ended, the plans that wait, and the config that was last planned for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, update

from crmsync.store.schema import (
    OPEN,
    change,
    model,
    note,
    past_field,
    protected,
    run,
    stage_entry,
    writer,
)
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, upsert
from crmsync.store.versions import add_version

FULL_RUNS = ("backfill", "full_resync")
"""The commands of runs that pull everything."""

PREVIEW, WAITING, APPROVED, SUPERSEDED = "preview", "waiting", "approved", "superseded"
"""What a plan is that no run wrote: looked at, waiting for approval, approved and to be written, out of date."""

PLANS = (PREVIEW, WAITING, APPROVED, SUPERSEDED)

APPROVABLE = (PREVIEW, WAITING, APPROVED)

GOOD = ("ok", "partial", "held")
"""How a run ends that wrote what it could."""

PREVIEWS_KEPT = 30 * 86_400_000
"""Milliseconds for which the changes of a plan that nobody applied are kept."""

ADOPTED = "config"
"""The note that says with which config (by its hash) the state was last planned for; one for each CRM is beside it."""


def begin_run(
    connection: Connection, run_id: str, command: str, now: int, hashes: tuple[str, str], config_text: str
) -> None:
    """Write that a run has started, and with which model and config (hashes); whatever ran before was cut off."""
    keep_text(connection, hashes[1], config_text, now)
    cut_off = {"verdict": "failed", "ended": now, "result": dump_json({"problems": ["it was interrupted"]})}
    # There is one writer: whatever still runs by now was cut off.
    connection.execute(update(run).where(run.c.verdict == "running").values(cut_off))
    row = {"id": run_id, "command": command, "started": now, "model": hashes[0], "config": hashes[1]}
    connection.execute(run.insert().values(**row, verdict="running"))


def keep_text(connection: Connection, config_hash: str, text: str, now: int) -> None:
    """Keep the text of a config: the last approved one goes on scoring while another one waits."""
    if connection.scalar(select(model.c.hash).where(model.c.hash == config_hash)) is None:
        connection.execute(model.insert().values(hash=config_hash, text=text, first_used=now))


def end_run(connection: Connection, run_id: str, now: int, verdict: str, result: Mapping[str, Any]) -> None:
    """Write how a run ended."""
    connection.execute(
        update(run).where(run.c.id == run_id).values(ended=now, verdict=verdict, result=dump_json(result))
    )


def find_run(connection: Connection, run_id: str) -> Any:
    """The row of a run or plan, or `None`."""
    return connection.execute(select(run).where(run.c.id == run_id)).first()


def recent_runs(connection: Connection, most: int, until: int | None = None) -> list[Any]:
    """The latest runs that began until an instant (milliseconds), newest first; plans that no run wrote are none."""
    query = select(run).where(run.c.verdict.not_in(PLANS), *(() if until is None else (run.c.started <= until,)))
    return list(connection.execute(query.order_by(run.c.started.desc(), run.c.id.desc()).limit(most)))


def adopted_config(connection: Connection) -> tuple[str, str] | None:
    """The hash and text of the config with which the state was last planned for; `None` before the first time."""
    adopted = select(note.c.value).where(note.c.crm == "", note.c.name == ADOPTED)
    found = connection.execute(select(model.c.hash, model.c.text).where(model.c.hash == adopted.scalar_subquery()))
    row = found.first()
    return None if row is None else (row.hash, row.text)


def adopted_configs(connection: Connection) -> dict[str, str]:
    """For each CRM the config (hash) with which its records were last planned for."""
    query = select(note.c.name, note.c.value).where(note.c.crm == "", note.c.name.startswith(f"{ADOPTED}:"))
    return {name.removeprefix(f"{ADOPTED}:"): value for name, value in connection.execute(query)}


def adopt_config(
    connection: Connection, config_hash: str, crms: Collection[str], configured: Collection[str], now: int
) -> None:
    """From `now` on (milliseconds) this config is the one that was approved; these CRMs were planned for with it.

    Another one than before is a version of the model. Of a CRM that is not `configured` any more nothing is
    remembered: all of it is planned for when it comes back.
    """
    add_version(connection, config_hash, now)
    known = {f"{ADOPTED}:{crm}" for crm in configured}
    gone = note.c.name.startswith(f"{ADOPTED}:") & note.c.name.not_in(known)
    connection.execute(delete(note).where(note.c.crm == "", gone))
    names = [ADOPTED, *(f"{ADOPTED}:{crm}" for crm in crms)]
    upsert(connection, note, [{"crm": "", "name": name, "value": config_hash} for name in names])


def worker_config(connection: Connection) -> str:
    """The config (hash) that the daemon on this state was started with; empty where there is none at work."""
    return connection.scalar(select(writer.c.config)) or ""


def set_worker_config(connection: Connection, config_hash: str) -> None:
    """The present writer is a daemon, and works by this config."""
    connection.execute(update(writer).values(config=config_hash))


def add_plan(
    connection: Connection, plan_id: str, verdict: str, hashes: tuple[str, str], now: int, plan: Mapping[str, Any]
) -> None:
    """Write down a plan that no run writes yet: its numbers, its kind and why it waits."""
    row = {"id": plan_id, "command": "plan", "started": now, "ended": now, "model": hashes[0], "config": hashes[1]}
    connection.execute(
        run.insert().values(**row, verdict=verdict, plan=dump_json(dict(plan)), result=dump_json(dict(plan)))
    )


def plan_owners(connection: Connection, plan_id: str) -> dict[tuple[str, str], str]:
    """What to call the owners that a preview was made with, by CRM and id."""
    text = connection.scalar(select(run.c.plan).where(run.c.id == plan_id))
    owners: Mapping[str, str] = orjson.loads(text or "{}").get("owners", {})
    return {(crm, owner_id): name for each, name in owners.items() for crm, _, owner_id in (each.partition(":"),)}


def rewrite_plan(connection: Connection, plan_id: str, plan: Mapping[str, Any]) -> None:
    """Store what is written down of a plan."""
    text = dump_json(dict(plan))
    connection.execute(update(run).where(run.c.id == plan_id).values(plan=text, result=text))


def waiting_plans(connection: Connection) -> list[Any]:
    """The plans that wait for approval, newest first."""
    return list_plans(connection, WAITING)


def list_plans(connection: Connection, verdict: str) -> list[Any]:
    """The plans in one state, newest first."""
    query = select(run).where(run.c.verdict == verdict)
    return list(connection.execute(query.order_by(run.c.started.desc(), run.c.id.desc())))


def supersede_plans(connection: Connection, plan_ids: Sequence[str]) -> None:
    """These plans wait no longer: their cause has gone, or another one took their place."""
    for some in in_chunks(plan_ids, IN_LIST):
        for table in (change, protected):
            connection.execute(delete(table).where(table.c.run.in_(some)))
        connection.execute(update(run).where(run.c.id.in_(some)).values(verdict=SUPERSEDED))


def approve_plan(connection: Connection, plan_id: str, now: int, by: str) -> bool:
    """Somebody agreed to a plan: the next run with its config writes what is right then, within its numbers.

    False where it cannot be approved any more: another one came first, or its cause has gone.
    """
    values = {"verdict": APPROVED, "approved_at": now, "approved_by": by}
    waits = (run.c.id == plan_id) & run.c.verdict.in_(APPROVABLE)
    return bool(connection.execute(update(run).where(waits).values(values)).rowcount)


def prune_runs(connection: Connection, before: int, now: int) -> None:
    """Forget runs that started before an instant, with their changes; those with changes still to be made stay.

    The changes of plans that nobody applied go earlier.
    """
    # A run with open changes stays, or nobody would find out what became of them.
    undone = select(change.c.run).where(OPEN, change.c.run.in_(select(run.c.id).where(run.c.verdict.not_in(PLANS))))
    waits = run.c.verdict.in_((WAITING, APPROVED))
    past = run.c.started < before, run.c.id.not_in(undone), ~waits
    old = list(connection.scalars(select(run.c.id).where(*past)))
    looked_at = select(run.c.id).where(run.c.verdict == PREVIEW, run.c.started < now - PREVIEWS_KEPT)
    # The row stays, to say what became of the plan; its changes are what takes room.
    supersede_plans(connection, list(connection.scalars(looked_at)))
    for some in in_chunks(old, IN_LIST):
        for table in (change, protected):
            connection.execute(delete(table).where(table.c.run.in_(some)))
        connection.execute(delete(run).where(run.c.id.in_(some)))
    connection.execute(delete(past_field).where(past_field.c.until < before))
    connection.execute(delete(stage_entry).where(stage_entry.c.at < before))


def last_full_pull(connection: Connection, now: int) -> int | None:
    """When everything was last pulled (milliseconds): the latest full run that ended, else the very first run.

    One that is dated after `now` says nothing of that.
    """
    past = run.c.started <= now
    full = select(func.max(run.c.started)).where(run.c.command.in_(FULL_RUNS), run.c.verdict.in_(GOOD), past)
    # The first run of a state reads everything, whatever its command is.
    last: int | None = connection.scalar(full) or connection.scalar(select(func.min(run.c.started)).where(past))
    return last
