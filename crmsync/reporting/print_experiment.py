"""An experiment on a terminal: the verdict first."""

from __future__ import annotations

from rich.console import Console

from crmsync.reporting.console import (
    Document,
    count_of,
    make_printable,
    make_table,
    print_sentences,
    print_table,
    show_points,
)
from crmsync.reporting.numbers import show_interval, show_percent


def print_experiment(console: Console, document: Document) -> None:
    """The verdict, the arms with their intervals, and who does not count."""
    document = make_printable(document)
    print_sentences(console, document["why"])
    console.print()
    lines = any(each["line"] is not None for each in document["arms"])
    table = make_table("arm", *[">line"] * lines, ">share", ">people", f">{document['metric']}", ">rate", ">95 %")
    for each in document["arms"]:
        table.add_row(
            each["name"],
            *[show_points(each["line"])] * lines,
            show_percent(each["share"], 0),
            f"{each['people']:,}",
            f"{each['hits']:,}",
            show_percent(each["rate"]),
            show_interval(each),
        )
    print_table(console, table)
    console.print()
    washed = count_of(document["wash_out_days"], "day")
    print_sentences(
        console,
        f"Not counted: {count_of(document['before'], 'person')} in no arm (came before {document['start']}, or it is "
        f"not known when), {document['washed_out']:,} who came in the {washed} of wash-out, "
        f"{document['open']:,} of whom it is not known yet.",
    )
