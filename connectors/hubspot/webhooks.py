"""A receiver of HubSpot's webhooks: whatever they name is read again soon, and nothing else of them is believed."""

from __future__ import annotations

import hmac
import logging
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.http import NotJson, parse_json
from connectors.hubspot.settings import Webhooks
from connectors.hubspot.webhook_queue import Hints
from connectors.serving import answer_calls, listen, read_body
from crmsync.errors import ConfigError

WINDOW = 300_000
"""Milliseconds a call may be off this machine's clock, either way.

https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests (2026-11-21) asks for the past;
a call from the future could be replayed for as long as it lies ahead.
"""

MOST_BODY = 2 * 1024 * 1024
"""Bytes of a call: HubSpot sends 100 events at most, and a long text among their values is seldom."""

BODY_DEADLINE = 3.0
"""Seconds for the whole body; HubSpot itself gives up on an answer after five."""

_DECODED = {f"%{ord(each):02X}": each for each in ":/?@!$'()*,;"}
"""The only characters of the address that are decoded before it is signed, by how they are spelled (same page)."""

_log = logging.getLogger(__name__)


def sign(secret: str, address: str, body: bytes, timestamp: str) -> str:
    """HubSpot's signature, version 3, of a POST of `body` to `address` at `timestamp` (milliseconds, as text)."""
    uri = re.sub("%[0-9A-Fa-f]{2}", lambda found: _DECODED.get(found[0].upper(), found[0]), address)
    signed = b"POST" + uri.encode() + body + timestamp.encode()
    return b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()


def why_not_hubspot(settings: Webhooks, headers: Mapping[str, str], body: bytes, now: int) -> str:
    """Why a call is not HubSpot's, for the log; `""` if it is. `now` is in milliseconds since 1970."""
    given, timestamp = headers.get("x-hubspot-signature-v3", ""), headers.get("x-hubspot-request-timestamp", "")
    if not given:
        return "it has no signature of version 3"
    if not re.fullmatch(r"[0-9]{1,15}", timestamp) or abs(now - int(timestamp)) > WINDOW:
        return "its timestamp is more than five minutes off; if this happens to all calls, correct this machine's clock"
    right = sign(settings.secret(), settings.public_url, body, timestamp)
    # In constant time, or a signature could be found by trying; header values are latin-1.
    if not hmac.compare_digest(given.encode("latin-1"), right.encode()):
        return (
            "its signature is wrong; if this happens to all calls, public_url is not exactly the target URL of the "
            "HubSpot app, or the client secret is from another app"
        )
    return ""


def application_of(settings: Webhooks, hints: Hints, wake: Callable[[], object]) -> Starlette:
    """What answers HubSpot: 204 once its hints are taken, 401 to everybody else. `wake` is called for what is new."""
    told = set[str]()

    async def receive(request: Request) -> Response:
        body = await read_body(request, MOST_BODY, BODY_DEADLINE)
        why = (
            _NO_BODY if body is None else why_not_hubspot(settings, request.headers, body, time.time_ns() // 1_000_000)
        )
        if body is None or why:
            if why not in told:
                told.add(why)
                _log.warning("webhook_refused", extra={"why": why})
            return Response(status_code=401)
        if hints.add(_parsed(body)):
            wake()
        return Response(status_code=204)

    return Starlette(routes=[Route(settings.path, receive, methods=["POST"])])


_NO_BODY = "it is too large or too slow"


def _parsed(body: bytes) -> object:
    """What a genuine call says; nothing where that is not JSON: HubSpot would only send the same again."""
    try:
        return parse_json(body)
    except NotJson:
        return None


@contextmanager
def receive(settings: Webhooks, hints: Hints, wake: Callable[[], object]) -> Iterator[None]:
    """Listen in a thread until the block ends. Raises `ConfigError` where the port cannot be had."""
    try:
        line = listen(settings.host, settings.port)
    except OSError as error:
        raise ConfigError(
            f"HubSpot's webhooks cannot be received at {settings.host}, port {settings.port} ({error.strerror}); "
            "choose another host or port in [hubspot.webhooks], or stop the program that uses this one"
        ) from None
    with answer_calls(application_of(settings, hints, wake), line, "webhooks"):
        yield
