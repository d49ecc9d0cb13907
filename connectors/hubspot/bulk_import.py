"""A mass of scores as one file: a handful of calls where batches take one for every hundred contacts."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from connectors.hubspot.client import Api
from connectors.hubspot.errors import CRM, Forbidden, RequestRefused, id_of, list_in, object_in, text_of
from connectors.hubspot.schema import list_all
from crmsync.connector import Notes
from crmsync.errors import Transient, Unavailable

IMPORT = "hubspot.import"
"""The note that holds, as JSON, the name of the import under way and, as soon as there is one, its id."""

CONTACTS = "0-1"
"""HubSpot's number for contacts."""

RECORD_ID = "Record ID"

ROWS = 500_000
"""Rows of one file; HubSpot takes 1,048,576."""

ATTEMPTS = 4
FIRST_POLL, SLOWEST_POLL = 2.0, 60.0
"""Seconds between looks at an import; they grow from the one to the other."""

LONGEST = 2 * 3_600.0
"""Seconds for which an import is waited for; a longer one runs on, and the next cycle looks again."""

FINAL = frozenset({"DONE", "FAILED", "CANCELED", "REVERTED"})
TAKEN_BACK = frozenset({"CANCELED", "REVERTED"})
"""How an import ends that somebody stopped or undid in HubSpot."""

LISTED = 100


class NoImport(Exception):
    """HubSpot does not take the import and has done nothing: the same can be written in batches."""


class FailedRow(NamedTuple):
    """A row that was not taken, or not whole: the record's id or else its line, and why. Both may be unknown."""

    id: str
    line: int | None
    reason: str


class Ended(NamedTuple):
    """How an import ended; `updated` is the records it says it updated, `None` where it does not say."""

    state: str
    updated: int | None
    errors: tuple[FailedRow, ...] | None

    def doubtful(self, ids: Sequence[str]) -> dict[str, str]:
        """The ids, of all that were sent in this order, that may not have been written, each with the reason if any."""
        errors = self.errors or ()
        named = len({(each.id, each.line) for each in errors})
        adds_up = self.errors is not None and self.updated is not None and self.updated + named >= len(ids)
        found = {} if self.state == "DONE" and adds_up else dict.fromkeys(ids, "")
        known = set(ids)
        for each in errors:
            for contact_id in [each.id] if each.id in known else _around(each.line, ids):
                found[contact_id] = found.get(contact_id) or each.reason
        return found


def _around(line: int | None, ids: Sequence[str]) -> Sequence[str]:
    """The ids that a line may be about.

    Whether lines are counted from zero or one, and with the header or without, is not documented (2026-11-21).
    """
    return () if line is None else ids[max(line - 2, 0) : line + 1]


def await_earlier_import(api: Api, notes: Notes) -> None:
    """Wait for an import that an earlier process asked for: nothing is read or written over its head."""
    known = orjson.loads(notes.get(IMPORT) or "{}")
    if not known:
        return
    try:
        if import_id := known.get("id") or _named(api, known["name"]):
            _ended(api, str(import_id))
    except (Forbidden, RequestRefused):
        pass  # HubSpot does not know it any more, or does not tell: the records themselves will
    notes.pop(IMPORT, None)


def import_rows(api: Api, notes: Notes, rows: Mapping[str, Mapping[str, str]]) -> Ended:
    """Update contacts by id, all with the same properties, and wait until HubSpot is done.

    The name is noted before the import is asked for, so that it is never asked for twice. Raises `NoImport`, and
    `Unavailable` when it takes too long.
    """
    name = f"crmsync {api.server_time:%Y-%m-%d %H:%M:%S} {secrets.token_hex(4)}"
    notes[IMPORT] = orjson.dumps({"name": name}).decode()
    try:
        import_id = _created(api, name, rows)
    except (Forbidden, RequestRefused, NoImport) as error:
        del notes[IMPORT]
        raise NoImport(str(error)) from error
    notes[IMPORT] = orjson.dumps({"name": name, "id": import_id}).decode()
    answer = _ended(api, import_id)
    ended = Ended(str(answer["state"]), _updated(answer), _errors(api, import_id))
    # Not before its errors were read: after a crash the next run asks for them by this note.
    del notes[IMPORT]
    return ended


