"""How well a score tells the won from the lost: measures of ranking, and what a line does."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.proportions import Interval, Z, divide_counts

ENOUGH = 10
"""Fewer won, or fewer lost, say nothing of a ranking."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Tally(NamedTuple):
    """Won and lost people by score: `score` (s,) ascending and distinct, `won` and `lost` (s,) how many have it."""

    score: NDArray[Any]
    won: Floats
    lost: Floats


class Ranking(NamedTuple):
    """The AUC of two scores, and of the second minus the first."""

    now: Interval
    learned: Interval
    gain: Interval


def tally_scores(score: NDArray[Any], won: NDArray[np.bool_]) -> Tally:
    """Count the won and the lost by score; `score` and `won` (n,) are those of people whose outcome is known."""
    return _tally(score, won)[0]


def _tally(score: NDArray[Any], won: NDArray[np.bool_]) -> tuple[Tally, NDArray[np.int64]]:
    """The counts, and the place (n,) of each person in them."""
    is_whole = np.issubdtype(score.dtype, np.integer)
    low = int(score.min(initial=0)) if is_whole else 0
    if not is_whole or int(score.max(initial=0)) - low > 4 * len(score) + 1_024:
        values, place = np.unique(score, return_inverse=True)
    else:  # a place for each score between the lowest and the highest: nothing needs to be sorted
        place = (score - low).astype(np.int64)
        values = np.arange(low, low + int(place.max(initial=-1)) + 1)
    everybody = np.bincount(place, minlength=len(values)).astype(np.float64)
    theirs = np.bincount(place[won], minlength=len(values)).astype(np.float64)
    is_there = everybody > 0
    of = Tally(values[is_there], theirs[is_there], (everybody - theirs)[is_there])
    return of, (np.cumsum(is_there) - 1)[place]


def measure_auc(of: Tally) -> float | None:
    """How often a won person has a higher score than a lost one, ties counting half; `None` without both."""
    won, lost = of.won.sum(), of.lost.sum()
    if not won or not lost:
        return None
    below = np.cumsum(of.lost) - of.lost
    return float((of.won * (below + of.lost / 2)).sum() / (won * lost))


def _rank_shares(of: Tally) -> tuple[Floats, Floats]:
    """By score the share of the lost who have less, and of the won who have more, ties counting half."""
    won, lost = of.won.sum(), of.lost.sum()
    return (np.cumsum(of.lost) - of.lost / 2) / lost, (won - np.cumsum(of.won) + of.won / 2) / won


def measure_auc_error(of: Tally) -> float | None:
    """The standard error of the AUC by DeLong, DeLong and Clarke-Pearson; `None` with fewer than two of either."""
    won, lost = of.won.sum(), of.lost.sum()
    if won < 2 or lost < 2:
        return None
    beaten, above = _rank_shares(of)
    return sqrt(_variance(beaten, of.won) / won + _variance(above, of.lost) / lost)


def _variance(values: Floats, times: Floats) -> float:
    count = times.sum()
    mean = (values * times).sum() / count
    return float((times * (values - mean) ** 2).sum() / (count - 1))


def measure_auc_interval(of: Tally) -> tuple[float, float] | None:
    """The 95 % interval of the AUC, on the scale of its log odds; `None` where all are told apart, or too few there."""
    auc, error = measure_auc(of), measure_auc_error(of)
    if auc is None or not error or not 0 < auc < 1:
        return None
    middle, width = log(auc / (1 - auc)), Z * error / (auc * (1 - auc))
    return 1 / (1 + exp(width - middle)), 1 / (1 + exp(-middle - width))


def clip_auc(auc: float, error: float) -> Interval:
    """The AUC with its symmetric 95 % interval, which goes with that of a difference."""
    return Interval(auc, max(auc - Z * error, 0.0), min(auc + Z * error, 1.0))


