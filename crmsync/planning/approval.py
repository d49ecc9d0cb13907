"""Plans that wait for somebody's yes: what is approved is an effect, numbers of records, and no old values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import orjson
from sqlalchemy import Connection

from crmsync.errors import ConfigError
from crmsync.model import Change, Ref
from crmsync.planning.guard import ChangeCounts, a_tenth_more, is_materially_other
from crmsync.result import WaitingPlan, new_run_id
from crmsync.store import journal, run_journal
from crmsync.store.future import LEEWAY
from crmsync.store.sql import from_ms
from crmsync.store.undone import drop_dead_changes, release_plans

Numbers = Mapping[str, Mapping[str, int]]
"""By CRM and category of the guard: so many records."""

Kind = Literal["config", "data", "undo"]

GOOD_FOR = 86_400_000
"""Milliseconds for which an approval is good: what somebody agreed to is about that day's data."""


class Approval(NamedTuple):
    """What somebody agreed to: the plans, their numbers, and the people in them."""

    plans: Sequence[str] = ()
    numbers: Numbers = {}
    people: frozenset[int] = frozenset()


def find_approval(connection: Connection, config_hash: str, now: int) -> Approval:
    """What was approved for this config within the last day (`now` in milliseconds), and is not written yet.

    The numbers are, by CRM, a tenth more than could be seen when the plan got its id, less what was written of it.
    """
    rows = [row for row in run_journal.list_plans(connection, run_journal.APPROVED) if row.config == config_hash]
    rows = [row for row in rows if is_in_force(row, now)]
    numbers: dict[str, dict[str, int]] = {}
    for row in rows:
        plan = plan_of(row)
        for crm in plan["seen"].keys() - plan["used"]:
            mine, spent = numbers.setdefault(crm, {}), _count(journal.written_changes(connection, plan["runs"], crm))
            for name, number in plan["seen"][crm].items():
                mine[name] = max(mine.get(name, 0), a_tenth_more(number) - spent[name])
    plans = [row.id for row in rows]
    return Approval(plans, numbers, journal.people_of(connection, plans))


def is_in_force(row: Any, now: int) -> bool:
    """Whether an approval was given within the last day; one from the future was given by a clock that was wrong."""
    return -LEEWAY <= now - int(row.approved_at) <= GOOD_FOR


def _count(changes: Iterable[Change]) -> dict[str, int]:
    """How many records some changes concern in each category of the guard."""
    tally = ChangeCounts()
    for each in changes:
        # `scores` counts odd changes only, and an approval is spent in every category.
        tally.add(0, each, is_odd=True)
    return tally.numbers()


def find_plan(connection: Connection, config_hash: str, plan_id: str | None, now: int) -> Any:
    """The row of the plan that is meant; without an id the one that waits, else a preview that no run came after.

    Runs that are dated after `now` (milliseconds) say nothing of that.

    Raises `ConfigError` for a plan that cannot be approved, or that another config than this one (hash) made.
    """
    if plan_id is None:
        # A preview that a run has overtaken shows what may not be so any more.
        last = max((row.started for row in run_journal.recent_runs(connection, 1, now + LEEWAY)), default=0)
        fresh = [row for row in run_journal.list_plans(connection, run_journal.PREVIEW) if row.started > last]
        plans = [*run_journal.waiting_plans(connection), *fresh]
        usable = [row for row in plans if _is_of(connection, row, config_hash) and plan_of(row)["records"]]
        return next(iter(usable), None)
    found = run_journal.find_run(connection, plan_id)
    if found is None:
        meant = "; name the plan that you saw, by its id" if plan_id == "latest" else ""
        raise ConfigError(f"there is no plan {plan_id}{meant}", "crmsync status")
    if found.verdict not in run_journal.APPROVABLE:
        superseded = found.verdict == run_journal.SUPERSEDED
        why = "it is out of date or already applied" if superseded else "it is a run and not a plan"
        raise ConfigError(f"{plan_id} cannot be approved: {why}", "crmsync plan")
    if not _is_of(connection, found, config_hash):
        raise ConfigError(f"plan {plan_id} was made with another config", "crmsync plan")
    return found


