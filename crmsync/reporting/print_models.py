"""Versions of the model, and reviews that are due, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.console import Console

from crmsync.reporting.console import Document, count_of, format_minute, make_printable, print_sentences, say_command
from crmsync.reporting.versions import describe_version, reason_command

SHOWN_CHANGES = 10

SHOWN_VERSIONS = 5
"""Versions without a reason that the status names."""


def print_models(console: Console, document: Document, typed: Callable[[str], str]) -> None:
    """Each version with its date, who made it, why, and what it changed."""
    document = make_printable(document)
    if document["noted"]:
        print_sentences(console, f"Noted for version {document['noted']}.")
        console.print()
    if not document["models"]:
        print_sentences(console, "No model was in use yet; the first run that writes adopts one.")
    for number, each in enumerate(document["models"]):
        since = format_minute(datetime.fromisoformat(each["at"]))
        use = "in use since" if number == 0 else "from"
        print_sentences(console, f"{each['hash']} {use} {since}, {describe_version(each)}")
        print_sentences(console, f"  Reason: {each['reason'] or 'not noted'}")
        _print_changes(console, each)
        if not each["reason"] and not each["first"]:
            say_command(console, reason_command(each["hash"], typed))


def _print_changes(console: Console, each: Document) -> None:
    if each["first"]:
        print_sentences(console, "  The first version.")
        return
    if each["changes"] is None:
        print_sentences(console, "  What it changed cannot be read: this crmsync does not take the config before it.")
        return
    for said in each["changes"][:SHOWN_CHANGES]:
        print_sentences(console, f"  {said}")
    if len(each["changes"]) > SHOWN_CHANGES:
        print_sentences(console, f"  and {len(each['changes']) - SHOWN_CHANGES:,} more: see --json")
    if each["loosens"]:
        print_sentences(console, f"  Lets more people over the line: {'; '.join(each['loosens'])}")
    if each["tightens"]:
        print_sentences(console, f"  Lets fewer people over the line: {'; '.join(each['tightens'])}")


REVIEWS = {
    "rules": ("The rules were last checked on", "a check", "Check them, and set [review] rules_on."),
    "model": ("The model was last reviewed on", "a review", "Review it, and set [review] on."),
}
"""How it is said that something is overdue, and what to do."""


def print_reviews(console: Console, reviews: Sequence[Document]) -> None:
    """What is overdue: the check of the rules, and the review of the model."""
    for each in reviews:
        if each["overdue"]:
            said, what, then = REVIEWS[each["what"]]
            ago = count_of(each["days"], "day")
            print_sentences(console, f"{said} {each['on']} ({ago} ago); {what} was due on {each['due']}. {then}")


def print_governance(console: Console, models: Document) -> None:
    """Versions that let more people over the line near the end of a quarter, and those that nobody gave a reason."""
    for each in models["loosened"]:
        print_sentences(console, f"Loosened near the end of a quarter: {each['said']}")
    for each in models["without_reason"][:SHOWN_VERSIONS]:
        since = format_minute(datetime.fromisoformat(each["at"]))
        print_sentences(console, f"Version {each['hash']} of the model, of {since}, has no reason. To note it:")
        say_command(console, each["next"])
