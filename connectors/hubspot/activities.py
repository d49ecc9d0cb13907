"""Activities from every feed of the config, behind one cursor."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from connectors.hubspot.client import Api, Query
from connectors.hubspot.cursors import DAY, Cursor, dump_cursors, load_cursors
from connectors.hubspot.delivered_feeds import Delivered
from connectors.hubspot.email_lookup import Addresses
from connectors.hubspot.engagements import Engagements
from connectors.hubspot.engagements import pull_source as pull_engagements
from connectors.hubspot.errors import Forbidden, RequestRefused, text_of
from connectors.hubspot.events import (
    EMAIL_EVENTS,
    FORM_QUERY,
    FORMS,
    Pulled,
    event_type,
    id_prefix,
    is_event,
    pull_email_events,
    pull_events,
    pull_forms,
    refused_forms,
)
from connectors.hubspot.feeds import by_source, fingerprint_feeds
from connectors.hubspot.missing_fields import TASK_KEY
from connectors.hubspot.properties import to_millis
from connectors.hubspot.schema import Portal
from crmsync.connector import FieldMap, Notes
from crmsync.model import Activity, Odd, Page

MESSAGE_ID = "hs_email_message_id"
"""The property of e-mails that holds their Message-ID (RFC 5322); only what came by a connected mailbox has one. Not
documented, and seen on real portals (2026-11-28).
"""

PROBED = 6 * 3_600.0
"""Seconds for which a feed that cannot be read is not tried again."""

LIVELY = 3_600_000
"""Milliseconds for which a source is read in every run after something of it came."""

RESTED = 115 * 60_000
"""Milliseconds after which any other source is read though no contact changed: runs that are a quarter of an hour apart
read it every two hours.
"""


class ActivityStream:
    """The stream of activities, without the tasks of crmsync.

    A feed that this portal or token cannot serve is left out, and `silent` says why. `is_up_to_date` says that all
    sources were read since a contact changed, and `may_rest` that contacts were asked for just now: then sources of
    which nothing came lately are read now and then, each from its own cursor. A process begins by reading all. That
    each kind of activity changes its contact is not documented (2026-11): a source that was seen not to do so is read
    in every run of the next day. `changed` are the contacts that changed until `asked_at` (milliseconds), when this
    run asked for them; `None` where nobody can tell.
    """

    def __init__(self, api: Api, portal: Portal, notes: Notes, names: FieldMap) -> None:
        self._tasks, self._shared = names.tasks, names.shared_ids
        self._api, self._portal, self._delivered = api, portal, Delivered(notes)
        self._feeds = by_source(api.settings.activities)
        self._silent: dict[str, str] = {}
        self._probed_at = float("-inf")
        self.may_rest = self.is_up_to_date = False
        self.changed: set[str] | None = None
        self.asked_at = 0
        self._came_at: dict[str, int] = {}
        """When something of a source came last, by HubSpot's clock."""
        self._unseen: dict[str, int] = {}
        """When something of a source came whose contact had not changed."""

    def since(self, text: str | None) -> Iterator[Page[Activity]]:
        """Pages of activities that are new or changed since the cursor, or all of them.

        Where all of them come, a source that was listed to its end says so, whichever process did what of it; one of
        which something could not be read does not.
        """
        self._api.take_odd()
        cursors, silent, addresses = load_cursors(text), self.silent(), Addresses(self._api)
        odd: list[Odd] = []
        unread: set[str] = set()
        may_rest, self.may_rest = self.may_rest and self.is_up_to_date, False
        if text is None:
            cursors = {
                source: Cursor(feeds=fingerprint_feeds(feeds, self._shared_id(source)), full=True)
                for source, feeds in self._feeds.items()
            }
        oldest = self._api.server_time - self._api.settings.history
        begins = {
            source: _begun(cursors.get(source), fingerprint_feeds(feeds, self._shared_id(source)))
            for source, feeds in self._feeds.items()
        }
        for source, begun in begins.items():
            if source in silent or (may_rest and self._rests(source, begun)):
                continue
            try:
                for items, cursor in self._pull(source, begun, oldest, addresses):
                    odd += self._api.take_odd()
                    unread |= {source} if odd else set()
                    cursors[source] = cursor._replace(full=cursor.full and source not in unread)
                    self._delivered.add(source, items)
                    self._note_news(source, begun, items)
                    nobodys = addresses.take_nobodys()
                    if items or odd or nobodys:
                        yield Page(items, dump_cursors(cursors), odd=odd, nobodys=nobodys)
                        odd = []
            except (Forbidden, RequestRefused) as error:
                if isinstance(error, RequestRefused) and error.status not in _HOPELESS[_is_tracked(source)]:
                    raise
                silent[source] = str(error)
                cursors[source] = cursors.get(source, begun)._replace(full=False)
            if begun.at is None and (whole := self._whole(id_prefix(source), cursors)):
                yield Page((), dump_cursors(cursors), whole)
        # The next pull begins with a cursor, so that what does not come is no sign of anything.
        yield Page((), dump_cursors({source: cursor._replace(full=False) for source, cursor in cursors.items()}))
        self.is_up_to_date = True

    def _note_news(self, source: str, begun: Cursor, items: Sequence[Activity]) -> None:
        # What a pull of everything brings may be old.
        if not items or begun.at is None:
            return
        now = to_millis(self._api.server_time)
        self._came_at[source] = now
        fresh = {each.ref.id for each in items if not each.gone and begun.at <= to_millis(each.at) <= self.asked_at}
        if self.changed is not None and not fresh <= self.changed:
            self._unseen[source] = now

    def _rests(self, source: str, begun: Cursor) -> bool:
        """Whether a source was read to its end not long ago, and nothing of it came lately, or came unseen."""
        now = to_millis(self._api.server_time)
        is_done = begun.at is not None and begun.start is None and abs(now - begun.at) < RESTED
        is_quiet = abs(now - self._came_at.get(source, 0)) > LIVELY and abs(now - self._unseen.get(source, 0)) > DAY
        return is_done and is_quiet and now - begun.daily <= DAY and not begun.missed

    def _whole(self, prefix: str, cursors: Mapping[str, Cursor]) -> frozenset[str]:
        """The prefix, if every source with such ids was listed to its end and nothing of it was refused."""
        sharing = [cursors.get(source, Cursor()) for source in self._feeds if id_prefix(source) == prefix]
        return frozenset({prefix} if all(each.full and each.at is not None for each in sharing) else ())

    def working_kinds(self) -> set[str]:
        """The kinds that some feed produces here, and has produced before."""
        silent, delivered = self.silent(), self._delivered.kinds()
        working = [source for source in self._feeds if source not in silent]
        return {
            feed.kind for source in working for feed in self._feeds[source] if feed.kind in delivered.get(source, ())
        }

    def silent(self) -> dict[str, str]:
        """The sources that cannot be read here, each with HubSpot's reason."""
        if time.monotonic() - self._probed_at > PROBED:
            self._silent = dict(self._probed())
            self._probed_at = time.monotonic()
        return self._silent

    def refused_forms(self) -> dict[str, str]:
        """The forms that cannot be read although others can, each with HubSpot's reason; a call for each form."""
        return refused_forms(self._api) if FORMS in self._feeds and FORMS not in self.silent() else {}

    def _probed(self) -> Iterator[tuple[str, str]]:
        """Ask for one item of what depends on the subscription; the others say so when they are read."""
        events = {source: event_type(source, self._portal.account()) for source in self._feeds if is_event(source)}
        if events:
            refused = self._refusal("events", [("eventType", next(iter(events.values()))), ("limit", "1")])
            known = None if refused else self._event_types()
            for source, kind in events.items():
                if refused or (known is not None and kind not in known):
                    yield source, refused or "this portal has no such event"
        for source, name, query in ((FORMS, "forms", FORM_QUERY), (EMAIL_EVENTS, "email_events", [("limit", "1")])):
            if source in self._feeds and (why := self._refusal(name, query)):
                yield source, why

    def _refusal(self, name: str, query: Query) -> str:
        """Why an endpoint cannot be read; `""` when it can."""
        try:
            self._api.get(self._api.place(name), query)
        except Forbidden as error:
            return str(error)
        except RequestRefused as error:
            # An event type that a portal does not have may be refused as well; others may be there all the same.
            return "" if name == "events" and error.status != 404 else str(error)
        return ""

    def _event_types(self) -> set[str] | None:
        """The types of events of this portal; `None` when it does not say."""
        try:
            known = self._api.get(self._api.place("event_types")).get("eventTypes")
            return set(filter(None, map(text_of, known))) if isinstance(known, list) else None
        except (Forbidden, RequestRefused):
            return None

    def _pull(self, source: str, begun: Cursor, oldest: datetime, addresses: Addresses) -> Pulled:
        feeds = self._feeds[source]
        if source == FORMS:
            return pull_forms(self._api, addresses, feeds, begun, oldest)
        if source == EMAIL_EVENTS:
            return pull_email_events(self._api, addresses, feeds, begun, oldest)
        if is_event(source):
            return pull_events(self._api, event_type(source, self._portal.account()), feeds, begun, oldest)
        ours = TASK_KEY if self._tasks and source == "tasks" else ""
        what = Engagements(source, feeds, oldest, ours, self._portal.call_outcomes, self._shared_id(source))
        return pull_engagements(self._api, what, begun)

    def _shared_id(self, source: str) -> str:
        """The property of a source's records that holds an id that other CRMs know, too, where it is to be read."""
        return MESSAGE_ID if self._shared and source == "emails" else ""


_HOPELESS = {False: (404,), True: (400, 404)}
"""Refusals after which a source is left out: of what tracking saw, HubSpot also refuses what a portal does not have."""


def _is_tracked(source: str) -> bool:
    return source in (FORMS, EMAIL_EVENTS) or is_event(source)


def _begun(cursor: Cursor | None, now: str) -> Cursor:
    """Where to go on: from the beginning when the source is new or what is read of it is not what it was."""
    if cursor is None:
        return Cursor(feeds=now)
    return cursor if cursor.feeds == now else cursor.anew()._replace(feeds=now)
