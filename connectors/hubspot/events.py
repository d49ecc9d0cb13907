"""What HubSpot's tracking saw: events such as page views, sent forms, and marketing e-mails."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any, NamedTuple

from connectors.http import refuse_repeat
from connectors.hubspot.client import Api
from connectors.hubspot.cursors import DAY, Cursor, millis_of
from connectors.hubspot.email_lookup import Addresses
from connectors.hubspot.errors import (
    CRM,
    KIND,
    Forbidden,
    RequestRefused,
    id_of,
    object_in,
    objects_in,
    text_of,
    unreadable,
)
from connectors.hubspot.feeds import fitting_feed, read_attributes
from connectors.hubspot.properties import instant_of, to_millis
from connectors.hubspot.schema import list_all, next_page
from connectors.hubspot.settings import CUSTOM_EVENT
from crmsync.config.tables import Feed
from crmsync.errors import Unavailable
from crmsync.model import SECONDS_AFTER_SENDING, SOON, Activity, Odd, Ref, Scalar

FORMS, EMAIL_EVENTS = "forms", "email_events"

EVENT_PAGE, SMALLER_EVENT_PAGE = 1_000, 100
"""Events asked for at once, and where HubSpot refuses that (the largest page is not documented, 2026-11-21)."""

FORM_PAGE = SUBMISSION_PAGE = 50

FORM_QUERY = [("limit", str(FORM_PAGE)), *(("formTypes", each) for each in ("hubspot", "captured", "flow"))]
"""Without types HubSpot lists its own forms only, and `all` would bring blog comments, which it refuses to serve
(https://github.com/estuary/connectors/issues/4942, 2026-11-27).
"""

EMAIL_EVENT_PAGE = 1_000

GATHERED, MOST_GATHERED = 1_000, 10_000
"""E-mail addresses that are looked up together, so that a hundred of them cost a call and not those of each form, and
the items that are held back for it.
"""

MOST_ANEW = 3
"""How often a stretch of time is begun anew, because the token of its next page is refused."""

SHOWN_WITHIN = 60_000
"""Milliseconds by which a contact may show a form as sent before the form itself says so."""

Pulled = Iterator[tuple[list[Activity], Cursor]]


def id_prefix(source: str) -> str:
    """The beginning of the ids of a source's activities; all types of event share one."""
    return "events:" if is_event(source) else f"{source}:"


def is_event(source: str) -> bool:
    """Whether a feed's source is a type of event: HubSpot's (`e_…`), the portal's (`pe…_…`) or an app's (`ae…_…`)."""
    return source.startswith(("e_", "pe", "ae")) and "_" in source


def event_type(source: str, portal: str) -> str:
    """The type of event as HubSpot spells it."""
    return f"pe{portal}_{source[len(CUSTOM_EVENT) :]}" if source.startswith(CUSTOM_EVENT) else source


class _Span(NamedTuple):
    """From when to read (milliseconds), when the latest daily look was, and whether this is one."""

    since: int
    daily: int
    wide: bool


def _span(api: Api, begun: Cursor, start: int, oldest: datetime) -> _Span:
    """What to read: what is new, with an overlap; once a day what came late within a whole day, too."""
    first = to_millis(oldest)
    if begun.at is None:
        return _Span(first, start, True)
    if start - begun.daily > DAY:
        return _Span(max(begun.at - DAY, first), start, True)
    return _Span(max(begun.at - millis_of(api.settings.look_back), first), begun.daily, False)


def pull_events(api: Api, kind: str, feeds: Sequence[Feed], begun: Cursor, oldest: datetime) -> Pulled:
    """The events of a type since the cursor; the first time, if they are many, several stretches of time at once."""
    start = begun.start or to_millis(api.server_time)
    span = _span(api, begun, start, oldest)
    events = _Events(api, kind)
    left = [_Slice(*each) for each in begun.walk] if begun.walk is not None else _slices(span.since, start, 1)
    many = begun.at is None and begun.walk is None
    waiting = list(left)
    with api.flight() as flight:
        while waiting or flight.busy:
            while waiting and flight.room:
                flight.add(events.page, waiting.pop(0))
            for time_slice, answer in flight.finished():
                left.remove(time_slice)
                following, results = time_slice.following(answer), answer["results"]
                if following and many:
                    # Its page comes once more, with the stretch that it lies in.
                    left, results = _slices(span.since, start, api.settings.concurrency), ()
                    waiting = list(left)
                elif following:
                    left.append(following)
                    waiting.append(following)
                many = False
                found = [each for event in results for each in _event(api, event, feeds)]
                yield found, begun._replace(start=start, walk=[list(each) for each in left])
    yield [], begun.ended(start, span.daily)


class _Slice(NamedTuple):
    """A stretch of time (milliseconds; no end means open) and the token of its next page."""

    after: str
    low: int
    high: int | None

    def following(self, answer: Mapping[str, Any]) -> _Slice | None:
        """The same with the token of the page after this answer; `None` after the last one."""
        after = next_page(answer)
        return self._replace(after=after) if after else None


def _slices(low: int, high: int, many: int) -> list[_Slice]:
    """The time from `low` on in so many stretches; they touch, because nobody says whether a bound belongs to it."""
    edges = [low + (high - low) * place // many for place in range(many)]
    return [_Slice("", one - 1, other + 1 if other else None) for one, other in zip_longest(edges, edges[1:])]


class _Events:
    """Reads pages of events of one type, as large as HubSpot lets them be."""

    def __init__(self, api: Api, kind: str) -> None:
        self._api, self._kind, self._size = api, kind, EVENT_PAGE
        self._asked: set[_Slice] = set()
        self._anew: Counter[int] = Counter()

    def page(self, time_slice: _Slice) -> tuple[_Slice, Mapping[str, Any]]:
        """The next page of a slice. A token that is no longer good means beginning the slice anew, a few times."""
        if time_slice.after:
            told = f"HubSpot returns the same pages of {self._kind} events again and again"
            refuse_repeat(self._asked, time_slice, Unavailable(CRM, told))
        try:
            return time_slice, self._answer(time_slice, self._size)
        except RequestRefused:
            # Neither a smaller page nor a new beginning can help.
            if self._size == SMALLER_EVENT_PAGE and not time_slice.after:
                raise
        try:
            answer = self._answer(time_slice, SMALLER_EVENT_PAGE)
        except RequestRefused:
            self._anew[time_slice.low] += 1
            if self._anew[time_slice.low] > MOST_ANEW:
                raise
            answer = self._answer(time_slice._replace(after=""), SMALLER_EVENT_PAGE)
            self._asked = {each for each in self._asked if each.low != time_slice.low}
        self._size = SMALLER_EVENT_PAGE
        return time_slice, answer

    def _answer(self, time_slice: _Slice, size: int) -> Mapping[str, Any]:
        query = [("eventType", self._kind), ("occurredAfter", _iso(time_slice.low)), ("limit", str(size))]
        query += [("occurredBefore", _iso(time_slice.high))] if time_slice.high else []
        query += [("after", time_slice.after)] if time_slice.after else []
        answer: Mapping[str, Any] = self._api.get(self._api.place("events"), query)
        return answer


def _event(api: Api, event: Mapping[str, Any], feeds: Sequence[Feed]) -> Iterator[Activity]:
    values, event_id, contact_id = event.get("properties"), text_of(event.get("id")), id_of(event.get("objectId"))
    at = instant_of(event.get("occurredAt"))
    # Events are asked for by type alone, so that those of other objects may be among them.
    if text_of(event.get("objectType")).upper() not in ("CONTACT", "0-1", ""):
        return
    if not (at and event_id and contact_id and isinstance(values, dict | None)):
        api.note_odd([Odd("one of the events", "without id, time or contact")])
    elif feed := fitting_feed(feeds, values or {}):
        yield Activity(
            Ref(CRM, KIND, contact_id), f"events:{event_id}", feed.kind, at, read_attributes(feed, values or {})
        )


def _iso(at: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)).isoformat().replace("+00:00", "Z")


class Sent(NamedTuple):
    """Something that HubSpot knows by e-mail address: a form that was sent, an e-mail that was opened."""

    email: str
    id: str
    at: datetime
    values: Mapping[str, Any]


def _of_contacts(items: Sequence[Sent], addresses: Addresses, feeds: Sequence[Feed]) -> list[Activity]:
    """The items as activities; those of addresses that no contact has are left out, and noted."""
    fit = [(each, feed) for each in items if (feed := fitting_feed(feeds, each.values))]
    ids = addresses.ids({each.email for each, _ in fit})
    addresses.note_nobodys(each.id for each, _ in fit if not ids[each.email])
    return [
        Activity(
            Ref(CRM, KIND, ids[each.email]),
            each.id,
            feed.kind,
            each.at,
            {**read_attributes(feed, each.values), **_soon_after_sending(each)},
            by_address=True,
        )
        for each, feed in fit
        if ids[each.email]
    ]


def _soon_after_sending(event: Sent) -> dict[str, Scalar]:
    """How many seconds after the sending an e-mail was opened or clicked, where they are few."""
    sending = object_in(event.values, "sentBy")
    sent_at, number = instant_of(sending.get("created")), text_of(sending.get("id"))
    # The event of a sending may name itself.
    if sent_at is None or not number or number == text_of(event.values.get("id")):
        return {}
    seconds = int((event.at - sent_at).total_seconds())
    return {SECONDS_AFTER_SENDING: seconds} if 0 <= seconds <= SOON else {}


def _gathered(pages: Iterable[Sequence[Sent]]) -> Iterator[list[Sent]]:
    """The items of several pages together, as many as are worth looking up at once."""
    items: list[Sent] = []
    for page in pages:
        items += page
        if len({each.email for each in items}) >= GATHERED or len(items) >= MOST_GATHERED:
            yield items
            items = []
    if items:
        yield items


def pull_forms(api: Api, addresses: Addresses, feeds: Sequence[Feed], begun: Cursor, oldest: datetime) -> Pulled:
    """The forms that were sent since the cursor. A form that HubSpot refuses is left out."""
    start = to_millis(api.server_time)
    span = _span(api, begun, start, oldest)
    done = begun.ended(start, span.daily)
    if not span.wide and begun.shown and not _shows_form(api, span.since, refused=True):
        yield [], done
        return
    forms, newest = _Forms(api, span.since), list[Activity]()
    for sent in _gathered(forms.submissions()):
        found = _of_contacts(sent, addresses, feeds)
        newest = sorted([*newest, *found], key=lambda each: each.at)[-1:]
        # The cursor does not move: forms come several at once, so that there is no place in between.
        yield found, begun
    shown = begun.shown
    if newest and (span.wide or not shown):
        shown = _shows_form(api, to_millis(newest[0].at) - SHOWN_WITHIN, newest[0].ref.id)
    whole = begun.full and not forms.refused and not addresses.refused
    yield [], done._replace(full=whole, shown=shown)


def _shows_form(api: Api, since: int, contact_id: str = "", *, refused: bool = False) -> bool:
    """Whether a contact, or this one, shows that it sent a form since then: one search instead of a call for each form.

    Not documented is that contacts always do, so that `Cursor.shown` says whether the latest form was shown (2026-11).
    """
    filters = [{"propertyName": "recent_conversion_date", "operator": "GTE", "value": str(since)}]
    filters += [{"propertyName": "hs_object_id", "operator": "EQ", "value": contact_id}] if contact_id else []
    body = {"filterGroups": [{"filters": filters}], "properties": ["hs_object_id"], "limit": 1}
    try:
        return bool(api.search("contacts", body)["results"])
    except RequestRefused:
        return refused


class _Forms:
    """What was sent with the forms of the portal since an instant (milliseconds). `refused` are those that HubSpot
    does not let anybody read, each with its reason.
    """

    def __init__(self, api: Api, since: int) -> None:
        self._api, self._since = api, since
        self._names = {
            form: text_of(each.get("name")) or form
            for each in list_all(api, api.place("forms"), FORM_QUERY)
            if (form := text_of(each.get("id")))
        }
        self.refused: dict[str, Forbidden | RequestRefused] = {}
        self._asked: set[tuple[str, str]] = set()

    def submissions(self) -> Iterator[list[Sent]]:
        """Pages of sent forms, several forms at once; HubSpot serves the newest of a form first.

        Raises what HubSpot said when it refuses every form.
        """
        jobs = [(form, "") for form in self._names]
        with self._api.flight() as flight:
            while jobs or flight.busy:
                while jobs and flight.room:
                    flight.add(self._page, jobs.pop(0))
                for form, answer in flight.finished():
                    items, following = answer["results"], next_page(answer)
                    # The newest come first: behind one that is too old there are only older ones.
                    if following and not any(self._before(each) for each in items):
                        jobs.append((form, following))
                    sent = [_sent(form, self._names[form], each) for each in items if not self._before(each)]
                    yield [each for each in sent if each]
        if self.refused and len(self.refused) == len(self._names):
            raise next(iter(self.refused.values()))

    def probe(self) -> dict[str, str]:
        """The names of the forms that cannot be read, each with HubSpot's reason."""
        for _ in self._api.in_flight(self._page, [(form, "") for form in self._names]):
            pass
        return {
            self._names[form]: error.said if isinstance(error, RequestRefused) else str(error)
            for form, error in self.refused.items()
        }

    def _page(self, job: tuple[str, str]) -> tuple[str, Mapping[str, Any]]:
        form, after = job
        if after:
            told = "HubSpot returns the same pages of sent forms again and again"
            refuse_repeat(self._asked, job, Unavailable(CRM, told))
        query = [("limit", str(SUBMISSION_PAGE)), *([("after", after)] if after else [])]
        try:
            return form, self._api.get(self._api.place("submissions", id=form), query)
        except (Forbidden, RequestRefused) as error:
            self.refused[form] = error
            return form, {"results": []}

    def _before(self, submission: Mapping[str, Any]) -> bool:
        at = instant_of(submission.get("submittedAt"))
        return at is not None and to_millis(at) < self._since


def refused_forms(api: Api) -> dict[str, str]:
    """The names of the forms that cannot be read, each with HubSpot's reason; it costs a call for each form."""
    return _Forms(api, 0).probe()


def _sent(form: str, name: str, submission: Mapping[str, Any]) -> Sent | None:
    at = instant_of(submission.get("submittedAt"))
    said = {text_of(each.get("name")): text_of(each.get("value")) for each in objects_in(submission, "values")}
    email = said.get("email", "").strip().lower()
    if at is None or not email:
        return None
    submission_id = (
        text_of(submission.get("conversionId"))
        or hashlib.sha256(f"{form}|{to_millis(at)}|{email}".encode()).hexdigest()[:16]
    )
    return Sent(
        email, f"forms:{submission_id}", at, {**said, "form": name, "pageUrl": text_of(submission.get("pageUrl"))}
    )


def pull_email_events(api: Api, addresses: Addresses, feeds: Sequence[Feed], begun: Cursor, oldest: datetime) -> Pulled:
    """The marketing e-mail events since the cursor, of the types that the feeds name in `where = { type = … }`."""
    start = to_millis(api.server_time)
    span = _span(api, begun, start, oldest)
    for kind in _event_types(feeds):
        offset, seen = "", {""}
        while True:
            query = [("eventType", kind), ("startTimestamp", str(span.since)), ("limit", str(EMAIL_EVENT_PAGE))]
            answer = api.get(api.place("email_events"), [*query, *([("offset", offset)] if offset else [])])
            if not isinstance(answer.get("events"), list):
                raise unreadable("read marketing e-mail events")
            sent = [each for event in objects_in(answer, "events") if (each := _email_event(event))]
            yield _of_contacts(sent, addresses, feeds), begun
            if not answer.get("hasMore"):
                break
            offset = text_of(answer.get("offset"))
            told = "HubSpot returns the same page of e-mail events again and again"
            refuse_repeat(seen, offset, Unavailable(CRM, told))
    yield [], begun.ended(start, span.daily)._replace(full=begun.full and not addresses.refused)


def _event_types(feeds: Iterable[Feed]) -> list[str]:
    said = [feed.where.get("type", "") for feed in feeds]
    types = [each for one in said for each in (one if isinstance(one, list | tuple) else [str(one)])]
    return list(dict.fromkeys(each for each in types if each))


def _email_event(event: Mapping[str, Any]) -> Sent | None:
    at, email, event_id = (
        instant_of(event.get("created")),
        text_of(event.get("recipient")).strip().lower(),
        event.get("id"),
    )
    return Sent(email, f"email_events:{text_of(event_id)}", at, event) if at and email and text_of(event_id) else None
