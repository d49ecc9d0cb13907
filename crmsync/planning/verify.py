"""Reading back what was written: a CRM can say yes and keep another value, or never answer at all."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from crmsync.config.write import Write
from crmsync.connector import Connector
from crmsync.model import Change, Contact, Ref, Scalar
from crmsync.planning.changes import describe_refusals, is_personal, unconfirmed_fields, without_fields
from crmsync.store import journal
from crmsync.store.database import Store
from crmsync.store.journal import JournalRow
from crmsync.store.scores import make_dirty
from crmsync.store.sql import in_chunks

READ_AT_ONCE = 10_000
"""Changes that nobody heard of again which are read in one go."""

SETTLED_AT_ONCE = 500
"""Changes whose end is stored in one transaction."""


def resolve_unknown(store: Store, connector: Connector, now: int) -> int:
    """Find out what became of changes that were sent and never heard of again, and say how many there were.

    What the CRM holds as written was taken and is ours; the rest is unsent, to be taken back. Their records are planned
    for again.
    """
    with store.read() as reading:
        runs = journal.runs_with_sent(reading, connector.name)
        # All of them: each run leaves a few at most.
        unheard = journal.open_rows(reading, connector.name, journal.SENT, runs, None)
    for rows in in_chunks(unheard, READ_AT_ONCE):
        present, theirs = _read_back(connector, rows)
        held = {row.id: _held_part(row, present.get(row.change.ref)) for row in rows}
        # A part counts as ours, too: the next pull would else take it for a change that a user made.
        ours = [part for part in held.values() if part is not None]
        taken = [row.id for row in rows if (part := held[row.id]) and part.change.after == row.change.after]
        lost = sorted({row.id for row in rows} - set(taken))
        # Asked before the transaction opens: none may be open while a CRM is asked (D01).
        replaced = _give_back(connector, ours, theirs)
        with store.begin() as writing:
            journal.record_written(writing, ours, now)
            journal.mark_changes(writing, taken, journal.UPDATED, now)
            # Planned and not rejected: `take_unsent` decides anew by what is right then, and keeps whose turn it was.
            journal.mark_changes(writing, lost, journal.PLANNED, now, "the CRM did not answer; planned again")
            for part in ours:
                _end_replaced(writing, Taken(part), replaced.get(part.id, {}), now)
            make_dirty(writing, [row.record for row in rows])
    return len(unheard)


def _held_part(row: JournalRow, present: Contact | None) -> JournalRow | None:
    """A change without the fields that the CRM does not hold as written; `None` where nothing of it is there."""
    if present is None:
        return None
    part = without_fields(row.change, set(unconfirmed_fields(row.change, present)))
    return row._replace(change=part) if part else None


def _present(connector: Connector, refs: Sequence[Ref]) -> dict[Ref, Contact]:
    """The records as they are now, by the ref that was asked for; those that are gone or replaced are left out."""
    return {ref: each for ref, each in read_present(connector, refs)[0].items() if each}


def read_present(
    connector: Connector, refs: Sequence[Ref]
) -> tuple[dict[Ref, Contact | None], frozenset[Ref], frozenset[Ref]]:
    """The records as they are now, with `None` for those that are gone or replaced; what cannot be read is left out.

    With it those that are left out because the CRM shows nothing of them, and those that were deleted.
    """
    records = list(connector.read(refs)) if refs else []
    found = _by_ref(refs, records)
    deleted = (each.ref for each in records if each.gone and not each.merged_into and found.get(each.ref, each) is None)
    return found, frozenset(each.ref for each in records if each.unseen), frozenset(deleted)


def _read_back(
    connector: Connector, rows: Sequence[JournalRow]
) -> tuple[dict[Ref, Contact | None], dict[Ref, Mapping[str, Scalar | None]]]:
    """The same for changes that were written, and the values of others that they replaced, by the ref of the change.

    In one reading: two would cost twice the calls.
    """
    changes = [row.change for row in rows]
    back = list(connector.read_back(changes)) if changes else []
    present = _by_ref([each.ref for each in changes], [each.contact for each in back])
    return present, {each.contact.ref: each.replaced for each in back if each.replaced}


def _by_ref(refs: Sequence[Ref], records: Iterable[Contact]) -> dict[Ref, Contact | None]:
    asked = {(ref.kind, ref.id): ref for ref in refs}
    found: dict[Ref, Contact | None] = {}
    for each in records:
        if each.unseen:
            continue
        is_there = not (each.gone or each.merged_into or each.converted_into)
        for known_as in (each.ref.id, *each.aliases):
            # A merge may give a record another id: what comes under the new one has the old one among its aliases.
            if ref := asked.get((each.ref.kind, known_as)):
                # A live record wins, whatever the order in which they come.
                found[ref] = each if is_there else found.get(ref)
    return found


GONE_SINCE = "the record was deleted, merged or converted after the write"


class Taken(NamedTuple):
    """The part of a change that the CRM took, and why it did not take the other fields, if it said more than that."""

    row: JournalRow
    refused: Mapping[str, str] = {}
    reason: str = ""


def _is_read_back(row: JournalRow, accepted: Sequence[JournalRow], settings: Write) -> bool:
    """Every stage and owner is read back, and of the rest a sample that depends on nothing but the record."""
    if is_personal(row.change):
        return True
    share = settings.verify_sample / len(accepted)
    # A number that the id alone gives: `keep_unread` and `verify_changes` both ask, and must get the same answer.
    return zlib.crc32(row.change.ref.id.encode()) < share * 2**32


def keep_unread(store: Store, accepted: Sequence[JournalRow], settings: Write, now: int) -> None:
    """What the CRM accepted and nobody reads back is ours from now on."""
    unread = [row for row in accepted if not _is_read_back(row, accepted, settings)]
    if unread:
        with store.begin() as writing:
            journal.record_written(writing, unread, now)
            journal.mark_changes(writing, [row.id for row in unread], journal.UPDATED, now)


def verify_changes(
    store: Store, connector: Connector, accepted: Sequence[JournalRow], settings: Write, now: int, *, undoing: bool
) -> None:
    """Read back what was accepted: a CRM can say yes and keep the old value (a flow, a rule, a backward stage)."""
    rows = [row for row in accepted if _is_read_back(row, accepted, settings)]
    # Together, as with those whose stage or owner was written more is read.
    rows.sort(key=lambda row: not is_personal(row.change))
    for some in in_chunks(rows, SETTLED_AT_ONCE):
        present, theirs = _read_back(connector, some)
        some = [row for row in some if row.change.ref in present]  # the others stay sent: the next run looks again
        lost = {row.id: unconfirmed_fields(row.change, it) for row in some if (it := present[row.change.ref])}
        taken = [row for row in some if row.id in lost and not lost[row.id]]
        # `lost` has an entry for each record that is still there.
        gone = [row for row in some if row.id not in lost]
        with store.begin() as writing:
            journal.mark_gone(writing, [row.record for row in gone])
            journal.mark_changes(writing, [row.id for row in gone], journal.EDITED, now, GONE_SINCE)
            put_back = [(row, lost[row.id]) for row in some if lost.get(row.id)]
            held = [*map(Taken, taken), *_lose(writing, put_back, now, parks=not undoing)]
        # A crash from here on leaves `taken` as sent, and `resolve_unknown` of the next run goes on with it.
        replaced = _give_back(connector, [each.row for each in held], theirs)
        with store.begin() as writing:
            journal.record_written(writing, taken, now)
            journal.mark_changes(writing, [row.id for row in taken], journal.UPDATED, now)
            for each in held:
                _end_replaced(writing, each, replaced.get(each.row.id, {}), now)


def verify_parts(store: Store, connector: Connector, partly: Sequence[Taken], now: int) -> None:
    """The same for the stages and owners of changes that the CRM took in part."""
    personal = [each for each in partly if is_personal(each.row.change)]
    for some in in_chunks(personal, SETTLED_AT_ONCE):
        present, theirs = _read_back(connector, [each.row for each in some])
        held = [
            each
            for each in some
            if (it := present.get(each.row.change.ref)) and not unconfirmed_fields(each.row.change, it)
        ]
        replaced = _give_back(connector, [each.row for each in held], theirs)
        with store.begin() as writing:
            for each in held:
                _end_replaced(writing, each, replaced.get(each.row.id, {}), now)


class Replaced(NamedTuple):
    """A stage or owner of somebody else that our write replaced: what the CRM holds now, and what to say of it."""

    present: Scalar | None
    is_ours: bool
    said: str


def _give_back(
    connector: Connector, rows: Sequence[JournalRow], theirs: Mapping[Ref, Mapping[str, Scalar | None]]
) -> dict[int, dict[str, Replaced]]:
    """Write once more what somebody set after the last look and our write replaced; by row and field what came of it.

    Whatever a CRM may say, only what it holds afterwards counts.
    """
    replaced = {
        row.change.ref: (row, values)
        for row in rows
        if (values := {name: each for name, each in theirs.get(row.change.ref, {}).items() if name in row.change.after})
    }
    changes = [_change_back(row.change, values) for row, values in replaced.values()]
    if changes:
        # Receipts come as an iterator: nothing is sent unless somebody reads them all.
        list(connector.write(changes))
    present = _present(connector, list(replaced))
    return {
        replaced[change.ref][0].id: {name: _replaced(change, name, it) for name in change.after}
        for change in changes
        if (it := present.get(change.ref))
    }


def _change_back(ours: Change, values: Mapping[str, Scalar | None]) -> Change:
    before = {name: ours.after[name] for name in values}
    return Change(ours.ref, before, values, "a user set it a moment before", ours.group)


def _replaced(change: Change, name: str, present: Contact) -> Replaced:
    """What came of giving one field back. Where the CRM holds a third value, somebody has set it once more since."""
    now = {"stage": present.stage, "owner": present.owner}[name]
    # `before` is what we had written, so that anything else was set by somebody since.
    if (now or None) != (change.before[name] or None):
        return Replaced(now, False, journal.GIVEN_BACK)
    said = f"a user set it to {change.after[name] or '(empty)'} a moment before, and this {journal.NOT_GIVEN_BACK}"
    return Replaced(now, True, f"{said}; set it again in {change.ref.crm}")


def _end_replaced(writing: Connection, taken: Taken, replaced: Mapping[str, Replaced], now: int) -> None:
    """Somebody else's value counts where it stands again; else the change says that it has to be set in the CRM."""
    if not replaced:
        return
    row, said = taken.row, {name: each.said for name, each in replaced.items()}
    theirs = {name: each.present for name, each in replaced.items() if not each.is_ours}
    ours, refused = without_fields(row.change, set(theirs)), {**taken.refused, **said}
    reason = f"{taken.reason}; {describe_refusals(said)}" if taken.reason else describe_refusals(refused)
    # Where nothing of ours is left, somebody was faster, unless the CRM refused the rest.
    state = journal.PARTLY if ours else journal.REJECTED if taken.refused else journal.EDITED
    journal.end_change(writing, row, state, now, reason, refused)
    if theirs:
        journal.respect_override(writing, row.record, theirs, now)


