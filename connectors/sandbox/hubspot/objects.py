"""The object endpoints: list, read, batch read, update, create, upsert, archive, merge and forget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson

from connectors.sandbox.hubspot.links import plain
from connectors.sandbox.hubspot.records import Record, Records, as_json, shown, versions
from connectors.sandbox.hubspot.schema import Problem, object_type
from connectors.sandbox.hubspot.state import State
from connectors.sandbox.hubspot.wire import (
    Call,
    Json,
    Refusal,
    Reply,
    bad_request,
    error,
    iso,
    not_found,
    not_found_page,
)

BATCH = 100
HISTORY_PAGE = 50
_MOST_MERGES = 250
_ECHOED = (
    "hs_all_contact_vids",
    "hs_is_contact",
    "hs_object_source",
    "hs_object_source_label",
    "hs_pipeline",
    "lifecyclestage",
)
_SOURCE = "INTEGRATION"


# --- reading ---------------------------------------------------------------------------------------------------------


def listed(state: State, call: Call) -> Json:
    """`GET …/objects/{type}`: a page in id order."""
    records = state.records_of(call.params["type"])
    histories = call.many("propertiesWithHistory")
    limit = call.limit(10, HISTORY_PAGE if histories else BATCH)
    found, following = records.page(_after(call), limit, call.flag("archived"))
    names = call.many("properties") or records.kind.shown
    linked = [state.records_of(each) for each in call.many("associations")]
    results = [_with_more(state, records, each, names, histories, linked) for each in found]
    answer: Json = {"results": results}
    if following is not None:
        link = f"https://api.hubapi.com{call.path}?limit={limit}&after={following}"
        answer["paging"] = {"next": {"after": str(following), "link": link}}
    return answer


def _after(call: Call) -> int:
    text = call.one("after") or "0"
    if not text.isdigit():
        raise bad_request(f"Invalid value for after: {text}")
    return int(text)


def _with_more(
    state: State,
    records: Records,
    record: Record,
    names: Iterable[str],
    histories: list[str],
    linked: Iterable[Records] = (),
) -> Json:
    body = as_json(records, record, names, state.portal_id)
    if histories:
        body["propertiesWithHistory"] = {
            name: versions(records, record, name) for name in histories if name in records.schema.known
        }
    found = {
        each.kind.name: links
        for each in linked
        if (links := _links_in_list(state, records.kind.name, record, each.kind.name))
    }
    if found:
        body["associations"] = found
    return body


def _links_in_list(state: State, one: str, record: Record, other: str) -> Json | None:
    """A record's associations as the list endpoint shows them: by the name of the type, at most a hundred records."""
    word = f"{_singular(one)}_to_{_singular(other)}"
    results = []
    linked = state.links.of((one, other), record.id)
    for number in list(linked)[:BATCH]:
        labelled = [each for each in linked[number] if each.label]
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


def one_record(state: State, records: Records, call: Call) -> Record:
    """The record a path names, by id or by a unique property. Raises the 404 of one that is not there."""
    text, unique = call.params["id"], call.one("idProperty")
    if unique and unique not in ("hs_object_id", *records.unique):
        raise bad_request(f"Property {unique} is not a unique identifier of {records.kind.type_id}")
    found = records.by_unique(unique, text) if unique in records.unique else records.find(text)
    if found and (found.archived_at is not None) == (call.method == "GET" and call.flag("archived")):
        return found
    if not unique and not text.isdigit():
        raise not_found("Object not found.  objectId are usually numeric.", id=[text])
    raise not_found_page() if state.switches.unknown_id == "html" else not_found("resource not found")


def read(state: State, call: Call) -> Json:
    """`GET …/objects/{type}/{id}`."""
    records = state.records_of(call.params["type"])
    names = call.many("properties") or records.kind.shown
    linked = [state.records_of(each) for each in call.many("associations")]
    record = one_record(state, records, call)
    return _with_more(state, records, record, names, call.many("propertiesWithHistory"), linked)


def batch_read(state: State, call: Call) -> Reply:
    """`POST …/batch/read`: the records that are there, and one error for all that are not."""
    records, body = state.records_of(call.params["type"]), call.json()
    histories = body.get("propertiesWithHistory") or []
    inputs = _inputs(body, HISTORY_PAGE if histories else BATCH)
    unique = body.get("idProperty") or ""
    if unique and unique not in ("hs_object_id", *records.unique):
        raise bad_request(f"Property {unique} is not a unique identifier of {records.kind.type_id}")
    names = body.get("properties") or records.kind.shown
    found: dict[int, Record] = {}
    missing = []
    for each in inputs:
        text = str(each.get("id"))
        record = records.by_unique(unique, text) if unique in records.unique else records.find(text)
        if record and (record.archived_at is not None) == call.flag("archived"):
            found[record.id] = record
        else:
            missing.append(text)
    results = [_with_more(state, records, each, names, histories) for each in found.values()]
    return batch_reply(state, call, results, _missing(records, missing))


