"""The turn of the one worker that may write."""

from __future__ import annotations

from sqlalchemy import Connection, select

from crmsync.elapsed import seconds_elapsed
from crmsync.errors import LostLock
from crmsync.store import schema
from crmsync.store.lock import Lock

CONFIRMATIONS = 3
"""How often a lock is asked for again where the answer itself took too long."""


class WriterTurn:
    """A turn to write: from taking the lock, which raised the epoch to this one, until it is given back or lost."""

    def __init__(self, lock: Lock, epoch: int, lease: float) -> None:
        self._lock, self._epoch, self._lease = lock, epoch, lease
        self._lost = False

    def lasts(self) -> bool:
        """Whether the lock is held as of now; once it is not, the turn is over for good.

        The answer is believed for a sixth of the lease, which leaves five for the longest request that it allows.
        """
        for _ in range(CONFIRMATIONS):
            # From before the question on: the answer is no younger than that.
            asked = seconds_elapsed()
            if self._lost or not self._lock.is_held():
                break
            if seconds_elapsed() - asked <= self._lease / 6:
                return True
        # For good, even if the lock is free again: others may have had their turns in between.
        self._lost = True
        return False

    def fence(self, writing: Connection) -> None:
        """Raise `LostLock` where this is not the present turn; nobody takes over until the transaction has ended."""
        # FOR SHARE, for which a successor's FOR UPDATE waits. SQLite has neither: there BEGIN IMMEDIATE does the same.
        epoch = writing.scalar(select(schema.writer.c.epoch).with_for_update(read=True))
        if self._lost or epoch != self._epoch:
            self._lost = True
            raise LostLock
