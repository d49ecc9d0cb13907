"""How fast scores are held against outcomes, and in how much memory, beside scoring alone in the same run.

    python -m benchmarks.evaluation                     # a million people, twenty million activities
    python -m benchmarks.evaluation --people 100000     # smaller

People are made some at a time, so that none of the memory is theirs: whoever is judged is forgotten but for the
columns that the measures need. The model is that of `scoring.py`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from benchmarks.scoring import NOW, columns, memory, model, say
from crmsync.config import Config, config_class
from crmsync.evaluation.cases import LOST, NEVER, OPEN, WON, Cases, join_judged, judge_cases
from crmsync.evaluation.timing import find_last_activity
from crmsync.reporting.evaluate import Evaluation, evaluate_document
from crmsync.scoring import score

AT_ONCE = 50_000
DAY = 86_400
SOURCES = [f"Source {number}" for number in range(12)]
CAMPAIGNS = [f"Campaign {number}" for number in range(400)]
REPS = [f"rep{number}@acme.example" for number in range(40)]


def config() -> Config:
    """The model of `scoring.py` with a line."""
    of = model()
    fields = {name: {"hubspot": name} for name in ("title", "employees", "industry")}
    tables = {name: getattr(of, name) for name in ("fit", "behavior", "bands", "channels")}
    return config_class()(**tables, fields=fields, sla={"within": "4h"}, hubspot={})


def parts(of: Config, people: int) -> Iterator[Cases]:
    """People some at a time, won the more often the higher they score."""
    for number, start in enumerate(range(0, people, AT_ONCE)):
        count = min(AT_ONCE, people - start)
        known, random = columns(count, seed=number), np.random.default_rng(number)
        at = int(NOW.timestamp()) - random.integers(0, 700 * DAY, count)
        hope = random.normal(-2.0, 1.0, count)
        outcome = np.where(random.random(count) < 1 / (1 + np.exp(-hope)), WON, LOST)
        outcome[random.random(count) < 0.1] = OPEN
        handed = np.where(random.random(count) < 0.3, at, NEVER)
        accepted = np.where((handed != NEVER) & (random.random(count) < 0.4), at + DAY, NEVER)
        yield Cases(
            columns=known,
            at=at,
            came=at - random.integers(0, 100 * DAY, count),
            outcome=outcome.astype(np.int8),
            outcome_at=np.where(outcome == OPEN, NEVER, at + 60 * DAY),
            value=np.full(count, np.nan),
            milestones={
                "mql": handed,
                "accepted": accepted,
                "opportunity": np.where(random.random(count) < 0.5, accepted, NEVER),
            },
            touched=np.where(handed != NEVER, handed + random.integers(60, 3 * DAY, count), NEVER),
            handed_off=handed,
            scored_then=np.zeros(count, dtype=np.int64),
            groups={
                name: [labels[each] for each in random.integers(0, len(labels), count).tolist()]
                for name, labels in (("source", SOURCES), ("campaign", CAMPAIGNS), ("rep", REPS))
            },
            names=[f"person {start + each}" for each in range(count)],
        )


def main() -> None:
    """Judge, measure, and score alone."""
    parser = argparse.ArgumentParser(description="How fast scores are held against outcomes.")
    parser.add_argument("--people", type=int, default=1_000_000)
    given = parser.parse_args()
    of = config()
    judged, last, judging, scoring = [], [], 0.0, 0.0
    for cases in parts(of, given.people):
        start = time.perf_counter()
        judged.append(judge_cases(of, cases, UTC))
        last.append(find_last_activity(cases))
        judging += time.perf_counter() - start
        start = time.perf_counter()
        score(of, cases.columns, NOW, UTC)
        scoring += time.perf_counter() - start
    start = time.perf_counter()
    whole = join_judged(judged)
    judged.clear()
    found = Evaluation(of, whole, int(datetime.now(UTC).timestamp()), np.concatenate(last))
    document = evaluate_document(found, "campaign")
    measuring = time.perf_counter() - start
    say(document["verdict"])
    say(f"{given.people:,} people, {len(of.rules())} rules, {len(document['groups'])} groups")
    say(f"scoring alone    {scoring:7.2f} s")
    say(f"judging          {judging:7.2f} s  {judging / scoring:5.2f} × scoring")
    say(f"measuring        {measuring:7.2f} s  {measuring / scoring:5.2f} × scoring")
    say(f"both             {judging + measuring:7.2f} s  {(judging + measuring) / scoring:5.2f} × scoring")
    say(f"peak memory      {memory():7,.0f} MB")


if __name__ == "__main__":
    main()
