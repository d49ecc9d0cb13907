"""A plan on a terminal: who moves where by name, what the edit does, why scores move, what it costs, the limits."""

from __future__ import annotations

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
    print_title,
    say_command,
    show_signed,
)
from crmsync.reporting.print_run import movers_table, print_band_matrices

NAMED = 5
"""People named of each movement; `crmsync show RUN` has all."""

BAR = 24
"""Characters of the longest bar."""

LIMITS = {
    "first": "first scores",
    "scores": "scores changed",
    "bands": "bands changed",
    "stages": "stages changed",
    "owners": "owners changed",
}
"""What the limits of `[guard]` count, in records."""


def print_plan(console: Console, report: Document, document: Document, whole: str) -> None:
    """What a plan would change, as far as its report goes; `whole` is the command that shows all of it."""
    report, changes = make_printable(report), make_printable(document["changes"])
    people, records = report["people"], sum(changes["records"].values())
    if not records:
        _print_comparison(console, report.get("comparison"))
        return
    _print_edits(console, report["edits"])
    console.print()
    new = records - people["records"]
    if not people["records"]:
        # The first plan of all: who these are is in the plan alone.
        print_sentences(console, f"Updates {count_of(records, 'record')}, none of which crmsync has written before:")
        console.print("\n".join(f"  {crm} {many:,}" for crm, many in changes["records"].items()), highlight=False)
        print_sentences(console, "To see them, by name and field:")
        say_command(console, whole)
        console.print()
        return
    share = f"{people['changed']:,} of {count_of(people['all'], 'person')}"
    print_sentences(console, f"Changes {share}, {count_of(people['records'], 'record')}. To see all of them:")
    say_command(console, whole)
    if new:
        print_sentences(console, f"And {count_of(new, 'record')} new in the CRMs, which no run has stored yet.")
    _print_bands(console, report["bands"])
    if report["accepted"]:
        print_sentences(console, report["accepted"]["said"])
    _print_levels(console, "Bands", report["bands"], "no band yet")
    _print_levels(console, "Stages", report["stages"], "no stage")
    _print_owners(console, report["owners"])
    if "effects" not in report:
        console.print()
        return
    print_band_matrices(console, changes, [each["name"] for each in report["bands"] if each["name"]])
    _print_effects(console, report)
    _print_movers(console, report["movers"], changes)
    _print_comparison(console, report["comparison"])
    _print_safety(console, report)


def _head(console: Console, text: str) -> None:
    console.print()
    print_title(console, text)


def _print_edits(console: Console, edits: Sequence[Document] | None) -> None:
    if not edits:
        return
    _head(console, "What changed in the config since the last run")
    for each in edits:
        name = f" {each['name']}" if each["table"].startswith("[[") and each["name"] else ""
        print_sentences(console, f"  {each['kind']}: {each['table']}{name}: {_cut(each['said'], 300)}")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def draw_bar(number: int, most: int, width: int = BAR) -> str:
    """A bar of characters; whatever is not nothing has one."""
    return "█" * (max(1, round(number / most * width)) if number and most else 0)


def _print_bands(console: Console, bands: Sequence[Document]) -> None:
    _head(console, "People by band: in the CRMs now, and after this plan")
    most = max((max(each["before"], each["after"]) for each in bands), default=0)
    made = make_table("", "", ">people", ">change", "")
    for each in bands:
        change = each["after"] - each["before"]
        made.add_row(each["name"] or "no band yet", "now", f"{each['before']:,}", "", draw_bar(each["before"], most))
        made.add_row("", "after", f"{each['after']:,}", f"{change:+,}" if change else "", draw_bar(each["after"], most))
    print_table(console, made)


def _print_levels(console: Console, what: str, levels: Sequence[Document], nothing: str) -> None:
    moving = [each for each in levels if each["name"] and (each["entered"] or each["left"])]
    if not moving:
        return
    _head(console, f"{what}: who enters and who leaves")
    for each in reversed(moving):
        print_sentences(console, f"  {each['name']}: {_counts_of(each)}")
        _print_people(console, "+", each["who_enters"], each["entered"], lambda one: f"from {one['from'] or nothing}")
        _print_people(console, "−", each["who_leaves"], each["left"], lambda one: f"to {one['to'] or nothing}")


def _counts_of(level: Document) -> str:
    moves = [f"{sign}{level[name]:,}" for sign, name in (("+", "entered"), ("−", "left")) if level[name]]
    return f"{level['before']:,} → {count_of(level['after'], 'person')} ({', '.join(moves)})"


def _print_people(
    console: Console, sign: str, people: Sequence[Document], number: int, said: Callable[[Document], str]
) -> None:
    for each in people[:NAMED]:
        print_sentences(console, f"    {sign} {call_person(each)}: {said(each)}{_score_of(each)}")
    if number > NAMED:
        print_sentences(console, f"    {sign} and {number - NAMED:,} more")


def call_person(each: Mapping[str, Any]) -> str:
    """The address, or else the name, or else crmsync's own id."""
    return str(each["email"] or each["name"] or f"crmsync id {each['person']}")


def _score_of(each: Mapping[str, Any]) -> str:
    score = each["score"]
    if score["to"] is None:
        return ""
    if score["from"] in (None, score["to"]):
        return f", score {score['to']:,.15g}"
    return f", score {score['from']:,.15g} → {score['to']:,.15g}"


