"""What runs left behind whose clock was ahead: dates in the future, which hold until the time they say has come."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection, or_, select, update

from crmsync.store import journal, run_journal
from crmsync.store.database import Store
from crmsync.store.schema import person, record, run
from crmsync.store.sql import dump_json

LEEWAY = 600_000
"""Milliseconds: two machines on one state may each be five minutes off."""

LONGEST_RUN = 7 * 86_400_000
"""Milliseconds: whatever began before has ended before now, or by a clock that was set meanwhile and long ago."""

BY_A_WRONG_CLOCK = "it was dated by a clock that was ahead"


def mend_future(store: Store, now: int) -> None:
    """Put right whatever is dated after `now` (milliseconds), as if it had just ended.

    A run that went well by such a clock is none that counts: everybody is scored again, what was pulled is pulled again
    when it is time, and what somebody approved must be approved again.
    """
    later = now + LEEWAY
    with store.read() as reading:
        dated_ahead = or_(run.c.started > later, run.c.ended > later)
        rows = reading.execute(select(run).where(run.c.started > now - LONGEST_RUN, dated_ahead)).all()
    if not rows:
        return
    with store.begin() as tx:
        for row in rows:
            # Before now, so that the run that begins now is the newest.
            _redate(tx, row, now - 1)
        approved = [row.id for row in run_journal.list_plans(tx, run_journal.APPROVED) if row.approved_at > later]
        run_journal.supersede_plans(tx, approved)
        if any(row.verdict in run_journal.GOOD for row in rows) or _is_anybody_scored_after(tx, later):
            # Everybody: whatever time did to their scores, it did by that clock (R37).
            tx.execute(update(person).values(due=0))
        _shorten_overrides(tx, later, now)
        journal.unpark_changes(tx, now - journal.PATIENCE, later)


def _redate(tx: Connection, row: Any, at: int) -> None:
    values: dict[str, Any] = {"started": min(row.started, at), "ended": at}
    if row.verdict in run_journal.GOOD:
        result = orjson.loads(row.result)
        problems = [BY_A_WRONG_CLOCK, *result.get("problems", ())]
        values |= {"verdict": "failed", "result": dump_json({**result, "verdict": "failed", "problems": problems})}
    tx.execute(update(run).where(run.c.id == row.id).values(values))


def _is_anybody_scored_after(tx: Connection, later: int) -> bool:
    return tx.scalar(select(person.c.id).where(person.c.scored_at > later).limit(1)) is not None


def _shorten_overrides(tx: Connection, later: int, now: int) -> None:
    """A manual override that was noticed in the future was noticed now; when it ends is decided again."""
    for row_id, text in tx.execute(select(record.c.id, record.c.overrides).where(record.c.overrides != "{}")).all():
        overrides = orjson.loads(text)
        if all(int(lease["since"]) <= later for lease in overrides.values()):
            continue
        sooner = {name: {**lease, "since": min(int(lease["since"]), now)} for name, lease in overrides.items()}
        tx.execute(update(record).where(record.c.id == row_id).values(overrides=dump_json(sooner), dirty=True))