def _created(api: Api, name: str, rows: Mapping[str, Mapping[str, str]]) -> str:
    """The id of the import, looked for by its name before it is asked for again."""
    where, fields = api.place("imports"), _form(name, rows)
    for _ in range(ATTEMPTS):
        pause = FIRST_POLL
        try:
            if import_id := id_of(api.upload(where, fields).get("id")):
                return import_id
        except Transient as error:
            pause = FIRST_POLL if error.retry_after is None else error.retry_after
        if import_id := _named(api, name):
            return import_id
        # So long a wait has no place here: batches are written instead.
        if pause > SLOWEST_POLL:
            break
        api.pause(pause)
    raise NoImport("HubSpot did not start the import")


def _named(api: Api, name: str) -> str:
    """The id of the import of that name, `""` if HubSpot has none; the list has the newest first."""
    answer = api.get(api.place("imports"), [("limit", str(LISTED))])
    return next((id_of(each.get("id")) for each in answer["results"] if each.get("importName") == name), "")


def _form(name: str, rows: Mapping[str, Mapping[str, str]]) -> list[tuple[str, Any]]:
    properties = list(next(iter(rows.values())))
    columns = [{"columnName": RECORD_ID, "propertyName": "hs_object_id", "columnType": "HUBSPOT_OBJECT_ID"}]
    columns += [{"columnName": each, "propertyName": each} for each in properties]
    asked = {
        "name": name,
        "dateFormat": "YEAR_MONTH_DAY",
        "importOperations": {CONTACTS: "UPDATE"},  # by default HubSpot would create what it does not know
        "files": [
            {
                "fileName": "scores.csv",
                "fileFormat": "CSV",
                "fileImportPage": {
                    "hasHeader": True,
                    "columnMappings": [{"columnObjectTypeId": CONTACTS, **each} for each in columns],
                },
            }
        ],
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([RECORD_ID, *properties])
    writer.writerows([contact_id, *(values[each] for each in properties)] for contact_id, values in rows.items())
    file = ("scores.csv", text.getvalue().encode(), "text/csv")
    return [("importRequest", orjson.dumps(asked).decode()), ("files", file)]


def _ended(api: Api, import_id: str) -> Mapping[str, Any]:
    """The import once it has ended. Raises `Unavailable` when that takes too long; it then runs on."""
    pause, waited = FIRST_POLL, 0.0
    while waited < LONGEST:
        answer: Mapping[str, Any] = api.get(api.place("import", id=import_id))
        if text_of(answer.get("state")) in FINAL:
            return answer
        api.pause(pause)
        waited, pause = waited + pause, min(SLOWEST_POLL, pause * 1.5)
    raise Unavailable(CRM, f"HubSpot is still working on the import {import_id}; the next run continues with it")


def _updated(answer: Mapping[str, Any]) -> int | None:
    said = object_in(object_in(answer, "metadata"), "counters").get("UPDATED_OBJECTS")
    return said if isinstance(said, int) else None


def _errors(api: Api, import_id: str) -> tuple[FailedRow, ...] | None:
    """What was not taken; `None` when HubSpot does not say."""
    query = [("limit", str(LISTED)), ("includeErrorMessage", "true"), ("includeRowData", "true")]
    try:
        return tuple(_row_error(each) for each in list_all(api, api.place("import_errors", id=import_id), query))
    except (Forbidden, RequestRefused):
        return None


def _row_error(said: Mapping[str, Any]) -> FailedRow:
    source = object_in(said, "sourceData")
    row, line = list_in(source, "rowData") or [""], source.get("lineNumber")
    return FailedRow(text_of(row[0]), line if isinstance(line, int) else None, _reason(said))


def _reason(said: Mapping[str, Any]) -> str:
    why = text_of(said.get("errorMessage")) or text_of(said.get("errorType"))
    return f"HubSpot's import rejected it: {why or 'no reason given'}"


def fits_import(properties: Mapping[str, str]) -> bool:
    """Whether a row may go by import: what an empty cell does depends on the portal, a line break moves the lines."""
    return all(value and "\n" not in value and "\r" not in value for value in properties.values())


def group_rows(rows: Mapping[str, Mapping[str, str]], least: int) -> Iterator[list[str]]:
    """The ids of rows that have the same properties and are at least `least`; one import takes at most `ROWS`."""
    found: dict[frozenset[str], list[str]] = {}
    for contact_id, properties in rows.items():
        found.setdefault(frozenset(properties), []).append(contact_id)
    for ids in found.values():
        if len(ids) >= least:
            yield from (ids[start : start + ROWS] for start in range(0, len(ids), ROWS))
