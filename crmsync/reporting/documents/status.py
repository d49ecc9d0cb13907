"""What the status prints."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.govern import DueReview, GovernanceDocument
from crmsync.reporting.documents.runs import CountsDocument, HeldPlan
from crmsync.reporting.documents.shared import (
    EXACTLY,
    AcceptedDocument,
    HoldDocument,
    NamedPerson,
    TierDocument,
    Trouble,
    Value,
    WaitingForOwner,
)


@with_config(EXACTLY)
class CrmHealth(TypedDict):
    """Whether a CRM is kept up to date, and if not, why."""

    healthy: bool
    why: str


@with_config(EXACTLY)
class SourceStatus(CrmHealth):
    """One source of events: `last` is the day of its last event; `waiting` events are of so many `unmatched` addresses
    and records that are nobody's yet; of the `domains` (or users of one) no person has the events.
    """

    events: int
    last: str | None
    waiting: int
    unmatched: int
    domains: int
    unreadable: int
    last_unreadable: str
    last_good: str | None


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
    events: dict[str, CrmHealth]
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
class FreshnessDocument(TypedDict):
    """How soon the score in a CRM followed what happened there, in the runs of the last day: of so many people, the
    seconds within which half of them and 95 % of them had it (`null` of nobody). The goal for 95 % and whether it is
    `met` are `null` without webhooks.
    """

    people: int
    median_seconds: int | None
    p95_seconds: int | None
    goal_seconds: int | None
    met: bool | None


@with_config(EXACTLY)
class StatusDocument(TypedDict):
    """`crmsync status`; `feeds` with `--feeds`."""

    state: str
    paused: PausedDocument | None
    crms: dict[str, CrmStatus]
    events: dict[str, SourceStatus]
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
    tiers: list[TierDocument]
    feeds: NotRequired[list[ActivitySource]]
    alerts: AlertsStatus
    review: ReviewDocument
    reviews: list[DueReview]
    accepted: AcceptedDocument | None
    models: GovernanceDocument
    next_run: NextRunDocument
    freshness: FreshnessDocument
    held_by: str | None
    healthy: bool
    health: list[str]


@with_config(EXACTLY)
class RefusedDocument(TypedDict):
    """`crmsync status --refused`."""

    refused: list[Trouble]
