"""What an admin sets up: properties and their groups, owners, the account and its limits."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

from connectors.sandbox.hubspot.batches import batch_reply
from connectors.sandbox.hubspot.catalog import option_of
from connectors.sandbox.hubspot.records import RecordTable
from connectors.sandbox.hubspot.state import PortalOwner, PortalState
from connectors.sandbox.hubspot.wire import (
    EPOCH,
    HubspotCall,
    HubspotRefusal,
    Json,
    Reply,
    bad_request,
    error,
    iso,
    milliseconds,
    not_found,
    objects_of_body,
    paging_of,
)

# HubSpot lets only these go together (developers.hubspot.com/changelog/crm-object-property-validattion, 2021-02).
_FIELD_TYPES = {
    "bool": {"booleancheckbox", "calculation_equation"},
    "date": {"date"},
    "datetime": {"date"},
    "enumeration": {"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"},
    "number": {"number", "calculation_equation"},
    "phone_number": {"phonenumber"},
    "string": {"file", "html", "phonenumber", "text", "textarea", "calculation_equation"},
}
_CUSTOM_LIMIT = {"free": 10}
_USER = "9000100"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


# --- properties ------------------------------------------------------------------------------------------------------


def list_properties(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/properties/{type}`."""
    schema = state.records_of(call.params["type"]).schema
    found = schema.archived if call.flag("archived") else schema.known
    return {"results": [_property_json(each, call.flag("archived")) for each in found.values()]}


def _property_json(definition: Json, archived: bool = False) -> Json:
    return definition | {"archived": archived}


