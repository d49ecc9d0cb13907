"""The first Bulk API (`/services/async/…`), for clients that never left it: XML or JSON around CSV or JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import orjson

from connectors.sandbox.salesforce.bulk import csv_page, csv_text, describe_job, run_in_bulk, write_row
from connectors.sandbox.salesforce.query import QueryResult
from connectors.sandbox.salesforce.shaping import shape_rows
from connectors.sandbox.salesforce.state import INTEGRATION_USER, OrgState
from connectors.sandbox.salesforce.values import SalesforceRefusal
from connectors.sandbox.salesforce.wire import Answer, SalesforceCall
from connectors.sandbox.salesforce.writes import Hand
from connectors.sandbox.soql import SoqlError
from connectors.sandbox.world import salesforce_id

_NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
_OPERATIONS = frozenset({"query", "queryAll", "insert", "update", "upsert", "delete", "hardDelete"})


@dataclass
class Batch:
    """One batch: a query, or records, and what became of them."""

    id: str
    error: str | None = None
    found: QueryResult | None = None
    results: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class LegacyJob:
    """One job and its batches. `form` is CSV, JSON or XML."""

    id: str
    operation: str
    object: str
    form: str
    key: str | None
    created: str
    state: str = "Open"
    batches: dict[str, Batch] = field(default_factory=dict)


class LegacyJobs:
    """Every job of the first kind, by id."""

    def __init__(self) -> None:
        self.all: dict[str, LegacyJob] = {}

    def get(self, id_: str) -> LegacyJob:
        if id_ not in self.all:
            raise SalesforceRefusal("InvalidJob", f"Unable to find job: {id_}")
        return self.all[id_]


def _wants_json(call: SalesforceCall) -> bool:
    return "json" in call.headers.get("content-type", "") + call.headers.get("accept", "")


def _xml(name: str, values: Mapping[str, Any]) -> bytes:
    inside = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in values.items() if value is not None)
    return f'<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="{_NAMESPACE}">{inside}</{name}>'.encode()


def _told(name: str, values: Mapping[str, Any], as_json: bool, status: int = 200) -> Answer:
    if as_json:
        return Answer(status, {key: value for key, value in values.items() if value is not None})
    return Answer(status, _xml(name, values), type="application/xml")


def refuse_legacy(error: SalesforceRefusal, call: SalesforceCall) -> Answer:
    """A refused call in the first Bulk API's own words."""
    code = "InvalidSessionId" if error.code == "INVALID_SESSION_ID" else error.code
    return _told("error", {"exceptionCode": code, "exceptionMessage": error.message}, _wants_json(call), 400)


def _asked(call: SalesforceCall) -> dict[str, Any]:
    if _wants_json(call):
        return call.record()
    try:
        root = ElementTree.fromstring(call.body.decode())
    except (ElementTree.ParseError, UnicodeDecodeError):
        raise SalesforceRefusal("InvalidJob", "Unable to parse Job") from None
    return {re.sub(r"\{.*\}", "", each.tag): each.text for each in root}


def _job_info(job: LegacyJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": INTEGRATION_USER,
        "createdDate": job.created,
        "systemModstamp": job.created,
        "state": job.state,
        "externalIdFieldName": job.key,
        "concurrencyMode": "Parallel",
        "contentType": job.form,
        "numberBatchesQueued": 0,
        "numberBatchesInProgress": 0,
        "numberBatchesCompleted": sum(batch.error is None for batch in job.batches.values()),
        "numberBatchesFailed": sum(batch.error is not None for batch in job.batches.values()),
        "numberBatchesTotal": len(job.batches),
        "numberRecordsProcessed": sum(map(_processed, job.batches.values())),
        "numberRetries": 0,
        "apiVersion": 66.0,
    }


def _processed(batch: Batch) -> int:
    return len(batch.found.rows) if batch.found else len(batch.results)


def _batch_info(job: LegacyJob, batch: Batch) -> dict[str, Any]:
    failed = sum(not result["success"] for result in batch.results)
    return {
        "id": batch.id,
        "jobId": job.id,
        "state": "Failed" if batch.error else "Completed",
        "stateMessage": batch.error,
        "createdDate": job.created,
        "systemModstamp": job.created,
        "numberRecordsProcessed": _processed(batch),
        "numberRecordsFailed": failed,
        "totalProcessingTime": 1,
    }


def create_job(state: OrgState, jobs: LegacyJobs, call: SalesforceCall) -> Answer:
    asked = _asked(call)
    operation, table = str(asked.get("operation")), state.table(str(asked.get("object")))
    if operation not in _OPERATIONS or table is None:
        raise SalesforceRefusal("InvalidJob", f"Invalid operation or object: {operation}, {asked.get('object')}")
    form = str(asked.get("contentType") or "CSV").upper()
    id_ = salesforce_id("750", 1_000_000 + len(jobs.all))
    job = LegacyJob(id_, operation, table.sobject.name, form, asked.get("externalIdFieldName"), state.now())
    jobs.all[id_] = job
    return _told("jobInfo", _job_info(job), _wants_json(call), 201)


