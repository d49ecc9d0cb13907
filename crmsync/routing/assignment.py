"""Whose turn it is to own a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from crmsync.config.settings import OwnerPool, Route
from crmsync.identity.matching import normal_email
from crmsync.model import Holding, Ref
from crmsync.routing.owners import Owners, state_of


def next_member(members: Sequence[str], last: str | None, available: frozenset[str]) -> str | None:
    """Whose turn comes after `last` among those available: round robin in the order of the file, everybody once."""
    # Once each: a name that stands twice would starve those behind it.
    everybody = list(dict.fromkeys(map(normal_email, members)))
    start = everybody.index(last) + 1 if last in everybody else 0
    turn = everybody[start:] + everybody[:start]
    return next((member for member in turn if member in available), None)


def pool_of_band(band: str, routes: Sequence[Route]) -> str | None:
    """The pool of the first route that names the band."""
    return next((route.pool for route in routes if band in route.bands), None)


class Unassigned(NamedTuple):
    """Somebody who may need an owner: the person, their band, and the records they have."""

    person: int
    band: str
    records: Sequence[Holding]


class Assignment(NamedTuple):
    """Who got whom: by the row id of a contact the owner's id and why; the rotations; by person why they still wait."""

    owner_of: Mapping[int, str]
    why: Mapping[int, str]
    pointers: Mapping[str, str]
    waiting: Mapping[int, str]


def assign_owners(
    people: Iterable[Unassigned],
    routes: Sequence[Route],
    pools: Sequence[OwnerPool],
    pointers: Mapping[str, str],
    owners: Owners,
    promised: Mapping[int, str],
) -> Assignment:
    """Give an owner to the records that have none, of the people that a route names, in the order given.

    A record gets the human who owns another record of the person; else the member that an interrupted run had
    `promised` (the owner's id by the row id of a contact), which takes no turn; else it is the next member's turn, of
    those who are in the most CRMs that need an owner. Where that human is unknown to a CRM, the next member there
    gets the record: a second owner is better than nobody. A record with an active owner is never touched, and whoever
    lacks an owner in some CRM afterwards is `waiting`.
    """
    dealer = _Assigner(pools, pointers, owners, promised)
    for person in people:
        pool = pool_of_band(person.band, routes)
        if pool is not None:
            dealer.serve(person, pool)
    return Assignment(dealer.owner_of, dealer.why, dealer.turns, dealer.waiting)


class _Assigner:
    """An assignment in the making."""

    def __init__(
        self, pools: Sequence[OwnerPool], pointers: Mapping[str, str], owners: Owners, promised: Mapping[int, str]
    ) -> None:
        self.members = {pool.name: [normal_email(each) for each in pool.members] for pool in pools}
        self.owners, self.promised = owners, promised
        self.owner_of: dict[int, str] = {}
        self.why: dict[int, str] = {}
        self.turns = dict(pointers)
        self.waiting: dict[int, str] = {}

    def serve(self, person: Unassigned, pool: str) -> None:
        """Give each record of a person that has no owner one, or say why not."""
        humans = [(each.ref, self.owners.somebody(each.ref.crm, each.owner)) for each in person.records]
        held = {ref: human for ref, human in humans if human is not None}
        free = [each for each in person.records if each.ref not in held]
        promises = {each.ref: email for each in free if (email := self._promise(each, pool)) is not None}
        known = [each for each in free if self._give_known(each, held, promises)]
        held |= {each.ref: self._human(each) for each in known}
        rest = [each for each in free if each not in known]
        while rest:
            given = self._give_turn(rest, held, pool)
            if not given:
                self.waiting[person.person] = self._lack(rest, held, pool)
                return
            held |= {each.ref: self._human(each) for each in given}
            rest = [each for each in rest if each not in given]

    def _human(self, record: Holding) -> str:
        return normal_email(self.owners.by_id[record.ref.crm, self.owner_of[record.id]].email)

    def _promise(self, record: Holding, pool: str) -> str | None:
        """The member that an interrupted run had decided on for a record, if they can still own one there."""
        owner = self.owners.by_id.get((record.ref.crm, self.promised.get(record.id, "")))
        email = normal_email(owner.email) if owner else ""
        usable = email in self.members[pool] and (record.ref.crm, email) in self.owners.by_email
        return email if usable else None

    def _give_known(self, record: Holding, held: Mapping[Ref, str], promises: Mapping[Ref, str]) -> bool:
        """Give a record to whom the person belongs already, or was promised; those of the same CRM come first."""
        crm = record.ref.crm
        candidates = [(ref, human, f"same owner as {ref}") for ref, human in _same_crm_first(held, crm)]
        candidates += [(ref, human, "assigned by an interrupted run") for ref, human in _same_crm_first(promises, crm)]
        for _ref, human, why in candidates:
            if (crm, human) in self.owners.by_email:
                self._give(record, human, why)
                return True
        return False

    def _give_turn(self, free: Sequence[Holding], held: Mapping[Ref, str], pool: str) -> Sequence[Holding]:
        """The records that the next member got: of those who are in the most of the CRMs, whoever's turn it is."""
        crms = {each.ref.crm for each in free}
        places = {
            member: {crm for crm in crms if (crm, member) in self.owners.by_email} for member in self.members[pool]
        }
        most = max(map(len, places.values()))
        last = self.turns.get(pool)
        member = next_member(
            self.members[pool], last, frozenset(each for each, here in places.items() if here and len(here) == most)
        )
        if member is None:
            return ()
        turn = f"round robin in pool {pool}, after {last}" if last else f"round robin in pool {pool}, first in the list"
        given = [each for each in free if each.ref.crm in places[member]]
        for each in given:
            self._give(each, member, "; ".join((turn, *self._strangers(held, each.ref.crm))))
        self.turns[pool] = member
        return given

    def _give(self, record: Holding, human: str, why: str) -> None:
        self.owner_of[record.id] = self.owners.by_email[record.ref.crm, human]
        self.why[record.id] = why

    def _strangers(self, held: Mapping[Ref, str], crm: str) -> Iterator[str]:
        """That the owner whom the person has elsewhere cannot own a record in a CRM."""
        for ref, human in sorted(held.items()):
            if (crm, human) not in self.owners.by_email:
                unknown = state_of(self.owners, crm, human) == "missing"
                yield f"the owner in {ref.crm} is {'not a user' if unknown else 'not active'} in {crm}"
                return

    def _lack(self, free: Sequence[Holding], held: Mapping[Ref, str], pool: str) -> str:
        """Why nobody can be given the records, in few distinct sentences: they are counted."""
        return "; ".join(
            ", and ".join((*self._strangers(held, crm), self._absence(crm, pool)))
            for crm in sorted({each.ref.crm for each in free})
        )

    def _absence(self, crm: str, pool: str) -> str:
        if any(state_of(self.owners, crm, each) != "missing" for each in self.members[pool]):
            return f"no member of pool {pool} is active in {crm}"
        return f"no member of pool {pool} is a user in {crm}"


def _same_crm_first(humans: Mapping[Ref, str], crm: str) -> Sequence[tuple[Ref, str]]:
    return sorted(humans.items(), key=lambda each: each[0].crm != crm)
