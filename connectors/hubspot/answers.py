"""What HubSpot's refusals mean: each answer that is no success becomes one of our errors, here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connectors.http import retry_after_seconds
from crmsync.errors import ConfigError, CrmsyncError, Transient, Unavailable, quote_crm

CRM = "hubspot"

LOCK_WAIT = 2.0
"""Seconds a record stays locked (https://developers.hubspot.com/docs/api-reference/error-handling, 2026-11-21)."""

BURST_WAIT = 10.0
SEARCH_WAIT = 1.0


class Refused(Unavailable):
    """HubSpot understood the request and does not do it; whoever sent it may know what to do about that.

    `body` is the answer, `{}` where it was not JSON.
    """

    def __init__(self, status: int, body: Mapping[str, Any], task: str) -> None:
        self.status, self.body = status, body
        self.category = str(body.get("category") or "")
        message = body.get("message")
        self.said = str(message or f"status {status}")
        words = f"{self.category} {quote_crm(self.said)}".lstrip() if message else self.said
        trace = body.get("correlationId")
        super().__init__(
            CRM,
            f"HubSpot refused to {task}: {words}" + (f" (correlation id {trace})" if trace else ""),
        )


class Forbidden(ConfigError):
    """The credentials may not do this: a scope or the portal's subscription is missing."""

    def __init__(self, said: str, scopes: tuple[str, ...], task: str) -> None:
        self.scopes = scopes
        what = f"add the scope {' or '.join(scopes)}" if scopes else "check its scopes and the portal's subscription"
        reason = "" if scopes else f" ({said})"
        super().__init__(f"HubSpot does not let this token {task}: {what} under Development → Keys{reason}")


class Unauthorized(ConfigError):
    """The token is wrong, expired or revoked."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"HubSpot does not accept the token ({said}): make a new service key in HubSpot under Development → Keys "
            "and put it into CRMSYNC_HUBSPOT__TOKEN"
        )


class Locked(Unavailable):
    """Somebody else is writing one of the records: the others may well be written meanwhile."""


class DailyLimit(Unavailable):
    """The portal's calls of today are used up."""


def verdict(status: int, body: Any, headers: Mapping[str, str], now: datetime, task: str) -> CrmsyncError | None:
    """What an answer means: `None` for a success, otherwise the error to raise.

    `body` is the parsed JSON, or `None` where it was something else (an HTML page). `task` says what was to be done, as
    it stands after "to".
    """
    if 200 <= status < 300:
        unusable = body is None and status != 204
        return (
            Transient(f"HubSpot could not {task} (it answered with something that is not JSON)") if unusable else None
        )
    wait = retry_after_seconds(headers.get("Retry-After"), now)
    known: Mapping[str, Any] = body if isinstance(body, dict) else {}
    if status == 429:
        return _limited(known, wait)
    if status in (408, 425, 477) or status >= 500:
        return Transient(f"HubSpot could not {task} (status {status})", wait)
    if status == 423 or (status == 409 and known.get("category") not in ("OBJECT_ALREADY_EXISTS", "CONFLICT")):
        return Locked(CRM, "another program is writing the same records in HubSpot")
    if 300 <= status < 400:
        return Unavailable(
            CRM, f"HubSpot pointed to another address when it was to {task}, and crmsync does not follow it"
        )
    return _refused(status, known, isinstance(body, dict), task)


def _refused(status: int, body: Mapping[str, Any], is_json: bool, task: str) -> CrmsyncError:
    if status == 401:
        said = quote_crm(str(body["message"])) if body.get("message") else "status 401"
        return Unauthorized(str(body.get("category") or said))
    if status == 403 and not is_json:
        return Transient(f"a web page came from in front of HubSpot when it was to {task}")
    if status == 403:
        said = quote_crm(str(body["message"])) if body.get("message") else "status 403"
        return Forbidden(said, missing_scopes(body), task)
    if status == 410:
        return ConfigError(f"HubSpot no longer lets anybody {task} in this version: set another [hubspot] api_version")
    return Refused(status, body, task)


def _limited(body: Mapping[str, Any], wait: float | None) -> CrmsyncError:
    policy, said = str(body.get("policyName") or ""), str(body.get("message") or "")
    if policy == "DAILY" or "daily" in said.lower():
        return DailyLimit(CRM, "HubSpot's calls for today are used up (they are shared by all integrations)")
    seconds = SEARCH_WAIT if policy == "SECONDLY" or "your secondly" in said else BURST_WAIT
    return Transient("HubSpot's rate limit was reached", seconds if wait is None else wait)


def missing_scopes(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The scopes a MISSING_SCOPES answer names, wherever it does."""
    places = [body, *(each for each in body.get("errors") or () if isinstance(each, dict))]
    found: list[str] = []
    for place in places:
        context = place.get("context") or {}
        for key in ("requiredGranularScopes", "requiredScopes"):
            found += [str(scope) for scope in context.get(key) or ()]
    return tuple(dict.fromkeys(found))
