"""What both CRMs need of HTTP: patience, pace, where a token may go, and bodies whatever is in them."""

import gzip
import io
import math
import threading
import tracemalloc
from datetime import UTC, datetime

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

import connectors.http
from connectors.http import (
    ATTEMPTS,
    PATIENCE,
    NotJson,
    TokenBucket,
    checked_address,
    header_number,
    http_date,
    is_loopback,
    is_private,
    parse_json,
    retry_after_seconds,
    whole_body,
    with_retries,
)
from crmsync.errors import Cancelled, ConfigError, Transient, Unavailable

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


class Time:
    """A clock and a stop flag in one: waiting moves the clock."""

    def __init__(self, stopped_after=float("inf")):
        self.now, self.stopped_after = 0.0, stopped_after
        self.waited = []

    def __call__(self):
        return self.now

    def is_set(self):
        return self.now >= self.stopped_after

    def wait(self, timeout=None):
        self.waited.append(timeout)
        self.now += timeout
        return self.is_set()


# Patience


def failing(times, error):
    """An exchange that fails so many times before it answers; it counts."""
    tried = []

    def exchange():
        tried.append(1)
        if len(tried) <= times:
            raise error
        return "answer"

    return exchange, tried


def test_an_exchange_is_repeated_while_it_may_succeed_later():
    exchange, tried = failing(3, Transient("busy"))
    assert with_retries("x", exchange, Time()) == "answer"
    assert len(tried) == 4


def test_patience_ends_and_says_why():
    exchange, tried = failing(99, Transient("busy"))
    with pytest.raises(Unavailable, match="busy") as told:
        with_retries("x", exchange, Time())
    assert len(tried) == ATTEMPTS
    assert told.value.crm == "x"


@pytest.mark.parametrize("error", [KeyError("bug"), ConfigError("no"), Unavailable("x", "down"), ValueError("bug")])
def test_what_waiting_does_not_mend_passes_through_at_once(error):
    exchange, tried = failing(99, error)
    with pytest.raises(type(error)):
        with_retries("x", exchange, Time())
    assert len(tried) == 1


def test_the_vendors_wait_is_kept_to():
    stop = Time()
    with_retries("x", failing(1, Transient("busy", 11.0))[0], stop)
    assert 11.0 <= stop.waited[0] <= 11.5


def test_a_wait_longer_than_all_patience_is_not_begun():
    stop = Time()
    with pytest.raises(Unavailable):
        with_retries("x", failing(1, Transient("busy", PATIENCE * 10))[0], stop)
    assert stop.waited == []


def test_stop_is_noticed_before_a_call():
    exchange, tried = failing(0, KeyError())
    with pytest.raises(Cancelled):
        with_retries("x", exchange, Time(stopped_after=0))
    assert tried == []


def test_stop_is_noticed_during_a_wait():
    exchange, tried = failing(99, Transient("busy", 100.0))
    with pytest.raises(Cancelled):
        with_retries("x", exchange, Time(stopped_after=50))
    assert len(tried) == 1


# Pace


