"""Activities as pulled, and those that a counter stands for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, update

from crmsync.identity.logged_kinds import LOGGED
from crmsync.model import Activity, Contact, Counter, Ref
from crmsync.store.clean import clean_items
from crmsync.store.feed_days import DAY, add_feed_days
from crmsync.store.records import ids_by_ref, mark_dirty
from crmsync.store.schema import activity, activity_owner, counter, fact, record, shared_id
from crmsync.store.shared_ids import hash_shared_id, move_shared_ids, save_shared_ids
from crmsync.store.sql import dump_json, has_rows, one_of, plain_rows, upsert, write_many
from crmsync.store.tombstones import forgotten_refs

COUNTED = "counter:"
"""How the ids of activities begin that come from a counter."""


def add_counters(connection: Connection, old_row: int, row_id: int) -> None:
    """What was counted on a record that a merge replaced was counted: its survivor's counters begin above that."""
    query = select(counter.c.record, counter.c.kind, counter.c.count).where(counter.c.record.in_((old_row, row_id)))
    held: dict[int, dict[str, int]] = {old_row: {}, row_id: {}}
    for contact_id, kind, count in connection.execute(query):
        held[contact_id][kind] = count
    if held[old_row]:
        sums = {kind: count + held[row_id].get(kind, 0) for kind, count in held[old_row].items()}
        upsert(connection, counter, [{"record": row_id, "kind": kind, "count": count} for kind, count in sums.items()])
        connection.execute(delete(counter).where(counter.c.record == old_row))


def move_activities(connection: Connection, old_row: int, row_id: int) -> int:
    have = select(activity.c.id).where(activity.c.record == row_id)
    # Where both records carry an activity, the move would meet its key.
    connection.execute(delete(activity).where(activity.c.record == old_row, activity.c.id.in_(have)))
    moved = connection.execute(update(activity).where(activity.c.record == old_row).values(record=row_id))
    move_shared_ids(connection, old_row, row_id)
    return moved.rowcount


def count_activities(connection: Connection, contacts: Mapping[int, Contact]) -> None:
    """Turn what a counter gained since the last pull into activities, each dated as the CRM dates the last one.

    The first sight of a counter yields one activity: when the others happened nobody knows.
    """
    if not contacts:
        return
    query = select(counter.c.record, counter.c.kind, counter.c.count).where(one_of(counter.c.record, contacts))
    before: dict[tuple[int, str], int] = {
        (row_id, kind): count for row_id, kind, count in plain_rows(connection, query)
    }
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
        rows.append({"record": row_id, "kind": kind, "count": each.counters[kind].count})
        gained += _gains(each, kind, each.counters[kind], before.get(key), last.get(key))
    upsert(connection, counter, rows)
    save_activities(connection, gained)


def _last_counted(connection: Connection, row_ids: Iterable[int]) -> dict[tuple[int, str], int]:
    """When each kind of activity that comes from a counter happened last on these contacts (seconds)."""
    query = (
        select(activity.c.record, fact.c.kind, func.max(activity.c.at))
        .join(fact, fact.c.id == activity.c.fact)
        .where(one_of(activity.c.record, row_ids), activity.c.id.startswith(COUNTED))
        .group_by(activity.c.record, fact.c.kind)
    )
    return {(row_id, kind): at for row_id, kind, at in plain_rows(connection, query)}


def _gains(each: Contact, kind: str, now: Counter, had: int | None, last: int | None) -> list[Activity]:
    """The activities behind a counter that moved.

    What a CRM makes of the counters of merged records is nowhere said: their sum, the larger one, now one and later the
    other. On a record that others were merged into the date decides: no later than what was counted `last` it is the
    same events in another sum, and later than that it is one event at least.
    """
    first, mark = now.count if had is None else had + 1, ""
    if each.aliases and had is not None and last is not None and now.last_at is not None:
        # Activities are kept in whole seconds: the same instant may lie up to one later.
        if now.last_at.timestamp() < last + 1:
            return []
        # What the CRM counts may fall and rise again: an earlier one may have the same number.
        first, mark = min(first, now.count), f":{now.last_at.timestamp():.0f}"
    at = now.last_at or each.changed_at
    return [
        Activity(each.ref, f"{COUNTED}{each.ref.id}:{kind}:{number}{mark}", kind, at, now.attributes)
        for number in range(max(first, 1), now.count + 1)
    ]


