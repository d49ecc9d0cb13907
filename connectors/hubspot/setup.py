"""Setting up a portal: the score fields, what users choose from, and the group that these are in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.hubspot.client import Api
from connectors.hubspot.endpoints import Endpoint
from connectors.hubspot.errors import KIND, RequestRefused, text_of
from connectors.hubspot.missing_fields import TASK_KEY
from connectors.hubspot.properties import Definition
from connectors.hubspot.schema import Portal
from crmsync.connector import FieldMap
from crmsync.model import FEEDBACK_LABEL, TASK_LABEL, find_score_field

GROUP, GROUP_LABEL = "crmsync", "Lead score (crmsync)"

HOLDS_KEYS = {"label": TASK_LABEL, "type": "string", "fieldType": "text", "hasUniqueValue": True}
"""What a property is like that holds crmsync's own id of a record."""


CONTACTS = "0-1"
"""HubSpot's number for contacts."""


FITTING_TYPES = {"number": {"number"}, "string": {"string", "enumeration"}, "date": {"date", "string"}}
"""The types an existing property may have to take what we write."""


def create_fields(api: Api, portal: Portal, names: FieldMap) -> Iterator[str]:
    """Create the group, and the properties for scores, choices and tasks that are missing; a sentence for each."""
    portal.forget()
    yield from _contact_properties(api, portal, names)
    if names.tasks:
        yield from _task_property(api, portal)
    portal.forget()


def _contact_properties(api: Api, portal: Portal, names: FieldMap) -> Iterator[str]:
    chosen = chosen_properties(names)
    wanted = {**FieldMap.spelled(names.score_fields, KIND), **chosen}
    known = portal.definitions("contacts")
    missing = {name: prop for name, prop in wanted.items() if prop not in known}
    for name, prop in wanted.items():
        if prop in known and name in chosen:
            yield _completed(api, prop, known[prop], missing_options(known[prop], names.choices[name]))
        elif prop in known:
            yield _found(prop, known[prop], name)
    wanted_as = {
        prop: _chosen(names.choices[name]) if name in chosen else _scored(name) for name, prop in missing.items()
    }
    yield from _made(api, "contacts", wanted_as)


def _task_property(api: Api, portal: Portal) -> Iterator[str]:
    known = portal.definitions("tasks").get(TASK_KEY)
    if known is None:
        yield from _made(api, "tasks", {TASK_KEY: HOLDS_KEYS})
    else:
        yield known.objection_to_keys or f"the HubSpot property {TASK_KEY!r} exists"


def _made(api: Api, kind: str, wanted: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Create properties of a kind, and the group that they are in."""
    if not wanted:
        return
    # Whether an archived property blocks its name is not documented (docs/hubspot.md).
    archived = {text_of(each.get("name")) for each in _archived(api, kind)}
    yield from _group(api, kind)
    for prop, what in wanted.items():
        if prop in archived:
            yield f"the HubSpot property {prop!r} is archived: restore it under Settings → Properties → Archived"
        else:
            yield _created(api, kind, prop, what)


def chosen_properties(names: FieldMap) -> dict[str, str]:
    """The properties that users choose a value of, by the name of the field."""
    return {name: prop for name, prop in FieldMap.spelled(names.fields, KIND).items() if name in names.choices}


def missing_options(of: Definition, values: Sequence[str]) -> list[str]:
    """The values that nobody can choose of a property; none where it takes any text."""
    return [value for value in values if value not in of.options] if of.type == "enumeration" else []


def option_remedy(of: Definition, name: str) -> str:
    """How an option of a table of the config comes into a property: by setup where it is of our group, else by hand."""
    return "crmsync setup adds it" if of.group == GROUP else f"add it in HubSpot, or correct [{name}]"


def _completed(api: Api, prop: str, of: Definition, lacking: Sequence[str]) -> str:
    """Add options to a property of our group; of another one only tell."""
    if not lacking:
        return f"the HubSpot property {prop!r} exists"
    named = ", ".join(map(repr, lacking))
    if of.group != GROUP:
        return f"the HubSpot property {prop!r} has no option {named}: {option_remedy(of, 'feedback')}"
    found: Mapping[str, Any] = next(
        (each for each in api.get(api.place("properties", kind="contacts"))["results"] if each.get("name") == prop), {}
    )
    there = found.get("options") or []
    # What is sent takes the place of all options (https://developers.hubspot.com/docs/api-reference/crm-properties-v3,
    # 2026-11).
    body = {"options": [*there, *_options(lacking, len(there))]}
    try:
        api.call("PATCH", api.place("property", kind="contacts", property=prop), body)
    except RequestRefused as error:
        return f"HubSpot did not add {named} to the property {prop!r}: {error.said}"
    return f"added {named} to the HubSpot property {prop!r}"


def _options(values: Sequence[str], first: int = 0) -> list[dict[str, Any]]:
    return [
        {"label": value, "value": value, "displayOrder": place, "hidden": False}
        for place, value in enumerate(values, start=first)
    ]


def _type_of(score_field: str) -> str:
    ours = find_score_field(score_field).type
    return {"text": "string"}.get(ours, ours)


def _found(prop: str, of: Definition, name: str) -> str:
    if not of.writable:
        return f"the HubSpot property {prop!r} exists and is read-only: use another name in [write.fields]"
    if of.type not in FITTING_TYPES[_type_of(name)]:
        return (
            f"the HubSpot property {prop!r} exists and is of type {of.type}, but {name} needs {_type_of(name)}: "
            "use another name in [write.fields]"
        )
    return f"the HubSpot property {prop!r} exists"


def _archived(api: Api, kind: str) -> list[Mapping[str, Any]]:
    answer = api.get(api.place("properties", kind=kind), [("archived", "true")])
    return [each for each in answer["results"] if each.get("archived", True)]


def _group(api: Api, kind: str) -> Iterator[str]:
    where = api.place("groups", kind=kind)
    if any(each.get("name") == GROUP for each in _groups(api, where)):
        return
    try:
        api.post(where, {"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1})
    except RequestRefused as error:
        if error.category != "OBJECT_ALREADY_EXISTS" and error.status != 409:
            raise
        return
    yield f"created the HubSpot property group {GROUP_LABEL!r}{'' if kind == 'contacts' else f' of {kind}'}"


def _groups(api: Api, where: Endpoint) -> Sequence[Mapping[str, Any]]:
    """The groups there are, none where they cannot be listed: whoever makes one then hears that it is there."""
    try:
        listed: Sequence[Mapping[str, Any]] = api.get(where)["results"]
    except RequestRefused as error:
        if error.status not in (404, 405):
            raise
        return ()
    return listed


def _scored(name: str) -> dict[str, Any]:
    of = find_score_field(name)
    field_type = of.type if of.type != "text" else "textarea" if of.length > 100 else "text"
    return {"label": of.label, "type": _type_of(name), "fieldType": field_type}


def _chosen(values: Sequence[str]) -> dict[str, Any]:
    return {"label": FEEDBACK_LABEL, "type": "enumeration", "fieldType": "select", "options": _options(values)}


def _created(api: Api, kind: str, prop: str, what: Mapping[str, Any]) -> str:
    body = {"name": prop, **what, "groupName": GROUP, "formField": False}
    try:
        api.post(api.place("properties", kind=kind), body)
    except RequestRefused as error:
        if error.category == "OBJECT_ALREADY_EXISTS" or error.status == 409:
            return f"the HubSpot property {prop!r} exists"
        return f"HubSpot did not create the property {prop!r}: {error.said}"
    return f"created the HubSpot property {prop!r}"
