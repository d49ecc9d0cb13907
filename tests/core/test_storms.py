"""Storms of refusals, in a time that passes only while somebody waits: no limit is overrun, and all waits end."""

import random
import threading
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest
import tenacity

from connectors.http import ATTEMPTS, PATIENCE, TokenBucket
from connectors.hubspot import Settings
from connectors.hubspot import client as hubspot_client
from connectors.hubspot import connect as hubspot
from connectors.salesforce import client as salesforce_client
from connectors.sandbox.faults import Fault, Script
from connectors.sandbox.server import Clock
from crmsync.config import connectors
from crmsync.errors import Unavailable
from crmsync.store.cursors import StoredNotes
from tests.conftest import NOW
from tests.support import salesforce
from tests.support.hubspot import NAMES
from tests.support.runs import TOKEN, Runs

BURST, SEARCHES = 10, 2
DAY = timedelta(days=1)


class Time(Clock):
    """One time for crmsync and the CRMs, and a stop flag that nobody raises: whoever waits the shortest moves it on."""

    def __init__(self, at=NOW):
        self._at, self._moved, self._due = at, threading.Condition(), []

    def __call__(self):
        return self._at

    def monotonic(self):
        return self._at.timestamp()

    def set(self, at):
        with self._moved:
            self._at = max(self._at, at)
            self._moved.notify_all()

    def is_set(self):
        return False

    def wait(self, seconds):
        with self._moved:
            due = self._at + timedelta(seconds=seconds)
            self._due.append(due)
            while self._at < due:
                if due == min(self._due):
                    self._at = due
                else:
                    self._moved.wait()
            self._due.remove(due)
            self._moved.notify_all()
        return False


class Weather(Script):
    """Strikes calls in gusts while there is a storm, and remembers when every call arrived, struck or not."""

    def __init__(self, time):
        super().__init__()
        self.time, self.arrived, self.struck = time, [], 0
        self.calm()

    def storm(self, seed, chance, *faults, seconds=float("inf")):
        self._random, self._chance, self._strikes, self._gust = random.Random(seed), chance, faults, 0
        self._end = self.time.monotonic() + seconds

    def calm(self):
        self.storm(0, 0.0)

    def due(self, vendor, method, path):
        self.arrived.append((self.time.monotonic(), vendor, path))
        if not self._gust and self._random.random() < self._chance:
            self._gust = self._random.randint(1, 4)
        if not self._gust or self.time.monotonic() > self._end:
            return super().due(vendor, method, path)
        self._gust -= 1
        self.struck += 1
        return self._random.choice(self._strikes)

    def most_within(self, seconds, part=""):
        """The most calls that any window of so many seconds holds."""
        times = sorted(at for at, _, path in self.arrived if part in path)
        return max((sum(at - seconds < each <= at for each in times) for at in times), default=0)


@pytest.fixture
def sandbox(small_sandbox):
    """A smaller one than other tests have: these run many whole cycles."""
    return small_sandbox


@pytest.fixture
def time(sandbox, monkeypatch):
    """The time that both sides go by. Calls of a connector that gave up still end: a later test must not count them."""
    made = Time()

    class Present(datetime):
        @classmethod
        def now(cls, tz=None):
            return made().astimezone(tz)

    sandbox.clock = made
    monkeypatch.setattr(tenacity, "time", SimpleNamespace(monotonic=made.monotonic))
    monkeypatch.setattr(salesforce_client, "time", SimpleNamespace(monotonic=made.monotonic))
    monkeypatch.setattr(hubspot_client, "TokenBucket", partial(TokenBucket, clock=made.monotonic))
    monkeypatch.setattr(hubspot_client, "datetime", Present)
    yield made
    for each in threading.enumerate():
        if each.name.startswith("hubspot"):
            each.join(60)
            assert not each.is_alive()


@pytest.fixture
def weather(sandbox, time):
    sandbox.faults = Weather(time)
    return sandbox.faults


