"""A sample of people whose scores somebody should look at, and how often reviewers agree with the scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.proportions import divide_counts

Verdict = Literal["right", "too_high", "too_low", ""]

VERDICTS: tuple[Verdict, ...] = ("right", "too_high", "too_low")


class Agreement(NamedTuple):
    """What reviewers said of people in a band: `agreement` is right ÷ all verdicts, from 0 to 1, `None` without any.

    `notes` had words and no verdict.
    """

    right: int = 0
    too_high: int = 0
    too_low: int = 0
    notes: int = 0

    @property
    def agreement(self) -> float | None:
        """The share that is right."""
        return divide_counts(self.right, self.right + self.too_high + self.too_low)


def find_high_scorers(total: NDArray[np.int64], band: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Who has at least the median of their band (n,)."""
    high = np.zeros(len(total), dtype=bool)
    for each in np.unique(band):
        here = band == each
        high[here] = total[here] >= np.median(total[here])
    return high


def draw_sample(
    keys: NDArray[np.int64],
    total: NDArray[np.int64],
    band: NDArray[np.integer],
    outcome: NDArray[np.int8],
    many: int,
    seed: str,
) -> NDArray[np.intp]:
    """Rows of at most `many` people (all (n,) arrays), the same for the same people and seed.

    They are drawn in turns from each band, the highest first, and within a band in turns from its high and low scorers
    and from each outcome, so that small groups are looked at as closely as large ones. `keys` tell people apart.
    """
    if not len(keys):
        return np.zeros(0, dtype=np.intp)
    high = find_high_scorers(total, band)
    group = (band.astype(np.int64) * 2 + high) * 4 + outcome + 1
    luck = _mix(keys.astype(np.uint64) ^ _seed_bits(seed))
    in_group = _place_within(group, luck)
    # In a band each group has its turn in an order of its own, so that few people are not always of the same one.
    turn = _mix(group.astype(np.uint64) ^ _seed_bits(f"groups {seed}"))
    in_band = _place_within(band.astype(np.int64), in_group, turn)
    order = np.lexsort((-band.astype(np.int64), in_band))
    return order[:many]


def _place_within(group: NDArray[np.int64], *by: NDArray[np.generic]) -> NDArray[np.int64]:
    """The place (from 0) of each in its group, by the first of `by`, then the next."""
    order = np.lexsort((*reversed(by), group))
    sorted_ = group[order]
    begins = np.flatnonzero(np.concatenate([[True], sorted_[1:] != sorted_[:-1]]))
    starts = np.repeat(begins, np.diff(np.append(begins, len(group))))
    place = np.empty(len(group), dtype=np.int64)
    place[order] = np.arange(len(group)) - starts
    return place


def _seed_bits(seed: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers as if drawn by lot, by SplitMix64: what numpy's generators draw may change with a version."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def read_verdict(text: str) -> tuple[Verdict, str]:
    """A verdict as a reviewer wrote it, and what else they wrote: anything but the three is a note."""
    plain = " ".join(text.replace("_", " ").casefold().split()).rstrip(".!")
    for each in VERDICTS:
        if plain == each.replace("_", " "):
            return each, ""
    return "", text.strip()


def count_agreement(said: Iterable[tuple[str, str]], bands: Sequence[str]) -> dict[str, Agreement]:
    """Verdicts by the band that people had in the sample, the bands of the config first, the highest at the top."""
    counts: dict[str, list[int]] = {}
    for band, verdict in said:
        row = counts.setdefault(band, [0, 0, 0, 0])
        row[VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS)] += 1
    known = [each for each in reversed(bands) if each in counts]
    return {band: Agreement(*counts[band]) for band in [*known, *sorted(counts.keys() - set(known))]}
