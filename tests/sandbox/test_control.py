"""The sandbox's control over HTTP."""

import json
import threading
from datetime import UTC, datetime

import pytest

from tests.support.sandbox import LIST


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
