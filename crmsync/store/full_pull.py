"""What a pull of everything did not bring: activities that a CRM has no more, and of which no feed will ever tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select

from crmsync.model import Activity, Page
from crmsync.store.activities import COUNTED
from crmsync.store.clean import clean_text
from crmsync.store.cursors import read_cursor, write_cursor
from crmsync.store.database import Store
from crmsync.store.records import mark_dirty
from crmsync.store.schema import activity, cursor, record, seen_activity
from crmsync.store.shared_ids import delete_shared_ids
from crmsync.store.sql import IN_LIST, in_chunks, upsert

TRACKED = "seen:activities"
"""The row among the cursors that says of which stream `seen_activity` has everything since it began."""

FEW, MANY = 20, 0.2
"""So much may be gone at once, and such a share of what is known: of more the CRM may just show nothing."""


def begin_tracking(connection: Connection, crm: str, stream: str) -> None:
    """A stream begins without a cursor: note from now on what comes, unless there is nothing yet to compare it with."""
    _forget_seen(connection, crm)
    if connection.scalar(select(activity.c.id).where(activity.c.crm == crm).limit(1)) is not None:
        write_cursor(connection, crm, TRACKED, stream)


def end_tracking(store: Store, crm: str, stream: str) -> None:
    """The stream came to its end: what was noted of it is of no use any more."""
    with store.read() as reading:
        tracked = read_cursor(reading, crm, TRACKED)
    if tracked == stream:
        with store.begin() as writing:
            _forget_seen(writing, crm)


def _forget_seen(connection: Connection, crm: str) -> None:
    connection.execute(delete(seen_activity).where(seen_activity.c.crm == crm))
    connection.execute(delete(cursor).where(cursor.c.crm == crm, cursor.c.stream == TRACKED))


def compare_page(
    connection: Connection,
    crm: str,
    stream: str,
    page: Page[Activity],
    *,
    trusting: bool = False,
    runs: Sequence[str] = (),
) -> list[str]:
    """Note what came, and delete what did not where the page says that all the CRM has came.

    To be called in the transaction that stores the page, of whatever stream: what another one brings meanwhile is
    there, too. Returns a sentence for each part of which so much did not come that nothing of it is deleted, unless
    somebody said that it is `trusting`. Where `runs` pulled all records, too, those that did not come and are kept keep
    what they did: the CRM shows neither.
    """
    tracked = read_cursor(connection, crm, TRACKED)
    if tracked is None:
        return []
    # As the stored ids are, which were cleaned, too.
    came = {clean_text(each.id) for each in page.items if not each.gone} | {*map(clean_text, page.nobodys)}
    upsert(connection, seen_activity, [{"crm": crm, "id": each} for each in sorted(came)])
    if tracked != stream:
        return []
    doubts = {begin: "" if trusting else _doubt(connection, crm, begin) for begin in sorted(page.whole)}
    _delete_unseen(connection, crm, [begin for begin, doubt in doubts.items() if not doubt], runs)
    return [doubt for doubt in doubts.values() if doubt]


def _begins(column: Any, begin: str) -> ColumnElement[bool]:
    # Not LIKE, to which `_` and `%` mean anything.
    # What counters tell never comes from a feed, so that it is not missing.
    return and_(func.substr(column, 1, len(begin)) == begin, func.substr(column, 1, len(COUNTED)) != COUNTED)


def _doubt(connection: Connection, crm: str, begin: str) -> str:
    """Why nothing is deleted of the activities whose ids begin so; empty where there is no doubt."""
    stored = activity.c.crm == crm, _begins(activity.c.id, begin)
    known = connection.scalar(select(func.count()).where(*stored)) or 0
    unseen = connection.scalar(select(func.count()).where(*stored, ~_came().exists())) or 0
    which = f" of {begin[:-1]}" if begin.endswith(":") else f" with ids like {begin}…" if begin else ""
    return doubt_deletions(crm, unseen, known, f"{known:,} activities{which}")


def doubt_deletions(crm: str, unseen: int, known: int, what: str) -> str:
    """Why so many of the `known` are not taken for deleted though they did not come; empty where there is no doubt.

    `what` is what they are called, with their number.
    """
    if unseen <= FEW or unseen <= known * MANY:
        return ""
    return (
        f"{crm}: {unseen:,} of the {what} were missing when everything was read again, so they are kept; check that "
        "the integration user may still read them; if they are really deleted, run: crmsync backfill --yes"
    )


def _came() -> Any:
    """The activity at hand among those that came."""
    return select(seen_activity.c.id).where(seen_activity.c.crm == activity.c.crm, seen_activity.c.id == activity.c.id)


def _delete_unseen(connection: Connection, crm: str, begins: Sequence[str], runs: Sequence[str]) -> None:
    it = record.c
    kept = select(it.id).where(it.crm == crm, it.known, ~it.gone, it.seen_run.not_in(runs))
    for begin in begins:
        unseen = select(activity.c.id, activity.c.record).where(
            activity.c.crm == crm, _begins(activity.c.id, begin), ~_came().exists()
        )
        unseen = unseen.where(activity.c.record.not_in(kept)) if runs else unseen
        _delete(connection, crm, [(each.id, each.record) for each in connection.execute(unseen)])


def _delete(connection: Connection, crm: str, rows: Iterable[tuple[str, int]]) -> None:
    for some in in_chunks(rows, IN_LIST):
        ids = [activity_id for activity_id, _contact in some]
        delete_shared_ids(connection, ((row_id, activity_id) for activity_id, row_id in some))
        connection.execute(delete(activity).where(activity.c.crm == crm, activity.c.id.in_(ids)))
        # Edited, so that the guard counts a score that falls by it as odd.
        mark_dirty(connection, sorted({row_id for _activity, row_id in some}), edited=True)
