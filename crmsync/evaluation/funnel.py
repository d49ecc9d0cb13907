"""The funnel by the month in which people came: MQL, accepted, opportunity, won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.cases import NEVER, Group, JudgedCases
from crmsync.evaluation.months import group_months
from crmsync.evaluation.proportions import divide_counts
from crmsync.evaluation.speed import measure_cycle

STEPS = ("mql", "accepted", "opportunity")
"""The steps before won."""

Definition = tuple[int, str]
"""When a definition changed (seconds since 1970), and what."""


class FunnelRow(NamedTuple):
    """People of a month, or all: each step has those who took all the ones before it that are known.

    A rate is that of a step in the one before. `won_without`: won, but not by these steps. `changed` says which
    definitions changed within it. What nobody can know is `None`.
    """

    name: str
    people: int
    mql: int
    accepted: int | None
    opportunity: int | None
    won: int
    open: int
    won_without: int
    accepted_rate: float | None
    opportunity_rate: float | None
    won_rate: float | None
    mql_won_rate: float | None
    changed: list[str]


def find_mqls(judged: JudgedCases, above: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Who was an MQL: by what happened where that is known, else by the score."""
    if "mql" not in judged.milestones:
        return above
    reached: NDArray[np.bool_] = judged.milestones["mql"] != NEVER
    return reached


def measure_funnel(
    judged: JudgedCases, above: NDArray[np.bool_], definitions: Sequence[Definition], zone: tzinfo
) -> tuple[FunnelRow, list[FunnelRow]]:
    """Of all, and by the month in which they came, the first one first."""
    reached = {"mql": find_mqls(judged, above)}
    for name in STEPS[1:]:
        if name in judged.milestones:
            reached[name] = (judged.milestones[name] != NEVER) & reached[list(reached)[-1]]
    reached["won"] = judged.won & reached[list(reached)[-1]]
    others = {"open": ~judged.closed, "closed": judged.closed & reached["mql"], "all_won": judged.won}
    months = group_months(judged.came, zone)
    counts = {name: np.bincount(months.codes[each], minlength=len(months.labels)) for name, each in reached.items()}
    counts |= {name: np.bincount(months.codes[each], minlength=len(months.labels)) for name, each in others.items()}
    counts["people"] = np.bincount(months.codes, minlength=len(months.labels))
    counts["mql_won"] = np.bincount(months.codes[judged.won & reached["mql"]], minlength=len(months.labels))
    changed = _find_changes(judged, months, definitions)
    rows = [
        _count_row(label, {name: int(each[place]) for name, each in counts.items()}, changed[place])
        for place, label in enumerate(months.labels)
    ]
    first, last = (int(judged.at.min()), int(judged.at.max())) if len(judged) else (0, 0)
    within = [what for at, what in definitions if first < at <= last]
    return _count_row("all", {name: int(each.sum()) for name, each in counts.items()}, within), rows


def _find_changes(judged: JudgedCases, months: Group, definitions: Sequence[Definition]) -> list[list[str]]:
    """For each month the changes after the first and up to the last instant at which its people were judged."""
    first = np.full(len(months.labels), np.iinfo(np.int64).max)
    last = np.full(len(months.labels), np.iinfo(np.int64).min)
    np.minimum.at(first, months.codes, judged.at)
    np.maximum.at(last, months.codes, judged.at)
    spans = zip(first.tolist(), last.tolist(), strict=True)
    return [[what for at, what in definitions if low < at <= high] for low, high in spans]


def _count_row(name: str, of: Mapping[str, int], changed: list[str]) -> FunnelRow:
    steps = [step for step in (*STEPS, "won") if step in of]
    rates = {step: divide_counts(of[step], of[before]) for before, step in pairwise(steps)}
    is_known = "accepted" in of and "opportunity" in of
    return FunnelRow(
        name=name,
        people=of["people"],
        mql=of["mql"],
        accepted=of.get("accepted"),
        opportunity=of.get("opportunity"),
        won=of["won"],
        open=of["open"],
        won_without=of["all_won"] - of["won"],
        accepted_rate=rates.get("accepted"),
        opportunity_rate=rates.get("opportunity") if is_known else None,
        won_rate=rates.get("won") if is_known else None,
        mql_won_rate=divide_counts(of["mql_won"], of["closed"]),
        changed=changed,
    )


def measure_steps(judged: JudgedCases) -> dict[str, float | None]:
    """The median of the days from each step to the next, of those who took both."""
    at = {name: judged.milestones[name] for name in STEPS if name in judged.milestones}
    at["won"] = np.where(judged.won, judged.outcome_at, NEVER)
    everybody, names = np.ones(len(judged), dtype=bool), list(at)
    return {
        after: measure_cycle(at[before], at[after], everybody & (at[after] >= at[before])).median_days
        for before, after in pairwise(names)
    }
