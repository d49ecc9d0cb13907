"""Moving a stage back, which HubSpot only does in two steps: clear it, then set it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from connectors.hubspot.batch_read import BATCH, cut_into_batches, look_up
from connectors.hubspot.client import Api
from connectors.hubspot.mapping import STAGE
from crmsync.connector import Notes

MOVING = "hubspot.moving_back"
"""The note that holds, as JSON, the stage of each contact that is between the two steps."""


class Moves:
    """The contacts whose stage is being moved back; a note outlives a crash between the two steps."""

    def __init__(self, api: Api, notes: Notes) -> None:
        self._api, self._notes = api, notes

    def begin(self, stages: Mapping[str, str]) -> None:
        """The first step: clear the stage of these contacts, a batch, each of which is to get the stage named."""
        if stages:
            # Before the first step: a crash between the two would leave a contact without a stage.
            self._notes[MOVING] = orjson.dumps(dict(stages)).decode()
            update_contacts(self._api, {contact_id: {STAGE: ""} for contact_id in stages})

    def end(self) -> None:
        """The second step is done."""
        self._notes.pop(MOVING, None)

    def finish(self) -> None:
        """The second step of an earlier write that did not come to it."""
        if not (text := self._notes.get(MOVING)):
            return
        stages: dict[str, str] = orjson.loads(text)
        present = dict(look_up(self._api, list(stages), [STAGE]))
        left = {
            contact_id: stage
            for contact_id, stage in stages.items()
            # Where somebody has set a stage meanwhile, theirs stays.
            if (record := present.get(contact_id)) and not record["properties"].get(STAGE)
        }
        for ids in cut_into_batches(list(left), BATCH):
            update_contacts(self._api, {contact_id: {STAGE: left[contact_id]} for contact_id in ids})
        if unread := {contact_id: stage for contact_id, stage in stages.items() if contact_id not in present}:
            self._notes[MOVING] = orjson.dumps(unread).decode()
        else:
            del self._notes[MOVING]


def update_contacts(api: Api, properties: Mapping[str, Mapping[str, str]]) -> Mapping[str, Any]:
    """Update contacts by id, at most a hundred, each to its properties.

    The trace id makes HubSpot name the record in an error, where it does that.
    """
    inputs = [
        {"id": contact_id, "properties": values, "objectWriteTraceId": contact_id}
        for contact_id, values in properties.items()
    ]
    answer: Mapping[str, Any] = api.post(api.place("batch_update", kind="contacts"), {"inputs": inputs})
    return answer
