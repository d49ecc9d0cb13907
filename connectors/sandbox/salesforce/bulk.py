"""Bulk API 2.0: ingest and query jobs, their CSV, and how far along they say they are."""

from __future__ import annotations

import base64
import csv
import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.digits import is_count
from connectors.sandbox.salesforce.query import QueryResult, run_query
from connectors.sandbox.salesforce.reading import value_reader
from connectors.sandbox.salesforce.state import INTEGRATION_USER, OrgState
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.salesforce.values import SalesforceRefusal, csv_cells
from connectors.sandbox.salesforce.wire import Answer, SalesforceCall
from connectors.sandbox.salesforce.writes import (
    Hand,
    create_record,
    delete_record,
    full_id,
    row_of,
    unknown_fields,
    update_record,
)
from connectors.sandbox.soql import FunctionCall as Function
from connectors.sandbox.soql import Query, SelectColumn, SoqlError, parse_query
from connectors.sandbox.world import salesforce_id

LARGEST_UPLOAD = 150_000_000
DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
NULL = "#N/A"

csv.field_size_limit(LARGEST_UPLOAD)


@dataclass
class Job:
    """A job of either kind. `polls` is how often it will still be seen in progress."""

    id: str
    kind: str
    version: str
    operation: str
    object: str
    created: str
    delimiter: str = "COMMA"
    ending: str = "LF"
    key: str | None = None
    rule: str | None = None
    state: str = "Open"
    final: str = ""
    polls: int = 0
    error: str | None = None
    upload: bytes | None = None
    columns: list[str] = field(default_factory=list)
    done: list[tuple[str, bool, list[str]]] = field(default_factory=list)
    failed: list[tuple[str, str, list[str]]] = field(default_factory=list)
    unprocessed: list[list[str]] = field(default_factory=list)
    found: QueryResult | None = None


class Jobs:
    """Every job of the org, by id."""

    def __init__(self) -> None:
        self.all: dict[str, Job] = {}

    def open(self, kind: str, call: SalesforceCall, operation: str, object_: str, created: str) -> Job:
        job = Job(salesforce_id("750", len(self.all) + 1), kind, call.version, operation, object_, created)
        self.all[job.id] = job
        return job

    def get(self, kind: str, id_: str) -> Job:
        job = self.all.get(full_id(id_) or "")
        if job is None or job.kind != kind or job.state == "Deleted":
            raise SalesforceRefusal("NOT_FOUND", "The requested resource does not exist", status=404)
        return job


# --- what a job says of itself ---------------------------------------------------------------------------------------


def _info(job: Job) -> dict[str, Any]:
    info: dict[str, Any] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": INTEGRATION_USER,
        "createdDate": job.created,
        "systemModstamp": job.created,
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(job.version),
        "lineEnding": job.ending,
        "columnDelimiter": job.delimiter,
    }
    if job.kind == "ingest":
        info |= {"externalIdFieldName": job.key} if job.key else {}
        info |= {"assignmentRuleId": job.rule} if job.rule else {}
        info |= {"contentUrl": f"services/data/v{job.version}/jobs/ingest/{job.id}/batches"}
    return info


def _progress(job: Job) -> dict[str, Any]:
    info = _info(job) | {"jobType": "V2Ingest" if job.kind == "ingest" else "V2Query", "retries": 0}
    info["totalProcessingTime"] = 100
    if job.kind == "ingest":
        processed = len(job.done) + len(job.failed) if job.state in _ENDED else 0
        failed = len(job.failed) if job.state in _ENDED else 0
        info |= {"numberRecordsProcessed": processed, "numberRecordsFailed": failed}
        info |= {"apiActiveProcessingTime": 80, "apexProcessingTime": 0}
    else:
        info["numberRecordsProcessed"] = len(job.found.rows) if job.found and job.state == "JobComplete" else 0
        info["isPkChunkingSupported"] = True
    return info | ({"errorMessage": job.error} if job.error and job.state in _ENDED else {})


_ENDED = frozenset({"JobComplete", "Failed", "Aborted"})


def show_job(state: OrgState, jobs: Jobs, call: SalesforceCall, kind: str, id_: str) -> Answer:
    """A poll: every one sees the job a little further."""
    job = jobs.get(kind, id_)
    if job.state in ("UploadComplete", "InProgress"):
        job.state = "InProgress" if job.polls > 0 else job.final
        job.polls -= 1
    return Answer(200, _progress(job))


def list_jobs(state: OrgState, jobs: Jobs, call: SalesforceCall, kind: str) -> Answer:
    shown = [_info(job) for job in jobs.all.values() if job.kind == kind and job.state != "Deleted"]
    return Answer(200, {"done": True, "nextRecordsUrl": None, "records": shown})


