"""First pages that are asked for together, before anybody needs them: a composite call of five queries counts as one.

A page is known by its query, letter by letter: whoever asks something else in the end asks for it by itself, and so
does whoever was answered with an error, which then concerns nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from connectors.salesforce.errors import query_page
from crmsync.errors import Transient

GOOD_FOR = 600.0
"""Seconds for which a page is used that was asked for before it was needed."""

TRIES, PAUSE = 2, 3600.0
"""After so many failures in a row nothing is asked for together for so many seconds: a slow query may hold all up."""


class Ahead:
    """The pages that wait for whoever needs them, each for one use."""

    def __init__(self) -> None:
        self._pages: dict[str, tuple[dict[str, Any] | None, float]] = {}
        self._ends: dict[str, tuple[str, float]] = {}
        self._standing: dict[str, None] = {}
        self._failures, self._failed_at = 0, 0.0

    def take(self, soql: str) -> dict[str, Any] | None:
        """The page of a query, where it waits."""
        page, at = self._pages.pop(soql, (None, 0.0))
        return page if time.monotonic() - at < GOOD_FOR else None

    def lacks(self, queries: Iterable[str]) -> list[str]:
        """The queries whose pages do not wait; none where asking together has failed of late."""
        if self._failures >= TRIES and time.monotonic() - self._failed_at < PAUSE:
            return []
        return [each for each in dict.fromkeys(queries) if each not in self._pages]

    def keep(self, answers: Mapping[str, Any]) -> None:
        """Have the pages of these queries wait, where they are pages; the others are not asked for together again."""
        self._failures = 0
        for soql, body in answers.items():
            self._pages[soql] = None, 0.0
            with suppress(Transient):
                self._pages[soql] = query_page(body), time.monotonic()

    def note_failure(self) -> None:
        """Remember that a call for many was not answered at all."""
        self._failures, self._failed_at = self._failures + 1, time.monotonic()

    def expect(self, cursors: Iterable[str], until: str) -> None:
        """Forget what waits; the pulls that begin at these cursors are to end at this instant."""
        self._pages.clear()
        self._ends = dict.fromkeys(cursors, (until, time.monotonic()))

    def end_of(self, cursor: str | None) -> str:
        """The instant at which a pull from a cursor is to end, where its pages wait."""
        until, at = self._ends.pop(cursor or "", ("", 0.0))
        return until if time.monotonic() - at < GOOD_FOR else ""

    def note_standing(self, soql: str) -> None:
        """Remember a query that each run asks."""
        self._standing[soql] = None

    def take_standing(self) -> list[str]:
        """The queries that the last run asked as every run does."""
        standing, self._standing = list(self._standing), {}
        return standing
