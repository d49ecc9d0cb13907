"""The tasks that crmsync makes for owners in the CRM."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from crmsync.config.tables import Duration, Table

Event = Literal["hand_off", "breach", "feedback"]
"""What a task may be made for: a person got an owner, was not contacted in time, has a tag that asks for a task."""


class Tasks(Table):
    """For what the owner of a person gets a task in the CRM.

    A task for a hand-off is due by the end of `[sla]`, any other one (and without `[sla]` that too) after `due`.
    """

    on: list[Event] = []
    due: Duration = Field(default=timedelta(days=1), gt=timedelta())
