"""The pieces every table of the config is made of."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from crmsync.model import Scalar

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Table(BaseModel):
    """A table of the config: frozen once read, refuses unknown keys, never repeats a value in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"\s*(\d+)\s*([smhdw])\s*", value) if isinstance(value, str) else None
    if not found:
        raise ValueError('write a whole number and a unit, for example "15m", "36h", "30d" or "2w"')
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def spelled_duration(value: timedelta) -> str:
    """The shortest way to write a duration that the config accepts: `timedelta(days=30)` → `"30d"`."""
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(spelled_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+\s*[smhdw]\s*$", "examples": ["15m", "30d"]}),
]
"""A length of time, written "15m", "36h", "30d" or "2w"."""


class Feed(Table):
    """How records of one CRM source become activities of one kind.

    `source` is the CRM's word for where they are (HubSpot `emails`, Salesforce `Task`); `where` narrows them by the
    CRM's own values; `attributes` gives ours their names: `{subject = "Subject"}`.
    """

    source: str
    kind: str
    where: dict[str, Scalar | list[str]] = {}
    attributes: dict[str, str] = {}
