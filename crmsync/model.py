"""The words crmsync is written in: each is defined here once, and no synonym of it appears anywhere else.

- **Ref**: where a record lives: `(crm, kind, id)`. Kinds: HubSpot `contact`; Salesforce `lead`, `contact`.
- **Contact**: one CRM record as it was last pulled. A field that is not known is absent, never `""`.
- **Person**: one human, one score: the contacts joined by CRM links or by normalised e-mail address.
- **Activity**: something a contact did (or that was done to it) at an instant: a kind and its attributes.
- **Opportunity**: a Salesforce opportunity or HubSpot deal: open, won or lost, and the records it is about.
- **Outcome**: what came of a person: won, lost, or open as long as neither is known.
- **Counter**: a lifetime number a CRM keeps on a contact ("14 e-mails opened, the last one yesterday").
- **Page**: some items and the cursor that says "everything up to here is in the items so far".
- **Cursor**: an opaque string that belongs to the connector that made it.
- **Output**: a field of ours in the CRM: `score`, `fit`, `behavior`, `band`, `reason`.
- **Stage**, **owner**: the two fields of the CRM's own that crmsync may move. A stage is known by its name in the
  config; one that the config does not name keeps the CRM's own value. An owner is known by the CRM's id.
- **Change**: what one run wants to alter on one record: before, after and because.
- **Holding**: what the state holds of one live record: what the CRM had, what we last wrote, what is respected.
- **Receipt**: what the CRM said about one change. A refused record is a value, not an exception.
- **Task**: what an owner is to do about a record, in the CRM: the one thing that crmsync creates there.
- **Run**: one cycle: pull → score → route → plan → apply.
- **Event**: an activity from outside the CRMs (`[[events]]`). Its ref is `(source, kind, id)`: an `address`, a
  `reference` to a record of a CRM, or a `domain`; by it the event finds its person or account.
- **Fact**: a distinct (kind, attributes) pair; activities point to it, so that a rule reads it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

Scalar: TypeAlias = str | int | float | bool | tuple[str, ...]
"""A field's value. A tuple is a multi-select; dates are ISO 8601 text; a value that is not known is absent."""


class ScoreField(NamedTuple):
    """A field of ours: its name in `[write.fields]`, its label in the CRMs, its type, and the `length` of a text.

    A date is ISO 8601 text (`2026-11-21`).
    """

    name: str
    label: str
    type: Literal["number", "text", "date"] = "number"
    length: int = 0


SCORE_FIELDS = {
    each.name: each
    for each in (
        ScoreField("score", "Lead score"),
        ScoreField("fit", "Lead score: fit"),
        ScoreField("behavior", "Lead score: behavior"),
        ScoreField("band", "Lead score: band", "text", 80),
        ScoreField("reason", "Lead score: reason", "text", 255),
        ScoreField("track", "Nurture track", "text", 80),
        ScoreField("stage_reason", "Lifecycle stage: reason", "text", 255),
        ScoreField("stage_since", "Lifecycle stage: since", "date"),
        ScoreField("probability", "Lead score: probability"),
        ScoreField("grade", "Lead score: grade", "text", 80),
        ScoreField("grid", "Lead score: grid", "text", 80),
        ScoreField("segment", "Lead score: segment", "text", 80),
        ScoreField("qualifications", "Lead score: qualifications", "text", 255),
        ScoreField("until", "Lead score: band until", "date"),
        ScoreField("next", "Lead score: next band", "text", 255),
        ScoreField("model", "Lead score: model", "text", 20),
    )
}
"""What a connector may be asked to write, beside `stage`, `owner` and the points of channels (`find_score_field`)."""

CHANNEL_FIELD = "channels."
"""How the name of a score field begins that holds the points of a channel: `channels.email`."""


def find_score_field(name: str) -> ScoreField:
    """The score field of a name in `[write.fields]`. Raises `KeyError` where there is none of that name."""
    if name.startswith(CHANNEL_FIELD) and name != CHANNEL_FIELD:
        return ScoreField(name, f"Lead score: {name.removeprefix(CHANNEL_FIELD)}")
    return SCORE_FIELDS[name]


FEEDBACK_LABEL = "Lead score: feedback"
"""The label of the field in which users tell what they think of a person, and which is only read."""


KINDS = (
    "page_viewed",
    "form_submitted",
    "content_downloaded",
    "email_sent",
    "email_opened",
    "email_clicked",
    "email_replied",
    "email_auto_replied",
    "email_bounced",
    "email_unsubscribed",
    "meeting_booked",
    "meeting_held",
    "call_completed",
    "call_attempted",
    "webinar_registered",
    "webinar_attended",
    "event_registered",
    "event_attended",
    "campaign_responded",
    "task_completed",
    "note_logged",
)
"""The activity kinds the default feeds produce; a config may add kinds of its own."""


