"""When somebody works, as the file says it: hours of the week, days away, and public holidays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from functools import lru_cache
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

MINUTES_A_DAY = 24 * 60


class Span(NamedTuple):
    """From one minute of a local day to another, the last one left out."""

    start: int
    end: int


def parse_hours(text: str) -> Mapping[int, Sequence[Span]]:
    """The spans of each weekday (0 is Monday): "Mon-Thu 09:00-17:00, Fri 09:00-13:00".

    Hours that end before they begin go on after midnight. Raises `ValueError` for anything else.
    """
    week: dict[int, list[Span]] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*([A-Za-z]{3,9})(?:\s*-\s*([A-Za-z]{3,9}))?\s+(\S+)\s*-\s*(\S+)\s*", part)
        if not found:
            raise ValueError(f'{text!r}: write days and hours, for example "Mon-Fri 09:00-17:00"')
        first, last = _weekday(found[1]), _weekday(found[2] or found[1])
        start, end = _minute(found[3]), _minute(found[4])
        if start == end:
            raise ValueError(f"{part.strip()!r} ends when it begins")
        for step in range((last - first) % 7 + 1):
            day = (first + step) % 7
            if end > start:
                week.setdefault(day, []).append(Span(start, end))
            else:
                week.setdefault(day, []).append(Span(start, MINUTES_A_DAY))
                if end:
                    week.setdefault((day + 1) % 7, []).append(Span(0, end))
    return {day: sorted(spans) for day, spans in week.items()}


def _weekday(name: str) -> int:
    if not any(day.startswith(name.lower()) for day in _WEEK):
        raise ValueError(f"{name!r} is not a day; write Mon, Tue, Wed, Thu, Fri, Sat or Sun")
    return DAYS.index(name.lower()[:3])


def _minute(text: str) -> int:
    if text == "24:00":
        return MINUTES_A_DAY
    try:
        # Minutes are asked for: "9-5" would be read as nine in the morning to five in the next morning.
        read = time.fromisoformat(text.zfill(5) if re.fullmatch(r"\d{1,2}:\d\d", text) else "")
    except ValueError:
        raise ValueError(f'{text!r} is not a time of day; write for example "09:00"') from None
    return read.hour * 60 + read.minute


class Absence(NamedTuple):
    """Days away, both counted, in the member's own time zone."""

    first: date
    last: date


def parse_absence(text: str) -> Absence:
    """One day or a range of days: "2026-12-24" or "2026-12-01/2026-12-05". Raises `ValueError`."""
    first, _, last = text.partition("/")
    try:
        found = Absence(date.fromisoformat(first.strip()), date.fromisoformat((last or first).strip()))
    except ValueError:
        raise ValueError(f'{text!r}: write a day or a range, for example "2026-12-01/2026-12-05"') from None
    if found.last < found.first:
        raise ValueError(f"{text!r} ends before it begins")
    return found


@lru_cache(maxsize=256)
def holidays_of(region: str) -> Mapping[date, str]:
    """The public holidays of a country, or of a part of it, by day: "DE", "DE-BY", "US-CA". Raises `ValueError`.

    They have their English names, or those of the country itself: never those of the machine's own language, as two
    machines must give the same reasons.
    """
    import holidays  # not above: it would slow down every command

    country, _, part = region.strip().upper().partition("-")
    try:
        known = holidays.country_holidays(country, subdiv=part or None)
        language = "en_US" if "en_US" in known.supported_languages else known.default_language
        found: Mapping[date, str] = holidays.country_holidays(country, subdiv=part or None, language=language)
    except NotImplementedError:
        raise ValueError(
            f'no public holidays are known of {region!r}; write a country or a part of it, for example "DE" or "DE-BY"'
        ) from None
    return found


def _readable_hours(value: str) -> str:
    parse_hours(value)
    return value


def _readable_absence(value: str) -> str:
    parse_absence(value)
    return value


def _known_region(value: str) -> str:
    holidays_of(value)
    return value


Hours = Annotated[str, AfterValidator(_readable_hours)]
"""Working hours: "Mon-Fri 09:00-17:00"."""

Away = Annotated[str, AfterValidator(_readable_absence)]
"""Days away: "2026-12-01/2026-12-05"."""

Region = Annotated[str, AfterValidator(_known_region)]
"""Whose public holidays: "DE-BY"."""
