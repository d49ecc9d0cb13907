"""The protocol between the core and a CRM, and the words that only it needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from crmsync.model import Activity, Change, Contact, Opportunity, Owner, Page, Receipt, Ref, Scalar, Task, TaskReceipt


class MissingField(NamedTuple):
    """A field that the config maps and that a CRM does not have, or does not show to this user.

    `role` says what crmsync uses it for (a `choice` is a field that `crmsync setup` makes for users to fill in, `task`
    the one that holds the keys of tasks), and `name` what the config calls it: `("field", "title")`,
    `("score_field", "score")`, `("stage", "stage")`, `("task", "task key")`. `sentence` tells the admin which field of
    the CRM is meant and what to do.
    """

    role: Literal["field", "score_field", "stage", "choice", "task"]
    name: str
    kind: str
    sentence: str


def further_name(name: str, place: int) -> str:
    """The name under which a field is read that the config maps in the second (1) or a further place."""
    return f"{name}#{place + 1}" if place else name


def plain_name(name: str) -> str:
    """The config's own name of a field: `employees#2` is a mapping of `employees`."""
    return name.partition("#")[0]


@dataclass(frozen=True, slots=True)
class FieldMap:
    """How the config's names are spelled in one CRM. A value is one spelling for all kinds, or one for each kind.

    Of a field that is mapped to several of the CRM's, the others are there under a `further_name`.

    `companies` says that the name, domain and owner of each record's company are to be read, too. `choices` are those
    of `fields` that `create_fields` makes for users to fill in, each with the values they choose from. `tasks` says
    whether the field that holds the key of our tasks is made by `create_fields` and read with tasks: what has one is no
    activity. `lists` are the lists of the CRM (by name or id) whose members the config leaves out.
    `opportunity_value` is the field that says what an opportunity is worth; `""` means the CRM's own amount.
    `outcomes` says whether `Connector.outcomes` is called, `shared_ids` whether activities are read with the ids that
    another CRM has for them, too.
    """

    fields: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    score_fields: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    stages: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    companies: bool = False
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tasks: bool = False
    lists: Sequence[str] = ()
    opportunity_value: str = ""
    outcomes: bool = False
    shared_ids: bool = False

    @staticmethod
    def spelled(names: Mapping[str, str | Mapping[str, str]], kind: str) -> dict[str, str]:
        """The spelling of each name for records of `kind`; names that this kind does not have are left out."""
        spelled = {name: each if isinstance(each, str) else each.get(kind, "") for name, each in names.items()}
        return {name: each for name, each in spelled.items() if each}


@dataclass(frozen=True, slots=True)
class Checkup:
    """What a CRM said of itself: `account` identifies the portal or org, `problems` are sentences for the admin."""

    account: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListMembers:
    """Who is on a list of a CRM, as a whole: a HubSpot list, a Salesforce campaign.

    `asked` is how the config names it. `version` is a text that changes whenever the members may have; `members` is
    `None` where it is the version that was known. Where the list cannot be found or used, `problem` is a sentence that
    names it and says what to do, and nothing else is there.
    """

    asked: str
    id: str = ""
    name: str = ""
    version: str = ""
    members: frozenset[Ref] | None = None
    problem: str = ""


class ReadBack(NamedTuple):
    """A record after a write, and the values of stage and owner that somebody else set after the change's `before` was
    read and that our write replaced; none of those where the CRM keeps no history.
    """

    contact: Contact
    replaced: Mapping[str, Scalar | None] = {}


Narrow: TypeAlias = Callable[[Sequence[Change]], Sequence[Change]]
"""What a batch of changes passes just before it is sent: it comes back with less where a person was faster."""


