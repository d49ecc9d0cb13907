"""Setting up a portal: the score fields and the group that they are in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.hubspot.client import Api
from connectors.hubspot.errors import KIND, RequestRefused, text_of
from connectors.hubspot.properties import Definition
from connectors.hubspot.schema import Portal
from crmsync.connector import FieldMap
from crmsync.model import SCORE_FIELDS

GROUP, GROUP_LABEL = "crmsync", "Lead score (crmsync)"


CONTACTS = "0-1"
"""HubSpot's number for contacts."""


FITTING_TYPES = {"number": {"number"}, "string": {"string", "enumeration"}}
"""The types an existing property may have to take what we write."""


def create_fields(api: Api, portal: Portal, names: FieldMap) -> Iterator[str]:
    """Create the group and the score field properties that are missing; a sentence for each."""
    portal.forget()
    wanted = FieldMap.spelled(names.score_fields, KIND)
    known = portal.definitions("contacts")
    missing = {name: prop for name, prop in wanted.items() if prop not in known}
    yield from (_found(prop, known[prop], name) for name, prop in wanted.items() if prop in known)
    if not missing:
        return
    # Whether an archived property blocks its name is not documented (docs/hubspot.md).
    archived = {text_of(each.get("name")) for each in _archived(api)}
    yield from _group(api)
    for name, prop in missing.items():
        if prop in archived:
            yield f"the HubSpot property {prop!r} is archived: restore it under Settings → Properties → Archived"
        else:
            yield _created(api, name, prop)
    portal.forget()


def _type_of(score_field: str) -> str:
    return "string" if SCORE_FIELDS[score_field].length else "number"


def _found(prop: str, of: Definition, name: str) -> str:
    if not of.writable:
        return f"the HubSpot property {prop!r} exists and is read-only: use another name in [write.fields]"
    if of.type not in FITTING_TYPES[_type_of(name)]:
        return (
            f"the HubSpot property {prop!r} exists and is of type {of.type}, but {name} needs {_type_of(name)}: "
            "use another name in [write.fields]"
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


def _created(api: Api, name: str, prop: str) -> str:
    label, length = SCORE_FIELDS[name].label, SCORE_FIELDS[name].length
    body = {
        "name": prop,
        "label": label,
        "type": _type_of(name),
        "fieldType": "number" if not length else "textarea" if length > 100 else "text",
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
