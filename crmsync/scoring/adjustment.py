"""The learned adjustment of a total: what is wanted, what the clamp leaves of it, and what bands and limits leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from crmsync.config.model import Band, Model
from crmsync.config.units import to_hundredths
from crmsync.scoring.bands import LOWEST, cuts_of
from crmsync.scoring.ledger import Points, round_points

HIGHEST = -LOWEST


class Bounds(NamedTuple):
    """Between what (hundredths, one number or (n,)) a total stays whatever is added to it."""

    low: Points
    high: Points


def clamp_adjustment(model: Model, wanted: Points) -> Points:
    """What the clamp leaves of the sum of each person's adjustments, in whole units of the score."""
    unit = model.score.unit
    most = to_hundredths(model.learned.clamp) // unit * unit
    return np.clip(round_points(wanted, unit), -most, most)


def bounds_of_limit(model: Model, total: Points) -> Bounds:
    """Where the limit of the total keeps what is added to it."""
    limit, unit = model.score.total, model.score.unit
    low = LOWEST if limit.floor is None else to_hundredths(limit.floor)
    high = HIGHEST if limit.cap is None else to_hundredths(limit.cap)
    # Rounding may have brought the total beyond its limit: there it stays.
    return Bounds(np.minimum(total, -(-low // unit) * unit), np.maximum(total, high // unit * unit))


def bounds_of_bands(model: Model, bands: Mapping[str, Band], total: Points) -> Bounds:
    """Where a total stays less than two bands away from the one it is in, by points alone.

    The minimums do not count, so that who comes to meet one never loses points by it; with them nobody moves further.
    """
    unit, cuts = model.score.unit, _rising_cuts(bands)
    reached = np.searchsorted(cuts, total, side="right")
    lows = np.concatenate([np.full(2, LOWEST), cuts])
    highs = np.concatenate([cuts, np.full(2, HIGHEST)])
    return Bounds(-(-lows[reached] // unit) * unit, (highs[reached + 1] - 1) // unit * unit)


def adjust_total(model: Model, bands: Mapping[str, Band], total: Points, clamped: Points) -> Points:
    """Totals with what limit and bands leave of their adjustments."""
    limit, near = bounds_of_limit(model, total), bounds_of_bands(model, bands, total)
    adjusted: Points = np.clip(total + clamped, np.maximum(limit.low, near.low), np.minimum(limit.high, near.high))
    return adjusted


def points_needed(bands: Mapping[str, Band], number: int, clamped: int) -> int | None:
    """The least total (hundredths) before an adjustment that leads to a band; `None` where the band asks for none."""
    at = list(bands.values())[number].at
    if at is None:
        return None
    cuts: list[int] = [LOWEST, *_rising_cuts(bands).tolist(), HIGHEST]
    wanted = to_hundredths(at) - clamped
    if clamped > 0:
        # From further below it would be more than one band.
        return max(wanted, cuts[number - 1])
    return min(wanted, cuts[number + 1]) if clamped else wanted


def _rising_cuts(bands: Mapping[str, Band]) -> Points:
    """What each band but the first asks for in total, at least what those below it do."""
    cuts: Points = np.maximum.accumulate(np.array(cuts_of(bands), dtype=np.int64))
    return cuts
