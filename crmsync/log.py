"""What the worker tells while it works: events on stderr, and never a secret or anything of a person among them."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

from crmsync.errors import CrmsyncError
from crmsync.redaction import HIDDEN, hide_people, hide_secrets
from crmsync.terminals import shows_plainly

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger
    from structlog.typing import EventDict, Processor

LIBRARIES = ("urllib3", "requests", "hubspot", "simple_salesforce", "apscheduler", "alembic", "asyncio")
"""Who is told of only from a warning on, unless everything is asked for."""

_CREDENTIAL_KEYS = re.compile(r"(?i)authorization|token$|secret$|password$|private_key$")


def start_logging(
    style: Literal["console", "json"],
    level: int,
    secrets: Sequence[str] = (),
    is_wanted: Callable[[logging.LogRecord], bool] = lambda _: True,
) -> None:
    """Send everything that is logged, by crmsync and by libraries, to stderr from `level` on, without `secrets`.

    `is_wanted` may tell of something in another way, and say no.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(is_wanted)
    handler.setFormatter(_LateFormatter(style, secrets))
    logging.raiseExceptions = False  # a line that cannot be written would be printed as it is
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.DEBUG if level <= logging.DEBUG else max(level, logging.WARNING))


class _LateFormatter(logging.Formatter):
    """Makes lines by structlog, which is loaded with the first one: most commands log nothing and need not wait."""

    def __init__(self, style: str, secrets: Sequence[str]) -> None:
        super().__init__()
        self._make = partial(_formatter, style, secrets)

    @cached_property
    def _made(self) -> logging.Formatter:
        return self._make()

    def format(self, record: logging.LogRecord) -> str:
        """A line of what was logged."""
        return self._made.format(record)


def _shared_processors() -> list[Processor]:
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(style: str, secrets: Sequence[str]) -> logging.Formatter:
    """How a line is made, of our own events and of what libraries log; the last but one hides secrets and people."""
    import structlog

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared_processors(), structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Ours, since structlog's own show what variables held (hynek/structlog#715).
            structlog.processors.ExceptionRenderer(_as_dicts if style == "json" else _as_text),
            _Redactor(secrets),
            _renderer(style),
        ],
    )


def get_logger(**bound: Any) -> BoundLogger:
    """A logger with these keys on each event."""
    import structlog

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    logger: BoundLogger = structlog.stdlib.get_logger("crmsync", **bound)
    return logger


def _as_dicts(exc_info: Any) -> list[dict[str, Any]]:
    """An exception and its causes, the first one last. Only our own say what happened: others repeat values."""
    return [
        {
            "exc_type": type(error).__name__,
            "exc_value": _words_of(error),
            "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in _frames(error)],
        }
        for error in _causes(exc_info[1])
    ]


def _as_text(exc_info: Any) -> str:
    """The same for people."""
    parts = [
        f"{type(error).__name__}: {_words_of(error)}\n{''.join(_frames(error).format()).rstrip()}"
        for error in _causes(exc_info[1])
    ]
    return "Traceback of " + "\nbecause of ".join(parts)


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        # As Python shows them: `from None` hides what came before.
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def _words_of(error: BaseException) -> str:
    return str(error) if isinstance(error, CrmsyncError) else HIDDEN


def _frames(error: BaseException) -> traceback.StackSummary:
    return traceback.extract_tb(error.__traceback__)


def _renderer(style: str) -> Processor:
    import structlog

    if style == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and not shows_plainly(), pad_event_to=24)


class _Redactor:
    """The last step before an event is written: secrets, what looks like one, and people are taken out."""

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
        if isinstance(value, BaseException):
            value = f"{type(value).__name__}: {_words_of(value)}"
        return hide_people(hide_secrets(value if isinstance(value, str) else repr(value), self.secrets))
