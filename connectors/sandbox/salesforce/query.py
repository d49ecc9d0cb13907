"""Runs SOQL over the org's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from connectors.sandbox.salesforce.dates import days_of
from connectors.sandbox.salesforce.predicates import (
    Predicate,
    comparable_value,
    compare,
    conjuncts,
    first_moment,
    is_null,
    join_predicates,
    like,
)
from connectors.sandbox.salesforce.reading import Data, Reach, Shape, ValueReader, value_reader
from connectors.sandbox.salesforce.schema import NAME_FIELDS, NUMBERS, SandboxField
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.salesforce.values import is_record_id, wire
from connectors.sandbox.soql import (
    Comparison,
    FunctionCall,
    Joined,
    Membership,
    Negation,
    Path,
    Query,
    SelectColumn,
    SoqlError,
    Sort,
    Value,
    WhereCondition,
    pointing,
)
from connectors.sandbox.world import with_checksum


@dataclass
class QueryResult:
    """What a query found: rows of a table to be shaped page by page, or the finished rows of an aggregate."""

    table: ObjectTable
    rows: list[int]
    shape: Shape
    reaches: list[Reach]
    total: int
    aggregates: list[dict[str, Any]] | None = None


def no_such_column(name: str, entity: str) -> str:
    return (
        f"No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure to append "
        "the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate "
        "names."
    )


def no_type(name: str) -> str:
    return (
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the "
        "'__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
    )


_NO_RELATIONSHIP = (
    "Didn't understand relationship '{}' in field path. If you are attempting to use a custom relationship, be sure to "
    "append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the "
    "appropriate names."
)


class Scope:
    """One query's view of one object: resolves names, reads values, decides conditions."""

    def __init__(self, data: Data, text: str, query: Query) -> None:
        self.data, self.text, self.query = data, text, query
        table = data.table(query.source)
        if table is None:
            raise SoqlError("INVALID_TYPE", pointing(text, query.at, no_type(query.source)))
        self.table: ObjectTable = table
        self.name = table.sobject.name

    @classmethod
    def over(cls, data: Data, name: str, text: str) -> Scope:
        """A scope for conditions on an object, outside any query."""
        return cls(data, text, Query((), name, 1, None, None, (), None, (), None, 0, False))

    def fail(self, at: int, message: str, code: str = "INVALID_FIELD") -> SoqlError:
        return SoqlError(code, pointing(self.text, at, message))

    # --- names -------------------------------------------------------------------------------------------------------

    def reach(self, path: Path) -> Reach:
        """The field a path names. Raises `SoqlError` (INVALID_FIELD)."""
        parts = list(path.parts)
        if len(parts) > 1 and parts[0].lower() in (str(self.query.alias).lower(), self.name.lower()):
            parts.pop(0)
        entity, fields = self.name, self.data.queryable(self.name)
        steps: list[SandboxField] = []
        for part in parts[:-1]:
            step = next((each for each in fields.values() if (each.relationship or "").lower() == part.lower()), None)
            if step is None:
                raise self.fail(path.at, _NO_RELATIONSHIP.format(part))
            steps.append(step)
            entity = "Name" if step.polymorphic else step.targets[0]
            fields = NAME_FIELDS if step.polymorphic else self.data.queryable(entity)
        found = fields.get(parts[-1].lower())
        if found is None:
            raise self.fail(path.at, no_such_column(parts[-1], entity))
        return Reach(tuple(steps), found)

    def reader(self, reach: Reach) -> ValueReader:
        return value_reader(self.data, self.table, reach)

    # --- conditions --------------------------------------------------------------------------------------------------

    def predicate(self, condition: WhereCondition) -> Predicate:
        """Whether a row fulfils a condition. Raises `SoqlError` where Salesforce would."""
        if isinstance(condition, Joined):
            return join_predicates(condition.word, [self.predicate(each) for each in condition.conditions])
        if isinstance(condition, Negation):
            inner = self.predicate(condition.condition)
            return lambda row: not inner(row)
        if isinstance(condition.left, FunctionCall):
            raise self.fail(condition.left.at, f"function {condition.left.name} is not supported in a filter here")
        reach = self.reach(condition.left)
        if not reach.field.filterable or reach.field.type == "address":
            message = f"field '{reach.field.name}' can not be filtered in a query call"
            raise self.fail(condition.left.at, message)
        read = self.reader(reach)
        if isinstance(condition, Membership):
            return self._membership(condition, condition.left, reach.field, read)
        return self._comparison(condition, condition.left, reach.field, read)

    def _comparison(self, condition: Comparison, path: Path, each: SandboxField, read: ValueReader) -> Predicate:
        if condition.operator == "like":
            return self._like(condition, path, each, read)
        if each.type in ("boolean", "multipicklist") and condition.operator not in ("=", "!="):
            raise self.fail(path.at, f"invalid operator on {each.type} field", "INVALID_QUERY_FILTER_OPERATOR")
        value = condition.right
        if value.kind == "null":
            return is_null(condition.operator, read, each)
        if value.kind == "range":
            return self._range(condition.operator, path, each, value, read)
        return compare(condition.operator, comparable_value(each, read), self.literal(path, each, value))

    def _like(self, condition: Comparison, path: Path, each: SandboxField, read: ValueReader) -> Predicate:
        if each.type in ("id", "reference", "boolean", "date", "datetime", *NUMBERS):
            raise self.fail(path.at, f"invalid operator on {each.type} field", "INVALID_QUERY_FILTER_OPERATOR")
        if condition.right.kind != "string":
            raise self.fail(path.at, self._wrong_type(each, condition.right))
        pattern = like(condition.right.value)
        return lambda row: (value := read(row)) is not None and pattern.fullmatch(value) is not None

    def _range(self, operator_: str, path: Path, each: SandboxField, value: Value, read: ValueReader) -> Predicate:
        days = days_of(value.value[0], value.value[1], self.data.today()) if each.type in ("date", "datetime") else None
        if days is None:
            raise self.fail(path.at, self._wrong_type(each, value))
        start, end = (first_moment(day, each.type) for day in days)
        within: Callable[[str], bool] = {
            "=": lambda text: start <= text < end,
            "!=": lambda text: not start <= text < end,
            "<": lambda text: text < start,
            "<=": lambda text: text < end,
            ">": lambda text: text >= end,
            ">=": lambda text: text >= start,
        }[operator_]
        return lambda row: (text := read(row)) is not None and within(text)

    def _membership(self, condition: Membership, path: Path, each: SandboxField, read: ValueReader) -> Predicate:
        if condition.operator in ("includes", "excludes"):
            return self._includes(condition, path, each, read)
        members = frozenset(self.members(condition, path, each))
        key = comparable_value(each, read)
        if condition.operator == "in":
            return lambda row: key(row) in members
        return lambda row: key(row) not in members

    def members(self, condition: Membership, path: Path, each: SandboxField) -> Iterable[Any]:
        """The values in an IN list, or what its query finds."""
        if isinstance(condition.members, Query):
            inner = run_query(self.data, self.text, condition.members, every=False)
            read = value_reader(self.data, inner.table, inner.reaches[0])
            return (value for row in inner.rows if (value := read(row)) is not None)
        return [None if each_.kind == "null" else self.literal(path, each, each_) for each_ in condition.members]

    def _includes(self, condition: Membership, path: Path, each: SandboxField, read: ValueReader) -> Predicate:
        if each.type != "multipicklist" or isinstance(condition.members, Query):
            message = f"operator {condition.operator.upper()} is only valid on multi-picklist fields"
            raise self.fail(path.at, message, "INVALID_QUERY_FILTER_OPERATOR")
        wanted = [frozenset(str(member.value).split(";")) for member in condition.members]
        positive = condition.operator == "includes"

        def chosen(row: int) -> bool:
            has = set((read(row) or "").split(";"))
            return any(each_ <= has for each_ in wanted) == positive

        return chosen

    def _wrong_type(self, each: SandboxField, value: Value) -> str:
        kind = {"datetime": "dateTime", "int": "int", "boolean": "boolean", "date": "date"}.get(each.type)
        if kind is None:
            kind = "double" if each.type in NUMBERS else "ID" if each.type in ("id", "reference") else "string"
        quoted = f"{'should' if kind in ('string', 'ID') else 'should not'} be enclosed in quotes"
        return f"value of filter criterion for field '{each.name}' must be of type {kind} and {quoted}"

    def literal(self, path: Path, each: SandboxField, value: Value) -> Any:
        """A literal as the field's values are kept. Raises `SoqlError` where the type is another."""
        if value.kind not in _KINDS.get(each.type, ("string",)):
            raise self.fail(path.at, self._wrong_type(each, value))
        if each.type in ("id", "reference"):
            if not is_record_id(value.value) and value.value != "":
                raise self.fail(path.at, f"invalid ID field: {value.value}", "INVALID_QUERY_FILTER_OPERATOR")
            return with_checksum(value.value) if len(value.value) == 15 else value.value or None
        if isinstance(value.value, datetime):
            return wire(value.value)
        if isinstance(value.value, date):
            return value.value.isoformat()
        return value.value.lower() if isinstance(value.value, str) else value.value

    # --- which rows --------------------------------------------------------------------------------------------------

    def candidates(self, condition: WhereCondition | None, by_id: bool) -> tuple[Iterable[int], str]:
        """The fewest rows an index offers for a condition, and the field they are in the order of (perhaps none)."""
        if condition is not None and (keyed := self._keyed(condition)) is not None:
            return keyed, ""
        low, high = self._bounds(condition, "SystemModstamp") if condition else (None, None)
        if low is not None or high is not None or not by_id:
            return self.table.by_stamp(low or "", high), "systemmodstamp"
        low, _ = self._bounds(condition, "Id") if condition else (None, None)
        return self.table.by_id(low or ""), "id"

    def _keyed(self, condition: WhereCondition) -> list[int] | None:
        for each in conjuncts(condition):
            if isinstance(each, Comparison) and each.operator == "=" and each.right.kind == "string":
                values: Iterable[Any] | None = [each.right]
            elif isinstance(each, Membership) and each.operator == "in":
                values = None
            else:
                continue
            if not isinstance(each.left, Path):
                continue
            reach = self.reach(each.left)
            if reach.steps or reach.field.type not in ("id", "reference"):
                continue
            if isinstance(each, Membership):
                return self.table.where(reach.field.name, self.members(each, each.left, reach.field))
            assert values is not None
            return self.table.where(reach.field.name, [self.literal(each.left, reach.field, each.right)])
        return None

    def _bounds(self, condition: WhereCondition, name: str) -> tuple[str | None, str | None]:
        """From where and up to where a field's values can be, as far as a condition says."""
        if isinstance(condition, Joined):
            bounds = [self._bounds(each, name) for each in condition.conditions]
            lows, highs = [low for low, _ in bounds], [high for _, high in bounds]
            if condition.word == "and":
                known = [low for low in lows if low is not None], [high for high in highs if high is not None]
                return max(known[0], default=None), min(known[1], default=None)
            low = None if None in lows else min(low for low in lows if low is not None)
            return low, None if None in highs else max(high for high in highs if high is not None)
        if not isinstance(condition, Comparison) or not isinstance(condition.left, Path):
            return None, None
        if condition.left.text.lower() != name.lower() or condition.right.kind not in ("datetime", "string"):
            return None, None
        value = self.literal(condition.left, self.reach(condition.left).field, condition.right)
        low = value if condition.operator in ("=", ">", ">=") else None
        return low, value if condition.operator in ("=", "<", "<=") else None

    # --- what is selected --------------------------------------------------------------------------------------------

    def shape(self) -> tuple[Shape, list[Reach]]:
        """What the query selects. Raises `SoqlError` for what is not there."""
        shape, reaches = Shape(), []
        for item in self.query.items:
            if isinstance(item, Query):
                self._child(shape, item)
            else:
                for reach in self._selected(item):
                    if reach in reaches:
                        raise self.fail(item.what.at, f"duplicate field selected: {reach.name}")
                    reaches.append(reach)
                    _grow(shape, reach)
        return shape, reaches

    def _selected(self, item: SelectColumn) -> list[Reach]:
        what = item.what
        if isinstance(what, Path):
            return [self.reach(what)]
        if what.name == "FIELDS":
            return self._fields(what)
        if what.name == "TOLABEL" and what.arguments:  # here a label is its value
            return [self.reach(what.arguments[0])]
        raise self.fail(what.at, f"unexpected token: '{what.name}'", "MALFORMED_QUERY")

    def _fields(self, call: FunctionCall) -> list[Reach]:
        which = call.arguments[0].text.upper() if call.arguments else ""
        if which not in ("ALL", "STANDARD", "CUSTOM"):
            raise self.fail(call.at, f"unexpected token: '{which}'", "MALFORMED_QUERY")
        if which != "STANDARD" and not 0 < (self.query.limit or 0) <= 200:
            raise SoqlError(
                "MALFORMED_QUERY",
                "The SOQL FIELDS function must have a LIMIT of at most 200",
            )
        wanted = {"ALL": (True, False), "STANDARD": (False,), "CUSTOM": (True,)}[which]
        return [Reach((), each) for each in self.data.visible(self.name).values() if each.custom in wanted]

    def _child(self, shape: Shape, query: Query) -> None:
        for child, key, relationship in self.data.children(self.name):
            if relationship.lower() == query.source.lower():
                shape.order.append(relationship)
                shape.subqueries[relationship] = (key, _of(query, child))
                Scope(self.data, self.text, _of(query, child)).shape()
                return
        raise self.fail(query.at, _NO_RELATIONSHIP.format(query.source), "INVALID_TYPE")


