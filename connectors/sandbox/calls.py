"""The log of calls to the sandbox: who was asked what, and which of it could change a record."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

import orjson
from starlette.types import Message, Receive

_READING = re.compile(
    r"/oauth|/search$|/batch/read$|/exports/|/composite/sobjects/\w+$|/jobs/query|/query|/parameterizedSearch"
)
"""Paths to which a POST (or the PATCH that stops a query) changes no record."""
_COMPOSITE = re.compile(r"/composite(/batch)?$")


class LoggedCall(NamedTuple):
    """One request as the sandbox saw it; `status` is 0 where it sent no answer, `at` in monotonic seconds."""

    vendor: str
    method: str
    path: str
    query: str
    status: int
    wrote: bool
    at: float


class Calls(deque[LoggedCall]):
    """The latest calls to either CRM, oldest first, and how many there ever were; control calls do not count."""

    def __init__(self, most: int = 200_000) -> None:
        super().__init__(maxlen=most)
        self.counts: Counter[str] = Counter()

    def note(self, call: LoggedCall) -> None:
        """Remember a call."""
        self.append(call)
        self.counts[call.vendor] += 1

    def of(self, vendor: str) -> list[LoggedCall]:
        """The calls to one CRM."""
        return [call for call in self if call.vendor == vendor]

    def writes(self, vendor: str | None = None) -> list[LoggedCall]:
        """The calls that could have changed a record, whatever became of them."""
        return [call for call in self if call.wrote and vendor in (None, call.vendor)]


def writes(method: str, path: str, body: bytes = b"") -> bool:
    """Whether a request could change a record, going by its method and path, and by its parts if it is a composite."""
    if method in ("GET", "HEAD", "OPTIONS") or _READING.search(path):
        return False
    return not _COMPOSITE.search(path) or any(writes(*part) for part in _parts(body))


def _parts(body: bytes) -> Iterator[tuple[str, str]]:
    """The method and address of each request that a Salesforce composite carries; what cannot be read may write."""
    try:
        told = orjson.loads(body)
        for part in (*told.get("compositeRequest", ()), *told.get("batchRequests", ())):
            yield part["method"], part["url"]
    except (ValueError, AttributeError, KeyError, TypeError):
        yield "POST", ""


async def overheard(path: str, receive: Receive) -> tuple[bytes, Receive]:
    """The body of a composite request, which says what it does, and a `receive` that tells it once more."""
    if not _COMPOSITE.search(path):
        return b"", receive
    heard = [message := await receive()]
    while message.get("more_body"):
        heard.append(message := await receive())
    waiting = deque(heard)

    async def again() -> Message:
        return waiting.popleft() if waiting else await receive()

    return b"".join(message.get("body", b"") for message in heard), again
