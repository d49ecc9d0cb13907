"""Exports and imports: slow jobs that HubSpot does in its own time, here so many polls after they were asked for."""

from __future__ import annotations

import csv
import email.parser
import email.policy
import io
import zipfile
from collections import Counter
from typing import Any

import orjson

from connectors.sandbox.hubspot.catalog import object_type
from connectors.sandbox.hubspot.records import RecordTable, StoredRecord, value_of
from connectors.sandbox.hubspot.search import select_records
from connectors.sandbox.hubspot.state import BadCell, ExportJob, Import, PortalState
from connectors.sandbox.hubspot.wire import (
    HubspotCall,
    HubspotRefusal,
    Json,
    Reply,
    bad_request,
    error,
    instant,
    iso,
    not_found,
    page_size,
    paging_of,
)

_DAY = 86_400_000
_LINK_LIFE = 300_000
_MOST_EXPORTS, _MOST_IMPORTS = 30, 500
_MOST_ROWS = 1_048_576
_ZIPPED_FROM = 2_000_000
_EXPORT_NEEDS = ("exportType", "exportName", "format", "language", "objectType", "objectProperties")
_FINAL = frozenset({"DONE", "FAILED", "CANCELED"})


# --- exports ---------------------------------------------------------------------------------------------------------


def start_export(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/exports/export/async`: 202 and an id to ask for. Thirty a day."""
    body = call.json()
    if lacking := [name for name in _EXPORT_NEEDS if not body.get(name)]:
        raise bad_request(f"Some required fields were not set: [{', '.join(lacking)}]")
    records = state.records_of(str(body["objectType"]))
    if body["exportType"] != "VIEW" or body["format"] != "CSV":
        raise bad_request("The sandbox exports views as CSV only.")
    unknown = [name for name in body["objectProperties"] if name not in records.schema.known]
    if unknown:
        raise bad_request(f"Unknown properties: {', '.join(unknown)}")
    _check_daily([each.asked_at for each in state.exports.values()], call.now, _MOST_EXPORTS, "exports")
    made = ExportJob(str(9_000_001 + len(state.exports)), body, call.now, state.switches.job_polls)
    state.exports[made.id] = made
    link = f"https://api.hubapi.com{call.path}/tasks/{made.id}/status"
    return Reply(202, {"id": made.id, "links": {"status": link}})


def _check_daily(asked: list[int], now: int, most: int, word: str) -> None:
    if sum(at > now - _DAY for at in asked) >= most:
        raise HubspotRefusal(429, error(f"You have reached the limit of {most} {word} in 24 hours.", "RATE_LIMITS"))


def export_status(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/export/async/tasks/{id}/status`; once complete, each answer has a new link, good for five minutes."""
    found = state.exports.get(call.params["id"])
    if found is None:
        raise not_found("resource not found")
    answer = {"requestedAt": iso(found.asked_at), "startedAt": iso(found.asked_at), "completedAt": iso(call.now)}
    if any(not each.content for each in state.exports.values() if each.id < found.id):
        return answer | {"status": "PENDING"}
    if found.polls_left > 0:
        found.polls_left -= 1
        return answer | {"status": "PROCESSING"}
    if not found.content:
        found.content = _exported(state, found.wanted, call.now)
    state.links_given += 1
    name = f"{found.id}-{state.links_given}"
    state.downloads[name] = (found.id, call.now + _LINK_LIFE)
    return answer | {"status": "COMPLETE", "result": f"http://{call.headers.get('host', '')}/hubfs-exports/{name}"}


def download_file(state: PortalState, call: HubspotCall) -> Reply:
    """The file of an export; whoever has the link may have it, for five minutes."""
    number, until = state.downloads.get(call.params["id"], ("", 0))
    if until <= call.now:
        raise HubspotRefusal(403, "<html><body>Request has expired</body></html>")
    content = state.exports[number].content
    kind = "application/zip" if content[:2] == b"PK" else "text/csv;charset=utf-8"
    return Reply(200, content, {"Content-Type": kind})


def _exported(state: PortalState, wanted: Json, now: int) -> bytes:
    records = state.records_of(str(wanted["objectType"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    internal = wanted.get("exportInternalValuesOptions") or []
    names = ["hs_object_id", *(name for name in wanted["objectProperties"] if name != "hs_object_id")]
    others = _others(state, wanted)
    writer.writerow([*_headings(records, names, "NAMES" in internal), *(_heading(each) for each in others)])
    asked = wanted.get("publicCrmSearchRequest") or {}
    for record in select_records(state, records, asked, now):
        values = [_cell(state, records, record, name, "VALUES" in internal) for name in names]
        linked = [state.links.of((records.kind.name, each.kind.name), record.id) for each in others]
        writer.writerow([*values, *(";".join(map(str, each)) for each in linked)])
    content = text.getvalue().encode()
    return content if len(content) <= _ZIPPED_FROM else _zipped(content, str(wanted["exportName"]))


def _others(state: PortalState, wanted: Json) -> list[RecordTable]:
    asked = wanted.get("associatedObjectType") or []
    return [state.records_of(str(each)) for each in ([asked] if isinstance(asked, str) else asked)]


def _headings(records: RecordTable, names: list[str], internal: bool) -> list[str]:
    return names if internal else ["Record ID", *(records.schema.known[name]["label"] for name in names[1:])]


def _heading(other: RecordTable) -> str:
    return f"Associated {other.kind.singular.title()} IDs"


def _cell(state: PortalState, records: RecordTable, record: StoredRecord, name: str, internal: bool) -> str:
    value = value_of(records, record, name)
    definition = records.schema.known[name]
    if value and definition["type"] == "datetime" and state.switches.export_times == "milliseconds":
        return str(instant(value))
    if internal or not value:
        return value or ""
    labels = {each["value"]: each["label"] for each in definition["options"]}
    return str(labels.get(value, value))


def _zipped(content: bytes, name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}.csv"), content)
    return packed.getvalue()


# --- imports ---------------------------------------------------------------------------------------------------------


def start_import(state: PortalState, call: HubspotCall) -> Json:
    """`POST …/imports`: a form with `files` and an `importRequest`."""
    parts = _parts(call)
    try:
        wanted = orjson.loads(parts["importRequest"])
        mappings = [dict(each) for each in wanted["files"][0]["fileImportPage"]["columnMappings"]]
        rows = list(csv.DictReader(io.StringIO(parts.get("files", b"").decode("utf-8-sig"))))
    except (KeyError, IndexError, TypeError, ValueError, csv.Error) as problem:
        raise bad_request("The importRequest or its file is missing, incomplete or of another form.") from problem
    for each in mappings:
        _check_mapping(state, each)
    if len(rows) > _MOST_ROWS:
        raise HubspotRefusal(429, error(f"A file may have {_MOST_ROWS} rows.", "RATE_LIMITS"))
    _check_daily([each.asked_at for each in state.imports.values()], call.now, _MOST_IMPORTS, "imports")
    made = Import(str(7_000_001 + len(state.imports)), wanted, rows, call.now, state.switches.job_polls)
    state.imports[made.id] = made
    return _import_json(made)


def _parts(call: HubspotCall) -> dict[str, bytes]:
    """The parts of a multipart form by their names."""
    head = f"Content-Type: {call.headers.get('content-type', '')}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + call.raw)
    found: dict[str, bytes] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload: Any = part.get_payload(decode=True)
        found[str(name)] = payload
    return found


def _check_mapping(state: PortalState, mapping: Json) -> None:
    kind = object_type(str(mapping.get("columnObjectTypeId")))
    name = mapping.get("propertyName")
    if kind is None or "columnName" not in mapping or (name and name not in state.records[kind.name].schema.known):
        raise bad_request(f"Column {mapping.get('columnName')} is mapped to {name}, which does not exist.")


def _import_json(made: Import) -> Json:
    return {
        "id": made.id,
        "state": made.state,
        "createdAt": iso(made.asked_at),
        "updatedAt": iso(made.asked_at),
        "importName": str(made.wanted.get("name", "")),
        "importSource": "API",
        "optOutImport": False,
        "mappedObjectTypeIds": ["0-1"],
        "metadata": {"counters": dict(made.counters), "fileIds": ["1"], "objectLists": []},
    }


def list_imports(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/imports`: all of them, newest first."""
    return {"results": [_import_json(each) for each in reversed(state.imports.values())]}


def import_status(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/imports/{id}`; the rows are written when the last poll finds it done."""
    found = _import(state, call)
    if found.state not in _FINAL:
        found.state = "PROCESSING" if found.polls_left > 0 else "DONE"
        found.polls_left -= 1
        if found.state == "DONE":
            _write_rows(state, found, call.now)
    return _import_json(found)


def _import(state: PortalState, call: HubspotCall) -> Import:
    found = state.imports.get(call.params["id"])
    if found is None:
        raise not_found("resource not found")
    return found


def cancel_import(state: PortalState, call: HubspotCall) -> Json:
    """`POST …/imports/{id}/cancel`."""
    found = _import(state, call)
    if found.state not in _FINAL:
        found.state = "CANCELED"
    return {"status": "COMPLETE", "startedAt": iso(call.now), "completedAt": iso(call.now)}


def import_errors(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/imports/{id}/errors`: the cells and rows that were not taken."""
    found = _import(state, call)
    start, limit = call.number("after"), page_size(call.one("limit") or 100, 500)
    results = [_error_json(found, each, call, at) for at, each in enumerate(found.errors, 1)]
    answer: Json = {"results": results[start : start + limit]}
    if start + limit < len(results):
        answer["paging"] = paging_of(call, str(start + limit))
    return answer


_ERROR_TYPES = {
    "INVALID_OPTION": "INVALID_ENUMERATION_OPTION",
    "INVALID_INTEGER": "COULD_NOT_PARSE_NUMBER",
    "INVALID_DATE": "COULD_NOT_PARSE_DATE",
}
"""What an import calls what a write calls otherwise."""


def _error_json(found: Import, each: BadCell, call: HubspotCall, number: int) -> Json:
    body: Json = {
        "id": str(number),
        "createdAt": call.now,
        "errorType": _ERROR_TYPES.get(each.code, each.code),
        "objectTypeId": "0-1",
        "sourceData": {
            "fileId": 1,
            "lineNumber": each.line,
            "containsEncryptedProperties": False,
            "rowData": [],
            "additionalRowData": [],
        },
        "invalidValue": each.value,
    }
    if call.flag("includeErrorMessage"):
        body["errorMessage"] = each.message
    if call.flag("includeRowData"):
        body["sourceData"]["rowData"] = list(found.rows[each.line - _first_line(found)].values())
    return body


def _first_line(found: Import) -> int:
    return 2 if found.wanted["files"][0]["fileImportPage"].get("hasHeader", True) else 1


def _write_rows(state: PortalState, found: Import, at: int) -> None:
    """Write every row in the same millisecond, and count."""
    operation = (found.wanted.get("importOperations") or {}).get("0-1", "UPSERT")
    counters: Counter[str] = Counter({"TOTAL_ROWS": len(found.rows)})
    for line, row in enumerate(found.rows, _first_line(found)):
        counters[_write_row(state, found, row, line, operation, at)] += 1
    counters["PROPERTY_VALUES_EMITTED"] = counters["UPDATED_OBJECTS"] + counters["CREATED_OBJECTS"]
    found.counters = counters


def _write_row(state: PortalState, found: Import, row: dict[str, str], line: int, operation: str, at: int) -> str:
    record, values = _row(state, found, row)
    clean, problems = state.contacts.schema.cleaned(values)
    problems += state.checked_owner(clean)
    found.errors += [BadCell(line, each.code, str(values.get(each.name, "")), each.message) for each in problems]
    for each in problems:
        clean.pop(each.name, None)
    if record:
        state.change("contacts", record, clean, at, "IMPORT")
        return "UPDATED_OBJECTS"
    if operation == "UPDATE":
        found.errors.append(BadCell(line, "INVALID_OBJECT_ID", "", "No record was found for this row"))
        return "ERRORS"
    state.make("contacts", clean, at, "IMPORT")
    return "CREATED_OBJECTS"


def _row(state: PortalState, found: Import, row: dict[str, str]) -> tuple[StoredRecord | None, dict[str, str]]:
    """The record a row is about, and its values; what an empty cell does is up to the portal."""
    record: StoredRecord | None = None
    values: dict[str, str] = {}
    for mapping in found.wanted["files"][0]["fileImportPage"]["columnMappings"]:
        text, kind = row.get(mapping["columnName"]) or "", mapping.get("columnType")
        if kind == "HUBSPOT_OBJECT_ID":
            record = state.contacts.find(text)
        elif text or state.switches.empty_cells == "clear":
            values[mapping["propertyName"]] = text
        if kind == "HUBSPOT_ALTERNATE_ID":
            record = state.contacts.by_unique(mapping["propertyName"], text) if text else None
    return (record if record and record.archived_at is None else None), values
