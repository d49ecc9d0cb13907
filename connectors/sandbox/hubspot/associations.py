"""The association endpoints: batch read, one record's page and writes, in the form of v4 and in the older one of v3."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from connectors.sandbox.digits import is_count
from connectors.sandbox.hubspot.batches import batch_reply, fail_reads, inputs_of
from connectors.sandbox.hubspot.links import LinkType, Pair, plain_ids, types_of
from connectors.sandbox.hubspot.records import RecordTable, StoredRecord
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.wire import (
    HubspotCall,
    Json,
    Reply,
    not_found,
    objects_of_body,
    paging_of,
    whole,
)

_MOST_READS, _MOST_WRITES, _V3_SHOWN = 1_000, 2_000, 100


def _pair(state: PortalState, call: HubspotCall) -> tuple[RecordTable, RecordTable, Pair]:
    one, other = state.records_of(call.params["type"]), state.records_of(call.params["to"])
    return one, other, (one.kind.name, other.kind.name)


def batch_read_links(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/associations/{a}/{b}/batch/read`: a page for each record; one that has none is an error of its own."""
    one, other, pair = _pair(state, call)
    inputs = inputs_of(call.json(), _MOST_READS)
    failed, errors = fail_reads(state, [str(each.get("id")) for each in inputs], "fromObjectId")
    results = []
    for asked in inputs:
        text = str(asked.get("id"))
        if text in failed:
            continue
        if not is_count(text):
            errors.append(_not_an_id(text))
            continue
        number = one.survivor(int(text))
        linked, following = _page(
            state, pair, number, whole(asked.get("after") or 0, "after"), state.switches.association_page
        )
        if linked:
            result: Json = {"from": {"id": str(number)}, "to": [_link_json(each, types) for each, types in linked]}
            if following:
                result["paging"] = paging_of(call, following)
            results.append(result)
        else:
            errors.append(_nothing(one, other, text))
    return batch_reply(state, call, results, errors)


def _page(
    state: PortalState, pair: Pair, number: int, start: int, limit: int
) -> tuple[list[tuple[int, tuple[LinkType, ...]]], str]:
    linked = state.linked(pair, number)
    return linked[start : start + limit], str(start + limit) if start + limit < len(linked) else ""


def _link_json(number: int, types: Iterable[LinkType]) -> Json:
    kinds = [{"category": each.category, "typeId": each.type_id, "label": each.label} for each in types]
    return {"toObjectId": number, "associationTypes": kinds}


def _nothing(one: RecordTable, other: RecordTable, text: str) -> Json:
    left, right = one.kind.singular, other.kind.singular
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {right} is associated with {left} {text}.",
        "context": {"fromObjectId": [text], "fromObjectType": [left], "toObjectType": [right]},
    }


def _not_an_id(text: str) -> Json:
    return {
        "status": "error",
        "category": "VALIDATION_ERROR",
        "subCategory": "crm.associations.INVALID_IDENTIFIER",
        "message": f"{text} is not a valid ID",
        "context": {"id": [text]},
    }


def batch_read_v3(state: PortalState, call: HubspotCall) -> Reply:
    """`POST /crm/v3/associations/{a}/{b}/batch/read`: a hundred for each record, and `after` is not looked at."""
    one, other, pair = _pair(state, call)
    word = f"{one.kind.singular}_to_{other.kind.singular}"
    results, errors = [], []
    for asked in inputs_of(call.json(), _MOST_READS):
        text = str(asked.get("id"))
        number = one.survivor(int(text)) if is_count(text) else -1
        linked, following = _page(state, pair, number, 0, _V3_SHOWN)
        if linked:
            to = [{"id": str(each), "type": word} for each, _ in linked]
            result: Json = {"from": {"id": str(number)}, "to": to}
            if following:
                result["paging"] = paging_of(call, following)
            results.append(result)
        else:
            errors.append(_nothing(one, other, text))
    return batch_reply(state, call, results, errors)


