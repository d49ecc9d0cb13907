"""What the status says of people, calls and dates: who came and went, who has no owner, what is left, what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from heapq import nlargest
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.tables import spelled_duration
from crmsync.config.worker import Schedule
from crmsync.evaluation.freshness import GOAL, measure_freshness
from crmsync.identity.matching import normal_email
from crmsync.store import run_journal
from crmsync.store.moves import Move, count_unowned, read_moves, read_unmoved
from crmsync.store.news import read_waits
from crmsync.store.next_run import read_next_run
from crmsync.store.plan_people import call_people
from crmsync.store.sql import from_ms, to_ms

LATELY = timedelta(days=7)
"""How far back the status looks for people who came and went."""

NAMED = 20
"""People of each movement who are named."""

NO_PLACE = -1
"""The rank of who is at no stage or band of the config."""


def qualified_bands(config: Config) -> list[str]:
    """The bands by which people get a stage, lowest first; where none does, the highest band."""
    names = config.band_names()
    named = {stage.band for stage in config.stage}
    return [name for name in names if name in named] or names[-1:]


def list_movements(config: Config, reading: Connection, now: datetime) -> list[dict[str, Any]]:
    """Who came to each stage that crmsync gives, and to each of `qualified_bands`, or above it, and who fell below it.

    What runs of the last days wrote to the CRMs counts. Somebody is where their highest record is.
    """
    stages = [each.name for each in config.stage]
    given = [each.name for each in config.stage if each.band is not None or each.enter is not None]
    levels = {"stage": (stages, given), "band": (config.band_names(), qualified_bands(config))}
    since = to_ms(now - LATELY)
    return [
        {"field": field, **each}
        for field, (order, wanted) in levels.items()
        if wanted
        for each in _movements(reading, field, since, order, wanted)
    ]


def _movements(
    reading: Connection, field: str, since: int, order: Sequence[str], wanted: Sequence[str]
) -> list[dict[str, Any]]:
    """Who came to each level or above, and who fell below it, each person once, the latest first."""
    ranks = {name: place for place, name in enumerate(order)}
    unmoved: dict[int, int] = {}
    for who, value in read_unmoved(reading, field, since):
        unmoved[who] = max(unmoved.get(who, NO_PLACE), ranks.get(value, NO_PLACE))
    entered: dict[str, dict[int, int]] = {name: {} for name in wanted}
    left: dict[str, dict[int, int]] = {name: {} for name in wanted}
    for who, moves in groupby(read_moves(reading, field, since), lambda each: each.person):
        for at, before, after in _moves_of_person(list(moves), unmoved.get(who, NO_PLACE), ranks):
            for name in wanted:
                if before < ranks[name] <= after:
                    entered[name][who] = at
                if after < ranks[name] <= before:
                    left[name][who] = at
    return [{"name": name, **_named(reading, entered[name], left[name])} for name in wanted]


def _moves_of_person(moves: Sequence[Move], unmoved: int, ranks: Mapping[str, int]) -> Iterator[tuple[int, int, int]]:
    """The highest rank at which any record holds somebody, before and after each run that moved one; the last change.

    A record that one CRM does not take back holds the person where the others are put back.
    """

    def rank(value: str | None) -> int:
        return NO_PLACE if value is None else ranks.get(value, NO_PLACE)

    places = {each.record: rank(each.before) for each in reversed(moves) if each.holds}
    for _run, group in groupby(moves, lambda each: each.run):
        some = list(group)
        before = {**places, **{each.record: rank(each.before) for each in some}}
        after = {**before, **{each.record: rank(each.after) for each in some}}
        yield some[-1].id, max(unmoved, *before.values()), max(unmoved, *after.values())
        places |= {each.record: after[each.record] for each in some if each.holds}


def _named(reading: Connection, entered: Mapping[int, int], left: Mapping[int, int]) -> dict[str, Any]:
    """How many people came and went (each with the last change), and the latest by name."""
    moved = {"entered": entered, "left": left}
    latest = {what: nlargest(NAMED, people, key=people.__getitem__) for what, people in moved.items()}
    called = call_people(reading, sorted({who for some in latest.values() for who in some}))
    return {
        "days": LATELY.days,
        **{what: len(people) for what, people in moved.items()},
        **{
            f"who_{what}": [
                {"person": who, **dict(zip(("name", "email"), called.get(who, ("", "")), strict=True))} for who in some
            ]
            for what, some in latest.items()
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
