"""What the people of accounts did, and what happened at their domains that no person has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from sqlalchemy import Connection, and_, or_, select, true

from crmsync.columns import Fact
from crmsync.identity.accounts import Numbers
from crmsync.identity.logged_kinds import LOGGED
from crmsync.model import DOMAIN
from crmsync.store.accounts import group_stored_people
from crmsync.store.carried_ids import read_shared_ids
from crmsync.store.companies import EMPTY, people_around
from crmsync.store.schema import EVENTS, LIVE, activity, company, fact, record
from crmsync.store.score_inputs import hashable
from crmsync.store.second_logs import LoggedActivities, count_once
from crmsync.store.sql import IN_LIST, column_chunks, in_chunks, plain_rows


class StoredActs(NamedTuple):
    """Activities of accounts: of each its `account`, `user` (-1 where nobody knows who), `at` (seconds), and `fact`, a
    place among `facts`; (m,). `member` (k,) are the ids of everybody who belongs to one, ascending, `member_of` (k,)
    its number.
    """

    account: Numbers
    user: Numbers
    at: Numbers
    fact: Numbers
    facts: Sequence[Fact]
    member: Numbers
    member_of: Numbers


def read_account_acts(
    connection: Connection,
    kinds: Collection[str],
    around: Collection[int] | None,
    since: int = 0,
    precedence: Sequence[str] = (),
    same_activity: int = 0,
) -> StoredActs:
    """Everything of these kinds since an instant (seconds) in all accounts, or in those around some people.

    What two CRMs (the first of `precedence` before others) log under one id or at most `same_activity` seconds apart is
    there once.
    """
    some = None if around is None else people_around(connection, around)
    groups, _companies, domains = group_stored_people(connection, some)
    ids, facts = _read_facts(connection, kinds)
    it = record.c
    of_kinds = activity.c.fact.in_(select(fact.c.id).where(fact.c.kind.in_(sorted(kinds)))), activity.c.at >= since
    # What happened to merged records and converted leads goes on counting, as for a person.
    theirs = it.person.is_not(None), or_(and_(it.known, or_(~it.gone, it.merged_into != "")), EVENTS)
    waiting = it.person.is_(None), EVENTS, it.domain != EMPTY
    of_domain = {name: number for name, number in zip(domains, groups.of_domain.tolist(), strict=True) if number >= 0}
    parts = []
    for part in _chunks(it.person, None if some is None else groups.people.tolist()):
        found = _read_rows(connection, select(it.person, it.id).where(*theirs, *of_kinds, part))
        place = np.minimum(np.searchsorted(groups.people, found[:, 0]), max(len(groups.people) - 1, 0))
        belongs = groups.people[place] == found[:, 0] if len(groups.people) else np.zeros(len(found), dtype=bool)
        parts.append(np.column_stack([groups.account[place[belongs]], found[belongs]]))
    for part in _chunks(it.domain, None if some is None else sorted(of_domain)):
        users = [
            # A number that is no person's: who is known by an address or a user's id is a user, too.
            (row_id, of_domain[domain], -1 if kind == DOMAIN and "#" not in ref_id else FIRST_NOBODY + row_id)
            for row_id, domain, kind, ref_id in plain_rows(
                connection, select(it.id, it.domain, it.kind, it.ref_id).where(*waiting, part).order_by(it.id)
            )
            if domain in of_domain
        ]
        known = np.array(users, dtype=np.int64).reshape(-1, 3)
        found = _read_rows(connection, select(it.id, it.id).where(*waiting, *of_kinds, part))
        found = found[np.isin(found[:, 0], known[:, 0])]
        place = np.searchsorted(known[:, 0], found[:, 0])
        parts.append(np.column_stack([known[place, 1], known[place, 2], found[:, 1:]]))
    acts = np.concatenate([np.zeros((0, 5), dtype=np.int64), *parts])
    apart = same_activity if not LOGGED.isdisjoint(kinds) else 0
    crms = shared = np.zeros(len(acts), dtype=np.int64)
    if apart:
        crms, shared = _read_crms(connection, acts[:, 2], precedence), read_shared_ids(connection, *acts[:, 2:].T)
    acts[:, 4] = np.searchsorted(ids, acts[:, 4])
    acts = acts[_count_once(acts, facts, crms, shared, apart)]
    return StoredActs(acts[:, 0], acts[:, 1], acts[:, 3], acts[:, 4], facts, groups.people, groups.account)


def _chunks(column: Any, values: Sequence[Any] | None) -> Iterator[Any]:
    """One condition that holds for every row, or some that together hold for these values."""
    if values is None:
        yield true()
        return
    yield from (column.in_(each) for each in in_chunks(values, IN_LIST))


def _read_rows(connection: Connection, query: Any) -> Numbers:
    """What a query about records says, with when each of their activities was and its fact; (m, 4)."""
    query = query.add_columns(activity.c.at, activity.c.fact).join(activity, activity.c.record == record.c.id)
    chunks = [np.array(each, dtype=np.int64).T for each in column_chunks(connection, query, 100_000)]
    return np.concatenate([np.zeros((0, 4), dtype=np.int64), *chunks])


FIRST_NOBODY = 2**40
"""Users whom no CRM knows are numbered from here on, so that none has the number of a person."""


def _read_crms(connection: Connection, records: Numbers, precedence: Sequence[str]) -> Numbers:
    """The place of the CRM of each of some records (row ids)."""
    distinct, which = np.unique(records, return_inverse=True)
    places = {name: place for place, name in enumerate(precedence)}
    crm_of: dict[int, int] = {}
    for some in in_chunks(distinct.tolist(), IN_LIST):
        for row_id, crm in plain_rows(connection, select(record.c.id, record.c.crm).where(record.c.id.in_(some))):
            crm_of[row_id] = places.get(crm, len(places))
    return np.array([crm_of[each] for each in distinct.tolist()], dtype=np.int64)[which]


def _count_once(rows: Numbers, facts: Sequence[Fact], crms: Numbers, shared: Numbers, apart: int) -> Numbers:
    """The rows without what a second record of the same person, or another CRM, tells of the same event."""
    names = {kind: number for number, kind in enumerate(sorted({each.kind for each in facts}))}
    kind_of = np.array([names[each.kind] for each in facts], dtype=np.int32)
    known = np.flatnonzero((rows[:, 1] >= 0) & (rows[:, 1] < FIRST_NOBODY))
    keep = np.ones(len(rows), dtype=bool)
    if len(known):
        _people, which = np.unique(rows[known, 1], return_inverse=True)
        _records, own = np.unique(rows[known, 2], return_inverse=True)
        kinds = kind_of[rows[known, 4]]
        at, fact_of = rows[known, 3], rows[known, 4]
        whose = which.astype(np.int32), own.astype(np.int32), crms[known]
        logged = LoggedActivities(*whose, at, fact_of, kinds, [*names], shared[known])
        keep[known] = count_once(logged, dict(enumerate(facts)), apart).keep
    return np.flatnonzero(keep)


def _read_facts(connection: Connection, kinds: Collection[str]) -> tuple[list[int], list[Fact]]:
    ids, facts = [], []
    query = select(fact.c.id, fact.c.kind, fact.c.attributes).where(fact.c.kind.in_(sorted(kinds)))
    for row_id, kind, attributes in plain_rows(connection, query.order_by(fact.c.id)):
        ids.append(row_id)
        facts.append(Fact(kind, {name: hashable(value) for name, value in orjson.loads(attributes).items()}))
    return ids, facts


def find_people_at(connection: Connection, domains: Collection[str]) -> set[int]:
    """Somebody of each account that may have one of these domains."""
    it, found = record.c, set[int]()
    for some in in_chunks(sorted(domains), IN_LIST):
        mailed = select(it.person).where(LIVE, it.person.is_not(None), it.domain.in_(some), it.domain != EMPTY)
        found.update(connection.scalars(mailed.distinct()))
        sites = select(it.person).join(company, and_(company.c.crm == it.crm, company.c.id == it.company))
        sites = sites.where(LIVE, it.person.is_not(None), it.company != EMPTY)
        found.update(connection.scalars(sites.where(company.c.domain.in_(some), company.c.domain != EMPTY).distinct()))
    return found
