"""What both CRMs need of HTTP: one retry policy, a token bucket, and which addresses a token may be sent to."""

from __future__ import annotations

import ipaddress
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

import tenacity

from crmsync.errors import Cancelled, Transient, Unavailable
from crmsync.model import Stop

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
TIMEOUT = (CONNECT_TIMEOUT, READ_TIMEOUT)
"""Seconds for every call, log-in included: neither vendor client has a timeout of its own."""

ATTEMPTS = 6
PATIENCE = 300.0
"""Seconds one exchange may take with all its repeats; a vendor that asks for a longer wait is out for this cycle."""

ANSWER_POLL = 0.02
"""Seconds between looks at a bucket whose tokens are all held by calls that have no answer yet."""

T = TypeVar("T")


class Bucket:
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
            return max(self._sent[0] + self.per - now, 0.001) if self._sent else ANSWER_POLL


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """The `Retry-After` header (RFC 9110 §10.2.3): seconds or an HTTP date; `None` where it says nothing usable."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (TypeError, ValueError):
        return None


def _wait(state: tenacity.RetryCallState) -> float:
    """Longer each time, and never shorter than the vendor asks, who may say "a second" for ten seconds."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Transient) else None
    longer = min(60.0, 0.5 * 2.0**state.attempt_number) * random.uniform(0.5, 1.0)
    return max(longer, (asked or 0.0) + random.uniform(0, 0.25))


def _hopeless(state: tenacity.RetryCallState) -> bool:
    """Whether the next wait would end after the deadline: then waiting is only silence."""
    return (state.seconds_since_start or 0.0) + state.upcoming_sleep > PATIENCE


def patiently(crm: str, exchange: Callable[[], T], stop: Stop) -> T:
    """Do one HTTP exchange (send, read the whole body, parse), and again while it raises `Transient`.

    Raises `Unavailable` when patience is over and `Cancelled` as soon as `stop` is raised. Anything else passes through
    at once: a bug is not repeated.
    """

    def once() -> T:
        if stop.is_set():
            raise Cancelled(f"stopped before a call to {crm}")
        return exchange()

    def pause(seconds: float) -> None:
        stop.wait(seconds)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Transient),
        wait=_wait,
        stop=lambda state: state.attempt_number >= ATTEMPTS or _hopeless(state),
        sleep=pause,
        reraise=True,
    )
    try:
        return retrying(once)
    except Transient as error:
        raise Unavailable(crm, str(error)) from error


def is_loopback(url: str) -> bool:
    """Whether the address can only be this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_address(url: str, suffixes: tuple[str, ...]) -> str:
    """The scheme and host of `url`, if a token may be sent there.

    That is: https to a host that is, or ends in, one of `suffixes`; or http(s) to loopback. Raises `ValueError` with a
    sentence otherwise: tokens have been lost to hosts named in a config, a redirect or a next-page link.
    """
    parts = urlsplit(url if "//" in url else f"https://{url}")
    host = parts.hostname or ""
    if parts.username or parts.password:
        raise ValueError("leave the user name and password out of the address")
    if is_loopback(parts.geturl()):
        return f"{parts.scheme}://{parts.netloc}"
    if parts.scheme != "https":
        raise ValueError("use https:// (plain http is for this machine only)")
    if not any(host == suffix or host.endswith("." + suffix) for suffix in suffixes):
        raise ValueError(f"the host must be {' or '.join('*.' + suffix for suffix in suffixes)}, not {host!r}")
    return f"https://{parts.netloc}"
