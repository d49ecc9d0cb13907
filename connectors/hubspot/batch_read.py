"""Records by their ids, as they are at this moment, and what a batch says of those that it could not read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from connectors.hubspot.client import Api, Query
from connectors.hubspot.endpoints import Endpoint
from connectors.hubspot.errors import (
    CRM,
    KIND,
    LASTING,
    RequestRefused,
    id_of,
    list_in,
    object_in,
    objects_in,
    text_of,
)
from connectors.hubspot.mapping import merged_ids
from crmsync.model import Odd, Ref

BATCH = 100
"""Records that one call reads or writes at most."""

TIMES, WAIT = 3, 2.0
"""How often what fails inside a batch is asked for, and the seconds between."""

Record = Mapping[str, Any]


def post_batch(
    api: Api, where: Endpoint, body: Mapping[str, Any], query: Query = ()
) -> tuple[list[Record], frozenset[str]]:
    """The results of a batch that reads, and the ids of the inputs that HubSpot failed to read time after time.

    A batch that succeeds may hold errors. That there is nothing is an answer; of all else nothing is known, which is
    noted as odd. What HubSpot would refuse again is asked for once. Raises `RequestRefused`.
    """
    results: list[Record] = []
    unread: dict[str, str] = {}
    inputs: Sequence[Mapping[str, str]] = body["inputs"]
    for times_left in reversed(range(TIMES)):
        answer = api.post(where, {**body, "inputs": inputs}, query)
        results += answer["results"]
        failed = _failures(answer, [each["id"] for each in inputs])
        unread |= {id_: why for id_, why in failed.items() if why in LASTING or not times_left}
        inputs = [each for each in inputs if each["id"] in failed.keys() - unread.keys()]
        if not inputs:
            break
        api.pause(WAIT)
    if "idProperty" not in body:
        api.note_unread(where.kind, unread)
    # What records are looked up by may be an address.
    api.note_odd([_failed_read(where.kind, "" if "idProperty" in body else id_, why) for id_, why in unread.items()])
    return results, frozenset(unread)


def _failures(answer: Mapping[str, Any], ids: Sequence[str]) -> dict[str, str]:
    """The ids that failed inside a batch with HubSpot's word for why; an error that names none may be about any.

    Where several may be about one, what names it counts, and then what passes.
    """
    errors = objects_in(answer, "errors")
    answered = {id_of(each.get("id") or object_in(each, "from").get("id")) for each in answer["results"]}
    answered = answered.union(*(_named(each) for each in errors if _says_nothing_there(each)))
    failures = [
        (_named(each).intersection(ids), text_of(each.get("category")))
        for each in errors
        if not _says_nothing_there(each)
    ]
    failed: dict[str, str] = {}
    for named, why in sorted(failures, key=lambda each: (not each[0], each[1] in LASTING)):
        for id_ in sorted(named or ids):
            failed.setdefault(id_, why)
    return {id_: why for id_, why in failed.items() if id_ not in answered}


def _says_nothing_there(error: Mapping[str, Any]) -> bool:
    return error.get("category") == "OBJECT_NOT_FOUND" or "NO_ASSOCIATIONS_FOUND" in text_of(error.get("subCategory"))


def _named(error: Mapping[str, Any]) -> frozenset[str]:
    context = object_in(error, "context")
    return frozenset(text_of(each) for name in context for each in list_in(context, name) or [context[name]])


def _failed_read(kind: str, record_id: str, why: str) -> Odd:
    said = f"with an error of HubSpot ({why})" if why else "with an error of HubSpot"
    if not record_id:
        return Odd(f"one of the {kind}", said)
    return Odd(f"{kind} {record_id}", said, Ref(CRM, KIND, record_id) if kind == "contacts" else None)


def read_many(api: Api, kind: str, properties: Sequence[str], ids: Sequence[str]) -> Iterator[Record]:
    """The records with these ids; those that do not exist, or cannot be read, are left out, these as odd."""

    def one(chunk: Sequence[str]) -> Sequence[Record]:
        body = {"properties": list(properties), "inputs": [{"id": each} for each in chunk]}
        return post_batch(api, api.place("batch_read", kind=kind), body)[0]

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
    """Those of these contacts that are in the recycle bin, or may be: HubSpot fails to say so.

    Of what was erased, by law or by time, nothing is there.
    """
    for chunk in cut_into_batches(ids, BATCH):
        try:
            found, unknown = post_batch(api, *_batch_of(api, chunk, ["hs_object_id"], archived=True))
        except RequestRefused as error:
            if not error.says_nothing_there:
                raise
            continue
        yield from (str(each["id"]) for each in found)
        yield from unknown


def _by_any_id(records: Sequence[Record]) -> Iterator[tuple[str, Record]]:
    for record in records:
        yield from ((contact_id, record) for contact_id in merged_ids(record["properties"]))
    # Last, so that a record's own id always leads to itself.
    yield from ((record["id"], record) for record in records)


def _batch_read(api: Api, ids: Sequence[str], properties: Sequence[str], archived: bool) -> Sequence[Record]:
    """What a batch brings; whoever needs the rest asks for it in another way."""
    try:
        found: Sequence[Record] = api.post(*_batch_of(api, ids, properties, archived))["results"]
    except RequestRefused as error:
        if not error.says_nothing_there:
            raise
        return ()
    return found


def _batch_of(
    api: Api, ids: Sequence[str], properties: Sequence[str], archived: bool
) -> tuple[Endpoint, Mapping[str, Any], Query]:
    body = {"properties": list(properties), "inputs": [{"id": each} for each in ids]}
    return api.place("batch_read", kind="contacts"), body, [("archived", "true")] if archived else []


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


def ask_again(read: Callable[[], Iterable[Record]]) -> list[Record]:
    """What an earlier pull missed, as far as it is there."""
    try:
        return list(read())
    # None of them is there; or HubSpot refuses more than these, which what is read next will say.
    except RequestRefused:
        return []
