"""Shared Activities: with them a task or event can be about many people, of whom `WhoId` names only the first."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.sandbox.salesforce.schema import SandboxField, sobjects
from connectors.sandbox.salesforce.state import OrgState
from connectors.sandbox.salesforce.table import ObjectTable

_COUNT = SandboxField("WhoCount", "int", 8, label="Relation Count", nillable=True)


def switch_on(state: OrgState) -> None:
    """Turn Shared Activities on: it cannot be turned off again, as in Salesforce."""
    for name in ("Task", "Event"):
        relation = f"{name}WhoRelation"
        if state.table(relation) is not None:
            continue
        sobject = sobjects(shared=True)[relation.lower()]
        state.tables[relation.lower()] = state.prefixes[sobject.prefix] = ObjectTable(sobject)
        table = state.of(name)
        table.sobject.add(_COUNT)
        for row in range(len(table)):
            involve(state, table, row, [])
    state.forget()


def involve(state: OrgState, table: ObjectTable, row: int, people: Iterable[str]) -> None:
    """Make an activity be about `WhoId` and these people too, if Shared Activities is on."""
    relation = state.table(f"{table.sobject.name}WhoRelation")
    if relation is None:
        return
    key, id_ = f"{table.sobject.name}Id", table.ids[row]
    there = {relation.get(each, "RelationId") for each in relation.where(key, [id_])}
    for who in dict.fromkeys([table.get(row, "WhoId"), *people]):
        if who is None or who in there:
            continue
        there.add(who)
        record = {"Id": relation.new_id(), key: id_, "RelationId": who, "AccountId": state.value(who, "AccountId")}
        stamps = {
            name: table.get(row, name) for name in ("CreatedDate", "CreatedById", "LastModifiedDate", "SystemModstamp")
        }
        relation.insert(record | stamps | {"Type": "Contact" if who.startswith("003") else "Lead"})
    table.set(row, "WhoCount", len(there))
