"""What admins read: tables and sentences made of the same documents that `--json` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from crmsync.counts import count_of as count_of

if TYPE_CHECKING:
    from crmsync.work import Progress as Told  # what a run works with takes longer to load than help to be read

Document = Mapping[str, Any]


T = TypeVar("T")


_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


DOING = {
    **{name: name for name in ("contacts", "activities", "opportunities")},
    "history": "records whose history is read",
    "scored": "people scored",
    "exported": "people exported",
    "written": "records written",
}


def _draws(console: Console) -> bool:
    """Whether something may move on the console: never beside NO_COLOR, which is said where escape codes disturb."""
    return console.is_terminal and not console.no_color


@contextmanager
def progress_bar(console: Console) -> Iterator[Told]:
    """Counts of what goes on, drawn where the console is a terminal; it must be the one of stderr."""
    if not _draws(console):
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
    with Progress(*columns, console=console, transient=True, disable=not _draws(console)) as bars:
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
        for words in wrap_words(line, width, indent) or [""]:
            console.print(words, soft_wrap=True)


def wrap_words(text: str, width: int, indent: str = "") -> list[str]:
    """The lines of a text; a word is never broken, since addresses and ids are copied from here.

    Lines after the first begin with `indent`, or with less of it where a long word has no other room.
    """
    lines: list[str] = []
    for blanks, word in re.findall(r"(\s*)(\S+)", text):
        if lines and cell_len(f"{lines[-1]}{blanks}{word}") <= width:
            lines[-1] += f"{blanks}{word}"
        else:
            lines.append((indent if lines else blanks)[: max(0, width - cell_len(word))] + word)
    return lines


def print_title(console: Console, text: str) -> None:
    """Print what stands above a table or list."""
    for line in wrap_words(text, console.width):
        console.print(line, style="bold", soft_wrap=True)


def say_command(console: Console, command: str) -> None:
    """Print a command on a line of its own, which a terminal may wrap and still copies whole."""
    console.print(f"  {command}", soft_wrap=True)


def count_waiting(records: Mapping[str, Mapping[str, int]]) -> str:
    """How many records of a plan wait, CRM by CRM: `130 records in hubspot, 113 records in salesforce`."""
    numbers = {crm: max(counts.values(), default=0) for crm, counts in records.items()}
    return ", ".join(f"{count_of(number, 'record')} in {crm}" for crm, number in numbers.items() if number) or "nothing"


def make_table(*headings: str, title: str | None = None, one_line: bool = False) -> Table:
    """An empty table for `print_table`; a heading that starts with ">" is aligned right.

    With `one_line` the last column is cut where it has no room, and not wrapped.
    """
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for heading in headings:
        is_number, name = heading.startswith(">"), heading.lstrip(">")
        is_cut = one_line and heading == headings[-1]
        made.add_column(
            name, justify="right" if is_number else "left", overflow="ellipsis" if is_cut else "fold", no_wrap=True
        )
    return made


GAP = 2
"""Blanks between two columns of a table."""

NARROWEST = 24
"""Characters in which a text can be read beside other columns; with less room the table becomes a list."""

LIST_BELOW = 115
"""Characters below which a table with a last column that may be cut is a list, which cuts nothing."""


def has_room(console: Console, table: Table) -> bool:
    """Whether a table is not wider than the console."""
    widths = (max(map(cell_len, texts)) for texts in _texts_of(table))
    return sum(widths) + GAP * (len(table.columns) - 1) <= console.width


def print_table(console: Console, table: Table, head: str = "") -> None:
    """Print a table, or where it has no room a list: an entry for each row, which begins with the column `head`.

    Nothing but the longest text is wrapped, between its words. Without `head`, entries begin with the first text.
    """
    columns, room = _texts_of(table), console.width - GAP * (len(table.columns) - 1)
    if has_room(console, table):
        console.print(table)
        return
    widths = [max(map(cell_len, texts)) for texts in columns]
    if bars := [place for place, texts in enumerate(columns) if _is_bar(texts)]:
        print_table(console, _without(table, bars), head)
        return
    texts_at = [place for place, column in enumerate(table.columns) if column.justify == "left"]
    widest = max(texts_at, key=lambda place: widths[place], default=0)
    left = room - sum(widths) + widths[widest]
    longest_word = max(cell_len(word) for text in columns[widest] for word in text.split() or [""])
    is_cut = table.columns[-1].overflow == "ellipsis"
    if left < max(NARROWEST, longest_word) or (is_cut and console.width < LIST_BELOW):
        _print_entries(console, table, columns, head)
        return
    if is_cut:
        shortened = [_shorten(text, left) for text in columns[-1][1:]]
        table = _without(table, [len(columns) - 1], (str(table.columns[-1].header), shortened))
    else:
        table.columns[widest].no_wrap = False
        table.columns[widest].width = left
    console.print(table)


def _shorten(text: str, width: int) -> str:
    """A text cut between the items of a list, or else between its words."""
    if cell_len(text) <= width:
        return text
    begun = wrap_words(text, width - 2)[0]
    return f"{begun[: begun.rfind(',') + 1] or begun} …"


def _texts_of(table: Table) -> list[list[str]]:
    """Heading and cells of each column."""
    return [[str(column.header), *map(str, column.cells)] for column in table.columns]


def _is_bar(texts: Sequence[str]) -> bool:
    return any(texts) and not "".join(texts).strip("█")


def _without(table: Table, places: Sequence[int], last: tuple[str, Sequence[str]] | None = None) -> Table:
    """The same table without some columns, and with another one at its end."""
    kept = [place for place in range(len(table.columns)) if place not in places]
    marks = (">" if table.columns[place].justify == "right" else "" for place in kept)
    columns = _texts_of(table)
    headings = [f"{mark}{columns[place][0]}" for mark, place in zip(marks, kept, strict=True)]
    made = make_table(*headings, *[last[0]] if last else [], title=str(table.title) if table.title else None)
    for number, row in enumerate(table.rows):
        cells = [columns[place][number + 1] for place in kept]
        made.add_row(*cells, *[last[1][number]] if last else [], style=row.style)
    return made


def _print_entries(console: Console, table: Table, columns: Sequence[Sequence[str]], head: str) -> None:
    """The rows of a table below each other: what each is about, its numbers, then its texts."""
    if table.title:
        print_title(console, str(table.title))
    lefts = [place for place, column in enumerate(table.columns) if column.justify == "left"]
    first = next((place for place in lefts if columns[place][0] == head), (lefts or [0])[0])
    # One number before the name stands before it here as well; more than one need their headings.
    heads = [0, first] if first and 0 not in lefts and first == lefts[0] == 1 else [first]
    for number, row in enumerate(table.rows):
        cells = {place: texts[number + 1] for place, texts in enumerate(columns) if texts[number + 1]}
        if not cells:
            console.print()
        begun = "  ".join(cells[place] for place in heads if place in cells)
        if not lefts:
            begun = f"{columns[0][0]} {begun}"
        if begun:
            for line in wrap_words(begun, console.width):
                console.print(line, style=row.style, soft_wrap=True)
        rest = [place for place in cells if place not in heads]
        texts = [place for place in rest if place in lefts and (" " in cells[place] or not columns[place][0])]
        numbers = ", ".join(f"{columns[place][0]} {cells[place]}".strip() for place in rest if place not in texts)
        for text in filter(None, (numbers, *(cells[place] for place in texts))):
            print_sentences(console, f"  {text}")


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
