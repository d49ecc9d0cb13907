"""Plans that wait for somebody's yes: what is approved is an effect, numbers of records, and no old values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

GOOD_FOR = 86_400_000
"""Milliseconds for which an approval is good: what somebody agreed to is about that day's data."""


class Approval(NamedTuple):
    """What somebody agreed to: the plans, their numbers, and the people in them."""

    plans: Sequence[str] = ()
    numbers: Numbers = {}
    people: frozenset[int] = frozenset()


def find_approval(connection: Connection, config_hash: str, now: int) -> Approval:
    """What was approved for this config within the last day (`now` in milliseconds), and is not written yet.

    The numbers are those that could be seen when the plan got its id, by CRM; what a CRM has used up is not there.
    """
    rows = [row for row in journal.plans(connection, journal.APPROVED) if row.config == config_hash]
    rows = [row for row in rows if now - row.approved_at <= GOOD_FOR]
    numbers: dict[str, dict[str, int]] = {}
    for row in rows:
        plan = plan_of(row)
        for crm in plan["seen"].keys() - plan["used"]:
            mine = numbers.setdefault(crm, {})
            numbers[crm] = {name: max(number, mine.get(name, 0)) for name, number in plan["seen"][crm].items()}
    plans = [row.id for row in rows]
    return Approval(plans, numbers, journal.people_of(connection, plans) if plans else frozenset())


def find_plan(connection: Connection, config_hash: str, plan_id: str | None) -> Any:
    """The row of the plan that is meant; without an id the one that waits, else a preview that no run came after.

    Raises `ConfigError` for a plan that cannot be approved, or that another config than this one (hash) made.
    """
    if plan_id is None:
        last = max((row.started for row in journal.recent_runs(connection, 1)), default=0)
        fresh = [row for row in journal.plans(connection, journal.PREVIEW) if row.started > last]
        plans = [*journal.waiting_plans(connection), *fresh]
        usable = [row for row in plans if _is_of(connection, row, config_hash) and plan_of(row)["records"]]
        return next(iter(usable), None)
    found = journal.find_run(connection, plan_id)
    if found is None:
        raise ConfigError(f"there is no plan {plan_id}; see what waits with: crmsync status")
    if found.verdict not in journal.APPROVABLE:
        ended = "out of date or already applied" if found.verdict == journal.SUPERSEDED else f"a run ({found.verdict})"
        raise ConfigError(f"{plan_id} does not wait for approval, it is {ended}; make a plan with: crmsync plan")
    if not _is_of(connection, found, config_hash):
        raise ConfigError(f"plan {plan_id} was made by another config; make one by this config with: crmsync plan")
    return found


def _is_of(connection: Connection, row: Any, config_hash: str) -> bool:
    """Whether a run with this config would write a plan; odd data wait under the config that was approved last."""
    adopted = journal.adopted_config(connection)
    waits_by_adopted = plan_of(row)["kind"] == "data" and adopted is not None and row.config == adopted[0]
    return bool(row.config == config_hash or waits_by_adopted)


def plan_of(row: Any) -> dict[str, Any]:
    """What was written down of a plan.

    `kind`, `reasons`, `records` (of now) and `seen` (when it got its id); `used` are the CRMs that wrote it.
    """
    return {"kind": "", "reasons": [], "records": {}, "seen": {}, "used": [], **orjson.loads(row.plan)}


def waiting_of(row: Any) -> Waiting:
    """A plan that waits, as a run reports it."""
    plan = plan_of(row)
    return Waiting(row.id, plan["kind"], plan["reasons"], plan["records"])


def plans_waiting(connection: Connection) -> list[Waiting]:
    """The plans that wait, newest first."""
    return [waiting_of(row) for row in journal.waiting_plans(connection)]