def save_activities(connection: Connection, items: Sequence[Activity]) -> list[tuple[int, int]]:
    """Store activities. What was stored for an activity id is replaced; contacts that gain or lose one become dirty.

    Of somebody who was forgotten none is stored. Returns the row of the record and the instant (seconds) of each that
    is new.
    """
    latest = {(each.ref.crm, each.id, each.ref): each for each in clean_items(items)}
    stored = _stored_activities(connection, latest)
    if taken := _taken_activities(connection, latest.values(), stored):
        latest = {key: each for key, each in latest.items() if key[:2] not in taken}
        stored = {key: it for key, it in stored.items() if key[:2] not in taken}
    if not latest:
        return []
    if forgotten := forgotten_refs(connection, {each.ref for each in latest.values()}):
        # As if the CRM had deleted it: what was stored for an id is replaced, and with nothing of theirs.
        latest = {key: replace(each, gone=True) if each.ref in forgotten else each for key, each in latest.items()}
    there = [each for each in latest.values() if not each.gone]
    ids = _ids_with_stubs(connection, {each.ref for each in there})
    told = [(each.kind, dump_json(dict(each.attributes))) for each in there]
    facts = _fact_ids(connection, {*told})
    owners = _owner_ids(connection, {(each.ref.crm, each.owner) for each in there if each.owner})
    kinds = {fact_id: kind for (kind, _attributes), fact_id in facts.items()}
    wanted = {
        (each.ref.crm, each.id, ids[each.ref]): _Stored(
            int(seconds), facts[fact_told], owners[each.ref.crm, each.owner] if each.owner else None
        )
        for each, fact_told in zip(there, told, strict=True)
        if 0 <= (seconds := each.at.timestamp()) < LATEST
    }
    lost = [key for key in stored if key not in wanted]
    changed = {key: it for key, it in wanted.items() if stored.get(key) != it} if stored else wanted
    # Whose it is moves no score, and is nothing new.
    gained = {key: it for key, it in changed.items() if key not in stored or stored[key][:2] != it[:2]}
    for crm, activity_id, row_id in lost:
        connection.execute(
            delete(activity).where(activity.c.crm == crm, activity.c.id == activity_id, activity.c.record == row_id)
        )
    upsert(
        connection,
        activity,
        [
            {"crm": crm, "id": activity_id, "record": row_id, "at": it.at, "fact": it.fact, "owner": it.owner}
            for (crm, activity_id, row_id), it in changed.items()
        ],
    )
    # Of what is new alone, or a repeat would count twice.
    were = _kinds_of(connection, {stored[key].fact for key in gained if key in stored})
    counted = {key: (were.get(it.fact), it.at // DAY) for key, it in stored.items()}
    days = ((key, (kinds[it.fact], it.at // DAY)) for key, it in gained.items())
    add_feed_days(connection, ((key[0], *day) for key, day in days if counted.get(key) != day))
    # What is new is no edit; what somebody took away is, and the guard counts the score that falls as odd.
    moved = _save_shared_ids(connection, there, ids, wanted, lost)
    mark_dirty(connection, {key[2] for key in gained} | moved)
    mark_dirty(connection, {key[2] for key in lost}, edited=True)
    _uncount(connection, ((key[2], kinds[it.fact]) for key, it in wanted.items() if not key[1].startswith(COUNTED)))
    return [(key[2], it.at) for key, it in gained.items()]


def _taken_activities(
    connection: Connection, items: Iterable[Activity], stored: Collection[tuple[str, str, int]]
) -> set[tuple[str, str]]:
    """CRM and id of those that are stored for a record which had the address once, and is there still: they stay its
    own, whoever has the address by now.
    """
    refs = {(each.ref.crm, each.id): each.ref for each in items if each.by_address}
    theirs = [key for key in stored if key[:2] in refs]
    if not theirs:
        return set()
    ids = ids_by_ref(connection, {refs[key[:2]] for key in theirs})
    others = [key for key in theirs if ids.get(refs[key[:2]]) != key[2]]
    if not others:
        return set()
    query = select(record.c.id).where(one_of(record.c.id, {key[2] for key in others}), record.c.known, ~record.c.gone)
    there = set(connection.scalars(query))
    return {key[:2] for key in others if key[2] in there}


def _save_shared_ids(
    connection: Connection,
    items: Iterable[Activity],
    ids: Mapping[Ref, int],
    stored: Collection[tuple[str, str, int]],
    lost: Iterable[tuple[str, str, int]],
) -> set[int]:
    """Store the shared ids of the activities of which two logs may be one; the records of which they changed."""
    told = {
        (each.ref.crm, each.id, ids[each.ref]): hash_shared_id(each.shared_id)
        for each in items
        if each.shared_id and each.kind in LOGGED
    }
    if not told and not has_rows(connection, shared_id):
        return set()
    now: dict[tuple[int, str], int | None] = {(row_id, activity_id): None for _crm, activity_id, row_id in lost}
    now |= {(row_id, activity_id): told.get((crm, activity_id, row_id)) for crm, activity_id, row_id in stored}
    return save_shared_ids(connection, now)


def _uncount(connection: Connection, pairs: Iterable[tuple[int, str]]) -> None:
    """Take back what was counted of a kind on each record of which the CRM now tells it: it would count twice."""
    if not has_rows(connection, counter):
        return
    told = {*pairs}
    query = select(counter.c.record, counter.c.kind).where(one_of(counter.c.record, {row_id for row_id, _ in told}))
    counted = {(row_id, kind) for row_id, kind in connection.execute(query)} & told
    for kind in sorted({kind for _, kind in counted}):
        row_ids = sorted(row_id for row_id, each in counted if each == kind)
        of_kind = activity.c.id.startswith(COUNTED) & activity.c.id.contains(f":{kind}:", autoescape=True)
        theirs = one_of(activity.c.record, row_ids), of_kind
        gone = connection.execute(select(activity.c.crm, activity.c.at).where(*theirs)).all()
        add_feed_days(connection, ((crm, kind, at // DAY) for crm, at in gone), sign=-1)
        connection.execute(delete(activity).where(*theirs))
        connection.execute(delete(counter).where(one_of(counter.c.record, row_ids), counter.c.kind == kind))
        mark_dirty(connection, row_ids)


LATEST = 2**32
"""Seconds are kept in 32 bits without a sign: an instant before 1970 or after 2105 is a mistake in the CRM."""


class _Stored(NamedTuple):
    """When an activity was (seconds), its fact, and its owner, where that is known (row ids)."""

    at: int
    fact: int
    owner: int | None


def _stored_activities(
    connection: Connection, keys: Iterable[tuple[str, str, Ref]]
) -> dict[tuple[str, str, int], _Stored]:
    by_crm: dict[str, set[str]] = {}
    for crm, activity_id, _ref in keys:
        by_crm.setdefault(crm, set()).add(activity_id)
    it = activity.c
    columns = select(it.crm, it.id, it.record, it.at, it.fact, it.owner)
    return {
        (crm, activity_id, row_id): _Stored(at, fact_id, owner)
        for of, ids in by_crm.items()
        for crm, activity_id, row_id, at, fact_id, owner in plain_rows(
            connection, columns.where(it.crm == of, one_of(it.id, ids))
        )
    }


def _ids_with_stubs(connection: Connection, refs: set[Ref]) -> dict[Ref, int]:
    """Row ids for the activities' records; one that was not pulled yet gets a row that waits for it."""
    ids = ids_by_ref(connection, refs)
    missing = sorted(refs - ids.keys())
    if missing:
        rows = [{"crm": ref.crm, "kind": ref.kind, "ref_id": ref.id, "seen_run": ""} for ref in missing]
        write_many(connection, record.insert(), rows)
        ids |= ids_by_ref(connection, missing)
    return ids


def _owner_ids(connection: Connection, owners: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Row ids of the owners of activities, by CRM and the CRM's id."""
    found = _known_owners(connection, owners)
    missing = sorted(owners - found.keys())
    if missing:
        connection.execute(activity_owner.insert(), [{"crm": crm, "owner": owner_id} for crm, owner_id in missing])
        found |= _known_owners(connection, missing)
    return found


def _known_owners(connection: Connection, owners: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    if not owners:
        return {}
    it = activity_owner.c
    query = select(it.crm, it.owner, it.id).where(one_of(it.owner, {owner_id for _crm, owner_id in owners}))
    return {(crm, owner_id): row_id for crm, owner_id, row_id in plain_rows(connection, query)}


def _kinds_of(connection: Connection, facts: Collection[int]) -> dict[int, str]:
    if not facts:
        return {}
    return dict(plain_rows(connection, select(fact.c.id, fact.c.kind).where(one_of(fact.c.id, facts))))


def _fact_ids(connection: Connection, facts: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    found = _known_facts(connection, facts)
    missing = sorted(facts - found.keys())
    if missing:
        write_many(
            connection, fact.insert(), [{"kind": kind, "attributes": attributes} for kind, attributes in missing]
        )
        found |= _known_facts(connection, missing)
    return found


def _known_facts(connection: Connection, facts: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    by_kind: dict[str, list[str]] = {}
    for kind, attributes in facts:
        by_kind.setdefault(kind, []).append(attributes)
    # By kind, because that is how the index begins.
    return {
        (kind, attributes): fact_id
        for kind, theirs in by_kind.items()
        for attributes, fact_id in plain_rows(
            connection,
            select(fact.c.attributes, fact.c.id).where(fact.c.kind == kind, one_of(fact.c.attributes, theirs)),
        )
    }
