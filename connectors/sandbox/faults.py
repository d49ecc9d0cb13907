"""Scripted misbehaviour: which call goes wrong, and how, down to the bytes on the line."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson
from pydantic import Field, ValidationError, field_validator, model_validator
from starlette.types import Receive

from crmsync.config.tables import Table
from crmsync.errors import ConfigError

MAINTENANCE = (
    b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>We will be right back</h1></body></html>"
)

Does = Literal["answer", "delay", "html", "empty", "silence", "drip", "reset", "drop", "truncate", "short"]


class Fault(Table):
    """One thing that goes wrong. Calls that match are counted from 1, for each fault on its own.

    It fires on the calls `first`, `first + every` … up to `last`, at most `times` times; `nth = 3` is the third alone.
    `path` is a regular expression that may match anywhere in the path. What it `do`es:

    - `answer`: `status`, `headers` and `body` (text, or JSON where it is a table or list) in place of the CRM's.
    - `delay`: nothing but `delay` seconds; they come before whatever else a fault does, too.
    - `html`: a maintenance page with status 200, or with `status`. The CRM is not asked.
    - `empty`: the request is applied, its results are left out of the answer.
    - `silence`: never an answer. The CRM is not asked.
    - `drip`: the request is applied, the answer comes one byte each `seconds`.
    - `reset`: the connection is reset and the CRM not asked. `drop`: the CRM is asked, then the connection reset.
    - `truncate`: the request is applied, a chunked answer ends in its middle. `short`: so does one with a length.
    """

    do: Does
    vendor: Literal["hubspot", "salesforce", "any"] = "any"
    method: str = ""
    path: str = ""
    nth: int | None = Field(default=None, ge=1)
    first: int = Field(default=1, ge=1)
    last: int | None = Field(default=None, ge=1)
    every: int = Field(default=1, ge=1)
    times: int | None = Field(default=None, ge=1)
    status: int | None = Field(default=None, ge=100, le=599)
    headers: dict[str, str] = Field(default={})
    body: str | dict[str, Any] | list[Any] = ""
    delay: float = Field(default=0.0, ge=0)
    seconds: float = Field(default=1.0, ge=0)

    @field_validator("path")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is not a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _complete(self) -> Fault:
        if self.do == "answer" and self.status is None:
            raise ValueError('do = "answer" needs a status, for example status = 503')
        if self.do == "delay" and not self.delay:
            raise ValueError('do = "delay" needs a delay in seconds, for example delay = 2.5')
        if self.nth is not None and (self.first, self.last, self.every) != (1, None, 1):
            raise ValueError("nth names one call; leave first, last and every out")
        return self

    def concerns(self, vendor: str, method: str, path: str) -> bool:
        """Whether a call is one of those that this fault counts."""
        return (
            self.vendor in ("any", vendor)
            and self.method.upper() in ("", method)
            and re.search(self.path, path) is not None
        )

    def due(self, count: int) -> bool:
        """Whether it fires on the `count`-th call that it concerns."""
        if self.nth is not None:
            return count == self.nth
        within = self.first <= count <= (self.last or count)
        return within and (count - self.first) % self.every == 0


class Script:
    """The faults in force, and how often each has fired."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lines: list[_Line] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Put faults in force, after those that are."""
        self._lines = [*self._lines, *(_Line(fault) for fault in faults)]

    def clear(self) -> None:
        """Let everything go well from now on."""
        self._lines = []

    def fired(self) -> list[tuple[Fault, int]]:
        """Each fault and how often it has fired."""
        return [(line.fault, line.fired) for line in self._lines]

    def due(self, vendor: str, method: str, path: str) -> Fault | None:
        """The fault that this call meets: the first that fires. All that the call concerns count it."""
        found = [line for line in self._lines if line.fault.concerns(vendor, method, path) and line.counts()]
        if not found:
            return None
        found[0].fired += 1
        return found[0].fault


class _Line:
    """A fault and its counts."""

    def __init__(self, fault: Fault) -> None:
        self.fault, self.seen, self.fired = fault, 0, 0

    def counts(self) -> bool:
        self.seen += 1
        return self.fault.due(self.seen) and (self.fault.times is None or self.fired < self.fault.times)


# Reading a script


def load_script(path: Path) -> list[Fault]:
    """The faults of a TOML or JSON file. Raises `ConfigError` with a sentence for every mistake."""
    try:
        text = path.read_text(encoding="utf-8")
        data = orjson.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"the fault script {path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ConfigError(
            f"the fault script {path} is not valid {path.suffix[1:].upper() or 'TOML'}: {error}"
        ) from None
    try:
        return parse_script(data)
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None


def parse_script(data: object) -> list[Fault]:
    """Faults from a list of tables, or a table `fault` that holds it. Raises `ConfigError` with every mistake."""
    if isinstance(data, Mapping) and set(data) == {"fault"}:
        data = data["fault"]
    if not isinstance(data, list):
        raise ConfigError('write a list of faults: [[fault]] tables in TOML, {"fault": [...]} in JSON')
    faults, problems = [], []
    for number, each in enumerate(data, start=1):
        try:
            faults.append(Fault.model_validate(each))
        except ValidationError as error:
            problems += [f"fault no. {number}: {sentence}" for sentence in _sentences(error)]
    if problems:
        raise ConfigError(problems)
    return faults


