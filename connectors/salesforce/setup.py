"""Creating the fields, the stages and the permission set that shows them, and saying what is left to click."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectors.salesforce.client import Org
from connectors.salesforce.contacts import RecordReader
from connectors.salesforce.errors import RequestRefused, id_in, is_id, object_with, query_page, text_of, unreadable
from connectors.salesforce.missing_fields import lacking_values, value_clicks
from connectors.salesforce.paging import text_literal
from connectors.salesforce.schema import HOLDING, NUMBERS, OBJECTS, TASK_KEY, Schema
from crmsync.connector import FieldMap
from crmsync.model import FEEDBACK_LABEL, TASK_LABEL, ScoreField, find_score_field

LABEL = "crmsync"
DESCRIPTION = "Written by crmsync; do not edit."
CHOICE_DESCRIPTION = "Read by crmsync: what users think of a lead."
OUR_STAGE = "Crmsync_Stage__c"
"""The picklist the config names by default; another one is ours if setup made it, which its description tells."""


@dataclass(frozen=True)
class WantedField:
    """A score field, the field of the stage, one that users choose a value of, or that of the keys of tasks, that an
    object should have.
    """

    object: str
    api: str
    name: str
    values: tuple[str, ...] = ()
    is_choice: bool = False

    @property
    def place(self) -> str:
        """Where the field is defined: tasks and events have their custom fields in common."""
        return "Activity" if self.object == "Task" else self.object

    @property
    def score_field(self) -> ScoreField | None:
        """The score field that it holds; `None` for stages, choices and the key of tasks."""
        with suppress(KeyError):
            return find_score_field(self.name)
        return None

    @property
    def label(self) -> str:
        """What users see."""
        if self.api == TASK_KEY:
            return TASK_LABEL
        if self.is_choice:
            return FEEDBACK_LABEL
        return self.score_field.label if self.score_field else "Lifecycle stage"

    @property
    def description(self) -> str:
        """What tells a field of ours from another one."""
        return CHOICE_DESCRIPTION if self.is_choice else DESCRIPTION

    @property
    def rights(self) -> str:
        """What the integration user may do with it."""
        return "Read" if self.is_choice else "Read and Edit"

    @property
    def type(self) -> str:
        """What it holds: a `number`, a `date`, a `text`, or one of some `values`."""
        return self.score_field.type if self.score_field else "values"

    @property
    def metadata(self) -> dict[str, Any]:
        """The field as the Tooling API takes it."""
        common = {"label": self.label, "required": False, "description": self.description}
        if self.type == "number":
            return {**common, "type": "Number", "precision": 9, "scale": 0}
        if self.type == "date":
            return {**common, "type": "Date"}
        if self.api == TASK_KEY:
            return {**common, "type": "Text", "length": 40}
        if self.score_field and self.type == "text":
            return {**common, "type": "Text", "length": self.score_field.length}
        values = [{"valueName": each, "label": each, "default": False} for each in self.values]
        set_ = {"restricted": True, "valueSetDefinition": {"sorted": False, "value": values}}
        return {**common, "type": "Picklist", "valueSet": set_}


def wanted_fields(readers: Mapping[str, RecordReader], names: FieldMap) -> list[WantedField]:
    """The fields of ours that the config names, of each kind; a stage field only where it is not Salesforce's own."""
    found = []
    for kind, reader in readers.items():
        found += [WantedField(OBJECTS[kind], api, name) for name, api in reader.score_fields.items()]
        stages = tuple(dict.fromkeys(FieldMap.spelled(names.stages, kind).values()))
        if stages and reader.stage_field.endswith("__c"):
            found.append(WantedField(OBJECTS[kind], reader.stage_field, "stage", stages))
        found += [
            WantedField(OBJECTS[kind], reader.fields[name], name, values, is_choice=True)
            for name, values in reader.choices.items()
        ]
    return [*found, WantedField("Task", TASK_KEY, "task key")] if names.tasks else found


