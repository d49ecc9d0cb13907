"""Doing what the journal says: each change moves planned → sent → updated, partly, rejected, edited or unknown."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy import Connection

from crmsync.config import Write
from crmsync.failpoint import failpoint
from crmsync.model import Change, Connector, Contact, Receipt, Ref
from crmsync.plan import PEOPLES_FIELDS, narrowed, unconfirmed_fields, without
from crmsync.store import journal
from crmsync.store.database import Store
from crmsync.store.journal import Row
from crmsync.store.pulled import chunks
from crmsync.store.scored import make_dirty

AT_ONCE = 10_000
"""Changes handed to a connector in one go: enough for it to fill its batches and to choose a bulk job."""

SETTLED_AT_ONCE = 500
"""Receipts stored in one transaction."""

Progress = Callable[[str, str, int], None]
"""Told (what, crm, how many more) while work goes on."""


def apply(store: Store, connector: Connector, run: str, settings: Write, now: int, progress: Progress) -> None:
    """Send the planned changes of a run to one CRM. `now` is in milliseconds.

    Whatever the connector raises passes through; every change is then where the journal says it is.
    """
    while rows := _open(store, connector.name, (journal.PLANNED,), [run]):
        _send(store, connector, rows, settings, now, progress)


def resolve(store: Store, connector: Connector, now: int) -> int:
    """Find out what became of changes that were sent and never heard of again, and say how many there were.

    What the CRM holds as written was taken; the rest is unsent, to be taken back. Their records are planned for again.
    """
    with store.read() as reading:
        runs = journal.runs_with_sent(reading, connector.name)
    unheard = _open(store, connector.name, (journal.SENT,), runs, most=2**31)  # all: each run leaves a few at most
    for rows in chunks(unheard, AT_ONCE):
        present = _present(connector, [row.change.ref for row in rows])
        taken = [row for row in rows if (it := present.get(row.change.ref)) and not unconfirmed_fields(row.change, it)]
        lost = sorted({row.id for row in rows} - {row.id for row in taken})
        with store.begin() as writing:
            journal.keep(writing, taken)
            journal.mark(writing, [row.id for row in taken], journal.UPDATED, now)
            journal.mark(writing, lost, journal.PLANNED, now, "the CRM's answer never came; planned again")
            make_dirty(writing, [row.contact for row in rows])
    return len(unheard)


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
    with store.begin() as writing:
        journal.mark(writing, [row.id for row in rows], journal.SENT, now)
    failpoint("sent_stored")
    by_ref = {row.change.ref: row for row in rows}

    def narrow(batch: Sequence[Change]) -> Sequence[Change]:
        return _give_way(store, connector, by_ref, batch, now)

    accepted: list[Row] = []
    receipts = connector.write([row.change for row in rows], narrow)
    try:
        for some in chunks(receipts, SETTLED_AT_ONCE):
            accepted += _settle(store, by_ref, some, settings, now)
            progress("written", connector.name, len(some))
            failpoint("batch_written")
    finally:
        _keep_unread(store, accepted, settings, now)
    failpoint("before_verify")
    _verify(store, connector, [row for row in accepted if _is_read_back(row, accepted, settings)], now)


def _give_way(
    store: Store, connector: Connector, by_ref: dict[Ref, Row], batch: Sequence[Change], now: int
) -> Sequence[Change]:
    """A batch without the stages and owners that somebody moved since the plan was made: the person wins.

    It is asked for just before the batch is sent, so that the time in which a person can be faster is a moment.
    """
    personal = [change for change in batch if any(name in change.after for name in PEOPLES_FIELDS)]
    if not personal:
        return batch
    present = _present(connector, [change.ref for change in personal])
    going = {change.ref: change for change in batch}
    with store.begin() as writing:
        for change in personal:
            row, it = by_ref[change.ref], present.get(change.ref)
            less = narrowed(change, it) if it else None
            if less is None:
                del going[change.ref]
                said = "edited after the plan" if it else "the record was deleted, merged or converted"
                journal.mark(writing, [row.id], journal.EDITED, now, said)
                make_dirty(writing, [row.contact])
            elif less is not change:
                going[change.ref] = less
                by_ref[change.ref] = row._replace(change=less)
                journal.amend(writing, by_ref[change.ref])
                make_dirty(writing, [row.contact])
    return list(going.values())


def _settle(
    store: Store, by_ref: Mapping[Ref, Row], receipts: Iterable[Receipt], settings: Write, now: int
) -> list[Row]:
    """Write down what the CRM said. Returns the changes it accepted whole."""
    accepted = []
    with store.begin() as writing:
        for receipt in receipts:
            row = by_ref.get(receipt.ref)
            if row is None:
                continue
            if receipt.moved_to or receipt.gone:
                said = receipt.reason or (f"it is now {receipt.moved_to}" if receipt.moved_to else "it was deleted")
                journal.mark(writing, [row.id], journal.EDITED, now, said)
                journal.bury(writing, [row.contact])
            elif not receipt.ok:
                refused = dict.fromkeys(row.change.after, receipt.reason or receipt.code)
                _refuse(writing, row, refused, receipt.reason or receipt.code, receipt.retry, settings, now)
            elif receipt.refused:
                _refuse(writing, row, receipt.refused, _listed(receipt.refused), receipt.retry, settings, now)
            else:
                accepted.append(row)
    return accepted


def _listed(refused: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in sorted(refused.items()))


def _refuse(
    writing: Connection, row: Row, refused: Mapping[str, str], reason: str, retry: bool, settings: Write, now: int
) -> None:
    """The CRM did not take these fields of a change; the rest of it, if there is one, it took."""
    taken = without(row.change, set(refused))
    journal.end(writing, row, journal.PARTLY if taken else journal.REJECTED, now, reason, refused)
    if taken:
        journal.keep(writing, [row._replace(change=taken)])
    left = without(row.change, set(row.change.after) - set(refused))
    if retry and journal.attempts(writing, row.contact) + 1 < settings.attempts:
        journal.retry_later(writing, [row.contact])
    elif left:
        journal.park(writing, row._replace(change=left), reason, now, whole=taken is None)
        if (
            taken and "owner" in refused
        ):  # whoever was to own it may have left just now: somebody else's turn comes at once
            make_dirty(writing, [row.contact])


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
            journal.mark(writing, [row.id for row in unread], journal.UPDATED, now)


def _verify(store: Store, connector: Connector, rows: Sequence[Row], now: int) -> None:
    """Read back what was accepted: a CRM can say yes and keep the old value (a flow, a rule, a backward stage)."""
    for some in chunks(rows, SETTLED_AT_ONCE):
        present = _present(connector, [row.change.ref for row in some])
        lost = {row.id: unconfirmed_fields(row.change, it) for row in some if (it := present.get(row.change.ref))}
        taken = [row for row in some if row.id in lost and not lost[row.id]]
        with store.begin() as writing:
            journal.keep(writing, taken)
            journal.mark(writing, [row.id for row in taken], journal.UPDATED, now)
            for row in some:
                if row.id not in lost:
                    journal.mark(writing, [row.id], journal.EDITED, now, "the record went away after the write")
                    journal.bury(writing, [row.contact])
                elif lost[row.id]:
                    _lose(writing, row, lost[row.id], now)


def _lose(writing: Connection, row: Row, lost: Mapping[str, object], now: int) -> None:
    refused = {name: _unconfirmed(row.change, name, lost[name]) for name in lost}
    reason = (
        f"{row.change.ref.crm} accepted the change and did not keep it: "
        f"{', '.join(refused[name] for name in sorted(refused))}; "
        "look for a workflow, flow, assignment rule or sync that sets it"
    )
    taken = without(row.change, set(lost))
    journal.end(writing, row, journal.PARTLY if taken else journal.REJECTED, now, reason, refused)
    if taken:
        journal.keep(writing, [row._replace(change=taken)])
    if left := without(row.change, set(row.change.after) - set(lost)):
        journal.park(writing, row._replace(change=left), reason, now, whole=False)


def _unconfirmed(change: Change, name: str, present: object) -> str:
    return f"{name} is {present!r} instead of {change.after[name]!r}"
