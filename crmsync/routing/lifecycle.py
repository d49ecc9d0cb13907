"""The stage that a band leads to."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.config.settings import Stage


def stage_of_band(stages: Sequence[Stage], bands: Sequence[str]) -> dict[str, str]:
    """For each band the furthest stage it earns: the last one in the file whose own band it reaches."""
    earned: dict[str, str] = {}
    for place, band in enumerate(bands):
        reached = [stage.name for stage in stages if stage.band in bands[: place + 1] and stage.band is not None]
        if reached:
            earned[band] = reached[-1]
    return earned
