"""What a lead score of the portal is worth for a contact, worked out from its groups and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connectors.sandbox.hubspot.records import StoredRecord
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.tracking import VISITED
from connectors.sandbox.hubspot.wire import EPOCH, Json

PAGE_VISITED, FORM_SUBMITTED, EMAIL_OPENED, EMAIL_CLICKED = "4-96000", "4-1639801", "4-666440", "4-666288"
"""HubSpot's ids of these types of event (its guide to workflows, and public lists of them, 2026-11-28)."""

PRIMARY_COMPANY = 1

_MAILS = {"OPEN": EMAIL_OPENED, "CLICK": EMAIL_CLICKED}


class ScoredEvent(NamedTuple):
    """An event of a contact: when (epoch ms), and its properties."""

    at: int
    properties: Mapping[str, str]


class PortalEvents:
    """What the portal's people did, by type of event; made once for many contacts."""

    def __init__(self, state: PortalState) -> None:
        self._tracking = state.tracking
        self._by_address: dict[str, list[tuple[str, ScoredEvent]]] = {}
        for mail in state.tracking.emails:
            if mail.type in _MAILS and not mail.filtered:
                about = ScoredEvent(mail.at, {})
                self._by_address.setdefault(mail.recipient, []).append((_MAILS[mail.type], about))

    def of_contact(self, contact: StoredRecord, event_type: str) -> Iterator[ScoredEvent]:
        """The events of a type that a contact has."""
        if event_type == PAGE_VISITED:
            line = self._tracking.by_contact.get(contact.id)
            for each in line.everything() if line else ():
                if each.event_type == VISITED:
                    yield ScoredEvent(each.at, {"hs_url": str(each.about.get("url", ""))})
        elif event_type == FORM_SUBMITTED:
            for told in filter(None, contact.properties.get("hs_calculated_form_submissions", "").split(";")):
                form, _, at = told.partition("::")
                yield ScoredEvent(int(at), {"hs_form_id": form})
        elif address := contact.properties.get("email"):
            yield from (each for kind, each in self._by_address.get(address, ()) if kind == event_type)


class ScoreParts(NamedTuple):
    """What a score is worth: in all, and by category."""

    total: float
    categories: Mapping[str, float]


def evaluate_score(
    state: PortalState, events: PortalEvents, score: Json, contact: StoredRecord, now: int
) -> ScoreParts:
    """The points of a contact as of `now` (epoch ms). What the sandbox cannot evaluate gives none."""
    asked = _Asked(state, events, contact, ZoneInfo(state.switches.time_zone), now)
    most = score.get("maxScorePerCategory")
    categories = {
        category: _clamped(
            sum(_group_points(asked, each) for each in score["groupConfigs"] if each["groupCategory"] == category),
            None if most is None else -most,
            most,
        )
        for category in score["allowedGroupTypes"]
    }
    most = score.get("maxScore")
    return ScoreParts(_clamped(sum(categories.values()), None if most is None else -most, most), categories)


class _Asked(NamedTuple):
    state: PortalState
    events: PortalEvents
    contact: StoredRecord
    zone: ZoneInfo
    now: int

    def age(self, at: int) -> int:
        """How many days ago something happened, as the portal's calendar counts them."""
        return (_local_day(self.now, self.zone) - _local_day(at, self.zone)).days


