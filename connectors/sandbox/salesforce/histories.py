"""What the org remembers of edits: the stages of opportunities always, other fields where an admin has them tracked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.salesforce.schema import SandboxField
from connectors.sandbox.salesforce.state import OrgState
from connectors.sandbox.salesforce.table import ObjectTable

SNAPSHOT = ("StageName", "Amount", "CloseDate", "Probability")
"""What a row of OpportunityHistory holds; it is written when one of these changes."""


def remember_edit(state: OrgState, table: ObjectTable, row: int, before: Mapping[str, Any], user: str) -> None:
    """Write the history of an edit; `before` has the former values of the fields that were written."""
    changed = {name: value for name, value in before.items() if table.get(row, name) != value}
    if table.sobject.name == "Opportunity" and not changed.keys().isdisjoint(SNAPSHOT):
        if "StageName" in changed:
            table.set(row, "LastStageChangeDate", state.now())
        remember_opportunity(state, table, row, user)
    for name, value in changed.items():
        each = table.sobject.fields[name.lower()]
        if (table.sobject.name.lower(), name.lower()) in state.tracked:
            _remember_field(state, table, row, each, value, user)


def remember_opportunity(state: OrgState, table: ObjectTable, row: int, user: str) -> None:
    """Write how an opportunity stands now."""
    kept = {name: table.get(row, name) for name in SNAPSHOT}
    _insert(state, "OpportunityHistory", {"OpportunityId": table.ids[row], **kept}, user)


def _remember_field(state: OrgState, table: ObjectTable, row: int, each: SandboxField, before: Any, user: str) -> None:
    name, after = table.sobject.name, table.get(row, each.name)
    if each.type == "multipicklist" or each.size > 255:
        before = after = None
    values = [(before, after)]
    if each.type == "reference":
        values.insert(0, (state.value(before, "Name"), state.value(after, "Name")))
    field = each.name if each.custom or each.type != "reference" else each.name.removesuffix("Id")
    for old, new in values:
        edit = {f"{name}Id": table.ids[row], "Field": field, "OldValue": old, "NewValue": new}
        _insert(state, f"{name}History", edit, user)


def _insert(state: OrgState, name: str, record: Mapping[str, Any], user: str) -> None:
    table, now = state.of(name), state.now()
    table.insert({"Id": table.new_id(), **record, "CreatedDate": now, "CreatedById": user, "SystemModstamp": now})
