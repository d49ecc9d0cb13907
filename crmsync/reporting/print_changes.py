"""The changes of a run on a terminal: record by record, a line a field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from rich.console import Console

from crmsync.reporting.console import (
    Document,
    count_of,
    format_minute,
    make_printable,
    print_person_heading,
    print_sentences,
    say_command,
)
from crmsync.reporting.people import show_value
from crmsync.reporting.print_run import OUTCOMES, STATES

ENDED = {
    **STATES,
    "planned": "to update",
    "sent": "sent, not yet answered",
    "updated": "updated",
    "left": "left as it is",
}

PLANS = {"waiting": "held for approval", "approved": "approved, not written yet", "superseded": "out of date"}


def print_changes(console: Console, document: Document, show: str) -> None:
    """A run or plan: how it stands, and its changes; `show` is the command for the plan that it held."""
    document = make_printable(document)
    verdict = document["verdict"]
    stands = PLANS.get(verdict) or OUTCOMES.get(verdict, verdict)
    what = f"undo of {document['undoes']}" if document["undoes"] else document["command"]
    at = format_minute(datetime.fromisoformat(document["started"]))
    print_sentences(console, f"Run {document['run']}: {what}, {at}, {stands}")
    if approved := document["approved"]:
        when = format_minute(datetime.fromisoformat(approved["at"]))
        print_sentences(console, f"Approved by {approved['by']}, {when}")
    for crm, counts in document["counts"].items():
        said = ", ".join(f"{count_of(many, 'record')} {ENDED.get(state, state)}" for state, many in counts.items())
        print_sentences(console, f"{crm}: {said}")
    for sentence in (*document["reasons"], *document["notes"]):
        print_sentences(console, sentence)
    print_rows(console, document["changes"])
    if not document["changes"]:
        print_sentences(console, "No changes.")
    _print_protected(console, document["protected"])
    if document["held"]:
        print_sentences(console, "Another plan was held for approval by this run. To see it:")
        say_command(console, show)
    if document["next"]:
        print_sentences(console, "To approve this plan:")
        say_command(console, document["next"])


def _print_protected(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """What was left as it is: who and which record once, then what each field keeps, and why."""
    if not rows:
        return
    records = len({each["record"] for each in rows})
    console.print()
    said = f"Protected, so not changed: {count_of(len(rows), 'value')} of {count_of(records, 'record')}"
    print_sentences(console, said)
    for (name, record), some in groupby(rows, key=lambda each: (each["name"], each["record"])):
        print_sentences(console, f"{name or 'no name'}, {_called(record)}")
        for each in some:
            present, wanted = (_value(each["field"], each[side]) for side in ("before", "after"))
            print_sentences(console, f"  {each['field']} stays {present}, not {wanted}: {each['why']}")


def print_undo(console: Console, document: Document) -> None:
    """What an undo restored and left, or what it would."""
    document = make_printable(document)
    is_preview = document["verdict"] == "preview"
    what = {True: ("Would be restored", "Would be left as it is"), False: ("Restored", "Left as it is")}[is_preview]
    for said, rows in zip(what, (document["restored"], document["left"]), strict=True):
        if rows:
            records = len({each["record"] for each in rows})
            print_sentences(console, f"{said}: {count_of(len(rows), 'value')} of {count_of(records, 'record')}")
            print_rows(console, rows)
            console.print()
    for sentence in (*document["problems"], *document["notes"]):
        print_sentences(console, sentence)
    if not document["restored"] and not document["left"]:
        print_sentences(console, f"Nothing to restore: no record holds anything that run {document['undoes']} wrote.")
    elif not document["restored"]:
        would = "would be" if is_preview else "was"
        print_sentences(console, f"Nothing of run {document['undoes']} {would} restored.")
    elif not is_preview:
        print_sentences(console, f"Run {document['undoes']} was undone by run {document['run']}.")


FOUND = {"user": "changed by a user", "unknown": "found after a restore"}
"""What stands in the place of a run where crmsync only noticed a change."""


def print_history(console: Console, document: Document) -> None:
    """What a person's score, stage and owner were, the newest first; of records that differ with their names."""
    document = make_printable(document)
    print_person_heading(console, document)
    moments = Counter((each["at"], each["run"]) for each in document["history"])
    for each in document["history"]:
        at = format_minute(datetime.fromisoformat(each["at"]))
        who = f"run {each['run']}" if each["run"] else FOUND.get(each["by"], f"changed by {each['by']}")
        differs = moments[each["at"], each["run"]] > 1
        console.print()
        print_sentences(console, f"{at}, {who}{''.join(f', {_called(it)}' for it in each['records'] if differs)}")
        held = {name: each[name] for name in each["changed"]}
        said = [f"{name} {_value(name, value)}" for name, value in held.items()]
        print_sentences(console, f"  {', '.join(said)}")
        print_sentences(console, f"  why: {each['why']}")
    if not document["history"]:
        print_sentences(console, "Nothing was written to their records, and nobody changed what crmsync writes.")
    for note in document["notes"]:
        console.print()
        print_sentences(console, note)


def _value(field: str, value: Any) -> str:
    """A value as people read it."""
    return ("unassigned" if field == "owner" else "(empty)") if value in (None, "") else show_value(value)


def _called(record: str) -> str:
    """`hubspot:contact:51` as people read it."""
    return record.replace(":", " ", 2)


def print_rows(console: Console, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows of changes: who and which record once, then each field."""
    for (name, record), some in groupby(rows, key=lambda each: (each["name"], each["record"])):
        _print_record(console, name, record, list(some))


def _print_record(console: Console, name: str, record: str, rows: Sequence[Mapping[str, Any]]) -> None:
    outcomes = {each["outcome"] for each in rows}
    same = f": {ENDED.get(rows[0]['outcome'], rows[0]['outcome'])}" if len(outcomes) == 1 else ""
    console.print()
    print_sentences(console, f"{name or 'no name'}, {_called(record)}{same}")
    # The reason of a score is told once, as why.
    for each in (it for it in rows if it["field"] != "reason" or it["after"] != it["why"]):
        ended = "" if same else f" ({ENDED.get(each['outcome'], each['outcome'])})"
        before, after = (_value(each["field"], each[side]) for side in ("before", "after"))
        print_sentences(console, f"  {each['field']}: {before} → {after}{ended}")
    for why in dict.fromkeys(each.get("reason") or each["why"] for each in rows):
        if why:
            print_sentences(console, f"  why: {why}")
