"""Two ways through the records of a kind: the whole list, several pages at once, and what changed since an instant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from connectors.http import refuse_repeat
from connectors.hubspot.batch_read import Record, read_many
from connectors.hubspot.client import Api
from connectors.hubspot.errors import CRM, RequestRefused
from connectors.hubspot.schema import next_page
from crmsync.errors import Unavailable

LIST_PAGE = 100
SEARCH_PAGE = 200

LONGEST_URL = 6_000
"""Characters of property names in an address; some way along, addresses over 8,000 characters are cut or refused."""

LONGEST_SEARCH = 2_800
"""Bytes of a search; HubSpot refuses more than 3,000."""

TELLING = 20
"""Ids that are searched for to learn how ids are compared; some may just have been deleted."""

WORTH_SPLITTING = 2_000
"""Records from which a list is walked in several places at once."""

FEWEST_PAGES = 4
"""Pages that must be left of a stretch for its second half to be worth a probe."""

MOST_HOPELESS = 40
"""Probes into nothing after which no more are made: the ids of a portal leave large gaps."""

ALMOST_ALL = 0.999
"""The share of the records the search counts that a split walk must find; some are deleted while it walks."""

Position = list[list[Any]]
"""Where a walk stands: `[after, low, end]` for each stretch of ids that is still to be read."""


class Unordered(Exception):
    """The list is not in the order of ids, so that it can only be walked from its beginning, page after page."""


class Skipping(Exception):
    """A search may leave records out when it is continued after an id, so that only the list can be trusted."""


@dataclass
class Stretch:
    """The ids in (low, end] that are still to be read; `after` is HubSpot's token for the next page.

    `low` is `None` where ids say nothing about the order, `end` is `None` at the open end. `gap` is the distance
    between ids as last seen, `misses` how often a probe further on found nothing.
    """

    after: str
    low: int | None
    end: int | None
    gap: float = 0.0
    misses: int = 0
    parent: Stretch | None = None

    def has(self, record_id: int) -> bool:
        """Whether an id is in it."""
        return (self.low is None or record_id > self.low) and (self.end is None or record_id <= self.end)

    def pages_left(self, top: int) -> float:
        """A guess at the pages left."""
        if self.low is None or not self.gap:
            return 0.0
        return ((self.end or top) - self.low) / self.gap / LIST_PAGE / 4.0**self.misses


@dataclass(frozen=True)
class Listing:
    """A list and what to ask of it. `linked` names a kind whose associations come with each record.

    `beside` may add to the records of a page while other pages are under way.
    """

    api: Api
    kind: str
    properties: Sequence[str]
    archived: bool = False
    linked: str = ""
    beside: Callable[[list[Record]], list[Record]] | None = None

    def page(self, after: str) -> Mapping[str, Any]:
        """One page. Property sets too wide for an address are read by POST."""
        names = ",".join(self.properties)
        wide = len(names) > LONGEST_URL
        query = [("limit", str(LIST_PAGE)), ("archived", "true" if self.archived else "false")]
        query += [("properties", names)] if names and not wide else []
        query += [("associations", self.linked)] if self.linked else []
        query += [("after", after)] if after else []
        page: Mapping[str, Any] = self.api.get(self.api.place("list", kind=self.kind), query)
        records: list[Record] = list(page["results"])
        if wide and not self.archived:
            ids = [record["id"] for record in records]
            found = {each["id"]: each for each in read_many(self.api, self.kind, self.properties, ids)}
            # In the order of the list, by which the walk finds its way.
            records = [found[record_id] for record_id in ids if record_id in found]
        return {**page, "results": self.beside(records) if self.beside else records}


def whole_list(listing: Listing, position: Position | None = None) -> Iterator[tuple[list[Record], Position]]:
    """Every record of a list and, with each page, the position from which a later walk goes on."""
    stretches = [Stretch(*each) for each in position] if position is not None else [Stretch("", None, None)]
    try:
        yield from _Walk(listing, stretches).pages()
    except Unordered:
        yield from _one_after_another(listing)


def _one_after_another(listing: Listing) -> Iterator[tuple[list[Record], Position]]:
    after, seen = "", set[str]()
    while True:
        page = listing.page(after)
        after = next_page(page)
        told = f"HubSpot returns the same page of {listing.kind} again and again"
        refuse_repeat(seen, after, Unavailable(CRM, told))
        yield list(page["results"]), [[after, None, None]] if after else []
        if not after:
            return


class _Walk:
    """A walk through the list that splits what is left as long as requests may be under way at the same time."""

    def __init__(self, listing: Listing, stretches: list[Stretch]) -> None:
        self._listing, self._left = listing, stretches
        self._whole = stretches == [Stretch("", None, None)]
        self._top = self._total = self._taken = self._hopeless = 0
        # The search, which says how many there are, does not see what is deleted.
        self._asked = listing.archived
        self._most = listing.api.settings.concurrency
        self._seen: set[str] = set()
        """The tokens that led on from pages without an order, in which only they tell where the walk is."""

    def pages(self) -> Iterator[tuple[list[Record], Position]]:
        """Pages in the order in which they come. Raises `Unordered` when the list is not what splitting it takes."""
        idle = list(self._left)
        with self._listing.api.flight() as flight:
            while idle or flight.busy:
                idle += self._split(self._most - len(idle))
                while idle and flight.room:
                    flight.add(self._read, idle.pop(0))
                for stretch, page in flight.finished():
                    records = self._take(stretch, page)
                    if stretch in self._left:
                        idle.append(stretch)
                    # Pages that are under way are still in it: after a crash they are read again.
                    yield records, [[each.after, each.low, each.end] for each in self._left]
        # A walk that goes on where another one stopped has not seen what was read before.
        if self._whole and self._taken < self._total * ALMOST_ALL:
            raise Unordered

    def _read(self, stretch: Stretch) -> tuple[Stretch, Mapping[str, Any]]:
        return stretch, self._listing.page(stretch.after)

    def _take(self, stretch: Stretch, page: Mapping[str, Any]) -> list[Record]:
        """The page's records that belong to the stretch, which moves on or is done."""
        records, after = list(page["results"]), next_page(page)
        if after and after == stretch.after:
            raise Unavailable(CRM, f"HubSpot returns the same page of {self._listing.kind} again and again")
        ids = _ordered_ids(records, stretch.after, after, stretch.low)
        if ids is None:
            kept = self._take_unordered(stretch, records, after)
        else:
            # A page may reach into the stretch above, which is read by itself.
            kept = [record for record, record_id in zip(records, ids, strict=True) if stretch.has(record_id)]
            self._move_on(stretch, ids, after, bool(kept))
        self._taken += len(kept)
        return kept

    def _take_unordered(self, stretch: Stretch, records: list[Record], after: str) -> list[Record]:
        # Parts of the list are under way, and without an order nobody knows which.
        if len(self._left) > 1 or stretch.end is not None:
            raise Unordered
        told = f"HubSpot returns the same pages of {self._listing.kind} again and again"
        refuse_repeat(self._seen, after, Unavailable(CRM, told))
        stretch.after, stretch.low, stretch.gap = after, None, 0.0
        self._left = [stretch] if after else []
        return records

    def _move_on(self, stretch: Stretch, ids: Sequence[int], after: str, found: bool) -> None:
        if not found and stretch.parent is not None:
            self._hopeless += 1
            stretch.parent.misses += 1
        # Only the first page tells whether the split was worth it.
        stretch.parent = None
        if not after or (stretch.end is not None and ids[-1] >= stretch.end):
            self._left.remove(stretch)
            return
        if stretch.low is not None:
            stretch.gap = max((ids[-1] - ids[0]) / len(ids), 1.0)
        stretch.after, stretch.low = after, ids[-1]

    def _split(self, wanted: int) -> list[Stretch]:
        """New stretches, each the upper half of the longest there is."""
        made: list[Stretch] = []
        while len(made) < wanted and len(self._left) < self._most and self._hopeless < MOST_HOPELESS:
            longest = max(self._left, key=lambda each: each.pages_left(self._top), default=None)
            if longest is None or longest.low is None or not longest.gap or not self._worth(longest):
                break
            middle = (longest.low + (longest.end or self._top)) // 2
            # That `after` takes any id is not documented (docs/hubspot.md): `_ordered_ids` finds out.
            made.append(Stretch(str(middle), middle, longest.end, longest.gap, parent=longest))
            longest.end = middle
            self._left.append(made[-1])
        return made

    def _worth(self, stretch: Stretch) -> bool:
        if not self._asked:
            self._asked = True
            self._total, top = _total_and_top(self._listing.api, self._listing.kind)
            self._top = top if self._total >= WORTH_SPLITTING else 0
        return self._top > 0 and stretch.pages_left(self._top) >= FEWEST_PAGES


