"""What stood in a property before our own write and who set it, out of the history that HubSpot keeps of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connectors.hubspot.batch_read import Record, cut_into_batches, post_batch
from connectors.hubspot.client import Api
from connectors.hubspot.errors import CRM, KIND, Forbidden, RequestRefused, object_in, objects_in, text_of
from connectors.hubspot.properties import instant_of, to_millis
from crmsync.connector import FieldEdit
from crmsync.model import Ref

_log = logging.getLogger(__name__)

BATCH = 50
"""Records that one call reads with their history at most."""

HISTORY = "propertiesWithHistory"

LAST_LOOK = 3_600_000
"""Milliseconds that surely lie between the last look at a record and the landing of its write, with all waits. A value
that was set earlier was there at that look, or came out of another record's history by a merge."""

BY_HAND = "CRM_UI"
"""How the source of a value begins that somebody set in HubSpot's own pages."""


class Version(NamedTuple):
    """A value that a property had from an instant on (milliseconds), and what set it."""

    at: int
    value: str
    source: str


def read_histories(
    api: Api, properties: Sequence[str], ids: Sequence[str], kind: str = "contacts", *, shown: Sequence[str] = ()
) -> Iterator[Record]:
    """The records with the history of these properties, and with the `shown` ones as they are.

    Those of which HubSpot gives none are left out.
    """

    def one(chunk: Sequence[str]) -> Sequence[Record]:
        try:
            return read_batch(api, properties, chunk, kind, shown=shown)[0]
        except (RequestRefused, Forbidden) as error:
            _log.warning("histories_refused", extra={"why": str(error)})
            return ()

    for found in api.in_flight(one, cut_into_batches(ids, BATCH)):
        yield from found


def read_batch(
    api: Api, properties: Sequence[str], ids: Sequence[str], kind: str = "contacts", *, shown: Sequence[str] = ()
) -> tuple[Sequence[Record], frozenset[str]]:
    """At most `BATCH` records with the values and the history of these properties, and the values of the `shown` ones.

    Beside them the ids that HubSpot failed to read. Raises `Forbidden` or `RequestRefused`.
    """
    body = {
        "properties": list(dict.fromkeys(["hs_object_id", *properties, *shown])),
        HISTORY: list(properties),
        "inputs": [{"id": each} for each in ids],
    }
    return post_batch(api, api.place("batch_read", kind=kind), body)


def versions_of(record: Record, prop: str) -> list[Version]:
    """The values that a property had, oldest first; the order in which they come is not documented.

    Of one instant the later one is known by that order alone, so that it is kept or turned round as a whole.
    """
    found = [_version(each) for each in objects_in(object_in(record, HISTORY), prop)]
    is_oldest_first = bool(found) and found[0].at < found[-1].at
    return sorted(found if is_oldest_first else found[::-1], key=lambda each: each.at)


def _version(each: Mapping[str, Any]) -> Version:
    at = instant_of(each.get("timestamp"))
    return Version(to_millis(at) if at else 0, text_of(each.get("value")), text_of(each.get("sourceType")))


TOOLS = {
    "AUTOMATION_PLATFORM": "a workflow",
    "IMPORT": "an import",
    "INTEGRATION": "an integration",
    "SALESFORCE": "the Salesforce integration",
    "MERGE_CONTACTS": "a merge",
}
"""What to call what sets values beside users, by the source of a value."""


def list_edits(
    record: Record, fields: Mapping[str, str], users: Mapping[str, str], stages: Mapping[str, str]
) -> Iterator[FieldEdit]:
    """Who gave a contact each value of the properties of `fields` (property → field) that HubSpot still knows.

    `users` has addresses by the id of the user, `stages` our names by HubSpot's.
    """
    ref = Ref(CRM, KIND, text_of(record.get("id")))
    for prop, field in fields.items():
        for each in objects_in(object_in(record, HISTORY), prop):
            value, at = text_of(each.get("value")) or None, instant_of(each.get("timestamp"))
            if at is not None:
                named = stages.get(value, value) if value is not None and field == "stage" else value
                yield FieldEdit(ref, field, named, at, _editor(each, users))


def _editor(version: Mapping[str, Any], users: Mapping[str, str]) -> str:
    """Who or what set a value: HubSpot names a user by id alone, in one of two places (2026-11)."""
    user = str(version.get("updatedByUserId") or text_of(version.get("sourceId")).removeprefix("userId:"))
    source = text_of(version.get("sourceType"))
    label = text_of(version.get("sourceLabel"))
    if address := users.get(user):
        return address
    return f"{TOOLS[source]} ({label})" if label and source in TOOLS else TOOLS.get(source, "")


def replaced_value(kept: Sequence[Version], before: str, ours: str, *, was_cleared: bool) -> str | None:
    """The value that ours took the place of, where it is not the one that ours was meant for; `None` otherwise.

    Nothing is known where the history does not reach back so far, or where somebody set our value by hand. A stage
    that is moved back is cleared by ourselves first (`was_cleared`).
    """
    if not kept or kept[-1].value != ours:
        return None
    others = [place for place, each in enumerate(kept) if each.value not in ((ours, "") if was_cleared else (ours,))]
    if not others:
        return None
    former, setter = kept[others[-1]], kept[others[-1] + 1]
    is_old, by_hand = former.at < setter.at - LAST_LOOK, setter.source.startswith(BY_HAND)
    return None if former.value == before or is_old or by_hand else former.value
