"""What the routes of a config would have done with the people of the last days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.deciding import COLLEAGUE_OWNER
from crmsync.counts import count_of
from crmsync.errors import ConfigError
from crmsync.model import Holding
from crmsync.planning.desk import NO_ACCOUNT, read_account_views, read_marks, state_of_person, worth_in_pools
from crmsync.planning.people_columns import read_holds, read_people_columns
from crmsync.routing.decisions import decide_people
from crmsync.routing.exclusion import find_excluded
from crmsync.routing.owners import Owners, owners_of, state_of
from crmsync.routing.simulation import Arrival, Assigned, RepTally, find_routed_pools, simulate_routing
from crmsync.scoring import score
from crmsync.scoring.wording import to_points
from crmsync.store.arrivals import find_arrivals, read_touches
from crmsync.store.database import Store
from crmsync.store.memberships import find_unread
from crmsync.store.owners import read_owners
from crmsync.store.score_inputs import Facts
from crmsync.store.scores import PEOPLE_AT_ONCE, known_scores, live_contacts
from crmsync.store.sql import from_ms, in_chunks, to_ms


def simulation_document(config: Config, store: Store | None, days: int, now: datetime) -> dict[str, Any]:
    """Who would have got the arrivals of the last days before `now` (aware) by this config.

    Raises `ConfigError` where there are no people yet, or no routes.
    """
    if store is None:
        raise ConfigError("No run yet, so there are no people to route", "crmsync plan")
    if not config.route:
        raise ConfigError("the file has no [[route]], so there is nothing to simulate; add one")
    start = now - timedelta(days=days)
    with store.read() as reading:
        owners = owners_of(read_owners(reading), config.write.unassigned_users)
        found = _read_arrivals(config, reading, owners, start, now)
        lists = config.excluded_lists().items()
        unread = [(crm, each) for crm, asked in lists for each in find_unread(reading, crm, asked)]
    simulated = simulate_routing(config, found.arrivals, owners, start, now)
    return {
        "days": days,
        "from": start.isoformat(),
        "to": now.isoformat(),
        "arrivals": len(found.arrivals),
        "reps": [_rep(each) for each in simulated.reps],
        "unrouted": [{**each._asdict(), "at": from_ms(each.at).isoformat()} for each in simulated.unrouted],
        "nurture": simulated.nurture,
        "assignments": [_assignment(each) for each in simulated.assigned],
        "notes": [*_notes(found), *_config_notes(config, owners), *map(_unread_note, unread)],
    }


def _rep(tally: RepTally) -> dict[str, Any]:
    said = {**tally._asdict(), "value": to_points(tally.value)}
    if not tally.pool:
        del said["pool"]
    return said


def _assignment(each: Assigned) -> dict[str, Any]:
    return {
        "person": each.person,
        "at": from_ms(each.at).isoformat(),
        "email": each.owner,
        "rule": each.route,
        "pool": each.pool or None,
    }


class _Found(NamedTuple):
    """The arrivals, and how many people are none, by the reason."""

    arrivals: Sequence[Arrival]
    undated: int
    excluded: int
    crm_owned: int
    tagged: int


def _read_arrivals(config: Config, reading: Connection, owners: Owners, start: datetime, now: datetime) -> _Found:
    crms, crm_owned = list(config.crms), config.crm_owned  # once, since it looks for the installed connectors
    came = find_arrivals(reading, crms, to_ms(start), to_ms(now))
    facts: Facts = {}
    holds = read_holds(reading, config, now)
    arrivals: list[Arrival] = []
    excluded = taken = tagged = 0
    for people in in_chunks(came.at, PEOPLE_AT_ONCE):
        columns = read_people_columns(reading, config, people, holds, facts, now=now)
        before = known_scores(reading, people)
        scores = score(config, columns, now, config.zone, [before[each].band if each in before else None
                                                           for each in people])  # fmt: skip
        records: dict[int, list[Holding]] = {each: [] for each in people}
        for held in live_contacts(reading, people):
            if held.person in records and held.ref.crm in crms:
                records[held.person].append(held._replace(owner=None))
        left_out = find_excluded(config, columns, read_marks(reading, config, people), now)
        views = read_account_views(reading, config, owners, people, now)
        accounts = [views.get(each, NO_ACCOUNT) for each in people]
        states = [
            state_of_person(owners, before.get(person), records[person], account)
            for person, account in zip(people, accounts, strict=True)
        ]
        decisions = decide_people(config, scores, columns, range(len(people)), states, to_ms(now))
        touches = read_touches(reading, people, to_ms(start), to_ms(now)) if config.sla else {}
        emails, totals = columns.fields["email"], scores.total.tolist()
        for row, person in enumerate(people):
            if left_out[row]:
                excluded += 1
            elif decisions[row].move.state.stage in crm_owned:
                taken += 1
            elif decisions[row].tag.unrouted:
                tagged += 1
            else:
                arrivals.append(
                    Arrival(
                        person,
                        came.at[person],
                        str(emails[row] or ""),
                        totals[row],
                        decisions[row].routes,
                        records[person],
                        worth_in_pools(config, columns, scores, row),
                        accounts[row].owners,
                        accounts[row].colleagues,
                        decisions[row].move.state.stage,
                        touches.get(person, ()),
                    )
                )
    return _Found(arrivals, came.undated, excluded, taken, tagged)


def _notes(found: _Found) -> Iterator[str]:
    yield "Everybody is scored as known today, and nobody has an owner or had a turn when the period begins."
    if found.undated:
        verb = "is not an arrival" if found.undated == 1 else "are not arrivals"
        yield f"{count_of(found.undated, 'person')} {verb}: no CRM said when they were created."
    if found.excluded:
        yield f"{count_of(found.excluded, 'person')} came whom [exclude] leaves out."
    if found.crm_owned:
        yield f"{count_of(found.crm_owned, 'person')} came who are in a stage that the CRM itself gives."
    if found.tagged:
        yield f"{count_of(found.tagged, 'person')} came whose [feedback] tag keeps them from every route."


def _unread_note(of: tuple[str, str]) -> str:
    crm, name = of
    return f"[exclude]: crmsync has not read the list {name!r} of {crm} yet, so that its members are arrivals here."


def _config_notes(config: Config, owners: Owners) -> Iterator[str]:
    if config.sla is not None:
        yield "Breaches go by the touches as they really were, whoever made them."
    if not config.write.owner:
        yield "[write] owner is false, so that a run gives nobody an owner."
    for route in config.route:
        if route.to == COLLEAGUE_OWNER:
            yield f"[[route]] {route.name}: of colleagues only those count who came in these days."
    crms = list(config.crms)
    for pool in find_routed_pools(config):
        for member in pool.members:
            if not any(state_of(owners, crm, member.email) == "active" for crm in crms):
                yield f"[[owner_pool]] {pool.name}: {member.email} is not an active user of a CRM and gets nobody."
