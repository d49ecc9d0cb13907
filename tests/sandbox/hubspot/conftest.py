"""A portal of the sandbox over real HTTP, and both the real client and plain calls to it."""

import socket
import threading
from collections.abc import Iterator

import pytest
import requests
import uvicorn
from hubspot import HubSpot
from starlette.applications import Starlette

from connectors.sandbox.hubspot import SandboxPortal
from tests.support.sandbox_hubspot import WORLD, Asker, Clock, Served


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    line.bind(("127.0.0.1", 0))
    held = Served()
    held.url = f"http://127.0.0.1:{line.getsockname()[1]}"
    config = uvicorn.Config(held, lifespan="off", log_config=None, access_log=False, ws="none", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([line],), daemon=True)
    line.listen(50)
    thread.start()
    yield held
    server.should_exit = server.force_exit = True
    thread.join(10)
    line.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def portal(served: Served, clock: Clock) -> SandboxPortal:
    made = SandboxPortal(clock)
    made.load(WORLD)
    served.app = Starlette(routes=made.routes())
    return made


@pytest.fixture
def client(served: Served, portal: SandboxPortal) -> HubSpot:
    return HubSpot.create(access_token="sandbox-token", host=served.url)


@pytest.fixture
def ask(served: Served, portal: SandboxPortal) -> Iterator[Asker]:
    with requests.Session() as session:
        yield Asker(served.url, session)
