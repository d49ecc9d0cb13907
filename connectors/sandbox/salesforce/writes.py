"""What happens when a record is written: checks in Salesforce's order, rules, derived fields, stamps."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors.sandbox.salesforce.histories import remember_edit, remember_opportunity
from connectors.sandbox.salesforce.query import Scope
from connectors.sandbox.salesforce.schema import SandboxField
from connectors.sandbox.salesforce.shared_activities import involve
from connectors.sandbox.salesforce.state import INTEGRATION_USER, LEAD_QUEUE, DuplicateRule, OrgState
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.salesforce.values import SalesforceRefusal, is_record_id, parsed, taken, wire
from connectors.sandbox.world import with_checksum


@dataclass(frozen=True)
class Hand:
    """Who writes, and how: whether assignment rules run, whether duplicates are allowed, whether the API's limits on
    what may be written bind (they do not bind what happens inside the org)."""

    user: str = INTEGRATION_USER
    assigns: bool = True
    allow_duplicates: bool = False
    bound: bool = True


def no_column(name: str, entity: str) -> SalesforceRefusal:
    return SalesforceRefusal("INVALID_FIELD", f"No such column '{name}' on sobject of type {entity}", (name,))


def full_id(text: object) -> str | None:
    """The 18-character form of what may be an id."""
    if not is_record_id(text):
        return None
    return with_checksum(str(text)) if len(str(text)) == 15 else str(text)


def unknown_fields(state: OrgState, table: ObjectTable, values: Mapping[str, Any]) -> list[str]:
    """The names that are no field the integration user can see."""
    visible = state.visible(table.sobject.name)
    return [name for name in values if name.lower() not in visible and name != "attributes"]


def _readable(
    state: OrgState, table: ObjectTable, values: Mapping[str, Any], hand: Hand, creating: bool
) -> dict[str, Any]:
    """Values as the fields keep them, by the fields' own names. Raises `Refusal`."""
    name = table.sobject.name
    visible = state.visible(name) if hand.bound else table.sobject.fields
    read: dict[str, Any] = {}
    for given, value in values.items():
        if given == "attributes":
            continue
        each = visible.get(given.lower())
        if each is None:
            raise no_column(given, name)
        if hand.bound and not (each.createable if creating else each.updateable):
            raise _read_only(each)
        read[each.name] = full_id(value) or value if each.type == "reference" else value
        read[each.name] = taken(each, read[each.name])
    return read


def _read_only(each: SandboxField) -> SalesforceRefusal:
    return SalesforceRefusal(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"Unable to create/update fields: {each.name}. Please check the security settings of this field and verify "
        "that it is read/write for your profile or permission set.",
        (each.name,),
    )


# --- checks ----------------------------------------------------------------------------------------------------------


def _check_lock(state: OrgState, table: ObjectTable, row: int) -> None:
    ids = [table.ids[row], table.get(row, "AccountId")]
    for id_ in ids:
        if id_ in state.locked and state.locked[id_] != 0:
            state.locked[id_] -= 1
            raise _locked(str(id_))
    if state.switches.lock_share <= 0:
        return
    chosen = zlib.crc32(ids[0].encode()) % 10_000 < state.switches.lock_share * 10_000
    if chosen and state.lock_tries.get(ids[0], 0) < state.switches.lock_times:
        state.lock_tries[ids[0]] = state.lock_tries.get(ids[0], 0) + 1
        raise _locked(ids[0])


def _locked(id_: str) -> SalesforceRefusal:
    return SalesforceRefusal(
        "UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {id_}"
    )


