"""The receiver of events over real HTTP: who is believed, and that what was answered outlives a power cut."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from crmsync.config.events import EventSource
from crmsync.errors import ConfigError
from crmsync.events.receiver import MOST_BODY, WINDOW, EventReceiver, Spool, sign_call
from crmsync.model import Ref
from tests.core.test_events import GUARD, MODEL
from tests.support.cycles import run
from tests.support.hubspot_webhooks import free_port
from tests.support.make import NOW, contact, crm

SECRET = "a secret of some length"
GOOD = {"id": "e1", "at": NOW.isoformat(), "email": "person1@firm.example"}


class Place:
    """A receiver that listens, and what came through."""

    def __init__(self, folder, **over):
        self.port, self.woken, self.folder = free_port(), 0, folder / "received"
        listen = {"folder": str(self.folder), "port": self.port}
        self.table = {"name": "intent", "kind": "invitation_sent", "secret": SECRET, "listen": listen, **over}
        self.source = EventSource(**self.table)

    def wake(self):
        self.woken += 1

    def listening(self):
        return EventReceiver([self.source]).receiving(self.wake)

    def call(self, said, *, secret=SECRET, off=0, path="/events", method="POST", **headers):
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        stamp = str(int(time.time()) + off)
        signed = {"X-Crmsync-Timestamp": stamp, "X-Crmsync-Signature": sign_call(secret, body, stamp)}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        line.request(method, path, body, {name: it for name, it in {**signed, **headers}.items() if it is not None})
        answer = line.getresponse()
        said = answer.read()
        line.close()
        return answer.status, json.loads(said)["problems"] if said.startswith(b"{") else said

    def kept(self):
        files = sorted(self.folder.glob("received-*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    with made.listening():
        yield made


def test_events_are_kept_before_they_are_answered_one_a_list_or_lines(place):
    assert place.call(GOOD) == (204, b"")
    assert place.call([{**GOOD, "id": "e2"}, {**GOOD, "id": 3}])[0] == 204
    lines = b"\n".join(json.dumps({**GOOD, "id": each}).encode() for each in ("e4", "e5"))
    assert place.call(lines, **{"Content-Type": "application/x-ndjson"})[0] == 204
    assert [each["id"] for each in place.kept()] == ["e1", "e2", 3, "e4", "e5"]
    assert place.woken == 3
    (file,) = place.folder.iterdir()
    assert (file.stat().st_mode & 0o777, place.folder.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize(
    "how",
    [
        {"secret": "another one of some length"},
        {"off": -WINDOW - 30},
        {"off": WINDOW + 30},
        {"X-Crmsync-Signature": None},
        {"X-Crmsync-Timestamp": None},
        {"X-Crmsync-Timestamp": "another one"},
        {"X-Crmsync-Signature": "sha256=ü"},
    ],
    ids=str,
)
def test_whoever_has_not_the_secret_or_comes_late_is_refused_and_leaves_nothing(place, how, caplog):
    if how.get("X-Crmsync-Timestamp"):  # a second later than what was signed
        how = {"X-Crmsync-Timestamp": str(int(time.time()) + 1)}
    assert place.call(GOOD, **how) == (401, b"")
    assert (place.kept(), place.woken) == ([], 0)
    assert "person1" not in caplog.text
    assert SECRET not in caplog.text


def test_what_cannot_be_read_is_told_to_the_sender_and_nothing_of_the_call_is_kept(place):
    assert place.call(b"{")[0] == 400
    status, problems = place.call([GOOD, {**GOOD, "id": ""}, {**GOOD, "at": "now"}, 7])
    assert (status, problems) == (
        422,
        ["event 2 has no id (id)", "event 3 has a time that cannot be read (at)", "event 4 is not a JSON object"],
    )
    assert place.call(b" " * (MOST_BODY + 1))[0] == 413
    assert place.call(GOOD, path="/other")[0] == 404
    assert place.call(GOOD, method="GET")[0] == 405
    assert place.kept() == []


def test_many_callers_at_once_lose_nothing_and_mix_nothing(place):
    calls = [
        [{**GOOD, "id": f"{caller}.{number}", "topic": "x" * 5_000} for number in range(5)] for caller in range(40)
    ]
    with ThreadPoolExecutor(16) as callers:
        assert {status for status, _said in callers.map(place.call, calls)} == {204}
    assert sorted(each["id"] for each in place.kept()) == sorted(each["id"] for some in calls for each in some)


def test_a_disk_that_is_full_is_no_success(place, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert place.call(GOOD)[0] == 503
    assert place.woken == 0


def test_a_call_that_was_cut_off_by_a_crash_spoils_no_other(tmp_path):
    spool = Spool(str(tmp_path))
    today = datetime.now(UTC).date()
    (tmp_path / f"received-{today}.jsonl").write_text('{"id": "e0", "at": "20')
    spool.keep([GOOD], today)
    assert (tmp_path / f"received-{today}.jsonl").read_text().splitlines()[1] == json.dumps(GOOD, separators=(",", ":"))


def test_what_was_answered_is_there_after_a_power_cut_and_counts(state, tmp_path):
    place = Place(tmp_path)
    code = (
        "import json, sys, threading\nfrom crmsync.config.events import EventSource\n"
        "from crmsync.events.receiver import EventReceiver\n"
        "source = EventSource(**json.loads(sys.argv[1]))\n"
        "with EventReceiver([source]).receiving(lambda: None):\n"
        "    print('on', flush=True)\n    threading.Event().wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, json.dumps(place.table)], stdout=subprocess.PIPE, text=True)
    with process:
        process.stdout.readline()
        assert place.call(GOOD)[0] == 204
        process.send_signal(signal.SIGKILL)
    hubspot = crm("hubspot")
    hubspot.edit(contact(1))
    made = run(state, hubspot, at=NOW, model=MODEL, events=[place.table], guard=GUARD)
    assert made.events["intent"].read == 1
    assert hubspot.records[Ref("hubspot", "contact", "1")].current["behavior"] == 10


def test_calls_are_kept_for_some_days_after_they_were_read_and_no_longer(state, tmp_path):
    place = Place(tmp_path)
    place.folder.mkdir()
    names = ["received-2026-10-01.jsonl", "received-2026-11-20.jsonl", "notes.jsonl"]
    for number, name in enumerate(names):
        (place.folder / name).write_text(json.dumps({**GOOD, "id": f"e{number}"}) + "\n")
    hubspot = crm("hubspot")
    hubspot.edit(contact(1))
    run(state, hubspot, at=NOW, model=MODEL, events=[place.table], guard=GUARD)
    assert sorted(each.name for each in place.folder.iterdir()) == sorted(names[1:])
    assert hubspot.records[Ref("hubspot", "contact", "1")].current["behavior"] == 20


@pytest.mark.parametrize("secret", [None, "short"])
def test_without_a_good_secret_and_on_a_port_in_use_nothing_is_received(tmp_path, secret):
    with pytest.raises(ConfigError, match="CRMSYNC_EVENTS__INTENT__SECRET"), Place(tmp_path, secret=secret).listening():
        pass
    first = Place(tmp_path)
    with first.listening(), pytest.raises(ConfigError, match="choose another host or port"), first.listening():
        pass
    second = Place(tmp_path, name="usage", listen={**first.table["listen"], "path": "/usage"})
    second.port = first.port
    with EventReceiver([first.source, second.source]).receiving(first.wake):
        assert (first.call(GOOD)[0], second.call({**GOOD, "id": "e2"}, path="/usage")[0]) == (204, 204)
