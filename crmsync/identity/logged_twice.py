"""One meeting, call or e-mail that two CRMs log some seconds apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LOGGED = frozenset(
    {
        "meeting_booked",
        "meeting_held",
        "call_completed",
        "call_attempted",
        "email_sent",
        "email_replied",
        "email_auto_replied",
        "email_bounced",
    }
)
"""The kinds of which a second one within seconds is a second log: nobody meets, calls or writes so often."""

_PREFIX = re.compile(r"^(?:\[[^\]]{1,20}\]|(?:re|aw|fwd?|wg|email|e-mail|call|meeting|sent|logged)\s*:)\s*")


class Logged(NamedTuple):
    """An activity as one CRM logs it: when (seconds), in which CRM (by its place in the config), about what.

    `content` is all that is known of it: of two in one second it decides which comes first.
    """

    at: int
    crm: int
    subject: str
    content: str


def find_chains(
    person: NDArray[np.int32],
    crm: NDArray[np.int64],
    at: NDArray[np.int64],
    kind: NDArray[np.int32],
    within: int,
) -> Iterator[NDArray[np.intp]]:
    """The activities (m,) among which some may be one: of a person and kind, and of several CRMs.

    Each is at most `within` seconds after the one before it.
    """
    if len(person) < 2:
        return
    order = np.lexsort((at, kind, person))
    begins = np.ones(len(order), dtype=bool)
    same = (np.diff(person[order]) == 0) & (np.diff(kind[order]) == 0) & (np.diff(at[order]) <= within)
    begins[1:] = ~same
    starts = np.flatnonzero(begins)
    crms = crm[order]
    mixed = np.minimum.reduceat(crms, starts) != np.maximum.reduceat(crms, starts)
    ends = np.append(starts[1:], len(order))
    for start, end in zip(starts[mixed].tolist(), ends[mixed].tolist(), strict=True):
        yield order[start:end]


def pair_logs(logs: Sequence[Logged], within: int) -> list[tuple[int, int]]:
    """Which of the activities of a chain are one: the place of the one that counts, the earlier, and of its second log.

    Each has one second log at most, in another CRM, at most `within` seconds later and not about anything else.
    """
    order = sorted(range(len(logs)), key=lambda place: logs[place])
    paired: set[int] = set()
    pairs = []
    for number, second in enumerate(order):
        near = [
            first
            for first in order[:number]
            if first not in paired
            and logs[first].crm != logs[second].crm
            and logs[second].at - logs[first].at <= within
            and is_same_subject(logs[first].subject, logs[second].subject)
        ]
        if near:
            # The one about the very same before one about nothing that is known, then the earliest.
            first = min(near, key=lambda place: _plain(logs[place].subject) != _plain(logs[second].subject))
            paired |= {first, second}
            pairs.append((first, second))
    return pairs


def is_same_subject(one: str, other: str) -> bool:
    """Whether two subjects may be of one activity: alike, one within the other, or one of them not known."""
    left, right = _plain(one), _plain(other)
    return left in right or right in left


def _plain(subject: str) -> str:
    """A subject without what programs put before it."""
    text = " ".join(subject.casefold().split())
    while (shorter := _PREFIX.sub("", text)) != text:
        text = shorter
    return text
