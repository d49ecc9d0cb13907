"""Creating the output fields and the permission set that shows them, and saying what is left to click."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.salesforce.answers import Refused, expected
from connectors.salesforce.contacts import Reader
from connectors.salesforce.org import Org
from connectors.salesforce.pulling import quoted
from connectors.salesforce.schema import NUMBERS, OBJECTS, Schema
from crmsync.model import FieldMap

LABELS = {
    "score": "Lead score",
    "fit": "Fit score",
    "behavior": "Behavior score",
    "band": "Score band",
    "reason": "Score reason",
    "stage": "Lifecycle stage",
}
NUMERIC = ("score", "fit", "behavior")
TEXT_LENGTHS = {"band": 80, "reason": 255}
LABEL = "crmsync"


@dataclass(frozen=True)
class Wanted:
    """An output field that an object should have."""

    object: str
    api: str
    name: str
    stages: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, Any]:
        """The field as the Tooling API takes it."""
        common = {"label": LABELS[self.name], "required": False, "description": "Written by crmsync; do not edit."}
        if self.name in NUMERIC:
            return {**common, "type": "Number", "precision": 9, "scale": 0}
        if self.name in TEXT_LENGTHS:
            return {**common, "type": "Text", "length": TEXT_LENGTHS[self.name]}
        values = [{"valueName": each, "label": each, "default": False} for each in self.stages]
        set_ = {"restricted": True, "valueSetDefinition": {"sorted": False, "value": values}}
        return {**common, "type": "Picklist", "valueSet": set_}


def wanted(readers: Mapping[str, Reader], names: FieldMap) -> list[Wanted]:
    """The fields the config names, of each kind; a stage field only where it is not one of Salesforce's own."""
    found = []
    for kind, reader in readers.items():
        found += [Wanted(OBJECTS[kind], api, name) for name, api in reader.outputs.items()]
        stages = tuple(dict.fromkeys(FieldMap.spelled(names.stages, kind).values()))
        if stages and reader.stage_field.endswith("__c"):
            found.append(Wanted(OBJECTS[kind], reader.stage_field, "stage", stages))
    return found


def create_fields(org: Org, schema: Schema, readers: Mapping[str, Reader], names: FieldMap) -> Iterator[str]:
    """Create what is missing, show it to the integration user, and tell each step; repeating it changes nothing."""
    schema.forget()
    asked = wanted(readers, names)
    ours = [each for each in asked if each.api.endswith("__c")]
    yield from (f"{each.object}.{each.api}: {_foreign(schema, each)}" for each in asked if each not in ours)
    if not ours:
        return
    there = []
    for each in ours:
        said, is_there = _created(org, schema, each)
        there += [each] * is_there
        yield f"{each.object}.{each.api}: {said}"
    yield from _shown(org, there)
    schema.forget()
    yield from (
        f"{each.object}.{each.api}: it exists and is still not visible to the integration user; {_clicks(org, each)}"
        for each in there
        if each.api.lower() not in schema.of(each.object)
    )


def _foreign(schema: Schema, each: Wanted) -> str:
    known = schema.of(each.object).get(each.api.lower())
    if known is None:
        return "crmsync creates only custom fields, whose names end in __c; correct the name or create the field"
    return "found" if known.writable else "found, but the integration user may not edit it"


def _created(org: Org, schema: Schema, each: Wanted) -> tuple[str, bool]:
    """What to say, and whether the field is there now."""
    known = schema.of(each.object).get(each.api.lower())
    if known:
        fits = known.type in NUMBERS if each.name in NUMERIC else known.type not in NUMBERS
        return ("found" if fits else f"found, but it is of the type {known.type}; choose another field"), True
    body = {"FullName": f"{each.object}.{each.api}", "Metadata": each.metadata}
    try:
        org.rest("POST", "tooling/sobjects/CustomField", body)
    except Refused as error:
        if error.code in ("DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE"):
            return "found, not yet visible to the integration user", True
        return f"not created: {error.message}; {_by_hand(each)}", False
    return "created", True


