"""The token that HubSpot takes: a fixed one, or an OAuth app's, renewed before it ends."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from connectors.hubspot.endpoints import endpoint_of
from connectors.hubspot.errors import RequestRefused, Unauthorized, id_of
from connectors.hubspot.settings import Settings
from crmsync.errors import ConfigError, Transient

EARLY = 120.0
"""Seconds before its end at which an access token is renewed; HubSpot's live 30 minutes."""

Send = Callable[..., Any]


class Tokens:
    """Hands out the access token; one thread renews it while the others wait."""

    def __init__(self, settings: Settings, send: Send, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._send, self._clock = settings, send, clock
        self._lock = threading.Lock()
        self._access: SecretStr | None = settings.token
        self._ends = float("inf") if settings.token else float("-inf")

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be replaced without a human."""
        return self._settings.token is None

    def current(self) -> str:
        """A token that is good for the next call."""
        with self._lock:
            if self._access is None or self._clock() > self._ends - EARLY:
                self._renew()
            assert self._access is not None
            return self._access.get_secret_value()

    def renewed(self, instead_of: str) -> str:
        """A token other than the one HubSpot has just refused."""
        with self._lock:
            if self._access is None or self._access.get_secret_value() == instead_of:
                self._renew()
            assert self._access is not None
            return self._access.get_secret_value()

    def _renew(self) -> None:
        given = self._settings
        assert given.client_secret is not None
        refresh = self._refresh_token()
        form = {
            "grant_type": "refresh_token",
            "client_id": given.client_id,
            "client_secret": given.client_secret.get_secret_value(),
            "refresh_token": refresh,
        }
        try:
            answer = self._send("POST", endpoint_of(given.api_version, "token"), None, form=list(form.items()))
        except (RequestRefused, Unauthorized):
            raise ConfigError(
                "HubSpot no longer accepts the OAuth refresh token or the client secret: install the app again and set "
                "CRMSYNC_HUBSPOT__REFRESH_TOKEN"
            ) from None
        access, following = answer.get("access_token"), answer.get("refresh_token")
        if not isinstance(access, str) or not access or not isinstance(following, str | None):
            raise Transient("HubSpot's log-in did not return a token")
        self._access = SecretStr(access)
        self._ends = self._clock() + int(id_of(answer.get("expires_in")) or 1800)
        if following not in (None, refresh):
            self._keep(following)

    def _configured(self) -> str:
        assert self._settings.refresh_token is not None
        return self._settings.refresh_token.get_secret_value()

    def _refresh_token(self) -> str:
        """The latest refresh token: the file's, as long as it descends from the one that is configured."""
        try:
            kept = json.loads(self._file().read_text(encoding="utf-8"))
        except FileNotFoundError:
            return self._configured()
        except (OSError, ValueError) as error:
            raise ConfigError(f"the token file {self._file()} cannot be read ({type(error).__name__})") from None
        return str(kept["refresh_token"]) if kept.get("from") == _print(self._configured()) else self._configured()

    def _keep(self, refresh: str) -> None:
        text = json.dumps({"from": _print(self._configured()), "refresh_token": refresh})
        beside = self._file().with_suffix(".new")
        try:
            beside.unlink(missing_ok=True)
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            # A crash leaves the old file or the new one, each whole: without a token nobody gets in.
            beside.replace(self._file())
        except OSError as error:
            raise ConfigError(f"the token file {self._file()} cannot be written ({error.strerror})") from None

    def _file(self) -> Path:
        return Path(self._settings.token_file or "")


def _print(token: str) -> str:
    """A fingerprint that tells tokens apart and cannot be turned back."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]
