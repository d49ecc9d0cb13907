"""Answering HTTP calls in a thread, with a deadline for callers who never end theirs."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_DEADLINE = 5.0
"""Seconds for the head of a call: callers who never end theirs would keep others out, since each takes a place."""

MOST_CALLERS = 64


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises `OSError` where the port cannot be had."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


async def read_body(request: Request, most: int, seconds: float) -> bytes | None:
    """The bytes as they came; `None` when they are more than `most` or take longer than so many seconds."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return bytes(body)


@contextmanager
def answer_calls(app: Starlette, line: socket.socket, name: str) -> Iterator[None]:
    """Answer in a thread of this name until the block ends."""
    server = _Server(app)
    thread = threading.Thread(target=server.run, args=([line],), name=name, daemon=True)
    thread.start()
    server.ready.wait(10)
    try:
        yield
    finally:
        server.stop()
        thread.join(5)


class _Impatient(H11Protocol):
    """A connection that is closed when the head of a call is not whole in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._mind_the_time()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._mind_the_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def _mind_the_time(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # none before the first call
        if cycle is not None and not cycle.response_complete:
            self._relax()
        # Not moved by each piece that comes, or a drip of bytes would keep its place for ever.
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_DEADLINE, self.transport.close)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and that stops at once."""

    def __init__(self, app: Starlette) -> None:
        self.ready = threading.Event()
        super().__init__(
            uvicorn.Config(
                app,
                http=_Impatient,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=MOST_CALLERS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def stop(self) -> None:
        """Stop from another thread; no answer is worth waiting for."""
        self.should_exit = self.force_exit = True
