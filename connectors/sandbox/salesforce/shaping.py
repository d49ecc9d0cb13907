"""Rows of a query as REST shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.sandbox.salesforce.query import Scope, children_of
from connectors.sandbox.salesforce.reading import Data, Shape, name_reader, read_values
from connectors.sandbox.salesforce.schema import SandboxField
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.soql import Query


def _parents(data: Data, ids: list[Any], key: SandboxField, shape: Shape, base: str) -> list[dict[str, Any] | None]:
    found: dict[str | None, dict[str, Any] | None] = {None: None}
    for id_ in ids:
        if id_ in found:
            continue
        parent = data.locate(id_)
        found[id_] = _named(data, parent, key, shape, base) if parent else None
    return [found[id_] for id_ in ids]


def _named(data: Data, parent: tuple[ObjectTable, int], key: SandboxField, shape: Shape, base: str) -> dict[str, Any]:
    table, row = parent
    if not key.polymorphic:
        return shape_rows(data, table, shape, [row], base)[0]
    url = f"{base}/sobjects/{table.sobject.name}/{table.ids[row]}"
    shown: dict[str, Any] = {"attributes": {"type": "Name", "url": url}}
    for name in shape.order:
        if name in shape.parents:
            step, inner = shape.parents[name]
            shown[name] = _parents(data, [table.get(row, step.name)], step, inner, base)[0]
        else:
            each = next(each for each in shape.fields if each.name == name)
            shown[name] = name_reader(data, table, each)(row)
    return shown


def _subresults(data: Data, table: ObjectTable, rows: Sequence[int], key: str, query: Query, base: str) -> list[Any]:
    scope = Scope(data, "", query)
    shape, _ = scope.shape()
    shown = [
        shape_rows(data, scope.table, shape, found, base) for found in children_of(scope, key, table.pick("Id", rows))
    ]
    return [{"totalSize": len(each), "done": True, "records": each} if each else None for each in shown]


def shape_rows(data: Data, table: ObjectTable, shape: Shape, rows: Sequence[int], base: str) -> list[dict[str, Any]]:
    """Rows as REST shows them, `attributes` first; `base` is `/services/data/v66.0`."""
    name = table.sobject.name
    names = ["attributes"]
    url = f"{base}/sobjects/{name}/"
    columns: list[list[Any]] = [[{"type": name, "url": url + table.ids[row]} for row in rows]]
    fields = {each.name: each for each in shape.fields}
    for wanted in shape.order:
        names.append(wanted)
        if wanted in fields:
            columns.append(read_values(data, table, fields[wanted], rows))
        elif wanted in shape.parents:
            key, inner = shape.parents[wanted]
            columns.append(list(_parents(data, table.pick(key.name, rows), key, inner, base)))
        else:
            key_name, query = shape.subqueries[wanted]
            columns.append(_subresults(data, table, rows, key_name, query, base))
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
