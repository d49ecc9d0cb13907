"""From points to names: bands with gates and memory, grades, and the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import Band, Model
from crmsync.config.units import to_hundredths
from crmsync.scoring.ledger import Points, Scores

LOWEST = -(2**62)


def _cut(points: float | None) -> int:
    return LOWEST if points is None else to_hundredths(points)


def cuts_of(bands: Mapping[str, Band]) -> list[int]:
    """What each band but the first asks for in total (hundredths)."""
    return [_cut(each.at) for each in list(bands.values())[1:]]


def band_of(
    bands: Mapping[str, Band], total: Points, fit: Points, behavior: Points, previous: NDArray[np.int8]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """The band of each person, and the one that the total alone would give.

    A person is in the highest band whose conditions, and those of every band below it, hold. Who was in a band before
    (`previous`) stays in it down to its `drop_below`.
    """
    climbing = np.ones(len(total), dtype=bool)
    alone = climbing.copy()
    band = np.zeros(len(total), dtype=np.int8)
    reach = band.copy()
    # Whoever is in no other band is in the first one.
    for number, each in enumerate(list(bands.values())[1:], start=1):
        needed = np.where(
            previous >= number, _cut(each.at if each.drop_below is None else each.drop_below), _cut(each.at)
        )
        alone &= total >= needed
        climbing &= (total >= needed) & (fit >= _cut(each.min_fit)) & (behavior >= _cut(each.min_behavior))
        band += climbing
        reach += alone
    return (band, reach) if bands else (band - np.int8(1), reach - np.int8(1))


def remember_bands(previous: Sequence[str | None] | None, bands: Sequence[str], rows: int) -> NDArray[np.int8]:
    """The band that each person was in before, as an index; -1 when there was none."""
    if previous is None:
        return np.full(rows, -1, dtype=np.int8)
    numbers = {name: number for number, name in enumerate(bands)}
    return np.array([numbers.get(name, -1) if name else -1 for name in previous], dtype=np.int8)


def grade_of(grades: Mapping[str, float], points: Points) -> NDArray[np.int8]:
    """The first grade whose points are reached, else the last; -1 without grades."""
    cuts = list(grades.values())
    if not cuts:
        return np.full(len(points), -1, dtype=np.int8)
    missed = sum((points < to_hundredths(cut)).astype(np.int8) for cut in cuts[:-1])
    return np.zeros(len(points), dtype=np.int8) + missed


def bands_of(model: Model, scores: Scores, row: int) -> Mapping[str, Band]:
    """The bands that count for a person: those of their segment, or the model's."""
    segment = int(scores.segment[row])
    return model.segment[segment].bands or model.bands if segment >= 0 else model.bands
