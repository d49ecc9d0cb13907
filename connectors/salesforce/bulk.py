"""Bulk API 2.0, both ways: jobs whose ids are kept before anything is uploaded, none aborted once it has begun."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import requests

from connectors.http import header_number
from connectors.salesforce.client import Org
from connectors.salesforce.errors import CRM, RequestRefused, bulk_job, id_in
from connectors.salesforce.row_errors import SILENT, RowError, refusal_of_bulk
from crmsync.connector import Notes
from crmsync.counts import count_of
from crmsync.errors import Cancelled, Transient, Unavailable, quote_crm

BODY = 100_000_000
"""Bytes of CSV for one job: Salesforce takes 150 MB after its own encoding, which adds half (2026-11)."""

RESULT_ROWS = 10_000
"""Rows of one page of a query job's results."""

PAUSES = (1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0)
"""Seconds between looks at a job; the last one goes on. Every look is an API request."""

NULL = "#N/A"
"""What clears a field in a CSV; an empty cell leaves it as it is."""

ENDED = frozenset({"JobComplete", "Failed", "Aborted"})
NOTE = "ingest:"

# Rich-text cells are longer than the 131,072 characters that csv allows (estuary/connectors#2609).
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


class NotBegun(Exception):
    """Salesforce does not take this job, and has done nothing: the same work can be done by REST."""


def csv_rows(body: bytes) -> Iterator[list[str]]:
    """The rows of a CSV body, its header first. Raises `Transient` where it is none."""
    try:
        # With `newline=""` line breaks inside of cells stay as they are (R25).
        yield from csv.reader(io.StringIO(body.decode("utf-8-sig", "replace").replace("\0", ""), newline=""))
    except csv.Error:
        raise Transient("Salesforce sent a CSV file that cannot be read") from None


def await_job(org: Org, path: str) -> dict[str, Any]:
    """The job once it has ended. Raises `Unavailable` when it takes longer than `bulk_wait`; it then runs on."""
    waited, number = 0.0, 0
    while True:
        job: dict[str, Any] = org.rest("GET", path, read=bulk_job)
        if job["state"] in ENDED:
            return job
        pause = PAUSES[min(number, len(PAUSES) - 1)]
        if waited + pause > org.settings.bulk_wait.total_seconds():
            raise Unavailable(
                CRM, f"Salesforce is still working on the bulk job {job.get('id')}; the next run continues with it"
            )
        if org.stop.wait(pause):
            raise Cancelled("stopped while Salesforce works on a bulk job")
        waited, number = waited + pause, number + 1


def update_rows(
    org: Org, notes: Notes, object_: str, rows: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, RowError | None]]:
    """Update rows (cells by API name, by record id) and say of each id what became of it.

    The job's id is in `notes` before its data is sent, so that whoever comes after a crash waits for it first.
    Raises `NotBegun` where Salesforce does not take the next part of the rows.
    """
    for body, ids in csv_bodies(rows):
        try:
            job = _uploaded(org, notes, object_, body)
        except RequestRefused as error:
            raise NotBegun(error.message) from error
        ended = await_job(org, f"jobs/ingest/{job}")
        yield from _results(org, job, ended, ids)
        # Not before every result was handed on: after a crash the next run must find the job.
        _forget(org, notes, job)


def await_earlier_jobs(org: Org, notes: Notes) -> None:
    """Wait for the jobs an earlier run has left: nothing is read or written over their heads."""
    # A list, because notes are taken away on the way.
    for note in [each for each in notes if each.startswith(NOTE)]:
        job = note.removeprefix(NOTE)
        try:
            state = org.rest("GET", f"jobs/ingest/{job}", read=bulk_job)["state"]
        except RequestRefused:
            state = "Gone"
        # An open job was never closed, perhaps for want of data.
        # It is aborted, so that a paused worker cannot begin it later.
        if (state == "Open" and _is_aborted(org, job)) or state == "Gone":
            del notes[note]
        else:
            await_job(org, f"jobs/ingest/{job}")
            _forget(org, notes, job)


