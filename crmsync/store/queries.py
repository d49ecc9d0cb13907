"""What people ask of the state: who somebody is, how things stand. It changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, and_, case, distinct, func, literal, or_, select, union

from crmsync.identity.matching import MAIL, normal_email
from crmsync.identity.names import name_words
from crmsync.model import long_id
from crmsync.store.journal import EDITED, PARTLY, REJECTED, UNKNOWN
from crmsync.store.run_journal import APPROVED, GOOD, PLANS, WAITING
from crmsync.store.schema import (
    INCLUDED,
    LIVE,
    ON_HOLD,
    OPEN,
    REPLACED,
    account,
    activity,
    alias,
    change,
    fact,
    identity,
    name_word,
    owner,
    person,
    record,
    run,
)
from crmsync.store.sql import begins_with, distinct_pairs, json_value, plain_rows, unindexed

NONE = {"account": "", "records": 0, "not_matched": 0, "on_hold": 0, "pending_updates": 0}
"""What is counted of a CRM, before anything is."""


# Not those of all other runs: SQLite would look through every change of each, and this way by the index of `OPEN`.
PENDING = and_(OPEN, change.c.run.not_in(select(run.c.id).where(run.c.verdict.in_(PLANS))))
"""Changes that a run still has to make; those of plans that nobody approved are none."""


def read_account(connection: Connection, crm: str) -> str:
    """The portal or org that the state belongs to; `""` before the first run."""
    return connection.scalar(select(account.c.account).where(account.c.crm == crm)) or ""


LONGEST_NUMBER = 19
"""So many digits need not fit into 64 bits."""


def find_contacts(connection: Connection, who: str) -> list[Any]:
    """The records that somebody may mean by `who`.

    An e-mail address, `crm:kind:id`, `person:17`, or a bare id: a CRM's own, also one that a merge replaced, or a
    person's number.
    """
    who = who.strip()
    crm, _, rest = who.partition(":")
    kind, _, ref_id = rest.partition(":")
    if ref_id:
        return _contacts(connection, record.c.crm == crm, record.c.kind == kind, record.c.ref_id == ref_id)
    if crm == "person" and rest.isdecimal() and len(rest) < LONGEST_NUMBER:
        return _contacts(connection, record.c.person == int(rest))
    if "@" in who:
        marked = select(identity.c.record).where(identity.c.key == f"mail:{normal_email(who)}")
        return _contacts(connection, record.c.id.in_(marked))
    meant = record.c.ref_id.in_({who, long_id(who)})  # Salesforce shows ids of 15 characters, its API ids of 18
    found: set[int] = set()
    for crm, kind in distinct_pairs(connection, record.c.crm, record.c.kind):  # an id alone has no index
        found |= set(connection.scalars(select(record.c.id).where(record.c.crm == crm, record.c.kind == kind, meant)))
        replaced = alias.c.crm == crm, alias.c.kind == kind, alias.c.old_id == who
        found |= set(connection.scalars(select(alias.c.record).where(*replaced)))
    if who.isdecimal() and len(who) < LONGEST_NUMBER:
        found |= set(connection.scalars(select(record.c.id).where(record.c.person == int(who))))
    return _contacts(connection, record.c.id.in_(found)) if found else []


def find_named(connection: Connection, name: str) -> list[Any]:
    """The records of whoever has exactly this name, whatever its case and accents."""
    words = name_words(name)
    named = _with_words(connection, words, MOST_NAMED, whole=True)
    rows = _contacts(connection, record.c.id.in_(named)) if named else []
    return [each for each in rows if name_words(each.name) == words]


MOST_NAMED = 1_000
"""Records of one name, or with one beginning, that are looked at."""


def find_beginning(connection: Connection, text: str, most: int) -> list[int]:
    """Some people in whose name each word of `text` begins a word, or whose address begins with `text`."""
    address = begins_with(connection, identity.c.key, f"{MAIL}{text.strip().casefold()}")
    found = list(connection.scalars(select(identity.c.record).where(address).limit(MOST_NAMED)))
    found += _with_words(connection, name_words(text), MOST_NAMED)
    people = select(record.c.person).where(record.c.id.in_(found), LIVE, record.c.person.is_not(None))
    return list(connection.scalars(people.distinct().limit(most))) if found else []


def _with_words(connection: Connection, words: Sequence[str], most: int, *, whole: bool = False) -> list[int]:
    """The first records in whose name each of these is a word, or where `whole` is false begins one."""
    if not words:
        return []

    def is_meant(of: Any, word: str) -> Any:
        return of.c.word == word if whole else begins_with(connection, of.c.word, word)

    def count_some(word: str) -> int:
        some = select(name_word.c.record).where(is_meant(name_word, word)).limit(2 * most).subquery()
        return connection.scalar(select(func.count()).select_from(some)) or 0

    # Those with the rarest word are looked at for the others.
    rarest, *others = sorted(set(words), key=lambda word: (count_some(word), -len(word), word))
    query = select(name_word.c.record).where(is_meant(name_word, rarest))
    for word in others:
        other = name_word.alias()
        query = query.where(
            select(other.c.record).where(other.c.record == name_word.c.record, is_meant(other, word)).exists()
        )
    return list(connection.scalars(query.limit(most)))


def _contacts(connection: Connection, *conditions: Any) -> list[Any]:
    query = select(record).where(record.c.known, *conditions).order_by(record.c.id).limit(1_000)
    return list(connection.execute(query))


def records_of(connection: Connection, person_id: int) -> list[Any]:
    """Every record of a person: live ones first, then by CRM, contacts before leads, the newest first."""
    dead = or_(record.c.gone, record.c.merged_into != "", record.c.converted_into != "")
    query = (
        select(record)
        .where(record.c.person == person_id, record.c.known)
        .order_by(case((dead, 1), else_=0), record.c.crm, record.c.kind)
        .order_by(func.length(record.c.ref_id).desc(), record.c.ref_id.desc())
    )
    return list(connection.execute(query))


def stored_score(connection: Connection, person_id: int) -> Any:
    """What the last run scored a person, or `None`."""
    return connection.execute(select(person).where(person.c.id == person_id)).first()


def some_people(connection: Connection, most: int) -> list[int]:
    """The first people who were scored, ascending."""
    return list(connection.scalars(select(person.c.id).order_by(person.c.id).limit(most)))


class Hot(NamedTuple):
    """Somebody with a high score: points in hundredths."""

    person: int
    name: str
    email: str
    total: int
    band: str


def find_hottest(connection: Connection, bands: Sequence[str], most: int) -> list[Hot]:
    """The people with the most points in the highest of `bands` (lowest first)."""
    height = case({name: place for place, name in enumerate(bands)}, value=person.c.band, else_=-1)
    top = connection.execute(
        select(person).order_by(height.desc(), person.c.total.desc(), person.c.id).limit(most)
    ).all()
    names: dict[int, tuple[str, str]] = {}
    query = select(record.c.person, record.c.name, record.c.emails).where(
        record.c.person.in_([each.id for each in top]), record.c.known, ~record.c.gone
    )
    for person_id, name, emails in connection.execute(query.order_by(record.c.id)):
        held = names.get(person_id, ("", ""))
        addresses = orjson.loads(emails)
        names[person_id] = (held[0] or name, held[1] or (addresses[0] if addresses else ""))
    return [Hot(each.id, *names.get(each.id, ("", "")), each.total, each.band) for each in top]


SCORE_STEP = 10
"""Points that are counted together in a distribution."""


def count_scores(connection: Connection) -> dict[int, int]:
    """People by their points: those of each `SCORE_STEP` together, by its lower end. Whoever is left out is none."""
    hundredths = 100 * SCORE_STEP
    # Rounded down for negative points, too, which both databases would round towards zero.
    bucket = (person.c.total - func.mod(func.mod(person.c.total, hundredths) + hundredths, hundredths)) // hundredths
    query = select(bucket, func.count()).select_from(person).where(INCLUDED).group_by(bucket)
    return {int(low) * SCORE_STEP: many for low, many in connection.execute(query)}


def past_bands(connection: Connection, at: int) -> dict[str, int]:
    """People per band as the last good run before an instant (milliseconds) left them; empty where there was none."""
    query = select(run.c.result).where(run.c.verdict.in_(GOOD), run.c.started <= at)
    found = connection.scalar(query.order_by(run.c.started.desc()).limit(1))
    bands: dict[str, int] = orjson.loads(found).get("bands", {}) if found else {}
    return bands


class NamedRecord(NamedTuple):
    """What to call a record, the e-mail address or the name, and whose it is: the crmsync id, where somebody's."""

    name: str
    person: int | None


