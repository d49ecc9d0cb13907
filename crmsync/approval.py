"""Plans that wait for somebody's yes: what is approved is an effect, numbers of records, and no old values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import orjson
from sqlalchemy import Connection

from crmsync.errors import ConfigError
from crmsync.plan import is_materially_other
from crmsync.result import Waiting, new_run_id
from crmsync.store import journal
from crmsync.store.pulled import from_ms

Numbers = Mapping[str, Mapping[str, int]]
"""By CRM and category of the guard: so many records."""

Kind = Literal["config", "data"]


class Approval(NamedTuple):
    """What somebody agreed to: the plans, their numbers, and the people in them."""

    plans: Sequence[str] = ()
    numbers: Numbers = {}
    people: frozenset[int] = frozenset()


def find_approval(connection: Connection, config_hash: str) -> Approval:
    """What was approved for this config and not taken up yet."""
    rows = [row for row in journal.plans(connection, journal.APPROVED) if row.config == config_hash]
    numbers: dict[str, dict[str, int]] = {}
    for row in rows:
        for crm, counts in plan_of(row)["records"].items():
            mine = numbers.setdefault(crm, {})
            numbers[crm] = {name: max(number, mine.get(name, 0)) for name, number in counts.items()}
    plans = [row.id for row in rows]
    return Approval(plans, numbers, journal.people_of(connection, plans) if plans else frozenset())


def find_plan(connection: Connection, config_hash: str, plan_id: str | None) -> Any:
    """The row of the plan that is meant; without an id the one that waits, else a preview that no run came after.

    Raises `ConfigError` for a plan that cannot be approved, or that another config than this one (hash) made.
    """
    adopted = journal.adopted_config(connection)
    usable = {config_hash, *([adopted[0]] if adopted else [])}
    if plan_id is None:
        last = max((row.started for row in journal.recent_runs(connection, 1)), default=0)
        fresh = [row for row in journal.plans(connection, journal.PREVIEW) if row.started > last]
        plans = [*journal.waiting_plans(connection), *fresh]
        return next((row for row in plans if row.config in usable and plan_of(row)["records"]), None)
    found = journal.find_run(connection, plan_id)
    if found is None:
        raise ConfigError(f"there is no plan {plan_id}; see what waits with: crmsync status")
    if found.verdict not in (journal.PREVIEW, journal.WAITING, journal.APPROVED):
        ended = "out of date or already applied" if found.verdict == journal.SUPERSEDED else f"a run ({found.verdict})"
        raise ConfigError(f"{plan_id} does not wait for approval, it is {ended}; make a plan with: crmsync plan")
    if found.config not in usable:
        raise ConfigError(f"plan {plan_id} was made by another config; make one by this config with: crmsync plan")
    return found


def plan_of(row: Any) -> dict[str, Any]:
    """What was written down of a plan: `kind`, `reasons`, `records` (of now) and `seen` (when it got its id)."""
    return {"kind": "", "reasons": [], "records": {}, "seen": {}, **orjson.loads(row.plan)}


def keep_waiting(
    connection: Connection, kind: Kind, hashes: tuple[str, str], records: Numbers, reasons: Sequence[str], now: int
) -> Waiting:
    """Let a plan wait; its changes are to be journaled under the id that this returns.

    One that waits already for the same config keeps its id and is brought up to date, unless it became another plan.
    """
    older = [row for row in journal.waiting_plans(connection) if plan_of(row)["kind"] == kind]
    same = next((row for row in older if row.config == hashes[1]), None)
    if same is not None and not is_materially_other(plan_of(same)["seen"], records):
        plan_id, seen = same.id, plan_of(same)["seen"]
    else:
        plan_id, seen = new_run_id(from_ms(now)), records
    plan = {"kind": kind, "reasons": list(reasons), "records": records, "seen": seen}
    if same is not None and plan_id == same.id:
        journal.refresh_plan(connection, plan_id, now, plan)
    else:
        journal.add_plan(connection, plan_id, journal.WAITING, hashes, now, plan)
    journal.supersede(connection, [row.id for row in older if row.id != plan_id])
    return Waiting(plan_id, kind, list(reasons), {crm: dict(counts) for crm, counts in records.items()})


def end_waiting(connection: Connection, kind: Kind) -> None:
    """Plans of this kind wait no longer: their cause has gone."""
    rows = journal.waiting_plans(connection)
    journal.supersede(connection, [row.id for row in rows if plan_of(row)["kind"] == kind])


def take_up(connection: Connection, approval: Approval, run: str, crms: Sequence[str]) -> dict[str, Any]:
    """Close what was approved, once every CRM in it took part, and say how it compares with what `run` writes."""
    seen = dict(journal.values_of(connection, approval.plans))
    now = dict(journal.values_of(connection, [run]))
    if set(approval.numbers) <= set(crms):
        journal.supersede(connection, approval.plans)
    return {
        "plans": list(approval.plans),
        "as_seen": sum(seen.get(ref) == values for ref, values in now.items()),
        "other_values": sum(ref in seen and seen[ref] != values for ref, values in now.items()),
        "no_longer": len(seen.keys() - now.keys()),
        "new": len(now.keys() - seen.keys()),
    }
