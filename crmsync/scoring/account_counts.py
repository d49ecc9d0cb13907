"""What the people of an account did, as numbers: how many events, of how many users, or the sum of an attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns, Fact
from crmsync.config.account import AccountCount
from crmsync.config.machine_clicks import MachineClicks
from crmsync.config.model import Model
from crmsync.scoring.answers import YES
from crmsync.scoring.calendar import FAR, local_days, midnight_of
from crmsync.scoring.conditions import NO_DAY, ConditionEvaluator, encode_attributes
from crmsync.scoring.machine_clicks import find_machines, read_mail_facts
from crmsync.scoring.values import make_column

Numbers = NDArray[np.int64]

WIDE = 2**33
"""An account times this plus an instant (32 bits) is one number that sorts by both."""


class AccountActs(NamedTuple):
    """Activities of accounts: of each its `account`, `user` (-1: nobody knows), `at` (seconds) and `fact`; (m,)."""

    account: Numbers
    user: Numbers
    at: Numbers
    fact: Numbers


class AccountQuestions(NamedTuple):
    """Accounts as of instants: of each its `account`, and `at` (seconds) up to which activities happened; (n,)."""

    account: Numbers
    at: Numbers


class AccountAnswers(NamedTuple):
    """The number of each question, and when time alone may change it (seconds; `FAR` for never); (n,)."""

    values: Sequence[int | float]
    due: Numbers


def count_activities_of(
    model: Model,
    count: AccountCount,
    acts: AccountActs,
    facts: Sequence[Fact],
    asked: AccountQuestions,
    zone: tzinfo,
    stopped: int | None = None,
) -> AccountAnswers:
    """Answer questions about one count. On the day `stopped` its clock stands, where it does: its feed is dead."""
    taken = _take(model, count, facts)[acts.fact] if len(facts) else np.zeros(len(acts.at), dtype=bool)
    order = np.lexsort((acts.at[taken], acts.account[taken]))
    account, at, user, fact = (each[taken][order] for each in (acts.account, acts.at, acts.user, acts.fact))
    key = account * WIDE + at
    begin = _begins(count, asked.at, zone, stopped)
    low = np.searchsorted(key, asked.account * WIDE + begin, side="left")
    high = np.searchsorted(key, asked.account * WIDE + asked.at, side="right")
    low = np.minimum(low, high)
    end = np.searchsorted(key, (asked.account + 1) * WIDE, side="left")
    due = np.full(len(asked.at), FAR, dtype=np.int64)
    coming = high < end
    due[coming] = at[high[coming]]
    if count.window is not None and stopped is None:
        ageing = low < high
        leaves = local_days(at[low[ageing]], zone) + (count.window.days + 1)
        due[ageing] = np.minimum(due[ageing], [midnight_of(day, zone) for day in leaves.tolist()])
    return AccountAnswers(_values(count, facts, low, high, user, fact), due)


def drop_machine_acts(rules: MachineClicks, acts: AccountActs, facts: Sequence[Fact]) -> AccountActs:
    """The activities without the opens and clicks that no person made."""
    mail = read_mail_facts(rules, facts)
    if not len(acts.at):
        return acts
    mails = np.flatnonzero((acts.user >= 0) & (mail.side[acts.fact] > 0))
    mails = mails[np.lexsort((acts.at[mails], acts.user[mails]))]
    users, person = np.unique(acts.user[mails], return_inverse=True)
    fact = acts.fact[mails].astype(np.int32)
    columns = Columns(users, {}, person.astype(np.int32), acts.at[mails], fact, facts)
    machines, _how = find_machines(rules, mail, columns, np.ones(len(mails), dtype=bool))
    kept = np.delete(np.arange(len(acts.at)), mails[machines])
    return AccountActs(*(each[kept] for each in acts))


def _begins(count: AccountCount, at: Numbers, zone: tzinfo, stopped: int | None) -> Numbers:
    """The first second that counts for each question: as rules do, by local dates."""
    if count.window is None:
        return np.zeros(len(at), dtype=np.int64)
    days = local_days(at, zone)
    days = days if stopped is None else np.minimum(days, np.int32(stopped))
    return np.array([max(midnight_of(day - count.window.days, zone), 0) for day in days.tolist()], dtype=np.int64)


def _values(
    count: AccountCount, facts: Sequence[Fact], low: Numbers, high: Numbers, user: Numbers, fact: Numbers
) -> list[int | float]:
    if count.sum is not None:
        column = make_column([each.attributes.get(count.sum) for each in facts])
        amount = np.nan_to_num(column.spelled_numbers("")[column.codes][fact]) if len(fact) else np.zeros(0)
        # Each slice by itself: a running sum would round otherwise in another company.
        sums = [float(np.sort(amount[a:b]).sum()) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
        return [int(each) if each.is_integer() else round(each, 6) for each in sums]
    if count.of == "users":
        seen: dict[tuple[int, int], int] = {}
        for a, b in zip(low.tolist(), high.tolist(), strict=True):
            if (a, b) not in seen:
                some = user[a:b]
                seen[a, b] = len(np.unique(some[some >= 0]))
        return [seen[pair] for pair in zip(low.tolist(), high.tolist(), strict=True)]
    return [*map(int, high - low)]


def _take(model: Model, count: AccountCount, facts: Sequence[Fact]) -> NDArray[np.bool_]:
    """Which facts a count takes."""
    mask = np.array([fact.kind in count.on for fact in facts], dtype=bool)
    rows = np.flatnonzero(mask)
    some = [facts[row] for row in rows.tolist()]
    read = encode_attributes(model.missing_words(), some, count.where)
    asker = ConditionEvaluator(len(some), read, model, NO_DAY, untyped=True)
    for name, match in count.where.items():
        mask[rows] &= asker.match(name, match) == YES
    return mask


def name_kinds(counts: Mapping[str, AccountCount]) -> list[str]:
    """The kinds of activity that some counts are about."""
    return sorted({kind for each in counts.values() for kind in each.on})
