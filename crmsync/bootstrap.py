"""Opening what a cycle works with: the state, the connectors, and the present instant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import make_url

from crmsync import log
from crmsync.config import Config, connectors
from crmsync.connector import Connector, Notes, Stop
from crmsync.elapsed import stopwatch
from crmsync.errors import ConfigError
from crmsync.store.address import is_there
from crmsync.store.cursors import StoredNotes
from crmsync.store.database import Store, WriterStop, open_existing_store, open_store, quick_check
from crmsync.store.pausing import PauseStop, refuse_while_paused
from crmsync.store.sql import to_ms
from crmsync.work import Progress, Work


def has_state(config: Config) -> bool:
    """Whether there is a state already; asking makes none."""
    return is_there(make_url(config.state.url))


@contextmanager
def existing_state(config: Config) -> Iterator[Store | None]:
    """The state as it is, for who only looks; `None` where there is none. Raises `StateError` for an older one."""
    store = open_existing_store(config.state.url)
    try:
        yield store
    finally:
        if store is not None:
            store.close()


@contextmanager
def state_to_keep(config: Config) -> Iterator[Store | None]:
    """The same for a backup, which may be of an older version as well."""
    store = open_existing_store(config.state.url, older=True)
    try:
        yield store
    finally:
        if store is not None:
            store.close()


@contextmanager
def opened_state(config: Config) -> Iterator[Store]:
    """The state that the config names. Raises `ConfigError` or `StateError` where it cannot be used."""
    store = open_store(config.state.url, config.state.lease_seconds)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def connect_all(config: Config, store: Store, stop: Stop) -> Iterator[dict[str, Connector]]:
    """A connector for each CRM that the config has a table for; none of them has made a call yet.

    Raises `ConfigError` where there is none, or where credentials are missing.
    """
    if not config.crms:
        raise ConfigError(f"the config has no CRM; add a table [{'] or ['.join(sorted(connectors()))}]")
    problems: list[str] = []
    with ExitStack() as stack:
        crms: dict[str, Connector] = {}
        for name in config.crms:
            try:
                leave = WriterStop(stop, store)
                crms[name] = stack.enter_context(connect_one(config, name, StoredNotes(store, name), leave))
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems, next_command="crmsync check --online")
        yield crms


def connect_to_write(config: Config, store: Store, stop: Stop) -> AbstractContextManager[dict[str, Connector]]:
    """The same for a run, whose calls end as soon as it is paused. Raises as `connect_all`."""
    return connect_all(config, store, PauseStop(stop, store, lambda: datetime.now(UTC)))


@contextmanager
def connect_one(config: Config, crm: str, notes: Notes, stop: Stop) -> Iterator[Connector]:
    """The connector of one CRM; closed afterwards. Raises `ConfigError` where credentials are missing."""
    made: Connector = connectors()[crm].connect(config.crms[crm], config.field_map(crm), notes, stop)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def open_work(config: Config, who: str, stop: Stop, progress: Progress) -> Iterator[Work]:
    """Everything for one run, now, as the one writer of the state.

    Raises `Paused` while writing is paused, and `StateInUse` when somebody else writes.
    """
    with opened_state(config) as store:
        # Before the lock is asked for: who has it is paused, too.
        refuse_while_paused(store, to_ms(datetime.now(UTC)))
        with (
            store.writer(who, stop, landing=say_landing),
            connect_to_write(config, store, stop) as crms,
        ):
            quick_check(store, datetime.now(UTC))
            connect = partial(connect_to_write, stop=stop)
            yield Work(config, store, crms, datetime.now(UTC), progress, connect, stopwatch(), stop)


def say_landing(seconds: float) -> None:
    """Tell why nothing happens for so long."""
    why = "an earlier process ended unexpectedly, and its updates may still arrive"
    log.get_logger().warning("waiting_to_take_over", seconds=round(seconds), why=why)


@contextmanager
def looking_on(config: Config, stop: Stop, progress: Progress) -> Iterator[Work]:
    """Everything for a preview, now, beside whoever writes; it makes its connectors itself."""
    with opened_state(config) as store:
        yield Work(config, store, {}, datetime.now(UTC), progress, partial(connect_all, stop=stop), stopwatch(), stop)
