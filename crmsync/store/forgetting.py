"""Forgetting somebody for good: every row of theirs goes, and what stays says only that there was somebody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, or_, select, update

from crmsync.identity.matching import MAIL, normal_email
from crmsync.model import Ref
from crmsync.store.companies import people_around
from crmsync.store.database import BYTES_LEFT
from crmsync.store.erasure import drop_unused_facts
from crmsync.store.events import find_rows_of
from crmsync.store.memberships import drop_memberships
from crmsync.store.odd_records import update_odd_records
from crmsync.store.opportunities import forget_references
from crmsync.store.records import drop_score_inputs, mark_dirty, save_identity_keys
from crmsync.store.schema import (
    EVENTS,
    GONE,
    activity,
    alias,
    change,
    company,
    counter,
    hand_off,
    identity,
    name_word,
    note,
    open_turn,
    past_field,
    person,
    protected,
    record,
    run,
    score_input,
    shared_id,
    stage_entry,
    task,
    verdict,
    writer,
)
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, upsert
from crmsync.store.tombstones import ref_key, save_tombstones

BLOTTED = "(forgotten)"
"""What stands in the texts of runs and plans in the place of a name or address."""


def pause_writer(connection: Connection) -> None:
    """Wait until the worker's transaction has ended, and let it begin no other one before this one has.

    First of all in a transaction that takes rows away beside a worker; on SQLite, where one writes at a time, it does
    nothing.
    """
    connection.execute(select(writer.c.epoch).with_for_update())


def rows_to_forget(connection: Connection, row_ids: Sequence[int]) -> list[Any]:
    """These records, and those that became one of them by a merge or a conversion."""
    first = list(connection.execute(select(record).where(record.c.id.in_(row_ids)).order_by(record.c.id)))
    refs = [str(_ref(each)) for each in first]
    became = or_(record.c.merged_into.in_(refs), record.c.converted_into.in_(refs))
    others = select(record).where(became, record.c.id.not_in(row_ids)).order_by(record.c.id)
    return [*first, *connection.execute(others)]


def forget_records(connection: Connection, row_ids: Sequence[int]) -> dict[str, int]:
    """Take these records out of every table, and remember by hash alone whose they were.

    Returns how many rows were removed, by table. An address that a record of somebody else carries too says nothing of
    who they are, and is not remembered.
    """
    rows = rows_to_forget(connection, row_ids)
    ids = [each.id for each in rows]
    old = connection.execute(select(alias.c.crm, alias.c.kind, alias.c.old_id).where(alias.c.record.in_(ids))).all()
    refs = {_ref(each) for each in rows} | {Ref(*each) for each in old}
    keys = {*map(ref_key, refs), *own_addresses(connection, rows)}
    save_tombstones(connection, keys)
    # What they did elsewhere goes with them, also what waited for somebody who was deleted.
    rows += find_rows_of(connection, {*keys, *(f"{GONE}{each}" for each in refs)}, ids)
    removed = remove_records(connection, rows, refs)
    removed["run"] += _blot_out(connection, rows)
    return {str(name): many for name, many in sorted(removed.items()) if many}


def own_addresses(connection: Connection, rows: Sequence[Any]) -> set[str]:
    """The address keys of these records that no record of somebody else carries."""
    keys = {
        f"{MAIL}{normal_email(address)}" for each in rows for address in orjson.loads(each.emails) if "@" in address
    }
    ids = [each.id for each in rows]
    keys |= {
        key
        for key in connection.scalars(select(identity.c.key).where(identity.c.record.in_(ids)))
        if key.startswith(MAIL)
    }
    others = (
        select(identity.c.key)
        .join(record, record.c.id == identity.c.record)
        .where(identity.c.key.in_(keys), identity.c.record.not_in(ids), ~EVENTS)
    )
    return keys - set(connection.scalars(others))


def remove_records(connection: Connection, rows: Sequence[Any], refs: Iterable[Ref]) -> Counter[str]:
    """Take records (rows, and all refs they are known by) out of every table. Returns how many rows, by table.

    Who keeps other records is scored again without these, and their colleagues are planned for without them.
    """
    ids, removed, refs = [each.id for each in rows], Counter[str](), set(refs)
    people = {each.person for each in rows if each.person is not None}
    colleagues = [each for each in people_around(connection, people) if each not in people]

    def remove(table: Any, *where: Any) -> None:
        removed[table.name] += connection.execute(delete(table).where(*where)).rowcount

    drop_score_inputs(connection, ids)
    removed["identity"] += (
        connection.scalar(select(func.count()).select_from(identity).where(identity.c.record.in_(ids))) or 0
    )
    save_identity_keys(connection, {each: set() for each in ids})
    for table in (alias, counter, past_field, protected, activity, shared_id, name_word):
        remove(table, table.c.record.in_(ids))
    remove(change, change.c.record.in_(ids))
    removed["membership"] += drop_memberships(connection, refs)
    removed["opportunity_record"] += forget_references(connection, refs)
    for ref in refs:
        # A plan that was made on a copy of the state does not know the record's row.
        remove(change, change.c.crm == ref.crm, change.c.kind == ref.kind, change.c.ref_id == ref.id)
        update_odd_records(connection, ref.crm, drop={ref})
    remove(record, record.c.id.in_(ids))
    left = set(connection.scalars(select(record.c.person).where(record.c.person.in_(people)).distinct()))
    # A person is called by one of their records: by these they may have been called before a merge.
    gone = {*people, *ids} - left
    kept = (score_input, hand_off, stage_entry, task, verdict)
    for column in (person.c.id, *(table.c.person for table in kept)):
        remove(column.table, column.in_(gone))
    # The next run gives back whose turn it was.
    connection.execute(update(open_turn).where(open_turn.c.person.in_(gone)).values(person=0, records="{}"))
    # The ledger before says what was known of somebody, by the names of the rules.
    connection.execute(update(person).where(person.c.id.in_(left)).values(ledger_before=None))
    connection.execute(update(stage_entry).where(stage_entry.c.person.in_(left)).values(ledger=None))
    mark_dirty(connection, list(connection.scalars(select(record.c.id).where(record.c.person.in_(left)))))
    for some in in_chunks(colleagues, IN_LIST):
        connection.execute(update(record).where(record.c.person.in_(some)).values(dirty=True))
    for crm, company_id in {(each.crm, each.company) for each in rows if each.company}:
        if not connection.scalar(
            select(record.c.id).where(record.c.crm == crm, record.c.company == company_id).limit(1)
        ):
            remove(company, company.c.crm == crm, company.c.id == company_id)
    # Whatever no activity says any more: what one of theirs said before it was replaced is among it.
    removed["fact"] += drop_unused_facts(connection)
    if connection.dialect.name == "sqlite":
        upsert(connection, note, [{**BYTES_LEFT, "value": "1"}])
    return removed


def _blot_out(connection: Connection, rows: Sequence[Any]) -> int:
    """Take names and addresses out of what runs and plans said: a CRM may have repeated what it was sent."""
    words = {each.name for each in rows} | {address for each in rows for address in orjson.loads(each.emails)}
    words = {each for each in words if len(each) > 2}
    if not words:
        return 0
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})(?!\w)", re.I)
    changed = []
    for row in connection.execute(select(run.c.id, run.c.result, run.c.plan)):
        now = {name: dump_json(_without(pattern, orjson.loads(getattr(row, name)))) for name in ("result", "plan")}
        if now != {name: dump_json(orjson.loads(getattr(row, name))) for name in now}:
            changed.append((row.id, now))
    for run_id, now in changed:
        connection.execute(update(run).where(run.c.id == run_id).values(now))
    return len(changed)


def _without(pattern: re.Pattern[str], value: Any) -> Any:
    if isinstance(value, str):
        return pattern.sub(BLOTTED, value)
    if isinstance(value, dict):
        return {pattern.sub(BLOTTED, name): _without(pattern, each) for name, each in value.items()}
    return [_without(pattern, each) for each in value] if isinstance(value, list) else value


def save_forgotten(connection: Connection, run_id: str, stubs: dict[Ref, dict[str, Any]], stored: Any) -> None:
    """Store records of somebody forgotten: that they are there, and nothing of what they say.

    `stubs` has for each `changed_at` and `gone`; `stored` are the rows there are. What was known of one until now goes.
    """
    known = [row["id"] for ref, row in stored.items() if not row["forgotten"]]
    for some in in_chunks(known, IN_LIST):
        rows = connection.execute(select(record).where(record.c.id.in_(some))).all()
        remove_records(connection, rows, [_ref(each) for each in rows])
    for ref, values in stubs.items():
        now = {**values, "seen_run": run_id}
        if ref in stored and stored[ref]["forgotten"]:
            connection.execute(update(record).where(record.c.id == stored[ref]["id"]).values(now))
        else:
            this = {"crm": ref.crm, "kind": ref.kind, "ref_id": ref.id, "known": False, "forgotten": True}
            connection.execute(record.insert().values(**this, **now))


def _ref(row: Any) -> Ref:
    return Ref(row.crm, row.kind, row.ref_id)
