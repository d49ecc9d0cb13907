"""Tasks for owners, each at most once: HubSpot refuses a second one with the same key, and users' edits stay."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from connectors.hubspot.batch_read import BATCH, Record, cut_into_batches, post_batch
from connectors.hubspot.client import Api
from connectors.hubspot.engagements import AT
from connectors.hubspot.errors import (
    KIND,
    LASTING,
    LOCK_WAIT,
    Locked,
    RequestRefused,
    list_in,
    object_in,
    objects_in,
    text_of,
)
from connectors.hubspot.mapping import OWNER
from connectors.hubspot.missing_fields import NO_TASK_KEY, TASK_KEY
from connectors.hubspot.properties import property_text, to_millis
from connectors.hubspot.schema import Portal
from crmsync.model import Task, TaskReceipt

TASKS, STATUS = "tasks", "hs_task_status"
OPEN, DONE = "NOT_STARTED", "COMPLETED"

OF_CONTACT = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}
"""How a task belongs to a contact (HubSpot/hubspot-api-python, crm/association_type.py, 2026-11-28)."""

Refusal = RequestRefused | Locked


class OwnerTasks:
    """The tasks of crmsync in one portal."""

    def __init__(self, api: Api, portal: Portal) -> None:
        self._api, self._portal = api, portal

    def create(self, tasks: Sequence[Task]) -> Iterator[TaskReceipt]:
        """Create those whose key HubSpot does not know."""
        asked = {task.key: task for task in tasks}
        if asked and (why := self._unusable()):
            yield from (TaskReceipt(key, ok=False, reason=why, retry=True) for key in asked)
            return
        refused = {task.key: why for task in asked.values() if (why := self._objection(task))}
        yield from (TaskReceipt(key, ok=False, reason=why) for key, why in refused.items())
        for batch in cut_into_batches([task for key, task in asked.items() if key not in refused], BATCH):
            keys = [task.key for task in batch]
            try:
                found = self._find(keys)
            except RequestRefused as error:
                yield from self._not_looked_up(keys, error)
                continue
            yield from (_known(found, key) for key in found)
            if missing := [task for task in batch if task.key not in found]:
                # Never an upsert: it would take back what a user did to the task.
                yield from self._create(missing)

    def close(self, keys: Sequence[str]) -> Iterator[TaskReceipt]:
        """Complete those that are open."""
        asked = list(dict.fromkeys(keys))
        if asked and (why := self._unusable()):
            yield from (TaskReceipt(key, ok=False, reason=why, retry=True) for key in asked)
            return
        for batch in cut_into_batches(asked, BATCH):
            try:
                found = self._find(batch)
            except RequestRefused as error:
                yield from self._not_looked_up(batch, error)
                continue
            ended = [key for key in batch if key not in found or found[key]["properties"].get(STATUS) == DONE]
            yield from (TaskReceipt(key, ok=True, id=found[key]["id"] if key in found else "") for key in ended)
            yield from self._complete({found[key]["id"]: key for key in batch if key not in ended})

    def _not_looked_up(self, keys: Sequence[str], error: RequestRefused) -> Iterator[TaskReceipt]:
        """Receipts where HubSpot does not look for keys (any longer): without that nothing may be created."""
        self._portal.forget()
        yield from (TaskReceipt(key, ok=False, reason=error.said, retry=True) for key in keys)

    def _unusable(self) -> str:
        """Why no key can be looked for; `""` where it can."""
        self._portal.doubt()
        known = self._portal.definitions(TASKS).get(TASK_KEY)
        return NO_TASK_KEY if known is None else known.objection_to_keys

    def _objection(self, task: Task) -> str:
        if task.ref.kind != KIND or not task.ref.id.isdecimal():
            return "this is not the id of a HubSpot contact"
        if not any(each.id == task.owner and each.active for each in self._portal.owners()):
            return f"the HubSpot owner {task.owner} is deactivated or unknown"
        return ""

    def _create(self, tasks: Sequence[Task]) -> Iterator[TaskReceipt]:
        try:
            answer = self._post("batch_create", map(_input, tasks))
        except (RequestRefused, Locked) as error:
            yield from self._salvage(tasks, error)
        else:
            yield from self._account({task.key: task for task in tasks}, answer)

    def _salvage(self, tasks: Sequence[Task], error: Refusal) -> Iterator[TaskReceipt]:
        """Create what can be created of a batch that was refused as a whole: HubSpot does not say which task it was.

        Where an answer was lost and the batch sent once more, it was refused because its keys are taken: by itself.
        """
        if isinstance(error, Locked):
            self._api.pause(LOCK_WAIT)
        found = self._find([task.key for task in tasks])
        yield from (_known(found, key) for key in found)
        left = [task for task in tasks if task.key not in found]
        if len(left) == 1 and not found:
            yield _refused(left[0].key, error)
        elif left:
            # With nothing found the culprit is among them.
            for some in cut_into_batches(left, len(left) if found else (len(left) + 1) // 2):
                yield from self._create(some)

    def _account(self, open_tasks: dict[str, Task], answer: Mapping[str, Any]) -> Iterator[TaskReceipt]:
        """A receipt for each task out of an answer's body; a task of which it says nothing is looked for by its key."""
        for result in objects_in(answer, "results"):
            key = text_of(object_in(result, "properties").get(TASK_KEY))
            if key in open_tasks and text_of(result.get("id")):
                del open_tasks[key]
                yield TaskReceipt(key, ok=True, id=text_of(result["id"]))
        said = {key: _failed(key, each) for each in objects_in(answer, "errors") for key in _traces(each)}
        found = self._find(list(open_tasks)) if open_tasks else {}
        for key in open_tasks:
            if key in found:
                yield _known(found, key)
            elif key in said:
                yield said[key]

    def _find(self, keys: Sequence[str]) -> dict[str, Record]:
        """The tasks that HubSpot has by these keys: from the records, since its search lags behind."""
        body = {"properties": [TASK_KEY, STATUS], "idProperty": TASK_KEY, "inputs": [{"id": key} for key in keys]}
        try:
            found, failed = post_batch(self._api, self._api.place("batch_read", kind=TASKS), body)
        except RequestRefused as error:
            if not error.says_nothing_there:
                raise
            return {}
        if failed:
            raise RequestRefused(207, {"message": "HubSpot failed to look for some of the tasks"}, "look for tasks")
        return {key: record for record in found if (key := record["properties"].get(TASK_KEY))}

    def _complete(self, keys: Mapping[str, str]) -> Iterator[TaskReceipt]:
        """Complete tasks, each id with its key."""
        if not keys:
            return
        inputs = [
            {"id": task_id, "properties": {STATUS: DONE}, "objectWriteTraceId": key} for task_id, key in keys.items()
        ]
        try:
            answer = self._post("batch_update", inputs)
        except (RequestRefused, Locked) as error:
            yield from self._complete_apart(keys, error)
            return
        done = {text_of(each.get("id")) for each in objects_in(answer, "results")}
        yield from (TaskReceipt(key, ok=True, id=task_id) for task_id, key in keys.items() if task_id in done)
        for each in objects_in(answer, "errors"):
            gone = each.get("category") == "OBJECT_NOT_FOUND"
            for key in [key for task_id, key in keys.items() if task_id in _ids(each) or key in _traces(each)]:
                yield TaskReceipt(key, ok=True) if gone else _failed(key, each)

    def _complete_apart(self, keys: Mapping[str, str], error: Refusal) -> Iterator[TaskReceipt]:
        if isinstance(error, Locked):
            self._api.pause(LOCK_WAIT)
        if len(keys) == 1:
            yield from (_refused(key, error) for key in keys.values())
            return
        for some in cut_into_batches(list(keys.items()), (len(keys) + 1) // 2):
            yield from self._complete(dict(some))

    def _post(self, name: str, inputs: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._api.post(self._api.place(name, kind=TASKS), {"inputs": list(inputs)})
        return answer


def _input(task: Task) -> dict[str, Any]:
    """A task as HubSpot takes it; the body is HTML there."""
    properties = {
        TASK_KEY: task.key,
        AT: str(to_millis(task.due)),
        "hs_task_subject": property_text(task.subject),
        "hs_task_body": property_text(html.escape(task.body, quote=False).replace("\n", "<br>")),
        STATUS: OPEN,
        "hs_task_type": "TODO",
        OWNER: task.owner,
    }
    belongs = {"to": {"id": task.ref.id}, "types": [OF_CONTACT]}
    return {"properties": properties, "associations": [belongs], "objectWriteTraceId": task.key}


def _known(found: Mapping[str, Record], key: str) -> TaskReceipt:
    return TaskReceipt(key, ok=True, id=found[key]["id"])


def _refused(key: str, error: Refusal) -> TaskReceipt:
    if isinstance(error, Locked):
        return TaskReceipt(key, ok=False, reason=str(error), retry=True)
    return TaskReceipt(key, ok=False, reason=error.said)


def _failed(key: str, error: Mapping[str, Any]) -> TaskReceipt:
    """What a batch says of one of its tasks."""
    reason, passes = text_of(error.get("message")), text_of(error.get("category")) not in LASTING
    return TaskReceipt(key, ok=False, reason=reason or "HubSpot gave no reason", retry=passes)


def _traces(error: Mapping[str, Any]) -> list[str]:
    """The keys that an error of a batch is about: they were sent as trace ids."""
    said = object_in(error, "context").get("objectWriteTraceId")
    return [text_of(each) for each in (said if isinstance(said, list) else [said])]


def _ids(error: Mapping[str, Any]) -> list[str]:
    return [text_of(each) for each in list_in(object_in(error, "context"), "ids")]
