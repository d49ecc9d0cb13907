"""The `[hubspot]` table of the config, and what becomes an activity unless it says otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.http import checked_address, is_loopback
from crmsync.config.tables import Duration, Feed, Table

CUSTOM_EVENT = "pe_"
"""A feed's source `pe_<name>` is this portal's custom event of that name; HubSpot spells it `pe<portal>_<name>`."""

DEFAULT_FEEDS = [
    Feed(
        source="emails",
        kind="email_replied",
        where={"hs_email_direction": "INCOMING_EMAIL"},
        attributes={"subject": "hs_email_subject"},
    ),
    Feed(
        source="emails",
        kind="email_sent",
        where={"hs_email_direction": ["EMAIL", "FORWARDED_EMAIL"], "hs_email_status": "SENT"},
        attributes={"subject": "hs_email_subject"},
    ),
    Feed(
        source="meetings",
        kind="meeting_held",
        where={"hs_meeting_outcome": "COMPLETED"},
        attributes={"subject": "hs_meeting_title", "outcome": "hs_meeting_outcome"},
    ),
    Feed(
        source="meetings",
        kind="meeting_booked",
        where={"hs_meeting_outcome": ["", "SCHEDULED", "RESCHEDULED"]},
        attributes={"subject": "hs_meeting_title", "outcome": "hs_meeting_outcome"},
    ),
    Feed(
        source="calls",
        kind="call_completed",
        where={"hs_call_status": ["", "COMPLETED"]},
        attributes={"subject": "hs_call_title", "outcome": "hs_call_disposition"},
    ),
    Feed(
        source="calls",
        kind="call_attempted",
        where={"hs_call_status": ["BUSY", "NO_ANSWER"]},
        attributes={"subject": "hs_call_title", "outcome": "hs_call_disposition"},
    ),
    Feed(source="notes", kind="note_logged"),
    Feed(source="communications", kind="note_logged", attributes={"channel": "hs_communication_channel_type"}),
    Feed(
        source="tasks",
        kind="task_completed",
        where={"hs_task_status": "COMPLETED"},
        attributes={"subject": "hs_task_subject"},
    ),
    Feed(source="forms", kind="form_submitted", attributes={"form": "form", "url": "pageUrl"}),
    Feed(source="e_visited_page", kind="page_viewed", attributes={"url": "hs_url"}),
    Feed(source="pe_content_downloaded", kind="content_downloaded", attributes={"asset": "asset"}),
    Feed(source="pe_webinar_registered", kind="webinar_registered", attributes={"campaign": "campaign"}),
    Feed(source="pe_webinar_attended", kind="webinar_attended", attributes={"campaign": "campaign"}),
    Feed(source="pe_event_registered", kind="event_registered", attributes={"campaign": "campaign"}),
    Feed(source="pe_event_attended", kind="event_attended", attributes={"campaign": "campaign"}),
]


class Webhooks(Table):
    """Where HubSpot's webhooks are received, over plain HTTP; a proxy in front of it provides https.

    `public_url` is exactly the target URL of the HubSpot app: it is part of what HubSpot signs.
    """

    public_url: str
    host: str = "127.0.0.1"
    port: int = Field(default=8_410, ge=1, le=65_535)
    path: str = "/hubspot"
    client_secret: SecretStr | None = None

    @field_validator("public_url")
    @classmethod
    def _whole_and_encrypted(cls, value: str) -> str:
        parts = urlsplit(value)
        if not parts.hostname or not parts.path or parts.fragment or parts.username:
            raise ValueError("write the whole target URL of the app, for example https://leads.acme.example/hubspot")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(value)):
            raise ValueError("HubSpot calls https:// addresses only")
        return value

    @field_validator("path")
    @classmethod
    def _begins_with_a_slash(cls, value: str) -> str:
        if not value.startswith("/") or set(value) & set("{}?#"):
            raise ValueError('write a path, for example "/hubspot"')
        return value

    def secret(self) -> str:
        """The client secret of the app, without which anybody could sign; empty where there is none."""
        return self.client_secret.get_secret_value().strip() if self.client_secret else ""


class Settings(Table):
    """How to reach a HubSpot portal and what to read there.

    Credentials come from the environment or the secrets folder: a service key or private-app `token`, or the three of
    an OAuth app with a `token_file` for the refresh token that HubSpot may replace.
    """

    base_url: str = "https://api.hubapi.com"
    api_version: Literal["2026-09", "2026-03", "v3"] = "2026-09"
    token: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None
    token_file: str | None = None
    calls_per_10s: int | None = Field(
        default=None, ge=1, description="API calls in 10 seconds; by default the limit that HubSpot reports"
    )
    searches_per_second: int = Field(default=5, ge=1, description="searches in one second, for the whole portal")
    api_share: float = Field(default=0.7, gt=0, le=1, description="share of the portal's daily API calls")
    concurrency: int = Field(default=8, ge=1, le=50)
    look_back: Duration = timedelta(minutes=10)
    history: Duration = timedelta(days=400)
    backfill: Literal["list", "export"] = "list"
    mass_write: Literal["batch", "import"] = "batch"
    import_threshold: int = Field(default=5_000, ge=100, description="number of scores from which an import is used")
    counters: bool = True
    activities: list[Feed] = DEFAULT_FEEDS
    backward_stages: bool = False
    webhooks: Webhooks | None = None

    @field_validator("base_url")
    @classmethod
    def _hubspot_or_loopback(cls, value: str) -> str:
        return checked_address(value, ("hubapi.com",))

    @field_validator("look_back")
    @classmethod
    def _longer_than_the_index_lags(cls, value: timedelta) -> timedelta:
        if value < timedelta(minutes=1):
            raise ValueError('write at least "1m": HubSpot\'s search shows changes with a delay')
        return value

    @model_validator(mode="after")
    def _oauth_is_whole(self) -> Settings:
        parts = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
            "token_file": self.token_file,
        }
        missing = [name for name, value in parts.items() if not value]
        if len(missing) < len(parts) and missing:
            raise ValueError(f"OAuth also needs {', '.join(missing)}; or use only a token")
        return self