@settings(deadline=None)
@given(
    rate=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 3_000)), min_size=1, max_size=60),
)
def test_no_window_ever_holds_one_call_too_many(rate, steps):
    time, counted = Time(), []
    bucket = TokenBucket(rate, 10_000, time)
    for before, during in steps:
        time.now += before
        with bucket.slot(time):
            counted.append(time.now + during // 2)
            time.now += during
    for end in counted:
        assert sum(end - 10_000 < each <= end for each in counted) <= rate


@settings(deadline=None)
@given(rate=st.integers(1, 5), count=st.integers(1, 40))
def test_no_time_is_wasted(rate, count):
    time = Time()
    bucket = TokenBucket(rate, 10.0, time)
    for _ in range(count):
        bucket.take(time)
    assert time.now == pytest.approx((count - 1) // rate * 10.0)


def test_a_call_without_an_answer_keeps_its_token():
    time = Time(stopped_after=30)
    bucket = TokenBucket(1, 10.0, time)
    with bucket.slot(time), pytest.raises(Cancelled):
        bucket.take(time)


def test_a_failed_call_gives_its_token_back():
    time = Time()
    bucket = TokenBucket(1, 10.0, time)
    with pytest.raises(KeyError), bucket.slot(time):
        raise KeyError
    bucket.take(time)
    assert time.now == 10.0


def test_the_rate_may_change():
    time = Time()
    bucket = TokenBucket(1, 10.0, time)
    bucket.rate = 3
    for _ in range(3):
        bucket.take(time)
    assert time.now == 0


def test_many_threads_share_a_bucket():
    bucket, stop, taken = TokenBucket(50, 60.0), threading.Event(), []

    def work():
        try:
            while True:
                bucket.take(stop)
                taken.append(1)
        except Cancelled:
            return

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    while len(taken) < 50:
        pass
    stop.set()
    for each in threads:
        each.join()
    assert len(taken) == 50


# Bodies


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": "\\ud800x\\u0000"}', {"a": "\ufffdx"}),
        (b'{"a\\u0000": ["\\ud83d\\ude00"]}', {"a": ["\U0001f600"]}),
        (b'{"a": ' + b"7" * 5_000 + b"}", {"a": math.inf}),
        (b'{"a": 1e999, "b": 12345678901234567890123}', {"a": math.inf, "b": 12345678901234567890123}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    ],
)
def test_json_that_the_fast_parser_refuses_is_read_all_the_same(content, said):
    assert parse_json(content) == said


@pytest.mark.parametrize("content", [b"", b"<html>", b"[" * 200_000, b'{"a": ', b"\xff\xfe{"])
def test_what_is_no_json_is_told_as_that(content):
    with pytest.raises(NotJson):
        parse_json(content)


def compressed(content):
    return urllib3.HTTPResponse(
        io.BytesIO(gzip.compress(content)), {"content-encoding": "gzip"}, 200, preload_content=False
    )


def test_a_body_is_read_whole_and_decoded():
    assert whole_body("crm", compressed(b"x" * 3_000_000), 10) == b"x" * 3_000_000


def test_a_body_that_grows_without_end_is_given_up_a_piece_at_a_time(monkeypatch):
    monkeypatch.setattr(connectors.http, "MOST_BYTES", 4 << 20)
    bomb = compressed(bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(Unavailable, match="larger than 4 MB"):
        whole_body("crm", bomb, 10)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("value", ["²", "-5", "1.5", "7" * 16, "", None, "many"])
def test_a_header_that_is_no_number_is_none(value):
    assert header_number(value) is None


@pytest.mark.parametrize(
    "value", ["soon", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "1 Jan 2026 +999999", "", None]
)
def test_a_date_that_nobody_can_believe_is_none(value):
    assert http_date(value) is None


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://127.0.0.1/x", True),
        ("https://10.0.0.1", True),
        ("https://169.254.169.254/latest", True),
        ("https://[::1]/", True),
        ("https://[", True),
        ("https://8.8.8.8/file", False),
    ],
)
def test_an_address_off_the_public_internet_is_known(url, private):
    assert is_private(url) is private


# Words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("11", 11.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2026 09:01:00 GMT", 60.0),
        ("Sat, 21 Nov 2026 08:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(text, seconds):
    assert retry_after_seconds(text, NOW) == seconds


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://api.hubapi.com", "https://api.hubapi.com"),
        ("https://api.hubapi.com/some/path?x=1", "https://api.hubapi.com"),
        ("api.hubapi.com", "https://api.hubapi.com"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_address_is_reduced_to_its_host(url, address):
    assert checked_address(url, ("hubapi.com",)) == address


@pytest.mark.parametrize(
    "url",
    [
        "http://api.hubapi.com",
        "https://hubapi.com.evil.io",
        "https://evilhubapi.com",
        "https://169.254.169.254",
        "https://user:pw@api.hubapi.com",
        "https://10.0.0.1",
        "ftp://api.hubapi.com",
        "https://",
    ],
)
def test_an_address_elsewhere_is_refused(url):
    with pytest.raises(ValueError, match=r"https://|host must be|remove the user name"):
        checked_address(url, ("hubapi.com",))


def test_loopback_is_this_machine_only():
    assert is_loopback("http://127.3.4.5")
    assert not is_loopback("http://127.0.0.1.evil.io")
    assert not is_loopback("https://0.0.0.0")
