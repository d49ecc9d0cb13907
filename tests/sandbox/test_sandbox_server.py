"""The sandbox's ground: the server, its clock, its faults on the wire, its control, and the people in it."""

import gzip
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import get_args

import pytest
import urllib3

from connectors.sandbox.calls import writes
from connectors.sandbox.faults import Does, Fault, Script, load_script, parse_script
from connectors.sandbox.generate import make_world
from connectors.sandbox.server import Clock, serve
from crmsync.errors import ConfigError
from crmsync.model import KINDS

LIST = "/crm/v3/objects/contacts?limit=5"
UPDATE = "/crm/v3/objects/contacts/batch/update"
LEAVING = 3
"""Seconds; a quarter of one on a machine that has nothing else to do."""
BEARER = {"Authorization": "Bearer sandbox-token"}


@pytest.fixture
def http():
    with urllib3.PoolManager(retries=False, timeout=5) as pool:
        yield pool


@pytest.fixture
def ask(http, sandbox):
    """Send a request to the sandbox as HubSpot's token holder."""

    def asked(method, path, body=None, **options):
        headers = {**BEARER, "Content-Type": "application/json", **options.pop("headers", {})}
        data = None if body is None else json.dumps(body)
        return http.request(method, sandbox.url + path, body=data, headers=headers, **options)

    return asked


