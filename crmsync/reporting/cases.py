"""Cases of the state: what was known of people as of an instant, and what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import Cases
from crmsync.store.database import Store


def read_state_cases(
    config: Config, store: Store | None, now: datetime, since: int | None, until: int | None
) -> Iterator[Cases]:
    """People of the state who are judged between two instants (seconds; `None` for no end), some at a time.

    Raises `ConfigError` where no outcomes are read yet.
    """
    raise ConfigError("no outcomes are read yet; add [outcome] to the config, or give --input FILE", "crmsync sync")
