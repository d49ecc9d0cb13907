"""One org: every call to it is logged in, timed, counted, kept within the quota, and repeated here."""

from __future__ import annotations

import io
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.util import exception_handler

from connectors.http import (
    PATIENCE,
    TIMEOUT,
    NotJson,
    http_date,
    is_loopback,
    move_slash,
    parse_json,
    refuse_repeat,
    retry_after_seconds,
    whole_body,
    with_retries,
)
from connectors.salesforce.ahead import Ahead
from connectors.salesforce.errors import (
    CRM,
    AnswerLost,
    Expired,
    NobodyThere,
    NotTaken,
    RequestRefused,
    RequestTooLong,
    check_object,
    judge_answer,
    odd_answer,
    query_page,
    run_exchange,
    unreadable,
)
from connectors.salesforce.long_queries import halve_query
from connectors.salesforce.settings import Settings, normal_address
from connectors.salesforce.tokens import JWT_LIFE, Token, new_token
from crmsync.connector import Stop
from crmsync.errors import Cancelled, ConfigError, Transient, Unavailable
from crmsync.model import Odd

T = TypeVar("T")

HEADERS = {
    # Without it any REST write to a lead runs the assignment rules and may move its owner. It is on every request
    # because simple-salesforce forgets the headers of a call that it repeats (2026-11, simple-salesforce 1.12.10).
    "Sforce-Auto-Assign": "FALSE",
    # Passes duplicate rules that only alert; those that block still refuse the row.
    "Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=false; runAsCurrentUser=true",
    "Sforce-Call-Options": "client=crmsync",
}

PARTS_PER_COMPOSITE, QUERIES_PER_COMPOSITE = 25, 5
"""A composite request counts as one call and may hold so many requests, five of them queries."""

MOST_ODD = 10_000
"""Things that could not be read which are remembered until somebody asks."""

CLOCK_SLACK = timedelta(seconds=5)
"""How far the time that an answer tells may be from the one that was carried on: after a sleep ours has stood still."""

USAGE_GOES_STALE = 300.0
"""Seconds after which one call is risked to learn the org's usage anew: its 24-hour window rolls."""


@dataclass(frozen=True)
class Usage:
    """API requests of the last 24 hours, by everybody in the org; heard when (monotonic) and after how many calls."""

    used: int
    allowed: int
    at: float
    calls: int


class Part(NamedTuple):
    """One answer of a composite call."""

    status: int
    body: Any
    headers: Mapping[str, str]


class _Wire(HTTPAdapter):
    """Reads every body to its end before a deadline: a read timeout alone lets a byte a minute pass for ever.

    A body that was asked for as a stream is left to whoever asked, unless it tells of an error.
    """

    def __init__(self, plain: bool = False) -> None:
        self.plain = plain
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if self.plain and request.url:  # simple-salesforce writes https:// whatever it is given
            request.url = request.url.replace("https://", "http://", 1)
        # Streamed, or requests would read the body itself, without a deadline.
        response = super().send(request, *args, **{**options, "stream": True})
        if not options.get("stream") or response.status_code != 200:
            response.raw = io.BytesIO(whole_body(CRM, response.raw, PATIENCE))
        return response


class _Client(Salesforce):
    """simple-salesforce that survives any body; `restful` asks for the length of what it gets."""

    def parse_result_to_json(self, result: requests.Response) -> Any:
        said = parse_json(result.content)
        if not isinstance(said, dict | list):
            raise NotJson("it is neither an object nor a list")
        return said


class _Session(requests.Session):
    """Timeouts on every call, `sending` told before each call and `seen` shown its answer.

    No redirect is followed, but one that only adds or removes the slash at the end.
    """

    def __init__(
        self, settings: Settings, sending: Callable[[], None], seen: Callable[[requests.Response], None]
    ) -> None:
        super().__init__()
        self.headers.update(HEADERS)
        # requests takes credentials for the host from ~/.netrc and would put them in the place of our token.
        self.auth = _as_it_is
        # A stand-in on this machine is not asked for through a proxy.
        self.trust_env = not is_loopback(settings.instance_url)
        self.mount("https://", _Wire(plain=settings.plain))
        self.mount("http://", _Wire())
        self._sending, self._seen = sending, seen

    def request(self, *args: Any, **options: Any) -> requests.Response:
        # A redirect would take the token along to wherever it leads (C06).
        options = {"timeout": TIMEOUT, **options, "allow_redirects": False}
        response = self._exchange(*args, **options)
        if onward := response.is_redirect and move_slash(response.url, response.headers["Location"]):
            # The address has its query by now.
            response = self._exchange(args[0], onward, **{**options, "params": None})
        return response

    def _exchange(self, *args: Any, **options: Any) -> requests.Response:
        self._sending()
        response = super().request(*args, **options)
        self._seen(response)
        return response


