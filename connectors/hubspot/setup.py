"""Setting up a portal and examining it: the fields we write, and what an admin should know before the first run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from connectors.hubspot.activities import Activities
from connectors.hubspot.answers import KIND, Forbidden, Refused, id_of, objects_in, text
from connectors.hubspot.api import Api
from connectors.hubspot.portal import Portal
from connectors.hubspot.records import COMPANY_PREFIX, LINKS, STAGE
from connectors.hubspot.values import Definition, crm_field
from crmsync.errors import ConfigError
from crmsync.model import Checkup, CrmField, FieldMap, MissingField

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


def fields(portal: Portal) -> Iterator[CrmField]:
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
    archived = {text(each.get("name")) for each in _archived(api)}
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
    except Refused as error:
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
    except Refused as error:
        if error.category == "OBJECT_ALREADY_EXISTS" or error.status == 409:
            return f"the HubSpot property {prop!r} exists"
        return f"HubSpot did not create the property {prop!r}: {error.said}"
    return f"created the HubSpot property {prop!r}"


def check(api: Api, portal: Portal, activities: Activities, names: FieldMap) -> Checkup:
    """Everything an admin should know before a run. Raises `ConfigError` when the token does not work at all."""
    portal.forget()
    account = portal.account()
    problems: list[str] = []
    probes: list[Callable[[], object]] = [
        lambda: api.get(api.place("list", kind="contacts"), [("limit", "1")]),
        lambda: portal.definitions("contacts"),
        lambda: portal.owners(),
        lambda: _may_write(api),
    ]
    if any(each.startswith(COMPANY_PREFIX) for each in FieldMap.spelled(names.fields, KIND).values()):
        probes.append(lambda: api.get(api.place("list", kind="companies"), [("limit", "1")]))
        probes.append(lambda: portal.definitions("companies"))
    for probe in probes:
        try:
            probe()
        except ConfigError as error:
            problems += error.problems
    if not problems:
        problems += [each.sentence for each in missing_fields(portal, names)]
        problems += [*_unfit(portal, names), *_no_room(api, portal, names)]
    stages = () if problems else tuple(_unnamed_stages(portal, names))
    left_out = (*_left_out(activities.silent()), *_refused_forms(activities.refused_forms()))
    notes = (*left_out, *stages, *_no_imports(api), *_notes(api, portal))
    return Checkup(account, tuple(dict.fromkeys(problems)), notes)


def _left_out(silent: Mapping[str, str]) -> Iterator[str]:
    """The feeds that this portal cannot serve, one sentence for each reason."""
    for why in dict.fromkeys(silent.values()):
        sources = [source for source, said in silent.items() if said == why]
        yield f"left out of [[hubspot.activities]]: {', '.join(sources)} ({why})"


def _refused_forms(refused: Mapping[str, str]) -> Iterator[str]:
    """The forms that are left out, one sentence for each reason."""
    for why in dict.fromkeys(refused.values()):
        names = ", ".join(repr(name) for name, said in refused.items() if said == why)
        yield f"left out of the source forms: {names} ({why}); if what is sent there matters, make another form"


def _no_imports(api: Api) -> Iterator[str]:
    """Without imports everything is written in batches, which the admin may not expect."""
    if api.settings.mass_write == "import":
        try:
            api.get(api.place("imports"), [("limit", "1")])
        except (Forbidden, Refused) as error:
            yield f"[hubspot] mass_write: scores are written in batches as long as imports are not to be had ({error})"


def _may_write(api: Api) -> None:
    """Ask to update no record at all: without the scope HubSpot says so, otherwise nothing happens."""
    try:
        api.post(api.place("batch_update", kind="contacts"), {"inputs": []})
    except Refused:
        return


def missing_fields(portal: Portal, names: FieldMap) -> Iterator[MissingField]:
    """The mapped properties that the portal does not have, or does not show to this token."""
    known = portal.definitions("contacts")
    companies, refusal = _company_properties(portal, names)
    for name, prop in FieldMap.spelled(names.fields, KIND).items():
        if prop not in known and prop not in companies:
            of_company = prop.startswith(COMPANY_PREFIX)
            said = (of_company and refusal) or (
                f"HubSpot has no property {prop!r} (any longer), or does not show it to this token, so the field is "
                "unknown for everybody new: correct [fields], or restore the property in HubSpot"
            )
            yield MissingField("field", name, KIND, f"[fields] {name}: {said}")
    for output, prop in FieldMap.spelled(names.outputs, KIND).items():
        if prop not in known:
            said = f"HubSpot has no property {prop!r}: create it with crmsync setup"
            yield MissingField("output", output, KIND, f"[write.outputs] {output}: {said}")
    if STAGE not in known and FieldMap.spelled(names.stages, KIND):
        said = f"HubSpot does not show the property {STAGE!r} to this token: restore it there, or take [[stage]] out"
        yield MissingField("stage", "stage", KIND, f"[[stage]]: {said}")


def _company_properties(portal: Portal, names: FieldMap) -> tuple[Collection[str], str]:
    """The company properties as fields spell them, or why they cannot be seen."""
    if not _of_company(names):
        return (), ""
    try:
        return {f"{COMPANY_PREFIX}{name}" for name in portal.definitions("companies")}, ""
    except Forbidden as error:
        return (), str(error)


def _unfit(portal: Portal, names: FieldMap) -> Iterator[str]:
    """The properties that cannot take what is written, and the stages that do not exist."""
    known, stages = portal.definitions("contacts"), portal.stages()
    for output, prop in FieldMap.spelled(names.outputs, KIND).items():
        if prop in known and "exists and is" in (said := _found(prop, known[prop], output)):
            yield f"[write.outputs] {output}: {said}"
    for name, value in FieldMap.spelled(names.stages, KIND).items():
        if stages and value not in stages:
            yield f"[[stage]] {name}: HubSpot has no lifecycle stage {value!r}; it has {', '.join(stages)}"


def _unnamed_stages(portal: Portal, names: FieldMap) -> Iterator[str]:
    """The stages below the highest one that the config names: contacts come from there."""
    stages, named = portal.stages(), set(FieldMap.spelled(names.stages, KIND).values())
    highest = max((place for place, value in enumerate(stages) if value in named), default=0)
    if unnamed := [value for value in stages[:highest] if value not in named]:
        yield f"no [[stage]] names these lifecycle stages: {', '.join(unnamed)}; their place in the order is HubSpot's"


def _no_room(api: Api, portal: Portal, names: FieldMap) -> Iterator[str]:
    """Free portals have room for ten custom properties."""
    missing = set(FieldMap.spelled(names.outputs, KIND).values()) - portal.definitions("contacts").keys()
    if not missing:
        return
    try:
        answer = api.get(api.place("property_limits"))
    except (Refused, ConfigError):
        return
    for each in objects_in(answer, "byObjectType"):
        left = int(id_of(each.get("limit")) or 0) - int(id_of(each.get("usage")) or 0)
        if each.get("objectTypeId") == CONTACTS and left < len(missing):
            yield (
                f"HubSpot has room for {max(left, 0)} more custom contact properties and crmsync setup would create "
                f"{len(missing)}: delete some there, or leave outputs out of [write.outputs]"
            )


def _of_company(names: FieldMap) -> bool:
    return any(each.startswith(COMPANY_PREFIX) for each in FieldMap.spelled(names.fields, KIND).values())


def _notes(api: Api, portal: Portal) -> Iterator[str]:
    try:
        for each in api.get(api.place("usage"))["results"]:
            yield f"{int(each['currentUsage']):,} of {int(each['usageLimit']):,} calls of today are used"
    except (Refused, ConfigError, KeyError, TypeError, ValueError):
        yield "HubSpot does not say how many of today's calls are used"
    try:
        known = portal.definitions("contacts")
    except ConfigError:
        return
    if any(link in known for link in LINKS):
        yield (
            "this portal has HubSpot's own Salesforce sync: let each field be written by one system only "
            '(set score, stage and owner to "Don\'t sync" there, or leave one CRM out of [write])'
        )
