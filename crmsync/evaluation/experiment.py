"""An experiment: how the arms did, and whether one is better, told when it is due and not before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.config.experiment import PREFIX, Experiment
from crmsync.config.model import Model
from crmsync.evaluation.cases import NEVER, OPEN, WON, Cases, JudgedCases
from crmsync.evaluation.proportions import compare_rates
from crmsync.scoring.arms import find_arms, find_period

ALPHA = 0.05
"""How often two equal arms may be told apart."""

MEETINGS = ("meeting_booked", "meeting_held")
"""Activities that are a meeting."""


class ArmPeople(NamedTuple):
    """Some people of an experiment: `arm` (n,) is the number of each one's, -1 for none; `came` in seconds.

    `hit` (n,): who came to the metric. `due` (n,): of whom that is known by now. `reached` (n,): who was handed over
    or had the points for it. `measured` is false where nobody can know the metric.
    """

    arm: NDArray[np.int64]
    came: NDArray[np.int64]
    hit: NDArray[np.bool_]
    due: NDArray[np.bool_]
    reached: NDArray[np.bool_]
    measured: bool = True


class Arm(NamedTuple):
    """An arm: everybody `assigned` to it, those who are counted (`people`), and those of them who came to the metric.

    With lines, those are counted who reached the line of their arm.
    """

    name: str
    assigned: int
    assigned_hits: int
    people: int
    hits: int


class ArmComparison(NamedTuple):
    """The arms; `verdict` is `not_enough`, `no_difference`, or the name of the better arm."""

    verdict: str
    arms: Sequence[Arm]
    z: float | None
    p: float | None
    before: int
    washed_out: int
    open: int
    measured: bool


def read_arm_people(
    name: str,
    experiment: Experiment,
    model: Model,
    cases: Cases,
    judged: JudgedCases,
    line: str | None,
    zone: tzinfo,
    now: int,
    horizon: int,
) -> ArmPeople:
    """Some cases as people of an experiment; `now` and `horizon` are in seconds."""
    fields = cases.columns.fields
    arms = fields.get(f"{PREFIX}{name}")
    if arms is None:
        keys = [str(email or "") for email in fields.get("email", [None] * len(cases.at))]
        arms = find_arms(name, experiment, keys, cases.came.tolist(), zone)
    numbers = {arm: number for number, arm in enumerate(experiment.arms)}
    hit = _find_hits(experiment.metric, cases)
    names = model.band_names()
    reached = cases.handed_off != NEVER
    if line in names:
        reached = reached | (judged.band >= names.index(line))
    due = (cases.outcome != OPEN) | (cases.at + horizon <= now)
    return ArmPeople(
        np.array([numbers.get(str(each), -1) for each in arms], dtype=np.int64),
        cases.came,
        np.zeros(len(cases.at), dtype=bool) if hit is None else hit,
        due if hit is None else due | hit,
        reached,
        hit is not None,
    )


def _find_hits(metric: str, cases: Cases) -> NDArray[np.bool_] | None:
    """Who came to the metric; `None` where nobody can know."""
    if metric == "won":
        return np.asarray(cases.outcome == WON)
    if metric == "meeting":
        columns = cases.columns
        kinds = np.array([each.kind in MEETINGS for each in columns.facts], dtype=bool)
        later = columns.at >= cases.came[columns.person]
        met = np.zeros(len(cases.at), dtype=bool)
        if len(kinds):
            met[columns.person[kinds[columns.fact] & later]] = True
        return met
    reached = cases.milestones.get(metric)
    return None if reached is None else np.asarray(reached != NEVER)


def compare_arms(experiment: Experiment, parts: Sequence[ArmPeople], zone: tzinfo, now: int) -> ArmComparison:
    """The arms of an experiment; which is better is told once it is as large as declared, or over."""
    begin, end = find_period(experiment, zone)
    counted_from = begin + int(experiment.wash_out.total_seconds())
    names = list(experiment.arms)
    assigned, assigned_hits, people, hits = (np.zeros(len(names), dtype=np.int64) for _ in range(4))
    before = washed_out = still_open = 0
    for part in parts:
        inside = part.arm >= 0
        before += int((~inside).sum())
        washed = inside & (part.came < counted_from)
        washed_out += int(washed.sum())
        still_open += int((inside & ~washed & ~part.due).sum())
        there = inside & ~washed & part.due
        counted = there & part.reached if experiment.has_lines else there
        for number in range(len(names)):
            mine = part.arm == number
            assigned[number] += int((there & mine).sum())
            assigned_hits[number] += int((there & mine & part.hit).sum())
            people[number] += int((counted & mine).sum())
            hits[number] += int((counted & mine & part.hit).sum())
    numbers = (each.tolist() for each in (assigned, assigned_hits, people, hits))
    arms = [Arm(*each) for each in zip(names, *numbers, strict=True)]
    measured = all(part.measured for part in parts)
    ripe = experiment.size is not None and all(each.people >= experiment.size for each in arms)
    over = experiment.until is not None and now >= end and not still_open
    told = judge_arms(arms) if measured and (ripe or over) else ("not_enough", None, None)
    return ArmComparison(told[0], arms, told[1], told[2], before, washed_out, still_open, measured)


def judge_arms(arms: Sequence[Arm]) -> tuple[str, float | None, float | None]:
    """The verdict, `z` and `p` of two arms or more: of two the second against the first.

    Of more, the best against the first (the first against the next best, where it is the best itself); `p` is then
    multiplied by the number of pairs that could have been looked at.
    """
    ranked = sorted(arms, key=lambda each: -each.hits / each.people if each.people else 0)
    first, other = arms[0], arms[1]
    if len(arms) > 2:
        other = ranked[0] if ranked[0] is not first else ranked[1]
    compared = compare_rates(other.hits, other.people, first.hits, first.people)
    if compared is None:
        return "no_difference" if min(first.people, other.people) else "not_enough", None, None
    p = min(1.0, compared.p * len(arms) * (len(arms) - 1) / 2)
    better = other.name if compared.z > 0 else first.name
    return better if p < ALPHA else "no_difference", compared.z, p
