"""What admins read: tables and sentences made of the same documents that `--json` prints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from crmsync.apply import Progress as Told
from crmsync.scoring.page import RULES

Document = Mapping[str, Any]
T = TypeVar("T")

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

SHOWN_MOVERS = 10
COUNTS = ("pulled", "activities", "scored", "planned", "updated", "partly", "rejected", "edited", "unknown")
DOING = {"contacts": "contacts", "activities": "activities", "scored": "people scored", "written": "records written"}


@contextmanager
def progress_bar(console: Console) -> Iterator[Told]:
    """Counts of what goes on, drawn where the console is a terminal; it must be the one of stderr."""
    if not console.is_terminal:
        yield lambda _what, _crm, _more: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, redirect_stdout=False) as bars:
        tasks: dict[tuple[str, str], Any] = {}

        def told(what: str, crm: str, more: int) -> None:
            if (what, crm) not in tasks:
                tasks[what, crm] = bars.add_task(f"{crm} {DOING.get(what, what)}".strip(), total=None)
            bars.advance(tasks[what, crm], more)

        yield told


@contextmanager
def steps_bar(console: Console, steps: int) -> Iterator[Any]:
    """A bar over a known number of steps; call what it yields with the name of each step as it begins."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=steps)

        def begin(step: str) -> None:
            bars.update(task, description=step, advance=1)

        yield begin


def printable(value: T) -> T:
    """The same document with a space for every character that would steer a terminal: names come from strangers."""
    if isinstance(value, str):
        return cast(T, _UNPRINTABLE.sub(" ", value))
    if isinstance(value, Mapping):
        return cast(T, {printable(name): printable(each) for name, each in value.items()})
    if isinstance(value, list | tuple):
        return cast(T, [printable(each) for each in value])
    return value


