"""What can be done to the sandbox over HTTP: act in a CRM as people do, move the clock, script faults, compare."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.faults import parse_script
from crmsync.errors import ConfigError

if TYPE_CHECKING:
    from connectors.sandbox.server import Sandbox, Vendor

Control = Callable[["Sandbox", Any, Request], Any]


def control_routes(sandbox: Sandbox) -> Starlette:
    """The application behind `/sandbox`; it answers this machine only."""

    def route(path: str, answer: Control, *methods: str) -> Route:
        return Route(path, _json(sandbox, answer), methods=methods)

    return Starlette(
        routes=[
            route("/sandbox", _index, "GET"),
            route("/sandbox/calls", _calls, "GET"),
            route("/sandbox/reset", _reset, "POST"),
            route("/sandbox/clock", _clock, "GET", "POST"),
            route("/sandbox/faults", _faults, "GET", "POST", "DELETE"),
            route("/sandbox/{vendor:str}/snapshot", _snapshot, "GET"),
            route("/sandbox/{vendor:str}/{action:str}", _act, "POST"),
        ]
    )


def _index(sandbox: Sandbox, body: Any, request: Request) -> Any:
    return {
        "act": {name: sorted(each.actions) for name, each in sandbox.vendors.items()},
        "how": [
            "POST /sandbox/{hubspot|salesforce}/{action} with a JSON object",
            "GET /sandbox/{hubspot|salesforce}/snapshot",
            "GET /sandbox/calls",
            'GET /sandbox/clock; POST /sandbox/clock {"advance": seconds} or {"at": "2026-11-21T09:00:00Z"}',
            'GET or DELETE /sandbox/faults; POST /sandbox/faults [{"do": "reset", "path": "/batch/update$", "nth": 1}]',
            "POST /sandbox/reset",
        ],
    }


def _act(sandbox: Sandbox, body: Any, request: Request) -> Any:
    action, actions = request.path_params["action"], _vendor(sandbox, request).actions
    if action not in actions:
        raise LookupError(f"there is no action {action!r}; there is {', '.join(sorted(actions))}")
    if not isinstance(body, dict):
        raise ValueError("send a JSON object")
    return actions[action](body)


def _snapshot(sandbox: Sandbox, body: Any, request: Request) -> Any:
    return _vendor(sandbox, request).snapshot()


def _vendor(sandbox: Sandbox, request: Request) -> Vendor:
    name = request.path_params["vendor"]
    if name not in sandbox.vendors:
        raise LookupError(f"there is no CRM called {name!r}; there is {' and '.join(sandbox.vendors)}")
    return sandbox.vendors[name]


def _calls(sandbox: Sandbox, body: Any, request: Request) -> Any:
    return {
        "counts": dict(sandbox.calls.counts),
        "writes": dict(Counter(call.vendor for call in sandbox.calls.writes())),
        "calls": [call._asdict() for call in sandbox.calls],
    }


def _reset(sandbox: Sandbox, body: Any, request: Request) -> Any:
    sandbox.reset()
    return {"now": sandbox.clock().isoformat()}


def _clock(sandbox: Sandbox, body: Any, request: Request) -> Any:
    if request.method == "POST":
        _move(sandbox, body)
    return {"now": sandbox.clock().isoformat()}


def _move(sandbox: Sandbox, body: Any) -> None:
    if set(body) == {"advance"}:
        sandbox.clock.advance(float(body["advance"]))
    elif set(body) == {"at"}:
        at = datetime.fromisoformat(str(body["at"]))
        if at.tzinfo is None:
            raise ValueError('say the zone of "at", for example 2026-11-21T09:00:00Z')
        sandbox.clock.set(at)
    else:
        raise ValueError('send {"advance": seconds} or {"at": "2026-11-21T09:00:00Z"}')


def _faults(sandbox: Sandbox, body: Any, request: Request) -> Any:
    if request.method == "DELETE":
        sandbox.faults.clear()
    elif request.method == "POST":
        sandbox.faults.add(*parse_script(body))
    return {"faults": [{**fault.model_dump(mode="json"), "fired": n} for fault, n in sandbox.faults.fired()]}


def _json(sandbox: Sandbox, answer: Control) -> Callable[[Request], Awaitable[Response]]:
    """JSON in, JSON out; what is wrong with a request comes back as a sentence."""

    async def handled(request: Request) -> Response:
        if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
            return _said(403, "the sandbox is controlled from its own machine only")
        body = await request.body()
        try:
            return _told(200, answer(sandbox, orjson.loads(body) if body else {}, request))
        except ConfigError as error:
            return _said(400, *error.problems)
        except KeyError as error:
            return _said(400, f"{error.args[0]!r} is missing or not known")
        except LookupError as error:
            return _said(404, str(error))
        except (TypeError, ValueError) as error:
            return _said(400, str(error))

    return handled


def _told(status: int, value: Any) -> Response:
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2
    return Response(orjson.dumps(value, option=options) + b"\n", status, media_type="application/json")


def _said(status: int, *problems: str) -> Response:
    return _told(status, {"problems": problems})
