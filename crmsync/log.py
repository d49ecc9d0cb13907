"""What the worker tells while it works: events with keys and values on stderr, and never a secret among them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from crmsync.redaction import HIDDEN, hide_secrets

LIBRARIES = ("urllib3", "requests", "hubspot", "simple_salesforce", "apscheduler", "alembic", "asyncio")
"""Who is told of only from a warning on, unless everything is asked for."""

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
        self.secrets = secrets

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
        return hide_secrets(value if isinstance(value, str) else repr(value), self.secrets)
