"""What tests share: one instant, and one sandbox of both CRMs that every test finds as new."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from connectors.sandbox.server import Sandbox, serve

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PEOPLE = 60


@pytest.fixture
def now() -> datetime:
    """The instant at which the sandbox's clock stands until a test moves it."""
    return NOW


@pytest.fixture(scope="session")
def _running() -> Iterator[Sandbox]:
    with serve(people=PEOPLE, seed=1, now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_running: Sandbox) -> Sandbox:
    """Both CRMs over real HTTP, with 60 people, as they are at `now`; `portal` and `org` are new for each test."""
    _running.reset()
    return _running
