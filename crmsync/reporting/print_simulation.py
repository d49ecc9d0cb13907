"""What the routes of a config would have done, on a terminal."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from rich.console import Console

from crmsync.reporting.console import (
    Document,
    count_of,
    format_minute,
    make_printable,
    make_table,
    print_sentences,
    print_table,
    show_points,
)

REASONS = 10
"""How many reasons of those who wait are shown, the most frequent first."""


def print_simulation(console: Console, document: Document) -> None:
    """Who would have got how many, and who nobody and why."""
    document = make_printable(document)
    begin, end = (format_minute(datetime.fromisoformat(document[name])) for name in ("from", "to"))
    came = count_of(document["arrivals"], "arrival")
    print_sentences(console, f"{came} from {begin} to {end}, scored as known today")
    if document["reps"]:
        console.print()
        _print_reps(console, document)
    console.print()
    if document["nurture"]:
        print_sentences(console, f"{count_of(document['nurture'], 'person')} on a track")
    if document["unrouted"]:
        _print_unrouted(console, document)
    else:
        print_sentences(console, "Nobody waits for an owner at the end.")
    console.print()
    for note in document["notes"]:
        print_sentences(console, note)


def _print_reps(console: Console, document: Document) -> None:
    reps = document["reps"]
    has_breaches = any(each["breaches"] for each in reps)
    table = make_table("rep", "pool", ">leads", ">value", ">of average", ">waited", *[">breaches"] * has_breaches)
    for each in reps:
        pool = each.get("pool")
        theirs = [it["leads"] for it in reps if pool and it.get("pool") == pool]
        share = f"{each['leads'] * len(theirs) / sum(theirs):.0%}" if sum(theirs) else "–"
        numbers = (f"{each['leads']:,}", show_points(each["value"]), share, f"{each['waited']:,}")
        table.add_row(each["email"], pool or "–", *numbers, *[f"{each['breaches']:,}"] * has_breaches)
    print_table(console, table)


def _print_unrouted(console: Console, document: Document) -> None:
    reasons = Counter(each["why"] for each in document["unrouted"])
    verb = "waits" if len(document["unrouted"]) == 1 else "wait"
    print_sentences(console, f"{count_of(len(document['unrouted']), 'person')} {verb} for an owner at the end:")
    for why, many in sorted(reasons.items(), key=lambda each: (-each[1], each[0]))[:REASONS]:
        print_sentences(console, f"  {many:,}: {why}")
    if len(reasons) > REASONS:
        print_sentences(console, f"  and {count_of(len(reasons) - REASONS, 'other reason')}: see --json")