def delete_job(state: OrgState, jobs: Jobs, call: SalesforceCall, kind: str, id_: str) -> Answer:
    job = jobs.get(kind, id_)
    if job.state in ("UploadComplete", "InProgress"):
        raise SalesforceRefusal("INVALIDJOBSTATE", f"Deleting not allowed on job in state {job.state}")
    job.state = "Deleted"
    return Answer(204)


def change_job(state: OrgState, jobs: Jobs, call: SalesforceCall, kind: str, id_: str) -> Answer:
    """`PATCH {"state": …}`: start the job or abort it."""
    job, wanted = jobs.get(kind, id_), call.record().get("state")
    if wanted == "Aborted" and job.state not in _ENDED:
        job.state, job.final = "Aborted", "Aborted"
        if job.upload is not None and not job.done and not job.failed:
            job.columns, job.unprocessed = _rows(job)
    elif wanted == "UploadComplete" and job.state == "Open" and kind == "ingest":
        _start(state, job)
    else:
        raise SalesforceRefusal("INVALIDJOBSTATE", f"Invalid state change from {job.state} to {wanted}")
    return Answer(200, _info(job))


# --- ingest ----------------------------------------------------------------------------------------------------------

_OPERATIONS = frozenset({"insert", "update", "upsert", "delete", "hardDelete"})


def create_ingest(state: OrgState, jobs: Jobs, call: SalesforceCall) -> Answer:
    body = call.record()
    operation, object_ = str(body.get("operation")), str(body.get("object"))
    table = state.table(object_)
    if operation not in _OPERATIONS:
        raise SalesforceRefusal("INVALIDJOB", f"Unrecognized operation: {operation}")
    if table is None:
        raise SalesforceRefusal("INVALIDENTITY", f"Unable to find object: {object_}")
    if body.get("contentType", "CSV") != "CSV":
        raise SalesforceRefusal("INVALIDJOB", "InvalidContentType : only CSV is supported")
    if operation == "upsert" and not body.get("externalIdFieldName"):
        raise SalesforceRefusal("INVALIDJOB", "External ID was blank for an upsert job")
    job = jobs.open("ingest", call, operation, table.sobject.name, state.now())
    _formatted(job, body)
    job.key, job.rule = body.get("externalIdFieldName"), body.get("assignmentRuleId")
    return Answer(200, _info(job))


def _formatted(job: Job, body: dict[str, Any]) -> None:
    job.delimiter, job.ending = str(body.get("columnDelimiter", "COMMA")), str(body.get("lineEnding", "LF"))
    if job.delimiter not in DELIMITERS or job.ending not in ENDINGS:
        raise SalesforceRefusal("INVALIDJOB", f"Unknown columnDelimiter or lineEnding: {job.delimiter}, {job.ending}")


def upload_rows(state: OrgState, jobs: Jobs, call: SalesforceCall, id_: str) -> Answer:
    job = jobs.get("ingest", id_)
    if job.upload is not None or job.state != "Open":
        message = (
            f"Found multiple contents for job: <{job.id}>, please 'Close' / 'Abort' / 'Delete' the current Job then "
            "create a new Job and make sure you only do 'PUT' once on a given Job."
        )
        raise SalesforceRefusal("INVALIDJOBSTATE", message)
    if not call.headers.get("content-type", "").startswith("text/csv"):
        raise SalesforceRefusal("UNSUPPORTED_MEDIA_TYPE", "Content-Type must be text/csv", status=415)
    if len(call.body) > LARGEST_UPLOAD:
        raise SalesforceRefusal("EXCEEDED_MAX_SIZE_REQUEST", "The upload is larger than 150 MB")
    job.upload = call.body
    return Answer(201)


def _rows(job: Job) -> tuple[list[str], list[list[str]]]:
    text = (job.upload or b"").decode("utf-8-sig")
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job.delimiter]))
    return (lines[0], [line for line in lines[1:] if line]) if lines else ([], [])


def _unreadable(state: OrgState, job: Job) -> str | None:
    """What is wrong with an upload as a whole: then the job fails and no row is touched."""
    try:
        text = (job.upload or b"").decode("utf-8-sig")
    except UnicodeDecodeError:
        return "InvalidBatch : Failed to parse CSV. The upload is not UTF-8."
    head = text.split("\n", 1)[0]
    if head.endswith("\r") != (job.ending == "CRLF"):
        return f"LineEnding is invalid on user data. Current LineEnding setting is {job.ending}"
    columns, rows = _rows(job)
    if not columns:
        return "InvalidBatch : The upload is empty"
    table = state.of(job.object)
    if unknown := unknown_fields(state, table, dict.fromkeys(columns)):
        return f"InvalidBatch : Field name not found : {unknown[0]}"
    if job.operation not in ("insert", "upsert") and "id" not in map(str.lower, columns):
        return "InvalidBatch : Field name not found : Id"
    if any(len(row) != len(columns) for row in rows):
        return "InvalidBatch : Failed to parse CSV. A line has more or fewer cells than the header."
    return None


