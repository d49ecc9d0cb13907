"""Who can own records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from crmsync.config.deciding import QUEUE
from crmsync.identity.matching import normal_email
from crmsync.model import Owner


class Owners(NamedTuple):
    """Who can own records: each owner by (crm, id), the id of each active user and all users by (crm, address).

    `queues` has the id of each queue by (crm, name in lower case).
    """

    by_id: Mapping[tuple[str, str], Owner]
    by_email: Mapping[tuple[str, str], str]
    users: frozenset[tuple[str, str]]
    nobody: frozenset[str]
    queues: Mapping[tuple[str, str], str] = {}

    def somebody(self, crm: str, owner_id: str | None) -> str | None:
        """The e-mail address of an active user who owns something; `None` for nobody, a queue or somebody who left.

        An owner that the CRM does not list is not ours to replace: their id stands in for the address.
        """
        if not owner_id:
            return None
        owner = self.by_id.get((crm, owner_id))
        if owner is None:
            return owner_id
        email = normal_email(owner.email)
        return email if owner.active and owner.kind == "user" and email not in self.nobody else None

    def queue_of(self, crm: str, to: str) -> str | None:
        """The id of a queue as a route names it ("queue:Inbound"); `None` where the CRM has none of that name."""
        return self.queues.get((crm, to.removeprefix(QUEUE).strip().lower())) if to.startswith(QUEUE) else None


def owners_of(owners: Iterable[Owner], nobody: Iterable[str]) -> Owners:
    """Index the owners of all CRMs."""
    everybody = list(owners)
    left_out = frozenset(map(normal_email, nobody))
    active = [owner for owner in everybody if owner.active and owner.kind == "user" and owner.email]
    return Owners(
        by_id={(owner.crm, owner.id): owner for owner in everybody},
        by_email={
            (owner.crm, email): owner.id for owner in active if (email := normal_email(owner.email)) not in left_out
        },
        users=frozenset((owner.crm, normal_email(owner.email)) for owner in everybody if owner.kind == "user"),
        nobody=left_out,
        queues={(owner.crm, owner.name.strip().lower()): owner.id for owner in everybody if owner.kind == "queue"},
    )


def state_of(owners: Owners, crm: str, address: str) -> Literal["active", "inactive", "missing"]:
    """What a CRM knows of somebody: a user who can own records, one who cannot (any longer), or nothing."""
    who = crm, normal_email(address)
    return "active" if who in owners.by_email else "inactive" if who in owners.users else "missing"
