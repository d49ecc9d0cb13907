"""Whether this machine's clock can be believed: it is held against the CRMs' clocks before anything goes by it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from crmsync.errors import Unavailable, WrongClock

TOLERATED = timedelta(minutes=5)
"""What clocks may differ by: an answer takes its time on the way, and nothing in a score goes by minutes."""


def judge_clocks(ahead: Mapping[str, timedelta]) -> dict[str, Unavailable]:
    """The CRMs whose clock is wrong, each with why it is skipped; `ahead` says how far ours is ahead of each CRM's.

    Raises `WrongClock` where no CRM agrees with this machine.
    """
    odd = {crm: by for crm, by in ahead.items() if abs(by) > TOLERATED}
    right = [crm for crm in ahead if crm not in odd]
    if odd and not right:
        raise WrongClock(
            f"this machine's clock is {_describe_all(odd)}, and crmsync does not work with a wrong clock; "
            "correct it (for example with NTP) and run again"
        )
    return {
        crm: Unavailable(
            crm,
            f"its clock is {_describe(-by)} this machine's, which agrees with {' and '.join(right)}; "
            "look for a proxy or a cache that answers for it",
        )
        for crm, by in odd.items()
    }


def _describe_all(ahead: Mapping[str, timedelta]) -> str:
    said: dict[str, list[str]] = {}
    for crm, by in ahead.items():
        said.setdefault(_describe(by), []).append(f"{crm}'s")
    return " and ".join(f"{how_far} {' and '.join(crms)}" for how_far, crms in said.items())


def _describe(ahead: timedelta) -> str:
    seconds = abs(ahead.total_seconds())
    length, unit = next((each for each in _UNITS if seconds >= 2 * each[0]), _UNITS[-1])
    return f"{round(seconds / length):,} {unit} {'ahead of' if ahead > timedelta() else 'behind'}"


_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))
