"""What a lead score of HubSpot gives points for that people do, as rules about activities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connectors.hubspot.client import Api
from connectors.hubspot.errors import Forbidden, RequestRefused, id_of, object_in, objects_in, text_of
from connectors.hubspot.events import EMAIL_EVENTS, FORM_QUERY, FORMS
from connectors.hubspot.schema import list_all
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
    read_window,
    unreadable_part,
)


class EventType(NamedTuple):
    """A type of event: its words, and the kinds of activity it is here, if any, with the source they come from.

    `difference` says in what the activities are not quite the events.
    """

    words: str
    kinds: tuple[str, ...] = ()
    source: str = ""
    difference: str = ""


# Ids as HubSpot's guide to workflows lists them (https://developers.hubspot.com/docs/guides/api/automation/workflows-v4,
# 2026-11-28); that of visited pages is only in others' lists.
TYPES = {
    "4-96000": EventType("page viewed", ("page_viewed",), "e_visited_page"),
    "4-1639801": EventType("form submitted", ("form_submitted",), FORMS),
    "4-666440": EventType("email opened", ("email_opened",), EMAIL_EVENTS),
    "4-666288": EventType("email clicked", ("email_clicked",), EMAIL_EVENTS),
    "4-665538": EventType(
        "email replied",
        ("email_replied",),
        "emails",
        "HubSpot counts replies to tracked e-mails, crmsync the incoming e-mails that are logged on a contact",
    ),
    "4-1720599": EventType(
        "meeting booked",
        ("meeting_booked", "meeting_held"),
        "meetings",
        "HubSpot counts the booking, crmsync the meeting at its start, and none that was cancelled",
    ),
    "4-1741072": EventType(
        "call ended",
        ("call_completed",),
        "calls",
        "HubSpot counts the end of a call, crmsync the calls that are logged as completed",
    ),
    "4-665536": EventType("email delivered"),
    "4-667638": EventType("email sent"),
    "4-5470331": EventType("email bounced"),
    "4-1639797": EventType("form viewed"),
    "4-1639799": EventType("form interaction"),
    "4-1555805": EventType("CTA clicked"),
    "4-1555804": EventType("CTA viewed"),
    "4-1553675": EventType("ad interaction"),
    "4-675783": EventType("media played"),
    "4-68559": EventType("marketing event registration"),
    "4-69072": EventType("marketing event cancellation"),
    "4-1722276": EventType("SMS link clicked"),
    "4-1733817": EventType("call started"),
}

FORM_ID = "hs_form_id"

TOTALS = "HubSpot gives only totals of it"


class EventRules:
    """Rules about events, and what was noticed while they were read."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._forms: Mapping[str, str] | None = None
        self._lifelong: list[str] = []
        self._kinds: set[str] = set()

    def lines(self, calculation: Json, fades: bool) -> list[ScoreLine]:
        """The lines of a calculation over events. Raises `Untranslatable`."""
        entries = objects_in(calculation, "eventCalculators")
        if not entries:
            raise unreadable_part()
        lines: list[ScoreLine] = []
        problem: NearestLines | None = None
        for entry in entries:
            try:
                lines += self._lines_of_entry(entry, fades)
            except NearestLines as error:
                lines += error.lines
                problem = error
        if problem is not None:
            raise NearestLines(problem.reason, problem.remedy, lines)
        return lines

    def notes(self, history_days: int) -> Iterator[str]:
        """What to know of all rules about activities."""
        if "page_viewed" in self._kinds:
            yield "Page views come one by one only where HubSpot serves events (Enterprise); else it gives totals alone"
        if self._lifelong:
            yield (
                f"Without a timeframe HubSpot counts for ever, crmsync activities of the last {history_days} days: to "
                "count older ones, raise [hubspot] history and [state] keep before the first run"
            )

    def _lines_of_entry(self, entry: Json, fades: bool) -> list[ScoreLine]:
        type_id = text_of(entry.get("eventTypeId"))
        kind = TYPES.get(type_id, EventType(f"event {type_id or 'without a type'}"))
        if not kind.kinds:
            remedy = (
                "add it as an activity source ([[hubspot.activities]]) if HubSpot serves it, then write a rule for it"
            )
            raise Untranslatable(f"crmsync has no activity source for the event {type_id} ({kind.words})", remedy)
        window = read_window(object_in(entry, "eventTimeframe"))
        if window is not None and fades:
            raise Untranslatable("it has a timeframe and its group reduces points with time, which HubSpot rules out")
        common: Condition = {"on": kind.kinds[0] if len(kind.kinds) == 1 else list(kind.kinds)}
        ending: Condition = {} if window is None else {"window": f"{window}d"}
        often = object_in(entry, "eventFrequencyCriteria")
        cases = self._cases(object_in(entry, "recordCalculation"), kind)
        lines: list[ScoreLine] = []
        for points, where, words, doubt in cases:
            rule = {**common, **({"where": where} if where else {}), **ending}
            said = ", ".join(filter(None, (kind.words, words, f"last {window} days" if window else "")))
            difference = "; ".join(filter(None, (kind.difference, doubt)))
            line = ScoreLine(points, "behavior", rule, said, difference)
            lines += self._often(line, often, fades) if often else [line]
        self._kinds |= set(kind.kinds)
        if window is None and not fades:
            self._lifelong += [each.words for each in lines]
        self._check_source(kind, lines)
        return lines

    def _check_source(self, kind: EventType, lines: list[ScoreLine]) -> None:
        """Raises `NearestLines` where nothing of the kind comes."""
        sources = {each.source for each in self._api.settings.activities if each.kind in kind.kinds}
        if kind.source in sources:
            return
        remedy = (
            f'add a source "{kind.source}" to [[hubspot.activities]], beside the default ones, which the first row of '
            "yours replaces (docs/hubspot.md), then remove the marks"
        )
        raise NearestLines(f"{TOTALS} unless the config has an activity source for it ({kind.words})", remedy, lines)

    def _often(self, line: ScoreLine, criteria: Json, fades: bool) -> Iterator[ScoreLine]:
        """Points by how often: a line for each number from which there are more of them, or fewer."""
        if fades:
            raise Untranslatable("it counts how often, and its group reduces points with time, which HubSpot rules out")
        steps = _steps(objects_in(criteria, "ranges"))
        doubt = "HubSpot does not document whether the points of single events count besides those of how often"
        before = 0.0
        for at_least, points in steps:
            rule = {**line.rule, "at_least": at_least, "cap": points - before}
            said = f"{line.words}, {at_least} times" if at_least > 1 else line.words
            difference = "; ".join(filter(None, (line.difference, doubt)))
            yield ScoreLine(points - before, "behavior", rule, said, difference)
            before = points

    def _cases(self, calculation: Json, kind: EventType) -> list[tuple[float, Condition, str, str]]:
        """Each (points, `where`, words, doubt) that an event may be worth."""
        match text_of(calculation.get("type")):
            case "CONSTANT":
                return [(read_points(calculation), {}, "", "")]
            case "CONDITIONAL":
                asked = read_conditions(object_in(calculation, "whereCondition"))
                return [(read_points(calculation), *self._where(asked, kind), "")]
            case "MATCH":
                rules, name = objects_in(calculation, "matchRules"), text_of(calculation.get("property"))
                operations = [object_in(each, "operation") for each in rules]
                if not rules or calculation.get("defaultValue"):
                    raise Untranslatable("it gives points to events that match nothing")
                if not exclude_each_other(operations, None):
                    raise Untranslatable(OVERLAP)
                return [
                    (read_points(rule), *self._where([(name, operation)], kind), "")
                    for rule, operation in zip(rules, operations, strict=True)
                ]
            case "MULTI":
                if (one := only_calculator(calculation)) is not None:
                    return self._cases(one, kind)
                parts = [each for part in objects_in(calculation, "calculators") for each in self._cases(part, kind)]
                return [(points, where, words, SEVERAL) for points, where, words, _doubt in parts]
        raise Untranslatable(f"it is worked out by {text_of(calculation.get('type')) or 'nothing'}")

    def _where(self, asked: Sequence[tuple[str, Json]], kind: EventType) -> tuple[Condition, str]:
        """The conditions on an event's properties as those on attributes."""
        where: Condition = {}
        words = []
        for name, operation in asked:
            attribute, keys, said = self._attribute(name, operation, kind)
            known = where.setdefault(attribute, {})
            if known.keys() & keys.keys():
                raise Untranslatable(f"it asks twice in one way about {attribute}")
            known |= keys
            words.append(said)
        return where, ", ".join(words)

    def _attribute(self, name: str, operation: Json, kind: EventType) -> tuple[str, Condition, str]:
        test = read_test(operation, None)
        if test.negated or test.blank or "missing" in test.keys:
            raise Untranslatable(f"it asks that {name} of the event is not something; `where` can only ask that it is")
        if kind.source == FORMS and name == FORM_ID:
            forms = [self._form(text_of(each)) for each in _texts(test.keys)]
            return "form", {"in": forms} if len(forms) > 1 else {"is": forms[0]}, ", ".join(forms)
        for feed in self._api.settings.activities:
            for attribute, prop in feed.attributes.items():
                if feed.kind in kind.kinds and feed.source == kind.source and prop == name:
                    return attribute, test.keys, f"{attribute} {test.words}"
        remedy = f'add the attribute to the activity source: attributes = {{ … = "{name}" }} in [[hubspot.activities]]'
        raise Untranslatable(f"activities here do not keep {name} of the event {kind.words}", remedy)

    def _form(self, form: str) -> str:
        """The name of a form, by which activities know it. Raises `Untranslatable`."""
        if self._forms is None:
            try:
                found = list(list_all(self._api, self._api.place("forms"), FORM_QUERY))
            except (Forbidden, RequestRefused) as error:
                raise Untranslatable(f"it asks about a form, and the forms cannot be read: {error}") from error
            self._forms = {text_of(each.get("id")): text_of(each.get("name")) for each in found}
        name = self._forms.get(form, "")
        if not name:
            raise Untranslatable(f"it asks about the form {form}, which the portal does not have any longer")
        if sum(each.casefold() == name.casefold() for each in self._forms.values()) > 1:
            raise Untranslatable(
                f"it asks about one of several forms with the name {name!r}", "give the forms different names"
            )
        return name


