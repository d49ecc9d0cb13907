"""Reads values from records, through parents where a query asks for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol, TypeAlias

from connectors.sandbox.salesforce.schema import SandboxField
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.soql import Query

ValueReader: TypeAlias = Callable[[int], Any]
"""Reads one value of a row."""


class Data(Protocol):
    """What a query needs of the org."""

    def table(self, name: str) -> ObjectTable | None: ...
    def visible(self, name: str) -> dict[str, SandboxField]: ...
    def queryable(self, name: str) -> dict[str, SandboxField]: ...
    def locate(self, id_: str | None) -> tuple[ObjectTable, int] | None: ...
    def children(self, name: str) -> list[tuple[str, str, str]]: ...
    def today(self) -> date: ...


@dataclass
class Shape:
    """What is selected of one object: fields, parents by relationship name, children by theirs."""

    fields: list[SandboxField] = field(default_factory=list)
    parents: dict[str, tuple[SandboxField, Shape]] = field(default_factory=dict)
    subqueries: dict[str, tuple[str, Query]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def add(self, each: SandboxField) -> None:
        if each.name not in self.order:
            self.order.append(each.name)
            self.fields.append(each)

    def through(self, relationship: str, key: SandboxField) -> Shape:
        if relationship not in self.parents:
            self.order.append(relationship)
            self.parents[relationship] = (key, Shape())
        return self.parents[relationship][1]


@dataclass(frozen=True)
class Reach:
    """A field, reached through parents: each step is a reference field."""

    steps: tuple[SandboxField, ...]
    field: SandboxField

    @property
    def name(self) -> str:
        return ".".join((*(str(step.relationship) for step in self.steps), self.field.name))


def own_reader(data: Data, table: ObjectTable, each: SandboxField) -> ValueReader:
    """Reads one of an object's own fields, computed ones too."""
    if each.name == "Id":
        return table.ids.__getitem__
    if each.formula:
        steps = each.formula.split(".")
        return lambda row: _computed(data, table, row, steps)
    if each.type == "address":
        return lambda row: _address(table, row, each.name.removesuffix("Address"))
    column = table.columns.get(each.name)
    missing = each.missing
    return column.__getitem__ if column is not None else lambda row: missing


def _computed(data: Data, table: ObjectTable, row: int, steps: list[str]) -> Any:
    for step in steps[:-1]:
        key = next((each for each in table.sobject.fields.values() if each.relationship == step), None)
        parent = data.locate(table.get(row, key.name)) if key else None
        if parent is None:
            return None
        table, row = parent
    return table.get(row, steps[-1])


def _address(table: ObjectTable, row: int, prefix: str) -> dict[str, Any] | None:
    parts = {name: table.get(row, prefix + name) for name in ("City", "Country", "PostalCode", "State", "Street")}
    if not any(parts.values()):
        return None
    shown = {name[0].lower() + name[1:]: value for name, value in parts.items()}
    return dict(sorted((shown | {"geocodeAccuracy": None, "latitude": None, "longitude": None}).items()))


def name_reader(data: Data, table: ObjectTable, each: SandboxField) -> ValueReader:
    """Reads a field of a parent that may be of several objects; `Type` is the name of its object."""
    if each.name == "Type":
        return lambda row: "Queue" if table.get(row, "Type") == "Queue" else table.sobject.name
    own = table.sobject.fields.get(each.name.lower())
    return own_reader(data, table, own) if own else lambda row: None


def value_reader(data: Data, table: ObjectTable, reach: Reach) -> ValueReader:
    """Reads a field from a row of `table`, through parents where it is theirs."""
    if not reach.steps:
        return own_reader(data, table, reach.field)
    step, rest = reach.steps[0], Reach(reach.steps[1:], reach.field)
    key = own_reader(data, table, step)
    readers: dict[str, ValueReader] = {}

    def read(row: int) -> Any:
        parent = data.locate(key(row))
        if parent is None:
            return None
        above, at = parent
        name = above.sobject.name
        if name not in readers:
            last = step.polymorphic and not rest.steps
            readers[name] = name_reader(data, above, rest.field) if last else value_reader(data, above, rest)
        return readers[name](at)

    return read


def read_values(data: Data, table: ObjectTable, each: SandboxField, rows: Sequence[int]) -> list[Any]:
    """One field of many rows, computed ones too."""
    if each.formula or each.type == "address":
        read = own_reader(data, table, each)
        return [read(row) for row in rows]
    return table.pick(each.name, rows)
