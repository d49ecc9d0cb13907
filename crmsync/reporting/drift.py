"""The document about drift: what was found, in numbers and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any

from crmsync.config.model import Model
from crmsync.config.outcome import OutcomeRules
from crmsync.counts import count_of
from crmsync.evaluation.cases import Cases, JudgedCases, join_judged, judge_cases
from crmsync.evaluation.drift import FEWEST_MIXED, MIXED, Drift, MonthQuality, RateChange, find_drift
from crmsync.evaluation.drift_alarm import DAYS_BEFORE, WON_BEFORE, Alarm
from crmsync.evaluation.line import find_line
from crmsync.evaluation.months import write_day
from crmsync.evaluation.proportions import Interval, RateComparison, divide_counts, wilson_interval
from crmsync.evaluation.silent_rules import LATELY, RuleDays, SilentRule
from crmsync.scoring.calendar import DAY

FEWEST_LOST = 10
"""With fewer people who were not won, there is nothing that the score could tell them from."""

SILENT = 0.005
"""A rule's silence is an alert where chance alone makes it more seldom than this: at six matches in 14 days, say."""

_NOBODY = RateComparison(0.0, 1.0)


def drift_document(
    model: Model, parts: Iterable[Cases], rules: OutcomeRules, zone: tzinfo, now: datetime
) -> dict[str, Any]:
    """What drifts among the cases, read some at a time; `now` is aware."""
    until, horizon = int(now.timestamp()), int(rules.horizon.total_seconds())
    judged: list[JudgedCases] = []
    seen = RuleDays()
    for cases in parts:
        seen.add(model, cases.columns, zone, until)
        judged.append(judge_cases(model, cases, zone))
    line = find_line(model, rules.line)
    if not judged:
        return describe_drift(None, model, line)
    return describe_drift(find_drift(join_judged(judged), seen, line, zone, until, horizon), model, line)


def describe_drift(found: Drift | None, model: Model, line: str | None) -> dict[str, Any]:
    """What was found as a document; `None` where there is nobody."""
    names = model.band_names()
    alerts = [] if found is None else list(_alerts(found, names))
    verdict, why = _verdict(found, alerts)
    document: dict[str, Any] = {"verdict": verdict, "why": why}
    document |= {"people": 0, "won": 0, "immature": 0, "wait_days": 0.0, "season": "unknown", "line": line}
    document |= {name: [] for name in ("months", "alerts", "ranges", "silent_rules", "rules_to_review", "fit_rules")}
    document |= {"sources": [], "weeks": [], "problems": [], "warnings": []}
    if found is None:
        return document
    return document | {
        "people": found.people,
        "won": found.won,
        "immature": found.immature,
        "wait_days": round(found.wait / DAY, 1),
        "season": "known" if found.seasoned else "unknown",
        "months": [_month(each, names) for each in found.months],
        "alerts": alerts,
        "ranges": [_range(each) for each in found.ranges],
        "silent_rules": [{**each._asdict(), "last": write_day(each.last)} for each in found.silent],
        "rules_to_review": [each._asdict() for each in found.idle],
        "fit_rules": [_fit_rule(each) for each in found.fit_rules],
        "sources": [
            {
                **each._asdict(),
                "gap": each.seen - each.scored + (each.reached or 0) - (each.routed or 0)
                if each.routed is not None
                else each.seen - each.scored,
            }
            for each in found.sources
        ],
        "weeks": [
            {"week": write_day(monday), "people": many, "won": won, "rate": won / many}
            for monday, many, won in found.weeks
        ],
    }


def _verdict(found: Drift | None, alerts: list[dict[str, Any]]) -> tuple[str, str]:
    if alerts:
        return "drift", alerts[0]["said"]
    if found is None or not found.watched or found.people - found.won < FEWEST_LOST:
        people, won = (0, 0) if found is None else (found.people, found.won)
        return "not_enough", (
            f"Not enough data: {count_of(people, 'person')} whose outcome is due, {won:,} of them won. "
            f"Drift can be told after {WON_BEFORE} people who were won, {FEWEST_LOST} who were not, and {DAYS_BEFORE} "
            "days."
        )
    season = (
        ""
        if found.seasoned
        else (
            " The people do not go back two years, so that the season is not known: changes as small as a season's "
            "are not told."
        )
    )
    return "steady", f"No drift: what became of people is what their scores said.{season}"


