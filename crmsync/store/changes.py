"""Changes of the journal with the person and record they are of, as people ask for them. It changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, func, select

from crmsync.model import Change, Ref
from crmsync.store.journal import PARTLY, PLANS, UPDATED
from crmsync.store.schema import change, hand_off, record, run
from crmsync.store.sql import IN_LIST, in_chunks, plain_rows


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


def list_written(connection: Connection, row_ids: Sequence[int]) -> Iterator[ListedChange]:
    """What runs have written to some records, the oldest first of each chunk."""
    plans = select(run.c.id).where(run.c.verdict.in_(PLANS))
    for some in in_chunks(row_ids, IN_LIST):
        done = change.c.state.in_((UPDATED, PARTLY)), change.c.run.not_in(plans)
        yield from _listed(connection, change.c.record.in_(some), *done)


def _listed(connection: Connection, *conditions: Any) -> Iterator[ListedChange]:
    it, of = change.c, record.c
    same = (it.crm == of.crm) & (it.kind == of.kind) & (it.ref_id == of.ref_id)
    query = (
        select(it.id, it.run, of.id, of.person, of.name, of.emails)
        .add_columns(it.crm, it.kind, it.ref_id, it.crm_group, it.before, it.after, it.because)
        .add_columns(it.state, it.reason, it.refused, it.at)
        .outerjoin(record, same)
        .where(*conditions)
        .order_by(it.id)
    )
    for row in plain_rows(connection, query):
        change_id, run_id, row_id, person, name, emails, crm, kind, ref_id, group, before, after, because = row[:13]
        state, reason, refused, at = row[13:]
        made = Change(Ref(crm, kind, ref_id), orjson.loads(before), orjson.loads(after), because, group)
        yield ListedChange(
            change_id, run_id, row_id or 0, person, name or "", orjson.loads(emails or "[]"), made,
            state, reason, orjson.loads(refused), int(at),
        )  # fmt: skip


def hand_off_whys(connection: Connection, run_id: str) -> dict[int, str]:
    """Why people got the owner that they got in a run, by person."""
    it = hand_off.c
    return dict(plain_rows(connection, select(it.person, it.why).where(it.run == run_id)))


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
