"""Both CRMs in one HTTP server on this machine: what `crmsync sandbox` runs and what the tests talk to."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import FrameType
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from connectors.sandbox.calls import Calls, LoggedCall, overheard, writes
from connectors.sandbox.control import control_routes
from connectors.sandbox.faults import Connection, Fault, FaultyAnswer, Script, answer, play
from connectors.sandbox.generate import make_world
from connectors.sandbox.hubspot import SandboxPortal
from connectors.sandbox.salesforce import SandboxOrg
from connectors.sandbox.world import World
from crmsync.errors import ConfigError

SALESFORCE = ("/services/", "/id/")
"""What Salesforce's paths begin with; all others are HubSpot's."""

HOST = "127.0.0.1"
WORTH_GZIP = 1_000
"""Bytes from which an answer is compressed for a client that asks for it."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Clock:
    """The sandbox's time: the real one, moved as told; or an instant at which it stands until it is moved."""

    def __init__(self, now: datetime | None = None) -> None:
        self._frozen, self._offset = now, timedelta()

    def __call__(self) -> datetime:
        return self._frozen or datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Move on (or, below zero, back)."""
        self.set(self() + timedelta(seconds=seconds))

    def set(self, at: datetime) -> None:
        """Make it `at` (aware); a running clock runs on from there."""
        if self._frozen:
            self._frozen = at
        else:
            self._offset = at - datetime.now(UTC)


class Vendor(Protocol):
    """One CRM of the sandbox: its records behind its routes, and what people and workflows can do to them."""

    @property
    def actions(self) -> Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]: ...
    def load(self, world: World) -> None: ...
    def routes(self) -> Sequence[BaseRoute]: ...
    def snapshot(self) -> dict[str, Any]: ...


class Sandbox:
    """Both CRMs and the ground they stand on: an ASGI application, and the handle that tests hold.

    `portal` and `org` are made anew by `reset`, so do not keep them over it.
    """

    def __init__(
        self,
        people: int = 200,
        seed: int = 1,
        now: datetime | None = None,
        latency: float = 0.0,
        rate_limits: bool = False,
        faults: Sequence[Fault] = (),
        history: bool = False,
    ) -> None:
        self._now, self._scripted = now, tuple(faults)
        self.latency, self.rate_limits, self.port = latency, rate_limits, 0
        self.world: World = make_world(people, seed, Clock(now)(), history)
        self.connections: dict[Any, asyncio.Transport] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self.closing = False
        self._control = control_routes(self)
        self._date: tuple[int, bytes] = (0, b"")
        self.reset()

    @property
    def url(self) -> str:
        """Where both CRMs answer."""
        return f"http://{HOST}:{self.port}"

    def reset(self) -> None:
        """Everything as it was at the start: records, clock, faults and calls."""
        self.clock, self.faults, self.calls = Clock(self._now), Script(self._scripted), Calls()
        self.portal = SandboxPortal(lambda: self.clock(), rate_limits=self.rate_limits)
        self.org = SandboxOrg(lambda: self.clock(), rate_limits=self.rate_limits)
        self.vendors: Mapping[str, Vendor] = {"hubspot": self.portal, "salesforce": self.org}
        for each in self.vendors.values():
            each.load(self.world)
        self._apps = {name: _application(each) for name, each in self.vendors.items()}

    def do(self, vendor: str, action: str, **body: Any) -> dict[str, Any]:
        """What a human or a workflow does in a CRM; between two requests, never during one."""
        return self.between_requests(lambda: self.vendors[vendor].actions[action](body))

    def snapshot(self, vendor: str) -> dict[str, Any]:
        """The whole state of a CRM, for comparing."""
        return self.between_requests(self.vendors[vendor].snapshot)

    def between_requests(self, act: Callable[[], T]) -> T:
        """Run `act` where the requests are answered, so that it meets none half done."""
        if self.loop is None or self.loop.is_closed():
            return act()

        async def acted() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(acted(), self.loop).result(60)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        try:
            if scope["path"].startswith("/sandbox"):
                await self._control(scope, receive, send)
            else:
                await self._answer(scope, receive, send)
        except asyncio.CancelledError:
            if not self.closing:
                raise

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("//"):  # the Salesforce CLI asks for //services/data, and Salesforce answers it
            scope = {**scope, "path": "/" + scope["path"].lstrip("/")}
        vendor = "salesforce" if scope["path"].startswith(SALESFORCE) else "hubspot"
        method, path, calls, app = scope["method"], scope["path"], self.calls, self._apps[vendor]
        if self.latency:
            await asyncio.sleep(self.latency)
        body, receive = await overheard(path, receive)

        async def ask() -> FaultyAnswer:
            return self._dated(await _captured(app, scope, receive))

        fault, status = self.faults.due(vendor, method, path), 0
        try:
            if fault is None:
                told: FaultyAnswer | None = await ask()
            else:
                told = await play(fault, ask, Connection(self.connections[scope["client"]], receive))
                told = told and self._dated(told)
            status = told.status if told else 0
        finally:
            query = unquote(scope["query_string"].decode("latin-1"))
            wrote = writes(method, path, body)
            calls.note(LoggedCall(vendor, method, path, query, status, wrote, time.monotonic()))
        if told:
            await _send(send, _compressed(told, scope))

    def _dated(self, told: FaultyAnswer) -> FaultyAnswer:
        """The same answer with the sandbox's time in its `Date` header."""
        if told.header(b"date"):
            return told
        now = self.clock()
        second = int(now.timestamp())
        if self._date[0] != second:
            self._date = (second, format_datetime(now.astimezone(UTC), usegmt=True).encode())
        return FaultyAnswer(told.status, [*told.headers, (b"date", self._date[1])], told.body)


