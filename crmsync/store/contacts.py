"""Records as pulled: a page is written with its cursor, and a repeat changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, case, delete, select, update

from crmsync.identity.domains import first_own_domain
from crmsync.identity.matching import identity_keys
from crmsync.model import Contact, Ref
from crmsync.store.activities import add_counters, count_activities, move_activities
from crmsync.store.clean import clean_items
from crmsync.store.companies import people_around, save_companies
from crmsync.store.edits import EMAILS, REPLACED, is_same, keep_edits, moved_row
from crmsync.store.erasure import clear_personal_data, erase_records
from crmsync.store.forgetting import save_forgotten
from crmsync.store.records import (
    drop_score_inputs,
    former_keys,
    held_band,
    ids_by_exact_ref,
    ids_by_ref,
    mark_dirty,
    rows_by_ref,
    save_identity_keys,
    save_names,
)
from crmsync.store.schema import (
    alias,
    identity,
    past_field,
    record,
)
from crmsync.store.sql import dump_json, has_rows, one_of, to_ms, upsert, write_many
from crmsync.store.tombstones import find_forgotten

TOUCHES = 5
"""How often in a row a change that a CRM takes and does not keep is made again because the record was touched."""


PERSONAL = ("stage", "owner")


def save_contacts(
    connection: Connection,
    run: str,
    items: Sequence[Contact],
    now: datetime,
    *,
    noticing: Collection[str] = PERSONAL,
    colleagues: bool = False,
) -> list[tuple[int, int]]:
    """Store contacts as they are now. Those whose stored row differs are marked dirty; a repeat changes nothing.

    A stage or owner that is another one than before was changed by somebody else, since what crmsync writes is stored
    when it is written; `noticing` says of which of the two that holds (where the config maps otherwise, another name of
    a stage may mean the same value). Of somebody who was forgotten only that there is a record is stored.
    With `colleagues` everybody is dirty whose account one of these left or joined. Returns the row and the CRM's stamp
    (milliseconds) of each that differs.
    """
    latest, stored = _worth_storing(connection, run, items)
    if not latest:
        return []
    rows = {ref: _row(each, stored.get(ref)) for ref, each in latest.items()}
    moved = {ref: _differences(stored.get(ref), values) for ref, values in rows.items()}
    changed = {ref: values for ref, values in rows.items() if moved[ref]}
    _keep_past_fields(connection, stored, changed, to_ms(now), noticing)
    everything = {
        ref: {
            "crm": ref.crm, "kind": ref.kind, "ref_id": ref.id, "seen_run": run, "known": True, "dirty": True,
            "forgotten": False, "seen_at": _seen_at(stored.get(ref), values, to_ms(now)),
            **values, **_patience(stored.get(ref), moved[ref], values["changed_at"]),
            "edited": _is_edited(stored.get(ref), moved[ref]),
            "overrides": dump_json(_overrides(stored.get(ref), values, to_ms(now), noticing)),
        }
        for ref, values in changed.items()
    }  # fmt: skip
    movers: set[int] = set()
    if colleagues:
        movers = _people_merged(connection, latest.values())
        movers |= {whose for ref in changed if moved[ref] & MOVING and (whose := _person_of(stored.get(ref)))}
    # Before they are written, too: then nobody could tell any more whose colleagues they were.
    others = {*people_around(connection, movers)} if movers else set()
    _write_contacts(connection, everything, stored)
    drop_score_inputs(connection, [stored[ref]["id"] for ref in changed if ref in stored])
    unchanged = [ref for ref in latest if ref not in changed]
    # A pull of everything goes by `seen_run`: what it did not bring may be gone.
    _touch(connection, run, [stored[ref]["id"] for ref in unchanged])
    _stamp(connection, {ref: rows[ref] for ref in unchanged}, stored)
    save_companies(connection, latest.values())
    others |= {*people_around(connection, movers)} if movers else set()
    if others:
        connection.execute(update(record).where(one_of(record.c.person, others)).values(dirty=True))
    _forget_purge(connection, [ref for ref, each in latest.items() if not each.gone and _is_erased(stored.get(ref))])
    _keep_successors(connection, [stored[ref] for ref, each in latest.items() if each.erased and ref in stored])
    ids = ids_by_ref(connection, latest)
    own = ids_by_exact_ref(connection, latest)
    # `ids` lead from a merged record to its survivor, of which nothing may be cleared or erased: hence its own row.
    clear_personal_data(
        connection, [own[ref] for ref in changed if latest[ref].gone and latest[ref].merged_into is None]
    )
    erase_records(connection, [own[ref] for ref, each in latest.items() if each.erased])
    known_by = {(own if latest[ref].gone else ids)[ref]: identity_keys(latest[ref]) for ref in changed}
    former = former_keys(connection, [row_id for row_id, keys in known_by.items() if keys])
    save_identity_keys(connection, {row_id: keys | former.get(row_id, set()) for row_id, keys in known_by.items()})
    save_names(connection, {own[ref]: str(rows[ref]["name"]) for ref in changed if "name" in moved[ref]})
    for ref, each in latest.items():
        if each.aliases:
            _adopt(connection, each, ids[ref], to_ms(now))
    count_activities(connection, {ids[ref]: each for ref, each in latest.items() if each.counters})
    return [(ids[ref], to_ms(latest[ref].changed_at)) for ref in changed]


def _worth_storing(
    connection: Connection, run: str, items: Sequence[Contact]
) -> tuple[dict[Ref, Contact], dict[Ref, dict[str, Any]]]:
    """The contacts to store, with the rows that there are of them; of those who were forgotten a stub is stored."""
    # What comes twice on a page counts as it came last.
    latest = {each.ref: each for each in clean_items(items)}
    if forgotten := find_forgotten(connection, latest.values()):
        stubs = {ref: latest.pop(ref) for ref in sorted(forgotten)}
        rows = {ref: {"changed_at": to_ms(each.changed_at), "gone": each.gone} for ref, each in stubs.items()}
        save_forgotten(connection, run, rows, rows_by_ref(connection, rows))
    stored = rows_by_ref(connection, latest)
    # Of what a CRM has no more and nobody knew, there is nothing to keep.
    return {ref: each for ref, each in latest.items() if not each.erased or ref in stored}, stored


def _row(each: Contact, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    if each.gone:  # it may be an erasure that the law asks for, now or later of the record that it was merged into
        each = replace(each, name="", emails=(), fields={}, current={}, group="", company=None, created_at=None)
    fields = dict(each.fields)
    # A field that the CRM no longer shows is unknown and not empty: what was known of it holds (R33).
    if each.unread and stored is not None and not each.gone:
        held = orjson.loads(stored["fields"])
        fields = {name: held[name] for name in each.unread if name in held} | fields
    return {
        "changed_at": to_ms(each.changed_at),
        "name": each.name,
        "emails": dump_json(list(each.emails)),
        "fields": dump_json(fields),
        "links": dump_json([list(link) for link in each.links]),
        "company": each.company.id if each.company else "",
        "domain": first_own_domain(each.emails),
        "created_at": to_ms(each.created_at) if each.created_at else None,
        "crm_group": each.group,
        "stage": each.stage,
        "owner": each.owner,
        "current": dump_json(dict(each.current)),
        "band": held_band(each.current),
        "gone": each.gone,
        "merged_into": str(each.merged_into or ""),
        "converted_into": str(each.converted_into or ""),
    }


def _seen_at(stored: Mapping[str, Any] | None, values: Mapping[str, Any], now: int) -> int | None:
    """Since when what a record says is known: a deleted one says nothing, and begins again where it comes back."""
    if values["gone"] and not values["merged_into"]:
        return None
    seen: int | None = stored["seen_at"] if stored is not None and stored["known"] else None
    return now if seen is None else seen


_ECHO = frozenset({"changed_at", "band"})
"""What says nothing by itself: the stamp, which our own writes move too, and what is a part of `current`."""


MOVING = frozenset({"company", "domain", "gone", "merged_into", "converted_into"})
"""What moves a record out of an account or into one."""


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
    tried_again = {"on_hold": "", "attempts": 0}
    if stored is None or moved - {"current"}:
        return tried_again
    as_it_was = {"on_hold": stored["on_hold"], "attempts": stored["attempts"]}
    if not stored["on_hold"] or stored["changed_at"] == changed_at:
        return as_it_was
    on_hold = orjson.loads(stored["on_hold"])
    if on_hold.get("whole", True):
        return tried_again
    if on_hold.get("ours", True):
        return as_it_was | {"on_hold": dump_json({**on_hold, "ours": False})}
    return {"on_hold": "", "attempts": stored["attempts"] + 1} if stored["attempts"] < TOUCHES else as_it_was


def _stamp(
    connection: Connection, rows: Mapping[Ref, Mapping[str, Any]], stored: Mapping[Ref, Mapping[str, Any]]
) -> None:
    """Keep the stamps of records in which nothing else moved that crmsync reads."""
    touched = [
        {
            "row_id": held["id"],
            "stamp": values["changed_at"],
            "again": bool(held["on_hold"]) and not patience["on_hold"],
        }
        | {f"now_{name}": value for name, value in patience.items()}
        for ref, values in rows.items()
        if (held := stored[ref])["changed_at"] != values["changed_at"]
        and (patience := _patience(held, set(), values["changed_at"]))
    ]
    if touched:
        statement = update(record).where(record.c.id == bindparam("row_id"))
        again = case((bindparam("again"), True), else_=record.c.dirty)
        statement = statement.values(on_hold=bindparam("now_on_hold"), attempts=bindparam("now_attempts"), dirty=again)
        connection.execute(statement.values(changed_at=bindparam("stamp")), touched)


def _overrides(
    stored: Mapping[str, Any] | None, values: Mapping[str, Any], now: int, noticing: Collection[str]
) -> dict[str, Any]:
    """The manual overrides of a record: per field the value that somebody gave it, and since when that is known."""
    # At first sight nobody has overruled anything.
    if stored is None or not stored["known"] or values["gone"]:
        return {}
    overrides: dict[str, Any] = orjson.loads(stored["overrides"])
    # CRMs do not tell "" from nothing.
    moved = [name for name in noticing if (stored[name] or None) != (values[name] or None)]
    return overrides | {name: {"value": values[name], "since": now} for name in moved}


def _people_merged(connection: Connection, contacts: Iterable[Contact]) -> set[int]:
    """Whose records these contacts took the place of since they were stored last."""
    replaced = {
        Ref(each.ref.crm, each.ref.kind, old) for each in contacts for old in each.aliases if old != each.ref.id
    }
    rows = rows_by_ref(connection, replaced) if replaced else {}
    return {whose for row in rows.values() if not row["gone"] and (whose := _person_of(row))}


def _person_of(stored: Mapping[str, Any] | None) -> int | None:
    return stored["person"] if stored is not None else None


def _write_contacts(
    connection: Connection, rows: Mapping[Ref, dict[str, Any]], stored: Mapping[Ref, Mapping[str, Any]]
) -> None:
    fresh = [row for ref, row in rows.items() if ref not in stored]
    again = [{**row, "row_id": stored[ref]["id"]} for ref, row in rows.items() if ref in stored]
    write_many(connection, record.insert(), fresh)
    write_many(connection, update(record).where(record.c.id == bindparam("row_id")), again)


def _touch(connection: Connection, run: str, ids: Sequence[int]) -> None:
    if ids:
        connection.execute(update(record).where(one_of(record.c.id, ids)).values(seen_run=run))


def _keep_past_fields(
    connection: Connection,
    stored: Mapping[Ref, Mapping[str, Any]],
    changed: Mapping[Ref, Mapping[str, Any]],
    until: int,
    noticing: Collection[str],
) -> None:
    """Keep the old value of each mapped field that changes, so that a score can be computed as of any past instant.

    Of the fields that crmsync writes, those that somebody else changed are kept, too: what we write is stored before.
    What a record knew that is merged away now is kept as well, until the survivor goes.
    """
    rows = []
    for ref, values in changed.items():
        if ref not in stored or not stored[ref]["known"] or (values["gone"] and not values["merged_into"]):
            continue
        held = stored[ref]
        rows += past_rows(held, orjson.loads(values["fields"]), until)
        if held["emails"] != values["emails"]:
            rows.append({"record": held["id"], "field": EMAILS, "until": until, "value": held["emails"]})
        if not held["gone"] and _is_replaced(values) and not _is_replaced(held):
            rows.append({"record": held["id"], "field": REPLACED, "until": until, "value": "null"})
        if not values["gone"]:
            rows += keep_edits(held, values, noticing, until)
        rows += [
            moved_row(held["id"], name, held[name], until)
            for name in PERSONAL
            if (values["gone"] or name not in noticing) and not is_same(held[name], values[name])
        ]
    upsert(connection, past_field, rows)


def past_rows(held: Mapping[str, Any], now: Mapping[str, Any], until: int) -> list[dict[str, Any]]:
    """Rows of `past_field` for the mapped fields of a stored record that are others `now`."""
    before = orjson.loads(held["fields"])
    return [
        {"record": held["id"], "field": name, "until": until, "value": dump_json(before.get(name))}
        for name in before.keys() | now.keys()
        if before.get(name) != now.get(name)
    ]


def _is_replaced(values: Mapping[str, Any]) -> bool:
    return bool(values["merged_into"] or values["converted_into"])


def _adopt(connection: Connection, survivor: Contact, row_id: int, now: int) -> None:
    """Fold records that a merge replaced into their survivor: their ids lead to it and their history is its own."""
    crm, kind = survivor.ref.crm, survivor.ref.kind
    upsert(
        connection,
        alias,
        [{"crm": crm, "kind": kind, "old_id": old, "record": row_id} for old in survivor.aliases],
    )
    held = rows_by_ref(connection, [Ref(crm, kind, old) for old in survivor.aliases if old != survivor.ref.id])
    upsert(connection, past_field, [row for each in held.values() for row in _last_rows(each, now)])
    replaced = {ref: int(each["id"]) for ref, each in held.items()}
    nothing: dict[str, Any] = {"name": "", "emails": "[]", "fields": "{}", "current": "{}"}
    nothing |= {"band": "", "company": "", "domain": "", "created_at": None}
    for old_ref, old_row in replaced.items():
        merged = connection.execute(
            update(record)
            # Only where it is news: the survivor names its old ids each time it comes.
            .where(record.c.id == old_row, record.c.merged_into != str(survivor.ref))
            .values(nothing | {"merged_into": str(survivor.ref), "gone": True})
        )
        if merged.rowcount:
            # Its addresses say nothing any more: they may be somebody else's by now.
            save_identity_keys(connection, {old_row: {f"record:{old_ref}", f"record:{survivor.ref}"}})
            save_names(connection, {old_row: ""})
        if _lead_on(connection, old_row, row_id) or merged.rowcount:
            mark_dirty(connection, [old_row, row_id])


def _lead_on(connection: Connection, old_row: int, row_id: int) -> int:
    """Hand what led to a record and what it did to the one that took its place. Returns how many activities moved."""
    # Merges form chains: the old ids that led to this record lead to its survivor from now on.
    connection.execute(update(alias).where(alias.c.record == old_row).values(record=row_id))
    add_counters(connection, old_row, row_id)
    return move_activities(connection, old_row, row_id)


def _keep_successors(connection: Connection, purged: Iterable[Mapping[str, Any]]) -> None:
    """Of records that a CRM has no more keep which one took their place: others may still name them.

    To be called before they are erased. Nothing of them is kept but the id, as long as the one that it leads to.
    """
    for held in purged:
        became = held["merged_into"] or held["converted_into"]
        row_id = next(iter(ids_by_ref(connection, [Ref(*became.split(":", 2))]).values()), None) if became else None
        if row_id is None or row_id == held["id"]:
            continue
        _lead_on(connection, held["id"], row_id)
        old = {"crm": held["crm"], "kind": held["kind"], "old_id": held["ref_id"], "record": row_id}
        upsert(connection, alias, [old])
        keys = former_keys(connection, [row_id])[row_id]
        upsert(connection, identity, [{"record": row_id, "key": key} for key in sorted(keys)])
        mark_dirty(connection, [row_id])


def _is_erased(stored: Mapping[str, Any] | None) -> bool:
    return stored is not None and stored["gone"] and not _is_replaced(stored)


def _forget_purge(connection: Connection, refs: Sequence[Ref]) -> None:
    """Of records that were taken for purged and are there: their ids lead to nobody else any more."""
    for ref in refs if has_rows(connection, alias) else ():
        this = alias.c.crm == ref.crm, alias.c.kind == ref.kind, alias.c.old_id == ref.id
        led_to = connection.scalar(select(alias.c.record).where(*this))
        if led_to is not None:
            connection.execute(delete(alias).where(*this))
            key = identity.c.record == led_to, identity.c.key == f"record:{ref}"
            connection.execute(delete(identity).where(*key))
            mark_dirty(connection, [led_to])


def _last_rows(held: Mapping[str, Any], now: int) -> list[dict[str, Any]]:
    """What a record knew until it was merged away `now` (milliseconds); nothing where that was noticed before."""
    if not held["known"] or held["gone"] or _is_replaced(held):
        return []
    marks = [(REPLACED, "null"), (EMAILS, held["emails"])]
    rows = [{"record": held["id"], "field": name, "until": now, "value": value} for name, value in marks]
    return past_rows(held, {}, now) + rows
