"""The shipped command, killed like a power cut at every point where it could matter, and run again."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from connectors.sandbox.server import Clock
from tests.support.commands import crmsync_in
from tests.support.demo import environment, write_config
from tests.support.state import take_lock_away


@pytest.fixture
def folder(sandbox, tmp_path):
    sandbox.clock = Clock()  # a command goes by this machine's
    sales = [rep.email for rep in sandbox.world.reps if rep.active]
    write_config(tmp_path, sandbox.url, sales)
    assert crmsync(tmp_path, "setup").code == 0
    return tmp_path


def around(env):
    return environment(**{"CRMSYNC_STATE__LEASE": "1s", **env})


def crmsync(folder, *words, **env):
    return crmsync_in(folder, **{"CRMSYNC_STATE__LEASE": "1s", **env})(*words)


def begin(folder, *words, **env):
    return subprocess.Popen(
        [sys.executable, "-m", "crmsync", *words],
        cwd=folder, env=around(env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
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
        before = len(sandbox.calls)
        done = crmsync(folder, "backfill", "--json")
        assert done.code == 0, done.err
        assert len(sandbox.calls) - before < REQUESTS, "the sweep would leave out the end"
        _ends[0] = end_state(sandbox)
        assert sum("crmsync_score" in record for record in _ends[0].values()) > 20
        sandbox.reset()
        sandbox.clock = Clock()
        for old in folder.glob("crmsync.db*"):
            old.unlink()
        assert crmsync(folder, "setup").code == 0
    return _ends[0]


REQUESTS, TRANSACTIONS = 120, 55
STEPS = [f"request:{nth}" for nth in range(1, REQUESTS + 1)]
STEPS += [f"{name}:{nth}" for name in ("commit", "committed") for nth in range(1, TRANSACTIONS + 1)]
"""Every request and every transaction of a backfill, and a few more: a point that is never reached is left out."""

SWEEP = [
    (step, how, kind)
    for step in STEPS
    for how in ("kill", "pause")
    for kind in ("sqlite", "postgresql")
    # Whoever pauses within a transaction of SQLite holds the file itself: nobody can take over, and nobody does.
    if not (step.startswith("commit:") and how == "pause" and kind == "sqlite")
]
FEW = [
    ("commit:20", "kill", "sqlite"),
    ("sent_stored:1", "pause", "sqlite"),
    ("batch_written:1", "kill", "sqlite"),
    ("sent_stored:2", "pause", "postgresql"),
    ("before_verify:2", "pause", "postgresql"),
]
"""While pulling; before and after the requests that write, to each CRM. `make sweep` takes those of the sweep."""

if swept := os.environ.get("CRMSYNC_SWEEP"):
    CASES = SWEEP if swept == "all" else random.Random(int(os.environ.get("SEED") or 1)).sample(SWEEP, int(swept))
else:
    CASES = FEW


@pytest.fixture
def state_of(request, folder):
    """The environment of a worker whose state is on a database."""

    def of(kind):
        url = f"sqlite:///{folder}/crmsync.db" if kind == "sqlite" else request.getfixturevalue("new_database")
        return url, {"CRMSYNC_STATE__URL": url, "CRMSYNC_STATE__LEASE": "1s"}

    return of


@pytest.mark.parametrize(("step", "how", "kind"), CASES)
def test_W07_whatever_cuts_a_worker_off_at_any_step_the_end_is_the_same(
    sandbox, folder, undisturbed, state_of, step, how, kind
):
    url, env = state_of(kind)
    with begin(folder, "backfill", **env, CRMSYNC_FAILPOINT=f"{step}:{how}") as first:
        _, status = os.waitpid(first.pid, os.WUNTRACED)
        if os.WIFEXITED(status):
            assert swept, f"no backfill comes to {step} any more: name another point"
            pytest.skip("it was done before that")
        if how == "pause":
            take_lock_away(url)
        second = crmsync(folder, "backfill", "--json", **env)
        if how == "pause":
            first.send_signal(signal.SIGCONT)
            assert first.wait(60) in (0, 1)
            assert crmsync(folder, "sync", "--json", **env).code == 0
    assert second.code == 0, second.err
    assert end_state(sandbox) == undisturbed
    assert '"planned":0' in crmsync(folder, "sync", "--json", **env).out.replace(" ", "")


def test_W07_killed_at_any_moment_and_run_again_the_end_is_the_same(sandbox, folder, undisturbed):
    words = [sys.executable, "-m", "crmsync", "backfill"]
    with subprocess.Popen(words, cwd=folder, env=around({}), stdout=-3, stderr=-3) as process:
        before = len(sandbox.calls)
        while len(sandbox.calls) == before and process.poll() is None:
            time.sleep(0.01)
        moment = random.uniform(0, 0.8)
        time.sleep(moment)
        process.kill()
    done = crmsync(folder, "backfill", "--json")
    assert done.code == 0, done.err
    assert end_state(sandbox) == undisturbed, f"killed after {moment} seconds"
    again = crmsync(folder, "sync", "--json")
    assert '"planned":0' in again.out.replace(" ", "")