def compare_rankings(now: NDArray[Any], learned: NDArray[Any], won: NDArray[np.bool_]) -> Ranking:
    """The AUC of two scores (n,) of the same people, and their difference, with intervals by DeLong.

    There must be people of both outcomes.
    """
    both = [_share_of_each(score, won) for score in (now, learned)]
    covariance = np.zeros((2, 2))
    for shares in (np.vstack([each[0] for each in both]), np.vstack([each[1] for each in both])):
        count = shares.shape[1]
        covariance += np.cov(shares) / count if count > 1 else np.full((2, 2), 0.25)
    areas = [float(each[0].mean()) for each in both]
    errors = np.sqrt(np.maximum(np.diag(covariance), 0)).tolist()
    gain, step = areas[1] - areas[0], np.array([-1.0, 1.0])
    width = Z * sqrt(max(float(step @ covariance @ step), 0.0))
    before, after = (clip_auc(*each) for each in zip(areas, errors, strict=True))
    return Ranking(before, after, Interval(gain, gain - width, gain + width))


def _share_of_each(score: NDArray[Any], won: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Of each won one the share of the lost who have less, and of each lost one that of the won who have more."""
    of, place = _tally(score, won)
    beaten, above = _rank_shares(of)
    return beaten[place[won]], above[place[~won]]


def measure_average_precision(of: Tally) -> float | None:
    """The mean of the precision at each won person, from the highest score down; `None` without a won one."""
    won = of.won[::-1]
    if not won.sum():
        return None
    taken, all_taken = np.cumsum(won), np.cumsum(won + of.lost[::-1])
    return float((won / won.sum() * (taken / all_taken)).sum())


class AtLine(NamedTuple):
    """What a line does: `right` were won above it, `wrong` lost above it, `missed` won below it."""

    right: int
    wrong: int
    missed: int
    precision: float | None
    recall: float | None
    f1: float | None


def measure_line(above: NDArray[np.bool_], won: NDArray[np.bool_]) -> AtLine:
    """Precision, recall and F1 of a line, where `above` (n,) says who is at or over it; of people with an outcome."""
    right = int((above & won).sum())
    return count_line(right, int(above.sum()) - right, int(won.sum()) - right)


def count_line(right: int, wrong: int, missed: int) -> AtLine:
    """The same from counts."""
    precision = divide_counts(right, right + wrong)
    recall = divide_counts(right, right + missed)
    f1 = divide_counts(2 * right, 2 * right + wrong + missed)
    return AtLine(right, wrong, missed, precision, recall, f1)


def measure_precision_at(of: Tally, count: int) -> float | None:
    """The share of won people among the `count` with the highest scores; of a tie at the end its mean.

    `None` where there are fewer people.
    """
    won, everybody = of.won[::-1], (of.won + of.lost)[::-1]
    if count < 1 or count > everybody.sum():
        return None
    before = np.cumsum(everybody) - everybody
    taken = np.clip(count - before, 0, everybody)
    return float((won * taken / everybody).sum() / count)


class Deciles(NamedTuple):
    """People by tenths of the scores, the highest tenth first: scores from and to, and counts, each (d,).

    People of one score are in one tenth, so there may be fewer than ten, and they are not equally large.
    """

    number: list[int]
    first: list[int]
    last: list[int]
    won: list[int]
    lost: list[int]


def divide_scores(of: Tally) -> Deciles:
    """Tenths of the people by score."""
    everybody = of.won + of.lost
    if not len(everybody):
        return Deciles([], [], [], [], [])
    tenth = ((np.cumsum(everybody) - everybody / 2) * 10 / everybody.sum()).astype(int)
    numbers, start = np.unique(tenth, return_index=True)
    end = np.append(start[1:], len(tenth)) - 1
    won, lost = (np.add.reduceat(each, start) for each in (of.won, of.lost))
    order = slice(None, None, -1)
    return Deciles(
        (10 - numbers[order]).tolist(),
        of.score[start][order].tolist(),
        of.score[end][order].tolist(),
        won[order].astype(int).tolist(),
        lost[order].astype(int).tolist(),
    )
