"""Tasks for owners, each at most once: its key is looked for first, and an insert is never sent twice on suspicion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from connectors.salesforce.client import Org
from connectors.salesforce.errors import AnswerLost, RequestRefused, is_id, text_of, unreadable
from connectors.salesforce.missing_fields import missing_task_key
from connectors.salesforce.paging import id_lists
from connectors.salesforce.row_errors import LATER, RowError
from connectors.salesforce.schema import OBJECTS, TASK_KEY, Schema, fit_value
from connectors.salesforce.writer import COLLECTION, list_outcomes
from crmsync.errors import Unavailable
from crmsync.model import Task, TaskReceipt

GONE = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY"})
"""Refusals of a task that nobody can complete any more."""


class FoundTask(NamedTuple):
    """A task of crmsync in the org; one in the recycle bin is closed, too."""

    id: str
    is_closed: bool


class Statuses(NamedTuple):
    """What a new task and a completed one has as its status; empty where the org does not say."""

    open: str
    closed: str


class LoggedTasks:
    """The tasks of crmsync in one org."""

    def __init__(self, org: Org, schema: Schema) -> None:
        self._org, self._schema = org, schema

    def create(self, tasks: Sequence[Task]) -> Iterator[TaskReceipt]:
        """Create those whose key no task has, not even one that a user completed or deleted."""
        asked = {task.key: task for task in tasks if task.ref.kind in OBJECTS}
        yield from (
            TaskReceipt(task.key, ok=False, reason=f"a {task.ref.kind} is neither a lead nor a contact")
            for task in tasks
            if task.key not in asked
        )
        # By person: tasks of one account would lock it for each other's calls.
        ordered = sorted(asked.values(), key=lambda task: (task.ref, task.key))
        for start in range(0, len(ordered), COLLECTION):
            batch = ordered[start : start + COLLECTION]
            found = self._find([task.key for task in batch])
            if isinstance(found, str):
                yield from (TaskReceipt(task.key, ok=False, reason=found, retry=True) for task in batch)
                continue
            yield from (TaskReceipt(key, ok=True, id=each[0].id) for key, each in found.items())
            if missing := [task for task in batch if task.key not in found]:
                yield from self._insert(missing)

    def close(self, keys: Sequence[str]) -> Iterator[TaskReceipt]:
        """Complete those that are open."""
        asked = list(dict.fromkeys(keys))
        for start in range(0, len(asked), COLLECTION):
            batch = asked[start : start + COLLECTION]
            found = self._find(batch)
            if isinstance(found, str):
                yield from (TaskReceipt(key, ok=False, reason=found, retry=True) for key in batch)
                continue
            still_open = {each.id: key for key in batch for each in found.get(key, ()) if not each.is_closed}
            ended = [key for key in batch if key not in still_open.values()]
            yield from (TaskReceipt(key, ok=True, id=found[key][0].id if key in found else "") for key in ended)
            if still_open:
                yield from self._complete(still_open)

    def _find(self, keys: Sequence[str]) -> dict[str, list[FoundTask]] | str:
        """The tasks with these keys, archived and deleted ones too; or why they cannot be looked for."""
        if why := missing_task_key(self._schema):
            return why
        # One list: at 41 characters a key these fit into an address.
        (listed,) = id_lists(keys, COLLECTION)
        try:
            rows = self._org.rows(
                f"SELECT Id, {TASK_KEY}, IsClosed, IsDeleted FROM Task WHERE {TASK_KEY} IN {listed} ORDER BY Id"
            )
        except RequestRefused as error:
            # A field went away since it was described.
            self._schema.forget()
            return error.message
        if not all(is_id(row.get("Id")) and text_of(row.get(TASK_KEY)) for row in rows):
            raise unreadable("tasks")
        found: dict[str, list[FoundTask]] = {}
        for row in rows:
            ended = row.get("IsClosed") is True or row.get("IsDeleted") is True
            found.setdefault(text_of(row.get(TASK_KEY)), []).append(FoundTask(text_of(row.get("Id")), ended))
        return found

    def _insert(self, tasks: Sequence[Task]) -> Iterator[TaskReceipt]:
        records = [self._record(task) for task in tasks]
        try:
            answer = self._org.rest_once("POST", "composite/sobjects", {"allOrNone": False, "records": records})
        except AnswerLost:
            yield from self._settle({task.key: None for task in tasks})
            return
        except RequestRefused as error:
            self._schema.forget()
            yield from (TaskReceipt(task.key, ok=False, reason=error.message, retry=True) for task in tasks)
            return
        unsettled: dict[str, RowError | None] = {}
        said = answer if isinstance(answer, list) and len(answer) == len(tasks) else [None] * len(tasks)
        for task, row, why in zip(tasks, said, list_outcomes(records, said), strict=True):
            id_ = row.get("id") if isinstance(row, dict) else None
            if why is None and is_id(id_):
                yield TaskReceipt(task.key, ok=True, id=text_of(id_))
            elif why is None or why.kind == "silent":
                unsettled[task.key] = None
            elif why.code == "DUPLICATE_VALUE":
                unsettled[task.key] = why
            else:
                yield _refused(task.key, why)
        if unsettled:
            yield from self._settle(unsettled)

    def _settle(self, keys: Mapping[str, RowError | None]) -> Iterator[TaskReceipt]:
        """Receipts where nobody knows whether a task was created, out of what is there now.

        One that is not there may still be on its way: it is left to a later run, unless Salesforce gave a reason.
        """
        try:
            found = self._find(list(keys))
        except Unavailable:
            return
        there = found if isinstance(found, dict) else {}
        for key, why in keys.items():
            if key in there:
                yield TaskReceipt(key, ok=True, id=there[key][0].id)
            elif why:
                yield _refused(key, why)

    def _record(self, task: Task) -> dict[str, Any]:
        known = self._schema.of("Task")
        texts = {"Subject": task.subject, "Description": task.body, "Status": self._statuses.open}
        cells = {
            name: fit_value(text, known[name.lower()]) if name.lower() in known else text
            for name, text in texts.items()
            if text
        }
        return {
            "attributes": {"type": "Task"},
            TASK_KEY: task.key,
            "WhoId": task.ref.id,
            "OwnerId": task.owner,
            "ActivityDate": task.due.date().isoformat(),
            **cells,
        }

    def _complete(self, keys: Mapping[str, str]) -> Iterator[TaskReceipt]:
        """Complete tasks, each id with its key."""
        if not self._statuses.closed:
            why = "the org has no closed status of tasks that the integration user can see"
            yield from (TaskReceipt(key, ok=False, reason=why) for key in keys.values())
            return
        ids = list(keys)
        for start in range(0, len(ids), COLLECTION):
            some = ids[start : start + COLLECTION]
            records: list[dict[str, Any]] = [
                {"attributes": {"type": "Task"}, "id": id_, "Status": self._statuses.closed} for id_ in some
            ]
            try:
                answer = self._org.rest("PATCH", "composite/sobjects", {"allOrNone": False, "records": records})
            except RequestRefused as error:
                yield from (TaskReceipt(keys[id_], ok=False, reason=error.message) for id_ in some)
                continue
            for id_, why_not in zip(some, list_outcomes(records, answer), strict=True):
                if why_not is None or why_not.code in GONE:
                    yield TaskReceipt(keys[id_], ok=True, id=id_)
                elif why_not.kind != "silent":
                    yield _refused(keys[id_], why_not)

    @cached_property
    def _statuses(self) -> Statuses:
        """The org's own statuses: an admin may have renamed or replaced those that Salesforce comes with."""
        try:
            rows = self._org.rows("SELECT ApiName, MasterLabel, IsDefault, IsClosed FROM TaskStatus ORDER BY SortOrder")
        except RequestRefused:
            return Statuses("", "")
        # The default first, where it is of the right side.
        ordered = sorted(rows, key=lambda row: row.get("IsDefault") is not True)
        names = [
            (row.get("IsClosed") is True, text_of(row.get("ApiName")) or text_of(row.get("MasterLabel")))
            for row in ordered
        ]
        sides = (next((name for is_closed, name in names if is_closed is side), "") for side in (False, True))
        return Statuses(*sides)


def _refused(key: str, why: RowError) -> TaskReceipt:
    return TaskReceipt(key, ok=False, reason=why.words, retry=why.code in LATER)
