"""What stands before every endpoint: tokens, scopes and rate limits; and the OAuth endpoints that give tokens out."""

from __future__ import annotations

from collections import deque
from typing import Any
from urllib.parse import parse_qs

from connectors.sandbox.hubspot.admin import usage_resets_at
from connectors.sandbox.hubspot.state import REFRESH, Gate, PortalState, PortalSwitches
from connectors.sandbox.hubspot.wire import (
    HubspotCall,
    HubspotRefusal,
    Json,
    Reply,
    correlation,
    error,
    iso,
    not_found,
    refuse_scopes,
)

CLIENT = "sandbox"
_LIFE = 1_800
_BURST_WINDOW = 10_000


def admit_call(state: PortalState, call: HubspotCall, scopes: tuple[str, ...]) -> None:
    """Let a call in. Raises 401, 403 or 429 otherwise."""
    _check_token(state.gate, call)
    granted = state.switches.scopes
    if granted is not None and scopes and not set(scopes) & set(granted):
        raise refuse_scopes(scopes)
    _count(state, call)


def _check_token(gate: Gate, call: HubspotCall) -> None:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or token not in gate.expires:
        message = (
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more "
            "details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
        )
        raise HubspotRefusal(401, error(message, "INVALID_AUTHENTICATION"))
    until = gate.expires[token]
    if until is not None and until <= call.now:
        ago = (call.now - until) // 1000
        message = f"The OAuth token used to make this call expired {ago} second(s) ago."
        raise HubspotRefusal(401, error(message, "EXPIRED_AUTHENTICATION", context={"expire time": [iso(until)]}))


def _count(state: PortalState, call: HubspotCall) -> None:
    switches, gate = state.switches, state.gate
    if call.now >= gate.resets_at:
        gate.resets_at, switches.daily_used = usage_resets_at(state, call.now), 0
    switches.daily_used += 1
    if not switches.rate_limits:
        return
    if switches.daily_used > switches.daily:
        raise _too_many(switches, "daily", "DAILY")
    if call.path.endswith("/search") and not _room(gate.searches, call.now, 1_000, switches.searches):
        raise _too_many(switches, "secondly", "SECONDLY")
    if not _room(gate.calls, call.now, _BURST_WINDOW, switches.burst):
        raise _too_many(switches, "ten_secondly_rolling", "TEN_SECONDLY_ROLLING")


def _room(calls: deque[int], now: int, window: int, most: int) -> bool:
    """Whether one more call fits into the rolling window; if so it is counted."""
    while calls and calls[0] <= now - window:
        calls.popleft()
    if len(calls) >= most:
        return False
    calls.append(now)
    return True


def _too_many(switches: PortalSwitches, word: str, policy: str) -> HubspotRefusal:
    body = {
        "status": "error",
        "message": f"You have reached your {word} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": correlation(),
        "policyName": policy,
        "groupName": "publicapi:private-apps:sandbox",
    }
    headers = {} if switches.retry_after is None else {"Retry-After": str(switches.retry_after)}
    return HubspotRefusal(429, body, headers)


def rate_headers(state: PortalState, call: HubspotCall) -> dict[str, str]:
    """What reads say of the limits; searches and writes say nothing."""
    if call.method != "GET":
        return {}
    switches = state.switches
    left = max(0, switches.burst - len(state.gate.calls)) if switches.rate_limits else switches.burst - 1
    return {
        "X-HubSpot-RateLimit-Interval-Milliseconds": str(_BURST_WINDOW),
        "X-HubSpot-RateLimit-Max": str(switches.burst),
        "X-HubSpot-RateLimit-Remaining": str(left),
        "X-HubSpot-RateLimit-Daily": str(switches.daily),
        "X-HubSpot-RateLimit-Daily-Remaining": str(max(0, switches.daily - switches.daily_used)),
    }


def give_token(state: PortalState, call: HubspotCall) -> Reply:
    """`POST /oauth/…/token`: a new access token for a refresh token or a code."""
    if call.version == "v1" and state.switches.legacy_oauth == "gone":
        raise HubspotRefusal(410, error("This endpoint is no longer available.", "GONE"))
    asked = {name: values[0] for name, values in parse_qs(call.raw.decode()).items()}
    if asked.get("client_id") != CLIENT or asked.get("client_secret") != CLIENT:
        raise _bad_grant("BAD_CLIENT_ID", "invalid_client", "missing or unknown client id or secret")
    if asked.get("grant_type") == "refresh_token":
        if asked.get("refresh_token") not in state.gate.refresh:
            raise _bad_grant("BAD_REFRESH_TOKEN", "invalid_grant", "missing or invalid refresh token")
    elif asked.get("grant_type") != "authorization_code":
        raise _bad_grant("BAD_GRANT_TYPE", "unsupported_grant_type", "missing or unknown grant type")
    return Reply(200, _issue(state, call, asked.get("refresh_token", REFRESH)))


def _bad_grant(status: str, code: str, message: str) -> HubspotRefusal:
    body = {
        "status": status,
        "message": message,
        "correlationId": correlation(),
        "error": code,
        "error_description": message,
    }
    return HubspotRefusal(400, body)


def _issue(state: PortalState, call: HubspotCall, refresh: str) -> Json:
    gate = state.gate
    gate.issued += 1
    access = f"sandbox-access-{gate.issued}"
    gate.expires[access] = call.now + _LIFE * 1000
    if state.switches.rotate_refresh_tokens and refresh in gate.refresh:
        gate.refresh.discard(refresh)
        refresh = f"sandbox-refresh-{gate.issued}"
        gate.refresh.add(refresh)
    return {
        "token_type": "bearer",
        "refresh_token": refresh,
        "access_token": access,
        "expires_in": _LIFE,
        "hub_id": state.portal_id,
    }


def token_details(state: PortalState, call: HubspotCall) -> Reply:
    """`GET /oauth/v1/access-tokens/{token}`."""
    found = state.gate.expires.get(call.params["id"])
    if found is None:
        raise not_found("The access token is unknown or expired")
    body: dict[str, Any] = {
        "token": call.params["id"],
        "user": "admin@acme.example",
        "hub_domain": "acme.example",
        "scopes": state.switches.scopes or ["oauth"],
        "hub_id": state.portal_id,
        "app_id": 1,
        "expires_in": max(0, (found - call.now) // 1000),
        "user_id": 1,
        "token_type": "access",
    }
    return Reply(200, body)