def raw(
    port,
    request=b"GET /crm/v3/objects/contacts?limit=5 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox-token\r\n\r\n",
):
    """Every byte the sandbox sends until it closes, and whether it closed with a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(request)
        told = b""
        try:
            while part := line.recv(65536):
                told += part
        except ConnectionResetError:
            return told, True
        return told, False


# The people


def test_the_same_seed_makes_the_same_world(now):
    assert make_world(150, 7, now) == make_world(150, 7, now)
    assert make_world(150, 7, now) != make_world(150, 8, now)


def test_a_world_of_two_thousand_takes_less_than_a_second(now):
    began = time.process_time()
    assert len(make_world(2_000, 1, now).humans) == 2_000
    assert time.process_time() - began < 1


@pytest.mark.parametrize("people", [10, 60, 400])
def test_every_kind_of_activity_happens(people, now):
    assert {each.kind for human in make_world(people, 1, now).humans for each in human.happenings} == set(KINDS)


def test_people_are_spread_over_both_crms_as_promised(now):
    humans = make_world(2_000, 1, now).humans
    spread = Counter((human.in_hubspot > 0, bool(human.in_salesforce)) for human in humans)
    assert 0.45 < spread[True, True] / 2_000 < 0.55
    assert 0.2 < spread[True, False] / 2_000 < 0.3
    assert 0.2 < spread[False, True] / 2_000 < 0.3
    assert spread[False, False] == 0


def test_records_are_as_untidy_as_real_ones(now):
    made = make_world(2_000, 1, now)
    humans = made.humans
    in_salesforce = [human for human in humans if human.in_salesforce]
    shared = Counter(human.email for human in humans if human.email)
    assert 0.06 < sum("converted" in human.in_salesforce for human in humans) / len(in_salesforce) < 0.1
    assert 0.07 < sum(human.email is None for human in humans) / 2_000 < 0.13
    assert 0.07 < sum(human.title is None for human in humans) / 2_000 < 0.13
    assert 0.07 < sum(firm.employees is None for firm in made.firms) / len(made.firms) < 0.13
    assert 0.09 < sum("invented" in (human.email or "") for human in humans) / 2_000 < 0.15
    assert [address for address, count in shared.items() if count > 1 and not address.startswith("info@")] == []
    assert max(shared.values()) == 3
    assert any(human.in_hubspot == 2 for human in humans)
    assert any(len(human.in_salesforce) == 2 and "converted" not in human.in_salesforce for human in humans)
    assert 0.4 < sum(human.owner is None for human in humans) / 2_000 < 0.5
    assert [rep.active for rep in made.reps].count(False) == 1


def test_most_people_do_little_and_few_are_hot(now):
    counts = sorted(len(human.happenings) for human in make_world(2_000, 1, now).humans)
    assert counts[1_000] <= 6
    assert counts[-40] >= 25
    assert any(human.title == "Competitive Analyst" for human in make_world(60, 1, now).humans)


def test_nothing_but_a_meeting_is_in_the_future_and_nothing_is_older_than_ninety_days(now):
    happenings = [each for human in make_world(2_000, 1, now).humans for each in human.happenings]
    coming = [each for each in happenings if each.at > now]
    assert {each.kind for each in coming} == {"meeting_booked"}
    assert len(coming) < 100
    assert min(each.at for each in happenings) > now - timedelta(days=91)


def test_a_crm_records_only_people_it_knows(now):
    for human in make_world(2_000, 1, now).humans:
        known = {crm for crm, has in (("hubspot", human.in_hubspot), ("salesforce", human.in_salesforce)) if has}
        assert all(each.seen_by and each.seen_by <= known for each in human.happenings)


def test_addresses_belong_to_nobody(now):
    for human in make_world(2_000, 1, now).humans:
        assert not human.email or human.email.endswith(".example") or ".invented" in human.email


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


def test_calls_are_counted_and_writes_told_from_reads(ask, sandbox):
    ask("GET", LIST)
    ask("POST", "/crm/v3/objects/contacts/search", {"limit": 1})
    ask("POST", UPDATE, {"inputs": []})
    assert sandbox.calls.counts == {"hubspot": 3}
    assert [(call.method, call.path) for call in sandbox.calls.writes()] == [("POST", UPDATE)]
    assert sandbox.calls[0].query == "limit=5"
    assert sandbox.calls[0].status == 200


@pytest.mark.parametrize(
    ("method", "path", "wrote"),
    [
        ("GET", "/crm/v3/objects/contacts", False),
        ("POST", "/crm/objects/2026-09/contacts/search", False),
        ("POST", "/crm/objects/2026-09/contacts/batch/read", False),
        ("POST", "/crm/objects/2026-09/contacts/batch/update", True),
        ("PATCH", "/crm/v3/objects/contacts/1", True),
        ("POST", "/oauth/v1/token", False),
        ("POST", "/services/oauth2/token", False),
        ("POST", "/services/data/v66.0/composite/sobjects/Lead", False),
        ("PATCH", "/services/data/v66.0/composite/sobjects", True),
        ("POST", "/services/data/v66.0/composite/sobjects", True),
        ("PATCH", "/services/data/v66.0/composite/sobjects/Lead/Email__c", True),
        ("POST", "/services/data/v66.0/jobs/query", False),
        ("POST", "/services/data/v66.0/jobs/ingest", True),
        ("POST", "/services/data/v66.0/tooling/sobjects/CustomField", True),
    ],
)
def test_what_counts_as_a_write(method, path, wrote):
    assert writes(method, path) is wrote


@pytest.mark.parametrize(
    ("parts", "wrote"),
    [
        ([{"method": "GET", "url": "/services/data/v66.0/query?q=SELECT+Id+FROM+Lead"}], False),
        ([{"method": "POST", "url": "/services/data/v66.0/composite/sobjects/Lead"}], False),
        ([{"method": "GET", "url": "/"}, {"method": "PATCH", "url": "/services/data/v66.0/sobjects/Lead/00Q"}], True),
        ("nonsense", True),
    ],
)
def test_a_composite_writes_if_one_of_its_parts_does(parts, wrote):
    body = json.dumps({"compositeRequest": parts}).encode()
    assert writes("POST", "/services/data/v66.0/composite", body) is wrote


def test_a_composite_is_overheard_and_still_answered(http, sandbox):
    token = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
    told = http.request("POST", sandbox.url + "/services/oauth2/token", fields=token, encode_multipart=False)
    query = "/services/data/v66.0/query?q=SELECT+Id+FROM+Lead+LIMIT+1"
    composite = {"compositeRequest": [{"method": "GET", "url": query, "referenceId": "one"}]}
    told = http.request(
        "POST",
        sandbox.url + "/services/data/v66.0/composite",
        json=composite,
        headers={"Authorization": f"Bearer {told.json()['access_token']}"},
    )
    assert told.json()["compositeResponse"][0]["httpStatusCode"] == 200
    assert sandbox.calls.writes() == []


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


# Faults, seen by a client that reads bytes


def test_an_answer_of_the_script_replaces_the_crms(ask, sandbox):
    sandbox.faults.add(
        Fault(do="answer", status=429, headers={"Retry-After": "7"}, body={"policyName": "DAILY"}, nth=2)
    )
    assert [ask("GET", LIST).status for _ in range(3)] == [200, 429, 200]
    assert [call.status for call in sandbox.calls] == [200, 429, 200]


def test_html_comes_with_status_200(ask, sandbox):
    sandbox.faults.add(Fault(do="html"))
    told = ask("GET", LIST)
    assert (told.status, told.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_empty_leaves_the_results_out(ask, sandbox):
    sandbox.faults.add(Fault(do="empty", times=1))
    assert json.loads(ask("GET", LIST).data)["results"] == []
    assert len(json.loads(ask("GET", LIST).data)["results"]) == 5


def test_a_reset_is_a_reset_and_nothing_is_applied(ask, sandbox):
    edit = _edit(sandbox)
    before = sandbox.snapshot("hubspot")
    sandbox.faults.add(Fault(do="reset", path="/contacts"))
    assert raw(sandbox.port) == (b"", True)
    with pytest.raises(urllib3.exceptions.ProtocolError, match="Connection reset by peer"):
        ask("POST", UPDATE, {"inputs": [edit]})
    assert sandbox.snapshot("hubspot") == before
    assert [call.status for call in sandbox.calls] == [0, 0]


def test_a_dropped_answer_was_applied(ask, sandbox):
    edit = _edit(sandbox)
    sandbox.faults.add(Fault(do="drop", path="/batch/update$"))
    with pytest.raises(urllib3.exceptions.ProtocolError, match="Connection reset by peer"):
        ask("POST", UPDATE, {"inputs": [edit]})
    assert sandbox.snapshot("hubspot")["contacts"][edit["id"]]["lastname"] == "Changed"


def test_a_truncated_answer_ends_in_the_middle_of_its_chunks(sandbox):
    sandbox.faults.add(Fault(do="truncate"))
    told, was_reset = raw(sandbox.port)
    assert b"transfer-encoding: chunked" in told
    assert not told.endswith(b"0\r\n\r\n")
    assert not was_reset


def test_a_short_answer_promises_more_than_it_brings(sandbox):
    sandbox.faults.add(Fault(do="short"))
    head, _, body = raw(sandbox.port)[0].partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    assert 0 < len(body) < length


def test_a_dripping_answer_is_whole_in_the_end(sandbox):
    whole = raw(sandbox.port, b"GET /nowhere HTTP/1.0\r\n\r\n")[0].partition(b"\r\n\r\n")[2]
    sandbox.faults.add(Fault(do="drip", seconds=0))
    assert raw(sandbox.port, b"GET /nowhere HTTP/1.0\r\n\r\n")[0].partition(b"\r\n\r\n")[2] == whole


def test_silence_lasts_until_the_client_gives_up(ask, sandbox):
    sandbox.faults.add(Fault(do="silence"))
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        ask("GET", LIST, timeout=0.05)


def test_a_delay_is_only_a_delay(ask, sandbox):
    sandbox.faults.add(Fault(do="delay", delay=0.05))
    began = time.monotonic()
    assert ask("GET", LIST).status == 200
    assert time.monotonic() - began >= 0.05


def _edit(sandbox):
    """A change of a contact that is there, as HubSpot's batch update takes it."""
    found = sandbox.do("hubspot", "create", properties={"email": "somebody@firm.example"})
    return {"id": found["id"], "properties": {"lastname": "Changed"}}


