"""The endpoints that change objects: update, create, upsert, archive, merge and forget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson

from connectors.sandbox.hubspot.batches import BATCH, batch_reply, ids_of, inputs_of, missing_ids
from connectors.sandbox.hubspot.catalog import ENGAGEMENTS
from connectors.sandbox.hubspot.links import types_of
from connectors.sandbox.hubspot.objects import one_record
from connectors.sandbox.hubspot.records import RecordTable, StoredRecord, as_json, show_record
from connectors.sandbox.hubspot.schema import Problem
from connectors.sandbox.hubspot.state import CLIENT, PortalState
from connectors.sandbox.hubspot.wire import (
    HubspotCall,
    HubspotRefusal,
    Json,
    Reply,
    bad_request,
    error,
    not_found,
    object_of_body,
    objects_of_body,
)

_MOST_MERGES = 250
_MORE_EMAILS = "hs_additional_emails"
_VIDS = "hs_calculated_merged_vids"
_ECHOED = (
    "hs_is_unworked",
    "hs_object_source",
    "hs_object_source_id",
    "hs_object_source_label",
    "hs_pipeline",
    "lifecyclestage",
)


def invalid(problems: list[Problem]) -> HubspotRefusal:
    """The 400 that lists every property that is wrong, and none of the inputs it was wrong in."""
    listed = [{"isValid": False, "message": each.message, "error": each.code, "name": each.name} for each in problems]
    errors = [
        {"message": each.message, "code": each.code, "context": {"propertyName": [each.name]}}
        for each in dict.fromkeys(problems)
    ]
    return bad_request(f"Property values were not valid: {orjson.dumps(listed).decode()}", errors=errors)


def _cleaned(
    state: PortalState, call: HubspotCall, records: RecordTable, properties: Json, kept: Json
) -> tuple[dict[str, str], list[Problem]]:
    """The values as kept, and the problems: of the properties, of the owner, and of the admin's rules."""
    clean, problems = records.schema.cleaned(properties)
    problems = problems + state.checked_owner(clean)
    if call.version >= "2026-09" and not call.version.startswith("v") and records.kind.name == "contacts":
        problems += _broken_rules(state, clean, {**kept, **clean})
    return clean, problems


def _broken_rules(state: PortalState, wanted: dict[str, str], after: Json) -> list[Problem]:
    """The admin's conditional rules, which the API enforces from 2026-09 on."""
    return [
        Problem(rule["requires"], "REQUIRED_PROPERTY_MISSING", _rule_in_words(rule))
        for rule in state.switches.required
        if rule["property"] in wanted
        and after.get(rule["property"]) == rule["equals"]
        and not after.get(rule["requires"])
    ]


def _rule_in_words(rule: dict[str, str]) -> str:
    return f"{rule['requires']} is required when {rule['property']} is {rule['equals']}"


def echo(state: PortalState, records: RecordTable, record: StoredRecord, written: Iterable[str]) -> Json:
    """A record as a write answers it: what was written and a few of HubSpot's own, without those that are empty."""
    body = as_json(records, record, (), state.portal_id)
    names = [*written, *(name for name in _ECHOED if name in record.properties)]
    body["properties"] = {
        name: value for name, value in show_record(records, record, names).items() if value is not None
    }
    return body


def update_object(state: PortalState, call: HubspotCall) -> Json:
    """`PATCH …/objects/{type}/{id}`."""
    records = state.records_of(call.params["type"])
    record = one_record(state, records, call)
    clean, problems = _cleaned(state, call, records, object_of_body(call.json(), "properties"), dict(record.properties))
    if problems:
        raise invalid(problems)
    state.checked_unlocked(record)
    return _updated(state, call, records, record, clean)


def _checked_unique(
    state: PortalState, records: RecordTable, record: StoredRecord | None, clean: dict[str, str]
) -> None:
    for name in records.unique:
        other = records.by_unique(name, clean[name]) if clean.get(name) else None
        if other and (record is None or other.id != record.id):
            raise conflict(state, records, name, clean[name], other)


