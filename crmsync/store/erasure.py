"""Deletion and erasure: what is kept of a record that its CRM no longer has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CompoundSelect, Connection, delete, select, tuple_, update

from crmsync.store.events import erase_events, remember_deleted
from crmsync.store.records import drop_score_inputs, save_identity_keys, save_names
from crmsync.store.schema import (
    OPEN,
    REPLACED,
    activity,
    alias,
    change,
    counter,
    fact,
    membership,
    opportunity_record,
    past_field,
    person,
    protected,
    record,
    shared_id,
    stage_entry,
    task,
    verdict,
)
from crmsync.store.sql import IN_LIST, in_chunks


def clear_personal_data(connection: Connection, row_ids: Sequence[int]) -> None:
    """Keep nothing personal of a deleted record but what it did: the CRM may bring the record back, and not that."""
    remember_deleted(connection, row_ids)
    blank: dict[str, Any] = dict.fromkeys(("name", "crm_group", "band", "on_hold", "company", "domain", "undone"), "")
    blank |= dict.fromkeys(("emails", "links"), "[]") | dict.fromkeys(
        ("fields", "current", "last_written", "overrides"), "{}"
    )
    blank |= {"attempts": 0, "wake_at": None, "created_at": None, "seen_at": None}
    blank_change = {"before": "{}", "after": "{}", "refused": "{}", "because": "", "reason": "", "crm_group": ""}
    # Half as many as usual, because they stand twice in one statement.
    for some in in_chunks(row_ids, IN_LIST // 2):
        refs = select(record.c.crm, record.c.kind, record.c.ref_id).where(record.c.id.in_(some))
        # a plan that was made on a copy of the state does not know the record's row
        unplaced = (change.c.record == 0) & tuple_(change.c.crm, change.c.kind, change.c.ref_id).in_(refs)
        theirs = change.c.record.in_(some) | unplaced
        connection.execute(update(record).where(record.c.id.in_(some)).values(blank))
        for table in (past_field, protected):
            connection.execute(delete(table).where(table.c.record.in_(some)))
        connection.execute(delete(past_field).where(past_field.c.record.in_(_merged_rows(some))))
        connection.execute(update(change).where(theirs, OPEN).values(state="edited"))  # there is nothing left to write
        connection.execute(update(change).where(theirs).values(blank_change))
        people = select(record.c.person).where(record.c.id.in_(some))
        connection.execute(update(person).where(person.c.id.in_(people)).values(ledger_before=None))
        entries = stage_entry.c.person.in_(people) | stage_entry.c.person.in_(some)  # by their number before a merge
        connection.execute(update(stage_entry).where(entries).values(ledger=None))
        connection.execute(update(task).where(task.c.person.in_(people)).values(body=""))
        connection.execute(update(verdict).where(verdict.c.person.in_(people)).values(note=""))
    save_identity_keys(connection, {row_id: set() for row_id in row_ids})
    save_names(connection, dict.fromkeys(row_ids, ""))
    drop_score_inputs(connection, row_ids)


def _merged_rows(row_ids: Sequence[int]) -> CompoundSelect[tuple[int]]:
    """The records that were merged into these: of them nothing is left but what was known before."""
    old_ids = select(alias.c.crm, alias.c.kind, alias.c.old_id).where(alias.c.record.in_(row_ids))
    by_alias = select(record.c.id).where(tuple_(record.c.crm, record.c.kind, record.c.ref_id).in_(old_ids))
    refs = select(record.c.crm + ":" + record.c.kind + ":" + record.c.ref_id).where(record.c.id.in_(row_ids))
    merged = record.alias()
    by_name = select(merged.c.id).where(REPLACED, merged.c.merged_into.in_(refs))
    return by_alias.union(by_name)


def erase_records(connection: Connection, row_ids: Sequence[int]) -> None:
    """Keep of a record that will not come back only that there was one with this id."""
    clear_personal_data(connection, row_ids)
    erase_events(connection, row_ids)
    for some in in_chunks(row_ids, IN_LIST):
        connection.execute(update(record).where(record.c.id.in_(some)).values(stage=None, owner=None))
        refs = select(record.c.crm, record.c.kind, record.c.ref_id).where(record.c.id.in_(some))
        own = tuple_(membership.c.crm, membership.c.kind, membership.c.ref_id).in_(refs)
        connection.execute(delete(membership).where(own))
        it = opportunity_record.c
        connection.execute(delete(opportunity_record).where(tuple_(it.crm, it.kind, it.ref_id).in_(refs)))
        for table in (activity, shared_id, counter, alias):
            connection.execute(delete(table).where(table.c.record.in_(some)))


def drop_unused_facts(connection: Connection) -> int:
    """Forget what activities said that are no more: names of forms, pages, subjects. Returns how many these were."""
    return connection.execute(delete(fact).where(fact.c.id.not_in(select(activity.c.fact).distinct()))).rowcount