_KINDS = {
    "boolean": ("boolean",),
    "date": ("date",),
    "datetime": ("datetime",),
} | dict.fromkeys(NUMBERS, ("number",))


def _of(query: Query, source: str) -> Query:
    return Query(**{**query.__dict__, "source": source})


def _grow(shape: Shape, reach: Reach) -> None:
    for step in reach.steps:
        shape = shape.through(str(step.relationship), step)
    shape.add(reach.field)


def _ordered(scope: Scope, rows: list[int], order: Sequence[Sort]) -> list[int]:
    for sort in reversed(order):
        if isinstance(sort.by, FunctionCall):
            raise scope.fail(sort.by.at, "unexpected token in ORDER BY", "MALFORMED_QUERY")
        reach = scope.reach(sort.by)
        if not reach.field.filterable or reach.field.type == "address":
            raise scope.fail(sort.by.at, f"field '{reach.field.name}' can not be sorted in a query call")
        key = comparable_value(reach.field, scope.reader(reach))
        empty = [row for row in rows if key(row) is None]
        filled = sorted((row for row in rows if key(row) is not None), key=key, reverse=sort.descending)
        rows = filled + empty if sort.nulls_last else empty + filled
    return rows


def _plain(order: Sequence[Sort], names: tuple[str, ...]) -> bool:
    """Whether the order is these fields, upwards: an index has it already."""
    if len(order) > len(names) or not order:
        return False
    return all(
        isinstance(sort.by, Path) and sort.by.text.lower() == name and not sort.descending
        for sort, name in zip(order, names, strict=False)
    )


