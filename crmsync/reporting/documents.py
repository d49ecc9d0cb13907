"""The documents that `--json` prints: their keys are a contract that others script against."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from crmsync.config.account import Method
from crmsync.reporting.plan_documents import GateDocument, PlanReport, StoredReport

Value = str | int | float | bool | list[str] | None
Points = int | float
EXACTLY = ConfigDict(extra="forbid")


class ErrorDocument(TypedDict):
    error: Literal["config", "several", "unavailable", "clock", "state", "cancelled", "fault", "paused"]
    problems: list[str]
    next: NotRequired[str]


"""A command that failed: a stable word, sentences, and the command that helps, where one does."""


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


@with_config(EXACTLY)
class WaitingForOwner(TypedDict):
    """People without an owner, and why."""

    count: int
    reasons: dict[str, int]


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
class HoldDocument(TypedDict):
    """A dead feed for which decay and inactivity are on hold: `since` is the day of its last activity (UTC)."""

    crm: str
    kind: str
    since: str
    silent_days: int
    longest_pause_days: int
    said: str


@with_config(EXACTLY)
class RunDocument(TypedDict):
    """A run: of `plan`, `sync`, `backfill` and `apply`. What a run that failed early did not come to is left out."""

    run: NotRequired[str]
    verdict: Literal["preview", "ok", "partial", "held", "failed", "running"]
    crms: dict[str, CountsDocument]
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
    changes: NotRequired[ChangesDocument]
    gates: NotRequired[list[GateDocument]]
    next: NotRequired[str]
    error: NotRequired[str]


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
    """One person of `crmsync score`, and the line of the file that they are on."""

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
    delivery: Literal["written", "differs", "undone", "pending", "held", "on_hold"]
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
class ExplainDocument(ScoredDocument):
    """`crmsync explain WHO`."""

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
    feedback: FeedbackDocument | None
    sla: SlaDocument | None
    account: AccountDocument | None
    overrides: list[OverrideDocument]
    holds: list[HoldDocument]
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


@with_config(EXACTLY)
class ScoreDocument(TypedDict):
    """`crmsync score`."""

    people: list[PersonDocument]
    problems: list[str]
    warnings: list[str]


@with_config(EXACTLY)
class CrmHealth(TypedDict):
    """Whether a CRM is kept up to date, and if not, why."""

    healthy: bool
    why: str


@with_config(EXACTLY)
class PausedDocument(TypedDict):
    """A pause: since when, until when (`null`: until `crmsync resume`), and why."""

    since: str
    until: str | None
    why: str


@with_config(EXACTLY)
class HealthDocument(TypedDict):
    """`crmsync status --health`."""

    healthy: bool
    crms: dict[str, CrmHealth]
    health: list[str]
    paused: PausedDocument | None


@with_config(EXACTLY)
class CrmStatus(CrmHealth):
    """One CRM of the state; its API calls are of everybody, as the last run learned that heard of them."""

    account: str
    records: int
    not_matched: int
    on_hold: int
    pending_updates: int
    api_left: int | None
    api_used: float | None
    last_good: str | None


@with_config(EXACTLY)
class PastRunDocument(TypedDict):
    """One of the last runs."""

    run: str
    command: str
    verdict: str
    started: str
    ended: str | None
    seconds: float | None
    crms: dict[str, CountsDocument]
    skipped: dict[str, str]
    problems: list[str]


@with_config(EXACTLY)
class WaitingPlanDocument(HeldPlan):
    """A plan that waits, since when, and the command that approves it."""

    since: str
    next: str


@with_config(EXACTLY)
class ApprovedPlan(TypedDict):
    """A plan that was approved and is not written yet."""

    run: str
    records: dict[str, dict[str, int]]
    at: str


@with_config(EXACTLY)
class RecordOnHold(TypedDict):
    """A record that its CRM does not let us update."""

    ref: str
    reason: str
    after: dict[str, Value]


@with_config(EXACTLY)
class ActivitySource(TypedDict):
    """What one kind of activity of a CRM has brought."""

    crm: str
    kind: str
    activities: int
    last: str


@with_config(EXACTLY)
class Breach(TypedDict):
    """Somebody who was not contacted in time."""

    person: int
    name: str
    owner: str
    stage: str
    handed_off: str
    due: str


@with_config(EXACTLY)
class SpeedToLead(TypedDict):
    """How soon an owner got in touch with so many people, in minutes of their working time."""

    owner: str
    leads: int
    median_minutes: float
    p90_minutes: float


@with_config(EXACTLY)
class GroupSpeedDocument(TypedDict):
    """Hand-offs of one owner, band or source (`""`: none known); minutes of working time, `null` without a touch."""

    name: str
    open: int
    touched: int
    breached: int
    median_minutes: float | None
    p90_minutes: float | None


@with_config(EXACTLY)
class SlaStatus(TypedDict):
    """Hand-offs by whether the owner got in touch; of those too late, contacted by now or not, the first fifty.

    `by_band` goes by the band at the hand-off; `by_source` is empty where nothing maps the field `source`.
    """

    within: str
    open: int
    touched: int
    breaches: list[Breach]
    breached: int
    speed_to_lead: list[SpeedToLead]
    by_owner: list[GroupSpeedDocument]
    by_band: list[GroupSpeedDocument]
    by_source: list[GroupSpeedDocument]


@with_config(EXACTLY)
class RuleOverrides(TypedDict):
    """How often users overrode a route (`kind` owner, of its `hand_offs`) or stage (of the `moves` into it)."""

    rule: str
    kind: Literal["owner", "stage"]
    hand_offs: NotRequired[int]
    moves: NotRequired[int]
    overridden: int
    rate: float


@with_config(EXACTLY)
class RepOverrides(TypedDict):
    """How often users gave to somebody else whom a route had given to this owner."""

    rep: str
    hand_offs: int
    overridden: int
    rate: float


@with_config(EXACTLY)
class OpenAlert(TypedDict):
    """What was told to be wrong and lasts."""

    key: str
    title: str
    since: str


@with_config(EXACTLY)
class SinkDown(TypedDict):
    """An address of alerts that could not be called, and how many lines it has not heard yet."""

    sink: str
    since: str
    unsent: int
    next: str


@with_config(EXACTLY)
class AlertsStatus(TypedDict):
    """Where alerts go (scheme and host of each address), what lasts, and which addresses are down."""

    sinks: list[str]
    heartbeat: bool
    open: list[OpenAlert]
    down: list[SinkDown]


@with_config(EXACTLY)
class SinkTest(TypedDict):
    """Whether an address took a test message, and if not, why."""

    sink: str
    ok: bool
    why: str


@with_config(EXACTLY)
class AlertTest(TypedDict):
    """`crmsync alert --test`."""

    sinks: list[SinkTest]


@with_config(EXACTLY)
class NamedPerson(TypedDict):
    """Somebody who is named among others."""

    person: int
    name: str
    email: str


@with_config(EXACTLY)
class MovementDocument(TypedDict):
    """A stage that crmsync gives, or a band that leads to one: who came to it or above within so many `days`, and who
    fell below it, as the CRMs hold it; the first twenty by name.
    """

    field: Literal["stage", "band"]
    name: str
    days: int
    entered: int
    left: int
    who_entered: list[NamedPerson]
    who_left: list[NamedPerson]


@with_config(EXACTLY)
class UnownedDocument(TypedDict):
    """People whom no active user owns, and how many of them are in a band that leads to a stage, or above."""

    count: int
    qualified: int


@with_config(EXACTLY)
class ReviewDocument(TypedDict):
    """When the model was reviewed (`[review] on`), when it is due again, and whether that day has passed."""

    on: str | None
    due: str | None
    overdue: bool


@with_config(EXACTLY)
class NextRunDocument(TypedDict):
    """The schedule, whether a `crmsync run` works on this state, when it begins its next run by the schedule, and the
    command that starts one where there is none; `delay_seconds` is how long a new lead waits at most, an interval and
    a run: `null` by a cron, and before a run went well.
    """

    schedule: str
    daemon: bool
    at: str | None
    start: str | None
    delay_seconds: int | None


@with_config(EXACTLY)
class StatusDocument(TypedDict):
    """`crmsync status`; `feeds` with `--feeds`."""

    state: str
    paused: PausedDocument | None
    crms: dict[str, CrmStatus]
    bands: dict[str, int]
    bands_waiting: dict[str, int]
    runs: list[PastRunDocument]
    waiting: list[WaitingPlanDocument]
    approved: list[ApprovedPlan]
    qualified: list[MovementDocument]
    without_owner: UnownedDocument
    waiting_for_owner: WaitingForOwner
    feedback: dict[str, dict[str, int]]
    sla: SlaStatus | None
    overrides: list[RuleOverrides]
    overrides_by_rep: list[RepOverrides]
    refused: list[Trouble]
    on_hold: list[RecordOnHold]
    holds: list[HoldDocument]
    feeds: NotRequired[list[ActivitySource]]
    alerts: AlertsStatus
    review: ReviewDocument
    next_run: NextRunDocument
    held_by: str | None
    healthy: bool
    health: list[str]


@with_config(EXACTLY)
class RefusedDocument(TypedDict):
    """`crmsync status --refused`."""

    refused: list[Trouble]


@with_config(EXACTLY)
class PoolMember(TypedDict):
    """Somebody whom a route may choose, and whether the CRM knows them."""

    pool: str
    email: str
    state: Literal["active", "inactive", "missing"]


@with_config(EXACTLY)
class CrmCheck(TypedDict):
    """What `check --online` found in one CRM."""

    reached: bool
    account: str
    problems: list[str]
    setup_creates: list[str]
    notes: list[str]
    members: list[PoolMember]


@with_config(EXACTLY)
class CheckDocument(TypedDict):
    """`crmsync check`; `crms` is empty without `--online`."""

    config: str
    ok: bool
    rules: int
    test_leads: int
    problems: list[str]
    warnings: list[str]
    notes: list[str]
    crms: dict[str, CrmCheck]


@with_config(EXACTLY)
class SetupDocument(TypedDict):
    """`crmsync setup`: what was created, found, or is left to do, by CRM."""

    crms: dict[str, list[str]]
    next: NotRequired[str]


@with_config(EXACTLY)
class InitDocument(TypedDict):
    """`crmsync init`."""

    config: str
    next: list[str]


@with_config(EXACTLY)
class StoppedDocument(TypedDict):
    """`crmsync run` and `crmsync sandbox`, when they were told to stop."""

    stopped: Literal[True]


class DemoDocument(TypedDict):
    """`crmsync demo`."""

    folder: str
    config: str
    sandbox: dict[str, Any]
    ignored_environment: list[str]
    fields: dict[str, list[str]]
    backfill: RunDocument
    second: RunDocument
    hottest: list[dict[str, Any]]
    next: list[str]


@with_config(EXACTLY)
class ListedPerson(TypedDict):
    """Somebody of a list, and why; of disagreements which field, its values by CRM, and the CRM changed longer ago."""

    person: int | None
    name: str
    emails: list[str]
    records: list[str]
    why: str
    field: NotRequired[str]
    values: NotRequired[dict[str, Value]]
    older: NotRequired[str | None]


@with_config(EXACTLY)
class PeopleDocument(TypedDict):
    """`crmsync people`."""

    people: list[ListedPerson]
    count: int


@with_config(EXACTLY)
class AccountMember(TypedDict):
    """Somebody who counts for an account, with the roles that they fill."""

    person: int
    name: str
    emails: list[str]
    score: Points
    band: str
    active: bool
    roles: list[str]


@with_config(EXACTLY)
class ListedAccount(TypedDict):
    """An account: the active user who owns it, its score, its people (those active in the last seven days, too), how
    many of them fill each role, and the roles that nobody fills; where it was asked for by name, everybody."""

    name: str | None
    domain: str | None
    owner: str | None
    score: Points
    people: int
    active_people: int
    roles: dict[str, int]
    missing: list[str]
    members: NotRequired[list[AccountMember]]


@with_config(EXACTLY)
class AccountsDocument(TypedDict):
    """`crmsync accounts`: the highest score first; `count` are all of them, also where `--top` shows fewer."""

    accounts: list[ListedAccount]
    count: int
    method: Method


@with_config(EXACTLY)
class ForgetDocument(TypedDict):
    """`crmsync forget WHO`: how many rows were removed, by table of the state."""

    person: int | None
    records: list[str]
    removed: dict[str, int]
    kept_in_crm: Literal[True]


@with_config(EXACTLY)
class ChangeRow(TypedDict):
    """One field of a change; `outcome` is planned, sent, updated, rejected, edited or unknown.

    Where it is protected, `before` stands, and `after` would have been written.
    """

    person: int | None
    name: str
    record: str
    field: str
    before: Value
    after: Value
    outcome: str
    why: str


@with_config(EXACTLY)
class ApprovalDocument(TypedDict):
    """When a plan was approved, and by which user of the machine."""

    at: str
    by: str


@with_config(EXACTLY)
class ShowDocument(TypedDict):
    """`crmsync show RUN`: `counts` are records by CRM and how their change ended, `held` is the plan that the run held,
    `undoes` the run that it undid.
    """

    run: str
    command: str
    verdict: str
    started: str
    ended: str | None
    model: str
    undoes: str | None
    reasons: list[str]
    approved: ApprovalDocument | None
    held: str | None
    counts: dict[str, dict[str, int]]
    changes: list[ChangeRow]
    protected: list[ChangeRow]
    notes: list[str]
    next: str | None


@with_config(EXACTLY)
class HistoryRow(TypedDict):
    """What records of a person held after a change: `changed` names the fields that it changed, `by` is crmsync, who
    else it was (an address, "a workflow") where the CRM tells, else user, or unknown where the first pull after a
    restore found it; `at` of what is not crmsync's is when it was noticed.
    """

    at: str
    run: str | None
    model: str | None
    score: Value
    band: Value
    stage: Value
    owner: Value
    by: str
    why: str
    changed: list[str]
    records: list[str]


@with_config(EXACTLY)
class HistoryDocument(TypedDict):
    """`crmsync history WHO`, the newest row first; `notes` say what is not known any more."""

    person: int | None
    name: str
    emails: list[str]
    history: list[HistoryRow]
    notes: list[str]


@with_config(EXACTLY)
class UndoneRow(ChangeRow):
    """A value that an undo restored or left, from what was written to what was there before; `reason` is why it was
    left.
    """

    reason: str


@with_config(EXACTLY)
class UndoDocument(TypedDict):
    """`crmsync undo RUN`: `run` is the undo itself, `null` where somebody only looked or it is still to be done."""

    run: str | None
    undoes: str
    verdict: str
    restored: list[UndoneRow]
    left: list[UndoneRow]
    skipped: dict[str, str]
    problems: list[str]
    notes: list[str]


@with_config(EXACTLY)
class PauseDocument(TypedDict):
    """`crmsync pause`."""

    paused: PausedDocument


@with_config(EXACTLY)
class ResumeDocument(TypedDict):
    """`crmsync resume`, and whether it was paused before."""

    paused: None
    was_paused: bool


@with_config(EXACTLY)
class BackupDocument(TypedDict):
    """`crmsync backup FILE`."""

    file: str
    bytes: int


@with_config(EXACTLY)
class RestoreDocument(TypedDict):
    """`crmsync restore FILE`: when the backup was made, how many rows it had by table, and the next command."""

    file: str
    made_at: str
    rows: dict[str, int]
    next: str


DOCUMENTS: dict[str, Any] = {
    "undo": UndoDocument,
    "history": HistoryDocument,
    "route": RouteDocument,
    "show": ShowDocument,
    "simulate": SimulationDocument,
    **dict.fromkeys(("plan", "sync", "backfill", "apply"), RunDocument),
    "explain": ExplainDocument,
    "explain --model": ModelDocument,
    "people": PeopleDocument,
    "accounts": AccountsDocument,
    "forget": ForgetDocument,
    "score": ScoreDocument,
    "pause": PauseDocument,
    "resume": ResumeDocument,
    "backup": BackupDocument,
    "restore": RestoreDocument,
    "status": StatusDocument,
    "status --health": HealthDocument,
    "alert": AlertTest,
    "status --refused": RefusedDocument,
    "check": CheckDocument,
    "setup": SetupDocument,
    "init": InitDocument,
    "run": StoppedDocument,
    "demo": DemoDocument,
}
"""What each command prints when it succeeds; one that fails prints an `ErrorDocument`, a run with what it did."""


def check_document(command: str, document: dict[str, Any]) -> None:
    """Raise pydantic's `ValidationError` where a document is not what is promised of its command."""
    TypeAdapter(
        ErrorDocument if "error" in document and "verdict" not in document else DOCUMENTS[command]
    ).validate_python(document)


def document_schemas() -> dict[str, Any]:
    """The JSON schema of each command's document, and of an error; what they share stands once, in `$defs`."""
    kinds = {**DOCUMENTS, "error": ErrorDocument}
    adapters: list[tuple[str, Literal["validation"], TypeAdapter[Any]]] = [
        (name, "validation", TypeAdapter(kind)) for name, kind in kinds.items()
    ]
    schemas, shared = TypeAdapter.json_schemas(adapters)
    return {"commands": {name: schemas[name, "validation"] for name in kinds}, **shared}