def _texts(keys: Condition) -> list[Any]:
    values = keys.get("in") or ([keys["is"]] if isinstance(keys.get("is"), str) else [])
    if not values:
        raise Untranslatable("it does not ask about a form by its id")
    return list(values)


def _steps(ranges: Sequence[Json]) -> list[tuple[int, float]]:
    """The numbers of events from which there are so many points in all, ascending; 0 points where a range ends."""
    spans = sorted(_read_range(each) for each in ranges)
    if not spans:
        raise unreadable_part()
    steps: dict[int, float] = {}
    end = 0
    for low, high, points in spans:
        if low <= end:
            raise Untranslatable("its ranges of how often overlap")
        if low > end + 1 and end:
            steps[end + 1] = 0
        steps[low] = points
        end = high if high is not None else 10**9
    if end < 10**9:
        steps[end + 1] = 0
    rising: list[tuple[int, float]] = []
    for at_least, points in steps.items():
        if points != (rising[-1][1] if rising else 0):
            rising.append((at_least, points))
    return rising


def _read_range(answer: Json) -> tuple[int, int | None, float]:
    """A range of how often: from, to (`None` is without an end), and the points."""
    kind, low, high = text_of(answer.get("type")), id_of(answer.get("from")), id_of(answer.get("to"))
    last = {"AT_LEAST": None, "EXACTLY": int(low or 0), "BETWEEN": int(high or 0)}.get(kind, 0)
    if int(low or 0) < 1 or (last is not None and last < int(low)):
        raise Untranslatable("it gives points for a number of events that is not one or more")
    return int(low), last, read_points(answer)
