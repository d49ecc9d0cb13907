"""The sandbox's server: its port, its clock, its end."""

import gzip
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from connectors.sandbox.faults import Fault
from connectors.sandbox.server import Clock, serve
from crmsync.errors import ConfigError
from tests.support.sandbox import BEARER, LIST, raw

LEAVING = 3
"""Seconds; a quarter of one on a machine that has nothing else to do."""

# The server


def test_it_takes_a_free_port_and_leaves_within_a_second(now):
    with serve(people=10, now=now) as sandbox:
        assert raw(sandbox.port, b"GET /sandbox HTTP/1.0\r\n\r\n")[0].startswith(b"HTTP/1.1 200")
        began = time.monotonic()
    assert time.monotonic() - began < LEAVING
    with pytest.raises(ConnectionRefusedError):
        raw(sandbox.port)


def test_it_leaves_within_a_second_while_a_client_waits_for_an_answer(now):
    with serve(people=10, now=now, faults=[Fault(do="silence")]) as sandbox:
        line = socket.create_connection(("127.0.0.1", sandbox.port))
        line.sendall(b"GET /crm/v3/objects/contacts HTTP/1.1\r\nHost: x\r\n\r\n")
        while not sandbox.faults.fired()[0][1]:
            time.sleep(0.001)
        began = time.monotonic()
    line.close()
    assert time.monotonic() - began < LEAVING


def test_a_port_that_is_taken_is_said_in_a_sentence(sandbox):
    with pytest.raises(ConfigError, match=f"port {sandbox.port} cannot be used"), serve(port=sandbox.port, people=10):
        pass


def test_the_date_header_follows_the_clock(ask, sandbox, now):
    assert parsedate_to_datetime(ask("GET", LIST).headers["date"]) == now
    sandbox.clock.advance(90)
    assert parsedate_to_datetime(ask("GET", LIST).headers["date"]) == now + timedelta(seconds=90)
    assert len(ask("GET", LIST).headers.getlist("date")) == 1


def test_a_clock_runs_unless_an_instant_is_given(now):
    running, standing = Clock(), Clock(now)
    assert abs(running() - datetime.now(UTC)) < timedelta(seconds=5)
    running.set(now)
    assert now <= running() < now + timedelta(seconds=5)
    assert standing() == standing() == now


def test_answers_are_compressed_for_those_who_ask(http, sandbox):
    url = sandbox.url + "/crm/v3/objects/contacts?limit=50"
    plain = http.request("GET", url, headers=BEARER)
    packed = http.request("GET", url, headers={**BEARER, "Accept-Encoding": "gzip"}, decode_content=False)
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert "content-encoding" not in plain.headers


def test_a_wrong_token_is_refused(http, sandbox):
    assert http.request("GET", sandbox.url + LIST, headers={"Authorization": "Bearer wrong"}).status == 401


def test_latency_delays_every_call(now):
    with serve(people=10, now=now, latency=0.05) as sandbox:
        began = time.monotonic()
        raw(sandbox.port, b"GET /crm/v3/objects/contacts HTTP/1.0\r\n\r\n")
        assert time.monotonic() - began >= 0.05


def test_reset_brings_back_the_start(ask, sandbox, now):
    before = sandbox.snapshot("hubspot")
    sandbox.clock.advance(3_600)
    sandbox.faults.add(Fault(do="reset"))
    sandbox.do("hubspot", "create", properties={"email": "new@example.example"})
    assert sandbox.snapshot("hubspot") != before
    sandbox.reset()
    assert sandbox.snapshot("hubspot") == before
    assert sandbox.clock() == now
    assert not sandbox.faults.fired()
    assert not sandbox.calls


# On its own


def test_sigterm_stops_the_blocking_run_at_once():
    say = "lambda text: print(text, flush=True)"
    code = f"from connectors.sandbox.server import run_sandbox\nrun_sandbox(people=10, port=0, say={say})\n"
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True) as child:
        try:
            welcome = child.stdout.readline() + child.stdout.readline() + child.stdout.readline()
            port = int(welcome.split("127.0.0.1:")[1].split(" ")[0])
            assert raw(port, b"GET /sandbox HTTP/1.0\r\n\r\n")[0].startswith(b"HTTP/1.1 200")
            began = time.monotonic()
            child.send_signal(signal.SIGTERM)
            _, err = child.communicate(timeout=5)
            assert time.monotonic() - began < LEAVING
        finally:
            child.kill()
    assert (child.returncode, err) == (0, "")
    assert "sandbox-token" in welcome
