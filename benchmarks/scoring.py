"""How fast scoring is, beside the same model in Polars, DuckDB and plain Python, in the same run.

    python benchmarks/scoring.py                     # a million people, twenty million activities
    python benchmarks/scoring.py --people 100000     # smaller
    python benchmarks/scoring.py --state             # also from a state database (SQLite), which takes a while to fill

Polars and DuckDB come with `pip install --group bench`. They get the part of the model that their language says in a few
lines: the decayed, windowed, capped sums of the twenty-five behavior rules, from activities that are already matched to
their rule. The ratios compare that part alone; the whole model is timed first.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from crmsync.columns import Columns, Fact
from crmsync.rules import Model
from crmsync.scoring import explain, reasons, score, take
from crmsync.scoring.activities import Activities, behavior

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PER_PERSON = 20
CHUNK = 50_000
KINDS = ("page_viewed", "form_submitted", "email_opened", "email_clicked", "content_downloaded", "webinar_attended")
PAGES = ("pricing", "demo", "blog", "careers", "product", "docs", "integrations", "about", "customers", "security")
LEVELS = ("VP", "Director", "Head", "Manager", "Senior Specialist", "Intern", "Chief Officer", "Engineer")
AREAS = ("IT", "Sales", "Marketing", "Finance", "Procurement", "Operations", "Data", "Legal", "Security", "HR")


def model() -> Model:
    """Forty rules: fifteen of fit (titles, regular expressions, lists), twenty-five of behavior (decay, caps, windows)."""
    fit: list[dict[str, Any]] = [
        {"name": "vp", "points": 20, "when": {"field": "title", "seniority_at_least": "vp"}},
        {"name": "director", "points": 12, "when": {"field": "title", "seniority": "director"}},
        {"name": "student", "points": -30, "when": {"field": "title", "seniority": "student"}},
        {"name": "buyers", "points": 8, "when": {"field": "title", "department": ["procurement", "finance"]}},
        {"name": "regex", "points": 5, "when": {"field": "title", "regex": r"\b(vp|chief)\b.*(security|data)"}},
        {"name": "free mail", "points": -10, "when": {"field": "email", "free_mail": True}},
        {"name": "rival", "points": -50, "when": {"field": "email", "domain": ["rival.example"]}},
    ]
    fit += [{"name": f"over {n}", "points": 3, "when": {"field": "employees", "gt": n}} for n in (50, 200, 1000, 5000)]
    fit += [{"name": f"industry {n}", "points": 4, "when": {"field": "industry", "is": f"Industry {n}"}} for n in range(4)]
    acting = [_behavior(number) for number in range(25)]
    bands = {"cold": 0, "warm": 40, "mql": {"at": 80, "leave": 70, "min_fit": 10}}
    return Model(fit=fit, behavior=acting, bands=bands, channels={"web": {"cap": 200}, "mail": {"cap": 40}})


def _behavior(number: int) -> dict[str, Any]:
    kind = KINDS[number % len(KINDS)]
    rule: dict[str, Any] = {"name": f"rule {number}", "points": 2 + number % 9, "on": kind, "window": "180d"}
    if kind == "page_viewed":
        rule["where"] = {"url": {"contains": f"/{PAGES[number // 6]}"}}
    elif number // 6:
        rule["where"] = {"name": {"regex": f"^{KINDS[number % len(KINDS)]} [{number // 6}-{number // 6 + 1}]"}}
    rule |= {"decay": {"half_life": f"{20 + number}d"}, "cap": 40} if number % 3 else {"max_per_day": 1}
    rule["channel"] = "mail" if kind.startswith("email") else "web"
    return rule


def facts() -> list[Fact]:
    """Four thousand distinct activities, most of them pages."""
    pages = [Fact("page_viewed", {"url": f"https://www.acme.example/{page}/{n}"}) for page in PAGES for n in range(300)]
    others = [Fact(kind, {"name": f"{kind} {n}"}) for kind in KINDS[1:] for n in range(200)]
    return [*pages, *others]


def columns(people: int, seed: int = 7) -> Columns:
    """People and what they did, in memory."""
    random = np.random.default_rng(seed)
    known = facts()
    many = people * PER_PERSON
    person = np.sort(random.integers(0, people, many, dtype=np.int32))
    age = random.exponential(60 * 86_400, many).astype(np.int64)
    at = int(NOW.timestamp()) - age
    order = np.lexsort((at, person))
    domains = ("gmail.com", "rival.example", *(f"firm{n}.example" for n in range(5_000)))
    titles = [f"{level}, {area} {n}" for level in LEVELS for area in AREAS for n in range(40)]
    sizes = [None, *(int(each) for each in random.lognormal(5, 2, 3_000))]
    picks = random.integers(0, 2**31, (people, 4)).tolist()
    return Columns(
        people=np.arange(people, dtype=np.int64),
        fields={
            "title": [titles[a % len(titles)] if a % 10 else None for a, _, _, _ in picks],
            "email": [f"person{row}@{domains[b % len(domains)]}" for row, (_, b, _, _) in enumerate(picks)],
            "employees": [sizes[c % len(sizes)] for _, _, c, _ in picks],
            "industry": [f"Industry {d % 40}" for _, _, _, d in picks],
        },
        person=person,
        at=at[order],
        fact=random.integers(0, len(known), many, dtype=np.int32),
        facts=known,
    )


def chunks(of: Columns, size: int) -> Iterator[Columns]:
    """The same people, `size` at a time, as the worker scores them."""
    for start in range(0, len(of.people), size):
        rows = slice(start, min(start + size, len(of.people)))
        first, last = np.searchsorted(of.person, [rows.start, rows.stop])
        yield Columns(
            people=of.people[rows],
            fields={name: values[rows] for name, values in of.fields.items()},
            person=of.person[first:last] - np.int32(start),
            at=of.at[first:last],
            fact=of.fact[first:last],
            facts=of.facts,
        )


def timed(work: Callable[[], Any], times: int = 1) -> tuple[float, Any]:
    """The best of some runs in seconds, and what the last one returned."""
    best, result = float("inf"), None
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def memory() -> float:
    """The most memory this process has had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def whole(of: Model, everybody: Columns) -> float:
    """Score everybody, chunk by chunk, and say how long it took."""

    def work() -> int:
        return sum(int((score(of, some, NOW, UTC).band == 2).sum()) for some in chunks(everybody, CHUNK))

    seconds, hot = timed(work, 2)
    say(f"{len(everybody.people):>10,} people {len(everybody.at):>12,} activities  {seconds:8.2f} s   {hot:,} mql")
    return seconds


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--people", type=int, default=1_000_000)
    given = parser.parse_args()
    of = model()
    everybody = columns(given.people)
    before = memory()
    say(f"{len(of.rules())} rules; the columns alone take {before:,.0f} MB")
    whole(of, everybody)
    say(f"peak memory with columns {memory():,.0f} MB")


if __name__ == "__main__":
    main()
