"""Whether the instants at which people were judged tell the won from the lost by themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.cases import NEVER, Cases, JudgedCases
from crmsync.evaluation.metrics import ENOUGH, measure_auc, measure_auc_interval, tally_scores
from crmsync.scoring.calendar import DAY

TELLING = 0.1
"""How far from one half the AUC of a gap may be without a warning."""


class Gap(NamedTuple):
    """Days (medians) between something and the judgement, and the AUC that the gap alone has, the long one higher.

    `auc_within` is that of the score among pairs whose gaps are about the same; `None` where there are too few.
    """

    since: str
    won_days: float
    lost_days: float
    auc: float
    is_telling: bool
    auc_within: float | None


def find_last_activity(cases: Cases) -> NDArray[np.int64]:
    """The last activity of each person (n,) up to when they are judged, or `NEVER`."""
    columns, last = cases.columns, np.full(len(cases.at), NEVER, dtype=np.int64)
    before = columns.at <= cases.at[columns.person]
    last[columns.person[before]] = columns.at[before]  # ascending, and of several the last one stays
    return last


def measure_gaps(judged: JudgedCases, last: NDArray[np.int64]) -> list[Gap]:
    """The gaps from arrival, and from the last activity (`last`, n), to the judgement; none with too few outcomes."""
    starts = {"arrival": judged.came, "last activity": last}
    found = (_measure_gap(name, judged, start) for name, start in starts.items())
    return [each for each in found if each is not None]


def _measure_gap(name: str, judged: JudgedCases, start: NDArray[np.int64]) -> Gap | None:
    which = judged.closed & (start != NEVER)
    # By days: a second between two of them tells nothing that a score could use.
    days, won = np.maximum(judged.at[which] - start[which], 0) // DAY, judged.won[which]
    if min(int(won.sum()), int((~won).sum())) < ENOUGH:
        return None
    of = tally_scores(days, won)
    auc, interval = measure_auc(of), measure_auc_interval(of)
    if auc is None:
        return None
    is_sure = interval is None or not interval[0] <= 0.5 <= interval[1]
    is_telling = abs(auc - 0.5) >= TELLING and is_sure
    within = _measure_within(judged.total[which], won, np.log2(days + 1).astype(np.int64))
    return Gap(name, float(np.median(days[won])), float(np.median(days[~won])), auc, is_telling, within)


def _measure_within(total: NDArray[np.int64], won: NDArray[np.bool_], stratum: NDArray[np.int64]) -> float | None:
    """The AUC over pairs of one stratum (0 and up)."""
    right = pairs = 0.0
    for number in np.unique(stratum).tolist():
        of = tally_scores(total[stratum == number], won[stratum == number])
        auc, weight = measure_auc(of), float(of.won.sum() * of.lost.sum())
        if auc is not None:
            right, pairs = right + auc * weight, pairs + weight
    return right / pairs if pairs >= ENOUGH * ENOUGH else None