def _whatever(answer: Any) -> Any:
    return answer


def _exchange_of(
    method: str, path: str, body: object, read: Callable[[Any], Any] = _whatever
) -> Callable[[Salesforce], Any]:
    """One exchange of JSON, and what `read` makes of the answer."""
    return lambda client: read(client.restful(path, method=method, json=body))


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class Org:
    """One org, logged in when first needed."""

    def __init__(self, settings: Settings, stop: Stop) -> None:
        self.settings, self.stop = settings, stop
        self.calls = 0
        self.usage: Usage | None = None
        self.token: Token | None = None
        self.ahead = Ahead()
        self.sizes: dict[str, tuple[int | None, float]] = {}
        self.page_breaks = 0
        self._too_long = sys.maxsize
        self._odd: list[Odd] = []
        self._client: Salesforce | None = None
        self._clock: tuple[datetime, float] | None = None
        self._logging_in = threading.Lock()
        self._session = _Session(settings, self._count, self._seen)

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def now(self) -> datetime:
        """The server's clock (its `Date` header, carried on by ours), aware UTC, whole seconds."""
        if self._clock is None:
            self.call(lambda client: client.restful(""))
        if self._clock is None:
            raise Unavailable(CRM, "Salesforce's answer has no Date header, so crmsync cannot read changes safely")
        told, at = self._clock
        return told + timedelta(seconds=int(time.monotonic() - at))

    def told_time(self) -> datetime | None:
        """The same without asking for it; `None` before the first answer."""
        return self.now() if self._clock else None

    def identity(self) -> str:
        """The address that came with the token: it ends in the org's id and the user's."""
        if self.token is None:
            self.call(lambda client: client.restful(""))
        return self.token.identity if self.token else ""

    def call(self, exchange: Callable[[Salesforce], T]) -> T:
        """Do one exchange patiently. Raises `Unavailable`, `ConfigError` (`Refused` too) or `Cancelled`."""
        return with_retries(CRM, lambda: self._once(exchange), self.stop)

    def rest(self, method: str, path: str, body: object = None, read: Callable[[Any], Any] = _whatever) -> Any:
        """What `read` makes of the JSON of `path` below `/services/data/vNN.0/`, repeated on `Transient`."""
        return self.call(_exchange_of(method, path, body, read))

    def spare(self, method: str, path: str, body: object = None, read: Callable[[Any], Any] = _whatever) -> Any:
        """The same of what can be done without: `RequestRefused`, too, where nobody answers at that address."""

        def exchange() -> Any:
            try:
                return self._once(_exchange_of(method, path, body, read))
            except NobodyThere as error:
                raise RequestRefused("NOT_FOUND", str(error)) from error

        return with_retries(CRM, exchange, self.stop)

    def rest_once(self, method: str, path: str, body: object) -> Any:
        """The JSON of what must not be done twice; repeated only where Salesforce has surely done nothing.

        Raises `AnswerLost` where nobody knows what became of it.
        """

        def exchange() -> Any:
            try:
                return self._once(_exchange_of(method, path, body))
            except NotTaken:
                raise
            except Transient as error:
                raise AnswerLost(CRM, str(error)) from error

        return with_retries(CRM, exchange, self.stop)

    def raw(self, method: str, path: str, read: Callable[[requests.Response], T], **options: Any) -> T:
        """What `read` makes of an answer that is not JSON, repeated on `Transient`; `path` as in `rest`."""
        return self.call(lambda client: read(self.sent(client, method, path, options)))

    def query(self, soql: str) -> dict[str, Any]:
        """The first page of a query that sees deleted and archived rows too."""
        if waiting := self.ahead.take(soql):
            return waiting
        length = len(quote(soql))
        if length < self._too_long:
            with suppress(RequestTooLong):
                return self.call(lambda client: query_page(client.query(soql, include_deleted=True)))
        page = with_retries(CRM, lambda: self._query_in_body(soql), self.stop)
        # Not before it was taken so: otherwise no shorter one is known to need it.
        self._too_long = min(self._too_long, length)
        return page

    def _query_in_body(self, soql: str) -> dict[str, Any]:
        """The same in the body of a composite call. Raises `RequestTooLong` where that is not taken either."""
        part = self.composite({"q0": f"queryAll/?q={quote(soql)}"}).get("q0")
        if part is None:
            raise RequestTooLong
        if part.status != 200:
            judge_answer(part.status, part.body)
        return query_page(part.body)

    def more(self, link: str) -> dict[str, Any]:
        """The page behind a `nextRecordsUrl`, of which only the locator is believed."""
        found = re.search(r"/(query|queryAll)/([\w-]+)$", urlsplit(link).path, re.IGNORECASE)
        if not found:
            raise Unavailable(CRM, "Salesforce sent an invalid link to the next page")
        everything = found[1].lower() == "queryall"
        return self.call(lambda client: query_page(client.query_more(found[2], include_deleted=everything)))

    def rows(self, soql: str, *, standing: bool = False) -> list[dict[str, Any]]:
        """All rows of a query that is known to be small; `standing` is one that each run asks again."""
        if standing:
            self.ahead.note_standing(soql)
        try:
            first = self.query(soql)
        except RequestTooLong:
            return [row for half in _halves(soql) for row in self.rows(half)]
        rows = _objects(self._to_the_end(first))
        # Whoever asks in order to create what is not there must not believe in an answer that lost its rows.
        if len(rows) < first.get("totalSize", 0):
            raise unreadable("its own records")
        return rows

    def _to_the_end(self, first: dict[str, Any]) -> list[Any]:
        rows, links = list(first["records"]), set[str]()
        while not first["done"]:
            following = first["nextRecordsUrl"]
            refuse_repeat(links, following, Unavailable(CRM, "Salesforce returns the same page again and again"))
            first = self.more(following)
            rows += first["records"]
        return rows

    def many_rows(self, queries: Sequence[str]) -> list[Any]:
        """The rows of several queries, five to a call, whatever they are."""
        return [row for rows in self.rows_of_each(queries) for row in rows]

    def rows_of_each(self, queries: Sequence[str]) -> Iterator[list[Any]]:
        """The same for each query by itself."""
        for start in range(0, len(queries), QUERIES_PER_COMPOSITE):
            some = queries[start : start + QUERIES_PER_COMPOSITE]
            pages = self._composite_pages(some) if len(some) > 1 else []
            # Asked by itself, the one that failed is repeated or says why.
            yield from map(self._to_the_end, pages) if pages else map(self._all_rows, some)

    def _all_rows(self, soql: str) -> list[Any]:
        try:
            return self._to_the_end(self.query(soql))
        except RequestTooLong:
            return [row for half in _halves(soql) for row in self._all_rows(half)]

    def take_odd(self) -> list[Odd]:
        """What could not be read of the rows since this was asked last."""
        odd, self._odd = self._odd, []
        return list(dict.fromkeys(odd))

    def note_odd(self, odd: Sequence[Odd]) -> None:
        """Remember what could not be read of some rows."""
        self._odd += odd[: MOST_ODD - len(self._odd)]

    def composite(self, paths: Mapping[str, str], since: Mapping[str, str] | None = None) -> dict[str, Part]:
        """The answers to up to 25 GETs in one call, by their names; `paths` as in `rest`.

        Those that `since` has an HTTP date for answer 304 where nothing changed. Nothing at all where the org does not
        do this: every GET can be sent by itself, too.
        """
        body = self._composite_of(paths, since or {})
        try:
            parts: dict[str, Part] = self.spare("POST", "composite", body, read=_parts)
        except RequestRefused:
            return {}
        return parts

    def ask_together(
        self, queries: Sequence[str], paths: Mapping[str, str] | None = None, since: Mapping[str, str] | None = None
    ) -> dict[str, Part]:
        """Have the first pages of queries wait for whoever asks, and answer GETs as `composite` does, in as few calls.

        What is not answered is not tried again, since each can be asked for by itself: a slow query holds up no other.
        """
        queries, rest, answers = self.ahead.lacks(queries), dict(paths or {}), dict[str, Part]()
        while queries and len(queries) + len(rest) > 1:
            some = {f"q{number}": soql for number, soql in enumerate(queries[:QUERIES_PER_COMPOSITE])}
            beside = dict(islice(rest.items(), PARTS_PER_COMPOSITE - len(some)))
            asked = beside | {name: f"queryAll/?q={quote(soql)}" for name, soql in some.items()}
            body = self._composite_of(asked, since or {})
            try:
                said = _parts(self.rest_once("POST", "composite", body))
            # A server that asks for time gets it.
            except (AnswerLost, Transient, RequestRefused):
                self.ahead.note_failure()
                break
            pages = {name: part.body for name, part in said.items() if part.status == 200}
            self.ahead.keep({soql: pages.get(name) for name, soql in some.items()})
            answers |= {name: part for name, part in said.items() if name in beside}
            queries, rest = queries[len(some) :], {name: rest[name] for name in rest if name not in beside}
        for start in range(0, len(rest), PARTS_PER_COMPOSITE):
            answers |= self.composite(dict(islice(rest.items(), start, start + PARTS_PER_COMPOSITE)), since)
        return answers

    def _composite_of(self, paths: Mapping[str, str], since: Mapping[str, str]) -> dict[str, Any]:
        root = f"/services/data/v{self.settings.api_version}/"
        asked = [{"method": "GET", "url": root + path, "referenceId": name} for name, path in paths.items()]
        dated = [
            {**each, "httpHeaders": {"If-Modified-Since": date}} if (date := since.get(each["referenceId"])) else each
            for each in asked
        ]
        return {"allOrNone": False, "compositeRequest": dated}

    def _composite_pages(self, queries: Sequence[str]) -> list[dict[str, Any]]:
        """The first page of each in one call; none where one of them failed."""
        paths = {f"q{number}": f"queryAll/?q={quote(soql)}" for number, soql in enumerate(queries)}
        answers = self.composite(paths)
        if any(name not in answers or answers[name].status != 200 for name in paths):
            return []
        with suppress(Transient):
            return [query_page(answers[name].body) for name in paths]
        return []

    def _once(self, exchange: Callable[[Salesforce], T]) -> T:
        self._mind_the_quota()
        client = self._client or self._log_in(None)
        try:
            return run_exchange(lambda: exchange(client))
        # Once only: the library itself may ask for tokens without end (simple-salesforce/simple-salesforce#804).
        except Expired:
            client = self._log_in(client)
        try:
            return run_exchange(lambda: exchange(client))
        except Expired:
            raise ConfigError(
                "Salesforce issued a token, but does not accept it; check the IP ranges and the 'API Enabled' "
                "permission of the integration user, and the session policies of the External Client App"
            ) from None

    def _log_in(self, spent: Salesforce | None) -> Salesforce:
        """A client with a token that is not the spent one; whoever comes second takes the first one's."""
        with self._logging_in:
            if self._client is None or self._client is spent:
                self.token = self._new_token()
                self._client = self._client_with(self.token)
            return self._client

    def _new_token(self) -> Token:
        """A token; a JWT by our clock that was refused is made once more by Salesforce's, which the refusal told."""
        told = self.told_time()
        try:
            return run_exchange(lambda: new_token(self._session, self.settings, told))
        except ConfigError:
            theirs = self.told_time()
            if self.settings.auth != "jwt" or told is not None or theirs is None:
                raise
            if abs(theirs - datetime.now(UTC)) < JWT_LIFE:
                raise
            return run_exchange(lambda: new_token(self._session, self.settings, theirs))

    def _client_with(self, token: Token) -> Salesforce:
        client = _Client(
            session_id=token.access,
            instance_url=allowed_instance(self.settings.instance_url, token.instance_url),
            version=self.settings.api_version,
            session=self._session,
            object_pairs_hook=None,
        )
        del client.headers["X-PrettyPrint"]  # asks for indented JSON, which doubles every body
        return client

    def sent(self, client: Salesforce, method: str, path: str, options: Mapping[str, Any]) -> requests.Response:
        """The answer that is not JSON of one exchange, within `call`; `path` as in `rest`."""
        headers = {**client.headers, **options.get("headers", {})}
        response = self._session.request(method, client.base_url + path, **{**options, "headers": headers})
        if response.status_code >= 300:
            exception_handler(response, name=path)
        return response

    def _count(self) -> None:
        if self.stop.is_set():
            raise Cancelled("stopped before a call to Salesforce")
        self.calls += 1

    def _seen(self, response: requests.Response) -> None:
        if at := http_date(response.headers.get("Date")):
            carried, self._clock = self.told_time(), (at, time.monotonic())
            if carried and abs(at - carried) > CLOCK_SLACK:
                self.ahead.expect((), "")  # the pulls are to end at another instant than was thought
        # Taken away, because simple-salesforce makes numbers of it whatever it says (1.12.10, 2026-11).
        told = response.headers.pop("Sforce-Limit-Info", "")
        if found := re.match(r"\s*api-usage=([0-9]{1,12})/([1-9][0-9]{0,11})\b", told):
            self.usage = Usage(int(found[1]), int(found[2]), time.monotonic(), self.calls)
        # simple-salesforce's exceptions do not carry the headers that say how long to wait.
        wait = retry_after_seconds(response.headers.get("Retry-After"), datetime.now(UTC))
        if wait is not None and response.status_code in (429, 503):
            raise NotTaken(f"Salesforce answered with status {response.status_code}", retry_after=wait)

    @property
    def api_used(self) -> float | None:
        """How much of the org's calls of 24 hours is used (0 to 1); `None` before Salesforce said so."""
        usage = self.usage
        return None if usage is None else (usage.used + self.calls - usage.calls) / usage.allowed

    @property
    def api_left(self) -> int | None:
        """How many of the org's calls of 24 hours are left; `None` before Salesforce said so."""
        usage = self.usage
        return None if usage is None else max(0, usage.allowed - usage.used - (self.calls - usage.calls))

    def _mind_the_quota(self) -> None:
        """Bulk answers may not say how much is used: what we sent since somebody said so is added."""
        usage, share = self.usage, self.settings.api_share
        if usage is None or time.monotonic() - usage.at > USAGE_GOES_STALE:
            return
        used = usage.used + self.calls - usage.calls
        if used >= share * usage.allowed:
            raise Unavailable(
                CRM,
                f"{used:,} of the org's {usage.allowed:,} API requests of the last 24 hours are used, "
                f"and api_share in [salesforce] leaves the last {1 - share:.0%} to other tools",
                until="some time: the limit is for the last 24 hours and becomes free step by step",
            )