# Scripts


@pytest.mark.parametrize(
    ("fault", "fires_on"),
    [
        (Fault(do="reset"), [1, 2, 3, 4, 5, 6, 7]),
        (Fault(do="reset", nth=3), [3]),
        (Fault(do="reset", every=3, first=2), [2, 5]),
        (Fault(do="reset", first=2, last=4), [2, 3, 4]),
        (Fault(do="reset", times=2), [1, 2]),
        (Fault(do="reset", every=2, times=2), [1, 3]),
        (Fault(do="reset", vendor="salesforce"), []),
        (Fault(do="reset", method="post"), []),
        (Fault(do="reset", path="/batch/"), []),
    ],
)
def test_when_a_fault_fires(fault, fires_on):
    script = Script([fault])
    assert [n for n in range(1, 8) if script.due("hubspot", "GET", "/crm/v3/objects/contacts")] == fires_on


def test_faults_count_their_own_calls_and_the_first_in_the_script_wins():
    first, second = Fault(do="reset", nth=2), Fault(do="html", first=2)
    script = Script([first, second])
    assert [script.due("hubspot", "GET", "/crm") for _ in range(3)] == [None, first, second]
    assert script.fired() == [(first, 1), (second, 1)]


def test_a_script_is_read_from_toml_and_json(tmp_path):
    toml, listed = tmp_path / "faults.toml", tmp_path / "faults.json"
    toml.write_text('[[fault]]\ndo = "drop"\npath = "/batch/update$"\nnth = 2\n')
    listed.write_text('[{"do": "drop", "path": "/batch/update$", "nth": 2}]')
    assert load_script(toml) == load_script(listed) == [Fault(do="drop", path="/batch/update$", nth=2)]


