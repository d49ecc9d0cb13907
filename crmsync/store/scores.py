"""Scores: who is to be scored, and what they scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, case, func, or_, select, update

from crmsync.counts import count_of
from crmsync.model import Holding, Ref, Scalar
from crmsync.store.full_pull import doubt_deletions
from crmsync.store.records import dirty_in, rows_by_ref
from crmsync.store.schema import (
    EVENTS,
    GONE,
    INCLUDED,
    LIVE,
    SCORED,
    TAGGED,
    UNOWNED,
    activity,
    identity,
    person,
    record,
)
from crmsync.store.sql import (
    IN_LIST,
    begins_with,
    dump_json,
    id_range,
    in_chunks,
    one_of,
    plain_rows,
    read_column,
    unindexed,
    upsert,
    write_many,
)

LIVING = select(record.c.person).where(LIVE, record.c.person == person.c.id).exists()
"""People with a live record."""

PEOPLE_AT_ONCE = 25_000
"""People scored in one go: bounds memory, and each distinct title is read once in so many people."""


class StoredScore(NamedTuple):
    """What the last run found of a person: the ledgers packed, `cool_downs` as JSON text, `due` in seconds.

    `excluded` says why they are left out, `waiting` why they have no owner.
    """

    band: str
    ledger: bytes
    ledger_before: bytes | None
    due: int
    plan: str
    excluded: str = ""
    stage: str = ""
    stage_since: int | None = None
    stage_left: str = ""
    cool_downs: str = "{}"
    waiting: str = ""
    waiting_since: int | None = None
    feedback: str = ""
    feedback_since: int | None = None
    feedback_left: str | None = None
    stage_reason: str = ""
    stage_entered: int | None = None


def known_scores(connection: Connection, people: Sequence[int]) -> dict[int, StoredScore]:
    """The last score of each of these people (ascending) who has one."""
    query = select(person.c.id, *(person.c[name] for name in StoredScore._fields))
    return {row[0]: StoredScore(*row[1:]) for row in plain_rows(connection, query.where(id_range(person.c.id, people)))}


def dirty_people(connection: Connection, crms: Sequence[str]) -> set[int]:
    """The people with a contact in one of these CRMs that there is news of, and those who wait for an owner."""
    dirty = select(record.c.person).where(*dirty_in(crms), unindexed(record.c.person).is_not(None))
    return {*connection.scalars(dirty), *connection.scalars(select(person.c.id).where(UNOWNED))}


def contacts_of(connection: Connection, people: Collection[int], crm: str | None = None) -> set[int]:
    """The records of these people, by row id; those in one CRM where it is given."""
    conditions = () if crm is None else (record.c.crm == crm,)
    return read_column(connection, record.c.id, record.c.person, people, ~EVENTS, *conditions)


def crms_of(connection: Connection, people: Collection[int]) -> dict[int, set[str]]:
    """For each of these people the CRMs in which they have a live record."""
    found: dict[int, set[str]] = {}
    for some in in_chunks(sorted(people), IN_LIST):
        query = select(record.c.person, record.c.crm).where(LIVE, record.c.person.in_(some)).distinct()
        for person_id, crm in connection.execute(query):
            found.setdefault(person_id, set()).add(crm)
    return found


def set_due(connection: Connection, due: Mapping[int, int]) -> None:
    """Store when time will next change these people's scores, which it has not done now."""
    if due:
        statement = update(person).where(person.c.id == bindparam("person_id")).values(due=bindparam("then"))
        write_many(connection, statement, [{"person_id": each, "then": then} for each, then in due.items()])


def set_model(connection: Connection, people: Sequence[int], model: str, plan: str) -> None:
    """At least these people (ascending) were scored and planned for with these settings."""
    # A score that did not move has no row to write: one statement tells all of them that they are up to date.
    these = id_range(person.c.id, people) & ((person.c.model != model) | (person.c.plan != plan))
    connection.execute(update(person).where(these).values(model=model, plan=plan))


def save_scores(connection: Connection, rows: list[dict[str, Any]], before: Mapping[int, StoredScore]) -> None:
    """Store what the people scored; all columns but the ledger before are given."""
    for some in in_chunks(rows, IN_LIST):
        told = [{**row, "ledger_before": _ledger_before(before.get(row["id"]), row["ledger"])} for row in some]
        upsert(connection, person, told)


