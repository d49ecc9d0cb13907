"""A source of events, whatever it is: its pages, and whether it can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from crmsync.config.events import EventSource, Listen
from crmsync.errors import ConfigError
from crmsync.events.files import count_read_bytes, list_files, read_files
from crmsync.events.rows import EventPage
from crmsync.events.table import check_table, read_table

RECEIVED = "received-*.jsonl"
"""The files that calls are kept in, one a day (UTC)."""


def read_pages(source: EventSource, cursor: str | None, now: datetime) -> Iterator[EventPage]:
    """What is new in a source since the cursor; everything where there is none.

    Raises `Unavailable` where it cannot be read now, and `ConfigError` where somebody has to change something.
    """
    if source.query is not None:
        return read_table(source, cursor, now)
    if source.listen is not None:
        # Nothing was received as long as there is no folder.
        received = source.listen.folder
        return read_files(source, received, [RECEIVED], cursor, now) if Path(received).is_dir() else iter(())
    return read_files(source, source.folder or "", source.files, cursor, now)


def check_source(source: EventSource) -> Sequence[str]:
    """Sentences about what a source is. Raises as `read_pages`."""
    if source.query is not None:
        names = check_table(source)
        missing = [each for each in (source.columns.id, source.columns.at) if each.partition(".")[0] not in names]
        if missing:
            said = f"{source.name}: the query has no column {', '.join(missing)}; it has {', '.join(names)}"
            raise ConfigError(said)
        return [f"the query has the columns {', '.join(names)}"]
    if source.listen is not None:
        from crmsync.events.receiver import find_listen_problem  # a web server, which most commands do not need

        if problem := find_listen_problem(source):
            raise ConfigError(problem)
        at = source.listen
        return [f"crmsync run receives events at http://{at.host}:{at.port}{at.path}"]
    found = list_files(source.name, source.folder or "", source.files)
    patterns = ", ".join(source.files)
    if not found:
        return [f"no file in {source.folder} is called {patterns} yet"]
    return [f"{len(found):,} files in {source.folder}" if len(found) > 1 else f"1 file in {source.folder}: {found[0]}"]


def delete_old_calls(listen_at: Listen, cursor: str | None, today: date) -> None:
    """Delete the files of calls that were read to their end and are older than they are to be kept."""
    read = count_read_bytes(cursor)
    for path in Path(listen_at.folder).glob(RECEIVED):
        try:
            day = date.fromisoformat(path.stem.removeprefix("received-"))
        except ValueError:
            continue
        if day < today - timedelta(days=listen_at.keep_days) and read.get(path.name) == path.stat().st_size:
            path.unlink()
