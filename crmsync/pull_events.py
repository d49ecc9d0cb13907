"""Events from outside the CRMs: pulled like activities, each page with its cursor; a source that fails sits out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from crmsync.attempt import Attempt
from crmsync.config.events import EventSource
from crmsync.errors import Cancelled, ConfigError, StateError, Unavailable
from crmsync.events.rows import EventPage
from crmsync.events.source import delete_old_calls, read_pages
from crmsync.failpoint import failpoint
from crmsync.model import Odd
from crmsync.result import EventCounts
from crmsync.store.cursors import drop_cursors, read_cursor, write_cursor
from crmsync.store.events import note_events, save_events
from crmsync.work import Work

EVENTS = "events:"
"""How the streams of events begin: each way of reading a source has one of its own."""

NAMED = 10
"""Lines that a sentence names."""


def pull_all_events(work: Work, attempt: Attempt, *, keeping: bool = False) -> None:
    """Pull from every source of events. With `keeping` what was received and read long ago is kept no longer."""
    for source in work.config.events:
        counts = attempt.result.events.setdefault(source.name, EventCounts())
        with _taking_part(attempt, source, counts):
            _pull_source(work, attempt, source, counts)
            if keeping and source.listen is not None:
                with work.store.read() as reading:
                    cursor = read_cursor(reading, source.name, _stream_of(source))
                delete_old_calls(source.listen, cursor, work.now.date())


def _stream_of(source: EventSource) -> str:
    """Read otherwise, everything has to be read again; where it is read from changes nothing."""
    where = {"folder", "listen", "url", "secret", "files"}
    said = source.model_dump_json(exclude=where)
    return f"{EVENTS}{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _pull_source(work: Work, attempt: Attempt, source: EventSource, counts: EventCounts) -> None:
    result, stream = attempt.result, _stream_of(source)
    with work.store.read() as reading:
        cursor = read_cursor(reading, source.name, stream)
    odd: list[Odd] = []
    future: list[str] = []
    try:
        for page in read_pages(source, cursor, work.now):
            if work.stop is not None and work.stop.is_set():
                raise Cancelled(f"stopped while reading {source.name}")
            _store_page(work, attempt, source, stream, page, counts)
            odd += page.odd
            future += page.future
    finally:
        for why in dict.fromkeys(each.why for each in odd):
            named = [each.what for each in odd if each.why == why]
            result.problems.append(f"{source.name}: not read, because {_name_some(named, why)}")
        if future:
            said = _name_some(future, "is dated in the future")
            result.problems.append(f"{source.name}: {said}; it counts from that time on")


def _store_page(
    work: Work, attempt: Attempt, source: EventSource, stream: str, page: EventPage, counts: EventCounts
) -> None:
    with work.store.begin() as writing:
        drop_cursors(writing, source.name, EVENTS, keep=stream)
        save_events(writing, page.items)
        note_events(writing, source.name, len(page.odd), page.odd[-1] if page.odd else None, work.now_ms)
        write_cursor(writing, source.name, stream, page.cursor)
    failpoint("page_stored")
    counts.read += len(page.items)
    counts.unreadable += len(page.odd)
    counts.others += page.others
    work.progress("events", source.name, len(page.items))


def _name_some(names: Sequence[str], why: str) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more} {why}"


@contextmanager
def _taking_part(attempt: Attempt, source: EventSource, counts: EventCounts) -> Iterator[None]:
    """Read one source: its time is counted, and when it cannot be used it is skipped and everything else goes on."""
    start = time.monotonic()
    try:
        yield
    except (Unavailable, ConfigError) as error:
        attempt.skipped[source.name] = error
    except (StateError, Cancelled, SQLAlchemyError):
        raise
    except Exception as error:  # noqa: BLE001  whatever is odd about a source concerns that source alone
        said = f"it cannot be read ({type(error).__name__}); run crmsync sync --debug and report the output"
        attempt.skipped[source.name] = Unavailable(source.name, said)
        attempt.skipped[source.name].__cause__ = error
    finally:
        counts.seconds = round(counts.seconds + time.monotonic() - start, 3)
