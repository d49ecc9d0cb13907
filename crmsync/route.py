"""Where a person goes: which lifecycle stage their band earns, and whose turn it is to own them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from crmsync.config import OwnerPool, Route, Stage
from crmsync.model import Holding, Owner


def stage_of_band(stages: Sequence[Stage], bands: Sequence[str]) -> dict[str, str]:
    """For each band the furthest stage it earns: the last one in the file whose own band it reaches."""
    earned: dict[str, str] = {}
    for place, band in enumerate(bands):
        reached = [stage.name for stage in stages if stage.band in bands[: place + 1] and stage.band is not None]
        if reached:
            earned[band] = reached[-1]
    return earned


class Owners(NamedTuple):
    """Who can own records: each owner by (crm, id), and the id of each active user by (crm, e-mail address)."""

    by_id: Mapping[tuple[str, str], Owner]
    by_email: Mapping[tuple[str, str], str]
    nobody: frozenset[str]

    def somebody(self, crm: str, owner_id: str | None) -> str | None:
        """The e-mail address of an active user who owns something; `None` for nobody, a queue or somebody who left.

        An owner that the CRM does not list is not ours to replace: their id stands in for the address.
        """
        if not owner_id:
            return None
        owner = self.by_id.get((crm, owner_id))
        if owner is None:
            return owner_id
        email = owner.email.lower()
        return email if owner.active and owner.kind == "user" and email not in self.nobody else None


def owners_of(owners: Iterable[Owner], nobody: Iterable[str]) -> Owners:
    """Index the owners of all CRMs."""
    everybody = list(owners)
    return Owners(
        by_id={(owner.crm, owner.id): owner for owner in everybody},
        by_email={
            (owner.crm, owner.email.lower()): owner.id
            for owner in everybody
            if owner.active and owner.kind == "user" and owner.email
        },
        nobody=frozenset(each.lower() for each in nobody),
    )


def next_member(members: Sequence[str], last: str | None, available: frozenset[str]) -> str | None:
    """Whose turn comes after `last` among those available: round robin in the order of the file."""
    lowered = [member.lower() for member in members]
    start = lowered.index(last) + 1 if last in lowered else 0
    turn = lowered[start:] + lowered[:start]
    return next((member for member in turn if member in available), None)


def pool_of_band(band: str, routes: Sequence[Route]) -> str | None:
    """The pool of the first route that names the band."""
    return next((route.pool for route in routes if band in route.bands), None)


class Assignment(NamedTuple):
    """The owner ids that contacts (by row id) should get, and where each rotation stands afterwards."""

    owner_of: Mapping[int, str]
    pointers: Mapping[str, str]


def assign(
    people: Iterable[tuple[str, Sequence[Holding]]],
    routes: Sequence[Route],
    pools: Sequence[OwnerPool],
    pointers: Mapping[str, str],
    owners: Owners,
) -> Assignment:
    """Give an owner to the records that have none, of the people (band, records) that a route names.

    Where one record of a person has an owner already, the person's other records get the same human; else it is
    the next member's turn. A record with an active owner is never touched. People are served in the order given.
    """
    members = {pool.name: pool.members for pool in pools}
    turns = dict(pointers)
    owner_of: dict[int, str] = {}
    for band, records in people:
        pool = pool_of_band(band, routes)
        free = [each for each in records if owners.somebody(each.ref.crm, each.owner) is None]
        if pool is None or not free:
            continue
        email = _owner_elsewhere(records, owners)
        if email is None:
            email = next_member(members[pool], turns.get(pool), _available(members[pool], free, owners))
            if email is None:
                continue
            turns[pool] = email
        for each in free:
            if owner_id := owners.by_email.get((each.ref.crm, email)):
                owner_of[each.id] = owner_id
    return Assignment(owner_of, turns)


def _owner_elsewhere(records: Sequence[Holding], owners: Owners) -> str | None:
    emails = (owners.somebody(each.ref.crm, each.owner) for each in records)
    return next((email for email in emails if email and "@" in email), None)


def _available(members: Sequence[str], free: Sequence[Holding], owners: Owners) -> frozenset[str]:
    """Members who can own a record in every CRM that needs an owner."""
    crms = {each.ref.crm for each in free}
    return frozenset(
        member.lower() for member in members if all((crm, member.lower()) in owners.by_email for crm in crms)
    )
