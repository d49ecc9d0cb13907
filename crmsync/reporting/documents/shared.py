"""What several documents have in common, and what a command prints that fails."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

Value = str | int | float | bool | list[str] | None


Points = int | float


EXACTLY = ConfigDict(extra="forbid")


class ErrorDocument(TypedDict):
    error: Literal["config", "several", "unavailable", "clock", "state", "cancelled", "fault", "paused"]
    problems: list[str]
    next: NotRequired[str]


"""A command that failed: a stable word, sentences, and the command that helps, where one does."""


@with_config(EXACTLY)
class Trouble(TypedDict):
    """What did not go through, by CRM, outcome, cause and fields; `fix` says what helps, where something does."""

    crm: str
    state: str
    cause: str
    fields: list[str]
    records: int
    people: int
    examples: list[str]
    fix: str


@with_config(EXACTLY)
class AcceptedDocument(TypedDict):
    """How many `people` came over the `line` in the last `days`, and how many of them sales has `accepted`."""

    line: str
    days: int
    people: int
    accepted: int
    said: str


@with_config(EXACTLY)
class WaitingForOwner(TypedDict):
    """People without an owner, and why."""

    count: int
    reasons: dict[str, int]


@with_config(EXACTLY)
class TierDocument(TypedDict):
    """A tier of intent, and how many activities of its types the last `days` had; `null` where there is no state."""

    tier: Literal["high", "mid", "low"]
    activities: int | None
    days: int
    kinds: dict[str, int | None]


@with_config(EXACTLY)
class HoldDocument(TypedDict):
    """A dead feed for which decay and inactivity are on hold: `since` is the day of its last activity (UTC)."""

    crm: str
    kind: str
    since: str
    silent_days: int
    longest_pause_days: int
    said: str


@with_config(EXACTLY)
class NamedPerson(TypedDict):
    """Somebody who is named among others."""

    person: int
    name: str
    email: str
