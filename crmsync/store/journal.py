"""The journal of changes: what each run or plan wants of each record, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Boolean, Connection, bindparam, delete, func, or_, select, update

from crmsync.model import Change, Ref, Scalar
from crmsync.store.edits import edit_row, is_same, moved_row
from crmsync.store.erasure import clear_personal_data
from crmsync.store.records import drop_score_inputs, held_band, ids_by_ref, mark_dirty
from crmsync.store.run_journal import PLANS, rewrite_plan
from crmsync.store.schema import (
    LIVE,
    ON_HOLD,
    OPEN,
    WAKING,
    change,
    past_field,
    protected,
    record,
    run,
)
from crmsync.store.sql import IN_LIST, dump_json, in_chunks, unindexed, upsert, write_many
from crmsync.store.tombstones import forgotten_refs

PLANNED, SENT = "planned", "sent"
UPDATED, PARTLY, REJECTED, EDITED, UNKNOWN = "updated", "partly", "rejected", "edited", "unknown"
"""How a change ends: taken, taken in part, refused, left out because somebody was faster, never heard of again."""

GIVEN_BACK, NOT_GIVEN_BACK = "a user set it a moment before; restored", "could not be restored"
"""How it is said of a stage or owner that our write replaced somebody else's value."""


PATIENCE = 86_400_000
"""Milliseconds after which a change that a CRM would not take is tried again: what was in its way may be mended."""


ReadOnly = Mapping[tuple[str, str], Collection[str]]
"""By CRM and kind of record the names that cannot be edited at present."""


class JournalRow(NamedTuple):
    """A change in the journal: `id` is its own, `contact` the row id of its record."""

    id: int
    record: int
    change: Change


def refresh_plan(connection: Connection, plan_id: str, now: int, plan: Mapping[str, Any], but: Collection[int]) -> None:
    """Bring a plan that waits up to date: it keeps its id, and of its changes these (ids); the rest comes again."""
    stale = select(change.c.id).where(change.c.run == plan_id)
    drop_changes(connection, [each for each in connection.scalars(stale) if each not in but])
    connection.execute(delete(protected).where(protected.c.run == plan_id))
    connection.execute(update(run).where(run.c.id == plan_id).values(ended=now))
    rewrite_plan(connection, plan_id, plan)


def drop_changes(connection: Connection, change_ids: Sequence[int]) -> None:
    """Forget these changes."""
    for some in in_chunks(change_ids, IN_LIST):
        connection.execute(delete(change).where(change.c.id.in_(some)))


def values_of(connection: Connection, run_ids: Sequence[str]) -> Iterator[tuple[Ref, str]]:
    """The record and the wanted values (JSON text) of each change of some runs or plans."""
    columns = (change.c.crm, change.c.kind, change.c.ref_id, change.c.after)
    for some in in_chunks(run_ids, IN_LIST):
        for crm, kind, ref_id, after in connection.execute(select(*columns).where(change.c.run.in_(some))):
            yield Ref(crm, kind, ref_id), after


def waiting_rows(connection: Connection, plan_ids: Sequence[str]) -> Iterator[tuple[int, int, Change]]:
    """Each change of some plans: its id, the person (0 where nobody is known), and the change."""
    # A change that was planned on a copy has no row id of its record, so that `_SAME_RECORD` goes by the ref.
    query = select(change, record.c.person).outerjoin(record, _SAME_RECORD).where(change.c.run.in_(plan_ids))
    for each in connection.execute(query):
        yield each.id, each.person or 0, _row(each).change


def move_changes(connection: Connection, change_ids: Sequence[int], plan_id: str) -> None:
    """These changes belong to another plan from now on."""
    for some in in_chunks(change_ids, IN_LIST):
        connection.execute(update(change).where(change.c.id.in_(some)).values(run=plan_id))


