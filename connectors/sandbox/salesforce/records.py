"""REST calls about records: rows, Collections, queries, what changed, describes, limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from connectors.sandbox.digits import is_count
from connectors.sandbox.salesforce.describe import describe_briefly, describe_field, describe_fully
from connectors.sandbox.salesforce.query import QueryResult, no_type, run_query
from connectors.sandbox.salesforce.reading import Shape
from connectors.sandbox.salesforce.schema import NUMBERS, TEXT
from connectors.sandbox.salesforce.shaping import shape_rows
from connectors.sandbox.salesforce.state import NEWEST, OLDEST, OrgState, release
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.salesforce.values import SalesforceRefusal, parsed, stamp
from connectors.sandbox.salesforce.wire import Answer, SalesforceCall, resource_not_found, row_error
from connectors.sandbox.salesforce.writes import (
    Hand,
    create_record,
    delete_record,
    full_id,
    no_column,
    row_of,
    unknown_fields,
    update_record,
)
from connectors.sandbox.soql import SoqlError, parse_query
from connectors.sandbox.world import salesforce_id

MAX_ROWS = 200
"""Records in one Collections call."""
MAX_LOCATORS = 500
"""Results kept at a time; Salesforce keeps them for two days, which a small machine cannot."""
_DELETE_LOG = 15
"""Days that the log of deletions reaches back, whatever the recycle bin has."""


def hand(call: SalesforceCall) -> Hand:
    """How a call writes, from its headers."""
    duplicates = call.headers.get("sforce-duplicate-rule-header", "").replace(" ", "").lower()
    assigns = call.headers.get("sforce-auto-assign", "TRUE").strip().upper() != "FALSE"
    return Hand(assigns=assigns, allow_duplicates="allowsave=true" in duplicates)


def table_of(state: OrgState, name: str) -> ObjectTable:
    table = state.table(name)
    if table is None:
        raise resource_not_found()
    return table


# --- rows ------------------------------------------------------------------------------------------------------------


def _whole(state: OrgState, table: ObjectTable, fields: str | None) -> Shape:
    shape, visible = Shape(), state.visible(table.sobject.name)
    for name in fields.split(",") if fields else list(visible):
        if name.strip().lower() not in visible:
            raise no_column(name.strip(), table.sobject.name)
        shape.add(visible[name.strip().lower()])
    shape.add(visible["id"])
    return shape


def get_row(state: OrgState, call: SalesforceCall, name: str, id_: str) -> Answer:
    table = table_of(state, name)
    row = row_of(table, id_, missing=resource_not_found())
    shape = _whole(state, table, call.params.get("fields"))
    return Answer(200, shape_rows(state, table, shape, [row], call.base)[0])


def create_row(state: OrgState, call: SalesforceCall, name: str) -> Answer:
    id_ = create_record(state, table_of(state, name), call.record(), hand(call))
    return Answer(201, {"id": id_, "success": True, "errors": []}, {"Location": f"{call.base}/sobjects/{name}/{id_}"})


def _http_date(text: str, header: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        raise SalesforceRefusal("MALFORMED_HEADER", f"{header}: not an HTTP date: {text}") from None


def _unmodified(state: OrgState, call: SalesforceCall, table: ObjectTable, row: int) -> None:
    since = call.headers.get("if-unmodified-since")
    if since is None:
        return
    if parsed(table.get(row, "LastModifiedDate")) > _http_date(since, "If-Unmodified-Since"):
        message = "The record has been modified since the time in If-Unmodified-Since"
        raise SalesforceRefusal("ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE", message, status=412)


def update_row(state: OrgState, call: SalesforceCall, name: str, id_: str) -> Answer:
    table = table_of(state, name)
    row = row_of(table, id_, missing=resource_not_found())
    _unmodified(state, call, table, row)
    update_record(state, table, row, call.record(), hand(call))
    return Answer(204)


def delete_row(state: OrgState, call: SalesforceCall, name: str, id_: str) -> Answer:
    table = table_of(state, name)
    delete_record(state, table, row_of(table, id_, missing=resource_not_found()), hand(call))
    return Answer(204)


def _by_field(state: OrgState, table: ObjectTable, name: str, value: str) -> list[int]:
    each = state.visible(table.sobject.name).get(name.lower())
    if each is None or not (each.external or each.lookup):
        raise resource_not_found(f"Provided external ID field does not exist or is not accessible: {name}")
    wanted = value.lower()
    column = table.columns.get(each.name, [])
    return [row for row, has in enumerate(column) if str(has).lower() == wanted and not table.get(row, "IsDeleted")]


def get_by_field(state: OrgState, call: SalesforceCall, name: str, key: str, value: str) -> Answer:
    table = table_of(state, name)
    rows = _by_field(state, table, key, value)
    if not rows:
        raise resource_not_found()
    return get_row(state, call, name, table.ids[rows[0]])


def upsert_row(state: OrgState, call: SalesforceCall, name: str, key: str, value: str) -> Answer:
    table = table_of(state, name)
    if key.lower() == "id":
        return update_row(state, call, name, value)
    rows = _by_field(state, table, key, value)
    if len(rows) > 1:
        return Answer(300, [f"{call.base}/sobjects/{table.sobject.name}/{table.ids[row]}" for row in rows])
    if rows:
        update_record(state, table, rows[0], call.record(), hand(call))
        return Answer(200, {"id": table.ids[rows[0]], "success": True, "errors": [], "created": False})
    id_ = create_record(state, table, {**call.record(), key: value}, hand(call))
    return Answer(201, {"id": id_, "success": True, "errors": [], "created": True})


# --- Collections -----------------------------------------------------------------------------------------------------


def _records(call: SalesforceCall) -> tuple[list[dict[str, Any]], bool]:
    body = call.record()
    if not isinstance(body.get("records"), list):
        raise SalesforceRefusal(
            "JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no records"
        )
    if not all(isinstance(record, dict) for record in body["records"]):
        raise SalesforceRefusal("JSON_PARSER_ERROR", "Cannot deserialize instance of an object at [line:1, column:1]")
    if len(body["records"]) > MAX_ROWS:
        message = f"record limit reached. cannot submit more than {MAX_ROWS} records into this call"
        raise SalesforceRefusal("EXCEEDED_ID_LIMIT", message)
    return body["records"], bool(body.get("allOrNone"))


def _typed(state: OrgState, record: Mapping[str, Any]) -> ObjectTable:
    name = (record.get("attributes") or {}).get("type")
    table = state.table(str(name))
    if table is None:
        raise SalesforceRefusal("INVALID_TYPE", no_type(str(name)))
    return table


def _chunked(records: list[dict[str, Any]]) -> None:
    types = [str((record.get("attributes") or {}).get("type")).lower() for record in records]
    chunks = sum(at == 0 or types[at] != types[at - 1] for at in range(len(types)))
    if chunks > 10:
        raise SalesforceRefusal("INVALID_REQUEST", f"Too many chunks of one type: {chunks}, at most 10")


def _spoiled(state: OrgState, records: list[dict[str, Any]]) -> None:
    """An unknown field is found while the body is read, before any record is touched."""
    if state.switches.unknown_field != "request":
        return
    for record in records:
        table = _typed(state, record)
        if unknown := unknown_fields(state, table, record):
            raise no_column(unknown[0], table.sobject.name)


def _values(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name.lower() not in ("id", "attributes")}


def _one_update(state: OrgState, record: Mapping[str, Any], by: Hand, seen: set[object]) -> dict[str, Any]:
    id_ = next((value for name, value in record.items() if name.lower() == "id"), None)
    try:
        table = _typed(state, record)
        if id_ is None:
            raise SalesforceRefusal("MISSING_ARGUMENT", "Id not specified in an update call", ("Id",))
        if full_id(id_) in seen:
            raise SalesforceRefusal("DUPLICATE_VALUE", f"Duplicate id specified: {id_}", ("Id",))
        seen.add(full_id(id_))
        row = row_of(table, id_)
        update_record(state, table, row, _values(record), by)
    except SalesforceRefusal as error:
        failed = {"success": False, "errors": [row_error(error)]}
        return {"id": id_, **failed} if state.switches.failed_rows_have_ids else failed
    return {"id": table.ids[row], "success": True, "errors": []}


def update_many(state: OrgState, call: SalesforceCall) -> Answer:
    records, all_or_none = _records(call)
    _chunked(records)
    _spoiled(state, records)
    by, seen = hand(call), set[object]()
    before = _remembered(state, records) if all_or_none else []
    results = [_one_update(state, record, by, seen) for record in records]
    return Answer(200, _all_or_none(state, results, before) if all_or_none else results)


def _remembered(state: OrgState, records: list[dict[str, Any]]) -> list[tuple[ObjectTable, int, dict[str, Any]]]:
    found = [state.locate(full_id(record.get("id") or record.get("Id"))) for record in records]
    return [(table, row, table.record(row)) for table, row in (each for each in found if each)]


def _all_or_none(
    state: OrgState, results: list[dict[str, Any]], before: list[tuple[ObjectTable, int, dict[str, Any]]]
) -> list[dict[str, Any]]:
    if all(result["success"] for result in results):
        return results
    for table, row, record in before:
        for name, value in record.items():
            if name != "Id":
                table.set(row, name, value)
    told = SalesforceRefusal(
        "ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid"
    )
    return [{"success": False, "errors": [row_error(told)]} if result["success"] else result for result in results]


def _one_create(state: OrgState, record: Mapping[str, Any], by: Hand) -> dict[str, Any]:
    try:
        id_ = create_record(state, _typed(state, record), _values(record), by)
    except SalesforceRefusal as error:
        return {"success": False, "errors": [row_error(error)]}
    return {"id": id_, "success": True, "errors": []}


def create_many(state: OrgState, call: SalesforceCall) -> Answer:
    records, _ = _records(call)
    _chunked(records)
    _spoiled(state, records)
    return Answer(200, [_one_create(state, record, hand(call)) for record in records])


def _one_upsert(state: OrgState, record: dict[str, Any], name: str, key: str, call: SalesforceCall) -> dict[str, Any]:
    value = next((value for each, value in record.items() if each.lower() == key.lower()), "")
    inner = call.within("PATCH", "", {}, {each: has for each, has in record.items() if each.lower() != key.lower()}, {})
    try:
        answer = upsert_row(state, inner, name, key, str(value))
    except SalesforceRefusal as error:
        return {"success": False, "errors": [row_error(error)], "created": False}
    return answer.body or {"id": full_id(value), "success": True, "errors": [], "created": False}


def upsert_many(state: OrgState, call: SalesforceCall, name: str, key: str) -> Answer:
    records, _ = _records(call)
    return Answer(200, [_one_upsert(state, record, name, key, call) for record in records])


def _one_delete(state: OrgState, id_: str, by: Hand) -> dict[str, Any]:
    try:
        found = state.locate(full_id(id_))
        if found is None:
            raise SalesforceRefusal(
                "MALFORMED_ID" if full_id(id_) is None else "INVALID_CROSS_REFERENCE_KEY", f"bad id {id_}"
            )
        delete_record(state, found[0], row_of(found[0], id_), by)
    except SalesforceRefusal as error:
        return {"id": id_, "success": False, "errors": [row_error(error)]}
    return {"id": full_id(id_), "success": True, "errors": []}


def delete_many(state: OrgState, call: SalesforceCall) -> Answer:
    ids = [id_ for id_ in call.params.get("ids", "").split(",") if id_]
    return Answer(200, [_one_delete(state, id_, hand(call)) for id_ in ids[:MAX_ROWS]])


def retrieve_many(state: OrgState, call: SalesforceCall, name: str) -> Answer:
    table = table_of(state, name)
    body = call.record() if call.method == "POST" else {key: value.split(",") for key, value in call.params.items()}
    if not isinstance(body.get("ids"), list) or not isinstance(body.get("fields"), list):
        raise SalesforceRefusal("MISSING_ARGUMENT", "ids and fields must be given")
    if len(body["ids"]) > 2000:
        raise SalesforceRefusal("INVALID_REQUEST", "Too many ids: at most 2000")
    shape = _whole(state, table, ",".join(body["fields"]))
    ids = [full_id(id_) or "" for id_ in body["ids"]]
    rows = [None if id_ in table.unshared else table.rows.get(id_) for id_ in ids]
    living = [row for row in rows if row is not None and not table.get(row, "IsDeleted")]
    shown = dict(zip(living, shape_rows(state, table, shape, living, call.base), strict=True))
    return Answer(200, [shown.get(row) if row is not None else None for row in rows])


# --- queries ---------------------------------------------------------------------------------------------------------


class Locators:
    """Query results that are not yet read to their end."""

    def __init__(self) -> None:
        self.open: dict[str, tuple[QueryResult, int]] = {}
        self.number = 0

    def keep(self, found: QueryResult, served: int) -> str:
        self.number += 1
        name = salesforce_id("0r8", self.number)
        if len(self.open) >= MAX_LOCATORS:
            del self.open[next(iter(self.open))]
        self.open[name] = (found, served)
        return name


def _batch(state: OrgState, call: SalesforceCall) -> int:
    options = call.headers.get("sforce-query-options", "").replace(" ", "").lower()
    size = options.removeprefix("batchsize=")
    if is_count(size):
        return min(max(int(size), 200), 2000)
    return state.switches.page_size


def _columns(shape: Shape) -> list[dict[str, Any]]:
    """What `columns=true` tells of a query instead of running it: the Salesforce CLI draws its tables from that."""
    fields = {each.name: each for each in shape.fields}
    shown = []
    for name in shape.order:
        each = fields.get(name)
        below = _columns(shape.parents[name][1]) if name in shape.parents else []
        column = {"aggregate": name in shape.subqueries, "columnName": name, "displayName": name, "joinColumns": below}
        column |= {"apexType": each.type.title() if each else None, "custom": bool(each and each.custom)}
        column |= {"booleanType": bool(each and each.type == "boolean"), "foreignKeyName": None}
        column |= {"numberType": bool(each and each.type in NUMBERS), "textType": bool(each and each.type in TEXT)}
        shown.append(column)
    return shown


def query_records(state: OrgState, locators: Locators, call: SalesforceCall, every: bool) -> Answer:
    text = call.params.get("q")
    if text is None:
        raise SalesforceRefusal("MALFORMED_QUERY", "SOQL statement cannot be null")
    try:
        found = run_query(state, text, parse_query(text), every=every)
    except SoqlError as error:
        raise SalesforceRefusal(error.code, error.message) from None
    if call.params.get("columns") == "true":
        return Answer(200, {"columnMetadata": _columns(found.shape), "entityName": found.table.sobject.name})
    if found.aggregates is not None:
        return Answer(200, {"totalSize": found.total, "done": True, "records": found.aggregates})
    return _page(state, locators, call, found, 0, None)


def query_more(state: OrgState, locators: Locators, call: SalesforceCall, locator: str) -> Answer:
    name, _, offset = locator.partition("-")
    if name not in locators.open or not is_count(offset):
        raise SalesforceRefusal("INVALID_QUERY_LOCATOR", "invalid query locator")
    found, served = locators.open[name]
    if state.switches.locator_pages and served >= state.switches.locator_pages:
        del locators.open[name]
        raise SalesforceRefusal("INVALID_QUERY_LOCATOR", "invalid query locator")
    locators.open[name] = (found, served + 1)
    return _page(state, locators, call, found, int(offset), name)


def _page(
    state: OrgState, locators: Locators, call: SalesforceCall, found: QueryResult, start: int, name: str | None
) -> Answer:
    end = start + _batch(state, call)
    rows = found.rows[start:end]
    answer: dict[str, Any] = {"totalSize": found.total, "done": end >= len(found.rows)}
    if not answer["done"]:
        name = name or locators.keep(found, 1)
        answer["nextRecordsUrl"] = f"{call.base}/query/{name}-{end}"
    return Answer(200, answer | {"records": shape_rows(state, found.table, found.shape, rows, call.base)})


# --- what changed ----------------------------------------------------------------------------------------------------


def _window(call: SalesforceCall) -> tuple[str, str]:
    try:
        start, end = (datetime.fromisoformat(call.params[name].replace(" ", "+")) for name in ("start", "end"))
    except (KeyError, ValueError):
        raise SalesforceRefusal("INVALID_REPLICATION_DATE", "start and end must be ISO 8601 instants") from None
    if start >= end:
        raise SalesforceRefusal(
            "INVALID_REPLICATION_DATE", "startDate before org replication enabled date or after endDate"
        )
    return stamp(start.astimezone(UTC)), stamp(end.astimezone(UTC))


def list_changed(state: OrgState, call: SalesforceCall, name: str, what: str) -> Answer:
    table, (start, end) = table_of(state, name), _window(call)
    rows = [row for row in table.by_stamp(start, end) if table.get(row, "SystemModstamp") < end]
    if what == "updated":
        ids = [table.ids[row] for row in rows if not table.get(row, "IsDeleted")]
        return Answer(200, {"ids": ids, "latestDateCovered": end})
    if (state.clock() - datetime.fromisoformat(start)).days >= _DELETE_LOG:
        raise SalesforceRefusal("INVALID_REPLICATION_DATE", "startDate cannot be more than 15 days ago")
    deleted = [(table.get(row, "SystemModstamp"), table.ids[row]) for row in rows if table.get(row, "IsDeleted")]
    deleted += [each for each in table.purged if start <= each[0] < end]
    gone = [{"deletedDate": at, "id": id_} for at, id_ in deleted]
    return Answer(200, {"deletedRecords": gone, "earliestDateAvailable": start, "latestDateCovered": end})


# --- describes and limits --------------------------------------------------------------------------------------------


def describe_all(state: OrgState, call: SalesforceCall) -> Answer:
    shown = [describe_briefly(table.sobject, call.version) for _, table in sorted(state.tables.items())]
    return Answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown})


def describe_one(state: OrgState, call: SalesforceCall, name: str) -> Answer:
    table = table_of(state, name)
    assert state.changed_at is not None
    changed_at = state.changed_at.astimezone(UTC)
    since = call.headers.get("if-modified-since")
    if since is not None and changed_at <= _http_date(since, "If-Modified-Since"):
        return Answer(304)
    fields = [describe_field(each) for each in state.visible(name).values()]
    body = describe_fully(table.sobject, call.version, fields, state.children(table.sobject.name))
    return Answer(200, body, {"Last-Modified": format_datetime(changed_at, usegmt=True)})


def show_object(state: OrgState, call: SalesforceCall, name: str) -> Answer:
    return Answer(
        200, {"objectDescribe": describe_briefly(table_of(state, name).sobject, call.version), "recentItems": []}
    )


def list_versions() -> list[dict[str, str]]:
    return [
        {"label": release(version), "url": f"/services/data/v{version}.0", "version": f"{version}.0"}
        for version in range(OLDEST, NEWEST + 1)
    ]


def check_version(version: str) -> None:
    """Raises `Refusal`: the version is retired, or there is none such."""
    number, _, minor = version.partition(".")
    if minor != "0" or not is_count(number) or int(number) > NEWEST:
        raise resource_not_found()
    if int(number) < OLDEST:
        raise SalesforceRefusal("GONE", f"API version {version} has been retired", status=410)


_RESOURCES = (
    "tooling",
    "query",
    "queryAll",
    "sobjects",
    "limits",
    "composite",
    "jobs",
    "parameterizedSearch",
    "search",
)


def list_resources(state: OrgState, call: SalesforceCall) -> Answer:
    return Answer(200, {name: f"{call.base}/{name}" for name in _RESOURCES} | {"identity": "/services/oauth2/userinfo"})


def show_limits(state: OrgState, call: SalesforceCall) -> Answer:
    most = state.switches.max_usage
    fixed = {"DailyBulkApiBatches": 15_000, "DailyBulkV2QueryJobs": 10_000, "DailyBulkV2QueryFileStorageMB": 976_562}
    fixed |= {"DailyAsyncApexExecutions": 250_000, "DataStorageMB": 10_240, "FileStorageMB": 10_240}
    shown = {name: {"Max": each, "Remaining": each} for name, each in fixed.items()}
    return Answer(200, {"DailyApiRequests": {"Max": most, "Remaining": max(0, most - state.usage)}} | shown)


def record_count(state: OrgState, call: SalesforceCall) -> Answer:
    wanted = [name for name in call.params.get("sObjects", "").split(",") if name]
    tables = [table for table in map(state.table, wanted) if table] if wanted else list(state.tables.values())
    return Answer(200, {"sObjects": [{"count": len(table), "name": table.sobject.name} for table in tables]})
