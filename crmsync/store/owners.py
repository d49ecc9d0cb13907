"""Who records can belong to, as of the last run: who leaves a CRM leaves people who need another owner."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from crmsync.identity.matching import normal_email
from crmsync.model import Owner
from crmsync.store.schema import LIVE, owner, record
from crmsync.store.sql import IN_LIST, in_chunks, upsert


def save_owners(connection: Connection, crms: Collection[str], owners: Sequence[Owner]) -> None:
    """Store the owners of these CRMs. The records of those who were active and are not any more become dirty."""
    before = {(row.crm, row.id): row for row in connection.execute(select(owner).where(owner.c.crm.in_(crms)))}
    now = {(each.crm, each.id): each for each in owners}
    moved = [_row(each) for key, each in now.items() if key not in before or _row(each) != before[key]._asdict()]
    upsert(connection, owner, moved)
    for crm, owner_id in before.keys() - now.keys():
        connection.execute(delete(owner).where(owner.c.crm == crm, owner.c.id == owner_id))
    for crm in crms:
        left = [each.id for each in owners if each.crm == crm and not each.active and _was_active(before, each)]
        for some in in_chunks(left, IN_LIST):
            theirs = record.c.crm == crm, record.c.owner.in_(some)
            connection.execute(update(record).where(LIVE, *theirs).values(dirty=True))


def _was_active(before: Any, now: Owner) -> bool:
    """Whether they could own people until now, as far as anybody knows."""
    row = before.get((now.crm, now.id))
    return row is None or bool(row.active)


def _row(each: Owner) -> dict[str, Any]:
    return {name: getattr(each, name) for name in ("crm", "id", "email", "name", "kind", "active")}


def owner_names(connection: Connection) -> dict[tuple[str, str], str]:
    """What to call each owner: the e-mail address, or the name of a queue or of somebody without one."""
    query = select(owner.c.crm, owner.c.id, owner.c.email, owner.c.name)
    return {(crm, owner_id): email or name or owner_id for crm, owner_id, email, name in connection.execute(query)}


def read_owners(connection: Connection) -> list[Owner]:
    """Everybody whom records can belong to, as of the last run."""
    query = select(owner.c.crm, owner.c.id, owner.c.email, owner.c.name, owner.c.active, owner.c.kind)
    return [Owner(*row) for row in connection.execute(query)]


def owner_emails(connection: Connection) -> dict[tuple[str, str], str]:
    """The e-mail address of each owner as it is compared; `""` for a queue, and nothing for who has none."""
    query = select(owner.c.crm, owner.c.id, owner.c.email, owner.c.kind)
    found = {(crm, owner_id): (normal_email(email), kind) for crm, owner_id, email, kind in connection.execute(query)}
    return {key: "" if kind == "queue" else email for key, (email, kind) in found.items() if email or kind == "queue"}
