"""What the status says of people, calls and dates: who came and went, who has no owner, what is left, what comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.tables import spelled_duration
from crmsync.config.worker import Schedule
from crmsync.evaluation.freshness import GOAL, measure_freshness
from crmsync.identity.matching import normal_email
from crmsync.store import run_journal
from crmsync.store.moves import Move, count_unowned, read_moves
from crmsync.store.news import read_waits
from crmsync.store.next_run import read_next_run
from crmsync.store.plan_people import call_people
from crmsync.store.sql import from_ms, to_ms

LATELY = timedelta(days=7)
"""How far back the status looks for people who came and went."""

NAMED = 20
"""People of each movement who are named."""


def qualified_bands(config: Config) -> list[str]:
    """The bands by which people get a stage, lowest first; where none does, the highest band."""
    names = config.band_names()
    named = {stage.band for stage in config.stage}
    return [name for name in names if name in named] or names[-1:]


def list_movements(config: Config, reading: Connection, now: datetime) -> list[dict[str, Any]]:
    """Who came to each stage that crmsync gives, and to each of `qualified_bands`, or above it, and who fell below it.

    What runs of the last days wrote to the CRMs counts.
    """
    stages = [each.name for each in config.stage]
    given = [each.name for each in config.stage if each.band is not None or each.enter is not None]
    levels = {"stage": (stages, given), "band": (config.band_names(), qualified_bands(config))}
    since = to_ms(now - LATELY)
    found = []
    for field, (order, wanted) in levels.items():
        moves = read_moves(reading, field, since) if wanted else []
        found += [{"field": field, **_movement(reading, moves, order, name)} for name in wanted]
    return found


def _movement(reading: Connection, moves: Sequence[Move], order: Sequence[str], name: str) -> dict[str, Any]:
    """Who came to a level or above, and who fell below it, each person once."""
    above = set(order[order.index(name) :])
    entered = dict.fromkeys(who for who, before, after in moves if before not in above and after in above)
    left = dict.fromkeys(who for who, before, after in moves if before in above and after not in above)
    people = {"entered": list(entered), "left": list(left)}
    called = call_people(reading, sorted({who for some in people.values() for who in some[:NAMED]}))
    return {
        "name": name,
        "days": LATELY.days,
        **{what: len(who) for what, who in people.items()},
        **{
            f"who_{what}": [
                {"person": each, **dict(zip(("name", "email"), called.get(each, ("", "")), strict=True))}
                for each in who[:NAMED]
            ]
            for what, who in people.items()
        },
    }


def unowned_document(config: Config, reading: Connection) -> dict[str, int]:
    """How many people no active user owns, and how many of those are in the lowest of `qualified_bands` or above."""
    names = config.band_names()
    bands = names[names.index(qualified_bands(config)[0]) :] if names else []
    many, among = count_unowned(reading, {normal_email(each) for each in config.write.unassigned_users}, bands)
    return {"count": many, "qualified": among}


def api_document(crm: str, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many of a CRM's API calls are left, and the share that is used, by the newest run (result) that heard it."""
    heard = (each.get("crms", {}).get(crm, {}) for each in results)
    last: Mapping[str, Any] = next((each for each in heard if each.get("api_used") is not None), {})
    return {"api_left": last.get("api_left"), "api_used": last.get("api_used")}


def review_document(config: Config, now: datetime) -> dict[str, Any]:
    """When somebody last looked at the model by `[review]`, and when that is due again."""
    review, today = config.review, now.astimezone(config.zone).date()
    due = None if review.on is None else review.on + review.every
    return {
        "on": review.on.isoformat() if review.on else None,
        "due": due.isoformat() if due else None,
        "overdue": due is not None and today > due,
    }


def list_reviews(config: Config, now: datetime) -> list[dict[str, Any]]:
    """When the rules were checked and the model was reviewed, and when each is due again.

    `days` is how long ago that was; `None` where nobody ever said.
    """
    review, today = config.review, now.astimezone(config.zone).date()
    found: list[dict[str, Any]] = []
    for what, on, every in (("rules", review.rules_on, review.rules_every), ("model", review.on, review.every)):
        due = None if on is None else on + every
        found.append(
            {
                "what": what,
                "on": on.isoformat() if on else None,
                "due": due.isoformat() if due else None,
                "days": (today - on).days if on else None,
                "overdue": due is not None and today > due,
            }
        )
    return found


def next_run_document(
    config: Config,
    reading: Connection | None,
    holder: str | None,
    now: datetime,
    typed: Callable[[str], str],
    run_seconds: float | None = None,
) -> dict[str, Any]:
    """The schedule, and when the daemon begins its next run by it: `null` where no daemon is at work.

    `run_seconds` is how long the last good run took: with the interval that is what a new lead waits at most.
    """
    is_daemon = bool(holder and reading is not None and run_journal.worker_config(reading))
    noted = read_next_run(reading) if is_daemon and reading is not None else None
    # An instant that has passed is of a daemon that went, or its run is still under way.
    at = from_ms(noted).isoformat() if noted is not None and noted > to_ms(now) else None
    start = None if is_daemon else typed("crmsync run")
    schedule, delay = config.schedule, None
    if run_seconds is not None and schedule.cron is None:
        delay = round(schedule.every.total_seconds() + run_seconds)
    return {
        "schedule": describe_schedule(schedule),
        "daemon": is_daemon,
        "at": at,
        "start": start,
        "delay_seconds": delay,
    }


FRESH_DAYS = timedelta(days=1)
"""Of the runs of so long the status says how soon scores followed what happened."""


def freshness_document(config: Config, reading: Connection | None, now: datetime) -> dict[str, Any]:
    """How soon scores followed what happened in the CRMs, over the last day, and whether that is as it should be.

    There is a goal where a CRM calls (webhooks); without calls the schedule decides.
    """
    counts = read_waits(reading, to_ms(now - FRESH_DAYS), to_ms(now)) if reading is not None else []
    found = measure_freshness(counts)
    goal = GOAL if any(getattr(each, "webhooks", None) is not None for each in config.crms.values()) else None
    is_met = None if goal is None or found.p95_seconds is None else found.p95_seconds <= goal
    return {**found._asdict(), "goal_seconds": goal, "met": is_met}


def describe_schedule(schedule: Schedule) -> str:
    """`every 15m`, or the cron line with its time zone."""
    if schedule.cron is not None:
        return f'cron "{schedule.cron}" ({schedule.timezone})'
    return f"every {spelled_duration(schedule.every)}"