def _sentences(error: ValidationError) -> list[str]:
    words = {"missing": "is missing", "extra_forbidden": f"is not one of {', '.join(Fault.model_fields)}"}
    found = {}
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        where = str(each["loc"][0]) + ": " if each["loc"] else ""
        found[where] = where + (words.get(each["type"]) or each["msg"].removeprefix("Value error, "))
    return list(found.values())


# Playing a fault


class FaultyAnswer(NamedTuple):
    """An HTTP answer as a whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of a header, by its lower-case name."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def answer(status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> FaultyAnswer:
    """An answer with the length of its body."""
    named = {"content-type": content_type, "content-length": str(len(body)), **(headers or {})}
    return FaultyAnswer(status, [(key.lower().encode(), value.encode()) for key, value in named.items()], body)


class Connection:
    """One client's line, below HTTP."""

    def __init__(self, transport: asyncio.Transport, receive: Receive) -> None:
        self._transport, self._receive = transport, receive

    async def reset(self) -> None:
        """Send RST: a close with unsent data and no time to linger."""
        line = self._transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        await self.gone()

    async def send_and_close(self, data: bytes) -> None:
        """Send bytes as they are, then close in the ordinary way."""
        self._transport.write(data)
        self._transport.close()
        await self.gone()

    async def drip(self, data: bytes, seconds: float) -> None:
        """Send the bytes one by one, then close."""
        for place in range(len(data)):
            if self._transport.is_closing():
                break
            self._transport.write(data[place : place + 1])
            await asyncio.sleep(seconds)
        await self.send_and_close(b"")

    async def heard(self) -> None:
        """Wait until the whole request is here: a client that is still sending would see a broken pipe, not a reset."""
        while (message := await self._receive())["type"] == "http.request" and message.get("more_body"):
            pass

    async def gone(self) -> None:
        """Wait until the client is gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def play(fault: Fault, ask: Callable[[], Awaitable[FaultyAnswer]], line: Connection) -> FaultyAnswer | None:
    """What to answer; `None` where the line was dealt with. `ask` has the CRM apply the request."""
    await asyncio.sleep(fault.delay)
    if fault.do in ("answer", "html"):
        return _instead(fault)
    if fault.do == "reset":
        await line.heard()
        await line.reset()
        return None
    if fault.do == "silence":
        await line.gone()
        return None
    told = await ask()
    if fault.do in ("delay", "empty"):
        return told if fault.do == "delay" else emptied(told)
    await _spoil(fault, told, line)
    return None


async def _spoil(fault: Fault, told: FaultyAnswer, line: Connection) -> None:
    """The request was applied; the answer does not get through."""
    if fault.do == "drop":
        await line.reset()
    elif fault.do == "drip":
        await line.drip(_head(told, len(told.body)) + told.body, fault.seconds)
    else:
        await line.send_and_close(_cut(told, chunked=fault.do == "truncate"))


def _instead(fault: Fault) -> FaultyAnswer:
    if fault.do == "html":
        return answer(fault.status or 200, MAINTENANCE, "text/html; charset=utf-8", fault.headers)
    if isinstance(fault.body, str):
        return answer(fault.status or 200, fault.body.encode(), "text/plain; charset=utf-8", fault.headers)
    return answer(fault.status or 200, orjson.dumps(fault.body), "application/json; charset=utf-8", fault.headers)


def emptied(told: FaultyAnswer) -> FaultyAnswer:
    """The same answer without its results."""
    if (told.header(b"content-type") or b"").startswith(b"text/csv"):
        body = told.body.splitlines(keepends=True)[0] if told.body else b""
    else:
        body = orjson.dumps(_without_results(orjson.loads(told.body or b"{}")))
    kept = [(key, value) for key, value in told.headers if key.lower() != b"content-length"]
    return FaultyAnswer(told.status, [*kept, (b"content-length", str(len(body)).encode())], body)


def _without_results(value: Any) -> Any:
    if isinstance(value, list):
        return []
    return {key: [] if key in ("results", "records") else each for key, each in value.items()}


def _head(told: FaultyAnswer, length: int | None) -> bytes:
    """The status line and headers; chunked where there is no length."""
    framing = (b"transfer-encoding", b"chunked") if length is None else (b"content-length", str(length).encode())
    kept = [(key, value) for key, value in told.headers if key.lower() not in (b"content-length", b"connection")]
    lines = b"".join(b"%s: %s\r\n" % each for each in [*kept, framing, (b"connection", b"close")])
    return b"HTTP/1.1 %d %s\r\n%s\r\n" % (told.status, HTTPStatus(told.status).phrase.encode(), lines)


def _cut(told: FaultyAnswer, *, chunked: bool) -> bytes:
    half = told.body[: len(told.body) // 2]
    if not chunked:
        return _head(told, len(told.body)) + half
    return _head(told, None) + b"%x\r\n%s\r\n" % (len(half), half) if half else _head(told, None)
