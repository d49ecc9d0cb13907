"""The words crmsync is written in: each is defined here once, and no synonym of it appears anywhere else.

- **Ref**: where a record lives: `(crm, kind, id)`. Kinds: HubSpot `contact`; Salesforce `lead`, `contact`.
- **Contact**: one CRM record as it was last pulled. A field that is not known is absent, never `""`.
- **Person**: one human, one score: the contacts joined by CRM links or by normalised e-mail address.
- **Activity**: something a contact did (or that was done to it) at an instant: a kind and its attributes.
- **Counter**: a lifetime number a CRM keeps on a contact ("14 e-mails opened, the last one yesterday").
- **Page**: some items and the cursor that says "everything up to here is in the items so far".
- **Cursor**: an opaque string that belongs to the connector that made it.
- **Output**: a field of ours in the CRM: `score`, `fit`, `behavior`, `band`, `reason`.
- **Stage**, **owner**: the two fields of the CRM's own that crmsync may move. A stage is known by its name in the
  config; one that the config does not name keeps the CRM's own value. An owner is known by the CRM's id.
- **Change**: what one run wants to alter on one record: before, after and because.
- **Holding**: what the state holds of one live record: what the CRM had, what we last wrote, what is respected.
- **Receipt**: what the CRM said about one change. A refused record is a value, not an exception.
- **Run**: one cycle: pull → score → route → plan → apply.
- **Fact**: a distinct (kind, attributes) pair; activities point to it, so that a rule reads it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

Scalar: TypeAlias = str | int | float | bool | tuple[str, ...]
"""A field's value. A tuple is a multi-select; dates are ISO 8601 text; a value that is not known is absent."""

OUTPUTS = ("score", "fit", "behavior", "band", "reason")
"""The fields of ours a connector may be asked to write, beside `stage` and `owner`."""

KINDS = (
    "page_viewed",
    "form_submitted",
    "content_downloaded",
    "email_sent",
    "email_opened",
    "email_clicked",
    "email_replied",
    "email_bounced",
    "email_unsubscribed",
    "meeting_booked",
    "meeting_held",
    "call_completed",
    "webinar_registered",
    "webinar_attended",
    "event_registered",
    "event_attended",
    "campaign_responded",
    "task_completed",
    "note_logged",
)
"""The activity kinds the default feeds produce; a config may add kinds of its own."""


