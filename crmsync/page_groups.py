"""Pages of a pull, several in one: each transaction costs as much as storing hundreds of items."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from crmsync.model import Page
from crmsync.odd_pages import refuse_odd_page

RECORDS, ACTIVITIES = 1_000, 30_000
"""So many are stored at once: some forty megabytes of activities, so that a page of their index is written for several
of them; a record may have fields of any length."""

SECONDS = 5.0
"""How long what a slow CRM answered may wait to be stored."""

T = TypeVar("T")


def group_pages(crm: str, pages: Iterable[Page[T]], key: Callable[[T], Hashable], most: int) -> Iterator[Page[T]]:
    """The pages of a CRM in order, several as one with the cursor of the last; no two of one have an item of a `key`.

    No group has more than `most` items, unless a page has. What came before an error is there before it is raised.
    Raises `Unavailable` for a page that is no answer.
    """
    group: list[Page[T]] = []
    keys: set[Hashable] = set()
    begun = time.monotonic()
    try:
        for page in pages:
            refuse_odd_page(crm, page)
            own = {key(each) for each in page.items}
            # Of an item that comes again, the page says all there is; the one before must not add to it.
            if group and (not keys.isdisjoint(own) or len(keys) + len(own) > most):
                yield _join(group)
                group, keys = [], set()
            if not group:
                begun = time.monotonic()
            group.append(page)
            keys |= own
            # Before the next page is asked for, which may take a while.
            if len(keys) >= most or time.monotonic() - begun > SECONDS:
                yield _join(group)
                group, keys = [], set()
    except Exception:
        if group:
            yield _join(group)
        raise
    if group:
        yield _join(group)


def _join(group: list[Page[T]]) -> Page[T]:
    if len(group) == 1:
        return group[0]
    return Page(
        [item for page in group for item in page.items],
        group[-1].cursor,
        frozenset().union(*(page.whole for page in group)),
        [each for page in group for each in page.odd],
        [each for page in group for each in page.left_out],
        frozenset().union(*(page.nobodys for page in group)),
    )
