"""The sandbox's Salesforce: limits, versions and addresses."""

import pytest
import requests
from simple_salesforce.exceptions import SalesforceRefusedRequest


def test_every_answer_says_how_much_of_the_quota_is_used(sf, do):
    sf.limits()
    before = sf.api_usage["api-usage"].used
    sf.query("SELECT COUNT() FROM Lead")
    assert sf.api_usage["api-usage"] == (before + 1, 5_000_000)
    do("set_usage", used=99, max=100)
    assert sf.limits()["DailyApiRequests"] == {"Max": 100, "Remaining": 0}
    with pytest.raises(SalesforceRefusedRequest) as caught:
        sf.limits()
    assert caught.value.content == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def test_too_many_at_once_passes_by_itself(sf, do):
    do("set", concurrent_errors=1)
    with pytest.raises(SalesforceRefusedRequest, match="ConcurrentRequests"):
        sf.limits()
    assert sf.limits()


def test_versions_need_no_token(sandbox, org):
    versions = requests.get(f"{sandbox.url}/services/data", timeout=5).json()
    assert {"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"} in versions


@pytest.mark.parametrize(
    ("version", "status"), [("30.0", 410), ("31.0", 200), ("99.0", 404), ("66", 404), ("v66.0", 404)]
)
def test_versions_are_retired(sf, sandbox, version, status):
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    answer = requests.get(f"{sandbox.url}/services/data/v{version}/limits", headers=headers, timeout=5)
    assert answer.status_code == status


def test_header_names_are_written_as_salesforce_writes_them(sf, sandbox):
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    answer = requests.get(f"{sandbox.url}/services/data/v66.0/limits", headers=headers, timeout=5)
    assert {"Date", "Content-Type", "Sforce-Limit-Info"} <= set(answer.headers)
    assert "Sforce-Limit-Info" in list(answer.headers)


def test_an_address_that_is_too_long(sf, sandbox):
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    url = f"{sandbox.url}/services/data/v66.0/query?q={'x' * 16_400}"
    assert requests.get(url, headers=headers, timeout=5).status_code == 414
