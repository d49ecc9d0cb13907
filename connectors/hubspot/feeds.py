"""Which activity a record of a feed's source is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crmsync.config.tables import Feed
from crmsync.model import Scalar


def by_source(feeds: Iterable[Feed]) -> dict[str, list[Feed]]:
    """The feeds of each source, in the order of the config."""
    sources: dict[str, list[Feed]] = {}
    for feed in feeds:
        sources.setdefault(feed.source, []).append(feed)
    return sources


def fitting_feed(feeds: Sequence[Feed], values: Mapping[str, Any]) -> Feed | None:
    """The first feed whose `where` fits a record's values; `None` when the record is no activity."""
    return next((feed for feed in feeds if feed.fits(values)), None)


def read_attributes(feed: Feed, values: Mapping[str, Any]) -> dict[str, Scalar]:
    """The record's values under the names the feed gives them: texts and truths; what is empty is left out."""
    return {
        name: value if isinstance(value, bool) else str(value)
        for name, prop in feed.attributes.items()
        if (value := values.get(prop)) not in (None, "")
    }


def properties_of(feeds: Sequence[Feed]) -> list[str]:
    """The properties that the feeds of one source read."""
    return list(dict.fromkeys(prop for feed in feeds for prop in (*feed.where, *feed.attributes.values())))


def fingerprint_feeds(feeds: Sequence[Feed]) -> str:
    """Eight hex digits that change when the feeds of a source do, so that it is read anew."""
    text = "|".join(feed.model_dump_json() for feed in feeds)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
