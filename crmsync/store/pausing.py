"""Pausing: a row of the state that every process looks at before it writes to a CRM."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from crmsync.connector import Stop
from crmsync.errors import Paused
from crmsync.store.database import Store
from crmsync.store.schema import pause
from crmsync.store.sql import from_ms, to_ms, upsert


class Pause(NamedTuple):
    """A pause from `since` until `until` (milliseconds), or until somebody resumes; `why` may be empty."""

    since: int
    until: int | None
    why: str

    def sentence(self) -> str:
        """Since when, until when and why, as an admin reads it."""
        end = "without an end" if self.until is None else f"until {from_ms(self.until):%Y-%m-%d %H:%M} UTC"
        because = f", because {self.why}" if self.why else ""
        return f"Paused since {from_ms(self.since):%Y-%m-%d %H:%M} UTC {end}{because}"


def find_pause(connection: Connection, now: int) -> Pause | None:
    """The pause that holds at `now` (milliseconds)."""
    last = last_pause(connection)
    return last if last is not None and (last.until is None or last.until > now) else None


def last_pause(connection: Connection) -> Pause | None:
    """The latest pause, whether or not it is over."""
    row = connection.execute(select(pause.c.since, pause.c.until, pause.c.why)).first()
    return None if row is None else Pause(*row)


def begin_pause(connection: Connection, now: int, until: int | None, why: str) -> Pause:
    """Pause at `now` (milliseconds); one that holds gets this end, and this reason where one is given."""
    before = find_pause(connection, now)
    begun = Pause(now, until, why) if before is None else Pause(before.since, until, why or before.why)
    save_pause(connection, begun)
    return begun


def save_pause(connection: Connection, kept: Pause | None) -> None:
    """Let this be the latest pause of the state."""
    if kept is None:
        connection.execute(delete(pause))
    else:
        upsert(connection, pause, [{"id": 1, **kept._asdict()}])


def end_pause(connection: Connection, now: int) -> bool:
    """Resume at `now` (milliseconds). Returns whether it was paused.

    The row stays and says until when it was: health counts from there, and not from the last run before the pause.
    """
    if find_pause(connection, now) is None:
        return False
    connection.execute(update(pause).values(until=now))
    return True


def refuse_while_paused(store: Store, now: int) -> None:
    """Raise `Paused` where nothing may be written at `now` (milliseconds)."""
    with store.read() as reading:
        found = find_pause(reading, now)
    if found is not None:
        raise Paused(found.sentence())


class PauseStop:
    """A stop for connectors that write, which is raised, too, for as long as the state is paused.

    They ask it before each attempt of a request, so that a batch that a CRM put off is not repeated in a pause either.
    """

    def __init__(self, stop: Stop, store: Store, clock: Callable[[], datetime]) -> None:
        self._stop, self._store, self._clock = stop, store, clock

    def is_set(self) -> bool:
        """Whether to leave."""
        if self._stop.is_set():
            return True
        with self._store.read() as reading:
            return find_pause(reading, to_ms(self._clock())) is not None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the stop itself; whether it is paused is looked at before the next request."""
        return self._stop.wait(timeout)
