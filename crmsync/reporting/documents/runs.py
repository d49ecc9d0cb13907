"""What runs and plans print."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.plan import GateDocument, PlanReport, StoredReport
from crmsync.reporting.documents.shared import EXACTLY, HoldDocument, Points, Trouble, Value, WaitingForOwner


@with_config(EXACTLY)
class CountsDocument(TypedDict):
    """One CRM in a run: pulled = scored + skipped; planned = updated + partly + rejected + edited + unknown."""

    pulled: int
    activities: int
    scored: int
    skipped: dict[str, int]
    planned: int
    updated: int
    partly: int
    rejected: int
    edited: int
    unknown: int
    protected: dict[str, int]
    api_calls: int
    seconds: float
    rescored: int
    resumed: int
    api_used: NotRequired[float | None]
    api_left: NotRequired[int | None]
    opportunities: NotRequired[int]
    small_moves: NotRequired[int]


@with_config(EXACTLY)
class EventCountsDocument(TypedDict):
    """One source of events in a run; `unmatched` addresses and records wait for their person."""

    read: int
    unmatched: int
    unreadable: int
    others: int
    seconds: float


Move = TypedDict("Move", {"crm": str, "from": str | None, "to": str | None, "records": int})
"""So many records of a CRM whose band, stage or owner goes from one value to another; `null` is none."""


FromTo = TypedDict("FromTo", {"from": str | None, "to": str | None})
"""A value before and after."""


Mover = TypedDict(
    "Mover",
    {"ref": str, "name": str, "from": Value, "to": Value, "moved": Points, "because": str},
)
"""A record whose score moves much, and the reason of its new score."""


@with_config(EXACTLY)
class MovedPerson(TypedDict):
    """Somebody whose stage, owner or band changes, with all their records."""

    name: str
    refs: list[str]
    score: NotRequired[FromTo]
    band: NotRequired[FromTo]
    stage: NotRequired[FromTo]
    owner: NotRequired[FromTo]


@with_config(EXACTLY)
class ChangesDocument(TypedDict):
    """What a run changed, or would change; of people and movers the first twenty. `report` is of a plan."""

    records: dict[str, int]
    people: list[MovedPerson]
    more_records: int
    bands: list[Move]
    stages: list[Move]
    owners: list[Move]
    movers: list[Mover]
    troubles: list[Trouble]
    report: NotRequired[PlanReport | StoredReport]


@with_config(EXACTLY)
class HeldPlan(TypedDict):
    """A plan that waits for approval: `config` (an edited config), `data` (records that look odd, or a first run) or
    `undo` (values that were undone).
    """

    run: str
    kind: Literal["config", "data", "undo"]
    reasons: list[str]
    records: dict[str, dict[str, int]]
    changes: NotRequired[ChangesDocument]


RoutingDocument = TypedDict(
    "RoutingDocument",
    {
        "in": int,
        "owned": int,
        "routed": int,
        "nurture": int,
        "excluded": int,
        "waiting": int,
        "reasons": dict[str, int],
        "by_owner": dict[str, int],
    },
)
"""Everybody by where they are: `in` is the sum of the five that follow it; `reasons` are of those who wait,
`by_owner` of those who got an owner in this run."""


@with_config(EXACTLY)
class RunDocument(TypedDict):
    """A run: of `plan`, `sync`, `backfill` and `apply`. What a run that failed early did not come to is left out.

    `freshness` counts people by the seconds from what happened in the CRM to the confirmed update of their score.
    """

    run: NotRequired[str]
    verdict: Literal["preview", "ok", "partial", "held", "failed", "running"]
    crms: dict[str, CountsDocument]
    events: NotRequired[dict[str, EventCountsDocument]]
    bands: NotRequired[dict[str, int]]
    problems: NotRequired[list[str]]
    notes: NotRequired[list[str]]
    guard: NotRequired[list[str]]
    held: NotRequired[HeldPlan | None]
    routing: NotRequired[RoutingDocument | dict[str, Any]]
    waiting_for_owner: NotRequired[WaitingForOwner]
    skipped: NotRequired[dict[str, str]]
    needs_action: NotRequired[list[str]]
    out_of_calls: NotRequired[list[str]]
    approved: NotRequired[dict[str, Any] | None]
    tasks: NotRequired[dict[str, int]]
    holds: NotRequired[list[HoldDocument]]
    freshness: NotRequired[dict[str, int]]
    changes: NotRequired[ChangesDocument]
    gates: NotRequired[list[GateDocument]]
    next: NotRequired[str]
    error: NotRequired[str]