class Connector(Protocol):
    """A CRM. Any method may raise `Unavailable`, `ConfigError` or `Cancelled` (see `crmsync.errors`).

    Connectors update by id only: the tasks for owners are all that crmsync ever creates.
    """

    name: str

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, retries included."""
        ...

    @property
    def api_used(self) -> float | None:
        """How much of the day's API calls is used by everybody (0 to 1), as the CRM last said; else `None`."""
        ...

    @property
    def api_left(self) -> int | None:
        """How many of the day's API calls are left for everybody, as the CRM last said; else `None`."""
        ...

    def account(self) -> str:
        """The portal or org the credentials belong to; cheap, called at each cycle."""
        ...

    def clock(self) -> datetime | None:
        """The CRM's own clock as of now, as its latest answer said (aware UTC); `None` where it has none."""
        ...

    def check(self) -> Checkup:
        """Everything `crmsync check --online` asks: connectivity, scopes, fields, limits."""
        ...

    def contacts(self, cursor: str | None) -> Iterator[Page[Contact]]:
        """Contacts changed since the cursor; all of them when there is none. Deleted and merged ones come too."""
        ...

    def activities(self, cursor: str | None) -> Iterator[Page[Activity]]:
        """Activities that are new or changed since the cursor; all of them when there is none."""
        ...

    def outcomes(self, cursor: str | None) -> Iterator[Page[Opportunity]]:
        """Opportunities that are new or changed since the cursor, their contact roles and associations too; all of them
        when there is none. Deleted and re-opened ones come too. Called only where the config has `[outcome]`.

        Raises `ConfigError` where the user may not read them: contacts and activities do not depend on it.
        """
        ...

    def owners(self) -> Sequence[Owner]:
        """Everybody records can belong to, the inactive ones too; as they were an hour ago at most."""
        ...

    def list_members(self, known: Mapping[str, str]) -> Iterator[ListMembers]:
        """The members of these lists, each list after it was read to its end.

        `known` has for each list, as the config names it, the version that was read last; `""` for none.
        """
        ...

    def read(self, refs: Sequence[Ref]) -> Iterator[Contact]:
        """The records as they are now, not from an index. One that no longer exists is `gone`, and `erased`, and
        `unseen` where the CRM would say the same of a record that it does not show.

        One of which the CRM's answer cannot be read does not come back at all.
        """
        ...

    def write(self, changes: Sequence[Change], narrow: Narrow = list) -> Iterator[Receipt]:
        """Write, and say for each change what became of it. A change without a receipt is unresolved.

        Each batch passes `narrow` at the last moment before it is sent, on the thread that iterates; only what that
        returns is sent, and what it leaves out gets no receipt. A change of stage or owner never waits in a bulk job.
        """
        ...

    def estimate_writes(self, records: Mapping[str, int]) -> int:
        """About how many calls write so many records, by kind; it makes none. Retries and looking again come on top."""
        ...

    def read_back(self, changes: Sequence[Change]) -> Iterator[ReadBack]:
        """The records of changes that were just written, as `read` has them, and what these changes replaced."""
        ...

    def create_tasks(self, tasks: Sequence[Task]) -> Iterator[TaskReceipt]:
        """Create those that the CRM does not have yet, by their keys; one that it has is a receipt with its id.

        A key without a receipt is unresolved: the same task may be given again. What users did to a task stays.
        """
        ...

    def close_tasks(self, keys: Sequence[str]) -> Iterator[TaskReceipt]:
        """Complete the open tasks with these keys; nothing is deleted. One that is closed or gone already is `ok`."""
        ...

    def missing_fields(self) -> Sequence[MissingField]:
        """The mapped fields this CRM does not have; cheap, called in each run before anything is pulled.

        One that went within the last hour may not be named yet; its values are `unread` all the same.
        """
        ...

    def stage_order(self) -> Mapping[str, Sequence[str]]:
        """By kind of record the CRM's own values of the stage, lowest first; a kind without a known order is absent."""
        ...

    def read_only_fields(self) -> Mapping[str, Collection[str]]:
        """By kind of record the score fields, and `stage` and `owner`, that this user cannot edit, as the CRM describes
        its fields. Cheap, called in each run after `missing_fields`; a change of one is refused without a call.
        """
        ...

    def create_fields(self) -> Sequence[str]:
        """Create the score fields that are missing, the `choices` and the field of `tasks`; one sentence for each thing
        done, found or left to do.
        """
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


@runtime_checkable
class Receiver(Protocol):
    """A connector that can be told of changes by its CRM; none has to be."""

    def receiving(self, wake: Callable[[], object]) -> AbstractContextManager[None]:
        """Listen until the block ends, if the config asks for that; `wake`, from any thread, asks for a cycle soon."""
        ...


class FieldEdit(NamedTuple):
    """That somebody gave a record a stage (by name) or owner (the CRM's id), at an aware instant; `None` is no value.

    `by` is the address of a user, or what it was (`a workflow`), and `""` where the CRM does not tell.
    """

    ref: Ref
    field: str
    value: str | None
    at: datetime
    by: str


@runtime_checkable
class EditLog(Protocol):
    """A connector whose CRM tells who set the stage and owner of a record; none has to."""

    def field_edits(self, refs: Sequence[Ref]) -> Iterator[FieldEdit]:
        """The edits of these records that the CRM still knows; asked only for somebody who looks at one person."""
        ...


