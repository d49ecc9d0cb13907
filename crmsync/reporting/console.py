"""What admins read: tables and sentences made of the same documents that `--json` prints."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from crmsync.scoring.explanation.model_page import RULES
from crmsync.work import Progress as Told

Document = Mapping[str, Any]
T = TypeVar("T")

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

SHOWN_MOVERS = 10
SHOWN_MOVES = 20

COUNTS = {
    "pulled": "pulled",
    "activities": "activities",
    "scored": "scored",
    "planned": "to update",
    "updated": "updated (verified)",
    "partly": "partly updated",
    "rejected": "rejected by the CRM",
    "edited": "skipped: edited after the plan",
    "unknown": "outcome unknown",
    "api_calls": "API calls",
}
SKIPPED = {
    "not_matched": "not matched (same address on several people)",
    "unchanged": "without changes",
    "held": "held for approval",
}
PROTECTED = {
    "stage_changed_by_a_user": "stage changed by a user",
    "owner_changed_by_a_user": "owner changed by a user",
    "on_hold": "on hold (the CRM rejects it)",
}
OUTCOMES = {
    "preview": "preview",
    "ok": "succeeded",
    "partial": "completed with errors",
    "held": "held for approval",
    "failed": "failed",
    "running": "running",
}
STATES = {
    "partly": "partly updated",
    "rejected": "rejected by the CRM",
    "edited": "skipped: edited after the plan",
    "unknown": "outcome unknown",
}
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


def make_printable(value: T) -> T:
    """The same document with a space for every character that would steer a terminal: names come from strangers."""
    if isinstance(value, str):
        return cast(T, _UNPRINTABLE.sub(" ", value))
    if isinstance(value, Mapping):
        return cast(T, {make_printable(name): make_printable(each) for name, each in value.items()})
    if isinstance(value, list | tuple):
        return cast(T, [make_printable(each) for each in value])
    return value


def print_sentences(console: Console, text: str = "") -> None:
    """Print sentences: wrapped at words on a terminal, each on one line in a pipe or file."""
    width = console.width if console.is_terminal else len(text) + 1
    for line in text.splitlines() or [""]:
        indent = " " * (len(line) - len(line.lstrip()))
        # A word is never broken: addresses and ids are copied from here.
        words = textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        console.print(words, soft_wrap=True)


def say_command(console: Console, command: str) -> None:
    """Print a command on a line of its own, which a terminal may wrap and still copies whole."""
    console.print(f"  {command}", soft_wrap=True)


def count_of(number: int, thing: str) -> str:
    """A number and its noun: `1 record`, `1,234 records`, `2 people`."""
    many = {"person": "people"}.get(thing, f"{thing}s")
    return f"{number:,} {thing if number == 1 else many}"


def count_waiting(records: Mapping[str, Mapping[str, int]]) -> str:
    """How many records of a plan wait, CRM by CRM: `130 records in hubspot, 113 records in salesforce`."""
    numbers = {crm: max(counts.values(), default=0) for crm, counts in records.items()}
    return ", ".join(f"{count_of(number, 'record')} in {crm}" for crm, number in numbers.items() if number) or "nothing"


def make_table(*headings: str, title: str | None = None, one_line: bool = False) -> Table:
    """An empty table; a heading that starts with ">" is aligned right. `one_line` cuts the last column to what fits.

    Numbers and headings are never broken; texts only between words.
    """
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
        is_number, name = heading.startswith(">"), heading.lstrip(">")
        is_cut = one_line and heading == headings[-1]
        made.add_column(
            name,
            justify="right" if is_number else "left",
            overflow="ellipsis" if is_cut else "fold",
            no_wrap=one_line or is_number,
            min_width=len(name),
            ratio=1 if is_cut else None,
        )
    return made


def _numbers(crms: Mapping[str, Document], names: Mapping[str, str]) -> Table:
    """A line for each sort of number, a column for each CRM: it fits anywhere. What is zero everywhere is left out."""
    made = make_table("", *(f">{crm}" for crm in crms))
    for name, said in names.items():
        if any(each.get(name) for each in crms.values()):
            made.add_row(said, *(_cell(each.get(name)) for each in crms.values()))
    return made


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def print_run(console: Console, document: Document) -> None:
    """How a run ended: the counts of each CRM, what was not scored or written and why, people per band."""
    document = make_printable(document)
    names = dict(COUNTS)
    if document.get("verdict") != "preview" and any(_taken(each) for each in document["crms"].values()):
        del names["planned"]  # it is the sum of the lines below it
    seconds = {crm: {**each, "time": f"{each['seconds']:.1f} s"} for crm, each in document["crms"].items()}
    console.print(_numbers(seconds, {**names, "time": "time"}))
    console.print()
    for crm, each in document["crms"].items():
        _print_reasons(console, f"{crm}, skipped", each.get("skipped", {}), SKIPPED)
        _print_reasons(console, f"{crm}, protected", each.get("protected", {}), PROTECTED)
    if document.get("bands"):
        print_sentences(console, "People per band: " + _listed(document["bands"]))
    _print_waiting_for_owner(console, document.get("waiting_for_owner", {}))
    for sentence in (*document.get("problems", ()), *document.get("notes", ())):
        print_sentences(console, sentence)


def _taken(counts: Document) -> int:
    return sum(int(counts.get(name, 0)) for name in ("updated", *STATES))


def _print_reasons(console: Console, what: str, reasons: Mapping[str, int], words: Mapping[str, str]) -> None:
    if reasons:
        told = ", ".join(f"{number:,} {words.get(why, why.replace('_', ' '))}" for why, number in reasons.items())
        print_sentences(console, f"{what}: {told}")


def _print_waiting_for_owner(console: Console, waiting: Document) -> None:
    if not waiting.get("count"):
        return
    print_sentences(console, f"Waiting for an owner: {count_of(waiting['count'], 'person')}")
    for why, people in waiting["reasons"].items():
        print_sentences(console, f"  {people:,}: {why}")


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items())


def print_approved(console: Console, approved: Document) -> None:
    """How what was written compares with the plan that somebody had approved."""
    parts = (
        ("as_seen", "as you saw them"),
        ("other_values", "with newer values"),
        ("no_longer", "no longer needed"),
        ("new", "new"),
    )
    said = ", ".join(f"{approved[name]:,} {words}" for name, words in parts if approved[name])
    print_sentences(console, f"Updates of plan {', '.join(approved['plans'])}: {said or 'none left to write'}.")


def print_troubles(console: Console, troubles: Sequence[Document], heading: str = "Not written as planned") -> None:
    """What did not go through, by cause: how many records, which fields, what the CRM said, what to do."""
    records = sum(each["records"] for each in troubles)
    if not troubles:
        return
    print_sentences(console, f"{heading}: {count_of(records, 'record')}")
    for each in map(make_printable, troubles[:SHOWN_MOVES]):
        fields = f" ({', '.join(each['fields'])})" if each["fields"] else ""
        head = (
            f"{each['crm']}, {count_of(each['records'], 'record')}, {STATES.get(each['state'], each['state'])}{fields}"
        )
        print_sentences(console, f"  {head}: {each['cause']}")
        print_sentences(console, f"    for example {', '.join(each['examples'])}")
        if each["fix"]:
            print_sentences(console, f"    → {each['fix']}")
    if len(troubles) > SHOWN_MOVES:
        left = sum(each["records"] for each in troubles[SHOWN_MOVES:])
        print_sentences(
            console, f"  and {count_of(left, 'record')} of {count_of(len(troubles) - SHOWN_MOVES, 'other cause')}"
        )


def print_review(console: Console, changes: Document, bands: Sequence[str]) -> None:
    """What a plan would change: who moves, by name; stages, owners, bands old → new, the scores that move most."""
    changes = make_printable(changes)
    _print_moves(console, changes)
    for what, nothing in (("stages", "(empty)"), ("owners", "unassigned")):
        moved = [
            f"{each['crm']}: {each['from'] or nothing} → {each['to'] or nothing}: {each['records']:,}"
            for each in changes[what]
        ]
        if moved:
            more = f", and {len(moved) - 20:,} more" if len(moved) > 20 else ""
            print_sentences(console, f"{what.capitalize()}, in records: {', '.join(moved[:20])}{more}")
    console.print()
    for crm in changes["records"]:
        moves = [each for each in changes["bands"] if each["crm"] == crm]
        if moves:
            console.print(f"{crm}: records by band, old (down) → new (across)", style="bold")
            console.print(_matrix(moves, bands))
            console.print()
    if changes["movers"]:
        console.print(_movers(changes["movers"]))
        console.print()


def _print_moves(console: Console, changes: Document) -> None:
    if not changes["people"]:
        return
    console.print("\nChanges by person", style="bold")
    for each in changes["people"]:
        moves = [
            f"{name} {each[name]['from'] or nothing} → {each[name]['to'] or nothing}"
            for name, nothing in (("stage", "(empty)"), ("owner", "unassigned"), ("band", "(empty)"))
            if name in each
        ]
        print_sentences(console, f"  {each['name']}: {', '.join(moves)}")
    if changes["more_records"]:
        print_sentences(console, f"  and {count_of(changes['more_records'], 'more record')}")


def _movers(movers: Sequence[Document]) -> Table:
    """The largest moves, each person once: their records mostly move alike."""
    made = make_table(">from", ">to", "who", "because", title="Largest score changes", one_line=True)
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
    made = make_table("", *(f">{band}" for band in bands))
    for old in [*olds, *others]:
        cells = {each["to"]: each["records"] for each in moves if each["from"] == old}
        made.add_row(old or "no band yet", *(f"{cells[band]:,}" if band in cells else "" for band in bands))
    return made


def _points(value: Any) -> str:
    return "–" if value is None else f"{value:,.15g}" if isinstance(value, int | float) else str(value)


def _signed(value: float) -> str:
    return f"{value:+,.15g}"


def print_explanation(console: Console, document: Document) -> None:
    """Why somebody has their score, stage and owner: the ledger, what is missing, and what the CRMs hold."""
    document = make_printable(document)
    who = " ".join(each for each in (document["name"], *(f"<{mail}>" for mail in document["emails"])) if each)
    print_sentences(console, f"{who or 'no name'}, crmsync id {document['person']}")
    grade = f", grade {document['grade']}" if document.get("grade") else ""
    print_sentences(
        console,
        f"{_points(document['total'])} points: {document['band'] or 'no band'}{grade} "
        f"(fit {_points(document['fit'])}, behavior {_points(document['behavior'])})",
    )
    console.print()
    lines = make_table(">points", "rule", "why")
    for line in document["lines"]:
        lines.add_row(_signed(line["points"]), line["rule"], line["why"])
    lines.add_row(_points(document["total"]), "total", "")
    console.print(lines)
    console.print()
    for sentence in (*_outlook(document), *_decisions(document)):
        print_sentences(console, sentence)
    for record in document["records"]:
        print_sentences(console, _record(record))
    if commands := dict.fromkeys(record["next"] for record in document["records"] if record["next"]):
        console.print("To approve it:")
        for command in commands:
            say_command(console, command)


def _outlook(document: Document) -> Iterator[str]:
    """What moved the score last, what will move it next, and how sure it is."""
    if document["changed"]:
        moved = ", ".join(f"{each['rule']} {_signed(each['points'])}" for each in document["changed"])
        yield f"Since the last score: {moved}"
    if document["band_why"]:
        yield document["band_why"]
    for ahead in (document["until"], document["next"]):
        if ahead:
            yield str(ahead["said"])
    lowest, highest = document["range"]["lowest"], document["range"]["highest"]
    if lowest != highest:
        bands = " or ".join(document["range"]["bands"])
        yield f"Depending on the unknown values: {_points(lowest)} to {_points(highest)} points ({bands})"
    for warning in document["warnings"]:
        yield f"warning: {warning}"
    if document["gaps"]:
        yield "Unknown: " + "; ".join(document["gaps"])


def _decisions(document: Document) -> Iterator[str]:
    """What was decided of the stage and the owner, and why, as of the last run."""
    if document["stage_why"]:
        yield f"Stage: {document['stage'] or '(empty)'}; {document['stage_why']}"
    if document["waiting"]:
        yield f"Owner: none yet, because {document['waiting']}"
    elif document["owner_why"]:
        yield f"Owner: {document['owner'] or 'unassigned'}; {document['owner_why']}"
    for each in document["overrides"]:
        value = f"{each['field']} {each['value'] or '(empty)'}"
        yield f"Protected: {_called_record(each)}: {value}, changed by a user, until {each['until'][:10]}"


DELIVERY = {
    "pending": "update to {value} pending (run {run})",
    "held": "update to {value} waits for approval (plan {run})",
    "on_hold": "on hold: the CRM rejects the update: {on_hold}",
    "differs": "the next run updates it",
}


def _called_record(record: Document) -> str:
    """A record as people know it: the name, and where it is."""
    crm, kind, ref_id = record["ref"].split(":", 2)
    return ", ".join(each for each in (record["name"], f"{crm} {kind} {ref_id}") if each)


def _record(record: Document) -> str:
    who = _called_record(record)
    parts = [f"stage {record['stage'] or '(empty)'}", f"owner {record['owner'] or 'unassigned'}"]
    score = f"score {_points(record['holds']['score'])}" if "score" in record["holds"] else ""
    if record["state"] != "live" or record["delivery"] == "written":
        ending = record["state"] if record["state"] != "live" else "written"
        return f"{who}: {', '.join(each for each in (*parts, score, ending) if each)}"
    value = _points(record["pending"]["score"]) if "score" in record["pending"] else "other values"
    delivery = DELIVERY[record["delivery"]].format(value=value, run=record["run"], on_hold=record["on_hold"])
    return f"{who}: {', '.join(parts)}, {score or 'no score yet'}; {delivery}"


PARTS = {
    "fit": ("Fit", "who somebody is"),
    "behavior": ("Behavior", "what they did"),
    "limits": ("Limits", "in this order"),
    "bands": ("Bands", "the highest one whose conditions, and those of all lower bands, are met"),
    "disqualifiers": ("Disqualified", "always in the lowest band"),
    "qualifications": ("Qualified", "if all of these are true; the score does not change"),
    "segments": ("Segments", "the first one that matches a person applies"),
    "words": ("Lists and words", ""),
    "stages": ("Stages", "in this order; people only move forward"),
    "owners": ("Owners", "assigned round robin"),
}
NAMED_BY_SORT = ("group", "channel", "grade", "grid")


def print_model(console: Console, document: Document) -> None:
    """The whole model on a page, to be read aloud in a meeting."""
    document = make_printable(document)
    rules = document["rules"]
    fit = [line for line in rules if line["sort"] == "fit"]
    parts = {**document, "fit": fit, "behavior": [line for line in rules if line not in fit]}
    made = make_table(">points", "rule", "when")
    for part, (title, note) in PARTS.items():
        if parts[part]:
            made.add_row()
            made.add_row("", title, note, style="bold")
        for line in parts[part]:
            made.add_row(*_said(line))
    console.print(made)
    console.print()
    ages = f"Ages are whole days in {document['timezone']}."
    print_sentences(console, f"{count_of(len(rules), 'rule')}. {ages} Model version: {document['model']}.")


def _said(line: Document) -> tuple[str, str, str]:
    """Points, name and words of one line; limits and grades carry what they are in their name."""
    given = line["points"]
    points = "" if given is None else _signed(given) if line["sort"] in RULES else _points(given)
    name = f"{line['sort']} {line['name']}" if line["sort"] in NAMED_BY_SORT else line["name"]
    return points, name, line["says"]


def print_tally(console: Console, path: object, people: int, document: Document) -> None:
    """The errors and warnings of a file of people; nothing where all is well."""
    document = make_printable(document)
    for problem in document["problems"]:
        print_sentences(console, problem)
    for warning in document["warnings"]:
        print_sentences(console, f"warning: {warning}")
    if not people and not document["problems"]:
        print_sentences(console, f"{path} is empty: there are no people to score.")
    elif document["problems"]:
        print_sentences(
            console, f"{count_of(people, 'person')} scored; {count_of(len(document['problems']), 'error')} in {path}."
        )


STANDING = {
    "account": "account",
    "health": "health",
    "last_good": "last successful run",
    "records": "records",
    "not_matched": "not matched",
    "pending_updates": "pending updates",
    "on_hold": "on hold",
}


def print_status(console: Console, document: Document) -> None:
    """How things stand: health, what waits for somebody, the last runs and why they ended so, what is refused."""
    document = make_printable(document)
    for sentence in document["health"] or ["Healthy."]:
        print_sentences(console, sentence)
    if not document["runs"] and not document["waiting"] and not document["approved"]:
        return
    console.print()
    for plan in document["waiting"]:
        _print_plan(console, plan)
    for plan in document["approved"]:
        _print_approved_plan(console, plan)
    crms = {
        crm: {**each, "health": "ok" if each["healthy"] else "see above", "last_good": each["last_good"] or "never"}
        for crm, each in document["crms"].items()
    }
    console.print(_numbers(crms, STANDING))
    console.print()
    _print_bands(console, document)
    _print_waiting_for_owner(console, document["waiting_for_owner"])
    told = [*document["health"], *(reason for plan in document["waiting"] for reason in plan["reasons"])]
    _print_runs(console, document["runs"], told)
    _print_feeds(console, document.get("feeds", ()))
    print_troubles(console, document["refused"], "On hold")
    if document["held_by"]:
        print_sentences(console, f"In use by {document['held_by']}.")


def _print_plan(console: Console, plan: Document) -> None:
    since = format_minute(datetime.fromisoformat(plan["since"]))
    print_sentences(console, f"Held for approval: plan {plan['run']}, {count_waiting(plan['records'])}, since {since}")
    for reason in plan["reasons"]:
        print_sentences(console, f"  {reason}")
    say_command(console, plan["next"])
    console.print()


def _print_approved_plan(console: Console, plan: Document) -> None:
    at = format_minute(datetime.fromisoformat(plan["at"]))
    print_sentences(
        console, f"Approved and not written yet: plan {plan['run']}, {count_waiting(plan['records'])}, at {at}"
    )
    print_sentences(
        console,
        "  The next run with the same config writes it. If crmsync run was started with another config, restart it.",
    )
    console.print()


def _print_bands(console: Console, document: Document) -> None:
    """What the CRMs hold, and beside it how many more are to come to a band."""
    held, waiting = document["bands"], document["bands_waiting"]
    if not held and not waiting:
        return
    said = [
        f"{band} {held.get(band, 0):,}" + (f" ({waiting[band]:,} more waiting)" if band in waiting else "")
        for band in {**held, **waiting}
    ]
    print_sentences(console, f"People per band, as stored in the CRMs: {', '.join(said)}")


def _print_runs(console: Console, runs: Sequence[Document], told: Sequence[str]) -> None:
    """The last runs, and why the newest did not end well, as far as that is not `told` already."""
    made = make_table("run", "command", "outcome", ">updated", ">seconds", title="Last runs")
    for each in runs:
        updated = sum(crm["updated"] + crm.get("partly", 0) for crm in each["crms"].values())
        seconds = "" if each["seconds"] is None else f"{each['seconds']:.1f}"
        outcome = OUTCOMES.get(each["verdict"], each["verdict"])
        made.add_row(each["run"], each["command"], outcome, f"{updated:,}", seconds)
    console.print()
    console.print(made)
    for reason in _reasons_of(runs):
        if not any(_told_reason(reason) in sentence for sentence in told):
            print_sentences(console, reason)
    console.print()


def _told_reason(reason: str) -> str:
    """A reason as other sentences may contain it: without the run and the CRM before it."""
    return reason.split(": ", 2)[-1]


def _reasons_of(runs: Sequence[Document]) -> list[str]:
    """Why the newest run that ended did not end well, each reason once."""
    newest = next((each for each in runs if each["verdict"] != "running"), None)
    if newest is None or newest["verdict"] not in ("partial", "held", "failed"):
        return []
    counts = [
        f"{crm}: {counts[name]:,} {STATES[name]}"
        for crm, counts in newest["crms"].items()
        for name in ("rejected", "partly", "unknown")
        if counts.get(name)
    ]
    return [f"Run {newest['run']}: {reason}" for reason in dict.fromkeys((*newest["problems"], *counts))]


def _print_feeds(console: Console, feeds: Sequence[Document]) -> None:
    if not feeds:
        return
    made = make_table("crm", "activity type", ">number", "last", title="Activity sources")
    for each in feeds:
        made.add_row(each["crm"], each["kind"], f"{each['activities']:,}", each["last"])
    console.print(made)
    console.print()


def format_minute(at: datetime) -> str:
    """An instant for people: `2026-11-21 09:15 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def print_check(console: Console, document: Document) -> None:
    """Errors, warnings and what else is worth knowing."""
    document = make_printable(document)
    for problem in document["problems"]:
        print_sentences(console, f"error: {problem}")
    for crm, each in document["crms"].items():
        print_sentences(console, f"{crm}: account {each['account'] or 'unknown'}")
        for problem in _summed_up(each["problems"], each["setup_creates"]):
            print_sentences(console, f"  error: {problem}")
        for note in each["notes"]:
            print_sentences(console, f"  info: {note}")
    for warning in document["warnings"]:
        print_sentences(console, f"warning: {warning}")
    for note in document["notes"]:
        print_sentences(console, f"info: {note}")
    said = "ready" if document["ok"] else "not ready"
    counts = f"{count_of(document['rules'], 'rule')}, {count_of(document['test_leads'], 'test lead')}"
    print_sentences(console, f"{document['config']} is {said}: {counts}.")


def _summed_up(problems: Sequence[str], creatable: Sequence[str]) -> list[str]:
    """The errors of a CRM, with one sentence for all that one command creates."""
    if len(creatable) < 2:
        return list(problems)
    rest = [problem for problem in problems if problem not in creatable]
    return [f"{len(creatable)} score fields are missing; create them with: crmsync setup", *rest]


def print_demo(console: Console, document: Document) -> None:
    """What the demo did, and what to try next."""
    document = make_printable(document)
    sandbox = document["sandbox"]
    print_sentences(
        console,
        f"The sandbox ran both CRMs at {sandbox['url']} with {sandbox['people']:,} invented people. "
        f"The config is {document['config']}.",
    )
    for crm, sentences in document["fields"].items():
        print_sentences(console, f"{crm}: score fields created ({count_of(len(sentences), 'step')})")
    console.print("\nThe first sync run (a backfill):")
    print_run(console, document["backfill"])
    console.print()
    console.print(_hottest(document["hottest"]))
    console.print("\nThe second sync run, without new changes in the CRMs:")
    print_run(console, {**document["second"], "bands": {}})
    written = sum(each["updated"] for each in document["second"]["crms"].values())
    console.print("It updated nothing." if not written else f"It updated {count_of(written, 'record')}.")
    console.print()
    _print_following(console, document)


def _hottest(leads: Sequence[Document]) -> Table:
    made = make_table(">points", "band", "who", "because", title="The ten hottest leads", one_line=True)
    for each in leads:
        because = each["reason"].partition(": ")[2]
        made.add_row(f"{each['total']:g}", each["band"], each["email"] or each["name"], because)
    return made


def _print_following(console: Console, document: Document) -> None:
    if document["ignored_environment"]:
        names = ", ".join(document["ignored_environment"])
        print_sentences(console, f"Ignored, to protect your real CRMs: {names} in your environment.")
    if process := document["sandbox"]["process"]:
        console.print(f"The sandbox is still running. To stop it: kill {process}")
    else:
        console.print("The sandbox has stopped. With --keep it keeps running, for crmsync plan and crmsync run.")
    console.print("Next:")
    for command in document["next"]:
        say_command(console, command)


def in_order(counts: Mapping[str, int], bands: Sequence[str]) -> dict[str, int]:
    """People per band in the order of `bands`, and after them the bands that the config no longer has."""
    named = {band: counts[band] for band in bands if band in counts}
    return named | {band: number for band, number in counts.items() if band not in named}
