"""The contacts behind e-mail addresses, the first one of a contact or one that a merge left it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from connectors.hubspot.batch_read import BATCH, Record, cut_into_batches, post_batch
from connectors.hubspot.client import Api
from connectors.hubspot.errors import RequestRefused
from connectors.hubspot.mapping import ADDITIONAL, EMAILS
from connectors.hubspot.paging import SEARCH_PAGE
from connectors.hubspot.schema import next_page

SEARCHED = 5
"""Addresses that one search looks for: HubSpot takes five filter groups."""

LONGEST = 254
"""Characters of an e-mail address (RFC 5321 §4.5.3.1.3); what people type into forms may be longer and is none."""

CEILING = 10_000
"""Results that HubSpot lets anybody page through."""

REMEMBERED = 100_000
"""Addresses whose contact, or that they have none, is remembered."""


class Addresses:
    """Finds contacts by e-mail address, each address once. `refused` says that some could not be looked for."""

    def __init__(self, api: Api) -> None:
        self._api, self.refused = api, False
        self._ids: dict[str, str] = {}
        self._nobodys: set[str] = set()

    def note_nobodys(self, ids: Iterable[str]) -> None:
        """Note that these activities are there, and that no contact has their address."""
        self._nobodys.update(ids)

    def take_nobodys(self) -> frozenset[str]:
        """The activities that were noted since this was asked last."""
        taken, self._nobodys = frozenset(self._nobodys), set()
        return taken

    def ids(self, emails: Collection[str]) -> Mapping[str, str]:
        """The id of the contact that has each address, which is in lower case; `""` where there is none."""
        if len(self._ids) + len(emails) > REMEMBERED:
            self._ids = {}
        missing = sorted({each for each in emails if "@" in each and len(each) <= LONGEST} - self._ids.keys())
        unknown: set[str] = set()
        for records, failed in self._api.in_flight(self._read, cut_into_batches(missing, BATCH)):
            self._remember(records)
            unknown |= failed
        for records in self._with_others([each for each in missing if each not in self._ids]):
            self._remember(records)
        self._ids |= {each: "" for each in missing if each not in self._ids and each not in unknown}
        return {each: self._ids.get(each, "") for each in emails}

    def _remember(self, records: Sequence[Record]) -> None:
        for record in records:
            for address in ";".join(record["properties"].get(each) or "" for each in EMAILS).split(";"):
                self._ids[address.strip().lower()] = record["id"]

    def _read(self, emails: Sequence[str]) -> tuple[Sequence[Record], frozenset[str]]:
        body = {"idProperty": "email", "properties": list(EMAILS), "inputs": [{"id": each} for each in emails]}
        return post_batch(self._api, self._api.place("batch_read", kind="contacts"), body)

    def _with_others(self, emails: Sequence[str]) -> Iterator[Sequence[Record]]:
        """The contacts that may have one of these as a further address, in the fewest searches.

        That is either a search for every few addresses, or all contacts that have further addresses at all. Where
        HubSpot refuses both, nobody is found.
        """
        if not emails:
            return
        try:
            if len(emails) > SEARCHED and (whole := self._everybody(len(emails) // SEARCHED)) is not None:
                yield from whole
            else:
                yield from self._api.in_flight(self._search, cut_into_batches(emails, SEARCHED))
        except RequestRefused:
            self.refused = True

    def _everybody(self, most: int) -> list[Sequence[Record]] | None:
        """Pages of all contacts with further addresses; `None` when they are more than `most` pages."""
        has = [{"filters": [{"propertyName": ADDITIONAL, "operator": "HAS_PROPERTY"}]}]
        pages, after, seen = [], "", {""}
        while True:
            answer = self._api.search("contacts", {**_body(has), **({"after": after} if after else {})})
            if int(answer.get("total") or 0) > min(most * SEARCH_PAGE, CEILING):
                return None
            pages.append(answer["results"])
            if (after := next_page(answer)) in seen:
                return pages
            seen.add(after)

    def _search(self, emails: Sequence[str]) -> Sequence[Record]:
        # HubSpot's own people search with EQ (HubSpot/hubspot-api-nodejs#24), others find CONTAINS_TOKEN to work for
        # several further addresses too (2026-11-21); what it finds beside them does no harm.
        groups = [
            {"filters": [{"propertyName": ADDITIONAL, "operator": "CONTAINS_TOKEN", "value": each}]} for each in emails
        ]
        found: Sequence[Record] = self._api.search("contacts", _body(groups))["results"]
        return found


def _body(groups: Sequence[Mapping[str, object]]) -> dict[str, object]:
    sort = {"propertyName": "hs_object_id", "direction": "ASCENDING"}
    return {"filterGroups": list(groups), "sorts": [sort], "properties": list(EMAILS), "limit": SEARCH_PAGE}