class PastValue(NamedTuple):
    """The value that a mapped field of a record had until an aware UTC instant; `None` is no value.

    `field` is the config's name of it, `value` is read as a pull reads it.
    """

    ref: Ref
    field: str
    value: Scalar | None
    until: datetime


class PastFields(NamedTuple):
    """What a CRM still knows of former values of some records, by kind of record.

    `whole_since` has, for each mapped field whose history the CRM keeps, the instant since which it misses nothing
    (aware UTC; `None` means since the record exists); a field that is not there has no history.
    """

    values: Sequence[PastValue]
    whole_since: Mapping[str, Mapping[str, datetime | None]]


@runtime_checkable
class FieldHistory(Protocol):
    """A connector whose CRM keeps former values of fields; none has to."""

    def past_fields(self, refs: Sequence[Ref]) -> Iterator[PastFields]:
        """The former values of the mapped fields of these records, some records at a time."""
        ...


class DescribedField(NamedTuple):
    """A field that records of a kind have in a CRM, as the CRM describes it.

    `name` is the internal or API name, as `[fields]` would map it (`company.industry`, `Account.Industry`),
    `label` what users read. `choices` are the active values of a pick list with their labels, in the CRM's order, and
    empty for everything else.
    """

    kind: str
    name: str
    label: str
    type: Literal["text", "number", "yes_no", "date", "choice", "choices", "other"]
    choices: Sequence[tuple[str, str]] = ()


@runtime_checkable
class FieldCatalog(Protocol):
    """A connector whose CRM describes its fields; none has to."""

    def describe_fields(self) -> Sequence[DescribedField]:
        """Every field of the records (and of their companies) that this user may read, in a few calls."""
        ...


class ScoreSummary(NamedTuple):
    """A lead score that a CRM itself keeps: `scores` is what it scores, in the CRM's own words, `of_people` whether
    that is people.
    """

    id: str
    name: str
    scores: str
    of_people: bool = True


class ImportedRule(NamedTuple):
    """A rule of a CRM's lead score as the config would write it, but that `when` names fields as the CRM does.

    `difference` says where it may not give the same points, `""` where nothing speaks for that.
    """

    table: Literal["fit", "behavior"]
    rule: Mapping[str, Any]
    difference: str = ""


class NotImported(NamedTuple):
    """A rule of a CRM's lead score that cannot be said here: why, and what to do. `rule` is what comes nearest."""

    name: str
    reason: str
    remedy: str
    rule: ImportedRule | None = None


class LeadScore(NamedTuple):
    """A CRM's own lead score in our words.

    `field` holds its present points on each record, `""` where none does. `groups` and `limits` (of `fit`, `behavior`
    and `total`) have `cap` and `floor`. `levels` are its labels with the points from which they hold, lowest first;
    `grades` and `grid` those of fit and behavior alone, best first. Who is on one of `excluded_lists` has no score.
    `timezone` is the CRM's, `notes` are sentences about the whole.
    """

    id: str
    name: str
    field: str
    rules: Sequence[ImportedRule]
    not_imported: Sequence[NotImported]
    groups: Mapping[str, Mapping[str, float]]
    limits: Mapping[str, Mapping[str, float]]
    levels: Sequence[tuple[str, float]] = ()
    grades: Sequence[tuple[str, float]] = ()
    grid: Sequence[tuple[str, float]] = ()
    excluded_lists: Sequence[str] = ()
    timezone: str = "UTC"
    notes: Sequence[str] = ()


@runtime_checkable
class LeadScores(Protocol):
    """A connector whose CRM scores leads itself and shows by which rules; none has to."""

    def list_lead_scores(self) -> Sequence[ScoreSummary]:
        """Every score there is. Raises `ConfigError` where the credentials or the subscription do not allow it."""
        ...

    def read_lead_score(self, score_id: str) -> LeadScore | None:
        """A score with its rules; `None` where there is none. Raises `ConfigError` where it does not score people."""
        ...


class Stop(Protocol):
    """A flag that somebody else raises: a `threading.Event`."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


Notes: TypeAlias = MutableMapping[str, str]
"""What a connector must remember between runs (a job id before its upload): durable as soon as it is set."""

LEARNED = ".delivered"
"""How the names of notes end that say what a CRM delivers: whoever reads it needs them, on a copy of the state too. All
others are of what is under way.
"""