def _lose(
    writing: Connection, rows: Sequence[tuple[JournalRow, Mapping[str, object]]], now: int, *, parks: bool
) -> list[Taken]:
    """The CRM did not keep some fields of these changes. Returns what is left of each of which something is."""
    rest, parked = [], []
    for row, lost in rows:
        refused = {name: _unconfirmed(row.change, name, lost[name]) for name in lost}
        reason = (
            f"{row.change.ref.crm} accepted the change and did not keep it: "
            f"{', '.join(refused[name] for name in sorted(refused))}; "
            "look for a workflow, flow, assignment rule or sync that sets it"
        )
        taken = without_fields(row.change, set(lost))
        journal.end_change(writing, row, journal.PARTLY if taken else journal.REJECTED, now, reason, refused)
        if taken:
            rest.append(Taken(row._replace(change=taken), refused, reason))
        if left := without_fields(row.change, set(row.change.after) - set(lost)):
            parked.append((row._replace(change=left), reason))
    journal.record_written(writing, [each.row for each in rest], now)
    # In this order: what is written ends what was on hold of a record.
    for row, reason in parked if parks else ():
        journal.park_change(writing, row, reason, now, whole=False)
    return rest


def _unconfirmed(change: Change, name: str, present: object) -> str:
    there, ours = (repr(value) if value not in (None, "") else "(empty)" for value in (present, change.after[name]))
    return f"{name} is {there} instead of {ours}"