class Stormy(Runs):
    """Runs whose waits move the time."""

    def connect(self, crm):
        settings, names = self.config.crms[crm], self.config.field_map(crm)
        return connectors()[crm].connect(settings, names, StoredNotes(self.state, crm), self.sandbox.clock)

    def attempt(self, *crms, **how):
        """A run that may find no CRM to use."""
        try:
            return self.run(*crms, **how)
        except Unavailable:
            return None

    def end(self, crm):
        """What the records hold after a full run a day after the start."""
        self.sandbox.clock.set(NOW + DAY)
        assert self.run(crm, full=True).verdict == "ok"
        assert self.run(crm).crms[crm].planned == 0
        kinds = ("contacts",) if crm == "hubspot" else ("Lead", "Contact")
        mine = ("crmsync_", "lifecyclestage", "hubspot_owner_id", "status", "ownerid")
        return {
            each: {name: value for name, value in record.items() if name.lower().startswith(mine)}
            for kind in kinds
            for each, record in self.sandbox.snapshot(crm)[kind].items()
        }


def stormy(sandbox, folder, monkeypatch):
    given = {"HUBSPOT__TOKEN": TOKEN, "HUBSPOT__SEARCHES_PER_SECOND": SEARCHES, "HUBSPOT__CALLS_PER_10S": BURST}
    given |= {"SALESFORCE__CLIENT_ID": "sandbox", "SALESFORCE__CLIENT_SECRET": "sandbox"}
    for name, value in given.items():
        monkeypatch.setenv(f"CRMSYNC_{name}", str(value))
    sandbox.do("hubspot", "issue_token", token=TOKEN)
    sandbox.do("hubspot", "set", rate_limits=True, burst=BURST, searches=SEARCHES)
    return Stormy(sandbox, folder)


@pytest.fixture
def runs(sandbox, weather, tmp_path, monkeypatch):
    made = stormy(sandbox, tmp_path, monkeypatch)
    yield made
    made.state.close()


def limited(policy, after=None):
    body = {"status": "error", "errorType": "RATE_LIMIT", "policyName": policy, "message": "limit"}
    return Fault(do="answer", status=429, headers={} if after is None else {"Retry-After": str(after)}, body=body)


def refused(code, message, status=403, **headers):
    return Fault(do="answer", status=status, headers=headers, body=[{"errorCode": code, "message": message}])