def _is_of(connection: Connection, row: Any, config_hash: str) -> bool:
    """Whether a run with this config would write a plan; odd data wait under the config that was approved last."""
    adopted = run_journal.adopted_config(connection)
    waits_by_adopted = plan_of(row)["kind"] in ("data", "undo") and adopted is not None and row.config == adopted[0]
    return bool(row.config == config_hash or waits_by_adopted)


def plan_of(row: Any) -> dict[str, Any]:
    """What was written down of a plan.

    `kind`, `reasons`, `records` (of now) and `seen` (when it got its id); `runs` were to write it, and `used` are the
    CRMs that did.
    """
    return {"kind": "", "reasons": [], "records": {}, "seen": {}, "used": [], "runs": [], **orjson.loads(row.plan)}


def waiting_of(row: Any) -> WaitingPlan:
    """A plan that waits, as a run reports it."""
    plan = plan_of(row)
    return WaitingPlan(row.id, plan["kind"], plan["reasons"], plan["records"])


def plans_waiting(connection: Connection) -> list[WaitingPlan]:
    """The plans that wait, newest first."""
    return [waiting_of(row) for row in run_journal.waiting_plans(connection)]


def _of_kind(rows: Iterable[Any], kind: Kind) -> list[Any]:
    return [row for row in rows if plan_of(row)["kind"] == kind]


class Left(NamedTuple):
    """Who waits for a CRM that takes no part (people), and which CRMs these are: nothing is decided of that."""

    people: frozenset[int] = frozenset()
    crms: frozenset[str] = frozenset()


NOTHING_LEFT = Left()


def keep_waiting(
    connection: Connection,
    kind: Kind,
    hashes: tuple[str, str],
    records: Numbers,
    reasons: Sequence[str],
    now: int,
    *,
    left: Left = NOTHING_LEFT,
    limits: str = "",
) -> WaitingPlan | None:
    """Let a plan wait, if anything does; its changes are to be journaled under the id that this returns.

    One that waits already for the same config keeps its id and is brought up to date, unless it became another plan.
    What of it was `left` is part of the plan as it was; every other plan of its kind is out of date.
    """
    older = _of_kind(run_journal.waiting_plans(connection), kind)
    kept = [
        (change_id, change)
        for change_id, person, change in journal.waiting_rows(connection, [row.id for row in older])
        # This run decided nothing about them.
        if person in left.people or change.ref.crm in left.crms
    ]
    return _store_waiting(connection, kind, hashes, older, kept, records, reasons, now, limits)


def keep_undone(
    connection: Connection,
    hashes: tuple[str, str],
    undone: Sequence[tuple[int, Change]],
    decided: Collection[Ref],
    now: int,
) -> WaitingPlan | None:
    """Let what would be written wait where the same was undone: these changes (each with the row id of its record).

    What waits of records that were not `decided` about in this run goes on waiting.
    """
    older = _of_kind(run_journal.waiting_plans(connection), "undo")
    if not (older or undone):
        return None
    drop_dead_changes(connection, [row.id for row in older])
    kept = [
        (change_id, change)
        for change_id, _person, change in journal.waiting_rows(connection, [row.id for row in older])
        if change.ref not in decided and change.after
    ]
    records = _count_by_crm([change for _row, change in undone])
    whys = dict.fromkeys(change.because for _row, change in undone)
    reasons = [f"{why}; the same values wait until the config changes or this is approved" for why in whys]
    waiting = _store_waiting(connection, "undo", hashes, older, kept, records, reasons, now, "")
    if waiting is not None:
        journal.add_changes(connection, waiting.run, undone, now)
    return waiting


def release_undone(connection: Connection, plan_ids: Sequence[str]) -> dict[int, str]:
    """What waited since it was undone is written by the run that is planned now, where its plan was approved.

    Returns the owners that were to be given, by record (row id).
    """
    rows = [run_journal.find_run(connection, each) for each in plan_ids]
    return release_plans(connection, [row.id for row in _of_kind(rows, "undo")])


def tracks_undone(connection: Connection) -> bool:
    """Whether a plan waits of what was undone."""
    return bool(_of_kind(run_journal.waiting_plans(connection), "undo"))


