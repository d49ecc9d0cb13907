"""Numbers with their nouns, and days, as every sentence of crmsync says them."""

from __future__ import annotations

from datetime import date

IRREGULAR = {"person": "people", "property": "properties", "opportunity": "opportunities", "activity": "activities"}
"""Nouns whose plural is more than an s."""


def count_of(number: float, thing: str, sign: str = "") -> str:
    """A number and its noun: `1 record`, `1,234 records`, `2 people`, `3 more points`; `sign` "+": `+12 points`."""
    before, _, noun = thing.rpartition(" ")
    many = noun if abs(number) == 1 else IRREGULAR.get(noun, f"{noun}s")
    return " ".join(filter(None, (f"{number:{sign},.15g}", before, many)))


def format_date(day: int) -> str:
    """Days since 1970-01-01 as a date an English reader knows: "4 December 2026"."""
    on = date.fromordinal(date(1970, 1, 1).toordinal() + day)
    return f"{on.day} {on:%B %Y}"