class Ref(NamedTuple):
    """Where a record lives, for example `Ref("salesforce", "lead", "00Q5g00000AbCdEEAV")`."""

    crm: str
    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.crm}:{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Counter:
    """A lifetime count a CRM keeps of one activity kind, and when it last moved (aware UTC, if the CRM says)."""

    count: int
    last_at: datetime | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contact:
    """One CRM record.

    `fields` is keyed by the config's canonical names. `current` holds our outputs as the CRM has them now.
    `aliases` are ids that this record used to have (a HubSpot merge makes a new id), `links` are records elsewhere
    that the CRM itself says are the same human. `unread` names mapped fields that the CRM does not show (any longer):
    what was known of them still holds. `group` orders writes against lock contention (Salesforce: account).
    """

    ref: Ref
    changed_at: datetime
    emails: tuple[str, ...] = ()
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    counters: Mapping[str, Counter] = field(default_factory=dict)
    stage: str | None = None
    owner: str | None = None
    current: Mapping[str, Scalar] = field(default_factory=dict)
    name: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[Ref, ...] = ()
    gone: bool = False
    merged_into: Ref | None = None
    converted_into: Ref | None = None
    group: str = ""
    unread: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that happened, at an aware UTC instant. `id` is unique within its CRM.

    One event with several participants is one Activity for each of them, with the same `id`.
    A page that holds an activity id holds it for all its participants: what was stored for that id is replaced.
    `gone` says that the CRM deleted it.
    """

    ref: Ref
    id: str
    kind: str
    at: datetime
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody (or a queue) that records can belong to. `id` is what the CRM takes in its owner field."""

    crm: str
    id: str
    email: str
    name: str
    active: bool = True
    kind: Literal["user", "queue"] = "user"


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and the cursor from which a later pull goes on once they are stored.

    `whole` are beginnings of activity ids (`"meetings:"`, `"00T"`) of which everything the CRM has came since the
    stream began without a cursor: what is stored under such an id and did not come is no more.
    """

    items: Sequence[T]
    cursor: str
    whole: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """What to alter on one record. `after` has outputs, `stage` and `owner` by name; `None` clears a field.

    Values are absolute, so writing a change twice does no harm. `before` has the same keys.
    """

    ref: Ref
    before: Mapping[str, Scalar | None]
    after: Mapping[str, Scalar | None]
    because: str = ""
    group: str = ""


class Holding(NamedTuple):
    """What the state holds of one live record, as a plan needs it.

    `base` is what crmsync last wrote (outputs, `stage`, `owner`), `leases` has per field the `value` that somebody else
    gave it and `since` when that is known (milliseconds), `parked` is the change that the CRM will not take, with its
    `reason`.
    """

    id: int
    ref: Ref
    person: int
    group: str
    stage: str | None
    owner: str | None
    current: Mapping[str, Scalar]
    base: Mapping[str, Scalar]
    leases: Mapping[str, Mapping[str, Scalar | None]]
    parked: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the CRM said about one change.

    `ok` is false when nothing of the change was taken; `refused` names the fields that were not, each with the CRM's
    reason, where the rest was. `retry` says that the same change may well be taken later (a lock, a limit).
    `moved_to` names the record that took this one's place (a merge, a conversion).
    """

    ref: Ref
    ok: bool
    code: str = ""
    reason: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    retry: bool = False
    moved_to: Ref | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class CrmField:
    """A field as the CRM describes it: `type` is `text`, `number`, `bool`, `date`, `list` or the CRM's own word.

    `options` are the values a picklist takes, in its order, and empty elsewhere.
    """

    kind: str
    name: str
    type: str
    writable: bool
    options: tuple[str, ...] = ()


class MissingField(NamedTuple):
    """A field that the config maps and that a CRM does not have, or does not show to this user.

    `role` says what crmsync uses it for and `name` what the config calls it: `("field", "title")`, `("output",
    "score")`, `("stage", "stage")`. `sentence` tells the admin which field of the CRM is meant and what to do.
    """

    role: Literal["field", "output", "stage"]
    name: str
    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class FieldMap:
    """How the config's names are spelled in one CRM. A value is one spelling for all kinds, or one for each kind."""

    fields: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    outputs: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    stages: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)

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


Narrow: TypeAlias = Callable[[Sequence[Change]], Sequence[Change]]
"""What a batch of changes passes just before it is sent: it comes back with less where a person was faster."""


class Connector(Protocol):
    """A CRM. Any method may raise `Unavailable`, `ConfigError` or `Cancelled` (see `crmsync.errors`).

    Connectors update by id only: a scoring job never creates a CRM record.
    """

    name: str

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, retries included."""
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

    def owners(self) -> Sequence[Owner]:
        """Everybody records can belong to, the inactive ones too."""
        ...

    def read(self, refs: Sequence[Ref]) -> Iterator[Contact]:
        """The records as they are now, not from an index. A record that no longer exists comes back as `gone`."""
        ...

    def write(self, changes: Sequence[Change], narrow: Narrow = list) -> Iterator[Receipt]:
        """Write, and say for each change what became of it. A change without a receipt is unresolved.

        Each batch passes `narrow` at the last moment before it is sent, on the thread that iterates; only what that
        returns is sent, and what it leaves out gets no receipt. A change of stage or owner never waits in a bulk job.
        """
        ...

    def overwritten(self, changes: Sequence[Change]) -> Mapping[Ref, Mapping[str, Scalar | None]]:
        """The values of stage and owner that somebody else set after `before` was read and that our write replaced.

        Asked of changes that were just written and that the CRM holds. As far as the CRM keeps a history; else nothing.
        """
        ...

    def missing_fields(self) -> Sequence[MissingField]:
        """The mapped fields this CRM does not have; cheap, called in each run before anything is pulled."""
        ...

    def stage_order(self) -> Mapping[str, Sequence[str]]:
        """By kind of record the CRM's own values of the stage, lowest first; a kind without a known order is absent."""
        ...

    def fields(self) -> Sequence[CrmField]:
        """The fields of the kinds this connector reads and writes."""
        ...

    def create_fields(self) -> Sequence[str]:
        """Create the output fields that are missing; one sentence for each thing done, found or left to do."""
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


class Stop(Protocol):
    """A flag that somebody else raises: a `threading.Event`."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


Notes: TypeAlias = MutableMapping[str, str]
"""What a connector must remember between runs (a job id before its upload): durable as soon as it is set."""