def _store_waiting(
    connection: Connection,
    kind: Kind,
    hashes: tuple[str, str],
    older: Sequence[Any],
    kept: Sequence[tuple[int, Change]],
    records: Numbers,
    reasons: Sequence[str],
    now: int,
    limits: str,
) -> WaitingPlan | None:
    records = _summed(records, _count_by_crm([change for _id, change in kept]))
    if not any(counts["records"] for counts in records.values()):
        run_journal.supersede_plans(connection, [row.id for row in older])
        return None
    same = next((row for row in older if row.config == hashes[1]), None)
    seen = plan_of(same)["seen"] if same is not None else {}
    reasons = list(dict.fromkeys([*reasons, *(why for row in older if kept for why in plan_of(row)["reasons"])]))
    plan = {"kind": kind, "reasons": reasons, "records": records, "seen": seen, "limits": limits}
    ids = {change_id for change_id, _change in kept}
    if same is not None and not is_materially_other(seen, records):
        plan_id = same.id
        journal.refresh_plan(connection, plan_id, now, plan, but=ids)
    else:
        # A new id: whoever agreed to the old plan has not seen this one.
        plan_id = new_run_id(from_ms(now))
        run_journal.add_plan(connection, plan_id, run_journal.WAITING, hashes, now, {**plan, "seen": records})
    journal.move_changes(connection, sorted(ids), plan_id)
    run_journal.supersede_plans(connection, [row.id for row in older if row.id != plan_id])
    return WaitingPlan(plan_id, kind, reasons, {crm: dict(counts) for crm, counts in records.items()})


def _count_by_crm(changes: Sequence[Change]) -> dict[str, dict[str, int]]:
    crms = sorted({each.ref.crm for each in changes})
    return {crm: _count(each for each in changes if each.ref.crm == crm) for crm in crms}


def _summed(one: Numbers, other: Numbers) -> dict[str, dict[str, int]]:
    """The numbers of two plans that have no record in common; a CRM of which nothing waits is not there."""
    names = {crm: {**one.get(crm, {}), **other.get(crm, {})} for crm in {**one, **other}}
    summed = {
        crm: {name: one.get(crm, {}).get(name, 0) + other.get(crm, {}).get(name, 0) for name in counts}
        for crm, counts in names.items()
    }
    return {crm: counts for crm, counts in summed.items() if counts["records"]}


def people_left_waiting(connection: Connection, absent: Collection[str]) -> frozenset[int]:
    """The people of plans of odd data whose score would change in a CRM that takes no part: they go on waiting.

    Who only waits there for a first score does not: the other CRM gets theirs.
    """
    rows = _of_kind(run_journal.waiting_plans(connection), "data") if absent else []
    waiting = journal.waiting_rows(connection, [row.id for row in rows])
    return frozenset(
        person for _id, person, change in waiting if change.ref.crm in absent and change.before.get("score") is not None
    )


def people_with_odd_data(connection: Connection) -> frozenset[int]:
    """The people of plans of odd data that wait or were just approved."""
    plans = [*run_journal.waiting_plans(connection), *run_journal.list_plans(connection, run_journal.APPROVED)]
    return journal.people_of(connection, [row.id for row in _of_kind(plans, "data")])


def end_waiting(connection: Connection, kind: Kind) -> None:
    """Plans of this kind wait no longer: their cause has gone."""
    run_journal.supersede_plans(connection, [row.id for row in _of_kind(run_journal.waiting_plans(connection), kind)])


def take_up(connection: Connection, approval: Approval, run: str) -> dict[str, Any]:
    """A run is to write what was approved: note that, and say how what it writes compares with what was seen."""
    for plan_id in approval.plans:
        plan = plan_of(run_journal.find_run(connection, plan_id))
        run_journal.rewrite_plan(connection, plan_id, {**plan, "runs": [*plan["runs"], run]})
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
    for row in run_journal.list_plans(connection, run_journal.APPROVED):
        plan = plan_of(row)
        used = {*plan["used"], *(crms if row.id in plans else ())}
        if plan["seen"].keys() <= used or not is_in_force(row, now):
            run_journal.supersede_plans(connection, [row.id])
        elif used != set(plan["used"]):
            run_journal.rewrite_plan(connection, row.id, {**plan, "used": sorted(used)})
