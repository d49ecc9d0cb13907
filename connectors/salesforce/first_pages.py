"""The first pages of the streams of a pull: asked for in few calls, and before a run that can be foreseen begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from connectors.salesforce.client import Org
from connectors.salesforce.paging import Cursor, Window, cursor_of, query_of, window_of
from connectors.salesforce.schema import Schema
from connectors.salesforce.sizes import learn_sizes
from connectors.salesforce.source import Source

Makes = Iterable[Callable[[], Source]]
"""What says of each stream of a pull what to read."""


def ask_first_pages(org: Org, schema: Schema, at: Cursor, makes: Makes) -> None:
    """Have the first pages of the streams wait that are read for what changed, and the sizes of the others be known."""
    streams = _streams(at, makes)
    org.ask_together(_queries(streams, schema))
    whole = [source.object for source, within in streams if within.since is None and not source.parent]
    # Not for one alone, which asks for its size itself.
    if len(whole) > 1:
        learn_sizes(org, whole)


def expected_queries(cursor: str, until: str, makes: Makes, schema: Schema) -> list[str]:
    """What a pull that begins at a cursor, and ends at `until`, will ask first; of what is read as a whole nothing."""
    at = cursor_of(cursor)
    streams = [] if at.until else _streams(replace(at, until=until), makes)
    return _queries(streams, schema)


def _queries(streams: Iterable[tuple[Source, Window]], schema: Schema) -> list[str]:
    return [query_of(source, within, (), schema) for source, within in streams if within.since]


def _streams(at: Cursor, makes: Makes) -> list[tuple[Source, Window]]:
    """The streams that are still to be read, none where the pull is in the middle of one."""
    sources = () if at.stream else [source for make in makes if (source := make()).stream not in at.finished]
    return [(source, window_of(source, at)) for source in sources]
