"""What another model would change, on a terminal and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from crmsync.reporting.console import Document, make_printable, make_table, print_sentences, print_table, show_points
from crmsync.reporting.numbers import describe_accepted, show_decimals, show_share

CURVE_ROWS = 20
"""Lines of the curve that a terminal shows; --csv and --json have all."""

STEPS = tuple(lead * 10**zeros for zeros in range(6) for lead in (1, 2, 5))
"""How far apart the lines are that a terminal shows."""

REPS = 10
"""Reps that a terminal shows."""

CURVE_COLUMNS = (
    "points", "people", "per_week", "per_rep", "won", "lost", "conversion", "accepted", "settled", "acceptance",
)  # fmt: skip


def print_model_simulation(console: Console, document: Document) -> None:
    """What changes, first of all; then from which band to which, and what other lines would do."""
    document = make_printable(document)
    print_sentences(console, document["said"])
    if document["line"] is not None:
        print_sentences(console, document["line"]["said"])
    console.print()
    _print_compared(console, document, document)
    if present := document["now"]:
        console.print()
        print_sentences(console, f"People as known now ({present['people']:,}):")
        _print_compared(console, present, document)
    if document["by_rep"]:
        console.print()
        _print_reps(console, document["by_rep"])
    if document["curve"]:
        console.print()
        _print_curve(console, document)
    console.print()
    for note in document["notes"]:
        print_sentences(console, note)


def _print_compared(console: Console, of: Mapping[str, Any], document: Document) -> None:
    matrix = of["matrix"]
    columns = list(dict.fromkeys(name for row in matrix.values() for name in row))
    table = make_table("band by the old model", *(f">{name}" for name in columns), title="Old band → new band")
    for name, row in matrix.items():
        table.add_row(name, *(f"{row[each]:,}" if row.get(each) else "–" for each in columns))
    print_table(console, table)
    if document["line_band"] is None:
        return
    for name, called in (("old", "Old model"), ("new", "New model")):
        print_sentences(console, _say_over(called, document["line_band"], of["over_line"][name]))


def _say_over(called: str, line: str, over: Mapping[str, Any]) -> str:
    at = "" if over["points"] is None else f" at {show_points(over['points'])}"
    parts = [f"{called}, {line}{at} and above: {describe_accepted(over['people'], over['accepted'], over['settled'])}"]
    if over["per_week"] is not None:
        rep = "" if over["per_rep"] is None else f" ({over['per_rep']:,.1f} per rep)"
        parts.append(f"{over['per_week']:,.1f} a week{rep}")
    if over["conversion"] is not None:
        parts.append(f"{over['won']:,} won of {over['won'] + over['lost']:,} ({show_share(over['conversion'])})")
    if over["expected_wins"] is not None:
        parts.append(f"expected wins {over['expected_wins']:,.1f}")
    return ", ".join(parts)


def _print_reps(console: Console, reps: Sequence[Mapping[str, Any]]) -> None:
    table = make_table("rep", ">a week, old", ">a week, new", title="Over the line, by rep")
    for each in reps[:REPS]:
        table.add_row(each["rep"], f"{each['old_per_week']:,.1f}", f"{each['new_per_week']:,.1f}")
    print_table(console, table)
    if len(reps) > REPS:
        print_sentences(console, f"{len(reps) - REPS:,} more are in --json.")


def _print_curve(console: Console, document: Document) -> None:
    """Some lines of the curve: whole tens, and those of the models and of the capacity."""
    curve = document["curve"]
    wanted = {document["over_line"][name]["points"] for name in ("old", "new")}
    wanted |= {document["line"]["points"]} if document["line"] else set()
    span = curve[-1]["points"] - curve[0]["points"]
    width = next(each for each in STEPS if span / each <= CURVE_ROWS)
    headings = (">line at", ">people", ">a week", ">per rep", ">won", ">conversion", ">accepted")
    table = make_table(*headings, title="What each line would leave, by the new model")
    for each in curve:
        if each["points"] % width and each["points"] not in wanted:
            continue
        table.add_row(
            show_points(each["points"]),
            f"{each['people']:,}",
            *(show_decimals(each[name], ",.1f") for name in ("per_week", "per_rep")),
            f"{each['won']:,}",
            *(show_share(each[name], "–") for name in ("conversion", "acceptance")),
        )
        if not each["people"]:
            break
    print_table(console, table)
