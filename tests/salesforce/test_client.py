"""Calls to Salesforce: what goes wrong on the way, the quota, and where a token may go."""

import contextlib
import re

import pytest
import responses

import connectors.salesforce as salesforce
from connectors.salesforce import client
from crmsync.errors import Cancelled, ConfigError, Unavailable
from tests.support.pages import pulled
from tests.support.salesforce import CANARY, NAMES, by_ref, connect, do, fault
from tests.support.stop import Hurried, Interrupted


@pytest.mark.parametrize(
    ("do", "how"),
    [
        ("html", {}),
        ("html", {"status": 503}),
        ("html", {"status": 403}),
        ("reset", {}),
        ("drop", {}),
        ("truncate", {}),
        ("short", {}),
        ("answer", {"status": 500, "body": [{"errorCode": "UNKNOWN_EXCEPTION", "message": "An unexpected error"}]}),
        ("answer", {"status": 400, "body": [{"errorCode": "QUERY_TIMEOUT", "message": "too long"}]}),
        ("answer", {"status": 403, "body": [
            {"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded."}]}),
        ("answer", {"status": 200, "body": {"totalSize": 1}}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", [1, 2])
def test_a_page_that_goes_wrong_is_read_again_whole(sandbox, crm, do, how, number):
    whole = by_ref(pulled(crm.contacts(None))[0])
    sandbox.do("salesforce", "set", page_size=7)
    fault(sandbox, do, "/query", nth=number, **how)
    assert by_ref(pulled(crm.contacts(None))[0]) == whole


@pytest.mark.parametrize(
    ("do", "path"),
    [("silence", "oauth2/token"), ("silence", "/query"), ("silence", "/describe"), ("drip", "/describe")],
)
def test_no_call_waits_for_ever(sandbox, monkeypatch, do, path):
    monkeypatch.setattr(client, "TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(client, "PATIENCE", 0.3)
    fault(sandbox, do, path, seconds=0.002, times=1)
    assert pulled(connect(sandbox).contacts(None))[0]


def test_an_org_that_never_answers_sits_out(sandbox, crm):
    fault(sandbox, "reset", "/query")
    with pytest.raises(Unavailable, match="could not be reached"):
        list(crm.contacts(None))


def test_used_up_requests_end_the_cycle_at_once(sandbox, crm):
    said = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    fault(sandbox, "answer", "/query", status=403, body=said)
    with pytest.raises(Unavailable, match="used up"):
        list(crm.contacts(None))
    assert sum("/query" in call.path for call in sandbox.calls) == 1


def test_the_share_of_the_quota_is_kept(sandbox, crm):
    do(sandbox, "set_usage", used=690, max=1000)
    sandbox.do("salesforce", "set", page_size=2)
    with pytest.raises(Unavailable, match=r"700 of the org's 1,000 .* last 30%"):
        list(crm.contacts(None))
    assert 8 < len(sandbox.calls) < 13


def test_the_quota_is_looked_at_again_after_a_while(sandbox, crm, monkeypatch):
    do(sandbox, "set_usage", used=900, max=1000)
    with pytest.raises(Unavailable):
        list(crm.contacts(None))
    do(sandbox, "set_usage", used=100, max=1000)
    monkeypatch.setattr(client, "USAGE_GOES_STALE", 0.0)
    assert pulled(crm.contacts(None))[0]


def test_a_stop_during_a_pause_ends_the_pull(sandbox, crm):
    fault(sandbox, "html", "/query", status=503)
    with pytest.raises(Cancelled):
        list(connect(sandbox, stop=Interrupted()).contacts(None))


def test_a_refusal_is_not_repeated(sandbox, crm):
    said = [{"errorCode": "MALFORMED_QUERY", "message": "unexpected token: frm"}]
    fault(sandbox, "answer", "/query", status=400, body=said)
    with pytest.raises(ConfigError, match="unexpected token"):
        list(crm.contacts(None))
    assert len([call for call in sandbox.calls if "/query" in call.path]) == 1


ACME = "https://acme.my.salesforce.com"


def acme():
    settings = salesforce.Settings(instance_url=ACME, client_id="id", client_secret=CANARY)
    return salesforce.connect(settings, NAMES, {}, Hurried())


def logged_in(mock, instance_url=ACME):
    token = {"access_token": CANARY, "instance_url": instance_url, "id": f"{ACME}/id/00D1/0051", "token_type": "Bearer"}
    mock.post(f"{ACME}/services/oauth2/token", json=token)


@pytest.fixture
def mock():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def test_a_redirect_to_another_host_is_not_followed(mock):
    logged_in(mock)
    mock.get(f"{ACME}/services/data/v66.0/queryAll/", status=307, headers={"Location": "https://evil.example/"})
    with pytest.raises(ConfigError, match="another address"):
        acme().account()
    assert all(call.request.url.startswith(ACME) for call in mock.calls)


@pytest.mark.parametrize("evil", ["https://evil.example", "http://acme.my.salesforce.com", "https://a@evil.example"])
def test_a_log_in_that_names_another_host_gets_no_token(mock, evil):
    logged_in(mock, instance_url=evil)
    with pytest.raises(ConfigError, match="does not send its token") as told:
        acme().account()
    assert CANARY not in str(told.value)


def test_a_log_in_that_names_another_my_domain_gets_no_token_and_says_what_to_write(mock):
    logged_in(mock, instance_url="https://renamed.my.salesforce.com")
    with pytest.raises(ConfigError, match=r'set instance_url = "https://renamed\.my\.salesforce\.com"'):
        acme().account()
    assert [call.request.url for call in mock.calls] == [f"{ACME}/services/oauth2/token"]


@pytest.mark.parametrize(
    ("configured", "named", "is_ours"),
    [
        (ACME, ACME, True),
        (ACME, "https://ACME.my.salesforce.com/", True),
        ("http://127.0.0.1:8400", "http://127.0.0.1:8400", True),
        ("http://127.0.0.1:8400", "http://127.0.0.1:9999", False),
        ("http://127.0.0.1:8400", "http://localhost:8400", True),
        (ACME, "http://127.0.0.1:8400", False),
        (ACME, "https://169.254.169.254", False),
        (ACME, "https://[", False),
    ],
)
def test_a_token_goes_to_the_configured_address_only(configured, named, is_ours):
    if is_ours:
        assert client.allowed_instance(configured, named) == configured
    else:
        with pytest.raises(ConfigError, match="crmsync"):
            client.allowed_instance(configured, named)


@pytest.mark.parametrize(
    "link", ["https://evil.example/services/data/v66.0/query/01g-2", "@evil.example/query/01g-2", "/query/../../x"]
)
def test_the_link_to_the_next_page_leads_to_the_org_or_nowhere(mock, link):
    logged_in(mock)
    first = {"totalSize": 2, "done": False, "nextRecordsUrl": link, "records": [{"Id": "00D000000000001AAA"}]}
    mock.get(f"{ACME}/services/data/v66.0/queryAll/", json=first)
    mock.get(f"{ACME}/services/data/v66.0/query/01g-2", json={"totalSize": 2, "done": True, "records": []})
    with contextlib.suppress(Unavailable):
        acme().account()
    assert all(call.request.url.startswith(f"{ACME}/") for call in mock.calls)


def test_a_netrc_does_not_replace_the_token(mock, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine acme.my.salesforce.com login me password other")
    monkeypatch.setenv("NETRC", str(netrc))
    logged_in(mock)
    mock.get(
        f"{ACME}/services/data/v66.0/queryAll/",
        json={"totalSize": 1, "done": True, "records": [{"Id": "00D000000000001AAA"}]},
    )
    acme().account()
    assert mock.calls[-1].request.headers["Authorization"] == f"Bearer {CANARY}"
    assert "Authorization" not in mock.calls[0].request.headers


def test_an_answer_without_a_date_stops_a_pull(mock):
    logged_in(mock)
    mock.get(f"{ACME}/services/data/v66.0/", json={"query": "/services/data/v66.0/query"})
    with pytest.raises(Unavailable, match="Date"):
        list(acme().contacts(None))


@pytest.mark.parametrize(
    "how",
    [
        {"json": [{"errorCode": "UNSUPPORTED_API_VERSION", "message": "Unsupported API version 66.0"}]},
        {"body": "<html><body><h1>410 Gone</h1></body></html>", "content_type": "text/html"},
        {"body": ""},
        {"json": {}},
    ],
)
def test_a_retired_version_says_what_to_do(mock, how):
    logged_in(mock)
    mock.get(f"{ACME}/services/data/v66.0/queryAll/", status=410, **how)
    with pytest.raises(ConfigError, match="raise api_version"):
        acme().account()
    assert len(mock.calls) == 2


@pytest.mark.parametrize("path", ["/query", "/composite$", "/jobs/"])
def test_a_version_that_retires_during_a_pull_ends_it_at_once(sandbox, crm, bulky, path):
    made = bulky()
    made.account()
    fault(sandbox, "html", path, status=410)
    with pytest.raises(ConfigError, match="raise api_version"):
        made.missing_fields(), list(made.contacts(None)), list(made.activities(None))
    assert sum(re.search(path, call.path) is not None for call in sandbox.calls if call.status == 410) == 1


NOBODY_THERE = [
    ("answer", {"status": 404, "body": {"detail": "Not Found"}}),
    ("answer", {"status": 405, "body": {"detail": "Method Not Allowed"}}),
    ("html", {"status": 404}),
]
NOT_FOUND = {"status": 404, "body": [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]}


@pytest.mark.parametrize("path", ["/composite$", "/limits/recordCount"])
@pytest.mark.parametrize(("do", "how"), [*NOBODY_THERE, ("answer", NOT_FOUND)])
def test_an_org_without_what_only_saves_calls_is_read_all_the_same(sandbox, crm, do, how, path):
    whole = by_ref(pulled(crm.contacts(None))[0])
    fault(sandbox, do, path, **how)
    made = connect(sandbox)
    contacts, cursor = pulled(made.contacts(None))
    assert by_ref(contacts) == whole
    assert pulled(made.contacts(cursor))[1]
    assert pulled(made.activities(None))[0]
    assert any(each.status == how["status"] for each in sandbox.calls.of("salesforce"))


@pytest.mark.parametrize(("do", "how"), NOBODY_THERE)
def test_a_page_that_nobody_answers_for_once_is_read_again(sandbox, crm, do, how):
    whole = by_ref(pulled(crm.contacts(None))[0])
    fault(sandbox, do, "/query", nth=1, **how)
    assert by_ref(pulled(connect(sandbox).contacts(None))[0]) == whole


def test_an_org_is_known_by_its_log_in_where_its_own_record_cannot_be_read(sandbox, crm):
    known = crm.account()
    refusal = [{"errorCode": "INVALID_TYPE", "message": "sObject type 'Organization' is not supported."}]
    fault(sandbox, "answer", "/query", status=400, body=refusal)
    assert connect(sandbox).account() == known


def test_no_secret_in_what_is_shown(sandbox):
    settings = salesforce.Settings(
        instance_url=sandbox.url, client_id="a", client_secret=CANARY, private_key=CANARY, refresh_token=CANARY
    )
    made = connect(sandbox)
    made.account()
    assert CANARY not in repr(settings) + str(settings) + settings.model_dump_json()
    assert made._org.token.access not in repr(made._org.token)
