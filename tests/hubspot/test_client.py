"""Calls to HubSpot: limits, broken lines, redirects, and a stop that is heard at once."""

import logging
import os
import threading

import pytest

from connectors.hubspot import Settings, connect
from connectors.hubspot.errors import Forbidden, Unauthorized
from connectors.sandbox.faults import Fault
from crmsync.errors import Cancelled, ConfigError, Unavailable
from tests.support.hubspot import NAMES, calls, change, contacts, create, hubspot, refused
from tests.support.pages import pulled
from tests.support.stop import Hurried


@pytest.mark.parametrize("do", ["truncate", "short", "reset", "drop", "html"])
def test_a_broken_answer_is_read_again_and_the_pull_is_whole(sandbox, ready, do):
    for number in range(300):
        create(sandbox, email=f"n{number}@acme.example")
    sandbox.faults.add(Fault(do=do, path="objects/2026-09/contacts$", first=2, last=3))
    assert set(contacts(ready)[0]) == {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}


def test_an_answer_that_stays_broken_ends_the_pull_between_pages(sandbox, ready):
    for number in range(300):
        create(sandbox, email=f"n{number}@acme.example")
    sandbox.faults.add(Fault(do="truncate", path="objects/2026-09/contacts$", first=3))
    pages, seen = ready.contacts(None), []
    for _ in range(2):
        page = next(pages)
        seen += [each.ref.id for each in page.items]
    with pytest.raises(Unavailable):
        next(pages)
    sandbox.faults.clear()
    assert len(seen) == 200
    assert {*seen, *contacts(ready, page.cursor)[0]} == {
        str(contact_id) for contact_id in sandbox.portal.state.contacts.live
    }


@pytest.mark.parametrize(
    ("policy", "headers", "seconds"),
    [
        ("TEN_SECONDLY_ROLLING", {}, 10),
        ("TEN_SECONDLY_ROLLING", {"Retry-After": "11"}, 11),
        ("SECONDLY", {}, 1),
        ("", {"Retry-After": "Sat, 21 Nov 2026 09:00:30 GMT"}, 30),
    ],
)
def test_a_rate_limit_is_waited_out_by_its_policy(sandbox, policy, headers, seconds):
    stop = Hurried()
    connector = hubspot(sandbox, stop=stop)
    body = {"status": "error", "errorType": "RATE_LIMIT", "policyName": policy, "message": "limit"}
    sandbox.faults.add(Fault(do="answer", status=429, headers=headers, body=body, path="search$", nth=1))
    _, cursor = contacts(connector)
    contacts(connector, cursor)
    assert seconds <= max(stop.waited) <= seconds + 0.5


def test_a_wait_of_days_is_not_begun(sandbox, ready):
    body = {"status": "error", "policyName": "TEN_SECONDLY_ROLLING"}
    sandbox.faults.add(
        Fault(do="answer", status=429, headers={"Retry-After": "999999"}, body=body, path="objects/2026-09/contacts$")
    )
    with pytest.raises(Unavailable):
        contacts(ready)
    assert len(calls(sandbox, "objects/2026-09/contacts")) == 1


def test_the_daily_limit_parks_the_connector_until_the_portals_midnight(sandbox):
    notes = {}
    connector = hubspot(sandbox, notes=notes)
    connector.account()
    body = {"status": "error", "policyName": "DAILY", "message": "You have reached your daily limit."}
    sandbox.faults.add(Fault(do="answer", status=429, body=body, path="/crm/"))
    with pytest.raises(Unavailable) as told:
        contacts(connector)
    sandbox.calls.clear()
    with pytest.raises(Unavailable):
        contacts(connector)
    assert told.value.until == "00:00 on 2026-11-22 in Europe/Berlin"
    assert calls(sandbox) == []
    sandbox.faults.clear()
    notes["hubspot.parked_until"] = "2020-01-01T00:00:00+00:00"
    assert contacts(connector)[0]


def test_the_configured_share_of_the_day_is_not_exceeded(sandbox, ready):
    sandbox.portal.switches.daily, sandbox.portal.switches.daily_used = 1_000, 750
    with pytest.raises(Unavailable, match="api_share"):
        contacts(ready)


def test_the_burst_limit_is_learned(sandbox):
    sandbox.portal.switches.burst = 123
    connector = hubspot(sandbox, calls_per_10s=None)
    connector.account()
    assert connector._api._burst.rate == 123


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_errors_that_waiting_does_not_help_are_sent_once(sandbox, ready, status):
    sandbox.faults.add(Fault(**refused(status, message="no", category="X"), path="properties"))
    with pytest.raises((ConfigError, Unavailable)):
        contacts(ready)
    assert len(calls(sandbox, "properties")) == 1


def test_a_server_error_is_tried_a_few_times(sandbox, ready):
    sandbox.faults.add(Fault(do="answer", status=503, path="properties", last=3))
    assert contacts(ready)[0]
    assert len(calls(sandbox, "properties/2026-09/contacts")) == 4


