"""How soon the drift alarm fires after a real change, and how often without one, on worlds whose truth is known.

    python benchmarks/drift.py                   # 100 worlds of each kind
    python benchmarks/drift.py --worlds 20       # fewer
    python benchmarks/drift.py --kinds grown     # only some

`made`: two years of people each, with a season. `change`: conversion is halved three months before the end; `season`:
it is not. An alarm is in time when it fires within 30 days, in the time of the people who are judged: what comes of
them takes as long as it takes. `grown` worlds are of leadforge (`pip install leadforge`): 15 months of a single one,
and 12 months of one glued to three of another one with half the conversion. A false alarm is any alert about a rate,
on any day.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from crmsync.evaluation.cases import LOST, JudgedCases
from crmsync.scoring.calendar import DAY
from tests.support.drift import drift_of, judged_of, world_of
from tests.support.outcomes import CARD, MONTH
from tests.support.scoring import NOW

RATES = ("conversion", "range")
SIZES = ((100, 0.5), (100, 0.3), (200, 0.3), (300, 0.3), (600, 0.1))
"""People a month, and which share of them is won."""


def made_worlds(worlds: int, a_month: int, rate: float) -> Iterator[tuple[JudgedCases, datetime]]:
    """Worlds of `tests/support/outcomes.py`."""
    for seed in range(worlds):
        yield world_of(a_month * 25, seed, CARD, base_rate=rate), NOW - 3 * MONTH


def halve_worlds(worlds: Iterator[tuple[JudgedCases, datetime]]) -> Iterator[tuple[JudgedCases, datetime]]:
    """The same worlds, in which every other one of those who would have been won from a day on is lost."""
    for seed, (judged, change) in enumerate(worlds):
        spoiled = (judged.at >= change.timestamp()) & (np.random.default_rng(seed).random(len(judged)) < 0.5)
        outcome = np.where(spoiled & judged.won, LOST, judged.outcome).astype(np.int8)
        yield replace(judged, outcome=outcome), change


def grown_worlds(seeds: Sequence[int]) -> Iterator[tuple[JudgedCases, JudgedCases, datetime]]:
    """Worlds of leadforge: 15 months of one with 160 people a month, and 12 months with 200 of it and then 3 of another
    one; and when the other one begins.
    """
    change = NOW - 91 * timedelta(days=1)
    begin = int(change.timestamp()) - 365 * DAY
    for seed in seeds:
        rng = np.random.default_rng(seed)
        (won, score, took), other = leads_of(seed, 2_400, "intro"), leads_of(seed + 10_000, 600, "intermediate")
        single = judged_of(begin + rng.integers(0, 456 * DAY, len(won)), score, won, took)
        at = [begin + rng.integers(0, 365 * DAY, len(won)), begin + rng.integers(365 * DAY, 456 * DAY, len(other[0]))]
        both = (np.concatenate(each) for each in zip((score, won, took), (other[1], other[0], other[2]), strict=True))
        yield single, judged_of(np.concatenate(at), *both), change


def leads_of(seed: int, count: int, difficulty: str) -> tuple[Any, Any, Any]:
    """Leads of a world two weeks after each came: who was won (later than that), a score by hand, and how long it took.

    What they did is scored by a plain card, so that the score is about as good as a first one is.
    """
    from leadforge.api.generator import Generator

    made = Generator.from_recipe(
        "b2b_saas_procurement_v1",
        seed=seed,
        exposure_mode="research_instructor",
        difficulty=difficulty,
        n_leads=count,
        n_accounts=count // 3,
        n_contacts=count * 3 // 4,
    ).generate()
    people, run = made.population, made.simulation_result
    place = {each.lead_id: number for number, each in enumerate(run.leads)}
    came = [date.fromisoformat(each.lead_created_at[:10]) for each in run.leads]
    score = np.zeros(len(place))
    for each in run.sessions:
        row = place[each.lead_id]
        if (date.fromisoformat(each.session_timestamp[:10]) - came[row]).days <= 14:
            score[row] += 3 + 4 * each.pricing_page_views + 4 * each.demo_page_views
    score = np.minimum(score, 60)
    seniority = {each.contact_id: each.seniority for each in people.contacts}
    points = {"c_suite": 20, "vp": 15, "director": 10, "manager": 5}
    score += [points.get(seniority[each.contact_id], 0) for each in run.leads]
    won = np.array([each.converted_within_90_days for each in run.leads])
    ends = {each.lead_id: each.closed_at for each in run.opportunities if each.closed_at}
    took = np.full(len(place), 90 * DAY)
    for lead, end in ends.items():
        took[place[lead]] = max((date.fromisoformat(end[:10]) - came[place[lead]]).days - 14, 1) * DAY
    return won, score, took


def measure(name: str, worlds: Iterator[tuple[JudgedCases, datetime]], changed: bool) -> None:
    """Print how many worlds had an alarm in time, and how many one without a reason."""
    begun, many, in_time, false, days = time.perf_counter(), 0, 0, 0, []
    for judged, change in worlds:
        many += 1
        now = int((NOW + timedelta(days=100)).timestamp())
        alerts = [each for each in drift_of(judged, now)["alerts"] if each["what"] in RATES]
        fired = [date.fromisoformat(each["fired"]) for each in alerts if each["fired"]]
        after = [(each - change.date()).days for each in fired if each >= change.date()]
        in_time += bool(after) and min(after) <= 30
        days += [min(after)] if after else []
        false += any(each < change.date() for each in fired) if changed else bool(alerts)
    middle = f", in the middle {int(np.median(days))} days after the change" if changed and days else ""
    hits = f"alarm within 30 days {in_time / many:.0%}{middle}; " if changed else ""
    print(
        f"{name}: {hits}false alarms {false / many:.0%} of {many} worlds ({time.perf_counter() - begun:.0f} s)",
        flush=True,
    )


def main() -> None:
    """Measure the kinds of worlds that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", default=["made", "grown"])
    parser.add_argument("--first", type=int, default=0, help="the seed of the first world of leadforge")
    asked = parser.parse_args()
    if "made" in asked.kinds:
        for a_month, rate in SIZES:
            name, worlds = f"{a_month:,} closed a month, {rate:.0%} won", list(made_worlds(asked.worlds, a_month, rate))
            measure(f"season, {name}", iter(worlds), False)
            measure(f"change, {name}", halve_worlds(iter(worlds)), True)
    if "grown" in asked.kinds:
        grown = list(grown_worlds(range(asked.first, asked.first + asked.worlds)))
        measure("single", ((single, change) for single, _glued, change in grown), False)
        measure("glued", ((glued, change) for _single, glued, change in grown), True)


if __name__ == "__main__":
    main()
