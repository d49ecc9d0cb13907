"""Calendar days in the configured zone: an age is a whole number of midnights, never a number of hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DAY = 86_400
_QUARTER = 900
"""Seconds; the clocks of nearly every zone have been turned at, and by, a multiple of it for a century."""

FAR = int(datetime(9999, 12, 30, tzinfo=UTC).timestamp())
"""An instant (seconds since 1970) that stands for "never"."""

UNKNOWN_DAY = -(2**30)
"""Stands for a date that is not known: it is before all others."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Not the very first day: Python has no date that a zone could shift it to.
_EARLIEST = int(datetime(1, 1, 3, tzinfo=UTC).timestamp())


def _offset(second: int, zone: tzinfo) -> int:
    """Seconds that the zone's clocks are ahead of UTC at an instant."""
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _turns(first: int, last: int, zone: tzinfo) -> tuple[list[int], list[int]]:
    """When the zone's clocks are turned between two instants, and the offset from each of these moments on."""
    moments, offsets = [first], [_offset(first, zone)]
    week = 7 * DAY
    for start in range(first, last, week):
        _turn_within(start, min(start + week, last), zone, moments, offsets)
    return moments, offsets


def _turn_within(low: int, high: int, zone: tzinfo, moments: list[int], offsets: list[int]) -> None:
    if _offset(high, zone) == offsets[-1]:
        return
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == offsets[-1] else (low, middle)
    moments.append(high)
    offsets.append(_offset(high, zone))


def local_days(at: NDArray[np.int64], zone: tzinfo) -> NDArray[np.int32]:
    """The local date of each instant, as days since 1970-01-01."""
    if not len(at):
        return np.zeros(0, np.int32)
    first, last = int(at.min()), int(at.max())
    if first < _EARLIEST or last > FAR:
        return local_days(np.clip(at, _EARLIEST, FAR), zone)
    if zone is UTC or getattr(zone, "key", "") == "UTC":
        return _divided(at, DAY, first, last)
    moments, offsets = _turns(first, last, zone)
    if len(moments) == 1:
        return _divided(at + offsets[0], DAY, first + offsets[0], last + offsets[0])
    start, stop = first // _QUARTER, last // _QUARTER + 1
    # A table of quarters is worth it only where they are fewer than the instants.
    if stop - start > len(at) or any(each % _QUARTER for each in (*moments[1:], *offsets)):
        return _local(at, moments, offsets)
    return _local(np.arange(start, stop) * _QUARTER, moments, offsets)[_divided(at, _QUARTER, first, last) - start]


def _local(at: NDArray[np.int64], moments: Sequence[int], offsets: Sequence[int]) -> NDArray[np.int32]:
    """The local date of each instant, by the offsets that hold from some moments on."""
    turn = np.maximum(np.searchsorted(np.array(moments), at, side="right") - 1, 0)
    return ((at + np.array(offsets, dtype=np.int64)[turn]) // DAY).astype(np.int32)


def _divided(at: NDArray[np.int64], seconds: int, first: int, last: int) -> NDArray[np.int32]:
    """How many whole stretches of so many seconds; numbers that fit into half as many bytes are divided quicker."""
    fits = first >= -(2**31) and last < 2**31
    divided: NDArray[np.int32] = ((at.astype(np.int32) if fits else at) // seconds).astype(np.int32, copy=False)
    return divided


def day_of(now: datetime, zone: tzinfo) -> int:
    """The local date of one instant, as days since 1970-01-01."""
    local: date = now.astimezone(zone).date()
    return local.toordinal() - _EPOCH.toordinal()


def local_dates(values: Sequence[object], zone: tzinfo) -> NDArray[np.int64]:
    """The local date of each value, as days since 1970-01-01; `UNKNOWN_DAY` for what is no date."""
    return np.array([_date(value, zone) for value in values], dtype=np.int64)


def _date(value: object, zone: tzinfo) -> int:
    try:
        at = datetime.fromisoformat(value.strip() if isinstance(value, str) else "")
        return at.toordinal() - _EPOCH.toordinal() if at.tzinfo is None else day_of(at, zone)
    except (ValueError, OverflowError):  # no date, or one that a zone moves off the calendar
        return UNKNOWN_DAY


@lru_cache(maxsize=4096)
def midnight_of(number: int, zone: tzinfo) -> int:
    """The first second (since 1970, UTC) of a local date."""
    guess = number * DAY - _offset(number * DAY, zone)
    first = guess - DAY
    reached = guess + DAY
    while reached - first > 1:  # the local date never goes back by a whole day, so halving finds the turn
        middle = (first + reached) // 2
        if (middle + _offset(middle, zone)) // DAY >= number:
            reached = middle
        else:
            first = middle
    return reached


def weeks_of(day_numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """A number for each week, Monday to Sunday (1970-01-01 was a Thursday)."""
    return (day_numbers + np.int32(3)) // np.int32(7)


def months_of(day_numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """A number for each calendar month."""
    return day_numbers.astype("datetime64[D]").astype("datetime64[M]").astype(np.int32)


FARTHEST = 2_000_000
"""Days after which nobody waits for a change: what is dated so far ahead is not meant."""


def find_midnights(today: int, waits: NDArray[np.int32], zone: tzinfo) -> NDArray[np.int64]:
    """The first second (since 1970, UTC) of the local date so many days after today (n,); `FAR` from `FARTHEST` on."""
    # There are few distinct waits, and each midnight has to be looked for.
    distinct, which = np.unique(waits, return_inverse=True)
    at = [FAR if wait >= FARTHEST else midnight_of(today + int(wait), zone) for wait in distinct]
    return np.array(at, dtype=np.int64)[which]
