"""Accounts by the scores that are stored: what each is worth, how many people it has, and which roles nobody fills."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.account import AccountRules
from crmsync.identity.accounts import Numbers
from crmsync.model import Scalar
from crmsync.planning.field_reading import name_reading
from crmsync.routing.accounts import fill_roles, score_accounts
from crmsync.scoring.wording import to_points
from crmsync.store.accounts import COLUMNS, StoredAccount, StoredPeople, read_scored_accounts
from crmsync.store.score_inputs import read_fields
from crmsync.store.scores import PEOPLE_AT_ONCE

POINTS = ("score", "fit", "behavior")

WEEK = 7 * 86_400
"""Seconds in which a colleague counts as active."""

MOST_AROUND = 10_000
"""Of more people than these every account is read: to find out who is around them would take longer."""


class ScoredAccounts(NamedTuple):
    """Accounts with their scores (hundredths), the people who count for them, by role who of these fills it, and by
    role how many do in each account.

    `member` (k,) are the ids of everybody who belongs to one, scored or not, ascending, `account` (k,) its number.
    """

    accounts: Sequence[StoredAccount]
    scores: Sequence[int]
    people: StoredPeople
    counts: Sequence[int]
    fillers: Mapping[str, NDArray[np.bool_]]
    filled: Mapping[str, Sequence[int]]
    member: Numbers
    account: Numbers

    def find_missing_roles(self, number: int) -> tuple[str, ...]:
        """The roles that nobody of an account fills."""
        return tuple(name for name, counts in self.filled.items() if not counts[number])


class AccountScore(NamedTuple):
    """What a condition may ask of an account: its score (hundredths), how many people count for it, and the roles that
    nobody fills.
    """

    total: int
    people: int
    missing: tuple[str, ...]


AccountScores = Mapping[int, AccountScore]
"""The account of each person; who belongs to none, or to one where nobody was scored yet, is not among them."""


def read_account_scores(connection: Connection, config: Config, people: Collection[int]) -> dict[int, AccountScore]:
    """The accounts of these people and of everybody around them; nothing is read where no condition asks for it."""
    if not config.asks_about_account_scores() or not people:
        return {}
    found = score_stored_accounts(config, connection, None, people if len(people) <= MOST_AROUND else None)
    made = [
        AccountScore(score, many, found.find_missing_roles(number)) if many else None
        for number, (score, many) in enumerate(zip(found.scores, found.counts, strict=True))
    ]
    members = zip(found.member.tolist(), found.account.tolist(), strict=True)
    return {person: score for person, number in members if (score := made[number]) is not None}


def find_moved_accounts(before: AccountScores, after: AccountScores) -> list[int]:
    """The people whose account is not what it was, ascending."""
    return sorted(each for each in before.keys() | after.keys() if before.get(each) != after.get(each))


def score_stored_accounts(
    config: Config,
    connection: Connection,
    now: datetime | None,
    around: Collection[int] | None,
    also: Collection[str] = (),
) -> ScoredAccounts:
    """All accounts, or with `around` those that there are around these people; `also` are further names of `COLUMNS`
    to read of people. Without `now` (aware) nobody is active.
    """
    rules = config.account or AccountRules()
    asked = {name for each in rules.roles.values() for name in each.when.fields()}
    columns = [name for name in COLUMNS if name in asked or name in also]
    since = None if now is None else int(now.timestamp()) - WEEK
    stored = read_scored_accounts(connection, since, columns, around)
    people, many = stored.people, len(stored.accounts)
    fillers = _fill(config, connection, people, asked)
    return ScoredAccounts(
        stored.accounts,
        score_accounts(rules.score, people.account, people.total, many).tolist(),
        people,
        np.bincount(people.account, minlength=many).tolist(),
        fillers,
        {name: np.bincount(people.account[mask], minlength=many).tolist() for name, mask in fillers.items()},
        stored.member,
        stored.account,
    )


def _fill(
    config: Config, connection: Connection, people: StoredPeople, asked: Collection[str]
) -> dict[str, NDArray[np.bool_]]:
    """By role who of the people fills it."""
    roles = config.account.roles if config.account else {}
    stored = {"score": people.total.tolist(), **people.columns}
    parts: dict[str, list[NDArray[np.bool_]]] = {name: [np.zeros(0, dtype=bool)] for name in roles}
    for start in range(0, len(people.people) if roles else 0, PEOPLE_AT_ONCE):
        some = slice(start, start + PEOPLE_AT_ONCE)
        ids = people.people[some].tolist()
        known: dict[str, Sequence[Scalar | None]] = {}
        if not set(asked) <= stored.keys():
            known |= read_fields(
                connection, ids, sorted(config.fields), config.identity.source_of_truth, name_reading(config)
            )
        for name, values in stored.items():
            known[name] = [to_points(each) if name in POINTS else each or None for each in values[some]]
        for name, mask in fill_roles(config, known, len(ids)).items():
            parts[name].append(mask)
    return {name: np.concatenate(masks) for name, masks in parts.items()}
