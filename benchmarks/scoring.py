"""How fast scoring is, beside the same sums in Polars, DuckDB and plain Python, in the same run.

    python benchmarks/scoring.py                     # a million people, twenty million activities
    python benchmarks/scoring.py --people 100000     # smaller
    python benchmarks/scoring.py --state             # and from a state database, filled for the purpose

First the whole model, forty rules, ledger included, from columns in memory: for more and more people, and for the
thousand that changed in a cycle. Then one part of it that others can say in a few lines: the activities of the rules
that fade, in their window, faded by half-life, capped per rule and summed per person. Polars and DuckDB (`pip install
--group bench`) are given the activities already matched to their rule, and so is crmsync.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from crmsync.columns import Columns, Fact
from crmsync.config.model import Model
from crmsync.scoring import choose_people, explain_scores, score, summarize_many, take_rows
from crmsync.scoring.activities import ActivityTable, find_behavior
from crmsync.scoring.fact_selection import select_facts
from crmsync.scoring.values import make_column
from crmsync.store import schema, score_inputs
from crmsync.store.database import Store, open_store
from crmsync.store.records import mark_dirty
from crmsync.store.scores import PEOPLE_AT_ONCE

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PER_PERSON = 20
CHUNK = 250_000
KINDS = ("page_viewed", "form_submitted", "email_opened", "email_clicked", "content_downloaded", "webinar_attended")
PAGES = ("pricing", "demo", "blog", "careers", "product", "docs", "integrations", "about", "customers", "security")
LEVELS = ("VP", "Director", "Head", "Manager", "Senior Specialist", "Intern", "Chief Officer", "Engineer")
AREAS = ("IT", "Sales", "Marketing", "Finance", "Procurement", "Operations", "Data", "Legal", "Security", "HR")


def model() -> Model:
    """Forty rules: fifteen of fit (titles, expressions, domains), twenty-five of behavior (decay, caps, windows)."""
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
    fit += [
        {"name": f"industry {n}", "points": 4, "when": {"field": "industry", "is": f"Industry {n}"}} for n in range(4)
    ]
    acting = [_behavior(number) for number in range(25)]
    bands = {"cold": 0, "warm": 40, "mql": {"at": 80, "drop_below": 70, "min_fit": 10}}
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
    """The most memory this process has had so far, in MB (`ru_maxrss` would start at the parent's)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def say(text: str) -> None:
    print(text, flush=True)


def whole(of: Model, everybody: Columns) -> None:
    """Score everybody, chunk by chunk: from plain lists of values, and from columns that are encoded already."""
    some = list(chunks(everybody, CHUNK))
    first, _ = timed(lambda: [score(of, each, NOW, UTC) for each in some])
    coded = [replace(each, fields={name: make_column(values) for name, values in each.fields.items()}) for each in some]
    again, hot = timed(lambda: sum(int((score(of, each, NOW, UTC).band == 2).sum()) for each in coded), 2)
    people, acts = len(everybody.people), len(everybody.at)
    say(f"{people:>11,} people {acts:>12,} activities {first:8.2f} s  {again:8.2f} s encoded   {hot:,} mql")


def changed(of: Model, everybody: Columns) -> None:
    """The thousand people of a cycle: scored, with a reason each, and one of them explained."""
    rows = np.sort(np.random.default_rng(3).choice(len(everybody.people), 1000, replace=False))
    some = take_rows(everybody, rows)
    seconds, scores = timed(lambda: score(of, some, NOW, UTC), 3)
    told, _ = timed(lambda: summarize_many(of, scores, range(1000)), 3)
    why, _ = timed(lambda: explain_scores(choose_people(of, scores, some, [0], NOW, UTC)), 3)
    say(
        f"1,000 changed people: scores {seconds:.3f} s, their reasons {told:.3f} s; one explanation {why * 1000:.1f} ms"
    )


class Matched(NamedTuple):
    """Activities of the rules that fade, matched: the row of the person, the number of the rule, the age in days."""

    person: NDArray[np.int32]
    rule: NDArray[np.int8]
    age: NDArray[np.int32]


def fading(of: Model) -> Model:
    """The part of the model that the others are given: the rules of behavior that fade."""
    rules = [rule.model_copy(update={"channel": None}) for rule in of.behavior if rule.decay]
    return Model().model_copy(update={"behavior": rules})


def matched(of: Model, found: ActivityTable) -> Matched:
    """What the others get for free."""
    parts = [found.taken(rule.on, rule.where) for rule in of.behavior]
    person, age = (np.concatenate([getattr(part, name) for part in parts]) for name in ("person", "age"))
    number = np.repeat(np.arange(len(parts), dtype=np.int8), [len(part) for part in parts])
    return Matched(person, number, age.astype(np.int32))


def by_crmsync(of: Model, found: ActivityTable) -> NDArray[np.int64]:
    """The sum of each person, in hundredths, from activities that are already matched."""
    total = np.zeros(found.rows, dtype=np.int64)
    for rule in of.behavior:
        acted = find_behavior(rule, found)
        total[acted.rows] += np.minimum(acted.points, round((rule.cap or 0) * 100))
    return total


def _rules(of: Model) -> list[tuple[int, float, float, float, int]]:
    """Number, points, half-life, cap and window of each rule."""
    return [
        (number, rule.points, float(rule.decay.half_life.days), float(rule.cap or 0), rule.window.days)
        for number, rule in enumerate(of.behavior)
        if rule.decay and rule.decay.half_life and rule.window
    ]


def by_polars(of: Model, given: Matched) -> Any:
    import polars as pl

    rules = pl.DataFrame(_rules(of), schema=["rule", "points", "half", "cap", "window"], orient="row")
    rules = rules.with_columns(pl.col("rule").cast(pl.Int8))
    frame = pl.DataFrame({"person": given.person, "rule": given.rule, "age": given.age}).lazy()
    worth = (pl.col("points") * 0.5 ** (pl.col("age") / pl.col("half"))).sum()
    return (
        frame.join(rules.lazy(), on="rule")
        .filter(pl.col("age") <= pl.col("window"))
        .group_by("person", "rule")
        .agg(worth.alias("worth"), pl.col("cap").first())
        .group_by("person")
        .agg(pl.min_horizontal("worth", "cap").sum())
        .collect()
    )


def by_duckdb(of: Model, given: Matched) -> Any:
    import duckdb

    names = ("rule", "points", "half", "cap", "window")
    connection = duckdb.connect()
    connection.register("acted", given._asdict())
    connection.register("rules", dict(zip(names, map(np.array, zip(*_rules(of), strict=True)), strict=True)))
    return connection.execute("""
        select person, sum(least(worth, cap)) from (
            select person, acted.rule, sum(points * pow(0.5, age / half)) as worth, any_value(cap) as cap
            from acted join rules on acted.rule = rules.rule where age <= "window" group by person, acted.rule
        ) group by person
    """).fetchnumpy()


def by_python(of: Model, given: Matched) -> dict[int, float]:
    """A plain loop over a hundredth of the activities."""
    rules = {number: rest for number, *rest in _rules(of)}
    part = len(given.person) // 100
    sums: dict[tuple[int, int], float] = {}
    triples = zip(given.person[:part].tolist(), given.rule[:part].tolist(), given.age[:part].tolist(), strict=True)
    for person, rule, age in triples:
        points, half, _, window = rules[rule]
        if age <= window:
            sums[person, rule] = sums.get((person, rule), 0.0) + points * 0.5 ** (age / half)
    total: dict[int, float] = {}
    for (person, rule), worth in sums.items():
        total[person] = total.get(person, 0.0) + min(worth, rules[rule][2])
    return total


def compared(of: Model, everybody: Columns) -> None:
    """The same sums by all four, as times of ours."""
    part = fading(of)
    seconds, found = timed(lambda: ActivityTable(select_facts(part, everybody.facts), everybody, NOW, UTC))
    given = matched(part, found)
    ours, _ = timed(lambda: by_crmsync(part, found), 3)
    say(f"\nthe {len(part.behavior)} rules that fade, {len(given.person):,} activities (times of crmsync's)")
    say(f"  crmsync       {ours:8.2f} s    1.0   (matching all {len(everybody.at):,} to the rules: {seconds:.2f} s)")
    for name, work, scale in (("Polars", by_polars, 1), ("DuckDB", by_duckdb, 1), ("plain Python", by_python, 100)):
        try:
            seconds, _ = timed(lambda work=work: work(part, given), 3 if scale == 1 else 1)  # type: ignore[misc]
        except ImportError as error:
            say(f"  {name:<13} not installed ({error.name})")
        else:
            note = "   (1 % of the activities, scaled)" if scale > 1 else ""
            say(f"  {name:<13} {seconds * scale:8.2f} s {seconds * scale / ours:6.1f}{note}")


FIELDS = ("employees", "industry", "title")


def fill(store: Store, everybody: Columns) -> None:
    """Put people and what they did into a state, as a pull of one CRM would leave them."""
    kinds = [
        {"id": n, "kind": each.kind, "attributes": json.dumps(each.attributes)}
        for n, each in enumerate(everybody.facts)
    ]
    with store.begin() as tx:
        tx.execute(insert(schema.fact), kinds)
    for start in range(0, len(everybody.people), 50_000):
        rows = range(start, min(start + 50_000, len(everybody.people)))
        known = [{name: everybody.fields[name][row] for name in FIELDS} for row in rows]
        contacts = [
            {
                **{"id": row, "crm": "hubspot", "kind": "contact", "ref_id": str(row), "known": True, "person": row},
                "emails": json.dumps([everybody.fields["email"][row]]),
                "fields": json.dumps({name: value for name, value in each.items() if value is not None}),
            }
            for row, each in zip(rows, known, strict=True)
        ]
        first, last = np.searchsorted(everybody.person, [rows.start, rows.stop])
        acted = [each[first:last].tolist() for each in (everybody.person, everybody.at, everybody.fact)]
        ids = [("hubspot", f"{number:012}") for number in range(first, last)]
        with store.begin() as tx:
            tx.execute(insert(schema.record), contacts)
            tx.exec_driver_sql(
                "INSERT INTO activity (crm, id, contact, at, fact) VALUES (?, ?, ?, ?, ?)",
                [(*each, *rest) for each, rest in zip(ids, zip(*acted, strict=True), strict=True)],
            )


def from_state(everybody: Columns) -> None:
    """Score everybody from SQLite in a process of its own, as a cycle does: read a chunk, score it, keep the ledger."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        store = open_store(url)
        seconds, _ = timed(lambda: fill(store, everybody))
        store.close()
        say(f"\na state of {len(everybody.people):,} people filled in {seconds:.0f} s")
        alone = multiprocessing.get_context("spawn").Process(target=cycles, args=(url, len(everybody.people)))
        alone.start()
        alone.join()


def cycles(url: str, people: int) -> None:
    """Read and score from a state: everybody for the first time, everybody again, and a thousand who changed."""
    store, of = open_store(url), model()

    def work(rows: Sequence[int]) -> None:
        with store.begin() as tx:
            facts: score_inputs.Facts = {}
            for start in range(0, len(rows), PEOPLE_AT_ONCE):
                some = rows[start : start + PEOPLE_AT_ONCE]
                score(of, score_inputs.read_columns(tx, some, FIELDS, ["hubspot"], facts, keep=True), NOW, UTC)

    few = sorted(np.random.default_rng(5).choice(people, 1000, replace=False).tolist())
    for told, rows in (("for the first time", range(people)), ("again", range(people)), ("who changed", few)):
        with store.begin() as tx:
            mark_dirty(tx, few)
        busy = time.process_time()
        seconds, _ = timed(lambda rows=rows: work(rows))  # type: ignore[misc]
        busy = time.process_time() - busy
        said = f"{len(rows):,} people {told}"
        say(f"  {said:<32} {seconds:7.2f} s ({busy:.2f} s of CPU), peak memory {memory():,.0f} MB")
    store.close()


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description="How fast scoring is.")
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--state", action="store_true")
    given = parser.parse_args()
    of = model()
    say(f"{len(of.rules())} rules, {PER_PERSON} activities a person, numpy {np.__version__}\n")
    size = 10_000
    while size < given.people:
        whole(of, columns(size))
        size *= 10
    everybody = columns(given.people)
    held = memory()
    whole(of, everybody)
    say(f"columns {held:,.0f} MB, with scoring {memory():,.0f} MB\n")
    changed(of, everybody)
    compared(of, everybody)
    if given.state:
        from_state(everybody)


if __name__ == "__main__":
    main()
