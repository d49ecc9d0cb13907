"""E-mails, meetings, calls, notes, tasks and messages as activities of the contacts they are associated with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from connectors.conversations import plain_message_id
from connectors.hubspot.associations import attach_associated, attach_listed
from connectors.hubspot.batch_read import Record, ask_again, read_many
from connectors.hubspot.call_outcomes import label_outcome, label_outcomes
from connectors.hubspot.client import Api
from connectors.hubspot.cursors import DAY, Cursor, millis_of
from connectors.hubspot.errors import CRM, KIND, RequestRefused, text_of
from connectors.hubspot.feeds import OUTCOME, fitting_feed, kind_of_record, properties_of, read_attributes
from connectors.hubspot.mapping import OWNER, changed_at
from connectors.hubspot.paging import Listing, Skipping, Window, whole_list
from connectors.hubspot.properties import instant_of, to_millis
from crmsync.config.tables import Feed
from crmsync.model import Activity, Ref

CHANGED, AT = "hs_lastmodifieddate", "hs_timestamp"

CALLS = "calls"

CONTACTS = "contacts"
"""Under this name a record carries the ids of the contacts it is associated with, once they were looked up."""

WIDE = 7 * DAY
"""How far back the daily look goes: associating an old call with another contact does not change the call."""


class Engagements(NamedTuple):
    """A kind of record, how its records become activities, and the oldest that are wanted.

    `ours` is a property: a record that has a value in it was made by crmsync and is left out. `shared` is the one that
    holds an id that other CRMs know, too. `labels` tells what the outcomes of calls are called.
    """

    source: str
    feeds: Sequence[Feed]
    oldest: datetime
    ours: str = ""
    labels: Callable[[], Mapping[str, str]] = dict
    shared: str = ""

    @property
    def wanted(self) -> list[str]:
        """The properties to ask for."""
        more = filter(None, [self.ours, self.shared])
        return list(dict.fromkeys([AT, CHANGED, OWNER, *more, *properties_of(self.feeds)]))


def pull_source(api: Api, what: Engagements, begun: Cursor) -> Iterator[tuple[list[Activity], Cursor]]:
    """What is new of a source, and what an earlier pull missed; with each piece the cursor behind it.

    Raises `Forbidden` or `Refused`.
    """
    api.take_unread(what.source)
    # While everything is read, they may still come.
    if begun.missed and begun.at is not None:
        found = _activities(what, _read_again(api, what, begun.missed), True)
        begun = begun.missing(api.take_unread(what.source))
        yield found, begun
    missed = begun.missed
    for items, cursor in _pull_changed(api, what, begun):
        behind = cursor.missing([*missed, *api.take_unread(what.source)])
        missed = behind.missed
        yield items, behind


def _read_again(api: Api, what: Engagements, ids: Sequence[str]) -> list[Record]:
    """Records by their ids; those that are there no more are left out."""
    records = ask_again(lambda: read_many(api, what.source, what.wanted, ids))
    return attach_associated(api, what.source, CONTACTS, _of_others(records, what.ours))


def _pull_changed(api: Api, what: Engagements, begun: Cursor) -> Iterator[tuple[list[Activity], Cursor]]:
    source = what.source
    now = to_millis(api.server_time)
    overlap = millis_of(api.settings.look_back)
    if begun.at is None or begun.at > now + overlap:
        fresh = begun if begun.at is None else begun.anew()._replace(daily=0)
        yield from _all(api, what, fresh)
        return
    start = begun.start or now
    looks = start - begun.daily > DAY
    since = begun.at - (WIDE if looks else overlap)
    try:
        for found, last in Window(api, source, CHANGED, since, what.wanted, begun.last).pages():
            records = _of_others(found, what.ours)
            yield (
                _activities(what, attach_associated(api, source, CONTACTS, records), True),
                begun._replace(start=start, last=last),
            )
    except Skipping:
        yield from _all(api, what, begun.anew())
        return
    except RequestRefused:
        # Not every kind can be searched, and the documentation leaves out communications (2026-11-21).
        if looks:
            yield from _all(api, what, begun.anew())
        return
    if looks:
        yield from _deleted(api, source, begun._replace(start=start))
    yield [], begun.ended(start, start if looks else begun.daily)


def _all(api: Api, what: Engagements, begun: Cursor) -> Iterator[tuple[list[Activity], Cursor]]:
    source = what.source
    start = begun.start or to_millis(api.server_time)
    listing = Listing(
        api, source, what.wanted, linked=CONTACTS, beside=lambda records: attach_listed(api, source, CONTACTS, records)
    )
    for records, position in whole_list(listing, begun.walk):
        going = begun._replace(start=start, walk=position)
        yield _activities(what, _of_others(records, what.ours), begun.again), going
    # Else nothing is stored yet, or a pull of everything tells by itself what comes no more.
    if begun.again:
        yield from _deleted(api, source, begun._replace(start=start, walk=[]))
    yield [], begun.ended(start, start)


def _of_others(records: Sequence[Record], ours: str) -> list[Record]:
    return [each for each in records if not (ours and each["properties"].get(ours))]


def _deleted(api: Api, source: str, going: Cursor) -> Iterator[tuple[list[Activity], Cursor]]:
    """What was deleted since the latest daily look, out of the recycle bin."""
    since = going.daily - millis_of(api.settings.look_back)
    for records, _ in whole_list(Listing(api, source, ["hs_object_id"], archived=True)):
        deleted = [each["id"] for each in records if to_millis(changed_at(each)) >= since]
        yield [_gone(source, record_id) for record_id in deleted], going


def _activities(what: Engagements, records: Sequence[Record], known: bool) -> list[Activity]:
    """The records as activities. `known` says that they may be stored already: what is none (any more) is named too."""
    source, feeds = what.source, what.feeds
    timely = [(each, each["properties"], at) for each in records if (at := _at(each)) and at >= what.oldest]
    if source == CALLS and any(values.get(OUTCOME) for _, values, _ in timely):
        labels = what.labels()
        feeds = label_outcomes(feeds, labels)
        timely = [(each, label_outcome(values, labels), at) for each, values, at in timely]
    found: list[Activity] = []
    for record, values, at in timely:
        if feed := fitting_feed(feeds, values):
            activity_id, said, kind = (
                f"{source}:{record['id']}",
                read_attributes(feed, values),
                kind_of_record(feed, values),
            )
            owner = text_of(values.get(OWNER)) or None
            shared = plain_message_id(text_of(values.get(what.shared)))
            found += [
                Activity(Ref(CRM, KIND, each), activity_id, kind, at, said, owner=owner, shared_id=shared)
                for each in record[CONTACTS]
            ]
    if not known:
        return found
    nobody = {each["id"] for each in records} - {each.id.partition(":")[2] for each in found}
    return found + [_gone(source, record_id) for record_id in sorted(nobody)]


def _gone(source: str, record_id: str) -> Activity:
    """An activity that is no more; whose it was only the state knows."""
    return Activity(Ref(CRM, KIND, ""), f"{source}:{record_id}", "", datetime.fromtimestamp(0, tz=UTC), gone=True)


def _at(record: Mapping[str, Any]) -> datetime | None:
    return instant_of(record["properties"].get(AT)) or instant_of(record.get("createdAt"))