def test_a_bug_is_not_repeated(sandbox, ready, monkeypatch):
    tried = []

    def broken(*_):
        tried.append(1)
        raise KeyError("a bug")

    monkeypatch.setattr(ready._api, "_send", broken)
    with pytest.raises(KeyError):
        ready.owners()
    assert len(tried) == 1


def test_a_missing_scope_is_named(sandbox):
    sandbox.portal.switches.scopes = ["crm.objects.owners.read"]
    with pytest.raises(Forbidden, match=r"crm\.objects\.contacts\.read"):
        contacts(hubspot(sandbox))


def test_a_page_in_another_encoding_is_no_bug(sandbox, ready):
    sandbox.faults.add(
        Fault(do="answer", status=502, body="Störung", headers={"Content-Type": "text/html"}, path="owners", nth=1)
    )
    assert ready.owners()


def test_a_server_that_never_answers_is_given_up(sandbox, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.client.TIMEOUT", (1.0, 0.05))
    sandbox.faults.add(Fault(do="silence", path="owners"))
    with pytest.raises(Unavailable, match="ReadTimeoutError"):
        hubspot(sandbox).owners()


def test_a_body_that_drips_is_given_up_and_asked_for_again(sandbox, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.client.BODY_DEADLINE", 0.05)
    sandbox.faults.add(Fault(do="drip", seconds=0.0005, path="owners", nth=1))
    assert hubspot(sandbox).owners()
    assert len(calls(sandbox, "owners")) == 3


def test_nobody_listens(sandbox):
    connector = connect(Settings(base_url="http://127.0.0.1:9", token="x"), NAMES, {}, Hurried())
    with pytest.raises(Unavailable, match="cannot be reached"):
        connector.account()


def test_a_redirect_is_not_followed(sandbox, ready):
    elsewhere = {"Location": "http://localhost:1/evil"}
    sandbox.faults.add(Fault(do="answer", status=307, headers=elsewhere, path="owners"))
    with pytest.raises(Unavailable, match="another address"):
        ready.owners()


def test_a_link_to_the_next_page_is_not_followed_elsewhere(sandbox, ready):
    page = {"results": [], "paging": {"next": {"after": "5", "link": "https://evil.example/steal"}}}
    sandbox.faults.add(Fault(do="answer", status=200, body=page, path="owners", nth=1))
    ready.owners()
    assert all(each.path.startswith("/crm/owners") for each in calls(sandbox)[-3:])


@pytest.mark.parametrize(
    "url",
    [
        "http://api.hubapi.com",
        "https://api.hubapi.com.evil.io",
        "https://user:pw@api.hubapi.com",
        "https://169.254.169.254",
    ],
)
def test_a_token_goes_to_hubspot_only(url):
    with pytest.raises(ValueError, match=r"https://|host must be|remove the user name"):
        Settings(base_url=url)


def test_stop_ends_a_wait_at_once(sandbox):
    stop = threading.Event()
    connector = hubspot(sandbox, stop=stop)
    sandbox.faults.add(Fault(do="answer", status=429, headers={"Retry-After": "290"}, path="owners"))
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Cancelled):
        connector.owners()


def test_stop_is_heard_while_hubspot_says_nothing(sandbox):
    stop = threading.Event()
    connector = hubspot(sandbox, stop=stop)
    sandbox.faults.add(Fault(do="silence", path="owners"))
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Cancelled):
        connector.owners()


def test_stop_is_heard_while_batches_are_under_way(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(300)]
    stop = threading.Event()
    connector = hubspot(sandbox, stop=stop)
    sandbox.faults.add(Fault(do="silence", path="batch/update", first=2))
    receipts = connector.write([change(contact_id, score=9) for contact_id in ids])
    assert next(receipts).ok
    stop.set()
    with pytest.raises(Cancelled):
        list(receipts)


def test_calls_leave_no_threads_or_sockets_behind(sandbox, ready):
    def held():
        return len(os.listdir("/proc/self/fd"))

    pulled(ready.activities(None))
    before = held()
    for _ in range(30):
        ready._portal.forget()
        pulled(ready.contacts(None))
    assert held() <= before + 8


def test_no_secret_is_logged_even_when_everything_is(sandbox, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    sandbox.do("hubspot", "issue_token", token="canary-token")
    connector = hubspot(sandbox, token="canary-token")
    sandbox.faults.add(Fault(do="answer", status=503, path="owners", nth=1))
    sandbox.faults.add(Fault(**refused(404, message="no"), path="pipelines"))
    contacts(connector)
    assert connector.owners()
    assert "canary" not in caplog.text
    assert "canary" not in repr(connector._api.settings)


def test_stop_ends_a_pull_between_pages(sandbox):
    stop = threading.Event()
    pages = hubspot(sandbox, stop=stop).contacts(None)
    next(pages)
    stop.set()
    with pytest.raises(Cancelled):
        list(pages)


def test_two_portals_in_one_process_keep_their_tokens_apart(sandbox):
    right, wrong = hubspot(sandbox), hubspot(sandbox, token="another")
    assert right.account()
    with pytest.raises(Unauthorized):
        wrong.account()
    assert right.owners()
