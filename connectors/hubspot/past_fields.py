"""The former values of mapped properties, out of the history that HubSpot keeps of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from connectors.hubspot.batch_read import Record, cut_into_batches
from connectors.hubspot.client import Api
from connectors.hubspot.errors import CRM, KIND
from connectors.hubspot.history import BATCH, Version, read_batch, versions_of
from connectors.hubspot.properties import Definition, instant_of, read_value, to_millis
from crmsync.connector import PastFields, PastValue
from crmsync.model import Ref

FEWEST_KEPT = 20
"""Versions from which a history may lack older ones. HubSpot keeps no more than some 20 to 45 of a property, and does
not document how many the API gives (2026-11-28)."""


class _History(NamedTuple):
    """The former values of one field of one record, and since when nothing of it is missing."""

    values: list[PastValue]
    whole_since: datetime | None


def read_past_fields(api: Api, fields: Mapping[str, Definition], ids: Sequence[str]) -> Iterator[PastFields]:
    """What HubSpot still knows of former values of these contacts, by the definitions of the fields' properties.

    A record of which something may be missing comes by itself, with the instant since which nothing is.
    """
    properties = list(dict.fromkeys(each.name for each in fields.values()))
    if not properties:
        return
    chunks = cut_into_batches(list(dict.fromkeys(ids)), BATCH)
    for records, failed in api.in_flight(lambda chunk: read_batch(api, properties, chunk), chunks):
        if failed:
            yield PastFields([], {KIND: dict.fromkeys(fields, api.server_time)})
        whole: list[PastValue] = []
        for record in records:
            found = {name: _history(record, name, of, api.server_time) for name, of in fields.items()}
            values = [value for each in found.values() for value in each.values]
            if any(each.whole_since for each in found.values()):
                yield PastFields(values, {KIND: {name: each.whole_since for name, each in found.items()}})
            else:
                whole += values
        yield PastFields(whole, {KIND: dict.fromkeys(fields)})


def _history(record: Record, field: str, of: Definition, now: datetime) -> _History:
    ref, versions = Ref(CRM, KIND, record["id"]), versions_of(record, of.name)
    known = [each for each in versions if each.at]
    if not known:
        # Of what HubSpot calculates it may keep none.
        return _History([], now if record["properties"].get(of.name) else None)
    if len(known) < len(versions):
        # One whose time cannot be read may lie between any two others: only the present value is certain.
        return _History([], _instant(known[-1]))
    values = [
        PastValue(ref, field, former, _instant(later))
        for earlier, later in pairwise(known)
        if (former := read_value(earlier.value, of)) != read_value(later.value, of)
    ]
    created = instant_of(record.get("createdAt"))
    if created is not None and known[0].at <= to_millis(created):
        return _History(values, None)
    if len(known) >= FEWEST_KEPT:
        return _History(values, _instant(known[0]))
    if read_value(known[0].value, of) is None:
        return _History(values, None)
    return _History([PastValue(ref, field, None, _instant(known[0])), *values], None)


def _instant(version: Version) -> datetime:
    return datetime.fromtimestamp(0, tz=UTC) + timedelta(milliseconds=version.at)