def _alerts(found: Drift, names: list[str]) -> Iterable[dict[str, Any]]:
    for alarm in reversed(found.alarms):
        yield _conversion_alert(alarm)
    for each in found.ranges:
        if each.alarming:
            yield _change_alert("range", each, f"Of the people in {each.name}")
    for rule in found.silent:
        if rule.p <= SILENT:
            yield _silent_alert(rule)
    for each in found.fit_rules:
        if each.alarming:
            yield _change_alert("fit_rule", each, f"The fit rule {each.name!r} may be out of date: of the won people")
    if len(found.months) > 1:
        yield from _mix_alert(found.months)


def _conversion_alert(alarm: Alarm) -> dict[str, Any]:
    observed, expected = alarm.observed / alarm.people, alarm.expected / alarm.people
    word = "Fewer" if observed < expected else "More"
    said = (
        f"{word} people are won than their scores say, since about {write_day(alarm.since)}: {100 * observed:.1f} % of "
        f"{alarm.people:,} instead of {100 * expected:.1f} %."
    )
    return _alert("conversion", None, alarm.since, observed, expected, alarm.comparison, said, alarm.fired)


def _change_alert(what: str, change: RateChange, who: str) -> dict[str, Any]:
    now, before = change.hits / change.people, change.hits_before / change.people_before
    verb = "were won" if what == "range" else "were such"
    said = (
        f"{who}, {100 * now:.1f} % {verb} since {write_day(change.since)} ({change.people:,}), "
        f"and {100 * before:.1f} % before ({change.people_before:,})."
    )
    return _alert(what, change.name, change.since, now, before, change.comparison or _NOBODY, said)


def _silent_alert(rule: SilentRule) -> dict[str, Any]:
    said = (
        f"The rule {rule.name!r} went silent: nothing matched it in the last {LATELY} days, "
        f"and {count_of(rule.before, 'activity')} did in the 90 days before. Look whether its page, form or "
        "tracking changed."
    )
    made = _alert("silent_rule", rule.name, rule.last + 1, 0.0, rule.expected, _NOBODY, said)
    return made | {"z": None, "p": rule.p}


def _mix_alert(months: Any) -> Iterable[dict[str, Any]]:
    last, before = months[-1], sum(each.people for each in months[:-1])
    if last.mix is None or last.mix < MIXED or min(last.people, before) < FEWEST_MIXED:
        return
    said = (
        f"The mix of people changed in {write_day(last.first)[:7]}: PSI {last.mix:.2f} (from {MIXED} on it is another "
        "mix). That says nothing against the score; look at where people come from."
    )
    made = _alert("mix", None, last.first, last.mix, MIXED, _NOBODY, said)
    yield made | {"z": None, "p": None}


def _alert(
    what: str,
    name: str | None,
    since: int,
    observed: float,
    expected: float,
    comparison: RateComparison,
    said: str,
    fired: int | None = None,
) -> dict[str, Any]:
    return {
        "since": write_day(since),
        "fired": None if fired is None else write_day(fired),
        "what": what,
        "name": name,
        "observed": observed,
        "expected": expected,
        "z": abs(comparison.z),
        "p": comparison.p,
        "said": said,
    }


def _month(month: MonthQuality, names: list[str]) -> dict[str, Any]:
    low, high = wilson_interval(month.won, month.people)
    compared = month.comparison
    return {
        "month": write_day(month.first)[:7],
        "complete": month.complete,
        "people": month.people,
        "won": month.won,
        "rate": month.won / month.people,
        "low": low,
        "high": high,
        "expected": month.expected,
        "observed_expected": month.won / month.expected if month.expected else None,
        "z": compared.z if compared else None,
        "p": compared.p if compared else None,
        **_estimate("slope", month.slope),
        **_estimate("auc", month.order),
        "psi": month.mix,
        "bands": dict(zip(names, month.bands, strict=False)),
    }


def _estimate(name: str, estimate: Interval | None) -> dict[str, float | None]:
    value, low, high = estimate if estimate is not None else (None, None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _range(change: RateChange) -> dict[str, Any]:
    low, high = wilson_interval(change.hits, change.people)
    return {
        "name": change.name,
        "since": write_day(change.since),
        "people": change.people,
        "won": change.hits,
        "rate": divide_counts(change.hits, change.people),
        "low": low,
        "high": high,
        "people_before": change.people_before,
        "won_before": change.hits_before,
        "rate_before": divide_counts(change.hits_before, change.people_before),
        **_compared(change),
    }


def _fit_rule(change: RateChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "won": change.people,
        "hits": change.hits,
        "won_before": change.people_before,
        "hits_before": change.hits_before,
        **_compared(change),
    }


def _compared(change: RateChange) -> Mapping[str, float | None]:
    compared = change.comparison
    return {"z": abs(compared.z) if compared else None, "p": compared.p if compared else None}
