"""Pages of a CRM of which some can be read and some cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crmsync.counts import count_of
from crmsync.errors import Unavailable
from crmsync.model import Odd, Page
from crmsync.result import Result

FEW_ODD, ODD_SHARE = 10, 0.5
"""So much of a page may be unreadable: a number, or a share of it. Beyond that it is the CRM that is odd."""

NAMED = 10
"""Things that cannot be read which a sentence names."""


def refuse_odd_page(crm: str, page: Page[Any]) -> None:
    """Raise `Unavailable` where so much of a page cannot be read that it is no answer; the cursor stays before it."""
    whole = len(page.odd) + len(page.items)
    if len(page.odd) > FEW_ODD and len(page.odd) > ODD_SHARE * whole:
        raise Unavailable(
            crm,
            f"{len(page.odd):,} of {count_of(whole, 'record')} arrived {page.odd[0].why}, so the "
            "whole answer is ignored",
        )


def note_left_out(result: Result, crm: str, page: Page[Any]) -> None:
    """Add to the run's problems what a pull says that it left out, each once."""
    said = [f"{crm}: {each}" for each in page.left_out]
    result.problems += [each for each in dict.fromkeys(said) if each not in result.problems]


@contextmanager
def naming_odd(result: Result, crm: str) -> Iterator[list[Odd]]:
    """A list for what cannot be read, which the run's problems name at the end of the block."""
    odd: list[Odd] = []
    try:
        yield odd
    finally:
        for why in dict.fromkeys(each.why for each in odd):
            names = list(dict.fromkeys(each.what for each in odd if each.why == why))
            more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
            result.problems.append(
                f"{crm}: {', '.join(names[:NAMED])}{more} arrived {why}; until they can be read, the last known "
                "values are used"
            )