def names_of(connection: Connection, row_ids: Sequence[int]) -> dict[int, NamedRecord]:
    """What to call these records (row ids), and whose they are."""
    query = select(record.c.id, record.c.name, record.c.emails, record.c.person).where(record.c.id.in_(row_ids))
    return {
        row_id: NamedRecord(_called(name, emails), whose) for row_id, name, emails, whose in connection.execute(query)
    }


def crm_counts(connection: Connection) -> dict[str, dict[str, Any]]:
    """For each CRM its account, and how many live records it has, not matched ones, ones on hold, pending updates."""
    there = record.c.known, ~record.c.gone, record.c.merged_into == "", record.c.converted_into == ""
    # Two counts, because each has an index of its own that holds all that it asks for.
    crm = unindexed(record.c.crm)
    live = select(crm, func.count()).where(LIVE).group_by(crm)
    ambiguous = select(crm, func.count()).where(REPLACED, record.c.ambiguous, *there).group_by(crm)
    found: dict[str, dict[str, Any]] = {}
    for crm, number in connection.execute(select(account.c.crm, account.c.account)):
        found.setdefault(crm, dict(NONE))["account"] = number
    for counted, names in ((live, ("records",)), (ambiguous, ("records", "not_matched"))):
        for of, many in plain_rows(connection, counted):
            for name in names:
                found.setdefault(of, dict(NONE))[name] += int(many)
    # By what no index has: else SQLite reads everybody in its order, and not those few whom an index of their own has.
    on_hold = select(func.min(record.c.crm), func.count()).where(ON_HOLD).group_by(record.c.crm.concat(""))
    pending = select(change.c.crm, func.count(distinct(change.c.record))).where(PENDING).group_by(change.c.crm)
    for name, counted in (("on_hold", on_hold), ("pending_updates", pending)):
        for crm, number in connection.execute(counted):
            found.setdefault(crm, dict(NONE))[name] = number
    return found