def _is_aborted(org: Org, job: str) -> bool:
    """Whether a job whose data never arrived whole will never begin, even if whoever made it comes back."""
    try:
        org.rest("PATCH", f"jobs/ingest/{job}", {"state": "Aborted"})
    except RequestRefused:
        return False
    return True


def csv_bodies(rows: Mapping[str, Mapping[str, Any]], most: int = BODY) -> Iterator[tuple[bytes, list[str]]]:
    """CSV bodies of at most `most` bytes with the ids each holds. Rows need not have the same columns."""
    columns = sorted({column for cells in rows.values() for column in cells})
    header = _line(["Id", *columns])
    lines: list[bytes] = []
    ids: list[str] = []
    size = len(header)
    for id_, cells in rows.items():
        # An empty cell leaves its field as it is, so that rows may have different columns.
        line = _line([id_, *(_cell(cells[column]) if column in cells else "" for column in columns)])
        if ids and size + len(line) > most:
            yield b"".join([header, *lines]), ids
            lines, ids, size = [], [], len(header)
        lines.append(line)
        ids.append(id_)
        size += len(line)
    if ids:
        yield b"".join([header, *lines]), ids


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.18f}".rstrip("0").rstrip(".")
    return str(value)


def _uploaded(org: Org, notes: Notes, object_: str, body: bytes) -> str:
    """A job with all its data, begun. Where an upload's answer got lost it is not known whole: a new job takes over."""
    # A job takes one upload: a repeat of one whose answer was lost would be refused.
    for last in (False, True):
        job = _created(org, notes, object_)
        try:
            headers = {"Content-Type": "text/csv; charset=UTF-8"}
            org.raw("PUT", f"jobs/ingest/{job}/batches", _taken, data=body, headers=headers)
        except RequestRefused:
            del notes[NOTE + job]
            if last:
                raise
            continue
        _begin(org, job)
        return job
    raise AssertionError("the loop returns or raises")


def _taken(answer: requests.Response) -> None:
    """An upload is answered with an empty body; anything else comes from something in between."""
    if answer.content.strip():
        raise Transient("Salesforce sent an unexpected answer to an upload")


