"""Why a person has the score they have: the lines in words, and the one sentence that fits into a CRM field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import TypedDict

import numpy as np
import regex
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.model import Scalar
from crmsync.rules import Band, Behavior, Condition, Fit, Inactivity, Limit, Model, Pattern, Rule
from crmsync.rules import Sequence as SequenceRule
from crmsync.scoring.activities import Found
from crmsync.scoring.engine import Scoring
from crmsync.scoring.ledger import Line, Scores
from crmsync.scoring.values import take
from crmsync.scoring.words import faded

LONGEST_REASON = 255
"""What a text field of Salesforce holds, counted as it counts: in UTF-16 units."""


class Entry(TypedDict):
    """A line of an explanation: the points are whole or have up to two decimals, and sum to the total."""

    rule: str
    points: int | float
    why: str


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


def explain(model: Model, scores: Scores, columns: Columns, row: int, now: datetime, zone: tzinfo) -> list[Entry]:
    """The lines of one person that have points, and what held them back; they sum to the total exactly."""
    scoring = Scoring(model, take(columns, [row]), now, zone)
    rules = {rule.name: rule for rule in model.rules()}
    lines: list[Entry] = [
        {"rule": line.name, "points": plain(int(points[row])), "why": _why(line, rules, scoring, columns, row)}
        for line, points in zip(scores.lines, scores.points, strict=True)
        if points[row]
    ]
    return [*lines, *_held_back(model, scores, row)]


def _why(line: Line, rules: Mapping[str, Rule], scoring: Scoring, columns: Columns, row: int) -> str:
    if line.sort == "rule":
        return _rule_why(rules[line.about], scoring, columns, row)
    if line.sort == "decay":
        return faded(rules[line.about].decay)  # type: ignore[attr-defined]
    model = scoring.model
    return {
        "cap": lambda: f"this rule gives at most {getattr(rules[line.about], 'cap', 0):.15g} points",
        "group": lambda: f"the rules of {line.about!r} together give {_limits(model.groups.get(line.about))}",
        "channel": lambda: f"the rules of {line.about!r} together give {_limits(model.channels.get(line.about))}",
        "clamp": lambda: f"{line.about} is {_limits(getattr(model.score, line.about, None))}",
        "weight": lambda: f"{line.about} counts {_weight(scoring, line.about):.15g} times",
        "rounding": lambda: "rounded to " + ("whole points" if not model.score.decimals else _decimals(model)),
    }[line.sort]()


def _decimals(model: Model) -> str:
    return "one decimal" if model.score.decimals == 1 else "two decimals"


def _limits(limit: Limit | None) -> str:
    if limit is None:
        return "limited"
    parts = [f"at most {limit.cap:.15g}"] if limit.cap is not None else []
    return " and ".join([*parts, *([f"at least {limit.floor:.15g}"] if limit.floor is not None else [])])


def _weight(scoring: Scoring, axis: str) -> float:
    segment = int(scoring.segment[0])
    own = scoring.model.segment[segment].weights if segment >= 0 else None
    return float(getattr(own or scoring.model.weights, axis))


def _rule_why(rule: Rule, scoring: Scoring, columns: Columns, row: int) -> str:
    about = _known(rule.when, columns, row)
    if isinstance(rule, Fit):
        return about
    found, today = scoring.found(rule), scoring.activities.today
    if isinstance(rule, Inactivity):
        said = _silence_why(rule, found, today)
    elif isinstance(rule, SequenceRule | Pattern):
        said = f"completed on {spelled_date(int(found.newest[0]))}"
    else:
        said = _times_why(rule, found, today)
    return f"{said}; {about}" if about else said


def _times_why(rule: Rule, found: Found, today: int) -> str:
    counted, seen = int(found.counted[0]), int(found.seen[0])
    times = "once" if counted == 1 else f"{counted} times"
    on = f"on {spelled_date(int(found.newest[0]))}" if counted == 1 else f"last on {spelled_date(int(found.newest[0]))}"
    limit = f", {counted} of {seen} count" if seen > counted else ""
    window = f", in the last {rule.window.days} days" if isinstance(rule, Behavior) and rule.window else ""
    return f"{times}, {on} ({_ago(today - int(found.newest[0]))}){window}{limit}"


def _ago(age: int) -> str:
    return {0: "today", 1: "yesterday"}.get(age, f"{age} days ago")


def _silence_why(rule: Inactivity, found: Found, today: int) -> str:
    last = int(found.newest[0])
    silent = f"silent since {spelled_date(last)} ({today - last} days)"
    return silent if not rule.every else f"{silent}, {int(found.counted[0])} × since day {rule.after.days}"


def _known(condition: Condition | None, columns: Columns, row: int) -> str:
    """What is known of the fields that a question reads."""
    names = sorted(condition.fields()) if condition else []
    return ", ".join(f"{name} {_shown(_value(columns, name, row))}" for name in names)


def _value(columns: Columns, name: str, row: int) -> Scalar | None:
    return columns.fields[name][row] if name in columns.fields else None


def _shown(value: Scalar | None) -> str:
    if value is None:
        return "is not known"
    if isinstance(value, bool):
        return "is yes" if value else "is no"
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return (
        f"is {cut(text.encode(errors='replace').decode(), 80)!r}" if isinstance(value, (str, tuple)) else f"is {text}"
    )


def _held_back(model: Model, scores: Scores, row: int) -> Iterable[Entry]:
    """Lines of no points: what keeps a person below the band that their points would give."""
    if scores.disqualified[row] >= 0:
        name = model.disqualify[scores.disqualified[row]].name
        yield {"rule": f"Disqualified: {name}", "points": 0, "why": f"kept in the lowest band: {name}"}
    elif scores.reach[row] > scores.band[row]:
        name = model.band_names()[scores.band[row] + 1]
        yield {"rule": f"Gate of {name}", "points": 0, "why": _gate(bands_of(model, scores, row)[name], scores, row)}


def bands_of(model: Model, scores: Scores, row: int) -> Mapping[str, Band]:
    """The bands that count for a person: those of their segment, or the model's."""
    segment = int(scores.segment[row])
    return model.segment[segment].bands or model.bands if segment >= 0 else model.bands