def stage_counts(connection: Connection) -> list[tuple[str, str, str, int]]:
    """For each CRM, kind and stage how many records are in it, the most first."""
    it = record.c
    query = select(it.crm, it.kind, it.stage, func.count()).where(LIVE, it.stage.is_not(None), it.stage != "")
    found = plain_rows(connection, query.group_by(it.crm, it.kind, it.stage))
    return sorted(((crm, kind, stage, int(many)) for crm, kind, stage, many in found), key=lambda each: -each[3])


def held_bands(connection: Connection, order: Sequence[str]) -> dict[str, int]:
    """People by the band that the CRMs hold of them, each in their highest one; `order` has the lowest first."""
    return _count_highest(connection, record.c.band, order, select().where(LIVE, record.c.band != ""))


def _count_highest(connection: Connection, band: Any, order: Sequence[str], records: Any) -> dict[str, int]:
    """How many people are in each band, each in the highest one of their `records`; bands of no `order` are below."""
    rank = case({name: place for place, name in enumerate(order)}, value=band, else_=-1) if order else literal(-1)
    columns = func.max(rank).label("rank"), func.max(band).label("band")
    best = records.add_columns(*columns).where(record.c.person.is_not(None)).group_by(record.c.person).subquery()
    found: dict[str, int] = {}
    query = select(best.c.rank, best.c.band, func.count()).group_by(best.c.rank, best.c.band)
    for place, name, many in plain_rows(connection, query):
        name = name if place < 0 else order[place]
        found[name] = found.get(name, 0) + int(many)
    return found


def waiting_bands(connection: Connection, order: Sequence[str]) -> dict[str, int]:
    """People by the band that pending updates and plans that wait for approval would bring them: the highest one."""
    band = json_value(connection, change.c.after, "band")
    waiting = change.c.run.in_(select(run.c.id).where(run.c.verdict.in_((WAITING, APPROVED))))
    # Each by an index of its own, and not one OR, which reads every change that there ever was.
    meant = union(select(change.c.id).where(PENDING), select(change.c.id).where(waiting))
    changes = select().join_from(change, record, record.c.id == change.c.record)
    return _count_highest(connection, band, order, changes.where(change.c.id.in_(meant), band != ""))


def replanned_bands(connection: Connection, run_id: str) -> dict[str, int]:
    """People by the band that the state has for them, of those whose band a run or plan changes in a CRM."""
    moved = select(record.c.person).join(change, change.c.record == record.c.id)
    moved = moved.where(LIVE, change.c.run == run_id, json_value(connection, change.c.after, "band").is_not(None))
    query = select(person.c.band, func.count()).where(person.c.excluded == "", person.c.id.in_(moved))
    return {name: number for name, number in connection.execute(query.group_by(person.c.band)) if name}


class RecordRefusal(NamedTuple):
    """A record that a CRM did not take as it was planned: which fields, and what it said of them.

    `id` is the row id of one on hold.
    """

    crm: str
    state: str
    ref: str
    name: str
    reasons: Collection[str]
    fields: Collection[str]
    person: int | None = None
    id: int = 0


