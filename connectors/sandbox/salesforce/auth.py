"""Tokens: who gets one, how long it lives, and how Salesforce refuses."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import jwt

from connectors.sandbox.digits import is_count
from connectors.sandbox.salesforce.state import INTEGRATION_USER, ORG_ID, OrgState
from connectors.sandbox.salesforce.values import SalesforceRefusal
from connectors.sandbox.salesforce.wire import Answer

CLIENT = "sandbox"
"""The client id and the client secret the sandbox accepts."""
REFRESH_TOKEN = "sandbox-refresh-token"
"""The refresh token a fresh org accepts."""


@dataclass
class Sessions:
    """The tokens that are good now, with the calls each has made; keys of apps that log in with a JWT."""

    calls: dict[str, int] = field(default_factory=dict)
    refresh_tokens: set[str] = field(default_factory=lambda: {REFRESH_TOKEN})
    keys: dict[str, str] = field(default_factory=dict)
    issued: int = 0

    def issue(self) -> str:
        self.issued += 1
        token = f"{ORG_ID[:15]}!AQ{secrets.token_urlsafe(48)}"
        self.calls[token] = 0
        return token


def _refused(error: str, description: str, status: int = 400) -> Answer:
    return Answer(status, {"error": error, "error_description": description})


def _client(form: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return name, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def _client_refused(client: tuple[str, str]) -> Answer | None:
    if client[0] != CLIENT:
        return _refused("invalid_client_id", "client identifier invalid")
    if client[1] != CLIENT:
        return _refused("invalid_client", "invalid client credentials")
    return None


def _granted(sessions: Sessions, address: str, **more: Any) -> Answer:
    body = {
        "access_token": sessions.issue(),
        "signature": base64.b64encode(secrets.token_bytes(32)).decode(),
        "scope": "api",
        "instance_url": address,
        "id": f"{address}/id/{ORG_ID}/{INTEGRATION_USER}",
        "token_type": "Bearer",
        "issued_at": str(int(time.time() * 1000)),
    }
    return Answer(200, body | more, {"Cache-Control": "no-store"})


def _bearer(sessions: Sessions, form: Mapping[str, str], address: str) -> Answer:
    assertion = form.get("assertion", "")
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
        algorithm = jwt.get_unverified_header(assertion).get("alg")
        issuer = str(claims.get("iss"))
        if algorithm != "RS256":
            return _refused("invalid_grant", "invalid assertion")
        if issuer in sessions.keys:
            jwt.decode(assertion, sessions.keys[issuer], algorithms=["RS256"], options={"verify_aud": False})
    except jwt.PyJWTError:
        return _refused("invalid_grant", "invalid assertion")
    if issuer != CLIENT and issuer not in sessions.keys:
        return _refused("invalid_client_id", "client identifier invalid")
    if not {"iss", "sub", "aud", "exp"} <= claims.keys():
        return _refused("invalid_grant", "invalid assertion")
    if "test.salesforce.com" in str(claims["aud"]):
        return _refused("app_not_found", "External client app is not installed in this org")
    expires = str(claims["exp"])  # simple-salesforce 1.12.10 sends it as text, and Salesforce takes that
    if not is_count(expires) or not time.time() < int(expires) < time.time() + 360:
        return _refused("invalid_grant", "expired authorization code")
    return _granted(sessions, address)


def _refreshed(state: OrgState, sessions: Sessions, form: Mapping[str, str], address: str) -> Answer:
    token = form.get("refresh_token", "")
    if token not in sessions.refresh_tokens:
        return _refused("invalid_grant", "expired access/refresh token")
    if not state.switches.rotate_refresh_tokens:
        return _granted(sessions, address)
    sessions.refresh_tokens.remove(token)
    rotated = "5Aep" + secrets.token_urlsafe(48)
    sessions.refresh_tokens.add(rotated)
    return _granted(sessions, address, refresh_token=rotated)


def grant_token(state: OrgState, sessions: Sessions, body: bytes, headers: Mapping[str, str], address: str) -> Answer:
    """`POST /services/oauth2/token`: `address` is where this org is reached."""
    form = dict(parse_qsl(body.decode()))
    grant = form.get("grant_type", "")
    if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
        return _bearer(sessions, form, address)
    if grant == "password":
        return _refused("invalid_grant", "authentication failure")
    if grant not in ("client_credentials", "refresh_token"):
        return _refused("unsupported_grant_type", "grant type not supported")
    client = _client(form, headers)
    if grant == "refresh_token" and not client[1]:
        client = client[0], CLIENT  # a public app has no secret
    if problem := _client_refused(client):
        return problem
    if grant == "refresh_token":
        return _refreshed(state, sessions, form, address)
    return _granted(sessions, address)


def bearer_of(headers: Mapping[str, str]) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() in ("bearer", "oauth") else headers.get("x-sfdc-session", "")


def admit_request(state: OrgState, sessions: Sessions, headers: Mapping[str, str]) -> None:
    """Let a call in and count it. Raises `Refusal`: the session is over, or a limit is reached."""
    token_ = bearer_of(headers)
    calls = sessions.calls.get(token_)
    if calls is None:
        raise SalesforceRefusal("INVALID_SESSION_ID", "Session expired or invalid", status=401)
    if state.switches.session_calls and calls >= state.switches.session_calls:
        del sessions.calls[token_]
        raise SalesforceRefusal("INVALID_SESSION_ID", "Session expired or invalid", status=401)
    sessions.calls[token_] = calls + 1
    if state.switches.concurrent_errors > 0:
        state.switches.concurrent_errors -= 1
        raise SalesforceRefusal(
            "REQUEST_LIMIT_EXCEEDED",
            "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            status=403,
        )
    if state.usage >= state.switches.max_usage:
        raise SalesforceRefusal("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=403)
    state.usage += 1


def identify_user(state: OrgState, address: str) -> dict[str, Any]:
    """Who the integration user is, for `userinfo` and the identity URL."""
    name = state.value(INTEGRATION_USER, "Name")
    return {
        "sub": f"{address}/id/{ORG_ID}/{INTEGRATION_USER}",
        "id": f"{address}/id/{ORG_ID}/{INTEGRATION_USER}",
        "user_id": INTEGRATION_USER,
        "organization_id": ORG_ID,
        "preferred_username": state.value(INTEGRATION_USER, "Username"),
        "username": state.value(INTEGRATION_USER, "Username"),
        "name": name,
        "display_name": name,
        "email": state.value(INTEGRATION_USER, "Email"),
        "active": True,
        "user_type": "STANDARD",
        "urls": {
            "rest": f"{address}/services/data/v{{version}}/",
            "query": f"{address}/services/data/v{{version}}/query/",
            "sobjects": f"{address}/services/data/v{{version}}/sobjects/",
            "custom_domain": address,
        },
    }


def introspect_token(sessions: Sessions, body: bytes) -> Answer:
    token_ = dict(parse_qsl(body.decode())).get("token", "")
    if token_ not in sessions.calls:
        return Answer(200, {"active": False})
    return Answer(
        200,
        {"active": True, "scope": "api", "client_id": CLIENT, "sub": INTEGRATION_USER, "token_type": "access_token"},
    )


def soap_refused(version: str) -> Answer:
    """What SOAP `login()` gets: it is gone from API 65 and off in new orgs."""
    if is_count(version.split(".")[0]) and int(version.split(".")[0]) >= 65:
        code, text = (
            "UNSUPPORTED_API_VERSION",
            f"Invalid Api version specified on URL: login() is not available in {version}",
        )
    else:
        code, text = "INVALID_OPERATION", "SOAP API login() is disabled by default in this org."
    fault = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {text}</faultstring><detail>"
        f'<sf:UnexpectedErrorFault xsi:type="sf:UnexpectedErrorFault"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{text}</sf:exceptionMessage></sf:UnexpectedErrorFault></detail></soapenv:Fault>"
        "</soapenv:Body></soapenv:Envelope>"
    )
    return Answer(500, fault.encode(), type="text/xml;charset=UTF-8")