def _hidden(scope: Scope, every: bool) -> Predicate | None:
    """What a query does not show: records that are not shared, and a plain one neither deleted nor archived ones."""
    columns, fields, table = scope.table.columns, scope.table.sobject.fields, scope.table
    deleted = None if every and "isdeleted" in fields else columns.get("IsDeleted")
    archived = columns.get("IsArchived") if not every else None
    if deleted is None and archived is None and not table.unshared:
        return None
    return lambda row: bool(
        (deleted and deleted[row]) or (archived and archived[row]) or table.ids[row] in table.unshared
    )


def _matching(scope: Scope, every: bool) -> tuple[Iterator[int], bool]:
    """The rows that fulfil the conditions, and whether they come in the wanted order already."""
    query = scope.query
    by_id = _plain(query.order, ("id",))
    test = scope.predicate(query.where) if query.where else None
    hidden = _hidden(scope, every)
    rows, order = scope.candidates(query.where, by_id)
    ordered = not query.order or (by_id and order == "id") or _plain(query.order, (order, "id"))
    return (row for row in rows if (hidden is None or not hidden(row)) and (test is None or test(row))), ordered


def _rows(scope: Scope, every: bool) -> list[int]:
    query = scope.query
    if query.offset > 2000:
        raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
    end = None if query.limit is None else query.offset + query.limit
    rows, ordered = _matching(scope, every)
    if ordered:
        return list(islice(rows, query.offset, end))
    return _ordered(scope, list(rows), query.order)[query.offset : end]


