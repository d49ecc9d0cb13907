"""Bulk API 2.0, both ways: jobs whose ids are kept before anything is uploaded, none aborted once it has begun."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote

import requests
from simple_salesforce.api import Salesforce
from urllib3.exceptions import HTTPError

from connectors.http import header_number
from connectors.salesforce.client import Org
from connectors.salesforce.errors import CRM, RequestRefused, bulk_job, id_in
from connectors.salesforce.result_files import ResultFile
from connectors.salesforce.row_errors import SILENT, RowError, refusal_of_bulk
from crmsync.connector import Notes, Stop
from crmsync.counts import count_of
from crmsync.errors import Cancelled, Transient, Unavailable, quote_crm

BODY = 100_000_000
"""Bytes of CSV for one job: Salesforce takes 150 MB after its own encoding, which adds half (2026-11)."""

RESULT_ROWS = 250_000
"""Rows of one page of a query job's results; each page is an API request."""

FEWEST_ROWS = 5_000
"""Rows to which a page shrinks where pages break off on their way, each time to a quarter."""

HANDED_ON = 10_000
"""Rows of a page that are in memory together."""

PAUSES = (2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
"""Seconds before looks at a job; the last one goes on. Every look is an API request."""

NULL = "#N/A"
"""What clears a field in a CSV; an empty cell leaves it as it is."""

ENDED = frozenset({"JobComplete", "Failed", "Aborted"})
NOTE = "ingest:"


class NotBegun(Exception):
    """Salesforce does not take this job, and has done nothing: the same work can be done by REST."""


def await_job(org: Org, path: str, *, just_begun: bool = False) -> dict[str, Any]:
    """The job once it has ended. Raises `Unavailable` when it takes longer than `bulk_wait`; it then runs on."""
    waited, number = 0.0, 0
    while True:
        # A job that has just begun is never done yet: to look at it would be a call in vain.
        if number or not just_begun:
            job: dict[str, Any] = org.rest("GET", path, read=bulk_job)
            if job["state"] in ENDED:
                return job
        pause = PAUSES[min(number, len(PAUSES) - 1)]
        if number and waited + pause > org.settings.bulk_wait.total_seconds():
            job_id = path.rpartition("/")[2]
            raise Unavailable(
                CRM, f"Salesforce is still working on the bulk job {job_id}; the next run continues with it"
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
        ended = await_job(org, f"jobs/ingest/{job}", just_begun=True)
        yield from _results(org, job, ended, ids)
        # Not before every result was handed on: after a crash the next run must find the job. It is not deleted, which
        # would be a call: for a week admins can look at it in Setup > Bulk Data Load Jobs.
        del notes[NOTE + job]


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
            del notes[NOTE + job]


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
    """By id, never by position: Salesforce returns rows in an order of its own.

    The rows that were taken are listed only where the job's own counts leave open which these are.
    """
    # Ids come with 15 characters or with 18; the first 15 are the same.
    known = {each[:15]: each for each in ids}
    told: dict[str, RowError | None] = {}
    is_whole = ended["state"] == "JobComplete" and ended.get("numberRecordsProcessed") == len(ids)
    failed = ended.get("numberRecordsFailed")
    if not (is_whole and failed == 0):
        for id_, error in _result_rows(org, job, "failedResults"):
            if id_[:15] in known:
                told[id_[:15]] = refusal_of_bulk(error)
    if is_whole and failed == len(told):
        told = {**dict.fromkeys(known), **told}
    else:
        for id_, _ in _result_rows(org, job, "successfulResults"):
            told.setdefault(id_[:15], None)
    if ended["state"] != "JobComplete":
        unprocessed = RowError("JOB_FAILED", str(ended.get("errorMessage") or ended["state"])[:500])
        for id_, _ in _result_rows(org, job, "unprocessedrecords"):
            told.setdefault(id_[:15], unprocessed)
    yield from ((full, told.get(short, SILENT)) for short, full in known.items())


def _result_rows(org: Org, job: str, which: str) -> Iterator[tuple[str, str]]:
    """The id of each row, and what was wrong with it."""
    path = f"jobs/ingest/{job}/{which}/"
    with contextlib.closing(org.raw("GET", path, lambda answer: _named_rows(answer, org.stop), stream=True)) as file:
        rows = file.rows()
        header = next(rows, [])
        places = [header.index(name) for name in ("sf__Id", "Id") if name in header]
        error = header.index("sf__Error") if "sf__Error" in header else -1
        for row in rows:
            cells = dict(enumerate(row))
            id_ = next((cells[place] for place in places if cells.get(place)), "")
            yield id_, cells.get(error, "")


def _named_rows(answer: requests.Response, stop: Stop) -> ResultFile:
    """A file of results once it is here whole."""
    file = ResultFile(answer, stop)
    try:
        rows = file.rows()
        header = next(rows, [])
        if header and not {"Id", "sf__Id"} & set(header):
            raise Transient("Salesforce sent an unexpected answer instead of the results of a job")
        for _ in rows:
            pass
    except BaseException:
        file.close()
        raise
    return file


class QueryFailed(Exception):
    """A query job that will never give its rows."""


def begin_query(org: Org, soql: str) -> str:
    """Begin a query job that sees deleted and archived rows, and return its id."""
    org.page_breaks = 0
    try:
        job = org.rest("POST", "jobs/query", {"operation": "queryAll", "query": soql}, read=id_in)
    except RequestRefused as error:
        raise NotBegun(error.message) from error
    return str(job["id"])


def ended_query(org: Org, job: str, *, just_begun: bool = False) -> int | None:
    """Wait for a query job and return its number of rows, `None` where it does not say.

    Raises `QueryFailed` where it gave up: that is no answer.
    """
    ended = await_job(org, f"jobs/query/{job}", just_begun=just_begun)
    if ended["state"] != "JobComplete":
        raise QueryFailed(quote_crm(str(ended.get("errorMessage") or ended["state"])))
    rows: int | None = ended.get("numberRecordsProcessed")
    return rows


def refuse_short(read: int, promised: int | None) -> None:
    """Raise `QueryFailed` where a job's pages had another number of rows than it said."""
    if promised is not None and read != promised:
        raise QueryFailed(f"it returned only {read:,} of {count_of(promised, 'row')}")


class ResultPage(NamedTuple):
    """A page of results, saved whole: how many rows it has, the locator of the next page, empty behind the last.

    `places` are those of the wanted columns in its rows.
    """

    file: ResultFile
    size: int
    locator: str
    places: Sequence[int]

    def parts(self) -> Iterator[list[list[str]]]:
        """Its rows, some at a time, their cells in the order of the wanted columns; at least one part."""
        rows = self.file.rows()
        next(rows, None)
        for _ in range(max(1, -(-self.size // HANDED_ON))):
            yield [[row[place] for place in self.places] for row in islice(rows, HANDED_ON)]


@contextlib.contextmanager
def job_page(org: Org, job: str, locator: str, columns: Sequence[str]) -> Iterator[ResultPage]:
    """One page of results with these columns; gone when the block ends. Raises `QueryFailed` where one is missing.

    Where a page breaks off on its way, it is asked for again with fewer rows, and so are those behind it: a locator is
    good for pages of any size.
    """
    at = f"&locator={quote(locator, safe='')}" if locator else ""

    def exchange(client: Salesforce) -> ResultPage:
        rows = max(RESULT_ROWS // 4**org.page_breaks, min(RESULT_ROWS, FEWEST_ROWS))
        path = f"jobs/query/{job}/results?maxRecords={rows}{at}"
        answer = org.sent(client, "GET", path, {"headers": {"Accept": "text/csv"}, "stream": True})
        try:
            return _whole_page(answer, org.stop, columns)
        except (Transient, requests.RequestException, HTTPError):
            org.page_breaks += 1
            raise

    page = org.call(exchange)
    with contextlib.closing(page.file):
        yield page


def _whole_page(answer: requests.Response, stop: Stop, columns: Sequence[str]) -> ResultPage:
    """Whole pages only: a page that is short of rows or cells is read again."""
    file = ResultFile(answer, stop)
    try:
        rows, count = file.rows(), 0
        header = next(rows, [])
        for row in rows:
            count += 1
            if len(row) != len(header):
                raise Transient("Salesforce sent rows with the wrong number of columns")
        promised = header_number(answer.headers.get("Sforce-NumberOfRecords"))
        if promised is not None and promised != count:
            raise Transient(f"Salesforce sent only {count:,} of {count_of(promised, 'row')}")
        locator = answer.headers.get("Sforce-Locator", "")
        # Behind the last page the header says "null", as a text.
        return ResultPage(file, count, "" if locator == "null" else locator, _places(header, columns))
    except BaseException:
        file.close()
        raise


def _places(header: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where the columns stand, whose names Salesforce spells in a case of its own."""
    there = {name.lower(): place for place, name in enumerate(header)}
    places = [there.get(name.lower(), -1) for name in columns]
    if not header:
        return []
    if max(places) < 0:
        raise Transient("Salesforce sent an unexpected answer instead of the results of a query")
    if -1 in places:
        raise QueryFailed(f"the column {columns[places.index(-1)]} is not in its results")
    return places


def delete_query(org: Org, job: str) -> None:
    """Tidy up after a query that was read to its end: its results are a copy of everybody."""
    with contextlib.suppress(RequestRefused, Unavailable):
        org.raw("DELETE", f"jobs/query/{job}", lambda answer: None)
