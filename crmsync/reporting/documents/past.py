"""What is printed of the past: a person as of then, and what the CRMs keep of former values."""

from __future__ import annotations

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.person import ScoredDocument
from crmsync.reporting.documents.shared import EXACTLY, Points


@with_config(EXACTLY)
class EntryDocument(TypedDict):
    """The last entry into a stage or band until then, with the score and the model of that time."""

    at: str
    run: str
    stage: str | None
    band: str
    total: Points
    fit: Points
    behavior: Points
    model: str
    owner: str | None


@with_config(EXACTLY)
class PastDocument(ScoredDocument):
    """`crmsync explain WHO --at`: `unknown_then` are the fields whose value at that time nobody can know any more."""

    name: str
    at: str
    model: str
    unknown_then: list[str]
    entered: EntryDocument | None


@with_config(EXACTLY)
class PulledFieldsDocument(TypedDict):
    """How many records of a CRM were asked for, how many former values came, and which fields have a history."""

    records: int
    values: int
    fields: list[str]


@with_config(EXACTLY)
class PulledHistoryDocument(TypedDict):
    """`crmsync backfill --history`."""

    crms: dict[str, PulledFieldsDocument]
    notes: list[str]
    problems: list[str]
