"""Deals, all of them or those that changed: what became of the contacts they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from connectors.hubspot.associations import attach_associated, attach_listed
from connectors.hubspot.batch_read import Record, ask_again, read_many
from connectors.hubspot.client import Api
from connectors.hubspot.cursors import DAY, Cursor, dump_cursors, load_cursors, millis_of
from connectors.hubspot.deals import (
    CHANGED,
    DEALS,
    STAGE,
    DealReading,
    fingerprint_deals,
    gone_deal,
    lacks_entry,
    opportunities_of,
    plan_deals,
)
from connectors.hubspot.errors import Forbidden, RequestRefused
from connectors.hubspot.history import HISTORY, read_histories
from connectors.hubspot.mapping import changed_at
from connectors.hubspot.paging import Listing, Skipping, Window, whole_list
from connectors.hubspot.properties import to_millis
from connectors.hubspot.schema import Portal
from crmsync.model import Opportunity, Page

SCOPE = "crm.objects.deals.read"
AMOUNT = "amount"

PRIMARY = 5
"""The association type of a deal's primary company."""

WIDE = 7 * DAY
"""How far back the daily look goes: whether associating a deal with a contact modifies it is not documented."""

Attach = Callable[[Api, str, str, Sequence[Record], int], list[Record]]
"""One of the two ways to attach what records are associated with."""


class Outcomes:
    """The stream of deals. `value` is the property that says what one is worth; `""` means its amount."""

    def __init__(self, api: Api, portal: Portal, value: str) -> None:
        self._api, self._portal, self._value = api, portal, value or AMOUNT
        self._reading: DealReading | None = None
        self._missed: Sequence[str] = ()

    def since(self, text: str | None) -> Iterator[Page[Opportunity]]:
        """Pages of deals that changed since the cursor, or all of them. Raises `ConfigError` without the scope."""
        self._api.take_odd()
        self._api.take_unread(DEALS)
        self._reading = None
        begun = load_cursors(text).get(DEALS, Cursor())
        self._missed = begun.missed
        try:
            yield from self._pulled(begun)
        except Forbidden as error:
            raise _name_scope(error) from error

    def probe(self) -> None:
        """Ask for what a pull asks for. Raises `ConfigError` where something is not there or may not be read."""
        self._reading = None
        try:
            self._api.get(self._api.place("list", kind=DEALS), [("limit", "1")])
            self._how()
        except Forbidden as error:
            raise _name_scope(error) from error

    def _pulled(self, begun: Cursor) -> Iterator[Page[Opportunity]]:
        mark = fingerprint_deals(self._value, self._portal.pipelines(DEALS))
        now, overlap = to_millis(self._api.server_time), millis_of(self._api.settings.look_back)
        if begun.feeds != mark:
            # A stage that was renamed, or that now means won, changes no deal.
            begun = begun.anew()._replace(feeds=mark)
        if begun.at is None or begun.at > now + overlap:
            yield from self._all(begun if begun.at is None else begun.anew())
            return
        if begun.missed:
            self._missed = ()
            yield self._page(ask_again(lambda: self._read(begun.missed)), begun)
        start = begun.start or now
        looks = start - begun.daily > DAY
        try:
            for found, last in Window(
                self._api, DEALS, CHANGED, begun.at - (WIDE if looks else overlap), ["hs_object_id"], begun.last
            ).pages():
                # By id, since the search index lags behind.
                records = self._read([each["id"] for each in found])
                yield self._page(records, begun._replace(start=start, last=last))
        except Skipping:
            yield from self._all(begun.anew())
            return
        if looks:
            yield from self._deleted(begun._replace(start=start), begun.daily - overlap)
        yield self._page((), begun.ended(start, start if looks else begun.daily))

    def _all(self, begun: Cursor) -> Iterator[Page[Opportunity]]:
        start, how = begun.start or to_millis(self._api.server_time), self._how()
        listing = Listing(
            self._api,
            DEALS,
            how.properties,
            linked="contacts,companies",
            beside=lambda records: self._with_history(self._with_listed(records), how),
        )
        for records, position in whole_list(listing, begun.walk):
            yield self._page(records, begun._replace(start=start, walk=position))
        # Neither the list nor the search has what is deleted.
        yield from self._deleted(begun._replace(start=start, walk=[]), 0)
        yield self._page((), begun.ended(start, start))

    def _how(self) -> DealReading:
        """What to ask for in this pull; asked for only where there is something to read."""
        if self._reading is None:
            # Amounts and stages that are read now are not read again until the deal changes.
            self._portal.doubt()
            known, pipelines = self._portal.definitions(DEALS), self._portal.pipelines(DEALS)
            self._reading = plan_deals(self._value, known, pipelines, self._portal.currency())
        return self._reading

    def _read(self, ids: Sequence[str]) -> list[Record]:
        records = list(read_many(self._api, DEALS, self._how().properties, ids))
        records = attach_associated(self._api, DEALS, "contacts", records)
        return self._with_history(self._with_companies(attach_associated, records), self._how())

    def _with_listed(self, records: Sequence[Record]) -> list[Record]:
        records = attach_listed(self._api, DEALS, "contacts", records)
        return self._with_companies(attach_listed, records)

    def _with_companies(self, attach: Attach, records: Sequence[Record]) -> list[Record]:
        """The records with the ids of their companies; some portals have none."""
        try:
            return attach(self._api, DEALS, "companies", records, PRIMARY)
        except RequestRefused as error:
            if not error.knows_no_such_kind:
                raise
            return [{**each, "companies": []} for each in records]

    def _with_history(self, records: Sequence[Record], how: DealReading) -> list[Record]:
        """The records, closed ones with the history of their stage where nothing else says when that was."""
        ids = [each["id"] for each in records if lacks_entry(each, how)]
        kept = {each["id"]: each.get(HISTORY) for each in read_histories(self._api, [STAGE], ids, DEALS)}
        return [{**each, HISTORY: kept[each["id"]]} if each["id"] in kept else each for each in records]

    def _deleted(self, going: Cursor, since: int) -> Iterator[Page[Opportunity]]:
        """What was deleted since then (milliseconds), out of the recycle bin."""
        for records, _ in whole_list(Listing(self._api, DEALS, ["hs_object_id"], archived=True)):
            gone = [gone_deal(each["id"], at) for each in records if to_millis(at := changed_at(each)) >= since]
            yield Page(gone, self._text(going), odd=self._api.take_odd())

    def _page(self, records: Sequence[Record], cursor: Cursor) -> Page[Opportunity]:
        how = self._how() if records else None
        found = [each for record in records for each in opportunities_of(record, how)] if how else []
        return Page(found, self._text(cursor), odd=self._api.take_odd())

    def _text(self, cursor: Cursor) -> str:
        """The cursor as text, with what was missed until now."""
        behind = cursor.missing([*self._missed, *self._api.take_unread(DEALS)])
        self._missed = behind.missed
        return dump_cursors({DEALS: behind})


def _name_scope(error: Forbidden) -> Forbidden:
    """The refusal with the one scope that does: HubSpot may name none, or each that lets anybody see a pipeline."""
    return Forbidden("", (SCOPE,), "read deals") if not error.scopes or SCOPE in error.scopes else error
