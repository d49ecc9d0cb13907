"""Tasks, events, e-mails and campaign members as activities."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from connectors.conversations import (
    ATTEMPTED,
    AUTOMATIC,
    CALLS,
    MAILS,
    is_automatic_mail,
    is_unanswered,
    plain_message_id,
)
from connectors.salesforce.client import Org
from connectors.salesforce.contacts import NEVER
from connectors.salesforce.errors import CRM, RequestRefused, text_of
from connectors.salesforce.first_pages import ask_first_pages
from connectors.salesforce.left_out import hidden_source, refused_columns, refused_source
from connectors.salesforce.lookups import KeyFinder, Lookup, read_lookups
from connectors.salesforce.paging import Cursor, Row, after_all, after_none, begin_pull, pull_pages
from connectors.salesforce.refused_columns import names_object
from connectors.salesforce.schema import PREFIXES, TASK_KEY, Schema, instant_of, readable_paths
from connectors.salesforce.source import Source
from crmsync.config.tables import Feed
from crmsync.model import SECONDS_AFTER_SENDING, SOON, Activity, Page, Ref, Scalar

MOST_JUDGED = 10_000
"""Distinct combinations of values that are remembered while a page is read."""

MESSAGE_ID = "MessageIdentifier"
"""The field of an EmailMessage that holds its Message-ID (RFC 5322)."""

DRAFT = "5"
"""The `Status` of an EmailMessage that was begun and not sent; when it is sent, its time stamp moves."""

NOBODY = Ref(CRM, "lead", "")
"""Stands in the place of a participant where an activity is gone and nobody can tell whose it was."""

People = Mapping[str, Sequence[Ref]]
"""The participants of each row, by its id."""


@dataclass(frozen=True)
class Origin:
    """How one object becomes activities: what it needs beside the feeds' columns, who took part, and when.

    `prefix` begins the ids of its rows. `leave_out` are flags of rows that are not occurrences of their own, `unless`
    cells of rows that are none yet: where these cannot be read, nobody can tell and all rows are. `objects` are looked
    at for participants.
    """

    prefix: str
    columns: tuple[str, ...]
    leave_out: tuple[str, ...]
    people: Callable[[Org, Schema, Sequence[Row], KeyFinder], People]
    at: Callable[[str, Row], datetime | None]
    objects: tuple[str, ...] = ()
    unless: Mapping[str, str] = field(default_factory=dict)

    def has_happened(self, row: Row) -> bool:
        """Whether a row tells of something: it was not deleted, and what it tells has come to pass."""
        return row.get("IsDeleted") is not True and all(row.get(path) != cell for path, cell in self.unless.items())


def pull_activities(
    org: Org,
    schema: Schema,
    feeds: Sequence[Feed],
    cursor: str | None,
    *,
    no_own_tasks: bool = False,
    shared_ids: bool = False,
) -> Iterator[Page[Activity]]:
    """Pages of everything that changed since the cursor, archived and deleted rows too.

    `no_own_tasks` leaves out the tasks that crmsync created, `shared_ids` reads e-mails with their Message-ID.
    """
    at = begin_pull(cursor, org)
    org.take_odd()
    names = dict.fromkeys(feed.source for feed in feeds)
    schema.learn(each for name in names for each in (name, *ORIGINS[name].objects))
    mails = KeyFinder(org, schema, "EmailMessage", "ActivityId")
    streams = activity_sources(schema, feeds, no_own_tasks=no_own_tasks, shared_ids=shared_ids)
    ask_first_pages(org, schema, at, [make for _, make in streams.values()])
    tasks = streams["Task"][0] if "Task" in streams else ()
    # What an org does not have concerns nobody who did not ask for it; what was read until now is missed.
    asked = names if "activities" in org.settings.model_fields_set else at.done
    left_out = [each for name in names if name in asked and (each := hidden_source(schema, name))]
    for name, (some, make) in streams.items():
        if name in at.finished:
            continue
        before = kinds_of_feed(at.done[name].mark) if name in at.done else None
        try:
            for read, behind in pull_pages(org, schema, make, at):
                rows = [row for row in read if not (no_own_tasks and TASK_KEY in row)]
                found = of_rows(org, schema, some, rows, before, mails) if rows else []
                if name == "EmailMessage" and before is not None:
                    found += _tasks_left(org, schema, tasks, rows, mails)
                odd = org.take_odd()
                tell = bool(read or odd or behind.job or at.job)  # that a job is given up, too
                at = replace(behind, whole=behind.whole and not odd)
                whole = _whole(schema, some, at)
                if tell or whole:
                    yield Page(found, at.spelled(), whole, odd)
        except RequestRefused as error:
            if not names_object(schema, make, error):
                raise
            # Describe may be an hour old; until it can be read again what is known of the object holds.
            schema.forget()
            left_out.append(refused_source(name, error))
            at = after_none(at)
    left_out += [each for name in streams for each in refused_columns(schema, name)]
    yield Page((), after_all(at).spelled(), left_out=left_out)


def activity_sources(
    schema: Schema, feeds: Sequence[Feed], *, no_own_tasks: bool, shared_ids: bool = False
) -> dict[str, tuple[list[Feed], Callable[[], Source]]]:
    """What a pull reads, in order, as far as this user sees it: by object its feeds and its source."""
    names = dict.fromkeys(feed.source for feed in feeds if schema.pullable(feed.source))
    wanted = {name: [_in_their_case(schema, feed) for feed in feeds if feed.source == name] for name in names}
    keys = {"Task": TASK_KEY if no_own_tasks else ""}
    shared = {"EmailMessage": MESSAGE_ID if shared_ids else ""}
    return {
        name: (some, partial(source_of, name, some, schema, keys.get(name, ""), shared.get(name, "")))
        for name, some in wanted.items()
    }


def _whole(schema: Schema, feeds: Sequence[Feed], at: Cursor) -> frozenset[str]:
    """The beginning of a source's ids where a pull that began without a cursor has come to its end.

    Where a column that tells what a row is cannot be read, rows only seem to be nothing.
    """
    name = feeds[0].source
    asked = {path for feed in feeds for path in feed.where}
    seen = at.whole and name in at.finished and asked <= readable_paths(schema, name, asked).keys()
    return frozenset({ORIGINS[name].prefix} if seen else ())


def _in_their_case(schema: Schema, feed: Feed) -> Feed:
    """The feed with its paths in the case in which Salesforce answers; those that are not there stay as they are."""
    paths = (*feed.where, *feed.attributes.values())
    # Of what cannot be read, too, or a feed would seem to be another one because of it.
    case = {path: found[0] for path in paths if (found := schema.find(feed.source, path))}
    where = {case.get(path, path): each for path, each in feed.where.items()}
    attributes = {name: case.get(path, path) for name, path in feed.attributes.items()}
    return feed.model_copy(update={"where": where, "attributes": attributes})


def source_of(name: str, feeds: Sequence[Feed], schema: Schema, also: str = "", shared: str = "") -> Source:
    """What to read of one object: only columns that this user sees and that every API can read, `also` among them, and
    the one with the `shared` ids, without which it is read anew once there is one.
    """
    origin = ORIGINS[name]
    asked = [path for feed in feeds for path in (*feed.where, *feed.attributes.values())]
    columns = tuple(
        dict.fromkeys(
            readable_paths(
                schema, name, (*origin.columns, *origin.unless, *filter(None, [also, shared]), *asked)
            ).values()
        )
    )
    told = [*sorted(feed.model_dump_json() for feed in feeds), shared]
    defined = hashlib.sha256("".join(told).encode()).hexdigest()[:12]
    # The kinds stand in it, so that a later config can tell which are no more (`kinds_of_feed`).
    mark = " ".join([defined, *dict.fromkeys(feed.kind for feed in feeds)])
    where = " AND ".join(f"{flag} = false" for flag in origin.leave_out if schema.resolve(name, flag))
    # What a row is, whose and of when hangs on all but the attributes.
    needed = {*origin.columns, also, *(path for feed in feeds for path in feed.where)}
    return Source(name, name, columns, where, mark=mark, optional=frozenset(columns) - needed)


def kinds_of_feed(mark: str) -> list[str]:
    """The kinds that a source was read for."""
    return mark.split(" ")[1:]


def of_rows(
    org: Org,
    schema: Schema,
    feeds: Sequence[Feed],
    rows: Sequence[Row],
    before: Sequence[str] | None,
    mails: KeyFinder,
) -> list[Activity]:
    """The activities of a page: for each row and kind what it is now, or that it is gone.

    `before` are the kinds the source was read for until now; where it never was, nothing can be gone. `mails` finds the
    tasks behind which an EmailMessage stands.
    """
    origin = ORIGINS[feeds[0].source]
    choose = choose_feeds(feeds)
    people = origin.people(org, schema, [row for row in rows if origin.has_happened(row)], mails)
    found: list[Activity] = []
    dropped = set(before or ()) - {feed.kind for feed in feeds}
    for row in rows:
        id_ = str(row["Id"])
        # The feeds told these kinds before they were edited.
        found += [_gone(id_, kind) for kind in dropped]
        theirs = people.get(id_, ())
        for kind, feed in choose(row):
            at = origin.at(kind, row) if feed and theirs else None
            if feed and at:
                found += _activities(feed, f"{id_}:{kind}", at, row, theirs)
            elif before is not None:
                found.append(_gone(id_, kind))
    return found


def _tasks_left(
    org: Org, schema: Schema, feeds: Sequence[Feed], rows: Sequence[Row], mails: KeyFinder
) -> list[Activity]:
    """The tasks of e-mails that were deleted: they count from now on, and nothing changed on themselves."""
    left = [str(row["ActivityId"]) for row in rows if row.get("IsDeleted") is True and row.get("ActivityId")]
    if not left or not feeds or not schema.pullable("Task"):
        return []
    columns = source_of("Task", feeds, schema).columns
    return of_rows(org, schema, feeds, _looked_up(org, schema, "Task", "Id", columns, left), (), mails)


def choose_feeds(feeds: Sequence[Feed]) -> Callable[[Row], Sequence[tuple[str, Feed | None]]]:
    """Says of a row for each kind which feed it fits, if any. Rows that agree in what feeds ask for are judged once."""
    paths = list(dict.fromkeys(path for feed in feeds for path in feed.where))
    kinds = list(dict.fromkeys(feed.kind for feed in feeds))
    asked = {kind: [feed for feed in feeds if feed.kind == kind] for kind in kinds}
    judged: dict[tuple[object, ...], list[tuple[str, Feed | None]]] = {}

    def choose(row: Row) -> Sequence[tuple[str, Feed | None]]:
        key = tuple(row.get(path) for path in paths)
        if key not in judged:
            if len(judged) > MOST_JUDGED:
                judged.clear()
            judged[key] = [
                (kind, next((feed for feed in some if feed.fits(row)), None)) for kind, some in asked.items()
            ]
        return judged[key]

    return choose


def _gone(id_: str, kind: str) -> Activity:
    return Activity(NOBODY, f"{id_}:{kind}", kind, NEVER, gone=True)


def _activities(feed: Feed, id_: str, at: datetime, row: Row, people: Sequence[Ref]) -> list[Activity]:
    attributes = {name: row[path] for name, path in feed.attributes.items() if path in row}
    if feed.source == "EmailMessage" and feed.kind == "email_opened":
        attributes |= _soon_after_sending(row)
    owner, kind = text_of(row.get("OwnerId")) or None, kind_of_row(feed, row)
    shared = plain_message_id(text_of(row.get(MESSAGE_ID)))
    return [Activity(ref, id_, kind, at, attributes, owner=owner, shared_id=shared) for ref in dict.fromkeys(people)]


def _soon_after_sending(row: Row) -> dict[str, Scalar]:
    """How many seconds after the sending an e-mail was opened, where they are few."""
    sent, opened = instant_of(row.get("MessageDate")), instant_of(row.get("FirstOpenedDate"))
    seconds = int((opened - sent).total_seconds()) if sent and opened else SOON + 1
    return {SECONDS_AFTER_SENDING: seconds} if 0 <= seconds <= SOON else {}


def kind_of_row(feed: Feed, row: Row) -> str:
    """The kind of a row that fits a feed: an automatic answer and a call that reached nobody have their own."""
    if feed.kind in MAILS and feed.source in ("Task", "EmailMessage"):
        # A logged e-mail's task has this before its subject.
        subject = text_of(row.get("Subject")).removeprefix("Email:").strip()
        return AUTOMATIC if is_automatic_mail(subject, text_of(row.get("Headers"))) else feed.kind
    if feed.kind in CALLS and feed.source == "Task" and is_unanswered(text_of(row.get("CallDisposition"))):
        return ATTEMPTED
    return feed.kind


def person_ref(id_: object) -> Ref | None:
    """The lead or contact behind an id of either, such as a `WhoId`."""
    kind = PREFIXES.get(str(id_)[:3])
    return Ref(CRM, kind, str(id_)) if kind else None


def _refs(ids: Iterable[object]) -> list[Ref]:
    return [ref for ref in map(person_ref, ids) if ref]


def _who(object_: str) -> Callable[[Org, Schema, Sequence[Row], KeyFinder], People]:
    """Participants of tasks or events: the main one in `WhoId`, and with Shared Activities the others behind it."""

    def people(org: Org, schema: Schema, rows: Sequence[Row], _mails: KeyFinder) -> People:
        found = {str(row["Id"]): _refs([row.get("WhoId")]) for row in rows}
        shared = [str(row["Id"]) for row in rows if isinstance(n := row.get("WhoCount"), int | float) and n > 1]
        key = f"{object_}Id"
        for related in _looked_up(org, schema, f"{object_}WhoRelation", key, ("RelationId",), shared):
            found[str(related[key])] += _refs([related.get("RelationId")])
        return found

    return people


def _looked_up(org: Org, schema: Schema, name: str, key: str, wanted: Sequence[str], ids: Sequence[str]) -> list[Row]:
    return read_lookups(org, schema, [Lookup(name, key, tuple(wanted))], ids)[0]


def _task_people(org: Org, schema: Schema, rows: Sequence[Row], mails: KeyFinder) -> People:
    """As `_who`, and nobody for the task that stands for an e-mail which is read as an EmailMessage: it counts once."""
    found = dict(_who("Task")(org, schema, rows, mails))
    for task in mails.find([str(row["Id"]) for row in rows if row.get("TaskSubtype") == "Email"]):
        found.pop(task, None)
    return found


def _mail_people(org: Org, schema: Schema, rows: Sequence[Row], _mails: KeyFinder) -> People:
    """Participants of e-mails: the sender of one that came in, the recipients of one that went out."""
    incoming = {str(row["Id"]): row.get("Incoming") is True for row in rows}
    found: dict[str, list[Ref]] = {each: [] for each in incoming}
    columns = ("RelationId", "RelationType")
    for related in _looked_up(org, schema, "EmailMessageRelation", "EmailMessageId", columns, list(incoming)):
        message = str(related["EmailMessageId"])
        if (related.get("RelationType") == "FromAddress") is incoming[message]:
            found[message] += _refs([related.get("RelationId")])
    # Every logged e-mail has a task beside it, which may name whom the e-mail does not.
    lonely = {
        str(row["ActivityId"]): str(row["Id"]) for row in rows if "ActivityId" in row and not found[str(row["Id"])]
    }
    for task in _looked_up(org, schema, "Task", "Id", ("WhoId",), list(lonely)):
        found[lonely[str(task["Id"])]] += _refs([task.get("WhoId")])
    return found


def _member_people(org: Org, schema: Schema, rows: Sequence[Row], _mails: KeyFinder) -> People:
    """A member that was converted names both; then it is the contact."""
    return {str(row["Id"]): _refs([row.get("ContactId") or row.get("LeadId")]) for row in rows}


def _task_at(kind: str, row: Row) -> datetime | None:
    """When it was done. `ActivityDate` is a due date, often in the future: it counts only if it was closed after it."""
    created = instant_of(row.get("CreatedDate"))
    if kind.startswith("email_") or created is None:
        return created
    due, modified = instant_of(row.get("ActivityDate")), instant_of(row.get("LastModifiedDate")) or created
    return instant_of(row.get("CompletedDateTime")) or (due if due and due <= modified else created)


def _event_at(kind: str, row: Row) -> datetime | None:
    start = (
        instant_of(row.get("StartDateTime"))
        or instant_of(row.get("ActivityDateTime"))
        or instant_of(row.get("ActivityDate"))
    )
    created = instant_of(row.get("CreatedDate"))
    if kind == "meeting_booked":
        # A meeting may be logged after it was held.
        return min((each for each in (created, start) if each), default=None)
    return start or created


def _mail_at(kind: str, row: Row) -> datetime | None:
    sent = instant_of(row.get("MessageDate")) or instant_of(row.get("CreatedDate"))
    return (instant_of(row.get("FirstOpenedDate")) or sent) if kind == "email_opened" else sent


def _member_at(kind: str, row: Row) -> datetime | None:
    """When they signed up or answered; what they attended, on the campaign's first day if it comes later."""
    joined = instant_of(row.get("CreatedDate"))
    answered = instant_of(row.get("FirstRespondedDate"))
    if joined is None or kind.endswith("_registered"):
        return joined
    told = [joined, *([answered] if answered else [])]
    if kind.endswith("_attended") and (starts := instant_of(row.get("Campaign.StartDate"))):
        told.append(min(starts, instant_of(row.get("LastModifiedDate")) or starts))
    return max(told)


