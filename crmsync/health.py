"""How things stand: the last runs, what the state holds, and whether the worker is keeping up with its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from crmsync.config import Config, Schedule
from crmsync.report import in_order, minute
from crmsync.schedule import trigger_of
from crmsync.store import asked, journal, scored
from crmsync.store.database import Store
from crmsync.store.pulled import from_ms

LOOKED_AT = 500
"""Runs among which the last good one is looked for."""

PARKED = 20
"""Parked changes that the status names."""


def status(config: Config, store: Store, now: datetime, runs: int = 10) -> dict[str, Any]:
    """Everything `crmsync status` says. Raises `StateError` when the state cannot be read."""
    with store.read() as reading:
        recent = journal.recent_runs(reading, LOOKED_AT)
        crms = {
            crm: {**each, "last_good": _last_good_of(crm, recent)} for crm, each in asked.crm_counts(reading).items()
        }
        document = {
            "state": store.url,
            "crms": crms,
            "bands": in_order(scored.band_counts(reading), config.band_names()),
            "runs": [_run(each) for each in recent[:runs]],
            "feeds": _feeds(reading, now),
            "parked": [_parked(each) for each in asked.parked_changes(reading, PARKED)],
            "waiting": [each.id for each in recent[:1] if each.verdict in ("unsafe", "dry")],
        }
    problems = stale(config.schedule, recent, now)
    return {**document, "held_by": asked.held_by(store), "healthy": not problems, "health": problems}


def health(config: Config, store: Store, now: datetime) -> list[str]:
    """Why the worker is not healthy, in sentences; empty when it is. Raises `StateError` for a state beyond reading."""
    with store.read() as reading:
        return stale(config.schedule, journal.recent_runs(reading, LOOKED_AT), now)


def stale(schedule: Schedule, recent: Sequence[Any], now: datetime) -> list[str]:
    """Whether the last good run (of rows of `run`, newest first) is older than the schedule allows.

    Two ticks may pass, and the deadline of a cycle. Who never had a good run counts from the first one that began.
    """
    if not recent:
        return ["No run yet. Next: crmsync backfill"]
    good = next((each for each in recent if each.verdict in ("ok", "partial")), None)
    since = from_ms(good.ended if good else recent[-1].started)
    trigger, due = trigger_of(schedule), since
    for _tick in range(2):
        due = trigger.get_next_fire_time(due, due) or due
    limit = due + schedule.deadline
    if now <= limit:
        return []
    last = f"the last good run ended at {minute(since)}" if good else f"no run was good since {minute(since)}"
    newest = f", and the newest one, {recent[0].id}, is {recent[0].verdict}" if recent[0] is not good else ""
    return [f"Out of date: {last}{newest}. A good one was due by {minute(limit.astimezone(UTC))}."]


def _last_good_of(crm: str, recent: Sequence[Any]) -> str | None:
    """When the last run ended in which this CRM took part to the end."""
    for each in recent:
        result = orjson.loads(each.result)
        sat_out = any(problem.startswith(f"{crm}: ") for problem in result.get("problems", ()))
        if each.verdict in ("ok", "partial") and crm in result.get("crms", ()) and not sat_out:
            return minute(from_ms(each.ended))
    return None


def _run(row: Any) -> dict[str, Any]:
    result = orjson.loads(row.result)
    crms = result.get("crms", {})
    return {
        "run": row.id,
        "command": row.command,
        "verdict": row.verdict,
        "started": minute(from_ms(row.started)),
        "ended": minute(from_ms(row.ended)) if row.ended else None,
        "seconds": round(sum(each["seconds"] for each in crms.values()), 3) if crms else None,
        "crms": crms,
        "problems": result.get("problems", []),
    }


def _feeds(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    return [
        {"crm": crm, "kind": kind, "activities": many, "last": minute(datetime.fromtimestamp(last, UTC))}
        for crm, kind, many, last in asked.feeds(connection, int(now.timestamp()))
    ]


def _parked(row: Any) -> dict[str, Any]:
    parked = orjson.loads(row.parked)
    return {"ref": f"{row.crm}:{row.kind}:{row.ref_id}", "reason": parked.get("reason", ""), "after": parked["after"]}
