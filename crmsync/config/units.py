"""Points, days and lists as the file gives them."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator

from crmsync.config.mistakes import suggest_name
from crmsync.config.tables import Duration

MOST_POINTS = 100_000


def _points(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("write a number without quotes, for example 25 or -7.5")
    if abs(value) > MOST_POINTS:
        raise ValueError(f"points must be between -{MOST_POINTS:,} and {MOST_POINTS:,}")
    if round(value, 2) != value:
        raise ValueError("points can have at most two decimals")
    # + 0.0 makes a plain zero of a negative one.
    return float(value) + 0.0


Points = Annotated[float, BeforeValidator(_points)]
"""Points: a number with at most two decimals."""


def to_hundredths(points: float) -> int:
    """Points as the whole number of hundredths that everything is calculated in."""
    return round(points * 100)


def check_address(value: str) -> str:
    """An e-mail address, without blanks around it. Raises `ValueError` for a name, or for several in one text."""
    if not re.fullmatch(r"[^\s@<>,;]+@[^\s@<>,;]+", value.strip()):
        raise ValueError(f"{value!r}: write one address alone, for example ann@acme.example")
    return value.strip()


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _some(value: list[str]) -> list[str]:
    if not value:
        raise ValueError("the list is empty; add at least one")
    return value


Texts = Annotated[list[str], BeforeValidator(_listed, json_schema_input_type=str | list[str]), AfterValidator(_some)]
"""One text or a list of them."""


def _whole_days(value: timedelta) -> timedelta:
    if value.seconds or value.days < 1:
        raise ValueError('write whole days or weeks, for example "30d" or "2w"')
    return value


Days = Annotated[Duration, AfterValidator(_whole_days)]
"""A duration of whole days."""


@cache
def known_zones() -> frozenset[str]:
    """The names of all time zones; to find them, every file of the time zone database is opened."""
    return frozenset(available_timezones())


def check_zone(value: str) -> str:
    """The name of a time zone as it is. Raises `ValueError` with the one that was likely meant."""
    zones = known_zones()
    if value not in zones:
        by_city = {each.rpartition("/")[2]: each for each in sorted(zones) if "/" in each}
        meant = by_city.get(value.strip().title().replace(" ", "_"))
        said = f"did you mean {meant!r}?" if meant else suggest_name(value, zones, 'write for example "Europe/Berlin"')
        raise ValueError(f"{value!r} is not a time zone; {said}")
    return value
