"""How things stand: the last runs, what waits, what the state holds, and whether each CRM is kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, make_url

from crmsync.config import Config
from crmsync.config.worker import Schedule
from crmsync.dead_feeds import DeadFeed, find_dead_feeds, find_holds
from crmsync.planning.approval import find_plan, is_in_force, plan_of
from crmsync.planning.review import group_refusals
from crmsync.reporting.alert_status import alerts_document
from crmsync.reporting.console import count_of, format_minute, in_order
from crmsync.reporting.event_sources import NO_EVENTS, sources_document
from crmsync.reporting.handed_over import feedback_counts, override_counts, sla_counts
from crmsync.reporting.standing import (
    api_document,
    freshness_document,
    list_movements,
    list_reviews,
    next_run_document,
    review_document,
    unowned_document,
)
from crmsync.reporting.tiers import list_tiers
from crmsync.reporting.versions import accepted_document, governance_document
from crmsync.store import run_journal
from crmsync.store.address import shown_address
from crmsync.store.database import Store, held_by
from crmsync.store.feed_days import DAY, read_feed_days
from crmsync.store.future import LEEWAY
from crmsync.store.pausing import Pause, find_pause, last_pause
from crmsync.store.queries import (
    NONE,
    count_feeds,
    crm_counts,
    held_bands,
    parked_changes,
    refused_records,
    waiting_bands,
)
from crmsync.store.scores import count_unassigned
from crmsync.store.sql import from_ms, to_ms
from crmsync.store.undone import UNDO

LOOKED_AT = 500
"""Runs among which the last good one is looked for."""

EXAMPLES = 20
"""Records on hold that the status names."""

LONG_WAIT = timedelta(days=1)
"""How long a plan may wait for approval before that is a fault."""

MANY = 10
"""Refused changes that are no chance any more, in a CRM of any size."""

CUT_OFF = "it was interrupted"
IN_FUTURE = "its date is in the future: this machine's clock is or was wrong"

Typed = Callable[[str], str]
"""A command as it must be typed here."""


class PastRun(NamedTuple):
    """A run as it ended; `result` is its document, and `ended` is `None` while it is under way."""

    id: str
    command: str
    verdict: str
    started: datetime
    ended: datetime | None
    result: Mapping[str, Any]


def status_document(
    config: Config, store: Store | None, now: datetime, typed: Typed = str, *, runs: int = 10, feeds: bool = False
) -> dict[str, Any]:
    """Everything `crmsync status` says; with `feeds` what every activity source has brought, which reads them all.

    Raises `StateError` when the state cannot be read.
    """
    if store is None:
        return _without_state(config, now, typed, feeds)
    holder = held_by(store)
    with store.read() as reading:
        past = read_past_runs(reading, lambda: holder, now)
        counts = crm_counts(reading)
        waiting = [describe_waiting(row, typed) for row in run_journal.waiting_plans(reading)]
        owners = count_unassigned(reading)
        said = _health(config, reading, past, waiting, lambda: counts, now, typed)
        results = [each.result for each in past]
        crms = {
            crm: {**NONE, **counts.get(crm, {}), **api_document(crm, results)}
            for crm in dict.fromkeys((*config.crms, *counts))
        }
        return {
            "state": store.url,
            "paused": said["paused"],
            "crms": {crm: {**each, **_standing(crm, past, said)} for crm, each in crms.items()},
            "events": {
                each.name: {**sources_document(reading, each.name), **_standing(each.name, past, said, "events")}
                for each in config.events
            },
            "bands": in_order(held_bands(reading, config.band_names()), config.band_names()),
            "bands_waiting": in_order(waiting_bands(reading, config.band_names()), config.band_names()),
            "accepted": accepted_document(config, reading, now),
            "runs": [_run(each) for each in past[:runs]],
            "waiting": waiting,
            "approved": _approved(reading, now),
            "qualified": list_movements(config, reading, now),
            "without_owner": unowned_document(config, reading),
            "waiting_for_owner": {"count": sum(owners.values()), "reasons": owners},
            "feedback": feedback_counts(config, reading),
            "sla": sla_counts(config, reading, now),
            **override_counts(config, reading, now),
            "refused": group_refusals(refused_records(reading), typed),
            "on_hold": [_parked(each) for each in parked_changes(reading, EXAMPLES)],
            **({"feeds": _feeds(reading, now)} if feeds else {}),
            "holds": [each.as_json() for each in find_holds(read_feed_days(reading), config, now)],
            "tiers": list_tiers(config, reading, now),
            "alerts": alerts_document(config, reading, typed),
            "review": review_document(config, now),
            "reviews": list_reviews(config, now),
            "models": governance_document(config, reading, now, typed),
            "next_run": next_run_document(config, reading, holder, now, typed, _seconds_of_good(past)),
            "freshness": freshness_document(config, reading, now),
            "held_by": holder,
            "healthy": said["healthy"],
            "health": said["health"],
        }


def health_document(config: Config, store: Store | None, now: datetime, typed: Typed = str) -> dict[str, Any]:
    """Whether each CRM is kept up to date, and if not, why: `healthy`, `crms` with `healthy` and `why`, `health`.

    While it is `paused` all is well.

    Raises `StateError` for a state beyond reading.
    """
    if store is None:
        return _no_run(config, typed)
    with store.read() as reading:
        waiting = [describe_waiting(row, typed) for row in run_journal.waiting_plans(reading)]
        past = read_past_runs(reading, lambda: held_by(store), now)
        return _health(config, reading, past, waiting, lambda: crm_counts(reading), now, typed)


def refused_document(store: Store | None, typed: Typed = str) -> dict[str, Any]:
    """What the CRMs will not take at present, by cause, all of it. Raises `StateError` for a state beyond reading."""
    if store is None:
        return {"refused": []}
    with store.read() as reading:
        return {"refused": group_refusals(refused_records(reading), typed)}


def _no_run(config: Config, typed: Typed, plan: str | None = None) -> dict[str, Any]:
    """What is said before the first run, also where somebody has already made a `plan` (its id)."""
    sentence = f"No run yet. Next: {typed('crmsync plan')}"
    if plan is not None:
        sentence = f"No run yet, but plan {plan} can be written. Next: {typed(f'crmsync apply {plan}')}"
    crms = {crm: {"healthy": False, "why": sentence} for crm in config.crms}
    events = {each.name: {"healthy": False, "why": sentence} for each in config.events}
    return {"healthy": False, "crms": crms, "events": events, "health": [sentence], "paused": None}


def pause_document(pause: Pause | None) -> dict[str, Any] | None:
    """A pause with its instants as ISO texts; `None` where none holds."""
    if pause is None:
        return None
    until = None if pause.until is None else from_ms(pause.until).isoformat()
    return {"since": from_ms(pause.since).isoformat(), "until": until, "why": pause.why}


def _without_state(config: Config, now: datetime, typed: Typed, feeds: bool) -> dict[str, Any]:
    said = _no_run(config, typed)
    return {
        "state": shown_address(make_url(config.state.url)),
        "paused": None,
        "crms": {crm: {**NONE, **api_document(crm, ()), "last_good": None, **said["crms"][crm]} for crm in config.crms},
        "events": {name: {**NO_EVENTS, "last_good": None, **each} for name, each in said["events"].items()},
        "bands": {},
        "bands_waiting": {},
        "accepted": None,
        "runs": [],
        "waiting": [],
        "approved": [],
        "qualified": [],
        "without_owner": {"count": 0, "qualified": 0},
        "waiting_for_owner": {"count": 0, "reasons": {}},
        "feedback": {},
        "sla": None,
        "overrides": [],
        "overrides_by_rep": [],
        "refused": [],
        "on_hold": [],
        "holds": [],
        "tiers": list_tiers(config, None, now),
        **({"feeds": []} if feeds else {}),
        "alerts": alerts_document(config, None, typed),
        "review": review_document(config, now),
        "reviews": list_reviews(config, now),
        "models": {"current": None, "without_reason": [], "loosened": []},
        "next_run": next_run_document(config, None, None, now, typed),
        "freshness": freshness_document(config, None, now),
        "held_by": None,
        "healthy": False,
        "health": said["health"],
    }


def read_past_runs(reading: Connection, holder: Callable[[], str | None], now: datetime) -> list[PastRun]:
    """The last runs, newest first. One that came to no end is under way only while somebody holds the state.

    Who holds it is asked for only where that decides: whoever starts to write at that very instant would be refused.
    Runs of the future are left out, and where there are no others none of them was good.
    """
    found, until = [], to_ms(now) + LEEWAY
    for place, row in enumerate(
        run_journal.recent_runs(reading, LOOKED_AT, until) or run_journal.recent_runs(reading, 1)
    ):
        verdict, result = row.verdict, orjson.loads(row.result)
        if row.started > until:
            verdict, result = "failed", {"problems": [IN_FUTURE]}
        # There is one writer, so that only the newest run can be under way.
        elif verdict == "running" and (place or holder() is None):
            verdict, result = "failed", {"problems": [CUT_OFF]}
        ended = from_ms(row.ended) if row.ended else None
        found.append(PastRun(row.id, row.command, verdict, from_ms(row.started), ended, result))
    return found


def _health(
    config: Config,
    reading: Connection,
    past: Sequence[PastRun],
    waiting: Sequence[Mapping[str, Any]],
    counts: Callable[[], Mapping[str, Mapping[str, Any]]],
    now: datetime,
    typed: Typed,
) -> dict[str, Any]:
    """Whether all is well; `counts` are asked for only where they decide, as they take a while."""
    if paused := find_pause(reading, to_ms(now)):
        well = {name: {"healthy": True, "why": ""} for name in config.source_names()}
        return {"healthy": True, **_part_sources(config, well), "health": [], "paused": pause_document(paused)}
    past = [each for each in past if each.command != UNDO]  # it brings nothing up to date
    if not past and not waiting:
        seen = find_plan(reading, config.decision_hash(), None, to_ms(now))
        return _no_run(config, typed, seen.id if seen else None)
    dead, before = list_dead_feeds(config, reading, now), last_pause(reading)
    resumed = from_ms(before.until) if before is not None and before.until is not None else None
    crms = {}
    for crm in config.source_names():
        why = why_stale(config.schedule, crm, past, now, typed, resumed)
        if not why and _is_all_refused(_last_planned(crm, past)):
            why = why_refused(crm, past, counts().get(crm, {}), typed)
        why = why or _why_dead([each for each in dead if each.crm == crm])
        crms[crm] = {"healthy": not why, "why": why}
    late = [said for plan in waiting if (said := _why_late(plan, now))]
    health = [f"{crm}: {each['why']}" for crm, each in crms.items() if each["why"]] + late
    return {"healthy": not health, **_part_sources(config, crms), "health": health, "paused": None}


def _part_sources(config: Config, by_name: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The same for CRMs and for sources of events."""
    events = {each.name for each in config.events}
    crms = {name: it for name, it in by_name.items() if name not in events}
    return {"crms": crms, "events": {name: it for name, it in by_name.items() if name in events}}