def _check_owner(state: OrgState, table: ObjectTable, owner: str | None, given: bool) -> None:
    name = table.sobject.name
    found = state.locate(owner)
    if given and (found is None or found[0].sobject.name not in table.sobject.fields["ownerid"].targets):
        raise SalesforceRefusal(
            "INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank or is of the wrong type", ("OwnerId",)
        )
    if found is None:
        return
    if given and found[0].sobject.name == "Group" and not _takes(state, str(owner), name):
        raise SalesforceRefusal(
            "INVALID_CROSS_REFERENCE_KEY", f"Queue not associated with this SObject type: {name}", ("OwnerId",)
        )
    if found[0].sobject.name == "User" and not found[0].get(found[1], "IsActive"):
        raise SalesforceRefusal(
            "INACTIVE_OWNER_OR_USER",
            f"operation performed with inactive user [{owner}] as owner of {name.lower()}",
        )


def _takes(state: OrgState, queue: str, name: str) -> bool:
    table = state.of("QueueSobject")
    return any(table.get(row, "SobjectType") == name for row in table.where("QueueId", [queue]))


def _check_references(state: OrgState, table: ObjectTable, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        each = table.sobject.fields.get(name.lower())
        if each is None or each.type != "reference" or value is None or name == "OwnerId":
            continue
        found = state.locate(value)
        if found is None or found[0].get(found[1], "IsDeleted"):
            raise SalesforceRefusal("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (name,))
        if found[0].sobject.name not in each.targets:
            raise SalesforceRefusal(
                "FIELD_INTEGRITY_EXCEPTION", f"{each.label}: id value of incorrect type: {value}", (name,)
            )


def _check_required(table: ObjectTable, values: Mapping[str, Any], creating: bool) -> None:
    required = [
        each.name
        for each in table.sobject.fields.values()
        if not each.nillable and not each.defaulted and each.createable and each.type not in ("boolean", "id")
    ]
    empty = [name for name in required if (creating or name in values) and values.get(name) is None]
    if empty:
        raise SalesforceRefusal(
            "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(empty)}]", tuple(empty)
        )


def _check_rules(state: OrgState, table: ObjectTable, row: int) -> None:
    for rule in state.rules.get(table.sobject.name.lower(), ()):
        scope = Scope.over(state, table.sobject.name, rule.text)
        if scope.predicate(rule.when)(row):
            raise SalesforceRefusal(
                "FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message, (rule.field,) if rule.field else ()
            )


def _check_duplicates(state: OrgState, table: ObjectTable, row: int, hand: Hand) -> None:
    for rule in state.duplicate_rules.get(table.sobject.name.lower(), ()):
        if not (hand.allow_duplicates and not rule.block) and _has_twin(table, row, rule):
            raise SalesforceRefusal("DUPLICATES_DETECTED", "Use one of these records?")


def _has_twin(table: ObjectTable, row: int, rule: DuplicateRule) -> bool:
    value = table.get(row, rule.field)
    twins = table.where(rule.field, [value]) if value is not None else []
    return any(twin != row and not table.get(twin, "IsDeleted") for twin in twins)


# --- what follows from what ------------------------------------------------------------------------------------------


def _person_name(state: OrgState, table: ObjectTable, row: int) -> None:
    name = " ".join(filter(None, (table.get(row, "FirstName"), table.get(row, "LastName"))))
    table.set(row, "Name", name)


def _contact(state: OrgState, table: ObjectTable, row: int) -> None:
    _person_name(state, table, row)
    table.set(row, "IsEmailBounced", table.get(row, "EmailBouncedDate") is not None)


def _task(state: OrgState, table: ObjectTable, row: int) -> None:
    statuses = state.of("TaskStatus")
    status = statuses.where("ApiName", [table.get(row, "Status")])
    closed = any(statuses.get(each, "IsClosed") for each in status)
    if closed and not table.get(row, "IsClosed"):
        table.set(row, "CompletedDateTime", table.get(row, "CompletedDateTime") or state.now())
    if not closed:
        table.set(row, "CompletedDateTime", None)
    table.set(row, "IsClosed", closed)
    table.set(row, "IsHighPriority", table.get(row, "Priority") == "High")
    _activity(state, table, row)


def _event(state: OrgState, table: ObjectTable, row: int) -> None:
    start = table.get(row, "StartDateTime") or table.get(row, "ActivityDateTime")
    table.set(row, "StartDateTime", start)
    table.set(row, "ActivityDateTime", start)
    if start:
        table.set(row, "ActivityDate", start[:10])
        minutes = table.get(row, "DurationInMinutes") or 60
        table.set(row, "DurationInMinutes", minutes)
        table.set(row, "EndDateTime", wire(parsed(start) + timedelta(minutes=minutes)))
    _activity(state, table, row)


def _activity(state: OrgState, table: ObjectTable, row: int) -> None:
    """A finished activity moves its parents' LastActivityDate, and with it their SystemModstamp."""
    table.set(row, "AccountId", state.value(table.get(row, "WhoId"), "AccountId"))
    involve(state, table, row, ())
    finished = table.get(row, "IsClosed") if table.sobject.name == "Task" else True
    day = table.get(row, "ActivityDate") or (table.get(row, "CreatedDate") or state.now())[:10]
    if not finished or day > state.now()[:10]:
        return
    for name in ("WhoId", "AccountId"):
        found = state.locate(table.get(row, name))
        if found and (found[0].get(found[1], "LastActivityDate") or "") < day:
            found[0].set(found[1], "LastActivityDate", day)
            found[0].set(found[1], "SystemModstamp", state.now())


def _member(state: OrgState, table: ObjectTable, row: int) -> None:
    who = table.get(row, "ContactId") or table.get(row, "LeadId")
    table.set(row, "LeadOrContactId", who)
    table.set(row, "Type", "Contact" if table.get(row, "ContactId") else "Lead")
    for name in ("FirstName", "LastName", "Name", "Title", "Email"):
        table.set(row, name, state.value(who, name))
    responded = table.get(row, "Status") in RESPONDED
    table.set(row, "HasResponded", responded)
    if responded and table.get(row, "FirstRespondedDate") is None:
        table.set(row, "FirstRespondedDate", state.now()[:10])


def _opportunity(state: OrgState, table: ObjectTable, row: int) -> None:
    stages = state.of("OpportunityStage")
    found = stages.where("ApiName", [table.get(row, "StageName")])
    for name in ("IsWon", "IsClosed"):
        table.set(row, name, any(stages.get(each, name) for each in found))


def _permissions(state: OrgState, table: ObjectTable, row: int) -> None:
    """A field permission that grants nothing is deleted."""
    if table.sobject.name == "FieldPermissions" and not table.get(row, "PermissionsRead"):
        table.set(row, "IsDeleted", True)
    state.forget()


RESPONDED = frozenset({"Responded", "Registered", "Attended"})
_DERIVED: dict[str, Callable[[OrgState, ObjectTable, int], None]] = {
    "Lead": _person_name,
    "User": _person_name,
    "Contact": _contact,
    "Task": _task,
    "Event": _event,
    "CampaignMember": _member,
    "Opportunity": _opportunity,
    "FieldPermissions": _permissions,
    "PermissionSetAssignment": _permissions,
}


def derive_fields(state: OrgState, table: ObjectTable, row: int) -> None:
    """Set what follows from a record's other fields."""
    if follow := _DERIVED.get(table.sobject.name):
        follow(state, table, row)


def _stamp(state: OrgState, table: ObjectTable, row: int, user: str) -> None:
    now = state.now()
    table.set(row, "LastModifiedDate", now)
    table.set(row, "LastModifiedById", user)
    table.set(row, "SystemModstamp", now)


def _assign(state: OrgState, table: ObjectTable, row: int, hand: Hand) -> None:
    """The active lead assignment rule runs on every write that does not say otherwise, updates too."""
    if table.sobject.name == "Lead" and hand.assigns and state.switches.assignment_rule:
        table.set(row, "OwnerId", LEAD_QUEUE)


# --- the three things one can do with a record -----------------------------------------------------------------------


def row_of(table: ObjectTable, id_: object, missing: SalesforceRefusal | None = None) -> int:
    """The row of a living record. Raises `Refusal`: malformed, unknown or deleted."""
    full = full_id(id_)
    if full is None:
        raise SalesforceRefusal("MALFORMED_ID", f"{table.sobject.label} ID: id value of incorrect type: {id_}", ("Id",))
    row = table.rows.get(full)
    if row is None:
        raise missing or SalesforceRefusal("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if code := table.unshared.get(full):
        raise missing or SalesforceRefusal(code, "insufficient access rights on cross-reference id")
    if table.get(row, "IsDeleted"):
        raise SalesforceRefusal("ENTITY_IS_DELETED", "entity is deleted", status=404)
    return row


def update_record(state: OrgState, table: ObjectTable, row: int, values: Mapping[str, Any], hand: Hand) -> None:
    """Change a living record. Raises `Refusal` and leaves the record as it was."""
    if hand.bound:
        _check_lock(state, table, row)
        if table.sobject.name == "Lead" and table.get(row, "IsConverted") and not state.switches.edit_converted:
            raise SalesforceRefusal("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    read = _readable(state, table, values, hand, creating=False)
    _check_required(table, read, creating=False)
    _check_references(state, table, read)
    if hand.bound and ("OwnerId" in read or state.switches.strict_inactive_owners):
        _check_owner(state, table, read.get("OwnerId", table.get(row, "OwnerId")), "OwnerId" in read)
    before = {name: table.get(row, name) for name in read}
    for name, value in read.items():
        table.set(row, name, value)
    try:
        if hand.bound:
            _check_rules(state, table, row)
            _check_duplicates(state, table, row, hand)
    except SalesforceRefusal:
        for name, value in before.items():
            table.set(row, name, value)
        raise
    _stamp(state, table, row, hand.user)
    derive_fields(state, table, row)
    remember_edit(state, table, row, before, hand.user)
    _assign(state, table, row, hand)


def _defaults(state: OrgState, table: ObjectTable, hand: Hand) -> dict[str, Any]:
    now, fields = state.now(), table.sobject.fields
    made: dict[str, Any] = {"CreatedDate": now, "CreatedById": hand.user}
    made |= {"LastModifiedDate": now, "LastModifiedById": hand.user, "SystemModstamp": now}
    if "ownerid" in fields:
        made["OwnerId"] = hand.user
    starts = _STARTS.get(table.sobject.name, {})
    if table.sobject.name == "Task":
        statuses = state.of("TaskStatus")
        starts = starts | {"Status": statuses.get(statuses.where("IsDefault", [True])[0], "ApiName")}
    return made | starts


_STARTS: dict[str, dict[str, Any]] = {
    "Lead": {"Status": "Open - Not Contacted", "IsUnreadByOwner": True},
    "Task": {"Priority": "Normal", "TaskSubtype": "Task"},
    "Event": {"EventSubtype": "Event", "ShowAs": "Busy"},
    "CampaignMember": {"Status": "Sent"},
    "Campaign": {"Status": "Planned"},
    "PermissionSet": {"IsCustom": True},
    "PermissionSetAssignment": {"IsActive": True},
    "User": {"UserType": "Standard"},
}


def create_record(state: OrgState, table: ObjectTable, values: Mapping[str, Any], hand: Hand) -> str:
    """Add a record and return its id. Raises `Refusal`."""
    read = _readable(state, table, values, hand, creating=True)
    if hand.bound:
        _check_required(table, read, creating=True)
        _check_unique(state, table, read)
        if state.value(read.get("WhoId"), "IsConverted"):
            raise SalesforceRefusal("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ("WhoId",))
    _check_references(state, table, read)
    if hand.bound and "OwnerId" in read:
        _check_owner(state, table, read["OwnerId"], given=True)
    id_ = table.new_id()
    row = table.insert({"Id": id_} | _defaults(state, table, hand) | read)
    derive_fields(state, table, row)
    try:
        if hand.bound:
            _check_rules(state, table, row)
            _check_duplicates(state, table, row, hand)
    except SalesforceRefusal:
        table.discard_last()
        raise
    if table.sobject.name == "Opportunity":
        remember_opportunity(state, table, row, hand.user)
    _assign(state, table, row, hand)
    return id_


_UNIQUE = {
    "PermissionSet": ("Name",),
    "PermissionSetAssignment": ("PermissionSetId", "AssigneeId"),
    "FieldPermissions": ("ParentId", "Field"),
    "CampaignMember": ("CampaignId", "LeadId", "ContactId"),
}


def _check_unique(state: OrgState, table: ObjectTable, values: Mapping[str, Any]) -> None:
    for each in (each for each in table.sobject.fields.values() if each.unique):
        others = [row for row in table.where(each.name, [values.get(each.name)]) if not table.get(row, "IsDeleted")]
        if values.get(each.name) is not None and others:
            message = f"duplicate value found: {each.name} duplicates value on record with id: {table.ids[others[0]]}"
            raise SalesforceRefusal("DUPLICATE_VALUE", message, (each.name,))
    names = _UNIQUE.get(table.sobject.name, ())
    for row in table.where(names[0], [values.get(names[0])]) if names else ():
        if not table.get(row, "IsDeleted") and all(table.get(row, name) == values.get(name) for name in names):
            message = f"duplicate value found: {names[0]} duplicates value on record with id: {table.ids[row]}"
            raise SalesforceRefusal("DUPLICATE_VALUE", message)
    if table.sobject.name == "FieldPermissions":
        _check_permission(state, values)


def _check_permission(state: OrgState, values: Mapping[str, Any]) -> None:
    name, _, each = str(values.get("Field")).partition(".")
    table = state.table(name)
    if table is None or each.lower() not in table.sobject.fields or values.get("SobjectType") != table.sobject.name:
        raise SalesforceRefusal(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"Field Name: bad value for restricted picklist field: {values.get('Field')}",
            ("Field",),
        )
    if values.get("PermissionsEdit") and not values.get("PermissionsRead"):
        raise SalesforceRefusal(
            "FIELD_INTEGRITY_EXCEPTION", "Field permission edit requires read", ("PermissionsRead",)
        )


def delete_record(state: OrgState, table: ObjectTable, row: int, hand: Hand) -> None:
    """Move a record and what hangs on it to the recycle bin."""
    if hand.bound:
        _check_lock(state, table, row)
    table.set(row, "IsDeleted", True)
    _stamp(state, table, row, hand.user)
    for child, name in BELOW.get(table.sobject.name, ()):
        below = state.of(child)
        for each in below.where(name, [table.ids[row]]):
            below.set(each, "IsDeleted", True)
            below.set(each, "SystemModstamp", state.now())
    if table.sobject.name in ("FieldPermissions", "PermissionSetAssignment"):
        state.forget()


def restore_record(state: OrgState, table: ObjectTable, row: int) -> None:
    """Take a record back from the recycle bin, and what went there with it."""
    went = table.get(row, "SystemModstamp")
    places = [(table, row)]
    for child, name in BELOW.get(table.sobject.name, ()):
        below = state.of(child)
        found = below.where(name, [table.ids[row]])
        places += [(below, each) for each in found if below.get(each, "SystemModstamp") == went]
    for where, at in places:
        where.set(at, "IsDeleted", False)
        where.set(at, "SystemModstamp", state.now())


CHILDREN = (
    *(("Task", "WhoId"), ("Event", "WhoId"), ("CampaignMember", "LeadId"), ("CampaignMember", "ContactId")),
    ("OpportunityContactRole", "ContactId"),
)
"""What hangs on a lead or contact."""

BELOW = {
    "Lead": CHILDREN,
    "Contact": CHILDREN,
    "Opportunity": (("OpportunityContactRole", "OpportunityId"), ("OpportunityHistory", "OpportunityId")),
}
"""What goes to the recycle bin with a record, and comes back with it."""
