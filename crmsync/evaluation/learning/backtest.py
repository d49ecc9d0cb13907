"""The learned card against today's on the later people, and whether that is reason enough to change it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from crmsync.counts import count_of
from crmsync.evaluation.calibration import compare_briers, divide_by_expected, measure_brier
from crmsync.evaluation.cases import JudgedCases
from crmsync.evaluation.learning.learn import Periods
from crmsync.evaluation.learning.regression import fit_line
from crmsync.evaluation.logistic import Curve
from crmsync.evaluation.metrics import Ranking, compare_rankings
from crmsync.evaluation.proportions import Interval

ANOTHER_WORLD = (0.67, 1.5)
"""Observed ÷ expected outside of these, and not by chance: what held in the earlier period does not in the later."""

CALIBRATED = (0.9, 1.1)
"""Observed ÷ expected that a card needs which is better only in its probabilities."""

NO_WORSE = -0.005
"""What such a card may lose in AUC."""


class BackTest(NamedTuple):
    """On the later people: `ranking`, the Brier scores and what is gained, observed ÷ expected of the learned card.

    `calibration` turns the learned card's points into log-odds.
    """

    ranking: Ranking
    brier_now: float
    brier_learned: float
    brier_gain: Interval
    observed_expected: Interval
    calibration: Curve
    people: int
    won: int


class Verdict(NamedTuple):
    """Whether the learned card is better, and why, in sentences."""

    verdict: Literal["better", "no_better", "not_enough"]
    why: str


def run_back_test(now: JudgedCases, learned: JudgedCases, periods: Periods) -> BackTest:
    """Both cards on the later people; their probabilities come from the earlier ones."""
    won = now.won
    before, after = periods.early, periods.late
    totals = [each.total.astype(np.float64) / 100 for each in (now, learned)]
    lines = [fit_line(each[before], won[before]) for each in totals]
    chances = [line.chances(each[after]) for line, each in zip(lines, totals, strict=True)]
    late = won[after]
    return BackTest(
        compare_rankings(totals[0][after], totals[1][after], late),
        measure_brier(chances[0], late),
        measure_brier(chances[1], late),
        compare_briers(chances[0], chances[1], late),
        divide_by_expected(chances[1], late),
        lines[1],
        len(late),
        int(late.sum()),
    )


def judge_back_test(test: BackTest) -> Verdict:
    """Whether to change the card: only with confidence."""
    ranking, ratio = test.ranking, test.observed_expected
    areas = f"AUC {ranking.now.value:.3f} → {ranking.learned.value:.3f}"
    gain = f"{ranking.gain.value:+.3f}, 95 % interval {ranking.gain.low:+.3f} to {ranking.gain.high:+.3f}"
    low, high = ANOTHER_WORLD
    if not low <= ratio.value <= high and not ratio.low <= 1 <= ratio.high:
        return Verdict(
            "no_better",
            f"The later period is another world: {test.won:,} of its {count_of(test.people, 'person')} were won, "
            f"{ratio.value:.2f} times what the earlier period lets expect. What was learned there need not hold now; "
            f"on the later period: {areas}.",
        )
    if ranking.learned.low <= 0.5:
        return Verdict(
            "no_better",
            f"The learned card cannot tell won from lost: {areas} on the later period, where 0.5 is chance.",
        )
    if ranking.gain.low > 0:
        return Verdict("better", f"The learned card ranks the later people better: {areas} ({gain}).")
    close, far = CALIBRATED
    if test.brier_gain.low > 0 and close <= ratio.value <= far and ranking.gain.value >= NO_WORSE:
        return Verdict(
            "better",
            f"The learned card says better how likely the later people are won: Brier score {test.brier_now:.4f} → "
            f"{test.brier_learned:.4f}; {areas} ({gain}).",
        )
    return Verdict(
        "no_better",
        f"The learned card is no better than yours with confidence: {areas} on the later period ({gain}).",
    )
