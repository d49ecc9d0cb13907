"""What a lead score of HubSpot asks of a value, as a condition of the config."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from connectors.hubspot.errors import list_in, object_in, objects_in, text_of
from connectors.hubspot.properties import Definition

Json = Mapping[str, Any]
Condition = dict[str, Any]


class Untranslatable(Exception):
    """That a part of a rule cannot be said in the config: `reason`, and what to do."""

    def __init__(
        self, reason: str, remedy: str = "write a rule for it by hand (docs/scoring.md), or leave it out"
    ) -> None:
        self.reason, self.remedy = reason, remedy
        super().__init__(reason)


class NearestLines(Untranslatable):
    """The same of a part that could be said in another meaning: by these lines."""

    def __init__(self, reason: str, remedy: str, lines: list[ScoreLine]) -> None:
        super().__init__(reason, remedy)
        self.lines = lines


class ScoreLine(NamedTuple):
    """What a part of a rule gives points for: the points, and the keys of a rule besides name, points and group.

    `difference` is as in `ImportedRule`.
    """

    points: float
    table: Literal["fit", "behavior"]
    rule: Condition
    words: str
    difference: str = ""


class Test(NamedTuple):
    """Keys of a condition, how they read, and whether they are to hold or must not. `blank` accepts no value, too."""

    keys: Condition
    words: str
    negated: bool = False
    blank: bool = False


# The operators are named in https://developers.hubspot.com/docs/api-reference/2026-03/crm/lists/list-filters; the
# specification of lead scores says only that they are texts (2026-11-28).
_TEXT = {
    "IS_EQUAL_TO": ("in", "is", False),
    "IS_NOT_EQUAL_TO": ("in", "is not", True),
    "CONTAINS": ("contains", "contains", False),
    "DOES_NOT_CONTAIN": ("excludes", "does not contain", False),
    "STARTS_WITH": ("starts_with", "starts with", False),
    "ENDS_WITH": ("ends_with", "ends with", False),
}
_CHOICE = {
    "IS_ANY_OF": ("in", "is", False),
    "IS_NONE_OF": ("in", "is not", True),
    "CONTAINS_ALL": ("has_all", "has all of", False),
    "DOES_NOT_CONTAIN_ALL": ("has_all", "does not have all of", True),
}
_NUMBER = {
    "IS_EQUAL_TO": ("is", "is", False),
    "IS_NOT_EQUAL_TO": ("is", "is not", True),
    "IS_GREATER_THAN": ("gt", "over", False),
    "IS_GREATER_THAN_OR_EQUAL_TO": ("gte", "at least", False),
    "IS_LESS_THAN": ("lt", "under", False),
    "IS_LESS_THAN_OR_EQUAL_TO": ("lte", "at most", False),
}
_DATES = ("DATE", "DATETIME", "RANGED_DATE", "TIME_POINT", "TIME_RANGED", "ROLLING_DATE_RANGE", "CALENDAR_DATE")


def read_test(operation: Json, of: Definition | None) -> Test:
    """What an operation asks of a property; `of` is `None` for one of an event, whose values are texts.

    Raises `Untranslatable`.
    """
    kind, operator = text_of(operation.get("operationType")), text_of(operation.get("operator"))
    if kind == "ALL_PROPERTY":
        return _read_presence(operator)
    if kind in _DATES or (of is not None and of.type in ("date", "datetime")):
        raise Untranslatable(f"it asks about a date ({kind} {operator}), and crmsync has no condition on dates")
    blank = operation.get("includeObjectsWithNoValueSet") is True
    is_number = of is not None and of.type == "number"
    if kind in ("NUMBER", "NUMBER_RANGED") and (is_number or of is None):
        return _read_numbers(operation, kind, operator)._replace(blank=blank)
    if kind == "BOOL" and (of is None or of.is_yes_or_no):
        value, (_key, words, negated) = (
            operation.get("value"),
            _of(_TEXT, kind, operator, ("IS_EQUAL_TO", "IS_NOT_EQUAL_TO")),
        )
        if not isinstance(value, bool):
            raise unreadable_part()
        return Test({"is": value}, f"{words} {'yes' if value else 'no'}", negated, blank)
    if kind in ("STRING", "MULTISTRING", "ENUMERATION") and not is_number:
        return _read_texts(operation, of, _of(_CHOICE if kind == "ENUMERATION" else _TEXT, kind, operator))._replace(
            blank=blank
        )
    raise Untranslatable(f"crmsync has no condition for {kind or 'an operation without a type'} {operator}".rstrip())


def unreadable_part() -> Untranslatable:
    """What to raise where HubSpot's answer is not as its specification says."""
    return Untranslatable("HubSpot's answer about it cannot be read")


