"""What admins read: tables and sentences made of the same documents that `--json` prints."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from crmsync.work import Progress as Told

Document = Mapping[str, Any]


T = TypeVar("T")


_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


DOING = {
    **{name: name for name in ("contacts", "activities", "opportunities")},
    "history": "records whose history is read",
    "scored": "people scored",
    "written": "records written",
}


@contextmanager
def progress_bar(console: Console) -> Iterator[Told]:
    """Counts of what goes on, drawn where the console is a terminal; it must be the one of stderr."""
    if not console.is_terminal:
        yield lambda _what, _crm, _more: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, redirect_stdout=False) as bars:
        tasks: dict[tuple[str, str], Any] = {}

        def told(what: str, crm: str, more: int) -> None:
            if (what, crm) not in tasks:
                tasks[what, crm] = bars.add_task(f"{crm} {DOING.get(what, what)}".strip(), total=None)
            bars.advance(tasks[what, crm], more)

        yield told


@contextmanager
def steps_bar(console: Console, steps: int) -> Iterator[Any]:
    """A bar over a known number of steps; call what it yields with the name of each step as it begins."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=steps)

        def begin(step: str) -> None:
            bars.update(task, description=step, advance=1)

        yield begin


def make_printable(value: T) -> T:
    """The same document with a space for every character that would steer a terminal: names come from strangers."""
    if isinstance(value, str):
        return cast(T, _UNPRINTABLE.sub(" ", value))
    if isinstance(value, Mapping):
        return cast(T, {make_printable(name): make_printable(each) for name, each in value.items()})
    if isinstance(value, list | tuple):
        return cast(T, [make_printable(each) for each in value])
    return value


def print_sentences(console: Console, text: str = "") -> None:
    """Print sentences: wrapped at words on a terminal, each on one line in a pipe or file."""
    width = console.width if console.is_terminal else len(text) + 1
    for line in text.splitlines() or [""]:
        indent = " " * (len(line) - len(line.lstrip()))
        # A word is never broken: addresses and ids are copied from here.
        words = textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        console.print(words, soft_wrap=True)


def say_command(console: Console, command: str) -> None:
    """Print a command on a line of its own, which a terminal may wrap and still copies whole."""
    console.print(f"  {command}", soft_wrap=True)


def count_of(number: int, thing: str) -> str:
    """A number and its noun: `1 record`, `1,234 records`, `2 people`."""
    many = {"person": "people", "opportunity": "opportunities"}.get(thing, f"{thing}s")
    return f"{number:,} {thing if number == 1 else many}"


def count_waiting(records: Mapping[str, Mapping[str, int]]) -> str:
    """How many records of a plan wait, CRM by CRM: `130 records in hubspot, 113 records in salesforce`."""
    numbers = {crm: max(counts.values(), default=0) for crm, counts in records.items()}
    return ", ".join(f"{count_of(number, 'record')} in {crm}" for crm, number in numbers.items() if number) or "nothing"


def make_table(*headings: str, title: str | None = None, one_line: bool = False) -> Table:
    """An empty table; a heading that starts with ">" is aligned right. `one_line` cuts the last column to what fits.

    Numbers and headings are never broken; texts only between words.
    """
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        pad_edge=False,
        expand=one_line,
    )
    for heading in headings:
        is_number, name = heading.startswith(">"), heading.lstrip(">")
        is_cut = one_line and heading == headings[-1]
        made.add_column(
            name,
            justify="right" if is_number else "left",
            overflow="ellipsis" if is_cut else "fold",
            no_wrap=one_line or is_number,
            min_width=len(name),
            ratio=1 if is_cut else None,
        )
    return made


def show_points(value: Any) -> str:
    """A number with its thousands separated, `–` for none, anything else as it is."""
    return "–" if value is None else f"{value:,.15g}" if isinstance(value, int | float) else str(value)


def show_signed(value: float) -> str:
    """A number with its sign."""
    return f"{value:+,.15g}"


def format_minute(at: datetime) -> str:
    """An instant for people: `2026-11-21 09:15 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def in_order(counts: Mapping[str, int], bands: Sequence[str]) -> dict[str, int]:
    """People per band in the order of `bands`, and after them the bands that the config no longer has."""
    named = {band: counts[band] for band in bands if band in counts}
    return named | {band: number for band, number in counts.items() if band not in named}


def print_person_heading(console: Console, document: Document) -> None:
    """Who it is: name, addresses and crmsync id."""
    who = " ".join(each for each in (document["name"], *(f"<{mail}>" for mail in document["emails"])) if each)
    print_sentences(console, f"{who or 'no name'}, crmsync id {document['person']}")