def _created(org: Org, notes: Notes, object_: str) -> str:
    asked = {
        "object": object_,
        "operation": "update",
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    job = str(org.rest("POST", "jobs/ingest", asked, read=id_in)["id"])
    notes[NOTE + job] = json.dumps({"object": object_, "api_version": org.settings.api_version})
    return job


def _begin(org: Org, job: str) -> None:
    """Close the upload; a repeat of it is refused, and then the job's state tells that it was heard."""
    try:
        org.rest("PATCH", f"jobs/ingest/{job}", {"state": "UploadComplete"})
    except RequestRefused:
        if org.rest("GET", f"jobs/ingest/{job}", read=bulk_job)["state"] == "Open":
            raise


def _results(org: Org, job: str, ended: Mapping[str, Any], ids: Sequence[str]) -> Iterator[tuple[str, RowError | None]]:
    """By id, never by position: Salesforce returns rows in an order of its own."""
    # Ids come with 15 characters or with 18; the first 15 are the same.
    known = {each[:15]: each for each in ids}
    told: dict[str, RowError | None] = {}
    for id_ in _result_ids(org, job, "successfulResults"):
        told[id_[:15]] = None
    for id_, error in _failed(org, job):
        told[id_[:15]] = refusal_of_bulk(error)
    if ended["state"] != "JobComplete":
        unprocessed = RowError("JOB_FAILED", str(ended.get("errorMessage") or ended["state"])[:500])
        for id_ in _result_ids(org, job, "unprocessedrecords"):
            told.setdefault(id_[:15], unprocessed)
    yield from ((full, told.get(short, SILENT)) for short, full in known.items())


def _result_ids(org: Org, job: str, which: str) -> Iterator[str]:
    return (row.get("sf__Id") or row.get("Id") or "" for row in _result_rows(org, job, which))


def _failed(org: Org, job: str) -> Iterator[tuple[str, str]]:
    rows = _result_rows(org, job, "failedResults")
    return ((row.get("sf__Id") or row.get("Id") or "", row.get("sf__Error", "")) for row in rows)


def _result_rows(org: Org, job: str, which: str) -> list[dict[str, str]]:
    return org.raw("GET", f"jobs/ingest/{job}/{which}/", _named_rows)


def _named_rows(answer: requests.Response) -> list[dict[str, str]]:
    rows = csv_rows(answer.content)
    header = next(rows, [])
    if header and not {"Id", "sf__Id"} & set(header):
        raise Transient("Salesforce sent an unexpected answer instead of the results of a job")
    return [dict(zip(header, row, strict=False)) for row in rows if row]


def _forget(org: Org, notes: Notes, job: str) -> None:
    """Tidy up after a job whose end is known; Salesforce would do it in a week."""
    with contextlib.suppress(RequestRefused, Unavailable):
        org.raw("DELETE", f"jobs/ingest/{job}", lambda answer: None)
    del notes[NOTE + job]


class QueryFailed(Exception):
    """A query job that will never give its rows."""


def begin_query(org: Org, soql: str) -> str:
    """Begin a query job that sees deleted and archived rows, and return its id."""
    try:
        job = org.rest("POST", "jobs/query", {"operation": "queryAll", "query": soql}, read=id_in)
    except RequestRefused as error:
        raise NotBegun(error.message) from error
    return str(job["id"])


def ended_query(org: Org, job: str) -> int:
    """Wait for a query job and return its number of rows. Raises `QueryFailed` where it gave up: that is no answer."""
    ended = await_job(org, f"jobs/query/{job}")
    if ended["state"] != "JobComplete":
        raise QueryFailed(quote_crm(str(ended.get("errorMessage") or ended["state"])))
    return int(ended.get("numberRecordsProcessed") or 0)


def job_page(org: Org, job: str, locator: str, columns: Sequence[str]) -> tuple[list[list[str]], str]:
    """One page of results, its cells in the order of `columns`, and the locator of the next: empty behind the last.

    Raises `QueryFailed` where a column is missing.
    """
    at = f"&locator={quote(locator, safe='')}" if locator else ""
    path = f"jobs/query/{job}/results?maxRecords={RESULT_ROWS}{at}"
    return org.raw("GET", path, lambda answer: _query_rows(answer, columns), headers={"Accept": "text/csv"})


def _query_rows(answer: requests.Response, columns: Sequence[str]) -> tuple[list[list[str]], str]:
    """Whole pages only: a page that is short of rows or cells is read again."""
    header, *rows = list(csv_rows(answer.content)) or [[]]
    promised = header_number(answer.headers.get("Sforce-NumberOfRecords"))
    if promised is not None and promised != len(rows):
        raise Transient(f"Salesforce sent only {len(rows):,} of {count_of(promised, 'row')}")
    if any(len(row) != len(header) for row in rows):
        raise Transient("Salesforce sent rows with the wrong number of columns")
    locator = answer.headers.get("Sforce-Locator", "")
    # Behind the last page the header says "null", as a text.
    return _in_order(header, rows, columns), "" if locator == "null" else locator


def _in_order(header: Sequence[str], rows: list[list[str]], columns: Sequence[str]) -> list[list[str]]:
    """The cells under the names of `columns`, which Salesforce spells in a case of its own."""
    places = {name.lower(): place for place, name in enumerate(header)}
    wanted = [places.get(name.lower(), -1) for name in columns]
    if not header or wanted == list(range(len(header))):
        return rows
    if max(wanted) < 0:
        raise Transient("Salesforce sent an unexpected answer instead of the results of a query")
    if -1 in wanted:
        raise QueryFailed(f"the column {columns[wanted.index(-1)]} is not in its results")
    return [[row[place] for place in wanted] for row in rows]


def delete_query(org: Org, job: str) -> None:
    """Tidy up after a query that was read to its end."""
    with contextlib.suppress(RequestRefused, Unavailable):
        org.raw("DELETE", f"jobs/query/{job}", lambda answer: None)
