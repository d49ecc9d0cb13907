"""What a run works with: config, state, connectors and the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import NamedTuple

from crmsync.config import Config
from crmsync.connector import Connector, Stop
from crmsync.store.database import Store
from crmsync.store.sql import to_ms

Connect = Callable[[Config, Store], AbstractContextManager[Mapping[str, Connector]]]
"""Makes connectors that read as a config maps and keep their notes in a state, for as long as the block lasts."""


def _stand_still() -> float:
    return 0.0


class Work(NamedTuple):
    """What a run works with: the config, the state, the CRMs by name, and the instant it takes for now (aware).

    `elapsed` says how many seconds ago that was; `stop` is raised where the run is to leave between two pages.
    """

    config: Config
    store: Store
    crms: Mapping[str, Connector]
    now: datetime
    progress: Progress = lambda _what, _crm, _more: None
    connect: Connect | None = None
    elapsed: Callable[[], float] = _stand_still
    stop: Stop | None = None

    @property
    def present(self) -> datetime:
        """What the time must be by now if `now` was right."""
        return self.now + timedelta(seconds=self.elapsed())

    @property
    def now_ms(self) -> int:
        """The instant in milliseconds."""
        return to_ms(self.now)


Progress = Callable[[str, str, int], None]
"""Told (what, crm, how many more) while work goes on."""
