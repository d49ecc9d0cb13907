"""The shipped command, killed like a power cut at every point where it could matter, and run again."""

import os
import random
import subprocess
import sys
import time

import pytest

from connectors.sandbox.server import Clock
from crmsync import failpoint
from crmsync.starter import demo

SECRETS = {
    "CRMSYNC_HUBSPOT__TOKEN": "sandbox-token",
    "CRMSYNC_SALESFORCE__CLIENT_ID": "sandbox",
    "CRMSYNC_SALESFORCE__CLIENT_SECRET": "sandbox",
}


@pytest.fixture
def folder(sandbox, tmp_path):
    sandbox.clock = Clock()  # a command goes by this machine's
    sales = [rep.email for rep in sandbox.world.reps if rep.active]
    text = demo(sandbox.url, sales).replace('secrets = "secrets"', "#")
    (tmp_path / "crmsync.toml").write_text(text, encoding="utf-8")
    assert crmsync(tmp_path, "setup").returncode == 0
    return tmp_path


def crmsync(folder, *words, wait=60, **env):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CRMSYNC_")}
    return subprocess.run(
        [sys.executable, "-m", "crmsync", *words],
        cwd=folder, env={**clean, **SECRETS, **env}, capture_output=True, text=True, timeout=wait, check=False,
    )  # fmt: skip


def end_state(sandbox):
    """Of every record what a cycle may write: our fields, the stage, the owner."""
    tables = {"contacts": sandbox.portal.snapshot()["contacts"]}
    tables |= {kind: sandbox.org.snapshot()[kind] for kind in ("Lead", "Contact")}
    return {
        (kind, record_id): {
            name: value
            for name, value in record.items()
            if name.lower().startswith("crmsync_")
            or name in ("lifecyclestage", "hubspot_owner_id", "Status", "OwnerId")
        }
        for kind, table in tables.items()
        for record_id, record in table.items()
    }


_ends = {}


@pytest.fixture
def undisturbed(sandbox, folder):
    """What an uninterrupted backfill leaves behind; the sandbox and the folder are as new again afterwards."""
    if not _ends:
        done = crmsync(folder, "backfill", "--json")
        assert done.returncode == 0, done.stderr
        _ends[0] = end_state(sandbox)
        assert sum("crmsync_score" in record for record in _ends[0].values()) > 20
        sandbox.reset()
        sandbox.clock = Clock()
        for old in folder.glob("crmsync.db*"):
            old.unlink()
        assert crmsync(folder, "setup").returncode == 0
    return _ends[0]


@pytest.mark.parametrize(
    "point", ["page_stored:1", "page_stored:3", "plan_stored:1", "sent_stored:2", "batch_written:1"]
)
def test_W07_killed_at_a_point_and_run_again_the_end_is_the_same(sandbox, folder, undisturbed, point):
    assert point.partition(":")[0] in failpoint.NAMES
    killed = crmsync(folder, "backfill", CRMSYNC_FAILPOINT=point)
    assert killed.returncode == -9, killed.stderr
    done = crmsync(folder, "backfill", "--json")
    assert done.returncode == 0, done.stderr
    assert end_state(sandbox) == undisturbed


def test_W07_killed_at_any_moment_and_run_again_the_end_is_the_same(sandbox, folder, undisturbed):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CRMSYNC_")}
    words = [sys.executable, "-m", "crmsync", "backfill"]
    with subprocess.Popen(words, cwd=folder, env={**clean, **SECRETS}, stdout=-3, stderr=-3) as process:
        before = len(sandbox.calls)
        while len(sandbox.calls) == before and process.poll() is None:
            time.sleep(0.01)
        moment = random.uniform(0, 0.8)
        time.sleep(moment)
        process.kill()
    done = crmsync(folder, "backfill", "--json")
    assert done.returncode == 0, done.stderr
    assert end_state(sandbox) == undisturbed, f"killed after {moment} seconds"
    again = crmsync(folder, "sync", "--json")
    assert '"planned":0' in again.stdout.replace(" ", "")
