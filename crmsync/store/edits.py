"""What somebody else changed of the fields that crmsync writes: the old values, and when that was noticed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select

from crmsync.model import Scalar
from crmsync.store.schema import past_field
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, plain_rows

OURS = "written:"
"""How the names of these fields begin beside those of mapped fields, which may have the same name."""

MOVED = "moved:"
"""The same of what changed otherwise: by what crmsync wrote, before anything was planned, and by a merge."""

REPLACED, EMAILS = f"{MOVED}replaced", f"{MOVED}emails"
"""The rows that say until when a record was one of its own, and which addresses it had."""

SHOWN = ("score", "band")
"""The score fields of which others' changes are kept: the rest goes with them."""


class Edit(NamedTuple):
    """That somebody else changed a field of a record (row id), and what it was until then (noticed, milliseconds)."""

    record: int
    field: str
    at: int
    before: Scalar | None


def keep_edits(
    stored: Mapping[str, Any], values: Mapping[str, Any], noticing: Collection[str], at: int
) -> list[dict[str, Any]]:
    """Rows of `past_field` for what differs between a record as it is stored and as it was pulled.

    `noticing` says of which of stage and owner somebody must have made the change; without a stage the mapping is
    another one, so that nothing is known of the score fields.
    """
    before = {name: stored[name] for name in noticing}
    after = {name: values[name] for name in noticing}
    if "stage" in noticing and stored["current"] != values["current"]:
        before |= {name: orjson.loads(stored["current"]).get(name) for name in SHOWN}
        after |= {name: orjson.loads(values["current"]).get(name) for name in SHOWN}
    return [edit_row(stored["id"], name, before[name], at) for name in before if not is_same(before[name], after[name])]


def is_same(one: Scalar | None, other: Scalar | None) -> bool:
    """Whether two values are the same: CRMs do not tell "" from nothing."""
    return (None if one == "" else one) == (None if other == "" else other)


def edit_row(record: int, name: str, before: Scalar | None, at: int) -> dict[str, Any]:
    """The row of `past_field` for one field."""
    return {"record": record, "field": f"{OURS}{name}", "until": at, "value": dump_json(before)}


def moved_row(record: int, name: str, before: Scalar | None, at: int) -> dict[str, Any]:
    """The row for a stage or owner that changed, though nobody else did that."""
    return {"record": record, "field": f"{MOVED}{name}", "until": at, "value": dump_json(before)}


def read_edits(connection: Connection, row_ids: Sequence[int]) -> list[Edit]:
    """What others changed of some records, the oldest first."""
    found: list[Edit] = []
    it = past_field.c
    for some in in_chunks(row_ids, IN_LIST):
        query = select(it.record, it.field, it.until, it.value)
        query = query.where(it.record.in_(some), it.field.startswith(OURS, autoescape=True))
        found += [
            Edit(row_id, name.removeprefix(OURS), int(at), orjson.loads(value))
            for row_id, name, at, value in plain_rows(connection, query)
        ]
    return sorted(found, key=lambda each: (each.at, each.record, each.field))