def written_changes(connection: Connection, run_ids: Sequence[str], crm: str) -> Iterator[Change]:
    """What some runs have written to a CRM."""
    done = change.c.state.in_((UPDATED, PARTLY))
    for some in in_chunks(run_ids, IN_LIST):
        query = select(change).where(change.c.run.in_(some), change.c.crm == crm, done)
        yield from (_row(each).change for each in connection.execute(query))


def people_of(connection: Connection, run_ids: Sequence[str]) -> frozenset[int]:
    """The people whose records these runs or plans change."""
    query = select(record.c.person).join(change, _SAME_RECORD).where(change.c.run.in_(run_ids)).distinct()
    return frozenset(each for each in connection.scalars(query) if each is not None)


_SAME_RECORD = (change.c.crm == record.c.crm) & (change.c.kind == record.c.kind) & (change.c.ref_id == record.c.ref_id)


class Interrupted(NamedTuple):
    """What an interrupted run had decided, by contact: the owners that were to be given (the CRM's id), and all that
    was to be written (JSON).
    """

    owners: dict[int, str]
    values: dict[int, str]


def take_unsent(connection: Connection, crms: Collection[str]) -> Interrupted:
    """Take back what an interrupted run planned and no CRM took: it is decided again, by what is right now.

    What was sent all the same, and carries a reason therefore, ends as unknown; of the rest nothing remains but what is
    returned: whose turn it was stays so. Their contacts are dirty.
    """
    interrupted = select(run.c.id).where(run.c.verdict.not_in(PLANS))
    query = select(change.c.id, change.c.run, change.c.record, change.c.after, change.c.reason).where(
        OPEN, change.c.crm.in_(crms), change.c.state == PLANNED, change.c.run.in_(interrupted)
    )
    unsent = Interrupted({}, {})
    undos = set(connection.scalars(interrupted.where(run.c.command == "undo")))
    found = connection.execute(query.order_by(change.c.id)).all()
    for row in found:
        # What an undo was to put back is nobody's turn, and no plan has it.
        if row.run not in undos:
            unsent.values[row.record] = row.after
            if owner := orjson.loads(row.after).get("owner"):
                unsent.owners[row.record] = str(owner)
    for some in in_chunks([row.id for row in found if row.reason], IN_LIST):
        connection.execute(update(change).where(change.c.id.in_(some)).values(state=UNKNOWN))
    for some in in_chunks([row.id for row in found if not row.reason], IN_LIST):
        connection.execute(delete(change).where(change.c.id.in_(some)))
    for some in in_chunks([row.record for row in found], IN_LIST):
        connection.execute(update(record).where(record.c.id.in_(some)).values(dirty=True))
    return unsent


def refused_owners(connection: Connection, row_ids: Sequence[int], now: int) -> dict[int, str]:
    """The owner (the CRM's id) whom each of these records was to get last, where the CRM took nothing of that change.

    Only while it is tried again, or as long as the patience lasts with the first refusal of that owner in a row,
    however often somebody edits the record meanwhile: it may be because of that owner.
    """
    refusals: dict[int, tuple[str, int, int, int]] = {}
    for some in in_chunks(row_ids, IN_LIST):
        query = select(change.c.record, change.c.state, change.c.at, change.c.after, record.c.attempts)
        query = query.join(record, record.c.id == change.c.record).order_by(change.c.id)
        ended = connection.execute(query.where(change.c.record.in_(some), change.c.state != PLANNED))
        for row_id, state, at, after, attempts in ended:
            owner = str(orjson.loads(after).get("owner") or "") if state == REJECTED else ""
            whose, since, times, _ = refusals.get(row_id, ("", at, 0, 0))
            refusals[row_id] = (owner, since, times + 1, attempts) if owner == whose else (owner, at, 1, attempts)
    return {
        row_id: owner
        for row_id, (owner, since, times, attempts) in refusals.items()
        if owner and (times <= attempts or since > now - PATIENCE)
    }


