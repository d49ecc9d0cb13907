"""Which stored activities are second logs: of a meeting, call or e-mail that another CRM logged seconds before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Fact
from crmsync.identity.logged_twice import LOGGED, Logged, find_chains, pair_logs
from crmsync.store.sql import dump_json

NO_CRM = 2**62


class LoggedActivities(NamedTuple):
    """Activities (m,): row of the person, place of the CRM, seconds, id of the fact, a number for the kind.

    `kinds` are the names of these numbers; `dropped` are second logs of the same second.
    """

    person: NDArray[np.int32]
    crm: NDArray[np.int64]
    at: NDArray[np.int64]
    fact: NDArray[np.int64]
    kind: NDArray[np.int32]
    kinds: Sequence[str]
    dropped: NDArray[np.bool_]


def find_second_logs(logged: LoggedActivities, facts: Mapping[int, Fact], within: int) -> list[tuple[int, int]]:
    """The places of each activity that counts and of its second log, at most `within` seconds later."""
    numbers = np.flatnonzero([each in LOGGED for each in logged.kinds])
    some = np.flatnonzero(np.isin(logged.kind, numbers) & ~logged.dropped & ~_have_twins(logged))
    pairs = []
    for chain in find_chains(logged.person[some], logged.crm[some], logged.at[some], logged.kind[some], within):
        places = some[chain].tolist()
        found = pair_logs([_logged(logged, facts, place) for place in places], within)
        pairs += [(places[first], places[second]) for first, second in found]
    return pairs


def _have_twins(logged: LoggedActivities) -> NDArray[np.bool_]:
    """Of which a second log of the same second, in another CRM, is dropped already."""
    order = np.lexsort((logged.at, logged.kind, logged.person))
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = np.any([np.diff(each[order]) != 0 for each in (logged.at, logged.kind, logged.person)], axis=0)
    moment = np.empty(len(order), dtype=np.int64)
    moment[order] = np.cumsum(begins) - 1
    gone = np.flatnonzero(logged.dropped)
    # A moment without a dropped one keeps numbers that no CRM has.
    low, high = np.full(len(order), NO_CRM), np.full(len(order), -1)
    np.minimum.at(low, moment[gone], logged.crm[gone])
    np.maximum.at(high, moment[gone], logged.crm[gone])
    low, high = low[moment], high[moment]
    twins: NDArray[np.bool_] = (high >= 0) & ((low != logged.crm) | (high != logged.crm))
    return twins


def _logged(logged: LoggedActivities, facts: Mapping[int, Fact], place: int) -> Logged:
    attributes = facts[int(logged.fact[place])].attributes
    content = dump_json(dict(attributes))
    return Logged(int(logged.at[place]), int(logged.crm[place]), str(attributes.get("subject") or ""), content)
