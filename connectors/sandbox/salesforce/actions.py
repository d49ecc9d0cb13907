"""What people and admins do inside the org while an integration is not looking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

from connectors.sandbox.salesforce.acting import Doing, find_record, find_table, hand_of
from connectors.sandbox.salesforce.auth import Sessions
from connectors.sandbox.salesforce.opportunities import OPPORTUNITY_DOINGS, opportunity_of
from connectors.sandbox.salesforce.query import Scope
from connectors.sandbox.salesforce.schema import SandboxField, label
from connectors.sandbox.salesforce.shared_activities import involve, switch_on
from connectors.sandbox.salesforce.state import (
    ADMIN_USER,
    INTEGRATION_USER,
    DuplicateRule,
    OrgState,
    OrgSwitches,
    ValidationRule,
)
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.salesforce.values import SalesforceRefusal
from connectors.sandbox.salesforce.writes import (
    BELOW,
    CHILDREN,
    Hand,
    create_record,
    delete_record,
    full_id,
    restore_record,
    update_record,
)
from connectors.sandbox.soql import SoqlError, parse_condition


def _plain(work: Doing) -> Doing:
    """Tell what the org refused as a plain `ValueError`."""

    def done(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return work(state, asked)
        except (SalesforceRefusal, SoqlError) as error:
            raise ValueError(f"{error.code}: {error.message}") from None
        except KeyError as error:
            raise ValueError(f"{error.args[0]!r} is missing") from None

    return done


def _create(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": create_record(state, find_table(state, asked["object"]), asked["fields"], hand_of(asked))}


def _update(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    table, row = find_record(state, asked["id"])
    update_record(state, table, row, asked["fields"], hand_of(asked))
    return table.record(row)


def _delete(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    table, row = find_record(state, asked["id"])
    delete_record(state, table, row, hand_of(asked))
    return {"id": table.ids[row]}


def _undelete(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    table, row = find_record(state, asked["id"])
    restore_record(state, table, row)
    return {"id": table.ids[row]}


def _purge(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Empty the recycle bin: deleted records are gone even for queryAll."""
    gone = 0
    opportunities = ("Opportunity", "OpportunityContactRole", "OpportunityHistory")
    everything = ("Lead", "Contact", "Task", "Event", "CampaignMember", "Account", *opportunities)
    for name in asked.get("objects", everything):
        gone += state.of(name).purge()
    return {"purged": gone}


# --- merging and converting ------------------------------------------------------------------------------------------


def _move_children(state: OrgState, losers: Iterable[str], winner: str) -> None:
    losers = list(losers)
    for name, key in CHILDREN:
        table = state.of(name)
        for row in table.where(key, losers):
            table.set(row, key, winner)
            table.set(row, "SystemModstamp", state.now())
    relations = state.of("EmailMessageRelation")
    for row in relations.where("RelationId", losers):
        relations.set(row, "RelationId", winner)
        relations.set(row, "SystemModstamp", state.now())