def _start(state: OrgState, job: Job) -> None:
    """Rows are written as soon as the upload is complete; only the telling is slow, as `polls` says."""
    job.state, job.polls = "UploadComplete", state.switches.bulk_polls
    job.error = _unreadable(state, job)
    if job.error:
        job.final = "Failed"
        return
    job.columns, rows = _rows(job)
    most = state.switches.bulk_fails_after
    for row in rows if most < 0 else rows[:most]:
        _ingest(state, job, row)
    job.final = "JobComplete"
    if 0 <= most < len(rows):
        job.final, job.unprocessed = "Failed", rows[most:]
        job.error = "TooManyLockFailure : Too many lock failure 20. Trying again later."


def _ingest(state: OrgState, job: Job, cells: list[str]) -> None:
    id_ = next((cell for name, cell in zip(job.columns, cells, strict=True) if name.lower() == "id"), "")
    values = {
        name: None if cell == NULL else cell
        for name, cell in zip(job.columns, cells, strict=True)
        if cell != "" and name.lower() != "id"
    }
    by = Hand(assigns=bool(job.rule) or state.switches.bulk_assigns)
    try:
        written, created = write_row(state, job.object, job.operation, job.key, id_, values, by)
        job.done.append((written, created, cells))
    except SalesforceRefusal as error:
        job.failed.append((id_, describe_job(error), cells))


def write_row(
    state: OrgState, object_: str, operation: str, key: str | None, id_: str, values: dict[str, Any], by: Hand
) -> tuple[str, bool]:
    """Write one row of a job: its id and whether it was created. Raises `Refusal`."""
    table = state.of(object_)
    if operation == "insert" or (operation == "upsert" and str(key).lower() == "id" and not id_):
        return create_record(state, table, values, by), True
    if operation == "upsert" and str(key).lower() != "id":
        return _upserted(state, table, str(key), values, by)
    row = row_of(table, id_)
    if operation in ("delete", "hardDelete"):
        delete_record(state, table, row, by)
    else:
        update_record(state, table, row, values, by)
    return table.ids[row], False


def _upserted(state: OrgState, table: ObjectTable, key: str, values: dict[str, Any], by: Hand) -> tuple[str, bool]:
    name = next((name for name in values if name.lower() == key.lower()), None)
    if name is None:
        raise SalesforceRefusal("MISSING_ARGUMENT", f"{key} not specified")
    rows = [row for row in table.where(name, [values[name]]) if not table.get(row, "IsDeleted")]
    if len(rows) > 1:
        raise SalesforceRefusal(
            "DUPLICATE_EXTERNAL_ID", f"{key}: more than one record found for external id field", (key,)
        )
    if rows:
        update_record(state, table, rows[0], {each: value for each, value in values.items() if each != name}, by)
        return table.ids[rows[0]], False
    return create_record(state, table, values, by), True


def describe_job(error: SalesforceRefusal) -> str:
    """A refused row as a results file tells it."""
    if error.code == "JSON_PARSER_ERROR":
        return f"INVALID_TYPE_ON_FIELD_IN_RECORD:value not of required type:{' '.join(error.fields)} --"
    return f"{error.code}:{error.message}:{' '.join(error.fields)} --"


def job_results(state: OrgState, jobs: Jobs, call: SalesforceCall, id_: str, which: str) -> Answer:
    """What became of the rows; not in the order they were sent in."""
    job = jobs.get("ingest", id_)
    ended = job.state in _ENDED
    heads = {"successfulResults": ["sf__Id", "sf__Created"], "failedResults": ["sf__Id", "sf__Error"]}
    rows: Iterable[Sequence[str]] = ()
    if ended and which == "successfulResults":
        rows = ([id_, "true" if created else "false", *cells] for id_, created, cells in job.done)
    elif ended and which == "failedResults":
        rows = ([id_, error, *cells] for id_, error, cells in job.failed)
    elif ended:
        rows = job.unprocessed
    shuffled = sorted(rows, key=lambda row: zlib.crc32(row[0].encode()))
    head = heads.get(which, []) + job.columns
    return Answer(200, csv_text([head, *shuffled], DELIMITERS[job.delimiter], ENDINGS[job.ending]), type="text/csv")


