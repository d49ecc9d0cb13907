"""Accounts with their scores, their people, and the roles of the buying group that nobody fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.account import AccountRules
from crmsync.errors import ConfigError, SeveralFound
from crmsync.identity.domains import registrable_domain
from crmsync.planning.accounts import score_stored_accounts
from crmsync.routing.owners import Owners, owners_of
from crmsync.scoring.wording import to_points
from crmsync.store.accounts import StoredAccount, StoredPeople, find_account_people, read_people_names
from crmsync.store.database import Store
from crmsync.store.owners import read_owners

CANDIDATES = 10
"""Accounts of one name that are listed."""


class ListedAccounts(NamedTuple):
    """Accounts as documents, by their number (`None` where nobody counts), their people, and by role who fills it."""

    documents: Sequence[dict[str, Any] | None]
    people: StoredPeople
    fillers: Mapping[str, NDArray[np.bool_]]


def accounts_document(
    config: Config, store: Store | None, now: datetime, missing: str | None, top: int | None
) -> dict[str, Any]:
    """Every account, the highest score first; with `missing` those where nobody has this role, of all the `top` first.

    Raises `ConfigError` where no run has been yet, the config has no [account], or there is no such role.
    """
    rules, stored = _opened(config, store)
    if missing is not None and missing not in rules.roles:
        known = f"the roles are {', '.join(rules.roles)}" if rules.roles else "[account.roles] has none"
        raise ConfigError(f"there is no role {missing!r}; {known}")
    with stored.read() as reading:
        found = _score(config, reading, now).documents
    listed = [each for each in found if each is not None and (missing is None or missing in each["missing"])]
    listed.sort(key=lambda each: (-each["score"], each["name"] or each["domain"] or "", each["domain"] or ""))
    return {"accounts": listed[:top], "count": len(listed), "method": rules.score}


def account_document(config: Config, store: Store | None, which: str, now: datetime) -> dict[str, Any]:
    """The same of one account, by its name or domain, with everybody who counts for it as `members`.

    Raises `ConfigError` where there is none (or as `accounts_document`), `SeveralFound` for several.
    """
    rules, stored = _opened(config, store)
    with stored.read() as reading:
        found = _score(config, reading, now, find_account_people(reading, which.strip(), registrable_domain(which)))
        number = _choose(found.documents, which)
        people = np.flatnonzero(found.people.account == number)
        listed = {**_document_of(found, number), "members": _members(reading, found, people)}
    return {"accounts": [listed], "count": 1, "method": rules.score}


def account_of_person(config: Config, connection: Connection, person_id: int, now: datetime) -> dict[str, Any] | None:
    """The account that somebody counts for, with score and roles; `None` where they count for none."""
    found = _score(config, connection, now, [person_id])
    places = np.flatnonzero(found.people.people == person_id)
    return _document_of(found, int(found.people.account[places[0]])) if len(places) else None


def _opened(config: Config, store: Store | None) -> tuple[AccountRules, Store]:
    if config.account is None:
        raise ConfigError(
            'accounts are not scored: the config has no [account]; add it, for example with score = "top_three"',
            "crmsync check",
        )
    if store is None:
        raise ConfigError("No run yet, so there are no accounts to list", "crmsync plan")
    return config.account, store


def _document_of(found: ListedAccounts, number: int) -> dict[str, Any]:
    return found.documents[number] or {}


def _score(
    config: Config, connection: Connection, now: datetime, around: Sequence[int] | None = None
) -> ListedAccounts:
    # Whoever is shown one by one has a band.
    found = score_stored_accounts(config, connection, now, around, () if around is None else ("band",))
    people, many = found.people, len(found.accounts)
    active = np.bincount(people.account[people.active], minlength=many).tolist()
    owners = owners_of(read_owners(connection), config.write.unassigned_users)
    documents = [
        {
            "name": account.name or None,
            "domain": account.domain or None,
            "owner": _owner(config, owners, account),
            "score": to_points(found.scores[number]),
            "people": found.counts[number],
            "active_people": active[number],
            "roles": {name: counts[number] for name, counts in found.filled.items()},
            "missing": list(found.find_missing_roles(number)),
        }
        if found.counts[number]
        else None
        for number, account in enumerate(found.accounts)
    ]
    return ListedAccounts(documents, people, found.fillers)


def _owner(config: Config, owners: Owners, account: StoredAccount) -> str | None:
    """The address of the active user who owns the account, in the CRM that comes first."""
    order = config.identity.source_of_truth
    ranked = sorted(account.owners.items(), key=lambda each: order.index(each[0]) if each[0] in order else len(order))
    found = (owners.somebody(crm, owner) for crm, owner in ranked)
    return next((each for each in found if each is not None and "@" in each), None)


def _choose(documents: Sequence[dict[str, Any] | None], which: str) -> int:
    """The number of the account that has this domain, or else this name."""
    wanted, domain = which.strip().casefold(), registrable_domain(which)
    there = {number: each for number, each in enumerate(documents) if each is not None}
    found = [number for number, each in there.items() if domain and each["domain"] == domain]
    found = found or [number for number, each in there.items() if (each["name"] or "").casefold() == wanted]
    if not found:
        raise ConfigError(f"there is no account {which!r}; give its whole name or its domain", "crmsync accounts")
    if len(found) > 1:
        meant = [f"  {documents[each]['domain'] or 'no domain'}" for each in found[:CANDIDATES]]  # type: ignore[index]
        left = [f"  and {len(found) - CANDIDATES:,} more"] if len(found) > CANDIDATES else []
        raise SeveralFound(
            f"{which!r} is the name of {len(found):,} accounts; choose one by its domain:", [*meant, *left]
        )
    return found[0]


def _members(connection: Connection, found: ListedAccounts, places: Any) -> list[dict[str, Any]]:
    """The people of an account, the highest score first."""
    people = found.people
    names = read_people_names(connection, people.people[places].tolist())
    members = [
        {
            "person": int(people.people[place]),
            "name": names[int(people.people[place])][0],
            "emails": names[int(people.people[place])][1],
            "score": to_points(int(people.total[place])),
            "band": people.columns["band"][place],
            "active": bool(people.active[place]),
            "roles": [name for name, mask in found.fillers.items() if mask[place]],
        }
        for place in places.tolist()
    ]
    return sorted(members, key=lambda each: (-each["score"], each["name"], each["emails"], each["person"]))
