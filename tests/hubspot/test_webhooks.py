"""HubSpot's webhooks over real HTTP: who is believed, what a hint does, and that it never does anything else."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hubspot.utils.signature import Signature
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from connectors.hubspot import Settings, connect, webhooks
from connectors.hubspot.settings import Webhooks
from connectors.hubspot.webhook_queue import MOST, Hints
from connectors.sandbox.server import Clock
from crmsync.config import load, template
from crmsync.config.settings import Schedule
from crmsync.connector import FieldMap
from crmsync.daemon import scheduler as schedule
from crmsync.errors import ConfigError
from tests.hubspot.test_hubspot import contacts, create, hubspot, pulled, update

SECRET = "webhook-secret-4711"
PUBLIC = "https://crmsync.acme.example/hubspot"
PORTAL = "4711"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as line:
        return line.getsockname()[1]


def event(contact_id, portal=PORTAL, kind="contact.propertyChange", **more):
    return {
        "objectId": int(contact_id), "portalId": int(portal), "subscriptionType": kind, "propertyName": "jobtitle",
        "propertyValue": "CEO", "eventId": 1, "subscriptionId": 7, "appId": 9, "occurredAt": 1, **more,
    }  # fmt: skip


def millis(off=0.0):
    """Now, and so many minutes off it, as HubSpot's header has it."""
    return str(int((time.time() + off * 60) * 1000))


def signed(body, at=None, secret=SECRET, address=PUBLIC):
    """HubSpot's headers, signed by its own client and not by the code under test."""
    at = at or millis()
    right = Signature.get_signature(secret, body.decode(), "v3", http_uri=address, http_method="POST", timestamp=at)
    return {"X-HubSpot-Signature-v3": right, "X-HubSpot-Request-Timestamp": at}


class Place:
    """A receiver that listens, and what came through."""

    def __init__(self, **settings):
        settings = {"public_url": PUBLIC, "client_secret": SECRET, "port": free_port(), **settings}
        self.settings = Webhooks(**settings)
        self.hints, self.woken = Hints(["crmsync_score"]), 0
        self.hints.portal = PORTAL

    def wake(self):
        self.woken += 1

    def call(self, body, headers=None, method="POST", path=None, **more):
        return call(self.settings.port, path or self.settings.path, body, headers, method, **more)


