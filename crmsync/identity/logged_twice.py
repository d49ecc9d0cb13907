"""One meeting, call or e-mail that two CRMs log: under one id, or some seconds apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_PREFIX = re.compile(r"^(?:\[[^\]]{1,20}\]|(?:re|aw|fwd?|wg|email|e-mail|call|meeting|sent|logged)\s*:)\s*")


class Logged(NamedTuple):
    """An activity as one CRM logs it: when (seconds), in which CRM (by its place in the config), about what.

    `content` is all that is known of it: of two in one second it decides which comes first. `shared` stands for the id
    that it has in any CRM; 0 means that it has none.
    """

    at: int
    crm: int
    subject: str
    content: str
    shared: int = 0


def find_chains(
    person: NDArray[np.int32],
    crm: NDArray[np.int64],
    at: NDArray[np.int64],
    kind: NDArray[np.int32],
    shared: NDArray[np.int64],
    within: int,
) -> Iterator[NDArray[np.intp]]:
    """The activities (m,) among which some may be one: of a person and kind, and of several CRMs.

    Each is at most `within` seconds after the one before it, or has the `shared` id of another one.
    """
    if len(person) < 2:
        return
    order = np.lexsort((at, kind, person))
    begins = np.ones(len(order), dtype=bool)
    same = (np.diff(person[order]) == 0) & (np.diff(kind[order]) == 0) & (np.diff(at[order]) <= within)
    begins[1:] = ~same
    if shared.any():
        chain = np.empty(len(order), dtype=np.int64)
        chain[order] = np.cumsum(begins) - 1
        chain = _join_chains(chain, person, kind, shared)
        order = np.argsort(chain, kind="stable")
        begins[1:] = np.diff(chain[order]) != 0
    starts = np.flatnonzero(begins)
    crms = crm[order]
    mixed = np.minimum.reduceat(crms, starts) != np.maximum.reduceat(crms, starts)
    ends = np.append(starts[1:], len(order))
    for start, end in zip(starts[mixed].tolist(), ends[mixed].tolist(), strict=True):
        yield order[start:end]


def _join_chains(
    chain: NDArray[np.int64], person: NDArray[np.int32], kind: NDArray[np.int32], shared: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The number of the chain of each activity, once those are one that have an id in common."""
    named = np.flatnonzero(shared)
    named = named[np.lexsort((shared[named], kind[named], person[named]))]
    alike = np.all([np.diff(each[named]) == 0 for each in (person, kind, shared)], axis=0)
    ones, others = chain[named[:-1][alike]], chain[named[1:][alike]]
    first: dict[int, int] = {}

    def find_first(number: int) -> int:
        while number in first:
            number = first[number]
        return number

    apart = ones != others
    for one, other in zip(ones[apart].tolist(), others[apart].tolist(), strict=True):
        low, high = sorted((find_first(one), find_first(other)))
        if low != high:
            first[high] = low
    joined = np.arange(len(chain))
    for number in first:
        joined[number] = find_first(number)
    return joined[chain]


def pair_logs(logs: Sequence[Logged], within: int) -> list[tuple[int, int]]:
    """Which of the activities of a chain are one: the place of the one that counts, the earlier, and of its second log.

    Each has one second log at most, in another CRM: the one with its id, or where one of both has none, one that is at
    most `within` seconds later and not about anything else.
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
            and _may_be_one(logs[first], logs[second], within)
        ]
        if near:
            first = min(near, key=lambda place: _strangeness(logs[place], logs[second]))
            paired |= {first, second}
            pairs.append((first, second))
    return pairs


def _may_be_one(first: Logged, second: Logged, within: int) -> bool:
    if first.shared and second.shared:
        return first.shared == second.shared
    return second.at - first.at <= within and is_same_subject(first.subject, second.subject)


def _strangeness(first: Logged, second: Logged) -> tuple[bool, bool]:
    """The one with the same id before any other, then the one about the very same before one about nothing that is
    known.
    """
    has_its_id = first.shared == second.shared != 0
    return not has_its_id, _plain(first.subject) != _plain(second.subject)


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