def test_the_script_in_the_documentation_is_a_good_one(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    (tmp_path / "faults.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    assert [fault.do for fault in load_script(tmp_path / "faults.toml")] == ["drop", "html", "truncate"]
    told = set(re.findall(r"^\| `(\w+)` \|", page.split("| `do` |")[1], re.MULTILINE))
    assert told == set(get_args(Does))


def test_every_mistake_in_a_script_is_told_in_a_sentence(tmp_path):
    path = tmp_path / "faults.toml"
    path.write_text(
        '[[fault]]\ndo = "explode"\n[[fault]]\npath = "/a"\n[[fault]]\ndo = "reset"\npath = "("\nwhen = 3\n'
        '[[fault]]\ndo = "answer"\n[[fault]]\ndo = "delay"\n[[fault]]\ndo = "reset"\nnth = 2\nevery = 2\n'
        '[[fault]]\ndo = "reset"\nnth = 0\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_script(path)
    told = [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]
    assert [problem.split(": ")[0] for problem in told] == [f"fault no. {n}" for n in (1, 2, 3, 3, 4, 5, 6, 7)]
    assert "do: Input should be 'answer', 'delay'" in told[0]
    assert told[1] == "fault no. 2: do: is missing"
    assert "is not a regular expression" in told[2]
    assert "when: is not one of do, vendor" in told[3]
    assert "needs a status" in told[4]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("faults.toml", "[[fault", "is not valid TOML"),
        ("faults.json", "{", "is not valid JSON"),
        ("faults.json", '{"faults": []}', "write a list of faults"),
    ],
)
def test_a_script_that_cannot_be_read_is_said_in_a_sentence(name, text, said, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_script(tmp_path / name)


def test_a_script_that_is_not_there_is_said_in_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_script(tmp_path / "absent.toml")


def test_a_fault_that_is_not_a_table_is_said_in_a_sentence():
    with pytest.raises(ConfigError, match=r"fault no\. 1: Input should be"):
        parse_script(["reset"])


# Control


def test_people_act_over_http(ask, sandbox):
    before = sandbox.snapshot("hubspot")
    told = ask("POST", "/sandbox/hubspot/create", {"properties": {"email": "new@firm.example"}})
    assert told.status == 200
    assert json.loads(ask("GET", "/sandbox/hubspot/snapshot").data) != json.loads(json.dumps(before))
    assert not sandbox.calls


def test_the_clock_is_moved_over_http(ask, sandbox, now):
    assert json.loads(ask("POST", "/sandbox/clock", {"advance": 90}).data)["now"] == "2026-11-21T09:01:30+00:00"
    ask("POST", "/sandbox/clock", {"at": "2026-12-01T00:00:00Z"})
    assert sandbox.clock() == datetime(2026, 12, 1, tzinfo=UTC)


def test_faults_are_scripted_over_http(ask, sandbox):
    assert ask("POST", "/sandbox/faults", [{"do": "answer", "status": 503}]).status == 200
    assert ask("GET", LIST).status == 503
    assert json.loads(ask("GET", "/sandbox/faults").data)["faults"][0]["fired"] == 1
    ask("DELETE", "/sandbox/faults")
    assert ask("GET", LIST).status == 200
    counted = json.loads(ask("GET", "/sandbox/calls").data)
    assert counted["counts"] == {"hubspot": 2}
    assert [call["status"] for call in counted["calls"]] == [503, 200]


def test_the_start_is_brought_back_over_http(ask, sandbox, now):
    sandbox.clock.advance(60)
    assert ask("POST", "/sandbox/reset").status == 200
    assert sandbox.clock() == now


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/sandbox/hubspot/explode", {}, 404, "there is no action 'explode'; there is "),
        ("POST", "/sandbox/pipedrive/update", {}, 404, "there is no CRM called 'pipedrive'"),
        ("GET", "/sandbox/pipedrive/snapshot", None, 404, "there is no CRM called 'pipedrive'"),
        ("POST", "/sandbox/hubspot/create", [], 400, "send a JSON object"),
        ("POST", "/sandbox/clock", {"at": "2026-12-01T00:00:00"}, 400, "say the zone"),
        ("POST", "/sandbox/clock", {"forward": 3}, 400, 'send {"advance"'),
        ("POST", "/sandbox/clock", {"at": "noon"}, 400, "noon"),
        ("POST", "/sandbox/faults", [{"do": "explode"}], 400, "fault no. 1: do: "),
    ],
)
def test_a_wrong_control_call_is_answered_with_a_sentence(ask, method, path, body, status, said):
    told = ask(method, path, body)
    assert told.status == status
    assert json.loads(told.data)["problems"][0].startswith(said) or said in json.loads(told.data)["problems"][0]


def test_broken_json_is_answered_with_a_sentence(http, sandbox):
    assert http.request("POST", sandbox.url + "/sandbox/clock", body=b"{").status == 400


def test_acting_and_asking_at_once_do_not_meet_half_way(ask, sandbox):
    def edit():
        for number in range(20):
            sandbox.do("hubspot", "create", properties={"email": f"n{number}@firm.example"})

    editor = threading.Thread(target=edit)
    editor.start()
    statuses = {ask("GET", LIST).status for _ in range(20)}
    editor.join()
    assert statuses == {200}


# On its own


def test_sigterm_stops_the_blocking_run_at_once():
    code = (
        "from connectors.sandbox.server import run\nrun(people=10, port=0, say=lambda text: print(text, flush=True))\n"
    )
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
