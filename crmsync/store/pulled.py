"""What was pulled: contacts, activities and cursors, written page by page, each page with its cursor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, bindparam, case, delete, func, or_, select, tuple_, update

from crmsync.model import Activity, Contact, Counter, Ref
from crmsync.people import MAIL, marks
from crmsync.store.clean import clean_items
from crmsync.store.database import Store, upsert
from crmsync.store.feed_days import add_feed_days
from crmsync.store.schema import (
    OPEN,
    activity,
    alias,
    change,
    contact,
    counter,
    cursor,
    fact,
    identity,
    note,
    past_field,
    person,
    sheet,
)

IN_LIST = 5_000
"""Values in one IN list: SQLite takes 32,766 parameters, PostgreSQL 65,535."""

TOUCHES = 5
"""How often in a row a change that a CRM takes and does not keep is made again because the record was touched."""

COUNTED = "counter:"
"""How the ids of activities begin that come from a counter."""

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterable[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def dump(value: Any) -> str:
    """JSON with sorted keys: equal values are equal texts."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(at.timestamp() * 1000)


def from_ms(at: int) -> datetime:
    """The aware UTC instant of `to_ms`."""
    return datetime.fromtimestamp(at / 1000, UTC)


class StoredNotes(MutableMapping[str, str]):
    """A connector's notes: each is durable when the assignment returns."""

    def __init__(self, store: Store, crm: str) -> None:
        self._store, self._crm = store, crm

    def __getitem__(self, name: str) -> str:
        with self._store.read() as reading:
            value = reading.scalar(select(note.c.value).where(note.c.crm == self._crm, note.c.name == name))
        if value is None:
            raise KeyError(name)
        return str(value)

    def __setitem__(self, name: str, value: str) -> None:
        with self._store.begin() as writing:
            upsert(writing, note, [{"crm": self._crm, "name": name, "value": value}])

    def __delitem__(self, name: str) -> None:
        with self._store.begin() as writing:
            gone = writing.execute(delete(note).where(note.c.crm == self._crm, note.c.name == name))
        if not gone.rowcount:
            raise KeyError(name)

    def __iter__(self) -> Any:
        with self._store.read() as reading:
            names = reading.scalars(select(note.c.name).where(note.c.crm == self._crm).order_by(note.c.name)).all()
        return iter([str(name) for name in names])

    def __len__(self) -> int:
        return len(list(iter(self)))


def read_cursor(connection: Connection, crm: str, stream: str) -> str | None:
    """Where a stream goes on, or `None` at its start."""
    return connection.scalar(select(cursor.c.value).where(cursor.c.crm == crm, cursor.c.stream == stream))


def write_cursor(connection: Connection, crm: str, stream: str, value: str) -> None:
    """Move a stream's cursor: only in the transaction that stores what is before it."""
    upsert(connection, cursor, [{"crm": crm, "stream": stream, "value": value}])


FULL_RUNS = "full:runs"
"""The row among the cursors that says, by stream, which runs have read since its pull of everything under way began."""


def note_full_run(connection: Connection, crm: str, stream: str, run: str, *, begins: bool) -> list[str]:
    """A run reads a stream. Returns the runs since its pull of everything began, which is now or was cut off before.

    None where the stream was read to its end before. What it brings counts for another stream's pull of everything.
    """
    under_way = _full_runs(connection, crm)
    if begins:
        under_way[stream] = []
    if not under_way:
        return []
    now = {each: [*runs, run] for each, runs in under_way.items()}
    write_cursor(connection, crm, FULL_RUNS, dump(now))
    return now.get(stream, [])


def end_full_run(connection: Connection, crm: str, stream: str) -> None:
    """A stream's pull of everything came to its end."""
    under_way = _full_runs(connection, crm)
    under_way.pop(stream, None)
    if under_way:
        write_cursor(connection, crm, FULL_RUNS, dump(under_way))
    else:
        drop_cursor(connection, crm, FULL_RUNS)


def _full_runs(connection: Connection, crm: str) -> dict[str, list[str]]:
    """The runs by stream; those of an older crmsync, which named no stream, are not known."""
    runs = orjson.loads(read_cursor(connection, crm, FULL_RUNS) or "{}")
    return runs if isinstance(runs, dict) else {}


