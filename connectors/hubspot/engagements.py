"""E-mails, meetings, calls, notes, tasks and messages as activities of the contacts they are associated with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.hubspot.answers import CRM, Refused
from connectors.hubspot.api import Api
from connectors.hubspot.companies import associations
from connectors.hubspot.cursors import DAY, Cursor, millis_of
from connectors.hubspot.feeds import attributes, fitting, properties
from connectors.hubspot.records import KIND, changed_at
from connectors.hubspot.values import instant, millis
from connectors.hubspot.walk import Record, Skipping, Window, whole_list
from crmsync.model import Activity, Ref
from crmsync.tables import Feed

CHANGED, AT = "hs_lastmodifieddate", "hs_timestamp"

WIDE = 7 * DAY
"""How far back the daily look goes: associating an old call with another contact does not change the call."""


def pull(
    api: Api, source: str, feeds: Sequence[Feed], begun: Cursor, oldest: datetime
) -> Iterator[tuple[list[Activity], Cursor]]:
    """What is new of a source; with each piece the cursor behind it. Raises `Forbidden` or `Refused`."""
    now = millis(api.server_time)
    overlap = millis_of(api.settings.overlap)
    wanted = list(dict.fromkeys([AT, CHANGED, *properties(feeds)]))
    if begun.at is None or begun.at > now + overlap:
        yield from _all(api, source, feeds, begun if begun.at is None else begun.anew(), wanted, oldest)
        return
    start = begun.start or now
    looks = start - begun.daily > DAY
    since = begun.at - (WIDE if looks else overlap)
    try:
        for records, last in Window(api, source, CHANGED, since, wanted, begun.last).pages():
            yield _activities(api, source, feeds, records, oldest, True), begun._replace(start=start, last=last)
    except Skipping:
        yield from _all(api, source, feeds, begun.anew(), wanted, oldest)
        return
    except Refused:
        # Not every kind can be searched, and the documentation leaves out communications (2026-11-21).
        if looks:
            yield from _all(api, source, feeds, begun.anew(), wanted, oldest)
        return
    if looks:
        for records, _ in whole_list(api, source, ["hs_object_id"], archived=True):
            deleted = [each for each in records if millis(changed_at(each)) >= begun.daily - overlap]
            yield [_gone(source, str(each["id"])) for each in deleted], begun._replace(start=start)
    yield [], Cursor(at=start, daily=start if looks else begun.daily, feeds=begun.feeds)


def _all(
    api: Api, source: str, feeds: Sequence[Feed], begun: Cursor, wanted: Sequence[str], oldest: datetime
) -> Iterator[tuple[list[Activity], Cursor]]:
    start = begun.start or millis(api.server_time)
    for records, position in whole_list(api, source, wanted, begun.walk):
        going = Cursor(start=start, walk=position, feeds=begun.feeds, again=begun.again)
        yield _activities(api, source, feeds, records, oldest, begun.again), going
    yield [], Cursor(at=start, daily=start, feeds=begun.feeds)


def _activities(
    api: Api, source: str, feeds: Sequence[Feed], records: Sequence[Record], oldest: datetime, known: bool
) -> list[Activity]:
    """The records as activities. `known` says that they may be stored already: what is none (any more) is named too."""
    timely = [(each, at) for each in records if (at := _at(each)) and at >= oldest]
    kept = [(each, at, feed) for each, at in timely if (feed := fitting(feeds, each.get("properties") or {}))]
    with_whom = dict(associations(api, source, "contacts", [str(each["id"]) for each, _, _ in kept])) if kept else {}
    found: list[Activity] = []
    for record, at, feed in kept:
        id = str(record["id"])
        said = attributes(feed, record.get("properties") or {})
        others = dict.fromkeys(str(each["toObjectId"]) for each in with_whom.get(id, ()))
        found += [Activity(Ref(CRM, KIND, other), f"{source}:{id}", feed.kind, at, said) for other in others]
    if not known:
        return found
    nobody = {str(each["id"]) for each in records} - {each.id.partition(":")[2] for each in found}
    return found + [_gone(source, id) for id in sorted(nobody)]


def _gone(source: str, id: str) -> Activity:
    """An activity that is no more; whose it was only the state knows."""
    return Activity(Ref(CRM, KIND, ""), f"{source}:{id}", "", datetime.fromtimestamp(0, tz=UTC), gone=True)


def _at(record: Mapping[str, Any]) -> datetime | None:
    values = record.get("properties") or {}
    return instant(values.get(AT)) or instant(record.get("createdAt"))
