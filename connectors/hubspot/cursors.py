"""Where a pull of one kind of record stands, as text that outlives the process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import orjson

from connectors.hubspot.paging import Position

VERSION = 1

DAY = 86_400_000
"""Milliseconds between looks at what HubSpot only tells in full: the recycle bin, late events, new associations."""

HOUR = 3_600_000
"""Milliseconds for each page of the recycle bin until a run that finds changed contacts lists it again."""

MOST_MISSED = 1_000
"""Records of a kind that HubSpot failed to read and that are asked for again; others come with a pull of everything."""


class Cursor(NamedTuple):
    """Where the pull of one kind of record stands; every time is HubSpot's own, in milliseconds.

    `at` is up to when changes are in; `None` before the first full pull ends. `start` is when the pull under way began,
    `walk` where its list stands, `last` the last id of its search. `daily` is the latest of the daily looks,
    `bin` how many pages the recycle bin had then.
    `feeds` is a fingerprint of what the records were to become; `again` says that it was another one before. `full`
    says that the pull under way began without a cursor and that HubSpot has refused none of these records since.
    `missed` are ids of records that HubSpot failed to read: each pull asks for them again.
    """

    at: int | None = None
    daily: int = 0
    bin: int = 0
    start: int | None = None
    walk: Position | None = None
    last: str = ""
    feeds: str = ""
    again: bool = False
    full: bool = False
    shown: bool = False
    missed: Sequence[str] = ()

    def missing(self, ids: Iterable[str]) -> Cursor:
        """The cursor that knows of these missed records, as far as they are not too many."""
        return self._replace(missed=tuple(dict.fromkeys(ids))[:MOST_MISSED])

    def anew(self) -> Cursor:
        """The cursor with which everything is read once more."""
        return Cursor(daily=self.daily, feeds=self.feeds, again=True, full=self.full)

    def ended(self, start: int, daily: int) -> Cursor:
        """The cursor behind a pull that began at `start`."""
        return Cursor(at=start, daily=daily, feeds=self.feeds, full=self.full, shown=self.shown)


def dump_cursors(cursors: dict[str, Cursor]) -> str:
    """All the cursors of a stream as one text."""
    plain = {
        name: {k: v for k, v in each._asdict().items() if v not in (None, "", False, ())}
        for name, each in cursors.items()
    }
    return orjson.dumps({"v": VERSION, **plain}).decode()


def load_cursors(text: str | None) -> dict[str, Cursor]:
    """The cursors in a text; one that cannot be read, or of another version, is as good as none."""
    try:
        said: dict[str, Any] = orjson.loads(text or "")
        if said.pop("v") != VERSION:
            return {}
        return {name: Cursor(**each) for name, each in said.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def millis_of(length: timedelta) -> int:
    """A length of time in milliseconds."""
    return length // timedelta(milliseconds=1)
