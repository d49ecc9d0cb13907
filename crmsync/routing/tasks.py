"""Which tasks owners get in the CRM, and what these say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from crmsync.config.deciding import QUEUE
from crmsync.config.settings import Config
from crmsync.config.tasks import Event
from crmsync.routing.calendar import add_working_time, zone_of
from crmsync.routing.sla import Deadline, index_members

LONGEST_SUBJECT = 255
"""Characters: Salesforce takes no more."""

LATEST = timedelta(days=7)
"""How long after a deadline a task is made for it: who begins to have tasks made gets none for everything before."""


class PlannedTask(NamedTuple):
    """A task for an owner (an address) about a person; `at` and `due` are milliseconds.

    `key` is the same whenever the same event is looked at again, so that no event makes two tasks.
    """

    key: str
    person: int
    event: Event
    owner: str
    run: str
    at: int
    due: int
    body: str


class Handed(NamedTuple):
    """A person whom an owner got in a run, with the score's reason and why it was this owner's turn."""

    person: int
    owner: str
    because: str
    why: str


class Tagged(NamedTuple):
    """A person to whom a user just gave a tag that asks for a task, and who owns them (an address)."""

    person: int
    owner: str
    tag: str
    because: str


def plan_tasks(
    config: Config, run: str, now: datetime, handed: Iterable[Handed], tagged: Iterable[Tagged]
) -> list[PlannedTask]:
    """The tasks of a run for those who got an owner in it, and for those with a new tag."""
    on, found = config.tasks.on if config.tasks else [], []
    for each in handed if "hand_off" in on else ():
        if not each.owner.startswith(QUEUE):
            due = _due(config, each.owner, now)
            step = f"Next step: get in touch by {_spelled(config, due, each.owner)}"
            body = f"{each.because}\nYours because: {each.why}\n{step}"
            found.append(_task("hand_off", each.person, each.owner, run, now, due, body))
    for one in tagged if "feedback" in on else ():
        due = now + config.tasks.due if config.tasks else now
        body = f"Feedback: {one.tag}\n{one.because}\nNext step: follow up by {_spelled(config, due, one.owner)}"
        found.append(_task("feedback", one.person, one.owner, run, now, due, body))
    return found


def plan_breach_tasks(config: Config, run: str, now: datetime, breaches: Sequence[Deadline]) -> list[PlannedTask]:
    """The tasks for those whom their owner did not contact in time, and not weeks ago."""
    if config.tasks is None or "breach" not in config.tasks.on:
        return []
    due = now + config.tasks.due
    return [
        _task(
            "breach",
            each.hand_off.person,
            each.hand_off.owner,
            str(each.hand_off.at),
            now,
            due,
            f"Nobody was in touch by {_spelled(config, each.due, each.hand_off.owner)}\n"
            f"Next step: get in touch by {_spelled(config, due, each.hand_off.owner)}",
        )._replace(run=run)
        for each in breaches
        if now - each.due < LATEST
    ]


def zone_of_owner(config: Config, owner: str) -> tzinfo:
    """The time zone in which an owner (an address) works: that of their pool, else that of `[schedule]`."""
    member = index_members(config.owner_pool).get(owner)
    return config.zone if member is None else zone_of(member, config.zone)


def describe_subject(event: Event, name: str) -> str:
    """The first line of a task about somebody of this name."""
    said = {"hand_off": f"Contact {name}", "breach": f"Overdue: contact {name}", "feedback": f"Follow up with {name}"}
    return said[event][:LONGEST_SUBJECT]


def _task(event: Event, person: int, owner: str, occasion: str, now: datetime, due: datetime, body: str) -> PlannedTask:
    """`occasion` tells this event from other ones of its kind about the same person."""
    digest = hashlib.sha256(f"{event}\n{person}\n{owner}\n{occasion}".encode()).hexdigest()[:20]
    key = f"{event.replace('_', '-')}-{digest}"
    return PlannedTask(key, person, event, owner, occasion, _ms(now), _ms(due), body)


def _due(config: Config, owner: str, now: datetime) -> datetime:
    if config.sla is None:
        return now + config.tasks.due if config.tasks else now
    return add_working_time(index_members(config.owner_pool).get(owner), now, config.sla.within, config.zone)


def _spelled(config: Config, at: datetime, owner: str) -> str:
    zone = zone_of_owner(config, owner)
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} ({at.astimezone(zone).tzname()})"


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
