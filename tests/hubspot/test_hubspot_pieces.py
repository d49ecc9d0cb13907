"""The pieces of the HubSpot connector that can be tried without a portal: values, refusals, cursors and walks."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from connectors.hubspot import paging
from connectors.hubspot.client import Flight, next_midnight
from connectors.hubspot.cursors import Cursor, dump_cursors, load_cursors
from connectors.hubspot.errors import DailyLimit, Forbidden, Locked, RequestRefused, Unauthorized, classify
from connectors.hubspot.feeds import fingerprint_feeds, fitting_feed, read_attributes
from connectors.hubspot.mapping import long_id
from connectors.hubspot.properties import Definition, instant_of, number_of, property_text, read_value
from connectors.hubspot.settings import Settings
from connectors.hubspot.tokens import Tokens
from crmsync.config.tables import Feed
from crmsync.errors import ConfigError, Transient, Unavailable

unhurried = hypothesis_settings(deadline=None, max_examples=60)
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


# Values


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("1633996800000", "2021-10-12T00:00:00+00:00"),
        (1633996800000, "2021-10-12T00:00:00+00:00"),
        ("2026-03-29", "2026-03-29T00:00:00+00:00"),
        ("2026-03-29T02:30:00Z", "2026-03-29T02:30:00+00:00"),
        ("2026-03-29T02:30:00.123456+0200", "2026-03-29T00:30:00.123456+00:00"),
        ("2026-03-29T02:30:00", "2026-03-29T02:30:00+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
        ("-86400000", "1969-12-31T00:00:00+00:00"),
    ],
)
def test_an_instant_however_hubspot_writes_it(value, at):
    assert instant_of(value).isoformat() == at


@pytest.mark.parametrize("value", [None, "", "soon", "99999999999999999999", "0001-01-01T00:00:00+14:00", "2026-13-01"])
def test_what_is_no_instant_is_unknown(value):
    assert instant_of(value) is None


def test_a_date_is_never_shifted_by_a_zone():
    date = Definition("d", "date", "date", True)
    assert read_value("2026-03-29", date) == "2026-03-29"
    assert read_value("1774742400000", date) == "2026-03-29"


@pytest.mark.parametrize(
    ("text", "value"),
    [("42", 42), ("42.0", 42), ("-0", 0), ("1.5", 1.5), ("1e3", 1000), ("NaN", None), ("Infinity", None), ("x", None)],
)
def test_numbers(text, value):
    assert number_of(text) == value


@pytest.mark.parametrize("text", ["1_000", "1,000", "0x10", "٣٣x", "--1"])
def test_what_only_looks_like_a_number_is_unknown(text):
    assert number_of(text) is None


@pytest.mark.parametrize(
    ("property_type", "field_type", "text", "value"),
    [
        ("string", "text", "", None),
        ("string", "text", "0", "0"),
        ("bool", "booleancheckbox", "true", True),
        ("bool", "booleancheckbox", "false", False),
        ("bool", "booleancheckbox", "maybe", None),
        ("enumeration", "booleancheckbox", "true", True),
        ("enumeration", "booleancheckbox", "false", False),
        ("enumeration", "checkbox", "a;b", ("a", "b")),
        ("enumeration", "checkbox", ";", None),
        ("enumeration", "select", "a;b", "a;b"),
        ("datetime", "date", "2026-03-29T02:30:00Z", "2026-03-29T02:30:00Z"),
    ],
)
def test_values_have_the_type_of_their_property(property_type, field_type, text, value):
    assert read_value(text, Definition("p", property_type, field_type, True)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (7, "7"),
        (7.0, "7"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (("a", "b"), "a;b"),
        ("a\0\ud800b", "ab"),
    ],
)
def test_values_as_hubspot_takes_them(value, text):
    assert property_text(value) == text


@unhurried
@given(st.text(max_size=80))
def test_any_text_can_be_written(text):
    assert "\0" not in property_text(text).encode().decode()


def test_a_short_salesforce_id_becomes_the_long_one():
    assert long_id("00Q5g00000AbCdE") == long_id(long_id("00Q5g00000AbCdE"))
    assert long_id("0013000001Dbz3F") == "0013000001Dbz3FAAR"
    assert long_id("003D000000QV9n2") == "003D000000QV9n2IAD"


# Refusals


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {}, type(None)),
        (204, None, type(None)),
        (207, {"errors": []}, type(None)),
        (200, None, Transient),
        (301, None, Unavailable),
        (400, {"category": "VALIDATION_ERROR"}, RequestRefused),
        (401, None, Unauthorized),
        (403, {"category": "MISSING_SCOPES"}, Forbidden),
        (403, None, Transient),
        (404, None, RequestRefused),
        (409, {"category": "OBJECT_ALREADY_EXISTS"}, RequestRefused),
        (409, {}, Locked),
        (410, None, ConfigError),
        (414, None, RequestRefused),
        (423, {}, Locked),
        (429, {"policyName": "DAILY"}, DailyLimit),
        (429, {"message": "You have reached your daily limit."}, DailyLimit),
        (429, None, Transient),
        (477, {}, Transient),
        (500, None, Transient),
        (524, None, Transient),
    ],
)
def test_every_answer_means_one_thing(status, body, kind):
    assert isinstance(classify(status, body, {}, NOW, "read x"), kind)


@pytest.mark.parametrize(
    "body",
    [
        {"category": "MISSING_SCOPES", "context": {"requiredGranularScopes": ["crm.lists.read"]}},
        {"category": "MISSING_SCOPES", "errors": [{"context": {"requiredGranularScopes": ["crm.lists.read"]}}]},
    ],
)
def test_missing_scopes_are_found_wherever_they_are(body):
    assert classify(403, body, {}, NOW, "read x").scopes == ("crm.lists.read",)


@pytest.mark.parametrize(
    ("now", "zone", "midnight"),
    [
        ("2026-11-21T09:00:00+00:00", "UTC", "2026-11-22T00:00:00+00:00"),
        ("2026-11-21T23:30:00+00:00", "Europe/Berlin", "2026-11-22T23:00:00+00:00"),
        ("2026-03-28T12:00:00+00:00", "Europe/Berlin", "2026-03-28T23:00:00+00:00"),
        ("2026-03-29T12:00:00+00:00", "Europe/Berlin", "2026-03-29T22:00:00+00:00"),
    ],
)
def test_the_day_ends_at_the_portals_midnight(now, zone, midnight):
    assert next_midnight(datetime.fromisoformat(now), ZoneInfo(zone)).isoformat() == midnight


# Feeds and cursors


def test_the_first_feed_that_fits_names_the_kind():
    feeds = [
        Feed(source="calls", kind="talked", where={"status": ["DONE", "HELD"]}),
        Feed(source="calls", kind="unknown", where={"status": ""}),
    ]
    assert fitting_feed(feeds, {"status": "HELD"}).kind == "talked"
    assert fitting_feed(feeds, {"status": None}).kind == "unknown"
    assert fitting_feed(feeds, {"status": "BUSY"}) is None


@pytest.mark.parametrize("value", [False, "false"])
def test_a_yes_or_no_fits_however_it_is_written(value):
    feeds = [Feed(source="email_events", kind="opened", where={"filteredEvent": False})]
    assert fitting_feed(feeds, {"filteredEvent": value}) is feeds[0]
    assert fitting_feed(feeds, {"filteredEvent": not value if value is False else "true"}) is None
    assert fitting_feed(feeds, {}) is feeds[0]
    assert (
        fitting_feed(
            [Feed(source="calls", kind="x", where={"hs_call_status": "!CANCELED"})], {"hs_call_status": "canceled"}
        )
        is None
    )
    texts = [Feed(source="email_events", kind="opened", where={"filteredEvent": ["", "false"]})]
    assert fitting_feed(texts, {"filteredEvent": value}) is fitting_feed(texts, {}) is texts[0]


def test_a_yes_or_no_stays_one_as_an_attribute():
    feed = Feed(source="email_events", kind="opened", attributes={"machine": "filteredEvent", "size": "n"})
    assert read_attributes(feed, {"filteredEvent": False, "n": 5}) == {"machine": False, "size": "5"}


def test_other_feeds_have_another_fingerprint():
    one = [Feed(source="calls", kind="talked")]
    assert fingerprint_feeds(one) == fingerprint_feeds(list(one))
    assert fingerprint_feeds(one) != fingerprint_feeds([Feed(source="calls", kind="talked", where={"a": "b"})])


cursors = st.builds(
    Cursor,
    at=st.none() | st.integers(1, 2**50),
    daily=st.integers(0, 2**50),
    start=st.none() | st.integers(1, 2**50),
    walk=st.none() | st.just([]) | st.just([["5", 4, None], ["9", 8, 12]]),
    last=st.text("0123456789", max_size=12),
    feeds=st.text("0123456789abcdef", max_size=8),
    again=st.booleans(),
    full=st.booleans(),
)


@unhurried
@given(st.dictionaries(st.text("abc_", min_size=1), cursors))
def test_cursors_survive_being_text(some):
    assert load_cursors(dump_cursors(some)) == some


# Walks

TOKENS = ("last", "next", "offset", "opaque", "shuffled")


class List:
    """A list of records with some kind of token, as an `Api` serves it."""

    def __init__(self, ids, tokens, size):
        self.ids, self.tokens, self.size, self.calls = ids, tokens, size, 0
        self.settings = SimpleNamespace(concurrency=3)
        self._lock = threading.Lock()

    def place(self, name, **_):
        return name

    def flight(self):
        return Flight(3, threading.Event())

    def search(self, _kind, _body):
        top = [{"id": str(max(self.ids, default=0))}] if self.ids else []
        return {"total": len(self.ids), "results": top}

    def get(self, _where, query):
        with self._lock:
            self.calls += 1
        after = dict(query).get("after", "")
        start = self._start(after)
        page = self.ids[start : start + self.size]
        answer = {"results": [{"id": str(record_id)} for record_id in page]}
        if start + self.size < len(self.ids):
            answer["paging"] = {"next": {"after": self._token(start + self.size)}}
        return answer

    def _token(self, place):
        return {
            "last": str(self.ids[place - 1]),
            "next": str(self.ids[place]),
            "offset": str(place),
            "opaque": f"t{place}",
            "shuffled": str(self.ids[place - 1]),
        }[self.tokens]

    def _start(self, after):
        if not after:
            return 0
        if self.tokens == "shuffled":
            return self.ids.index(int(after)) + 1 if int(after) in self.ids else 0
        if self.tokens == "opaque":
            return int(after[1:])
        if self.tokens == "offset":
            return int(after)
        reached = (
            (lambda record_id: record_id > int(after))
            if self.tokens == "last"
            else (lambda record_id: record_id >= int(after))
        )
        return next((place for place, record_id in enumerate(self.ids) if reached(record_id)), len(self.ids))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Small pages; the tests change them at will, and they are put back."""
    monkeypatch.setattr(paging, "WORTH_SPLITTING", 5)
    monkeypatch.setattr(paging, "FEWEST_PAGES", 1)
    monkeypatch.setattr(paging, "LIST_PAGE", 5)
    monkeypatch.setattr(paging, "SEARCH_PAGE", 5)


