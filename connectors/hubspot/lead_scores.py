"""The lead scores that HubSpot itself keeps, and their rules in the words of the config."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from connectors.hubspot.client import Api
from connectors.hubspot.endpoints import BETAS, Endpoint
from connectors.hubspot.errors import (
    Forbidden,
    RequestRefused,
    id_of,
    list_in,
    object_in,
    objects_in,
    text_of,
    unreadable,
)
from connectors.hubspot.schema import Portal, list_all
from connectors.hubspot.score_conditions import (
    MOST_POINTS,
    Condition,
    Json,
    NearestLines,
    ScoreLine,
    Untranslatable,
    number_in,
    read_points,
    unreadable_part,
)
from connectors.hubspot.score_events import EventRules
from connectors.hubspot.score_properties import (
    NEAREST,
    PEOPLE,
    call_object,
    list_company_lines,
    list_property_lines,
)
from crmsync.connector import ImportedRule, LeadScore, NotImported, ScoreSummary
from crmsync.errors import ConfigError

SCOPE = "mh-lead-scoring-view"

LONGEST_NAME = 110


def list_lead_scores(api: Api) -> list[ScoreSummary]:
    """Every lead score of the portal. Raises `ConfigError` where this token or this portal has none to show."""
    found = _ask(lambda beta: list(list_all(api, api.place("lead_scores", beta=beta), ())))
    return [
        ScoreSummary(score_id, text_of(each.get("name")), call_object(scored), scored == PEOPLE)
        for each in found or ()
        if (score_id := id_of(each.get("id"))) and (scored := text_of(each.get("scoredObjectTypeId")))
    ]


def _ask(question: Callable[[str], Any]) -> Any:
    """What the first version answers that the portal has; `None` where what was asked for is not there."""
    for beta in BETAS:
        try:
            return question(beta)
        except Forbidden as error:
            if error.scopes:
                raise
            said = f"add the scope {SCOPE}; lead scores need Marketing Hub or Sales Hub, Professional or Enterprise"
            raise ConfigError(f"{error}: {said}") from error
        except RequestRefused as error:
            if error.status not in (400, 404):
                raise
            if error.body:
                return None
    raise ConfigError(
        "this HubSpot portal does not serve lead scores (it has no Lead Scoring API, which is in beta): look under "
        "Marketing → Lead Scoring whether the portal has any, and copy their rules by hand"
    )


def read_lead_score(api: Api, portal: Portal, score_id: str) -> LeadScore | None:
    """A lead score in the words of the config; `None` where there is none of that id."""

    def ask(beta: str) -> Mapping[str, Any]:
        where: Endpoint = api.place("lead_score", beta=beta, id=score_id)
        return api.get(where)  # type: ignore[no-any-return]

    answer = _ask(ask)
    if answer is None:
        return None
    name = text_of(answer.get("name"))
    if not id_of(answer.get("id")) or not isinstance(answer.get("groupConfigs"), list):
        raise unreadable("read lead scores")
    if (scored := text_of(answer.get("objectTypeId"))) != PEOPLE:
        raise ConfigError(
            f"the lead score {name!r} scores {call_object(scored)}, and crmsync scores people; choose another"
        )
    portal.account()  # which tells the portal's time zone
    draft = _Draft(portal, EventRules(api))
    for number, group in enumerate(objects_in(answer, "groupConfigs"), 1):
        _add_group(draft, number, group)
    outputs = objects_in(object_in(answer, "outputConfiguration"), "outputs")
    categories = {text_of(each) for each in list_in(answer, "allowedGroupTypes")}
    filters = object_in(answer, "filterConfiguration")
    return LeadScore(
        id=id_of(answer.get("id")),
        name=name,
        field=_field_of(outputs, categories),
        rules=draft.rules,
        not_imported=[*draft.not_imported, *_unimported_filters(filters)],
        groups=draft.groups,
        limits=dict(_limits(answer)),
        levels=_levels_of(outputs, categories),
        grades=_cells_of(outputs, "FIT"),
        grid=_cells_of(outputs, "INTENT"),
        excluded_lists=_lists_of(filters) if text_of(filters.get("listFilterType")) == "EXCLUDES" else [],
        timezone=str(api.zone),
        notes=[*draft.events.notes(api.settings.history.days), *_notes(answer, outputs, categories)],
    )


# Groups and rules


@dataclass
class _Draft:
    """What was translated so far."""

    portal: Portal
    events: EventRules
    rules: list[ImportedRule] = field(default_factory=list)
    not_imported: list[NotImported] = field(default_factory=list)
    groups: dict[str, Mapping[str, float]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


def _name_uniquely(wanted: str, taken: Collection[str]) -> str:
    """The name on one line, not too long, and with a number where something else has it."""
    plain = re.sub(r"[\x00-\x20\x7f\ud800-\udfff]+", " ", wanted).strip() or "Unnamed"
    short = plain if len(plain) <= LONGEST_NAME else f"{plain[: LONGEST_NAME - 1]}…"
    return next(each for each in (short, *(f"{short} ({number})" for number in range(2, 10_000))) if each not in taken)


class _Group(NamedTuple):
    """A group: its name, whether it counts for fit, its limits, and its decay (age in days → per cent left)."""

    name: str
    is_fit: bool
    limits: Mapping[str, float] = {}
    decay: Mapping[str, float] = {}
    objection: Untranslatable | None = None


def _add_group(draft: _Draft, number: int, answer: Json) -> None:
    group = _read_group(_name_uniquely(text_of(answer.get("groupName")) or f"Group {number}", draft.groups), answer)
    before = len(draft.rules)
    for rule in objects_in(answer, "ruleConfigurations"):
        _add_rule(draft, group, rule)
    if group.limits and len(draft.rules) > before:
        draft.groups[group.name] = group.limits


def _read_group(name: str, answer: Json) -> _Group:
    category = text_of(answer.get("groupCategory"))
    is_fit = category == "FIT"
    if category not in ("FIT", "INTENT"):
        return _Group(name, is_fit, objection=Untranslatable(f"its group counts for {category or 'nothing'}"))
    try:
        return _Group(name, is_fit, _cap_and_floor(answer, "maxValue", "minValue"), _read_decay(answer))
    except Untranslatable as error:
        return _Group(name, is_fit, objection=error)


def _cap_and_floor(answer: Json, most: str, least: str) -> dict[str, float]:
    """The limits that are there. Raises `Untranslatable` for one that gives points to everybody."""
    limits = {
        key: read_points(answer, name)
        for key, name in (("cap", most), ("floor", least))
        if answer.get(name) is not None
    }
    if limits.get("cap", 0) < 0 or limits.get("floor", 0) > 0:
        raise Untranslatable("its limits give points to people who have none")
    return limits


def _read_decay(answer: Json) -> dict[str, float]:
    """What is left of points in per cent, by age: HubSpot takes the same part of them after each interval."""
    decay = object_in(answer, "groupDecay")
    if not decay:
        return {}
    days, percent = number_in(decay, "decayIntervalDays"), number_in(decay, "percentToDecayPerInterval")
    if days != int(days) or not 1 <= days <= 365 or percent != int(percent) or not 0 <= percent <= 100:
        raise unreadable_part()
    times = range(1, -(-100 // int(percent)) + 1) if percent else ()
    return {f"{int(days) * each}d": max(100 - percent * each, 0) for each in times}


def _add_rule(draft: _Draft, group: _Group, answer: Json) -> None:
    calculation = object_in(object_in(answer, "configuration"), "calculation")
    lines: list[ScoreLine] = []
    limits: dict[str, float] = {}
    objection = group.objection
    try:
        limits = _cap_and_floor(answer, "maximumValue", "minimumValue")
        lines = [each for each in _lines(draft, calculation, bool(group.decay)) if each.points]
        objection = objection or _objection(group, answer, calculation, lines, limits)
    except NearestLines as error:
        lines, objection = error.lines, objection or error
    except Untranslatable as error:
        objection = objection or error
    inside = group.name if group.limits else ""
    if objection is None and limits and len(lines) > 1 and not _is_exclusive(calculation):
        inside = _name_uniquely(f"{group.name}: limit", draft.groups)
        draft.groups[inside] = limits
        limits = {}
    rules = [rule for each in lines if (rule := _write_rule(draft, group, each, limits, inside))]
    if objection is None:
        draft.rules += rules
        return
    kind = text_of(calculation.get("type"))
    called = _name_uniquely(f"{group.name}: {KINDS.get(kind, kind) or 'without a calculation'}", draft.names)
    nearest = [NotImported(str(each.rule["name"]), objection.reason, objection.remedy, each) for each in rules]
    draft.not_imported += nearest or [NotImported(called, objection.reason, objection.remedy)]
    draft.names.add(called)


KINDS = {
    "SEGMENT_MEMBERSHIP": "on a list",
    "ASSOCIATIONS": "associated records",
    "ASSOCIATION_UE": "events of associated records",
    "CONSTANT": "everybody",
    "MULTI_UE": "events",
    "MATCH": "a property",
    "CONDITIONAL": "several properties",
    "MULTI": "several criteria",
}
"""What each kind of rule is about, where no more can be said."""


def _objection(
    group: _Group, answer: Json, calculation: Json, lines: Sequence[ScoreLine], limits: Mapping[str, float]
) -> Untranslatable | None:
    """Why lines that can be said cannot be said in this group."""
    if answer.get("enabled") is not True:
        return Untranslatable("it is switched off in HubSpot", "to use it here, remove the marks before the rule")
    tables = {each.table for each in lines}
    if group.is_fit and "behavior" in tables:
        return Untranslatable("HubSpot counts what people do as fit here, crmsync as behavior", NEAREST)
    if not group.is_fit and "fit" in tables:
        return Untranslatable("HubSpot counts a property as engagement here, crmsync as fit", NEAREST)
    if group.decay and "fit" in tables:
        return Untranslatable("HubSpot reduces its points with time, crmsync those of activities only", NEAREST)
    if group.limits and limits and len(lines) > 1 and not _is_exclusive(calculation):
        return Untranslatable("its parts share a limit inside a group that has a limit, too", NEAREST)
    return None


def _is_exclusive(calculation: Json) -> bool:
    """Whether only one line of a rule can hold for somebody."""
    inner = object_in(calculation, "recordCalculation") if calculation.get("type") == "ASSOCIATIONS" else calculation
    return inner.get("type") in ("MATCH", "CONDITIONAL", "CONSTANT")


def _write_rule(
    draft: _Draft, group: _Group, line: ScoreLine, limits: Mapping[str, float], inside: str
) -> ImportedRule | None:
    """A line as a rule; `None` where its limit leaves nothing of it."""
    points, rule, limit = line.points, dict(line.rule), limits.get("cap" if line.points > 0 else "floor")
    if limit == 0:
        return None
    if limit is not None and line.table == "fit":
        points = min(points, limit, key=abs)
    elif limit is not None:
        rule["cap"] = min(rule.get("cap", limit), limit, key=abs)
    if group.decay and line.table == "behavior":
        rule["decay"] = {"steps": dict(group.decay)}
    name = _name_uniquely(f"{group.name}: {line.words}", draft.names)
    draft.names.add(name)
    named: Condition = {"name": name, "points": points, **rule} | ({"group": inside} if inside else {})
    return ImportedRule(line.table, named, line.difference)


def _lines(draft: _Draft, calculation: Json, fades: bool) -> list[ScoreLine]:
    match text_of(calculation.get("type")):
        case "MULTI_UE":
            return draft.events.lines(calculation, fades)
        case "ASSOCIATIONS":
            return list_company_lines(lambda: draft.portal.definitions("companies"), calculation)
        case "ASSOCIATION_UE":
            raise Untranslatable("it counts what people of associated records did; crmsync scores each person alone")
    return list(list_property_lines(draft.portal.definitions("contacts"), "", calculation))


# The whole score


def _unimported_filters(filters: Json) -> Iterator[NotImported]:
    if not (lists := _lists_of(filters)):
        return
    if (kind := text_of(filters.get("listFilterType"))) != "EXCLUDES":
        said = (
            f"HubSpot scores only who is on the list {' or '.join(lists)}" if kind == "INCLUDES" else f"{kind} of lists"
        )
        remedy = (
            "crmsync scores everybody: let HubSpot set a property for them, and leave out the others by [exclude] when"
        )
        yield NotImported("Who is scored", said, remedy)


def _lists_of(filters: Json) -> list[str]:
    return [found for each in list_in(filters, "segmentIds") if (found := id_of(each))]


def _limits(answer: Json) -> Iterator[tuple[str, dict[str, float]]]:
    """The limits of fit, behavior and total. HubSpot's own reach as far below 0 as above
    (https://knowledge.hubspot.com/scoring/build-lead-scores, 2026-11-28).
    """
    for key, axes in (("maxScorePerCategory", ("fit", "behavior")), ("maxScore", ("total",))):
        if isinstance(most := answer.get(key), int) and not isinstance(most, bool) and 0 < most <= MOST_POINTS:
            yield from ((axis, {"floor": float(-most), "cap": float(most)}) for axis in axes)


def _of_all(output: Json, categories: Collection[str]) -> bool:
    return {text_of(each) for each in list_in(output, "categories")} == set(categories)


def _field_of(outputs: Sequence[Json], categories: Collection[str]) -> str:
    """The property that holds the points in all."""
    found = [each for each in outputs if each.get("outputType") == "SCORE" and _of_all(each, categories)]
    return text_of(found[0].get("propertyName")) if found else ""


def _levels_of(outputs: Sequence[Json], categories: Collection[str]) -> list[tuple[str, float]]:
    found = [each for each in outputs if each.get("outputType") == "THRESHOLD" and _of_all(each, categories)]
    return sorted(_boundaries(objects_in(found[0], "boundaries")), key=lambda each: each[1]) if found else []


def _cells_of(outputs: Sequence[Json], category: str) -> list[tuple[str, float]]:
    found = [object_in(each, "boundaries") for each in outputs if each.get("outputType") == "MATRIX"]
    cells = _boundaries(objects_in(found[0], category)) if found else []
    return sorted(cells, key=lambda each: -each[1])


def _boundaries(answers: Sequence[Json]) -> list[tuple[str, float]]:
    """Each label and the points from which it holds; none at all where they cannot be read."""
    found: dict[float, str] = {}
    try:
        for each in answers:
            found.setdefault(
                read_points(each, "threshold"), text_of(each.get("newLabel")) or text_of(each.get("label"))
            )
    except Untranslatable:
        return []
    labels: list[str] = []
    for label in found.values():
        labels.append(_name_uniquely(label, labels))
    return list(zip(labels, found, strict=True))


def _notes(answer: Json, outputs: Sequence[Json], categories: Collection[str]) -> Iterator[str]:
    if text_of(answer.get("scoreStatus")).lower() == "draft":
        yield "The score is a draft: HubSpot gives nobody points by it, so that there is nothing to compare with"
    if not _field_of(outputs, categories):
        yield "HubSpot names no property that holds the points in all, so that there is nothing to compare with"
