"""What records are associated with: asked for in batches, or out of a list that brings it along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.http import refuse_repeat
from connectors.hubspot.batch_read import Record, cut_into_batches, post_batch
from connectors.hubspot.client import Api
from connectors.hubspot.errors import CRM, id_of, object_in, objects_in, text_of
from connectors.hubspot.schema import next_page
from crmsync.errors import Unavailable

ASSOCIATION_INPUTS = 1_000


def read_associations(api: Api, kind: str, to: str, ids: Iterable[str]) -> dict[str, list[Mapping[str, Any]]]:
    """What each record is associated with, every page of it: nothing, too, for one that HubSpot does not know.

    Records of which HubSpot fails to say it are left out.
    """
    where = api.place("associations", kind=kind, to=to)

    def one(inputs: Sequence[Mapping[str, str]]) -> tuple[Sequence[Mapping[str, Any]], frozenset[str]]:
        return post_batch(api, where, {"inputs": list(inputs)})

    asked: list[Mapping[str, str]] = [{"id": each} for each in ids]
    found: dict[str, list[Mapping[str, Any]]] = {each["id"]: [] for each in asked}
    unknown: set[str] = set()
    pages: set[tuple[str, str]] = set()
    while asked:
        rest: list[Mapping[str, str]] = []
        for results, failed in api.in_flight(one, cut_into_batches(asked, ASSOCIATION_INPUTS)):
            unknown |= failed
            for result in results:
                record_id, after = id_of(object_in(result, "from").get("id")), next_page(result)
                found.setdefault(record_id, []).extend(result.get("to") or ())
                rest += [{"id": record_id, "after": after}] if after else []
        # Each once: two ids that were merged into one record have the same page.
        for following in {(each["id"], each["after"]) for each in rest}:
            told = f"HubSpot returns the same associations of {kind} again and again"
            refuse_repeat(pages, following, Unavailable(CRM, told))
        asked = rest
    return {each: associated for each, associated in found.items() if each not in unknown}


def is_of_type(associated: Mapping[str, Any], type_id: int) -> bool:
    """Whether an association is of one of HubSpot's own types; the numbers of a portal's own labels begin at 1, too."""
    return any(
        id_of(each.get("typeId")) == str(type_id) and text_of(each.get("category")) in ("HUBSPOT_DEFINED", "")
        for each in objects_in(associated, "associationTypes")
    )


def attach_associated(
    api: Api, kind: str, to: str, records: Sequence[Record], first: int | None = None
) -> list[Record]:
    """The records with the ids of what they are associated with, under `to`, asked for in batches.

    Those of the type `first` come first. Records of which HubSpot fails to say it are left out.
    """
    found = read_associations(api, kind, to, [each["id"] for each in records])
    if first is not None:
        found = {each: sorted(others, key=lambda one: not is_of_type(one, first)) for each, others in found.items()}
    ids = {each: list(dict.fromkeys(id_of(other["toObjectId"]) for other in others)) for each, others in found.items()}
    return [{**record, to: ids[record["id"]]} for record in records if record["id"] in ids]


def attach_listed(api: Api, kind: str, to: str, records: Sequence[Record], first: int | None = None) -> list[Record]:
    """The same where a list brings them along as far as they fit; it does not tell which of several is of a type.

    A page without any may come from a version that does not bring them (2026-09 is not documented to, 2026-11-21).
    """
    lists = [object_in(object_in(each, "associations"), to) for each in records]
    if not any(lists):
        return attach_associated(api, kind, to, records, first)
    ids = [dict.fromkeys(id_of(other.get("id")) for other in objects_in(each, "results")) for each in lists]
    cut = [
        record
        for record, each, theirs in zip(records, lists, ids, strict=True)
        if each.get("paging")
        or "" in theirs
        or (each and not isinstance(each.get("results"), list))
        or (first is not None and len(theirs) > 1)
    ]
    whole = {each["id"]: each for each in attach_associated(api, kind, to, cut, first)}
    unknown = {each["id"] for each in cut} - whole.keys()
    linked: list[Record] = [{**record, to: list(each)} for record, each in zip(records, ids, strict=True)]
    return [whole.get(each["id"], each) for each in linked if each["id"] not in unknown]
