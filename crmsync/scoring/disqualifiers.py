"""Who did what disqualifies them, and has not come back since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from crmsync.config.conditions import Where
from crmsync.config.rules import Disqualify
from crmsync.scoring.activities import ActivityTable, Mask, has_recent
from crmsync.scoring.decay import NEVER

NOT_DONE = np.int64(-(2**62))
"""An instant before all instants."""


def find_disqualified(rule: Disqualify, activities: ActivityTable) -> tuple[Mask, NDArray[np.int32]]:
    """Whom an activity disqualifies (n,), and in how many days that may change by itself.

    With `unless`, those of whom the newest such activity is later than the newest one that disqualifies are back.
    """
    on = rule.on or []
    there, wait = has_recent(activities, on, rule.where, rule.window)
    if rule.unless is None or not there.any():
        return there, wait
    again = rule.unless
    _, again_wait = has_recent(activities, again.on, again.where, again.window)
    back = _newest(activities, again.on, again.where, again.window) > _newest(activities, on, rule.where, rule.window)
    return there & ~back, np.where(there & back, again_wait, np.where(there, wait, NEVER)).astype(np.int32)


def _newest(activities: ActivityTable, on: Sequence[str], where: Where, window: timedelta | None) -> NDArray[np.int64]:
    """For each person the instant of the newest such activity inside the window (n,); `NOT_DONE` without one."""
    chosen = activities.select(on, where)
    if window is not None:
        chosen = chosen[activities.acts(chosen).is_within(window.days)]
    newest = np.full(activities.rows, NOT_DONE, dtype=np.int64)
    np.maximum.at(newest, activities.person[chosen], activities.at[chosen])
    return newest