def _of(
    table: Mapping[str, tuple[str, str, bool]], kind: str, operator: str, only: Sequence[str] = ()
) -> tuple[str, str, bool]:
    if operator not in table or (only and operator not in only):
        raise Untranslatable(f"crmsync has no condition for the operator {operator or '(none)'} of {kind}")
    return table[operator]


def _read_presence(operator: str) -> Test:
    if operator == "IS_KNOWN":
        return Test({"exists": True}, "is known")
    if operator in ("IS_UNKNOWN", "IS_NOT_KNOWN"):
        return Test({"missing": True}, "is not known")
    raise Untranslatable(f"crmsync has no condition for the operator {operator or '(none)'} of ALL_PROPERTY")


def _read_numbers(operation: Json, kind: str, operator: str) -> Test:
    if kind == "NUMBER":
        key, words, negated = _of(_NUMBER, kind, operator)
        limit = number_in(operation, "value")
        return Test({key: limit}, f"{words} {limit:,.15g}", negated)
    if operator not in ("IS_BETWEEN", "IS_NOT_BETWEEN"):
        raise Untranslatable(f"crmsync has no condition for the operator {operator or '(none)'} of {kind}")
    low, high = number_in(operation, "lowerBound"), number_in(operation, "upperBound")
    if low > high:
        raise unreadable_part()
    is_out = operator == "IS_NOT_BETWEEN"
    return Test({"between": [low, high]}, f"{'not ' * is_out}from {low:,.15g} to {high:,.15g}", is_out)


def _read_texts(operation: Json, of: Definition | None, asked: tuple[str, str, bool]) -> Test:
    key, words, negated = asked
    given = list_in(operation, "values") if "values" in operation else [operation.get("value")]
    values = [text_of(each) for each in given if text_of(each)]
    if not values or len(values) < len(given):
        raise unreadable_part()
    labels = [of.label_of(each) if of else each for each in values]
    said = f"{words} {', '.join(labels)}"
    if of is not None and of.is_yes_or_no:
        wanted = {each.lower() for each in values}
        if key != "in" or not wanted <= {"true", "false"}:
            raise Untranslatable(f"it asks a yes-or-no property whether it {said}")
        return Test({"is": "true" in wanted} if len(wanted) == 1 else {"exists": True}, said, negated)
    if key == "in" and len(values) == 1:
        return Test({"is": values[0]}, said, negated)
    return Test({key: values}, said, negated)


def number_in(value: Json, name: str) -> float:
    """The finite number of that name, whole where it is one. Raises `Untranslatable`."""
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise unreadable_part()
    return int(found) if float(found).is_integer() else float(found)


def write_condition(field: str, test: Test) -> Condition:
    """The test as a `when` about a field."""
    asked: Condition = {"field": field, **test.keys}
    if test.negated:
        asked = {"not": asked}
    return {"any": [asked, {"field": field, "missing": True}]} if test.blank else asked


def exclude_each_other(operations: Sequence[Json], of: Definition | None) -> bool:
    """Whether no value can answer two of these operations with yes."""
    if len(operations) < 2:
        return True
    if any(each.get("includeObjectsWithNoValueSet") is True for each in operations):
        return False
    tests = [read_test(each, of) for each in operations]
    if any(each.negated for each in tests):
        return False
    if of is not None and of.field_type == "checkbox":
        return False
    choices = [_choices(each.keys) for each in tests]
    if all(choices):
        return len(set().union(*choices)) == sum(map(len, choices))
    spans = sorted(span for each in tests if (span := _span(each.keys)))
    return len(spans) == len(tests) and all(one[1] < other[0] for one, other in pairwise(spans))