def keep_waiting(
    connection: Connection,
    kind: Kind,
    hashes: tuple[str, str],
    records: Numbers,
    reasons: Sequence[str],
    now: int,
    crms: Collection[str] = (),
) -> Waiting:
    """Let a plan wait; its changes are to be journaled under the id that this returns.

    One that waits already for the same config keeps its id and is brought up to date, unless it became another plan.
    Where it waits for a CRM that is not among those that took part, if these are given, the new part is added to it.
    """
    older = [row for row in journal.waiting_plans(connection) if plan_of(row)["kind"] == kind]
    same = next((row for row in older if row.config == hashes[1]), None)
    before = plan_of(same) if same is not None else {"records": {}, "seen": {}, "reasons": []}
    added = bool(crms) and not before["records"].keys() <= set(crms)
    if added:
        records = _summed(before["records"], records)
        reasons = list(dict.fromkeys([*before["reasons"], *reasons]))
    plan = {"kind": kind, "reasons": list(reasons), "records": records, "seen": before["seen"]}
    if same is not None and (added or not is_materially_other(before["seen"], records)):
        plan_id = same.id
        journal.refresh_plan(connection, plan_id, now, plan, drop=not added)
    else:
        plan_id = new_run_id(from_ms(now))
        journal.add_plan(connection, plan_id, journal.WAITING, hashes, now, {**plan, "seen": records})
    journal.supersede(connection, [row.id for row in older if row.id != plan_id])
    return Waiting(plan_id, kind, list(reasons), {crm: dict(counts) for crm, counts in records.items()})


def _summed(one: Numbers, other: Numbers) -> dict[str, dict[str, int]]:
    """The numbers of two plans that have no record in common."""
    return {
        crm: {
            name: one.get(crm, {}).get(name, 0) + other.get(crm, {}).get(name, 0)
            for name in {**one.get(crm, {}), **other.get(crm, {})}
        }
        for crm in {**one, **other}
    }


def people_left_waiting(connection: Connection, crms: Collection[str]) -> frozenset[int]:
    """The people of plans of odd data that wait for a CRM which takes no part: nothing is decided of them."""
    rows = [row for row in journal.waiting_plans(connection) if plan_of(row)["kind"] == "data"]
    left = [row.id for row in rows if not plan_of(row)["records"].keys() <= set(crms)]
    return journal.people_of(connection, left) if left else frozenset()


def people_with_odd_data(connection: Connection) -> frozenset[int]:
    """The people of plans of odd data that wait, whatever they wait for."""
    rows = [row.id for row in journal.waiting_plans(connection) if plan_of(row)["kind"] == "data"]
    return journal.people_of(connection, rows) if rows else frozenset()


def end_waiting(connection: Connection, kind: Kind, crms: Collection[str] | None = None) -> None:
    """Plans of this kind wait no longer, since their cause has gone; with `crms` those that concern these alone."""
    rows = [each for each in plans_waiting(connection) if each.kind == kind]
    journal.supersede(connection, [each.run for each in rows if crms is None or each.records.keys() <= set(crms)])


def compare_plans(connection: Connection, approval: Approval, run: str) -> dict[str, Any]:
    """How what a run writes compares with what was approved."""
    seen = dict(journal.values_of(connection, approval.plans))
    now = dict(journal.values_of(connection, [run]))
    return {
        "plans": list(approval.plans),
        "as_seen": sum(seen.get(ref) == values for ref, values in now.items()),
        "other_values": sum(ref in seen and seen[ref] != values for ref, values in now.items()),
        "no_longer": len(seen.keys() - now.keys()),
        "new": len(now.keys() - seen.keys()),
    }


def use_up(connection: Connection, plans: Sequence[str], crms: Collection[str], now: int) -> None:
    """These CRMs have written what was approved, and may not a second time; what nobody used within a day is void."""
    for row in journal.plans(connection, journal.APPROVED):
        plan = plan_of(row)
        used = {*plan["used"], *(crms if row.id in plans else ())}
        if plan["seen"].keys() <= used or now - row.approved_at > GOOD_FOR:
            journal.supersede(connection, [row.id])
        elif used != set(plan["used"]):
            journal.rewrite_plan(connection, row.id, {**plan, "used": sorted(used)})
