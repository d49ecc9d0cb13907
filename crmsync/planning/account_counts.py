"""Counts of accounts as fields of their people, and who is concerned where an account has news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from crmsync.columns import Columns
from crmsync.config import Config
from crmsync.config.model import selects_kind
from crmsync.dead_feeds import DeadFeed
from crmsync.model import Scalar
from crmsync.planning.accounts import MOST_AROUND
from crmsync.scoring.account_counts import (
    AccountActs,
    AccountQuestions,
    count_activities_of,
    drop_machine_acts,
    name_kinds,
)
from crmsync.scoring.calendar import DAY, FAR
from crmsync.scoring.machine_clicks import MADE_BY_MACHINES, SENT
from crmsync.store.account_acts import find_people_at, read_account_acts
from crmsync.store.companies import people_around
from crmsync.store.events import News
from crmsync.store.schema import LIVE, record
from crmsync.store.scores import contacts_of, make_dirty


class CountedPeople(NamedTuple):
    """Of some people (n,) the values of each count by field (`None`: of no account), and when time alone changes one
    (seconds).
    """

    people: NDArray[np.int64]
    fields: dict[str, list[Scalar | None]]
    due: NDArray[np.int64]

    def add_to(self, columns: Columns) -> Columns:
        """The columns of some of these people with the counts as fields."""
        if not self.fields:
            return columns
        rows = np.searchsorted(self.people, columns.people).tolist()
        picked = {name: [values[row] for row in rows] for name, values in self.fields.items()}
        return replace(columns, fields={**columns.fields, **picked})

    def due_of(self, people: NDArray[np.int64]) -> NDArray[np.int64]:
        """When time alone changes a count of each of these people."""
        return self.due[np.searchsorted(self.people, people)]


def read_counts(
    connection: Connection,
    config: Config,
    people: NDArray[np.int64],
    now: datetime | NDArray[np.int64],
    holds: Sequence[DeadFeed] = (),
) -> CountedPeople:
    """What conditions ask about the accounts of these people (ascending ids), as of `now` or of an instant of each
    one's own (seconds). Nothing is read where none asks.
    """
    counts = config.account_counts()
    found = CountedPeople(people, {}, np.full(len(people), FAR, dtype=np.int64))
    if not counts or not len(people):
        return found
    around = people.tolist() if len(people) <= MOST_AROUND else None
    at = np.full(len(people), int(now.timestamp())) if isinstance(now, datetime) else now
    windows = [each.window.days if each.window is not None else None for each in counts.values()]
    longest = max((each for each in windows if each is not None), default=0)
    # A day more, since days begin earlier in some zone; and while a clock stands, what is old still counts.
    since = 0 if None in windows or holds else max(int(at.min()) - (longest + 2) * DAY, 0)
    kinds = {*name_kinds(counts)}
    if not kinds.isdisjoint(MADE_BY_MACHINES):
        kinds |= {SENT, *MADE_BY_MACHINES}
    identity = config.identity
    stored = read_account_acts(
        connection, sorted(kinds), around, since, identity.source_of_truth, identity.seconds_apart
    )
    places = np.minimum(np.searchsorted(stored.member, people), max(len(stored.member) - 1, 0))
    there = np.flatnonzero(stored.member[places] == people) if len(stored.member) else np.zeros(0, dtype=np.intp)
    # What is asked of one account is asked once.
    pairs = np.stack([stored.member_of[places[there]], at[there]], axis=1)
    asked, which = np.unique(pairs, axis=0, return_inverse=True) if len(there) else (pairs, np.zeros(0, np.intp))
    acts = AccountActs(stored.account, stored.user, stored.at, stored.fact)
    if not kinds.isdisjoint(MADE_BY_MACHINES):
        acts = drop_machine_acts(config.machine_clicks, acts, stored.facts)
    for field, count in counts.items():
        last = [each.last for each in holds if selects_kind(count.on, each.kind)]
        stopped = min(last) if last else None
        questions = AccountQuestions(asked[:, 0], asked[:, 1])
        answers = count_activities_of(config, count, acts, stored.facts, questions, config.zone, stopped)
        values: list[Scalar | None] = [None] * len(people)
        for row, place in zip(there.tolist(), which.ravel().tolist(), strict=True):
            values[row] = answers.values[place]
        found.fields[field] = values
        found.due[there] = np.minimum(found.due[there], answers.due[which.ravel()])
    return found


def notice_counts(connection: Connection, config: Config, news: News) -> None:
    """Whoever shares an account with somebody there is news of, or with a domain that has new events, is dirty."""
    if not config.account_counts():
        return
    dirty: set[int] = set(
        connection.scalars(select(record.c.person).where(record.c.dirty, record.c.person.is_not(None)).distinct())
    )
    dirty |= news.people | find_people_at(connection, news.domains)
    if len(dirty) > MOST_AROUND:
        # To find out who is around so many would take longer than to score everybody.
        around = list(connection.scalars(select(record.c.person).where(LIVE, record.c.person.is_not(None)).distinct()))
    else:
        around = people_around(connection, dirty)
    make_dirty(connection, sorted(contacts_of(connection, around)))