def table(*headings: str, title: str | None = None, one_line: bool = False) -> Table:
    """An empty table; a heading that starts with ">" is aligned right. `one_line` cuts the last column to what fits."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        pad_edge=False,
        expand=one_line,
    )
    for heading in headings:
        cut = one_line and heading == headings[-1]
        made.add_column(
            heading.lstrip(">"),
            justify="right" if heading.startswith(">") else "left",
            overflow="ellipsis" if cut else "fold",
            no_wrap=one_line,
            ratio=1 if cut else None,
        )
    return made


def print_run(console: Console, document: Document) -> None:
    """How a run ended: the counts of each CRM, what was not scored or written and why, people per band."""
    document = printable(document)
    counts = table("crm", *(f">{name.replace('_', ' ')}" for name in COUNTS), ">api calls", ">seconds")
    for crm, each in document["crms"].items():
        numbers = [f"{each[name]:,}" for name in (*COUNTS, "api_calls")]
        counts.add_row(crm, *numbers, f"{each['seconds']:.1f}")
    console.print(counts)
    console.print()
    for crm, each in document["crms"].items():
        _print_reasons(console, f"{crm}: pulled and not scored", each.get("skipped", {}))
        _print_reasons(console, f"{crm}: protected", each.get("protected", {}))
    if document.get("bands"):
        console.print("People per band: " + _listed(document["bands"]), soft_wrap=True)
    for problem in document.get("problems", ()):
        console.print(problem, soft_wrap=True)


def _print_reasons(console: Console, what: str, reasons: Mapping[str, int]) -> None:
    if reasons:
        console.print(f"{what}: {_listed(reasons)}", soft_wrap=True)


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in numbers.items())


def print_troubles(console: Console, troubles: Iterable[Document]) -> None:
    """Which changes did not go through, and what the CRM said."""
    for each in map(printable, troubles):
        said = each["reason"] or "no reason given"
        console.print(f"{each['crm']}: {each['records']:,} {each['state']}: {said}", soft_wrap=True)


def print_review(console: Console, changes: Document, bands: Sequence[str]) -> None:
    """What a plan would change: bands old → new, stages, owners, and the scores that move most."""
    changes = printable(changes)
    for crm in changes["records"]:
        moves = [each for each in changes["bands"] if each["crm"] == crm]
        if moves:
            console.print(f"{crm}: records by band, old (down) → new (across)", style="bold")
            console.print(_matrix(moves, bands))
            console.print()
    for what in ("stages", "owners"):
        moved = [
            f"{each['crm']}: {each['from'] or 'nothing'} → {each['to'] or 'nothing'} {each['records']:,}"
            for each in changes[what]
        ]
        if moved:
            console.print(f"{what.capitalize()}: " + ", ".join(moved[:20]), soft_wrap=True)
    if changes["movers"]:
        console.print()
        console.print(_movers(changes["movers"]))
        console.print()


def _movers(movers: Sequence[Document]) -> Table:
    """The largest moves, each person once: their records mostly move alike."""
    made = table(">from", ">to", "who", "because", title="Scores that move most", one_line=True)
    shown: set[tuple[str, Any]] = set()
    for each in movers:
        who = each["name"] or each["ref"]
        if (who, each["to"]) not in shown and len(shown) < SHOWN_MOVERS:
            shown.add((who, each["to"]))
            made.add_row(_points(each["from"]), _points(each["to"]), who, each["because"].partition(": ")[2])
    return made


def _matrix(moves: Sequence[Document], bands: Sequence[str]) -> Table:
    olds = [band for band in (None, *bands) if any(each["from"] == band for each in moves)]
    others = sorted({each["from"] for each in moves} - {None, *bands})
    made = table("", *(f">{band}" for band in bands))
    for old in [*olds, *others]:
        cells = {each["to"]: each["records"] for each in moves if each["from"] == old}
        made.add_row(old or "no band yet", *(f"{cells[band]:,}" if band in cells else "" for band in bands))
    return made


def _points(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)


def print_explanation(console: Console, document: Document) -> None:
    """Why somebody has their score: the ledger, what is missing, and what the CRMs hold."""
    document = printable(document)
    who = " ".join(each for each in (document["name"], *(f"<{mail}>" for mail in document["emails"])) if each)
    console.print(f"{who or 'no name'}, person {document['person']}", soft_wrap=True)
    grade = f", grade {document['grade']}" if document.get("grade") else ""
    console.print(
        f"{document['total']:g} points: {document['band'] or 'no band'}{grade} "
        f"(fit {document['fit']:g}, behavior {document['behavior']:g})"
    )
    console.print()
    lines = table(">points", "rule", "why")
    for line in document["lines"]:
        lines.add_row(f"{line['points']:+g}", line["rule"], line["why"])
    lines.add_row(f"{document['total']:g}", "total", "")
    console.print(lines)
    console.print()
    for sentence in _outlook(document):
        console.print(sentence, soft_wrap=True)
    for warning in document["warnings"]:
        console.print(f"odd: {warning}", soft_wrap=True)
    if document["gaps"]:
        console.print("Not known: " + "; ".join(document["gaps"]), soft_wrap=True)
    for record in document["records"]:
        console.print(_record(record), soft_wrap=True)


def _outlook(document: Document) -> Iterator[str]:
    """What moved the score last, what will move it next, and how sure it is."""
    if document["changed"]:
        moved = ", ".join(f"{each['rule']} {each['points']:+g}" for each in document["changed"])
        yield f"Since the last score: {moved}"
    for ahead in (document["until"], document["next"]):
        if ahead:
            yield str(ahead["said"])
    lowest, highest = document["range"]["lowest"], document["range"]["highest"]
    if lowest != highest:
        bands = " or ".join(document["range"]["bands"])
        yield f"With what is not known: {lowest:g} to {highest:g} points ({bands})"


def _record(record: Document) -> str:
    parts = [f"stage {record['stage'] or 'none'}", f"owner {record['owner'] or 'nobody'}"]
    if "score" in record["holds"]:
        parts.append(f"score {_points(record['holds']['score'])}")
    if record["state"] != "live":
        parts.append(record["state"])
    if record["parked"]:
        parts.append(f"not written: {record['parked']}")
    return f"{record['ref']}: {', '.join(parts)}"


PARTS = {
    "fit": ("Fit", "who somebody is"),
    "behavior": ("Behavior", "what they did"),
    "limits": ("Points together", "in this order"),
    "bands": ("Bands", "the highest one that holds, with all below it"),
    "disqualifiers": ("Disqualified", "and kept in the lowest band, whatever the score"),
    "qualifications": ("Qualified", "when all of these hold; never added to the score"),
    "segments": ("Segments", "the first one that fits a person is theirs"),
    "words": ("Lists and words", ""),
    "stages": ("Stages", "in this order; people only move forward"),
    "owners": ("Owners", "who take turns"),
}
NAMED_BY_SORT = ("group", "channel", "grade", "grid")


def print_model(console: Console, document: Document) -> None:
    """The whole model on a page, to be read aloud in a meeting."""
    document = printable(document)
    rules = document["rules"]
    fit = [line for line in rules if line["sort"] == "fit"]
    parts = {**document, "fit": fit, "behavior": [line for line in rules if line not in fit]}
    made = table(">points", "rule", "when")
    for part, (title, note) in PARTS.items():
        if parts[part]:
            made.add_row()
            made.add_row("", title, note, style="bold")
        for line in parts[part]:
            made.add_row(*_said(line))
    console.print(made)
    console.print()
    ages = f"Ages are whole days in {document['timezone']}."
    console.print(f"{len(rules)} rules. {ages} The model is {document['model']}.", soft_wrap=True)


def _said(line: Document) -> tuple[str, str, str]:
    """Points, name and words of one line; limits and grades carry what they are in their name."""
    points = "" if line["points"] is None else f"{line['points']:{'+' if line['sort'] in RULES else ''}}"
    name = f"{line['sort']} {line['name']}" if line["sort"] in NAMED_BY_SORT else line["name"]
    return points, name, line["says"]


def print_tally(console: Console, path: object, people: int, document: Document) -> None:
    """What is wrong or odd about a file of people; nothing where all is well."""
    document = printable(document)
    for problem in document["problems"]:
        console.print(problem, soft_wrap=True)
    for warning in document["warnings"]:
        console.print(f"odd: {warning}", soft_wrap=True)
    if not people and not document["problems"]:
        console.print(f"{path} is empty: there was nobody to score.", soft_wrap=True)
    elif document["problems"]:
        console.print(f"{people:,} people scored; mistakes in {path}: {len(document['problems']):,}.", soft_wrap=True)


def print_status(console: Console, document: Document) -> None:
    """How things stand: the CRMs, people per band, the last runs, feeds, and what the CRMs refuse."""
    document = printable(document)
    crms = table("crm", "account", ">records", ">ambiguous", ">parked", ">open changes", "last good run")
    for crm, each in document["crms"].items():
        numbers = [f"{each[name]:,}" for name in ("records", "ambiguous", "parked", "open_changes")]
        crms.add_row(crm, each["account"], *numbers, each["last_good"] or "never")
    console.print(crms)
    console.print()
    if document["bands"]:
        console.print("People per band: " + _listed(document["bands"]), soft_wrap=True)
        console.print()
    runs = table("run", "command", "ended", "verdict", ">seconds", ">written", title="Last runs")
    for each in document["runs"]:
        kept = sum(crm["updated"] for crm in each["crms"].values())
        ended = each["ended"] or "not ended"
        seconds = "" if each["seconds"] is None else f"{each['seconds']:.1f}"
        runs.add_row(each["run"], each["command"], ended, each["verdict"], seconds, f"{kept:,}")
    console.print(runs)
    console.print()
    _print_feeds(console, document["feeds"])
    for each in document["parked"]:
        console.print(f"parked: {each['ref']}: {each['reason']}", soft_wrap=True)
    if document["held_by"]:
        console.print(f"In use by {document['held_by']}.", soft_wrap=True)
    for sentence in document["health"]:
        console.print(sentence, soft_wrap=True)


def _print_feeds(console: Console, feeds: Sequence[Document]) -> None:
    if not feeds:
        return
    made = table("crm", "activity", ">number", "last", title="Feeds")
    for each in feeds:
        made.add_row(each["crm"], each["kind"], f"{each['activities']:,}", each["last"])
    console.print(made)
    console.print()


def minute(at: datetime) -> str:
    """An instant for people: `2026-11-21 09:15 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def print_check(console: Console, document: Document) -> None:
    """What is wrong and what is odd, and what to do next."""
    document = printable(document)
    for problem in document["problems"]:
        console.print(f"wrong: {problem}", soft_wrap=True)
    for crm, each in document["crms"].items():
        console.print(f"{crm}: account {each['account'] or 'unknown'}", soft_wrap=True)
        for problem in each["problems"]:
            console.print(f"  wrong: {problem}", soft_wrap=True)
        for note in each["notes"]:
            console.print(f"  {note}", soft_wrap=True)
    for warning in document["warnings"]:
        console.print(f"odd: {warning}", soft_wrap=True)
    for note in document["notes"]:
        console.print(f"note: {note}", soft_wrap=True)
    said = "fine" if document["ok"] else "not ready"
    console.print(
        f"{document['config']} is {said}: {document['rules']} rules, {document['golden_leads']} golden leads.",
        soft_wrap=True,
    )


def print_demo(console: Console, document: Document) -> None:
    """What the demo did, and what to try next."""
    document = printable(document)
    sandbox = document["sandbox"]
    console.print(
        f"Both CRMs ran at {sandbox['url']} with {sandbox['people']:,} invented people; "
        f"the config is {document['config']}.",
        soft_wrap=True,
    )
    for crm, sentences in document["fields"].items():
        console.print(f"{crm}: the score fields are made, in {len(sentences)} steps", soft_wrap=True)
    console.print("\nThe first cycle, a backfill:")
    print_run(console, document["backfill"])
    console.print()
    console.print(_hottest(document["hottest"]))
    console.print("\nThe second cycle, over CRMs where nothing happened:")
    print_run(console, {**document["second"], "bands": {}})
    written = sum(each["updated"] for each in document["second"]["crms"].values())
    console.print("It wrote nothing." if not written else f"It wrote {written:,} records.")
    console.print()
    _print_following(console, document)


def _hottest(leads: Sequence[Document]) -> Table:
    made = table(">points", "band", "who", "because", title="The ten hottest leads", one_line=True)
    for each in leads:
        because = each["reason"].partition(": ")[2]
        made.add_row(f"{each['total']:g}", each["band"], each["email"] or each["name"], because)
    return made


def _print_following(console: Console, document: Document) -> None:
    if document["ignored_environment"]:
        names = ", ".join(document["ignored_environment"])
        console.print(f"Left out, so that no real CRM was touched: {names} of your environment.", soft_wrap=True)
    if process := document["sandbox"]["process"]:
        console.print(f"The sandbox goes on; stop it with: kill {process}")
    else:
        console.print("The sandbox has ended; demo --keep leaves it running, for plan and run.")
    console.print("Next:")
    for command in document["next"]:
        console.print(f"  {command}", soft_wrap=True)


def in_order(counts: Mapping[str, int], bands: Sequence[str]) -> dict[str, int]:
    """People per band in the order of `bands`, and after them the bands that the config no longer has."""
    named = {band: counts[band] for band in bands if band in counts}
    return named | {band: number for band, number in counts.items() if band not in named}
