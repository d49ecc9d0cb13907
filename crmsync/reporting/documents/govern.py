"""What is printed of another model, of samples to review, and of the versions of the model."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.plan import GateDocument
from crmsync.reporting.documents.shared import EXACTLY, Points


@with_config(EXACTLY)
class OverLine(TypedDict):
    """Who is over a line at so many `points`; rates are from 0 to 1, and what is not known is `null`.

    Of `settled` people it is known whether sales accepted them. `conversion` is won ÷ (won + lost).
    """

    points: Points | None
    people: int
    per_week: float | None
    per_rep: float | None
    won: int
    lost: int
    conversion: float | None
    accepted: int | None
    settled: int
    acceptance: float | None


@with_config(EXACTLY)
class OverModelLine(OverLine):
    """The same of the line of a model: wins so far, and of the open people what their score converted until now."""

    expected_wins: float | None


@with_config(EXACTLY)
class OverLines(TypedDict):
    """Over the line of both models."""

    old: OverModelLine
    new: OverModelLine


@with_config(EXACTLY)
class ComparedModels(TypedDict):
    """The same people by both models: `matrix` has for each old band the people of each new one."""

    people: int
    higher: int
    lower: int
    matrix: dict[str, dict[str, int]]
    over_line: OverLines


@with_config(EXACTLY)
class CapacityLineDocument(TypedDict):
    """The lowest line that leaves at most `capacity` people a week; `over_by`: how many more the present one has."""

    capacity: Points
    points: Points
    over_by: float | None
    people: int
    per_week: float | None
    per_rep: float | None
    won: int
    lost: int
    conversion: float | None
    accepted: int | None
    settled: int
    acceptance: float | None
    said: str


@with_config(EXACTLY)
class RepLoad(TypedDict):
    """How many over the line a rep had a week, by both models."""

    rep: str
    old_per_week: float
    new_per_week: float


@with_config(EXACTLY)
class ModelSimulationDocument(ComparedModels):
    """`crmsync simulate`: people as they were known when they were judged (`past`), or as known `now`.

    `now` is the state of today, besides a `past`. `model` and `against` are the hashes of both configs.
    """

    model: str
    against: str
    against_is: Literal["in_use", "file", "itself"]
    population: Literal["past", "now"]
    said: str
    line_band: str | None
    weeks: float | None
    reps: int | None
    curve: list[OverLine]
    line: CapacityLineDocument | None
    by_rep: list[RepLoad]
    now: ComparedModels | None
    notes: list[str]
    problems: list[str]
    warnings: list[str]
    gates: NotRequired[list[GateDocument]]


@with_config(EXACTLY)
class VersionDocument(TypedDict):
    """A version of the model: the hash of its config, since when it was in use, and by whom and why (`""`: unknown)."""

    hash: str
    at: str
    author: str
    approver: str
    reason: str
    commit: str


@with_config(EXACTLY)
class ChangedVersion(VersionDocument):
    """A version and what it changed; lists are `null` where the one before cannot be read, `first` has none."""

    first: bool
    changes: list[str] | None
    loosens: list[str] | None
    tightens: list[str] | None


@with_config(EXACTLY)
class ModelsDocument(TypedDict):
    """`crmsync models`, newest first; `noted` is the hash of the version that something was just noted of."""

    models: list[ChangedVersion]
    count: int
    noted: str | None


@with_config(EXACTLY)
class WithoutReason(TypedDict):
    """A version of which nobody said why it was made, and the command that notes it."""

    hash: str
    at: str
    next: str


@with_config(EXACTLY)
class LooseningDocument(VersionDocument):
    """A version that lets more people over the line, adopted near the end of a quarter.

    People who came over the line for the first time in so many `days` before and after, and the share that was accepted
    (0 to 1); what nobody knows is `null`.
    """

    changes: list[str]
    quarter_end: str
    line_band: str | None
    days: int | None
    mql_before: int | None
    mql_after: int | None
    accepted_before: float | None
    accepted_after: float | None
    said: str


@with_config(EXACTLY)
class GovernanceDocument(TypedDict):
    """The version in use, those without a reason, and loosenings near the end of a quarter."""

    current: VersionDocument | None
    without_reason: list[WithoutReason]
    loosened: list[LooseningDocument]


@with_config(EXACTLY)
class DueReview(TypedDict):
    """A check of the rules or a review of the model: when it was, `days` ago, and when it is due again."""

    what: Literal["rules", "model"]
    on: str | None
    due: str | None
    days: int | None
    overdue: bool


@with_config(EXACTLY)
class SampledPerson(TypedDict):
    """Somebody to look at; of a file `person` is `null`. `half` is where in their band their score lies.

    `outcome` is `null` where nobody says what one is, `verdict` is what a reviewer is to say.
    """

    person: int | None
    name: str
    score: Points
    band: str
    half: Literal["high", "low"]
    reasons: list[str]
    outcome: Literal["won", "lost", "open"] | None
    owner: str
    verdict: None


@with_config(EXACTLY)
class AgreementDocument(TypedDict):
    """What reviewers said; `agreement` is right ÷ (right + too_high + too_low), `null` without any."""

    right: int
    too_high: int
    too_low: int
    notes: int
    agreement: float | None


@with_config(EXACTLY)
class ReadVerdicts(TypedDict):
    """A file of verdicts that was read: how many, how many the state keeps, and how many lines have none yet."""

    verdicts: int
    kept: int
    blank: int


@with_config(EXACTLY)
class AuditDocument(TypedDict):
    """`crmsync audit`: a sample, all verdicts so far by band, and people by the tags that users gave them, by band."""

    seed: str | None
    people: list[SampledPerson]
    agreement: dict[str, AgreementDocument]
    agreed: AgreementDocument | None
    feedback: dict[str, dict[str, int]]
    read: ReadVerdicts | None
    problems: list[str]
    warnings: list[str]
