"""Access tokens: client credentials, JWT bearer and refresh token, all asked of the org's own My Domain."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import jwt
import requests

from connectors.http import parse_json
from connectors.salesforce.errors import text_of
from connectors.salesforce.settings import Settings
from crmsync.errors import ConfigError, Transient, quote_crm

JWT_LIFE = timedelta(minutes=3)
"""Salesforce takes an assertion that ends at most five minutes ahead."""


@dataclass(frozen=True)
class Token:
    """An access token, where it is good, and who it is (`identity` is a URL that ends in org id and user id)."""

    access: str = field(repr=False)
    instance_url: str
    identity: str = ""


def new_token(session: requests.Session, settings: Settings, now: datetime | None) -> Token:
    """Ask for an access token. Raises `ConfigError` where an admin must act, `Transient` otherwise.

    `now` is the server's clock where it is known: a JWT is good for minutes only.
    """
    form = _GRANTS[settings.auth](settings, now or datetime.now(UTC))
    response = session.request("POST", f"{settings.instance_url}/services/oauth2/token", data=form)
    answer = _json(response)
    if response.status_code != 200:
        _refuse(response.status_code, answer, settings)
    access, instance, rotated = (answer.get(name) for name in ("access_token", "instance_url", "refresh_token"))
    if not _is_sendable(access) or not _is_sendable(instance) or not (rotated is None or _is_sendable(rotated)):
        raise Transient("Salesforce's log-in did not return a token")
    if rotated:
        _keep(settings, rotated)
    return Token(str(access), str(instance), text_of(answer.get("id")))


def _is_sendable(value: Any) -> bool:
    """Whether it is a text that may stand in a header."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value.strip())


def _json(response: requests.Response) -> dict[str, Any]:
    answer = parse_json(response.content)
    if not isinstance(answer, dict):
        raise Transient("Salesforce's log-in sent an unexpected answer")
    return answer


def _client_credentials(settings: Settings, now: datetime) -> dict[str, str]:
    secret = _needed(settings.client_secret.get_secret_value(), "client_secret")
    return {
        "grant_type": "client_credentials",
        "client_id": _needed(settings.client_id, "client_id"),
        "client_secret": secret,
    }


def _jwt(settings: Settings, now: datetime) -> dict[str, str]:
    claims = {
        "iss": _needed(settings.client_id, "client_id"),
        "sub": _needed(settings.username, "username"),
        # External Client Apps refuse login/test.salesforce.com as the audience (n8n-io/n8n#28990, 2026-04-23).
        "aud": settings.instance_url,
        "exp": int((now + JWT_LIFE).timestamp()),
    }
    try:
        assertion = jwt.encode(claims, _private_key(settings), algorithm="RS256")
    except (ValueError, TypeError, jwt.InvalidKeyError):
        raise ConfigError(
            "the private key of [salesforce] is not an RSA key in PEM form; it begins with -----BEGIN PRIVATE KEY-----"
        ) from None
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


def _private_key(settings: Settings) -> str:
    if not settings.private_key_file:
        return _needed(settings.private_key.get_secret_value(), "private_key")
    try:
        return Path(settings.private_key_file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise ConfigError("private_key_file of [salesforce] cannot be read; check the path and its owner") from None


def _refresh(settings: Settings, now: datetime) -> dict[str, str]:
    form = {
        "grant_type": "refresh_token",
        "client_id": _needed(settings.client_id, "client_id"),
        "refresh_token": _kept(settings) or _needed(settings.refresh_token.get_secret_value(), "refresh_token"),
    }
    secret = settings.client_secret.get_secret_value()
    return {**form, "client_secret": secret} if secret else form


_GRANTS: dict[str, Callable[[Settings, datetime], dict[str, str]]] = {
    "client_credentials": _client_credentials,
    "jwt": _jwt,
    "refresh_token": _refresh,
}


def _needed(value: str, name: str) -> str:
    if not value:
        raise ConfigError(f"[salesforce] needs {name}; set CRMSYNC_SALESFORCE__{name.upper()} in the environment")
    return value


def _seed(settings: Settings) -> str:
    return hashlib.sha256(settings.refresh_token.get_secret_value().encode()).hexdigest()[:16]


def _kept(settings: Settings) -> str:
    """The rotated token, unless the configured one was changed since: then an admin has authorised anew."""
    try:
        kept = json.loads(Path(settings.refresh_token_file).read_text(encoding="utf-8"))
        return str(kept["token"]) if kept["seed"] == _seed(settings) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _keep(settings: Settings, rotated: str) -> None:
    """Store a rotated refresh token: the old one is dead from now on, so losing this one locks us out."""
    if not settings.refresh_token_file:
        raise ConfigError("Salesforce rotates the refresh token; set refresh_token_file in [salesforce]")
    path = Path(settings.refresh_token_file)
    text = json.dumps({"seed": _seed(settings), "token": rotated})
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)  # what lies there may be readable to others
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    # A crash leaves the old file or the new one, each whole.
    fresh.replace(path)


_REASONS = {
    "invalid_client_id": "unknown client_id; copy the consumer key of the External Client App",
    "invalid_client": "wrong client_secret; copy the consumer secret of the External Client App",
    "app_not_found": "the External Client App is not in this org; check instance_url and client_id",
    "inactive_user": "the user is inactive; activate it, or choose another Run As user",
    "inactive_org": "the org is inactive",
    "unsupported_grant_type": "the External Client App does not allow this flow; enable it in its OAuth settings",
    "redirect_uri_mismatch": "the External Client App does not allow this flow; enable it in its OAuth settings",
}
_GRANT_REASONS = {
    "client_credentials": "check that the app enables the client-credentials flow and has a Run As user",
    "jwt": "check the certificate, the username, and that an admin pre-authorised the app for that user",
    "refresh_token": "the refresh token has expired or was revoked; authorise crmsync again",
}


def _refuse(status: int, answer: dict[str, Any], settings: Settings) -> NoReturn:
    code, said = text_of(answer.get("error")), text_of(answer.get("error_description"))[:300]
    if status >= 500 or status in (408, 429) or code in ("server_error", "temporarily_unavailable") or not code:
        raise Transient(f"Salesforce's log-in answered {status}")
    if "rate" in code or "rate" in said.lower().split():
        raise Transient(f"Salesforce's log-in answered {status}: {quote_crm(said)}", retry_after=30.0)
    reason = _REASONS.get(code) or _GRANT_REASONS[settings.auth]
    raise ConfigError(f"Salesforce refused the log-in ({code}: {quote_crm(said)}): {reason}")