def call(port, path, body, headers=None, method="POST", **more):
    """Status and body of the answer."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        line.request(method, path, body, {**(signed(body) if headers is None else headers), **more})
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


@pytest.fixture
def listening():
    place = Place()
    with webhooks.receive(place.settings, place.hints, place.wake):
        yield place


def text(*events):
    return json.dumps(events).encode()


# Who is believed


def test_a_genuine_call_is_a_hint_and_a_reason_to_wake(listening):
    assert listening.call(text(event(51), event(52))) == (204, b"")
    assert listening.hints.take() == ["51", "52"]
    assert listening.woken == 1


def v1(body):
    return {"X-HubSpot-Signature": Signature.get_signature(SECRET, body.decode(), "v1")}


def v2(body):
    right = Signature.get_signature(SECRET, body.decode(), "v2", http_uri=PUBLIC, http_method="POST")
    return {"X-HubSpot-Signature": right, "X-HubSpot-Signature-Version": "v2"}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(lambda body: signed(body, millis(-6)), id="replayed after six minutes"),
        pytest.param(lambda body: signed(body, millis(6)), id="from the future"),
        pytest.param(lambda body: signed(body, millis(60 * 24 * 365 * 50)), id="from the far future"),
        pytest.param(lambda body: signed(body, millis() + ".5"), id="a float"),
        pytest.param(lambda body: signed(body, "-" + millis()), id="below zero"),
        pytest.param(lambda body: signed(body, millis()[:-3]), id="in seconds"),
        pytest.param(
            lambda body: {**signed(body, millis(-6)), "X-HubSpot-Request-Timestamp": millis()}, id="restamped"
        ),
        pytest.param(lambda body: {"X-HubSpot-Signature-v3": signed(body)["X-HubSpot-Signature-v3"]}, id="unstamped"),
        pytest.param(lambda body: signed(json.dumps(json.loads(body), indent=1).encode()), id="written anew"),
        pytest.param(lambda body: signed(body, secret="another-secret"), id="another secret"),
        pytest.param(lambda body: signed(body, secret=""), id="no secret"),
        pytest.param(lambda body: signed(body, address="https://evil.example/hubspot"), id="another address"),
        pytest.param(lambda body: {**signed(body), "X-HubSpot-Signature-v3": "\xe9"}, id="not ASCII"),
        pytest.param(lambda body: {**signed(body), "X-HubSpot-Signature-v3": ""}, id="empty"),
        pytest.param(v1, id="version 1"),
        pytest.param(v2, id="version 2"),
        pytest.param(lambda body: {}, id="none"),
    ],
)
def test_everybody_else_hears_401_and_nothing_more(listening, headers):
    body = text(event(51))
    assert listening.call(body, headers(body)) == (401, b"")
    assert listening.hints.take() == []
    assert listening.woken == 0


def test_a_refusal_is_in_the_log_once_and_says_what_to_do(listening, caplog):
    for _ in range(3):
        listening.call(text(event(51)), signed(text(event(51)), secret="another-secret"))
    (said,) = [each for each in caplog.records if each.msg == "webhook_refused"]
    assert "public_url" in said.why
    assert SECRET not in said.why


@pytest.mark.parametrize("minutes", [-4.9, 4.9])
def test_a_clock_may_be_five_minutes_off(listening, minutes):
    body = text(event(51))
    assert listening.call(body, signed(body, millis(minutes)))[0] == 204


def test_host_and_path_may_be_whatever_the_proxy_makes_of_them():
    place = Place(path="/inside/hook")
    with webhooks.receive(place.settings, place.hints, place.wake):
        told = place.call(text(event(51)), Host="10.0.0.7:81", **{"X-Forwarded-Host": "evil.example"})
    assert told[0] == 204


def test_a_host_that_a_caller_names_is_not_what_is_signed(listening):
    body = text(event(51))
    headers = {**signed(body, address="https://evil.example/hubspot"), "X-Forwarded-Proto": "https"}
    assert listening.call(body, headers, Host="evil.example")[0] == 401


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("https://a.example/h%3Ao%2fok?x=%40%21%24%27%28%29%2A%2C%3B%3F", "https://a.example/h:o/ok?x=@!$'()*,;?"),
        ("https://a.example/h?x=%20%26%3D%2B%25%C3%A9", "https://a.example/h?x=%20%26%3D%2B%25%C3%A9"),
        ("https://a.example/h?x=%252F", "https://a.example/h?x=%252F"),
    ],
)
def test_only_the_characters_that_hubspot_names_are_decoded(address, uri):
    right = Signature.get_signature(SECRET, "[]", "v3", http_uri=uri, http_method="POST", timestamp="17")
    assert webhooks.sign(SECRET, address, b"[]", "17") == right


def test_a_body_that_is_not_text_is_only_bytes(listening):
    at = millis()
    headers = {
        "X-HubSpot-Signature-v3": webhooks.sign(SECRET, PUBLIC, b"\xff\x00", at),
        "X-HubSpot-Request-Timestamp": at,
    }
    assert listening.call(b"\xff\x00", headers) == (204, b"")
    assert listening.woken == 0


def test_a_body_without_end_is_not_read(listening, monkeypatch):
    monkeypatch.setattr(webhooks, "MOST_BODY", 10_000)
    body = text(event(51, propertyValue="x" * 20_000))
    assert listening.call(body)[0] == 401
    assert listening.call(text(event(51)))[0] == 204


def test_a_body_that_drips_is_answered_in_time(listening, monkeypatch):
    monkeypatch.setattr(webhooks, "BODY_DEADLINE", 0.2)
    with socket.create_connection(("127.0.0.1", listening.settings.port), timeout=4) as line:
        line.sendall(b"POST /hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[")
        assert line.recv(100).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", None, 405), ("PUT", None, 405), ("POST", "/", 404)])
def test_nothing_else_is_served(listening, method, path, status):
    assert listening.call(text(event(51)), method=method, path=path)[0] == status


# What counts as a hint


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ([event(51), event(51), event(52, kind="contact.creation")], ["51", "52"]),
        ([event(51, portal="99")], []),
        ([event(51, kind="company.propertyChange")], []),
        ([event(51, kind="object.propertyChange", objectTypeId="0-1")], ["51"]),
        ([event(51, kind="object.propertyChange", objectTypeId="0-2")], []),
        ([event(51, propertyName="crmsync_score")], []),
        ([event(51, kind="contact.merge", newObjectId=53, primaryObjectId=51)], ["51", "53"]),
        ([{**event(51), "objectId": "../../owners"}], []),
        ([{**event(51), "objectId": "5" * 30}], []),
        ([{**event(51), "objectId": [51]}], []),
        ([{**event(51), "objectId": True}], []),
        ([{**event(51), "objectId": -51}], []),
        ([{**event(51), "propertyName": {}}], ["51"]),
        ([None, 3, "x", [], {}], []),
        ({"objectId": 51}, []),
        (None, []),
    ],
)
def test_hints_are_contacts_of_this_portal(listening, said, ids):
    assert listening.call(json.dumps(said).encode())[0] == 204
    assert listening.hints.take() == ids
    assert listening.woken == bool(ids)


def test_five_deliveries_reversed_and_at_once_are_one_hint_each(listening):
    bodies = [text(event(contact_id), event(contact_id + 1)) for contact_id in range(51, 61)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(listening.call, (bodies + bodies[::-1]) * 5))
    assert {status for status, _ in told} == {204}
    assert sorted(listening.hints.take()) == [str(contact_id) for contact_id in range(51, 62)]
    assert listening.woken <= 10


def test_a_mass_change_does_not_fill_the_memory():
    hints = Hints([])
    for start in range(0, 10 * MOST, 100):
        hints.add([event(contact_id) for contact_id in range(start, start + 100)])
    hints.portal = PORTAL
    assert len(hints.take()) == MOST


def test_callers_who_never_end_their_head_keep_nobody_out(monkeypatch):
    monkeypatch.setattr(webhooks, "HEAD_DEADLINE", 0.3)
    monkeypatch.setattr(webhooks, "MOST_CALLERS", 8)
    place = Place()
    address = ("127.0.0.1", place.settings.port)
    with webhooks.receive(place.settings, place.hints, place.wake):
        lines = [socket.create_connection(address, timeout=10) for _ in range(10)]
        for line in lines:
            line.sendall(b"POST /hubspot HTTP/1.1\r\nHost: half")
        for line in lines:
            while line.recv(1_000):  # what had no place hears 503, and all of them are hung up on
                pass
            line.close()
        assert place.call(text(event(51)))[0] == 204


def test_a_second_call_of_a_connection_has_a_deadline_too(monkeypatch):
    monkeypatch.setattr(webhooks, "HEAD_DEADLINE", 0.3)
    place = Place()
    with webhooks.receive(place.settings, place.hints, place.wake):
        line = http.client.HTTPConnection("127.0.0.1", place.settings.port, timeout=10)
        body = text(event(51))
        line.request("POST", place.settings.path, body, signed(body))
        assert line.getresponse().read() == b""
        line.sock.sendall(b"POST /hubspot HTTP/1.1\r\nHost: half")
        assert line.sock.recv(1_000) == b""
        line.close()


# The settings


def test_a_port_in_use_is_a_sentence(listening):
    with (
        pytest.raises(ConfigError, match=r"choose another host or port in \[hubspot.webhooks\]"),
        webhooks.receive(listening.settings, Hints([]), lambda: None),
    ):
        pass


@pytest.mark.parametrize("secret", [None, "", "  "])
def test_without_a_secret_nothing_starts(secret):
    settings = Settings(token="x", webhooks=Webhooks(public_url=PUBLIC, client_secret=secret))
    with pytest.raises(ConfigError, match="CRMSYNC_HUBSPOT__WEBHOOKS__CLIENT_SECRET"):
        connect(settings, FieldMap(), {}, threading.Event())


@pytest.mark.parametrize(
    "table",
    [
        'public_url = "http://acme.example/hubspot"',
        'public_url = "https://acme.example"',
        'public_url = "acme.example/hubspot"',
        f'public_url = "{PUBLIC}"\npath = "hubspot"',
        f'public_url = "{PUBLIC}"\nport = 0',
        "port = 8410",
    ],
)
def test_a_table_that_cannot_work_is_refused(tmp_path, table):
    path = tmp_path / "crmsync.toml"
    path.write_text(f"[bands]\ncold = 0\n[hubspot]\n[hubspot.webhooks]\n{table}\n")
    with pytest.raises(ConfigError, match="hubspot → webhooks → "):
        load(path)


def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path):
    path = tmp_path / "crmsync.toml"
    path.write_text(f'[bands]\ncold = 0\n[hubspot.webhooks]\npublic_url = "{PUBLIC}"\nclient_secret = "{SECRET}"\n')
    with pytest.raises(ConfigError, match="set CRMSYNC_HUBSPOT__WEBHOOKS__CLIENT_SECRET") as caught:
        load(path)
    assert "line 5" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_secret_comes_from_the_environment_or_from_the_folder(tmp_path, monkeypatch):
    path = tmp_path / "crmsync.toml"
    path.write_text(f'secrets = "s"\n[bands]\ncold = 0\n[hubspot.webhooks]\npublic_url = "{PUBLIC}"\n')
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "CRMSYNC_HUBSPOT__WEBHOOKS__CLIENT_SECRET").write_text("of-the-folder\n")
    assert load(path).hubspot.webhooks.secret() == "of-the-folder"
    monkeypatch.setenv("CRMSYNC_HUBSPOT__WEBHOOKS__CLIENT_SECRET", "of-the-environment")
    assert load(path).hubspot.webhooks.secret() == "of-the-environment"


# What a hint does to a pull


@pytest.fixture
def lagging(sandbox):
    """A connector that has pulled everything and knows its portal; the search is half a minute late from now on."""
    connector = hubspot(sandbox)
    connector.create_fields()
    connector.account()
    _, cursor = contacts(connector)
    sandbox.clock.advance(3600)
    _, cursor = contacts(connector, cursor)
    sandbox.portal.switches.index_lag = 30.0
    yield connector, cursor
    connector.close()


def hint(connector, sandbox, *ids):
    connector._hints.add([event(contact_id, portal=str(sandbox.portal.state.portal_id)) for contact_id in ids])


def test_a_hinted_contact_comes_before_the_search_shows_it(sandbox, lagging):
    connector, cursor = lagging
    contact_id = create(sandbox, email="hot@acme.example", jobtitle="CEO")
    assert contact_id not in contacts(connector, cursor)[0]
    hint(connector, sandbox, contact_id)
    first = next(connector.contacts(cursor))
    assert [each.ref.id for each in first.items] == [contact_id]
    assert first.items[0].fields["title"] == "CEO"
    assert first.cursor == cursor


def test_a_search_that_lags_does_not_take_a_hint_back(sandbox, lagging):
    connector, cursor = lagging
    contact_id = create(sandbox, email="hot@acme.example", jobtitle="Intern")
    sandbox.clock.advance(60)
    update(sandbox, contact_id, jobtitle="CEO")
    assert contacts(connector, cursor)[0][contact_id].fields["title"] == "Intern"
    hint(connector, sandbox, contact_id)
    assert contacts(connector, cursor)[0][contact_id].fields["title"] == "CEO"
    assert contact_id not in contacts(connector, cursor)[0]
    sandbox.clock.advance(1)
    update(sandbox, contact_id, jobtitle="CTO")
    sandbox.clock.advance(60)
    assert contacts(connector, cursor)[0][contact_id].fields["title"] == "CTO"


def test_ids_that_lead_nowhere_do_no_harm(sandbox, lagging):
    connector, cursor = lagging
    gone = create(sandbox, email="gone@acme.example")
    sandbox.do("hubspot", "archive", id=gone)
    hint(connector, sandbox, 999_999_999_999, "9" * 19, gone, 0)
    assert contacts(connector, cursor)[0] == {}


def test_a_hint_in_the_middle_of_a_first_pull_waits(sandbox):
    connector = hubspot(sandbox)
    connector.account()
    contact_id = create(sandbox, email="hot@acme.example")
    hint(connector, sandbox, contact_id)
    found, cursor = contacts(connector)
    assert contact_id in found
    assert [each.ref.id for each in next(connector.contacts(cursor)).items] == [contact_id]
    connector.close()


STEPS = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 40)), min_size=1, max_size=5)


@given(STEPS)
@hypothesis_settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hints_never_change_where_it_ends(sandbox, steps):
    sandbox.reset()
    sandbox.portal.switches.index_lag = 30.0
    pair = [hubspot(sandbox), hubspot(sandbox)]
    held = [contacts(each) for each in pair]
    ids = sorted(held[0][0])[:5]
    for number, (who, hinted, seconds) in enumerate([*steps, (0, False, 4_000), (0, False, 60)]):
        if number < len(steps):
            update(sandbox, ids[who], jobtitle=f"Title {number}")
        for connector in pair:
            connector.account()
        if hinted:
            hint(pair[0], sandbox, ids[who], ids[0], 999_999_999_999)
        sandbox.clock.advance(seconds)
        held = [_pulled_on(connector, *each) for connector, each in zip(pair, held, strict=True)]
        if hinted:
            assert held[0][0][ids[who]].fields["title"] == f"Title {number}"
    for connector in pair:
        connector.close()
    assert held[0][0] == held[1][0]
    assert held[0][1] == held[1][1]


def _pulled_on(connector, known, cursor):
    items, cursor = pulled(connector.contacts(cursor))
    return {**known, **{each.ref.id: each for each in items}}, cursor


# What wakes the daemon


class Idle:
    """A scheduler that notes what it is to do."""

    def __init__(self):
        self.jobs = {}
        self.added = []

    def get_job(self, job_id):
        return self.jobs.get(job_id)

    def add_job(self, act, trigger, run_date, **more):
        self.jobs[more["id"]] = act
        self.added.append(run_date)


def test_many_hints_are_one_cycle_and_the_next_one_keeps_its_distance():
    scheduler = Idle()
    wake = schedule.wake_scheduler(scheduler, lambda: None)
    before = datetime.now(UTC)
    for _ in range(100):
        wake()
    scheduler.jobs.clear()
    wake()
    first, second = scheduler.added
    assert timedelta(0) <= first - before - schedule.SOON < timedelta(seconds=5)
    assert abs(second - first - schedule.APART) < timedelta(seconds=5)


def test_a_hint_during_a_cycle_is_looked_at_after_it_and_never_beside_it(monkeypatch):
    monkeypatch.setattr(schedule, "SOON", timedelta(0))
    monkeypatch.setattr(schedule, "APART", timedelta(0))
    stop, busy, going_on = threading.Event(), threading.Semaphore(), threading.Event()
    told, beside = [], []

    def tick(_work_now, _watch):
        if not busy.acquire(blocking=False):
            beside.append(True)
        told.append(len(told))
        if len(told) == 1:
            for _ in range(20):
                wakers[0]()
                going_on.wait(0.01)
        elif len(told) == 3:
            stop.set()
        else:
            wakers[0]()
        busy.release()

    class Receiving:
        @contextmanager
        def receiving(self, wake):
            wakers.append(wake)
            yield
            wakers.append("closed")

    wakers = []
    monkeypatch.setattr(schedule, "tick", tick)
    given_up = threading.Timer(20, stop.set)
    given_up.start()
    schedule.run_daemon(SimpleNamespace(schedule=Schedule(every="7d")), None, schedule.Watch(), stop, [Receiving()])
    given_up.cancel()
    assert told == [0, 1, 2]
    assert not beside
    assert wakers[1] == "closed"


# The real process

QUICK = """
from datetime import timedelta
from crmsync import cli, schedule, stopping
stopping.GRACE = 1.0
schedule.SOON = timedelta(seconds=0.1)
schedule.APART = timedelta(seconds=0.3)
cli.main()
"""


@pytest.fixture
def process(sandbox, tmp_path):
    """`crmsync run` with webhooks, after its first cycle, and the port at which it listens."""
    sandbox.clock = Clock()  # a command goes by this machine's
    path, port = tmp_path / "crmsync.toml", free_port()
    words = template.replace_keys(
        template.demo_config(sandbox.url, ["dana.whitlock@ourproduct.example"]),
        {
            'secrets = "secrets"      ': '# secrets = "secrets"    ',
            'log = "console"': 'log = "json"',
            "\n[salesforce] ": f'\n[hubspot.webhooks]\npublic_url = "{PUBLIC}"\nport = {port}\n[salesforce] ',
        },
    )
    path.write_text(words)
    connector = connect(
        Settings(base_url=sandbox.url, token="sandbox-token"), load(path).field_map("hubspot"), {}, threading.Event()
    )
    connector.create_fields()
    connector.close()
    started = []

    def start():
        around = {name: value for name, value in os.environ.items() if not name.startswith("CRMSYNC_")}
        secrets = {
            "CRMSYNC_HUBSPOT__TOKEN": "sandbox-token",
            "CRMSYNC_HUBSPOT__WEBHOOKS__CLIENT_SECRET": SECRET,
            "CRMSYNC_SALESFORCE__CLIENT_ID": "sandbox",
            "CRMSYNC_SALESFORCE__CLIENT_SECRET": "sandbox",
        }
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", QUICK, "run", "-c", str(path)],
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                env={**around, **secrets},
            )
        )
        return started[-1], port

    yield start
    for each in started:
        each.kill()
        each.communicate()


def read_until(process, word):
    seen = []
    for line in process.stderr:
        seen.append(line)
        if word in line:
            return seen
    raise AssertionError(f"{word} never came: {seen}")


def score(sandbox, contact_id):
    return sandbox.portal.state.contacts.by_id[int(contact_id)].properties.get("crmsync_score")


def test_a_hot_lead_is_scored_within_seconds_though_the_index_lags(process, sandbox):
    daemon, port = process()
    read_until(daemon, "run_done")
    sandbox.portal.switches.index_lag = 30.0
    contact_id = create(sandbox, email="hot@newco.example", jobtitle="VP Sales")
    body = text(event(contact_id, portal=str(sandbox.portal.state.portal_id)))
    before = time.monotonic()
    assert call(port, "/hubspot", body)[0] == 204
    seen = read_until(daemon, "run_done")
    assert score(sandbox, contact_id) == "25", seen
    assert time.monotonic() - before < 20
    with ThreadPoolExecutor(4) as pool:
        assert {status for status, _ in pool.map(lambda _: call(port, "/hubspot", body), range(8))} == {204}
    seen += read_until(daemon, "run_done")
    before = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0
    assert time.monotonic() - before < 8
    assert SECRET not in "".join(seen) + daemon.stderr.read()


def test_a_daemon_whose_port_is_taken_says_so_and_ends(process):
    daemon, port = process()
    with socket.create_server(("127.0.0.1", port)):
        said = daemon.stderr.read()
    assert daemon.wait(20) == 2
    assert "choose another host or port in [hubspot.webhooks]" in said
    assert "Traceback" not in said
