"""Doing what the journal says: each change moves planned → sent → kept, failed or skipped, and is never lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from crmsync.config import Write
from crmsync.failpoint import failpoint
from crmsync.model import Change, Connector, Contact, Receipt, Ref
from crmsync.plan import PEOPLES_FIELDS, narrowed, not_kept
from crmsync.store import journal
from crmsync.store.database import Store
from crmsync.store.journal import Row
from crmsync.store.pulled import chunks

AT_ONCE = 10_000
"""Changes handed to a connector in one go: enough for it to fill its batches and to choose a bulk job."""

SETTLED_AT_ONCE = 500
"""Receipts stored in one transaction."""

Progress = Callable[[str, str, int], None]
"""Told (what, crm, how many more) while work goes on."""


def apply(
    store: Store, connector: Connector, runs: Sequence[str], settings: Write, now: int, progress: Progress
) -> None:
    """Send the planned changes of these runs to one CRM. `now` is in milliseconds.

    Whatever the connector raises passes through; every change is then where the journal says it is.
    """
    while rows := _open(store, connector.name, (journal.PLANNED,), runs):
        _send(store, connector, rows, settings, now, progress)


def resolve(store: Store, connector: Connector, now: int) -> None:
    """Find out what became of changes that were sent and never heard of again.

    What the CRM holds as written is kept; the rest is planned again, to be narrowed and sent like any other.
    """
    with store.read() as reading:
        runs = journal.runs_with_sent(reading, connector.name)
    for rows in chunks(_open(store, connector.name, (journal.SENT,), runs, most=2**31), AT_ONCE):
        present = _present(connector, [row.change.ref for row in rows])
        kept = [row for row in rows if (it := present.get(row.change.ref)) and not not_kept(row.change, it)]
        again = sorted({row.id for row in rows} - {row.id for row in kept})
        with store.begin() as writing:
            journal.keep(writing, kept)
            journal.mark(writing, [row.id for row in kept], journal.KEPT, now)
            journal.mark(writing, again, journal.PLANNED, now)


def _open(store: Store, crm: str, states: Sequence[str], runs: Sequence[str], most: int = AT_ONCE) -> list[Row]:
    with store.read() as reading:
        return journal.open_rows(reading, crm, states, runs, most)


def _present(connector: Connector, refs: Sequence[Ref]) -> dict[Ref, Contact]:
    """The records as they are now, by the ref that was asked for; those that are gone or replaced are left out."""
    asked = {(ref.kind, ref.id): ref for ref in refs}
    found: dict[Ref, Contact] = {}
    for each in connector.read(refs) if refs else ():
        if each.gone or each.merged_into or each.converted_into:
            continue
        for known_as in (each.ref.id, *each.aliases):
            if ref := asked.get((each.ref.kind, known_as)):
                found[ref] = each
    return found


def _send(
    store: Store, connector: Connector, rows: Sequence[Row], settings: Write, now: int, progress: Progress
) -> None:
    store.confirm_writer()
    rows = _give_way(store, connector, rows, now)
    with store.begin() as writing:
        journal.mark(writing, [row.id for row in rows], journal.SENT, now)
    failpoint("sent_stored")
    by_ref = {row.change.ref: row for row in rows}
    accepted: list[Row] = []
    receipts = connector.write([row.change for row in rows], list) if rows else iter(())
    try:
        for some in chunks(receipts, SETTLED_AT_ONCE):
            accepted += _settle(store, by_ref, some, settings, now)
            progress("written", connector.name, len(some))
            failpoint("batch_written")
    finally:
        _keep_unread(store, accepted, settings, now)
    failpoint("before_verify")
    _verify(store, connector, [row for row in accepted if _is_read_back(row, accepted, settings)], now)


def _give_way(store: Store, connector: Connector, rows: Sequence[Row], now: int) -> list[Row]:
    """Leave out stages and owners that somebody moved since the plan was made: the person wins."""
    personal = [row for row in rows if any(name in row.change.after for name in PEOPLES_FIELDS)]
    present = _present(connector, [row.change.ref for row in personal])
    going = {row.id: row for row in rows}
    with store.begin() as writing:
        for row in personal:
            it = present.get(row.change.ref)
            less = narrowed(row.change, it) if it else None
            if less is None:
                del going[row.id]
                said = (
                    "somebody changed it since it was planned" if it else "the record was deleted, merged or converted"
                )
                journal.mark(writing, [row.id], journal.SKIPPED, now, said)
                journal.retry_later(writing, [row.contact])
            elif less is not row.change:
                going[row.id] = row._replace(change=less)
                journal.amend(writing, going[row.id])
    return list(going.values())


def _settle(
    store: Store, by_ref: Mapping[Ref, Row], receipts: Iterable[Receipt], settings: Write, now: int
) -> list[Row]:
    """Write down what the CRM said. Returns the changes it accepted, narrowed to what it took of them."""
    accepted = []
    with store.begin() as writing:
        for receipt in receipts:
            row = by_ref.get(receipt.ref)
            if row is None:
                continue
            if receipt.moved_to or receipt.gone:
                said = receipt.reason or (f"it is now {receipt.moved_to}" if receipt.moved_to else "it was deleted")
                journal.mark(writing, [row.id], journal.SKIPPED, now, said)
                journal.bury(writing, [row.contact])
            elif not receipt.ok:
                _fail(writing, row, receipt.reason or receipt.code, receipt.retry, settings, now)
            elif receipt.refused:
                taken = _without(row, receipt.refused)
                journal.keep(writing, [taken])
                said = "; ".join(f"{name}: {why}" for name, why in sorted(receipt.refused.items()))
                refused = _only(row, receipt.refused)
                _fail(writing, refused, said, receipt.retry, settings, now)
            else:
                accepted.append(row)
    return accepted


def _fail(writing: Connection, row: Row, reason: str, retry: bool, settings: Write, now: int) -> None:
    journal.mark(writing, [row.id], journal.FAILED, now, reason)
    if retry and journal.attempts(writing, row.contact) + 1 < settings.attempts:
        journal.retry_later(writing, [row.contact])
    else:
        journal.park(writing, row, reason, now)


def _without(row: Row, names: Iterable[str]) -> Row:
    return _only(row, set(row.change.after) - set(names))


def _only(row: Row, names: Iterable[str]) -> Row:
    keep = set(names)
    after = {name: value for name, value in row.change.after.items() if name in keep}
    before = {name: value for name, value in row.change.before.items() if name in keep}
    return row._replace(change=replace(row.change, before=before, after=after))


def _is_read_back(row: Row, accepted: Sequence[Row], settings: Write) -> bool:
    """Every stage and owner is read back, and of the rest a sample that depends on nothing but the record."""
    if any(name in row.change.after for name in PEOPLES_FIELDS):
        return True
    share = settings.verify_sample / max(len(accepted), 1)
    return random.Random(row.change.ref.id).random() < share


def _keep_unread(store: Store, accepted: Sequence[Row], settings: Write, now: int) -> None:
    unread = [row for row in accepted if not _is_read_back(row, accepted, settings)]
    if unread:
        with store.begin() as writing:
            journal.keep(writing, unread)
            journal.mark(writing, [row.id for row in unread], journal.KEPT, now)


def _verify(store: Store, connector: Connector, rows: Sequence[Row], now: int) -> None:
    """Read back what was accepted: a CRM can say yes and keep the old value (a flow, a rule, a backward stage)."""
    for some in chunks(rows, SETTLED_AT_ONCE):
        present = _present(connector, [row.change.ref for row in some])
        lost = {row.id: not_kept(row.change, it) for row in some if (it := present.get(row.change.ref))}
        kept = [row for row in some if row.id in lost and not lost[row.id]]
        with store.begin() as writing:
            journal.keep(writing, kept)
            journal.mark(writing, [row.id for row in kept], journal.KEPT, now)
            for row in some:
                if row.id not in lost:
                    journal.mark(writing, [row.id], journal.SKIPPED, now, "the record went away after the write")
                    journal.bury(writing, [row.contact])
                elif lost[row.id]:
                    _lose(writing, row, lost[row.id], now)


def _lose(writing: Connection, row: Row, lost: Mapping[str, object], now: int) -> None:
    reason = _not_kept_sentence(row.change, lost)
    journal.keep(writing, [_without(row, lost)])
    journal.mark(writing, [row.id], journal.FAILED, now, reason)
    journal.park(writing, _only(row, lost), reason, now)


def _not_kept_sentence(change: Change, lost: Mapping[str, object]) -> str:
    fields = ", ".join(f"{name} is {lost[name]!r} instead of {change.after[name]!r}" for name in sorted(lost))
    return (
        f"{change.ref.crm} accepted the change and did not keep it: {fields}; "
        "look for a workflow, flow, assignment rule or sync that sets it"
    )
