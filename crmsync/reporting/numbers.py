"""Rates as admins read them: in per cent, with their interval, and beside a count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crmsync.evaluation.proportions import divide_counts


def show_percent(value: float | None, decimals: int = 1) -> str:
    """A fraction as per cent: `24.0 %`, `–` for none."""
    return "–" if value is None else f"{100 * value:.{decimals}f} %"


def show_interval(of: Mapping[str, Any]) -> str:
    """The 95 % interval of a rate: `18.1 to 31.0 %`."""
    return "–" if of["low"] is None else f"{100 * of['low']:.1f} to {100 * of['high']:.1f} %"


def show_share(share: float | None, unknown: str = "not known") -> str:
    """A share as whole per cent: `41 %`, and a small one with a decimal."""
    return unknown if share is None else show_percent(share, 1 if 0 < share < 0.1 else 0)


def show_decimals(value: float | None, form: str) -> str:
    """A number in a form of Python's, as `.2f`; `–` for none."""
    return "–" if value is None else f"{value:{form}}"


def describe_accepted(people: int, accepted: int | None, known: int | None = None) -> str:
    """So many people and the share that sales accepted, in words, since such a count never stands alone:
    `118 (41 % accepted)`.

    `accepted` is `None` where nobody knows; `known` are those of whom it is known, all of them if it is left out.
    """
    share = divide_counts(accepted, people if known is None else known)
    if not people:
        return "0"
    return f"{people:,} ({'accepted: not known' if share is None else f'{show_share(share)} accepted'})"