id_lists = st.lists(st.integers(1, 60) | st.integers(10**11, 10**11 + 300), unique=True, max_size=80).map(sorted)


@unhurried
@given(ids=id_lists, tokens=st.sampled_from(TOKENS), size=st.integers(2, 9), data=st.data())
def test_a_walk_finds_every_record_whatever_the_tokens_are(ids, tokens, size, data):
    if tokens == "shuffled":
        ids = data.draw(st.permutations(ids))
    paging.LIST_PAGE = size
    found = Counter(
        record["id"]
        for records, _ in paging.whole_list(paging.Listing(List(ids, tokens, size), "x", []))
        for record in records
    )
    assert set(found) == {str(record_id) for record_id in ids}


@unhurried
@given(
    ids=id_lists, tokens=st.sampled_from(("last", "next", "opaque")), size=st.integers(2, 9), stop=st.integers(1, 12)
)
def test_a_walk_goes_on_from_any_of_its_positions(ids, tokens, size, stop):
    paging.LIST_PAGE = size
    found, position = [], None
    pages = paging.whole_list(paging.Listing(List(ids, tokens, size), "x", []))
    for records, where in islice(pages, stop):
        found += [record["id"] for record in records]
        position = where
    pages.close()
    rest = paging.whole_list(paging.Listing(List(ids, tokens, size), "x", []), position)
    found += [record["id"] for records, _ in rest for record in records]
    assert sorted(map(int, found)) == ids


