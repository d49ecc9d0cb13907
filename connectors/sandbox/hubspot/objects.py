"""The endpoints that read objects: list, one record, batch read."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.sandbox.digits import is_count
from connectors.sandbox.hubspot.batches import BATCH, batch_reply, fail_reads, ids_of, inputs_of, missing_ids
from connectors.sandbox.hubspot.catalog import object_type
from connectors.sandbox.hubspot.records import RecordTable, StoredRecord, as_json, list_versions_of
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.wire import (
    HubspotCall,
    Json,
    Reply,
    bad_request,
    names_of_body,
    not_found,
    not_found_page,
    paging_of,
)

HISTORY_PAGE = 50


def list_objects(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/objects/{type}`: a page in id order."""
    records = state.records_of(call.params["type"])
    histories = call.many("propertiesWithHistory")
    limit = call.limit(10, HISTORY_PAGE if histories else BATCH)
    if call.flag("archived"):
        state.purge(records, call.now)
    found, following = records.page(call.number("after"), limit, call.flag("archived"))
    names = call.many("properties") or records.kind.shown
    linked = [state.records_of(each) for each in call.many("associations")]
    results = [_with_more(state, records, each, names, histories, linked) for each in found]
    answer: Json = {"results": results}
    if following is not None:
        answer["paging"] = paging_of(call, str(following))
    return answer


def _with_more(
    state: PortalState,
    records: RecordTable,
    record: StoredRecord,
    names: Iterable[str],
    histories: list[str],
    linked: Iterable[RecordTable] = (),
) -> Json:
    body = as_json(records, record, names, state.portal_id)
    if histories:
        body["propertiesWithHistory"] = {
            name: list_versions_of(records, record, name, state.switches.versions)
            for name in histories
            if name in records.schema.known
        }
    found = {
        each.kind.name: links
        for each in linked
        if (links := _links_in_list(state, records.kind.name, record, each.kind.name))
    }
    if found:
        body["associations"] = found
    return body


def _links_in_list(state: PortalState, one: str, record: StoredRecord, other: str) -> Json | None:
    """A record's associations as the list endpoint shows them: by the name of the type, at most a hundred records."""
    word = f"{_singular(one)}_to_{_singular(other)}"
    results = []
    linked = state.linked((one, other), record.id)
    for number, types in linked[:BATCH]:
        labelled = [each for each in types if each.label]
        results += [{"id": str(number), "type": word} for _ in labelled[:1]]
        results.append(
            {"id": str(number), "type": f"{word}_unlabeled" if {one, other} == {"contacts", "companies"} else word}
        )
    if not results:
        return None
    found: Json = {"results": results}
    if len(linked) > BATCH:
        link = (
            f"https://api.hubapi.com/crm/v3/objects/{one}/{record.id}/associations/{other}?limit={BATCH}&after={BATCH}"
        )
        found["paging"] = {"next": {"after": str(BATCH), "link": link}}
    return found


def _singular(name: str) -> str:
    kind = object_type(name)
    return kind.singular if kind else name


def one_record(state: PortalState, records: RecordTable, call: HubspotCall) -> StoredRecord:
    """The record a path names, by id or by a unique property. Raises the 404 of one that is not there."""
    text, unique = call.params["id"], call.one("idProperty")
    if unique and unique not in ("hs_object_id", *records.unique):
        raise bad_request(f"Property {unique} is not a unique identifier of {records.kind.type_id}")
    found = records.by_unique(unique, text) if unique in records.unique else records.find(text)
    if found and (found.archived_at is not None) == (call.method == "GET" and call.flag("archived")):
        return found
    if not unique and not is_count(text):
        raise not_found("Object not found.  objectId are usually numeric.", id=[text])
    raise not_found_page() if state.switches.unknown_id == "html" else not_found("resource not found")


def read_object(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/objects/{type}/{id}`."""
    records = state.records_of(call.params["type"])
    names = call.many("properties") or records.kind.shown
    linked = [state.records_of(each) for each in call.many("associations")]
    record = one_record(state, records, call)
    return _with_more(state, records, record, names, call.many("propertiesWithHistory"), linked)


def batch_read(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/batch/read`: the records that are there, and one error for all that are not."""
    records, body = state.records_of(call.params["type"]), call.json()
    histories = names_of_body(body, "propertiesWithHistory")
    inputs = inputs_of(body, HISTORY_PAGE if histories else BATCH)
    unique = body.get("idProperty") or ""
    if unique and (unique not in ("hs_object_id", *records.unique) or unique not in records.schema.known):
        raise bad_request(f"Property {unique} is not a unique identifier of {records.kind.type_id}")
    names = names_of_body(body, "properties") or records.kind.shown
    ids = ids_of(inputs)
    failed, errors = fail_reads(state, ids, "ids")
    found: dict[int, StoredRecord] = {}
    lost = []
    for text in (each for each in ids if each not in failed):
        record = records.by_unique(unique, text) if unique in records.unique else records.find(text)
        if record and (record.archived_at is not None) == call.flag("archived"):
            found[record.id] = record
        else:
            lost.append(text)
    results = [_with_more(state, records, each, names, histories) for each in found.values()]
    return batch_reply(state, call, results, missing_ids(records, lost) + errors)
