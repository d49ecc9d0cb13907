"""The properties of a type of object as this portal has them, and what HubSpot lets into each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.hubspot.catalog import OPEN_ENUMERATIONS, group_of, list_definitions
from connectors.sandbox.hubspot.wire import Json, instant, iso


@dataclass(frozen=True)
class Problem:
    """Why a value is refused."""

    name: str
    code: str
    message: str


class Invalid(Exception):
    """A value that does not go into its property: a code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


Check = Callable[[str], str]
"""Turns a value as sent into the value as kept, or raises `Invalid`."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".]+")


def _number(value: str) -> str:
    if not _NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        raise Invalid("INVALID_INTEGER", f"{value} was not a valid number.")
    return value


def _time(value: str) -> str:
    at = instant(value)
    if at is None:
        raise Invalid("INVALID_LONG", f"{value} was not a valid long.")
    return iso(at)


def _date(value: str) -> str:
    if (at := instant(value)) is None:
        raise Invalid("INVALID_LONG", f"{value} was not a valid long.")
    if at % 86_400_000:
        raise Invalid("INVALID_DATE", f"{value} is at {iso(at)[11:19]} UTC, not midnight!")
    return iso(at)[:10]


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value.strip()):
        raise Invalid("INVALID_EMAIL", f"Email address {value} is invalid")
    return value.strip().lower()


def _text(value: str) -> str:
    if len(value) > 65_536:
        raise Invalid("INVALID_STRING_LENGTH", "Property value is too long, the maximum is 65536 characters.")
    return value


def _choice(definition: Json) -> Check:
    allowed = {each["value"] for each in definition["options"]}
    several = definition["fieldType"] == "checkbox"

    def check(value: str) -> str:
        for each in value.strip(";").split(";") if several else (value,):
            if each not in allowed:
                raise Invalid(
                    "INVALID_OPTION", f"{each} was not one of the allowed options: [{', '.join(sorted(allowed))}]"
                )
        return value

    return check


def _read_only(name: str) -> Check:
    def check(value: str) -> str:
        raise Invalid("READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')

    return check


_BY_TYPE: dict[str, Check] = {"number": _number, "datetime": _time, "date": _date}


def check_of(definition: Json) -> Check:
    """The check of one property."""
    name = definition["name"]
    if definition["modificationMetadata"]["readOnlyValue"]:
        return _read_only(name)
    if name == "email":
        return _email
    if definition["type"] == "bool":
        return _choice({"options": [{"value": "true"}, {"value": "false"}], "fieldType": "select"})
    if definition["type"] == "enumeration" and not definition["externalOptions"] and name not in OPEN_ENUMERATIONS:
        return _choice(definition)
    return _BY_TYPE.get(definition["type"], _text)


def as_text(value: Any) -> str:
    """A JSON value as HubSpot keeps it: everything is text, and `null` is nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Properties:
    """The properties of one type of object: definitions, the checks made of them, groups, and what is archived."""

    def __init__(self, type_name: str) -> None:
        self.known = dict(list_definitions(type_name))
        self.archived: dict[str, Json] = {}
        group = group_of(type_name)
        self.groups = {group: {"name": group, "label": group.title(), "displayOrder": 0, "archived": False}}
        self._checks: dict[str, Check] = {}

    def put(self, definition: Json) -> None:
        """Add a property, or replace one."""
        self.known[definition["name"]] = definition
        self._checks.pop(definition["name"], None)

    def drop(self, name: str) -> None:
        """Archive a property."""
        self.archived[name] = self.known.pop(name)
        self._checks.pop(name, None)

    def check(self, name: str) -> Check | None:
        """The check of a property, or `None` where there is no such property."""
        found = self._checks.get(name)
        if found is None and name in self.known:
            found = self._checks[name] = check_of(self.known[name])
        return found

    def cleaned(self, values: Json) -> tuple[dict[str, str], list[Problem]]:
        """The values as kept, and what is wrong with the others. Nothing (`""`) clears, whatever the type."""
        clean: dict[str, str] = {}
        problems: list[Problem] = []
        for name, value in values.items():
            check = self.check(name)
            if check is None:
                problems.append(Problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
                continue
            text = as_text(value)
            try:
                clean[name] = check(text) if text or self._read_only(name) else ""
            except Invalid as refusal:
                problems.append(Problem(name, refusal.code, refusal.message))
        return clean, problems

    def _read_only(self, name: str) -> bool:
        return bool(self.known[name]["modificationMetadata"]["readOnlyValue"])

    def custom(self) -> list[str]:
        """The names of the properties that HubSpot did not ship."""
        return [name for name, each in self.known.items() if not each.get("hubspotDefined")]
