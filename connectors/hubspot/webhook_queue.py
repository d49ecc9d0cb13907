"""Contacts that HubSpot said changed: ids to read again, however often and in whatever order they were told."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from typing import Any

MOST = 1_000
"""Ids that wait at a time. More at once is a mass change, which the search finds as quickly."""

CONTACTS = "0-1"
"""What HubSpot calls contacts in events of the kind `object.…`, which are about every kind of record."""

_IDS = ("objectId", "primaryObjectId", "newObjectId")
_LONGEST_ID = 19


class Hints:
    """The ids that wait. `portal` is the portal whose events count: those of others that have the same app do not.

    `ours` are the properties that crmsync writes: that they changed is no news.
    """

    def __init__(self, ours: Collection[str]) -> None:
        self.portal = ""
        self._ours, self._lock = frozenset(ours), threading.Lock()
        self._waiting: dict[tuple[str, str], None] = {}

    def add(self, events: Any) -> bool:
        """Take in what a call said, of whatever shape it is. Whether that is a reason to pull."""
        told = [each for event in _list(events) if isinstance(event, dict) for each in self._contacts(event)]
        with self._lock:
            fresh = [each for each in dict.fromkeys(told) if each not in self._waiting]
            self._waiting.update(dict.fromkeys(fresh[: MOST - len(self._waiting)]))
        return bool(fresh)

    def take(self) -> list[str]:
        """The ids of this portal's contacts that wait; none waits afterwards."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        return [contact_id for portal, contact_id in waiting if portal == self.portal]

    def _contacts(self, event: dict[str, Any]) -> Iterator[tuple[str, str]]:
        portal = str(event.get("portalId"))
        # As long as the portal is not known all are kept: `take` sorts them out.
        if self.portal not in ("", portal) or not _of_contacts(event) or str(event.get("propertyName")) in self._ours:
            return
        for contact_id in (event.get(name) for name in _IDS):
            if _is_id(contact_id):
                yield portal, str(contact_id)


def _list(events: Any) -> list[Any]:
    return events if isinstance(events, list) else []


def _of_contacts(event: dict[str, Any]) -> bool:
    kind, _, _ = str(event.get("subscriptionType")).partition(".")
    return kind == "contact" or (kind == "object" and event.get("objectTypeId") == CONTACTS)


def _is_id(value: Any) -> bool:
    text = str(value)
    return isinstance(value, int | str) and text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID
