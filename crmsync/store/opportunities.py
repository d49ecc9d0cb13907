"""Opportunities as pulled: what each stands at, whom it is about, and when it came into which stage."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from crmsync.counts import count_of
from crmsync.model import Opportunity, Ref
from crmsync.store.clean import clean_items
from crmsync.store.full_pull import doubt_deletions
from crmsync.store.schema import opportunity, opportunity_record, opportunity_stage
from crmsync.store.sql import IN_LIST, in_chunks, to_ms, upsert
from crmsync.store.tombstones import forgotten_refs


def save_opportunities(connection: Connection, items: Sequence[Opportunity]) -> None:
    """Store opportunities as they are now, and drop those that are gone; a repeat changes nothing.

    Whom somebody forgotten had to do with is not stored, only that there is the opportunity. An instant that cannot be
    one (before 1970, after 2105) counts as unknown.
    """
    latest = {(each.ref.crm, each.ref.id): each for each in clean_items(items)}
    _drop(connection, latest)
    live = [each for each in latest.values() if not each.gone]
    forgotten = forgotten_refs(connection, {ref for each in live for ref in each.records})
    upsert(connection, opportunity, [_row(each) for each in live])
    rows = [
        {"crm": each.ref.crm, "opportunity": each.ref.id, "kind": ref.kind, "ref_id": ref.id}
        for each in live
        for ref in dict.fromkeys(each.records)
        # Its own CRM's alone: that is whose ids these are.
        if ref not in forgotten and ref.crm == each.ref.crm
    ]
    for some in in_chunks(rows, IN_LIST):
        connection.execute(insert(opportunity_record), some)
    entries = {
        (each.ref.crm, each.ref.id, entry.stage, at)
        for each in live
        for entry in each.stages
        if (at := _instant(entry.at)) is not None
    }
    names = ("crm", "id", "stage", "at")
    for part in in_chunks(sorted(entries), IN_LIST):
        connection.execute(insert(opportunity_stage), [dict(zip(names, row, strict=True)) for row in part])


def _row(each: Opportunity) -> dict[str, Any]:
    worth = each.value if each.value is not None and math.isfinite(each.value) else None
    return {
        "crm": each.ref.crm, "id": each.ref.id, "state": each.state, "stage": each.stage, "pipeline": each.pipeline,
        "created_at": _instant(each.created_at), "closed_at": _instant(each.closed_at),
        "changed_at": to_ms(each.changed_at), "value": worth, "currency": each.currency, "owner": each.owner or "",
        "company": each.company, "lost_reason": each.lost_reason, "source": each.source, "campaign": each.campaign,
        "came": True,
    }  # fmt: skip


def _instant(at: datetime | None) -> int | None:
    """Milliseconds of an instant that can be one of an opportunity, as with activities."""
    return None if at is None or not 0 < at.timestamp() < 2**32 else to_ms(at)


def _drop(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Take all rows of these opportunities (CRM and id) but for those that are stored anew where they are not gone."""
    by_crm: dict[str, list[str]] = {}
    for crm, opportunity_id in keys:
        by_crm.setdefault(crm, []).append(opportunity_id)
    for crm, ids in by_crm.items():
        for some in in_chunks(ids, IN_LIST):
            for table, column in (
                (opportunity, opportunity.c.id),
                (opportunity_record, opportunity_record.c.opportunity),
                (opportunity_stage, opportunity_stage.c.id),
            ):
                connection.execute(delete(table).where(table.c.crm == crm, column.in_(some)))


def begin_full_outcomes(connection: Connection, crm: str) -> None:
    """A pull of everything begins: what it does not bring until its end is no more."""
    connection.execute(update(opportunity).where(opportunity.c.crm == crm).values(came=False))


def end_full_outcomes(connection: Connection, crm: str, *, trusting: bool = False) -> list[str]:
    """A pull of everything came to its end: drop what it did not bring.

    Returns a sentence where so much did not come that nothing is dropped, unless somebody said that it is `trusting`.
    """
    theirs = opportunity.c.crm == crm
    missing = list(connection.scalars(select(opportunity.c.id).where(theirs, ~opportunity.c.came)))
    known = connection.scalar(select(func.count()).select_from(opportunity).where(theirs)) or 0
    doubt = doubt_deletions(crm, len(missing), known, count_of(known, "opportunity"))
    if doubt and not trusting:
        return [doubt]
    _drop(connection, ((crm, each) for each in missing))
    return []


def count_opportunities(connection: Connection) -> dict[str, int]:
    """How many opportunities are stored of each CRM."""
    query = select(opportunity.c.crm, func.count()).group_by(opportunity.c.crm)
    return {crm: int(many) for crm, many in connection.execute(query)}


def forget_references(connection: Connection, refs: Collection[Ref]) -> int:
    """Take these records out of all opportunities. Returns from how many places."""
    removed, it = 0, opportunity_record.c
    by_kind: dict[tuple[str, str], list[str]] = {}
    for ref in refs:
        by_kind.setdefault((ref.crm, ref.kind), []).append(ref.id)
    for (crm, kind), ids in by_kind.items():
        for some in in_chunks(sorted(ids), IN_LIST):
            theirs = it.crm == crm, it.kind == kind, it.ref_id.in_(some)
            removed += connection.execute(delete(opportunity_record).where(*theirs)).rowcount
    return removed
