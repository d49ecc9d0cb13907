"""The shared ids of activities as scoring reads them: by record, instant and fact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, select

from crmsync.columns import number_groups
from crmsync.store.schema import activity, record, shared_id
from crmsync.store.sql import IN_LIST, column_chunks, has_rows, in_chunks, one_of


def read_shared_ids(
    connection: Connection, records: NDArray[np.int64], at: NDArray[np.int64], facts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The hash that each of these activities (m,) carries; 0 for none. `records` and `facts` are ids of rows.

    Of two activities of a record that are alike in everything else, it does not matter which one gets which.
    """
    found = np.zeros(len(records), dtype=np.int64)
    rows = _read_carried(connection, records)
    if not len(rows):
        return found
    own = np.stack([records, at, facts])
    group = number_groups(np.concatenate([own, rows[:, :3].T], axis=1))
    ours, theirs = group[: len(records)], group[len(records) :]
    by_group, named = np.argsort(ours, kind="stable"), np.lexsort((rows[:, 3], theirs))
    starts = np.searchsorted(ours[by_group], theirs[named])
    place = starts + np.arange(len(named)) - np.searchsorted(theirs[named], theirs[named])
    # What was not asked for carries ids, too.
    ends = np.searchsorted(ours[by_group], theirs[named], side="right")
    fits = place < ends
    found[by_group[place[fits]]] = rows[named[fits], 3]
    return found


def _read_carried(connection: Connection, records: NDArray[np.int64]) -> NDArray[np.int64]:
    """Record, instant, fact and hash of each activity of some records that carries one; (k, 4)."""
    carried = and_(
        activity.c.crm == record.c.crm, activity.c.id == shared_id.c.activity, activity.c.record == shared_id.c.record
    )
    columns = (shared_id.c.record, activity.c.at, activity.c.fact, shared_id.c.hash)
    query = select(*columns).join(record, record.c.id == shared_id.c.record).join(activity, carried)
    rows = [np.zeros((0, 4), dtype=np.int64)]
    if not has_rows(connection, shared_id):
        return rows[0]
    for some in in_chunks(np.unique(records).tolist(), IN_LIST):
        theirs = query.where(one_of(shared_id.c.record, some))
        rows += [np.array(each, dtype=np.int64).T for each in column_chunks(connection, theirs, 100_000)]
    return np.concatenate(rows)
