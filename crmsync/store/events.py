"""Events as activities of rows that wait for their person: the same rows are matched by address, record or domain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, delete, exists, func, select, update

from crmsync.identity.domains import first_own_domain, is_free_mail, registrable_domain
from crmsync.identity.matching import MAIL
from crmsync.model import ADDRESS, DOMAIN, REFERENCE, Activity, Odd, Ref, long_id
from crmsync.store.activities import save_activities
from crmsync.store.clean import clean_items
from crmsync.store.records import ids_by_ref, save_identity_keys
from crmsync.store.schema import EVENTS, GONE, activity, feed_day, identity, note, record
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, one_of, unindexed, upsert
from crmsync.store.tombstones import find_buried

KINDS_OF_RECORDS = ("contact", "lead")
"""What a record may be whose id alone is known: ids say themselves which."""


def save_events(connection: Connection, items: Sequence[Activity]) -> None:
    """Store events; one that was stored before is replaced. Of somebody who was forgotten none is stored."""
    items = clean_items(items)
    refs = {each.ref for each in items}
    forgotten = find_buried(connection, ((ref, find_keys(ref)) for ref in refs))
    wanted = [each for each in items if each.ref not in forgotten]
    missing = sorted({each.ref for each in wanted} - ids_by_ref(connection, refs).keys())
    if missing:
        rows = [
            {"crm": ref.crm, "kind": ref.kind, "ref_id": ref.id, "seen_run": "", "domain": find_domain(ref)}
            for ref in missing
        ]
        connection.execute(record.insert(), rows)
        save_identity_keys(
            connection, {row_id: find_keys(ref) for ref, row_id in ids_by_ref(connection, missing).items()}
        )
    save_activities(connection, wanted)


def find_keys(ref: Ref) -> set[str]:
    """The identity keys by which the events of a ref find their person; a domain has none."""
    if ref.kind == ADDRESS:
        return {f"{MAIL}{ref.id}"}
    if ref.kind == REFERENCE:
        crm, _, record_id = ref.id.partition(":")
        ids = {record_id, long_id(record_id)}
        return {f"record:{crm}:{kind}:{each}" for kind in KINDS_OF_RECORDS for each in ids}
    return set()


def find_domain(ref: Ref) -> str:
    """The domain of the organisation that the events of a ref count for where no person has them."""
    if ref.kind == ADDRESS:
        return first_own_domain([ref.id])
    if ref.kind == DOMAIN:
        host = ref.id.partition("#")[0]
        return "" if is_free_mail(host) else registrable_domain(host)
    return ""


class News(NamedTuple):
    """Whose events are new: people (ids), and the domains of those that no person has."""

    people: frozenset[int]
    domains: frozenset[str]


def settle_events(connection: Connection) -> News:
    """Whoever has new events is dirty; to be called once it is settled who is who."""
    it = record.c
    query = select(it.person, it.domain).where(it.dirty, EVENTS)
    rows = connection.execute(query.where(unindexed(it.person).is_not(None) | (it.domain != ""))).all()
    people = frozenset(row.person for row in rows if row.person is not None)
    if people:
        connection.execute(update(record).where(one_of(it.person, people), ~EVENTS).values(dirty=True))
    connection.execute(update(record).where(it.dirty, EVENTS).values(dirty=False, edited=False))
    return News(people, frozenset(row.domain for row in rows if row.person is None))


def note_events(connection: Connection, source: str, unreadable: int, last: Odd | None, now: int) -> None:
    """Count what could not be read of a source, in the transaction of its page."""
    if not unreadable or last is None:
        return
    held = read_unreadable(connection, source)
    said = {"many": held.get("many", 0) + unreadable, "last": f"{last.what} {last.why}", "at": now}
    upsert(connection, note, [{"crm": source, "name": UNREADABLE, "value": dump_json(said)}])


UNREADABLE = "unreadable_events"
"""The note that counts the lines and rows that could not be read, and says which was the last one and why."""


def read_unreadable(connection: Connection, source: str) -> Mapping[str, Any]:
    """How many lines and rows of a source could not be read (`many`), and the last one; nothing where there is none."""
    held = connection.scalar(select(note.c.value).where(note.c.crm == source, note.c.name == UNREADABLE))
    found: dict[str, Any] = orjson.loads(held) if held else {}
    return found


class EventsKept(NamedTuple):
    """What came from a source: how many events, on which day (since 1970, UTC) the last one was, how many `waiting`
    ones are of an address or record that is nobody's yet, how many such there are, and of how many `domains` (or users
    of one) there are events.
    """

    events: int = 0
    last_day: int | None = None
    waiting: int = 0
    unmatched: int = 0
    domains: int = 0


def count_events(connection: Connection, source: str) -> EventsKept:
    """What came from a source. Its cost follows what waits and not what there is."""
    days = select(func.sum(feed_day.c.activities), func.max(feed_day.c.day))
    events, last = connection.execute(days.where(feed_day.c.crm == source, feed_day.c.activities > 0)).one()
    it = record.c
    # By the index of people, where those without one are together.
    nobodys = it.person.is_(None), it.crm == source
    waiting = select(func.count()).join(activity, activity.c.record == it.id).select_from(record)
    return EventsKept(
        int(events or 0),
        last,
        connection.scalar(waiting.where(*nobodys, it.kind.in_((ADDRESS, REFERENCE)))) or 0,
        count_unmatched(connection, source),
        connection.scalar(select(func.count()).where(*nobodys, it.kind == DOMAIN)) or 0,
    )


def count_unmatched(connection: Connection, source: str) -> int:
    """How many addresses and records there are whose events wait for their person."""
    it = record.c
    whose = it.person.is_(None), it.crm == source, it.kind.in_((ADDRESS, REFERENCE))
    return connection.scalar(select(func.count()).where(*whose)) or 0


def remember_deleted(connection: Connection, row_ids: Collection[int]) -> None:
    """Remember whose events they are of records that are deleted, for the day on which the CRM erases them.

    To be called before what the records are known by is cleared.
    """
    for some in in_chunks(sorted(row_ids), IN_LIST):
        query = select(identity.c.key, record.c.crm, record.c.kind, record.c.ref_id)
        theirs = query.join(record, record.c.id == identity.c.record).where(record.c.id.in_(some), ~EVENTS)
        refs: dict[str, set[str]] = {}
        for key, *ref in connection.execute(theirs):
            refs.setdefault(key, set()).add(f"{GONE}{Ref(*ref)}")
        held = select(identity.c.key, identity.c.record).join(record, record.c.id == identity.c.record)
        found = [
            pair
            for keys in in_chunks(sorted(refs), IN_LIST)
            for pair in connection.execute(held.where(identity.c.key.in_(keys), EVENTS))
        ]
        pairs = {(row_id, each) for key, row_id in found for each in refs[key]}
        upsert(connection, identity, [{"record": row_id, "key": key} for row_id, key in sorted(pairs)])


def erase_events(connection: Connection, row_ids: Collection[int]) -> None:
    """Take away the events of records that a CRM erased, unless a record that is there still has them, too."""
    for some in in_chunks(sorted(row_ids), IN_LIST):
        refs = connection.execute(select(record.c.crm, record.c.kind, record.c.ref_id).where(record.c.id.in_(some)))
        keys = [f"{GONE}{Ref(*each)}" for each in refs]
        theirs = select(identity.c.record).where(identity.c.key.in_(keys))
        gone = list(connection.scalars(select(record.c.id).where(record.c.id.in_(theirs), EVENTS, ~_is_shared())))
        for table in (activity, identity):
            connection.execute(delete(table).where(table.c.record.in_(gone)))
        connection.execute(delete(record).where(record.c.id.in_(gone)))
        # What is left is others', and no full pull need ask for these records again.
        connection.execute(delete(identity).where(identity.c.key.in_(keys)))


def _is_shared(besides: Collection[int] = ()) -> Any:
    """Whether a record that is there, and none of `besides` (row ids), is known by the same as a row of events."""
    mine, other, it = identity.alias(), identity.alias(), record.alias()
    same = mine.c.record == record.c.id, other.c.key == mine.c.key, it.c.id == other.c.record
    return exists().where(*same, it.c.known, ~it.c.gone, it.c.id.not_in(besides))


def find_rows_of(connection: Connection, keys: Collection[str], besides: Collection[int]) -> list[Any]:
    """The rows of events that are known by one of these identity keys, and by none of a record that is there.

    Those `besides` (row ids) do not count.
    """
    found: dict[int, Any] = {}
    for some in in_chunks(sorted(keys), IN_LIST):
        theirs = select(identity.c.record).where(identity.c.key.in_(some))
        query = select(record).where(record.c.id.in_(theirs), EVENTS, ~_is_shared(besides))
        found |= {row.id: row for row in connection.execute(query)}
    return [found[row_id] for row_id in sorted(found)]
