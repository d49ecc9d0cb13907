"""HubSpot's property values, all of them text, and what they mean."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from crmsync.model import Scalar

TEXT_LIMIT = 65_536
"""Characters a text property holds (https://developers.hubspot.com/docs/api-reference/crm-properties, 2026-11-21)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Definition:
    """A property as the portal defines it. `options` are the values an enumeration takes, in their order.

    `labels` are what people read instead of these values, in the same order, and `label` instead of the name.
    `group` is the id of its group.
    """

    name: str
    type: str
    field_type: str
    writable: bool
    options: tuple[str, ...] = ()
    unique: bool = False
    labels: tuple[str, ...] = ()
    label: str = ""
    group: str = ""

    def label_of(self, value: str) -> str:
        """What people read for a value."""
        return dict(zip(self.options, self.labels, strict=False)).get(value, value)

    @property
    def objection_to_keys(self) -> str:
        """Why it cannot hold ids of ours, in words; `""` where it can."""
        if self.unique and self.writable:
            return ""
        lack = "is read-only" if self.unique else "allows two records with one value"
        return f"the HubSpot property {self.name!r} {lack}: delete it in HubSpot and run crmsync setup"

    @property
    def is_yes_or_no(self) -> bool:
        """Whether it holds true or false. What an API makes is often an enumeration of the two with a checkbox
        (https://github.com/HubSpot/hubspot-api-python/issues/16, 2026-11-27).
        """
        return self.type == "bool" or self.field_type == "booleancheckbox"


def definition_of(answer: Mapping[str, Any]) -> Definition | None:
    """Read one entry of the properties endpoint; `None` where it is none."""
    name, options, kept = answer.get("name"), answer.get("options") or [], answer.get("modificationMetadata") or {}
    types = [answer.get("type") or "string", answer.get("fieldType") or "text"]
    if not name or not all(isinstance(each, str) for each in (name, *types)):
        return None
    if not isinstance(options, list) or not isinstance(kept, dict) or not all(map(_is_option, options)):
        return None
    ordered = sorted(options, key=_place)
    offered = [option for option in ordered if not option.get("archived")]
    return Definition(
        name=str(name),
        type=types[0],
        field_type=types[1],
        writable=not kept.get("readOnlyValue") and not answer.get("calculated"),
        options=tuple(str(option["value"]) for option in offered),
        unique=answer.get("hasUniqueValue") is True,
        labels=tuple(_label_in(option) for option in offered),
        label=label if isinstance(label := answer.get("label"), str) and label else str(name),
        group=str(answer.get("groupName") or ""),
    )


def _place(option: Mapping[str, Any]) -> tuple[bool, int]:
    """Where an option is shown: one with a negative number behind all others
    (https://developers.hubspot.com/docs/api-reference/crm-properties, 2026-11-29).
    """
    place = option.get("displayOrder") or 0
    return place < 0, place


def _is_option(option: Any) -> bool:
    return (
        isinstance(option, dict)
        and isinstance(option.get("value"), str | int)
        and isinstance(option.get("displayOrder"), int | None)
    )


def _label_in(option: Mapping[str, Any]) -> str:
    label = option.get("label")
    return label if isinstance(label, str) and label else str(option["value"])


def read_value(value: Any, of: Definition) -> Scalar | None:
    """A property's value; `None` where it is empty or not what its type promises."""
    if value is None or value == "":
        return None
    text = str(value)
    if of.type == "number":
        return number_of(text)
    if of.is_yes_or_no:
        return {"true": True, "false": False}.get(text.lower())
    if of.type in ("date", "datetime"):
        return _iso(text, of.type)
    if of.type == "enumeration" and of.field_type == "checkbox":
        return tuple(part for part in text.split(";") if part) or None
    return text


def number_of(text: str) -> int | float | None:
    """A finite number, whole where it is one."""
    try:
        # Python would read 1_000 as a number.
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _iso(text: str, kind: str) -> str | None:
    at = instant_of(text)
    if at is None:
        return None
    # A date has no zone that could move it to another day (R28).
    return at.date().isoformat() if kind == "date" else at.isoformat().replace("+00:00", "Z")


def instant_of(value: Any) -> datetime | None:
    """An aware UTC instant from any way HubSpot writes one: epoch milliseconds, ISO 8601, a date (its midnight UTC)."""
    if value is None or value == "":
        return None
    text = str(value)
    try:
        if re.fullmatch(r"-?\d+(\.0)?", text):
            return _EPOCH + timedelta(milliseconds=int(float(text)) if "." in text else int(text))
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def to_millis(at: datetime) -> int:
    """Milliseconds since 1970, UTC."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def property_text(value: Scalar | None) -> str:
    """A value as HubSpot takes it; `None` clears. Text loses what is not Unicode text, and what does not fit."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ";".join(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="ignore").decode()[:TEXT_LIMIT]
    return str(value)


def objection_to(value: str, of: Definition | None, name: str) -> str:
    """Why HubSpot would refuse this text for a property, in words; `""` when nothing speaks against it."""
    if of is None:
        return f"HubSpot has no contact property {name!r}: create it with crmsync setup, or correct [write.fields]"
    if not of.writable:
        return f"the HubSpot property {name!r} is read-only: use another one in [write.fields]"
    if not value:
        return ""
    if of.type == "number" and number_of(value) is None:
        return f"the HubSpot property {name!r} accepts only numbers"
    if of.type == "enumeration" and of.options:
        return _unknown_options(value.split(";") if of.field_type == "checkbox" else [value], of, name)
    return ""


def _unknown_options(values: Sequence[str], of: Definition, name: str) -> str:
    unknown = [value for value in values if value not in of.options]
    if not unknown:
        return ""
    said = ", ".join(map(repr, unknown))
    return f"{said} is not an option of the HubSpot property {name!r}: add it in HubSpot, or correct the config"