def _inputs(body: Json, most: int) -> list[Json]:
    """The inputs of a batch. A body without any is answered as an empty batch, as HubSpot does."""
    inputs = body.get("inputs") or []
    if not isinstance(inputs, list) or any(not isinstance(each, dict) for each in inputs):
        raise bad_request("Invalid input JSON on line 1, column 1: inputs must be a list of objects")
    if len(inputs) > most:
        raise bad_request(f"The maximum number of inputs supported in a batch request for object reads is {most}.")
    return inputs


def _missing(records: Records, ids: list[str]) -> list[Json]:
    if not ids:
        return []
    word = records.kind.singular.upper()
    message = f"Could not get some {word} objects, they may be deleted or not exist. Check that ids are valid."
    return [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": ids}}]


def batch_reply(state: State, call: Call, results: list[Json], errors: list[Json], status: int = 200) -> Reply:
    """The envelope of a batch; with errors it is a 207, unless this portal's 2026-09 no longer sends those."""
    body: Json = {"status": "COMPLETE", "startedAt": iso(call.now), "completedAt": iso(call.now), "results": results}
    if not errors:
        return Reply(status, body)
    body |= {"errors": errors, "numErrors": len(errors)}
    quiet = call.version.startswith("2026-09") and state.switches.partial_failures == "ok"
    return Reply(status if quiet else 207, body)


# --- writing ---------------------------------------------------------------------------------------------------------


def invalid(problems: list[Problem]) -> Refusal:
    """The 400 that lists every property that is wrong, and none of the inputs it was wrong in."""
    listed = [{"isValid": False, "message": each.message, "error": each.code, "name": each.name} for each in problems]
    errors = [
        {"message": each.message, "code": each.code, "context": {"propertyName": [each.name]}}
        for each in dict.fromkeys(problems)
    ]
    return bad_request(f"Property values were not valid: {orjson.dumps(listed).decode()}", errors=errors)


def _cleaned(
    state: State, call: Call, records: Records, properties: Json, kept: Json
) -> tuple[dict[str, str], list[Problem]]:
    """The values as kept, and the problems: of the properties, of the owner, and of the admin's rules."""
    clean, problems = records.schema.cleaned(properties)
    problems = problems + state.checked_owner(clean)
    if call.version >= "2026-09" and not call.version.startswith("v") and records.kind.name == "contacts":
        problems += _broken_rules(state, clean, {**kept, **clean})
    return clean, problems


def _broken_rules(state: State, wanted: dict[str, str], after: Json) -> list[Problem]:
    """The admin's conditional rules, which the API enforces from 2026-09 on."""
    return [
        Problem(
            rule["requires"],
            "REQUIRED_PROPERTY_MISSING",
            f"{rule['requires']} is required when {rule['property']} is {rule['equals']}",
        )
        for rule in state.switches.required
        if rule["property"] in wanted
        and after.get(rule["property"]) == rule["equals"]
        and not after.get(rule["requires"])
    ]


def echo(state: State, records: Records, record: Record, written: Iterable[str]) -> Json:
    """A record as a write answers it: what was written and a few of HubSpot's own, without those that are empty."""
    body = as_json(records, record, (), state.portal_id)
    names = [*written, *(name for name in _ECHOED if name in record.properties)]
    body["properties"] = {name: value for name, value in shown(records, record, names).items() if value is not None}
    return body


def update(state: State, call: Call) -> Json:
    """`PATCH …/objects/{type}/{id}`."""
    records = state.records_of(call.params["type"])
    record = one_record(state, records, call)
    clean, problems = _cleaned(state, call, records, call.json().get("properties") or {}, dict(record.properties))
    if problems:
        raise invalid(problems)
    state.checked_unlocked(record)
    _checked_unique(records, record, clean)
    state.change(records.kind.name, record, clean, call.now, _SOURCE)
    return echo(state, records, record, clean)


def _checked_unique(records: Records, record: Record | None, clean: dict[str, str]) -> None:
    for name in records.unique:
        other = records.by_unique(name, clean[name]) if clean.get(name) else None
        if other and (record is None or other.id != record.id):
            raise conflict(records, other)


def conflict(records: Records, other: Record) -> Refusal:
    """The 409 of a value that another record has."""
    word = records.kind.singular.capitalize()
    return Refusal(409, error(f"{word} already exists. Existing ID: {other.id}", "CONFLICT"))


def batch_update(state: State, call: Call) -> Reply:
    """`POST …/batch/update`: unknown ids spare the others; a bad value or a repeated id spoils the whole batch."""
    records = state.records_of(call.params["type"])
    inputs = _inputs(call.json(), BATCH)
    _check_distinct([str(each.get("id")) for each in inputs])
    _check_id_property(records, inputs)
    found = [_found(records, each) for each in inputs]
    cleaned = [
        _cleaned(state, call, records, each.get("properties") or {}, record.properties if record else {})
        for each, record in zip(inputs, found, strict=True)
    ]
    errors = _validation_errors(state, inputs, cleaned)
    if state.switches.merged_pair == "refused":
        _check_distinct([str(record.id) for record in found if record])
    results, missing = [], []
    for each, record, (clean, problems) in zip(inputs, found, cleaned, strict=True):
        if record is None:
            missing.append(str(each.get("id")))
        elif not problems:
            state.checked_unlocked(record)
            state.change(records.kind.name, record, clean, call.now, _SOURCE)
            results.append(echo(state, records, record, clean))
    return batch_reply(state, call, results, _missing(records, missing) + errors)


def _check_distinct(ids: list[str]) -> None:
    repeated = [each for each, times in Counter(ids).items() if times > 1]
    if repeated:
        message = f"Duplicate IDs found in batch input: [{', '.join(repeated)}]. IDs must be unique"
        raise bad_request(message, context={"ids": repeated})


def _check_id_property(records: Records, inputs: list[Json]) -> None:
    for name in {each["idProperty"] for each in inputs if each.get("idProperty")}:
        definition = records.schema.known.get(name)
        if not (definition and definition["hasUniqueValue"]):
            raise bad_request(f"Unable to perform update/upsert by non-unique {records.kind.type_id} property {name}")


def _found(records: Records, each: Json) -> Record | None:
    name, text = each.get("idProperty"), str(each.get("id"))
    record = records.by_unique(name, text) if name else records.find(text)
    return record if record and record.archived_at is None else None


def _validation_errors(
    state: State, inputs: list[Json], cleaned: list[tuple[dict[str, str], list[Problem]]]
) -> list[Json]:
    """One error for each input that is wrong, if the portal names inputs. Raises the 400 for the whole batch otherwise."""
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


def create(state: State, call: Call) -> Reply:
    """`POST …/objects/{type}`."""
    records, body = state.records_of(call.params["type"]), call.json()
    clean, problems = _cleaned(state, call, records, body.get("properties") or {}, {})
    if problems:
        raise invalid(problems)
    _checked_unique(records, None, clean)
    record = state.make(records.kind.name, clean, call.now, _SOURCE)
    _link_new(state, records, record, body.get("associations") or [])
    return Reply(201, echo(state, records, record, clean))


def _link_new(state: State, records: Records, record: Record, associations: list[Json]) -> None:
    for each in associations:
        type_ids = {kind.get("associationTypeId") for kind in each.get("types") or []}
        for other in state.records.values():
            pair = (records.kind.name, other.kind.name)
            if {kind.type_id for kind in plain(pair)} & type_ids and other.find(str(each["to"]["id"])):
                state.links.add(pair, record.id, int(each["to"]["id"]))


def batch_create(state: State, call: Call) -> Reply:
    """`POST …/batch/create`: a conflict spoils the batch, unless every input carries an `objectWriteTraceId`."""
    records = state.records_of(call.params["type"])
    inputs = _inputs(call.json(), BATCH)
    cleaned = [_cleaned(state, call, records, each.get("properties") or {}, {}) for each in inputs]
    if problems := [each for _, found in cleaned for each in found]:
        raise invalid(problems)
    traced = all(each.get("objectWriteTraceId") for each in inputs)
    if not traced:
        for clean, _ in cleaned:
            _checked_unique(records, None, clean)
    results, errors = [], []
    for each, (clean, _) in zip(inputs, cleaned, strict=True):
        try:
            _checked_unique(records, None, clean)
        except Refusal as refusal:
            errors.append(_traced_conflict(refusal, each))
            continue
        record = state.make(records.kind.name, clean, call.now, _SOURCE)
        _link_new(state, records, record, each.get("associations") or [])
        results.append(echo(state, records, record, clean))
    return batch_reply(state, call, results, errors, 201)


def _traced_conflict(refusal: Refusal, each: Json) -> Json:
    body: Any = refusal.reply.body
    existing = body["message"].rpartition(" ")[2]
    context = {"objectWriteTraceId": [str(each.get("objectWriteTraceId"))], "existingId": [existing]}
    return {"status": "error", "category": "CONFLICT", "message": body["message"], "context": context}


def batch_upsert(state: State, call: Call) -> Reply:
    """`POST …/batch/upsert`: by e-mail or another unique property; unknown ones are created."""
    records = state.records_of(call.params["type"])
    inputs = _inputs(call.json(), BATCH)
    _check_distinct([str(each.get("id")) for each in inputs])
    for each in inputs:
        if each.get("idProperty") not in records.unique:
            raise bad_request(
                f"Unable to perform update/upsert by non-unique {records.kind.type_id} property {each.get('idProperty')}"
            )
    cleaned = [
        _cleaned(state, call, records, {each["idProperty"]: each["id"], **(each.get("properties") or {})}, {})
        for each in inputs
    ]
    if problems := [each for _, found in cleaned for each in found]:
        raise invalid(problems)
    results = [_upserted(state, call, records, each, clean) for each, (clean, _) in zip(inputs, cleaned, strict=True)]
    return batch_reply(state, call, results, [])


def _upserted(state: State, call: Call, records: Records, each: Json, clean: dict[str, str]) -> Json:
    record = records.by_unique(each["idProperty"], str(each["id"]))
    new = record is None
    if record is None:
        record = state.make(records.kind.name, clean, call.now, _SOURCE)
    else:
        state.change(records.kind.name, record, clean, call.now, _SOURCE)
    return echo(state, records, record, clean) | {"new": new}


def archive(state: State, call: Call) -> Reply:
    """`DELETE …/objects/{type}/{id}`."""
    records = state.records_of(call.params["type"])
    record = records.find(call.params["id"])
    if record and record.archived_at is None:
        records.archive(record, call.now)
    return Reply(204)


def batch_archive(state: State, call: Call) -> Reply:
    """`POST …/batch/archive`."""
    records = state.records_of(call.params["type"])
    for each in _inputs(call.json(), BATCH):
        record = records.find(str(each.get("id")))
        if record and record.archived_at is None:
            records.archive(record, call.now)
    return Reply(204)


def merge(state: State, call: Call) -> Json:
    """`POST …/merge`: a new record takes the place of both."""
    records, body = state.records_of(call.params["type"]), call.json()
    pair = [records.find(str(body.get(name))) for name in ("primaryObjectId", "objectIdToMerge")]
    main, other = pair
    if main is None or other is None or main.archived_at is not None or other.archived_at is not None:
        raise not_found("One of the objects to merge does not exist.")
    if main.id == other.id:
        raise bad_request("Cannot merge an object into itself.")
    record = merged(state, records, main, other, call.now)
    return as_json(records, record, records.schema.known, state.portal_id)


def merged(state: State, records: Records, main: Record, other: Record, at: int) -> Record:
    """Merge two records: a new id that both old ids lead to, the first one's values before the second one's."""
    ids = [each for record in (main, other) for each in (*_merged_ids(record), str(record.id))]
    if len(ids) > _MOST_MERGES:
        raise bad_request(f"A record cannot take part in more than {_MOST_MERGES} merges.")
    values = {**other.properties, **main.properties, "hs_merged_object_ids": ";".join(ids)}
    emails = [each.properties["email"] for each in (main, other) if "email" in each.properties]
    if len(emails) > 1:
        values["hs_additional_emails"] = ";".join(emails[1:])
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


_VIDS = "hs_calculated_merged_vids"


def _merged_ids(record: Record) -> list[str]:
    return [each for each in record.properties.get("hs_merged_object_ids", "").split(";") if each]


def gdpr_delete(state: State, call: Call) -> Reply:
    """`POST …/gdpr-delete`: gone for good, traces and all."""
    records, body = state.records_of(call.params["type"]), call.json()
    unique = body.get("idProperty")
    text = str(body.get("objectId"))
    record = records.by_unique(unique, text) if unique in records.unique else records.find(text)
    if record:
        forget(state, records, record)
    return Reply(204)


def forget(state: State, records: Records, record: Record) -> None:
    """Remove a record and everything that is known of it."""
    email = record.properties.get("email", "")
    state.links.forget(records.kind.name, record.id)
    state.tracking.forget(record.id, email)
    records.forget(record)
