"""What is printed of one person, and of a model."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.shared import EXACTLY, HoldDocument, Points, TierDocument, Value


@with_config(EXACTLY)
class LineDocument(TypedDict):
    """A line of an explanation; the points of all lines sum to the total."""

    rule: str
    points: Points
    why: str


@with_config(EXACTLY)
class Until(TypedDict):
    """When time alone moves somebody, and to which band."""

    at: str
    band: str
    said: str


@with_config(EXACTLY)
class Next(TypedDict):
    """What is missing for the next band."""

    band: str
    points: Points
    said: str


@with_config(EXACTLY)
class PossibleRange(TypedDict):
    """The lowest and highest total over what is not known, and the bands that come with them."""

    lowest: Points
    highest: Points
    bands: list[str]


class ScoredDocument(TypedDict):
    """What scoring says of a person."""

    person: int | str
    refs: list[str]
    fit: Points
    behavior: Points
    total: Points
    band: str | None
    grade: str | None
    grid: str | None
    segment: str | None
    disqualified: str | None
    qualified: bool | None
    channels: dict[str, Points]
    lines: list[LineDocument]
    gaps: list[str]
    warnings: list[str]
    reason: str
    until: Until | None
    next: Next | None
    range: PossibleRange
    stage: str | None
    owner: str | None


@with_config(EXACTLY)
class PersonDocument(ScoredDocument):
    """One person of `crmsync score`, and the line of the file that they are on; of a folder the file, too."""

    file: NotRequired[str]
    line: int


@with_config(EXACTLY)
class RecordDocument(TypedDict):
    """One CRM record of a person, and how far the explained score has come to it."""

    ref: str
    name: str
    stage: str | None
    owner: str | None
    holds: dict[str, Value]
    state: str
    on_hold: str | None
    delivery: Literal["written", "differs", "undone", "pending", "held", "on_hold", "small_move"]
    not_written: str | None
    run: str | None
    pending: dict[str, Value]
    next: str | None


@with_config(EXACTLY)
class OwnerDocument(TypedDict):
    """Who owns a record in its CRM."""

    id: str
    email: str
    name: str


@with_config(EXACTLY)
class OverrideDocument(TypedDict):
    """A stage or owner that a user gave a record, and until when it is protected."""

    ref: str
    name: str
    field: str
    value: str | None
    until: str


@with_config(EXACTLY)
class WrittenDocument(TypedDict):
    """What was decided last, and in which run."""

    total: Points
    band: str
    run: str
    at: str
    model: str


@with_config(EXACTLY)
class PastChange(TypedDict):
    """A change of the journal."""

    run: str
    ref: str
    state: str
    before: dict[str, Value]
    after: dict[str, Value]
    because: str
    reason: str
    at: str


@with_config(EXACTLY)
class LoggedTwice(TypedDict):
    """An activity that counts once although two CRMs log it, and how many seconds apart they do."""

    kind: str
    at: str
    seconds: int
    said: str


@with_config(EXACTLY)
class LifecycleDocument(TypedDict):
    """The stage that was decided, since when, which one was left last, and until when one is not entered again.

    `reason` and `entered` say how they came into it, by whomever, as the score fields of the stage do.
    """

    stage: str | None
    since: str | None
    reason: str
    entered: str | None
    left: str | None
    cool_downs: dict[str, str]
    why: str


@with_config(EXACTLY)
class HandOffDocument(TypedDict):
    """A time that somebody got an owner; `pool` is empty where it was nobody's turn."""

    at: str
    owner: str
    route: str
    pool: str
    stage: str
    why: str


@with_config(EXACTLY)
class TaskDocument(TypedDict):
    """A task for an owner about somebody; `planned` is one that no CRM has taken yet."""

    at: str
    event: Literal["hand_off", "breach", "feedback"]
    owner: str
    due: str
    state: Literal["planned", "sent", "created", "dropped", "closed"]
    crm: str
    task_id: str
    reason: str


@with_config(EXACTLY)
class WhereDocument(TypedDict):
    """Where somebody was last, by which route, and their hand-offs and the tasks about them, newest first."""

    destination: str | None
    route: str | None
    track: str | None
    waiting_since: str | None
    hand_offs: list[HandOffDocument]
    tasks: list[TaskDocument]


@with_config(EXACTLY)
class AccountDocument(TypedDict):
    """The account that somebody belongs to: who owns it, how many people it has, and how many others were active.

    With `[account]` its score, how many people fill each role, and the roles that nobody fills.
    """

    name: str | None
    owner: str | None
    people: int
    active_people: int
    score: Points | None
    roles: dict[str, int]
    missing: list[str]


@with_config(EXACTLY)
class FeedbackDocument(TypedDict):
    """The tag that users gave a person, what it does (`null`: it is not in the config), and until when."""

    tag: str
    action: Literal["keep", "disqualify", "recycle"] | None
    until: str | None


@with_config(EXACTLY)
class SlaDocument(TypedDict):
    """Until when the owner of a person had to get in touch, when they did, and whether that was or is too late."""

    due: str
    touched: str | None
    breached: bool


@with_config(EXACTLY)
class RecordValueDocument(TypedDict):
    """What a record says of a field: `mapped` is the CRM's own name of the field."""

    ref: str
    mapped: str
    value: Value


@with_config(EXACTLY)
class DifferenceDocument(TypedDict):
    """A field of which the records of a person say different things; the first of `values` counts."""

    field: str
    values: list[RecordValueDocument]


@with_config(EXACTLY)
class ExplainDocument(ScoredDocument):
    """`crmsync explain WHO`; `experiments` has for each the arm that they are in, `none` for no arm."""

    name: str
    emails: list[str]
    changed: list[LineDocument]
    band_why: str
    stage_why: str
    owners: dict[str, OwnerDocument]
    owner_why: str
    waiting: str
    excluded: str
    lifecycle: LifecycleDocument | None
    routing: WhereDocument | None
    experiments: dict[str, str]
    feedback: FeedbackDocument | None
    sla: SlaDocument | None
    account: AccountDocument | None
    overrides: list[OverrideDocument]
    differences: list[DifferenceDocument]
    holds: list[HoldDocument]
    logged_twice: list[LoggedTwice]
    records: list[RecordDocument]
    written: WrittenDocument | None
    history: list[PastChange]


@with_config(EXACTLY)
class ModelLine(TypedDict):
    """One line of the model in words."""

    sort: str
    points: Points | None
    name: str
    says: str


@with_config(EXACTLY)
class ModelDocument(TypedDict):
    """`crmsync explain --model`."""

    model: str
    timezone: str
    rules: list[ModelLine]
    limits: list[ModelLine]
    bands: list[ModelLine]
    disqualifiers: list[ModelLine]
    qualifications: list[ModelLine]
    segments: list[ModelLine]
    words: list[ModelLine]
    stages: list[ModelLine]
    owners: list[ModelLine]
    tiers: list[TierDocument]


@with_config(EXACTLY)
class ScoreDocument(TypedDict):
    """`crmsync score`: as of when, and what it wrote with `--output`; `people` is empty then."""

    at: str
    count: int
    output: str | None
    people: list[PersonDocument]
    problems: list[str]
    warnings: list[str]