def _ledger_before(before: StoredScore | None, ledger: bytes) -> bytes | None:
    if before is None:
        return None
    # An unchanged score keeps the ledger before it, or "what changed" would have no answer in the next run.
    return before.ledger_before if before.ledger == ledger else before.ledger


def live_contacts(connection: Connection, people: Sequence[int]) -> list[Holding]:
    """The live records of these people (ascending) by person; perhaps those of a few others, too."""
    it = record.c
    query = (
        select(it.id, it.crm, it.kind, it.ref_id, it.person, it.crm_group, it.stage, it.owner)
        .add_columns(it.current, it.last_written, it.overrides, it.on_hold, it.attempts, it.undone)
        .where(LIVE, id_range(it.person, people))
        .order_by(it.person, it.crm, it.kind, it.ref_id)
    )
    return [
        Holding(
            row_id, Ref(crm, kind, ref_id), person_id, group, stage, owner,
            _loaded(current), _loaded(written), _loaded(overrides), _loaded(on_hold), attempts, _loaded(undone),
        )
        for row_id, crm, kind, ref_id, person_id, group, stage, owner, current, written, overrides, on_hold, attempts,
        undone in plain_rows(connection, query)
    ]  # fmt: skip


def _loaded(text: str) -> dict[str, Any]:
    return {} if text in ("", "{}") else orjson.loads(text)


class Override(NamedTuple):
    """The manual overrides of a contact as they stand, and when the first of them ends (milliseconds)."""

    overrides: Mapping[str, Mapping[str, Scalar | None]]
    wake_at: int | None


def clear_dirty(
    connection: Connection, crms: Collection[str], overrides: Mapping[int, Override], undecided: Collection[int] = ()
) -> None:
    """Everybody in these CRMs has been planned for, but the `undecided` (row ids): nobody else there is dirty."""
    # Read before the next line takes it away: who waits stays edited, which the guard counts as odd.
    edited = read_column(connection, record.c.id, record.c.id, undecided, record.c.edited)
    connection.execute(update(record).where(*dirty_in(crms)).values(dirty=False, edited=False))
    if undecided:
        connection.execute(update(record).where(one_of(record.c.id, undecided)).values(dirty=True))
    if edited:
        connection.execute(update(record).where(one_of(record.c.id, edited)).values(edited=True))
    rows = [
        {
            "row_id": row_id,
            "now": dump_json({name: dict(lease) for name, lease in each.overrides.items()}),
            "then": each.wake_at,
        }
        for row_id, each in overrides.items()
    ]
    if rows:
        statement = update(record).where(record.c.id == bindparam("row_id"))
        connection.execute(statement.values(overrides=bindparam("now"), wake_at=bindparam("then")), rows)


def make_dirty(connection: Connection, row_ids: Sequence[int]) -> None:
    """These contacts are planned for again in the next run."""
    if row_ids:
        connection.execute(update(record).where(one_of(record.c.id, row_ids)).values(dirty=True))


def wake_contacts(connection: Connection, row_ids: Sequence[int], now: int) -> None:
    """Time makes these contacts due from `now` (milliseconds) on: the next run plans for them.

    Unlike dirty ones they count as planned for in this run.
    """
    later = or_(record.c.wake_at.is_(None), record.c.wake_at > now)
    if row_ids:
        connection.execute(update(record).where(one_of(record.c.id, row_ids), later).values(wake_at=now))


def plan_all_again(connection: Connection, crms: Collection[str]) -> None:
    """Every record of these CRMs is planned for in this run: they took no part while the others were planned for."""
    if crms:
        connection.execute(update(record).where(LIVE, record.c.crm.in_(crms)).values(dirty=True))


def count_scored(connection: Connection, crm: str) -> tuple[int, int]:
    """How many live records a CRM has, and how many of them carry a score of ours."""
    counted = select(func.count()).select_from(record)
    # Each by the index of its own, which holds all that it asks for.
    live = connection.scalar(counted.where(LIVE, unindexed(record.c.crm) == crm))
    return live or 0, connection.scalar(counted.where(LIVE, SCORED, record.c.crm == crm)) or 0


