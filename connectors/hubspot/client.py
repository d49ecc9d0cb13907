"""Every HTTP request to HubSpot: one held client, one rate limit, one way to refuse."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import IO, Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import hubspot
import urllib3
from hubspot.crm.objects.exceptions import ApiException
from urllib3.util.retry import Retry

from connectors.http import (
    TIMEOUT,
    NotJson,
    TokenBucket,
    header_number,
    http_date,
    is_loopback,
    is_private,
    move_slash,
    parse_json,
    whole_body,
    with_retries,
)
from connectors.hubspot.endpoints import Endpoint, endpoint_of
from connectors.hubspot.errors import CRM, DailyLimit, Unauthorized, check_shape, classify
from connectors.hubspot.settings import Settings
from connectors.hubspot.tokens import Tokens
from crmsync.connector import Notes, Stop
from crmsync.errors import Cancelled, Transient, Unavailable
from crmsync.model import Odd

STARTING_RATE = 100
"""Calls in 10 seconds that every portal has (Free and Starter); HubSpot's answers say when it is more."""

REDIRECTS = frozenset({301, 302, 307, 308})

BODY_DEADLINE = 120.0
"""Seconds for the whole body of one answer, however slowly it drips."""

MOST_FILE = 16 * 1024**3
"""Bytes of a file that HubSpot made: an export of millions of contacts has some gigabytes."""

MOST_ODD = 10_000
"""Things that could not be read which are remembered until somebody asks."""

STOP_POLL = 0.2
"""Seconds between looks at `stop` while a call is under way."""

PARKED = "hubspot.parked_until"
"""The note that says until when (ISO 8601, UTC) the portal's calls of the day are used up."""

LONGEST_DAY = timedelta(hours=26)
"""No midnight is farther off than that: a note that says so was written by a wrong clock, or is read by one."""

Query = Sequence[tuple[str, str]]
Form = Sequence[tuple[str, Any]]
"""Names and values; a file is its name, its content and its type."""

A = TypeVar("A")
B = TypeVar("B")


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: bytes


