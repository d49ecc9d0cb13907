"""Seconds that pass, by a clock that nobody sets and that goes on while the machine sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seconds_elapsed() -> float:
    """Seconds since some instant in the past."""
    return time.clock_gettime(_CLOCK)


def stopwatch() -> Callable[[], float]:
    """What says how many seconds have passed since now."""
    begun = seconds_elapsed()
    return lambda: seconds_elapsed() - begun
