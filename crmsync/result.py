"""What a run reports."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

Verdict = Literal["preview", "ok", "partial", "held", "failed"]


@dataclass
class Counts:
    """What happened in one CRM: `pulled = scored + Σ skipped`; `planned` is the sum of the five that follow it.

    `rescored` are all records scored, also those that were not pulled (time passed, the config changed); `resumed` are
    changes that an earlier run had sent without hearing of them again; `protected` says why a difference was not
    planned; `api_used` is how much of the day's API calls is used by everybody (0 to 1), and `api_left` how many are
    left, where the CRM said so; `opportunities` are those that were pulled; `small_moves` are people whose
    scores moved by too little to be written.
    """

    pulled: int = 0
    activities: int = 0
    scored: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    planned: int = 0
    updated: int = 0
    partly: int = 0
    rejected: int = 0
    edited: int = 0
    unknown: int = 0
    protected: dict[str, int] = field(default_factory=dict)
    api_calls: int = 0
    seconds: float = 0.0
    rescored: int = 0
    resumed: int = 0
    api_used: float | None = None
    api_left: int | None = None
    opportunities: int = 0
    small_moves: int = 0


@dataclass
class EventCounts:
    """What came from one source of events: `read` ones, lines or rows that are `unreadable`, and `others`, whose type
    the config does not take; `unmatched` are the addresses and records whose events wait for their person.
    """

    read: int = 0
    unmatched: int = 0
    unreadable: int = 0
    others: int = 0
    seconds: float = 0.0

    def add(self, earlier: EventCounts) -> None:
        """Count what an earlier pull of the same run read as well."""
        for name in ("read", "unreadable", "others", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(earlier, name))


@dataclass
class WaitingPlan:
    """A plan that waits for approval: its id and kind, why it waits, and how many records of it by CRM and category.

    `kind` is `config` (an edited config; the last approved one goes on scoring), `data` (records that look odd, or a
    first run), or `undo` (values that were undone).
    """

    run: str
    kind: Literal["config", "data", "undo"]
    reasons: list[str]
    records: dict[str, dict[str, int]]


@dataclass
class Result:
    """How a run ended. `problems` are sentences; `skipped` says by its name why a CRM or a source took no part;
    `needs_action` names those of them where somebody must change something first, and `out_of_calls` those whose API
    calls are used up for now.

    `guard` says of a preview why it would wait if it were none; `held` is the plan that waits after this run;
    `routing` counts everybody by where they are; `waiting_for_owner` counts people by why they have none;
    `approved` compares what is written with what was seen; `tasks` counts those that owners get, by how far they are;
    `holds` are dead feeds for which decay and inactivity are on hold; `freshness` counts people by how many seconds
    after something happened to them an update was confirmed.
    """

    run: str
    verdict: Verdict = "ok"
    crms: dict[str, Counts] = field(default_factory=dict)
    events: dict[str, EventCounts] = field(default_factory=dict)
    bands: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    guard: list[str] = field(default_factory=list)
    held: WaitingPlan | None = None
    routing: dict[str, Any] = field(default_factory=dict)
    waiting_for_owner: dict[str, Any] = field(default_factory=lambda: {"count": 0, "reasons": {}})
    skipped: dict[str, str] = field(default_factory=dict)
    needs_action: list[str] = field(default_factory=list)
    out_of_calls: list[str] = field(default_factory=list)
    approved: dict[str, Any] | None = None
    tasks: dict[str, int] = field(default_factory=dict)
    holds: list[dict[str, Any]] = field(default_factory=list)
    freshness: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        return asdict(self)


def new_run_id(now: datetime) -> str:
    """A name that sorts by time and that nobody else has: `20261121-204500-1f3a`."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
