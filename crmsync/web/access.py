"""Who may do what on the page: a token in a header, or a session that the log-in form gave."""

from __future__ import annotations

import asyncio
import hmac
import time
from hashlib import sha256
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request

from crmsync.config.web import Web

COOKIE = "crmsync_session"
SESSION = 12 * 3600
"""Seconds for which a log-in is good."""

MOST_FORM = 16_384
"""Bytes of a form: ours are a few hundred."""

MOST_FIELDS = 20

FORM_DEADLINE = 3.0
"""Seconds for a form to come: callers who never end theirs would keep others out."""


def begin_session(web: Web) -> str:
    """A session, as a cookie holds it: until when, and a proof that it was made with the token."""
    until = str(int(time.time()) + SESSION)
    return f"{until}.{_proof(web, until)}"


def csrf_of(web: Web, session: str) -> str:
    """What a form must carry to be of this session."""
    return _proof(web, f"form {session}")


def has_token(web: Web, given: str) -> bool:
    """Whether a text is the token."""
    return bool(web.secret) and hmac.compare_digest(given.encode(), web.secret.encode())


def session_of(web: Web, request: Request) -> str:
    """The session of a call; empty where there is none, or none that holds any more."""
    session = request.cookies.get(COOKIE, "")
    until, _, proof = session.partition(".")
    good = until.isdecimal() and len(until) < 20 and int(until) > time.time()
    return session if web.secret and good and hmac.compare_digest(proof.encode(), _proof(web, until).encode()) else ""


def bears_token(web: Web, request: Request) -> bool:
    """Whether a call carries the token in its header."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and has_token(web, given.strip())


def may_read(web: Web, request: Request) -> bool:
    """Whether a call may see the page."""
    return web.is_loopback or bears_token(web, request) or bool(session_of(web, request))


def may_act(web: Web, request: Request, form: dict[str, str]) -> bool:
    """Whether a call may approve or pause: with the token, or from a form of its own session."""
    session = session_of(web, request)
    from_form = bool(session) and hmac.compare_digest(form.get("csrf", "").encode(), csrf_of(web, session).encode())
    return bears_token(web, request) or from_form


def is_for_us(web: Web, request: Request) -> bool:
    """Whether a call names this machine: a page elsewhere may point a name of its own at it (DNS rebinding)."""
    host = request.headers.get("host", "")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return not web.is_loopback or name in ("localhost", "127.0.0.1", "::1", web.host)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, each once; nothing of one that is too large, too slow or broken off."""
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_DEADLINE):
            async for part in request.stream():
                body += part
                if len(body) > MOST_FORM:
                    return {}
        fields = parse_qs(bytes(body).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except (TimeoutError, ClientDisconnect, ValueError):
        return {}
    return {name: values[0] for name, values in fields.items()}


def _proof(web: Web, text: str) -> str:
    return hmac.new(web.secret.encode(), text.encode(), sha256).hexdigest()
