"""A month of a worker: how its state, its memory and its calls grow from day to day.

    python -P benchmarks/month.py                       # 100,000 people, 30 days: half an hour
    python -P benchmarks/month.py --people 2000 --days 5
    python -P benchmarks/month.py --record              # and write docs/performance.md by it

Each day one person in a hundred does something, in four runs, and midnight lets everybody's activities grow older. The
CRM answers from memory; its calls are counted as HubSpot would count them: 100 records in one to write and to read.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np

from benchmarks.budgets import Days, record_month
from benchmarks.runs import NOON, Crowd, begin_peak, peak_memory, settings_of
from crmsync.cli import GARBAGE
from crmsync.cycle import run_cycle
from crmsync.store.database import open_store
from crmsync.work import Work

ACTING = 0.01
"""Which share of the people does something on a day."""

HOURS = 1, 7, 13, 19
"""When the runs of a day are, the first of them after midnight."""

CALL = 100
"""Records in one call."""


def play(people: int, days: int, every: int) -> list[Days]:
    """Print and return for each so many days what the state holds by then, and what the days since cost."""
    with tempfile.TemporaryDirectory() as folder:
        url, crowd = f"sqlite:///{folder}/bench.db", Crowd(people, 4_000)
        store, random = open_store(url), np.random.default_rng(3)
        work = Work(settings_of(url), store, {"hubspot": crowd}, NOON)
        start, rows = NOON.replace(hour=0) + timedelta(days=1), list[Days]()
        print(
            f"{'day':>4} {'state MB':>9} {'peak MB':>8} {'CPU s a day':>12} {'written a day':>14} {'calls a day':>12}"
        )
        begin_peak()
        begun, written, calls, since = time.process_time() - crowd.seconds, 0, 0, 0
        for day in range(days + 1):
            for hour in HOURS:
                now = start + timedelta(days=day, hours=hour)
                crowd.happens(
                    random.choice(people, max(1, int(people * ACTING / len(HOURS))), replace=False).tolist(), now
                )
                read = -(-len(crowd.fresh) // CALL) + 1
                done = run_cycle(work._replace(now=now)).as_json()
                assert done["verdict"] == "ok", done
                updated = done["crms"]["hubspot"]["updated"]
                written += updated
                calls += read + -(-updated // CALL)
            if day % every == 0:
                spent, length = time.process_time() - crowd.seconds, max(1, day - since)
                size = sum(each.stat().st_size for each in Path(folder).glob("bench.db*")) / 2**20
                it = Days(day, size, peak_memory(), (spent - begun) / length, written // length, calls // length)
                print(
                    f"{it.day:>4} {it.state:>9,.0f} {it.memory:>8,.0f} {it.seconds:>12,.1f} {it.written:>14,} "
                    f"{it.calls:>12,}",
                    flush=True,
                )
                rows.append(it)
                begin_peak()
                begun, written, calls, since = spent, 0, 0, day
        store.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    gc.set_threshold(*GARBAGE)
    rows = play(given.people, max(2 * given.every, given.days), given.every)
    growth = (rows[-1].state - rows[1].state) / (rows[-1].day - rows[1].day)
    print(f"A day adds {growth:,.1f} MB to the state.")
    if given.record:
        record_month(given.people, rows)


if __name__ == "__main__":
    main()
