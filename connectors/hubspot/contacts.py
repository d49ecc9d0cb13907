"""Contacts, all of them or those that changed: the list, the search and the recycle bin, behind one cursor."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime

from connectors.hubspot.batch_read import Record, in_bin, look_up, read_many
from connectors.hubspot.bulk_export import Export, NoExport, export_contacts, order_export
from connectors.hubspot.client import Api
from connectors.hubspot.companies import NO_COMPANIES, Companies
from connectors.hubspot.cursors import DAY, HOUR, Cursor, dump_cursors, load_cursors, millis_of
from connectors.hubspot.errors import CRM, KIND
from connectors.hubspot.mapping import (
    ASKED,
    CHANGED,
    COMPANY,
    COMPANY_ID,
    COMPANY_VALUES,
    MERGES,
    OWNER,
    Reading,
    changed_at,
    contact_of,
)
from connectors.hubspot.paging import Listing, Skipping, Window, count_records, whole_list
from connectors.hubspot.properties import to_millis
from connectors.hubspot.schema import Portal
from connectors.hubspot.webhook_queue import Hints
from crmsync.connector import Notes
from crmsync.model import Contact, Page, Ref

STREAM = "contacts"

WORTH_COUNTING = 10_000
"""Changed contacts from which it is asked whether the whole list would be quicker."""

LIST_IS_QUICKER = 0.5
"""The share of all contacts from which it is: a second allows 19 list pages of 100 and 5 search pages of 200."""


class Contacts:
    """The stream of contacts. `how` says, once for each pull, what to ask for; `hints` are read before all else."""

    def __init__(self, api: Api, portal: Portal, notes: Notes, how: Callable[[], Reading], hints: Hints) -> None:
        self._api, self._portal, self._notes, self._how, self._hints = api, portal, notes, how, hints
        self._companies = Companies(api)
        self._hinted_at: dict[str, datetime] = {}
        """When the contacts that were hinted at had changed, as long as the search may not know that yet."""

    def since(self, text: str | None) -> Iterator[Page[Contact]]:
        """Pages of contacts that changed since the cursor, or all of them."""
        self._api.take_odd()
        how = self._how()
        self._companies.are_there = not how.no_companies
        if text is not None:
            yield from self._hinted(how, text)
        yield from self._pulled(how, text)

    def _hinted(self, how: Reading, text: str) -> Iterator[Page[Contact]]:
        """The contacts that HubSpot's webhooks named, as they are now, or gone; the cursor stays where it is."""
        # The search index has caught up with what is older than that.
        searchable = self._api.server_time - self._api.settings.look_back
        self._hinted_at = {contact_id: at for contact_id, at in self._hinted_at.items() if at > searchable}
        if ids := self._hints.take():
            found = list(self.by_id(how, ids))
            yield self._page(found, text)
            self._hinted_at |= {each.ref.id: each.changed_at for each in found}

    def _is_newer(self, found: Contact) -> bool:
        """Whether the search found more than was read by id after a hint; an index that lags still shows less."""
        known = self._hinted_at.get(found.ref.id)
        return known is None or found.changed_at > known

    def _pulled(self, how: Reading, text: str | None) -> Iterator[Page[Contact]]:
        begun, now = load_cursors(text).get(STREAM, Cursor()), to_millis(self._api.server_time)
        overlap = millis_of(self._api.settings.look_back)
        # A cursor in HubSpot's future is not believed (R07).
        if begun.at is None or begun.at > now + overlap:
            # A first pull that was cut off goes on where it stood; all else begins anew.
            yield from self._all(how, begun if begun.at is None else Cursor(), now)
            return
        try:
            yield from self._changed(how, begun, now, overlap)
        except (Skipping, _ListIsQuicker):
            yield from self._all(how, Cursor(), now)

    def _all(self, how: Reading, begun: Cursor, now: int) -> Iterator[Page[Contact]]:
        start = begun.start or now
        if how.company_properties:
            self._companies.remember_all(how.company_properties, for_all=begun.walk is None)
        export = self._ordered_export(how, begun)
        # An earlier process may have ordered it: what was edited since is read afterwards.
        start = min(start, export.ordered_at) if export else start
        try:
            yield from self._exported(how, export, start)
        except NoExport:
            yield from self._listed(how, begun, start)
        # Neither the list nor the search has what is deleted.
        looked = yield from self._in_bin(how, 0, Cursor(start=start, walk=[]))
        yield from self._edited_since(how, looked._replace(at=start, start=None, walk=None), bool(export))

    def _ordered_export(self, how: Reading, begun: Cursor) -> Export | None:
        if self._api.settings.backfill != "export" or begun.walk is not None:
            return None
        try:
            return order_export(self._api, self._notes, how.properties)
        except NoExport:
            return None

    def _exported(self, how: Reading, export: Export | None, start: int) -> Iterator[Page[Contact]]:
        """All contacts from an export. Its pages have no position: whoever comes back reads the same file again."""
        if export is None:
            raise NoExport
        for records in export_contacts(self._api, self._notes, export, how.properties):
            yield self._page(self.typed(records, how), _text(Cursor(start=start)))

    def _edited_since(self, how: Reading, done: Cursor, exported: bool) -> Iterator[Page[Contact]]:
        """What was edited since an export was ordered, which its file may not show. The last page of a full pull."""
        now, overlap = to_millis(self._api.server_time), millis_of(self._api.settings.look_back)
        if exported:
            try:
                yield from self._changed(how, done._replace(daily=now), now, overlap)
                return
            except (Skipping, _ListIsQuicker):
                pass  # the next pull reads all of them from the list
        yield self._page((), _text(done))

    def _listed(self, how: Reading, begun: Cursor, start: int) -> Iterator[Page[Contact]]:
        listing = Listing(
            self._api, "contacts", how.properties, beside=lambda records: self._with_companies(records, how)
        )
        for records, position in whole_list(listing, begun.walk):
            yield self._page(self._as_contacts(records, how), _text(Cursor(start=start, walk=position)))

    def _changed(self, how: Reading, begun: Cursor, now: int, overlap: int) -> Iterator[Page[Contact]]:
        start, since = begun.start or now, (begun.at or 0) - overlap
        # The portal does not show the property that the search goes by.
        if CHANGED not in how.properties:
            raise _ListIsQuicker
        window = Window(self._api, "contacts", CHANGED, since, how.properties, begun.last)
        self._refuse_most(window, "contacts")
        is_quiet = not window.total
        for records, last in window.pages():
            found = [each for each in self.typed(records, how) if self._is_newer(each)]
            yield self._page(found, _text(begun._replace(start=start, last=last)))
        for records in self._of_changed_companies(how, since):
            yield self._page(self.typed(records, how), _text(begun._replace(start=start)))
        looked = begun._replace(start=start)
        if start - begun.daily > (DAY if is_quiet or not begun.bin else min(DAY, begun.bin * HOUR)):
            looked = yield from self._in_bin(how, begun.daily - overlap, looked)
        yield self._page((), _text(Cursor(at=start, daily=looked.daily, bin=looked.bin)))

    def _page(self, items: Sequence[Contact], cursor: str) -> Page[Contact]:
        """A page with what could not be read by now, as some pages are asked for ahead of it, and what is not there."""
        left_out = () if self._companies.are_there else (NO_COMPANIES,)
        return Page(items, cursor, odd=self._api.take_odd(), left_out=left_out)

    def _refuse_most(self, window: Window, kind: str) -> None:
        if window.total > WORTH_COUNTING and window.total > LIST_IS_QUICKER * count_records(self._api, kind):
            raise _ListIsQuicker

    def _of_changed_companies(self, how: Reading, since: int) -> Iterator[list[Record]]:
        if not how.company_properties or not self._companies.are_there:
            return
        if window := self._companies.changed(since, how.company_properties):
            self._refuse_most(window, "companies")
            for ids in self._companies.members(window, how.company_properties):
                yield list(read_many(self._api, "contacts", how.properties, ids))

    def typed(self, records: Sequence[Record], how: Reading, asked: Sequence[str] = ()) -> list[Contact]:
        """The records with their companies as contacts; `asked` are the ids they were asked for, if it was by id.

        A record is left out where HubSpot fails to say which company is its.
        """
        if asked:
            records = [{**record, ASKED: each} for record, each in zip(records, asked, strict=True)]
        return self._as_contacts(self._with_companies(records, how), how)

    def _as_contacts(self, records: Sequence[Record], how: Reading) -> list[Contact]:
        values = [each["properties"] for each in records]
        companies = [known for each in records if (known := each.get(COMPANY_VALUES))]
        is_lacking = self._portal.lacks("contacts", how.properties, values)
        if self._portal.lacks("companies", how.company_properties, companies) or is_lacking:
            how = self._how()
        self._portal.confirm_owners({each.get(OWNER) for each in values})
        return [contact_of(each, how) for each in records]

    def _with_companies(self, records: Sequence[Record], how: Reading) -> list[Record]:
        if not how.company_properties:
            return list(records)
        companies = self._companies.of(records, how.company_properties, COMPANY in how.properties)
        return [
            {**record, COMPANY_ID: company[0], COMPANY_VALUES: company[1]}
            for record, company in zip(records, companies, strict=True)
            if company is not None
        ]

    def by_id(self, how: Reading, ids: Sequence[str]) -> Iterator[Contact]:
        """The contacts with these ids as they are now, `gone` where there is none; an old id brings what it became."""
        found = dict(look_up(self._api, ids, how.properties))
        there = {contact_id: record for contact_id, record in found.items() if record is not None}
        yield from self.typed(list(there.values()), how, list(there))
        gone = sorted(found.keys() - there.keys())
        deleted = set(in_bin(self._api, gone))
        for each in gone:
            yield Contact(Ref(CRM, KIND, each), self._api.server_time, gone=True, erased=each not in deleted)

    def _in_bin(self, how: Reading, since: int, at: Cursor) -> Generator[Page[Contact], None, Cursor]:
        """The contacts that were deleted since then, with what was merged into them; HubSpot keeps them for a while.

        Nothing tells the latest of them, so that all are listed. Returns the cursor that knows how long that took.
        """
        pages = 0
        for records, _ in whole_list(Listing(self._api, "contacts", MERGES, archived=True)):
            pages += 1
            gone = [each for each in records if to_millis(changed_at(each)) >= since]
            if gone:
                yield self._page([contact_of({**each, "archived": True}, how) for each in gone], _text(at))
        return at._replace(daily=at.start or 0, bin=pages)


def _text(cursor: Cursor) -> str:
    return dump_cursors({STREAM: cursor})


class _ListIsQuicker(Exception):
    """So much changed that the list is read instead of the search."""