class Api:
    """HubSpot over HTTP. `calls` counts requests; `server_time` is HubSpot's clock as of its latest answer.

    `daily` is today's limit and what is surely left of it, `compares_numbers` what `walk` found out about searches by
    id; both are `None` while they are not known.
    """

    def __init__(self, settings: Settings, notes: Notes, stop: Stop) -> None:
        self.settings, self.stop = settings, stop
        self.calls = self._answered = 0
        self.server_time = datetime.now(UTC)
        self._heard: tuple[datetime, float] | None = None
        self._day_ends = self.server_time
        self.zone = ZoneInfo("UTC")
        self.daily: tuple[int, int] | None = None
        self.compares_numbers: bool | None = None
        self._notes, self._lock = notes, threading.Lock()
        self._odd: list[Odd] = []
        self._unread: dict[str, dict[str, None]] = {}
        self._burst = TokenBucket(settings.calls_per_10s or STARTING_RATE, 10.0)
        self._searches = TokenBucket(settings.searches_per_second, 1.0)
        self._client = _held_client(settings)
        self._tokens = Tokens(settings, self._send)

    def place(self, name: str, **parts: str) -> Endpoint:
        """Where an endpoint is in the configured version."""
        return endpoint_of(self.settings.api_version, name, **parts)

    def take_odd(self) -> list[Odd]:
        """What could not be read of the answers since this was asked last."""
        with self._lock:
            odd, self._odd = self._odd, []
        return list(dict.fromkeys(odd))

    def note_odd(self, odd: Sequence[Odd]) -> None:
        """Remember what could not be read of an answer."""
        with self._lock:
            self._odd += odd[: MOST_ODD - len(self._odd)]

    def take_unread(self, kind: str) -> list[str]:
        """The ids of records of a kind that HubSpot failed to read since this was asked last."""
        with self._lock:
            return list(self._unread.pop(kind, ()))

    def note_unread(self, kind: str, ids: Iterable[str]) -> None:
        """Remember which records HubSpot failed to read."""
        with self._lock:
            noted = self._unread.setdefault(kind, {})
            noted.update(dict.fromkeys(islice(ids, MOST_ODD - len(noted))))

    def get(self, where: Endpoint, query: Query = ()) -> Any:
        """GET and return the parsed JSON."""
        return self.call("GET", where, query=query)

    def post(self, where: Endpoint, body: Mapping[str, Any], query: Query = ()) -> Any:
        """POST JSON and return the parsed JSON."""
        return self.call("POST", where, body, query)

    def search(self, kind: str, body: Mapping[str, Any]) -> Any:
        """Search objects of a kind, within the portal's own limit for searches."""
        return self.call("POST", self.place("search", kind=kind), body, searches=True)

    def call(
        self,
        method: str,
        where: Endpoint,
        body: Mapping[str, Any] | None = None,
        query: Query = (),
        *,
        searches: bool = False,
    ) -> Any:
        """Send one request, patiently, and return the parsed JSON.

        Raises `Refused`, `Locked`, `Forbidden`, `Unauthorized` (see `answers`), `Unavailable` or `Cancelled`.
        """

        def exchange() -> Any:
            self._refuse_while_parked()
            with ExitStack() as held:
                held.enter_context(self._burst.slot(self.stop))
                if searches:
                    held.enter_context(self._searches.slot(self.stop))
                return self._abandonable(lambda: self._authorised(method, where, body, query))

        try:
            return with_retries(CRM, exchange, self.stop)
        except DailyLimit as error:
            raise self._park(str(error)) from error

    def upload(self, where: Endpoint, form: Form) -> Mapping[str, Any]:
        """POST a form with a file once, and return the parsed JSON. Raises `Transient` besides what `call` raises:
        whoever sends something that must not be done twice knows how to repeat it.
        """
        self._refuse_while_parked()
        try:
            with self._burst.slot(self.stop):
                answer: Mapping[str, Any] = self._abandonable(lambda: self._authorised("POST", where, form=form))
                return answer
        except DailyLimit as error:
            raise self._park(str(error)) from error

    def flight(self) -> Flight:
        """Several requests at once, as many as the settings allow."""
        return Flight(self.settings.concurrency, self.stop)

    def in_flight(self, work: Callable[[A], B], jobs: Iterable[A]) -> Iterator[B]:
        """Do `work` for each job, several at once, and yield what comes back as it comes.

        A job is taken when there is room for it, and begun at once.
        """
        with self.flight() as flight:
            for job in jobs:
                flight.add(work, job)
                while not flight.room:
                    yield from flight.finished()
            while flight.busy:
                yield from flight.finished()

    def download(self, address: str, file: IO[bytes]) -> None:
        """Write what is at an address into a file, without the token. Raises `Unavailable`."""
        ours = is_loopback(self.settings.base_url) and is_loopback(address)
        if not ours and not address.startswith("https://"):
            raise Unavailable(CRM, "HubSpot gave a file address that is not https")
        # A link must not make us fetch what is inside the network (C06).
        if not ours and is_private(address):
            raise Unavailable(CRM, "HubSpot gave a file address that is not on the public internet")
        with_retries(CRM, lambda: self._abandonable(lambda: self._download(address, file)), self.stop)

    def _download(self, address: str, file: IO[bytes]) -> None:
        # A repeat begins the file anew.
        file.seek(0)
        file.truncate()
        with self._lock:
            self.calls += 1
        try:
            pool = self._client.rest_client.pool_manager
            response = pool.urlopen(
                "GET", address, preload_content=False, redirect=False, timeout=urllib3.Timeout(*TIMEOUT)
            )
            if response.status != 200:
                raise Transient(f"HubSpot's export file cannot be downloaded (status {response.status})")
            for part in response.stream(1 << 20):
                if file.tell() + len(part) > MOST_FILE:
                    response.close()
                    raise Unavailable(CRM, f"HubSpot's export file is larger than {MOST_FILE >> 30} GB")
                file.write(part)
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Transient(f"HubSpot's export file cannot be downloaded ({_plain(error)})") from error

    def pause(self, seconds: float) -> None:
        """Wait. Raises `Cancelled` as soon as `stop` is raised."""
        if self.stop.wait(seconds):
            raise Cancelled("stopped while waiting for HubSpot")

    def close(self) -> None:
        """Give the connections back."""
        self._client.rest_client.pool_manager.clear()

    def _abandonable(self, work: Callable[[], Any]) -> Any:
        """Do one exchange in a thread that need not end, so that `stop` is heard while HubSpot says nothing."""
        outcome: Future[Any] = Future()

        def run() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for the outcome
                outcome.set_exception(error)

        threading.Thread(target=run, name="hubspot-call", daemon=True).start()
        while not wait([outcome], timeout=STOP_POLL).done:
            if self.stop.is_set():
                raise Cancelled("stopped while HubSpot was answering")
        return outcome.result()

    def _authorised(
        self,
        method: str,
        where: Endpoint,
        body: Mapping[str, Any] | None = None,
        query: Query = (),
        form: Form = (),
    ) -> Any:
        used = self._tokens.current()
        try:
            return self._send(method, where, used, body, query, form)
        except Unauthorized:
            if not self._tokens.renewable:
                raise
            return self._send(method, where, self._tokens.renewed(instead_of=used), body, query, form)

    def _send(
        self,
        method: str,
        where: Endpoint,
        token: str | None,
        body: Mapping[str, Any] | None = None,
        query: Query = (),
        form: Form = (),
    ) -> Any:
        if self.stop.is_set():
            raise Cancelled("stopped before a call to HubSpot")
        # Taken before the call: these HubSpot has surely counted by the time it answers.
        answered = self._count()
        try:
            answer = self._exchanged(method, where, token, body, query, form)
            if slashed := answer.status in REDIRECTS and self._with_slash(where, answer.headers):
                self._count()
                answer = self._exchanged(method, slashed, token, body, query, form)
        finally:
            with self._lock:
                # Also one without an answer: it is not under way any more.
                self._answered += 1
        self._learn(answer.headers, answered)
        try:
            parsed = parse_json(answer.content) if answer.content else None
        except NotJson:
            parsed = None
        error = classify(answer.status, parsed, answer.headers, self.server_time, where.words)
        if error is not None:
            raise error
        said, odd = check_shape(parsed, where, method)
        self.note_odd(odd)
        return said

    def _with_slash(self, where: Endpoint, headers: Mapping[str, str]) -> Endpoint | None:
        """The same endpoint with a slash at its end, if a redirect asks for that."""
        onward = move_slash(f"{self.settings.base_url}{where.path}", headers.get("Location"))
        return where._replace(path=f"{where.path}/") if onward.endswith("/") else None

    def _exchanged(
        self,
        method: str,
        where: Endpoint,
        token: str | None,
        body: Mapping[str, Any] | None,
        query: Query,
        form: Form,
    ) -> _Answer:
        headers = {"Content-Type": _content_type(form)}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            response = self._client.call_api(
                where.path,
                method,
                query_params=list(query),
                header_params=headers,
                body=body,
                post_params=list(form) or None,
                # Its own models of a page take 15 ms, JSON half of one (hubspot-api-client 12.0.0, 2026-11-21).
                _preload_content=False,
                _request_timeout=TIMEOUT,
            )
            return _Answer(response.status, response.headers, response.data or b"")
        except ApiException as error:
            return _refusal(error)
        except (UnicodeDecodeError, AttributeError) as error:
            # The client decodes the body of an error as UTF-8 while it handles its own exception; an HTML page in
            # another encoding, or a TLS failure without a body, gets here (hubspot-api-client 12.0.0, 2026-11-21).
            if isinstance(error.__context__, ApiException):
                return _refusal(error.__context__)
            raise
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Transient(f"HubSpot cannot be reached ({_plain(error)})") from error

    def _count(self) -> int:
        """Count a call that is about to be sent, and say how many were answered before. Raises `Unavailable` when the
        day's share is used: searches and writes are answered without the day's rest, so it is counted down here too.
        """
        with self._lock:
            self._refuse_beyond_share()
            self.calls += 1
            if self.daily:
                self.daily = (self.daily[0], self.daily[1] - 1)
            return self._answered

    def _learn(self, headers: Mapping[str, str], answered: int) -> None:
        """Take the clock, the burst limit and the day's rest from an answer's headers.

        HubSpot had surely counted this call and the `answered` ones before it, and perhaps none of our others.
        """
        if at := http_date(headers.get("Date")):
            self.server_time, self._heard = at, (at, time.monotonic())
        rate = header_number(headers.get("X-HubSpot-RateLimit-Max"))
        if (
            rate
            and self.settings.calls_per_10s is None
            and headers.get("X-HubSpot-RateLimit-Interval-Milliseconds") == "10000"
        ):
            self._burst.rate = rate
        limit, left = (header_number(headers.get(f"X-HubSpot-RateLimit-Daily{end}")) for end in ("", "-Remaining"))
        if limit and left is not None:
            with self._lock:
                self.daily = (limit, left - (self.calls - answered - 1))
                self._day_ends = next_midnight(self.server_time, self.zone)

    @property
    def api_used(self) -> float | None:
        """How much of the day's calls is used (0 to 1); `None` before HubSpot said so."""
        return None if not self.daily else max(0.0, 1 - self.daily[1] / self.daily[0])

    @property
    def api_left(self) -> int | None:
        """How many of the day's calls are surely left; `None` before HubSpot said so."""
        return None if not self.daily else max(0, self.daily[1])

    def clock(self) -> datetime | None:
        """HubSpot's clock as its latest answer said, carried on by one that nobody sets; `None` before the first."""
        if self._heard is None:
            return None
        told, at = self._heard
        return told + timedelta(seconds=time.monotonic() - at)

    def _refuse_while_parked(self) -> None:
        now = self.clock() or datetime.now(UTC)
        until = self._notes.get(PARKED)
        if until and now < datetime.fromisoformat(until) < now + LONGEST_DAY:
            raise self._parked("HubSpot's API calls of today are used up", datetime.fromisoformat(until))
        if until:
            del self._notes[PARKED]

    def _refuse_beyond_share(self) -> None:
        now = self.clock() or datetime.now(UTC)
        if self.daily and now < self._day_ends and self.daily[1] <= self.daily[0] * (1 - self.settings.api_share):
            share = f"{self.settings.api_share:.0%} of today's {self.daily[0]:,} HubSpot API calls are used"
            why = f"{share}; [hubspot] api_share leaves the rest to other integrations"
            raise self._parked(why, self._day_ends)

    def _park(self, why: str) -> Unavailable:
        until = next_midnight(self.server_time, self.zone)
        self._notes[PARKED] = until.isoformat()
        return self._parked(why, until)

    def _parked(self, why: str, until: datetime) -> Unavailable:
        local = until.astimezone(self.zone)
        return Unavailable(CRM, why, until=f"{local:%H:%M on %Y-%m-%d} in {self.zone.key}")


