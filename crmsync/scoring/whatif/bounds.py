"""The most that a model can give, proven from its rules without any data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

import numpy as np

from crmsync.columns import Columns
from crmsync.config.model import Limit, Model, Segment
from crmsync.config.rules import Behavior, Fit, Inactivity, Pattern, Rule
from crmsync.config.rules import Sequence as SequenceRule
from crmsync.config.units import to_hundredths
from crmsync.scoring.adjustment import adjust_total, clamp_adjustment
from crmsync.scoring.calendar import day_of
from crmsync.scoring.engine import score
from crmsync.scoring.whatif.candidates import candidate_values

MOST_COMBINATIONS = 4_096
_ANY_TIME = datetime(2026, 1, 15, 12, tzinfo=UTC)
ANY_DAY = day_of(_ANY_TIME, UTC)
"""What is proven without data holds on any day."""


def most_counted(rule: Behavior) -> float:
    """How many activities a rule can count, at the most; infinite when nothing limits it."""
    return min(most_left(rule), math.inf if rule.max_times is None else rule.max_times)


def most_left(rule: Behavior) -> float:
    """How many activities the limits of days, weeks and months leave inside the window, at the most."""
    # With a window of N days the age N still counts.
    days = math.inf if rule.window is None else rule.window.days + 1
    limits = [
        math.inf if rule.per_day is None else rule.per_day * days,
        math.inf
        if rule.max_per_week is None
        # Wherever it begins, a window touches one week more than fits into it.
        else rule.max_per_week * math.ceil(days / 7 + 1)
        if days < math.inf
        else days,
        math.inf if rule.max_per_month is None else rule.max_per_month * (days // 28 + 2) if days < math.inf else days,
    ]
    return min(limits)


BOUNDS: Mapping[type[Rule], Callable[[Any], float]] = {
    Fit: lambda _rule: 1,
    Behavior: lambda rule: most_counted(rule),
    Inactivity: lambda rule: (rule.max_times or math.inf) if rule.every else 1,
    SequenceRule: lambda _rule: 1,
    Pattern: lambda _rule: 1,
}
"""How often each kind of rule gives its points, at the most."""


def most_uncapped(rule: Rule) -> float:
    """The most points (hundredths) that a rule gives, before its cap; 0 for one that takes points."""
    return 0 if rule.points < 0 else to_hundredths(rule.points) * BOUNDS[type(rule)](rule)


def _capped(points: float, limit: Limit | None) -> float:
    return points if limit is None or limit.cap is None else min(points, to_hundredths(limit.cap))


def most_of(model: Model, rules: Sequence[Rule]) -> float:
    """The most that rules about activities give together, their caps, groups and channels considered."""
    total = 0.0
    for channel in {rule.limits.channel for rule in rules}:
        inside = [rule for rule in rules if rule.limits.channel == channel]
        together = 0.0
        for group in {rule.group for rule in inside}:
            points = sum(most_capped(rule) for rule in inside if rule.group == group)
            together += _capped(points, model.groups.get(group or ""))
        total += _capped(together, model.channels.get(channel or ""))
    return total


def most_capped(rule: Rule) -> float:
    """The most points (hundredths) that a rule gives by itself."""
    cap = rule.limits.cap
    return _capped(most_uncapped(rule), Limit(cap=cap) if cap is not None and cap > 0 else None)


def rules_for(model: Model, segment: Segment | None) -> tuple[Rule, ...]:
    """The rules that people of a segment (or of none) are scored by."""
    name = segment.name if segment else None
    return tuple(rule for rule in model.rules() if not rule.segments or name in rule.segments)


def most_fit(model: Model, rules: Sequence[Fit]) -> float:
    """The most points of fit (hundredths): everything a field can be is tried, related fields together."""
    total = sum(_most_of_related(model, part) for part in _related(rules))
    return _capped(total, model.score.fit)


def _related(rules: Sequence[Fit]) -> list[list[Fit]]:
    """Rules in parts, so that no two parts read the same field or share a group."""
    parts: list[tuple[set[str], list[Fit]]] = []
    for rule in rules:
        read = {*rule.when.fields(), *([f"group {rule.group}"] if rule.group else [])}
        touching = [part for part in parts if part[0] & read]
        parts = [part for part in parts if not part[0] & read]
        names = read.union(*(part[0] for part in touching))
        parts.append((names, [*(each for part in touching for each in part[1]), rule]))
    return [part for _, part in parts]


def _most_of_related(model: Model, rules: Sequence[Fit]) -> float:
    names = sorted({name for rule in rules for name in rule.when.fields()})
    alone = model.model_copy(
        update={
            **{table: [] for table in ("behavior", "inactivity", "sequence", "pattern", "disqualify", "segment")},
            # `rules_for` has chosen the rules of the segment already.
            "fit": [rule.model_copy(update={"segments": []}) for rule in rules],
            "score": model.score.model_copy(update={"fit": Limit(), "decimals": 2}),
        }
    )
    values = [[None, *candidate_values(alone, name, ANY_DAY)] for name in names]
    # All points together are a bound, too, only not a close one.
    if math.prod(len(each) for each in values) > MOST_COMBINATIONS:
        return sum(max(0, to_hundredths(rule.points)) for rule in rules)
    people = list(product(*values))
    none = np.zeros(0, dtype=np.int32)
    columns = Columns(
        people=np.arange(len(people)),
        fields={name: [person[at] for person in people] for at, name in enumerate(names)},
        person=none,
        at=np.zeros(0, dtype=np.int64),
        fact=none,
        facts=(),
    )
    return float(score(alone, columns, _ANY_TIME, UTC).fit.max())


def most_behavior(model: Model, rules: Iterable[Rule]) -> float:
    """The most points of behavior (hundredths)."""
    return _capped(most_of(model, [rule for rule in rules if not isinstance(rule, Fit)]), model.score.behavior)


def most_total(model: Model, segment: Segment | None) -> tuple[float, float, float]:
    """The most fit, behavior and total (hundredths) that people of a segment can have."""
    rules = rules_for(model, segment)
    fit = most_fit(model, [rule for rule in rules if isinstance(rule, Fit)])
    acted = most_behavior(model, rules)
    weights = (segment.weights if segment else None) or model.weights
    total = sum(points * weight for points, weight in ((fit, weights.fit), (acted, weights.behavior)) if weight)
    total = _capped(total, model.score.total)
    return fit, acted, _with_adjustments(model, segment, total)


def _with_adjustments(model: Model, segment: Segment | None, total: float) -> float:
    """The most that a total becomes: nobody with fewer points of rules is brought higher than who has the most."""
    if not model.learned.active or total == math.inf:
        return total
    wanted = sum(max(0, to_hundredths(each.points)) for each in model.learned.active)
    bands = (segment.bands if segment else None) or model.bands
    before = np.array([math.ceil(total / model.score.unit) * model.score.unit])
    clamped = clamp_adjustment(model, np.array([wanted]))
    return max(total, float(adjust_total(model, bands, before, clamped)[0]))