_MOVES = frozenset({"stage", "band"})
"""What a record is moved into; `status` tells who was."""


def add_changes(
    connection: Connection, run_id: str, changes: Sequence[tuple[int, Change]], now: int, state: str = PLANNED
) -> None:
    """Journal what a run wants; each change comes with the row id of its record."""
    rows = [
        {
            "run": run_id, "record": row_id, "crm": each.ref.crm, "kind": each.ref.kind, "ref_id": each.ref.id,
            "crm_group": each.group, "before": dump_json(dict(each.before)), "after": dump_json(dict(each.after)),
            "because": "" if each.because == each.after.get("reason") else each.because, "state": state, "at": now,
            "is_move": not _MOVES.isdisjoint(each.after),
        }
        for row_id, each in changes
    ]  # fmt: skip
    write_many(connection, change.insert(), rows)


def copy_changes(connection: Connection, run_id: str, rows: Sequence[JournalRow], now: int) -> None:
    """Journal changes that were planned on a copy of the state: their records have other row ids here, or none yet."""
    refs = {row.change.ref for row in rows}
    ids, forgotten = ids_by_ref(connection, refs), forgotten_refs(connection, refs)
    known = [row.change for row in rows if row.change.ref not in forgotten]  # the copy may be older than that
    add_changes(connection, run_id, [(ids.get(each.ref, 0), each) for each in known], now)


def open_rows(connection: Connection, crm: str, state: str, runs: Sequence[str], most: int | None) -> list[JournalRow]:
    """The first `most` changes of these runs in this state for one CRM, in the order they were planned."""
    query = (
        select(change)
        .where(change.c.crm == crm, OPEN, change.c.state == state, change.c.run.in_(runs))
        .order_by(change.c.id)
        .limit(most)
    )
    return [_row(each) for each in connection.execute(query).all()]


def runs_with_sent(connection: Connection, crm: str) -> list[str]:
    """Runs with changes that were sent and never heard of again."""
    return list(
        connection.scalars(select(change.c.run).where(change.c.crm == crm, OPEN, change.c.state == SENT).distinct())
    )


def stored_changes(connection: Connection, change_ids: Sequence[int]) -> set[int]:
    """Which of these changes (ids) are still in the journal: those of somebody who was forgotten since are not."""
    found: set[int] = set()
    for some in in_chunks(change_ids, IN_LIST):
        found |= set(connection.scalars(select(change.c.id).where(change.c.id.in_(some))))
    return found


def rows_of(connection: Connection, run_id: str, most: int | None = None) -> Iterator[tuple[str, str, JournalRow]]:
    """Every change of a run as (state, reason, row), in the order they were planned; with `most` some of them."""
    order = (change.c.id,) if most is None else (change.c.crm, change.c.state, change.c.id)  # of its index
    for each in connection.execute(select(change).where(change.c.run == run_id).order_by(*order).limit(most)):
        yield each.state, each.reason, _row(each)


def _row(each: Any) -> JournalRow:
    ref = Ref(each.crm, each.kind, each.ref_id)
    before, after = orjson.loads(each.before), orjson.loads(each.after)
    because = tell_because(each.because, after)
    return JournalRow(each.id, each.record, Change(ref, before, after, because, each.crm_group))


def tell_because(stored: str, after: Mapping[str, Scalar | None]) -> str:
    """Why a change was made. The reason of a score is kept once, where the change writes it."""
    return stored or str(after.get("reason") or "")


def mark_changes(connection: Connection, ids: Sequence[int], state: str, now: int, reason: str = "") -> None:
    """Move changes to a state."""
    for some in in_chunks(ids, IN_LIST):
        connection.execute(update(change).where(change.c.id.in_(some)).values(state=state, reason=reason, at=now))


