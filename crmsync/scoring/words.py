"""Points, dates and whole models in words, to be read aloud in a meeting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

import regex

from crmsync.rules import (
    Behavior,
    Condition,
    Decay,
    Fit,
    Inactivity,
    Limit,
    Match,
    Model,
    Pattern,
    Rule,
    Selection,
    Step,
)
from crmsync.rules import Sequence as SequenceRule

LONGEST_REASON = 255
"""What a text field of Salesforce holds, counted as it counts: in UTF-16 units."""


def plain(hundredths: int) -> int | float:
    """Hundredths as points: 2500 → 25, 2550 → 25.5."""
    return hundredths // 100 if hundredths % 100 == 0 else hundredths / 100


def spelled(hundredths: int, sign: str = "") -> str:
    """Points in words: 2500 → "25", with the sign "+": "+25"."""
    return f"{plain(hundredths):{sign}}"


def spelled_date(day: int) -> str:
    """Days since 1970-01-01 as a date an English reader knows: "4 December 2026"."""
    on = date.fromordinal(date(1970, 1, 1).toordinal() + day)
    return f"{on.day} {on:%B %Y}"


def cut(text: str, most: int = LONGEST_REASON) -> str:
    """Text of at most `most` UTF-16 units, cut between graphemes and marked with "…" if it was longer."""
    if _length(text) <= most:
        return text
    kept, length = [], 1
    for grapheme in regex.findall(r"\X", text):
        length += _length(grapheme)
        if length > most:
            break
        kept.append(grapheme)
    return "".join(kept).rstrip(" ,;") + "…"


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def page(model: Model) -> list[str]:
    """The whole model, a line for each rule, limit and band."""
    lines = [f"{rule.points:+.15g}  {rule.name}: {told(rule)}" for rule in model.rules()]
    lines += [f"out  {each.name}: {_disqualifier(each.when, each)}" for each in model.disqualify]
    lines += [f"ask  {each.name}: {asked(each.when)}" for each in model.qualification]
    lines += [
        f"cap  {name}: {limited(limit) or 'a sub-score without limit'}"
        for name, limit in {**model.groups, **model.channels}.items()
    ]
    lines += [f"segment  {each.name}: {asked(each.when)}" for each in model.segment]
    if (model.weights.fit, model.weights.behavior) != (1, 1):
        lines.append(f"total  fit × {model.weights.fit:.15g} + behavior × {model.weights.behavior:.15g}")
    for name, band in model.bands.items():
        needs = (("points", band.at), ("fit", band.min_fit), ("behavior", band.min_behavior))
        told_ = [f"{what} from {points:.15g}" for what, points in needs if points is not None]
        lines.append(f"band  {name}: {', '.join(told_) or 'everybody else'}")
    return lines


def told(rule: Rule) -> str:
    """What a rule asks for."""
    parts = [_of(rule)] if not isinstance(rule, Fit) else []
    parts += [asked(rule.when)] if rule.when else []
    parts += [f"only for {', '.join(rule.segments)}"] if rule.segments else []
    return "; ".join(parts)


def _of(rule: Rule) -> str:
    if isinstance(rule, Behavior):
        return ", ".join([_selection(rule.on, rule.where), *_limits(rule)])
    if isinstance(rule, Inactivity):
        again = f", again every {rule.every.days} days" if rule.every else ""
        return f"nothing done for {rule.after.days} days{again}"
    if isinstance(rule, SequenceRule):
        within = f" within {rule.within.days} days" if rule.within else ""
        return ", then ".join(_step(step) for step in rule.steps) + within
    assert isinstance(rule, Pattern)
    covering = f" covering {', '.join(_step(step) for step in rule.covering)}" if rule.covering else ""
    return (
        f"{rule.times} × {_selection(rule.on, rule.where)} on {rule.days} days within {rule.within.days} days{covering}"
    )


def _step(step: Step) -> str:
    return _selection(step.on, step.where) + (f" {step.times} times" if step.times > 1 else "")


def _selection(on: list[str], where: Mapping[str, Match]) -> str:
    kinds = " or ".join(kind.replace("_", " ") for kind in on)
    tests = " and ".join(f"{name} {_match(match)}" for name, match in where.items())
    return f"{kinds} with {tests}" if tests else kinds


def _limits(rule: Behavior) -> Iterator[str]:
    if rule.at_least > 1:
        yield f"at least {rule.at_least} times"
    for most, of in (
        (rule.per_day, "a day"),
        (rule.max_per_week, "a week"),
        (rule.max_per_month, "a month"),
        (rule.max_times, "in all"),
    ):
        if most is not None:
            yield f"at most {most} {of}"
    if rule.window:
        yield f"in the last {rule.window.days} days"
    if rule.decay:
        yield faded(rule.decay)
    if rule.cap is not None:
        yield f"no more than {rule.cap:.15g} points"
    if rule.unless:
        yield f"unless {_unless(rule.unless)}"


def _unless(selection: Selection) -> str:
    window = f" in the last {selection.window.days} days" if selection.window else ""
    return _selection(selection.on, selection.where) + window


def faded(decay: Decay) -> str:
    """How points fade, in words."""
    if decay.half_life:
        return f"halved every {decay.half_life.days} days"
    if decay.linear:
        return f"fading to nothing over {decay.linear.days} days"
    steps = sorted((decay.steps or {}).items())
    return "keeping " + ", ".join(f"{share:.15g} % from day {age.days} on" for age, share in steps)


def limited(limit: Limit) -> str:
    """A limit in words; empty when it has neither a cap nor a floor."""
    cap = [f"at most {limit.cap:.15g}"] if limit.cap is not None else []
    return " and ".join([*cap, *([f"at least {limit.floor:.15g}"] if limit.floor is not None else [])])


def _disqualifier(when: Condition | None, rule: Any) -> str:
    parts = [asked(when)] if when else []
    return "; ".join([*parts, *([_selection(rule.on, rule.where)] if rule.on else [])])


def asked(condition: Condition) -> str:
    """A question about a person in words."""
    if condition.field is not None:
        return f"{condition.field} {_match(condition)}"
    if condition.not_ is not None:
        return f"not ({asked(condition.not_)})"
    joint = " and " if condition.all_ is not None else " or "
    return joint.join(_bracketed(part) for part in condition.all_ or condition.any_ or ())


def _bracketed(part: Condition) -> str:
    return f"({asked(part)})" if part.all_ or part.any_ else asked(part)


def _match(match: Match) -> str:
    return " and ".join(_WORDS[key](wanted) for key, wanted in match.keys().items())


def _any_of(wanted: Any) -> str:
    listed = wanted if isinstance(wanted, list) else [wanted]
    return " or ".join({True: "yes", False: "no"}[each] if isinstance(each, bool) else str(each) for each in listed)


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "is": lambda wanted: f"is {_any_of(wanted)}",
    "in": lambda wanted: f"is {_any_of(wanted)}",
    "contains": lambda wanted: f"contains {_any_of(wanted)}",
    "excludes": lambda wanted: f"does not contain {_any_of(wanted)}",
    "starts_with": lambda wanted: f"starts with {_any_of(wanted)}",
    "ends_with": lambda wanted: f"ends with {_any_of(wanted)}",
    "regex": lambda wanted: f"matches {wanted}",
    "gt": lambda wanted: f"over {wanted:,.15g}",
    "gte": lambda wanted: f"{wanted:,.15g} or more",
    "lt": lambda wanted: f"under {wanted:,.15g}",
    "lte": lambda wanted: f"{wanted:,.15g} or less",
    "between": lambda wanted: f"from {wanted[0]:,.15g} to {wanted[1]:,.15g}",
    "exists": lambda wanted: "is known",
    "missing": lambda wanted: "is not known",
    "has": lambda wanted: f"has {_any_of(wanted)}",
    "has_all": lambda wanted: f"has {' and '.join(wanted)}",
    "in_list": lambda wanted: f"is in the list {wanted}",
    "domain": lambda wanted: f"is at {_any_of(wanted)}",
    "domain_list": lambda wanted: f"is at a domain of the list {wanted}",
    "free_mail": lambda wanted: "is a free-mail address" if wanted else "is no free-mail address",
    "seniority": lambda wanted: f"says {_any_of(wanted)}",
    "seniority_at_least": lambda wanted: f"says {wanted} or above",
    "department": lambda wanted: f"is in {_any_of(wanted)}",
}
