"""What is printed of changes that were made, and of what an operator does."""

from __future__ import annotations

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.shared import EXACTLY, Value
from crmsync.reporting.documents.status import PausedDocument


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
class ExportDocument(TypedDict):
    """`crmsync export FOLDER`: how much of each it has, as of when its scores are, and of how many people there is
    newer news.
    """

    folder: str
    at: str
    people: int
    activities: int
    facts: int
    scores: int
    pending: int
    left_out: int


@with_config(EXACTLY)
class ImportDocument(TypedDict):
    """`crmsync import FOLDER`."""

    folder: str
    made_at: str
    rows: dict[str, int]
    next: str


@with_config(EXACTLY)
class RestoreDocument(TypedDict):
    """`crmsync restore FILE`: when the backup was made, how many rows it had by table, and the next command."""

    file: str
    made_at: str
    rows: dict[str, int]
    next: str
