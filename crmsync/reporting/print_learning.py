"""A learned card on a terminal: the verdict first, then why."""

from __future__ import annotations

from datetime import datetime

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
from crmsync.reporting.numbers import show_decimals, show_percent

VERDICTS = {
    "better": "BETTER: the learned card is worth a change.",
    "no_better": "NO BETTER: keep today's points.",
    "not_enough": "NOT ENOUGH DATA: keep today's points.",
}


def print_learning(console: Console, document: Document) -> None:
    """Verdict, rules, test on the later period, bands, half-lives, leaks and notes."""
    document = make_printable(document)
    print_sentences(console, VERDICTS[document["verdict"]])
    print_sentences(console, document["why"])
    counts = f"{document['won']:,} won, {document['lost']:,} lost, {document['open']:,} still open"
    left_out = f"; {document['disqualified']:,} disqualified left out" if document["disqualified"] else ""
    print_sentences(console, f"{count_of(document['people'], 'person')}: {counts}{left_out}")
    if document["rules"]:
        _print_rules(console, document)
    if document["later_period"]:
        _print_test(console, document)
    if document["thresholds"]:
        _print_thresholds(console, document)
    if document["half_lives"]:
        _print_half_lives(console, document)
    if document["leaks"]:
        console.print()
        print_sentences(console, "Tell the outcome, so nothing was learned from them:")
        for each in document["leaks"]:
            print_sentences(console, f"  {each['name']}: {each['why']}")
    for each in document["notes"]:
        print_sentences(console, f"Note: {each}.")


def _print_rules(console: Console, document: Document) -> None:
    console.print()
    table = make_table(">now", ">learned", ">95 %", ">people", ">won", "rule")
    for each in document["rules"]:
        now, points = each["points_now"], each["points"]
        mark = "" if now == points else " *" if now is None or now * points > 0 else " !"
        table.add_row(
            "new" if now is None else show_points(now),
            show_points(points) + mark,
            "–" if each["low"] == each["high"] else f"{each['low']:.0f} to {each['high']:.0f}",
            f"{each['people']:,}",
            show_percent(each["rate"], 0),
            each["name"],
        )
    print_table(console, table)
    for each in document["rules"]:
        if each["note"] not in ("", "new"):
            print_sentences(console, f"  {each['name']}: {each['note']}")


def _print_test(console: Console, document: Document) -> None:
    later = document["later_period"]
    begin, end = (f"{datetime.fromisoformat(later[key]):%Y-%m-%d}" for key in ("from", "until"))
    people = f"{count_of(later['people'], 'person')}, {later['won']:,} won"
    console.print()
    print_sentences(console, f"Test on the later period, {begin} to {end} ({people}); none of it was learned from:")
    table = make_table("", ">AUC", ">95 %", ">Brier")
    for name, key in (("today's card", "now"), ("learned card", "learned")):
        area = later[f"auc_{key}"]
        interval = f"{area['low']:.3f} to {area['high']:.3f}"
        table.add_row(name, f"{area['value']:.3f}", interval, f"{later[f'brier_{key}']:.4f}")
    print_table(console, table)
    ratio = later["observed_expected"]["value"]
    print_sentences(console, f"Won ÷ expected by the learned card: {ratio:.2f}")


def _print_thresholds(console: Console, document: Document) -> None:
    console.print()
    table = make_table("band", ">at now", ">at", ">people now", ">people", ">a week", ">won", "by")
    for each in document["thresholds"]:
        precision = each["precision"]
        table.add_row(
            each["band"],
            show_points(each["at_now"]),
            show_points(each["at"]),
            f"{each['people_now']:,}",
            f"{each['people']:,}",
            show_decimals(each["per_week"], ",.1f"),
            "–" if precision is None else show_percent(precision["value"], 0),
            each["by"],
        )
    print_table(console, table)
    for each in document["thresholds"]:
        if each["note"]:
            print_sentences(console, f"  {each['band']}: {each['note']}")


def _print_half_lives(console: Console, document: Document) -> None:
    console.print()
    table = make_table(">half-life now", ">estimate", ">95 %", "rule")
    for each in document["half_lives"]:
        low, high = (None if each[key] is None else f"{each[key]:.0f}" for key in ("low", "high"))
        interval = f"{low or 'under 7'} to {high or 'over 180'}"
        said = f"{each['rule']}: {each['note']}" if each["note"] else each["rule"]
        now = "none" if each["days_now"] is None else f"{each['days_now']}d"
        table.add_row(now, f"{each['days']}d" + " *" * each["suggested"], interval, said)
    print_table(console, table)
