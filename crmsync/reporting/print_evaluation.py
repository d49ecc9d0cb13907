"""An evaluation on a terminal: what it comes to first, then by band, rule, month and person."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
    show_signed,
)

# The sections of the report take them from here.
from crmsync.reporting.numbers import show_decimals, show_interval, show_percent

NAMED, ROWS = 5, 20
"""So many people of a list, and so many rows of a table, are shown."""

BAR = 16
"""Characters of a bar of 100 %."""

UNKNOWN = "not known"


def print_evaluation(console: Console, document: Document, typed: Callable[[str], str], given: str = "") -> None:
    """The whole evaluation; `given` is the file that it is of."""
    document = make_printable(document)
    print_sentences(console, document["verdict"])
    print_sentences(console, describe_people(document))
    for said in document["warnings"]:
        print_sentences(console, f"Warning: {said}")
    parts = (_print_bands, _print_calibration, _print_rules, _print_funnel, _print_groups, _print_speed, _print_known)
    for part in parts:
        part(console, document)
    _print_lists(console, document)
    console.print()
    named = f" --input {shlex.quote(given)}" if given else ""
    print_sentences(console, "All people to look at, as a file, and the report for a meeting:")
    say_command(console, typed(f"crmsync evaluate{named} --csv people.csv"))
    say_command(console, typed(f"crmsync report{named} --html report.html"))


def describe_people(document: Document) -> str:
    """How many there are, and when they were judged."""
    counts = ", ".join(f"{document[name]:,} {name}" for name in ("won", "lost", "open"))
    period = f"{document['judged_from'][:10]} to {document['judged_to'][:10]}"
    return f"{count_of(document['people'], 'person')}, judged {period}: {counts}."


def _print_bands(console: Console, document: Document) -> None:
    if not document["bands"]:
        return
    console.print()
    table = make_table("band", ">closed", ">won", ">conversion", ">95 %", "", ">open", title="Conversion by band")
    for each in reversed(document["bands"]):
        bar = "█" * round(BAR * (each["rate"] or 0))
        numbers = (f"{each['people']:,}", f"{each['won']:,}", show_percent(each["rate"]), show_interval(each))
        table.add_row(each["name"], *numbers, bar, f"{each['open']:,}")
    print_table(console, table)
    below, line, suggested = document["below_line"], document["line"], document["suggested_line"]
    for each in document["lines"]:
        if each["name"] == line and each["precision"] is not None:
            recall = show_percent(each["recall"], 0)
            print_sentences(
                console,
                f"Above the line ({line}), {show_percent(each['precision'], 0)} were won (precision); of all who were "
                f"won, {recall} were above it (recall).",
            )
    if line is not None:
        print_sentences(console, f"Below the line: {below['people']:,} ({show_percent(below['share'])}).")
    if suggested is not None and line is not None:
        print_sentences(console, describe_suggestion(suggested, line))


def describe_suggestion(suggested: Mapping[str, Any], line: str) -> str:
    """The line that the scores of the won suggest."""
    now = "" if suggested["now"] is None else f"; {line} begins at {show_points(suggested['now'])}"
    return (
        f"Three of four won people had {count_of(suggested['score'], 'point')} or more "
        f"{'at hand-off' if suggested['as_of'] == 'hand_off' else 'as judged'} (of {suggested['people']:,}){now}."
    )


def describe_calibration(document: Document) -> str:
    """What the earlier half promised and the later one held."""
    known = document["calibration"]
    if known is None:
        return f"Calibration: not enough data; {document['calibration_why']}."
    return (
        f"Calibration: by the outcomes before {known['tried_from'][:10]}, {known['expected']:,.1f} of the "
        f"{count_of(known['tried'], 'person')} judged since then should have been won; {known['observed']:,} "
        f"were (observed ÷ expected {document['observed_expected']:.2f}; Brier score "
        f"{document['brier']:.3f}, without a score {known['brier_base']:.3f})."
    )


def _print_calibration(console: Console, document: Document) -> None:
    print_sentences(console, describe_calibration(document))


FINDINGS = {
    "helps": "Rules that help (they go the way of the outcomes)",
    "wrong_way": "Rules that point the wrong way",
    "no_difference": "Rules without a difference between won and lost",
    "not_enough": "Rules with too little data",
}
"""What is found about a rule, in the order in which it is shown."""


def _print_rules(console: Console, document: Document) -> None:
    for finding, title in FINDINGS.items():
        rules = [each for each in document["rules"] if each["finding"] == finding]
        if not rules:
            continue
        console.print()
        if finding == "not_enough":
            names = ", ".join(each["name"] for each in rules)
            print_sentences(console, f"{title}: {names}.")
            continue
        rules.sort(key=lambda each: -(each["lift"] or 0))
        table = make_table("rule", ">points", ">of won", ">of lost", ">lift", ">95 %", title=title)
        for each in rules:
            shares = (show_percent(each["won_rate"]), show_percent(each["lost_rate"]))
            points = "–" if each["points"] is None else show_signed(round(each["points"], 1))
            table.add_row(each["name"], points, *shares, show_lift(each["lift"]), show_lift_interval(each))
        print_table(console, table)


def show_lift(value: float | None) -> str:
    """A lift."""
    return "–" if value is None else f"{value:.1f}×"


def show_lift_interval(of: Mapping[str, Any]) -> str:
    """The interval of a lift, which may have no end."""
    if of["low"] is None:
        return "–"
    return f"{of['low']:.1f} and more" if of["high"] is None else f"{of['low']:.1f} to {of['high']:.1f}"


def show_step(count: int | None, rate: float | None) -> str:
    """A step of the funnel with its rate."""
    return UNKNOWN if count is None else f"{count:,} ({show_percent(rate)})" if rate is not None else f"{count:,}"


def funnel_cells(row: Mapping[str, Any]) -> list[str]:
    """A row of the funnel as texts: an MQL count never stands without the accepted rate."""
    won_rate = row["won_rate"] if row["opportunity"] is not None else row["mql_won_rate"]
    return [
        row["name"] or UNKNOWN,
        f"{row['people']:,}",
        f"{row['mql']:,}",
        show_step(row["accepted"], row["accepted_rate"]),
        show_step(row["opportunity"], row["opportunity_rate"]),
        show_step(row["won"], won_rate),
        f"{row['open']:,}",
    ]


FUNNEL_HEADINGS = ("came in", ">people", ">MQL", ">accepted", ">opportunity", ">won", ">open")


def describe_funnel(funnel: Mapping[str, Any]) -> str:
    """What the rates of the funnel are of."""
    whose = "people over the line by score" if funnel["mql_by"] == "score" else "people who entered the stage"
    if funnel["all"]["accepted"] is None:
        return f"MQL: {whose}. Accepted and opportunity are not known here; won is of the closed MQLs."
    return f"MQL: {whose}. Each rate is of the step before; young months are not done yet."


def _print_funnel(console: Console, document: Document) -> None:
    funnel = document["funnel"]
    console.print()
    # With this many, the arrivals are what a line of 80 characters has no room for.
    is_short = document["people"] < 100_000
    shown = [place for place, heading in enumerate(FUNNEL_HEADINGS) if is_short or heading != ">people"]
    table = make_table(*(FUNNEL_HEADINGS[place] for place in shown), title="Funnel")
    for row in (*funnel["cohorts"][-12:], funnel["all"]):
        cells = funnel_cells(row)
        cells[0] += "*" if row["changed"] and row["name"] != "all" else ""
        table.add_row(*(cells[place] for place in shown))
    print_table(console, table)
    print_sentences(console, describe_funnel(funnel))
    if any(row["changed"] for row in funnel["cohorts"]):
        print_sentences(console, "* A definition changed within it: " + "; ".join(funnel["all"]["changed"]) + ".")
    if funnel["all"]["won_without"]:
        how = "below the line" if funnel["mql_by"] == "score" else "without these steps"
        print_sentences(console, f"{funnel['all']['won_without']:,} were won {how}.")


def _print_groups(console: Console, document: Document) -> None:
    if not document["groups"]:
        return
    console.print()
    is_suggested = any(each["suggestion"] for each in document["groups"])
    columns = (">closed", ">won", ">conversion", ">95 %", ">AUC", ">obs÷exp", *["points"] * is_suggested)
    table = make_table(document["by"], *columns, title=f"By {document['by']}")
    groups = document["groups"]
    shown = sorted(groups, key=lambda each: str(each["name"]))[-ROWS:] if document["by"] == "month" else groups[:ROWS]
    for each in shown:
        closed = each["won"] + each["lost"]
        measures = (show_decimals(each[name], ".2f") for name in ("auc", "observed_expected"))
        numbers = (f"{closed:,}", f"{each['won']:,}", show_percent(each["rate"]), show_interval(each))
        table.add_row(each["name"] or UNKNOWN, *numbers, *measures, *[each["suggestion"] or "–"] * is_suggested)
    print_table(console, table)
    if len(groups) > ROWS:
        other = "earlier" if document["by"] == "month" else "more"
        print_sentences(console, f"and {len(groups) - ROWS:,} {other}: see --json")
    if is_suggested:
        said = "points: more, fewer or keep, by how many were won of those with the same scores; – is too little data"
        print_sentences(console, said)
    console.print()
    table = make_table(document["by"], ">people", *GROUP_STEPS, title=f"By {document['by']}: the way to won")
    for each in shown:
        table.add_row(each["name"] or UNKNOWN, f"{each['people']:,}", *group_steps(each))
    print_table(console, table)


GROUP_STEPS = (">MQL", ">accepted", ">days to won")


def group_steps(group: Mapping[str, Any]) -> tuple[str, str, str]:
    """How far people of a group came, and the median days from arrival to won."""
    days = group["cycle_days"]
    return (
        show_step(group["mql"], group["mql_rate"]),
        show_step(group["accepted"], group["accepted_rate"]),
        "–" if days is None else f"{round(days):,}",
    )


def _print_speed(console: Console, document: Document) -> None:
    speed = document["speed_to_lead"]
    if not speed["handed_over"]:
        return
    console.print()
    print_sentences(console, describe_speed(speed))
    table = make_table("first touch", ">closed", ">won", ">conversion", ">95 %", ">open")
    sla = speed["sla"]["outcomes"] if speed["sla"] else []
    names = [f"SLA {each['name']}" for each in sla]
    for name, each in zip([*(it["name"] for it in speed["buckets"]), *names], (*speed["buckets"], *sla), strict=True):
        if each["people"] or each["open"]:
            numbers = (f"{each['people']:,}", f"{each['won']:,}", show_percent(each["rate"]), show_interval(each))
            table.add_row(name, *numbers, f"{each['open']:,}")
    print_table(console, table)
    if sla:
        print_sentences(console, SLA_NOTE)


SLA_NOTE = "The SLA is counted by the clock here, not by working hours."


def describe_speed(speed: Mapping[str, Any]) -> str:
    """How soon people are contacted."""
    if speed["median_minutes"] is None:
        return f"Speed to lead: no touch is known of {count_of(speed['handed_over'], 'person')} handed over."
    return (
        f"Speed to lead: {count_of(round(speed['median_minutes'], 1), 'minute')} from hand-off to first touch "
        f"(median by the clock; {speed['touched']:,} of {speed['handed_over']:,} handed over were contacted)."
    )


def _print_known(console: Console, document: Document) -> None:
    coverage, complete = document["coverage"], document["completeness"]
    console.print()
    why = "".join(f"; {number:,}: {name.replace('_', ' ')}" for name, number in coverage["reasons"].items())
    scored = f"{coverage['scored']:,} of {coverage['people']:,} ({show_percent(coverage['rate'])})"
    print_sentences(console, f"Scored: {scored}{why}. No rule gave points to {coverage['no_rule']:,}.")
    if complete["fields"]:
        least = ", ".join(
            f"{name} {show_percent(share, 0)}" for name, share in list(complete["fields"].items())[:NAMED]
        )
        print_sentences(console, f"Fields known: {show_percent(complete['overall'])}; the least: {least}.")
    if complete["unknown_then"]:
        lost = show_percent(complete["unknown_then"])
        said = f"Of the values of fields as of then, {lost} are not known, and rules about them gave nothing"
        print_sentences(console, f"{said}; crmsync backfill --history reads what the CRMs still know.")
    days = document["cycle"]["arrival"]
    if days["people"]:
        whole = count_of(round(days["median_days"], 1), "day")
        print_sentences(console, f"From arrival to won: {whole} (median of {days['people']:,}).")


def _print_lists(console: Console, document: Document) -> None:
    lists = (
        ("Lost above the line, the highest score first", "false_positives", "false_positive_count"),
        ("Won below the line, the lowest score first", "misses", "miss_count"),
        ("Accepted with a high score, and no next step for 30 days", "stalled", "stalled_count"),
    )
    for title, name, count in lists:
        if document[name]:
            console.print()
            print_sentences(console, f"{title} ({document[count]:,}):")
            for each in document[name][:NAMED]:
                print_sentences(console, f"  {describe_person(each)}")


def describe_person(each: Mapping[str, Any]) -> str:
    """Somebody of a list, with the rules that did it, or those that are missing."""
    given = ", ".join(f"{it['name']} {show_signed(it['points'])}" for it in each["rules"][:NAMED]) or "no rule"
    band = f" ({each['band']})" if each["band"] else ""
    lacked = f"; without: {', '.join(each['lacked'])}" if each["lacked"] else ""
    unknown = f"; not known: {', '.join(each['unknown'][:NAMED])}" if each["unknown"] else ""
    tag = f" [{each['why']}]" if each["why"].startswith("feedback: ") else ""
    return f"{each['person']}, {count_of(each['score'], 'point')}{band}{tag}: {given}{lacked}{unknown}"


REVIEWED_COLUMNS = (
    "list", "person", "score", "band", "why", "source", "campaign", "rep", "judged_at", "outcome_at", "rules",
    "lacked", "unknown",
)  # fmt: skip
"""The columns of the file of people to look at."""


def reviewed_row(each: Mapping[str, Any]) -> dict[str, Any]:
    """Somebody of a list as a row of that file."""
    rules: Sequence[Mapping[str, Any]] = each["rules"]
    return {**each, "rules": [f"{it['name']} {show_signed(it['points'])}" for it in rules]}
