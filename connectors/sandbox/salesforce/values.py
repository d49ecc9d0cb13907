"""A field's values: the text Salesforce gives them on the wire, and what it refuses.

Dates and instants are kept as their wire text (`2026-11-21T09:30:00.000+0000`): it sorts as time does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from connectors.sandbox.salesforce.schema import NUMBERS, TEXT, SandboxField


class SalesforceRefusal(Exception):
    """What Salesforce refuses: an error code, a sentence and the fields it is about."""

    def __init__(self, code: str, message: str, fields: tuple[str, ...] = (), status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.fields, self.status = code, message, fields, status


def wire(instant: datetime) -> str:
    """An aware instant as REST shows it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "+0000"


def stamp(instant: datetime) -> str:
    """An aware instant in whole seconds, as every timestamp the org itself sets."""
    return wire(instant.replace(microsecond=0))


@lru_cache(maxsize=65_536)
def parsed(text: str) -> datetime:
    """The aware instant of a wire text."""
    return datetime.fromisoformat(text)


_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def is_record_id(text: object) -> bool:
    """Whether this could be a record's id at all."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def _unreadable(each: SandboxField, value: object, wanted: str) -> SalesforceRefusal:
    kind = "STRING" if isinstance(value, str) else "BOOLEAN" if isinstance(value, bool) else "NUMBER"
    return SalesforceRefusal(
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {wanted} from VALUE_{kind} value {value} or request may be missing a required "
        f"field at [line:1, column:1]",
        (each.name,),
    )


def _number(each: SandboxField, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _unreadable(each, value, "double")
    try:
        number = float(value)
    except ValueError:
        raise _unreadable(each, value, "double") from None
    if not abs(number) < 10.0 ** (each.size - each.scale):
        raise SalesforceRefusal(
            "NUMBER_OUTSIDE_VALID_RANGE",
            f"{each.label}: value outside of valid range on numeric field: {value}",
            (each.name,),
        )
    return int(number) if each.type == "int" else round(number, each.scale)


def _boolean(each: SandboxField, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    raise _unreadable(each, value, "boolean")


def _date(each: SandboxField, value: Any) -> str:
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        raise _unreadable(each, value, "date") from None


def _datetime(each: SandboxField, value: Any) -> str:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        raise _unreadable(each, value, "datetime") from None
    return wire(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def _text(each: SandboxField, value: Any) -> str:
    if isinstance(value, dict | list):
        raise _unreadable(each, value, "string")
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if len(text) > each.size:
        raise SalesforceRefusal(
            "STRING_TOO_LONG",
            f"{each.label}: data value too large: {text} (max length={each.size})",
            (each.name,),
        )
    if each.type == "email" and not _EMAIL.fullmatch(text):
        raise SalesforceRefusal("INVALID_EMAIL_ADDRESS", f"{each.label}: invalid email address: {text}", (each.name,))
    if each.restricted and not set(text.split(";")) <= set(each.values):
        raise SalesforceRefusal(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{each.label}: bad value for restricted picklist field: {text}",
            (each.name,),
        )
    return text.lower() if each.type == "email" else text


def _reference(each: SandboxField, value: Any) -> str:
    if not is_record_id(value):
        raise SalesforceRefusal("MALFORMED_ID", f"{each.label}: id value of incorrect type: {value}", (each.name,))
    return str(value)


_READERS: dict[str, Callable[[SandboxField, Any], Any]] = {
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "reference": _reference,
    "id": _reference,
}
_TRIMMED = TEXT - {"textarea"}
_READERS |= dict.fromkeys(NUMBERS, _number) | dict.fromkeys(TEXT, _text)


def taken(each: SandboxField, value: Any) -> Any:
    """A value from outside as this field keeps it; `None` and empty text clear it. Raises `Refusal`."""
    if isinstance(value, str) and each.type in _TRIMMED:
        value = value.strip()
    if value is None or value == "":
        if each.type == "boolean":
            raise _unreadable(each, "null", "boolean")
        return None
    reader = _READERS.get(each.type)
    if reader is None:
        raise SalesforceRefusal("INVALID_FIELD_FOR_INSERT_UPDATE", f"{each.label} cannot be written", (each.name,))
    return reader(each, value)


def csv_cells(each: SandboxField, values: list[Any]) -> list[str]:
    """A field's values as Bulk 2.0 writes them between the quotes of a CSV cell."""
    if each.type == "boolean":
        return ["true" if value else "false" for value in values]
    if each.type == "datetime":
        return [value[:-5] + "Z" if value else "" for value in values]
    if each.type in ("id", "reference", "date"):
        return [value or "" for value in values]
    if each.type in NUMBERS:
        return ["" if value is None else str(value) for value in values]
    texts = ["" if value is None else str(value) for value in values]
    return [text.replace('"', '""') for text in texts]
