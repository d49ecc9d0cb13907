"""What the worker tells while it works: events with keys and values on stderr, and never a secret among them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import structlog
from pydantic import BaseModel, SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from crmsync.config import Config

HIDDEN = "[hidden]"
LIBRARIES = ("urllib3", "requests", "hubspot", "simple_salesforce", "apscheduler", "alembic", "asyncio")
"""Who is told of only from a warning on, unless everything is asked for."""

SHORTEST_SECRET = 8
"""Shorter values are not looked for in texts: they would blot out ordinary words."""

_CREDENTIAL = re.compile(
    r"""(?ix)
    (?P<kept> \b (?: bearer | basic ) \s+ )  [\w.~+/!=-]{12,}
    | (?P<key> ["']? \b (?: authorization | access_token | refresh_token | client_secret | assertion | password | sid )
        ["']? \s* [=:] \s* ["']? )  (?: (?: bearer | basic ) \s+ )?  [^\s"'&,;)}]{6,}
    """
)
_CREDENTIAL_KEYS = re.compile(r"(?i)authorization|token$|secret$|password$|private_key$")


def start(style: Literal["console", "json"], level: int, secrets: Sequence[str] = ()) -> None:
    """Send everything that is logged, by crmsync and by libraries, to stderr from `level` on, without `secrets`."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(style, secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.DEBUG if level <= logging.DEBUG else max(level, logging.WARNING))


_SHARED: Sequence[Processor] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def _formatter(style: str, secrets: Sequence[str]) -> logging.Formatter:
    """How a line is made, of our own events and of what libraries log; the last step but one takes secrets out."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _tracebacks(style),
            _Redactor(secrets),
            _renderer(style),
        ],
    )


def get(**bound: Any) -> structlog.stdlib.BoundLogger:
    """A logger with these keys on each event."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("crmsync", **bound)
    return logger


def _tracebacks(style: str) -> Processor:
    """Exceptions without local variables: structlog's own choices print them, tokens too (structlog 26.1, 2026-11)."""
    if style == "json":
        return structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    return structlog.processors.format_exc_info


def _renderer(style: str) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
    )


class _Redactor:
    """The last step before an event is written: known secrets and anything that looks like one are taken out."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self.secrets = sorted((each for each in secrets if len(each) >= SHORTEST_SECRET), key=len, reverse=True)

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        return {name: self._cleaned(name, value) for name, value in event.items()}

    def _cleaned(self, name: str, value: Any) -> Any:
        if isinstance(value, bool | int | float | None):
            return value
        if _CREDENTIAL_KEYS.search(name):
            return HIDDEN
        if isinstance(value, Mapping):
            return {str(key): self._cleaned(str(key), each) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._cleaned(name, each) for each in value]
        return self.hide(value if isinstance(value, str) else repr(value))

    def hide(self, text: str) -> str:
        """The text without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return _CREDENTIAL.sub(lambda found: (found["kept"] or found["key"] or "") + HIDDEN, text)


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """A text for people, with the known secrets and anything that looks like one taken out."""
    return _Redactor(secrets).hide(text)


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
