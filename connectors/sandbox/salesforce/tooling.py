"""The Tooling API, as far as creating, finding and changing custom fields needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from connectors.sandbox.salesforce.schema import SandboxField
from connectors.sandbox.salesforce.state import OrgState
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.salesforce.values import SalesforceRefusal
from connectors.sandbox.salesforce.wire import Answer, SalesforceCall, resource_not_found
from connectors.sandbox.world import salesforce_id

_TYPES = {
    "Number": "double",
    "Currency": "currency",
    "Percent": "percent",
    "Text": "string",
    "TextArea": "textarea",
    "LongTextArea": "textarea",
    "Checkbox": "boolean",
    "Date": "date",
    "DateTime": "datetime",
    "Email": "email",
    "Url": "url",
    "Phone": "phone",
    "Picklist": "picklist",
    "MultiselectPicklist": "multipicklist",
}


def _invalid(message: str) -> SalesforceRefusal:
    return SalesforceRefusal("FIELD_INTEGRITY_EXCEPTION", message)


def _size(metadata: Mapping[str, Any], type_: str) -> tuple[int, int]:
    if type_ in ("double", "currency", "percent"):
        if "precision" not in metadata or "scale" not in metadata:
            raise _invalid("Must specify 'precision' and 'scale' for a CustomField of type Number")
        precision, scale = int(metadata["precision"]), int(metadata["scale"])
        if not 0 < precision <= 18 or scale > precision:
            raise _invalid("Precision must be at most 18 and no less than scale")
        return precision, scale
    if metadata.get("type") == "Text":
        if not 0 < int(metadata.get("length") or 0) <= 255:
            raise _invalid("Must specify 'length' between 1 and 255 for a CustomField of type Text")
        return int(metadata["length"]), 0
    if metadata.get("type") == "LongTextArea":
        return int(metadata.get("length") or 32768), 0
    return {"boolean": 0, "date": 0, "datetime": 0, "email": 80}.get(type_, 255), 0


def _options(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    definition = (metadata.get("valueSet") or {}).get("valueSetDefinition") or {}
    return tuple(
        str(each.get("valueName") or each.get("fullName"))
        for each in definition.get("value", ())
        if each.get("isActive") is not False
    )


def _made(name: str, metadata: Mapping[str, Any]) -> SandboxField:
    type_ = _TYPES.get(str(metadata.get("type")))
    if type_ is None:
        raise _invalid(f"Unknown field type: {metadata.get('type')}")
    if not metadata.get("label"):
        raise SalesforceRefusal(
            "REQUIRED_FIELD_MISSING", "Required fields are missing: [MasterLabel]", ("MasterLabel",)
        )
    size, scale = _size(metadata, type_)
    values = _options(metadata)
    if type_ in ("picklist", "multipicklist") and not values:
        raise _invalid("A picklist field must have at least one value")
    return SandboxField(
        name=name,
        type=type_,
        size=size,
        scale=scale,
        label=str(metadata["label"]),
        updateable=True,
        createable=True,
        nillable=type_ != "boolean",
        defaulted=type_ == "boolean",
        filterable=metadata.get("type") != "LongTextArea",
        restricted=bool((metadata.get("valueSet") or {}).get("restricted")),
        values=values,
        description=metadata.get("description"),
        custom=True,
        external=bool(metadata.get("externalId")),
        unique=bool(metadata.get("unique")),
    )


ACTIVITY = ("Task", "Event")
"""The objects that have their custom fields in common; these are defined on Activity, which has no records."""


def _home(table: ObjectTable) -> str:
    """The object on which an object's custom fields are defined."""
    return "Activity" if table.sobject.name in ACTIVITY else table.sobject.name


def _place(state: OrgState, full_name: str) -> tuple[list[ObjectTable], str]:
    """The objects that get a field, and its name."""
    object_, _, name = full_name.partition(".")
    tables = [table for table in state.tables.values() if _home(table).lower() == object_.lower()]
    if not tables:
        raise SalesforceRefusal(
            "INVALID_CROSS_REFERENCE_KEY", f"Entity Enumeration Or ID: no such object: {object_}", ("TableEnumOrId",)
        )
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*__c", name):
        raise SalesforceRefusal(
            "INVALID_FIELD_NAME" if name else "REQUIRED_FIELD_MISSING", f"bad name of a field: {name}", ("FullName",)
        )
    return tables, name


