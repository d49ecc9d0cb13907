"""The pages, and what answers a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from crmsync import log
from crmsync.bootstrap import existing_state, opened_state
from crmsync.config import Config
from crmsync.config.web import TOKEN, Web
from crmsync.errors import ConfigError, CrmsyncError, SeveralFound, StateError
from crmsync.planning.approval import plan_of
from crmsync.planning.review import changes_of
from crmsync.reporting import charts
from crmsync.reporting.console import count_of, format_minute
from crmsync.reporting.links import resolve_link
from crmsync.reporting.person import explain_person
from crmsync.reporting.print_changes import ENDED, PLANS
from crmsync.reporting.print_run import COUNTS, OUTCOMES, PROTECTED, SKIPPED
from crmsync.store import run_journal
from crmsync.store.database import Store
from crmsync.store.pausing import begin_pause, end_pause
from crmsync.store.queries import SCORE_STEP
from crmsync.store.sql import from_ms, to_ms
from crmsync.web.access import (
    COOKIE,
    SESSION,
    begin_session,
    csrf_of,
    has_token,
    is_for_us,
    may_act,
    may_read,
    read_form,
    session_of,
)
from crmsync.web.lists import LISTED_PROTECTIONS, find_changes, find_list, find_pulled
from crmsync.web.metrics import Totals, render_metrics
from crmsync.web.search import MOST_FOUND, find_people
from crmsync.web.snapshot import Watcher

BY = "status page"
"""Who approved a plan, as the journal says it."""

WRONG_TOKEN_WAITS = 0.5
"""Seconds before a wrong token is told: nobody tries many."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Site(NamedTuple):
    """What the pages are made from; `is_active` says whether this process is the one that writes."""

    config: Config
    web: Web
    watcher: Watcher
    is_active: Callable[[], bool]
    totals: Totals
    templates: Environment
    typed: Callable[[str], str]


def make_app(
    config: Config, web: Web, watcher: Watcher, is_active: Callable[[], bool], typed: Callable[[str], str] = str
) -> Starlette:
    """What answers calls; `typed` makes a command of ours one to be typed here."""
    templates = Environment(loader=PackageLoader("crmsync.web"), autoescape=True, undefined=StrictUndefined)
    templates.filters |= {"n": _number, "minute": _minute, "points": _points, "count": count_of}
    templates.globals |= {"outcomes": OUTCOMES | PLANS, "states": ENDED, "protected": PROTECTED, "skipped": SKIPPED}
    templates.globals |= {"listed": LISTED_PROTECTIONS}
    site = Site(config, web, watcher, is_active, Totals(), templates, typed)
    get = [
        ("/", _show_status),
        ("/runs/{run}", _show_run),
        ("/people", _show_people),
        ("/people/{person}", _show_person),
        ("/metrics", _show_metrics),
        ("/login", _show_login),
        ("/readyz", _answer_ready),
    ]
    post = [
        ("/login", _log_in),
        ("/logout", _log_out),
        ("/plans/{plan}/approve", _approve),
        ("/pause", _pause),
        ("/resume", _resume),
    ]
    return Starlette(
        routes=[
            Route("/healthz", _answer_health, methods=["GET"]),
            *(Route(path, partial(_answer, site, show), methods=["GET"]) for path, show in get),
            *(Route(path, partial(_answer, site, act), methods=["POST"]) for path, act in post),
        ],
        middleware=[Middleware(_Guard, site=site)],
    )


