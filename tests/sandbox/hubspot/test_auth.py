"""The sandbox's HubSpot: tokens, scopes and rate limits."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from hubspot import HubSpot
from hubspot.crm.contacts import ApiException
from starlette.applications import Starlette

from connectors.sandbox.hubspot import SandboxPortal
from tests.support.sandbox_hubspot import Asker, only, updated


def test_another_token_is_refused(served, portal):
    with pytest.raises(ApiException) as refusal:
        HubSpot.create(access_token="wrong", host=served.url).crm.contacts.basic_api.get_page()
    assert refusal.value.status == 401
    assert "INVALID_AUTHENTICATION" in refusal.value.body


def test_the_word_bearer_has_a_capital(served, portal):
    headers = {"Authorization": "bearer sandbox-token"}
    assert requests.get(f"{served.url}/crm/v3/owners", headers=headers, timeout=5).status_code == 401


def test_a_token_that_expired_says_when(ask, portal, clock):
    portal.actions["issue_token"]({"token": "short", "seconds": 20})
    assert ask("GET", "/crm/v3/owners", token="short").status_code == 200
    clock.at += timedelta(seconds=21)
    answer = ask("GET", "/crm/v3/owners", token="short")
    assert (answer.status_code, answer.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")


def test_a_missing_scope_is_named(ask, portal):
    portal.actions["set"]({"scopes": ["crm.objects.contacts.read"]})
    assert ask("POST", "/crm/objects/2026-09/contacts/search", {}).status_code == 200
    answer = updated(ask, {"id": only(portal, "First7"), "properties": {"phone": "1"}})
    assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
    assert answer.json()["context"]["requiredGranularScopes"] == ["crm.objects.contacts.write"]
    assert ask("GET", "/crm/v3/owners").status_code == 403


@pytest.mark.parametrize("version", ["v1", "2026-09"])
def test_a_refresh_token_is_rotated_and_the_old_one_refused(served, portal, version):
    form = {"grant_type": "refresh_token", "client_id": "sandbox", "client_secret": "sandbox"}
    tokens = [
        requests.post(
            f"{served.url}/oauth/{version}/token", data={**form, "refresh_token": "sandbox-refresh"}, timeout=5
        )
        for _ in range(2)
    ]
    assert [each.status_code for each in tokens] == [200, 400]
    assert (tokens[0].json()["expires_in"], tokens[1].json()["status"]) == (1_800, "BAD_REFRESH_TOKEN")
    answer = Asker(served.url, requests)("GET", "/crm/v3/owners", token=tokens[0].json()["access_token"])
    assert answer.status_code == 200


def test_the_burst_limit_rolls(ask, portal, clock):
    portal.actions["set"]({"rate_limits": True, "burst": 3})
    assert [ask("GET", "/crm/v3/owners").status_code for _ in range(4)] == [200, 200, 200, 429]
    body = ask("GET", "/crm/v3/owners").json()
    assert (body["errorType"], body["policyName"]) == ("RATE_LIMIT", "TEN_SECONDLY_ROLLING")
    assert body["message"] == "You have reached your ten_secondly_rolling limit."
    clock.at += timedelta(seconds=10)
    answer = ask("GET", "/crm/v3/owners")
    assert answer.headers["X-HubSpot-RateLimit-Remaining"] == "2"


def test_searches_have_a_limit_of_their_own_and_no_headers(ask, portal, clock):
    portal.actions["set"]({"rate_limits": True})
    answers = [ask("POST", "/crm/v3/objects/contacts/search", {}) for _ in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert answers[-1].json()["policyName"] == "SECONDLY"
    assert not [each for each in answers[0].headers if "ratelimit" in each.lower()]
    clock.at += timedelta(seconds=1)
    assert ask("POST", "/crm/v3/objects/contacts/search", {}).status_code == 200


def test_the_day_ends_at_the_portals_midnight(ask, portal, clock):
    portal.actions["set"]({"rate_limits": True, "daily": 2, "retry_after": 7})
    answers = [ask("GET", "/crm/v3/owners") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert (answers[2].json()["policyName"], answers[2].headers["Retry-After"]) == ("DAILY", "7")
    clock.at = datetime(2026, 11, 21, 23, 0, tzinfo=UTC)
    assert ask("GET", "/crm/v3/owners").status_code == 200


@pytest.mark.parametrize(("tier", "burst"), [("free", "100"), ("enterprise", "190")])
def test_a_bigger_subscription_has_a_bigger_burst(served, clock, tier, burst):
    served.app = Starlette(routes=SandboxPortal(clock, tier=tier).routes())
    answer = Asker(served.url, requests)("GET", "/crm/v3/owners")
    assert answer.headers["X-HubSpot-RateLimit-Max"] == burst
