"""What people ask of the state: who somebody is, how things stand. It changes nothing."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, case, func, or_, select, text

from crmsync.people import normal_email
from crmsync.store.database import ADVISORY_LOCK, Store
from crmsync.store.schema import account, activity, alias, change, contact, fact, identity, person


def find_contacts(connection: Connection, who: str) -> list[Any]:
    """The records that somebody may mean by `who`.

    An e-mail address, `crm:kind:id`, `person:17`, or a bare id: a CRM's own, also one that a merge replaced, or a
    person's number.
    """
    who = who.strip()
    crm, _, rest = who.partition(":")
    kind, _, ref_id = rest.partition(":")
    if ref_id:
        return _contacts(connection, contact.c.crm == crm, contact.c.kind == kind, contact.c.ref_id == ref_id)
    if crm == "person" and rest.isdecimal():
        return _contacts(connection, contact.c.person == int(rest))
    if "@" in who:
        marked = select(identity.c.contact).where(identity.c.mark == f"mail:{normal_email(who)}")
        return _contacts(connection, contact.c.id.in_(marked))
    replaced = select(alias.c.contact).where(alias.c.old_id == who)
    meant = [contact.c.ref_id == who, contact.c.id.in_(replaced)]
    if len(who) == 15:  # Salesforce shows ids of 15 characters, and its API ids of 18
        meant.append(contact.c.ref_id.like(f"{_escaped(who)}___", escape="\\"))
    if who.isdecimal() and len(who) < 19:
        meant.append(contact.c.person == int(who))
    return _contacts(connection, or_(*meant))


def _escaped(pattern: str) -> str:
    return pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _contacts(connection: Connection, *conditions: Any) -> list[Any]:
    query = select(contact).where(contact.c.known, *conditions).order_by(contact.c.id).limit(1_000)
    return list(connection.execute(query))


def records_of(connection: Connection, person_id: int) -> list[Any]:
    """Every record of a person: live ones first, then by CRM, contacts before leads, the newest first."""
    dead = or_(contact.c.gone, contact.c.merged_into != "", contact.c.converted_into != "")
    query = (
        select(contact)
        .where(contact.c.person == person_id, contact.c.known)
        .order_by(case((dead, 1), else_=0), contact.c.crm, contact.c.kind)
        .order_by(func.length(contact.c.ref_id).desc(), contact.c.ref_id.desc())
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


def hottest(connection: Connection, bands: Sequence[str], most: int) -> list[Hot]:
    """The people with the most points in the highest of `bands` (lowest first)."""
    height = case({name: place for place, name in enumerate(bands)}, value=person.c.band, else_=-1)
    top = connection.execute(
        select(person).order_by(height.desc(), person.c.total.desc(), person.c.id).limit(most)
    ).all()
    names: dict[int, tuple[str, str]] = {}
    query = select(contact.c.person, contact.c.name, contact.c.emails).where(
        contact.c.person.in_([each.id for each in top]), contact.c.known, ~contact.c.gone
    )
    for person_id, name, emails in connection.execute(query.order_by(contact.c.id)):
        held = names.get(person_id, ("", ""))
        addresses = orjson.loads(emails)
        names[person_id] = (held[0] or name, held[1] or (addresses[0] if addresses else ""))
    return [Hot(each.id, *names.get(each.id, ("", "")), each.total, each.band) for each in top]


def names_of(connection: Connection, row_ids: Sequence[int]) -> dict[int, str]:
    """What to call these contacts: the e-mail address, or the name."""
    query = select(contact.c.id, contact.c.name, contact.c.emails).where(contact.c.id.in_(row_ids))
    return {row_id: (orjson.loads(emails) or [name])[0] or name for row_id, name, emails in connection.execute(query)}


def crm_counts(connection: Connection) -> dict[str, dict[str, Any]]:
    """For each CRM its account, how many live records it has, which are ambiguous, parked and open."""
    live = ~or_(contact.c.gone, contact.c.merged_into != "", contact.c.converted_into != "")
    query = (
        select(
            contact.c.crm,
            func.sum(case((live, 1), else_=0)),
            func.sum(case((live & contact.c.ambiguous, 1), else_=0)),
            func.sum(case((contact.c.parked != "", 1), else_=0)),
        )
        .where(contact.c.known)
        .group_by(contact.c.crm)
    )
    counts: dict[str, dict[str, Any]] = {
        crm: {"account": number, "records": 0, "ambiguous": 0, "parked": 0, "open_changes": 0}
        for crm, number in connection.execute(select(account.c.crm, account.c.account))
    }
    for crm, records, ambiguous, parked in connection.execute(query):
        counts.setdefault(crm, {"account": "", "open_changes": 0}).update(
            records=int(records or 0), ambiguous=int(ambiguous or 0), parked=int(parked or 0)
        )
    still_open = select(change.c.crm, func.count()).where(change.c.state.in_(("planned", "sent")))
    for crm, number in connection.execute(still_open.group_by(change.c.crm)):
        counts.setdefault(crm, {})["open_changes"] = number
    return counts


def parked_changes(connection: Connection, most: int) -> list[Any]:
    """Contacts whose change the CRM will not take: rows of `contact`."""
    return list(connection.execute(select(contact).where(contact.c.parked != "").order_by(contact.c.id).limit(most)))


def feeds(connection: Connection, now: int) -> list[tuple[str, str, int, int]]:
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


_POSTGRES_LOCK = text(
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = :lock"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1"
)


def held_by(store: Store) -> str | None:
    """Who is writing to this state at present, or `None`."""
    if store.engine.dialect.name == "postgresql":
        with store.read() as connection:
            found = connection.scalar(_POSTGRES_LOCK, {"lock": ADVISORY_LOCK})
        return "another process" if found else None
    database = store.engine.url.database
    if not database or database == ":memory:":
        return None
    try:
        with open(f"{database}.lock", encoding="utf-8") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "another process"
    except OSError:
        return None
    return None
