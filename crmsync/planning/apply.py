"""Doing what the journal says: each change moves planned → sent → updated, partly, rejected, edited or unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from crmsync.config.write import Write
from crmsync.connector import Connector
from crmsync.failpoint import failpoint
from crmsync.model import Change, Receipt, Ref
from crmsync.planning.changes import (
    PEOPLES_FIELDS,
    describe_refusals,
    is_personal,
    without_fields,
    without_human_edits,
)
from crmsync.planning.verify import SETTLED_AT_ONCE, Taken, keep_unread, read_present, verify_changes, verify_parts
from crmsync.store import journal
from crmsync.store.database import Store
from crmsync.store.journal import JournalRow
from crmsync.store.pausing import refuse_while_paused
from crmsync.store.scores import make_dirty
from crmsync.store.sql import in_chunks
from crmsync.work import Progress

AT_ONCE = 10_000
"""Changes handed to a connector in one go: enough for it to fill its batches and to choose a bulk job."""


Hide = Callable[[str], str]
"""Takes secrets out of a text: a CRM may repeat in a refusal what it was sent."""


def apply_changes(
    store: Store,
    connector: Connector,
    run: str,
    settings: Write,
    now: int,
    progress: Progress,
    hide: Hide = str,
    *,
    undoing: bool = False,
) -> None:
    """Send the planned changes of a run to one CRM. `now` is in milliseconds.

    What the CRM says is stored as `hide` leaves it. Whatever the connector raises passes through, and `Paused` where
    somebody pauses meanwhile; every change is then where the journal says it is. What is `undoing` another run gives
    way in every field, and is not tried again.
    """
    # `_send` first marks its rows as sent, so that each round finds other ones and the loop ends.
    while rows := _read_planned(store, connector.name, run):
        _send(store, connector, rows, settings, now, progress, hide, undoing=undoing)


def _read_planned(store: Store, crm: str, run: str) -> list[JournalRow]:
    with store.read() as reading:
        return journal.open_rows(reading, crm, journal.PLANNED, [run], AT_ONCE)


def _send(
    store: Store,
    connector: Connector,
    rows: Sequence[JournalRow],
    settings: Write,
    now: int,
    progress: Progress,
    hide: Hide,
    *,
    undoing: bool,
) -> None:
    refuse_while_paused(store, now)
    with store.begin() as writing:
        # Before the call, and not after it: a worker that dies in between could never tell what may have arrived (W07).
        journal.mark_changes(writing, [row.id for row in rows], journal.SENT, now)
    failpoint("sent_stored")
    # `narrow` puts the amended rows here, so that receipts are held against what was really sent.
    by_ref = {row.change.ref: row for row in rows}

    def narrow(batch: Sequence[Change]) -> Sequence[Change]:
        left = _without_forgotten(store, by_ref, batch)
        left = _give_way(store, connector, by_ref, left, settings, now, undoing=undoing)
        # Last, as the look above takes a while.
        refuse_while_paused(store, now)
        return left

    accepted: list[JournalRow] = []
    partly: list[Taken] = []
    receipts = (_without_secrets(each, hide) for each in connector.write([row.change for row in rows], narrow))
    try:
        for some in in_chunks(receipts, SETTLED_AT_ONCE):
            accepted += _settle(store, by_ref, some, settings, now, partly, undoing=undoing)
            progress("written", connector.name, len(some))
            failpoint("batch_written")
    finally:
        # Also after an error: what was accepted is ours from now on, and no next pull may take it for a user's change.
        keep_unread(store, accepted, settings, now)
    failpoint("before_verify")
    # Only now: how large a share is read back depends on how many were accepted.
    verify_changes(store, connector, accepted, settings, now, undoing=undoing)
    verify_parts(store, connector, partly, now)


def _without_forgotten(store: Store, by_ref: Mapping[Ref, JournalRow], batch: Sequence[Change]) -> Sequence[Change]:
    """A batch without the changes of people who were forgotten since the plan was made: the journal has none."""
    with store.read() as reading:
        left = journal.stored_changes(reading, [by_ref[each.ref].id for each in batch])
    return [each for each in batch if by_ref[each.ref].id in left]


def _without_secrets(receipt: Receipt, hide: Hide) -> Receipt:
    refused = {name: hide(why) for name, why in receipt.refused.items()}
    return replace(receipt, reason=hide(receipt.reason), refused=refused)


def _give_way(
    store: Store,
    connector: Connector,
    by_ref: dict[Ref, JournalRow],
    batch: Sequence[Change],
    settings: Write,
    now: int,
    *,
    undoing: bool,
) -> Sequence[Change]:
    """A batch without the stages and owners that somebody moved since the plan was made: the person wins.

    It is asked for just before the batch is sent, so that the time in which a person can be faster is a moment.
    """
    personal = [change for change in batch if undoing or is_personal(change)]
    if not personal:
        return batch
    # Read outside of the transaction, which must not be open while a CRM answers (D01).
    present, unseen, deleted = read_present(connector, [change.ref for change in personal])
    going = {change.ref: change for change in batch}
    with store.begin() as writing:
        for change in personal:
            row, it = by_ref[change.ref], present.get(change.ref)
            if change.ref not in present:
                why = UNSEEN if change.ref in unseen else UNREADABLE
                # As if the CRM had refused it for now: it is tried again, and whose turn it was stays so.
                del going[change.ref]
                refused = dict.fromkeys(change.after, why)
                _refuse(writing, row, refused, why, why != UNSEEN, settings, now, parks=not undoing)
                continue
            # An undo gives way in every field: what it takes back may be somebody's by now.
            compared = (change.after,) if undoing else ()
            less = without_human_edits(change, it, *compared) if it else None
            if less is None:
                del going[change.ref]
                said = "edited after the plan" if it else "the record was deleted, merged or converted"
                if change.ref in deleted:
                    journal.mark_gone(writing, [row.record])
                journal.mark_changes(writing, [row.id], journal.EDITED, now, said)
                make_dirty(writing, [row.record])
            # `without_human_edits` returns the same object where nobody moved anything.
            elif less is not change:
                going[change.ref] = less
                by_ref[change.ref] = row._replace(change=less)
                journal.amend_change(writing, by_ref[change.ref])
                # The next run decides again about what was left out.
                make_dirty(writing, [row.record])
    return list(going.values())


UNREADABLE = "the CRM's answer about the record cannot be read, so nothing was written"
UNSEEN = (
    "the CRM does not show the record, so it is kept and not written; let crmsync's user see it in the CRM; if it was "
    "deleted for good, run: crmsync backfill --yes"
)


def _settle(
    store: Store,
    by_ref: Mapping[Ref, JournalRow],
    receipts: Iterable[Receipt],
    settings: Write,
    now: int,
    partly: list[Taken],
    *,
    undoing: bool,
) -> list[JournalRow]:
    """Write down what the CRM said. Returns the changes it accepted whole; `partly` gets those it accepted in part."""
    accepted = []
    with store.begin() as writing:
        for receipt in receipts:
            row = by_ref.get(receipt.ref)
            if row is None:
                continue
            if receipt.moved_to or receipt.gone:
                said = receipt.reason or (f"it is now {receipt.moved_to}" if receipt.moved_to else "it was deleted")
                journal.mark_gone(writing, [row.record], moved=not receipt.gone)
                journal.mark_changes(writing, [row.id], journal.EDITED, now, said)
            elif not receipt.ok:
                said = receipt.reason or receipt.code
                refused = dict.fromkeys(row.change.after, said)
                _refuse(writing, row, refused, said, receipt.retry, settings, now, parks=not undoing)
            elif receipt.refused:
                said = describe_refusals(receipt.refused)
                _refuse(writing, row, receipt.refused, said, receipt.retry, settings, now, parks=not undoing)
                if taken := without_fields(row.change, set(receipt.refused)):
                    partly.append(Taken(row._replace(change=taken), receipt.refused))
            else:
                accepted.append(row)
    return accepted


def _refuse(
    writing: Connection,
    row: JournalRow,
    refused: Mapping[str, str],
    reason: str,
    retry: bool,
    settings: Write,
    now: int,
    *,
    parks: bool,
) -> None:
    """The CRM did not take these fields of a change; the rest of it, if there is one, it took."""
    taken = without_fields(row.change, set(refused))
    journal.end_change(writing, row, journal.PARTLY if taken else journal.REJECTED, now, reason, refused)
    if taken:
        journal.record_written(writing, [row._replace(change=taken)], now)
    if not parks:
        return
    left = without_fields(row.change, set(row.change.after) - set(refused))
    attempts = journal.count_attempts(writing, row.record)  # without this one
    if retry and attempts + 1 < settings.attempts:
        journal.retry_later(writing, [row.record])
    elif left:
        # What is refused whole is told, and tried once more: the next run may find the reason mended. So it is with our
        # own fields; of a stage or owner that a rule of the CRM refuses each try would cost several calls.
        own = taken is None or set(PEOPLES_FIELDS).isdisjoint(refused)
        again = own and not attempts and settings.attempts > 1
        journal.park_change(writing, row._replace(change=left), reason, now, whole=taken is None, again=again)
        if taken and "owner" in refused:
            # whoever was to own it may have left just now: somebody else's turn comes at once
            make_dirty(writing, [row.record])
