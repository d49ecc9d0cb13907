"""Writing changes: by Collections or Bulk 2.0, round after round, until every row is taken, explained or moved on.

A row whose field was refused is sent again without that field, a locked one in smaller company: what is wrong with one
field or one record holds back nothing else. What people move too, stage and owner, is sent the moment it was looked at.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from connectors.salesforce import bulk
from connectors.salesforce.client import Org
from connectors.salesforce.contacts import RecordReader
from connectors.salesforce.delete_log import named_as_deleted
from connectors.salesforce.errors import RequestRefused, is_id
from connectors.salesforce.moved_records import find_moved_records
from connectors.salesforce.payload import Cells, Update
from connectors.salesforce.row_errors import DELETED, INACTIVE_OWNER, LATER, SILENT, RowError, first_error
from connectors.salesforce.schema import OBJECTS, Schema
from crmsync.connector import Narrow, Notes
from crmsync.errors import Cancelled
from crmsync.model import Change, Owner, Receipt, Ref

COLLECTION = 200
"""Rows a Collections call may hold."""

LOCK_SIZES = (COLLECTION, 50, 10, 10)
"""Rows to a call after each time a row was found locked: fewer neighbours, fewer shared parents."""

LOCK_PAUSE = 1.0
"""Seconds before locked rows are tried again, doubled each time, with jitter."""

PEOPLES = frozenset({"stage", "owner"})
"""What people move, too: no job may write it an hour after it was looked at."""

CULPRIT_HUNTS = 100
"""Calls that one `write` may spend on finding the row for which Salesforce refuses a whole call."""


@dataclass(frozen=True)
class Try:
    """Some names of one row, sent together; `locks` is how often they were found locked."""

    row: Update
    names: frozenset[str]
    locks: int = 0

    @property
    def change(self) -> Change:
        """The part of the row's change that these names are."""
        whole = self.row.change
        before = {name: value for name, value in whole.before.items() if name in self.names}
        return replace(whole, before=before, after={name: whole.after[name] for name in self.names})


Outcomes = Iterator[tuple[Try, RowError | None]]
Send = Callable[[str, Sequence[Try]], Outcomes]


def judge_row(each: Try, why: RowError | None, spelled: Mapping[str, str]) -> list[Try]:
    """Note on its row what became of a try, and say what to send next.

    `spelled` is the API name of each name.
    """
    row, names = each.row, each.names
    if why is None:
        row.taken |= names
    elif why.kind == "silent":
        row.silent = True
    elif why.kind == "moved":
        row.moved = why
        row.refuse(names, why)
    elif why.kind == "lock" and each.locks + 1 < len(LOCK_SIZES):
        return [Try(row, names, each.locks + 1)]
    else:
        return _without_culprit(each, why, spelled)
    return []


def _without_culprit(each: Try, why: RowError, spelled: Mapping[str, str]) -> list[Try]:
    """The rest of a refused row without the blamed names; where none of them is blamed, its parts apart."""
    blamed = {api.lower() for api in why.fields_beside_id}
    culprits = frozenset(name for name in each.names if spelled[name].lower() in blamed)
    parts = [each.names - culprits] if culprits else _parts(each.names, why)
    if parts == [each.names] or why.kind == "lock" or why.code == INACTIVE_OWNER:
        each.row.refuse(each.names, why)
        return []
    each.row.refuse(culprits, why)
    return [Try(each.row, part, each.locks) for part in parts if part]


def _parts(names: frozenset[str], why: RowError) -> list[frozenset[str]]:
    """Rules of an org watch the stage, whatever field they blame, so that it is sent alone; a field that nobody names
    is found one by one.
    """
    if why.kind == "field":
        return [frozenset({name}) for name in sorted(names)]
    parts = [names - {"stage"}, names & {"stage"}]
    return [part for part in parts if part]


def receipt_of(row: Update) -> Receipt:
    """What to tell the core of a row that is through."""
    reasons = dict.fromkeys(each.words for each in row.refused.values())
    codes = [each.code for each in row.refused.values()]
    return Receipt(
        ref=row.change.ref,
        ok=bool(row.taken) or not row.refused,
        code=codes[0] if codes else "",
        reason="; ".join(reasons),
        refused={name: each.words for name, each in row.refused.items()} if row.taken else {},
        retry=any(code in LATER for code in codes),
    )


def _receipts(rows: Iterable[Update], moved: list[Update]) -> Iterator[Receipt]:
    """The receipts of rows that are through; `moved` gets those whose record must be looked for."""
    for row in rows:
        if row.moved:
            moved.append(row)
        elif row.is_spoken_of:
            yield receipt_of(row)