def conflict(state: PortalState, records: RecordTable, name: str, value: str, other: StoredRecord) -> HubspotRefusal:
    """The refusal of a value that another record has."""
    if name != "email" and state.switches.unique_conflicts == "invalid":
        said = f"Cannot set PropertyValueCoordinates{{propertyName={name}, value={value}}}. "
        return invalid([Problem(name, "CONFLICTING_UNIQUE_VALUE", f"{said}{other.id} already has that value.")])
    word = records.kind.singular.capitalize()
    return HubspotRefusal(409, error(f"{word} already exists. Existing ID: {other.id}", "CONFLICT"))


def batch_update(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/batch/update`: unknown ids spare the others; a bad value or a repeated id spoils the whole batch."""
    records = state.records_of(call.params["type"])
    inputs = inputs_of(call.json(), BATCH)[state.switches.lost_writes :]
    _check_distinct(ids_of(inputs))
    _check_id_property(records, inputs)
    found = [_found(records, each) for each in inputs]
    if state.switches.merged_pair == "refused":
        _check_distinct([str(record.id) for record in found if record])
    cleaned = [
        _cleaned(state, call, records, object_of_body(each, "properties"), record.properties if record else {})
        for each, record in zip(inputs, found, strict=True)
    ]
    errors = _validation_errors(state, inputs, cleaned)
    for record in found:
        if record:
            state.checked_unlocked(record)
    lost = [str(each.get("id")) for each, record in zip(inputs, found, strict=True) if record is None]
    results = []
    for each, record, (clean, problems) in zip(inputs, found, cleaned, strict=True):
        if record and not problems:
            try:
                results.append(_updated(state, call, records, record, clean))
            except HubspotRefusal as refusal:
                errors.append(_error_of(refusal, each))
    return batch_reply(state, call, results, missing_ids(records, lost) + errors)


def _updated(
    state: PortalState, call: HubspotCall, records: RecordTable, record: StoredRecord, clean: dict[str, str]
) -> Json:
    _checked_unique(state, records, record, clean)
    state.change(records.kind.name, record, clean, call.now, CLIENT)
    return echo(state, records, record, clean)


def _check_distinct(ids: list[str]) -> None:
    repeated = [each for each, times in Counter(ids).items() if times > 1]
    if repeated:
        message = f"Duplicate IDs found in batch input: [{', '.join(repeated)}]. IDs must be unique"
        raise bad_request(message, context={"ids": repeated})


def _check_id_property(records: RecordTable, inputs: list[Json]) -> None:
    for name in {each["idProperty"] for each in inputs if each.get("idProperty")}:
        definition = records.schema.known.get(name)
        if not (definition and definition["hasUniqueValue"]):
            raise _not_unique(records, name)


def _not_unique(records: RecordTable, name: str) -> HubspotRefusal:
    return bad_request(f"Unable to perform update/upsert by non-unique {records.kind.type_id} property {name}")


def _found(records: RecordTable, each: Json) -> StoredRecord | None:
    name, text = each.get("idProperty"), str(each.get("id"))
    record = records.by_unique(name, text) if name else records.find(text)
    return record if record and record.archived_at is None else None


def _validation_errors(
    state: PortalState, inputs: list[Json], cleaned: list[tuple[dict[str, str], list[Problem]]]
) -> list[Json]:
    """One error for each input that is wrong, if the portal names inputs; otherwise raises the 400 for them all."""
    problems = [each for _, found in cleaned for each in found]
    if not problems:
        return []
    traced = state.switches.traced_updates and all(each.get("objectWriteTraceId") for each in inputs)
    if not traced:
        raise invalid(problems)
    return [
        {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "message": found[0].message,
            "context": {
                "objectWriteTraceId": [each["objectWriteTraceId"]],
                "propertyName": [one.name for one in found],
            },
        }
        for each, (_, found) in zip(inputs, cleaned, strict=True)
        if found
    ]


def create_object(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/objects/{type}`."""
    records, body = state.records_of(call.params["type"]), call.json()
    clean, problems = _cleaned_new(state, call, records, body)
    if problems:
        raise invalid(problems)
    _check_ends(state, records, [body])
    _checked_unique(state, records, None, clean)
    record = state.make(records.kind.name, clean, call.now, CLIENT)
    _link_new(state, records, record, objects_of_body(body, "associations"), call.now)
    return Reply(201, echo(state, records, record, record.properties))


def _cleaned_new(
    state: PortalState, call: HubspotCall, records: RecordTable, each: Json
) -> tuple[dict[str, str], list[Problem]]:
    """The same of a record that is to be made: an activity needs its time."""
    clean, problems = _cleaned(state, call, records, object_of_body(each, "properties"), {})
    if records.kind.name in ENGAGEMENTS and not clean.get("hs_timestamp"):
        problems = [*problems, Problem("hs_timestamp", "REQUIRED_PROPERTY", "hs_timestamp is required")]
    return clean, problems


def _check_ends(state: PortalState, records: RecordTable, inputs: list[Json]) -> None:
    """Associations with records that are not there spoil the whole call."""
    lost = []
    for association in (one for each in inputs for one in objects_of_body(each, "associations")):
        type_ids = {kind.get("associationTypeId") for kind in objects_of_body(association, "types")}
        text = str(object_of_body(association, "to").get("id"))
        ends = [
            other.find(text)
            for other in state.records.values()
            if {kind.type_id for kind in types_of((records.kind.name, other.kind.name))} & type_ids
        ]
        lost += [text] if ends and not any(end and end.archived_at is None for end in ends) else []
    if lost:
        said = [f"CONTACT={text} is not valid" for text in dict.fromkeys(lost)]
        errors = [
            {"message": each, "code": "INVALID_OBJECT_IDS", "context": {"INVALID_OBJECT_IDS": [each]}} for each in said
        ]
        raise bad_request("Associations are not valid", errors=errors)


def _link_new(
    state: PortalState, records: RecordTable, record: StoredRecord, associations: list[Json], at: int
) -> None:
    for each in associations:
        type_ids = {kind.get("associationTypeId") for kind in objects_of_body(each, "types")}
        for other in state.records.values():
            pair = (records.kind.name, other.kind.name)
            end = other.find(str(object_of_body(each, "to").get("id")))
            if end and {kind.type_id for kind in types_of(pair)} & type_ids:
                state.link(pair, record.id, end.id, at)


def batch_create(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/batch/create`: a bad value spoils the batch, unless every input carries an `objectWriteTraceId`."""
    records = state.records_of(call.params["type"])
    inputs = inputs_of(call.json(), BATCH)
    cleaned = [_cleaned_new(state, call, records, each) for each in inputs]
    problems = [each for _, found in cleaned for each in found]
    traced = all(each.get("objectWriteTraceId") for each in inputs)
    if problems and not traced:
        raise invalid(problems)
    _check_ends(state, records, inputs)
    if not traced:
        for clean, _ in cleaned:
            _checked_unique(state, records, None, clean)
    results, errors = [], []
    for each, (clean, found) in zip(inputs, cleaned, strict=True):
        try:
            if found:
                raise invalid(found)
            _checked_unique(state, records, None, clean)
        except HubspotRefusal as refusal:
            errors.append(_error_of(refusal, each))
            continue
        record = state.make(records.kind.name, clean, call.now, CLIENT)
        _link_new(state, records, record, objects_of_body(each, "associations"), call.now)
        results.append(echo(state, records, record, record.properties))
    return batch_reply(state, call, results, errors, 201)


def _error_of(refusal: HubspotRefusal, each: Json) -> Json:
    body: Any = refusal.reply.body
    context = {"objectWriteTraceId": [str(each.get("objectWriteTraceId"))]}
    if body["category"] == "CONFLICT":
        context["existingId"] = [body["message"].rpartition(" ")[2]]
    return {"status": "error", "category": body["category"], "message": body["message"], "context": context}


def batch_upsert(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/batch/upsert`: by e-mail or another unique property; unknown ones are created."""
    records = state.records_of(call.params["type"])
    inputs = inputs_of(call.json(), BATCH)
    _check_distinct([str(each.get("id")) for each in inputs])
    for each in inputs:
        if each.get("idProperty") not in records.unique:
            raise _not_unique(records, str(each.get("idProperty")))
        if not each.get("id"):
            raise bad_request("Some required fields were not set: [id]")
    cleaned = [
        _cleaned(state, call, records, {each["idProperty"]: each["id"], **object_of_body(each, "properties")}, {})
        for each in inputs
    ]
    if problems := [each for _, found in cleaned for each in found]:
        raise invalid(problems)
    results = [_upserted(state, call, records, each, clean) for each, (clean, _) in zip(inputs, cleaned, strict=True)]
    return batch_reply(state, call, results, [])


def _upserted(state: PortalState, call: HubspotCall, records: RecordTable, each: Json, clean: dict[str, str]) -> Json:
    record = records.by_unique(each["idProperty"], str(each["id"]))
    new = record is None
    if record is None:
        record = state.make(records.kind.name, clean, call.now, CLIENT)
    else:
        state.change(records.kind.name, record, clean, call.now, CLIENT)
    return echo(state, records, record, clean) | {"new": new}


def archive_object(state: PortalState, call: HubspotCall) -> Reply:
    """`DELETE …/objects/{type}/{id}`."""
    records = state.records_of(call.params["type"])
    record = records.find(call.params["id"])
    if record and record.archived_at is None:
        records.archive(record, call.now)
    return Reply(204)


def batch_archive(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/batch/archive`."""
    records = state.records_of(call.params["type"])
    for each in inputs_of(call.json(), BATCH):
        record = records.find(str(each.get("id")))
        if record and record.archived_at is None:
            records.archive(record, call.now)
    return Reply(204)


def merge_objects(state: PortalState, call: HubspotCall) -> Json:
    """`POST …/merge`: a new record takes the place of both."""
    records, body = state.records_of(call.params["type"]), call.json()
    pair = [records.find(str(body.get(name))) for name in ("primaryObjectId", "objectIdToMerge")]
    main, other = pair
    if main is None or other is None or main.archived_at is not None or other.archived_at is not None:
        raise not_found("One of the objects to merge does not exist.")
    if main.id == other.id:
        raise bad_request("Cannot merge an object into itself.")
    record = apply_merge(state, records, main, other, call.now)
    return as_json(records, record, records.schema.known, state.portal_id)


def apply_merge(
    state: PortalState, records: RecordTable, main: StoredRecord, other: StoredRecord, at: int
) -> StoredRecord:
    """Merge two records: a new id that both old ids lead to, the first one's values before the second one's."""
    ids = [each for record in (main, other) for each in (*_merged_ids(record), str(record.id))]
    if len(ids) > _MOST_MERGES:
        raise bad_request(f"A record cannot take part in more than {_MOST_MERGES} merges.")
    values = {**other.properties, **main.properties, "hs_merged_object_ids": ";".join(ids)}
    emails = [email for name in ("email", _MORE_EMAILS) for each in (main, other) for email in _several(each, name)]
    if len(emails) > 1:
        values[_MORE_EMAILS] = ";".join(emails[1:])
    for each in (main, other):
        records.unindex(each)
    record = state.make(records.kind.name, values, min(main.created, other.created), "MERGE_OBJECTS", at)
    if records.kind.name == "contacts":
        vids = [f"{each.id}:{at}" for each in (main, other)]
        earlier = [each.properties[_VIDS] for each in (main, other) if _VIDS in each.properties]
        record.properties[_VIDS] = ";".join([*earlier, *vids])
        record.properties["hs_all_contact_vids"] = ";".join([str(record.id), *ids])
    record.history = main.history
    for each in (main, other):
        records.moved[each.id] = record.id
        state.links.move(records.kind.name, each.id, record.id)
        state.tracking.follow(each.id, record.id)
        records.forget(each)
    return record


def _merged_ids(record: StoredRecord) -> list[str]:
    return _several(record, "hs_merged_object_ids")


def _several(record: StoredRecord, name: str) -> list[str]:
    return [each for each in record.properties.get(name, "").split(";") if each]


def gdpr_delete(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/gdpr-delete`: gone for good, traces and all."""
    records, body = state.records_of(call.params["type"]), call.json()
    unique = body.get("idProperty")
    text = str(body.get("objectId"))
    record = records.by_unique(unique, text) if unique in records.unique else records.find(text)
    if record:
        delete_for_privacy(state, records, record)
    return Reply(204)


def delete_for_privacy(state: PortalState, records: RecordTable, record: StoredRecord) -> None:
    """Remove a record and everything that is known of it."""
    email = record.properties.get("email", "")
    state.links.forget(records.kind.name, record.id)
    state.tracking.forget(record.id, email)
    records.forget(record)