def _merge(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """`winner` takes what hangs on `losers`, which go to the recycle bin and name it as their master."""
    table, row = find_record(state, asked["winner"])
    losers = [find_record(state, id_)[1] for id_ in asked["losers"]]
    _move_children(state, [table.ids[loser] for loser in losers], table.ids[row])
    for loser in losers:
        table.set(loser, "MasterRecordId", table.ids[row])
        delete_record(state, table, loser, hand_of(asked))
    update_record(state, table, row, asked.get("fields", {}), hand_of(asked))
    return {"id": table.ids[row]}


_CARRIED = ("FirstName", "LastName", "Title", "Email", "Phone", "LeadSource", "HasOptedOutOfEmail")


def _account_for(state: OrgState, lead: Mapping[str, Any], hand: Hand) -> str:
    carried = {name: lead.get(name) for name in ("Industry", "NumberOfEmployees", "AnnualRevenue", "Website")}
    values = {"Name": lead["Company"], "OwnerId": ADMIN_USER, "BillingCountry": lead.get("Country"), **carried}
    return create_record(state, state.of("Account"), values, hand)


def _person_owner(state: OrgState, id_: str) -> str:
    return id_ if id_.startswith("005") else ADMIN_USER


def _convert(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the lead `id` into a contact of the account `account`, or of a new one.

    With `opportunity` into one, too: the id of one there is, or what a new one has (`true` for nothing special).
    """
    table, row = find_record(state, asked["id"])
    lead, hand = table.record(row), hand_of(asked)
    account = asked.get("account") or _account_for(state, lead, hand)
    values = {name: lead.get(name) for name in _CARRIED} | {"MailingCountry": lead.get("Country"), "AccountId": account}
    values["HasOptedOutOfEmail"] = bool(values["HasOptedOutOfEmail"])
    contact = asked.get("contact") or create_record(
        state, state.of("Contact"), values | {"OwnerId": _person_owner(state, lead["OwnerId"])}, hand
    )
    members = state.of("CampaignMember")
    for member in members.where("LeadId", [lead["Id"]]):
        members.set(member, "ContactId", contact)
        members.set(member, "SystemModstamp", state.now())
    for name in ("Task", "Event"):
        below = state.of(name)
        for each in below.where("WhoId", [lead["Id"]]):
            below.set(each, "WhoId", contact)
            below.set(each, "AccountId", account)
            below.set(each, "SystemModstamp", state.now())
    owner = {"AccountId": account, "OwnerId": _person_owner(state, lead["OwnerId"])}
    if opportunity := opportunity_of(state, asked.get("opportunity"), lead, owner):
        role = {"OpportunityId": opportunity, "ContactId": contact, "IsPrimary": True}
        create_record(state, state.of("OpportunityContactRole"), role, hand)
    converted = {
        "IsConverted": True,
        "ConvertedDate": state.now()[:10],
        "ConvertedAccountId": account,
        "ConvertedContactId": contact,
        "ConvertedOpportunityId": opportunity,
        "Status": "Closed - Converted",
    }
    update_record(state, table, row, converted, hand)
    return {"contact": contact, "account": account} | ({"opportunity": opportunity} if opportunity else {})


# --- activities ------------------------------------------------------------------------------------------------------


def _add_activity(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Log a `Task` (the default) or `Event` on `who` (and those in `with`), finished unless `fields` say otherwise."""
    object_ = str(asked.get("object", "Task"))
    begun: dict[str, Any] = {"WhoId": asked["who"], "Subject": "Call"}
    begun |= {"Status": "Completed"} if object_ == "Task" else {"StartDateTime": state.now()}
    table = find_table(state, object_)
    id_ = create_record(state, table, begun | dict(asked.get("fields", {})), hand_of(asked))
    involve(state, table, table.rows[id_], asked.get("with", ()))
    return {"id": id_}


def _share_activities(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Turn Shared Activities on: `add_activity` can then name more people in `with`."""
    switch_on(state)
    return {"objects": ["TaskWhoRelation", "EventWhoRelation"]}


def _capture_emails(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Leave e-mails to Einstein Activity Capture: they are no records any more, only LastActivityDate knows of them."""
    tasks = state.of("Task")
    for row in tasks.where("TaskSubtype", ["Email"]):
        tasks.set(row, "IsDeleted", True)
    gone = tasks.purge()
    for name in ("EmailMessage", "EmailMessageRelation"):
        table = state.of(name)
        for row in range(len(table)):
            table.set(row, "IsDeleted", True)
        gone += table.purge()
    return {"captured": gone}


def _archive(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    for id_ in asked["ids"]:
        table, row = find_record(state, id_)
        table.set(row, "IsArchived", True)
        table.set(row, "SystemModstamp", state.now())
    return {"archived": len(asked["ids"])}


# --- what an admin changes -------------------------------------------------------------------------------------------


def _deactivate_user(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    table, row = find_record(state, asked["id"])
    update_record(state, table, row, {"IsActive": bool(asked.get("active", False))}, hand_of(asked))
    return {"id": table.ids[row]}


def _field(state: OrgState, asked: Mapping[str, Any]) -> tuple[ObjectTable, SandboxField]:
    table = find_table(state, asked["object"])
    each = table.sobject.fields.get(str(asked["field"]).lower())
    if each is None:
        raise ValueError(f"{table.sobject.name} has no field {asked['field']}")
    return table, each


def _hide_field(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Take a field away from the integration user; with `readable` only its editing, with `listed` all but describe."""
    table, each = _field(state, asked)
    kind = state.readonly if asked.get("readable") else state.unqueried if asked.get("listed") else state.hidden
    kind.add((table.sobject.name.lower(), each.name.lower()))
    state.forget()
    return {"field": each.name}


def _show_field(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Give a field back to the integration user; a custom one gets its permission."""
    table, each = _field(state, asked)
    state.hidden.discard((table.sobject.name.lower(), each.name.lower()))
    state.readonly.discard((table.sobject.name.lower(), each.name.lower()))
    state.unqueried.discard((table.sobject.name.lower(), each.name.lower()))
    if each.custom and each.name.lower() not in state.visible(table.sobject.name):
        _grant(state, table, each)
    state.forget()
    return {"field": each.name}


def _grant(state: OrgState, table: ObjectTable, each: SandboxField) -> None:
    assigned = state.of("PermissionSetAssignment")
    parent = assigned.get(assigned.where("AssigneeId", [INTEGRATION_USER])[0], "PermissionSetId")
    values = {"ParentId": parent, "SobjectType": table.sobject.name, "Field": f"{table.sobject.name}.{each.name}"}
    values |= {"PermissionsRead": True, "PermissionsEdit": each.formula is None}
    create_record(state, state.of("FieldPermissions"), values, Hand(user=ADMIN_USER, assigns=False, bound=False))


def _unshare(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Hide the records `ids` from the integration user as sharing does: no query shows them, and a write is refused.

    With them goes what hangs on them, whose access the parent controls. UNVERIFIED: with which `code`.
    """
    code = str(asked.get("code", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"))
    for id_ in asked["ids"]:
        for table, each in _with_children(state, id_):
            table.unshared[each] = code
    return {"hidden": len(asked["ids"])}


def _share(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Show the records `ids` again; that changes nothing of them."""
    for id_ in asked["ids"]:
        for table, each in _with_children(state, id_):
            table.unshared.pop(each, None)
    return {"shown": len(asked["ids"])}


def _with_children(state: OrgState, id_: object) -> Iterator[tuple[ObjectTable, str]]:
    table, row = find_record(state, id_)
    yield table, table.ids[row]
    for child, name in BELOW.get(table.sobject.name, ()):
        below = state.of(child)
        yield from ((below, below.ids[each]) for each in below.where(name, [table.ids[row]]))


def _add_field(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Add a custom field the integration user may edit; with `formula` (`Account.Industry`) it is computed."""
    table, name = find_table(state, asked["object"]), str(asked["field"])
    formula = asked.get("formula")
    each = SandboxField(
        name=name,
        type=str(asked.get("type", "string")),
        size=int(asked.get("size", 255)),
        scale=int(asked.get("scale", 0)),
        label=label(name),
        updateable=formula is None,
        createable=formula is None,
        nillable=asked.get("type") != "boolean",
        defaulted=asked.get("type") == "boolean",
        restricted=bool(asked.get("restricted")),
        values=tuple(asked.get("values", ())),
        custom=True,
        external=bool(asked.get("external")),
        formula=formula,
    )
    table.sobject.add(each)
    _grant(state, table, each)
    state.forget()
    return {"field": name}


def _remove_field(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    table, each = _field(state, asked)
    table.sobject.drop(each.name)
    table.columns.pop(each.name, None)
    state.forget()
    return {"field": each.name}


def _track_field(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Have the org keep former values of a field from now on, or no more where `tracked` is false."""
    table, each = _field(state, asked)
    place = (table.sobject.name.lower(), each.name.lower())
    (state.tracked.add if asked.get("tracked", True) else state.tracked.discard)(place)
    return {"field": each.name}


def _add_record_type(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Add a record type to an object; from the first one on its records have a `RecordTypeId`."""
    table, name = find_table(state, asked["object"]), str(asked["name"])
    key = SandboxField(
        "RecordTypeId", "reference", 18, label="Record Type ID", updateable=True, createable=True, nillable=True,
        defaulted=True, targets=("RecordType",), relationship="RecordType",
    )  # fmt: skip
    table.sobject.add(key)
    state.forget()
    values = {"Name": name, "DeveloperName": name.replace(" ", "_"), "SobjectType": table.sobject.name}
    return {"id": create_record(state, state.of("RecordType"), values, hand_of(asked))}


def _remove_picklist_value(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Deactivate a picklist value; the field becomes restricted so that writing the value is refused."""
    table, each = _field(state, asked)
    if asked["value"] not in each.values:
        raise ValueError(f"{each.name} has no value {asked['value']}")
    left = tuple(value for value in each.values if value != asked["value"])
    table.sobject.add(replace(each, values=left, inactive=(*each.inactive, asked["value"]), restricted=True))
    state.forget()
    return {"values": list(left)}


def _add_picklist_value(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Add a value behind the others, or give back one that was taken away."""
    table, each = _field(state, asked)
    value = str(asked["value"])
    left = tuple(inactive for inactive in each.inactive if inactive != value)
    table.sobject.add(replace(each, values=tuple(dict.fromkeys((*each.values, value))), inactive=left))
    state.forget()
    return {"values": [*each.values, value]}


def _add_validation_rule(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse records of `object` for which the SOQL condition `when` holds, with the admin's `message`."""
    table = find_table(state, asked["object"])
    condition = parse_condition(str(asked["when"]))
    Scope.over(state, table.sobject.name, str(asked["when"])).predicate(condition)
    message = str(asked.get("message", "This record does not follow our rules"))
    rule = ValidationRule(condition, str(asked["when"]), message, asked.get("field"))
    state.rules.setdefault(table.sobject.name.lower(), []).append(rule)
    return {"rules": len(state.rules[table.sobject.name.lower()])}


def _add_duplicate_rule(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    table, each = _field(state, {"field": "Email", **asked})
    rule = DuplicateRule(each.name, bool(asked.get("block")))
    state.duplicate_rules.setdefault(table.sobject.name.lower(), []).append(rule)
    return {"field": each.name}


def _lock_rows(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Lock `ids` for the next `times` writes (-1: until unlocked), or a `share` of all rows for their first `times`."""
    times = int(asked.get("times", 1))
    for id_ in asked.get("ids", ()):
        state.locked[full_id(id_) or str(id_)] = times
    if "share" in asked:
        state.switches.lock_share, state.switches.lock_times = float(asked["share"]), times
        state.lock_tries.clear()
    return {"locked": len(state.locked)}


def _set_usage(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """How many API requests of the day's `max` are `used`."""
    state.usage = int(asked.get("used", state.usage))
    state.switches.max_usage = int(asked.get("max", state.switches.max_usage))
    return {"used": state.usage, "max": state.switches.max_usage}


def _set(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Turn switches, by their names."""
    known = {each.name for each in fields(OrgSwitches)}
    if unknown := sorted(asked.keys() - known):
        raise ValueError(f"there is no switch {unknown[0]}; there are {', '.join(sorted(known))}")
    for name, value in asked.items():
        kind = type(getattr(OrgSwitches(), name))
        if not isinstance(value, int if kind is float else kind) and type(value) is not kind:
            raise ValueError(f"{name} must be {kind.__name__}, not {value!r}")
        setattr(state.switches, name, value)
    return {name: getattr(state.switches, name) for name in sorted(known)}


def _bulk_stamp(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A mass update: every (or the first `count`) record of `object` gets this second's stamp, and `fields` too."""
    table, now = find_table(state, asked["object"]), state.now()
    rows = [row for row in range(len(table)) if not table.get(row, "IsDeleted")][: asked.get("count")]
    for row in rows:
        for name, value in asked.get("fields", {}).items():
            table.set(row, name, value)
        table.set(row, "SystemModstamp", now)
        table.set(row, "LastModifiedDate", now)
        table.set(row, "LastModifiedById", ADMIN_USER)
    return {"stamped": len(rows), "at": now}


_DOINGS: dict[str, Doing] = {
    "create": _create,
    "update": _update,
    "reparent": _update,
    "delete": _delete,
    "undelete": _undelete,
    "purge": _purge,
    "merge": _merge,
    "convert": _convert,
    "add_activity": _add_activity,
    "share_activities": _share_activities,
    "capture_emails": _capture_emails,
    "archive": _archive,
    "deactivate_user": _deactivate_user,
    "hide_field": _hide_field,
    "show_field": _show_field,
    "unshare": _unshare,
    "share": _share,
    "add_field": _add_field,
    "remove_field": _remove_field,
    "remove_picklist_value": _remove_picklist_value,
    "add_picklist_value": _add_picklist_value,
    "track_field": _track_field,
    "add_record_type": _add_record_type,
    "add_validation_rule": _add_validation_rule,
    "add_duplicate_rule": _add_duplicate_rule,
    "lock_rows": _lock_rows,
    "set_usage": _set_usage,
    "set": _set,
    "bulk_stamp": _bulk_stamp,
    **OPPORTUNITY_DOINGS,
}


def _expire_sessions(sessions: Sessions, asked: Mapping[str, Any]) -> dict[str, Any]:
    ended = len(sessions.calls)
    sessions.calls.clear()
    if asked.get("refresh_tokens"):
        sessions.refresh_tokens.clear()
    return {"ended": ended}


def _register_key(sessions: Sessions, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Tie a client id to an RSA public key (PEM): its JWTs must be signed with it."""
    sessions.keys[str(asked.get("client_id", "sandbox"))] = str(asked["public_key"])
    return {"keys": len(sessions.keys)}


def list_org_actions(state: OrgState, sessions: Sessions) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    """Every action by its name; each takes and gives plain JSON and raises `ValueError` with a sentence."""
    about_records = {name: partial(_plain(work), state) for name, work in _DOINGS.items()}
    return about_records | {
        "expire_sessions": partial(_expire_sessions, sessions),
        "register_key": partial(_register_key, sessions),
    }
