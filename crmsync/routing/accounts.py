"""The score of an account from those of its people, and who of them fills which role of the buying group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from crmsync.config.account import Method
from crmsync.config.settings import Config
from crmsync.model import Scalar
from crmsync.scoring.answers import YES
from crmsync.scoring.conditions import ConditionEvaluator, Today, encode_fields
from crmsync.scoring.ledger import Points

TOP = 3
"""How many people `top_three` counts."""


def score_accounts(method: Method, account: Points, points: Points, accounts: int) -> Points:
    """The score of each account (hundredths): `account` (n,) is that of each person, `points` (n,) their scores.

    An account without people has 0. An average is rounded to hundredths, from the middle to the even one.
    """
    order = np.lexsort((-points, account))
    account, points = account[order], points[order]
    count = np.bincount(account, minlength=accounts)
    starts = np.cumsum(count) - count
    there = count > 0
    scores = np.zeros(accounts, dtype=np.int64)
    if method == "max":
        scores[there] = points[starts[there]]
        return scores
    if method == "min":
        scores[there] = points[(starts + count - 1)[there]]
        return scores
    if method == "top_three":
        kept = np.arange(len(points)) - starts[account] < TOP
        account, points = account[kept], points[kept]
    np.add.at(scores, account, points)
    if method == "average":
        whole, rest = np.divmod(scores, np.maximum(count, 1))
        scores = whole + ((2 * rest > count) | ((2 * rest == count) & there & (whole % 2 == 1)))
    return scores


def fill_roles(
    config: Config, known: Mapping[str, Sequence[Scalar | None]], people: int
) -> dict[str, NDArray[np.bool_]]:
    """By role of `[account.roles]` which of the people (n,) fill it; `known` has n values by the name of a field."""
    roles = config.account.roles if config.account else {}
    read = {name for each in roles.values() for name in each.when.fields()}
    # Roles ask nothing that moves with time, so that any day will do.
    evaluator = ConditionEvaluator(people, encode_fields(config, known, sorted(read)), config, Today(0, config.zone))
    return {name: evaluator.ask(each.when) == YES for name, each in roles.items()}