def csv_text(rows: Iterable[Sequence[str]], delimiter: str, ending: str) -> bytes:
    """Rows as CSV, every cell in quotes."""
    return _csv(([cell.replace('"', '""') for cell in row] for row in rows), delimiter, ending)


def _csv(rows: Iterable[Sequence[str]], delimiter: str, ending: str) -> bytes:
    return "".join(['"' + f'"{delimiter}"'.join(row) + '"' + ending for row in rows]).encode()


# --- queries ---------------------------------------------------------------------------------------------------------


def _unsupported(query: Query) -> str | None:
    """What Bulk cannot query although REST can."""
    if any(isinstance(item, Query) for item in query.items):
        return "Aggregate Relationships not supported in Bulk Query"
    calls = [item.what for item in query.items if isinstance(item, SelectColumn) and isinstance(item.what, Function)]
    if query.group or any(call.name != "FIELDS" for call in calls):
        return "GROUP BY and aggregate functions are not supported in Bulk Query"
    if query.offset:
        return "OFFSET is not supported in Bulk Query"
    return None


def run_in_bulk(state: OrgState, text: str, *, every: bool) -> QueryResult:
    """What a query finds, if Bulk takes it. Raises `SoqlError` and `Refusal`."""
    query = parse_query(text)
    if problem := _unsupported(query):
        raise SalesforceRefusal("API_ERROR", problem)
    found = run_query(state, text, query, every=every)
    if not found.table.sobject.bulk:
        raise SalesforceRefusal(
            "INVALIDENTITY", f"Entity '{found.table.sobject.name}' is not supported by the Bulk API."
        )
    if any(reach.field.type == "address" for reach in found.reaches):
        raise SalesforceRefusal("API_ERROR", "FeatureNotEnabled : Selecting compound data not supported in Bulk Query")
    return found


def create_query(state: OrgState, jobs: Jobs, call: SalesforceCall) -> Answer:
    body = call.record()
    operation, text = body.get("operation"), str(body.get("query") or "")
    if operation not in ("query", "queryAll"):
        raise SalesforceRefusal("INVALIDJOB", f"Unrecognized operation: {operation}")
    try:
        found = run_in_bulk(state, text, every=operation == "queryAll")
    except SoqlError as error:
        raise SalesforceRefusal("API_ERROR", f"{error.code}: {error.message}") from None
    job = jobs.open("query", call, operation, found.table.sobject.name, state.now())
    _formatted(job, body)
    job.found, job.state, job.final, job.polls = found, "UploadComplete", "JobComplete", state.switches.bulk_polls
    return Answer(200, _info(job))


def query_results(state: OrgState, jobs: Jobs, call: SalesforceCall, id_: str) -> Answer:
    job = jobs.get("query", id_)
    if call.version != job.version:
        raise SalesforceRefusal("VERSION_MISMATCH", "The job was created with another API version", status=409)
    if job.state != "JobComplete" or job.found is None:
        raise SalesforceRefusal("INVALIDJOBSTATE", f"The job is in state {job.state}: results are not available")
    start = _offset(call.params.get("locator"))
    wanted = call.params.get("maxRecords") or str(state.switches.bulk_page)
    if not is_count(wanted) or wanted == "0":
        raise SalesforceRefusal("INVALIDREQUEST", f"maxRecords must be a positive number, not {wanted}")
    end = start + int(wanted)
    rows = job.found.rows[start:end]
    more = end < len(job.found.rows)
    locator = base64.urlsafe_b64encode(str(end).encode()).decode().rstrip("=") if more else "null"
    headers = {"Sforce-NumberOfRecords": str(len(rows)), "Sforce-Locator": locator}
    text = csv_page(state, job.found, rows, DELIMITERS[job.delimiter], ENDINGS[job.ending])
    return Answer(200, text, headers, "text/csv")


def _offset(locator: str | None) -> int:
    if not locator or locator == "null":
        return 0
    try:
        found = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode()
    except ValueError:
        found = ""
    if not is_count(found):
        raise SalesforceRefusal("INVALIDLOCATOR", "Invalid locator")
    return int(found)


def csv_page(state: OrgState, found: QueryResult, rows: Sequence[int], delimiter: str, ending: str) -> bytes:
    """Rows of a query as CSV, with a header."""
    columns = []
    for reach in found.reaches:
        read: Callable[[int], Any] = value_reader(state, found.table, reach)
        columns.append(csv_cells(reach.field, [read(row) for row in rows]))
    return _csv([[reach.name for reach in found.reaches], *zip(*columns, strict=True)], delimiter, ending)
