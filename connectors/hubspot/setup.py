"""Setting up a portal and examining it: the fields we write, and what an admin should know before the first run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.hubspot.client import Api
from connectors.hubspot.errors import KIND, RequestRefused, text_of
from connectors.hubspot.mapping import COMPANY_PREFIX
from connectors.hubspot.properties import Definition, crm_field
from connectors.hubspot.schema import Portal
from crmsync.connector import CrmField, FieldMap

GROUP, GROUP_LABEL = "crmsync", "Lead score (crmsync)"


CONTACTS = "0-1"
"""HubSpot's number for contacts."""


SHAPES = {
    "score": ("Lead score", "number", "number"),
    "fit": ("Lead score: fit", "number", "number"),
    "behavior": ("Lead score: behavior", "number", "number"),
    "band": ("Lead score: band", "string", "text"),
    "reason": ("Lead score: reason", "string", "textarea"),
}
"""Label, type and field type of the property for each output: five, so that they fit into a free portal."""


FITTING_TYPES = {"number": {"number"}, "string": {"string", "enumeration"}}
"""The types an existing property may have to take what we write."""


def list_fields(portal: Portal) -> Iterator[CrmField]:
    """Every contact property, and every company property as `company.<property>`."""
    for of in portal.definitions("contacts").values():
        yield crm_field(KIND, of.name, of, of.writable)
    for of in portal.definitions("companies").values():
        yield crm_field(KIND, COMPANY_PREFIX + of.name, of, False)


def create_fields(api: Api, portal: Portal, names: FieldMap) -> Iterator[str]:
    """Create the group and the output properties that are missing; a sentence for each."""
    portal.forget()
    wanted = FieldMap.spelled(names.outputs, KIND)
    known = portal.definitions("contacts")
    missing = {output: prop for output, prop in wanted.items() if prop not in known}
    yield from (_found(prop, known[prop], output) for output, prop in wanted.items() if prop in known)
    if not missing:
        return
    archived = {text_of(each.get("name")) for each in _archived(api)}
    yield from _group(api)
    for output, prop in missing.items():
        if prop in archived:
            yield f"HubSpot has {prop!r} in its archive: restore it under Settings → Properties → Archived"
        else:
            yield _created(api, output, prop)
    portal.forget()


def _found(prop: str, of: Definition, output: str) -> str:
    if not of.writable:
        return f"the HubSpot property {prop!r} exists and is read-only: choose another name in [write.outputs]"
    if of.type not in FITTING_TYPES[SHAPES[output][1]]:
        return (
            f"the HubSpot property {prop!r} exists and is of type {of.type}, but {output} needs {SHAPES[output][1]}: "
            "choose another name in [write.outputs]"
        )
    return f"the HubSpot property {prop!r} exists"


def _archived(api: Api) -> list[Mapping[str, Any]]:
    answer = api.get(api.place("properties", kind="contacts"), [("archived", "true")])
    return [each for each in answer["results"] if each.get("archived", True)]


def _group(api: Api) -> Iterator[str]:
    where = api.place("groups", kind="contacts")
    if any(each.get("name") == GROUP for each in api.get(where)["results"]):
        return
    try:
        api.post(where, {"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1})
    except RequestRefused as error:
        if error.category != "OBJECT_ALREADY_EXISTS" and error.status != 409:
            raise
        return
    yield f"created the HubSpot property group {GROUP_LABEL!r}"


def _created(api: Api, output: str, prop: str) -> str:
    label, property_type, field_type = SHAPES[output]
    body = {
        "name": prop,
        "label": label,
        "type": property_type,
        "fieldType": field_type,
        "groupName": GROUP,
        "formField": False,
    }
    try:
        api.post(api.place("properties", kind="contacts"), body)
    except RequestRefused as error:
        if error.category == "OBJECT_ALREADY_EXISTS" or error.status == 409:
            return f"the HubSpot property {prop!r} exists"
        return f"HubSpot did not create the property {prop!r}: {error.said}"
    return f"created the HubSpot property {prop!r}"