def carries_scores(connection: Connection) -> bool:
    """Whether a live record carries a score of ours."""
    return connection.scalar(select(record.c.id).where(LIVE, SCORED).limit(1)) is not None


def spread_edits(connection: Connection, crms: Collection[str]) -> None:
    """What was edited in a record of these CRMs concerns all records of its person: each until it is planned for."""
    fresh = select(record.c.person).where(record.c.edited, *dirty_in(crms))
    theirs = record.c.person.in_(fresh.where(unindexed(record.c.person).is_not(None)))
    connection.execute(update(record).where(theirs, ~record.c.edited).values(edited=True))


def read_addresses(connection: Connection, people: Sequence[int]) -> dict[int, list[str]]:
    """Every address of these people (ascending)."""
    found: dict[int, list[str]] = {}
    query = select(record.c.person, record.c.emails).where(LIVE, id_range(record.c.person, people))
    for person_id, emails in plain_rows(connection, query.order_by(record.c.id)):
        found.setdefault(person_id, []).extend(orjson.loads(emails))
    return found


def edited_contacts(connection: Connection, people: Sequence[int]) -> set[int]:
    """The records (row ids) of these people (ascending) for which an edit was not planned for yet."""
    query = select(record.c.id).where(record.c.edited, id_range(record.c.person, people))
    return {row_id for (row_id,) in plain_rows(connection, query)}


class Decided(NamedTuple):
    """What was decided of a person: why they have their stage and owner, where they stand and where they go, and the
    tag that users gave them.

    `waiting` says why they have no owner (`""` where they do not wait), `destination` is where they are: `owned`,
    `nurture`, `waiting`, `disqualified` by a user's tag, or `crm_owned` where the CRM itself took them further.
    """

    person_id: int
    stage_why: str
    owner_why: str
    waiting: str
    waiting_since: int | None
    destination: str
    route: str
    stage: str
    stage_since: int | None
    stage_left: str
    cool_downs: str
    track: str
    feedback: str = ""
    feedback_since: int | None = None
    feedback_left: str | None = None
    stage_reason: str = ""
    stage_entered: int | None = None


def save_decisions(connection: Connection, rows: Sequence[Decided]) -> None:
    """Store what was decided of people."""
    names = [each for each in Decided._fields if each != "person_id"]
    statement = update(person).where(person.c.id == bindparam("person_id"))
    if rows:
        values: dict[str, Any] = {name: bindparam(f"now_{name}") for name in names}
        given = [
            {"person_id": each.person_id, **{f"now_{name}": getattr(each, name) for name in names}} for each in rows
        ]
        write_many(connection, statement.values(values), given)


def destination_counts(connection: Connection) -> dict[tuple[str, str], int]:
    """How many people there are by where they are and why they wait: those left out are `excluded`, with the reason."""
    it = person.c
    query = select(it.destination, it.waiting, it.excluded, func.count()).group_by(
        it.destination, it.waiting, it.excluded
    )
    if _has_dead(connection):
        query = query.where(LIVING)
    found: dict[tuple[str, str], int] = {}
    for destination, waiting, excluded, many in plain_rows(connection, query):
        where = ("excluded", excluded) if excluded else (destination, waiting)
        found[where] = found.get(where, 0) + many
    return found


def _has_dead(connection: Connection) -> bool:
    """Whether somebody with a score has no live record, by counts alone: to look for them goes through everybody."""
    scored = connection.scalar(select(func.count()).select_from(person)) or 0
    living = connection.scalar(select(func.count(record.c.person.distinct())).where(LIVE, record.c.person.is_not(None)))
    # Who was never scored is dirty until then.
    has_score = select(person.c.id).where(person.c.id == record.c.person).exists()
    new = select(func.count(record.c.person.distinct())).where(
        record.c.dirty, LIVE, unindexed(record.c.person).is_not(None), ~has_score
    )
    return scored + (connection.scalar(new) or 0) != living


def count_unassigned(connection: Connection) -> dict[str, int]:
    """How many people wait for an owner, by the reason: what `destination_counts` says of them, by their index."""
    # Not plainly `excluded = ''`: SQLite would take the index of nearly everybody for that.
    waits = (UNOWNED, person.c.destination == "waiting", person.c.excluded.concat("") == "", LIVING)
    query = select(person.c.waiting, func.count()).where(*waits).group_by(person.c.waiting)
    return {reason: int(many) for reason, many in plain_rows(connection, query)}


