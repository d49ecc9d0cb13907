"""What each rule has to do with the outcome: how often it gave points among the won and among the lost."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from crmsync.evaluation.cases import JudgedCases
from crmsync.evaluation.metrics import ENOUGH
from crmsync.evaluation.proportions import divide_counts, divide_rates

AT_ONCE = 65_536

Finding = Literal["helps", "no_difference", "wrong_way", "not_enough"]


class RuleLift(NamedTuple):
    """A rule: `people` whom it gave points, `won` and `lost` of them, their shares, and one share ÷ the other.

    `points` is the mean of what it gave. `finding`: whether its points go the way of the outcomes.
    """

    name: str
    people: int
    share: float | None
    points: float | None
    won: int
    lost: int
    won_rate: float | None
    lost_rate: float | None
    lift: float | None
    low: float | None
    high: float | None
    finding: Finding


def measure_rules(judged: JudgedCases) -> list[RuleLift]:
    """Each rule, in the order of the model."""
    count = len(judged.rules)
    people, won, lost, points = (np.zeros(count, dtype=np.int64) for _ in range(4))
    is_lost = judged.closed & ~judged.won
    for start in range(0, len(judged), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        given = judged.points[some]
        hit = given != 0
        people += hit.sum(axis=0)
        won += hit[judged.won[some]].sum(axis=0)
        lost += hit[is_lost[some]].sum(axis=0)
        points += given.sum(axis=0, dtype=np.int64)
    all_won, all_lost = int(judged.won.sum()), int(is_lost.sum())
    return [
        _count_rule(*each, all_won, all_lost, len(judged))
        for each in zip(judged.rules, people.tolist(), points.tolist(), won.tolist(), lost.tolist(), strict=True)
    ]


def _count_rule(
    name: str, people: int, points: int, won: int, lost: int, all_won: int, all_lost: int, everybody: int
) -> RuleLift:
    lift = divide_rates(won, all_won, lost, all_lost)
    return RuleLift(
        name=name,
        people=people,
        share=divide_counts(people, everybody),
        points=points / people / 100 if people else None,
        won=won,
        lost=lost,
        won_rate=divide_counts(won, all_won),
        lost_rate=divide_counts(lost, all_lost),
        lift=lift.ratio,
        low=lift.low,
        high=lift.high,
        finding=_judge_rule(points, won + lost, lift.low, lift.high, min(all_won, all_lost)),
    )


def _judge_rule(points: int, hits: int, low: float | None, high: float | None, fewest: int) -> Finding:
    if hits < ENOUGH or fewest < ENOUGH or not points:
        return "not_enough"
    is_more, is_less = low is not None and low > 1, high is not None and high < 1
    if not is_more and not is_less:
        return "no_difference"
    return "helps" if is_more == (points > 0) else "wrong_way"
