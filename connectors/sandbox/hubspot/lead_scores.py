"""The portal's lead scores: what clients may read of them, what people do to them, and their values on contacts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from connectors.sandbox.hubspot.catalog import option_of
from connectors.sandbox.hubspot.records import StoredRecord, write_properties
from connectors.sandbox.hubspot.score_values import (
    FORM_SUBMITTED,
    PAGE_VISITED,
    PRIMARY_COMPANY,
    PortalEvents,
    ScoreParts,
    evaluate_score,
    is_on_list,
)
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.tracking import make_form_id
from connectors.sandbox.hubspot.wire import HubspotCall, Json, iso, not_found, paging_of, whole

_MOST_LISTED = 100
_DAY = 86_400_000
_FIRST_SCORE = 60_001


def list_scores(state: PortalState, call: HubspotCall) -> Json:
    """`GET /marketing/lead-scoring/{version}/scores`: a page of them, without their rules."""
    limit, after = call.limit(10, _MOST_LISTED), call.number("after", -1)
    rest = [each for number, each in sorted(state.lead_scores.items()) if number > after]
    answer: Json = {"results": [_fragment(each) for each in rest[:limit]]}
    return answer | {"paging": paging_of(call, rest[limit - 1]["id"])} if len(rest) > limit else answer


def _fragment(score: Json) -> Json:
    return {
        "id": score["id"],
        "name": score["name"],
        "scoreType": score["scoreType"],
        "scoredObjectTypeId": score["objectTypeId"],
        "lastConfigurationChangeTimestamp": score["updatedAt"],
    }


def show_score(state: PortalState, call: HubspotCall) -> Json:
    """`GET /marketing/lead-scoring/{version}/scores/{id}`: with its groups and rules."""
    number = whole(call.params["id"], "scoreId")
    if number not in state.lead_scores:
        raise not_found(f"Score {number} does not exist.")
    return state.lead_scores[number]


def put_lead_score(state: PortalState, now: int, body: Json) -> Json:
    """Add the score `score`, or replace the one that has its `id`, and give contacts its values."""
    given = dict(body["score"])
    number = int(given.get("id") or max(state.lead_scores, default=_FIRST_SCORE - 1) + 1)
    times = dict.fromkeys(("createdAt", "updatedAt", "publishedAt"), iso(now))
    score = {**_EMPTY, **times, **given, "id": str(number)}
    if score["scoreStatus"] == "draft":
        score.pop("publishedAt")
    _add_score(state, score)
    recalculate_scores(state, now, {})
    return {"id": score["id"]}


def delete_lead_score(state: PortalState, now: int, body: Json) -> Json:
    """Delete the score `id`; the values stay."""
    if state.lead_scores.pop(int(body.get("id", 0)), None) is None:
        raise ValueError(f"there is no lead score {body.get('id')!r}")
    return {}


def recalculate_scores(state: PortalState, now: int, body: Json) -> Json:
    """Give each contact the values that it has by now, as HubSpot does by itself."""
    changed = 0
    events = PortalEvents(state)
    for number in state.contacts.live:
        contact = state.contacts.by_id[number]
        if write_properties(contact, _values_of(state, events, contact, now), now, "CALCULATED", ""):
            state.contacts.stamp(contact, now)
            changed += 1
    return {"changed": changed}


def add_own_scores(state: PortalState, now: int) -> None:
    """Give a portal whose subscription has lead scores the two that it begins with, and contacts their values."""
    if state.switches.tier in ("free", "starter"):
        return
    for score in (_contact_score(now), _fit_score(now)):
        _add_score(state, score)
    events = PortalEvents(state)
    for number in state.contacts.live:
        contact = state.contacts.by_id[number]
        contact.properties |= {name: value for name, value in _values_of(state, events, contact, now).items() if value}


def _add_score(state: PortalState, score: Json) -> None:
    schema = state.contacts.schema
    like = schema.known["hubspotscore"]
    for each in score.get("outputConfiguration", {}).get("outputs", ()):
        named = {"name": each["propertyName"], "label": each["propertyLabel"]}
        if each["outputType"] != "SCORE":
            boundaries = each["boundaries"]
            labels = [it["label"] for it in boundaries] if isinstance(boundaries, list) else _cells(boundaries)
            options = [option_of(label, label, place) for place, label in enumerate(labels)]
            named |= {"type": "enumeration", "fieldType": "select", "options": options}
        schema.put(like | named)
    state.lead_scores[int(score["id"])] = score


def _cells(boundaries: Mapping[str, list[Json]]) -> list[str]:
    return [f"{fit['label']}{intent['label']}" for fit in boundaries["FIT"] for intent in boundaries["INTENT"]]


def _values_of(state: PortalState, events: PortalEvents, contact: StoredRecord, now: int) -> dict[str, str]:
    """Every property that the scores of a portal set on a contact; `""` where somebody is not scored."""
    values: dict[str, str] = {}
    for score in state.lead_scores.values():
        outputs = score.get("outputConfiguration", {}).get("outputs", ())
        if score["scoreStatus"] == "draft" or score["objectTypeId"] != "0-1":
            continue
        is_scored = _is_scored(state, contact, score.get("filterConfiguration"))
        parts = evaluate_score(state, events, score, contact, now) if is_scored else None
        values |= {each["propertyName"]: "" if parts is None else _value_of(each, parts) for each in outputs}
    return values


def _is_scored(state: PortalState, contact: StoredRecord, chosen: Json | None) -> bool:
    if not chosen:
        return True
    is_on = any(is_on_list(state, contact, each) for each in chosen["segmentIds"])
    return is_on is (chosen["listFilterType"] == "INCLUDES")


def _value_of(output: Json, parts: ScoreParts) -> str:
    if output["outputType"] == "MATRIX":
        return "".join(_label(output["boundaries"][each], parts.categories[each]) for each in ("FIT", "INTENT"))
    is_whole = set(output["categories"]) == set(parts.categories)
    points = parts.total if is_whole else sum(parts.categories[each] for each in output["categories"])
    return _label(output["boundaries"], points) if output["outputType"] == "THRESHOLD" else f"{round(points, 2):g}"


def _label(boundaries: list[Json], points: float) -> str:
    """The boundary that points reach; the lowest one for whoever reaches none."""
    falling = sorted(boundaries, key=lambda each: each["threshold"], reverse=True)
    return str(next((each["label"] for each in falling if points >= each["threshold"]), falling[-1]["label"]))


# The two scores of a portal

_EMPTY: Json = {
    "name": "Score",
    "objectTypeId": "0-1",
    "scoreType": "COMBINED",
    "scoreStatus": "published",
    "allowedGroupTypes": ["FIT", "INTENT"],
    "groupConfigs": [],
}


def _contact_score(now: int) -> Json:
    groups = [
        _group(
            "Role",
            "FIT",
            _match("jobtitle", (_contains("chief", "vp", "president"), 25)),
            _match("jobtitle", (_contains("director", "head of"), 15)),
            _match("jobtitle", (_contains("student", "intern"), -20)),
            most=30,
            least=-20,
        ),
        _group(
            "Company",
            "FIT",
            _of_company(_match("numberofemployees", (_between(200, 999), 10), (_number("IS_GREATER_THAN", 999), 20))),
            _of_company(_match("industry", (_any_of("SOFTWARE", "FINANCIAL_SERVICES"), 10))),
            most=25,
        ),
        _group(
            "Forms",
            "INTENT",
            _events(
                FORM_SUBMITTED, _where(_condition("hs_form_id", _any_of(make_form_id("Request a demo"))), value=30)
            ),
            _events(FORM_SUBMITTED, _constant(4), most=12),
            most=40,
            decay=(30, 50),
        ),
        _group(
            "Website",
            "INTENT",
            _events(PAGE_VISITED, _where(_condition("hs_url", _contains("/pricing")), value=5), days=30, most=20),
            _events(PAGE_VISITED, _constant(1), days=14, most=10),
            most=25,
        ),
        _group(
            "Applicants",
            "INTENT",
            _events(PAGE_VISITED, _where(_condition("hs_url", _contains("/careers")), value=-10), days=90),
            least=-20,
        ),
    ]
    levels = [
        {"label": "Low", "threshold": 0},
        {"label": "Medium", "threshold": 25},
        {"label": "High", "threshold": 50},
    ]
    outputs = [
        _output("1", "SCORE", "contact_lead_score", "Lead score", "FIT", "INTENT"),
        _output("2", "SCORE", "contact_lead_score_fit", "Lead score fit", "FIT"),
        _output("3", "SCORE", "contact_lead_score_engagement", "Lead score engagement", "INTENT"),
        _output("4", "THRESHOLD", "contact_lead_score_threshold", "Lead score threshold", "FIT", "INTENT")
        | {"boundaries": levels},
    ]
    return _score(_FIRST_SCORE, "Lead score", "COMBINED", ["FIT", "INTENT"], groups, outputs, now) | {
        "maxScorePerCategory": 50,
        "maxScore": 100,
    }


def _fit_score(now: int) -> Json:
    groups = [
        _group(
            "Market",
            "FIT",
            _match("country", (_text("IS_EQUAL_TO", "Germany", "United States", "United Kingdom"), 20)),
            _of_company(_match("annualrevenue", (_number("IS_GREATER_THAN_OR_EQUAL_TO", 10_000_000), 30))),
            most=50,
        ),
        _group(
            "Person",
            "FIT",
            _where(
                _condition("jobtitle", _contains("manager")),
                _condition("email", _text("DOES_NOT_CONTAIN", "@gmail.com", "@outlook.com")),
                value=15,
            ),
            _match("jobtitle", (_known(False), -10)),
        ),
    ]
    outputs = [_output("1", "SCORE", "ideal_customer_fit", "Ideal customer fit", "FIT")]
    return _score(_FIRST_SCORE + 1, "Ideal customer", "FIT", ["FIT"], groups, outputs, now) | {"maxScore": 100}


def _score(
    number: int, name: str, kind: str, categories: list[str], groups: list[Json], outputs: list[Json], now: int
) -> Json:
    ids = count(1)
    for group in groups:
        group["id"] = str(next(ids))
        for rule in group["ruleConfigurations"]:
            rule["id"] = str(next(ids))
    return {
        "id": str(number),
        "name": name,
        "objectTypeId": "0-1",
        "scoreType": kind,
        "scoreStatus": "published",
        "allowedGroupTypes": categories,
        "groupConfigs": groups,
        "outputConfiguration": {"outputs": outputs},
        "createdAt": iso(now - 400 * _DAY),
        "publishedAt": iso(now - 60 * _DAY),
        "updatedAt": iso(now - 60 * _DAY),
    }


def _output(number: str, kind: str, name: str, label: str, *categories: str) -> Json:
    return {
        "id": number,
        "outputType": kind,
        "propertyName": name,
        "propertyLabel": label,
        "propertyGroup": "contactinformation",
        "categories": list(categories),
    }


def _group(
    name: str,
    category: str,
    *rules: Json,
    most: float | None = None,
    least: float | None = None,
    decay: tuple[int, int] | None = None,
) -> Json:
    group: Json = {"groupName": name, "groupCategory": category, "ruleConfigurations": [_rule(each) for each in rules]}
    group |= {name: value for name, value in (("maxValue", most), ("minValue", least)) if value is not None}
    if decay:
        group["groupDecay"] = dict(zip(("decayIntervalDays", "percentToDecayPerInterval"), decay, strict=True))
    return group


def _rule(calculation: Json) -> Json:
    calculation = dict(calculation)
    limits: Json = {name: calculation.pop(name) for name in ("maximumValue", "minimumValue") if name in calculation}
    return {"enabled": True, "configuration": {"calculation": calculation}, **limits}


def _constant(value: float) -> Json:
    return {"type": "CONSTANT", "value": value}


def _match(name: str, *rules: tuple[Json, float]) -> Json:
    found = [{"operation": operation, "value": value} for operation, value in rules]
    return {"type": "MATCH", "property": name, "matchRules": found}


def _where(*conditions: Json, value: float) -> Json:
    composite = {"type": "COMPOSITE", "operator": "AND", "conditions": list(conditions)}
    return {"type": "CONDITIONAL", "value": value, "whereCondition": composite}


def _condition(name: str, operation: Json) -> Json:
    return {"type": "SINGLE", "property": name, "operation": operation}


def _of_company(calculation: Json) -> Json:
    return {
        "type": "ASSOCIATIONS",
        "associatedObjectTypeId": "0-2",
        "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": PRIMARY_COMPANY},
        "inverseAssociationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 2},
        "recordCalculation": calculation,
        "rollupType": "MAX",
    }


def _events(kind: str, calculation: Json, days: int | None = None, most: float | None = None) -> Json:
    entry: Json = {"eventTypeId": kind, "recordCalculation": calculation}
    if days:
        since = _operation("ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_AGO")
        since |= {"numberOfDays": days, "requiresTimeZoneConversion": True}
        entry["eventTimeframe"] = {"eventFilterOperation": since}
    found: Json = {"type": "MULTI_UE", "eventCalculators": [entry]}
    return found if most is None else found | {"maximumValue": most}


def _operation(kind: str, operator: str, **more: object) -> Json:
    return {"operationType": kind, "operator": operator, "includeObjectsWithNoValueSet": False, **more}


def _contains(*words: str) -> Json:
    return _text("CONTAINS", *words)


def _text(operator: str, *words: str) -> Json:
    return _operation("MULTISTRING", operator, values=list(words))


def _any_of(*values: str) -> Json:
    return _operation("ENUMERATION", "IS_ANY_OF", values=list(values))


def _between(low: int, high: int) -> Json:
    return _operation("NUMBER_RANGED", "IS_BETWEEN", lowerBound=low, upperBound=high)


def _number(operator: str, value: float) -> Json:
    return _operation("NUMBER", operator, value=value)


def _known(known: bool) -> Json:
    return _operation("ALL_PROPERTY", "IS_KNOWN" if known else "IS_UNKNOWN")
