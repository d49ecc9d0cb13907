"""The status page that the daemon serves."""

from __future__ import annotations

import ipaddress

from pydantic import Field, SecretStr, model_validator

from crmsync.config.tables import Table

TOKEN = "CRMSYNC_WEB__TOKEN"
"""The variable that holds the token."""

SHORTEST_TOKEN = 16


class Web(Table):
    """Where `crmsync run` serves its status page.

    On this machine (`127.0.0.1`, `localhost`) everybody may read it. Any other `host` needs a `token`, and so do
    approving a plan and pausing. The token comes from the environment or the secrets folder.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8411, ge=1, le=65535)
    token: SecretStr | None = None

    @property
    def secret(self) -> str:
        """The token, without blanks around it; empty where there is none."""
        return self.token.get_secret_value().strip() if self.token else ""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @model_validator(mode="after")
    def _guarded(self) -> Web:
        if not self.is_loopback and not self.secret:
            raise ValueError(f"host {self.host!r} can be reached by others, so a token is needed: set {TOKEN}")
        if self.secret and len(self.secret) < SHORTEST_TOKEN:
            raise ValueError(f"{TOKEN} is too short; write at least {SHORTEST_TOKEN} characters")
        return self
