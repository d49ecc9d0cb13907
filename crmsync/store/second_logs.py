"""Which stored activities are second logs: of a meeting, call or e-mail that another CRM logged before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Fact, number_groups
from crmsync.identity.duplicates import once_per_person
from crmsync.identity.logged_kinds import LOGGED
from crmsync.identity.logged_twice import Logged, find_chains, pair_logs
from crmsync.store.sql import dump_json

NO_CRM = 2**62


class LoggedActivities(NamedTuple):
    """Activities (m,): row of the person, place of the record and of the CRM, seconds, id of the fact, a number for the
    kind, and one for the id that they share with another log (0 for none).

    `kinds` are the names of the numbers of the kinds.
    """

    person: NDArray[np.int32]
    record: NDArray[np.int32]
    crm: NDArray[np.int64]
    at: NDArray[np.int64]
    fact: NDArray[np.int64]
    kind: NDArray[np.int32]
    kinds: Sequence[str]
    shared: NDArray[np.int64]


class CountedOnce(NamedTuple):
    """Which activities count, and the places of each one that does and of its second log, where that is later."""

    keep: NDArray[np.bool_]
    pairs: list[tuple[int, int]]


def count_once(logged: LoggedActivities, facts: Mapping[int, Fact], within: int) -> CountedOnce:
    """Count what several records of a person tell of the same second once, and what two CRMs log under one id or at
    most `within` seconds apart, where that is not 0.
    """
    events = _number_events(logged)
    keep = once_per_person(logged.person, logged.record, logged.at, events)
    if not within:
        return CountedOnce(keep, [])
    numbers = np.flatnonzero([each in LOGGED for each in logged.kinds])
    some = np.flatnonzero(np.isin(logged.kind, numbers) & keep & ~_have_twins(logged, events, keep))
    pairs = []
    person, crm, at, kind = logged.person[some], logged.crm[some], logged.at[some], logged.kind[some]
    for chain in find_chains(person, crm, at, kind, logged.shared[some], within):
        places = some[chain].tolist()
        found = pair_logs([_logged(logged, facts, place) for place in places], within)
        pairs += [(places[first], places[second]) for first, second in found]
    keep[[second for _, second in pairs]] = False
    return CountedOnce(keep, pairs)


def _number_events(logged: LoggedActivities) -> NDArray[np.int64]:
    """A number for each kind, and where all logs of a second have an id, one for each kind and id: other ids are of
    other events.
    """
    if not logged.shared.any():
        return logged.kind.astype(np.int64)
    moment = _number_moments(logged, logged.kind.astype(np.int64))
    all_named = np.ones(len(moment), dtype=bool)
    all_named[moment[logged.shared == 0]] = False
    ids, which = np.unique(np.where(all_named[moment], logged.shared, 0), return_inverse=True)
    return logged.kind * np.int64(len(ids)) + which


def _number_moments(logged: LoggedActivities, events: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same number for what a person did in one second."""
    return number_groups(np.stack([logged.person, events, logged.at]))


def _have_twins(logged: LoggedActivities, events: NDArray[np.int64], keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of which a second log of the same second, in another CRM, is dropped already."""
    moment = _number_moments(logged, events)
    gone = np.flatnonzero(~keep)
    # A moment without a dropped one keeps numbers that no CRM has.
    low, high = np.full(len(moment), NO_CRM), np.full(len(moment), -1)
    np.minimum.at(low, moment[gone], logged.crm[gone])
    np.maximum.at(high, moment[gone], logged.crm[gone])
    low, high = low[moment], high[moment]
    twins: NDArray[np.bool_] = (high >= 0) & ((low != logged.crm) | (high != logged.crm))
    return twins


def _logged(logged: LoggedActivities, facts: Mapping[int, Fact], place: int) -> Logged:
    attributes = facts[int(logged.fact[place])].attributes
    content, subject = dump_json(dict(attributes)), str(attributes.get("subject") or "")
    return Logged(int(logged.at[place]), int(logged.crm[place]), subject, content, int(logged.shared[place]))