def refused_records(connection: Connection, after: int = 0) -> Iterator[RecordRefusal]:
    """The records on hold, those `after` a row id: what the CRM will not take of them, by its last words."""
    last = (
        select(change.c.refused)
        .where(change.c.record == record.c.id, change.c.state.in_((REJECTED, PARTLY)))
        .order_by(change.c.id.desc())
        .limit(1)
    )
    it = record.c
    query = select(it.id, it.crm, it.kind, it.ref_id, it.person, it.name, it.emails, it.on_hold, last.scalar_subquery())
    query = query.where(ON_HOLD, it.id > after).order_by(it.id)
    for row_id, crm, kind, ref_id, person_id, name, emails, on_hold, refused in plain_rows(connection, query):
        told = orjson.loads(on_hold)
        reasons = list_reasons(told.get("reason", ""), orjson.loads(refused or "{}"))
        state = REJECTED if told.get("whole", True) else PARTLY
        ref, called = f"{crm}:{kind}:{ref_id}", _called(name, emails)
        yield RecordRefusal(crm, state, ref, called, reasons, told["after"], person_id, row_id)


def refused_changes(connection: Connection, run_id: str, most: int | None = None) -> Iterator[RecordRefusal]:
    """The changes of a run that did not go through as they were planned; with `most` so many of each CRM and state."""
    it = change.c
    query = (
        select(it.crm, it.kind, it.ref_id, it.state, it.reason, it.refused)
        .add_columns(record.c.name, record.c.emails, record.c.person)
        .outerjoin(record, record.c.id == it.record)
    )
    for of, state_ in distinct_pairs(connection, it.crm, it.state, it.run == run_id):
        if state_ not in (REJECTED, PARTLY, EDITED, UNKNOWN):
            continue
        these = query.where(it.run == run_id, it.crm == of, it.state == state_).order_by(it.id).limit(most)
        for crm, kind, ref_id, state, reason, refused, name, emails, person_id in plain_rows(connection, these):
            fields = orjson.loads(refused)
            ref, called = f"{crm}:{kind}:{ref_id}", _called(name or "", emails or "[]")
            yield RecordRefusal(crm, state, ref, called, list_reasons(reason, fields), fields, person_id)


def list_reasons(reason: str, refused: Mapping[str, str]) -> Collection[str]:
    """What was said, each thing once: a reason that only lists the fields' own is theirs."""
    listed = "; ".join(f"{name}: {why}" for name, why in sorted(refused.items()))
    return set(refused.values()) if reason == listed else [reason or "no reason given"]


def _called(name: str, emails: str) -> str:
    return str((orjson.loads(emails) or [name])[0] or name)


def find_owners(connection: Connection, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    """The e-mail address and name of some owners, by CRM and id, as far as they are known."""
    query = select(owner.c.crm, owner.c.id, owner.c.email, owner.c.name).where(
        owner.c.id.in_([owner_id for _crm, owner_id in wanted])
    )
    return {(crm, owner_id): {"email": email, "name": name} for crm, owner_id, email, name in connection.execute(query)}


class Delivery(NamedTuple):
    """A change of a record that is not written yet: of which run or plan, that one's verdict, the values (JSON)."""

    record: int
    run: str
    verdict: str
    after: str


def pending_changes(connection: Connection, row_ids: Sequence[int]) -> list[Delivery]:
    """What is planned for these contacts and not written: pending updates, and what waits for approval."""
    waits = run.c.verdict.in_((WAITING, APPROVED))
    query = select(change.c.record, change.c.run, run.c.verdict, change.c.after).join(run, run.c.id == change.c.run)
    found = connection.execute(query.where(change.c.record.in_(row_ids), PENDING | waits).order_by(change.c.id))
    return [Delivery(*row) for row in found]


def past_changes(connection: Connection, row_ids: Sequence[int], most: int) -> list[Any]:
    """The latest changes to these contacts that runs made or tried, newest first."""
    plans = select(run.c.id).where(run.c.verdict.in_(PLANS))
    query = select(change).where(change.c.record.in_(row_ids), change.c.run.not_in(plans))
    return list(connection.execute(query.order_by(change.c.id.desc()).limit(most)))


def parked_changes(connection: Connection, most: int) -> list[Any]:
    """Contacts whose change the CRM will not take: rows of `contact`."""
    return list(connection.execute(select(record).where(record.c.on_hold != "").order_by(record.c.id).limit(most)))


def count_feeds(connection: Connection, now: int) -> list[tuple[str, str, int, int]]:
    """For each CRM and kind of activity how many there are until `now`, and when the last one was (seconds)."""
    per_fact = (
        select(activity.c.crm, activity.c.fact, func.count().label("many"), func.max(activity.c.at).label("last"))
        .where(activity.c.at <= now)
        .group_by(activity.c.crm, activity.c.fact)
        .subquery()
    )
    query = (
        select(per_fact.c.crm, fact.c.kind, func.sum(per_fact.c.many), func.max(per_fact.c.last))
        .join(fact, fact.c.id == per_fact.c.fact)
        .group_by(per_fact.c.crm, fact.c.kind)
        .order_by(per_fact.c.crm, fact.c.kind)
    )
    return [(crm, kind, int(many), int(last)) for crm, kind, many, last in connection.execute(query)]