def drop_cursor(connection: Connection, crm: str, stream: str) -> None:
    """Forget where a stream was: its next pull begins at the start."""
    connection.execute(delete(cursor).where(cursor.c.crm == crm, cursor.c.stream == stream))


def was_ever_read(connection: Connection, crm: str) -> bool:
    """Whether a CRM's contacts were read to their end at least once."""
    streams = connection.scalars(select(cursor.c.stream).where(cursor.c.crm == crm))
    return any(stream.startswith("contacts:") for stream in streams)


def promote_cursors(connection: Connection, crm: str, streams: Sequence[str]) -> None:
    """A full pull is complete: later pulls go on from where it ended."""
    for stream in streams:
        if value := read_cursor(connection, crm, f"full:{stream}"):
            write_cursor(connection, crm, stream, value)
        connection.execute(delete(cursor).where(cursor.c.crm == crm, cursor.c.stream == f"full:{stream}"))


def drop_cursors(connection: Connection, crm: str, begin: str, keep: str) -> None:
    """Forget the streams that begin like one that takes their place: what it stores is not what they had read."""
    ours = or_(*(cursor.c.stream.startswith(each, autoescape=True) for each in (begin, f"full:{begin}")))
    others = cursor.c.stream.not_in((keep, f"full:{keep}"))
    connection.execute(delete(cursor).where(cursor.c.crm == crm, ours, others))


PEOPLES = ("stage", "owner")


def save_contacts(
    connection: Connection, run: str, items: Sequence[Contact], now: datetime, *, noticing: Collection[str] = PEOPLES
) -> None:
    """Store contacts as they are now. Those whose stored row differs are marked dirty; a repeat changes nothing.

    A stage or owner that is another one than before was changed by somebody else, since what crmsync writes is stored
    when it is written; `noticing` says of which of the two that holds (where the config maps otherwise, another name of
    a stage may mean the same value).
    """
    latest = {each.ref: each for each in clean_items(items)}
    if not latest:
        return
    stored = rows_by_ref(connection, latest)
    rows = {ref: _row(each, stored.get(ref)) for ref, each in latest.items()}
    moved = {ref: _differences(stored.get(ref), values) for ref, values in rows.items()}
    changed = {ref: values for ref, values in rows.items() if moved[ref]}
    _keep_past_fields(connection, stored, changed, to_ms(now))
    everything = {
        ref: {
            "crm": ref.crm, "kind": ref.kind, "ref_id": ref.id, "seen_run": run, "known": True, "dirty": True,
            **values, **_patience(stored.get(ref), moved[ref], values["changed_at"]),
            "edited": _is_edited(stored.get(ref), moved[ref]),
            "leases": dump(_overrides(stored.get(ref), values, to_ms(now), noticing)),
        }
        for ref, values in changed.items()
    }  # fmt: skip
    _write_contacts(connection, everything, stored)
    drop_sheets(connection, [stored[ref]["id"] for ref in changed if ref in stored])
    unchanged = [ref for ref in latest if ref not in changed]
    _touch(connection, run, [stored[ref]["id"] for ref in unchanged])
    _stamp(connection, {ref: rows[ref] for ref in unchanged}, stored)
    ids = ids_by_ref(connection, latest)
    own = ids_by_exact_ref(connection, latest)
    forget(connection, [own[ref] for ref in changed if latest[ref].gone and latest[ref].merged_into is None])
    _erase(connection, [own[ref] for ref, each in latest.items() if each.erased])
    _mark(connection, {ids[ref]: marks(latest[ref]) for ref in changed})
    for ref, each in latest.items():
        if each.aliases:
            _adopt(connection, each, ids[ref])
    _count(connection, run, {ids[ref]: each for ref, each in latest.items() if each.counters})


