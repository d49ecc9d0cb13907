"""Changes of the journal with the person and record they are of, as people ask for them. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, func, select, tuple_

from crmsync.model import Change, Ref
from crmsync.store.journal import PARTLY, UPDATED, tell_because
from crmsync.store.run_journal import PLANS
from crmsync.store.schema import change, hand_off, record, run
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, plain_rows


class ListedChange(NamedTuple):
    """A change of the journal: `record` is the row id of its record, `at` (milliseconds) when it was last moved.

    `person` is `None` where nobody is known, `emails` are the record's, `refused` has a reason by field.
    """

    id: int
    run: str
    record: int
    person: int | None
    name: str
    emails: Sequence[str]
    change: Change
    state: str
    reason: str
    refused: Mapping[str, str]
    at: int

    @property
    def taken(self) -> list[str]:
        """The fields that the CRM took."""
        done = self.state in (UPDATED, PARTLY)
        return [name for name in self.change.after if name not in self.refused] if done else []


def list_changes(connection: Connection, run_id: str, only: Sequence[int] | None = None) -> Iterator[ListedChange]:
    """Every change of a run or plan in the order they were planned; with `only` those of some records (row ids)."""
    # By the ref, because what was planned on a copy of the state has no row id.
    mine = () if only is None else (record.c.id.in_(only),)
    yield from _listed(connection, change.c.run == run_id, *mine)


LOOKED_AT = 5_000
"""Changes among which those of a field are looked for at once."""


class ChangeFilter(NamedTuple):
    """Which changes of a run are meant; what is empty says nothing.

    `is_meant` is asked last: few changes are shown to it.
    """

    crm: str = ""
    states: Collection[str] = ()
    field: str = ""
    is_meant: Callable[[ListedChange], bool] | None = None


def list_some_changes(
    connection: Connection, run_id: str, chosen: ChangeFilter, after: int, most: int
) -> tuple[list[ListedChange], int]:
    """Some changes of a run by CRM, state and their order, from the one `after` (its id) on; 0 is from the first.

    Returns them and after which one it goes on, 0 for the end. It may go on after fewer than `most`, or none, since it
    looks at a bounded number.
    """
    it = change.c
    order = it.crm, it.state, it.id
    conditions = [it.run == run_id]
    conditions += [it.crm == chosen.crm] if chosen.crm else []
    conditions += [it.state.in_(chosen.states)] if chosen.states else []
    if chosen.crm and len(chosen.states) == 1:
        conditions.append(it.id > after)  # a range of the index, which the comparison below is not there
    elif last := connection.execute(select(*order).where(it.id == after)).first():
        conditions.append(tuple_(*order) > tuple(last))
    end = None
    if chosen.field or chosen.is_meant:
        window = select(*order).where(*conditions).order_by(*order)
        end = connection.execute(window.offset(LOOKED_AT - 1).limit(1)).first()
        # By these alone, or a database would rather go through all that the conditions say.
        conditions = [it.id.in_(select(window.limit(LOOKED_AT).subquery().c.id))]
    if chosen.field:
        conditions.append(it.after.contains(f"{dump_json(chosen.field)}:", autoescape=True))
    found: list[ListedChange] = []
    for each in _listed(connection, *conditions, order=order, most=None if chosen.is_meant else most + 1):
        if chosen.is_meant is None or chosen.is_meant(each):
            found.append(each)
        if len(found) > most:
            return found[:most], found[most - 1].id
    return found, end.id if end else 0


def list_written(connection: Connection, row_ids: Sequence[int]) -> Iterator[ListedChange]:
    """What runs have written to some records, the oldest first of each chunk."""
    plans = select(run.c.id).where(run.c.verdict.in_(PLANS))
    for some in in_chunks(row_ids, IN_LIST):
        done = change.c.state.in_((UPDATED, PARTLY)), change.c.run.not_in(plans)
        yield from _listed(connection, change.c.record.in_(some), *done)


def _listed(
    connection: Connection, *conditions: Any, order: Sequence[Any] = (change.c.id,), most: int | None = None
) -> Iterator[ListedChange]:
    it, of = change.c, record.c
    same = (it.crm == of.crm) & (it.kind == of.kind) & (it.ref_id == of.ref_id)
    query = (
        select(it.id, it.run, of.id, of.person, of.name, of.emails)
        .add_columns(it.crm, it.kind, it.ref_id, it.crm_group, it.before, it.after, it.because)
        .add_columns(it.state, it.reason, it.refused, it.at)
        .outerjoin(record, same)
        .where(*conditions)
        .order_by(*order)
        .limit(most)
    )
    for row in plain_rows(connection, query):
        change_id, run_id, row_id, person, name, emails, crm, kind, ref_id, group, before, after, because = row[:13]
        state, reason, refused, at = row[13:]
        wanted = orjson.loads(after)
        made = Change(Ref(crm, kind, ref_id), orjson.loads(before), wanted, tell_because(because, wanted), group)
        yield ListedChange(
            change_id, run_id, row_id or 0, person, name or "", orjson.loads(emails or "[]"), made,
            state, reason, orjson.loads(refused), int(at),
        )  # fmt: skip


def hand_off_whys(connection: Connection, run_id: str, people: Collection[int] | None = None) -> dict[int, str]:
    """Why people got the owner that they got in a run, by person: everybody, or some."""
    it = hand_off.c
    some = () if people is None else (it.person.in_(people),)
    return dict(plain_rows(connection, select(it.person, it.why).where(it.run == run_id, *some)))


def oldest_run(connection: Connection) -> int | None:
    """When the oldest run began that is still known (milliseconds)."""
    began: int | None = connection.scalar(select(func.min(run.c.started)).where(run.c.verdict.not_in(PLANS)))
    return began


def runs_by_id(connection: Connection, run_ids: Collection[str]) -> dict[str, Any]:
    """The rows of some runs, as far as they are known."""
    found: dict[str, Any] = {}
    for some in in_chunks(sorted(run_ids), IN_LIST):
        query = select(run.c.id, run.c.command, run.c.model, run.c.started).where(run.c.id.in_(some))
        found |= {row.id: row for row in connection.execute(query)}
    return found