def _halves(soql: str) -> tuple[str, ...]:
    """The halves of a query that is too long. Raises `RequestTooLong` where it has none."""
    halves = halve_query(soql)
    if not halves:
        raise RequestTooLong
    return halves


def _objects(rows: Sequence[Any]) -> list[dict[str, Any]]:
    if not all(isinstance(row, dict) for row in rows):
        raise unreadable("its own records")
    return list(rows)


def _parts(answer: Any) -> dict[str, Part]:
    listed = check_object(answer, "compositeResponse")["compositeResponse"]
    if not isinstance(listed, list):
        raise odd_answer()
    parts: dict[str, Part] = {}
    for each in listed:
        name, status = (
            check_object(each, "referenceId", "httpStatusCode", "body")["referenceId"],
            each["httpStatusCode"],
        )
        headers = each.get("httpHeaders") or {}
        if not isinstance(name, str) or type(status) is not int or not isinstance(headers, dict):
            raise odd_answer()
        parts[name] = Part(status, each["body"], {key: str(value) for key, value in headers.items()})
    return parts


def allowed_instance(ours: str, named: str) -> str:
    """The address that a log-in names, if it is the configured one. Raises `ConfigError` with what to do otherwise.

    Whoever can answer a log-in could have the token sent to an org of their own; and an org that was renamed answers
    under both names for a while.
    """
    try:
        configured, other = urlsplit(ours), urlsplit(named if "//" in named else f"https://{named}")
        if (other.scheme, other.netloc.lower()) == (configured.scheme, configured.netloc.lower()):
            return ours
        if is_loopback(ours) and is_loopback(other.geturl()) and other.port == configured.port:
            return ours  # a stand-in on this machine, by another of this machine's names
        new = normal_address(named)
    except ValueError as error:
        raise ConfigError(f"the log-in returned an address to which crmsync does not send its token: {error}") from None
    raise ConfigError(
        f"the log-in returned another address than instance_url in [salesforce], which is {ours}; crmsync sends its "
        f'token only to that one; if the org was renamed, set instance_url = "{new}"'
    )