def create_fields(org: Org, schema: Schema, readers: Mapping[str, RecordReader], names: FieldMap) -> Iterator[str]:
    """Create what is missing, show it to the integration user, and tell each step; repeating it changes nothing."""
    schema.forget()
    asked = wanted_fields(readers, names)
    ours = [each for each in asked if each.api.endswith("__c")]
    yield from (f"{each.object}.{each.api}: {_foreign(schema, each)}" for each in asked if each not in ours)
    there = []
    for each in ours:
        said, is_there = _created(org, schema, each)
        there += [each] * is_there
        yield f"{each.object}.{each.api}: {said}"
    if ours:
        yield from _shown(org, there)
    schema.forget()
    yield from (
        f"{each.object}.{each.api}: it exists, but the integration user cannot see it yet; {_clicks(org, each)}"
        for each in there
        if each.api.lower() not in schema.of(each.object)
    )
    yield from (
        f"{each.object}.{each.api}: for your users to fill it in, give them 'Read' and 'Edit' on it and put it on the "
        "page layout"
        for each in there
        if each.is_choice
    )
    yield from _staged(org, schema, readers)


def _staged(org: Org, schema: Schema, readers: Mapping[str, RecordReader]) -> Iterator[str]:
    """Add the stages and choices that a picklist of ours lacks; of another one only tell."""
    for kind, reader in readers.items():
        asked = [(reader.stage_field, list(reader.stages), DESCRIPTION, "[[stage]]")]
        asked += [
            (reader.fields[name], list(values), CHOICE_DESCRIPTION, f"[{name}]")
            for name, values in reader.choices.items()
        ]
        for api, wanted, description, table in asked:
            lacking = [repr(value) for value in lacking_values(schema, kind, api, wanted)]
            if not lacking:
                continue
            object_, values = OBJECTS[kind], f"the value{'s'[: len(lacking) > 1]} {', '.join(lacking)}"
            try:
                remedy = _add_values(org, object_, api, wanted, description)
            except RequestRefused as error:
                remedy = f"{error.message}; {value_clicks(object_, api)}"
            if remedy:
                yield f"{object_}.{api}: {values} not added: {remedy}; or correct {table}"
            else:
                yield f"{object_}.{api}: {values} added"
    schema.forget()


def _add_values(org: Org, object_: str, api: str, values: Sequence[str], description: str) -> str:
    """Give a picklist of ours these values, beside those it has. Returns what an admin has to do instead.

    The Metadata that is sent takes the place of all there is, so that it is what was read with more in it
    (https://docs.jitterbit.com/integration-studio/design/connectors/salesforce/salesforce-how-tos/, 2026-11).
    """
    known = _custom_field(org, object_, api)
    if by_hand := _values_by_hand(known, object_, api, description):
        return by_hand
    metadata = known["Metadata"]
    set_ = metadata["valueSet"]
    definition = set_["valueSetDefinition"]
    more = {**definition, "value": with_values(definition["value"], values)}
    body = {
        "FullName": f"{object_}.{api}",
        "Metadata": {**metadata, "valueSet": {**set_, "valueSetDefinition": more}},
    }
    org.rest("PATCH", f"tooling/sobjects/CustomField/{known['Id']}", body)
    return ""


def _values_by_hand(known: Mapping[str, Any], object_: str, api: str, description: str) -> str:
    """What an admin has to do for a value of a picklist; `""` where it is ours and setup adds it."""
    metadata = _table(known.get("Metadata"))
    if api.lower() != OUR_STAGE.lower() and metadata.get("description") != description:
        return f"crmsync did not create this picklist; {value_clicks(object_, api)}"
    set_ = _table(metadata.get("valueSet"))
    if name := set_.get("valueSetName"):
        return f"in Setup > Picklist Value Sets > {name}, click New"
    there = _table(set_.get("valueSetDefinition")).get("value")
    is_list = isinstance(there, list) and all(isinstance(each, dict) for each in there)
    return "" if is_list else value_clicks(object_, api)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def value_remedy(org: Org, object_: str, api: str, description: str, table: str) -> str:
    """How a value of a table of the config comes into a picklist: by setup where it is ours, else by hand."""
    try:
        by_hand = _values_by_hand(_custom_field(org, object_, api), object_, api, description)
    except RequestRefused:
        return "run: crmsync setup"
    return f"{by_hand}; or correct {table}" if by_hand else "crmsync setup adds it"