_ACTIVITY = ("IsDeleted", "OwnerId", "WhoId", "WhoCount", "CreatedDate", "LastModifiedDate", "ActivityDate")

ORIGINS: dict[str, Origin] = {
    "Task": Origin(
        "00T",
        (*_ACTIVITY, "CompletedDateTime", "TaskSubtype", "IsClosed", "Subject", "CallDisposition"),
        ("IsRecurrence",),
        _task_people,
        _task_at,
        ("TaskWhoRelation", "EmailMessage"),
    ),
    "Event": Origin(
        "00U",
        (*_ACTIVITY, "StartDateTime", "ActivityDateTime"),
        # Copies for guests and the definitions of series are no meetings of their own.
        ("IsChild", "IsRecurrence"),
        _who("Event"),
        _event_at,
        ("EventWhoRelation",),
    ),
    "EmailMessage": Origin(
        "02s",
        (
            "IsDeleted",
            "Incoming",
            "MessageDate",
            "FirstOpenedDate",
            "CreatedDate",
            "ActivityId",
            "Subject",
            "Headers",
        ),
        (),
        _mail_people,
        _mail_at,
        ("EmailMessageRelation", "Task"),
        {"Status": DRAFT},
    ),
    "CampaignMember": Origin(
        "00v",
        (
            "IsDeleted",
            "LeadId",
            "ContactId",
            "CreatedDate",
            "LastModifiedDate",
            "FirstRespondedDate",
            "Campaign.StartDate",
        ),
        (),
        _member_people,
        _member_at,
        ("Campaign",),
    ),
}
"""The sources of `feeds.SOURCES`."""
