"""Where alerts go, and which addresses may stand in the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import BeforeValidator, SecretStr, field_validator
from pydantic_settings import NoDecode

from crmsync.config.mistakes import Mistake
from crmsync.config.tables import Table

_SHAPE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")

_PLAIN_SINKS = ("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "syslog", "rsyslog")
"""Schemes whose addresses need no secret; of all others the host or the path is one."""

_PLAIN_PATH = re.compile(r"[a-z_.-]{0,24}")
"""A part of a path that is a word, and no token."""

_SECRET_KEY = re.compile(r"(?i)^[+:-]|pass|secret|token|key|auth|sig")


def _split_urls(value: Any) -> Any:
    """One text of several addresses as a list: JSON, or separated by blanks."""
    if not isinstance(value, str):
        return value
    if not value.strip().startswith("["):
        return value.split()
    try:
        urls = json.loads(value)
    except ValueError:
        urls = None
    if not isinstance(urls, list) or not all(isinstance(each, str) for each in urls):
        raise ValueError("write the addresses separated by blanks, or as a JSON list")
    return urls


class Alerts(Table):
    """Whom crmsync tells when something is wrong, and over again.

    `urls` are addresses of Apprise (https://appriseit.com/services/, read 2026-11-28), each of them a sink;
    `heartbeat` is an `http` address that is asked for after each run that was good for every CRM.
    """

    urls: Annotated[list[SecretStr], NoDecode, BeforeValidator(_split_urls)] = []
    heartbeat: SecretStr | None = None

    @field_validator("urls")
    @classmethod
    def _are_addresses(cls, value: list[SecretStr]) -> list[SecretStr]:
        for place, each in enumerate(value, 1):
            if not _SHAPE.fullmatch(each.get_secret_value()):
                said = f"address no. {place} is not one; write for example slack://… or mailtos://…"
                raise ValueError(said)
        return value

    @field_validator("heartbeat")
    @classmethod
    def _is_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"(?i)https?://\S+", value.get_secret_value()):
            raise ValueError("write an address that begins with https:// or http://")
        return value


def find_secret_urls(given: Any) -> Iterator[Mistake]:
    """Addresses with a secret that stand in the file; `given` is its `[alerts]` as it was read."""
    table = given if isinstance(given, Mapping) else {}
    urls = table.get("urls")
    written = _split_urls(urls) if isinstance(urls, str) and not urls.strip().startswith("[") else urls
    for key, found, plain in (
        ("urls", written if isinstance(written, list) else [urls], _PLAIN_SINKS),
        ("heartbeat", [table.get("heartbeat")], ("http", "https")),
    ):
        if any(isinstance(each, str) and _holds_secret(each, plain) for each in found):
            variable = f"CRMSYNC_ALERTS__{key.upper()}"
            yield Mistake(
                ("alerts", key),
                "an address with a secret does not belong in this file, and most addresses of alerts are secrets; "
                f"remove it, and set {variable} in the environment, or write it into a file of that name in the "
                "secrets folder (if anybody else has seen this file, make a new address)",
            )


def _holds_secret(url: str, plain: tuple[str, ...]) -> bool:
    scheme, _, rest = url.strip().partition("://")
    before, _, query = rest.partition("?")
    _host, *path = before.split("/")
    return (
        scheme.lower() not in plain
        or "@" in before
        or not all(map(_PLAIN_PATH.fullmatch, path))
        or any(_SECRET_KEY.search(name) for name, _value in parse_qsl(query, keep_blank_values=True))
    )


def read_urls(alerts: Alerts) -> list[str]:
    """The addresses of the sinks, each once; they are secrets."""
    return list(dict.fromkeys(each.get_secret_value() for each in alerts.urls))


_HOST = re.compile(r"(?:[a-z0-9_-]{1,40}\.)+[a-z]{2,12}|\d{1,3}(?:\.\d{1,3}){3}|localhost")


def name_url(url: str) -> str:
    """What to call an address: its scheme, and its host where it is one; many services have a token in that place."""
    scheme, _, rest = url.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    host = re.sub(r":\d+$", "", host)
    return f"{scheme.lower()}://{host}" if _HOST.fullmatch(host) else f"{scheme.lower()}://…"
