"""The turn of the one worker that may write."""

from __future__ import annotations

from sqlalchemy import Connection, select

from crmsync.elapsed import seconds_elapsed
from crmsync.errors import LostLock
from crmsync.store import schema
from crmsync.store.lock import Lock

CONFIRMATIONS = 3
"""How often a lock is asked for again where the answer itself took too long."""


class Turn:
    """A turn to write: from taking the lock, which raised the epoch to this one, until it is given back or lost."""

    def __init__(self, lock: Lock, epoch: int, lease: float) -> None:
        self._lock, self._epoch, self._lease = lock, epoch, lease
        self._lost = False

    def lasts(self) -> bool:
        """Whether the lock is held as of now; once it is not, the turn is over for good.

        The answer is believed for a sixth of the lease, which leaves five for the longest request that it allows.
        """
        for _ in range(CONFIRMATIONS):
            asked = seconds_elapsed()
            if self._lost or not self._lock.is_held():
                break
            if seconds_elapsed() - asked <= self._lease / 6:
                return True
        self._lost = True
        return False

    def fence(self, writing: Connection) -> None:
        """Raise `LostLock` where this is not the present turn; nobody takes over until the transaction has ended."""
        epoch = writing.scalar(select(schema.writer.c.epoch).with_for_update(read=True))
        if self._lost or epoch != self._epoch:
            self._lost = True
            raise LostLock
