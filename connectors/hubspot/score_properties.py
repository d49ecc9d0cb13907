"""What a lead score of HubSpot gives points for that contacts and companies are, as rules about fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from connectors.hubspot.errors import object_in, objects_in, text_of
from connectors.hubspot.mapping import COMPANY_PREFIX
from connectors.hubspot.properties import Definition
from connectors.hubspot.score_conditions import (
    OVERLAP,
    SEVERAL,
    Condition,
    Json,
    NearestLines,
    ScoreLine,
    Untranslatable,
    exclude_each_other,
    only_calculator,
    read_conditions,
    read_points,
    read_test,
    unreadable_part,
    write_condition,
)

PEOPLE = "0-1"
OBJECTS = {PEOPLE: "contacts", "0-2": "companies", "0-3": "deals"}

PRIMARY_COMPANY = 1
"""HubSpot's association type of a contact with its primary company."""

NEAREST = "where that is good enough, remove the marks before the rule"


def call_object(object_type: str) -> str:
    """What people call a type of object."""
    return OBJECTS.get(object_type, f"objects of type {object_type}")


def list_company_lines(definitions: Callable[[], Mapping[str, Definition]], calculation: Json) -> list[ScoreLine]:
    """The lines of a calculation over the company of a contact; the definitions are asked for where they are needed.

    Raises `Untranslatable`.
    """
    of, spec = text_of(calculation.get("associatedObjectTypeId")), object_in(calculation, "associationSpec")
    if of != "0-2":
        raise Untranslatable(f"it asks about associated {call_object(of)}; crmsync reads contacts and companies")
    inner = object_in(calculation, "recordCalculation")
    lines = list(list_property_lines(definitions(), COMPANY_PREFIX, inner))
    association = (spec.get("associationCategory"), spec.get("associationTypeId"))
    if association != ("HUBSPOT_DEFINED", PRIMARY_COMPANY) or calculation.get("associationFilters"):
        raise NearestLines(
            "it asks about all or some companies of a contact, crmsync about the primary one", NEAREST, lines
        )
    return lines


def list_property_lines(definitions: Mapping[str, Definition], prefix: str, calculation: Json) -> Iterator[ScoreLine]:
    """The lines of a calculation over properties of contacts, or of companies. Raises `Untranslatable`."""
    match text_of(calculation.get("type")):
        case "MATCH":
            yield from _match_lines(definitions, prefix, calculation)
        case "CONDITIONAL":
            asked = read_conditions(object_in(calculation, "whereCondition"))
            tests = [_condition(definitions, prefix, name, operation) for name, operation in asked]
            when = tests[0][0] if len(tests) == 1 else {"all": [each for each, _words in tests]}
            yield ScoreLine(
                read_points(calculation), "fit", {"when": when}, " and ".join(each for _when, each in tests)
            )
        case "MULTI":
            if (one := only_calculator(calculation)) is not None:
                yield from list_property_lines(definitions, prefix, one)
                return
            for part in objects_in(calculation, "calculators"):
                yield from (
                    each._replace(difference=SEVERAL) for each in list_property_lines(definitions, prefix, part)
                )
        case "CONSTANT":
            raise Untranslatable("it gives everybody the same points", "lower the points of [bands] by as many")
        case "SEGMENT_MEMBERSHIP":
            said = "it asks who is on a list (a segment), and crmsync has no condition for that"
            raise Untranslatable(said, "let HubSpot set a property for who is on the list, and write a rule about it")
        case other:
            raise Untranslatable(f"crmsync does not know this kind of rule ({other or 'without a type'})")


def _match_lines(definitions: Mapping[str, Definition], prefix: str, calculation: Json) -> Iterator[ScoreLine]:
    name, rules = text_of(calculation.get("property")), objects_in(calculation, "matchRules")
    operations = [object_in(each, "operation") for each in rules]
    if not rules:
        raise unreadable_part()
    if calculation.get("defaultValue"):
        raise Untranslatable(f"it gives points to whoever matches none of its values of {name}")
    written = [_condition(definitions, prefix, name, operation) for operation in operations]
    if not exclude_each_other(operations, definitions[name]):
        raise Untranslatable(OVERLAP)
    for rule, (when, words) in zip(rules, written, strict=True):
        yield ScoreLine(read_points(rule), "fit", {"when": when}, words)


def _condition(definitions: Mapping[str, Definition], prefix: str, name: str, operation: Json) -> tuple[Condition, str]:
    if name not in definitions:
        said = f"the portal has no property {prefix}{name}, or this token cannot see it"
        raise Untranslatable(said, "restore the property in HubSpot, or leave the rule out")
    test = read_test(operation, definitions[name])
    if prefix and (test.blank or "missing" in test.keys):
        raise Untranslatable(
            f"it asks for companies without {name}; crmsync cannot tell them from contacts without a company"
        )
    return write_condition(f"{prefix}{name}", test), f"{name} {test.words}{' or not known' if test.blank else ''}"