def count_tags(connection: Connection) -> dict[str, dict[str, int]]:
    """How many people there are by the tag that users gave them, and by band."""
    query = select(person.c.feedback, person.c.band, func.count()).where(TAGGED, person.c.excluded == "", LIVING)
    found: dict[str, dict[str, int]] = {}
    for tag, band, many in plain_rows(connection, query.group_by(person.c.feedback, person.c.band)):
        found.setdefault(tag, {})[band] = int(many)
    return found


def find_unpulled(connection: Connection, runs: Sequence[str], crm: str) -> tuple[list[Ref], int]:
    """The records of a CRM, deleted ones aside, that these runs have not pulled, and how many they have."""
    there = record.c.known & ~record.c.gone & (record.c.crm == crm)
    query = select(record.c.kind, record.c.ref_id).where(there, record.c.seen_run.not_in(runs))
    missing = [Ref(crm, kind, ref_id) for kind, ref_id in connection.execute(query.order_by(record.c.id))]
    seen = select(func.count()).select_from(record).where(record.c.crm == crm, record.c.seen_run.in_(runs))
    return missing, connection.scalar(seen) or 0


def doubt_missing(connection: Connection, crm: str, missing: Collection[Ref]) -> dict[str, str]:
    """By kind of record why those that were not pulled are not taken for deleted: they are too many."""
    there = record.c.known & ~record.c.gone & (record.c.crm == crm)
    query = select(record.c.kind, func.count()).where(there).group_by(record.c.kind)
    unseen = Counter(each.kind for each in missing)
    return {
        kind: doubt
        for kind, known in connection.execute(query)
        if (doubt := doubt_deletions(crm, unseen[kind], known, count_of(known, kind)))
    }


def find_remains(connection: Connection, crm: str) -> list[Ref]:
    """The deleted records of a CRM of which something is left: it may have erased them since."""
    acts = select(activity.c.id).where(activity.c.record == record.c.id).exists()
    left = or_(acts, record.c.emails != "[]", record.c.last_written != "{}")
    query = select(record.c.kind, record.c.ref_id).where(record.c.crm == crm, record.c.gone, left)
    found = [Ref(crm, kind, ref_id) for kind, ref_id in connection.execute(query.order_by(record.c.id))]
    # What they did outside the CRMs is left, too.
    keys = connection.scalars(select(identity.c.key).where(begins_with(connection, identity.c.key, f"{GONE}{crm}:")))
    elsewhere = {Ref(*key.removeprefix(GONE).split(":", 2)) for key in keys} - {*found}
    return found + sorted(ref for ref, row in rows_by_ref(connection, elsewhere).items() if row["gone"])


def pulled_counts(connection: Connection, run: str) -> dict[str, dict[str, int]]:
    """For each CRM what became of the records that this run pulled: `scored`, or the reason why not."""
    became = became_of(run)
    query = (
        select(record.c.crm, became, func.count())
        .outerjoin(person, person.c.id == record.c.person)
        .where(record.c.seen_run == run)
        .group_by(record.c.crm, became)
    )
    counts: dict[str, dict[str, int]] = {}
    for crm, reason, number in connection.execute(query):
        counts.setdefault(crm, {})[reason] = number
    return counts


def band_counts(connection: Connection) -> dict[str, int]:
    """People in each band."""
    return dict(connection.execute(select(person.c.band, func.count()).where(INCLUDED).group_by(person.c.band)).all())


def became_of(run_id: str) -> Any:
    """What became of a record that a run pulled, as SQL: `scored`, or the reason why not."""
    # The first that holds counts: a merged record is marked as gone, too.
    return case(
        (record.c.forgotten, "excluded"),
        (record.c.merged_into != "", "merged"),
        (record.c.gone, "deleted"),
        (record.c.converted_into != "", "converted"),
        (record.c.ambiguous, "not_matched"),
        (person.c.excluded != "", "excluded"),
        (person.c.scored_run == run_id, "scored"),
        (record.c.dirty, "held"),
        else_="unchanged",
    )
