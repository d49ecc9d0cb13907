"""What looks like a number and is none is the client's mistake: never a fault of the sandbox."""

import base64

import pytest

from tests.sandbox.test_digits import ODD


@pytest.mark.parametrize("text", ODD)
def test_salesforce_answers_what_is_no_number(sf, session, text):
    base = f"https://{sf.sf_instance}/services/data"

    def status(path, method="GET", **sent):
        headers = {**sf.headers, **sent.pop("headers", {})}
        return session.request(method, base + path, headers=headers, **sent).status_code

    locator = base64.urlsafe_b64encode(text.encode()).decode()
    assert status(f"/v{text}.0/limits") < 500
    assert status("/v66.0/query", params={"q": f"SELECT Id FROM Lead LIMIT {text}"}) < 500
    assert status("/v66.0/query", params={"q": f"SELECT Id FROM Lead WHERE NumberOfEmployees = {text}"}) < 500
    assert status(f"/v66.0/query/01gXX0000000001AAA-{text}") < 500
    job = session.post(
        f"{base}/v66.0/jobs/query", headers=sf.headers, json={"operation": "query", "query": "SELECT Id FROM Lead"}
    ).json()["id"]
    for _ in range(50):
        if status(f"/v66.0/jobs/query/{job}/results") == 200:
            break
    for asked in ({"locator": locator}, {"maxRecords": text}):
        assert 400 <= status(f"/v66.0/jobs/query/{job}/results", params=asked) < 500
