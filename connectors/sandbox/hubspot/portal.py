"""One HubSpot portal on loopback: it takes a request, finds the handler, and words the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.routing import Route

from connectors.sandbox.hubspot import auth
from connectors.sandbox.hubspot.actions import list_actions
from connectors.sandbox.hubspot.load import load_portal
from connectors.sandbox.hubspot.paths import OPEN, find_handler, path_tree, scopes_of
from connectors.sandbox.hubspot.state import PortalState, Tier, snapshot_of, switches_of
from connectors.sandbox.hubspot.wire import (
    HubspotCall,
    HubspotRefusal,
    Reply,
    correlation,
    milliseconds,
    not_found_page,
)
from connectors.sandbox.world import World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LONGEST_QUERY = 16_000
_TOO_LONG = Reply(414, "<html><body><h1>414 Request-URI Too Large</h1></body></html>")
_JSON, _HTML = b"application/json;charset=utf-8", b"text/html;charset=iso-8859-1"


class SandboxPortal:
    """A portal with its records. `clock` gives its time; `actions` are what people and workflows do to it.

    `switches` say how it behaves where portals differ; they may be changed at any time.
    """

    def __init__(self, clock: Callable[[], datetime], *, rate_limits: bool = False, tier: Tier = "enterprise") -> None:
        self._clock = clock
        self._tree = path_tree()
        self.switches = switches_of(tier, rate_limits)
        self.state = PortalState(self.switches)
        self.actions = list_actions(self.state, self._now)

    def _now(self) -> int:
        return milliseconds(self._clock())

    def load(self, world: World) -> None:
        """Fill the portal with the HubSpot side of a world."""
        load_portal(self.state, world)

    def snapshot(self) -> dict[str, Any]:
        """What is in the portal, without times: equal for equal end states."""
        return {name: snapshot_of(records) for name, records in self.state.records.items()}

    def routes(self) -> list[Route]:
        """One route for everything: the portal knows its own paths, and answers the others as HubSpot does."""
        return [Route("/{path:path}", _Endpoint(self), methods=["GET", "POST", "PUT", "PATCH", "DELETE"])]

    def answer(self, call: HubspotCall) -> Reply:
        """The answer to a call."""
        try:
            reply = self._handled(call)
        except HubspotRefusal as refusal:
            reply = refusal.reply
        return reply

    def _handled(self, call: HubspotCall) -> Reply:
        found = find_handler(self._tree, call.method, call.path)
        if found is None:
            raise not_found_page()
        endpoint, call.params = found
        if endpoint.version in self.switches.retired:
            raise not_found_page()
        call.version = endpoint.version
        if endpoint.family not in OPEN:
            auth.admit_call(self.state, call, scopes_of(endpoint, call))
        answer = endpoint.handler(self.state, call)
        reply = answer if isinstance(answer, Reply) else Reply(200, answer)
        return reply._replace(headers={**reply.headers, **auth.rate_headers(self.state, call)})


class _Endpoint:
    """The portal as an ASGI application; a class, so that Starlette passes requests on as they are."""

    def __init__(self, portal: SandboxPortal) -> None:
        self._portal = portal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = HubspotCall(
            method=scope["method"],
            path=scope["path"].rstrip("/"),
            now=self._portal._now(),
            query=parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            raw=await _body(receive),
        )
        too_long = len(scope["query_string"]) > _LONGEST_QUERY
        await _send(send, _TOO_LONG if too_long else self._portal.answer(call))


async def _body(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _send(send: Send, reply: Reply) -> None:
    body, kind = _written(reply)
    headers = [] if reply.status == 204 else [(b"content-length", b"%d" % len(body))]
    headers += [(b"content-type", kind)] if kind and headers else []
    headers.append((b"x-hubspot-correlation-id", correlation().encode()))
    headers += [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _written(reply: Reply) -> tuple[bytes, bytes]:
    if isinstance(reply.body, bytes):
        return reply.body, b""
    if isinstance(reply.body, str):
        return reply.body.encode("latin-1", "replace"), _HTML
    return b"" if reply.body is None else orjson.dumps(reply.body), _JSON
