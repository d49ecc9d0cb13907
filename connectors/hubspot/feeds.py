"""Which activity a record of a feed's source is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.conversations import ATTEMPTED, AUTOMATIC, CALLS, MAILS, is_automatic_mail, is_unanswered
from crmsync.config.tables import Feed
from crmsync.model import Scalar

OUTCOME, SUBJECT = "hs_call_disposition", "hs_email_subject"

OUT_OF_OFFICE = "hs_incoming_email_is_out_of_office"
"""True on e-mails that HubSpot itself takes for an out-of-office; not documented, and seen on real portals
(2026-11-28).
"""


def by_source(feeds: Iterable[Feed]) -> dict[str, list[Feed]]:
    """The feeds of each source, in the order of the config."""
    sources: dict[str, list[Feed]] = {}
    for feed in feeds:
        sources.setdefault(feed.source, []).append(feed)
    return sources


def fitting_feed(feeds: Sequence[Feed], values: Mapping[str, Any]) -> Feed | None:
    """The first feed whose `where` fits a record's values; `None` when the record is no activity."""
    return next((feed for feed in feeds if feed.fits(values)), None)


def kind_of_record(feed: Feed, values: Mapping[str, Any]) -> str:
    """The kind of a record that fits a feed: an automatic answer and a call that reached nobody have their own.

    The outcome of a call is its label here (see `call_outcomes`).
    """
    if feed.source == "emails" and feed.kind in MAILS:
        told = str(values.get(OUT_OF_OFFICE) or "").lower() == "true"
        return AUTOMATIC if told or is_automatic_mail(str(values.get(SUBJECT) or "")) else feed.kind
    if feed.source == "calls" and feed.kind in CALLS and is_unanswered(str(values.get(OUTCOME) or "")):
        return ATTEMPTED
    return feed.kind


def read_attributes(feed: Feed, values: Mapping[str, Any]) -> dict[str, Scalar]:
    """The record's values under the names the feed gives them: texts and truths; what is empty is left out."""
    return {
        name: value if isinstance(value, bool) else str(value)
        for name, prop in feed.attributes.items()
        if (value := values.get(prop)) not in (None, "")
    }


def properties_of(feeds: Sequence[Feed]) -> list[str]:
    """The properties that the feeds of one source read, and those that `kind_of_record` reads."""
    asked = [prop for feed in feeds for prop in (*feed.where, *feed.attributes.values())]
    if any(feed.source == "emails" and feed.kind in MAILS for feed in feeds):
        asked += [SUBJECT, OUT_OF_OFFICE]
    if any(feed.source == "calls" and feed.kind in CALLS for feed in feeds):
        asked.append(OUTCOME)
    return list(dict.fromkeys(asked))


def fingerprint_feeds(feeds: Sequence[Feed], also: str = "") -> str:
    """Eight hex digits that change when the feeds of a source do, or a property that is read `also`, so that it is read
    anew.
    """
    text = "|".join([*(feed.model_dump_json() for feed in feeds), *filter(None, [also])])
    return hashlib.sha256(text.encode()).hexdigest()[:8]