def property_(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/properties/{type}/{name}`."""
    schema = state.records_of(call.params["type"]).schema
    archived = call.flag("archived")
    found = (schema.archived if archived else schema.known).get(call.params["name"])
    if found is None:
        raise not_found(f"Property {call.params['name']} does not exist")
    return _property_json(found, archived)


def create_property(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/properties/{type}`."""
    records = state.records_of(call.params["type"])
    wanted = _definition(call.json())
    problem, status = _problem_with(state, records, wanted)
    if problem:
        raise HubspotRefusal(status, problem | error(problem["message"], problem["category"]))
    return Reply(201, _property_json(_new_property(records, wanted, call.now)))


def create_properties(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/properties/{type}/batch/create`: those that exist are errors, the others are made."""
    records = state.records_of(call.params["type"])
    results, errors = [], []
    for each in map(_definition, objects_of_body(call.json(), "inputs")):
        problem, status = _problem_with(state, records, each)
        if problem and status != 409:
            raise HubspotRefusal(status, problem | error(problem["message"], problem["category"]))
        if problem:
            errors.append(problem)
        else:
            results.append(_new_property(records, each, call.now))
    return batch_reply(state, call, results, errors, 201)


def read_properties(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/properties/{type}/batch/read`."""
    schema, body = state.records_of(call.params["type"]).schema, call.json()
    kept = schema.archived if body.get("archived") else schema.known
    names = [str(each.get("name")) for each in objects_of_body(body, "inputs")]
    missing = [name for name in names if name not in kept]
    errors = [_refused("OBJECT_NOT_FOUND", f"Property {name} does not exist", name=[name]) for name in missing]
    return batch_reply(state, call, [_property_json(kept[name]) for name in names if name in kept], errors)


_TEXTS = (
    "name",
    "label",
    "type",
    "fieldType",
    "groupName",
    "description",
    "dataSensitivity",
    "calculationFormula",
    "value",
)
"""What of a property, an option or a group is text."""


def _definition(wanted: Json) -> Json:
    """A property, an option or a group as a body defines it. Raises a 400 where a part of it is of another type."""
    for name in _TEXTS:
        if not isinstance(wanted.get(name) or "", str):
            raise bad_request(f"Invalid input JSON on line 1, column 1: {name} must be a text")
    if not isinstance(wanted.get("displayOrder", -1), int):
        raise bad_request("Invalid input JSON on line 1, column 1: displayOrder must be an integer")
    for each in objects_of_body(wanted, "options"):
        if not {"value", "label"} <= _definition(each).keys():
            raise bad_request("Invalid input JSON on line 1, column 1: an option has a value and a label")
    return wanted


def _refused(category: str, message: str, **context: list[str]) -> Json:
    return {"status": "error", "category": category, "message": message, "context": context}


def _problem_with(state: PortalState, records: RecordTable, wanted: Json) -> tuple[Json | None, int]:
    """What is wrong with a property somebody wants, and the status that says so."""
    lacking = [name for name in ("name", "label", "type", "fieldType", "groupName") if not wanted.get(name)]
    if lacking:
        return _refused("VALIDATION_ERROR", f"Some required fields were not set: [{', '.join(lacking)}]"), 400
    name, schema = wanted["name"], records.schema
    if name in schema.known or name in schema.archived:
        found = _refused("OBJECT_ALREADY_EXISTS", f"A property named '{name}' already exists.", name=[name])
        return found | {"subCategory": "Properties.PROPERTY_WITH_NAME_EXISTS"}, 409
    if problem := _bad_definition(records, wanted):
        return _refused("VALIDATION_ERROR", problem), 400
    limit = _CUSTOM_LIMIT.get(state.switches.tier, 1_000)
    if len(schema.custom()) >= limit:
        return _refused("VALIDATION_ERROR", f"The portal has reached its limit of {limit} custom properties."), 400
    return None, 201


def _bad_definition(records: RecordTable, wanted: Json) -> str:
    kind, field_type = wanted["type"], wanted["fieldType"]
    if not _NAME.fullmatch(wanted["name"]):
        return f"Property name {wanted['name']} is not valid: use lower case letters, digits and underscores."
    if wanted["groupName"] not in records.schema.groups:
        return f"Property group {wanted['groupName']} does not exist"
    if field_type not in _FIELD_TYPES.get(kind, ()):
        return f"Property type {kind} does not go with field type {field_type}"
    if kind == "enumeration" and not wanted.get("options") and not wanted.get("externalOptions"):
        return f"Enumeration property {wanted['name']} needs at least one option"
    return ""


def _options(wanted: list[Json]) -> list[Json]:
    return [
        option_of(each["value"], each["label"], each.get("displayOrder", -1))
        | {"hidden": bool(each.get("hidden")), "description": each.get("description", "")}
        for each in wanted
    ]


def _new_property(records: RecordTable, wanted: Json, at: int) -> Json:
    definition: Json = {
        "updatedAt": iso(at),
        "createdAt": iso(at),
        "createdUserId": _USER,
        "updatedUserId": _USER,
        "name": wanted["name"],
        "label": wanted["label"],
        "type": wanted["type"],
        "fieldType": wanted["fieldType"],
        "description": wanted.get("description", ""),
        "groupName": wanted["groupName"],
        "options": _options(wanted.get("options") or []),
        "displayOrder": wanted.get("displayOrder", -1),
        "calculated": bool(wanted.get("calculationFormula")),
        "externalOptions": bool(wanted.get("externalOptions")),
        "hasUniqueValue": bool(wanted.get("hasUniqueValue")),
        "hidden": bool(wanted.get("hidden")),
        "modificationMetadata": {
            "archivable": True,
            "readOnlyDefinition": False,
            "readOnlyValue": bool(wanted.get("calculationFormula")),
        },
        "formField": bool(wanted.get("formField")),
        "dataSensitivity": wanted.get("dataSensitivity", "non_sensitive"),
    }
    records.schema.put(definition)
    if definition["hasUniqueValue"]:
        records.unique[definition["name"]] = {}
    return definition


def update_property(state: PortalState, call: HubspotCall) -> Json:
    """`PATCH …/properties/{type}/{name}`: its label, options, group and the like; name and uniqueness stay."""
    records, name, wanted = state.records_of(call.params["type"]), call.params["name"], _definition(call.json())
    found = records.schema.known.get(name)
    if found is None:
        raise not_found(f"Property {name} does not exist")
    changes: Json = {
        key: wanted[key]
        for key in ("label", "description", "groupName", "hidden", "formField", "displayOrder", "type", "fieldType")
        if key in wanted
    }
    if "options" in wanted:
        changes["options"] = _options(wanted["options"])
    merged = found | changes | {"updatedAt": iso(call.now)}
    if problem := _bad_definition(records, merged):
        raise bad_request(problem)
    records.schema.put(merged)
    return _property_json(merged)


def archive_property(state: PortalState, call: HubspotCall) -> Reply:
    """`DELETE …/properties/{type}/{name}`."""
    records, name = state.records_of(call.params["type"]), call.params["name"]
    if name in records.schema.known:
        if records.schema.known[name].get("hubspotDefined"):
            raise bad_request(f"Property {name} is defined by HubSpot and cannot be archived")
        records.schema.drop(name)
    return Reply(204)


def archive_properties(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/properties/{type}/batch/archive`."""
    schema = state.records_of(call.params["type"]).schema
    for name in [str(each.get("name")) for each in objects_of_body(call.json(), "inputs")]:
        if name in schema.custom():
            schema.drop(name)
    return Reply(204)


# --- groups ----------------------------------------------------------------------------------------------------------


def list_groups(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/properties/{type}/groups`."""
    return {"results": list(state.records_of(call.params["type"]).schema.groups.values())}


def show_group(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/properties/{type}/groups/{name}`."""
    found: Json | None = state.records_of(call.params["type"]).schema.groups.get(call.params["name"])
    if found is None:
        raise not_found(f"Property group {call.params['name']} does not exist")
    return found


def create_group(state: PortalState, call: HubspotCall) -> Reply:
    """`POST …/properties/{type}/groups`."""
    kept, wanted = state.records_of(call.params["type"]).schema.groups, _definition(call.json())
    name = wanted.get("name")
    if not name or not wanted.get("label"):
        raise bad_request("Some required fields were not set: [name, label]")
    if name in kept:
        message = f"A property group named '{name}' already exists."
        raise HubspotRefusal(409, error(message, "OBJECT_ALREADY_EXISTS", context={"name": [name]}))
    order = wanted.get("displayOrder", -1)
    kept[name] = {"name": name, "label": wanted["label"], "displayOrder": order, "archived": False}
    return Reply(201, kept[name])


def update_group(state: PortalState, call: HubspotCall) -> Json:
    """`PATCH …/properties/{type}/groups/{name}`."""
    found = show_group(state, call)
    found |= {key: value for key, value in _definition(call.json()).items() if key in ("label", "displayOrder")}
    return found


def archive_group(state: PortalState, call: HubspotCall) -> Reply:
    """`DELETE …/properties/{type}/groups/{name}`."""
    schema = state.records_of(call.params["type"]).schema
    if any(each["groupName"] == call.params["name"] for each in schema.known.values()):
        raise bad_request(f"Property group {call.params['name']} still has properties")
    schema.groups.pop(call.params["name"], None)
    return Reply(204)


# --- owners ----------------------------------------------------------------------------------------------------------


def list_portal_owners(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/owners`: a page in id order; deactivated ones come with `archived=true` only."""
    email, archived, start = call.one("email").lower(), call.flag("archived"), call.number("after")
    limit = call.limit(100, 500)
    found = sorted(
        each
        for each in state.owners.values()
        if each.archived == archived and (not email or each.email.lower() == email)
    )
    page = [each for each in found if each.id >= start]
    answer: Json = {"results": [_owner_json(each) for each in page[:limit]]}
    if len(page) > limit:
        answer["paging"] = paging_of(call, str(page[limit].id))
    return answer


def _owner_json(owner: PortalOwner) -> Json:
    body: Json = {
        "id": str(owner.id),
        "email": owner.email,
        "type": "PERSON",
        "firstName": owner.first,
        "lastName": owner.last,
        "userIdIncludingInactive": owner.user_id,
        "createdAt": iso(owner.created),
        "updatedAt": iso(owner.created),
        "archived": owner.archived,
    }
    if not owner.archived:
        body["userId"] = owner.user_id
        body["teams"] = [{"id": "178001", "name": "Sales", "primary": True}]
    return body


def show_owner(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/owners/{id}`, by owner id or by user id."""
    by_user, archived = call.one("idProperty") == "userId", call.flag("archived")
    for each in state.owners.values():
        if str(each.user_id if by_user else each.id) == call.params["id"] and each.archived == archived:
            return _owner_json(each)
    raise not_found("resource not found")


# --- the account -----------------------------------------------------------------------------------------------------


def show_account(state: PortalState, call: HubspotCall) -> Json:
    """`GET /account-info/…/details`."""
    offset = (EPOCH + timedelta(milliseconds=call.now)).astimezone(ZoneInfo(state.switches.time_zone)).utcoffset()
    seconds = int((offset or timedelta()).total_seconds())
    sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
    return {
        "portalId": state.portal_id,
        "accountType": "STANDARD",
        "timeZone": state.switches.time_zone,
        "companyCurrency": "EUR",
        "additionalCurrencies": [],
        "utcOffset": f"{sign}{minutes // 60:02d}:{minutes % 60:02d}",
        "utcOffsetMilliseconds": seconds * 1000,
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
    }


def usage_resets_at(state: PortalState, now: int) -> int:
    """When the day's calls are counted anew: midnight in the account's time zone."""
    local = (EPOCH + timedelta(milliseconds=now)).astimezone(ZoneInfo(state.switches.time_zone))
    tomorrow = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return milliseconds(tomorrow)


def show_usage(state: PortalState, call: HubspotCall) -> Json:
    """`GET /account-info/…/api-usage/daily/private-apps`."""
    found = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": state.switches.daily,
        "currentUsage": state.switches.daily_used,
        "collectedAt": iso(call.now),
        "fetchStatus": "SUCCESS",
        "resetsAt": iso(usage_resets_at(state, call.now)),
    }
    return {"results": [found]}


def custom_limits(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/limits/…/custom-properties`: how many properties of its own the portal has, and may have."""
    limit = _CUSTOM_LIMIT.get(state.switches.tier, 1_000)
    results: list[Json] = [
        {
            "objectTypeId": records.kind.type_id,
            "pluralLabel": records.kind.name.title(),
            "singularLabel": records.kind.singular.title(),
            "usage": len(records.schema.custom()),
            "limit": limit,
            "percentage": round(100 * len(records.schema.custom()) / limit, 2),
        }
        for records in state.records.values()
    ]
    overall, used = limit * len(results), sum(each["usage"] for each in results)
    return {
        "overallLimit": overall,
        "overallUsage": used,
        "overallPercentage": round(100 * used / overall, 2),
        "byObjectType": results,
    }


def list_schemas(state: PortalState, call: HubspotCall) -> Json:
    """`GET /crm/v3/schemas`: the portal has no custom objects."""
    return {"results": []}
