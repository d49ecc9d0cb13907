"""The sandbox's log of calls, and which of them write."""

import json

import pytest

from connectors.sandbox.calls import writes
from tests.support.sandbox import LIST, UPDATE


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
