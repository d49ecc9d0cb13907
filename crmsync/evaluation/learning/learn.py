"""A card learned from the earlier people: points for the admin's rules, and a few questions more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.config.learned import Adjustment
from crmsync.config.model import RULE_TABLES
from crmsync.config.rules import Fit, Rule
from crmsync.config.settings import Config
from crmsync.counts import count_of
from crmsync.evaluation.cases import JudgedCases
from crmsync.evaluation.learning.candidates import (
    Candidate,
    list_candidates,
    list_pairs,
    list_questions,
)
from crmsync.evaluation.learning.leaks import Leak, find_leaks, find_rule_leaks, list_leaky_fields
from crmsync.evaluation.learning.people import LearningPeople, list_rule_points, measure_doses
from crmsync.evaluation.learning.points import Points, find_unit, round_weights
from crmsync.evaluation.learning.regression import Fitted, fit_line, fit_logistic
from crmsync.evaluation.learning.selection import (
    Card,
    add_ones,
    choose_additions,
    choose_strength,
    extend_card,
    fit_card,
    measure_sizes,
    pull_towards,
    thin_out,
)
from crmsync.evaluation.metrics import Floats, Mask
from crmsync.scoring.values import Column

Rows = NDArray[np.intp]

LATER = 0.3
"""The share of the people, the last ones in time, that is not learned from."""

FEWEST = 50
"""So many won and so many lost people learning needs."""

FEWEST_LATER = 15
"""So many of each the later period needs."""

MOST_PEOPLE = 200_000
"""What is learned from so many people would not change with more."""


class LearnedRule(NamedTuple):
    """A rule with its points of today (`None` for a new one) and those learned, with their interval.

    `people` got points by it, of whom `won` were won; both of everybody whose outcome is known.
    """

    name: str
    points_now: float | None
    points: float
    low: float
    high: float
    people: int
    won: int
    note: str


class LearnedCard(NamedTuple):
    """`config`: the admin's with what was learned; `added`: how many of its rules about fit are new."""

    config: Config
    rules: Sequence[LearnedRule]
    added: int
    leaks: Sequence[Leak]
    strength: float
    fitted: Fitted
    doses: Floats


class Periods(NamedTuple):
    """Rows of people whose outcome is known, by time: those that are learned from, and the later ones."""

    early: Rows
    late: Rows

    @property
    def all(self) -> Rows:
        """Both."""
        return np.concatenate([self.early, self.late])


def split_periods(people: LearningPeople) -> Periods:
    """The earlier and the later people whose outcome is known; those who are disqualified have no score to learn."""
    judged = people.judged
    rows = np.flatnonzero(judged.closed & (judged.disqualified < 0))
    rows = rows[np.argsort(judged.at[rows], kind="stable")]
    if not len(rows):
        return Periods(rows, rows)
    # People who were judged at the same instant stay together.
    first = judged.at[rows[min(int(len(rows) * (1 - LATER)), len(rows) - 1)]]
    cut = int(np.searchsorted(judged.at[rows], first, side="left"))
    return Periods(rows[:cut], rows[cut:])


def explain_shortage(people: LearningPeople, periods: Periods) -> str:
    """Why nothing can be learned from so few, or an empty text."""
    won = people.judged.won
    both, late = won[periods.all], won[periods.late]
    hits, misses = int(both.sum()), int((~both).sum())
    if min(hits, misses) < FEWEST:
        return f"{hits:,} won and {count_of(misses, 'lost person')}; learning needs {FEWEST} of each"
    early = won[periods.early]
    for name, some in (("later", late), ("earlier", early)):
        counts = int(some.sum()), int((~some).sum())
        if min(counts) < FEWEST_LATER:
            return (
                f"the {name} period has {counts[0]:,} won and {count_of(counts[1], 'lost person')}; "
                f"a test needs {FEWEST_LATER} of each"
            )
    return ""


