"""Lists that a page shows part by part: each part is found by an index, however many people there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, func, select, tuple_

from crmsync.store.accounts import read_people_names
from crmsync.store.queries import PENDING
from crmsync.store.schema import (
    INCLUDED,
    LEFT_OUT,
    LIVE,
    ON_HOLD,
    OVERRIDDEN,
    REPLACED,
    UNDONE,
    UNOWNED,
    change,
    person,
    record,
)
from crmsync.store.scores import became_of

HUNDREDTHS = 100


class Listed(NamedTuple):
    """A row of a list: a record, or a person with all records (`ref` is empty). `total` are hundredths of a point."""

    person: int | None
    name: str
    emails: Sequence[str]
    ref: str = ""
    band: str = ""
    total: int | None = None
    why: str = ""


class ListPart(NamedTuple):
    """Some rows of a list, and after what the rest comes; empty where there is no rest."""

    rows: list[Listed]
    after: str = ""


def list_band(connection: Connection, band: str, after: str, most: int) -> ListPart:
    """The people of a band, those with the most points first."""
    return _hottest_first(connection, [person.c.band == band], after, most)


def list_points(connection: Connection, low: int, step: int, after: str, most: int) -> ListPart:
    """The people with at least `low` points and less than `step` more, those with the most first."""
    some = person.c.total >= low * HUNDREDTHS, person.c.total < (low + step) * HUNDREDTHS
    return _hottest_first(connection, some, after, most)


def _hottest_first(connection: Connection, conditions: Iterable[Any], after: str, most: int) -> ListPart:
    it = person.c
    query = select(it.id, it.band, it.total).where(INCLUDED, *conditions).order_by(it.total.desc(), it.id.desc())
    if last := _read_after(after, 2):
        # The first part is a range of the index, which the second one alone is not.
        query = query.where(it.total <= last[0], (it.total < last[0]) | (it.id < last[1]))
    found = connection.execute(query.limit(most + 1)).all()
    names = read_people_names(connection, sorted(each.id for each in found[:most]))
    rows = [Listed(each.id, *names[each.id], "", each.band, each.total) for each in found[:most]]
    return ListPart(rows, f"{found[most - 1].total}.{found[most - 1].id}" if len(found) > most else "")


def list_waiting(connection: Connection, why: str, after: str, most: int) -> ListPart:
    """The people who wait for an owner, all of them or because of `why`."""
    is_meant = (person.c.waiting == why,) if why else ()
    living = select(record.c.id).where(LIVE, record.c.person == person.c.id).exists()
    conditions = UNOWNED, INCLUDED, person.c.destination == "waiting", living, *is_meant
    return _people_by_id(connection, person.c.waiting, conditions, after, most)


def list_excluded(connection: Connection, why: str, after: str, most: int) -> ListPart:
    """The people who are neither scored nor written, all of them or because of `why`."""
    is_meant = (person.c.excluded == why,) if why else ()
    return _people_by_id(connection, person.c.excluded, (LEFT_OUT, *is_meant), after, most)


def _people_by_id(connection: Connection, why: Any, conditions: Iterable[Any], after: str, most: int) -> ListPart:
    it, last = person.c, _read_after(after, 1) or [0]
    query = select(it.id, it.band, it.total, why.label("why")).where(it.id > last[0], *conditions).order_by(it.id)
    found = connection.execute(query.limit(most + 1)).all()
    names = read_people_names(connection, sorted(each.id for each in found[:most]))
    rows = [Listed(each.id, *names[each.id], "", each.band, each.total, each.why) for each in found[:most]]
    return ListPart(rows, str(found[most - 1].id) if len(found) > most else "")


def list_records(connection: Connection, crm: str, after: str, most: int) -> ListPart:
    """The records of a CRM that are there: neither deleted nor merged nor converted."""
    it = record.c
    there = it.known & ~it.gone & (it.merged_into == "") & (it.converted_into == "")
    query = _records().where(it.crm == crm, there).order_by(it.kind, it.ref_id)
    if last := _read_after(after, 1):
        place = select(it.kind, it.ref_id).where(it.id == last[0])
        if found := connection.execute(place).first():
            query = query.where(tuple_(it.kind, it.ref_id) > (found.kind, found.ref_id))
    return _part_of_records(connection, query, most)


def list_protected(connection: Connection, crm: str, why: str, after: str, most: int) -> ListPart:
    """The records that are protected at present: `on_hold`, `undone`, or `stage` or `owner` `_changed_by_a_user`."""
    field = why.removesuffix("_changed_by_a_user")
    conditions: dict[str, tuple[Any, ...]] = {"on_hold": (ON_HOLD, LIVE), "undone": (UNDONE, LIVE)}
    changed = OVERRIDDEN, LIVE, record.c.overrides.contains(f'"{field}":', autoescape=True)
    query = _records().where(_filter_only(record.c.crm) == crm, *conditions.get(why, changed))
    return _part_by_id(connection, query, after, most)


def list_pending(connection: Connection, crm: str, after: str, most: int) -> ListPart:
    """The records of a CRM whose change a run has still to make, in the order in which they were planned."""
    last = _read_after(after, 1) or [0]
    query = (
        _records(change.c.id.label("place"))
        .join(change, change.c.record == record.c.id)
        .where(PENDING, change.c.crm == crm, change.c.id > last[0])
        .order_by(change.c.id)
    )
    return _part_of_records(connection, query, most)


def list_pulled(connection: Connection, run_id: str, crm: str, became: str, after: str, most: int) -> ListPart:
    """The records of a CRM that a run pulled and no later one: all, or those of which `became` is what came of them.

    That is `scored`, or the reason why not, as in the result of the run.
    """
    it, last = record.c, _read_after(after, 1) or [0]
    query = _records().where(_filter_only(it.crm) == crm)
    if became in ("merged", "deleted", "converted", "not_matched"):
        # They are few, and so are not to be looked for among all that a run pulled.
        query = query.where(REPLACED, _filter_only(it.seen_run) == run_id, became_of(run_id) == became)
        return _part_by_id(connection, query, after, most)
    pulled = it.seen_run == run_id, it.id > last[0]
    end = connection.scalar(select(it.id).where(*pulled).order_by(it.id).offset(LOOKED_AT).limit(1))
    query = query.where(*pulled, *((it.id <= end,) if end else ()), *((became_of(run_id) == became,) if became else ()))
    part = _part_of_records(connection, query.order_by(it.id), most)
    return part if part.after or end is None else part._replace(after=str(end))


LOOKED_AT = 50_000
"""Records that a run pulled among which those are looked for of which something came: it goes on in the next part."""


def _filter_only(column: Any) -> Any:
    """A column as no database looks it up in an index: what else a query says finds fewer rows."""
    return func.coalesce(column, "")


def _records(place: Any = None) -> Any:
    it = record.c
    place = it.id.label("place") if place is None else place
    query = select(it.person, it.crm, it.kind, it.ref_id, it.name, it.emails, it.on_hold, place)
    return query.add_columns(person.c.band, person.c.total).outerjoin(person, person.c.id == it.person)


def _part_by_id(connection: Connection, query: Any, after: str, most: int) -> ListPart:
    last = _read_after(after, 1) or [0]
    return _part_of_records(connection, query.where(record.c.id > last[0]).order_by(record.c.id), most)


def _part_of_records(connection: Connection, query: Any, most: int) -> ListPart:
    found = connection.execute(query.limit(most + 1)).all()
    rows = [
        Listed(
            each.person, each.name, orjson.loads(each.emails), f"{each.crm}:{each.kind}:{each.ref_id}",
            each.band or "", each.total, orjson.loads(each.on_hold).get("reason", "") if each.on_hold else "",
        )
        for each in found[:most]
    ]  # fmt: skip
    return ListPart(rows, str(found[most - 1].place) if len(found) > most else "")


def _read_after(after: str, numbers: int) -> list[int]:
    """The numbers after which a list goes on; none where somebody typed something else."""
    parts = after.split(".")
    is_good = len(parts) == numbers and all(each.removeprefix("-").isdecimal() and len(each) < 19 for each in parts)
    return [int(each) for each in parts] if is_good else []
