"""What came of people: their opportunities, when they were handed over, and when they came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, or_, select, union

from crmsync.store.schema import (
    LEFT_OUT,
    LIVE,
    activity,
    activity_owner,
    alias,
    fact,
    hand_off,
    opportunity,
    opportunity_record,
    opportunity_stage,
    owner,
    person,
    record,
    stage_entry,
)
from crmsync.store.sql import IN_LIST, in_chunks, plain_rows

WON, LOST, OPEN = 1, 0, -1
"""As in `Cases`."""


class OutcomeNames(NamedTuple):
    """The stages that count as won and lost besides what the CRM says, and the pipelines that count (all, if none)."""

    won: Collection[str] = ()
    lost: Collection[str] = ()
    pipelines: Collection[str] = ()


class Deals(NamedTuple):
    """Opportunities by person (ascending), one of several people for each of them; instants are seconds.

    `state` is won, lost or open, `closed` means nothing while it is open. `value` is NaN where it is not known, or in
    another currency than most. `unlinked` opportunities are nobody's, `currencies` are those of what was won.
    """

    person: NDArray[np.int64]
    created: NDArray[np.int64]
    closed: NDArray[np.int64]
    state: NDArray[np.int8]
    value: NDArray[np.float64]
    owner: Sequence[str]
    source: Sequence[str]
    campaign: Sequence[str]
    unlinked: int
    currencies: Sequence[str]


def was_read(connection: Connection) -> bool:
    """Whether there is an opportunity at all."""
    return connection.scalar(select(opportunity.c.id).limit(1)) is not None


def read_deals(connection: Connection, names: OutcomeNames) -> Deals:
    """The opportunities of everybody, by the records that they name: merged and converted ones lead to their person."""
    it = opportunity.c
    columns = (it.crm, it.id, it.state, it.stage, it.pipeline, it.created_at, it.closed_at, it.changed_at)
    won, lost, pipelines = (frozenset(map(_folded, each)) for each in names)
    entered = _stage_entries(connection, {*won, *lost})
    emails = {(crm, owner_id): email for crm, owner_id, email in _owner_emails(connection)}
    found: dict[tuple[str, str], int] = {}
    rows: list[tuple[Any, ...]] = []
    query = select(*columns, it.value, it.currency, it.owner, it.source, it.campaign)
    for crm, deal, said, stage, pipeline, created, closed, changed, *rest in plain_rows(connection, query):
        if pipelines and _folded(pipeline) not in pipelines:
            continue
        name = _folded(stage)
        state = WON if said == "won" or name in won else LOST if said == "lost" or name in lost else OPEN
        ended = closed or entered.get((crm, deal, name)) or changed
        value, currency, owner_id, source, campaign = rest
        found[crm, deal] = len(rows)
        rows.append(
            (
                (created or closed or changed) // 1000,
                ended // 1000,
                state,
                np.nan if value is None else value,
                currency,
                emails.get((crm, owner_id), ""),
                source,
                campaign,
            )
        )
    pairs = [(whose, found[crm, deal]) for whose, crm, deal in _pairs(connection) if (crm, deal) in found]
    persons = np.array([whose for whose, _place in pairs], dtype=np.int64)
    places = np.array([place for _whose, place in pairs], dtype=np.intp)
    order = np.lexsort((places, persons))
    chosen = [rows[place] for place in places[order].tolist()]
    worth = Counter(each[4] for each in rows if each[2] == WON and each[3] == each[3])
    main = max(worth, key=lambda each: (worth[each], each), default="")
    return Deals(
        persons[order],
        np.array([each[0] for each in chosen], dtype=np.int64),
        np.array([each[1] for each in chosen], dtype=np.int64),
        np.array([each[2] for each in chosen], dtype=np.int8),
        np.array([each[3] if each[4] == main else np.nan for each in chosen], dtype=np.float64),
        [each[5] for each in chosen],
        [each[6] for each in chosen],
        [each[7] for each in chosen],
        len(rows) - len(np.unique(places)),
        sorted(worth, key=lambda each: (each != main, each)),
    )


def _folded(text: str) -> str:
    return text.strip().casefold()


def _pairs(connection: Connection) -> list[tuple[int, str, str]]:
    """Whose each opportunity is: person, CRM and id, each pair once."""
    it, same = (
        opportunity_record.c,
        (record.c.crm == opportunity_record.c.crm, record.c.kind == opportunity_record.c.kind),
    )
    by_ref = select(record.c.person, it.crm, it.opportunity).join(
        record, (record.c.ref_id == it.ref_id) & same[0] & same[1]
    )
    old = (alias.c.old_id == it.ref_id) & (alias.c.crm == it.crm) & (alias.c.kind == it.kind)
    by_alias = (
        select(record.c.person, it.crm, it.opportunity)
        .select_from(opportunity_record)
        .join(alias, old)
        .join(record, record.c.id == alias.c.record)
    )
    found = (each.where(record.c.person.is_not(None)) for each in (by_ref, by_alias))
    return [(whose, crm, deal) for whose, crm, deal in plain_rows(connection, union(*found))]


def _stage_entries(connection: Connection, stages: Collection[str]) -> dict[tuple[str, str, str], int]:
    """When opportunities came last into some stages (their names folded), in milliseconds."""
    if not stages:
        return {}
    it = opportunity_stage.c
    query = select(it.crm, it.id, it.stage, func.max(it.at)).group_by(it.crm, it.id, it.stage)
    rows = plain_rows(connection, query)
    return {(crm, deal, _folded(stage)): at for crm, deal, stage, at in rows if _folded(stage) in stages}


def _owner_emails(connection: Connection) -> list[tuple[str, str, str]]:
    rows = plain_rows(connection, select(owner.c.crm, owner.c.id, owner.c.email))
    return [(crm, owner_id, email.strip().lower()) for crm, owner_id, email in rows]


class Population(NamedTuple):
    """Everybody with a live record (ids, ascending) who is not left out, and how many are: people, or records of
    nobody.
    """

    people: NDArray[np.int64]
    left_out: dict[str, int]


def read_population(connection: Connection) -> Population:
    """Whose score can be judged."""
    it = record.c
    living = select(it.person).where(LIVE, it.person.is_not(None)).distinct().order_by(it.person)
    everybody = np.fromiter((row[0] for row in plain_rows(connection, living)), dtype=np.int64)
    excluded = np.fromiter(
        (row[0] for row in plain_rows(connection, select(person.c.id).where(LEFT_OUT))), dtype=np.int64
    )
    kept = ~np.isin(everybody, excluded)

    def count(*where: Any) -> int:
        return connection.scalar(select(func.count()).select_from(record).where(*where)) or 0

    left_out = {
        "excluded": int((~kept).sum()),
        "not_matched": count(it.ambiguous, ~it.gone, it.merged_into == ""),
        "forgotten": count(it.forgotten),
    }
    return Population(everybody[kept], {why: many for why, many in left_out.items() if many})


def read_arrivals(connection: Connection, people: NDArray[np.int64]) -> NDArray[np.int64]:
    """When each of some people (ascending) came first, in seconds: when a CRM got their first record, where it says so,
    or else when a pull saw it. 0 where neither is known.
    """
    came = np.zeros(len(people), dtype=np.int64)
    if not len(people):
        return came
    it = record.c
    first = func.min(func.coalesce(it.created_at, it.seen_at))
    query = select(it.person, first).where(it.known, it.person.between(int(people[0]), int(people[-1])))
    rows = [(whose, at) for whose, at in plain_rows(connection, query.group_by(it.person)) if at is not None]
    whose = np.array([each[0] for each in rows], dtype=np.int64)
    at = np.array([each[1] for each in rows], dtype=np.int64) // 1000
    inside = np.isin(whose, people)
    came[np.searchsorted(people, whose[inside])] = np.maximum(at[inside], 1)
    return came


class Entries(NamedTuple):
    """The first of some entries of each person who has one: who (ascending), when (seconds), with which score
    (hundredths), whose they were (an address).
    """

    person: NDArray[np.int64]
    at: NDArray[np.int64]
    total: NDArray[np.int64]
    owner: Sequence[str]


def first_entries(
    connection: Connection, people: NDArray[np.int64], bands: Collection[str], stages: Collection[str]
) -> Entries:
    """When some people (ascending) came first into one of these bands or stages, as far as that was kept.

    Entries kept under the number that a person had before a merge are theirs.
    """
    rows: list[tuple[int, int, int, str]] = []
    for table in (stage_entry, hand_off) if len(people) else ():
        it = table.c
        query = select(record.c.person, it.at, it.total, it.owner).join(record, record.c.id == it.person)
        query = query.where(record.c.person.between(int(people[0]), int(people[-1])))
        query = query.where(or_(it.band.in_(sorted(bands)), it.stage.in_(sorted(stages))))
        rows += plain_rows(connection, query)
    # An entry comes before the hand-off of the same run, which is its own.
    sorted_ = sorted(rows, key=lambda each: each[:2])
    whose, first = np.unique(np.array([each[0] for each in sorted_], dtype=np.int64), return_index=True)
    kept = first[np.isin(whose, people)].tolist()
    chosen = [sorted_[place] for place in kept]
    owners = ["" if each[3].startswith("queue:") else each[3].strip().lower() for each in chosen]
    return Entries(
        np.array([each[0] for each in chosen], dtype=np.int64),
        np.array([each[1] for each in chosen], dtype=np.int64) // 1000,
        np.array([each[2] for each in chosen], dtype=np.int64),
        owners,
    )


def others_touches(connection: Connection, people: Collection[int], kinds: Sequence[str]) -> list[tuple[int, int, str]]:
    """The activities of some kinds that somebody made of whom the CRM says who it is: person, seconds, address.

    The address is `""` where nobody of the owners is known by that id.
    """
    maker = (owner.c.crm == activity_owner.c.crm) & (owner.c.id == activity_owner.c.owner)
    query = (
        select(record.c.person, activity.c.at, func.coalesce(owner.c.email, ""))
        .select_from(record)
        .join(activity, activity.c.record == record.c.id)
        .join(fact, fact.c.id == activity.c.fact)
        .join(activity_owner, activity_owner.c.id == activity.c.owner)
        .outerjoin(owner, maker)
        .where(fact.c.kind.in_(kinds))
    )
    found: list[tuple[int, int, str]] = []
    for some in in_chunks(sorted(people), IN_LIST):
        rows = plain_rows(connection, query.where(record.c.person.in_(some)))
        found += [(whose, at, email.strip().lower()) for whose, at, email in rows]
    return found