def _local_day(at: int, zone: ZoneInfo) -> date:
    return _day_of_quarter(at // _QUARTER, zone)


_QUARTER = 900_000
"""Milliseconds of a quarter of an hour, in none of which a day of any zone begins."""


@lru_cache(maxsize=65_536)
def _day_of_quarter(quarter: int, zone: ZoneInfo) -> date:
    return (EPOCH + timedelta(milliseconds=quarter * _QUARTER)).astimezone(zone).date()


def _clamped(points: float, least: float | None, most: float | None) -> float:
    points = points if most is None else min(points, most)
    return points if least is None else max(points, least)


def _group_points(asked: _Asked, group: Json) -> float:
    decay = group.get("groupDecay")
    points = 0.0
    for rule in group["ruleConfigurations"]:
        if rule["enabled"]:
            found = _rule_points(asked, rule["configuration"]["calculation"], decay)
            points += _clamped(found, rule.get("minimumValue"), rule.get("maximumValue"))
    return _clamped(points, group.get("minValue"), group.get("maxValue"))


def _rule_points(asked: _Asked, calculation: Json, decay: Json | None) -> float:
    match calculation["type"]:
        case "MULTI_UE":
            return sum(_event_points(asked, each, decay) for each in calculation["eventCalculators"])
        case "ASSOCIATIONS" if calculation["associationSpec"]["associationTypeId"] == PRIMARY_COMPANY:
            number = asked.contact.properties.get("associatedcompanyid")
            company = asked.state.records["companies"].by_id.get(int(number)) if number else None
            return _points(asked, calculation["recordCalculation"], company.properties) if company else 0
        case "ASSOCIATIONS" | "ASSOCIATION_UE":
            return 0
    return _points(asked, calculation, asked.contact.properties)


def _points(asked: _Asked, calculation: Json, values: Mapping[str, str]) -> float:
    match calculation["type"]:
        case "CONSTANT":
            return float(calculation["value"])
        case "MATCH":
            value = values.get(calculation["property"])
            fitting = (each["value"] for each in calculation["matchRules"] if _holds(each["operation"], value))
            return float(next(fitting, calculation.get("defaultValue") or 0))
        case "CONDITIONAL":
            return float(calculation["value"]) if _all_hold(calculation["whereCondition"], values) else 0
        case "MULTI":
            return sum(_points(asked, each, values) for each in calculation["calculators"])
        case "SEGMENT_MEMBERSHIP":
            return sum(_list_points(asked, each) for each in calculation["segmentMembershipRules"])
    return 0


def _all_hold(condition: Json, values: Mapping[str, str]) -> bool:
    if condition["type"] == "COMPOSITE":
        return all(_all_hold(each, values) for each in condition["conditions"])
    return _holds(condition["operation"], values.get(condition["property"]))


def _list_points(asked: _Asked, rule: Json) -> float:
    on = [is_on_list(asked.state, asked.contact, each) for each in rule["segmentIds"]]
    holds = {"HAS_ALL_SEGMENT_MEMBERSHIP": all(on), "HAS_AT_LEAST_ONE_SEGMENT_MEMBERSHIP": any(on)}
    return float(rule["value"]) if holds.get(rule["operation"], not any(on)) else 0


def is_on_list(state: PortalState, contact: StoredRecord, number: int) -> bool:
    """Whether a contact is on the list of that id."""
    found = state.lists.get(str(number))
    return found is not None and contact.id in found.members


def _event_points(asked: _Asked, entry: Json, decay: Json | None) -> float:
    window = _window(entry.get("eventTimeframe"))
    found = [
        (each, _points(asked, entry["recordCalculation"], each.properties))
        for each in asked.events.of_contact(asked.contact, entry["eventTypeId"])
        if each.at <= asked.now and (window is None or asked.age(each.at) <= window)
    ]
    if often := entry.get("eventFrequencyCriteria"):
        many = sum(1 for _each, points in found if points)
        return next((float(each["value"]) for each in often["ranges"] if _is_in(each, many)), 0)
    return sum(points * _share(asked.age(each.at), decay) for each, points in found)


def _is_in(span: Json, many: int) -> bool:
    most = {"AT_LEAST": many, "EXACTLY": span["from"]}.get(span["type"], span.get("to"))
    return bool(span["from"] <= many <= (many if most is None else most))


def _share(age: int, decay: Json | None) -> float:
    if not decay:
        return 1
    gone: int = decay["percentToDecayPerInterval"] * (max(age, 0) // decay["decayIntervalDays"])
    return max(0, 100 - gone) / 100


def _window(timeframe: Json | None) -> int | None:
    operation = (timeframe or {}).get("eventFilterOperation", {})
    return operation.get("numberOfDays") if operation.get("operationType") == "ROLLING_DATE_RANGE" else None


def _holds(operation: Json, value: str | None) -> bool:
    operator, kind = operation["operator"], operation["operationType"]
    if kind == "ALL_PROPERTY":
        return bool(value) is (operator == "IS_KNOWN")
    if not value:
        return bool(operation["includeObjectsWithNoValueSet"])
    if kind in ("NUMBER", "NUMBER_RANGED"):
        return _number_holds(operation, float(value))
    if kind in ("STRING", "MULTISTRING", "ENUMERATION", "BOOL"):
        return _text_holds(operator, value.lower(), [_small(each) for each in _wanted(operation)])
    return False


def _small(value: object) -> str:
    return str(value).lower()


def _wanted(operation: Json) -> Sequence[object]:
    return list(operation["values"]) if "values" in operation else [operation["value"]]


def _number_holds(operation: Json, value: float) -> bool:
    if operation["operationType"] == "NUMBER_RANGED":
        inside: bool = operation["lowerBound"] <= value <= operation["upperBound"]
        return inside is (operation["operator"] == "IS_BETWEEN")
    limit = operation["value"]
    answers = {
        "IS_EQUAL_TO": value == limit,
        "IS_NOT_EQUAL_TO": value != limit,
        "IS_GREATER_THAN": value > limit,
        "IS_GREATER_THAN_OR_EQUAL_TO": value >= limit,
        "IS_LESS_THAN": value < limit,
        "IS_LESS_THAN_OR_EQUAL_TO": value <= limit,
    }
    return bool(answers.get(operation["operator"], False))


def _text_holds(operator: str, value: str, wanted: Sequence[str]) -> bool:
    parts = value.split(";")
    answers = {
        "IS_EQUAL_TO": value in wanted,
        "IS_NOT_EQUAL_TO": value not in wanted,
        "CONTAINS": any(each in value for each in wanted),
        "DOES_NOT_CONTAIN": not any(each in value for each in wanted),
        "STARTS_WITH": value.startswith(tuple(wanted)),
        "ENDS_WITH": value.endswith(tuple(wanted)),
        "IS_ANY_OF": any(each in parts for each in wanted),
        "IS_NONE_OF": not any(each in parts for each in wanted),
        "CONTAINS_ALL": all(each in parts for each in wanted),
    }
    return answers.get(operator, False)