def _ordered_ids(records: Sequence[Record], asked: str, after: str, low: int | None) -> list[int] | None:
    """The ids of a page if they ascend from the token it was asked with to the token that follows; `None` otherwise.

    HubSpot does not promise either. A token that may as well be a number of records does not count, and a list that did
    not begin in order is not in order later on.
    """
    try:
        ids = [int(record["id"]) for record in records]
        begins, follows = int(asked or 0), int(after) if after else None
    except ValueError:
        return None
    if low is None and (asked or follows == len(ids)):
        return None
    if any(later <= earlier for earlier, later in pairwise(ids)) or (ids and ids[0] < begins):
        return None
    return None if follows is not None and (not ids or follows < ids[-1]) else ids


def _total_and_top(api: Api, kind: str) -> tuple[int, int]:
    """How many records of a kind there are and the highest id, as far as the search knows; zeros if it does not."""
    sort = [{"propertyName": "hs_object_id", "direction": "DESCENDING"}]
    try:
        answer = api.search(kind, {"filterGroups": [], "sorts": sort, "properties": ["hs_object_id"], "limit": 1})
        return int(answer.get("total") or 0), max((int(record["id"]) for record in answer["results"]), default=0)
    except RequestRefused:
        return 0, 0


def count_records(api: Api, kind: str) -> int:
    """How many records of a kind there are."""
    return _total_and_top(api, kind)[0]


