"""A run or a plan on a terminal: counts, what moves, and what did not go through."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from crmsync.reporting.console import (
    Document,
    count_of,
    has_room,
    make_printable,
    make_table,
    print_sentences,
    print_table,
    print_title,
    show_points,
)
from crmsync.reporting.event_sources import print_events_read

SHOWN_MOVERS = 10

SHOWN_MOVES = 20

COUNTS = {
    "pulled": "pulled",
    "activities": "activities",
    "opportunities": "opportunities",
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
    "excluded": "excluded",
    "held": "held for approval",
}


PROTECTED = {
    "stage_changed_by_a_user": "stage changed by a user",
    "owner_changed_by_a_user": "owner changed by a user",
    "on_hold": "on hold (the CRM rejects it)",
    "undone": "undone, held for approval",
    "stage_not_in_config": "its stage is neither in the config nor in the CRM's order of stages",
    "changed_back_by_others": "another tool keeps changing it back",
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


def print_counts(
    console: Console, crms: Mapping[str, Document], names: Mapping[str, str], looked_for: Collection[str] = ()
) -> None:
    """A line for each sort of number, a column for each CRM, or below each other where there is no room.

    What is zero everywhere is left out, but not what is always `looked_for`.
    """
    told = [name for name in names if name in looked_for or any(each.get(name) for each in crms.values())]
    made = make_table("", *(f">{crm}" for crm in crms))
    for name in told:
        made.add_row(names[name], *(_cell(each.get(name)) for each in crms.values()))
    if has_room(console, made):
        print_table(console, made)
        return
    for crm, each in crms.items():
        print_sentences(console, crm)
        for name in told:
            print_sentences(console, f"  {names[name]} {_cell(each.get(name))}")


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def print_run(console: Console, document: Document) -> None:
    """How a run ended: the counts of each CRM, what was not scored or written and why, people per band."""
    document = make_printable(document)
    names = dict(COUNTS)
    if document.get("verdict") != "preview" and any(_taken(each) for each in document["crms"].values()):
        del names["planned"]  # it is the sum of the lines below it
    # That nothing was updated is news; a preview updates nothing.
    looked_for = ("planned",) if document.get("verdict") == "preview" else ("updated",)
    seconds = {crm: {**each, "time": f"{each['seconds']:.1f} s"} for crm, each in document["crms"].items()}
    print_counts(console, seconds, {**names, "time": "time"}, looked_for)
    console.print()
    for crm, each in document["crms"].items():
        _print_reasons(console, f"{crm}, skipped", each.get("skipped", {}), SKIPPED)
        _print_reasons(console, f"{crm}, protected", each.get("protected", {}), PROTECTED)
    print_events_read(console, document)
    if document.get("bands"):
        print_sentences(console, "People per band: " + _listed(document["bands"]))
    _print_routing(console, document.get("routing") or {})
    print_waiting_for_owner(console, document.get("waiting_for_owner", {}))
    if document.get("tasks"):
        print_sentences(console, f"Tasks for owners: {_listed(document['tasks'])}")
    print_holds(console, document)
    for sentence in (*document.get("problems", ()), *document.get("notes", ())):
        print_sentences(console, sentence)


def _taken(counts: Document) -> int:
    return sum(int(counts.get(name, 0)) for name in ("updated", *STATES))


def _print_reasons(console: Console, what: str, reasons: Mapping[str, int], words: Mapping[str, str]) -> None:
    if reasons:
        told = ", ".join(f"{number:,} {words.get(why, why.replace('_', ' '))}" for why, number in reasons.items())
        print_sentences(console, f"{what}: {told}")


def print_holds(console: Console, document: Document) -> None:
    """That dead feeds hold decay and inactivity, since when and why."""
    for each in document.get("holds", ()):
        print_sentences(console, f"{each['said']}.")


def print_waiting_for_owner(console: Console, waiting: Document) -> None:
    if not waiting.get("count"):
        return
    print_sentences(console, f"Waiting for an owner: {count_of(waiting['count'], 'person')}")
    for why, people in waiting["reasons"].items():
        print_sentences(console, f"  {people:,}: {why}")


def _print_routing(console: Console, routing: Document) -> None:
    if not routing.get("in"):
        return
    told = [
        (f"{name} {routing[name]:,}") for name in ("owned", "routed", "nurture", "excluded", "waiting") if routing[name]
    ]
    print_sentences(console, f"Owners: {count_of(routing['in'], 'person')}: {', '.join(told)}")
    if routing["by_owner"]:
        print_sentences(console, f"New people by owner: {_listed(routing['by_owner'])}")


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


def print_troubles(
    console: Console, troubles: Sequence[Document], heading: str = "Not written as planned", most: int = SHOWN_MOVES
) -> None:
    """What did not go through, by cause, the first `most`: how many records, fields, what the CRM said, what to do."""
    records = sum(each["records"] for each in troubles)
    if not troubles:
        return
    print_sentences(console, f"{heading}: {count_of(records, 'record')}")
    for each in map(make_printable, troubles[:most]):
        fields = f" ({', '.join(each['fields'])})" if each["fields"] else ""
        head = (
            f"{each['crm']}, {count_of(each['records'], 'record')}, {STATES.get(each['state'], each['state'])}{fields}"
        )
        print_sentences(console, f"  {head}: {each['cause']}")
        print_sentences(console, f"    for example {', '.join(each['examples'])}")
        if each["fix"]:
            print_sentences(console, f"    → {each['fix']}")
    if len(troubles) > most:
        left = sum(each["records"] for each in troubles[most:])
        print_sentences(console, f"  and {count_of(left, 'record')} of {count_of(len(troubles) - most, 'other cause')}")


def print_band_matrices(console: Console, changes: Document, bands: Sequence[str]) -> None:
    """For each CRM how many records go from which band to which."""
    for crm in changes["records"]:
        moves = [each for each in changes["bands"] if each["crm"] == crm]
        if moves:
            console.print()
            print_title(console, f"{crm}: records by band, old (down) → new (across)")
            print_table(console, _matrix(moves, bands))


def movers_table(movers: Sequence[Document]) -> Table:
    """The largest moves, each person once: their records mostly move alike."""
    made = make_table(">from", ">to", "who", "because", title="Largest score changes", one_line=True)
    shown: set[tuple[str, Any]] = set()
    for each in movers:
        who = each["name"] or each["ref"]
        if (who, each["to"]) not in shown and len(shown) < SHOWN_MOVERS:
            shown.add((who, each["to"]))
            because = each["because"].partition(": ")[2] or each["because"]
            made.add_row(show_points(each["from"]), show_points(each["to"]), who, because)
    return made


def _matrix(moves: Sequence[Document], bands: Sequence[str]) -> Table:
    olds = [band for band in (None, *bands) if any(each["from"] == band for each in moves)]
    others = sorted({each["from"] for each in moves} - {None, *bands})
    made = make_table("", *(f">{band}" for band in bands))
    for old in [*olds, *others]:
        cells = {each["to"]: each["records"] for each in moves if each["from"] == old}
        made.add_row(old or "no band yet", *(f"{cells[band]:,}" if band in cells else "" for band in bands))
    return made
