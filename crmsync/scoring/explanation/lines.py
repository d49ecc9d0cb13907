"""Why a person has the score they have: its lines in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np

from crmsync.columns import Columns
from crmsync.config.conditions import Condition
from crmsync.config.model import Band, Model, selections_of_rule
from crmsync.config.rules import Behavior, Fit, Inactivity, Pattern, Rule, RuleLimits
from crmsync.config.rules import Sequence as SequenceRule
from crmsync.counts import count_of, format_date
from crmsync.model import Scalar
from crmsync.scoring.activities import RuleResult
from crmsync.scoring.bands import bands_of
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.engine import Scoring
from crmsync.scoring.explanation.adjustment_line import explain_adjustment
from crmsync.scoring.ledger import Line, Scores
from crmsync.scoring.machine_clicks import describe_machines
from crmsync.scoring.scored_people import ScoredPeople
from crmsync.scoring.wording import describe_decay, describe_limit, explain_title, format_points, to_points, truncate


class Entry(TypedDict):
    """A line of an explanation: the points are whole or have up to two decimals, and sum to the total."""

    rule: str
    points: int | float
    why: str


def explain_scores(scored: ScoredPeople) -> list[list[Entry]]:
    """The lines of each that have points, and what held them back; they sum to the total exactly."""
    scoring = Scoring(ScoringContext(scored.model, scored.columns, scored.now, scored.zone))
    explainer = _LineExplainer(scoring, scored.columns)
    return [
        [
            *explainer.lines(scored.scores, at, row),
            *explainer.machines(at),
            *held_back(scored.model, scored.scores, row),
        ]
        for at, row in enumerate(scored.rows.tolist())
    ]


class _LineExplainer:
    """Knows why some people have the points they have: `at` is their place among them, `row` that in all scores."""

    def __init__(self, scoring: Scoring, columns: Columns) -> None:
        self.scoring, self.columns, self.model = scoring, columns, scoring.model
        self.rules = {rule.name: rule for rule in self.model.rules()}
        self._found: dict[str, RuleResult] = {}

    def lines(self, scores: Scores, at: int, row: int) -> Iterator[Entry]:
        """The lines of one person."""
        for line, points in zip(scores.lines, scores.points, strict=True):
            if line.sort == "learned":
                given = int(points[row])
                if why := explain_adjustment(self.scoring.known, at, int(scores.total[row]) - given, given):
                    yield {"rule": line.name, "points": to_points(given), "why": why}
            elif points[row]:
                yield {"rule": line.name, "points": to_points(int(points[row])), "why": self.why(line, at)}

    def machines(self, at: int) -> Iterator[Entry]:
        """A line of no points: the opens and clicks of one person that a machine made."""
        activities = self.scoring.activities
        theirs = activities.person[activities.machines] == at
        kinds = [activities.facts[fact].kind for fact in activities.fact[activities.machines[theirs]].tolist()]
        counts = Counter(zip(kinds, activities.machine_signs[theirs].tolist(), strict=True))
        said = [describe_machines(self.model.machine_clicks, *key, count) for key, count in sorted(counts.items())]
        if said:
            yield {"rule": "Machine clicks", "points": 0, "why": "; ".join(said)}

    def why(self, line: Line, at: int) -> str:
        """Why one line has points."""
        if line.sort == "rule":
            return self._rule(self.rules[line.about], at)
        limits = self.rules[line.about].limits if line.about in self.rules else RuleLimits()
        if line.sort == "decay" and limits.decay is not None:
            return "; ".join([describe_decay(limits.decay), *self._holds(self.rules[line.about], at)])
        if line.sort == "cap" and limits.cap is not None:
            return f"the rule is capped at {count_of(limits.cap, 'point')}"
        if line.sort == "weight":
            return f"weight of {line.about}: {self._weight(line.about, at):.15g}"
        return _limit_why(self.model, line)

    def _rule(self, rule: Rule, at: int) -> str:
        about = _known(rule.when, self.columns, at, self.model)
        if isinstance(rule, Fit):
            return about
        if rule.name not in self._found:
            self._found[rule.name] = self.scoring.found(rule)
        today = self.scoring.activities.today
        if isinstance(rule, Inactivity):
            today = int(self.scoring.activities.today_of(rule.on or ())[0][at])
        said = _found_why(rule, self._found[rule.name], at, today)
        # Where there is decay, its own line says so.
        holds = () if rule.limits.decay else self._holds(rule, at)
        sums = self._sums(rule, at) if isinstance(rule, Behavior) else ()
        return "; ".join([said, *sums, *holds, *filter(None, [about])])

    def _sums(self, rule: Behavior, at: int) -> Iterator[str]:
        """What the attributes that a rule adds up come to."""
        window = rule.window.days if rule.window else None
        for name in rule.at_least_sum:
            added = int(self.scoring.activities.sums(rule.on, rule.where, window, name)[at]) / 1_000
            yield f"{name} add up to {added:,.15g}"

    def _holds(self, rule: Rule, at: int) -> list[str]:
        """Which kinds of activity a rule's clock stands for, and since when."""
        if not (rule.limits.decay or rule.limits.window or isinstance(rule, Inactivity)):
            return []
        kinds = [rule.on] if isinstance(rule, Behavior) else [each for each, _where in selections_of_rule(rule)]
        stopped = self.scoring.activities.stopped_kinds(at, *kinds)
        return [f"on hold since {format_date(day)} for {kind.replace('_', ' ')}" for kind, day in stopped.items()]

    def _weight(self, axis: str, at: int) -> float:
        segment = int(self.scoring.segment[at])
        own = self.model.segment[segment].weights if segment >= 0 else None
        return float(getattr(own or self.model.weights, axis))