def children_of(scope: Scope, key: str, parents: Sequence[str]) -> Iterator[list[int]]:
    """The rows a subquery finds under each parent; `key` is the field that names the parent."""
    query = scope.query
    test = scope.predicate(query.where) if query.where else None
    hidden = _hidden(scope, every=False)
    for parent in parents:
        found = scope.table.where(key, [parent])
        found = [row for row in found if (hidden is None or not hidden(row)) and (test is None or test(row))]
        yield _ordered(scope, found, query.order)[query.offset :][: query.limit]


_AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "MAX", "MIN", "SUM", "AVG"})


def _is_aggregate(query: Query) -> bool:
    calls = [
        item.what for item in query.items if isinstance(item, SelectColumn) and isinstance(item.what, FunctionCall)
    ]
    return bool(query.group) or any(call.name in _AGGREGATES for call in calls)


def _aggregate(call: FunctionCall, values: list[Any]) -> Any:
    values = [value for value in values if value is not None]
    if call.name == "COUNT":
        return len(values)
    if call.name == "COUNT_DISTINCT":
        return len(set(values))
    if not values:
        return None
    if call.name == "AVG":
        return sum(values) / len(values)
    if call.name == "SUM":
        return sum(values)
    return max(values) if call.name == "MAX" else min(values)