class Writer:
    """Writes the changes of one `write` call."""

    def __init__(
        self,
        org: Org,
        schema: Schema,
        readers: Mapping[str, RecordReader],
        owners: Callable[[], Sequence[Owner]],
        notes: Notes,
        narrow: Narrow,
    ) -> None:
        self.org, self.schema, self._notes, self._narrow = org, schema, notes, narrow
        self._kinds = tuple(readers)
        self._cells = Cells(org, schema, readers, owners)
        self._hunts = CULPRIT_HUNTS

    def write(self, changes: Sequence[Change]) -> Iterator[Receipt]:
        """Scores and stages first, owners in a pass of their own; a receipt for each change Salesforce spoke of."""
        # One kind to a call: of mixed kinds a call takes ten stretches only (https://developer.salesforce.com/docs/
        # platform/api-rest/guide/resources-composite-sobjects-collections-update.html, 2026-11-21).
        for kind in self._kinds:
            rows = [self._cells.row(change) for change in changes if change.ref.kind == kind]
            for wave in _waves(rows):
                # By account: contacts that share one would lock it for each other's calls (W09).
                yield from self._written(kind, sorted(wave, key=lambda row: (row.change.group, row.change.ref.id)))

    def _written(self, kind: str, rows: Sequence[Update]) -> Iterator[Receipt]:
        """What people move goes first, and never by a job."""
        patient = [row for row in rows if row.cells and not PEOPLES & row.cells.keys()]
        if len(patient) <= self.org.settings.bulk_threshold:
            yield from self._sent(kind, rows, self.by_collections)
            return
        in_bulk = {id(row) for row in patient}
        yield from self._sent(kind, [row for row in rows if id(row) not in in_bulk], self.by_collections)
        yield from self._sent(kind, patient, self.in_bulk)

    def _sent(self, kind: str, rows: Sequence[Update], first: Send) -> Iterator[Receipt]:
        # Owners in a pass of their own: moving a record locks more than a score does (https://developer.salesforce.com
        # /docs/atlas.en-us.242.0.api_asynch.meta/api_asynch/datafiles_organize_data.htm, 2026-11-21).
        scores = [Try(row, names) for row in rows if (names := frozenset(row.cells) - {"owner"})]
        owned = [row for row in rows if "owner" in row.cells]
        waiting = {id(row) for row in owned}
        through = [row for row in rows if not row.cells]
        moved: list[Update] = []
        first_through = chain(through, self._rounds(kind, scores, first))
        yield from _receipts((row for row in first_through if row.moved or id(row) not in waiting), moved)
        # A row of which nothing was said stays open, and the next run finds out what became of it.
        still = [Try(row, frozenset({"owner"})) for row in owned if not (row.moved or row.silent)]
        again: list[Try] = []
        for row in self._rounds(kind, still, self.by_collections):
            if names := row.take_up_again():
                again.append(Try(row, names))
            else:
                yield from _receipts([row], moved)
        yield from _receipts(self._rounds(kind, again, self.by_collections), moved)
        # At the end, so that one query looks for many.
        yield from self._followed(kind, moved)

    def _rounds(self, kind: str, tries: Sequence[Try], send: Send) -> Iterator[Update]:
        """Send until nothing is left to send; rows come out as soon as all their tries are through."""
        for each in tries:
            each.row.under_way += 1
        number = 0
        while tries:
            now, following = _once_each(tries)
            for each, why in send(kind, now):
                again = judge_row(each, why, self._cells.spelled(kind))
                each.row.under_way += len(again) - 1
                following += again
                if not each.row.under_way:
                    yield each.row
            tries, send, number = following, self.by_collections, number + 1
            if any(each.locks for each in tries):
                self._pause(LOCK_PAUSE * 2**number * random.uniform(0.5, 1.0))

    def _pause(self, seconds: float) -> None:
        if self.org.stop.wait(seconds):
            raise Cancelled("stopped while waiting for a locked record")

    def by_collections(self, kind: str, tries: Sequence[Try]) -> Outcomes:
        """Send by sObject Collections, 200 rows to a call and fewer of the locked ones."""
        for size in sorted(set(LOCK_SIZES), reverse=True):
            some = [each for each in tries if LOCK_SIZES[each.locks] == size]
            for start in range(0, len(some), size):
                yield from self._collection(kind, some[start : start + size])

    def in_bulk(self, kind: str, tries: Sequence[Try]) -> Outcomes:
        """Send by Bulk 2.0, or by Collections what it does not take.

        It knows no header that passes duplicate rules which only alert, so that rows they stop are sent once more.
        """
        going = self._narrowed(tries)
        yield from ((each, None) for each in going if not each.names)
        by_id = {each.row.change.ref.id: each for each in going if each.names}
        rows = {id_: self._api_cells(kind, each) for id_, each in by_id.items()}
        again: list[Try] = []
        try:
            for id_, why in bulk.update_rows(self.org, self._notes, OBJECTS[kind], rows):
                each = by_id.pop(id_)
                if why and why.code == "DUPLICATES_DETECTED":
                    again.append(each)
                else:
                    yield each, why
        except bulk.NotBegun:
            again += by_id.values()
        yield from self.by_collections(kind, again)

    def _narrowed(self, tries: Sequence[Try]) -> list[Try]:
        """The tries with the names that may still be sent, perhaps none."""
        left = {change.ref: change.after for change in self._narrow([each.change for each in tries])}
        return [replace(each, names=each.names & left.get(each.row.change.ref, {}).keys()) for each in tries]

    def _api_cells(self, kind: str, each: Try) -> dict[str, Any]:
        spelled = self._cells.spelled(kind)
        return {spelled[name]: each.row.cells[name] for name in sorted(each.names)}

    def _collection(self, kind: str, tries: Sequence[Try]) -> Outcomes:
        going = self._narrowed(tries)
        yield from ((each, None) for each in going if not each.names)
        tries = [each for each in going if each.names]
        if not tries:
            return
        records = [self._record(kind, each) for each in tries]
        try:
            answer = self.org.rest("PATCH", "composite/sobjects", {"allOrNone": False, "records": records})
        except RequestRefused as error:
            yield from self._whole_refused(kind, tries, error)
            return
        yield from zip(tries, list_outcomes(records, answer), strict=True)

    def _whole_refused(self, kind: str, tries: Sequence[Try], error: RequestRefused) -> Outcomes:
        """Salesforce refused a whole call: for a column it names, or for a row that halving finds."""
        self._hunts -= 1
        column = _named_column(error)
        if column or len(tries) == 1 or self._hunts < 0:
            # It was sent because of a describe that is out of date.
            self.schema.forget()
            blamed: list[Try] = []
            spared: list[Try] = []
            for each in tries:
                (blamed if self._names_column(kind, each, column) else spared).append(each)
            if not blamed:  # any may be meant
                blamed, spared = spared, []
            why = RowError(error.code, error.message, column)
            yield from ((each, why) for each in blamed)
            yield from self._collection(kind, spared)
            return
        half = len(tries) // 2
        yield from self._collection(kind, tries[:half])
        yield from self._collection(kind, tries[half:])

    def _names_column(self, kind: str, each: Try, column: Sequence[str]) -> bool:
        return not {api.lower() for api in self._api_cells(kind, each)}.isdisjoint(map(str.lower, column))

    def _record(self, kind: str, each: Try) -> dict[str, Any]:
        head = {"attributes": {"type": OBJECTS[kind]}, "id": each.row.change.ref.id}
        return {**head, **self._api_cells(kind, each)}

    def _followed(self, kind: str, rows: Sequence[Update]) -> Iterator[Receipt]:
        """Where the records went that Salesforce would not write to: merged, converted, deleted, or still there.

        That it shows nothing of one is no word of a deletion: sharing may hide it. The log of deletions may tell.
        """
        ids = [row.change.ref.id for row in rows]
        found, unseen = find_moved_records(self.org, self.schema, kind, ids) if ids else ({}, frozenset[str]())
        doubtful = [row.change.ref.id for row in rows if row.moved and row.moved.code not in DELETED]
        named = named_as_deleted(self.org, OBJECTS[kind], sorted(unseen.intersection(doubtful)))
        for row in rows:
            if row.change.ref.id in unseen and row.moved:
                if row.moved.code in DELETED or row.change.ref.id in named:
                    found[row.change.ref.id] = None
                else:
                    row.blame_sharing(row.moved)
            here = found.get(row.change.ref.id, ())
            said = receipt_of(row)
            moved = here if isinstance(here, Ref) else None
            yield Receipt(
                said.ref, said.ok, said.code, said.reason, said.refused, said.retry, moved_to=moved, gone=here is None
            )