def end_change(
    connection: Connection, row: JournalRow, state: str, now: int, reason: str, refused: Mapping[str, str]
) -> None:
    """How one change ended: in which state, and which fields the CRM refused, each with the reason."""
    values = {"state": state, "at": now, "reason": reason, "refused": dump_json(dict(refused))}
    connection.execute(update(change).where(change.c.id == row.id).values(values))


def amend_change(connection: Connection, row: JournalRow) -> None:
    """Write a change as it will be sent, where less of it is sent than was planned."""
    connection.execute(
        update(change)
        .where(change.c.id == row.id)
        .values(after=dump_json(dict(row.change.after)), before=dump_json(dict(row.change.before)))
    )


def record_written(connection: Connection, rows: Sequence[JournalRow], now: int) -> None:
    """The CRM holds what these changes say: remember it as ours, so that the echo of our own write changes nothing.

    A record that it had refused whole until now is planned for again: less was wanted of it meanwhile. Of one that was
    partly updated what was refused and is not among these stays on hold.
    """
    stored = _holdings(connection, [row.record for row in rows])
    updates, past = [], []
    for row in rows:
        if row.record not in stored:
            continue
        holding = stored[row.record]
        after, written = dict(row.change.after), _merged(holding.last_written, row)
        plain = {name: after.pop(name) for name in ("stage", "owner") if name in after}
        past += [
            moved_row(row.record, name, before, now)
            for name, value in plain.items()
            if not is_same(before := getattr(holding, name), value)
        ]
        current = _without_none(orjson.loads(holding.current) | after)
        updates.append(
            {
                "row_id": row.record,
                "now_stage": plain.get("stage", holding.stage),
                "now_owner": plain.get("owner", holding.owner),
                "now_current": dump_json(current),
                "now_band": held_band(current),
                "now_last_written": written,
                "again": orjson.loads(holding.on_hold or "{}").get("whole", False),
                "still_on_hold": _still_on_hold(holding.on_hold, row.change),
                # Written the same again: somebody changed it back. Anything new begins anew (see `decide_change`).
                "now_attempts": holding.attempts + 1 if holding.last_written == written else 0,
            }
        )
    if updates:
        statement = update(record).where(record.c.id == bindparam("row_id"))
        statement = statement.values(
            stage=bindparam("now_stage"),
            owner=bindparam("now_owner"),
            current=bindparam("now_current"),
            band=bindparam("now_band"),
            last_written=bindparam("now_last_written"),
            attempts=bindparam("now_attempts"),
            on_hold=bindparam("still_on_hold"),
            dirty=or_(record.c.dirty, bindparam("again", type_=Boolean)),
        )
        write_many(connection, statement, updates)
    upsert(connection, past_field, past)
    # Rules may read the stage.
    drop_score_inputs(connection, [row.record for row in rows if "stage" in row.change.after])


def _still_on_hold(on_hold: str, taken: Change) -> str:
    """What is on hold of a record once the CRM took another change; that write moves the record's stamp once more."""
    held = orjson.loads(on_hold or "{}")
    left = {name: value for name, value in held.get("after", {}).items() if name not in taken.after}
    # `ours`: our write moves the record's stamp once, and that is nobody who mended something (see `_patience`).
    return "" if held.get("whole", True) or not left else dump_json({**held, "after": left, "ours": True})


def _merged(last_written: str, row: JournalRow) -> str:
    return dump_json(_without_none(orjson.loads(last_written) | dict(row.change.after)))


