"""Which fields a run or plan left as they are though it wanted something else, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, select

from crmsync.model import Protection, Ref, Scalar
from crmsync.store.records import ids_by_ref
from crmsync.store.schema import protected, record
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, plain_rows, upsert
from crmsync.store.tombstones import forgotten_refs


class ListedProtection(NamedTuple):
    """A field that was left as it is, with its record and person; `refusal` is what the CRM says of what is on hold."""

    person: int | None
    ref: Ref
    name: str
    email: str
    protection: Protection
    refusal: str = ""


def add_protections(connection: Connection, run_id: str, rows: Sequence[tuple[int, Protection]]) -> None:
    """Keep what a run left as it is; each comes with the row id of its record."""
    for some in in_chunks(rows, IN_LIST):
        upsert(
            connection,
            protected,
            [
                {
                    "run": run_id, "record": row_id, "field": each.field, "why": each.why,
                    "present": dump_json(each.present), "wanted": dump_json(each.wanted), "until": each.until,
                }
                for row_id, each in some
            ],
        )  # fmt: skip


def copy_protections(connection: Connection, plan_id: str, rows: Sequence[ListedProtection]) -> None:
    """Keep those of a plan that was made on a copy of the state, as far as their records are known here."""
    refs = {each.ref for each in rows}
    ids, forgotten = ids_by_ref(connection, refs), forgotten_refs(connection, refs)
    known = [each for each in rows if each.ref in ids and each.ref not in forgotten]  # the copy may be older than that
    add_protections(connection, plan_id, [(ids[each.ref], each.protection) for each in known])


def list_protections(
    connection: Connection, run_id: str, only: Sequence[int] | None = None
) -> Iterator[ListedProtection]:
    """What a run or plan left as it is, by person; with `only` of some records (row ids)."""
    it, of = protected.c, record.c
    query = (
        select(of.person, of.crm, of.kind, of.ref_id, of.name, of.emails, of.on_hold)
        .add_columns(it.why, it.field, it.present, it.wanted, it.until)
        .join(record, of.id == it.record)
        .where(it.run == run_id, *(() if only is None else (of.id.in_(only),)))
        .order_by(of.person, of.crm, of.kind, of.ref_id, it.field)
    )
    for person, crm, kind, ref_id, name, emails, on_hold, why, field, present, wanted, until in plain_rows(
        connection, query
    ):
        values: tuple[Scalar | None, Scalar | None] = (orjson.loads(present), orjson.loads(wanted))
        refusal = orjson.loads(on_hold or "{}").get("reason", "")
        email = next(iter(orjson.loads(emails)), "")
        yield ListedProtection(
            person, Ref(crm, kind, ref_id), name, email, Protection(why, field, *values, until), refusal
        )