def learn_card(config: Config, people: LearningPeople, periods: Periods, changed: Mapping[str, float]) -> LearnedCard:
    """Learn points from the earlier people. `changed`: field → share of people whose value changed after the hand-off.

    Nothing of the later period is looked at, except for the counts of each rule.
    """
    early = periods.early[thin_out(len(periods.early), MOST_PEOPLE)]
    won = people.judged.won[early]
    doses = measure_doses(config, people.judged.only(early))
    columns = {name: _rows_of(column, early) for name, column in people.columns.items()}
    leaks = [*find_leaks(columns, won, changed), *find_rule_leaks(config, doses, won)]
    rules = config.rules()
    leaky, flat = _leaky(rules, leaks), doses.std(axis=0) == 0
    held = leaky | flat
    card = Card(list_rule_points(config), measure_sizes(doses), held)
    few = thin_out(len(early))
    strength = choose_strength(card, doses[few], won[few])
    values = frozenset((each.field, each.name) for each in leaks if each.kind == "separates")
    candidates = [
        *list_candidates(columns, list_leaky_fields(leaks), values, won),
        *list_pairs(list_questions(config, doses), won),
    ]
    chosen = choose_additions(card, doses, won, candidates, strength)
    longer = _with_answers(doses, chosen)
    extended = extend_card(card, len(chosen))
    fitted, found = _fit_points(extended, longer, won, strength)
    kept = [place for place in range(len(chosen)) if found.points[len(rules) + place]]
    additions = [
        Fit.model_validate({"name": name, "points": float(found.points[len(rules) + place]), "when": dict(each.when)})
        for name, place, each in _named(rules, [(place, chosen[place]) for place in kept])
    ]
    # What was learned before is learned again, with the rules.
    cleared = config.model_copy(update={"learned": config.learned.model_copy(update={"adjustment": []})})
    learned = apply_points(cleared, found.points[: len(rules)], additions)
    told = _tell_rules(rules, people, periods, (leaky, flat), found)
    told += _tell_additions(additions, kept, chosen, found, len(rules), won)
    return LearnedCard(learned, told, len(additions), leaks, strength, fitted, longer)


def _with_answers(doses: Floats, questions: Sequence[Candidate]) -> Floats:
    """The doses with a column for each question more."""
    return np.column_stack([doses, *(each.holds.astype(np.float64) for each in questions)])


def _fit_points(card: Card, doses: Floats, won: Mask, strength: float) -> tuple[Fitted, Points]:
    """The weights and their points; rules that are held count as many log-odds as their points then stand for."""
    unit = max(fit_line(doses @ card.points, won).slope, 0.0)
    fitted = fit_card(card, doses, won, strength)
    for _again in range(3 if card.held.any() else 0):
        fitted = fit_with_held(card, doses, won, strength, unit)
        unit = find_unit(fitted, doses, card.points)
    return fitted, round_weights(fitted, doses, won, card.points, card.held)


def fit_with_held(card: Card, doses: Floats, won: Mask, strength: float, unit: float) -> Fitted:
    """The weights, with those that are held at `unit` log-odds a point, and the others drawn to what fits best."""
    center, penalty = pull_towards(card, doses, won, strength)
    center[1:] = np.where(card.held, unit * card.points, center[1:])
    return fit_logistic(add_ones(doses), won, center, penalty)


def apply_points(config: Config, points: Floats, additions: Sequence[Fit]) -> Config:
    """The config with other points for its rules, caps in proportion, and more rules about fit."""
    left = iter(points.tolist())
    tables: dict[str, Any] = {
        table: [_with_points(rule, next(left)) for rule in getattr(config, table)] for table in RULE_TABLES
    }
    tables["fit"] = [*tables["fit"], *additions]
    return config.model_copy(update=tables)


def _with_points(rule: Rule, points: float) -> Rule:
    cap = rule.limits.cap
    more = {} if cap is None else {"cap": round(cap * points / rule.points, 2) + 0.0}
    return rule.model_copy(update={"points": float(points), **more})


def _rows_of(column: Column, rows: Rows) -> Column:
    return Column(column.codes[rows], column.distinct, {})


