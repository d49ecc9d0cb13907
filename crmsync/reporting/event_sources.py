"""Sources of events in the status and in runs: what they brought, what waits, and what could not be read."""

from __future__ import annotations

from datetime import date
from typing import Any

from rich.console import Console
from sqlalchemy import Connection

from crmsync.dead_feeds import EPOCH
from crmsync.reporting.console import Document, count_of, print_sentences
from crmsync.store.events import count_events, read_unreadable

NO_EVENTS = {
    "events": 0,
    "last": None,
    "waiting": 0,
    "unmatched": 0,
    "domains": 0,
    "unreadable": 0,
    "last_unreadable": "",
}
"""What is counted of a source before anything came."""


def sources_document(reading: Connection, source: str) -> dict[str, Any]:
    """What came from a source: `last` is the day of the last event, `waiting` those that wait for their person."""
    kept, odd = count_events(reading, source), read_unreadable(reading, source)
    last = None if kept.last_day is None else date.fromordinal(EPOCH + kept.last_day).isoformat()
    return {
        "events": kept.events,
        "last": last,
        "waiting": kept.waiting,
        "unmatched": kept.unmatched,
        "domains": kept.domains,
        "unreadable": odd.get("many", 0),
        "last_unreadable": odd.get("last", ""),
    }


def print_sources(console: Console, document: Document) -> None:
    """Of each source of events how it stands, what it brought, and what waits."""
    for name, each in document.get("events", {}).items():
        good = each["last_good"]
        standing = f"ok, last successful run {good}" if good else "no successful run yet"
        print_sentences(console, f"{name}: {each['why'] or standing}")
        if each["events"]:
            print_sentences(console, f"  {count_of(each['events'], 'event')}, the last one on {each['last']}")
        if each["waiting"]:
            told = f"{count_of(each['waiting'], 'event')} of {each['unmatched']:,} addresses or records"
            print_sentences(console, f"  {told} wait for their person")
        if each["domains"]:
            print_sentences(console, f"  events of {count_of(each['domains'], 'domain')} count for accounts alone")
        if each["unreadable"]:
            told = f"{count_of(each['unreadable'], 'line')} could not be read; the last one"
            print_sentences(console, f"  {told}: {each['last_unreadable']}")


def print_events_read(console: Console, document: Document) -> None:
    """Of each source what a run read."""
    for name, each in document.get("events", {}).items():
        if name in document.get("skipped", {}):
            continue
        told = [f"{each['read']:,} read"]
        told += [f"{each['unreadable']:,} unreadable"] if each["unreadable"] else []
        told += [f"{each['others']:,} of types that the config leaves out"] if each["others"] else []
        told += [f"{each['unmatched']:,} addresses or records wait for their person"] if each["unmatched"] else []
        print_sentences(console, f"Events from {name}: {', '.join(told)}")
