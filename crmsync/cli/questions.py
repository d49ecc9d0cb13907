"""Questions on a terminal: numbered choices, of which long lists are narrowed by a part of a name."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import typer
from rich.text import Text

from crmsync.cli.command import messages_console
from crmsync.reporting.console import make_printable, print_sentences

SHOWN = 12
"""Choices that are shown at once."""


def say(text: str = "") -> None:
    """Print sentences where questions are asked."""
    # Line by line: a line's end is unprintable, too.
    print_sentences(messages_console(), "\n".join(map(make_printable, text.splitlines())))


def ask_text(question: str, offer: str = "") -> str:
    """What somebody types, without the blanks around it; the offer for nothing."""
    shown = f"{question} [{make_printable(offer)}]" if offer else question
    typed: str = typer.prompt(shown, default="", show_default=False, err=True)
    return typed.strip() or offer


def ask_yes(question: str, *, offer: bool = True) -> bool:
    """Yes or no."""
    return typer.confirm(question, default=offer, err=True)


def choose_one(question: str, labels: Sequence[str], offer: int | None, nothing: str = "") -> int | None:
    """One of these, by its place; `None` for `nothing`, which can be chosen where it is given."""
    say(question)
    shown = _show_choices(labels, range(len(labels)), nothing)
    words = "Number" if shown == len(labels) else "Number, or part of a name"
    while True:
        typed = ask_text(words, "0" if offer is None and nothing else "" if offer is None else str(offer + 1))
        if typed == "0" and nothing:
            return None
        if _is_number_of(typed, labels):
            return int(typed) - 1
        _narrow(typed, labels, nothing)


def choose_some(question: str, labels: Sequence[str], offered: Sequence[int], nothing: str) -> list[int]:
    """Any of these, by their places, in the order of the list; what is offered for a bare Enter at the first question.

    Where the list is longer than what is shown, more can be added; Enter ends it.
    """
    say(question)
    _show_choices(labels, range(len(labels)), nothing)
    chosen: list[int] = []
    while True:
        offer = ",".join(str(each + 1) for each in offered) or "0"
        typed = ask_text(
            "More numbers, part of a name, or Enter to go on" if chosen else "Numbers, or part of a name",
            "" if chosen else offer,
        )
        if not typed:
            return sorted(chosen)
        if typed == "0":
            return []
        parts = typed.replace(",", " ").split()
        if not all(_is_number_of(part, labels) for part in parts):
            _narrow(typed, labels, nothing)
            continue
        chosen += [place for part in parts if (place := int(part) - 1) not in chosen]
        if len(labels) <= SHOWN or typed == offer:
            return sorted(chosen)
        say("Chosen:")
        for place in sorted(chosen):
            _show_line(f"       {labels[place]}")


def _is_number_of(typed: str, labels: Sequence[str]) -> bool:
    return typed.isascii() and typed.isdecimal() and len(typed) < 9 and 1 <= int(typed) <= len(labels)


def _narrow(typed: str, labels: Sequence[str], nothing: str) -> None:
    """Show the choices with a part of a name in them."""
    part = typed.casefold()
    found = [place for place, label in enumerate(labels) if part in label.casefold()] if part else []
    if not found:
        say(f"Nothing has {typed!r} in it. Type a number of the list, or a part of a name.")
        return
    _show_choices(labels, found, nothing)


def _show_choices(labels: Sequence[str], places: Collection[int], nothing: str) -> int:
    """Print the first of these with their numbers, each on one line; how many that were."""
    some = list(places)[:SHOWN]
    for place in some:
        _show_line(f"  {place + 1:>3}  {labels[place]}")
    if more := len(places) - len(some):
        say(f"       and {more:,} more: type a part of a name to see those with it")
    if nothing:
        say(f"    0  {nothing}")
    return len(some)


def _show_line(text: str) -> None:
    """Print what may be a CRM's words on one line, cut to the screen."""
    console, line = messages_console(), Text(make_printable(text))
    line.truncate(console.width - 1, overflow="ellipsis")
    console.print(line, soft_wrap=True)
