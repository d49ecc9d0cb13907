"""Companies as records point to them, and accounts: who belongs together, whose they are, and who of them is active.

What people have in common are keys: the company that a record points to, the domain of that company, and the domain
of their e-mail address. Whoever shares one belongs to the same account, in whatever CRM. A company comes first: the
address of somebody whose company has a domain counts only where no company has the domain of the address.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, overload

from sqlalchemy import ColumnElement, Connection, and_, delete, func, literal_column, select

from crmsync.identity.domains import site_domain
from crmsync.model import AccountFacts, Contact
from crmsync.store.schema import LIVE, activity, company, record
from crmsync.store.sql import IN_LIST, in_chunks, plain_rows, upsert

EMPTY: ColumnElement[str] = literal_column("''")
"""As it stands in the indexes: a database uses them for nothing else."""

OF_RECORD = and_(company.c.crm == record.c.crm, company.c.id == record.c.company)

Key: TypeAlias = tuple[str, str]
"""A CRM and the id of a company there; or `""` and a domain."""


def save_companies(connection: Connection, contacts: Iterable[Contact]) -> None:
    """Store the companies of these records as they are now. Of one that could not be read holds what was known."""
    now = {
        (each.ref.crm, each.company.id): (each.company.name, site_domain(each.company.domain), each.company.owner)
        for each in contacts
        if each.company and not each.gone
    }
    known = {(each.crm, each.id): each[2:] for each in _companies(connection, now)}
    rows = [
        dict(zip(company.c.keys(), (*key, *values), strict=True))
        for key, values in now.items()
        if key not in known or (any(values) and known[key] != values)
    ]
    upsert(connection, company, rows)


def drop_unused_companies(connection: Connection) -> None:
    """Forget the companies that no record points to any more."""
    points = select(record.c.id).where(OF_RECORD, record.c.company != EMPTY).exists()
    connection.execute(delete(company).where(~points))


def read_accounts(connection: Connection, people: Sequence[int]) -> Mapping[int, AccountFacts]:
    """The account that each of these people belongs to; an empty one for who has none.

    It is what their own records point to. Where a CRM has nothing of that, or nobody owns it, it is the company with
    the same domain, or else the one that their colleagues' records point to; of several the one with the most records.
    """
    accounts = _find_accounts(connection, people)
    pointed = {(each.crm, each.company) for some in accounts.members.values() for each in some if each.company}
    known = {(each.crm, each.id): each for each in _companies(connection, pointed)}
    known |= {(each.crm, each.id): each for some in accounts.on_domain.values() for each in some}
    found = dict.fromkeys(people, AccountFacts())
    for keys, theirs in accounts.groups():
        linked = Counter((each.crm, each.company) for each in accounts.records(keys) if each.company)
        same = {(each.crm, each.id) for crm, domain in keys if not crm for each in accounts.on_domain.get(domain, ())}
        ranked = sorted(
            {*linked, *same} & known.keys(),
            key=lambda key: (key not in same, -linked[key], key[0], len(key[1]), key[1]),
        )
        name, owners = _first([known[key] for key in ranked])
        places = {key: place for place, key in enumerate(ranked)}
        everybody = accounts.people(keys)
        for person_id in theirs:
            own = {(each.crm, each.company) for each in accounts.own[person_id] if each.company}
            own_name, own_owners = _first([known[key] for key in sorted(own & known.keys(), key=places.__getitem__)])
            found[person_id] = AccountFacts(own_name or name, owners | own_owners, _Others(everybody, person_id))
    return found


def colleague_owners(connection: Connection, people: Sequence[int]) -> Mapping[int, Sequence[tuple[str, str, int]]]:
    """For each of these people who owns the records of the others of their account: CRM, owner's id, how many records.

    Who owns the most comes first.
    """
    accounts = _find_accounts(connection, people)
    owned: dict[int, Counter[Key]] = defaultdict(Counter)
    it = record.c
    for some in in_chunks(accounts.everybody(), IN_LIST):
        query = select(it.person, it.crm, it.owner, func.count()).where(LIVE, it.person.in_(some), it.owner != "")
        for person_id, crm, owner, many in plain_rows(connection, query.group_by(it.person, it.crm, it.owner)):
            owned[person_id][crm, owner] = many
    found: dict[int, Sequence[tuple[str, str, int]]] = dict.fromkeys(people, ())
    for keys, theirs in accounts.groups():
        total: Counter[Key] = Counter()
        for person_id in accounts.people(keys):
            total.update(owned.get(person_id, {}))
        for person_id in theirs:
            left = total - owned.get(person_id, Counter())
            found[person_id] = sorted(((*key, many) for key, many in left.items()), key=lambda each: (-each[2], each))
    return found


def active_people(connection: Connection, people: Sequence[int], since_seconds: int) -> Mapping[int, int]:
    """For each of these people how many others of their account did something since then (seconds since 1970)."""
    accounts = _find_accounts(connection, people)
    did = select(activity.c.record).where(activity.c.record == record.c.id, activity.c.at >= since_seconds).exists()
    active: set[int] = set()
    for some in in_chunks(accounts.everybody(), IN_LIST):
        active.update(connection.scalars(select(record.c.person).where(LIVE, record.c.person.in_(some), did)))
    found = dict.fromkeys(people, 0)
    for keys, theirs in accounts.groups():
        number = sum(person_id in active for person_id in accounts.people(keys))
        found |= {person_id: number - (person_id in active) for person_id in theirs}
    return found


def people_around(connection: Connection, people: Collection[int]) -> list[int]:
    """These people, with whom they share an account, with whom those share one, and so on; ascending."""
    around = sorted(people)
    while len(found := sorted({*around, *_find_accounts(connection, around).everybody()})) > len(around):
        around = found
    return around


def _first(companies: Sequence[_Company]) -> tuple[str, dict[str, str]]:
    """The first name, and the first owner in each CRM."""
    name = next((each.name for each in companies if each.name), "")
    return name, {each.crm: each.owner for each in reversed(companies) if each.owner}


class _Company(NamedTuple):
    """A row of `company`."""

    crm: str
    id: str
    name: str
    domain: str
    owner: str


class _Record(NamedTuple):
    """What of a live record says where its person belongs; `site` is the domain of its company."""

    id: int
    person: int
    crm: str
    company: str
    domain: str
    site: str


class _Accounts(NamedTuple):
    """Of some people their own records and keys; of everybody with one of these keys the records that have it.

    `on_domain` are the companies with each of the domains.
    """

    own: Mapping[int, Sequence[_Record]]
    keys: Mapping[int, frozenset[Key]]
    members: Mapping[Key, Sequence[_Record]]
    on_domain: Mapping[str, Sequence[_Company]]

    def groups(self) -> Iterable[tuple[frozenset[Key], list[int]]]:
        """The people by their keys: what holds of an account is worked out once for all of them."""
        grouped: dict[frozenset[Key], list[int]] = defaultdict(list)
        for person_id, keys in self.keys.items():
            grouped[keys].append(person_id)
        return grouped.items()

    def records(self, keys: frozenset[Key]) -> Iterable[_Record]:
        """The records that have one of these keys, each once."""
        return {each.id: each for key in keys for each in self.members[key]}.values()

    def people(self, keys: frozenset[Key]) -> list[int]:
        """Everybody with one of these keys, ascending."""
        return sorted({each.person for key in keys for each in self.members[key]})

    def everybody(self) -> list[int]:
        """Everybody with any of the keys, ascending."""
        return sorted({each.person for some in self.members.values() for each in some})


class _Others(Sequence[int]):
    """Everybody (ascending) but one of them: the people of a large account share one list."""

    def __init__(self, everybody: Sequence[int], one: int) -> None:
        self._everybody, self._at = everybody, bisect_left(everybody, one)

    def __len__(self) -> int:
        return len(self._everybody) - 1

    def __iter__(self) -> Iterator[int]:
        yield from (each for at, each in enumerate(self._everybody) if at != self._at)

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[int]: ...
    def __getitem__(self, at: int | slice) -> int | Sequence[int]:
        places = range(len(self))[at]
        if isinstance(places, range):
            return [self[each] for each in places]
        return self._everybody[places + (places >= self._at)]


def _find_accounts(connection: Connection, people: Sequence[int]) -> _Accounts:
    asked = sorted(set(people))
    own = [each for some in in_chunks(asked, IN_LIST) for each in _records(connection, record.c.person.in_(some))]
    domains = {domain for each in own for domain in (each.domain, each.site) if domain}
    on_domain: dict[str, list[_Company]] = defaultdict(list)
    for some in in_chunks(sorted(domains), IN_LIST):
        on_these = company.c.domain.in_(some), company.c.domain != EMPTY
        for each in plain_rows(connection, select(company).where(*on_these)):
            on_domain[each[3]].append(_Company(*each))
    settled = {each.person for each in own if each.site}
    keys: dict[int, set[Key]] = defaultdict(set)
    for it in own:
        keys[it.person].update(_keys_of(it, on_domain, settled))
    wanted = {key for theirs in keys.values() for key in theirs}
    found = {each.id: each for each in [*own, *_with_keys(connection, wanted, on_domain)]}
    settled |= _settled(connection, {each.person for each in found.values()} - settled)
    members: dict[Key, list[_Record]] = defaultdict(list)
    for row_id in sorted(found):
        for key in wanted.intersection(_keys_of(found[row_id], on_domain, settled)):
            members[key].append(found[row_id])
    by_person: dict[int, list[_Record]] = defaultdict(list)
    for it in own:
        by_person[it.person].append(it)
    held = {person_id: frozenset(theirs) for person_id, theirs in keys.items() if theirs}
    return _Accounts(by_person, held, members, on_domain)


def _keys_of(it: _Record, claimed: Collection[str], settled: Collection[int]) -> Iterator[Key]:
    """The keys of a record. `claimed` are domains of companies, `settled` the people whose company has a domain."""
    if it.company:
        yield it.crm, it.company
    if it.site:
        yield "", it.site
    if it.domain and (it.domain not in claimed or it.person not in settled):
        yield "", it.domain


def _with_keys(
    connection: Connection, keys: Collection[Key], on_domain: Mapping[str, Sequence[_Company]]
) -> Iterator[_Record]:
    """The records that may have one of these keys."""
    ids: dict[str, set[str]] = defaultdict(set)
    for crm, company_id in (key for key in keys if key[0]):
        ids[crm].add(company_id)
    domains = {domain for crm, domain in keys if not crm}
    for each in (each for domain in domains for each in on_domain.get(domain, ())):
        ids[each.crm].add(each.id)
    it = record.c
    for crm, theirs in ids.items():
        for some in in_chunks(sorted(theirs), IN_LIST):
            yield from _records(connection, it.company.in_(some), it.company != EMPTY, it.crm == crm)
    for some in in_chunks(sorted(domains), IN_LIST):
        yield from _records(connection, it.domain.in_(some), it.domain != EMPTY)


def _records(connection: Connection, *conditions: Any) -> list[_Record]:
    it = record.c
    query = (
        select(it.id, it.person, it.crm, it.company, it.domain, func.coalesce(company.c.domain, EMPTY))
        .outerjoin(company, OF_RECORD)
        .where(LIVE, it.person.is_not(None), *conditions)
    )
    return [_Record(*each) for each in plain_rows(connection, query)]


def _settled(connection: Connection, people: Collection[int]) -> set[int]:
    """Those of these people whose company, in whatever CRM, has a domain."""
    found: set[int] = set()
    for some in in_chunks(sorted(people), IN_LIST):
        query = select(record.c.person).join(company, OF_RECORD).where(company.c.domain != "")
        found.update(connection.scalars(query.where(LIVE, record.c.person.in_(some))))
    return found


def _companies(connection: Connection, keys: Iterable[Key]) -> Iterator[_Company]:
    """The stored rows of these companies."""
    ids: dict[str, list[str]] = defaultdict(list)
    for crm, company_id in keys:
        ids[crm].append(company_id)
    for crm, theirs in ids.items():
        for some in in_chunks(theirs, IN_LIST):
            query = select(company).where(company.c.crm == crm, company.c.id.in_(some))
            yield from (_Company(*each) for each in connection.execute(query))
