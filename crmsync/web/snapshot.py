"""What the page shows of the whole state, made in the background: no answer takes longer the more people there are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from crmsync import log
from crmsync.bootstrap import existing_state
from crmsync.config import Config
from crmsync.dead_feeds import find_dead_feeds
from crmsync.errors import StateError
from crmsync.reporting.status import status_document
from crmsync.store.distribution import past_distribution
from crmsync.store.feed_days import DAY, read_feed_days
from crmsync.store.queries import count_scores, find_hottest, past_bands
from crmsync.store.scores import band_counts
from crmsync.store.sql import to_ms

RUNS = 100
"""Runs that the page shows as squares: a day of them, one each quarter of an hour."""

SOONEST, SHARE = 5.0, 10
"""Seconds between two looks at least, and how many times longer than a look takes."""

HOTTEST = 10
SPARK_DAYS = 30


class Snapshot(NamedTuple):
    """The state at an instant: the document of `status`, and what only pictures need.

    `bands` has people by band, `scores` by points (the lower end of ten points each), `before` and `scores_before` the
    same a week ago, `feeds` for each CRM and kind the activities of the last days. `trouble` says why nothing could be
    read.
    """

    at: datetime
    status: Mapping[str, Any]
    bands: Mapping[str, int] = {}
    scores: Mapping[int, int] = {}
    before: Mapping[str, int] = {}
    scores_before: Mapping[int, int] = {}
    feeds: Mapping[tuple[str, str], list[int]] = {}
    hottest: list[Any] = []
    dead: frozenset[tuple[str, str]] = frozenset()
    trouble: str = ""


def read_snapshot(config: Config, now: datetime, typed: Callable[[str], str] = str) -> Snapshot:
    """Look at the state as of `now` (aware); `typed` makes a command of ours one to be typed here."""
    try:
        with existing_state(config) as store:
            status = status_document(config, store, now, typed, runs=RUNS)
            if store is None:
                return Snapshot(now, status)
            today, before = int(now.timestamp()) // DAY, to_ms(now - timedelta(days=7))
            with store.read() as reading:
                days = read_feed_days(reading)
                return Snapshot(
                    now,
                    status,
                    band_counts(reading),
                    count_scores(reading),
                    past_bands(reading, before),
                    past_distribution(reading, before),
                    {key: _last_days(counts, today) for key, counts in sorted(days.items())},
                    find_hottest(reading, config.band_names(), HOTTEST),
                    frozenset((each.crm, each.kind) for each in find_dead_feeds(days, config.feeds, today)),
                )
    except StateError as error:
        return Snapshot(now, status_document(config, None, now, typed), trouble=str(error))


def _last_days(counts: Mapping[int, int], today: int) -> list[int]:
    return [counts.get(day, 0) for day in range(today - SPARK_DAYS + 1, today + 1)]


class Watcher:
    """Keeps a snapshot that is never much older than looking takes."""

    def __init__(self, config: Config, typed: Callable[[str], str] = str) -> None:
        self._config, self._typed = config, typed
        self._due, self._looked = threading.Event(), threading.Condition()
        self._begun = self._ended = 0  # looks so far
        self._stopped = False
        now = datetime.now(UTC)
        self.latest = Snapshot(now, status_document(config, None, now, typed))

    def refresh(self, wait: float = 5.0) -> None:
        """Look again at once, and wait for it for at most so many seconds."""
        with self._looked:
            wanted = self._begun + 1  # one under way may not have seen what there is now
            self._due.set()
            self._looked.wait_for(lambda: self._ended >= wanted, wait)

    def _watch(self) -> None:
        while not self._stopped:
            begun = time.monotonic()
            with self._looked:
                self._begun += 1
            try:
                self.latest = read_snapshot(self._config, datetime.now(UTC), self._typed)
            except Exception as error:  # noqa: BLE001  a page must not end the daemon
                log.get_logger().error("page_not_refreshed", exc_info=error)
            with self._looked:
                self._ended = self._begun
                self._looked.notify_all()
            self._due.wait(max(SOONEST, SHARE * (time.monotonic() - begun)))
            self._due.clear()

    @contextmanager
    def watching(self) -> Iterator[Callable[[], Snapshot]]:
        """Look in a thread until the block ends; what it yields is the latest snapshot."""
        thread = threading.Thread(target=self._watch, name="page", daemon=True)
        thread.start()
        try:
            yield lambda: self.latest
        finally:
            self._stopped = True
            self._due.set()
            thread.join(2)
