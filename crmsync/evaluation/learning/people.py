"""The people that are learned from: what each rule gave them, what is known of them, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import Model, Score, Weights
from crmsync.config.rules import Behavior, Decay, Rule
from crmsync.config.settings import Config
from crmsync.config.units import to_hundredths
from crmsync.evaluation.cases import Cases, JudgedCases, join_judged, judge_cases
from crmsync.scoring.conditions import encode_fields
from crmsync.scoring.values import Column, unknown_column

HALF_LIVES = (7, 10, 14, 21, 30, 45, 60, 90, 120, 180)
"""Days of half-life that are tried."""

MOST_LEVELS = 500
"""A text field with more different values among some thousand people tells single people, not kinds of them."""

NEVER_READ = frozenset({"email", "stage", "owner", "feedback"})
"""What says who somebody is, or what sales has made of them."""


@dataclass(frozen=True)
class LearningPeople:
    """`judged`: everybody; `columns`: field → n values; `fading`: behavior rule → (n, half-lives) how much of its
    activities would be left by each of `HALF_LIVES`, in doses (1 is one activity of today).
    """

    judged: JudgedCases
    columns: Mapping[str, Column]
    fading: Mapping[str, NDArray[np.float16]]


def gather_people(config: Config, parts: Iterable[Cases], zone: tzinfo) -> LearningPeople | None:
    """Judge cases, some at a time, and keep what is learned from; `None` where there is nobody."""
    faded = [(days, _with_half_life(config, days)) for days in HALF_LIVES] if _timed(config) else []
    names = sorted((set(config.fields) | config.used_fields()) - NEVER_READ)
    judged: list[JudgedCases] = []
    columns: list[Mapping[str, Column | None]] = []
    fading: list[dict[str, NDArray[np.float16]]] = []
    for cases in parts:
        judged.append(judge_cases(config, cases, zone))
        there = encode_fields(config, cases.columns.fields, names)
        columns.append({name: _told_apart(there.get(name) or unknown_column(len(cases.at))) for name in names})
        doses = [measure_doses(model, judge_cases(model, cases, zone)).astype(np.float16) for _days, model in faded]
        fading.append(
            {rule.name: np.column_stack([dose[:, place] for dose in doses]) for place, rule in _timed(config)}
            if doses
            else {}
        )
    if not judged:
        return None
    return LearningPeople(
        join_judged(judged),
        {name: joined for name in names if (joined := _join_columns([part[name] for part in columns])) is not None},
        {rule.name: np.concatenate([part[rule.name] for part in fading]) for _place, rule in _timed(config)},
    )


def measure_doses(model: Model, judged: JudgedCases) -> NDArray[np.float64]:
    """(n, rules): what each rule gave as a share of its points, times the weight of its axis for each person."""
    own: Sequence[Weights] = [model.weights, *(each.weights or model.weights for each in model.segment)]
    doses = judged.points.astype(np.float64)
    for place, rule in enumerate(model.rules()):
        weights = np.array([getattr(each, model.axis(rule)) for each in own])
        doses[:, place] *= weights[judged.segment + 1] / to_hundredths(rule.points)
    return doses


def list_rule_points(model: Model) -> NDArray[np.float64]:
    """The points of each rule (rules,)."""
    return np.array([rule.points for rule in model.rules()], dtype=np.float64)


def _timed(model: Model) -> list[tuple[int, Rule]]:
    """The rules whose activities may fade, with their place among all."""
    return [(place, rule) for place, rule in enumerate(model.rules()) if isinstance(rule, Behavior)]


def _with_half_life(config: Config, days: int) -> Config:
    """The same model with this half-life in every rule about activities, and exact to the hundredth."""
    decay = Decay(half_life=timedelta(days=days))
    rules = [rule.model_copy(update={"decay": decay}) for rule in config.behavior]
    score: Score = config.score.model_copy(update={"decimals": 2})
    return config.model_copy(update={"behavior": rules, "score": score})


def _told_apart(column: Column) -> Column | None:
    """The column; `None` where its texts tell single people."""
    texts = sum(isinstance(value, str) for value in column.distinct)
    return None if texts > MOST_LEVELS else column


def _join_columns(parts: Sequence[Column | None]) -> Column | None:
    places: dict[tuple[type, object], int] = {}
    codes = []
    for part in parts:
        if part is None:
            return None
        here = [places.setdefault((type(value), value), len(places)) for value in part.distinct]
        codes.append(np.array(here, dtype=np.int32)[part.codes])
    return Column(np.concatenate(codes), [value for _type, value in places], {})  # type: ignore[misc]