def _limit_why(model: Model, line: Line) -> str:
    if line.sort == "rounding":
        return "rounded to " + ("whole points", "one decimal", "two decimals")[model.score.decimals]
    if line.sort == "clamp":
        return f"{line.about} is {describe_limit(getattr(model.score, line.about))}"
    limits = model.groups if line.sort == "group" else model.channels
    return f"all rules of {line.about!r} together give {describe_limit(limits[line.about])}"


def _found_why(rule: Rule, found: RuleResult, row: int, today: int) -> str:
    at = int(np.searchsorted(found.rows, row))
    newest, counted, seen = int(found.newest[at]), int(found.counted[at]), int(found.seen[at])
    if isinstance(rule, Inactivity):
        silent = f"no activity since {format_date(newest)} ({count_of(today - newest, 'day')})"
        return f"{silent}, {counted:,}× since day {rule.after.days:,}" if rule.every else silent
    if isinstance(rule, SequenceRule | Pattern):
        return f"completed on {format_date(newest)} ({_ago(today - newest)})"
    on = "on" if counted == 1 else "last on"
    limit = f", {counted:,} of {seen:,} count" if seen > counted else ""
    window = f" in the last {count_of(rule.limits.window.days, 'day')}" if rule.limits.window else ""
    return f"{counted:,}×{window}, {on} {format_date(newest)} ({_ago(today - newest)}){limit}"


def _ago(age: int) -> str:
    return {0: "today", 1: "yesterday"}.get(age, f"{count_of(age, 'day')} ago")


def _known(condition: Condition | None, columns: Columns, row: int, model: Model) -> str:
    """What is known of the fields that a question reads, and how it reads titles."""
    if condition is None:
        return ""
    said = []
    for name in sorted(condition.fields()):
        value = _value(columns, name, row)
        asked = [part for part in condition.parts() if part.field == name]
        of_level = any(part.seniority or part.seniority_at_least for part in asked)
        of_department = any(part.department for part in asked)
        read = explain_title(model.titles, value, of_level, of_department) if isinstance(value, str) else ""
        said.append(f"{name} {_shown(value)}{read and f' ({read})'}")
    return ", ".join(said)


def _value(columns: Columns, name: str, row: int) -> Scalar | None:
    return columns.fields[name][row] if name in columns.fields else None


def _shown(value: Scalar | None) -> str:
    if value is None:
        return "is not known"
    if isinstance(value, bool):
        return "is yes" if value else "is no"
    if isinstance(value, (int, float)):
        return f"is {value:,}"
    text = value if isinstance(value, str) else ", ".join(value)
    return f'is "{truncate(text.encode(errors="replace").decode(), 80)}"'


def held_back(model: Model, scores: Scores, row: int) -> Iterator[Entry]:
    """Lines of no points: what keeps a person below the band that their points would give."""
    if scores.disqualified[row] >= 0:
        name = model.disqualify[scores.disqualified[row]].name
        yield {"rule": f"Disqualified: {name}", "points": 0, "why": f"always in the lowest band: {name}"}
    elif scores.reach[row] > scores.band[row]:
        name = model.band_names()[scores.band[row] + 1]
        yield {
            "rule": f"Minimum of {name}",
            "points": 0,
            "why": _unmet(bands_of(model, scores, row)[name], scores, row),
        }


def _unmet(band: Band, scores: Scores, row: int) -> str:
    """The minimum of fit or of behavior that keeps a person out of a band, in words."""
    minimums = (("fit", band.min_fit, scores.fit[row]), ("behavior", band.min_behavior, scores.behavior[row]))
    unmet = [
        f"minimum {axis} {least:,.15g}, not met: {axis} is {format_points(int(points))}"
        for axis, least, points in minimums
        if least is not None and points < round(least * 100)
    ]
    return "; ".join(unmet)


def compare_lines(before: Sequence[Entry], after: Sequence[Entry]) -> list[Entry]:
    """What changed between two explanations of a person; the points sum to the difference of the totals."""
    old, new = ({line["rule"]: line for line in lines} for lines in (before, after))
    changed: list[Entry] = []
    for rule in [*new, *(rule for rule in old if rule not in new)]:
        was, now = (round(lines[rule]["points"] * 100) if rule in lines else 0 for lines in (old, new))
        if was != now:
            why = new[rule]["why"] if rule in new else "no longer matches"
            changed.append({"rule": rule, "points": to_points(now - was), "why": why})
    return changed