SPECIAL_CASES = {
    "email_auto_replied": ("email_replied", "email_sent"),
    "call_attempted": ("call_completed",),
}
"""What looks like an activity of these kinds and is none: a machine's answer, and a call that reached nobody."""


TOUCHES = ("call_completed", "call_attempted", "email_sent", "meeting_held", "meeting_booked", "task_completed")
"""The activity kinds by which an owner gets in touch."""


SECONDS_AFTER_SENDING = "seconds_after_sending"
"""The attribute by which a CRM that knows it tells how soon after the sending an e-mail was opened or clicked."""

SOON = 60
"""Seconds up to which it is told: what came later was a person."""
ADDRESS, REFERENCE, DOMAIN = "address", "reference", "domain"
"""The kinds of what an event says of whose it is."""


class Ref(NamedTuple):
    """Where a record lives, for example `Ref("salesforce", "lead", "00Q5g00000AbCdEEAV")`."""

    crm: str
    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.crm}:{self.kind}:{self.id}"


def long_id(salesforce_id: str) -> str:
    """The 18 characters of a Salesforce id that may have been kept with 15; the last three say which are capitals."""
    if len(salesforce_id) != 15:
        return salesforce_id
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    flags = (
        sum(part[bit].isupper() << bit for bit in range(5))
        for part in (salesforce_id[0:5], salesforce_id[5:10], salesforce_id[10:15])
    )
    return salesforce_id + "".join(alphabet[each] for each in flags)


@dataclass(frozen=True, slots=True)
class Counter:
    """A lifetime count a CRM keeps of one activity kind, and when it last moved (aware UTC, if the CRM says)."""

    count: int
    last_at: datetime | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contact:
    """One CRM record.

    `fields` is keyed by the config's canonical names. `current` holds our score fields as the CRM has them now.
    `aliases` are ids that this record used to have (a HubSpot merge makes a new id), `links` are records elsewhere
    that the CRM itself says are the same human. `unread` names mapped fields that the CRM does not show (any longer):
    what was known of them still holds. `group` orders writes against lock contention (Salesforce: account). A `gone`
    record is `erased` where the CRM does not have it in its recycle bin either: nothing of it may stay, unless it is
    `unseen`: then the CRM may just not show it, and only whoever looks may take it for erased. `company` is
    `None` where there is none, or where none was to be read; `created_at` (aware UTC) is when the CRM got the record.
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
    erased: bool = False
    unseen: bool = False
    company: Company | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that happened, at an aware UTC instant. `id` is unique within its CRM.

    One event with several participants is one Activity for each of them, with the same `id`.
    A page that holds an activity id holds it for all its participants: what was stored for that id is replaced.
    `gone` says that the CRM deleted it, `owner` is the CRM's id of who made it, where the CRM says so. `shared_id` is
    an id that the same event has in another CRM, too: the Message-ID of an e-mail. `by_address`: the CRM says only to
    which e-mail address it belongs, and `ref` is who has that now.
    """

    ref: Ref
    id: str
    kind: str
    at: datetime
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    gone: bool = False
    owner: str | None = None
    shared_id: str | None = None
    by_address: bool = False


