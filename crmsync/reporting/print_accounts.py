"""Accounts on a terminal and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

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
)
from crmsync.reporting.csv_text import disarm_formula
from crmsync.reporting.print_people import SHOWN

METHODS = {
    "sum": "the sum of all its people's scores",
    "max": "the highest score of its people",
    "min": "the lowest score of its people",
    "average": "the average of its people's scores",
    "top_three": "the sum of the three highest scores of its people",
}
"""What the score of an account is."""

COLUMNS = ("account", "domain", "owner", "score", "people", "active_people", "roles", "missing")
"""Columns of a CSV file."""


def print_accounts(console: Console, document: Document, whole: str, one: str) -> None:
    """Accounts, the highest score first; `whole` is the command that lists all of them, `one` that about one."""
    document = make_printable(document)
    for each in document["accounts"][:SHOWN]:
        for sentence in _told(each):
            print_sentences(console, sentence)
    shown, count = min(len(document["accounts"]), SHOWN), document["count"]
    if not count:
        print_sentences(console, "No account.")
        return
    console.print()
    print_sentences(console, f"{count_of(count, 'account')}. The score is {METHODS[document['method']]}.")
    if count > shown:
        print_sentences(console, f"{count - shown:,} more are not shown. To get all of them:")
        say_command(console, whole)
    if one:
        print_sentences(console, "To see the people of one of them, for example:")
        say_command(console, one)


def print_account(console: Console, document: Document) -> None:
    """One account with its people."""
    document = make_printable(document)
    (account,) = document["accounts"]
    for sentence in _told(account):
        print_sentences(console, sentence)
    console.print()
    people = make_table(">score", "band", "active", "person", "roles")
    for each in account["members"]:
        name = each["name"] or next(iter(each["emails"]), "") or f"crmsync id {each['person']}"
        people.add_row(
            show_points(each["score"]), each["band"], "yes" if each["active"] else "", name, ", ".join(each["roles"])
        )
    print_table(console, people)
    console.print()
    print_sentences(console, f"The score is {METHODS[document['method']]}. Active: in the last 7 days.")


def describe_roles(account: Document) -> str:
    """Which roles are filled and which are missing, in a sentence; `""` where the config names none."""
    filled = [f"{name} ({many:,})" for name, many in account["roles"].items() if many]
    parts = [f"roles: {', '.join(filled)}"] if filled else []
    parts += [f"missing: {', '.join(account['missing'])}"] if account["missing"] else []
    return "; ".join(parts)


def _told(account: Document) -> Iterator[str]:
    domain = f" <{account['domain']}>" if account["domain"] and account["name"] else ""
    people = f"{count_of(account['people'], 'person')}, {account['active_people']:,} active"
    owner = f"owner {account['owner']}" if account["owner"] else "no owner"
    called = account["name"] or account["domain"] or "no name"
    yield f"{called}{domain}: {show_points(account['score'])} points, {people}, {owner}"
    if roles := describe_roles(account):
        yield f"  {roles}"


def write_accounts_csv(file: TextIO, document: Document) -> None:
    """Accounts as CSV with a header."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for each in document["accounts"]:
        roles = "; ".join(f"{name}: {many}" for name, many in each["roles"].items())
        texts = (each["name"] or "", each["domain"] or "", each["owner"] or "")
        numbers = (each["score"], each["people"], each["active_people"])
        writer.writerow(
            [*map(disarm_formula, texts), *numbers, disarm_formula(roles), disarm_formula("; ".join(each["missing"]))]
        )
