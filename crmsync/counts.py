"""Numbers with their nouns, as every sentence of crmsync says them."""

from __future__ import annotations

IRREGULAR = {"person": "people", "property": "properties", "opportunity": "opportunities", "activity": "activities"}
"""Nouns whose plural is more than an s."""


def count_of(number: float, thing: str, sign: str = "") -> str:
    """A number and its noun: `1 record`, `1,234 records`, `2 people`, `3 more points`; `sign` "+": `+12 points`."""
    before, _, noun = thing.rpartition(" ")
    many = noun if abs(number) == 1 else IRREGULAR.get(noun, f"{noun}s")
    return " ".join(filter(None, (f"{number:{sign},.15g}", before, many)))