class StageEntry(NamedTuple):
    """That an opportunity came into a stage (the CRM's own name, as people read it) at an aware UTC instant."""

    stage: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A Salesforce opportunity or HubSpot deal; instants are aware UTC.

    `ref.kind` is `opportunity` or `deal`. `records` are those it is about, as the CRM says: contact roles, the lead
    that was converted into it, associated contacts. `company` is the CRM's id of its account or company, `""` for none.
    `state` is what the CRM itself says of its present stage, `closed_at` when it came into that one (never the date
    that somebody expects), `None` while it is open. `stages` are its entries by time, as far as the CRM keeps them.
    `pipeline`, `stage`, `lost_reason`, `source` and `campaign` are texts as people read them in the CRM. `value` is its
    amount in the currency `currency`. A `gone` one was deleted: nothing else of it need be known.
    """

    ref: Ref
    changed_at: datetime
    state: Literal["open", "won", "lost"] = "open"
    created_at: datetime | None = None
    closed_at: datetime | None = None
    records: tuple[Ref, ...] = ()
    company: str = ""
    pipeline: str = ""
    stage: str = ""
    stages: tuple[StageEntry, ...] = ()
    value: float | None = None
    currency: str = ""
    owner: str | None = None
    lost_reason: str = ""
    source: str = ""
    campaign: str = ""
    gone: bool = False


class Company(NamedTuple):
    """A company or Salesforce account that a record points to: `owner` is the CRM's id, `domain` that of its website.

    What is not known is `""`. One of which nothing but its `id` is known could not be read.
    """

    id: str
    name: str = ""
    domain: str = ""
    owner: str = ""


class AccountFacts(NamedTuple):
    """The account that a person belongs to, in whatever CRM: `owners` are the CRMs' ids of who owns it, by CRM.

    `colleagues` are the ids of the other people who belong to it.
    """

    name: str = ""
    owners: Mapping[str, str] = {}
    colleagues: Sequence[int] = ()


class Standing(NamedTuple):
    """How many turns a member of a pool had, what those people are worth (hundredths), whether the last was made up.

    `turns` is lifted after a time outside working hours or at a cap, so that nobody is flooded afterwards.
    """

    turns: int = 0
    value: int = 0
    made_up: bool = False


class HandedOver(NamedTuple):
    """The latest hand-off of a person to an owner (an address), in a stage and band; instants are milliseconds.

    `owned_at` is when a CRM took it, where the journal still knows, `touched` the first touch after it, `owned` whether
    a record of the person is that owner's now, `rerouted` that the owner before them was not in touch in time.
    """

    person: int
    owner: str
    stage: str
    at: int
    owned_at: int | None
    touched: int | None
    owned: bool
    band: str = ""
    rerouted: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody (or a queue) that records can belong to. `id` is what the CRM takes in its owner field."""

    crm: str
    id: str
    email: str
    name: str
    active: bool = True
    kind: Literal["user", "queue"] = "user"


TASK_LABEL = "crmsync task key"
"""The label of the field of a task that holds its `key`."""


T = TypeVar("T")


class Odd(NamedTuple):
    """Something of an answer that cannot be read: what it is called, why, and which record, where that is known.

    Neither may name anything personal. What was known of it holds.
    """

    what: str
    why: str
    ref: Ref | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and the cursor from which a later pull goes on once they are stored.

    `odd` is what came with them and could not be read; it is not among the items.

    `whole` are beginnings of activity ids (`"meetings:"`, `"00T"`) of which everything the CRM has came since the
    stream began without a cursor: what is stored under such an id and did not come is no more.

    `left_out` are sentences for the admin: what the pull could not ask for, and what to do.

    `nobodys` are ids of activities that the CRM has and of which nobody is known to have the address: they are not
    among the items, and what is stored of them is still there.
    """

    items: Sequence[T]
    cursor: str
    whole: frozenset[str] = frozenset()
    odd: Sequence[Odd] = ()
    left_out: Sequence[str] = ()
    nobodys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """What to alter on one record. `after` has score fields, `stage` and `owner` by name; `None` clears a field.

    Values are absolute, so writing a change twice does no harm. `before` has the same keys.
    """

    ref: Ref
    before: Mapping[str, Scalar | None]
    after: Mapping[str, Scalar | None]
    because: str = ""
    group: str = ""


class Holding(NamedTuple):
    """What the state holds of one live record, as a plan needs it.

    `last_written` is what crmsync last wrote (score fields, `stage`, `owner`), `overrides` has per field the `value`
    that somebody else gave it and `since` when that is known (milliseconds), `on_hold` is the change that the CRM will
    not take, with its `reason`; `undone` has per field the `value` that waits since a `run` was undone.
    """

    id: int
    ref: Ref
    person: int
    group: str
    stage: str | None
    owner: str | None
    current: Mapping[str, Scalar]
    last_written: Mapping[str, Scalar]
    overrides: Mapping[str, Mapping[str, Scalar | None]]
    on_hold: Mapping[str, Any]
    attempts: int
    undone: Mapping[str, Mapping[str, Any]] = {}


class Protection(NamedTuple):
    """A field of a record that is left as it is, though something else is `wanted`: `why` is a word that is counted.

    `until` is when time alone ends that (milliseconds), where it does.
    """

    why: str
    field: str
    present: Scalar | None
    wanted: Scalar | None
    until: int | None = None


class Task(NamedTuple):
    """A task for an owner in the CRM, about a record.

    `key` is crmsync's own id of it, at most 32 characters of `[a-z0-9-]`: the CRM never holds two tasks with one key.
    `owner` is the CRM's id of a user, `subject` has at most 255 characters, `due` is aware, in the owner's time zone.
    """

    key: str
    ref: Ref
    owner: str
    subject: str
    body: str
    due: datetime


class TaskReceipt(NamedTuple):
    """What the CRM said about one task: `id` is the CRM's own, `retry` says that it may well be taken later."""

    key: str
    ok: bool
    id: str = ""
    reason: str = ""
    retry: bool = False


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
