"""Who is on which list of a CRM, as it was last read: who joins or leaves one is planned for again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, or_, select, tuple_

from crmsync.connector import ListMembers
from crmsync.model import Ref
from crmsync.store.clean import clean_text
from crmsync.store.records import ids_by_exact_ref, ids_by_ref
from crmsync.store.schema import alias, member_list, membership, record
from crmsync.store.scores import make_dirty
from crmsync.store.sql import IN_LIST, id_range, in_chunks, upsert
from crmsync.store.tombstones import forgotten_refs


class ListName(NamedTuple):
    """A list of a CRM, by the name that it had when it was last read."""

    crm: str
    name: str


def known_versions(connection: Connection, crm: str, asked: Sequence[str]) -> dict[str, str]:
    """The version of each of these lists that was read last, `""` for one that never was."""
    query = select(member_list.c.asked, member_list.c.version).where(member_list.c.crm == crm)
    read: dict[str, str] = dict(connection.execute(query).all())
    return {each: read.get(each, "") for each in asked}


def find_unread(connection: Connection, crm: str, asked: Sequence[str]) -> list[str]:
    """Those of these lists that were never read."""
    query = select(member_list.c.asked).where(member_list.c.crm == crm)
    read = set(connection.scalars(query))
    return [each for each in asked if each not in read]


def save_members(connection: Connection, crm: str, found: ListMembers, now: int) -> None:
    """Store who is on a list; whoever joined or left it, or knows it by another name, is planned for again."""
    this = (member_list.c.crm == crm) & (member_list.c.asked == found.asked)
    before = connection.scalar(select(member_list.c.name).where(this))
    name = clean_text(found.name)
    stored = _members(connection, crm, found.asked)
    moved = set(stored) if before is not None and before != name else set()
    if found.members is not None:
        members = {each for each in found.members if each.crm == crm}
        members -= forgotten_refs(connection, members)
        left, joined = stored - members, members - stored
        _drop(connection, left, found.asked)
        rows = [{"crm": crm, "kind": each.kind, "ref_id": each.id, "asked": found.asked} for each in sorted(joined)]
        for some in in_chunks(rows, IN_LIST):
            upsert(connection, membership, some)
        moved |= left | joined
    _plan_again(connection, moved)
    row = {"crm": crm, "asked": found.asked, "list_id": found.id, "name": name, "version": found.version}
    upsert(connection, member_list, [{**row, "read_at": now}])


def drop_lists(connection: Connection, crm: str, keep: Collection[str]) -> None:
    """Forget the lists of a CRM that the config does not name any more."""
    for table in (member_list, membership):
        connection.execute(delete(table).where(table.c.crm == crm, table.c.asked.not_in(keep)))


def drop_memberships(connection: Connection, refs: Collection[Ref]) -> int:
    """Forget on which lists these records are. Returns how many rows that were."""
    removed = 0
    for some in in_chunks(sorted(refs), IN_LIST // 3):
        keys = tuple_(membership.c.crm, membership.c.kind, membership.c.ref_id).in_([tuple(each) for each in some])
        removed += connection.execute(delete(membership).where(keys)).rowcount
    return removed


def lists_of_people(
    connection: Connection, people: Sequence[int], asked: Mapping[str, Sequence[str]]
) -> dict[int, ListName]:
    """For each of these people (ascending) of whom a record is on a list, the first such list by CRM and name.

    `asked` are the lists that count, by CRM. What a merge or a conversion replaced counts, too.
    """
    wanted = [(crm, each) for crm, names in asked.items() for each in names]
    if not people or not wanted:
        return {}
    lists = or_(*(and_(member_list.c.crm == crm, member_list.c.asked == each) for crm, each in wanted))
    of_list = and_(member_list.c.crm == membership.c.crm, member_list.c.asked == membership.c.asked)
    own = and_(
        membership.c.crm == record.c.crm, membership.c.kind == record.c.kind, membership.c.ref_id == record.c.ref_id
    )
    old = and_(
        membership.c.crm == alias.c.crm, membership.c.kind == alias.c.kind, membership.c.ref_id == alias.c.old_id
    )
    found: dict[int, ListName] = {}
    for joined in (
        record.join(membership, own),
        record.join(alias, alias.c.record == record.c.id).join(membership, old),
    ):
        query = select(record.c.person, member_list.c.crm, member_list.c.name)
        query = query.select_from(joined.join(member_list, of_list)).where(lists, id_range(record.c.person, people))
        for person, crm, name in connection.execute(query):
            this = ListName(crm, name)
            found[person] = min(found.get(person, this), this)
    return found


def people_with_records(connection: Connection, crms: Collection[str] | None) -> frozenset[int]:
    """The people who have a record in one of these CRMs; with `None` in any."""
    query = select(record.c.person).where(record.c.person.is_not(None)).distinct()
    return frozenset(connection.scalars(query if crms is None else query.where(record.c.crm.in_(crms))))


def _members(connection: Connection, crm: str, asked: str) -> set[Ref]:
    query = select(membership.c.kind, membership.c.ref_id)
    query = query.where(membership.c.crm == crm, membership.c.asked == asked)
    return {Ref(crm, kind, ref_id) for kind, ref_id in connection.execute(query)}


def _drop(connection: Connection, refs: Collection[Ref], asked: str) -> None:
    for some in in_chunks(sorted(refs), IN_LIST // 3):
        keys = tuple_(membership.c.crm, membership.c.kind, membership.c.ref_id).in_([tuple(each) for each in some])
        connection.execute(delete(membership).where(membership.c.asked == asked, keys))


def _plan_again(connection: Connection, refs: Collection[Ref]) -> None:
    # Both, since a converted lead has a row of its own and an id that a merge replaced may have none.
    rows = {*ids_by_ref(connection, refs).values(), *ids_by_exact_ref(connection, refs).values()}
    make_dirty(connection, sorted(rows))
