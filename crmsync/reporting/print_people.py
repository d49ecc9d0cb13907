"""Lists of people on a terminal and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console

from crmsync.reporting.console import Document, count_of, make_printable, print_sentences, say_command
from crmsync.reporting.csv_text import disarm_formula
from crmsync.reporting.people import show_value

SHOWN = 50
"""People that a terminal shows; a file gets all."""

TOTALS = {
    "duplicates": "{} with several records in one CRM",
    "not_matched": "{} not matched to a person, because the address says nothing of who it is",
    "disagreements": "{} that are not the same everywhere",
    "excluded": "{} left out: of scoring, or only of the routes; each line says why",
    "waiting": "{} waiting for an owner",
}
"""What is said at the end of a list."""

NOBODY = {
    "duplicates": "Nobody has several records in one CRM",
    "not_matched": "No record is left without a person",
    "disagreements": "No value differs between the CRMs",
    "excluded": "Nobody is excluded",
    "waiting": "Nobody waits for an owner",
}
"""What is said of an empty list."""

COLUMNS = ("person", "name", "emails", "records", "why")
FIELD_COLUMNS = ("field", "values", "older")
"""Columns of a CSV file; of disagreements the latter, too."""


def print_people(console: Console, document: Document, which: str, whole: str, explain: str) -> None:
    """Who is on a list, and why; `whole` is the command that lists all of them, `explain` the one about the first."""
    document = make_printable(document)
    people = document["people"]
    for each in people[:SHOWN]:
        print_sentences(console, _called(each))
        print_sentences(console, f"  {each['why']}{_changed_last(each)}")
    if people:
        console.print()
    total = TOTALS[which].format(_counted(document, which)) if people else NOBODY[which]
    print_sentences(console, f"{total}.")
    if len(people) > SHOWN:
        print_sentences(console, f"{len(people) - SHOWN:,} more are not shown. To get all of them:")
        say_command(console, whole)
    if explain:
        print_sentences(console, "To see everything about one of them, for example:")
        say_command(console, explain)


def _counted(document: Document, which: str) -> str:
    number = count_of(document["count"], {"not_matched": "record", "disagreements": "value"}.get(which, "person"))
    people = len({each["person"] for each in document["people"]})
    return f"{number} of {count_of(people, 'person')}" if which == "disagreements" else number


def _called(each: Mapping[str, Any]) -> str:
    named = [each["name"], *(f"<{address}>" for address in each["emails"])]
    return " ".join(filter(None, named)) or ", ".join(each["records"])


def _changed_last(each: Mapping[str, Any]) -> str:
    return f" (the record in {each['older']} was changed longer ago)" if each.get("older") else ""


def write_csv(file: TextIO, document: Document, which: str) -> None:
    """A list of people as CSV with a header."""
    write_rows(file, (*COLUMNS, *(FIELD_COLUMNS if which == "disagreements" else ())), document["people"])


def write_rows(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows as CSV with a header; no text is one that a spreadsheet takes for a formula."""
    writer = csv.writer(file)
    writer.writerow(columns)
    for each in rows:
        writer.writerow([_cell(each[name]) for name in columns])


def _cell(value: Any) -> str:
    if value is None or isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, Mapping):
        return disarm_formula("; ".join(f"{crm}: {show_value(each)}" for crm, each in value.items()))
    return disarm_formula("; ".join(value) if isinstance(value, list) else str(value))


def print_forgotten(console: Console, document: Document, is_wiped: bool) -> None:
    """What was removed of somebody, and what stays."""
    removed = ", ".join(f"{many:,} of {table}" for table, many in document["removed"].items())
    print_sentences(console, f"Forgotten: {count_of(len(document['records']), 'record')}. Rows removed: {removed}.")
    print_sentences(
        console,
        "What the CRMs hold stays as it is, the score fields too; if it has to go, delete it there. From now on no run "
        "stores, scores or writes these records and addresses.",
    )
    if not is_wiped:
        said = "The state is in use, so the file is cleared of the last traces at the end of the next run."
        print_sentences(console, said)