def field_id(object_: str, name: str) -> str:
    """The Tooling id of a custom field: the same at every run."""
    number = int.from_bytes(sha256(f"{object_}.{name}".lower().encode()).digest()[:8], "big")
    return salesforce_id("00N", number % 62**11)


def create_field(state: OrgState, call: SalesforceCall) -> Answer:
    if state.switches.metadata_forbidden:
        raise SalesforceRefusal("INSUFFICIENT_ACCESS", "insufficient access rights on cross-reference id", status=403)
    body = call.record()
    if not isinstance(body.get("Metadata"), dict):
        raise SalesforceRefusal("REQUIRED_FIELD_MISSING", "Required fields are missing: [Metadata]", ("Metadata",))
    tables, name = _place(state, str(body.get("FullName") or ""))
    home = _home(tables[0])
    if any(name.lower() in table.sobject.fields for table in tables):
        message = f"There is already a field named {name.removesuffix('__c')} on {home}."
        raise SalesforceRefusal("DUPLICATE_DEVELOPER_NAME", message, ("DeveloperName",))
    made = _made(name, body["Metadata"])
    if home == "Activity" and (made.external or made.unique) and not state.switches.activity_keys:
        raise _invalid("Activity fields cannot be unique or external ids")
    for table in tables:
        table.sobject.add(made)
    state.forget()
    return Answer(201, {"id": field_id(home, name), "success": True, "errors": [], "warnings": [], "infos": []})


def _entities(state: OrgState, text: str) -> list[dict[str, Any]]:
    return [
        {
            "QualifiedApiName": table.sobject.name,
            "DurableId": table.sobject.name,
            "KeyPrefix": table.sobject.prefix,
            "Label": table.sobject.label,
        }
        for table in state.tables.values()
        if not (named := _named(text, "QualifiedApiName")) or table.sobject.name in named
    ]


def _custom_fields(state: OrgState, text: str) -> list[dict[str, Any]]:
    objects, names = (
        _named(text, "TableEnumOrId") or _named(text, "EntityDefinition.QualifiedApiName"),
        _named(text, "DeveloperName"),
    )
    found = []
    for table in state.tables.values():
        for each in table.sobject.fields.values():
            developer = each.name.removesuffix("__c")
            if each.custom and (not objects or _home(table) in objects) and (not names or developer in names):
                found.append(
                    {
                        "Id": field_id(_home(table), each.name),
                        "DeveloperName": developer,
                        "TableEnumOrId": _home(table),
                    }
                )
    return list({each["Id"]: each for each in found}.values())


def _field_definitions(state: OrgState, text: str) -> list[dict[str, Any]]:
    return [
        {
            "QualifiedApiName": each.name,
            "IsFieldHistoryTracked": (table.sobject.name.lower(), each.name.lower()) in state.tracked,
        }
        for table in state.tables.values()
        if table.sobject.name in _named(text, "EntityDefinition.QualifiedApiName")
        for each in table.sobject.fields.values()
    ]


def _named(text: str, field_: str) -> set[str]:
    match = re.search(rf"\b{re.escape(field_)}\s*(?:=\s*('[^']*')|IN\s*\(([^)]*)\))", text, re.I)
    return set(re.findall(r"'([^']*)'", match[1] or match[2])) if match else set()