def with_values(there: Sequence[Mapping[str, Any]], values: Sequence[str]) -> list[Mapping[str, Any]]:
    """The values of a picklist with each of these among them, active, new ones behind the one that is named before."""
    found = list(there)
    behind = 0
    for value in values:
        place = next((at for at, each in enumerate(found) if each.get("valueName") == value), None)
        if place is None:
            place = behind
            found.insert(place, {"valueName": value, "label": value, "default": False})
        elif found[place].get("isActive") is False:
            found[place] = {**found[place], "isActive": True}
        behind = place + 1
    return found


def _custom_field(org: Org, object_: str, api: str) -> dict[str, Any]:
    """A custom field with its Metadata; nothing where there is none of this name."""
    if not api.endswith("__c"):
        return {}
    soql = (
        f"SELECT Id FROM CustomField WHERE TableEnumOrId = {text_literal(object_)} "
        f"AND DeveloperName = {text_literal(api.removesuffix('__c'))} AND NamespacePrefix = null"
    )
    found = org.rest("GET", f"tooling/query?q={quote(soql)}", read=query_page)["records"]
    if not found:
        return {}
    if not isinstance(found[0], dict) or not is_id(found[0].get("Id")):
        raise unreadable("custom fields")
    id_ = str(found[0]["Id"])
    return {**org.rest("GET", f"tooling/sobjects/CustomField/{id_}", read=object_with("Metadata")), "Id": id_}


def _foreign(schema: Schema, each: WantedField) -> str:
    known = schema.of(each.object).get(each.api.lower())
    if known is None:
        return "crmsync creates only custom fields (names that end in __c); correct the name or create the field"
    return "found" if known.writable or each.is_choice else "found, but the integration user cannot edit it"


def _created(org: Org, schema: Schema, each: WantedField) -> tuple[str, bool]:
    """What to say, and whether the field is there now."""
    known = schema.of(each.object).get(each.api.lower())
    if known:
        fits = known.type in HOLDING[each.type] if each.type in HOLDING else known.type not in NUMBERS
        return ("found" if fits else f"found, but its type is {known.type}; use another field"), True
    try:
        _post_field(org, each)
    except RequestRefused as error:
        if error.code in THERE_ALREADY:
            return "found, but the integration user cannot see it yet", True
        return f"not created: {error.message}; {_by_hand(each)}", False
    return "created", True


def _post_field(org: Org, each: WantedField) -> None:
    """Create a field; that of the keys of tasks as one of which Salesforce allows no two and keeps an index, if it can.

    Whether activities can have such a field is documented neither way (2026-11).
    """
    body = {"FullName": f"{each.place}.{each.api}", "Metadata": each.metadata}
    if each.api == TASK_KEY:
        indexed = {**each.metadata, "externalId": True, "unique": True, "caseSensitive": False}
        try:
            org.rest("POST", "tooling/sobjects/CustomField", {**body, "Metadata": indexed})
            return
        except RequestRefused as error:
            if error.code in THERE_ALREADY:
                raise
    org.rest("POST", "tooling/sobjects/CustomField", body)


THERE_ALREADY = ("DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE")
"""What Salesforce says of a field that exists."""


