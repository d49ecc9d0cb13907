"""The accepted rate beside a count of people: such a count never stands alone."""

from __future__ import annotations


def accepted_beside(people: int, accepted: int | None, known: int | None = None) -> str:
    """So many people and the share that sales accepted, in words: `118 (41 % accepted)`.

    `accepted` is `None` where nobody knows; `known` are those of whom it is known, all of them if it is left out.
    """
    share = divide_counts(accepted, people if known is None else known)
    if not people:
        return "0"
    return f"{people:,} ({'accepted: not known' if share is None else f'{show_share(share)} accepted'})"


def divide_counts(part: int | None, whole: int) -> float | None:
    """A share from 0 to 1; `None` where nobody is there to have one, or the part is not known."""
    return None if part is None or whole <= 0 else part / whole


def show_share(share: float | None) -> str:
    """A share as whole per cent: `41 %`, and a small one with a decimal."""
    if share is None:
        return "not known"
    return f"{share * 100:.1f} %" if 0 < share < 0.1 else f"{share * 100:.0f} %"