def query_tooling(state: OrgState, call: SalesforceCall) -> Answer:
    """The few queries installers make: by object and name, without SOQL's full language."""
    text = call.params.get("q", "")
    source = re.search(r"\bFROM\s+(\w+)", text, re.I)
    kinds = {
        "customfield": ("CustomField", _custom_fields),
        "entitydefinition": ("EntityDefinition", _entities),
        "fielddefinition": ("FieldDefinition", _field_definitions),
    }
    if source is None or source[1].lower() not in kinds:
        raise SalesforceRefusal("INVALID_TYPE", f"sObject type '{source[1] if source else ''}' is not supported.")
    name, find = kinds[source[1].lower()]
    shown = [{"attributes": {"type": name}, **each} for each in find(state, text)]
    return Answer(
        200,
        {
            "size": len(shown),
            "totalSize": len(shown),
            "done": True,
            "queryLocator": None,
            "entityTypeName": name,
            "records": shown,
        },
    )


def _found(state: OrgState, id_: str) -> tuple[ObjectTable, SandboxField]:
    for table in state.tables.values():
        for each in table.sobject.fields.values():
            if each.custom and field_id(_home(table), each.name) == id_:
                return table, each
    raise resource_not_found()


def _sharing(state: OrgState, table: ObjectTable) -> list[ObjectTable]:
    """The objects that have a custom field of an object in common with it."""
    return [other for other in state.tables.values() if _home(other) == _home(table)]


def _metadata(each: SandboxField) -> dict[str, Any]:
    """A field as the Metadata column has it; what this org does not keep is empty."""
    number = each.type in ("double", "currency", "percent")
    told: dict[str, Any] = {
        "label": each.label,
        "type": next(name for name, type_ in _TYPES.items() if type_ == each.type),
        "description": each.description,
        "inlineHelpText": None,
        "required": False,
        "externalId": each.external,
        "unique": each.unique,
        "length": each.size if each.type == "string" else None,
        "precision": each.size if number else None,
        "scale": each.scale if number else None,
        "valueSet": None,
    }
    if each.type in ("picklist", "multipicklist"):
        values = [(value, None) for value in each.values] + [(value, False) for value in each.inactive]
        definition = {"sorted": False, "value": [_value(name, is_active) for name, is_active in values]}
        told["valueSet"] = {
            "controllingField": None,
            "restricted": each.restricted,
            "valueSetDefinition": definition,
            "valueSetName": None,
            "valueSettings": [],
        }
    return told


def _value(name: str, is_active: bool | None) -> dict[str, Any]:
    return {
        "color": None,
        "default": False,
        "description": None,
        "isActive": is_active,
        "label": name,
        "urls": None,
        "valueName": name,
    }


def get_field(state: OrgState, call: SalesforceCall, id_: str) -> Answer:
    table, each = _found(state, id_)
    object_ = _home(table)
    return Answer(
        200,
        {
            "attributes": {"type": "CustomField", "url": f"{call.base}/tooling/sobjects/CustomField/{id_}"},
            "Id": id_,
            "TableEnumOrId": object_,
            "DeveloperName": each.name.removesuffix("__c"),
            "NamespacePrefix": None,
            "FullName": f"{object_}.{each.name}",
            "Metadata": _metadata(each),
        },
    )


def update_field(state: OrgState, call: SalesforceCall, id_: str) -> Answer:
    """The whole Metadata takes the place of what was: a picklist value that it leaves out is deactivated."""
    if state.switches.metadata_forbidden:
        raise SalesforceRefusal("INSUFFICIENT_ACCESS", "insufficient access rights on cross-reference id", status=403)
    table, each = _found(state, id_)
    metadata = call.record().get("Metadata")
    if not isinstance(metadata, dict):
        raise SalesforceRefusal("REQUIRED_FIELD_MISSING", "Required fields are missing: [Metadata]", ("Metadata",))
    made = _made(each.name, metadata)
    if made.type != each.type:
        raise _invalid(f"This org does not turn a field of type {each.type} into one of type {made.type}")
    gone = tuple(value for value in (*each.values, *each.inactive) if value not in made.values)
    for each_table in _sharing(state, table):
        each_table.sobject.add(replace(made, inactive=gone))
    state.forget()
    return Answer(204)


def delete_field(state: OrgState, call: SalesforceCall, id_: str) -> Answer:
    table, each = _found(state, id_)
    for each_table in _sharing(state, table):
        each_table.sobject.drop(each.name)
    state.forget()
    return Answer(204)