class Flight:
    """Requests that are under way at the same time.

    When one raises, or `stop` is raised, the error passes on and what has not begun is dropped.
    """

    def __init__(self, size: int, stop: Stop) -> None:
        self._size, self._stop = size, stop
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="hubspot")
        self._waiting: set[Future[Any]] = set()

    def __enter__(self) -> Flight:
        return self

    def __exit__(self, *_: object) -> None:
        # Not waited for: a call without an answer would hold up who was told to stop.
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def room(self) -> bool:
        """Whether one more would begin at once."""
        return len(self._waiting) < self._size

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._waiting)

    def add(self, work: Callable[[A], Any], job: A) -> None:
        """Begin one more."""
        self._waiting.add(self._pool.submit(work, job))

    def finished(self) -> list[Any]:
        """What has come back after a short wait; a failure is raised once everything before it was returned."""
        done, self._waiting = wait(self._waiting, timeout=STOP_POLL, return_when=FIRST_COMPLETED)
        if not done and self._stop.is_set():
            raise Cancelled("stopped while HubSpot was answering")
        failed = {each for each in done if each.exception() is not None}
        finished = [each.result() for each in done - failed]
        if failed and not finished:
            failed.pop().result()
        self._waiting |= failed
        return finished


def next_midnight(now: datetime, zone: ZoneInfo) -> datetime:
    """When the portal's daily calls begin anew: the coming midnight of its own time zone, in UTC."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone).astimezone(UTC)


def _held_client(settings: Settings) -> Any:
    """The one `ApiClient` for every endpoint: each property of the library's `Client` opens connections of its own."""
    client = hubspot.Client.create(
        host=settings.base_url,
        # Its own repeats do not hear `stop`, and no bucket counts them (hubspot-api-client 12.0.0, 2026-11-21).
        retry=Retry(total=False, raise_on_status=False, respect_retry_after_header=False),
        connection_pool_maxsize=2 * settings.concurrency,  # a page may look up what belongs to its records
    ).crm.objects.basic_api.api_client
    # By itself it asks for bodies that are not compressed (hubspot-api-client 12.0.0, 2026-11-21).
    client.set_default_header("Accept-Encoding", "gzip")
    pool = client.rest_client.pool_manager
    pool.request = _reading_all(pool.request)
    return client


def _reading_all(request: Callable[..., Any]) -> Callable[..., Any]:
    """The same request with the whole body read within its limits; the client itself reads that of an error without."""

    def reading(*args: Any, **options: Any) -> Any:
        response = request(*args, **options)
        body = whole_body(CRM, response, BODY_DEADLINE)
        return urllib3.HTTPResponse(body, response.headers, response.status, reason=response.reason)

    return reading


def _refusal(error: ApiException) -> _Answer:
    if not error.status:
        raise Transient(f"HubSpot cannot be reached ({str(error.reason).splitlines()[0]})") from None
    content = error.body.encode() if isinstance(error.body, str) else error.body or b""
    return _Answer(error.status, error.headers or {}, content)


def _plain(error: BaseException) -> str:
    """The kind of network failure, without addresses or memory locations."""
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, BaseException) else error).__name__


def _content_type(form: Form) -> str:
    if any(isinstance(value, tuple) for _, value in form):
        return "multipart/form-data"
    return "application/x-www-form-urlencoded" if form else "application/json"
