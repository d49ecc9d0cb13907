"""What an activity is still worth at each age: a table of whole hundredths, exact on every machine."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crmsync.config.rules import Decay
from crmsync.config.units import to_hundredths

LONGEST = 36_600
"""Ages beyond a hundred years are the same to us."""

_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)

NEVER = np.int32(2**30)
"""In days: "does not change any more"."""


def value_by_age(points: float, decay: Decay | None, window: timedelta | None) -> NDArray[np.int64]:
    """Hundredths of a point by age in days; the last entry holds for every greater age.

    With a window of N days the age N still counts and N + 1 is 0.
    """
    steps = tuple(sorted((age.days, share) for age, share in decay.steps.items())) if decay and decay.steps else ()
    half = decay.half_life.days if decay and decay.half_life else None
    linear = decay.linear.days if decay and decay.linear else None
    return _worth(to_hundredths(points), half, linear, steps, window.days if window else None)


@lru_cache(maxsize=4096)
def _worth(
    full: int, half: int | None, linear: int | None, steps: tuple[tuple[int, float], ...], window: int | None
) -> NDArray[np.int64]:
    if half is not None:
        values = _halved(full, half, window)
    elif linear is not None:
        values = [_rounded(Decimal(full) * max(linear - age, 0) / linear) for age in range(linear + 1)]
    elif steps:
        values = _stepped(full, steps)
    else:
        values = [full]
    if window is not None:
        values = [*values[: window + 1], *([values[-1]] * (window + 1 - len(values))), 0]
    table = np.array(values, dtype=np.int64)
    # The cache hands the same table to everybody.
    table.setflags(write=False)
    return table


def _halved(full: int, half: int, window: int | None) -> list[int]:
    last = LONGEST if window is None else window
    factor = _EXACT.power(Decimal("0.5"), _EXACT.divide(Decimal(1), Decimal(half)))
    values, exact = [], Decimal(full)
    for age in range(last + 1):
        # Anew at each half-life, so that the errors of the factor never add up.
        if age % half == 0:
            exact = _EXACT.divide(Decimal(full), Decimal(2) ** (age // half))
        values.append(_rounded(exact))
        if values[-1] == 0:
            break
        exact = _EXACT.multiply(exact, factor)
    return values


def _stepped(full: int, steps: tuple[tuple[int, float], ...]) -> list[int]:
    values = [full] * steps[0][0]
    for (age, share), (until, _) in zip(steps, (*steps[1:], (steps[-1][0] + 1, 0.0)), strict=True):
        # By its digits: 33.3, and not the float that is nearest to it.
        values += [_rounded(Decimal(full) * Decimal(repr(share)) / 100)] * (until - age)
    return values


def _rounded(exact: Decimal) -> int:
    return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


@lru_cache(maxsize=4096)
def _changes(table: bytes) -> NDArray[np.int32]:
    values = np.frombuffer(table, dtype=np.int64)
    wait = np.full(len(values), NEVER, dtype=np.int32)
    for age in range(len(values) - 2, -1, -1):
        wait[age] = 1 if values[age + 1] != values[age] else min(int(wait[age + 1]) + 1, int(NEVER))
    wait.setflags(write=False)
    return wait


def changes_in(table: NDArray[np.int64]) -> NDArray[np.int32]:
    """For each age, in how many days the worth changes next (`NEVER` when it does not)."""
    # The key of a cache must not change, as an array may.
    return _changes(table.tobytes())


def only_falls(table: NDArray[np.int64]) -> bool:
    """Whether a worth only comes closer to 0 with age."""
    return bool((np.diff(np.abs(table)) <= 0).all())
