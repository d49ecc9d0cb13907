"""HubSpot's search: filter groups, the operators with their odd rules, one sort, and a ceiling."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import orjson

from connectors.sandbox.digits import is_count
from connectors.sandbox.hubspot.catalog import object_type
from connectors.sandbox.hubspot.records import RecordTable, StoredRecord, View, as_json, value_of
from connectors.sandbox.hubspot.schema import as_text
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.wire import (
    HubspotCall,
    Json,
    bad_request,
    instant,
    names_of_body,
    objects_of_body,
    page_size,
    whole,
)

CEILING = 10_000
_MOST_GROUPS, _MOST_PER_GROUP, _MOST_FILTERS, _MOST_RESULTS = 5, 6, 18, 200
_FOREVER = 1 << 60
_SEARCHED = ("firstname", "lastname", "email", "phone", "company", "name", "domain", "dealname", "hs_email_subject")

Comparable = float | str
FilterTest = Callable[[View], bool]


class Question(NamedTuple):
    """What a search asks for."""

    groups: list[list[Json]]
    sort: tuple[str, bool] | None
    query: str


def search_objects(state: PortalState, call: HubspotCall) -> Json:
    """`POST …/search`: the answer. Raises the 400 of a question HubSpot does not take."""
    records, body, most = state.records_of(call.params["type"]), call.json(), state.switches.search_body
    if len(call.raw) > most:
        raise bad_request(f"The request body is {len(call.raw)} characters long. The maximum is {most}.")
    question = _question(records, body)
    limit, after = page_size(body.get("limit") or 10, _MOST_RESULTS), _offset(body.get("after"))
    end = min(after + limit, CEILING)
    views = _answered(state, records, question, call.now)
    names = names_of_body(body, "properties") or records.kind.shown
    results = [as_json(records, record, names, state.portal_id, seen) for record, seen in views[after:end]]
    answer: Json = {"total": len(views), "results": results}
    if end < len(views):
        answer["paging"] = {"next": {"after": str(end)}}
    return answer


def select_records(state: PortalState, records: RecordTable, asked: Json, now: int) -> list[StoredRecord]:
    """The records that a view shows: filters and query as in a search, all of them, in id order."""
    found = _answered(state, records, _question(records, asked), now)
    return sorted((record for record, _ in found), key=lambda each: each.id)


def _question(records: RecordTable, body: Json) -> Question:
    return Question(
        _checked_groups(records, body), _checked_sort(body.get("sorts") or []), str(body.get("query") or "")
    )


def _answered(state: PortalState, records: RecordTable, question: Question, now: int) -> list[View]:
    """Everything that answers a question, in its order; found anew only if something changed since it was asked."""
    switches = state.switches
    horizon = now - int(switches.index_lag * 1000)

    def run() -> list[View]:
        views = _matching(state, records, question.groups, _candidates(state, records, question.groups, horizon))
        return _sorted(state, records, [each for each in views if _mentions(each[0], question.query)], question.sort)

    key = orjson.dumps([question, switches.id_order, horizon if switches.index_lag else 0], default=list)
    return records.searches.find(key, records.version + state.links.version, run)


def _checked_groups(records: RecordTable, body: Json) -> list[list[Json]]:
    groups = [objects_of_body(group, "filters") for group in objects_of_body(body, "filterGroups")]
    groups = groups or ([filters] if (filters := objects_of_body(body, "filters")) else [])
    if len(groups) > _MOST_GROUPS:
        raise bad_request(f"There are too many filter groups in the request. The maximum is {_MOST_GROUPS}.")
    if any(len(group) > _MOST_PER_GROUP for group in groups) or sum(map(len, groups)) > _MOST_FILTERS:
        most = f"{_MOST_PER_GROUP} in a group and {_MOST_FILTERS} in all"
        raise bad_request(f"There are too many filters in the request. The maximum is {most}.")
    for each in (each for group in groups for each in group):
        _check_filter(records, each)
    return groups


def _check_filter(records: RecordTable, each: Json) -> None:
    name, operator = str(each.get("propertyName", "")), each.get("operator")
    if not isinstance(operator, str) or operator not in _OPERATORS:
        known = ", ".join(sorted(_OPERATORS))
        raise bad_request(f"Invalid input JSON on line 1, column 1: Enum type must be one of: [{known}]")
    problem = ""
    if name not in records.schema.known and not name.startswith("associations."):
        problem = f"There is no property with the name {name} for this object."
    elif operator in ("IN", "NOT_IN") and not isinstance(each.get("values"), list):
        problem = f"operator {operator} requires values for {name}."
    elif operator == "BETWEEN" and (each.get("value") is None or each.get("highValue") is None):
        problem = f"operator BETWEEN requires value and highValue for {name}."
    elif operator not in ("IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY") and each.get("value") is None:
        problem = f"operator {operator} requires a value for {name}."
    if problem:
        raise bad_request("There was a problem with the request.", errors=[{"message": problem, "in": "filterGroups"}])


def _checked_sort(sorts: Any) -> tuple[str, bool] | None:
    if not isinstance(sorts, list) or any(not isinstance(each, dict | str) for each in sorts):
        raise bad_request("Invalid input JSON on line 1, column 1: sorts must be a list of objects or of names")
    if len(sorts) > 1:
        raise bad_request("There are too many sorts in the request. The maximum is 1.")
    if not sorts:
        return None
    first = sorts[0]
    if isinstance(first, str):
        return first.lstrip("-"), first.startswith("-")
    return str(first.get("propertyName")), str(first.get("direction", "ASCENDING")).upper().startswith("DESC")


def _offset(after: object) -> int:
    offset = whole(after or 0, "after")
    if offset >= CEILING:
        message = f"The maximum number of results a search can page through is {CEILING}; {offset} is beyond it."
        raise bad_request("There was a problem with the request.", errors=[{"message": message, "in": "after"}])
    return offset


def _candidates(state: PortalState, records: RecordTable, groups: list[list[Json]], horizon: int) -> list[View]:
    """The live records that may match, as the index has them."""
    if not state.switches.index_lag:
        return [(record, None) for record in _narrowed(records, groups)]
    live = (records.by_id[number] for number in records.live)
    known = (record for record in live if record.created <= horizon)
    return [(record, None if record.updated <= horizon else record.before) for record in known]


def _narrowed(records: RecordTable, groups: list[list[Json]]) -> Iterable[StoredRecord]:
    """The live records, or those that one of the filters picks quickly."""
    for each in groups[0] if len(groups) == 1 else ():
        if each["operator"] in ("EQ", "IN") and (picked := _picked(records, each)) is not None:
            return picked
    spans = [_span(records.kind.modified, group) for group in groups]
    if spans and (low := min(each[0] for each in spans)) > -_FOREVER:
        return records.modified(low, max(each[1] for each in spans))
    return (records.by_id[number] for number in records.live)


def _matching(state: PortalState, records: RecordTable, groups: list[list[Json]], views: list[View]) -> list[View]:
    """The records that pass every filter of some group."""
    tests = [[_test(state, records, each) for each in group] for group in groups]
    if len(tests) > 1:
        return [view for view in views if any(all(test(view) for test in group) for group in tests)]
    for test in tests[0] if tests else ():
        views = [view for view in views if test(view)]
    return views


def _picked(records: RecordTable, each: Json) -> list[StoredRecord] | None:
    name, values = each["propertyName"], each["values"] if each["operator"] == "IN" else [each["value"]]
    if name == "hs_object_id":
        numbers = sorted({int(value) for value in values if is_count(str(value))})
        found = [records.by_id[number] for number in numbers if number in records.by_id]
    elif name in records.unique:
        found = [record for value in values if (record := records.by_unique(name, str(value)))]
    else:
        return None
    return [record for record in found if record.archived_at is None]


def _span(modified: str, group: list[Json]) -> tuple[int, int]:
    """The times of modification that a group lets through, roughly."""
    low, high = -_FOREVER, _FOREVER
    for each in group:
        at = instant(each.get("value")) if each["propertyName"] == modified else None
        if at is None:
            continue
        if each["operator"] in ("GT", "GTE", "EQ", "BETWEEN"):
            low = max(low, at)
        if each["operator"] in ("LT", "LTE", "EQ"):
            high = min(high, at)
    return low, high


def _reader(records: RecordTable, name: str) -> Callable[[View], str | None]:
    if name in (records.kind.modified, records.kind.created, "hs_object_id"):
        return lambda view: value_of(records, view[0], name, view[1])
    return lambda view: (view[1] or view[0]).properties.get(name)


def _typed(state: PortalState, records: RecordTable, name: str) -> Callable[[str], Comparable | None]:
    """How the values of a property compare: as numbers, times, or text in lower case; `None` for what does not."""
    kind = records.schema.known[name]["type"]
    if name == "hs_object_id":
        return _as_number if state.switches.id_order == "number" else str
    if kind in ("datetime", "date"):
        return instant
    if kind == "number":
        return _as_number
    return str if kind in ("enumeration", "bool") else str.lower


def _as_number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _test(state: PortalState, records: RecordTable, each: Json) -> FilterTest:
    """One filter as a question to a record."""
    name, operator = each["propertyName"], each["operator"]
    if name.startswith("associations."):
        return _association_test(state, records, each)
    if name == records.kind.modified and operator in _COMPARED:
        return _modified_test(each)
    if name == "hs_object_id" and operator in _COMPARED and state.switches.id_order == "number":
        return _id_test(each)
    return _OPERATORS[operator](_reader(records, name), _typed(state, records, name), each)


def _modified_test(each: Json) -> FilterTest:
    low, compare = instant(each["value"]), _COMPARED[each["operator"]]
    if low is None:
        return lambda view: False
    return lambda view: compare((view[1] or view[0]).updated, low)


def _id_test(each: Json) -> FilterTest:
    wanted, compare = _as_number(str(each["value"])), _COMPARED[each["operator"]]
    if wanted is None:
        return lambda view: False
    return lambda view: compare(view[0].id, wanted)


def _association_test(state: PortalState, records: RecordTable, each: Json) -> FilterTest:
    """`associations.contact` EQ or IN some ids."""
    other = object_type(each["propertyName"].removeprefix("associations."))
    if other is None:
        raise bad_request(f"Unable to infer object type from: {each['propertyName']}", "")
    wanted = {str(value) for value in each.get("values") or [each.get("value")]}
    pair = (records.kind.name, other.name)
    return lambda view: any(str(number) in wanted for number in state.links.of(pair, view[0].id))


_COMPARED: dict[str, Callable[[Comparable, Comparable], bool]] = {
    "EQ": lambda one, other: one == other,
    "LT": lambda one, other: one < other,  # type: ignore[operator]
    "LTE": lambda one, other: one <= other,  # type: ignore[operator]
    "GT": lambda one, other: one > other,  # type: ignore[operator]
    "GTE": lambda one, other: one >= other,  # type: ignore[operator]
}

PropertyReader = Callable[[View], str | None]
TypedValue = Callable[[str], Comparable | None]


def _compares(operator: str) -> Callable[[PropertyReader, TypedValue, Json], FilterTest]:
    compare = _COMPARED[operator]

    def test_of(read: PropertyReader, typed: TypedValue, each: Json) -> FilterTest:
        wanted = typed(as_text(each["value"]))

        def test(view: View) -> bool:
            value = read(view)
            kept = None if value is None else typed(value)
            return kept is not None and wanted is not None and compare(kept, wanted)

        return test

    return test_of


def _between(read: PropertyReader, typed: TypedValue, each: Json) -> FilterTest:
    low = _compares("GTE")(read, typed, each)
    high = _compares("LTE")(read, typed, {"value": each["highValue"]})
    return lambda view: low(view) and high(view)


def _in(read: PropertyReader, typed: TypedValue, each: Json) -> FilterTest:
    # The index keeps text in lower case and takes the wanted values as they are: capitals never match.
    values = {as_text(value) for value in each["values"]}
    wanted = values if typed in (str, str.lower) else {typed(value) for value in values}

    def test(view: View) -> bool:
        value = read(view)
        return value is not None and typed(value) in wanted

    return test


def _has(read: PropertyReader, typed: TypedValue, each: Json) -> FilterTest:
    return lambda view: bool(read(view))


def _contains(read: PropertyReader, typed: TypedValue, each: Json) -> FilterTest:
    pattern = re.compile(".*".join(re.escape(part) for part in str(each["value"]).lower().split("*")))

    def test(view: View) -> bool:
        value = (read(view) or "").lower()
        return bool(value) and any(
            pattern.fullmatch(token) for token in (value, *value.split(";"), *re.split(r"[^\w]+", value))
        )

    return test


def _not(
    test_of: Callable[[PropertyReader, TypedValue, Json], FilterTest],
) -> Callable[[PropertyReader, TypedValue, Json], FilterTest]:
    """The opposite: which a record without the property passes too."""

    def opposite(read: PropertyReader, typed: TypedValue, each: Json) -> FilterTest:
        test = test_of(read, typed, each)
        return lambda view: not test(view)

    return opposite


_OPERATORS: dict[str, Callable[[PropertyReader, TypedValue, Json], FilterTest]] = {
    **{operator: _compares(operator) for operator in _COMPARED},
    "NEQ": _not(_compares("EQ")),
    "BETWEEN": _between,
    "IN": _in,
    "NOT_IN": _not(_in),
    "HAS_PROPERTY": _has,
    "NOT_HAS_PROPERTY": _not(_has),
    "CONTAINS_TOKEN": _contains,
    "NOT_CONTAINS_TOKEN": _not(_contains),
}


def _mentions(record: StoredRecord, query: str) -> bool:
    if not query:
        return True
    words = query.lower().split()
    values = " ".join(record.properties.get(name, "") for name in _SEARCHED).lower()
    return all(word in values for word in words)


def _sorted(state: PortalState, records: RecordTable, views: list[View], sort: tuple[str, bool] | None) -> list[View]:
    """In the order asked for (records without the property last), by creation where none is."""
    if sort is None or sort[0] not in records.schema.known:
        return sorted(views, key=lambda view: (view[0].created, view[0].id))
    name, descending = sort
    if name == records.kind.modified:
        return sorted(views, key=lambda view: ((view[1] or view[0]).updated, view[0].id), reverse=descending)
    if name == "hs_object_id" and state.switches.id_order == "number":
        return sorted(views, key=lambda view: view[0].id, reverse=descending)
    read, typed = _reader(records, name), _typed(state, records, name)
    having: list[tuple[Comparable, int, View]] = []
    lacking: list[View] = []
    for view in views:
        value = read(view)
        kept = None if value is None else typed(value)
        if kept is None:
            lacking.append(view)
        else:
            having.append((kept, view[0].id, view))
    having.sort(key=lambda each: each[:2], reverse=descending)
    return [each[2] for each in having] + lacking