def why_stale(
    schedule: Schedule,
    crm: str,
    past: Sequence[PastRun],
    now: datetime,
    typed: Typed = str,
    resumed: datetime | None = None,
) -> str:
    """Why a CRM is out of date by its runs (newest first); empty where the last good one is not older than allowed.

    Where a pause ended after that, at `resumed`, it counts from there. Two ticks may pass, and the stall timeout of a
    run, while the first one is under way too. What does not mend itself is told at once, and so is a CRM that the
    newest run failed for when none ever was good.
    """
    good = next((each for each in past if is_good_for(crm, each)), None)
    newest = next((each for each in past if each.verdict != "running"), None)
    since = (good.ended if good else past[-1].started if past else None) or now
    last = f"no successful run {'' if good else 'yet, '}since {format_minute(since)}"
    needs_action = newest is not None and crm in newest.result.get("needs_action", ())
    if needs_action or (newest is not None and good is None and not _is_of_others(crm, newest)):
        return f"{last}. {_last_trouble(crm, past, good, typed)}"
    limit = _due_by(schedule, max(since, resumed or since))
    if now <= limit:
        return ""
    return f"{last}; one was due by {format_minute(limit)}. {_last_trouble(crm, past, good, typed)}"


def _is_of_others(crm: str, run: PastRun) -> bool:
    """Whether a run went well and did not know a CRM: the config has got it since."""
    return run.verdict in run_journal.GOOD and crm not in _counts_of(run)