def _row(each: Contact, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    if each.gone:  # it may be an erasure that the law asks for, now or later of the record that it was merged into
        each = replace(each, name="", emails=(), fields={}, current={}, group="")
    fields = dict(each.fields)
    if each.unread and stored is not None and not each.gone:
        held = orjson.loads(stored["fields"])
        fields = {name: held[name] for name in each.unread if name in held} | fields
    return {
        "changed_at": to_ms(each.changed_at),
        "name": each.name,
        "emails": dump(list(each.emails)),
        "fields": dump(fields),
        "links": dump([list(link) for link in each.links]),
        "grouped": each.group,
        "stage": each.stage,
        "owner": each.owner,
        "current": dump(dict(each.current)),
        "gone": each.gone,
        "merged_into": str(each.merged_into or ""),
        "converted_into": str(each.converted_into or ""),
    }


_ECHO = frozenset({"changed_at"})
"""What our own writes move too: a record that differs in nothing else has not changed."""


def _differences(stored: Mapping[str, Any] | None, values: Mapping[str, Any]) -> set[str]:
    if stored is None or not stored["known"]:
        return set(values)
    return {name for name, value in values.items() if stored[name] != value} - _ECHO


def _is_edited(stored: Mapping[str, Any] | None, moved: set[str]) -> bool:
    """Whether somebody made a record, or edited it since it was last planned for in something that a score rests on."""
    if stored is None or not stored["known"]:
        return True
    return bool(stored["edited"] or moved & {"fields", "emails"})


def _patience(stored: Mapping[str, Any] | None, moved: set[str], changed_at: int) -> dict[str, Any]:
    """What the CRM refused is tried again once somebody changes the record, in whatever field; not because we did.

    A field that crmsync does not read is what mostly satisfies a validation rule ("Budget is required"), and of such a
    change only the stamp tells. Of a record that was refused whole nothing was taken, so the stamp was moved by others.
    Where the CRM took a part, or took it and put it back, our own write moves the stamp once: the first move only ends
    `ours`, and the next one is somebody's. Should something touch the record after each write of ours, it is tried
    again `TOUCHES` times and then only when the patience with it ends.
    """
    tried_again = {"parked": "", "attempts": 0}
    if stored is None or moved - {"current"}:
        return tried_again
    as_it_was = {"parked": stored["parked"], "attempts": stored["attempts"]}
    if not stored["parked"] or stored["changed_at"] == changed_at:
        return as_it_was
    parked = orjson.loads(stored["parked"])
    if parked.get("whole", True):
        return tried_again
    if parked.get("ours", True):
        return as_it_was | {"parked": dump({**parked, "ours": False})}
    return {"parked": "", "attempts": stored["attempts"] + 1} if stored["attempts"] < TOUCHES else as_it_was


def _stamp(
    connection: Connection, rows: Mapping[Ref, Mapping[str, Any]], stored: Mapping[Ref, Mapping[str, Any]]
) -> None:
    """Keep the stamps of records in which nothing else moved that crmsync reads."""
    touched = [
        {"row_id": held["id"], "stamp": values["changed_at"], "again": bool(held["parked"]) and not patience["parked"]}
        | {f"now_{name}": value for name, value in patience.items()}
        for ref, values in rows.items()
        if (held := stored[ref])["changed_at"] != values["changed_at"]
        and (patience := _patience(held, set(), values["changed_at"]))
    ]
    if touched:
        statement = update(contact).where(contact.c.id == bindparam("row_id"))
        again = case((bindparam("again"), True), else_=contact.c.dirty)
        statement = statement.values(parked=bindparam("now_parked"), attempts=bindparam("now_attempts"), dirty=again)
        connection.execute(statement.values(changed_at=bindparam("stamp")), touched)


def _overrides(
    stored: Mapping[str, Any] | None, values: Mapping[str, Any], now: int, noticing: Collection[str]
) -> dict[str, Any]:
    """The manual overrides of a record: per field the value that somebody gave it, and since when that is known."""
    if stored is None or not stored["known"] or values["gone"]:
        return {}
    leases: dict[str, Any] = orjson.loads(stored["leases"])
    moved = [name for name in noticing if (stored[name] or None) != (values[name] or None)]
    return leases | {name: {"value": values[name], "since": now} for name in moved}


def rows_by_ref(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, dict[str, Any]]:
    """The stored rows of these records; records never seen are left out."""
    found: dict[Ref, dict[str, Any]] = {}
    for crm, kind, ids in _by_kind(refs):
        query = select(contact).where(contact.c.crm == crm, contact.c.kind == kind, contact.c.ref_id.in_(ids))
        found |= {Ref(crm, kind, row["ref_id"]): dict(row) for row in connection.execute(query).mappings()}
    return found


def ids_by_ref(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, int]:
    """The row ids of these records; an id that a merge replaced leads to the survivor's row."""
    found: dict[Ref, int] = {}
    for crm, kind, ids in _by_kind(refs):
        old = select(alias.c.old_id, alias.c.contact).where(
            alias.c.crm == crm, alias.c.kind == kind, alias.c.old_id.in_(ids)
        )
        own = select(contact.c.ref_id, contact.c.id).where(
            contact.c.crm == crm, contact.c.kind == kind, contact.c.ref_id.in_(ids)
        )
        for query in (own, old):
            found |= {Ref(crm, kind, ref_id): row_id for ref_id, row_id in connection.execute(query)}
    return found


def _by_kind(refs: Iterable[Ref]) -> Iterable[tuple[str, str, list[str]]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for ref in refs:
        grouped.setdefault((ref.crm, ref.kind), []).append(ref.id)
    for (crm, kind), ids in grouped.items():
        for some in chunks(ids, IN_LIST):
            yield crm, kind, some


def _write_contacts(
    connection: Connection, rows: Mapping[Ref, dict[str, Any]], stored: Mapping[Ref, Mapping[str, Any]]
) -> None:
    fresh = [row for ref, row in rows.items() if ref not in stored]
    again = [{**row, "row_id": stored[ref]["id"]} for ref, row in rows.items() if ref in stored]
    if fresh:
        connection.execute(contact.insert(), fresh)
    if again:
        connection.execute(update(contact).where(contact.c.id == bindparam("row_id")), again)


def ids_by_exact_ref(connection: Connection, refs: Iterable[Ref]) -> dict[Ref, int]:
    """The row ids of exactly these records, replaced ones too."""
    return {ref: row["id"] for ref, row in rows_by_ref(connection, refs).items()}


def _touch(connection: Connection, run: str, ids: Sequence[int]) -> None:
    for some in chunks(ids, IN_LIST):
        connection.execute(update(contact).where(contact.c.id.in_(some)).values(seen_run=run))


def _keep_past_fields(
    connection: Connection,
    stored: Mapping[Ref, Mapping[str, Any]],
    changed: Mapping[Ref, Mapping[str, Any]],
    until: int,
) -> None:
    """Keep the old value of each mapped field that changes, so that a score can be computed as of any past instant."""
    rows = []
    for ref, values in changed.items():
        if ref not in stored or not stored[ref]["known"] or values["gone"] or stored[ref]["fields"] == values["fields"]:
            continue
        before, after = orjson.loads(stored[ref]["fields"]), orjson.loads(values["fields"])
        rows += [
            {"contact": stored[ref]["id"], "field": name, "until": until, "value": dump(before.get(name))}
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name)
        ]
    upsert(connection, past_field, rows)


def forget(connection: Connection, row_ids: Sequence[int]) -> None:
    """Keep nothing personal of a deleted record but what it did: the CRM may bring the record back, and not that."""
    blank: dict[str, Any] = dict.fromkeys(("name", "grouped", "parked"), "")
    blank |= dict.fromkeys(("emails", "links"), "[]") | dict.fromkeys(("fields", "current", "base", "leases"), "{}")
    blank |= {"attempts": 0, "wake": None}
    blank_change = {"before": "{}", "after": "{}", "refused": "{}", "because": "", "reason": "", "grouped": ""}
    for some in chunks(row_ids, IN_LIST // 2):
        refs = select(contact.c.crm, contact.c.kind, contact.c.ref_id).where(contact.c.id.in_(some))
        # a plan that was made on a copy of the state does not know the record's row
        unplaced = (change.c.contact == 0) & tuple_(change.c.crm, change.c.kind, change.c.ref_id).in_(refs)
        theirs = change.c.contact.in_(some) | unplaced
        connection.execute(update(contact).where(contact.c.id.in_(some)).values(blank))
        connection.execute(delete(past_field).where(past_field.c.contact.in_(some)))
        connection.execute(update(change).where(theirs, OPEN).values(state="edited"))  # there is nothing left to write
        connection.execute(update(change).where(theirs).values(blank_change))
        people = select(contact.c.person).where(contact.c.id.in_(some))
        connection.execute(update(person).where(person.c.id.in_(people)).values(was=""))
    _mark(connection, {row_id: set() for row_id in row_ids})
    drop_sheets(connection, row_ids)


def _erase(connection: Connection, row_ids: Sequence[int]) -> None:
    """Keep of a record that will not come back only that there was one with this id."""
    forget(connection, row_ids)
    for some in chunks(row_ids, IN_LIST):
        connection.execute(update(contact).where(contact.c.id.in_(some)).values(stage=None, owner=None))
        for table in (activity, counter, alias):
            connection.execute(delete(table).where(table.c.contact.in_(some)))


def drop_unused_facts(connection: Connection) -> None:
    """Forget what activities said that are no more: names of forms, pages, subjects."""
    connection.execute(delete(fact).where(fact.c.id.not_in(select(activity.c.fact).distinct())))


def _mark(connection: Connection, now: Mapping[int, set[str]]) -> None:
    """Store what contacts (row ids) are known by. Whoever shares an address that one of them loses is decided about.

    They may have been several people because of it, and would not be found by an address that is no longer there.
    """
    lost: set[str] = set()
    for some in chunks(now, IN_LIST):
        pairs = connection.execute(select(identity.c.contact, identity.c.mark).where(identity.c.contact.in_(some)))
        lost |= {mark for row_id, mark in pairs if mark.startswith(MAIL) and mark not in now[row_id]}
        connection.execute(delete(identity).where(identity.c.contact.in_(some)))
    upsert(
        connection,
        identity,
        [{"contact": row_id, "mark": mark} for row_id, theirs in now.items() for mark in sorted(theirs)],
    )
    for marks_ in chunks(sorted(lost), IN_LIST):
        sharing = select(identity.c.contact).where(identity.c.mark.in_(marks_))
        connection.execute(update(contact).where(contact.c.id.in_(sharing)).values(dirty=True))


def _adopt(connection: Connection, survivor: Contact, row_id: int) -> None:
    """Fold records that a merge replaced into their survivor: their ids lead to it and their history is its own."""
    crm, kind = survivor.ref.crm, survivor.ref.kind
    upsert(
        connection,
        alias,
        [{"crm": crm, "kind": kind, "old_id": old, "contact": row_id} for old in survivor.aliases],
    )
    replaced = ids_by_exact_ref(connection, [Ref(crm, kind, old) for old in survivor.aliases if old != survivor.ref.id])
    nothing = {"name": "", "emails": "[]", "fields": "{}", "current": "{}"}
    for old_ref, old_row in replaced.items():
        merged = connection.execute(
            update(contact)
            .where(contact.c.id == old_row, contact.c.merged_into != str(survivor.ref))
            .values(nothing | {"merged_into": str(survivor.ref), "gone": True})
        )
        if merged.rowcount:
            _mark(connection, {old_row: {f"record:{old_ref}", f"record:{survivor.ref}"}})
        connection.execute(update(alias).where(alias.c.contact == old_row).values(contact=row_id))
        _add_counters(connection, old_row, row_id)
        if _move_activities(connection, old_row, row_id) or merged.rowcount:
            outdate(connection, [old_row, row_id])


def _add_counters(connection: Connection, old_row: int, row_id: int) -> None:
    """What was counted on a record that a merge replaced was counted: its survivor's counters begin above that."""
    query = select(counter.c.contact, counter.c.kind, counter.c.count).where(counter.c.contact.in_((old_row, row_id)))
    held: dict[int, dict[str, int]] = {old_row: {}, row_id: {}}
    for contact_id, kind, count in connection.execute(query):
        held[contact_id][kind] = count
    if held[old_row]:
        sums = {kind: count + held[row_id].get(kind, 0) for kind, count in held[old_row].items()}
        upsert(connection, counter, [{"contact": row_id, "kind": kind, "count": count} for kind, count in sums.items()])
        connection.execute(delete(counter).where(counter.c.contact == old_row))


def _move_activities(connection: Connection, old_row: int, row_id: int) -> int:
    have = select(activity.c.id).where(activity.c.contact == row_id)
    connection.execute(delete(activity).where(activity.c.contact == old_row, activity.c.id.in_(have)))
    moved = connection.execute(update(activity).where(activity.c.contact == old_row).values(contact=row_id))
    return moved.rowcount


def _count(connection: Connection, run: str, contacts: Mapping[int, Contact]) -> None:
    """Turn what a counter gained since the last pull into activities, each dated as the CRM dates the last one.

    The first sight of a counter yields one activity: when the others happened nobody knows.
    """
    before: dict[tuple[int, str], int] = {}
    for some in chunks(contacts, IN_LIST):
        query = select(counter.c.contact, counter.c.kind, counter.c.count).where(counter.c.contact.in_(some))
        before |= {(row_id, kind): count for row_id, kind, count in connection.execute(query)}
    moved = [
        (row_id, kind)
        for row_id, each in contacts.items()
        for kind, now in each.counters.items()
        if before.get((row_id, kind)) != now.count
    ]
    last = _last_counted(connection, {row_id for row_id, _kind in moved if contacts[row_id].aliases})
    rows, gained = [], []
    for row_id, kind in moved:
        each, key = contacts[row_id], (row_id, kind)
        rows.append({"contact": row_id, "kind": kind, "count": each.counters[kind].count})
        gained += _gains(each, kind, each.counters[kind], before.get(key), last.get(key))
    upsert(connection, counter, rows)
    save_activities(connection, run, gained)


def _last_counted(connection: Connection, row_ids: Iterable[int]) -> dict[tuple[int, str], int]:
    """When each kind of activity that comes from a counter happened last on these contacts (seconds)."""
    found: dict[tuple[int, str], int] = {}
    for some in chunks(sorted(row_ids), IN_LIST):
        query = (
            select(activity.c.contact, fact.c.kind, func.max(activity.c.at))
            .join(fact, fact.c.id == activity.c.fact)
            .where(activity.c.contact.in_(some), activity.c.id.startswith(COUNTED))
            .group_by(activity.c.contact, fact.c.kind)
        )
        found |= {(row_id, kind): at for row_id, kind, at in connection.execute(query)}
    return found


def _gains(each: Contact, kind: str, now: Counter, had: int | None, last: int | None) -> list[Activity]:
    """The activities behind a counter that moved.

    What a CRM makes of the counters of merged records is nowhere said: their sum, the larger one, now one and later the
    other. On a record that others were merged into the date decides: no later than what was counted `last` it is the
    same events in another sum, and later than that it is one event at least.
    """
    first = now.count if had is None else had + 1
    if each.aliases and had is not None and last is not None and now.last_at is not None:
        if now.last_at.timestamp() < last + 1:
            return []
        first = min(first, now.count)
    at = now.last_at or each.changed_at
    return [
        Activity(each.ref, f"{COUNTED}{each.ref.id}:{kind}:{number}", kind, at, now.attributes)
        for number in range(max(first, 1), now.count + 1)
    ]


def save_activities(connection: Connection, run: str, items: Sequence[Activity]) -> None:
    """Store activities. What was stored for an activity id is replaced; contacts that gain or lose one become dirty."""
    latest = {(each.ref.crm, each.id, each.ref): each for each in clean_items(items)}
    if not latest:
        return
    ids = _ids_with_stubs(connection, run, {each.ref for each in latest.values() if not each.gone})
    facts = _fact_ids(
        connection, {(each.kind, dump(dict(each.attributes))) for each in latest.values() if not each.gone}
    )
    kinds = {fact_id: kind for (kind, _attributes), fact_id in facts.items()}
    wanted = {
        (each.ref.crm, each.id, ids[each.ref]): (
            int(each.at.timestamp()),
            facts[each.kind, dump(dict(each.attributes))],
        )
        for each in latest.values()
        if not each.gone and _datable(each.at)
    }
    stored = _stored_activities(connection, {(crm, activity_id) for crm, activity_id, _ref in latest})
    lost = [key for key in stored if key not in wanted]
    gained = [key for key in wanted if stored.get(key) != wanted[key]]
    for crm, activity_id, row_id in lost:
        connection.execute(
            delete(activity).where(activity.c.crm == crm, activity.c.id == activity_id, activity.c.contact == row_id)
        )
    upsert(
        connection,
        activity,
        [
            {"crm": key[0], "id": key[1], "contact": key[2], "at": wanted[key][0], "fact": wanted[key][1]}
            for key in gained
        ],
    )
    add_feed_days(connection, ((key[0], kinds[wanted[key][1]], wanted[key][0]) for key in gained))
    outdate(connection, sorted({key[2] for key in gained}))
    outdate(connection, sorted({key[2] for key in lost}), edited=True)
    _uncount(connection, {(key[2], kinds[at[1]]) for key, at in wanted.items() if not key[1].startswith(COUNTED)})


def _uncount(connection: Connection, told: set[tuple[int, str]]) -> None:
    """Take back what was counted of a kind on each record of which the CRM now tells it: it would count twice."""
    for kind in sorted({kind for _, kind in told}):
        for some in chunks((row_id for row_id, each in told if each == kind), IN_LIST):
            query = select(counter.c.contact).where(counter.c.contact.in_(some), counter.c.kind == kind)
            if counted := list(connection.scalars(query)):
                of_kind = activity.c.id.startswith(COUNTED) & activity.c.id.contains(f":{kind}:", autoescape=True)
                connection.execute(delete(activity).where(activity.c.contact.in_(counted), of_kind))
                connection.execute(delete(counter).where(counter.c.contact.in_(counted), counter.c.kind == kind))
                outdate(connection, counted)


def _datable(at: datetime) -> bool:
    """Seconds are kept in 32 bits without a sign: an instant before 1970 or after 2105 is a mistake in the CRM."""
    return 0 <= at.timestamp() < 2**32


def _stored_activities(
    connection: Connection, ids: Iterable[tuple[str, str]]
) -> dict[tuple[str, str, int], tuple[int, int]]:
    found: dict[tuple[str, str, int], tuple[int, int]] = {}
    by_crm: dict[str, list[str]] = {}
    for crm, activity_id in ids:
        by_crm.setdefault(crm, []).append(activity_id)
    for crm, all_ids in by_crm.items():
        for some in chunks(all_ids, IN_LIST):
            query = select(activity).where(activity.c.crm == crm, activity.c.id.in_(some))
            found |= {(row.crm, row.id, row.contact): (row.at, row.fact) for row in connection.execute(query)}
    return found


def _ids_with_stubs(connection: Connection, run: str, refs: set[Ref]) -> dict[Ref, int]:
    """Row ids for the activities' records; one that was not pulled yet gets a row that waits for it."""
    ids = ids_by_ref(connection, refs)
    missing = sorted(refs - ids.keys())
    if missing:
        rows = [{"crm": ref.crm, "kind": ref.kind, "ref_id": ref.id, "seen_run": ""} for ref in missing]
        connection.execute(contact.insert(), rows)
        ids |= ids_by_ref(connection, missing)
    return ids


def _fact_ids(connection: Connection, facts: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    ordered = sorted(facts)
    found = _known_facts(connection, ordered)
    missing = [each for each in ordered if each not in found]
    if missing:
        connection.execute(fact.insert(), [{"kind": kind, "attributes": attributes} for kind, attributes in missing])
        found |= _known_facts(connection, missing)
    return found


def _known_facts(connection: Connection, facts: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for some in chunks(facts, IN_LIST):
        query = select(fact.c.kind, fact.c.attributes, fact.c.id).where(
            fact.c.attributes.in_({attributes for _kind, attributes in some})
        )
        found |= {(kind, attributes): fact_id for kind, attributes, fact_id in connection.execute(query)}
    return found


def outdate(connection: Connection, row_ids: Sequence[int], *, edited: bool = False) -> None:
    """Something changed about these contacts: they are dirty, and the sheets of their people hold no more.

    It is `edited` where somebody took something away that a score rests on.
    """
    values = {"dirty": True, "edited": True} if edited else {"dirty": True}
    for some in chunks(row_ids, IN_LIST):
        connection.execute(update(contact).where(contact.c.id.in_(some)).values(values))
    drop_sheets(connection, row_ids)


def drop_sheets(connection: Connection, row_ids: Sequence[int]) -> None:
    """What scoring reads of the people of these contacts has to be read from their records anew."""
    for some in chunks(row_ids, IN_LIST):
        theirs = select(contact.c.person).where(contact.c.id.in_(some))
        connection.execute(delete(sheet).where(sheet.c.person.in_(theirs)))
