"""Events that a program sends, signed: each call is on the disk before it is answered, and read like a file."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.serving import answer_calls, listen, read_body
from crmsync.config.events import EventSource
from crmsync.errors import ConfigError
from crmsync.events.rows import read_event

WINDOW = 300
"""Seconds a call may be off this machine's clock, either way: what is older may be a replay."""

MOST_BODY = 2 * 1024 * 1024
MOST_EVENTS = 5_000
BODY_DEADLINE = 10.0
"""Bytes and events of a call, and seconds for the whole of it."""

MOST_PROBLEMS = 20
"""Events of a call whose problems are named."""

_log = logging.getLogger(__name__)


def sign_call(secret: str, body: bytes, timestamp: str) -> str:
    """The signature of a call: HMAC-SHA256 over the timestamp (seconds since 1970, as text), a dot and the body."""
    return "sha256=" + hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()


def why_not_signed(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Why a call is not from who has the secret, for the log; `""` if it is. `now` is in seconds since 1970."""
    given, timestamp = headers.get("x-crmsync-signature", ""), headers.get("x-crmsync-timestamp", "")
    if not given:
        return "it has no header X-Crmsync-Signature"
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > WINDOW:
        return "its X-Crmsync-Timestamp (seconds since 1970) is more than five minutes off"
    # In constant time, or a signature could be found by trying; header values are latin-1.
    if not hmac.compare_digest(given.encode("latin-1"), sign_call(secret, body, timestamp).encode()):
        return (
            "its signature is wrong; the secret of the sender is another one, or something changes the body on its way"
        )
    return ""


class Spool:
    """The folder in which calls are kept until they are read, and for some days after."""

    def __init__(self, folder: str) -> None:
        self._folder, self._one_at_a_time = Path(folder), threading.Lock()

    def prepare(self) -> None:
        """Make the folder where there is none. Raises `OSError` where it cannot be used."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")

    def keep(self, events: Sequence[Any], day: date) -> None:
        """Write events so that they outlive a power cut. Raises `OSError` where that is not possible."""
        lines = b"".join(orjson.dumps(each) + b"\n" for each in events)
        path = self._folder / f"received-{day.isoformat()}.jsonl"
        with self._one_at_a_time:
            is_new = not path.exists()
            number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                size = os.fstat(number).st_size
                # What a crash left half-written was never answered: it must not spoil the line that follows.
                if size and os.pread(number, 1, size - 1) != b"\n":
                    lines = b"\n" + lines
                view = memoryview(lines)
                while view:
                    view = view[os.write(number, view) :]
                os.fsync(number)
            finally:
                os.close(number)
            if is_new:
                _sync_folder(self._folder)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def answer_senders(sources: Sequence[EventSource], wake: Callable[[], object]) -> Starlette:
    """Answers senders: 204 once their events are on the disk, else what is wrong; `wake` is called for new ones."""
    routes = [
        Route(each.listen.path, partial(_receive, each, Spool(each.listen.folder), wake, set()), methods=["POST"])
        for each in sources
        if each.listen is not None
    ]
    return Starlette(routes=routes)


async def _receive(
    source: EventSource, spool: Spool, wake: Callable[[], object], told: set[str], request: Request
) -> Response:
    body = await read_body(request, MOST_BODY, BODY_DEADLINE)
    if body is None:
        return _refuse(413, "the call is too large or too slow; send fewer events at a time")
    now = time.time()
    secret = source.secret.get_secret_value().strip() if source.secret else ""
    if why := why_not_signed(secret, request.headers, body, now):
        if why not in told:
            told.add(why)
            _log.warning("event_call_refused", extra={"source": source.name, "why": why})
        return Response(status_code=401)
    events, problem = _parse_events(body, request.headers.get("content-type", ""))
    if problem:
        return _refuse(400, problem)
    problems = [
        f"event {number} {found}"
        for number, each in enumerate(events, start=1)
        if isinstance(found := read_event(source, each) if isinstance(each, dict) else "is not a JSON object", str)
    ]
    if problems:
        return _refuse(422, *problems[:MOST_PROBLEMS])
    try:
        await asyncio.to_thread(spool.keep, events, datetime.fromtimestamp(now, UTC).date())
    except OSError as error:
        _log.error("event_call_not_kept", extra={"source": source.name, "why": error.strerror})
        return _refuse(503, "the events could not be kept; send them again later")
    if events:
        wake()
    return Response(status_code=204)


def _refuse(status: int, *problems: str) -> Response:
    """Nothing of a call was kept, and why."""
    return JSONResponse({"problems": list(problems)}, status_code=status)


def _parse_events(body: bytes, content_type: str) -> tuple[list[Any], str]:
    """The events of a call (one, a list, or one a line), or what is wrong with it."""
    try:
        if content_type.partition(";")[0].strip().lower() in ("application/x-ndjson", "application/jsonl"):
            said = [orjson.loads(line) for line in body.splitlines() if line.strip()]
        else:
            whole = orjson.loads(body)
            said = whole if isinstance(whole, list) else [whole]
    except orjson.JSONDecodeError:
        return [], "the body is not JSON: send an object, a list of objects, or one a line as application/x-ndjson"
    if len(said) > MOST_EVENTS:
        return [], f"the call has more than {MOST_EVENTS:,} events; send fewer at a time"
    return said, ""


class EventReceiver(NamedTuple):
    """What listens for the sources that are sent to."""

    sources: Sequence[EventSource]

    def receiving(self, wake: Callable[[], object]) -> AbstractContextManager[None]:
        """Listen until the block ends; `wake`, from any thread, asks for a cycle soon."""
        return _receiving_events(self.sources, wake)


@contextmanager
def _receiving_events(sources: Sequence[EventSource], wake: Callable[[], object]) -> Iterator[None]:
    """Listen in threads until the block ends, once for each host and port. Raises `ConfigError` where it cannot."""
    places: dict[tuple[str, int], list[EventSource]] = {}
    for each in (source for source in sources if source.listen is not None):
        at = each.listen
        if at is None:
            continue
        problem = find_listen_problem(each)
        if problem:
            raise ConfigError(problem)
        places.setdefault((at.host, at.port), []).append(each)
    with ExitStack() as stack:
        for (host, port), some in places.items():
            try:
                line = listen(host, port)
            except OSError as error:
                raise ConfigError(
                    f"events cannot be received at {host}, port {port} ({error.strerror}); choose another host or port "
                    "in [events.listen], or stop the program that uses this one"
                ) from None
            stack.enter_context(answer_calls(answer_senders(some, wake), line, "events"))
        yield


def find_listen_problem(source: EventSource) -> str:
    """Why calls of a source cannot be received; empty where they can. Makes the folder."""
    if source.listen is None:
        return ""
    variable = f"CRMSYNC_EVENTS__{source.name.upper()}__SECRET"
    secret = source.secret.get_secret_value().strip() if source.secret else ""
    if len(secret) < SHORTEST_SECRET:
        said = "is missing" if not secret else f"has fewer than {SHORTEST_SECRET} characters"
        return f"{source.name}: the secret that senders sign with {said}; set {variable} in the environment"
    try:
        Spool(source.listen.folder).prepare()
    except OSError as error:
        return f"{source.name}: the folder {source.listen.folder} cannot be used ({error.strerror})"
    return ""


SHORTEST_SECRET = 16
"""Characters without which a secret is soon guessed."""