def _application(vendor: Vendor) -> ASGIApp:
    app = Starlette(routes=vendor.routes())
    app.router.redirect_slashes = False
    return app


async def _captured(app: ASGIApp, scope: Scope, receive: Receive) -> FaultyAnswer:
    """The whole answer of a CRM; 500 and a line in the log where the sandbox itself has a fault."""
    status, headers, parts = 0, [], []

    async def keep(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], message["headers"]
        else:
            parts.append(message.get("body", b""))

    try:
        await app(scope, receive, keep)
    except Exception:  # noqa: BLE001  whatever it is, it is a fault of the sandbox and must be seen
        _log.exception("the sandbox failed at %s %s", scope["method"], scope["path"])
        return answer(500, b"the sandbox itself failed; its log says where", "text/plain")
    return FaultyAnswer(status, list(headers), b"".join(parts))


def _compressed(told: FaultyAnswer, scope: Scope) -> FaultyAnswer:
    """The answer as gzip, where the client asks for that and it is worth it."""
    if len(told.body) < WORTH_GZIP or told.header(b"content-encoding"):
        return told
    accepted = next((value for key, value in scope["headers"] if key == b"accept-encoding"), b"")
    if b"gzip" not in accepted:
        return told
    body = gzip.compress(told.body, compresslevel=1, mtime=0)
    kept = [each for each in told.headers if each[0].lower() != b"content-length"]
    coded = [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"), (b"content-length", b"%d" % len(body))]
    return FaultyAnswer(told.status, kept + coded, body)


async def _send(send: Send, told: FaultyAnswer) -> None:
    await send({"type": "http.response.start", "status": told.status, "headers": told.headers})
    await send({"type": "http.response.body", "body": told.body})


# Running it


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and that stops at once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.ready = sandbox, threading.Event()
        super().__init__(
            uvicorn.Config(
                sandbox,
                http=_protocol(sandbox.connections),
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=120,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.sandbox.loop = asyncio.get_running_loop()
        self.ready.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT and SIGTERM: no answer is worth waiting for."""
        self.should_exit = self.force_exit = True

    def stop(self) -> None:
        """Stop from another thread."""
        self.handle_exit(0, None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.sandbox.closing = True
        for transport in list(self.sandbox.connections.values()):
            transport.abort()
        await super().shutdown(sockets)


def _protocol(connections: dict[Any, asyncio.Transport]) -> type[asyncio.Protocol]:
    """uvicorn's HTTP that notes each client's transport, which a fault may need."""

    class Noted(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connections[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self.client, None)
            super().connection_lost(exc)

    return Noted


def _listening(port: int) -> socket.socket:
    # asyncio turns Nagle's delay off only for sockets that name their protocol; with it, each answer takes 40 ms.
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        line.bind((HOST, port))
        line.listen(2_048)
    except OSError as error:
        line.close()
        raise ConfigError(
            f"port {port} cannot be used ({error.strerror}); choose another with --port, or 0 for a free one"
        ) from None
    return line


@contextlib.contextmanager
def serve(
    people: int = 200,
    seed: int = 1,
    port: int = 0,
    latency: float = 0.0,
    rate_limits: bool = False,
    faults: Sequence[Fault] = (),
    now: datetime | None = None,
    history: bool = False,
) -> Iterator[Sandbox]:
    """The sandbox, running in a thread; it is gone when the block ends.

    `port` 0 takes a free one. `latency` is in seconds for each call. `now` makes the clock stand still at that instant.
    `history` is that of `make_world`.
    """
    sandbox = Sandbox(people, seed, now, latency, rate_limits, faults, history)
    line = _listening(port)
    sandbox.port = line.getsockname()[1]
    server = _Server(sandbox)
    thread = threading.Thread(target=server.run, args=([line],), name="sandbox", daemon=True)
    thread.start()
    server.ready.wait(10)
    try:
        yield sandbox
    finally:
        server.stop()
        thread.join(10)


def run_sandbox(
    people: int = 2_000,
    seed: int = 1,
    port: int = 8_400,
    latency: float = 0.0,
    rate_limits: bool = False,
    faults: Sequence[Fault] = (),
    say: Callable[[str], object] = lambda text: None,
    history: bool = False,
) -> None:
    """Run the sandbox until SIGINT or SIGTERM. `say` is told where it is and what to try first."""
    sandbox = Sandbox(people, seed, None, latency, rate_limits, faults, history)
    line = _listening(port)
    sandbox.port = line.getsockname()[1]
    say(_welcome(sandbox))
    _Server(sandbox).run([line])


def _welcome(sandbox: Sandbox) -> str:
    return f"""\
Both CRMs answer at {sandbox.url} with {len(sandbox.world.humans):,} invented people. Stop them with Ctrl-C.

  HubSpot     token sandbox-token
  Salesforce  client id sandbox, client secret sandbox

Try:
  curl -H 'Authorization: Bearer sandbox-token' '{sandbox.url}/crm/v3/objects/contacts?limit=1'
  curl -d 'grant_type=client_credentials&client_id=sandbox&client_secret=sandbox' {sandbox.url}/services/oauth2/token
  curl {sandbox.url}/sandbox        (what can be done to the records, the clock and the faults)
"""
