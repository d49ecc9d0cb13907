"""Taking secrets out of texts, also out of what a CRM says, and taking people out of what is logged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from pydantic import BaseModel, SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from crmsync.config import Config
from crmsync.config.alerts import read_urls
from crmsync.config.load import SECRET_PARAMETER

HIDDEN = "[hidden]"

SHORTEST_SECRET = 8
"""Shorter values are not looked for in texts: they would blot out ordinary words."""

LONGEST_WORD = 15
"""A path of an address that is longer is looked for in texts, also where it is made of words."""

_CREDENTIAL = re.compile(
    r"""(?ix)
    (?P<kept> \b (?: bearer | basic ) \s+ )  [\w.~+/!=-]{12,}
    | (?P<key> ["']? \b (?: authorization | access_token | refresh_token | client_secret | assertion | password | sid )
        ["']? \s* [=:] \s* ["']? )  (?: (?: bearer | basic ) \s+ )?  [^\s"'&,;)}]{6,}
    """
)


_WORD = re.compile(r"[A-Za-z]?[a-z_-]*|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,12}|[\d.]*")
"""Parts of an address that are no secrets: words, names of hosts, numbers."""

_QUOTATION = re.compile("“[^”]*(?:”|$)")

_PEOPLE = re.compile(
    r"""(?x)
    (?P<query> (?<= [\w/] ) \? [^\s"'?]* = [^\s"']* )
    | (?<! // ) (?<! [\w.+%-] ) [\w.+%-]+ (?: @ | %40 ) [\w-]+ (?: \. [\w-]+ )+
    """
)
"""What is asked for in a web address, and e-mail addresses."""


def hide_people(text: str) -> str:
    """The text without what may be personal: what remains are our own words, codes, names of fields, and ids."""
    return _PEOPLE.sub(lambda found: "?…" if found["query"] else HIDDEN, hide_quotations(text))


def hide_quotations(text: str) -> str:
    """The text without what a CRM said in its own words (see `quote_crm`)."""
    return _QUOTATION.sub("“…”", text)


def hide_secrets(text: str, secrets: Sequence[str]) -> str:
    """The text with the known secrets, and anything that looks like one, taken out."""
    # The longest first: one may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return _CREDENTIAL.sub(lambda found: (found["kept"] or found["key"] or "") + HIDDEN, text)


def secrets_of(config: Config) -> list[str]:
    """Every secret that the config holds."""
    found = [secret for table in config.crms.values() for secret in _secrets_in(table)]
    heartbeat = config.alerts.heartbeat
    urls = [*read_urls(config.alerts), *([heartbeat.get_secret_value()] if heartbeat else [])]
    for source in config.events:
        found += _secrets_in(source)
        found += _passwords(source.url.get_secret_value()) if source.url else []
    return [*found, *_passwords(config.state.url), *(part for url in urls for part in _parts_of(url))]


def _parts_of(url: str) -> list[str]:
    """An address that is a secret, its path, and each part of it that may be one: libraries name them one by one."""
    rest = url.partition("://")[2]
    _host, slash, path = rest.partition("/")
    odd = [part for part in re.split(r"[/?#&=@:,]", rest) if not _WORD.fullmatch(part)]
    # A path that is a word is one of many texts.
    whole = [url, rest, *([slash + path] if odd or len(path) > LONGEST_WORD else [])]
    return list(dict.fromkeys([*whole, *odd, *map(unquote, [*whole, *odd])]))


def _secrets_in(table: BaseModel) -> Iterator[str]:
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, SecretStr) and value.get_secret_value():
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from _secrets_in(value)


def _passwords(url: str) -> list[str]:
    """The passwords of an address, before its host and in its query."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        return []
    query = [values for name, values in address.normalized_query.items() if SECRET_PARAMETER.search(name)]
    return [*filter(None, [address.password]), *(value for values in query for value in values)]
