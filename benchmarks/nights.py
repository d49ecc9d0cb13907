"""What time alone costs: whom each midnight touches, whose score it changes and whose it writes, by `[write] at_least`.

    python -P benchmarks/nights.py                          # 20,000 people, 30 nights
    python -P benchmarks/nights.py --people 2000 --nights 5 --least 0 2

Nobody does anything new: nine rules of behavior halve every 20 to 45 days. The CRM answers from memory. `calls` are
those of HubSpot for 1,000,000 people a night, which takes 100 records in one; `in the end` is by how many points the
CRM's scores are wrong after the last night, on average and at most.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tomllib
from datetime import timedelta

import numpy as np
from sqlalchemy import func, select

from benchmarks.runs import KINDS, NOON, TABLES, Crowd
from crmsync.config import Config, config_class
from crmsync.cycle import run_cycle
from crmsync.store.database import Store, open_store
from crmsync.store.schema import person
from crmsync.work import Work

HALF_LIVES = (20, 23, 26, 29, 32, 35, 38, 41, 45)
POINTS = (25, 15, 10, 8, 5, 5, 3, 20, 12)
CALL = 100
"""Records that HubSpot takes in one call."""


def settings_of(url: str, least: float | str) -> Config:
    """Rules that fade, and bands far enough from each other."""
    rules = [
        {"name": f"rule {number}", "points": points, "on": KINDS[number % len(KINDS)], "where": {}, "cap": 40,
         "window": "180d", "decay": {"half_life": f"{days}d"}}
        for number, (points, days) in enumerate(zip(POINTS, HALF_LIVES, strict=True))
    ]  # fmt: skip
    bands = {"cold": 0, "warm": 25, "hot": 60}
    tables = {**tomllib.loads(TABLES), "behavior": rules, "bands": bands, "state": {"url": url}}
    # Nothing new comes from any source, and none is to count as dead.
    tables |= {"feeds": dict.fromkeys(KINDS, "0d"), "write": {**tables["write"], "at_least": least}}
    return config_class()(**tables)


class FewActs(Crowd):
    """A crowd of whom each did three or so things."""

    def __init__(self, people: int) -> None:
        super().__init__(people, 400)
        self.person, self.age, self.fact = (each[: 3 * people] for each in (self.person, self.age, self.fact))


def count_touched(store: Store, at: int) -> int:
    """How many people are to be scored at an instant."""
    with store.read() as reading:
        return reading.scalar(select(func.count()).select_from(person).where(person.c.due <= at)) or 0


def count_changed(store: Store, run: str) -> int:
    """How many people's scores a run made other ones."""
    with store.read() as reading:
        return reading.scalar(select(func.count()).select_from(person).where(person.c.scored_run == run)) or 0


def find_errors(store: Store, crowd: Crowd) -> tuple[float, float]:
    """By how many points the scores in the CRM are wrong, on average and at most."""
    with store.read() as reading:
        exact = {row.id: row.total / 100 for row in reading.execute(select(person.c.id, person.c.total))}
    held = [json.loads(text)["score"] for (text,) in crowd.held.execute("SELECT current FROM held ORDER BY id")]
    off = np.abs(np.array([exact[each] for each in sorted(exact)]) - np.array(held))
    return float(off.mean()), float(off.max())


def measure(people: int, nights: int, least: float | str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url, crowd = f"sqlite:///{folder}/bench.db", FewActs(people)
        settings, store = settings_of(url, least), open_store(url)
        work = Work(settings, store, {"hubspot": crowd}, NOON)
        for minutes in (0, 15):
            run_cycle(work._replace(now=NOON + timedelta(minutes=minutes)))
        sums, seconds = np.zeros(3), 0.0
        for night in range(nights):
            now = NOON + timedelta(days=night, hours=12, minutes=1)
            crowd.fresh = []
            touched, own, begun = count_touched(store, int(now.timestamp())), crowd.seconds, time.process_time()
            result = run_cycle(work._replace(now=now))
            seconds += time.process_time() - begun - (crowd.seconds - own)
            sums += (touched, count_changed(store, result.run), result.crms["hubspot"].updated)
        touched, changed, written = (sums / nights / people).tolist()
        mean, most = find_errors(store, crowd)
        said = least if isinstance(least, str) else f"{least:g}"
        print(
            f"at_least {said:>4}: a night touches {touched:6.1%}, changes {changed:6.1%}, writes {written:6.1%} "
            f"of the people ({written * 1_000_000 / CALL:,.0f} calls), {seconds / nights / people * 1e6:.0f} µs each; "
            f"in the end off by {mean:.2f}, at most {most:g}",
            flush=True,
        )
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--least", nargs="*", default=["0", "2", "5", "10%"])
    given = parser.parse_args()
    for least in given.least:
        measure(given.people, given.nights, least if "%" in least else float(least))


if __name__ == "__main__":
    main()