def _by_hand(each: Wanted) -> str:
    kind = {"Number": "Number (9 digits, 0 decimals)", "Text": "Text", "Picklist": "Picklist (restricted)"}
    made = kind[each.metadata["type"]]
    values = f" with the values {', '.join(each.stages)}" if each.stages else ""
    return (
        f"create it in Setup > Object Manager > {each.object} > Fields & Relationships > New: {made}{values}, "
        f"label '{LABELS[each.name]}', name '{each.api.removesuffix('__c')}'; or let an admin run crmsync setup"
    )


def _clicks(org: Org, each: Wanted) -> str:
    return (
        f"in Setup > Permission Sets > {org.settings.permission_set} > Object Settings > {each.object} > Edit, "
        f"tick Read and Edit for {each.api}, and assign the permission set to the integration user"
    )


def _shown(org: Org, fields: list[Wanted]) -> Iterator[str]:
    """Grant the permission set's rights on the fields: a field made by the API is visible to nobody."""
    name = org.settings.permission_set
    try:
        set_id, made = _permission_set(org)
        rights = _rights(org, set_id)
        assigned = _assigned(org, set_id)
    except Refused as error:
        yield f"permission set {name}: {error.message}; an admin has to grant Read and Edit on the fields above"
        return
    granted = 0
    for each in fields:
        try:
            granted += _granted(org, set_id, each, rights)
        except Refused as error:
            yield f"{each.object}.{each.api}: {error.message}; {_clicks(org, each)}"
    done = [
        "created" if made else "found",
        f"{granted} fields granted" if granted else "no field to grant",
        "assigned to the integration user" if assigned else "assigned before",
    ]
    yield f"permission set {name}: {', '.join(done)}"


def _permission_set(org: Org) -> tuple[str, bool]:
    name = org.settings.permission_set
    found = org.rows(f"SELECT Id FROM PermissionSet WHERE Name = {quoted(name)} LIMIT 1")
    if found:
        return str(found[0]["Id"]), False
    body = {"Name": name, "Label": LABEL, "Description": "Shows crmsync the fields it writes."}
    return str(expected(org.rest("POST", "sobjects/PermissionSet", body), "id")["id"]), True


def _rights(org: Org, set_id: str) -> dict[str, dict[str, Any]]:
    """The field permissions of a permission set, by `Lead.Field__c`."""
    found = org.rows(f"SELECT Id, Field, PermissionsEdit FROM FieldPermissions WHERE ParentId = {quoted(set_id)}")
    return {each["Field"]: each for each in found}


def _granted(org: Org, set_id: str, each: Wanted, rights: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the right had to be given: it may be there already, or there without Edit."""
    field = f"{each.object}.{each.api}"
    there = rights.get(field)
    if there and there.get("PermissionsEdit"):
        return False
    given = {"PermissionsRead": True, "PermissionsEdit": True}
    if there:
        org.rest("PATCH", f"sobjects/FieldPermissions/{there['Id']}", given)
    else:
        new = {"ParentId": set_id, "SobjectType": each.object, "Field": field, **given}
        org.rest("POST", "sobjects/FieldPermissions", new)
    return True


def _assigned(org: Org, set_id: str) -> bool:
    user = user_id(org)
    there = org.rows(
        "SELECT Id FROM PermissionSetAssignment "
        f"WHERE PermissionSetId = {quoted(set_id)} AND AssigneeId = {quoted(user)}"
    )
    if not there:
        org.rest("POST", "sobjects/PermissionSetAssignment", {"AssigneeId": user, "PermissionSetId": set_id})
    return not there


def user_id(org: Org) -> str:
    """Who crmsync is in the org: the last part of the identity address that came with the token."""
    identity = org.identity()
    if not identity:
        told: Any = org.call(lambda client: client.oauth2("userinfo"))
        identity = str(expected(told, "user_id")["user_id"])
    return identity.rstrip("/").rpartition("/")[2]
