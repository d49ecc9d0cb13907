"""Who may need an owner, and in which order they are served: the hottest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from crmsync.model import Holding, Scalar
from crmsync.planning.desk import ask_owner, read_desk
from crmsync.planning.person_plan import PlanBuilder
from crmsync.planning.scored_people import Scored
from crmsync.routing.assignment import Assignment, Unassigned, assign_owners
from crmsync.store import journal
from crmsync.work import Work


def may_need_owner(desk: PlanBuilder, person: Scored, records: Sequence[Holding], late: Mapping[int, str]) -> bool:
    """Whether a person has to be served after all others: not those who keep their owner, or whose route is a track.

    `late` are those whose owner was not in touch in time.
    """
    config, routes = desk.work.config, person.decision.routes if person.decision else ()
    if not config.write.owner or not routes:
        return False
    owned = [desk.setting.owners.somebody(it.ref.crm, it.owner) is not None for it in records]
    if routes[0].to in config.tracks:
        # Whom a record belongs to belongs to them in the other CRM, too.
        return any(owned) and not all(owned)
    return not all(owned) or person.person in late or any(each.reassign for each in routes)


def assign_unowned(
    work: Work,
    tx: Connection,
    desk: PlanBuilder,
    routed: list[tuple[Scored, list[Holding]]],
    promised: Mapping[int, str],
    late: Mapping[int, str],
) -> Assignment:
    """Serve the people who may need an owner: the hottest first, then those who came first, then by address.

    `routed` is brought into that order. `promised` are the owners that an interrupted run had chosen (the CRM's id by
    contact), `late` are those who were not in touch with a person in time. Records that a user left without an owner
    are theirs, and those in a CRM that the config no longer has are nobody's.
    """
    routed.sort(key=_turn_order)
    absent: dict[int, str] = {}
    # Whose turn it was stays so: a refusal or a crash must not cost somebody a second turn.
    tried = [it.id for person, records in routed if _was_served(person) for it in records]
    refused = journal.refused_owners(tx, tried, work.now_ms)
    undone = {it.id: str(value) for _, records in routed for it in records if (value := _undone_owner(it))}
    kept = {**undone, **refused, **promised}
    at = read_desk(tx, work.config, desk.setting.owners, kept, work.now)
    at = at if desk.turns is None else at._replace(standings=desk.turns.standings())
    given = assign_owners(_ask_owners(work, desk, routed, late, absent), at)
    return given._replace(waiting={**given.waiting, **absent})


def _ask_owners(
    work: Work,
    desk: PlanBuilder,
    routed: Iterable[tuple[Scored, list[Holding]]],
    late: Mapping[int, str],
    absent: dict[int, str],
) -> Iterator[Unassigned]:
    """What is asked for each of these people; why those wait of whom a CRM is out of sight comes into `absent`."""
    for person, records in routed:
        ours = [it for it in records if it.ref.crm in work.crms and not (desk.is_overridden(it) and not it.owner)]
        missing = sorted({it.ref.crm for it in ours} - set(desk.setting.crms))
        if not missing:
            # All records of a person get the same human (W14), so that none may be out of sight.
            routes = person.decision.routes if person.decision else ()
            is_chosen = any(map(desk.is_overridden, ours))
            yield ask_owner(
                person.person,
                routes,
                ours,
                person.worth,
                person.account,
                person.before,
                is_chosen=is_chosen,
                late=late.get(person.person, ""),
            )
        elif not all(desk.setting.owners.somebody(it.ref.crm, it.owner) for it in ours if it.ref.crm not in missing):
            absent[person.person] = f"{missing[0]} is skipped in this run"


def _turn_order(each: tuple[Scored, Sequence[Holding]]) -> tuple[int, int, str, int]:
    """Never by the order in which records came, or by the numbers that the state gave them (only between namesakes)."""
    person = each[0]
    since = person.before.waiting_since if person.before is not None else None
    return -person.total, since or FAR_MS, person.email, person.person


FAR_MS = 2**62
"""Later than any instant: who did not wait yet comes after those who did."""


def _undone_owner(held: Holding) -> Scalar | None:
    """The owner whom a record would get again: an undo takes nobody's turn back and gives nobody another one."""
    value: Scalar | None = held.undone.get("owner", {}).get("value")
    return value


def _was_served(person: Scored) -> bool:
    """Whether an earlier run may have given an owner to a person whose records have none."""
    return person.before is not None and not person.before.waiting
