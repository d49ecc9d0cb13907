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
from crmsync.planning.desk import NO_ACCOUNT, read_account_views, read_desk, state_of_person, worth_in_pools
from crmsync.reporting.person import find_person
from crmsync.routing.assignment import Unassigned, assign_owners
from crmsync.routing.decisions import PersonState, RoutingDecision, decide_people, known_values
from crmsync.routing.owners import Owners, owners_of
from crmsync.routing.why_not import find_instead
from crmsync.scoring import score
from crmsync.scoring.wording import describe_condition
from crmsync.store import score_inputs
from crmsync.store.database import Store
from crmsync.store.owners import owner_names, read_owners
from crmsync.store.queries import records_of
from crmsync.store.scores import known_scores, live_contacts


def route_document(config: Config, store: Store | None, who: str, now: datetime) -> dict[str, Any]:
    """Which route takes somebody as of `now` (aware) by the present config, each other and why not, and the turn.

    Raises `ConfigError` when `who` is nobody, `SeveralFound` for several people.
    """
    if store is None:
        raise ConfigError("No run yet, so there are no people to route", "crmsync plan")
    with store.read() as reading:
        return _document(config, reading, find_person(reading, who), now)


def _document(config: Config, reading: Connection, person: int, now: datetime) -> dict[str, Any]:
    precedence = config.identity.source_of_truth
    columns = score_inputs.read_columns(reading, [person], sorted(config.fields), precedence)
    before = known_scores(reading, [person]).get(person)
    previous = before.band if before else None
    scores = score(config, columns, now, config.zone, [previous])
    records = [each for each in live_contacts(reading, [person]) if each.person == person]
    owners = owners_of(read_owners(reading), config.write.unassigned_users)
    account = read_account_views(reading, config, owners, [person], now).get(person, NO_ACCOUNT)
    state = state_of_person(owners, before, records, account)
    (decision,) = decide_people(config, scores, columns, [0], [state], int(now.timestamp() * 1000))
    said = {
        "person": person,
        "name": next((each.name for each in records_of(reading, person) if each.name), ""),
        "emails": sorted({mail for each in records_of(reading, person) for mail in orjson.loads(each.emails)}),
        "excluded": before.excluded if before else "",
        "rules": list(_rules(config, columns, scores, state, decision)),
        "stage": decision.move.state.stage or None,
        "stage_why": decision.move.why,
        "instead": find_instead(config, columns, state, now, previous),
    }
    if said["excluded"]:
        return {**said, "to": None, "member": None, "turn": f"excluded: {said['excluded']}", "track": None}
    worth = worth_in_pools(config, columns, scores, 0)
    asked = Unassigned(
        person,
        decision.routes,
        records,
        worth,
        account.owners,
        account.colleague_owners,
        before.waiting_since if before else None,
        account.colleagues,
    )
    return {**said, **_destination(config, reading, owners, asked, decision, now)}


def _rules(
    config: Config, columns: Columns, scores: Any, state: PersonState, decision: RoutingDecision
) -> Iterator[dict[str, Any]]:
    """Each route: whether its condition holds, and the values that decided that."""
    taken = decision.routes[0].name if decision.routes else None
    known = known_values(config, scores, columns, state, decision)
    for route in config.route:
        matched = route in decision.routes
        yield {"name": route.name, "to": route.to, "matched": matched, "why": _why(route, known, matched, taken)}


def _why(route: Route, known: Mapping[str, Any], matched: bool, taken: str | None) -> str:
    if route.when is None:
        asked = "it is for everybody else"
    else:
        values = ", ".join(f"{name} {_shown(known.get(name))}" for name in sorted(route.when.fields()))
        asked = f"asks: {describe_condition(route.when)}; found: {values}"
    if matched:
        return asked if route.name == taken else f"{asked}; but {taken} comes first"
    return asked


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
) -> dict[str, Any]:
    person = asked.person
    held = next((each for each in asked.records if owners.somebody(each.ref.crm, each.owner)), None)
    reassigned = bool(decision.routes and decision.routes[0].reassign)
    track = decision.track or None
    if held is not None and not reassigned:
        name = owner_names(reading).get((held.ref.crm, str(held.owner)), str(held.owner))
        return {"to": None, "member": name, "turn": "keeps the owner, who is active", "track": track}
    if not decision.routes:
        why = decision.unrouted_why or "the file has no [[route]]"
        return {"to": None, "member": None, "turn": f"not routed: {why}", "track": track}
    found = assign_owners([asked], read_desk(reading, config, owners, {}, now))
    hand_off = found.hand_offs.get(person)
    route = next(each for each in decision.routes if each.name == found.routes[person])
    if person in found.waiting:
        return {"to": route.to, "member": None, "turn": f"waits: {found.waiting[person]}", "track": track}
    if hand_off is None:
        return {"to": route.to, "member": None, "turn": "no owner is needed", "track": found.tracks.get(person, track)}
    return {"to": route.to, "member": hand_off.owner, "turn": hand_off.why, "track": track}
