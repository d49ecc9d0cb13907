"""Putting a backup in the place of a state, and what the runs after it have to know."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, delete, func, or_, select, text, update

from crmsync.connector import Stop
from crmsync.errors import Cancelled, StateError
from crmsync.model import Ref
from crmsync.store import journal, run_journal
from crmsync.store.backup import MADE_AT, Told
from crmsync.store.database import BYTES_LEFT, Store
from crmsync.store.events import find_keys
from crmsync.store.forgetting import remove_records
from crmsync.store.pausing import find_pause, save_pause
from crmsync.store.schema import account, change, cursor, metadata, note, record, run, seen_activity, tombstone, writer
from crmsync.store.sql import IN_LIST, in_chunks, upsert
from crmsync.store.tombstones import SECRET, find_buried, find_remembered
from crmsync.store.undone import REQUEST

RESTORED = "restored:"
"""The notes, one for each CRM, that say what is still to be done after a restore."""

RESTORED_AT, REPULLED = "restored_at", "repulled:"
"""The notes that say when a state was restored last, and of each restore and CRM when all was pulled again (ms)."""

TO_PULL, TO_APPROVE = "pull", "approve"
"""Everything has to be pulled again; that is done, and what it leads to has to be approved."""


class Restored(NamedTuple):
    """How many rows a backup had, by table, and when it was made (milliseconds)."""

    rows: dict[str, int]
    made_at: int


def is_empty(store: Store) -> bool:
    """Whether a state holds nothing that anybody could miss."""
    with store.read() as reading:
        return not any(reading.scalar(select(table).limit(1)) for table in (record.c.id, run.c.id, tombstone.c.hash))


def restore_state(
    backup: Store, store: Store, now: int, told: Told, stop: Stop, landing: Callable[[float], object]
) -> Restored:
    """Put a backup in the place of all that a state holds, in one transaction, as its one writer.

    People whom the state had forgotten stay forgotten, and a pause goes on. Raises `StateInUse` where somebody works on
    it, and `StateError` where it cannot be done; then the state is as before.
    """
    with store.writer("crmsync restore", stop, landing=landing), store.begin() as writing, backup.read() as reading:
        made_at = int(reading.scalar(select(note.c.value).where(note.c.name == MADE_AT)) or 0)
        paused = find_pause(writing, now)
        secret = _read_secret(writing)
        forgotten = list(writing.scalars(select(tombstone.c.hash)))
        rows = _copy_rows(reading, writing, told, stop)
        _begin_again(writing, now)
        if paused is not None:
            save_pause(writing, paused)
        if secret is not None and forgotten:
            _keep_forgotten(writing, secret, forgotten)
    return Restored(rows, made_at)


def _copy_rows(reading: Connection, writing: Connection, told: Told, stop: Stop) -> dict[str, int]:
    tables = [table for table in metadata.sorted_tables if table is not writer]
    for table in reversed(tables):
        writing.execute(delete(table))
    copied = {}
    for table in tables:
        name = str(table.name)
        copied[name] = 0
        source = reading.execution_options(yield_per=IN_LIST).execute(select(table)).mappings()
        for some in in_chunks(source, IN_LIST):
            if stop.is_set():
                raise Cancelled("stopped while the backup was restored; the state is as before")
            writing.execute(table.insert(), [dict(each) for each in some])
            copied[name] += len(some)
            told("rows", "", len(some))
        if writing.dialect.name == "postgresql" and table.autoincrement_column is not None:
            _number_on(writing, name, table.autoincrement_column.name)
    return copied


def _number_on(writing: Connection, table: str, column: str) -> None:
    """PostgreSQL numbers new rows by a counter of its own, which rows that bring their number do not move."""
    counter = writing.scalar(select(func.pg_get_serial_sequence(table, column)))
    if counter is not None:
        writing.execute(
            text(f'SELECT setval(:counter, (SELECT coalesce(max({column}), 0) + 1 FROM "{table}"), false)'),
            {"counter": counter},
        )


def _begin_again(writing: Connection, now: int) -> None:
    """What was under way when the backup was made is not: everything is pulled again, and what it leads to waits."""
    asked = note.c.name.startswith(REQUEST)
    writing.execute(delete(note).where(or_(note.c.crm != "", asked, note.c.name.in_((MADE_AT, "found_whole_on")))))
    writing.execute(delete(cursor).where(or_(cursor.c.stream.startswith("full:"), cursor.c.stream.startswith("seen:"))))
    writing.execute(delete(seen_activity))
    # Whatever a run after the backup learned of them is lost: they are planned anew, and whose turn it was stays so.
    again = {"state": journal.PLANNED, "reason": "restored from a backup; planned again", "at": now}
    writing.execute(update(change).where(change.c.state == journal.SENT).values(again))
    approved = list(writing.scalars(select(run.c.id).where(run.c.verdict == run_journal.APPROVED)))
    run_journal.supersede_plans(writing, approved)
    crms = list(writing.scalars(select(account.c.crm)))
    upsert(writing, note, [{"crm": "", "name": f"{RESTORED}{crm}", "value": TO_PULL} for crm in sorted(crms)])
    upsert(writing, note, [{"crm": "", "name": RESTORED_AT, "value": str(now)}])
    writing.execute(delete(note).where(note.c.name == BYTES_LEFT["name"]))
    if writing.dialect.name == "sqlite":
        upsert(writing, note, [{**BYTES_LEFT, "value": "1"}])


def _read_secret(connection: Connection) -> str | None:
    return connection.scalar(select(note.c.value).where(note.c.crm == "", note.c.name == SECRET["name"]))


def _keep_forgotten(writing: Connection, secret: str, hashes: Collection[str]) -> None:
    """Whom the state forgot since the backup was made is forgotten in what was restored, too."""
    theirs = _read_secret(writing)
    if theirs not in (None, secret):
        raise StateError(
            "the backup is of another state, and this one has forgotten people whom the backup cannot know again, so "
            "nothing was changed; restore into an empty state, and forget them there once more"
        )
    upsert(writing, note, [{**SECRET, "value": secret}])
    upsert(writing, tombstone, [{"hash": each} for each in sorted(hashes)])
    for some in in_chunks(writing.execute(select(record).where(~record.c.forgotten)).all(), IN_LIST):
        known = {Ref(each.crm, each.kind, each.ref_id): each for each in some}
        addresses = {ref: orjson.loads(each.emails) for ref, each in known.items()}
        found = find_remembered(writing, addresses)
        found |= find_buried(writing, ((ref, find_keys(ref)) for ref in known))
        if found:
            remove_records(writing, [known[ref] for ref in sorted(found)], found)


def restored_crms(connection: Connection) -> dict[str, str]:
    """The CRMs of a restored state of which something is still to be done, with what that is."""
    query = select(note.c.name, note.c.value).where(note.c.crm == "", note.c.name.startswith(RESTORED))
    return {name.removeprefix(RESTORED): value for name, value in connection.execute(query)}


def note_pulled(connection: Connection, crm: str, now: int) -> None:
    """Everything of a CRM was pulled again at `now` (milliseconds), where that was to be done after a restore."""
    theirs = note.c.crm == "", note.c.name == f"{RESTORED}{crm}", note.c.value == TO_PULL
    if connection.execute(update(note).where(*theirs).values(value=TO_APPROVE)).rowcount:
        since = connection.scalar(select(note.c.value).where(note.c.crm == "", note.c.name == RESTORED_AT))
        upsert(connection, note, [{"crm": "", "name": f"{REPULLED}{crm}:{since or now}", "value": str(now)}])


def find_repulls(connection: Connection) -> dict[str, list[tuple[int, int]]]:
    """By CRM from when until when (milliseconds) everything was pulled again after each restore.

    What differed then crmsync may have written itself, after the backup was made.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    query = select(note.c.name, note.c.value).where(note.c.crm == "", note.c.name.startswith(REPULLED))
    for name, until in connection.execute(query):
        crm, since = name.removeprefix(REPULLED).rsplit(":", 1)
        found.setdefault(crm, []).append((int(since), int(until)))
    return found


def end_restored(connection: Connection, crms: Collection[str]) -> None:
    """Nothing of these CRMs waits because of a restore any more."""
    names = [f"{RESTORED}{crm}" for crm in crms]
    connection.execute(delete(note).where(note.c.crm == "", note.c.name.in_(names), note.c.value == TO_APPROVE))
