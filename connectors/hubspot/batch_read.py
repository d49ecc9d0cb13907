"""Records by their ids, as they are at this moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.hubspot.client import Api
from connectors.hubspot.errors import RequestRefused
from connectors.hubspot.mapping import merged_ids

BATCH = 100
"""Records that one call reads or writes at most."""

Record = Mapping[str, Any]


def read_many(api: Api, kind: str, properties: Sequence[str], ids: Sequence[str]) -> Iterator[Record]:
    """The records with these ids; those that do not exist, or cannot be read, are left out."""

    def one(chunk: Sequence[str]) -> Sequence[Record]:
        body = {"properties": list(properties), "inputs": [{"id": each} for each in chunk]}
        found: Sequence[Record] = api.post(api.place("batch_read", kind=kind), body)["results"]
        return found

    for found in api.in_flight(one, cut_into_batches(ids, BATCH)):
        yield from found


def look_up(api: Api, ids: Sequence[str], properties: Sequence[str]) -> Iterator[tuple[str, Record | None]]:
    """Contacts by id, from the record and not from an index: each id with its record, `None` when there is none.

    An id that a merge retired brings the record that took its place; whether a batch follows such ids is not
    documented, so what is neither there nor in the recycle bin is asked for alone. Ids whose record cannot be read are
    left out.
    """

    def one(chunk: Sequence[str]) -> list[tuple[str, Record | None]]:
        found = dict(_by_any_id(_batch_read(api, chunk, properties, archived=False)))
        rest = [contact_id for contact_id in chunk if contact_id not in found]
        if rest:
            # First, since the bin takes a call for a hundred and each id alone takes one.
            deleted = {record["id"] for record in _batch_read(api, rest, ["hs_object_id"], archived=True)}
            alone = {each: _alone(api, each, properties) for each in rest if each not in deleted}
            found |= {contact_id: record for contact_id, record in alone.items() if record}
            # An empty one cannot be read: it is neither there nor gone (R39).
            chunk = [each for each in chunk if alone.get(each) != {}]
        return [(contact_id, found.get(contact_id)) for contact_id in chunk]

    for answers in api.in_flight(one, cut_into_batches(ids, BATCH)):
        yield from answers


def in_bin(api: Api, ids: Sequence[str]) -> Iterator[str]:
    """Those of these contacts that are in the recycle bin; of what was erased, by law or by time, nothing is there."""
    for chunk in cut_into_batches(ids, BATCH):
        yield from (str(each["id"]) for each in _batch_read(api, chunk, ["hs_object_id"], archived=True))


def _by_any_id(records: Sequence[Record]) -> Iterator[tuple[str, Record]]:
    for record in records:
        yield from ((contact_id, record) for contact_id in merged_ids(record["properties"]))
    # Last, so that a record's own id always leads to itself.
    yield from ((record["id"], record) for record in records)


def _batch_read(api: Api, ids: Sequence[str], properties: Sequence[str], archived: bool) -> Sequence[Record]:
    body = {"properties": list(properties), "inputs": [{"id": each} for each in ids]}
    query = [("archived", "true")] if archived else []
    try:
        found: Sequence[Record] = api.post(api.place("batch_read", kind="contacts"), body, query)["results"]
    except RequestRefused as error:
        if error.status != 404:
            raise
        return ()
    return found


def _alone(api: Api, contact_id: str, properties: Sequence[str]) -> Record | None:
    """The record of an id, `None` where there is none, an empty one where it cannot be read."""
    try:
        record: Record = api.get(
            api.place("record", kind="contacts", id=contact_id), [("properties", ",".join(properties))]
        )
    except RequestRefused as error:
        if error.status not in (400, 404):
            raise
        return None
    return record


def cut_into_batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The items in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