def _by_hand(each: WantedField) -> str:
    kind = {
        "Number": "Number (9 digits, 0 decimals)",
        "Text": "Text",
        "Date": "Date",
        "Picklist": "Picklist (restricted)",
    }
    made = kind[each.metadata["type"]]
    values = f" with the values {', '.join(each.values)}" if each.values else ""
    return (
        f"create it in Setup > Object Manager > {each.place} > Fields & Relationships > New: {made}{values}, "
        f"label '{each.label}', name '{each.api.removesuffix('__c')}'; or let an admin run crmsync setup"
    )


def _clicks(org: Org, each: WantedField) -> str:
    return (
        f"in Setup > Permission Sets > {org.settings.permission_set} > Object Settings > {each.object} > Edit, "
        f"tick {each.rights} for {each.api}, and assign the permission set to the integration user"
    )


def _shown(org: Org, fields: list[WantedField]) -> Iterator[str]:
    """Grant the permission set's rights on the fields: a field made by the API is visible to nobody."""
    name = org.settings.permission_set
    try:
        set_id, made = _permission_set(org)
        rights = _rights(org, set_id)
        assigned = _assigned(org, set_id)
    except RequestRefused as error:
        yield f"permission set {name}: {error.message}; an admin has to grant Read and Edit on the fields above"
        return
    granted = 0
    for each in fields:
        try:
            granted += _granted(org, set_id, each, rights)
        except RequestRefused as error:
            yield f"{each.object}.{each.api}: {error.message}; {_clicks(org, each)}"
    done = [
        "created" if made else "found",
        f"access to {granted} field{'s'[: granted > 1]} granted" if granted else "no access to grant",
        "assigned to the integration user" if assigned else "already assigned",
    ]
    yield f"permission set {name}: {', '.join(done)}"


def _permission_set(org: Org) -> tuple[str, bool]:
    name = org.settings.permission_set
    found = org.rows(f"SELECT Id FROM PermissionSet WHERE Name = {text_literal(name)} LIMIT 1")
    if found:
        return text_of(found[0].get("Id")), False
    body = {"Name": name, "Label": LABEL, "Description": "Shows crmsync the fields it writes."}
    return str(org.rest("POST", "sobjects/PermissionSet", body, read=id_in)["id"]), True


def _rights(org: Org, set_id: str) -> dict[str, dict[str, Any]]:
    """The field permissions of a permission set, by `Lead.Field__c`."""
    found = org.rows(f"SELECT Id, Field, PermissionsEdit FROM FieldPermissions WHERE ParentId = {text_literal(set_id)}")
    return {text_of(each.get("Field")): each for each in found}


def _granted(org: Org, set_id: str, each: WantedField, rights: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the right had to be given: it may be there already, or there without Edit."""
    field = f"{each.object}.{each.api}"
    there = rights.get(field)
    if there and (there.get("PermissionsEdit") or each.is_choice):
        return False
    given = {"PermissionsRead": True, "PermissionsEdit": not each.is_choice}
    if there:
        org.rest("PATCH", f"sobjects/FieldPermissions/{text_of(there.get('Id'))}", given)
    else:
        new = {"ParentId": set_id, "SobjectType": each.object, "Field": field, **given}
        org.rest("POST", "sobjects/FieldPermissions", new)
    return True


def _assigned(org: Org, set_id: str) -> bool:
    user = user_id(org)
    there = org.rows(
        "SELECT Id FROM PermissionSetAssignment "
        f"WHERE PermissionSetId = {text_literal(set_id)} AND AssigneeId = {text_literal(user)}"
    )
    if not there:
        org.rest("POST", "sobjects/PermissionSetAssignment", {"AssigneeId": user, "PermissionSetId": set_id})
    return not there


def user_id(org: Org) -> str:
    """Who crmsync is in the org: the last part of the identity address that came with the token."""
    identity = org.identity()
    if not identity:
        identity = str(org.call(lambda client: object_with("user_id")(client.oauth2("userinfo")))["user_id"])
    return identity.rstrip("/").rpartition("/")[2]
