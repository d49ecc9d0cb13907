"""The receiver of HubSpot's webhooks over real HTTP: who is believed, and what counts as a hint."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hubspot.utils.signature import Signature

from connectors import serving
from connectors.hubspot import Settings, connect, webhooks
from connectors.hubspot.settings import Webhooks
from connectors.hubspot.webhook_queue import MOST, Hints
from crmsync.config import load
from crmsync.connector import FieldMap
from crmsync.errors import ConfigError
from tests.support.hubspot_webhooks import PORTAL, PUBLIC, SECRET, call, event, free_port, millis, signed, text


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


@pytest.fixture
def listening():
    place = Place()
    with webhooks.receive(place.settings, place.hints, place.wake):
        yield place


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
    monkeypatch.setattr(serving, "HEAD_DEADLINE", 0.3)
    monkeypatch.setattr(serving, "MOST_CALLERS", 8)
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
    monkeypatch.setattr(serving, "HEAD_DEADLINE", 0.3)
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