def _counts_of(run: PastRun) -> Mapping[str, Any]:
    """What a run counted, by CRM and by source of events."""
    return {**run.result.get("events", {}), **run.result.get("crms", {})}


def _due_by(schedule: Schedule, since: datetime) -> datetime:
    if schedule.cron is None:
        return (since + 2 * schedule.every + schedule.stall_timeout).astimezone(UTC)
    # Here, because APScheduler, which reads a cron line, takes a while to load.
    from crmsync.daemon.triggers import trigger_of

    trigger, due = trigger_of(schedule), since
    for _tick in range(2):
        due = trigger.get_next_fire_time(due, due) or due
    return (due + schedule.stall_timeout).astimezone(UTC)


def is_good_for(crm: str, run: PastRun) -> bool:
    """Whether a run brought a CRM up to date: it took part to the end, and not every change was refused."""
    counts = _counts_of(run).get(crm)
    if run.verdict not in run_journal.GOOD or counts is None or crm in run.result.get("skipped", {}):
        return False
    return not _is_all_refused(counts)


def _is_all_refused(counts: Mapping[str, Any]) -> bool:
    refused = counts.get("rejected", 0) + counts.get("unknown", 0)
    return bool(refused) and refused == counts.get("planned", 0)


def _last_trouble(crm: str, past: Sequence[PastRun], good: PastRun | None, typed: Typed) -> str:
    """What kept the newest run from being good for a CRM, and what to do."""
    newest = next((each for each in past if each.verdict != "running"), None)
    if newest is None or newest is good:
        return f"No run since then: check that crmsync run is running, or start one: {typed('crmsync sync')}"
    if why := newest.result.get("skipped", {}).get(crm):
        return f"Run {newest.id} skipped it: {why}"
    if counts := _counts_of(newest).get(crm):
        if _is_all_refused(counts):
            said = f"In run {newest.id} the CRM accepted none of {count_of(counts['planned'], 'update')}"
            return f"{said}. To see why: {typed('crmsync status')}"
        reasons = newest.result.get("problems") or ["no reason was given"]
        return f"Run {newest.id} failed: {'; '.join(reasons)}"
    if newest.verdict in run_journal.GOOD:
        return f"Run {newest.id} used a config without this CRM: restart crmsync run"
    reasons = newest.result.get("problems") or ["no reason was given"]
    return f"Run {newest.id} failed: {'; '.join(reasons)}. To try again: {typed('crmsync sync')}"


