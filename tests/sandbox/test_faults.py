"""The sandbox's faults on the wire, and the scripts that say when they strike."""

import json
import re
import time
from pathlib import Path
from typing import get_args

import pytest
import urllib3

from connectors.sandbox.faults import Does, Fault, Script, load_script, parse_script
from crmsync.errors import ConfigError
from tests.support.sandbox import LIST, UPDATE, raw

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
