"""What rate of people is to be expected: by their score and the season, from the people before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.logistic import fit_counts, to_chances
from crmsync.evaluation.metrics import Floats

BINS = 20
"""So many groups of about equal size stand for the scores; within one of them people are alike."""

YEAR = 365.2425

FREE, SEASON, HALF_SEASON = 5.0, 0.3, 0.15
"""How far each part of the expectation may be from nothing before anything is known, in log-odds: the level and the
effect of the score as far as they like, a year's up and down and that of half a year some 30 and 15 %.
"""


class Days(NamedTuple):
    """People by day and group of scores: `people` and `won` (days, bins), `score` (bins,) standardised, `first` day."""

    first: int
    people: Floats
    won: Floats
    score: Floats


def count_by_day(day: NDArray[np.int64], score: NDArray[np.int64], won: NDArray[np.bool_]) -> Days:
    """People (n,) by `day` (days since 1970) and score; there must be some."""
    edges = np.unique(np.quantile(score, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    group = np.searchsorted(edges, score, side="right")
    bins, first = len(edges) + 1, int(day.min())
    count = int(day.max()) - first + 1
    place = (day - first) * bins + group
    many = np.bincount(place, minlength=count * bins).reshape(count, bins).astype(np.float64)
    hits = np.bincount(place, weights=won, minlength=count * bins).reshape(count, bins).astype(np.float64)
    there = np.maximum(np.bincount(group, minlength=bins), 1)
    middle = np.bincount(group, weights=standardise_score(score), minlength=bins) / there
    return Days(first, many, hits, middle)


def standardise_score(score: NDArray[np.int64]) -> Floats:
    """Scores with the mean 0 and, unless all are equal, the standard deviation 1."""
    return np.asarray((score - float(score.mean())) / (float(score.std()) or 1.0))


@dataclass(frozen=True)
class Expectation:
    """A logistic curve over score, season and what changed before: `mean` (k,) and `spread` (k, k) of its parts.

    `changes` are the days from which on a level of its own holds.
    """

    mean: Floats
    spread: Floats
    changes: tuple[int, ...]

    def of_days(self, days: Days, first: int, end: int) -> tuple[Floats, Floats, Floats]:
        """For each day from `first` to before `end`: expected (d,), variance by chance (d,), gradient (d, k)."""
        many = days.people[first - days.first : end - days.first]
        parts = _parts(days.score, np.arange(first, end), self.changes)
        p = to_chances(parts @ self.mean)
        chance = many * p * (1 - p)
        return (many * p).sum(axis=1), chance.sum(axis=1), (chance[:, :, None] * parts).sum(axis=1)

    def probabilities(self, score: Floats, day: NDArray[np.int64]) -> Floats:
        """Of single people, by their standardised score."""
        return to_chances(_rows(score, day, self.changes) @ self.mean)

    def gradient(self, score: Floats, day: NDArray[np.int64], chance: Floats) -> Floats:
        """How the sum of the probabilities of single people moves with each part (k,); `chance` is p (1 - p)."""
        return np.asarray(chance @ _rows(score, day, self.changes))


def fit_expectation(
    days: Days, before: int, changes: tuple[int, ...] = (), start: Expectation | None = None
) -> Expectation:
    """What is to be expected by all the people before a day, and by nobody after it."""
    # By week: the season does not move within one, and there are seven times fewer rows. What is left goes day by day.
    many: Floats = np.zeros((0, len(days.score)))
    won: Floats = np.zeros((0, len(days.score)))
    at: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    count = min(max(before - days.first, 0), len(days.people))
    begins = np.unique(
        [0, *range(0, count, 7), *(each - days.first for each in changes if 0 < each - days.first < count)]
    )
    if count:
        begins = begins.astype(np.intp)
        many = np.add.reduceat(days.people[:count], begins, axis=0)
        won = np.add.reduceat(days.won[:count], begins, axis=0)
        at = days.first + begins
    known = tuple(each for each in changes if each <= before)
    parts = _parts(days.score, at, known).reshape(-1, 6 + len(known))
    many, won = many.reshape(-1), won.reshape(-1)
    there = many > 0
    parts, many, won = parts[there], many[there], won[there]
    hold = np.array([FREE, FREE, SEASON, SEASON, HALF_SEASON, HALF_SEASON, *[FREE] * len(known)]) ** -2.0
    mean: Floats = np.zeros(len(hold))
    if start is not None and len(start.mean) == len(mean):
        mean = start.mean
    elif many.sum():
        rate = (won.sum() + 0.5) / (many.sum() + 1)
        mean[0] = np.log(rate / (1 - rate))
    mean, curvature = fit_counts(parts, many, won, hold, mean)
    return Expectation(mean, np.asarray(np.linalg.inv(curvature)), known)


def _parts(score: Floats, day: NDArray[np.int64], changes: tuple[int, ...]) -> Floats:
    """(days, bins, k)."""
    rows = _rows(np.tile(score, len(day)), np.repeat(day, len(score)), changes)
    return rows.reshape(len(day), len(score), -1)


def _rows(score: Floats, day: NDArray[np.int64], changes: tuple[int, ...]) -> Floats:
    turn = day * (2 * np.pi / YEAR)
    season = (np.cos(turn), np.sin(turn), np.cos(2 * turn), np.sin(2 * turn))
    return np.stack([np.ones(len(day)), score, *season, *((day >= each) * 1.0 for each in changes)], axis=1)
