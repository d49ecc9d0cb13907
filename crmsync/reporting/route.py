"""Where one person goes: each route in turn, whose turn it is, and what would have sent them elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from crmsync.columns import Columns
from crmsync.config import Config
from crmsync.config.deciding import Route
from crmsync.errors import ConfigError
from crmsync.planning.changes import is_owner_chosen
from crmsync.planning.deadlines import read_breaches
from crmsync.planning.desk import NO_ACCOUNT, ask_owner, read_account_views, read_desk, state_of_person, worth_in_pools
from crmsync.planning.people_columns import read_holds, read_people_columns
from crmsync.reporting.person import find_person
from crmsync.routing.assignment import Unassigned, assign_owners
from crmsync.routing.decisions import PersonState, RoutingDecision, decide_people, known_values
from crmsync.routing.owners import Owners, owners_of
from crmsync.routing.sla import owners_to_replace
from crmsync.routing.why_not import find_instead
from crmsync.scoring import score
from crmsync.scoring.wording import describe_condition
from crmsync.store.database import Store
from crmsync.store.owners import owner_names, read_owners
from crmsync.store.queries import records_of
from crmsync.store.scores import known_scores, live_contacts
from crmsync.store.sql import to_ms


def route_document(config: Config, store: Store | None, who: str, now: datetime) -> dict[str, Any]:
    """Which route takes somebody as of `now` (aware) by the present config, each other and why not, and the turn.

    Raises `ConfigError` when `who` is nobody, `SeveralFound` for several people.
    """
    if store is None:
        raise ConfigError("No run yet, so there are no people to route", "crmsync plan")
    with store.read() as reading:
        return _document(config, reading, find_person(config, reading, who), now)


def _document(config: Config, reading: Connection, person: int, now: datetime) -> dict[str, Any]:
    columns = read_people_columns(reading, config, [person], read_holds(reading, config, now), now=now)
    before = known_scores(reading, [person]).get(person)
    previous = before.band if before else None
    scores = score(config, columns, now, config.zone, [previous])
    records = [each for each in live_contacts(reading, [person]) if each.person == person]
    owners = owners_of(read_owners(reading), config.write.unassigned_users)
    account = read_account_views(reading, config, owners, [person], now).get(person, NO_ACCOUNT)
    state = state_of_person(owners, before, records, account)
    (decision,) = decide_people(config, scores, columns, [0], [state], int(now.timestamp() * 1000))
    known = records_of(reading, person)
    said = {
        "person": person,
        "name": next((each.name for each in known if each.name), ""),
        "emails": sorted({mail for each in known for mail in orjson.loads(each.emails)}),
        "excluded": before.excluded if before else "",
        "stage": decision.move.state.stage or None,
        "stage_why": decision.move.why,
    }
    instead = find_instead(config, columns, state, now, previous) if decision.routes else {}
    if said["excluded"]:
        rules = list(_rules(config, columns, scores, state, decision, None, now))
        nobody = {"to": None, "member": None, "turn": f"excluded: {said['excluded']}", "track": None}
        return {**said, "rules": rules, **nobody, "instead": instead}
    now_ms, override = to_ms(now), int(config.write.manual_override.total_seconds() * 1000)
    chosen = [each for each in records if is_owner_chosen(each, now_ms, override)]
    asked = ask_owner(
        person,
        decision.routes,
        # Whom a user left without an owner stays so.
        [each for each in records if each.owner or each not in chosen],
        worth_in_pools(config, columns, scores, 0),
        account,
        before,
        is_chosen=bool(chosen),
        late=owners_to_replace(config.sla, read_breaches(reading, config, now, person)).get(person, ""),
    )
    taken, destination = _destination(config, reading, owners, asked, decision, now, is_chosen=bool(chosen))
    rules = list(_rules(config, columns, scores, state, decision, taken, now))
    return {
        **said,
        "rules": rules,
        **destination,
        "instead": {name: change for name, change in instead.items() if name != taken},
    }


def _rules(
    config: Config,
    columns: Columns,
    scores: Any,
    state: PersonState,
    decision: RoutingDecision,
    taken: str | None,
    now: datetime,
) -> Iterator[dict[str, Any]]:
    """Each route: whether its condition holds, and the values that decided that; `taken` is the one that leads."""
    known = known_values(config, scores, columns, state, decision, to_ms(now))
    names = [each.name for each in decision.routes]
    taken = taken if taken in names else next(iter(names), None)
    for route in config.route:
        why = _why(route, known)
        if not names and config.route:
            why = f"not asked: {decision.unrouted_why}"
        elif taken is not None and route.name in names and route.name != taken:
            is_before = names.index(route.name) < names.index(taken)
            why += "; but it leads to nobody, so that the next is asked" if is_before else f"; but {taken} comes first"
        yield {"name": route.name, "to": route.to, "matched": route.name in names, "why": why}


def _why(route: Route, known: Mapping[str, Any]) -> str:
    if route.when is None:
        return "it is for everybody else"
    values = ", ".join(f"{name} {_shown(known.get(name))}" for name in sorted(route.when.fields()))
    return f"asks: {describe_condition(route.when)}; found: {values}"


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "not known"
    return ", ".join(value) if isinstance(value, tuple) else f"{value:,}" if isinstance(value, int) else str(value)


def _destination(
    config: Config,
    reading: Connection,
    owners: Owners,
    asked: Unassigned,
    decision: RoutingDecision,
    now: datetime,
    *,
    is_chosen: bool,
) -> tuple[str | None, dict[str, Any]]:
    """The route that leads, `None` where the owner stays or nobody is asked, and where it leads."""
    person, track = asked.person, decision.track or None
    held = next((each for each in asked.records if owners.somebody(each.ref.crm, each.owner)), None)
    name = None
    if held is not None:
        name = owner_names(reading).get((held.ref.crm, str(held.owner)), str(held.owner))
    stays = {"to": None, "member": name, "track": track}
    if held is not None and not asked.late and not (asked.routes and asked.routes[0].reassign):
        return None, {**stays, "turn": f"keeps the owner, {'whom a user chose' if is_chosen else 'who is active'}"}
    if not asked.routes:
        return None, {**stays, "turn": f"not routed: {decision.unrouted_why or 'the file has no [[route]]'}"}
    if not asked.records:
        return None, {**stays, "turn": "a user left the person without an owner, which is respected for a time"}
    found = assign_owners([asked], read_desk(reading, config, owners, {}, now))
    hand_off = found.hand_offs.get(person)
    route = next(each for each in asked.routes if each.name == found.routes[person])
    if person in found.waiting:
        turn = f"waits: {found.waiting[person]}"
        return route.name, {"to": route.to, "member": None, "turn": turn, "track": track}
    if hand_off is not None:
        return route.name, {"to": route.to, "member": hand_off.owner, "turn": hand_off.why, "track": track}
    if held is not None:
        return route.name, {**stays, "turn": "keeps the owner, who is one of those that the route leads to"}
    queued = next((each for each in asked.records if each.owner in owners.queues.values()), None)
    if queued is not None and route.to not in config.tracks:
        queue = owner_names(reading).get((queued.ref.crm, str(queued.owner)), str(queued.owner))
        return route.name, {"to": route.to, "member": queue, "turn": "is in this queue already", "track": track}
    turn = "no owner is needed"
    return route.name, {"to": route.to, "member": None, "turn": turn, "track": found.tracks.get(person, track)}