def compares_numbers(api: Api, kind: str, ids: Sequence[str]) -> bool:
    """Whether a search for ids above another takes them for numbers; as text, 1000 would come before 9.

    It is not documented (2026-11-21), so HubSpot is asked, once, with ids that only the one or the other finds.
    """
    if api.compares_numbers is None:
        # 1234 is above 999 as a number, and below it as a text.
        nines = "9" * (max(map(len, ids)) - 1)
        telling = [record_id for record_id in ids if len(record_id) > len(nines) > 0 and record_id < nines][:TELLING]
        if not telling:
            return False
        filters = [
            {"propertyName": "hs_object_id", "operator": "IN", "values": telling},
            {"propertyName": "hs_object_id", "operator": "GT", "value": nines},
        ]
        body = {"filterGroups": [{"filters": filters}], "properties": ["hs_object_id"], "limit": 1}
        api.compares_numbers = bool(api.search(kind, body)["results"])
    return api.compares_numbers


class Window:
    """The records of a kind whose `by` is not before `since` (milliseconds), in the order of their ids.

    There is no upper end: what changes meanwhile can only come in. `total` is what HubSpot says is in it.
    """

    def __init__(self, api: Api, kind: str, by: str, since: int, properties: Sequence[str], last: str = "") -> None:
        self._api, self._kind, self._by, self._since = api, kind, by, since
        self._wanted: Sequence[str] = properties
        self._properties = properties
        # Measured with the longest id and offset that may come.
        if len(orjson.dumps(self._body("9" * 20, "9" * 5))) > LONGEST_SEARCH:
            # Then the rest is read by id.
            self._wanted = ["hs_object_id"]
        self._last = last
        self._page = self._search(last)

    @property
    def total(self) -> int:
        """How many records were left in the window when it was opened or last moved on."""
        return int(self._page.get("total") or 0)

    def pages(self) -> Iterator[tuple[list[Record], str]]:
        """Pages of records, each with its last id, from which another window can go on.

        Raises `Skipping` when HubSpot's answers contradict each other, `Unavailable` when they repeat themselves.
        """
        offsets: set[str] = set()
        while True:
            records: list[Record] = list(self._page["results"])
            after = next_page(self._page)
            if records:
                last = self._in_order(records)
                yield self._complete(records), last
                if after:
                    self._move_on(records, last)
            # An empty page is not the last one as long as HubSpot names a next one.
            elif after:
                told = f"HubSpot returns the same page of a search for {self._kind} again and again"
                refuse_repeat(offsets, after, Unavailable(CRM, told))
                self._page = self._search(self._last, after)
            if not after:
                return

    def _in_order(self, records: Sequence[Record]) -> str:
        """The last id of a page whose ids ascend from where the last one ended."""
        ids = [int(self._last or 0), *(int(record["id"]) for record in records)]
        if any(later <= earlier for earlier, later in pairwise(ids)):
            raise Skipping
        return str(ids[-1])

    def _move_on(self, records: Sequence[Record], last: str) -> None:
        """Go on after the last id. An offset would skip a record whenever one before it disappears."""
        if not compares_numbers(self._api, self._kind, [record["id"] for record in records]):
            raise Skipping
        self._page, self._last = self._search(last), last

    def _search(self, last: str, after: str = "") -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._api.search(self._kind, self._body(last, after))
        return found

    def _body(self, last: str, after: str) -> dict[str, Any]:
        filters = [{"propertyName": self._by, "operator": "GTE", "value": str(self._since)}]
        if last:
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": last})
        body: dict[str, Any] = {
            "filterGroups": [{"filters": filters}],
            # By id and not by stamp: jobs give more than 10,000 records one millisecond (airbytehq/airbyte#43317).
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": list(self._wanted),
            "limit": SEARCH_PAGE,
        }
        return {**body, "after": after} if after else body

    def _complete(self, records: list[Record]) -> list[Record]:
        if self._wanted is self._properties:
            return records
        return list(read_many(self._api, self._kind, self._properties, [record["id"] for record in records]))