def why_refused(crm: str, past: Sequence[PastRun], counts: Mapping[str, Any], typed: Typed = str) -> str:
    """That the CRM takes nothing at all any more: all of what a run last wanted of it, and that still is on hold."""
    last = _last_planned(crm, past)
    refused, on_hold, records = last.get("planned", 0), counts.get("on_hold", 0), counts.get("records", 0)
    if not (on_hold and _is_all_refused(last)) or (refused < MANY and 2 * on_hold < records):
        return ""
    planned = [each for each in past if each.result.get("crms", {}).get(crm, {}).get("planned")]
    first = list(takewhile(lambda each: _is_all_refused(each.result["crms"][crm]), planned))[-1]
    said = f"since {format_minute(first.started)} it accepts none of our updates; {count_of(on_hold, 'record')} on hold"
    return f"{said}. To see why: {typed('crmsync status')}"


def list_dead_feeds(config: Config, reading: Connection, now: datetime) -> list[DeadFeed]:
    return find_dead_feeds(read_feed_days(reading), config.feeds, int(now.timestamp()) // DAY)


def _why_dead(dead: Sequence[DeadFeed]) -> str:
    """That kinds of activity come no more, and what to look at."""
    if not dead:
        return ""
    said = ", ".join(
        f"no {each.kind} for {count_of(each.silent, 'day')} (longest pause before: {count_of(each.pause, 'day')})"
        for each in dead
    )
    return (
        f"{said}; check that it is still tracked and that the integration user may read it, "
        "or allow a longer pause in [feeds]"
    )


def _last_planned(crm: str, past: Sequence[PastRun]) -> Mapping[str, Any]:
    """The counts of the newest run that wanted something of a CRM."""
    counts = (run.result.get("crms", {}).get(crm, {}) for run in past)
    return next((each for each in counts if each.get("planned")), {})


def _why_late(plan: Mapping[str, Any], now: datetime) -> str:
    if plan["kind"] == "undo":
        return ""  # somebody decided that, and it may stay so
    since = datetime.fromisoformat(plan["since"])
    if now - since <= LONG_WAIT:
        return ""
    return (
        f"Plan {plan['run']} has waited for approval since {format_minute(since)}. To see and approve it: "
        f"{plan['next']}"
    )


def describe_waiting(row: Any, typed: Typed) -> dict[str, Any]:
    plan = plan_of(row)
    return {
        "run": row.id,
        **{name: plan[name] for name in ("kind", "reasons", "records")},
        "since": from_ms(row.started).isoformat(),
        "next": typed(f"crmsync apply {row.id}"),
    }


def _approved(reading: Connection, now: datetime) -> list[dict[str, Any]]:
    """What was approved, is not written yet, and still may be."""
    rows = [row for row in run_journal.list_plans(reading, run_journal.APPROVED) if is_in_force(row, to_ms(now))]
    return [
        {"run": row.id, "records": plan_of(row)["records"], "at": from_ms(row.approved_at).isoformat()} for row in rows
    ]


def _standing(crm: str, past: Sequence[PastRun], said: Mapping[str, Any], among: str = "crms") -> dict[str, Any]:
    """When a CRM was last up to date, and whether it is well; one that the config has no table for is not judged."""
    ended = next((each.ended for each in past if each.command != UNDO and is_good_for(crm, each)), None)
    health_of = said[among].get(crm, {"healthy": True, "why": ""})
    return {"last_good": format_minute(ended) if ended else None, **health_of}


def _seconds_of_good(past: Sequence[PastRun]) -> float | None:
    """How long the newest good run of a schedule took."""
    return next(
        (
            (each.ended - each.started).total_seconds()
            for each in past
            if each.ended is not None and each.verdict in run_journal.GOOD and each.command in ("run", "sync")
        ),
        None,
    )


def _run(run: PastRun) -> dict[str, Any]:
    crms = run.result.get("crms", {})
    return {
        "run": run.id,
        "command": run.command,
        "verdict": run.verdict,
        "started": format_minute(run.started),
        "ended": format_minute(run.ended) if run.ended else None,
        "seconds": round(sum(each["seconds"] for each in crms.values()), 3) if crms else None,
        "crms": crms,
        "skipped": run.result.get("skipped", {}),
        "problems": run.result.get("problems", []),
    }


def _feeds(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    return [
        {"crm": crm, "kind": kind, "activities": many, "last": format_minute(datetime.fromtimestamp(last, UTC))}
        for crm, kind, many, last in count_feeds(connection, int(now.timestamp()))
    ]


def _parked(row: Any) -> dict[str, Any]:
    parked = orjson.loads(row.on_hold)
    return {"ref": f"{row.crm}:{row.kind}:{row.ref_id}", "reason": parked.get("reason", ""), "after": parked["after"]}
