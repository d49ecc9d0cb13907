"""An org of the sandbox, through the real simple-salesforce and plain HTTP."""

import pytest
import requests
from simple_salesforce import Salesforce

from tests.support.sandbox_salesforce import WORLD, Rewritten


@pytest.fixture
def org(sandbox):
    sandbox.between_requests(lambda: sandbox.org.load(WORLD))
    return sandbox.org


@pytest.fixture
def session(sandbox):
    with requests.Session() as made:
        made.mount("https://", Rewritten(sandbox.url))
        yield made


@pytest.fixture
def sf(org, session):
    return Salesforce(
        consumer_key="sandbox", consumer_secret="sandbox", domain="acme.my", version="66.0", session=session
    )


@pytest.fixture
def do(sandbox, org):
    return lambda action, **body: sandbox.do("salesforce", action, **body)