def _choices(keys: Condition) -> set[str]:
    """The texts that a test accepts, where it accepts some texts only."""
    values = keys.get("in") or ([keys["is"]] if isinstance(keys.get("is"), str) else [])
    return {str(each).strip().casefold() for each in values}


def _span(keys: Condition) -> tuple[tuple[float, int], tuple[float, int]] | None:
    """The numbers that a test accepts: from and to, each with -1, 0 or 1 where the end is just below, at, or above."""
    key, value = next(iter(keys.items()))
    match key, value:
        case "between", [low, high]:
            return (low, 0), (high, 0)
        case "is", int() | float() if not isinstance(value, bool):
            return (value, 0), (value, 0)
        case (("gt" | "gte"), _):
            return (value, 1 if key == "gt" else 0), (math.inf, 0)
        case (("lt" | "lte"), _):
            return (-math.inf, 0), (value, -1 if key == "lt" else 0)
    return None


def read_window(timeframe: Json) -> int | None:
    """The days of "within the last N days"; `None` where there is no timeframe. Raises `Untranslatable`."""
    operation = object_in(timeframe, "eventFilterOperation")
    if not operation:
        return None
    kind, operator = text_of(operation.get("operationType")), text_of(operation.get("operator"))
    if kind == "ROLLING_DATE_RANGE" and operator == "IS_LESS_THAN_X_DAYS_AGO":
        return _days(number_in(operation, "numberOfDays"))
    if (
        kind == "TIME_RANGED"
        and operator == "IS_BETWEEN"
        and _days_before_now(object_in(operation, "upperBoundTimePoint")) == 0
    ):
        return _days(_days_before_now(object_in(operation, "lowerBoundTimePoint")))
    if kind == "TIME_POINT" and operator == "IS_AFTER":
        return _days(_days_before_now(object_in(operation, "timePoint")))
    raise Untranslatable(f'its timeframe is not "in the last … days" ({kind} {operator})')


def _days(value: float | None) -> int:
    if value is None or value != int(value) or not 1 <= value <= 36_500:
        raise Untranslatable("its timeframe is not a number of days")
    return int(value)


def _days_before_now(point: Json) -> float | None:
    """How many days before now a point in time is; `None` where it is none of that kind."""
    reference, offset = text_of(object_in(point, "indexReference").get("referenceType")), object_in(point, "offset")
    moved = {name: value for name, value in offset.items() if value}
    if text_of(point.get("timeType")) != "INDEXED" or reference not in ("NOW", "TODAY") or set(moved) - {"days"}:
        return None
    return -number_in(moved, "days") if moved else 0


def read_points(value: Json, name: str = "value") -> float:
    """The points of that name. Raises `Untranslatable` where the config takes no such number."""
    points = number_in(value, name)
    if round(points, 2) != points or abs(points) > MOST_POINTS:
        raise Untranslatable(f"{points:,.15g} points have more than two decimals, or are too many")
    return points


MOST_POINTS = 100_000

OVERLAP = "several of its values can hold at once, and HubSpot does not document which of them counts"
SEVERAL = "HubSpot does not document whether all criteria of a rule that hold add up; here they do"


def read_conditions(composite: Json) -> list[tuple[str, Json]]:
    """Each property that must be as its operation asks, all of them. Raises `Untranslatable`."""
    kind = text_of(composite.get("type"))
    if kind == "SINGLE":
        return [(text_of(composite.get("property")), object_in(composite, "operation"))]
    if kind != "COMPOSITE" or text_of(composite.get("operator")) != "AND":
        joined = text_of(composite.get("operator")) or "nothing"
        raise Untranslatable(f"its conditions are joined by {joined}, and HubSpot documents AND alone")
    found = [each for part in objects_in(composite, "conditions") for each in read_conditions(part)]
    if not found:
        raise unreadable_part()
    return found


def only_calculator(calculation: Json) -> Json | None:
    """The one part of a calculation of several; `None` where there are more."""
    parts = objects_in(calculation, "calculators")
    if not parts:
        raise unreadable_part()
    return parts[0] if len(parts) == 1 else None