BUSY = refused("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
UNAVAILABLE = Fault(do="html", status=503)
BREAKS = (Fault(do="reset"), Fault(do="drop"), Fault(do="truncate"), Fault(do="short"))

STORMS = {
    ("hubspot", 0.2): [limited("SECONDLY"), limited("TEN_SECONDLY_ROLLING"), limited("TEN_SECONDLY_ROLLING", 7)],
    ("hubspot", 0.3): [
        limited("SECONDLY", 0),
        UNAVAILABLE,
        Fault(do="html", status=503, headers={"Retry-After": "20"}),
    ],
    ("hubspot", 0.4): [limited("SECONDLY", 1), limited("TEN_SECONDLY_ROLLING"), UNAVAILABLE, *BREAKS],
    ("salesforce", 0.2): [BUSY, UNAVAILABLE, refused("SERVER_UNAVAILABLE", "down", 503, **{"Retry-After": "20"})],
    ("salesforce", 0.4): [BUSY, UNAVAILABLE, refused("REQUEST_LIMIT_EXCEEDED", "slow down", 429), *BREAKS],
}
"""What strikes, by the CRM and the chance that a gust of it begins with a call."""


@pytest.fixture(scope="module")
def undisturbed(_running_small, tmp_path_factory):
    """What each CRM holds a day later when nothing goes wrong."""
    held = {}
    for crm in ("hubspot", "salesforce"):
        _running_small.reset()
        with pytest.MonkeyPatch.context() as patch:
            time = Time()
            _running_small.clock = time
            patch.setattr(hubspot_client, "TokenBucket", partial(TokenBucket, clock=time.monotonic))
            made = stormy(_running_small, tmp_path_factory.mktemp("calm"), patch)
            made.run(crm)
            held[crm] = made.end(crm)
            made.state.close()
    return held


@pytest.mark.parametrize("storm", STORMS, ids=str)
def test_a_storm_overruns_no_limit_loses_nothing_and_leaves_no_trace(undisturbed, runs, weather, storm):
    crm, chance = storm
    weather.arrived.clear()
    weather.storm(str(storm), chance, *STORMS[storm])
    # Runs that change nothing take few calls: it takes several of them until a storm has struck often.
    for attempts in range(1, 13):
        runs.attempt(crm)
        if attempts > 1 and weather.struck > 10:
            break
    struck, all_ = weather.struck, len(weather.arrived)
    weather.calm()
    assert runs.end(crm) == undisturbed[crm]
    assert 10 < struck < all_
    if crm == "hubspot":
        assert weather.most_within(10.0) == BURST
        assert weather.most_within(1.0, "/search") == SEARCHES


WITHOUT_END = [
    limited("SECONDLY"),
    limited("SECONDLY", 0),
    limited("TEN_SECONDLY_ROLLING"),
    limited("TEN_SECONDLY_ROLLING", 59),
    limited("TEN_SECONDLY_ROLLING", 10_000),
    UNAVAILABLE,
    Fault(do="reset"),
]


def searched(connector, count):
    """So many searches, as many at once as the settings allow."""
    return list(connector._api.in_flight(lambda _: connector._api.search("contacts", {"limit": 1}), range(count)))


@pytest.mark.parametrize("fault", WITHOUT_END, ids=lambda each: f"{each.do} {each.status} {each.headers}")
def test_a_storm_without_end_is_waited_out_by_no_call(sandbox, weather, fault):
    connector = hubspot(Settings(base_url=sandbox.url, token="sandbox-token", concurrency=4), NAMES, {}, weather.time)
    weather.storm(1, 1.0, fault)
    with pytest.raises(Unavailable):
        searched(connector, 40)
    connector.close()
    # A thread may take one more job before it hears that all is over.
    assert (weather.time() - NOW).total_seconds() <= 2 * PATIENCE
    assert len(weather.arrived) <= 2 * 4 * ATTEMPTS


@pytest.mark.parametrize("fault", [limited("SECONDLY", 0), limited("SECONDLY")], ids=["hasty", "a second"])
def test_a_limit_that_others_use_up_for_some_seconds_is_outlasted(sandbox, weather, fault):
    connector = hubspot(Settings(base_url=sandbox.url, token="sandbox-token", concurrency=1), NAMES, {}, weather.time)
    weather.storm(1, 1.0, fault, seconds=9.0)
    assert searched(connector, 1)


# The quota of a day


def told_of_the_day(sandbox, weather, used, concurrency):
    """A connector that was told once that so many of today's 1,000 calls are used."""
    settings = Settings(base_url=sandbox.url, token="sandbox-token", concurrency=concurrency)
    connector = hubspot(settings, NAMES, {}, weather.time)
    connector.account()
    sandbox.do("hubspot", "set", daily=1_000, daily_used=used)
    connector.owners()
    weather.arrived.clear()
    return connector


def test_the_share_of_the_day_is_kept_by_calls_whose_answers_do_not_speak_of_it(sandbox, weather):
    connector = told_of_the_day(sandbox, weather, used=650, concurrency=8)
    with pytest.raises(Unavailable, match="70% of today's 1,000 HubSpot API calls are used"):
        searched(connector, 100)
    connector.close()
    assert connector._api.calls == 3 + 48
    assert sandbox.portal.switches.daily_used <= 700


def test_the_share_of_the_day_is_kept_though_every_call_is_repeated(sandbox, weather):
    connector = told_of_the_day(sandbox, weather, used=690, concurrency=4)
    weather.storm(1, 0.5, limited("SECONDLY"), UNAVAILABLE)
    with pytest.raises(Unavailable, match="api_share"):
        searched(connector, 100)
    connector.close()
    assert connector._api.calls == 3 + 8


def test_the_quota_of_the_last_day_is_kept_though_every_call_is_repeated(sandbox, weather):
    sandbox.do("salesforce", "set_usage", used=690, max=1000)
    sandbox.do("salesforce", "set", page_size=2)
    connector = salesforce.connect(sandbox, stop=weather.time)
    weather.storm(1, 0.3, BUSY, UNAVAILABLE)
    with pytest.raises(Unavailable, match="api_share"):
        list(connector.contacts(None))
    assert sandbox.org.state.usage <= 700
    assert weather.struck > 3


def test_a_day_without_calls_left_ends_all_calls_until_midnight(undisturbed, runs, weather):
    weather.storm(3, 0.1, limited("DAILY"))
    while runs.attempt("hubspot") is not None:
        pass
    weather.calm()
    weather.arrived.clear()
    assert runs.attempt("hubspot") is None
    assert weather.arrived == []
    assert runs.end("hubspot") == undisturbed["hubspot"]
