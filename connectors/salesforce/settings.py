"""The `[salesforce]` table of the config."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.http import checked_address, is_loopback
from connectors.salesforce.feeds import DEFAULT_FEEDS, SOURCES
from crmsync.config.tables import Duration, Feed, Table

SUFFIXES = ("my.salesforce.com", "my.salesforce.mil", "my.sfcrmproducts.cn")
"""Hosts of Salesforce itself, where every org has its own My Domain."""

RETIRED = {
    "password": "the user name and password log-in",
    "username_password": "the user name and password log-in",
    "soap": "the SOAP log-in with a security token",
    "security_token": "the SOAP log-in with a security token",
}
INSTEAD = 'use auth = "client_credentials" with an External Client App (docs/salesforce.md shows the clicks)'
SHARED_HOSTS = re.compile(r"^(login|test|[a-z]{2,3}\d+)\.salesforce\.com$")


def normal_address(url: str) -> str:
    """The org's My Domain address, from what people paste: a path, a doubled scheme, a Lightning host.

    >>> normal_address("https://acme--uat.sandbox.lightning.force.com/lightning/page/home")
    'https://acme--uat.sandbox.my.salesforce.com'
    """
    scheme, bare = re.match(r"(?i)\s*((?:https?:/+)*)(.*?)\s*$", url).groups()  # type: ignore[union-attr]
    host = re.sub(r"\.lightning\.force\.com(?=[:/]|$)", ".my.salesforce.com", bare, flags=re.IGNORECASE)
    if SHARED_HOSTS.match(host.split("/")[0].lower()):
        raise ValueError(f"{host.split('/')[0]} is shared by many orgs; {_WHERE}")
    plain = scheme.lower().startswith("http:")
    try:
        address = checked_address(f"{'http' if plain else 'https'}://{host}", SUFFIXES)
        if not is_loopback(address) and (re.search(r"\s", bare) or not _ORG.fullmatch(address)):
            raise ValueError(f"{bare!r} is not the address of an org")
        return address
    except ValueError as error:
        raise ValueError(f"{error}; {_WHERE}") from None


_ORG = re.compile(rf"(?i)https://[a-z0-9-]+(\.[a-z0-9-]+)*\.({'|'.join(map(re.escape, SUFFIXES))})(:\d{{1,5}})?")
"""Of one org: a name stands before the host that all of them share."""

_WHERE = "use the address in Setup > My Domain, for example https://acme.my.salesforce.com"


class Settings(Table):
    """One Salesforce org: where it is, how to log in, and how much of it crmsync may use.

    Secrets (`client_secret`, `private_key`, `refresh_token`) belong in the environment or the secrets folder.
    `api_share` is the share of the org's rolling 24-hour API requests, all tools together, at which crmsync stops.
    More than `bulk_threshold` changes of scores are written by Bulk API 2.0, never those of a stage or an owner; more
    than `bulk_query_threshold` rows are read by it.
    A run waits for a bulk job for at most `bulk_wait`; the next run continues with a job that takes longer.
    `stage_field` names, for each kind, the picklist that holds the lifecycle stage.
    """

    instance_url: str
    api_version: str = "66.0"
    auth: Literal["client_credentials", "jwt", "refresh_token"] = "client_credentials"
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    username: str = ""
    private_key: SecretStr = SecretStr("")
    private_key_file: str = ""
    refresh_token: SecretStr = SecretStr("")
    refresh_token_file: str = ""
    api_share: float = Field(default=0.7, gt=0, le=1)
    bulk_threshold: int = Field(default=2000, ge=200)
    bulk_query_threshold: int = Field(default=50_000, ge=2000)
    bulk_wait: Duration = timedelta(minutes=30)
    stage_field: dict[Literal["lead", "contact"], str] = {"lead": "Status", "contact": "Crmsync_Stage__c"}
    permission_set: str = Field(default="Crmsync", pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")
    activities: list[Feed] = list(DEFAULT_FEEDS)

    @model_validator(mode="before")
    @classmethod
    def _no_passwords(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for key in ("password", "security_token"):
                if key in given:
                    raise ValueError(f"Salesforce retires {RETIRED[key]} in 2027, and new orgs refuse it; {INSTEAD}")
        return given

    @field_validator("auth", mode="before")
    @classmethod
    def _not_retired(cls, value: Any) -> Any:
        if isinstance(value, str) and value.lower() in RETIRED:
            raise ValueError(f"Salesforce retires {RETIRED[value.lower()]} in 2027, and new orgs refuse it; {INSTEAD}")
        return value

    @field_validator("instance_url")
    @classmethod
    def _my_domain(cls, value: str) -> str:
        return normal_address(value)

    @field_validator("api_version")
    @classmethod
    def _plain_version(cls, value: str) -> str:
        found = re.fullmatch(r"v?(\d{2,3})(?:\.0)?", value.strip())
        if not found or int(found[1]) < 56:
            raise ValueError('write a version, "56.0" or higher, for example "66.0"')
        return f"{found[1]}.0"

    @field_validator("activities")
    @classmethod
    def _known_sources(cls, value: list[Feed]) -> list[Feed]:
        if unknown := sorted({feed.source for feed in value} - set(SOURCES)):
            raise ValueError(
                f"there is no activity source {', '.join(map(repr, unknown))}; the sources are {', '.join(SOURCES)}"
            )
        return value

    @property
    def plain(self) -> bool:
        """Whether the address is plain http, which only loopback may be."""
        return self.instance_url.startswith("http:") and is_loopback(self.instance_url)
