"""What drifts, on a terminal: the verdict first."""

from __future__ import annotations

from rich.console import Console

from crmsync.reporting.console import Document, count_of, make_printable, make_table, print_sentences, print_table
from crmsync.reporting.numbers import show_decimals, show_percent

SHOWN = 12
"""How many of the last months, weeks and sources are shown."""

MONTH_COLUMNS = (
    *("month", "complete", "people", "won", "rate", "low", "high", "expected", "observed_expected", "z", "p"),
    *("slope", "slope_low", "slope_high", "auc", "auc_low", "auc_high", "psi"),
)
"""Columns of a CSV file, one row a month."""


def print_drift(console: Console, document: Document) -> None:
    """The verdict, the alerts, then months, bands, rules, sources and weeks."""
    document = make_printable(document)
    print_sentences(console, document["why"])
    for each in document["alerts"][1:]:
        print_sentences(console, each["said"])
    if not document["people"]:
        return
    within = f" within {count_of(document['wait_days'], 'day')}" if document["wait_days"] >= 1 else ""
    console.print()
    print_sentences(
        console,
        f"{count_of(document['people'], 'person')} by when they were judged, {document['won']:,} of them won{within}.",
    )
    if document["immature"]:
        young = count_of(document["immature"], "person")
        print_sentences(console, f"{young} more: too young, what comes of them is not due yet.")
    console.print()
    _print_months(console, document)
    _print_ranges(console, document)
    _print_rules(console, document)
    _print_sources(console, document)
    _print_weeks(console, document)


def _print_months(console: Console, document: Document) -> None:
    table = make_table("month", ">people", ">won", ">rate", ">expected", ">z", ">AUC", ">slope", ">mix (PSI)")
    for each in document["months"][-SHOWN:]:
        table.add_row(
            each["month"] + ("" if each["complete"] else " …"),
            f"{each['people']:,}",
            f"{each['won']:,}",
            show_percent(each["rate"]),
            show_percent(None if each["expected"] is None else each["expected"] / each["people"]),
            show_decimals(each["z"], "+.1f"),
            show_decimals(each["auc"], ".2f"),
            show_decimals(each["slope"], ".1f"),
            show_decimals(each["psi"], ".2f"),
        )
    print_table(console, table)
    print_sentences(
        console,
        "Expected is by the score and the season, as the people before that month say. One month at z 2 is chance in "
        "one of twenty: the alarm looks at 30 and 90 days, each day anew, with limits for that.",
    )
    if any(not each["complete"] for each in document["months"][-SHOWN:]):
        print_sentences(console, "…: a part of this month is still too young.")
    console.print()


def _print_ranges(console: Console, document: Document) -> None:
    if not document["ranges"]:
        return
    table = make_table("band", ">lately", ">won", ">rate", ">before", ">rate before", ">z", ">p")
    for each in reversed(document["ranges"]):
        table.add_row(
            each["name"],
            f"{each['people']:,}",
            f"{each['won']:,}",
            show_percent(each["rate"]),
            f"{each['people_before']:,}",
            show_percent(each["rate_before"]),
            show_decimals(each["z"], ".2f"),
            show_decimals(each["p"], ".3f"),
        )
    print_table(console, table)
    console.print()


def _print_rules(console: Console, document: Document) -> None:
    for each in document["silent_rules"]:
        print_sentences(
            console,
            f"Silent: {each['name']}, last matched on {each['last']}; {each['expected']:.1f} were to be expected "
            "in the last 14 days.",
        )
    for each in document["rules_to_review"]:
        why = (
            "held for nobody in the last 90 days"
            if each["other"] is None
            else f"holds for the same people as {each['other']} (correlation {each['correlation']:.2f})"
        )
        print_sentences(console, f"To review: {each['name']} {why}.")
    if document["silent_rules"] or document["rules_to_review"]:
        console.print()


def _print_sources(console: Console, document: Document) -> None:
    if not document["sources"]:
        return
    line = document["line"] or "the line"
    table = make_table("source", ">seen", ">scored", f">at {line}", ">handed over", ">gap")
    for each in document["sources"][:SHOWN]:
        table.add_row(
            each["name"] or "not known",
            f"{each['seen']:,}",
            f"{each['scored']:,}",
            *(show_decimals(each[key], ",") for key in ("reached", "routed")),
            f"{each['gap']:,}",
            style="red" if each["gap"] else None,
        )
    print_table(console, table)
    if len(document["sources"]) > SHOWN:
        print_sentences(console, f"and {count_of(len(document['sources']) - SHOWN, 'other source')}: see --json")
    console.print()


def _print_weeks(console: Console, document: Document) -> None:
    table = make_table("week of", ">people", ">won", ">rate")
    for each in document["weeks"][-SHOWN:]:
        table.add_row(each["week"], f"{each['people']:,}", f"{each['won']:,}", show_percent(each["rate"]))
    print_table(console, table)