def _check_grouped(scope: Scope) -> None:
    """Raises `SoqlError`, also for what Salesforce would do and this org cannot: a wrong answer would be worse."""
    for each in scope.query.group:
        if isinstance(each, FunctionCall):
            raise scope.fail(each.at, f"GROUP BY {each.name} is not supported in this sandbox", "MALFORMED_QUERY")
    by = {scope.reach(each) for each in scope.query.group if isinstance(each, Path)}
    for item in scope.query.items:
        if isinstance(item, Query):
            raise scope.fail(item.at, "subqueries are not allowed in an aggregate query", "MALFORMED_QUERY")
        if isinstance(item.what, Path) and scope.reach(item.what) not in by:
            message = f"Field must be grouped or aggregated: {item.what.text}"
            raise scope.fail(item.what.at, message, "MALFORMED_QUERY")
        if isinstance(item.what, FunctionCall) and item.what.name not in _AGGREGATES:
            message = f"{item.what.name} in an aggregate query is not supported in this sandbox"
            raise scope.fail(item.what.at, message, "MALFORMED_QUERY")


def _grouped(scope: Scope, rows: list[int]) -> list[dict[str, Any]]:
    by = [scope.reader(scope.reach(each)) for each in scope.query.group if isinstance(each, Path)]
    groups: dict[tuple[Any, ...], list[int]] = {} if by else {(): rows}
    for row in rows if by else ():
        groups.setdefault(tuple(read(row) for read in by), []).append(row)
    return [_aggregated(scope, members) for members in groups.values()]


def _aggregated(scope: Scope, rows: list[int]) -> dict[str, Any]:
    shown: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
    unnamed = 0
    for item in scope.query.items:
        assert isinstance(item, SelectColumn)
        if isinstance(item.what, Path):
            reach = scope.reach(item.what)
            shown[item.alias or reach.field.name] = scope.reader(reach)(rows[0]) if rows else None
            continue
        name = item.alias or f"expr{unnamed}"
        unnamed += item.alias is None
        values: list[Any] = list(rows)
        if item.what.arguments:
            read = scope.reader(scope.reach(item.what.arguments[0]))
            values = [read(row) for row in rows]
        shown[name] = _aggregate(item.what, values)
    return shown


def run_query(data: Data, text: str, query: Query, *, every: bool) -> QueryResult:
    """The rows a query finds; `every` includes deleted and archived ones. Raises `SoqlError`."""
    scope = Scope(data, text, query)
    every = every or query.all_rows
    if not _is_aggregate(query):
        shape, reaches = scope.shape()
        rows = _rows(scope, every)
        return QueryResult(scope.table, rows, shape, reaches, len(rows))
    _check_grouped(scope)
    rows = list(_matching(scope, every)[0])
    item = query.items[0]
    if (
        isinstance(item, SelectColumn)
        and isinstance(item.what, FunctionCall)
        and item.what.name == "COUNT"
        and not item.what.arguments
    ):
        return QueryResult(scope.table, [], Shape(), [], min(len(rows), query.limit or len(rows)), [])
    shown = _grouped(scope, rows)[: query.limit]
    return QueryResult(scope.table, [], Shape(), [], len(shown), shown)
