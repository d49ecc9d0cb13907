"""What is printed of where people go."""

from __future__ import annotations

from typing import NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.shared import EXACTLY, Points, Value


@with_config(EXACTLY)
class RuleOfRoute(TypedDict):
    """A route, whether its condition holds for somebody, and the values that decided that."""

    name: str
    to: str
    matched: bool
    why: str


@with_config(EXACTLY)
class RouteDocument(TypedDict):
    """`crmsync route WHO`: for somebody who keeps their owner `to` is null and `member` the owner.

    `instead` has for each other route the smallest change of fields that would have sent them there; `?` is any
    value that no question names.
    """

    person: int
    name: str
    emails: list[str]
    excluded: str
    rules: list[RuleOfRoute]
    to: str | None
    member: str | None
    turn: str
    stage: str | None
    stage_why: str
    track: str | None
    instead: dict[str, dict[str, Value] | None]


@with_config(EXACTLY)
class SimulatedRep(TypedDict):
    """What somebody would have got by a pool; without `pool` it was nobody's turn, and `email` may be a queue.

    `value` is the sum of the pool's value field, or of the scores; `open` is all that they have at the end; `waited`
    counts people who could not be given to anybody when they came.
    """

    email: str
    pool: NotRequired[str]
    leads: int
    value: Points
    open: int
    waited: int
    breaches: int


@with_config(EXACTLY)
class SimulatedWaiting(TypedDict):
    """Somebody who came and waits for an owner at the end."""

    person: int
    at: str
    why: str


@with_config(EXACTLY)
class SimulatedAssignment(TypedDict):
    """Who would have got somebody, when, and by which route; `pool` is `null` where it was nobody's turn."""

    person: int
    at: str
    email: str
    rule: str
    pool: str | None


SimulationDocument = TypedDict(
    "SimulationDocument",
    {
        "days": int,
        "from": str,
        "to": str,
        "arrivals": int,
        "reps": list[SimulatedRep],
        "unrouted": list[SimulatedWaiting],
        "nurture": int,
        "assignments": list[SimulatedAssignment],
        "notes": list[str],
    },
)
"""`crmsync simulate`: `arrivals` = the sum of all `leads` + the `unrouted` + `nurture`."""