def _gate(band: Band, scores: Scores, row: int) -> str:
    gates = (("fit", band.min_fit, scores.fit[row]), ("behavior", band.min_behavior, scores.behavior[row]))
    blocked = [
        f"blocked by {axis} gate: {axis} {spelled(int(points))} is below the minimum of {least:.15g}"
        for axis, least, points in gates
        if least is not None and points < round(least * 100)
    ]
    return "; ".join(blocked)


def gaps(model: Model, columns: Columns, row: int) -> list[str]:
    """The fields that rules read and nobody filled in, each with the rules that wait for it."""
    waiting: dict[str, list[str]] = {}
    for rule in model.rules():
        for name in rule.when.fields() if rule.when else ():
            if _value(columns, name, row) in (None, ""):
                waiting.setdefault(name, []).append(rule.name)
    return [f"{name} is not known: {', '.join(rules)}" for name, rules in sorted(waiting.items())]


def changes(before: Sequence[Entry], after: Sequence[Entry]) -> list[Entry]:
    """What changed between two explanations of a person; the points sum to the difference of the totals."""
    old, new = ({line["rule"]: line for line in lines} for lines in (before, after))
    changed: list[Entry] = []
    for rule in [*new, *(rule for rule in old if rule not in new)]:
        was, now = (round(lines[rule]["points"] * 100) if rule in lines else 0 for lines in (old, new))
        if was != now:
            why = new[rule]["why"] if rule in new else "no longer counts"
            changed.append({"rule": rule, "points": plain(now - was), "why": why})
    return changed


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


def reason(model: Model, scores: Scores, row: int) -> str:
    """One sentence on a person's score, at most 255 characters."""
    return reasons(model, scores, [row])[0]


def reasons(model: Model, scores: Scores, rows: Sequence[int] | NDArray[np.intp]) -> list[str]:
    """One sentence for each of some people: band and points, then what weighs most, rules net of decay and cap."""
    rows = np.asarray(rows, dtype=np.intp)
    names, nets = _nets(scores, rows)
    order = np.argsort(-np.abs(nets), axis=0, kind="stable")
    present = (nets != 0).sum(axis=0)
    return [
        cut(
            _sentence(
                model, scores, int(row), [(names[each], int(nets[each, at])) for each in order[: present[at], at]]
            )
        )
        for at, row in enumerate(rows)
    ]


def _nets(scores: Scores, rows: NDArray[np.intp]) -> tuple[list[str], NDArray[np.int64]]:
    """For each rule (and each limit) what it gives after its own decay and cap, for some people."""
    numbers: dict[str, int] = {}
    for line in scores.lines:
        if line.sort != "rounding":
            numbers.setdefault(_heading(line), len(numbers))
    nets = np.zeros((len(numbers), len(rows)), dtype=np.int64)
    for line, points in zip(scores.lines, scores.points, strict=True):
        if line.sort != "rounding":
            nets[numbers[_heading(line)]] += points[rows]
    return list(numbers), nets


def _heading(line: Line) -> str:
    return line.about if line.sort in ("rule", "decay", "cap") else line.name


def _sentence(model: Model, scores: Scores, row: int, parts: Sequence[tuple[str, int]]) -> str:
    band = f"{model.band_names()[scores.band[row]]}, " if scores.band[row] >= 0 else ""
    head = f"{band}{spelled(int(scores.total[row]))} points"
    back = [f"{line['rule']} ({line['why']})" for line in _held_back(model, scores, row)]
    told = [*back, *(f"{name} {spelled(points, '+')}" for name, points in parts)]
    return f"{head}: {', '.join(told) or 'nothing counts yet'}"