def _once_each(tries: Sequence[Try]) -> tuple[list[Try], list[Try]]:
    """The first try of each row, and the others for the next round."""
    first: dict[int, Try] = {}
    for each in tries:
        # A call that names an id twice is refused.
        first.setdefault(id(each.row), each)
    now = list(first.values())
    return now, [each for each in tries if first[id(each.row)] is not each]


def _waves(rows: Sequence[Update]) -> list[list[Update]]:
    """The rows in turns in which no record comes twice: a call that names an id twice is refused."""
    waves: list[dict[Ref, Update]] = []
    for row in rows:
        free = next((wave for wave in waves if row.change.ref not in wave), None)
        if free is None:
            waves.append(free := {})
        free[row.change.ref] = row
    return [list(wave.values()) for wave in waves]


def list_outcomes(records: Sequence[Mapping[str, Any]], answer: Any) -> list[RowError | None]:
    """What a Collections call says of each record: by position, and by id where it says less than it was asked."""
    said = [each if isinstance(each, dict) else None for each in (answer if isinstance(answer, list) else [])]
    if len(said) != len(records):
        by_id = {each["id"][:15]: each for each in said if each and is_id(each.get("id"))}
        said = [by_id.get(str(record["id"])[:15]) for record in records]
    return [_outcome(each) for each in said]


def _outcome(said: Mapping[str, Any] | None) -> RowError | None:
    if said is None or not isinstance(said.get("success"), bool):
        return SILENT
    return None if said["success"] else first_error(said.get("errors"))


def _named_column(error: RequestRefused) -> tuple[str, ...]:
    """The column that `No such column 'X' on sobject of type Lead` names."""
    parts = error.message.split("'")
    return (parts[1],) if error.code == "INVALID_FIELD" and len(parts) >= 3 else ()