class _Guard(BaseHTTPMiddleware):
    """Lets nobody see what is not theirs, and gives every answer its headers."""

    def __init__(self, app: Any, site: Site) -> None:
        super().__init__(app)
        self.site = site

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer, or say why not."""
        site, path = self.site, request.url.path
        free = path in ("/healthz", "/readyz", "/login")
        if not is_for_us(site.web, request):
            answer: Response = PlainTextResponse("this page answers on this machine only\n", 421)
        elif "\0" in path or "%00" in request.url.query:
            answer = PlainTextResponse("nothing here has such a name\n", 400)  # PostgreSQL takes no NUL
        elif free or may_read(site.web, request):
            answer = await call_next(request)
        elif path == "/metrics" or "authorization" in request.headers:
            answer = PlainTextResponse(f"send the token of {TOKEN} as Authorization: Bearer\n", 401)
        else:
            answer = RedirectResponse(f"/login?next={quote(_asked(request))}", 303)
        answer.headers.update(HEADERS)
        return answer


def _asked(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


async def _answer(site: Site, act: Callable[..., Any], request: Request) -> Response:
    """An answer, or a sentence in its place; what blocks is done in a thread."""
    form = await read_form(request) if request.method == "POST" else {}
    try:
        answer: Response = await asyncio.to_thread(act, site, request, form)
    except StateError as error:
        return _page(site, request, "message", 503, title="The state cannot be read", said=str(error))
    except CrmsyncError as error:
        return _page(site, request, "message", 404, title="Not found", said=str(error))
    except Exception as error:  # noqa: BLE001  whoever looks gets a sentence, and the log says what it was
        log.get_logger().error("page_failed", path=request.url.path, exc_info=error)
        said = "a fault in crmsync itself; the log of crmsync run says more"
        return _page(site, request, "message", 500, title="This page cannot be shown", said=said)
    if answer.status_code == 401:
        # Not in its thread, of which there are few.
        await asyncio.sleep(WRONG_TOKEN_WAITS)
    return answer


def _page(site: Site, request: Request, name: str, code: int = 200, **values: Any) -> Response:
    session = session_of(site.web, request)
    common = {
        "session": bool(session),
        "csrf": csrf_of(site.web, session) if session else "",
        "has_token": bool(site.web.secret),
        "token_name": TOKEN,
        "snapshot": site.watcher.latest,
        "active": site.is_active(),
        "typed": site.typed,
        "query": request.query_params.get("q", ""),
    }
    return HTMLResponse(site.templates.get_template(f"{name}.html").render(**common, **values), code)


def _show_status(site: Site, request: Request, _form: Mapping[str, str]) -> Response:
    snapshot, config = site.watcher.latest, site.config
    names = (*config.band_names(), *snapshot.bands)
    bands = {band: snapshot.bands.get(band, 0) for band in dict.fromkeys(names)}
    lines = {name: band.at for name, band in config.bands.items() if band.at is not None}
    return _page(
        site,
        request,
        "status",
        status=snapshot.status,
        bands=bands,
        held_bands={band: many for band in bands if (many := snapshot.status["bands"].get(band, 0)) != bands[band]},
        lines=lines,
        step=SCORE_STEP,
        bands_chart=charts.draw_bands(bands, snapshot.before),
        scores_chart=charts.draw_scores(snapshot.scores, snapshot.scores_before, SCORE_STEP, lines),
        feeds=[
            (
                crm,
                kind,
                counts,
                charts.draw_days(counts, f"{crm}-{kind}", f"{kind} by day"),
                (crm, kind) in snapshot.dead,
            )
            for (crm, kind), counts in snapshot.feeds.items()
        ],
    )


def _show_run(site: Site, request: Request, _form: Mapping[str, str]) -> Response:
    run, query = request.path_params["run"], dict(request.query_params)
    with _state(site) as store, store.read() as reading:
        row = run_journal.find_run(reading, run)
        if row is None:
            return _page(site, request, "message", 404, title="Not found", said=f"there is no run {run}")
        if "pulled" in query:
            return _page(site, request, "list", list=find_pulled(reading, run, query))
        if query.keys() & {"crm", "outcome", "field"}:
            return _page(site, request, "changes", run=run, list=find_changes(reading, run, query))
        changes = changes_of(reading, run, site.typed, LOOKED_AT)
    plan, result = plan_of(row), orjson.loads(row.result)
    planned = {crm: each["planned"] for crm, each in result.get("crms", {}).items()}
    return _page(
        site,
        request,
        "run",
        run=run,
        command=row.command,
        verdict=row.verdict,
        waits=row.verdict == run_journal.WAITING,
        started=format_minute(from_ms(row.started)),
        ended=format_minute(from_ms(row.ended)) if row.ended else "",
        result=result,
        reasons=plan["reasons"],
        planned=planned or {crm: each["records"] for crm, each in plan["records"].items()},
        is_whole=sum(changes["records"].values()) < LOOKED_AT,
        looked_at=LOOKED_AT,
        counts=COUNTS,
        changes=changes,
    )


LOOKED_AT = 1_000
"""Changes of a run that its page sums up: it takes no longer for a run with a million."""


def _show_people(site: Site, request: Request, _form: Mapping[str, str]) -> Response:
    query = dict(request.query_params)
    asked = query.get("q", "").strip()
    with _state(site) as store, store.read() as reading:
        who = resolve_link(site.config, reading, asked)
        shown = None if who else find_list(reading, query)
        found = find_people(reading, who) if who else []
    if shown is not None:
        return _page(site, request, "list", list=shown)
    if len(found) == 1:
        return RedirectResponse(f"/people/{found[0].person}", 303)
    return _page(site, request, "people", found=found, asked=asked, most=MOST_FOUND)


def _show_person(site: Site, request: Request, _form: Mapping[str, str]) -> Response:
    who = f"person:{request.path_params['person']}"
    with existing_state(site.config) as store:
        try:
            said = explain_person(site.config, store, who, datetime.now(UTC), site.typed)
        except SeveralFound:  # a number names one
            return _page(site, request, "message", 404, title="Not found", said=f"there is no person {who}")
    return _page(site, request, "person", person=said, chart=charts.draw_points(said["lines"], said["total"]))


def _show_metrics(site: Site, _request: Request, _form: Mapping[str, str]) -> Response:
    text = render_metrics(site.config, site.watcher.latest, site.totals)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _answer_health(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _answer_ready(site: Site, _request: Request, _form: Mapping[str, str]) -> Response:
    if not site.is_active():
        return PlainTextResponse("standing by: another process writes\n", 503)
    known = any(each.get("last_good") for each in site.watcher.latest.status["crms"].values())
    return PlainTextResponse("ready\n") if known else PlainTextResponse("no good run is known yet\n", 503)


def _show_login(site: Site, request: Request, _form: Mapping[str, str]) -> Response:
    return _page(site, request, "login", wrong=False, next=_local(request.query_params.get("next", "/")))


def _log_in(site: Site, request: Request, form: Mapping[str, str]) -> Response:
    if not has_token(site.web, form.get("token", "").strip()):
        return _page(site, request, "login", 401, wrong=True, next=_local(form.get("next", "/")))
    answer = RedirectResponse(_local(form.get("next", "/")), 303)
    answer.set_cookie(COOKIE, begin_session(site.web), max_age=SESSION, httponly=True, samesite="strict")
    return answer


def _log_out(_site: Site, _request: Request, _form: Mapping[str, str]) -> Response:
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _approve(site: Site, request: Request, form: dict[str, str]) -> Response:
    if not may_act(site.web, request, form):
        return _forbidden(site, request)
    plan = request.path_params["plan"]
    with opened_state(site.config) as store, store.begin() as writing:
        if not run_journal.approve_plan(writing, plan, to_ms(datetime.now(UTC)), BY):
            said = f"plan {plan} does not wait for approval any longer"
            return _page(site, request, "message", 409, title="Not approved", said=said)
    site.watcher.refresh()
    return RedirectResponse("/", 303)


PAUSES = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "": None}
"""How long the page pauses for."""


def _pause(site: Site, request: Request, form: dict[str, str]) -> Response:
    if not may_act(site.web, request, form):
        return _forbidden(site, request)
    asked = form.get("for", "")
    if asked not in PAUSES:
        said = f"a pause is for {' or '.join(filter(None, PAUSES))}, or without an end where nothing is given"
        return _page(site, request, "message", 400, title="Not paused", said=said)
    now, length = datetime.now(UTC), PAUSES[asked]
    until = None if length is None else to_ms(now + length)
    with opened_state(site.config) as store, store.begin() as writing:
        begin_pause(writing, to_ms(now), until, f"by the {BY}")
    site.watcher.refresh()
    return RedirectResponse("/", 303)


def _resume(site: Site, request: Request, form: dict[str, str]) -> Response:
    if not may_act(site.web, request, form):
        return _forbidden(site, request)
    with opened_state(site.config) as store, store.begin() as writing:
        end_pause(writing, to_ms(datetime.now(UTC)))
    site.watcher.refresh()
    return RedirectResponse("/", 303)


def _forbidden(site: Site, request: Request) -> Response:
    said = f"log in with the token first, or send it as Authorization: Bearer; it is set as {TOKEN}"
    return _page(site, request, "message", 403, title="Not allowed", said=said)


@contextmanager
def _state(site: Site) -> Iterator[Store]:
    with existing_state(site.config) as store:
        if store is None:
            raise ConfigError("No run yet, so there is nothing to show", "crmsync plan")
        yield store


def _local(path: str) -> str:
    """A path of this page, and nothing that leads elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


def _number(value: Any) -> str:
    return f"{value:,.15g}" if isinstance(value, int | float) else str(value)


def _points(value: float) -> str:
    return f"{value:+,.15g}"


def _minute(value: datetime | str | None) -> str:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return format_minute(at.astimezone(UTC)) if at else ""
