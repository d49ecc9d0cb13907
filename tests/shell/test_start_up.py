"""What a command loads before it does anything: whoever only looks does not wait for what it does not use."""

import subprocess
import sys

import pytest

from crmsync.store.database import open_store
from tests.support.cycles import ADA, run, two_crms
from tests.support.make import MODEL, NOW

CLIENTS = {"hubspot", "simple_salesforce", "zeep", "requests", "urllib3", "connectors.hubspot.connector"}
CLIENTS |= {"connectors.salesforce.connector"}
SERVERS = {"uvicorn", "starlette", "apscheduler", "prometheus_client", "jinja2"}
LIBRARIES = {"alembic", "scipy", "pyarrow", "pygal", "lark", "structlog"}
WORKERS = {"crmsync.cycle", "crmsync.pull", "crmsync.planning.builder", "crmsync.daemon.scheduler"}
SCORING = {"numpy", "crmsync.scoring.engine", "crmsync.evaluation.cases"}
STATE = {"sqlalchemy", "crmsync.config"}

LISTED = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from crmsync.cli import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A config and a state after a run."""
    folder = tmp_path_factory.mktemp("start")
    text = f"{MODEL}\n[hubspot]\n[salesforce]\ninstance_url = 'https://acme.my.salesforce.com'\n"
    (folder / "crmsync.toml").write_text(f"{text}\n[state]\nurl = 'sqlite:///state.db'\n")
    store = open_store(f"sqlite:///{folder / 'state.db'}")
    run(store, *two_crms(), at=NOW)
    store.close()
    return folder


@pytest.mark.parametrize(
    ("words", "code", "unused"),
    [
        pytest.param(["--help"], 0, CLIENTS | SERVERS | LIBRARIES | WORKERS | SCORING | STATE, id="help"),
        pytest.param(["status"], 0, CLIENTS | SERVERS | LIBRARIES | WORKERS | SCORING, id="status"),
        pytest.param(["status", "--health"], 1, CLIENTS | SERVERS | LIBRARIES | WORKERS | SCORING, id="health"),
        pytest.param(["explain", str(ADA)], 0, CLIENTS | SERVERS | LIBRARIES | WORKERS, id="explain"),
        pytest.param(["check"], 0, CLIENTS | SERVERS | LIBRARIES | WORKERS, id="check"),
    ],
)
def test_a_command_that_looks_loads_neither_clients_nor_workers(folder, words, code, unused):
    started = subprocess.run(
        [sys.executable, "-P", "-c", LISTED, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert started.returncode == code, started.stderr
    assert unused.intersection(started.stderr.split()) == set()
