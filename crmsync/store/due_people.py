"""Who is to be scored: whoever changed, is due or waits, and who has a record in a CRM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select, union

from crmsync.store.records import dirty_in
from crmsync.store.schema import LIVE, UNOWNED, person, record
from crmsync.store.sql import id_range, plain_rows, unindexed


def people_to_score(connection: Connection, now: int, model: str, plan: str, crms: Sequence[str]) -> NDArray[np.int64]:
    """The people whose score or plan may have changed, ascending.

    Those with a dirty contact, those due by `now` (seconds), those who wait for an owner, and those last scored or
    planned for with other settings than these (hashes). A record of a CRM that is not among `crms` makes nobody due.
    """
    # A union and not one OR, so that each part is served by an index of its own.
    candidates = union(
        select(record.c.person).where(*dirty_in(crms), unindexed(record.c.person).is_not(None)),
        select(person.c.id).where(person.c.due <= now),
        select(person.c.id).where(UNOWNED),
        *(
            select(person.c.id).where(differs)
            for column, held in ((person.c.model, model), (person.c.plan, plan))
            for differs in (column < held, column > held)  # an index serves these, and not <>
        ),
    )
    query = select(record.c.person).where(record.c.person.in_(candidates), LIVE).distinct().order_by(record.c.person)
    return np.fromiter(connection.scalars(query), dtype=np.int64)


def read_people_of_crm(connection: Connection, people: Sequence[int], crm: str) -> NDArray[np.int64]:
    """Who has a live record in a CRM, of at least these people (ascending)."""
    query = select(record.c.person).where(id_range(record.c.person, people), LIVE, record.c.crm == crm)
    return np.fromiter((row[0] for row in plain_rows(connection, query)), dtype=np.int64)
