"""What both CRMs need of HTTP: one retry policy, a token bucket, safe addresses, and bodies whatever is in them."""

from __future__ import annotations

import io
import ipaddress
import json
import math
import random
import re
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, Any, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import orjson
import tenacity

from crmsync.connector import Stop
from crmsync.errors import Cancelled, Transient, Unavailable

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
TIMEOUT = (CONNECT_TIMEOUT, READ_TIMEOUT)
"""Seconds for every call, log-in included: neither vendor client has a timeout of its own."""

ATTEMPTS = 6
PATIENCE = 300.0
"""Seconds one exchange may take with all its repeats; a vendor that asks for a longer wait is out for this cycle."""

MOST_BYTES = 256 * 1024 * 1024
"""Bytes that an answer may have once it is decoded: a few megabytes on the line can become gigabytes."""

MOST_DIGITS = 400
"""Digits of a whole number that is taken for one; Python refuses to make one of more than 4,300."""

BELIEVED_YEARS = range(2000, 2200)
"""The years in which a `Date` header is believed."""

ANSWER_POLL = 0.02
"""Seconds between looks at a bucket whose tokens are all held by calls that have no answer yet."""

T = TypeVar("T")


class TokenBucket:
    """A token bucket: at most `rate` calls in any `per` seconds, spread so that a full burst never overruns a window.

    `rate` may be changed when the CRM says what it is.
    """

    def __init__(self, rate: int, per: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._sent: deque[float] = deque()
        self._held = 0
        self.rate, self.per = rate, per

    def take(self, stop: Stop) -> None:
        """Wait for a token. Raises `Cancelled` as soon as `stop` is raised."""
        with self.slot(stop):
            pass

    @contextmanager
    def slot(self, stop: Stop) -> Iterator[None]:
        """Hold a token during a call, which comes back `per` seconds after the answer.

        The CRM counted the call at some moment before it answered, so its own window can never see one too many,
        however the network stretches and bunches the requests. Raises `Cancelled` as soon as `stop` is raised.
        """
        while (wait := self._reserve()) > 0:
            if stop.wait(wait):
                raise Cancelled("stopped while waiting for the rate limit")
        try:
            yield
        finally:
            with self._lock:
                self._held -= 1
                self._sent.append(self._clock())

    def _reserve(self) -> float:
        with self._lock:
            now = self._clock()
            while self._sent and now - self._sent[0] >= self.per:
                self._sent.popleft()
            if len(self._sent) + self._held < self.rate:
                self._held += 1
                return 0.0
            # Never 0, which says that a token was got.
            return max(self._sent[0] + self.per - now, 0.001) if self._sent else ANSWER_POLL


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """The `Retry-After` header (RFC 9110 §10.2.3): seconds or an HTTP date; `None` where it says nothing usable."""
    if not value:
        return None
    if (seconds := header_number(value)) is not None:
        return float(seconds)
    at = http_date(value)
    return max(0.0, (at - now).total_seconds()) if at else None


def http_date(value: str | None) -> datetime | None:
    """The instant of a `Date` or `Retry-After` header, aware UTC; `None` where it is none that can be believed."""
    try:
        at = parsedate_to_datetime(value or "")
        return at.astimezone(UTC) if at.year in BELIEVED_YEARS else None
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def header_number(value: str | None) -> int | None:
    """A whole number out of a header; `None` where it is none: a header is advice, and odd advice is not taken."""
    text = (value or "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


class NotJson(ValueError):
    """A body that nothing can be made of."""


def parse_json(content: bytes) -> Any:
    """What a body says, its texts cleaned. Raises `NotJson`, however deep, long or broken it is.

    The fast parser refuses a whole page for half a character or one endless number; then a patient one reads it.
    """
    try:
        try:
            parsed = orjson.loads(content)
        except orjson.JSONDecodeError:
            text = content.decode("utf-8-sig", "replace")
            parsed = json.loads(text, parse_int=_whole_number, parse_constant=lambda _name: math.nan)
        return _cleaned(parsed) if _UNCLEAN.search(content) else parsed
    except (ValueError, RecursionError):
        raise NotJson("it is not valid JSON") from None


_UNCLEAN = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""How JSON spells what no database takes, among harmless pairs."""


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MOST_DIGITS else math.inf


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return drop_unstorable(value)
    if isinstance(value, dict):
        return {drop_unstorable(name): _cleaned(each) for name, each in value.items()}
    return [_cleaned(each) for each in value] if isinstance(value, list) else value


def drop_unstorable(text: str) -> str:
    """Text without NUL and lone surrogates, which no database and no UTF-8 body takes."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def site_host(address: str) -> str:
    """The host of a web address, or of what people type as one: lower case, without `www.`."""
    host = address.strip().lower()
    host = (host.partition("://")[2] or host).removeprefix("//")
    host = re.split(r"[/?#\s]", host, maxsplit=1)[0].rpartition("@")[2]
    return drop_unstorable(host.partition(":")[0]).strip(".").removeprefix("www.")


def whole_body(crm: str, response: Any, seconds: float) -> bytes:
    """The decoded body of a urllib3 response, a piece at a time.

    Raises `Transient` when it drips past its deadline (a read timeout alone lets a byte a minute pass for ever), and
    `Unavailable` when it is too large.
    """
    deadline, whole, size = time.monotonic() + seconds, io.BytesIO(), 0
    # `read1` returns what there is; `read` would wait for a whole megabyte, past any deadline.
    while part := response.read1(1 << 20, decode_content=True):
        size += whole.write(part)
        if size > MOST_BYTES:
            response.close()
            raise Unavailable(crm, f"its answer is larger than {MOST_BYTES >> 20:,} MB")
        if time.monotonic() > deadline:
            response.close()
            raise Transient("the answer took too long to arrive")
    # Only now: what is left of a body would be taken for the beginning of the next answer.
    response.release_conn()
    return whole.getvalue()


def save_body(crm: str, response: Any, file: IO[bytes], stop: Stop) -> None:
    """Write the body of a urllib3 response to a file as it comes, not decoded, however long it is up to `MOST_BYTES`.

    Raises `Transient` when it drips or is too large, `Unavailable` when there is no room for it, and `Cancelled`.
    """
    begun, size = time.monotonic(), 0
    while part := response.read1(1 << 20, decode_content=False):
        size += len(part)
        if stop.is_set():
            raise Cancelled(f"stopped while {crm} sent a file")
        if size > MOST_BYTES:
            raise Transient(f"its file is larger than {MOST_BYTES >> 20:,} MB")
        # A large file may take longer than a small one, but each megabyte has its deadline.
        if time.monotonic() - begun > PATIENCE * (1 + (size >> 20)):
            raise Transient("the file took too long to arrive")
        try:
            file.write(part)
        except OSError as error:
            where = f"the folder for temporary files, {tempfile.gettempdir()},"
            raise Unavailable(crm, f"{where} does not take its file ({error.strerror}); make room there") from error
    response.release_conn()


def _wait(state: tenacity.RetryCallState) -> float:
    """Longer each time, and never shorter than the vendor asks, who may say "a second" for ten seconds."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Transient) else None
    # Chance keeps all who were refused at one moment from coming back at one moment.
    longer = min(60.0, 0.5 * 2.0**state.attempt_number) * random.uniform(0.5, 1.0)
    return max(longer, (asked or 0.0) + random.uniform(0, 0.25))


def _hopeless(state: tenacity.RetryCallState) -> bool:
    """Whether the next wait would end after the deadline: then waiting is only silence."""
    return (state.seconds_since_start or 0.0) + state.upcoming_sleep > PATIENCE


def with_retries(crm: str, exchange: Callable[[], T], stop: Stop) -> T:
    """Do one HTTP exchange (send, read the whole body, parse), and again while it raises `Transient`.

    Raises `Unavailable` when patience is over and `Cancelled` as soon as `stop` is raised. Anything else passes through
    at once: a bug is not repeated.
    """

    def once() -> T:
        if stop.is_set():
            raise Cancelled(f"stopped before a call to {crm}")
        return exchange()

    def pause(seconds: float) -> None:
        # `once` looks at `stop` afterwards, so that a raised one ends the wait and sends nothing more.
        stop.wait(seconds)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Transient),
        wait=_wait,
        stop=lambda state: state.attempt_number >= ATTEMPTS or _hopeless(state),
        sleep=pause,
        # The true cause is to be told, and not tenacity's RetryError (jd/tenacity#24).
        reraise=True,
    )
    try:
        return retrying(once)
    except Transient as error:
        raise Unavailable(crm, str(error)) from error


def move_slash(url: str, location: str | None) -> str:
    """The address with a slash more or less at the end of its path, if a redirect leads there; empty otherwise.

    Some servers ask for that. Anywhere else it could take the token along (C06).
    """
    here, there = urlsplit(url), urlsplit(urljoin(url, location or ""))
    path = here.path.rstrip("/") if here.path.endswith("/") else f"{here.path}/"
    return urlunsplit(here._replace(path=path)) if there[:3] == (*here[:2], path) else ""


def is_loopback(url: str) -> bool:
    """Whether the address can only be this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(url: str) -> bool:
    """Whether the host of an address is, or resolves to, anything that is not on the public internet."""
    try:
        parts = urlsplit(url)
        found = socket.getaddrinfo(parts.hostname or "", parts.port or 443, type=socket.SOCK_STREAM)
        # An IPv6 address may have a zone behind it (`fe80::1%eth0`).
        return not all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in found)
    # What does not resolve cannot be shown to be public.
    except (OSError, ValueError):
        return True


def checked_address(url: str, suffixes: tuple[str, ...]) -> str:
    """The scheme and host of `url`, if a token may be sent there.

    That is: https to a host that is, or ends in, one of `suffixes`; or http(s) to loopback. Raises `ValueError` with a
    sentence otherwise: tokens have been lost to hosts named in a config, a redirect or a next-page link.
    """
    parts = urlsplit(url if "//" in url else f"https://{url}")
    host = parts.hostname or ""
    if parts.username or parts.password:
        raise ValueError("remove the user name and the password from the address")
    if is_loopback(parts.geturl()):
        return f"{parts.scheme}://{parts.netloc}"
    if parts.scheme != "https":
        raise ValueError("use https:// (plain http is for this machine only)")
    if not any(host == suffix or host.endswith("." + suffix) for suffix in suffixes):
        raise ValueError(f"the host must be {' or '.join('*.' + suffix for suffix in suffixes)}, not {host!r}")
    return f"https://{parts.netloc}"


def refuse_repeat(seen: set[T], token: T, refusal: Exception) -> None:
    """Remember what a page is asked with. Raises the refusal where it was: pages that lead round have no end."""
    if token in seen:
        raise refusal
    seen.add(token)