def _print_owners(console: Console, owners: Sequence[Document]) -> None:
    moving = [each for each in owners if each["entered"] or each["left"]]
    if not moving:
        return
    _head(console, "Owners: people of each now and after this plan, and who comes to whom")
    for each in moving:
        print_sentences(console, f"  {each['name'] or 'unassigned'}: {_counts_of(each)}")
        if each["name"]:
            _print_people(
                console, "+", each["who_enters"], each["entered"], lambda one: f"from {one['from'] or 'unassigned'}"
            )


def _print_effects(console: Console, report: Document) -> None:
    edited = [each for each in report["effects"] if each["edit"]]
    if not edited:
        return
    _head(console, "Effect of each changed rule since the last run")
    for each in edited:
        name = f"  {each['rule']} ({each['edit']})"
        if not each["people"]:
            print_sentences(console, f"{name}: moves nobody")
            continue
        extremes = [f"largest gain {show_signed(each['gain'])}"] if each["gain"] > 0 else []
        extremes += [f"largest loss {show_signed(each['loss'])}"] if each["loss"] < 0 else []
        points = count_of(each["points"], "point", "+")
        sums = f"{count_of(each['people'], 'person')}, {points}, {', '.join(extremes)}"
        example = f"for example {call_person(each['example'])} {show_signed(each['example']['points'])}"
        print_sentences(console, f"{name}: {sums}; {example}")


def _print_movers(console: Console, movers: Sequence[Document], changes: Document) -> None:
    if not movers:
        if changes["movers"]:
            console.print()
            print_table(console, movers_table(changes["movers"]), "who")
        return
    _head(console, "Largest score changes since the last run, and what moved them")
    for each in movers[: 2 * NAMED]:
        moved = show_signed(each["score"]["to"] - each["score"]["from"])
        print_sentences(
            console, f"  {call_person(each)}: {each['score']['from']:,.15g} → {each['score']['to']:,.15g} ({moved})"
        )
        print_sentences(console, f"    {describe_lines(each['lines'])}")


def describe_lines(lines: Sequence[Mapping[str, Any]]) -> str:
    """What moved a score, line by line: `Weight of fit -25; new: Came by referral +10`."""
    said = []
    for each in lines:
        before = {"new": "new: ", "gone": "gone: ", "other": ""}[each["change"]]
        said.append(f"{before}{each['rule']} {show_signed(each['points'])}")
    return "; ".join(said)


def _print_comparison(console: Console, found: Document | None) -> None:
    """The other score of `[compare]` beside ours."""
    if found is None:
        return
    _head(console, "The score of [compare] and ours")
    same = f"{found['agree']:,} of {count_of(found['compared'], 'person')} agree but for rounding"
    lacking = f"; {count_of(found['without'], 'person')} without the other score" if found["without"] else ""
    print_sentences(console, f"  {same}{lacking}")
    if found["bars"]:
        print_sentences(console, f"  The others by ours minus the other score, in steps of {found['step']:,}:")
        most = max(each["people"] for each in found["bars"])
        made = make_table(">from", ">people", "")
        for each in found["bars"]:
            made.add_row(show_signed(each["from"]), f"{each['people']:,}", draw_bar(each["people"], most))
        console.print(made)
    for each in found["moves"]:
        who = ", ".join(call_person(one) for one in each["who"][:NAMED])
        more = f" and {each['people'] - NAMED:,} more" if each["people"] > NAMED else ""
        band = f"{each['from'] or 'no band'} → {each['to'] or 'no band'}"
        print_sentences(console, f"  Another band: {band}: {count_of(each['people'], 'person')}: {who}{more}")
    if found["largest"]:
        print_sentences(console, "  Farthest apart, with the lines of our score:")
    for each in found["largest"][: 2 * NAMED]:
        print_sentences(console, f"    {call_person(each)}: {describe_both(each)}")
        print_sentences(console, f"      {describe_score_lines(each['lines'])}")


def describe_both(each: Mapping[str, Any]) -> str:
    """Both scores of somebody and how far they are apart: `40 → 25 (-15), Medium → Low`."""
    scores = f"{each['theirs']:,.15g} → {each['ours']:,.15g} ({show_signed(each['ours'] - each['theirs'])})"
    was, now = each["bands"]["theirs"], each["bands"]["ours"]
    return scores if was == now else f"{scores}, {was or 'no band'} → {now or 'no band'}"


def describe_score_lines(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines of a score: `Demo requested +30; Careers page viewed -20`."""
    return "; ".join(f"{each['rule']} {show_signed(each['points'])}" for each in lines) or "no rule matches"


def _print_safety(console: Console, report: Document) -> None:
    _head(console, "Safety limits, in records, and cost")
    for each in report["limits"]:
        left = f"{each['left']:,} more are allowed" if each["records"] <= each["allowed"] else "EXCEEDED"
        what = LIMITS.get(each["limit"], each["limit"])
        print_sentences(console, f"  {each['crm']}, {what}: {each['records']:,} of at most {each['allowed']:,}; {left}")
    calls = ", ".join(f"{crm} {count_of(many, 'call')}" for crm, many in report["cost"].items())
    print_sentences(console, f"  Writing takes about {calls}: an estimate; looking again before and after adds to it")
    console.print()
