"""What runs may cost, and docs/performance.md: each budget with its last measurement.

python -P benchmarks/runs.py --record --people 10000 100000     # measures, and writes the page
python -P benchmarks/budgets.py                                 # writes the page by the figures that there are
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
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


def record(people: int, facts: int, figures: Mapping[str, tuple[float, float]]) -> None:
    """Keep the figures (CPU seconds and MB; of the state on disk bytes) of so many people, and write the page anew."""
    held = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    held[str(people)] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine_class(),
        "facts": facts,
        "figures": {name: [round(cost, 3), round(memory)] for name, (cost, memory) in figures.items()},
    }
    FIGURES.write_text(json.dumps(held, indent=1) + "\n")
    PAGE.write_text(render(held))


def machine_class() -> str:
    """What a machine is like, without its name."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {platform.machine()}, {gigabytes:.0f} GB, Python {platform.python_version()}"


def render(held: Mapping[str, Any]) -> str:
    """The page by the figures of each number of people."""
    counts = sorted(map(int, held))
    steps = list(dict.fromkeys(name for each in counts for name in held[str(each)]["figures"]))
    head = "".join(f" {count:,} people |" for count in counts)
    table = [f"| step |{head}", "|---|" + "---:|" * len(counts)]
    table += [f"| {step} |" + "".join(f" {_figure(held[str(each)], step)} |" for each in counts) for step in steps]
    measured = [
        f"- {count:,} people: {it['date']}, {it['machine']}, {it['facts']:,} distinct activities."
        for count, it in ((count, held[str(count)]) for count in counts)
    ]
    budgets = ["| step | budget | measured | |", "|---|---:|---:|---|", *(_budget_row(each, held) for each in BUDGETS)]
    return TEXT.format(table="\n".join(table), measured="\n".join(measured), budgets="\n".join(budgets))


def _figure(of: Mapping[str, Any], step: str) -> str:
    if step not in of["figures"]:
        return "not measured"
    cost, memory = of["figures"][step]
    return f"{cost:,.0f} bytes" if step == ON_DISK else f"{cost:,.2f} s, {memory:,} MB"


def _budget_row(budget: Budget, held: Mapping[str, Any]) -> str:
    memory = f", {budget.memory:,.0f} MB" if budget.memory else ""
    limit = f"{budget.limit:,.0f} bytes" if budget.step == ON_DISK else f"{budget.limit:,g} s{memory}"
    counts = [int(each) for each in held if budget.step in held[each]["figures"]]
    if not counts:
        return f"| {budget.step} | {limit} | not measured | |"
    most = max(counts)
    cost, peak = held[str(most)]["figures"][budget.step]
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
```

The CRM of the benchmark answers from memory (100 contacts or 1,000 activities a page) and takes every write, so that
what is measured is crmsync with its SQLite. Each person has 20 activities, and the model has forty rules. Seconds are
those of the processor. Memory is the most that the process had in that step.

## Measured

{table}

{measured}

## Budgets

Budgets are for a million people and 20 million activities. Where fewer were measured, a step whose cost grows with the
people is held against its share of the budget, and one whose cost must follow what changed against all of it.

{budgets}
"""


def main() -> None:
    PAGE.write_text(render(json.loads(FIGURES.read_text())))


if __name__ == "__main__":
    main()
