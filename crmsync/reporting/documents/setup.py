"""What is printed before the first run."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.runs import RunDocument
from crmsync.reporting.documents.shared import EXACTLY


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
class SourceCheck(TypedDict):
    """What `check --online` found of one source of events."""

    reached: bool
    problems: list[str]
    notes: list[str]


@with_config(EXACTLY)
class CheckDocument(TypedDict):
    """`crmsync check`; `crms` and `events` are empty without `--online`."""

    config: str
    ok: bool
    rules: int
    test_leads: int
    problems: list[str]
    warnings: list[str]
    notes: list[str]
    crms: dict[str, CrmCheck]
    events: dict[str, SourceCheck]


@with_config(EXACTLY)
class SetupDocument(TypedDict):
    """`crmsync setup`: what was created, found, or is left to do, by CRM."""

    crms: dict[str, list[str]]
    next: NotRequired[str]


@with_config(EXACTLY)
class LookedAt(TypedDict):
    """What a CRM said of itself: numbers of what it has, and in `not_tried` what it did not say and why."""

    crm: str
    account: str
    fields: int
    stages: int
    users: int
    not_tried: list[str]


@with_config(EXACTLY)
class NotTried(TypedDict):
    """A CRM that was not looked at, and why."""

    crm: str
    why: str


@with_config(EXACTLY)
class NotImportedRule(TypedDict):
    """A rule of a lead score that was not taken over: why, and what to do."""

    rule: str
    reason: str
    remedy: str


@with_config(EXACTLY)
class RuleDifference(TypedDict):
    """A rule that was taken over and may give other points."""

    rule: str
    said: str


@with_config(EXACTLY)
class LeadScoreDocument(TypedDict):
    """What `crmsync init` took over of a CRM's lead score: `field` holds its points, `rules` is a number."""

    id: str
    name: str
    field: str | None
    rules: int
    not_imported: list[NotImportedRule]
    differences: list[RuleDifference]
    has_levels: bool
    notes: list[str]


@with_config(EXACTLY)
class InitDocument(TypedDict):
    """`crmsync init`; `members` are the users whom the file gives people, `schema` the file for editors."""

    config: str
    schema: str | None
    model: Literal["small", "standard", "full"]
    crms: list[str]
    looked_at: list[LookedAt]
    not_tried: list[NotTried]
    members: list[str]
    lead_score: NotRequired[LeadScoreDocument]
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
