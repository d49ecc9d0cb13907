"""Accounts with everybody who counts for them: the companies they are, and the stored scores of their people."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection, Text, and_, case, false, func, or_, select

from crmsync.identity.accounts import AccountGroups, Numbers, group_people
from crmsync.store.companies import EMPTY, people_around
from crmsync.store.schema import LIVE, activity, company, person, record
from crmsync.store.sql import IN_LIST, column_chunks, id_range, in_chunks, plain_rows


class StoredAccount(NamedTuple):
    """How an account is called, its domain (`""` for none), and the CRMs' ids of who owns it, by CRM."""

    name: str
    domain: str
    owners: Mapping[str, str]


class StoredPeople(NamedTuple):
    """People who count for an account: scored, and not excluded; n of them, ascending.

    `account` is the place of theirs among the accounts, `total` their scores (hundredths); `active` says who did
    something since the instant that was asked for. `columns` has what else was asked for, by the names of `COLUMNS`.
    """

    people: Numbers
    account: Numbers
    total: Numbers
    active: NDArray[np.bool_]
    columns: Mapping[str, Sequence[Any]]


COLUMNS = ("fit", "behavior", "band", "stage", "track")
"""What may be asked for of people: points in hundredths, and names (`""` for none)."""


class StoredAccounts(NamedTuple):
    """Every account, and everybody who counts for one.

    `member` (k,) are the ids of everybody who belongs to one, scored or not, ascending, `account` (k,) its number.
    """

    accounts: Sequence[StoredAccount]
    people: StoredPeople
    member: Numbers
    account: Numbers


def read_scored_accounts(
    connection: Connection, since_seconds: int | None, columns: Collection[str], around: Collection[int] | None = None
) -> StoredAccounts:
    """All accounts; with `around` only what there is around these people, theirs among it.

    Somebody is active who did something since then (seconds since 1970; nobody is where it is `None`); `columns` are
    names of `COLUMNS`.
    """
    some = None if around is None else people_around(connection, around)
    groups, companies, domains = group_stored_people(connection, some)
    return StoredAccounts(
        list(_call_accounts(groups, companies, domains)),
        _read_people(connection, groups, since_seconds, columns, some),
        groups.people,
        groups.account,
    )


def group_stored_people(
    connection: Connection, some: Collection[int] | None
) -> tuple[AccountGroups, Sequence[_Company], Sequence[str]]:
    """The accounts of all people, or of `some` with everybody around them; their companies and domains, as numbered."""
    it, person_ids, linked, mailed = record.c, _Numbers(), _Names(), _Names()
    belongs = LIVE, it.person.is_not(None), or_(it.company != EMPTY, it.domain != EMPTY)
    # One text for both parts of a company's key, and none where there is no company.
    link = case((it.company == EMPTY, ""), else_=it.crm + ":" + it.company)
    for part in _conditions(it.person, some):
        for people, links, mails in column_chunks(connection, select(it.person, link, it.domain).where(*belongs, part)):
            person_ids.add(people)
            linked.add(links)
            mailed.add(mails)
    companies = _companies(connection, linked.codes, None if some is None else mailed.codes)
    domains = sorted({*mailed.codes, *(each.domain for each in companies.values())} - {""})
    places = {each: place for place, each in enumerate(domains)} | {"": -1}
    groups = group_people(
        person_ids.joined(),
        linked.renumbered({each: place for place, each in enumerate(companies)} | {"": -1}),
        mailed.renumbered(places),
        np.fromiter((places[each.domain] for each in companies.values()), np.int64, len(companies)),
        len(domains),
    )
    return groups, [*companies.values()], domains


class _Numbers:
    """A column of numbers, part by part."""

    def __init__(self) -> None:
        self.parts: list[Numbers] = [np.zeros(0, dtype=np.int64)]

    def add(self, values: Sequence[Any]) -> None:
        self.parts.append(np.array(values, dtype=np.int64))

    def joined(self) -> Numbers:
        return np.concatenate(self.parts)

    def values(self, joined: Numbers) -> list[Any]:
        """What some of the joined numbers stand for."""
        return list(joined.tolist())


