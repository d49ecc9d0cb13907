"""What runs may cost, and docs/performance.md: each budget with its last measurement.

python -P benchmarks/runs.py --record --people 10000 100000     # measures, and writes the page
python -P benchmarks/month.py --record                          # a month, which takes half an hour
python -P benchmarks/budgets.py                                 # writes the page by the figures that there are
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

FIGURES = Path(__file__).parent / "figures.json"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

FIRST_PULL, FIRST_PLAN = "first run: pull with storing", "first run: score, plan, apply"
READ_BACK, IDLE, ACTED = "run that reads back what was written", "idle run", "run after 1,000 people acted"
MIDNIGHT, STATUS, ON_DISK = "midnight", "status", "state on disk, bytes an activity"


class Budget(NamedTuple):
    """What a step may cost with a million people and 20 million activities: CPU seconds, and MB of memory at its peak.

    Of the state on disk it is bytes. `grows` says whether the cost may grow with the people that there are.
    """

    step: str
    limit: float
    memory: float | None
    grows: bool


BUDGETS = (
    Budget(FIRST_PULL, 210, 800, grows=True),
    Budget(FIRST_PLAN, 90, 800, grows=True),
    Budget(IDLE, 0.1, None, grows=False),
    Budget(ACTED, 0.5, None, grows=False),
    Budget(MIDNIGHT, 20, 800, grows=True),
    Budget(STATUS, 0.3, None, grows=False),
    Budget(ON_DISK, 150, None, grows=False),
)
MILLION = 1_000_000

CALLS, BATCH = 19, 100
"""Calls that HubSpot takes in a second of an app with its largest limit, and records in one of them."""


class Figure(NamedTuple):
    """What a step cost: CPU seconds (of the state on disk bytes), MB of memory at its peak, and the records written."""

    cost: float
    memory: float = 0
    written: int = 0


class Days(NamedTuple):
    """What the state was (MB) on a day of the month, and what the days since the row before took, each on average."""

    day: int
    state: float
    memory: float
    seconds: float
    written: int
    calls: int


def record_runs(people: int, facts: int, figures: Mapping[str, Figure]) -> None:
    """Keep the figures of so many people, and write the page anew."""
    rounded = {name: [round(it.cost, 3), round(it.memory), it.written] for name, it in figures.items()}
    _record({"runs": {str(people): {**_where(), "facts": facts, "figures": rounded}}})


def record_month(people: int, rows: Sequence[Days]) -> None:
    """Keep what a month took, and write the page anew."""
    _record({"month": {**_where(), "people": people, "rows": [[round(each) for each in row] for row in rows]}})


def _record(new: Mapping[str, Any]) -> None:
    held = json.loads(FIGURES.read_text())
    held |= {**new, "runs": {**held["runs"], **new.get("runs", {})}}
    FIGURES.write_text(json.dumps(held, indent=1) + "\n")
    PAGE.write_text(render(held))


def _where() -> dict[str, str]:
    return {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine_class()}


def machine_class() -> str:
    """What a machine is like, without its name."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {platform.machine()}, {gigabytes:.0f} GB, Python {platform.python_version()}"


def render(held: Mapping[str, Any]) -> str:
    """The page by the figures of the runs with each number of people, and of the month."""
    runs = held["runs"]
    counts = sorted(map(int, runs))
    steps = list(dict.fromkeys(name for each in counts for name in runs[str(each)]["figures"]))
    head = "".join(f" {count:,} people |" for count in counts)
    table = [f"| step |{head}", "|---|" + "---:|" * len(counts)]
    table += [f"| {step} |" + "".join(f" {_figure(runs[str(each)], step)} |" for each in counts) for step in steps]
    measured = [
        f"- {count:,} people: {it['date']}, {it['machine']}, {it['facts']:,} distinct activities."
        for count, it in ((count, runs[str(count)]) for count in counts)
    ]
    budgets = ["| step | budget | measured | |", "|---|---:|---:|---|", *(_budget_row(each, runs) for each in BUDGETS)]
    parts = {"table": table, "measured": measured, "budgets": budgets, "month": _month(held.get("month"))}
    return TEXT.format(calls=CALLS, **{name: "\n".join(lines) for name, lines in parts.items()})