def one_page(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/objects/{a}/{id}/associations/{b}`."""
    one, _, pair = _pair(state, call)
    record = one.find(call.params["id"])
    if record is None:
        raise not_found("resource not found")
    linked, following = _page(state, pair, record.id, call.number("after"), call.limit(500, 500))
    answer: Json = {"results": [_link_json(number, types) for number, types in linked]}
    if following:
        answer["paging"] = paging_of(call, following)
    return answer


def one_page_v3(state: PortalState, call: HubspotCall) -> Json:
    """`GET /crm/v3/objects/{a}/{id}/associations/{b}`: ids and the name of the association."""
    one, other, _ = _pair(state, call)
    answer = one_page(state, call)
    word = f"{one.kind.singular}_to_{other.kind.singular}"
    answer["results"] = [{"id": str(each["toObjectId"]), "type": word} for each in answer["results"]]
    return answer


def put_link(state: PortalState, call: HubspotCall) -> Reply:
    """`PUT …/objects/{a}/{id}/associations/{b}/{other}`: link two records by the types in the body."""
    types = orjson.loads(call.raw) if call.raw.startswith(b"[") else []
    return Reply(200 if call.version == "v3" else 201, _put(state, call, types))


def put_default(state: PortalState, call: HubspotCall) -> Reply:
    """`PUT …/objects/{a}/{id}/associations/default/{b}/{other}`: link two records by the plain type."""
    linked = _put(state, call, [])
    _, _, pair = _pair(state, call)
    spec = [{"associationCategory": each.category, "associationTypeId": each.type_id} for each in plain_ids(pair)]
    ends = {"from": {"id": str(linked["fromObjectId"])}, "to": {"id": str(linked["toObjectId"])}}
    return batch_reply(state, call, [{**ends, "associationSpec": each} for each in spec], [])


def _put(state: PortalState, call: HubspotCall, types: list[Json]) -> Json:
    one, other, pair = _pair(state, call)
    left, right = one.find(call.params["id"]), other.find(call.params["other"])
    if left is None or right is None or not plain_ids(pair):
        raise not_found("resource not found")
    return _linked(state, call, (left, right), _is_primary(pair, types))


def _is_primary(pair: Pair, types: list[Json]) -> bool:
    """Whether the association types a client asks for include the one of a primary company."""
    wanted = {each.get("associationTypeId") for each in types}
    return any(each.label and each.type_id in wanted for each in types_of(pair))


def _linked(state: PortalState, call: HubspotCall, ends: tuple[StoredRecord, StoredRecord], main: bool) -> Json:
    """Link two records, and say so."""
    one, other, pair = _pair(state, call)
    left, right = ends
    state.link(pair, left.id, right.id, call.now, main)
    return {
        "fromObjectTypeId": one.kind.type_id,
        "fromObjectId": left.id,
        "toObjectTypeId": other.kind.type_id,
        "toObjectId": right.id,
        "labels": ["Primary"] if main else [],
    }


def delete_link(state: PortalState, call: HubspotCall) -> Reply:
    """`DELETE …/objects/{a}/{id}/associations/{b}/{other}`: unlink two records."""
    one, other, pair = _pair(state, call)
    left, right = one.find(call.params["id"]), other.find(call.params["other"])
    if left and right:
        state.links.drop(pair, left.id, right.id)
    return Reply(204)


def batch_create_links(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/associations/{a}/{b}/batch/create` and `…/batch/associate/default`."""
    one, other, pair = _pair(state, call)
    results, errors = [], []
    for each in inputs_of(call.json(), _MOST_WRITES):
        ends = [_id_of(each.get(name)) for name in ("from", "to")]
        left, right = one.find(ends[0]), other.find(ends[1])
        if left is None or right is None:
            errors.append(_not_an_id(ends[0] if left is None else ends[1]))
            continue
        results.append(_linked(state, call, (left, right), _is_primary(pair, objects_of_body(each, "types"))))
    return batch_reply(state, call, results, errors, 201)


def _id_of(end: Json | None) -> str:
    return str((end or {}).get("id"))


def batch_archive_links(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/associations/{a}/{b}/batch/archive`."""
    one, other, pair = _pair(state, call)
    for each in inputs_of(call.json(), _MOST_WRITES):
        left, ends = one.find(_id_of(each.get("from"))), each.get("to")
        for end in ends if isinstance(ends, list) else [ends]:
            right = other.find(_id_of(end))
            if left and right:
                state.links.drop(pair, left.id, right.id)
    return Reply(204)


def list_labels(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/associations/{a}/{b}/labels`: the association types between two types of object."""
    _, _, pair = _pair(state, call)
    return {
        "results": [{"category": each.category, "typeId": each.type_id, "label": each.label} for each in types_of(pair)]
    }
