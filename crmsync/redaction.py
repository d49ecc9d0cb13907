"""Taking secrets out of texts: those that the config holds, and whatever looks like one, also in what a CRM says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from crmsync.config import Config

HIDDEN = "[hidden]"

SHORTEST_SECRET = 8
"""Shorter values are not looked for in texts: they would blot out ordinary words."""

_CREDENTIAL = re.compile(
    r"""(?ix)
    (?P<kept> \b (?: bearer | basic ) \s+ )  [\w.~+/!=-]{12,}
    | (?P<key> ["']? \b (?: authorization | access_token | refresh_token | client_secret | assertion | password | sid )
        ["']? \s* [=:] \s* ["']? )  (?: (?: bearer | basic ) \s+ )?  [^\s"'&,;)}]{6,}
    """
)


def hide_secrets(text: str, secrets: Sequence[str]) -> str:
    """The text with the known secrets, and anything that looks like one, taken out."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return _CREDENTIAL.sub(lambda found: (found["kept"] or found["key"] or "") + HIDDEN, text)


def secrets_of(config: Config) -> list[str]:
    """Every secret that the config holds."""
    found = [secret for table in config.crms.values() for secret in _secrets_in(table)]
    return [*found, *_password(config.state.url)]


def _secrets_in(table: BaseModel) -> Iterator[str]:
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, SecretStr) and value.get_secret_value():
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from _secrets_in(value)


def _password(url: str) -> list[str]:
    try:
        password = make_url(url).password
    except ArgumentError:
        return []
    return [str(password)] if password else []