class _Names(_Numbers):
    """A column of texts, part by part: a number for each text."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: dict[str, int] = {}

    def add(self, values: Sequence[Any]) -> None:
        codes = self.codes
        super().add([codes.setdefault(each, len(codes)) for each in values])

    def values(self, joined: Numbers) -> list[Any]:
        return [*map([*self.codes].__getitem__, joined.tolist())]

    def renumbered(self, numbers: Mapping[str, int]) -> Numbers:
        """The number of the text of each row."""
        of_code = np.fromiter(map(numbers.__getitem__, self.codes), np.int64, len(self.codes))
        return of_code[self.joined()]


class _Company(NamedTuple):
    """What is stored of a company; its key is its CRM and its id."""

    crm: str
    id: str
    name: str = ""
    domain: str = ""
    owner: str = ""


def _conditions(column: Any, people: Collection[Any] | None) -> Iterator[Any]:
    """One condition that holds for everybody, or some that together hold for these people."""
    if people is None:
        yield True
        return
    yield from (column.in_(some) for some in in_chunks(sorted(people), IN_LIST))


def _companies(connection: Connection, keys: Collection[str], domains: Collection[str] | None) -> dict[str, _Company]:
    """Every company by its key (`crm:id`), or with `domains` those of the keys and domains; in order.

    A company that nothing is stored of is one all the same.
    """
    query, ids = select(*(company.c[name] for name in _Company._fields)), {key.split(":", 1)[-1] for key in keys}
    found: dict[str, _Company] = {}
    for part in _conditions(company.c.id, None if domains is None else ids):
        found |= {f"{each[0]}:{each[1]}": _Company(*each) for each in plain_rows(connection, query.where(part))}
    if domains is not None:
        known = {*domains, *(each.domain for each in found.values())} - {""}
        for part in _conditions(company.c.domain, known):
            theirs = plain_rows(connection, query.where(part, company.c.domain != EMPTY))
            found |= {f"{each[0]}:{each[1]}": _Company(*each) for each in theirs}
    found |= {key: _Company(*key.split(":", 1)) for key in keys if key and key not in found}
    return dict(sorted(found.items(), key=lambda each: (each[1].crm, len(each[1].id), each[1].id)))


def _call_accounts(
    groups: AccountGroups, companies: Sequence[_Company], domains: Sequence[str]
) -> Iterator[StoredAccount]:
    names: dict[int, str] = {}
    owners: dict[int, dict[str, str]] = {}
    for place, number in zip(groups.order.tolist(), groups.of_company[groups.order].tolist(), strict=True):
        crm, _id, name, _domain, owner = companies[place]
        if name:
            names.setdefault(number, name)
        if owner:
            owners.setdefault(number, {}).setdefault(crm, owner)
    for number, domain in enumerate(groups.domain.tolist()):
        yield StoredAccount(names.get(number, ""), domains[domain] if domain >= 0 else "", owners.get(number, {}))


def _read_people(
    connection: Connection,
    groups: AccountGroups,
    since_seconds: int | None,
    columns: Collection[str],
    some: Collection[int] | None,
) -> StoredPeople:
    it = person.c
    read = {name: _Names() if isinstance(it[name].type, Text) else _Numbers() for name in ("id", "total", *columns)}
    query = select(*(it[name] for name in read)).where(it.excluded == "")
    for part in _conditions(it.id, some):
        for chunk in column_chunks(connection, query.where(part)):
            for column, values in zip(read.values(), chunk, strict=True):
                column.add(values)
    ids, total, *others = (each.joined() for each in read.values())
    order = np.argsort(ids)
    order = order[np.isin(ids[order], groups.people)]
    people = ids[order]
    account = groups.account[np.searchsorted(groups.people, people)]
    active = np.isin(people, [] if since_seconds is None else _active(connection, since_seconds, some))
    known = {name: read[name].values(each[order]) for name, each in zip(columns, others, strict=True)}
    return StoredPeople(people, account, total[order], active, known)


def _active(connection: Connection, since_seconds: int, some: Collection[int] | None) -> Numbers:
    """The people with a record that something happened to since then."""
    did = select(activity.c.record).where(activity.c.record == record.c.id, activity.c.at >= since_seconds).exists()
    found = _Numbers()
    for part in _conditions(record.c.person, some):
        query = select(record.c.person).where(LIVE, record.c.person.is_not(None), did, part)
        for (people,) in column_chunks(connection, query):
            found.add(people)
    return np.unique(found.joined())


def find_account_people(connection: Connection, name: str, domain: str) -> list[int]:
    """Some people of each account that may have this name (in capitals or not) or domain; ascending."""
    it = record.c
    query = select(func.min(it.person)).where(LIVE, it.person.is_not(None))
    at_home = [company.c.domain == domain, company.c.domain != EMPTY] if domain else [false()]
    called = or_(company.c.name == name, func.lower(company.c.name) == func.lower(name))
    companies = select(company.c.crm, company.c.id).where(or_(and_(*at_home), called))
    places: list[tuple[Any, ...]] = [
        (it.crm == crm, it.company == company_id, it.company != EMPTY)
        for crm, company_id in list(plain_rows(connection, companies))
    ]
    if domain:
        places.append((it.domain == domain, it.domain != EMPTY))
    found = (connection.scalar(query.where(*place)) for place in places)
    return sorted({each for each in found if each is not None})


def read_people_names(connection: Connection, people: Sequence[int]) -> dict[int, tuple[str, list[str]]]:
    """The name and the addresses of each of these people (ascending), by their live records."""
    names: dict[int, str] = {}
    addresses: dict[int, set[str]] = {each: set() for each in people}
    query = select(record.c.person, record.c.name, record.c.emails).where(LIVE, id_range(record.c.person, people))
    for person_id, name, emails in plain_rows(connection, query.order_by(record.c.id)):
        if person_id in addresses:
            names[person_id] = names.get(person_id) or name
            addresses[person_id].update(orjson.loads(emails))
    return {each: (names.get(each, ""), sorted(addresses[each])) for each in people}
