"""Making the tasks that were planned for owners, once each owner holds the person, and each task once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from crmsync.config import Config
from crmsync.connector import Connector
from crmsync.counts import count_of
from crmsync.failpoint import failpoint
from crmsync.model import Ref, Task
from crmsync.routing.tasks import describe_subject, zone_of_owner
from crmsync.store import tasks
from crmsync.store.database import Store
from crmsync.store.hand_offs import names_of_people
from crmsync.store.tasks import OpenTask

DAY = 86_400_000
GIVEN_UP = 7 * DAY
"""Milliseconds after which a task that could not be made is of no use any longer."""


class _Ready(NamedTuple):
    """A task whose owner has a record of the person: where it belongs, and the owner's id there."""

    task: OpenTask
    ref: Ref
    owner_id: str
    name: str


def create_tasks(
    store: Store, connector: Connector, config: Config, now: int, hide: Callable[[str], str] = str
) -> dict[str, int]:
    """Make the tasks that belong into one CRM, and say how many were made, by what the CRM said of those that were not.

    A task belongs into the first CRM of the source of truth in which its owner has a record of the person. `now` is in
    milliseconds. What a CRM did not take is tried again in the next run where it may well take it, else a day later.
    """
    with store.read() as reading:
        waiting = tasks.open_tasks(reading)
        if not waiting:
            return {}
        people = {each.person for each in waiting}
        owned, latest = tasks.owned_records(reading, people), tasks.latest_owners(reading, people)
        names = names_of_people(reading, sorted(people))
    order = config.identity.source_of_truth
    placed = {each.key: _place(each, owned.get(each.person, ()), order) for each in waiting}
    useless = [each for each in waiting if _is_useless(each, placed[each.key], latest.get(each.person), now)]
    dropped = {each.key for each in useless}
    ready = [
        _Ready(each, *where, names.get(each.person) or str(where[0]))
        for each in waiting
        if each.key not in dropped
        and each.try_at <= now
        and (where := placed[each.key]) is not None
        and where[0].crm == connector.name
    ]
    with store.begin() as writing:
        # Before the call: a worker that dies in between asks for the same tasks again, by their keys.
        tasks.mark_tasks(writing, [_row(each, tasks.DROPPED, reason="its owner has changed") for each in useless])
        tasks.mark_tasks(writing, [_row(each.task, tasks.SENT, crm=connector.name) for each in ready])
    failpoint("tasks_sent")
    return _send(store, connector, config, ready, now, hide) if ready else {}


def close_tasks(store: Store, connector: Connector, run_id: str, hide: Callable[[str], str] = str) -> dict[str, int]:
    """Complete the tasks that a run made in one CRM, and make none of those it still wanted; nothing is deleted.

    Returns how many were closed, by what the CRM said of those that were not.
    """
    with store.read() as reading:
        theirs = tasks.tasks_of_run(reading, run_id)
    waiting = [each for each in theirs if each.state == tasks.PLANNED]
    made = {each.key: each for each in theirs if each.state != tasks.PLANNED and each.crm == connector.name}
    with store.begin() as writing:
        tasks.mark_tasks(writing, [_row(each, tasks.DROPPED, reason="its run was undone") for each in waiting])
    said: dict[str, int] = {}
    for receipt in connector.close_tasks(list(made)) if made else ():
        reason = "" if receipt.ok else hide(receipt.reason)
        said[reason] = said.get(reason, 0) + 1
        if receipt.ok and receipt.key in made:
            row = _row(made[receipt.key], tasks.CLOSED, crm=connector.name, task_id=receipt.id)
            with store.begin() as writing:
                tasks.mark_tasks(writing, [row])
    return said


def describe_refused_tasks(crm: str, said: Mapping[str, int], what: str) -> list[str]:
    """A sentence for each reason for which a CRM did not take tasks; `what` it did not do with them."""
    refused = sorted((why, many) for why, many in said.items() if why)
    return [
        f"{crm}: {count_of(many, 'task')} {'was' if many == 1 else 'were'} not {what}: {why}" for why, many in refused
    ]


def _send(
    store: Store, connector: Connector, config: Config, ready: Sequence[_Ready], now: int, hide: Callable[[str], str]
) -> dict[str, int]:
    by_key = {each.task.key: each.task for each in ready}
    said: dict[str, int] = {}
    for receipt in connector.create_tasks([_crm_task(config, each) for each in ready]):
        if receipt.key not in by_key:
            continue
        row = by_key[receipt.key]
        reason = "" if receipt.ok else hide(receipt.reason)
        said[reason] = said.get(reason, 0) + 1
        with store.begin() as writing:
            if receipt.ok:
                now_row = _row(row, tasks.CREATED, crm=connector.name, task_id=receipt.id)
            else:
                try_at = now if receipt.retry else now + DAY
                now_row = _row(row, tasks.PLANNED, reason=reason, try_at=try_at)
            tasks.mark_tasks(writing, [now_row])
    return said


def _place(row: OpenTask, owned: Sequence[tuple[Ref, str, str]], order: Sequence[str]) -> tuple[Ref, str] | None:
    """The record that a task is about and its owner's id: in the CRM it was sent to before, else the first in order."""
    mine = [(ref, owner_id) for ref, owner_id, address in owned if address == row.owner]
    if row.state == tasks.SENT:  # it may be there already, and only that CRM knows
        mine = [each for each in mine if each[0].crm == row.crm]
    rank = {crm: place for place, crm in enumerate(order)}
    return min(mine, key=lambda each: rank.get(each[0].crm, len(rank)), default=None)


def _is_useless(row: OpenTask, place: tuple[Ref, str] | None, latest: str | None, now: int) -> bool:
    """Whether a task is not made any more: its owner lost the person again, or it is too old."""
    gone = place is None and latest is not None and latest != row.owner
    return gone or now - row.at > GIVEN_UP


def _crm_task(config: Config, each: _Ready) -> Task:
    # A CRM that has only a day of it shows that of the one who has to do it.
    due = datetime.fromtimestamp(each.task.due / 1000, zone_of_owner(config, each.task.owner))
    subject = describe_subject(each.task.event, each.name)  # type: ignore[arg-type]  # a text in the state
    return Task(each.task.key, each.ref, each.owner_id, subject, each.task.body, due)


def _row(row: OpenTask, state: str, **values: Any) -> Mapping[str, Any]:
    return {"key": row.key, "state": state, "crm": "", "task_id": "", "reason": "", "try_at": 0, **values}