def _month(of: Mapping[str, Any] | None) -> list[str]:
    if of is None:
        return ["Not measured."]
    rows = [Days(*row) for row in of["rows"]]
    growth = (rows[-1].state - rows[1].state) / (rows[-1].day - rows[1].day)
    later = sum((now.day - last.day) * now.written for last, now in pairwise(rows[1:]))
    each = (rows[-1].state - rows[1].state) * 2**20 / max(1, later)
    return [
        f"{of['people']:,} people, of whom one in a hundred does something each day; four runs a day. "
        f"{of['date']}, {of['machine']}.",
        "",
        "| day | state | memory | seconds a day | written a day | HubSpot calls a day |",
        "|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {it.day} | {it.state:,} MB | {it.memory:,} MB | {it.seconds:,} s | {it.written:,} | {it.calls:,} |"
            for it in rows
        ),
        "",
        f"From day {rows[1].day} on a day adds {growth:,.1f} MB to the state, or {each:,.0f} bytes for each record "
        "written: the history, which `[state] keep` bounds and `[write] at_least` makes smaller.",
    ]


def _figure(of: Mapping[str, Any], step: str) -> str:
    if step not in of["figures"]:
        return "not measured"
    it = Figure(*of["figures"][step])
    if step == ON_DISK:
        return f"{it.cost:,.0f} bytes"
    wire = f"; {it.written:,} written, HubSpot's limit {it.written / CALLS / BATCH:,.0f} s" if it.written else ""
    return f"{it.cost:,.2f} s, {it.memory:,.0f} MB{wire}"


def _budget_row(budget: Budget, held: Mapping[str, Any]) -> str:
    memory = f", {budget.memory:,.0f} MB" if budget.memory else ""
    limit = f"{budget.limit:,.0f} bytes" if budget.step == ON_DISK else f"{budget.limit:,g} s{memory}"
    counts = [int(each) for each in held if budget.step in held[each]["figures"]]
    if not counts:
        return f"| {budget.step} | {limit} | not measured | |"
    most = max(counts)
    cost, peak, _written = Figure(*held[str(most)]["figures"][budget.step])
    # What grows with the people is held against its share; what must not grow against the whole.
    share = min(1.0, most / MILLION) if budget.grows else 1.0
    over = cost > budget.limit * share or bool(budget.memory and peak > budget.memory)
    said = "**over budget**" if over else "within budget"
    if most != MILLION:
        said += f" with {most:,} people; not measured with a million"
    return f"| {budget.step} | {limit} | {_figure(held[str(most)], budget.step)} | {said} |"


TEXT = """# Performance

What whole runs cost, and what they may cost. `benchmarks/budgets.py` writes this page by the last measurements.
Measure again with:

```
python -P benchmarks/runs.py --record --people 10000 100000
python -P benchmarks/month.py --record
```

The CRM of the benchmark answers from memory (100 contacts or 1,000 activities a page) and takes every write, so that
what is measured is crmsync with its SQLite. Each person has 20 activities, and the model has forty rules. Seconds are
those of the processor. Memory is the most that the process had in that step. HubSpot's limit is what the writing would
take at {calls} calls a second, however fast crmsync were.

## Measured

{table}

{measured}

## Budgets

Budgets are for a million people and 20 million activities. Where fewer were measured, a step whose cost grows with the
people is held against its share of the budget, and one whose cost must follow what changed against all of it.

{budgets}

## A month

{month}
"""


def main() -> None:
    PAGE.write_text(render(json.loads(FIGURES.read_text())))


if __name__ == "__main__":
    main()
