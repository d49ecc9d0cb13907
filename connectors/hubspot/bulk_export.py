"""All contacts as one file: a handful of calls for millions of them, at HubSpot's own pace."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import IO, Any, NamedTuple

import orjson

from connectors.hubspot.batch_read import Record
from connectors.hubspot.client import Api
from connectors.hubspot.errors import Forbidden, RequestRefused, id_of, readable_records, text_of, unreadable
from connectors.hubspot.paging import ALMOST_ALL, count_records
from connectors.hubspot.properties import instant_of, to_millis
from crmsync.connector import Notes
from crmsync.counts import count_of
from crmsync.errors import Unavailable

EXPORT = "hubspot.export"
"""The note that holds, as JSON, the id of an export that was asked for, and when."""

STILL_GOOD = timedelta(hours=20)
"""How long an export is read again; after that another one is asked for."""

LONGEST = 2 * 3_600.0
"""Seconds for which an export is waited for in one run; then the list is read, which takes less for a million."""

FIRST_POLL, SLOWEST_POLL = 2.0, 60.0
"""Seconds between looks at an export; they grow from the one to the other."""

ROWS = 1_000
"""Records that are handed on at a time."""

LONGEST_FIELD = 1 << 24

BROKEN = (csv.Error, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What a file raises that is not as it should be; the last one for a file that wants a password."""


class NoExport(Exception):
    """There is no export to be had, or not one that can be trusted: the list is read instead."""


class Export(NamedTuple):
    """An export that was ordered; its file may lack what was edited since `ordered_at` (milliseconds, HubSpot's)."""

    id: str
    ordered_at: int


def export_contacts(api: Api, notes: Notes, export: Export, properties: Sequence[str]) -> Iterator[list[Record]]:
    """All contacts, from an export of these properties. Raises `NoExport` before or after them."""
    # Counted before the file is read: what is made meanwhile must not make it seem short.
    expected, rows = count_records(api, "contacts"), 0
    try:
        link = _finished(api, export.id)
    except (Forbidden, RequestRefused) as error:
        notes.pop(EXPORT, None)
        raise NoExport(str(error)) from error
    with tempfile.TemporaryFile() as file:
        api.download(link, file)
        try:
            for found in _records(file, properties):
                rows += len(found)
                records, odd = readable_records(found, "contacts")
                api.note_odd(odd)
                yield records
        except BROKEN as error:
            raise NoExport(f"its file is broken ({type(error).__name__})") from error
    # Not before the last page: whoever was cut off reads the same export again.
    notes.pop(EXPORT, None)
    if rows < expected * ALMOST_ALL:
        raise NoExport(f"it has only {rows:,} of {count_of(expected, 'contact')}")


def order_export(api: Api, notes: Notes, properties: Sequence[str]) -> Export:
    """An export that an earlier process ordered, or a new one: HubSpot grants thirty in 24 hours. Raises `NoExport`."""
    known = orjson.loads(notes.get(EXPORT) or "{}")
    asked_at = instant_of(known.get("at"))
    if asked_at and api.server_time - asked_at < STILL_GOOD and known.get("properties") == list(properties):
        return Export(str(known["id"]), to_millis(asked_at))
    try:
        return _order(api, notes, properties)
    except (Forbidden, Unavailable) as error:
        raise NoExport(str(error)) from error  # also when people have used up the thirty exports of the day


def _order(api: Api, notes: Notes, properties: Sequence[str]) -> Export:
    # Before it is ordered: what is edited from here on may not be in the file.
    ordered_at = api.server_time
    body = {
        "exportType": "VIEW",
        "exportName": "crmsync",
        "format": "CSV",
        "language": "EN",
        "objectType": "CONTACT",
        "objectProperties": list(properties),
        "associatedObjectType": [],
        # Otherwise columns and values are labels, which admins may change.
        "exportInternalValuesOptions": ["NAMES", "VALUES"],
        "includeLabeledAssociations": False,
        "includePrimaryDisplayPropertyForAssociatedObjects": False,
        "overrideAssociatedObjectsPerDefinitionPerRowLimit": False,
    }
    export_id = id_of(api.post(api.place("exports"), body).get("id"))
    if not export_id:
        raise unreadable("export contacts")
    said = {"id": export_id, "at": ordered_at.isoformat(), "properties": list(properties)}
    notes[EXPORT] = orjson.dumps(said).decode()
    return Export(export_id, to_millis(ordered_at))


def _finished(api: Api, export_id: str) -> str:
    """Wait for an export; the address of its file, which is good for five minutes."""
    pause, waited = FIRST_POLL, 0.0
    while True:
        answer = api.get(api.place("export_status", id=export_id))
        status, link = text_of(answer.get("status")), text_of(answer.get("result"))
        if status == "COMPLETE" and link:
            return link
        if status not in ("PENDING", "PROCESSING") or waited > LONGEST:
            raise RequestRefused(200, {"message": f"the export is {status}"}, "the export")
        api.pause(pause)
        waited, pause = waited + pause, min(SLOWEST_POLL, pause * 1.5)


def _records(file: IO[bytes], properties: Sequence[str]) -> Iterator[list[Record]]:
    """The rows of a CSV file, or of all CSV files in an archive, as records."""
    csv.field_size_limit(LONGEST_FIELD)
    for member in _members(file):
        with io.TextIOWrapper(member, encoding="utf-8-sig", errors="replace", newline="") as lines:
            rows = csv.DictReader(line.replace("\0", "") for line in lines)
            if not {"hs_object_id", *properties} <= set(rows.fieldnames or ()):
                raise NoExport("requested properties are missing in its columns")
            batch: list[Record] = []
            for row in rows:
                batch.append(_record(row))
                if len(batch) == ROWS:
                    yield batch
                    batch = []
            yield batch


def _members(file: IO[bytes]) -> Iterator[IO[bytes]]:
    file.seek(0)
    if not zipfile.is_zipfile(file):
        file.seek(0)
        yield file
        return
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            yield archive.open(name)


def _record(row: Mapping[str | Any, Any]) -> Record:
    return {"id": row["hs_object_id"], "properties": {name: value or None for name, value in row.items() if name}}
