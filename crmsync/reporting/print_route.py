"""Where one person goes, on a terminal."""

from __future__ import annotations

from rich.console import Console

from crmsync.model import Scalar
from crmsync.reporting.console import (
    Document,
    make_printable,
    make_table,
    print_person_heading,
    print_sentences,
    print_table,
)
from crmsync.routing.why_not import OTHER


def print_route(console: Console, document: Document) -> None:
    """Each route and why, whose turn it is, and the smallest change that would send the person elsewhere."""
    document = make_printable(document)
    print_person_heading(console, document)
    if document["rules"]:
        console.print()
        routes = make_table("route", "to", "holds", "why")
        routes.columns[1].no_wrap = True  # an address is copied from here
        for rule in document["rules"]:
            routes.add_row(rule["name"], rule["to"], "yes" if rule["matched"] else "no", rule["why"])
        print_table(console, routes)
        console.print()
    place = document["member"] or document["track"] or "nobody"
    print_sentences(console, f"Goes to: {place}; {document['turn']}")
    print_sentences(console, f"Stage: {document['stage'] or '(empty)'}; {document['stage_why']}")
    if document["track"]:
        print_sentences(console, f"Track: {document['track']}")
    for route, change in document["instead"].items():
        if change:
            values = " and ".join(_say_value(name, value) for name, value in change.items())
            print_sentences(console, f"With {values}: [[route]] {route}")
        else:
            print_sentences(console, f"No change of one or two fields leads to [[route]] {route}")


def _say_value(name: str, value: Scalar) -> str:
    if value == OTHER:
        return f"another {name}"
    return f"{name} {f'{value:g}' if isinstance(value, float) else value}"
