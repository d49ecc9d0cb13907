"""A sample to review, and how often reviewers agree, on a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from crmsync.reporting.console import (
    Document,
    count_of,
    make_printable,
    make_table,
    print_sentences,
    print_table,
    say_command,
    show_points,
)
from crmsync.reporting.numbers import show_share


def print_audit(console: Console, document: Document, typed: Callable[[str], str], again: str) -> None:
    """Who is to be looked at, or what a file of verdicts said; then how often reviewers agree with each band.

    `again` is the command that writes the sample to a file.
    """
    document = make_printable(document)
    if read := document["read"]:
        said = f"{count_of(read['verdicts'], 'verdict')} read, {read['kept']:,} of them kept in the state"
        blank = f"; {count_of(read['blank'], 'line')} without a verdict yet" if read["blank"] else ""
        print_sentences(console, f"{said}{blank}.")
    elif not document["people"]:
        print_sentences(console, "Nobody is scored yet, so that there is nobody to look at.")
    else:
        _print_sample(console, document)
    _print_agreement(console, document)
    if document["people"] and not document["read"]:
        console.print()
        print_sentences(console, "To review them in a spreadsheet (right, too high, too low, or a note), then read it:")
        say_command(console, again)
        say_command(console, typed("crmsync audit --verdicts audit.csv"))


def _print_sample(console: Console, document: Document) -> None:
    print_sentences(
        console, f"{count_of(len(document['people']), 'person')} to look at, drawn by the seed {document['seed']}:"
    )
    for number, each in enumerate(document["people"], start=1):
        parts = [f"{each['band'] or 'no band'} {show_points(each['score'])}", f"{each['half']} in the band"]
        parts += [each["outcome"]] if each["outcome"] else []
        parts += [f"owner {each['owner']}"] if each["owner"] else []
        print_sentences(console, f"{number}. {each['name'] or 'no name'}: {', '.join(parts)}")
        print_sentences(console, f"   {', '.join(each['reasons']) or 'no rule matches yet'}")


def _print_agreement(console: Console, document: Document) -> None:
    if document["agreed"]:
        console.print()
        table = make_table("band", ">right", ">too high", ">too low", ">notes", ">agreement", title="Reviewers said")
        for band, each in [*document["agreement"].items(), ("all", document["agreed"])]:
            counts = [f"{each[name]:,}" for name in ("right", "too_high", "too_low", "notes")]
            table.add_row(band or "no band", *counts, show_share(each["agreement"], "–"))
        print_table(console, table)
    if document["feedback"]:
        console.print()
        for tag, bands in document["feedback"].items():
            said = ", ".join(f"{band} {many:,}" for band, many in bands.items())
            print_sentences(console, f"Feedback of users, {tag}: {said}")