def change_legacy_job(state: OrgState, jobs: LegacyJobs, call: SalesforceCall, id_: str) -> Answer:
    job = jobs.get(id_)
    job.state = str(_asked(call).get("state") or job.state)
    return _told("jobInfo", _job_info(job), _wants_json(call))


def look_job(state: OrgState, jobs: LegacyJobs, call: SalesforceCall, id_: str) -> Answer:
    return _told("jobInfo", _job_info(jobs.get(id_)), _wants_json(call))


def add_batch(state: OrgState, jobs: LegacyJobs, call: SalesforceCall, id_: str) -> Answer:
    """Take a batch; it is done at once."""
    job = jobs.get(id_)
    if job.state != "Open":
        raise SalesforceRefusal("InvalidJobState", "Job is not open, a batch cannot be added")
    batch = Batch(salesforce_id("751", 1_000_000 + sum(len(each.batches) for each in jobs.all.values())))
    job.batches[batch.id] = batch
    if job.operation in ("query", "queryAll"):
        _query(state, job, batch, call.body.decode())
    else:
        batch.results = [_write(state, job, record) for record in _records(job, call)]
    return _told("batchInfo", _batch_info(job, batch), job.form == "JSON", 201)


def _query(state: OrgState, job: LegacyJob, batch: Batch, text: str) -> None:
    try:
        batch.found = run_in_bulk(state, text, every=job.operation == "queryAll")
    except (SoqlError, SalesforceRefusal) as error:
        batch.error = f"InvalidBatch : Failed to process query: {error.code}: {error.message}"


def _records(job: LegacyJob, call: SalesforceCall) -> list[dict[str, Any]]:
    if job.form == "JSON":
        return list(call.json())
    return list(csv.DictReader(io.StringIO(call.body.decode("utf-8-sig"), newline="")))


def _write(state: OrgState, job: LegacyJob, record: Mapping[str, Any]) -> dict[str, Any]:
    id_ = str(next((value for name, value in record.items() if name.lower() == "id"), None) or "")
    values = {name: value for name, value in record.items() if name.lower() not in ("id", "attributes")}
    if job.form == "CSV":
        values = {name: None if cell == "#N/A" else cell for name, cell in values.items() if cell not in ("", None)}
    try:
        written, created = write_row(state, job.object, job.operation, job.key, id_, values, Hand(assigns=False))
    except SalesforceRefusal as error:
        shown = {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}
        return {"success": False, "created": False, "id": None, "errors": [shown], "error": describe_job(error)}
    return {"success": True, "created": created, "id": written, "errors": [], "error": ""}


def list_batches(state: OrgState, jobs: LegacyJobs, call: SalesforceCall, id_: str) -> Answer:
    job = jobs.get(id_)
    infos = [_batch_info(job, batch) for batch in job.batches.values()]
    if job.form == "JSON":
        return Answer(200, {"batchInfo": infos})
    parts = b"".join(_xml("batchInfo", info).split(b"?>", 1)[1] for info in infos)
    body = f'<?xml version="1.0" encoding="UTF-8"?><batchInfoList xmlns="{_NAMESPACE}">'.encode()
    return Answer(200, body + parts + b"</batchInfoList>", type="application/xml")


def _batch(job: LegacyJob, id_: str) -> Batch:
    if id_ not in job.batches:
        raise SalesforceRefusal("InvalidBatch", f"Unable to find batch: {id_}")
    return job.batches[id_]


def look_batch(state: OrgState, jobs: LegacyJobs, call: SalesforceCall, id_: str, batch: str) -> Answer:
    job = jobs.get(id_)
    return _told("batchInfo", _batch_info(job, _batch(job, batch)), job.form == "JSON")


def list_results(state: OrgState, jobs: LegacyJobs, call: SalesforceCall, id_: str, batch: str) -> Answer:
    """For a query the names of its results, of which there is one; otherwise what became of each record, in order."""
    job = jobs.get(id_)
    done = _batch(job, batch)
    if done.found is not None:
        result = salesforce_id("752", 1)
        if job.form == "JSON":
            return Answer(200, [result])
        return Answer(200, _xml("result-list", {"result": result}), type="application/xml")
    if job.form == "JSON":
        return Answer(200, [{key: value for key, value in each.items() if key != "error"} for each in done.results])
    rows = [
        (each["id"] or "", str(each["success"]).lower(), str(each["created"]).lower(), each["error"])
        for each in done.results
    ]
    return Answer(200, csv_text([("Id", "Success", "Created", "Error"), *rows], ",", "\n"), type="text/csv")


def batch_result(state: OrgState, jobs: LegacyJobs, call: SalesforceCall, id_: str, batch: str, _: str) -> Answer:
    job = jobs.get(id_)
    found = _batch(job, batch).found
    if found is None:
        raise SalesforceRefusal("InvalidBatch", "The batch has no such result")
    if job.form == "JSON":
        return Answer(200, orjson.dumps(shape_rows(state, found.table, found.shape, found.rows, call.base)))
    return Answer(200, csv_page(state, found, found.rows, ",", "\n"), type="text/csv")
