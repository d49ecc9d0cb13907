"""What several of the core's tests find ready."""

import pytest

from tests.support.rigs import OVER_HTTP
from tests.support.runs import TOKEN, VARIABLES, Runs


@pytest.fixture(params=["hubspot", "salesforce"])
def remote(request, sandbox, monkeypatch):
    """The connectors that talk HTTP."""
    sandbox.calls.clear()
    return OVER_HTTP[request.param](sandbox, monkeypatch)


@pytest.fixture
def runs(request, sandbox, tmp_path, monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(f"CRMSYNC_{name}", value)
    sandbox.do("hubspot", "issue_token", token=TOKEN)
    made = Runs(sandbox, tmp_path, getattr(request.module, "MORE_CONFIG", ""))
    yield made
    made.state.close()