def _leaky(rules: Sequence[Rule], leaks: Sequence[Leak]) -> Mask:
    """Rules that leak, or that ask about a field that does."""
    fields, names = list_leaky_fields(leaks), {each.name for each in leaks}
    leaky = [rule.name in names or (rule.when is not None and bool(rule.when.fields() & fields)) for rule in rules]
    return np.array(leaky, dtype=bool)


def _named(rules: Sequence[Rule], chosen: Sequence[tuple[int, Candidate]]) -> list[tuple[str, int, Candidate]]:
    taken = {rule.name for rule in rules}
    found = []
    for place, each in chosen:
        name = each.name if each.name not in taken else f"{each.name[:110]} (learned)"
        taken.add(name)
        found.append((name, place, each))
    return found


def _tell_rules(
    rules: Sequence[Rule], people: LearningPeople, periods: Periods, held: tuple[Mask, Mask], found: Points
) -> list[LearnedRule]:
    rows = periods.all
    won = people.judged.won[rows]
    given = people.judged.points[rows] != 0
    told = []
    leaky, flat = held
    for place, rule in enumerate(rules):
        counts = int(given[:, place].sum()), int((given[:, place] & won).sum())
        now, points = rule.points, float(found.points[place])
        low, high = float(found.low[place]), float(found.high[place])
        if leaky[place] or flat[place]:
            note = _why_held(counts[0], bool(leaky[place]))
            told.append(LearnedRule(rule.name, now, points, now, now, *counts, note))
        else:
            told.append(LearnedRule(rule.name, now, points, low, high, *counts, _note(now, points, low, high)))
    return told


def _why_held(people: int, leaks: bool) -> str:
    if leaks:
        return "tells the outcome: stays as it is"
    said = "gave everybody of the earlier period the same" if people else "matched nobody"
    return f"{said}: stays as it is"


def _note(now: float, points: float, low: float, high: float) -> str:
    if points * now < 0:
        return "the outcomes say the opposite of today's sign"
    if low <= 0 <= high:
        return "no effect is certain; think of removing it"
    return ""


def _tell_additions(
    additions: Sequence[Fit], kept: Sequence[int], chosen: Sequence[Candidate], found: Points, first: int, won: Mask
) -> list[LearnedRule]:
    told = []
    for rule, place in zip(additions, kept, strict=True):
        holds, at = chosen[place].holds, first + place
        counts = int(holds.sum()), int((holds & won).sum())
        interval = float(found.low[at]), float(found.high[at])
        told.append(LearnedRule(rule.name, None, rule.points, *interval, *counts, "new"))
    return told


def count_additions(card: LearnedCard, learned: JudgedCases, periods: Periods) -> list[LearnedRule]:
    """The rules with the new ones counted by everybody whose outcome is known, as the others are."""
    rows, place = periods.all, {name: number for number, name in enumerate(learned.rules)}
    won = learned.won[rows]
    counted = []
    for rule in card.rules:
        if rule.points_now is None:
            holds = learned.points[rows, place[rule.name]] != 0
            rule = rule._replace(people=int(holds.sum()), won=int((holds & won).sum()))
        counted.append(rule)
    return counted


def make_hybrid(config: Config, card: LearnedCard) -> LearnedCard:
    """The card with today's points, and with its new questions as adjustments of the total."""
    new = card.config.fit[len(config.fit) :]
    adjustments = [Adjustment(name=rule.name, points=rule.points, when=rule.when) for rule in new]
    learned = config.learned.model_copy(update={"mode": "hybrid", "adjustment": adjustments})
    rules = [rule if rule.points_now is None else _stay(rule, rule.points_now) for rule in card.rules]
    return card._replace(config=config.model_copy(update={"learned": learned}), rules=rules, added=0)


def _stay(rule: LearnedRule, points: float) -> LearnedRule:
    said = f"stays as it is; the outcomes say {rule.points:g}"
    return rule if rule.points == points else rule._replace(points=points, note=said)
