"""How strongly to hold on to the card, and which questions to add to it: decided forward in time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.learning.candidates import Candidate
from crmsync.evaluation.learning.regression import HOLD, Fitted, fit_line, fit_logistic, measure_losses
from crmsync.evaluation.logistic import to_chances
from crmsync.evaluation.metrics import Floats, Mask

GRID = (10_000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
"""Strengths of the pull towards the card; the first one leaves little of what the data say."""

FOLDS = (0.4, 0.55, 0.7, 0.85, 1.0)
"""Learned up to each share of the people in time, tested up to the next."""

MOST = 12
"""So many questions are added at most."""

TRIES = 30
"""So many are tried at most."""

WORTH = 1.5
"""By so much the log-likelihood of people who were not learned from must rise for a question to be added."""

SAMPLE = 20_000
"""What is chosen between is compared on so many people at most."""


class Card(NamedTuple):
    """What is drawn towards: `points` (p,) of the rules, `sizes` (p,) of a typical dose, and the rules that are `held`
    (p,) at their points.
    """

    points: Floats
    sizes: Floats
    held: Mask


def pull_towards(
    card: Card, doses: Floats, won: Mask, strength: float, unit: float | None = None
) -> tuple[Floats, Floats]:
    """Center and penalty of each weight, intercept first. `unit`: log-odds of a point; by default what fits best."""
    return _pull(card, max(fit_line(doses @ card.points, won).slope, 0.0) if unit is None else unit, strength)


def _pull(card: Card, scale: float, strength: float) -> tuple[Floats, Floats]:
    penalty = np.where(card.held, HOLD, strength * card.sizes**2)
    return np.append(0.0, scale * card.points), np.append(0.0, penalty)


def measure_sizes(doses: Floats) -> Floats:
    """The root mean square of each rule's doses among those to whom it gave any (p,); 1 where it gave none."""
    given = (doses != 0).sum(axis=0)
    sizes: Floats = np.sqrt((doses**2).sum(axis=0) / np.maximum(given, 1))
    return np.where(given > 0, sizes, 1.0)


def fit_card(
    card: Card, doses: Floats, won: Mask, strength: float, unit: float | None = None, start: Floats | None = None
) -> Fitted:
    """The card's weights as the data have them."""
    center, penalty = pull_towards(card, doses, won, strength, unit)
    return fit_logistic(add_ones(doses), won, center, penalty, start)


def add_ones(doses: Floats) -> Floats:
    """The design: a column of ones before the doses."""
    return np.column_stack([np.ones(len(doses)), doses])


def thin_out(count: int, most: int = SAMPLE) -> NDArray[np.intp]:
    """Rows spread evenly over all, at most so many."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.intp)


def divide_folds(count: int) -> list[tuple[int, int]]:
    """For each fold the rows up to which is learned and tested."""
    ends = [int(share * count) for share in FOLDS]
    return list(pairwise(ends))


def choose_strength(card: Card, doses: Floats, won: Mask) -> float:
    """The pull with which people of later folds are told best."""
    folds = _make_folds(card, doses, won)
    losses = [(float(sum(each.sum() for each in _fold_losses(card, folds, each))), -each) for each in GRID]
    return -min(losses)[1]


class Fold:
    """People up to an instant with their outcomes, and the next ones. `start` is where the last fit ended."""

    def __init__(self, scale: float, design: Floats, won: Mask, end: int, until: int) -> None:
        self.scale = scale
        self.before, self.won_before = design[:end], won[:end]
        self.after, self.won_after = design[end:until], won[end:until]
        self.start: Floats | None = None


def _make_folds(card: Card, doses: Floats, won: Mask) -> list[Fold]:
    design = add_ones(doses)
    return [
        Fold(max(fit_line(doses[:end] @ card.points, won[:end]).slope, 0.0), design, won, end, until)
        for end, until in divide_folds(len(won))
        if end and 0 < won[:end].sum() < end
    ]


def _fold_losses(card: Card, folds: Sequence[Fold], strength: float) -> list[Floats]:
    """The −log-likelihood of each of those who came after the ones that were learned from."""
    found = []
    for fold in folds:
        center, penalty = _pull(card, fold.scale, strength)
        fold.start = fit_logistic(fold.before, fold.won_before, center, penalty, fold.start).weights
        found.append(measure_losses(fold.after, fold.won_after, fold.start))
    return found


def extend_card(card: Card, more: int) -> Card:
    """The card with so many questions that have no points yet."""
    return Card(
        np.append(card.points, np.zeros(more)),
        np.append(card.sizes, np.ones(more)),
        np.append(card.held, np.zeros(more, dtype=bool)),
    )


def choose_additions(
    card: Card, doses: Floats, won: Mask, candidates: Sequence[Candidate], strength: float
) -> list[Candidate]:
    """The questions that tell later people better, best first; rows are in the order of time."""
    rows = thin_out(len(won))
    doses, won = doses[rows], won[rows]
    if not candidates:
        return []
    asked = np.column_stack([each.holds[rows] for each in candidates]).astype(np.float32)
    chosen: list[int] = []
    refused: set[int] = set()
    present = _fold_losses(card, _make_folds(card, doses, won), strength)
    # Of many candidates some look good by chance.
    least = WORTH + float(np.log(len(candidates)))
    gains = _promises(doses, won, fit_card(card, doses, won, strength), asked, strength)
    while len(chosen) < MOST and len(refused) < TRIES:
        open_ones = [each for each in range(len(candidates)) if each not in refused and each not in chosen]
        best = max(open_ones, key=lambda each: (gains[each], -each), default=None)
        if best is None or gains[best] < least:
            break
        longer = np.column_stack([doses, asked[:, best]])
        extended = extend_card(card, 1)
        losses = _fold_losses(extended, _make_folds(extended, longer, won), strength)
        if not _is_better(present, losses):
            refused.add(best)
            continue
        doses, card, present = longer, extended, losses
        chosen.append(best)
        gains = _promises(doses, won, fit_card(card, doses, won, strength), asked, strength)
    return [candidates[each] for each in chosen]


def _is_better(before: Sequence[Floats], after: Sequence[Floats]) -> bool:
    gains = [float((one - other).sum()) for one, other in zip(before, after, strict=True)]
    return sum(gains) >= WORTH and sum(gain > 0 for gain in gains) * 2 > len(gains)


def _promises(doses: Floats, won: Mask, fitted: Fitted, asked: NDArray[np.float32], strength: float) -> Floats:
    """By how much each question would raise the log-likelihood of those learned from, to a first approximation."""
    design = add_ones(doses)
    chances = to_chances(design @ fitted.weights)
    score = asked.T @ (won - chances)
    spread = (chances * (1 - chances))[:, None]
    shared = (design * spread).T @ asked
    alone = (asked * spread).sum(axis=0)
    # What the card says already is no news.
    news = alone - np.einsum("pm,pq,qm->m", shared, fitted.covariance, shared)
    gains: Floats = np.where(news > 0.05 * alone, score**2 / (2 * (np.maximum(news, 0) + strength)), 0.0)
    return gains