class Index:
    """A search that compares ids as numbers or as text, or forgets to; records vanish between its pages."""

    def __init__(self, ids, as_text=False, vanishing=()):
        self.key = str if as_text else int
        self.ids = sorted(ids, key=int)
        self.vanishing, self.compares_numbers = list(vanishing), None

    def search(self, _kind, body):
        left = self.ids
        for each in body["filterGroups"][0]["filters"]:
            if each["propertyName"] == "hs_object_id":
                left = [record_id for record_id in left if self._fits(record_id, each)]
        start = int(body.get("after", 0))
        page = left[start : start + paging.SEARCH_PAGE]
        answer = {"total": len(left), "results": [{"id": record_id, "properties": {}} for record_id in page]}
        if start + paging.SEARCH_PAGE < len(left):
            answer["paging"] = {"next": {"after": str(start + paging.SEARCH_PAGE)}}
        if self.vanishing and body["limit"] == paging.SEARCH_PAGE:
            self.ids = [record_id for record_id in self.ids if record_id != self.vanishing[0]]
            del self.vanishing[0]
        return answer

    def _fits(self, record_id, condition):
        return (
            record_id in condition["values"]
            if "values" in condition
            else self.key(record_id) > self.key(condition["value"])
        )


@unhurried
@given(ids=st.sets(st.integers(1, 1_500), max_size=60), size=st.integers(1, 7), as_text=st.booleans())
def test_a_window_is_whole_or_says_that_it_is_not(ids, size, as_text):
    paging.SEARCH_PAGE = size
    ids = {str(record_id) for record_id in ids}
    found = []
    try:
        for records, _ in paging.Window(Index(ids, as_text), "x", "changed", 0, []).pages():
            found += [record["id"] for record in records]
    except paging.Skipping:
        assert as_text or not any(record_id[0] < "9" and len(record_id) > 1 for record_id in found)
        return
    assert set(found) == ids


