"""What the tests of the sandbox's server find ready."""

import json

import pytest
import urllib3

from tests.support.sandbox import BEARER


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
