"""What `crmsync plan --json` prints beside the changes: the plan in people, and what it rests on."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.shared import EXACTLY, AcceptedDocument, Points

ScoreMove = TypedDict("ScoreMove", {"from": Points | None, "to": Points | None})
"""Points before and after; `null` is none."""

MovingPerson = TypedDict(
    "MovingPerson",
    {
        "person": int,
        "name": str,
        "email": str,
        "from": str | None,
        "to": str | None,
        "score": ScoreMove,
        "owner": str | None,
        "why": str,
    },
)
"""Somebody who enters or leaves: from where to where, their score, the owner they have then, and why."""


@with_config(EXACTLY)
class LevelDocument(TypedDict):
    """A band, stage or owner in people: after = before + entered − left; of those who move the first twenty."""

    name: str | None
    before: int
    after: int
    entered: int
    left: int
    who_enters: list[MovingPerson]
    who_leaves: list[MovingPerson]


@with_config(EXACTLY)
class EditDocument(TypedDict):
    """One edit of the config file since the last run."""

    kind: Literal["added", "removed", "changed"]
    table: str
    name: str
    said: str


@with_config(EXACTLY)
class PlanPeople(TypedDict):
    """People in all, their live records, people with a score; whom the plan changes, their records, new owners."""

    all: int
    live: int
    scored: int
    changed: int
    records: int
    reassigned: int


Bar = TypedDict("Bar", {"from": Points, "before": int, "after": int})
"""People whose score is at least `from`, and less than that of the next bar."""


@with_config(EXACTLY)
class Threshold(TypedDict):
    """Where a band begins."""

    band: str
    at: Points


@with_config(EXACTLY)
class DistributionDocument(TypedDict):
    """People by score; before are those whose score the CRMs hold, all but `first_scores`."""

    step: int
    bars: list[Bar]
    first_scores: int
    thresholds: list[Threshold]


@with_config(EXACTLY)
class ExamplePerson(TypedDict):
    """The person whom a rule moves most."""

    person: int
    name: str
    email: str
    points: Points


@with_config(EXACTLY)
class EffectDocument(TypedDict):
    """What a line of the score did since the last run; `edit` says how the file changed it, if it did."""

    rule: str
    edit: Literal["added", "removed", "changed"] | None
    people: int
    points: Points
    gain: Points
    loss: Points
    example: ExamplePerson | None


@with_config(EXACTLY)
class LineMove(TypedDict):
    """A line that moved somebody's score."""

    rule: str
    points: Points
    change: Literal["new", "gone", "other"]


@with_config(EXACTLY)
class ScoreMover(TypedDict):
    """Somebody whose score moves much since the last run; the lines sum to the move."""

    person: int
    name: str
    email: str
    score: ScoreMove
    lines: list[LineMove]


@with_config(EXACTLY)
class LimitDocument(TypedDict):
    """A limit of `[guard]`, in records: how many count, how many are allowed, how many more would be."""

    crm: str
    limit: str
    records: int
    allowed: int
    left: int
    said: str


@with_config(EXACTLY)
class StoredReport(TypedDict):
    """A plan that waits, in people: `edits` is `null` where the config is that of the last run."""

    edits: list[EditDocument] | None
    people: PlanPeople
    accepted: AcceptedDocument | None
    bands: list[LevelDocument]
    stages: list[LevelDocument]
    owners: list[LevelDocument]


DifferenceBar = TypedDict("DifferenceBar", {"from": Points, "people": int})
"""People whose score is at least `from` points above the other one (below it where that is negative)."""


@with_config(EXACTLY)
class BothBands(TypedDict):
    """The band that the points of the other score alone reach, and ours."""

    theirs: str | None
    ours: str | None


@with_config(EXACTLY)
class LineOfScore(TypedDict):
    """A line of our score."""

    rule: str
    points: Points


@with_config(EXACTLY)
class ComparedPersonDocument(TypedDict):
    """Somebody with the other score and ours, and the lines of ours, which sum to it."""

    person: int
    name: str
    email: str
    theirs: Points
    ours: Points
    bands: BothBands
    lines: list[LineOfScore]


BandMove = TypedDict(
    "BandMove", {"from": str | None, "to": str | None, "people": int, "who": list[ComparedPersonDocument]}
)
"""People whom our score puts into another band than the other one would; of them the twenty farthest apart."""


@with_config(EXACTLY)
class ComparisonDocument(TypedDict):
    """The score of `[compare]` beside ours: people who have both, those who agree but for rounding, those without it.

    `bars` has those who do not agree, by ours minus the other one, in steps of `step` points.
    """

    compared: int
    agree: int
    without: int
    step: int
    bars: list[DifferenceBar]
    largest: list[ComparedPersonDocument]
    moves: list[BandMove]


@with_config(EXACTLY)
class PlanReport(StoredReport):
    """A plan just made, in people; `cost` estimates calls by CRM, `comparison` is `null` without `[compare]`."""

    distribution: DistributionDocument
    effects: list[EffectDocument]
    moved: Points
    movers: list[ScoreMover]
    limits: list[LimitDocument]
    cost: dict[str, int]
    comparison: ComparisonDocument | None


@with_config(EXACTLY)
class GateDocument(TypedDict):
    """A condition of `--fail-if`, whether the plan meets it and so fails, and the numbers in a sentence."""

    gate: str
    failed: bool
    said: str
