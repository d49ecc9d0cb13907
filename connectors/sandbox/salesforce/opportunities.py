"""What sales do with opportunities inside the org."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from connectors.sandbox.salesforce.acting import Doing, find_record, hand_of
from connectors.sandbox.salesforce.state import OrgState
from connectors.sandbox.salesforce.writes import create_record, delete_record, update_record

CYCLE = timedelta(days=90)
"""How far ahead whoever makes an opportunity expects its end."""


def create_opportunity(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Make one in its first stage, with `fields`, and a contact role for each of `contacts`, the first one primary."""
    expected = (state.clock() + CYCLE).date().isoformat()
    begun = {"Name": "New business", "StageName": "Prospecting", "CloseDate": expected, **asked.get("fields", {})}
    id_ = create_record(state, state.of("Opportunity"), begun, hand_of(asked))
    for number, contact in enumerate(asked.get("contacts", ())):
        _add_contact_role(state, {**asked, "id": id_, "contact": contact, "fields": {"IsPrimary": number == 0}})
    return {"id": id_}


def _move(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Put it into the stage `stage`, and edit `fields` with it."""
    table, row = find_record(state, asked["id"])
    update_record(state, table, row, {"StageName": asked["stage"], **asked.get("fields", {})}, hand_of(asked))
    return table.record(row)


def _close(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Close it as `won` or lost, today."""
    fields = {"CloseDate": state.today().isoformat(), **asked.get("fields", {})}
    return _move(state, {**asked, "stage": "Closed Won" if asked["won"] else "Closed Lost", "fields": fields})


def _reopen(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Put it back into the stage `stage`."""
    return _move(state, {"stage": "Negotiation/Review", **asked})


def _add_contact_role(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Say that the opportunity `id` is about the contact `contact`; its own stamp does not move."""
    role = {"OpportunityId": asked["id"], "ContactId": asked["contact"], **asked.get("fields", {})}
    return {"id": create_record(state, state.of("OpportunityContactRole"), role, hand_of(asked))}


def _remove_contact_role(state: OrgState, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Take the roles of the contact `contact` away from the opportunity `id`."""
    table, (_, row) = state.of("OpportunityContactRole"), find_record(state, asked["contact"])
    contact = state.of("Contact").ids[row]
    opportunity, at = find_record(state, asked["id"])
    roles = [
        each
        for each in table.where("OpportunityId", [opportunity.ids[at]])
        if table.get(each, "ContactId") == contact and not table.get(each, "IsDeleted")
    ]
    for each in roles:
        delete_record(state, table, each, hand_of(asked))
    return {"removed": len(roles)}


def opportunity_of(state: OrgState, asked: Any, lead: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    """The opportunity that a lead is converted into: one there is by its id, a new one with some fields, or none."""
    if not asked:
        return None
    if isinstance(asked, str):
        found, row = find_record(state, asked)
        return found.ids[row]
    given = asked if isinstance(asked, Mapping) else {}
    fields = {"Name": lead["Company"], "LeadSource": lead.get("LeadSource"), **values, **given}
    return str(create_opportunity(state, {"fields": fields})["id"])


OPPORTUNITY_DOINGS: dict[str, Doing] = {
    "create_opportunity": create_opportunity,
    "move_opportunity": _move,
    "close_opportunity": _close,
    "reopen_opportunity": _reopen,
    "add_contact_role": _add_contact_role,
    "remove_contact_role": _remove_contact_role,
}
"""Beside `create`, `update`, `delete` and `undelete`, which act on records of any object."""
