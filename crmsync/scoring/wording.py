"""Points, dates, rules and questions in words, to be read aloud in a meeting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import regex

from crmsync.config.conditions import Condition, Match
from crmsync.config.model import Limit, Titles
from crmsync.config.rules import Behavior, Decay, Fit, Inactivity, Pattern, Rule, Step
from crmsync.config.rules import Sequence as SequenceRule
from crmsync.counts import count_of
from crmsync.scoring.operators import OPERATORS, format_word, join_options
from crmsync.scoring.titles import Evidence, title_reader

LONGEST_REASON = 255
"""What a text field of Salesforce holds, counted as it counts: in UTF-16 units."""


def to_points(hundredths: int) -> int | float:
    """Hundredths as points: 2500 → 25, 2550 → 25.5."""
    return hundredths // 100 if hundredths % 100 == 0 else hundredths / 100


def format_points(hundredths: int, sign: str = "") -> str:
    """Points in words: 2500 → "25", with the sign "+": "+25"."""
    return f"{to_points(hundredths):{sign},}"


def truncate(text: str, most: int = LONGEST_REASON) -> str:
    """Text of at most `most` UTF-16 units, cut between graphemes and marked with "…" if it was longer."""
    if _length(text) <= most:
        return text
    if text.isascii() and text.isprintable():  # each character is a grapheme of its own
        return text[: most - 1].rstrip(" ,;") + "…"
    kept, length = [], 1
    # No more graphemes fit than characters.
    for grapheme in regex.findall(r"\X", text[: most + 1]):
        length += _length(grapheme)
        if length > most:
            break
        kept.append(grapheme)
    return "".join(kept).rstrip(" ,;") + "…"


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def explain_title(titles: Titles, title: str, of_level: bool, of_department: bool) -> str:
    """How a title was read, as far as a question is about it: "VP from "V.P."; IT and security from "IT Security"".

    What the whole title says has no words added; empty where nothing is asked.
    """
    levels, departments = title_reader(titles).explain(title)
    asked = [*(levels if of_level else ()), *(departments if of_department else ())]
    if of_level and not levels:
        asked.insert(0, Evidence("staff", ""))
    by_text: dict[str, list[str]] = {}
    for meaning, text in asked:
        by_text.setdefault(text, []).append(format_word(meaning))
    return "; ".join(
        join_options(meanings, "and") + ("" if text in ("", title.strip()) else f' from "{truncate(text, 40)}"')
        for text, meanings in by_text.items()
    )


def describe_rule(rule: Rule) -> str:
    """What a rule asks for, and everything that changes what it gives."""
    asking = [] if rule.when is None else [describe_condition(rule.when)]
    found = DESCRIPTIONS[type(rule)](rule)
    parts = [found, *(f"only if {each}" for each in asking)] if found else asking
    belongs = (("segment", rule.segments), ("group", rule.group), ("channel", rule.limits.channel))
    return "; ".join([*parts, *(_belonging(what, names) for what, names in belongs if names)])


def _belonging(what: str, names: str | list[str]) -> str:
    return f"only for the {what} {join_options(names)}" if what == "segment" else f"in the {what} {names}"


def _each(rule: Behavior) -> Iterator[str]:
    each = "each day with" if rule.distinct_days else "each"
    yield f"{each} {describe_selection(rule.on, rule.where)}"
    yield from _limits(rule)


def _steps(rule: SequenceRule) -> Iterator[str]:
    yield f"1×: {', then '.join(_step(step) for step in rule.steps)}"
    if rule.within:
        yield f"all within {_days(rule.within)}"
    yield from _completed(rule)


def _silence(rule: Inactivity) -> Iterator[str]:
    yield f"no {describe_selection(rule.on, rule.where) if rule.on else 'activity'} for {_days(rule.after)}"
    if rule.every:
        yield f"again after every further {_days(rule.every)}"
    if rule.max_times:
        yield _at_most(rule.max_times, "in all")
    if rule.since:
        yield f"for people without any activity counted from the date in {rule.since}"


def _stretch(rule: Pattern) -> Iterator[str]:
    times = f"at least {rule.times:,}× " if rule.times > 1 else ""
    yield f"1×: {times}{describe_selection(rule.on, rule.where)}"
    if rule.days > 1:
        yield f"on at least {rule.days} days"
    yield f"within {_days(rule.within)}"
    if rule.covering:
        yield f"including {' and '.join(_step(step) for step in rule.covering)}"
    yield from _completed(rule)


def _completed(rule: SequenceRule | Pattern) -> Iterator[str]:
    if rule.window:
        yield f"completed in the last {_days(rule.window)}"
    if rule.decay:
        yield f"time decay ({describe_decay(rule.decay)})"


def _step(step: Step) -> str:
    times = f"{step.times:,}× " if step.times > 1 else ""
    return f"{times}{describe_selection(step.on, step.where)}{' on different days' if step.distinct_days else ''}"


def describe_selection(on: list[str], where: Mapping[str, Match]) -> str:
    """A choice of activities in words: their kinds and attributes."""
    kinds = " or ".join(kind.replace("_", " ") for kind in on)
    tests = " and ".join(f"{name} {_match(match)}" for name, match in where.items())
    return f"{kinds} where {tests}" if tests else kinds


def within_days(on: list[str], where: Mapping[str, Match], window: timedelta | None) -> str:
    """A choice of activities that may be so old."""
    return describe_selection(on, where) + (f" in the last {_days(window)}" if window else "")


def _days(length: timedelta) -> str:
    return count_of(length.days, "day")


def _at_most(times: int, of: str) -> str:
    return f"at most {times:,}× {of}"


def _limits(rule: Behavior) -> Iterator[str]:
    if rule.at_least > 1:
        yield f"only if there are at least {rule.at_least:,}"
    for name, least in rule.at_least_sum.items():
        yield f"only if their {name} add up to at least {least:,.15g}"
    for most, of in (
        (rule.max_per_day if not rule.distinct_days else None, "a day"),
        (rule.max_per_week, "a week"),
        (rule.max_per_month, "a month"),
        (rule.max_times, "in all"),
    ):
        if most is not None:
            yield _at_most(most, of)
    if rule.window:
        yield f"in the last {_days(rule.window)}"
    if rule.decay:
        yield f"time decay ({describe_decay(rule.decay)})"
    if rule.cap is not None:
        yield f"capped at {count_of(rule.cap, 'point')}"
    if rule.unless:
        yield f"unless {within_days(rule.unless.on, rule.unless.where, rule.unless.window)}"


def describe_decay(decay: Decay) -> str:
    """The time decay of points, in words."""
    if decay.half_life:
        return f"half-life {_days(decay.half_life)}"
    if decay.linear:
        return f"linear to 0 over {_days(decay.linear)}"
    steps = sorted((decay.steps or {}).items())
    return ", ".join(f"{share:.15g} % from day {age.days:,}" for age, share in steps)


def describe_limit(limit: Limit) -> str:
    """A limit in words; empty when it has neither a cap nor a floor."""
    cap = [f"at most {limit.cap:,.15g}"] if limit.cap is not None else []
    return " and ".join([*cap, *([f"at least {limit.floor:,.15g}"] if limit.floor is not None else [])])


def describe_condition(condition: Condition) -> str:
    """A question about a person in words."""
    if condition.field is not None:
        return f"{condition.field} {_match(condition)}"
    if condition.not_ is not None:
        return f"not ({describe_condition(condition.not_)})"
    joint = " and " if condition.all_ is not None else " or "
    return joint.join(_bracketed(part) for part in condition.all_ or condition.any_ or ())


def _bracketed(part: Condition) -> str:
    return (
        f"({describe_condition(part)})" if part.all_ or part.any_ or len(part.keys()) > 1 else describe_condition(part)
    )


def _match(match: Match) -> str:
    return " and ".join(OPERATORS[key].describe(wanted) for key, wanted in match.keys().items())


DESCRIPTIONS: Mapping[type[Rule], Callable[[Any], str]] = {
    Fit: lambda _rule: "",
    Behavior: lambda rule: ", ".join(_each(rule)),
    Inactivity: lambda rule: ", ".join(_silence(rule)),
    SequenceRule: lambda rule: ", ".join(_steps(rule)),
    Pattern: lambda rule: ", ".join(_stretch(rule)),
}
"""What each kind of rule looks for; rules of fit only ask."""
