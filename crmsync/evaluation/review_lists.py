"""People to look at by name: lost above the line, won below it, and stuck after a high score."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.cases import LOST, NEVER, OPEN, JudgedCases
from crmsync.evaluation.conversion import find_line_points

STALLED_SCORE = 8_000
"""Hundredths: of higher scores an accepted person is expected to go on."""

STALLED_AFTER = 30 * 86_400
"""Seconds without a next step after which somebody is stuck."""

TAGGED = "feedback: "
"""How the reasons begin by which users disqualify somebody with a tag."""


def find_false_positives(judged: JudgedCases, above: NDArray[np.bool_], line: str | None) -> NDArray[np.intp]:
    """Rows of those above the line who were lost, the highest score first.

    Somebody whom users have disqualified with a tag counts, too, where the points alone are above the line.
    """
    wrong = above & (judged.outcome == LOST)
    needed = find_line_points(judged, line)
    tags = np.array([each.name.startswith(TAGGED) for each in judged.model.disqualify] + [False])
    if needed is not None and tags.any():
        wrong |= tags[judged.disqualified] & (judged.total >= needed) & ~judged.won
    return _order_by(judged, -judged.total, wrong)


def find_misses(judged: JudgedCases, above: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows of those below the line who were won, the lowest score first."""
    return _order_by(judged, judged.total, judged.won & ~above)


def find_stalled(judged: JudgedCases, now: int) -> NDArray[np.intp] | None:
    """Rows of those with a high score whom sales accepted, without a next step for a month; `None` if not known."""
    if "accepted" not in judged.milestones or "opportunity" not in judged.milestones:
        return None
    accepted = judged.milestones["accepted"]
    since = np.maximum(accepted, judged.touched)
    waits = (judged.outcome == OPEN) & (accepted != NEVER) & (judged.milestones["opportunity"] == NEVER)
    return _order_by(judged, -judged.total, waits & (judged.total > STALLED_SCORE) & (now - since >= STALLED_AFTER))


def _order_by(judged: JudgedCases, score: NDArray[np.int64], which: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows by a score (n,), then by name: the order in which people were read says nothing."""
    rows = np.flatnonzero(which).tolist()
    return np.array(sorted(rows, key=lambda row: (score[row], judged.names[row], judged.at[row])), dtype=np.intp)


def list_given(judged: JudgedCases, row: int) -> list[tuple[str, float]]:
    """The rules that gave a person points, and how many, the most first."""
    points = judged.points[row]
    order = np.argsort(-np.abs(points), kind="stable")
    return [(judged.rules[place], points[place].item() / 100) for place in order.tolist() if points[place]]


def list_lacked(judged: JudgedCases, row: int, typical: NDArray[np.intp], most: int) -> list[str]:
    """Of some rules (`typical`: their places) the first ones that gave a person nothing."""
    return [judged.rules[place] for place in typical.tolist() if not judged.points[row, place]][:most]


def find_typical(judged: JudgedCases, won_rates: NDArray[np.float64]) -> NDArray[np.intp]:
    """Places of the rules that give points, those first that most of the won have (`won_rates`, one a rule)."""
    gives = np.array([rule.points > 0 for rule in judged.model.rules()], dtype=bool)
    order = np.argsort(-won_rates, kind="stable")
    typical: NDArray[np.intp] = order[gives[order]]
    return typical


class SuggestedLine(NamedTuple):
    """A line by which three of four won people would have been handed over: `score`, and of how many it is.

    `as_of` is `hand_off`, or `judgement` where nobody was handed over.
    """

    score: float
    people: int
    as_of: Literal["hand_off", "judgement"]


def suggest_line(judged: JudgedCases) -> SuggestedLine | None:
    """The lower quartile of the scores of the won as they were handed over, or judged where nobody was handed over."""
    handed = judged.won & (judged.handed_off != NEVER)
    is_known = bool(handed.any())
    theirs = judged.total[handed if is_known else judged.won]
    if not len(theirs):
        return None
    return SuggestedLine(float(np.percentile(theirs, 25)) / 100, len(theirs), "hand_off" if is_known else "judgement")
