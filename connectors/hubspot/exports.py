"""All contacts as one file: a handful of calls for millions of them, at HubSpot's own pace."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import IO, Any

import orjson

from connectors.hubspot.answers import Forbidden, Refused
from connectors.hubspot.api import Api
from connectors.hubspot.byid import Record
from connectors.hubspot.values import instant
from connectors.hubspot.walk import ALMOST_ALL, total
from crmsync.errors import Unavailable
from crmsync.model import Notes

EXPORT = "hubspot.export"
"""The note that holds, as JSON, the id of an export that was asked for, and when."""

STILL_GOOD = timedelta(hours=20)
"""How long an export is waited for and read again; after that another one is asked for."""

FIRST_POLL, SLOWEST_POLL = 2.0, 60.0
"""Seconds between looks at an export; they grow from the one to the other."""

ROWS = 1_000
"""Records that are handed on at a time."""

LONGEST_FIELD = 1 << 24


class NoExport(Exception):
    """There is no export to be had, or not one that can be trusted: the list is read instead."""


def exported(api: Api, notes: Notes, properties: Sequence[str]) -> Iterator[list[Record]]:
    """All contacts, from an export. Raises `NoExport` before or after them."""
    expected, rows = total(api, "contacts"), 0
    link = _link(api, notes, properties)
    with tempfile.TemporaryFile() as file:
        api.download(link, file)
        for records in _records(file):
            rows += len(records)
            yield records
    notes.pop(EXPORT, None)
    if rows < expected * ALMOST_ALL:
        raise NoExport(f"it has {rows:,} of {expected:,} contacts")


def _link(api: Api, notes: Notes, properties: Sequence[str]) -> str:
    try:
        export_id = _begun(api, notes, properties)
    except (Forbidden, Unavailable) as error:
        raise NoExport(str(error)) from error  # also when people have used up the thirty exports of the day
    try:
        return _finished(api, export_id)
    except (Forbidden, Refused) as error:
        notes.pop(EXPORT, None)
        raise NoExport(str(error)) from error


def _begun(api: Api, notes: Notes, properties: Sequence[str]) -> str:
    """The id of the export: one that an earlier process asked for, or a new one. HubSpot grants thirty in 24 hours."""
    known = orjson.loads(notes.get(EXPORT) or "{}")
    asked_at = instant(known.get("at"))
    if asked_at and api.server_time - asked_at < STILL_GOOD and known.get("properties") == list(properties):
        return str(known["id"])
    body = {
        "exportType": "VIEW",
        "exportName": "crmsync",
        "format": "CSV",
        "language": "EN",
        "objectType": "CONTACT",
        "objectProperties": list(properties),
        "associatedObjectType": [],
        "exportInternalValuesOptions": ["NAMES", "VALUES"],
        "includeLabeledAssociations": False,
        "includePrimaryDisplayPropertyForAssociatedObjects": False,
        "overrideAssociatedObjectsPerDefinitionPerRowLimit": False,
    }
    export_id = str(api.post(api.place("exports"), body)["id"])
    said = {"id": export_id, "at": api.server_time.isoformat(), "properties": list(properties)}
    notes[EXPORT] = orjson.dumps(said).decode()
    return export_id


def _finished(api: Api, export_id: str) -> str:
    """Wait for an export; the address of its file, which is good for five minutes."""
    pause, begun = FIRST_POLL, api.server_time
    while True:
        answer = api.get(api.place("export_status", id=export_id))
        if answer.get("status") == "COMPLETE" and answer.get("result"):
            return str(answer["result"])
        if answer.get("status") not in ("PENDING", "PROCESSING") or api.server_time - begun > STILL_GOOD:
            raise Refused(200, {"message": f"the export is {answer.get('status')}"}, "the export")
        api.pause(pause)
        pause = min(SLOWEST_POLL, pause * 1.5)


def _records(file: IO[bytes]) -> Iterator[list[Record]]:
    """The rows of a CSV file, or of all CSV files in an archive, as records."""
    csv.field_size_limit(LONGEST_FIELD)
    for member in _members(file):
        with io.TextIOWrapper(member, encoding="utf-8-sig", newline="") as text:
            rows = csv.DictReader(text)
            if "hs_object_id" not in (rows.fieldnames or ()):
                raise NoExport("its columns do not have the names of properties")
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
