"""Which feeds have delivered anything: until then a kind is counted by the contact's own counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson

from crmsync.connector import LEARNED, Notes
from crmsync.model import Activity

DELIVERED = f"hubspot{LEARNED}"
"""The note that holds, as JSON, the kinds that each source has delivered at least once."""


class Delivered:
    """Remembers, beyond the process, which kinds came from which source.

    An empty answer proves nothing: HubSpot lists event types whatever the subscription, and nobody documents whether
    one without events refuses to serve them or serves none (2026-11-27).
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._noted: set[tuple[str, str]] = set()

    def kinds(self) -> Mapping[str, Sequence[str]]:
        """The kinds that each source has delivered."""
        known: dict[str, list[str]] = orjson.loads(self._notes.get(DELIVERED) or "{}")
        return known

    def add(self, source: str, items: Iterable[Activity]) -> None:
        """Take note of what came from the source."""
        fresh = {(source, each.kind) for each in items if not each.gone} - self._noted
        if not fresh:
            return
        known = self.kinds()
        kinds = {*known.get(source, ()), *(kind for _, kind in fresh)}
        if kinds != set(known.get(source, ())):
            self._notes[DELIVERED] = orjson.dumps({**known, source: sorted(kinds)}).decode()
        self._noted |= fresh