def _without_none(values: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    return {name: value for name, value in values.items() if value is not None}


def _holdings(connection: Connection, row_ids: Sequence[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for some in in_chunks(row_ids, IN_LIST):
        query = (
            select(
                record.c.id, record.c.stage, record.c.owner, record.c.current, record.c.last_written, record.c.attempts
            )
            .add_columns(record.c.on_hold)
            .where(record.c.id.in_(some))
        )
        found |= {row.id: row for row in connection.execute(query).all()}
    return found


def respect_override(connection: Connection, row_id: int, values: Mapping[str, Scalar | None], now: int) -> None:
    """The CRM holds these stages and owners of somebody else where we had written ours: manual overrides from now on.

    The record is planned for again, which says when they end.
    """
    query = select(record.c.last_written, record.c.overrides, record.c.stage, record.c.owner)
    for last_written, overrides, stage, owner in connection.execute(query.where(record.c.id == row_id)).all():
        # What is not ours any more must not count as a rewrite when it is wanted again (see `decide_change`).
        ours = {name: value for name, value in orjson.loads(last_written).items() if name not in values}
        theirs = {name: {"value": value, "since": now} for name, value in values.items()}
        changed = {
            **values,
            "last_written": dump_json(ours),
            "overrides": dump_json(orjson.loads(overrides) | theirs),
            "dirty": True,
        }
        connection.execute(update(record).where(record.c.id == row_id).values(changed))
        before = {"stage": stage, "owner": owner}
        upsert(connection, past_field, [edit_row(row_id, name, before[name], now) for name in values])
    drop_score_inputs(connection, [row_id] if "stage" in values else [])


def retry_later(connection: Connection, row_ids: Sequence[int]) -> None:
    """These contacts are planned for again in the next run."""
    for some in in_chunks(row_ids, IN_LIST):
        statement = update(record).where(record.c.id.in_(some))
        connection.execute(statement.values(dirty=True, attempts=record.c.attempts + 1))


def park_change(
    connection: Connection, row: JournalRow, reason: str, now: int, *, whole: bool, again: bool = False
) -> None:
    """The CRM will not take this change (the record `whole`, or these fields): leave it until something changes.

    With `again` it is left until the next run only.
    """
    value = {"after": dict(row.change.after), "reason": reason, "at": now, "whole": whole}
    value |= {"again": True} if again else {}
    stored = connection.scalar(select(record.c.on_hold).where(record.c.id == row.record))
    if not whole and (before := orjson.loads(_still_on_hold(stored or "", row.change) or "{}")):
        reasons = dict.fromkeys([before["reason"], reason])
        # The older date stays, so that patience with the earlier refusal still ends.
        value |= {"after": before["after"] | value["after"], "reason": "; ".join(reasons), "at": before["at"]}
    connection.execute(update(record).where(record.c.id == row.record).values(on_hold=dump_json(value)))


def park_changes(connection: Connection, changes: Sequence[tuple[int, Change]], reason: str, now: int) -> None:
    """Leave these changes of contacts (row ids) for a while."""
    for row_id, each in changes:
        park_change(connection, JournalRow(0, row_id, each), reason, now, whole=False)


def unpark_changes(
    connection: Connection,
    before: int,
    after: int | None = None,
    read_only: ReadOnly | None = None,
    crms: Collection[str] | None = None,
) -> None:
    """Try again what was parked before an instant (milliseconds), or `after` another one: a clock was wrong then.

    Somebody may have mended what was in its way. What was parked until the next run only is tried again in any case.
    What is on hold because all of it is `read_only` waits for as long as that is so. Once a field no longer is, its
    record is tried again at once, whatever else is on hold there. With `crms` only theirs: of a CRM that is skipped
    nobody knows what can be edited.
    """
    it = record.c
    query = select(it.id, it.crm, it.kind, it.on_hold).where(ON_HOLD)
    query = query if crms is None else query.where(unindexed(it.crm).in_(crms))
    ready: dict[int, list[int]] = {0: [], 1: []}
    waiting = []
    for row_id, crm, kind, text in connection.execute(query):
        held = orjson.loads(text)
        at, names = held.get("at", 0), held["after"].keys()
        locked = names & set((read_only or {}).get((crm, kind), ()))
        was_locked = names & set(held.get("locked", ()))
        is_waiting = bool(names) and names == locked
        if not is_waiting and (at <= before or (after is not None and at > after)):
            ready[0].append(row_id)
        elif not is_waiting and (held.get("again") or was_locked - locked):
            ready[1].append(row_id)  # the attempt counts: a second refusal in a row is left for long
        elif locked != was_locked:
            waiting.append({"its_id": row_id, "now_on_hold": dump_json({**held, "locked": sorted(locked)})})
    for attempts, row_ids in ready.items():
        for some in in_chunks(row_ids, IN_LIST):
            tried_again = {"on_hold": "", "attempts": attempts, "dirty": True}
            connection.execute(update(record).where(record.c.id.in_(some)).values(tried_again))
    statement = update(record).where(record.c.id == bindparam("its_id")).values(on_hold=bindparam("now_on_hold"))
    write_many(connection, statement, waiting)


class FieldOnHold(NamedTuple):
    """A field that a CRM will not take of so many records, since when (milliseconds)."""

    crm: str
    kind: str
    name: str
    is_read_only: bool
    since: int
    records: int


def fields_on_hold(connection: Connection, read_only: ReadOnly) -> list[FieldOnHold]:
    """The fields that are on hold of live records.

    Of a record that was refused whole, nobody knows for which field, unless it is the only one or read-only.
    """
    found: dict[tuple[str, str, str, bool], tuple[int, int]] = {}
    it = record.c
    for crm, kind, text in connection.execute(select(it.crm, it.kind, it.on_hold).where(ON_HOLD, LIVE)):
        held, locked = orjson.loads(text), read_only.get((crm, kind), ())
        for name in held["after"]:
            if name in locked or len(held["after"]) == 1 or not held.get("whole", True):
                since, records = found.get((crm, kind, name, name in locked), (held["at"], 0))
                found[crm, kind, name, name in locked] = min(since, held["at"]), records + 1
    return [FieldOnHold(*which, *since) for which, since in sorted(found.items())]


def wake_up(connection: Connection, now: int, read_only: ReadOnly, crms: Collection[str] | None = None) -> None:
    """Time alone makes these contacts due: a user's change has been respected long enough, or a refusal may be over.

    With `crms` what was refused is tried again in these alone.
    """
    unpark_changes(connection, now - PATIENCE, read_only=read_only, crms=crms)
    connection.execute(update(record).where(WAKING, record.c.wake_at <= now).values(dirty=True, wake_at=None))


def mark_gone(connection: Connection, row_ids: Sequence[int], *, moved: bool = False) -> None:
    """These records are gone from the CRM: stop scoring and writing them.

    Nothing personal of them is kept, unless they were `moved` into others: those say what becomes of it.
    """
    if not moved:
        clear_personal_data(connection, row_ids)
    for some in in_chunks(row_ids, IN_LIST):
        connection.execute(update(record).where(record.c.id.in_(some)).values(gone=True))
    # Whoever it belongs to is scored again without it.
    mark_dirty(connection, row_ids)


def state_counts(connection: Connection, run_id: str) -> dict[str, dict[str, int]]:
    """For each CRM how many of a run's changes are in each state."""
    query = select(change.c.crm, change.c.state, func.count()).where(change.c.run == run_id)
    counts: dict[str, dict[str, int]] = {}
    for crm, state, number in connection.execute(query.group_by(change.c.crm, change.c.state)):
        counts.setdefault(crm, {})[state] = number
    return counts


def count_kinds(connection: Connection, run_id: str) -> list[tuple[str, str, int]]:
    """How many changes of a run there are by CRM and kind of record."""
    query = select(change.c.crm, change.c.kind, func.count()).where(change.c.run == run_id)
    return [
        (crm, kind, int(many)) for crm, kind, many in connection.execute(query.group_by(change.c.crm, change.c.kind))
    ]


def count_attempts(connection: Connection, row_id: int) -> int:
    """How often in a row a change to this contact did not go through, or had to be made again."""
    return connection.scalar(select(record.c.attempts).where(record.c.id == row_id)) or 0
