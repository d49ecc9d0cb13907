"""Records by their ids, as they are at this moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.hubspot.answers import Refused
from connectors.hubspot.api import Api
from connectors.hubspot.records import merged

BATCH = 100
"""Records that one call reads or writes at most."""

Record = Mapping[str, Any]


def read_many(api: Api, kind: str, properties: Sequence[str], ids: Sequence[str]) -> Iterator[Record]:
    """The records with these ids; those that do not exist are left out."""

    def one(chunk: Sequence[str]) -> Sequence[Record]:
        body = {"properties": list(properties), "inputs": [{"id": each} for each in chunk]}
        answer = api.post(api.place("batch_read", kind=kind), body)
        return answer.get("results") or ()

    for found in api.in_flight(one, chunks(ids, BATCH)):
        yield from found


def look_up(api: Api, ids: Sequence[str], properties: Sequence[str]) -> Iterator[tuple[str, Record | None]]:
    """Contacts by id, from the record and not from an index: each id with its record, `None` when there is none.

    An id that a merge retired brings the record that took its place; whether a batch follows such ids is not
    documented, so what is neither there nor in the recycle bin is asked for alone.
    """

    def one(chunk: Sequence[str]) -> list[tuple[str, Record | None]]:
        found = dict(_by_any_id(_batch_read(api, chunk, properties, archived=False)))
        rest = [contact_id for contact_id in chunk if contact_id not in found]
        if rest:
            deleted = {str(record["id"]) for record in _batch_read(api, rest, ["hs_object_id"], archived=True)}
            found |= {
                contact_id: record
                for contact_id in rest
                if contact_id not in deleted and (record := _alone(api, contact_id, properties))
            }
        return [(contact_id, found.get(contact_id)) for contact_id in chunk]

    for answers in api.in_flight(one, chunks(ids, BATCH)):
        yield from answers


def in_bin(api: Api, ids: Sequence[str]) -> Iterator[str]:
    """Those of these contacts that are in the recycle bin; of what was erased, by law or by time, nothing is there."""
    for chunk in chunks(ids, BATCH):
        yield from (str(each["id"]) for each in _batch_read(api, chunk, ["hs_object_id"], archived=True))


def _by_any_id(records: Sequence[Record]) -> Iterator[tuple[str, Record]]:
    for record in records:
        yield from ((contact_id, record) for contact_id in merged(record.get("properties") or {}))
    yield from ((str(record["id"]), record) for record in records)


def _batch_read(api: Api, ids: Sequence[str], properties: Sequence[str], archived: bool) -> Sequence[Record]:
    body = {"properties": list(properties), "inputs": [{"id": each} for each in ids]}
    query = [("archived", "true")] if archived else []
    try:
        answer = api.post(api.place("batch_read", kind="contacts"), body, query)
    except Refused as error:
        if error.status != 404:
            raise
        return ()
    return answer.get("results") or ()


def _alone(api: Api, contact_id: str, properties: Sequence[str]) -> Record | None:
    try:
        record: Record = api.get(
            api.place("record", kind="contacts", id=contact_id), [("properties", ",".join(properties))]
        )
    except Refused as error:
        if error.status not in (400, 404):
            raise
        return None
    return record


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The items in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
