"""What a config says of users and queues whom a CRM does not know, or who can own nothing there any longer."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from crmsync.config import Config
from crmsync.config.deciding import QUEUE
from crmsync.config.mistakes import Loc, suggest_name
from crmsync.lint.finding import Finding
from crmsync.routing.owners import Owners, state_of

_STATES = {"active": "active", "inactive": "not active", "missing": "not a user"}

_NEAR = 0.75
"""How near the name of a user must come to a written one: addresses of one company are alike in all but that."""


def assigns_owners(config: Config) -> bool:
    """Whether anybody may be given an owner."""
    return config.write.owner and bool(config.route)


def names_users(config: Config) -> bool:
    """Whether the file says anything of users that only the CRMs can answer."""
    return assigns_owners(config) or bool(config.write.unassigned_users) or any(_asked_owners(config))


def routed_pools(config: Config) -> set[str]:
    """The pools that somebody may be given to, by a route or as the fallback of another."""
    pools = {pool.name: pool.fallback for pool in config.owner_pool}
    routed = {route.to for route in config.route if route.to in pools}
    return routed | {fallback for name in routed if (fallback := pools[name]) in pools and fallback is not None}


def list_members(config: Config, crm: str, directory: Owners) -> list[dict[str, str]]:
    """What one CRM knows of the members of each pool that a route leads to."""
    routed = routed_pools(config)
    return [
        {"pool": pool.name, "email": member.email, "state": state_of(directory, crm, member.email)}
        for pool in config.owner_pool
        if pool.name in routed
        for member in pool.members
    ]


def describe_members(members: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Each pool in a line: who can own records in a CRM, and who cannot."""
    for pool in dict.fromkeys(each["pool"] for each in members):
        listed = (f"{each['email']} {_STATES[each['state']]}" for each in members if each["pool"] == pool)
        yield f"pool {pool}: {', '.join(listed)}"


def lint_owners(config: Config, directories: Mapping[str, Owners]) -> Iterator[Finding]:
    """Everybody whom the file names and a CRM cannot make an owner, with who was likely meant.

    `directories` has the users and queues of each CRM that was reached.
    """
    if assigns_owners(config):
        for crm, directory in directories.items():
            yield from _lint_members(config, crm, directory)
        yield from _lint_places(config, directories)
    if len(directories) == len(config.crms):
        yield from _lint_strangers(config, directories)


def _lint_members(config: Config, crm: str, directory: Owners) -> Iterator[Finding]:
    """Members who cannot own records in a CRM: a warning for one, an error where nobody of a pool is left."""
    members = list_members(config, crm, directory)
    places = {pool.name: (*loc, "members") for loc, pool in config.placed("owner_pool")}
    for pool in dict.fromkeys(each["pool"] for each in members):
        states = {each["email"]: each["state"] for each in members if each["pool"] == pool}
        meant = {email: _suggest_user(email, crm, directory) for email in states}
        if "active" not in states.values():
            named = "; ".join(
                f"{email} is {_STATES[state]}" + (f", {meant[email]}" if meant[email] else "")
                for email, state in states.items()
            )
            yield Finding(
                "error",
                f"[[owner_pool]] {pool}: no member can own records in {crm} ({named}), so people who are routed to "
                "it get no owner there; correct the addresses, or add the users",
                places[pool],
            )
            continue
        for email, state in states.items():
            if state != "active":
                remedy = meant[email] or "correct the address, activate the user, or remove the address"
                said = f"{email} is {_STATES[state]} in {crm} and gets no records there"
                yield Finding("warning", f"[[owner_pool]] {pool}: {said}; {remedy}")


def _lint_places(config: Config, directories: Mapping[str, Owners]) -> Iterator[Finding]:
    """Users and queues that routes, and pools without anybody available, lead to and that are not there."""
    routed = routed_pools(config)
    places: list[tuple[Loc, str, str]] = [
        ((*loc, "to"), f"[[route]] {each.name}", each.to) for loc, each in config.placed("route")
    ]
    places += [
        ((*loc, "fallback"), f"[[owner_pool]] {it.name}", it.fallback)
        for loc, it in config.placed("owner_pool")
        if it.fallback and it.name in routed
    ]
    for loc, what, to in places:
        if to.startswith(QUEUE):
            known = [each.queue_of(crm, to) for crm, each in directories.items()]
            if not any(known) and len(known) == len(config.crms):
                queues = [it.name for each in directories.values() for it in each.by_id.values() if it.kind == "queue"]
                said = f"no CRM has the {to.replace(':', ' ', 1)}, so people who are routed to it wait"
                remedy = suggest_name(to.removeprefix(QUEUE), queues, "correct the name, or add the queue")
                yield Finding("error", f"{what}: {said}; {remedy}", loc)
        elif "@" in to and to not in config.tracks:
            for crm, each in directories.items():
                if (state := state_of(each, crm, to)) != "active":
                    said = f"{to} is {_STATES[state]} in {crm}, so people who are routed to them get no owner there"
                    otherwise = "add" if state == "missing" else "activate"
                    remedy = _suggest_user(to, crm, each) or f"correct the address, or {otherwise} the user"
                    yield Finding("error", f"{what}: {said}; {remedy}", loc)


def _lint_strangers(config: Config, directories: Mapping[str, Owners]) -> Iterator[Finding]:
    """Users of whom something is asked or said, and whom no CRM knows: it never holds."""
    named = [("[write] unassigned_users", each) for each in config.write.unassigned_users]
    for what, address in dict.fromkeys((*named, *_asked_owners(config))):
        if all(state_of(each, crm, address) == "missing" for crm, each in directories.items()):
            meant = (_suggest_user(address, crm, each) for crm, each in directories.items())
            remedy = next(filter(None, meant), "correct the address, or remove it")
            yield Finding("warning", f"{what}: {address} is a user of no CRM; {remedy}")


def _asked_owners(config: Config) -> Iterator[tuple[str, str]]:
    """The addresses of owners that routes, stages and tracks ask for, with who asks."""
    for loc, condition in config.placed_decisions():
        table, key = str(loc[0]), loc[1]
        who = f"[tracks] {key}" if isinstance(key, str) else f"[[{table}]] {getattr(config, table)[key].name}"
        for part in condition.parts():
            if part.field in ("owner", "account.owner") and part.field not in config.fields:
                yield from ((who, each.strip()) for each in part.words() if "@" in each)


def _suggest_user(address: str, crm: str, directory: Owners) -> str:
    """The active user of a CRM who was likely meant, as a question: by address or by name; `""` where nobody is.

    Somebody who is there and not active was meant.
    """
    if state_of(directory, crm, address) != "missing":
        return ""
    names: dict[str, str] = {}
    for owner_crm, owner_id in directory.by_email.items():
        owner = directory.by_id[owner_crm[0], owner_id]
        if owner.crm == crm:
            names |= {_plain(owner.name): owner.email, _plain(owner.email.partition("@")[0]): owner.email}
    near = difflib.get_close_matches(_plain(address.partition("@")[0]), names, n=1, cutoff=_NEAR)
    return f"did you mean {names[near[0]]!r}?" if near else ""


def _plain(name: str) -> str:
    """A name or the first part of an address, to be compared: `Dana Whitlock` and `dana.whitlock` are one."""
    return "".join(each for each in name.casefold() if each.isalnum())
