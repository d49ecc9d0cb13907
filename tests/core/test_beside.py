"""Looking and approving beside a running worker: real processes on one state, over real HTTP."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from connectors.sandbox.server import Clock
from tests.support.demo import REPS, environment, write_config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(sandbox, tmp_path):
    sandbox.clock = Clock()  # a command goes by this machine's
    write_config(tmp_path, sandbox.url, REPS[:1], {"first_run = 1000": "first_run = 5"})
    assert crmsync(tmp_path, "setup").code == 0
    return tmp_path


class Ended:
    """How a command ended."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


def crmsync(folder, *words):
    command = [sys.executable, "-m", "crmsync", *words]
    told = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 100}
    return Ended(subprocess.run(command, cwd=folder, env=environment(PYTHONPATH=str(ROOT)), check=False, **told))


@pytest.fixture
def daemon(folder):
    """`crmsync run` as it is, after its first run; with what it has logged so far."""
    process = subprocess.Popen(
        [sys.executable, "-m", "crmsync", "run"],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        stderr=subprocess.PIPE,
        text=True,
    )
    given_up = threading.Timer(100, process.kill)
    given_up.start()
    wait_for(process, "run_done")
    yield process
    given_up.cancel()
    process.kill()
    process.communicate()


def wait_for(process, word):
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"{word} never came")


def test_a_first_run_waits_and_its_approval_is_taken_up_at_once(folder, sandbox, daemon):
    writes = [call for call in sandbox.calls.writes() if "batch/update" in call.path or "sobjects" in call.path]
    status = crmsync(folder, "status", "--json")
    (waiting,) = status.json["waiting"]
    assert waiting["kind"] == "data"
    asked = crmsync(folder, "apply")
    assert asked.code == 3  # nobody can be asked here
    assert f"crmsync apply {waiting['run']}" in asked.out
    assert crmsync(folder, "plan", "--json").json["verdict"] == "preview"
    assert [c for c in sandbox.calls.writes() if "batch/update" in c.path or "sobjects" in c.path] == writes
    before = time.monotonic()
    applied = crmsync(folder, "apply", waiting["run"], "--json")
    assert time.monotonic() - before < 60
    assert (applied.code, applied.json["verdict"]) == (0, "ok")
    assert sum(each["updated"] for each in applied.json["crms"].values()) > 20
    assert crmsync(folder, "plan", "--json").json["crms"]["hubspot"]["planned"] == 0
    assert crmsync(folder, "apply").out.startswith("No plan waits for approval.")


def test_a_worker_of_an_older_config_leaves_an_approval_to_its_successor(folder, daemon):
    text = (folder / "crmsync.toml").read_text()
    (folder / "crmsync.toml").write_text(text.replace("points = 25", "points = 27", 1))
    planned = crmsync(folder, "plan", "--json")
    assert planned.code == 0
    applied = crmsync(folder, "apply", planned.json["run"], "--json")
    assert applied.code == 3
    assert "restart it" in applied.json["problems"][0]