@unhurried
@given(ids=st.sets(st.integers(10, 1_500), min_size=20, max_size=60), data=st.data())
def test_records_that_vanish_take_nobody_with_them(ids, data):
    paging.SEARCH_PAGE = 5
    ids = {str(record_id) for record_id in ids}
    vanishing = data.draw(st.lists(st.sampled_from(sorted(ids)), unique=True, max_size=3))
    window = paging.Window(Index(ids, vanishing=vanishing), "x", "changed", 0, [])
    try:
        found = {record["id"] for records, _ in window.pages() for record in records}
    except paging.Skipping:
        assert vanishing  # those that would have told how ids are compared: the whole list is read instead
        return
    assert ids - set(vanishing) <= found


def test_a_window_of_an_empty_portal():
    assert list(paging.Window(Index([]), "x", "changed", 0, []).pages()) == []


def test_overlap_is_counted_in_milliseconds():
    from connectors.hubspot.cursors import millis_of

    assert millis_of(timedelta(minutes=10)) == 600_000


# Tokens


class Door:
    """Hands out tokens that live half an hour; each refresh token may bring another one."""

    def __init__(self, rotate):
        self.rotate, self.given, self.now = rotate, [], 0.0

    def send(self, _method, _path, _token, *, form):
        self.given.append(dict(form)["refresh_token"])
        answer = {"access_token": f"access-{len(self.given)}", "expires_in": 1_800}
        return answer | ({"refresh_token": f"refresh-{len(self.given)}"} if self.rotate else {})


def tokens(door, path):
    given = {"client_id": "a", "client_secret": "b", "refresh_token": "refresh-0", "token_file": str(path)}
    return Tokens(Settings(**given), door.send, lambda: door.now)


@pytest.mark.parametrize("rotate", [True, False])
def test_a_token_is_renewed_before_it_ends(tmp_path, rotate):
    door = Door(rotate)
    held = tokens(door, tmp_path / "token")
    assert held.current() == "access-1"
    door.now = 1_600
    assert held.current() == "access-1"
    door.now = 1_700
    assert held.current() == "access-2"
    assert door.given == ["refresh-0", "refresh-1" if rotate else "refresh-0"]


def test_a_refused_token_is_renewed_once_for_all_who_used_it(tmp_path):
    door = Door(False)
    held = tokens(door, tmp_path / "token")
    used = held.current()
    assert {held.renewed(instead_of=used) for _ in range(5)} == {"access-2"}


def test_another_refresh_token_in_the_environment_wins_over_the_file(tmp_path):
    (tmp_path / "token").write_text('{"from": "another", "refresh_token": "stale"}')
    door = Door(False)
    tokens(door, tmp_path / "token").current()
    assert door.given == ["refresh-0"]


def test_a_token_file_that_cannot_be_read_is_said(tmp_path):
    (tmp_path / "token").write_text("not json")
    with pytest.raises(ConfigError, match="cannot be read"):
        tokens(Door(False), tmp_path / "token").current()


def test_a_token_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        tokens(Door(True), tmp_path / "nowhere" / "token").current()
