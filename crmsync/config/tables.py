"""The pieces every table of the config is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from crmsync.config.mistakes import WRITE_DATE, WRITE_TIME, Loc, Mistake, raise_mistakes, split_type
from crmsync.counts import count_of
from crmsync.model import Scalar

DURATION = r"\s*(\d+)\s*([smhdw])\s*"
"""How a length of time is written: a whole number and a unit."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Table(BaseModel):
    """A table of the config: frozen once read, refuses unknown keys, never repeats a value in an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True, defer_build=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_not_misread(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name in cls.model_fields:
            raise_mistakes(find_misread(value, cls.model_fields[info.field_name].annotation), itself=False)
        return value


class DottedNumber(float):
    """A number that is written with a point before three digits, the last of them a 0: `1.000`, `2.500`."""


_DOTTED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d\d0")


def read_decimal(written: str) -> float:
    """A number of the file that has a point in it."""
    return DottedNumber(written) if _DOTTED.fullmatch(written) else float(written)


def find_misread(value: Any, annotation: Any, loc: Loc = ()) -> Iterator[Mistake]:
    """What would be read as something else, at any depth: `true` as 1, 1.000 too, and a number as seconds since 1970.

    As 1 it would be a share of everything, and so no limit at all.
    """
    if not isinstance(value, (int, float, dict, list)):
        return
    kinds = split_type(annotation)
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        inner = [_element_type(kind, type(value)) for kind in kinds]
        for kind in (each for each in inner if each is not None):
            for key, each in pairs:
                yield from find_misread(each, kind, (*loc, key))
    elif isinstance(value, DottedNumber):
        yield Mistake(loc, f"this may mean {1000 * value:.0f} or {value:g}; write the one that is meant")
    elif isinstance(value, bool) and not {int, float}.isdisjoint(kinds) and {bool, str}.isdisjoint(kinds):
        yield Mistake(loc, "write a number, and not true or false")
    elif date in kinds:
        yield Mistake(loc, WRITE_DATE)
    elif datetime in kinds:
        yield Mistake(loc, WRITE_TIME)


def _element_type(kind: Any, holder: type) -> Any:
    """The type of what a table or list holds; `None` where this kind of value is another one."""
    if holder is dict:
        return get_args(kind)[1] if get_origin(kind) is dict else None
    return get_args(kind)[0] if get_origin(kind) in (list, tuple) else None


def read_duration(value: Any) -> timedelta:
    """A length of time as it is written in the config. Raises `ValueError` with what to write."""
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(DURATION, value) if isinstance(value, str) else None
    if not found:
        raise ValueError(_meant_duration(value) or _DURATION)
    try:
        length = timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        length = timedelta.max
    if length > _MOST:
        raise ValueError("this is more than a hundred years")
    return length


_MOST = timedelta(days=36_500)


_DURATION = 'write a whole number and a unit, for example "15m", "36h", "30d" or "2w"'

_LONGER = {"month": 30, "quarter": 91, "year": 365}
"""Days of what has no unit of its own."""


def _meant_duration(value: Any) -> str:
    """What to write for a length of time that is written in another way; `""` where that cannot be told."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return f'write the unit, too, in quotes, for example "{value}d" for {count_of(value, "day")}'
    found = re.fullmatch(r"\s*(\d+)\s*([a-z]+?)s?\.?\s*", value.lower()) if isinstance(value, str) else None
    if isinstance(value, str) and re.fullmatch(rf"\s*-{DURATION}", value):
        return f'a length of time has no minus; write "{value.strip(" -")}"'
    if not found:
        return ""
    number, unit = int(found[1]), found[2]
    if unit in _LONGER:
        return f'there is no unit {unit}, because {unit}s differ in length; write days: "{number * _LONGER[unit]}d"'
    if unit in ("sec", "second", "min", "minute", "hr", "hour", "day", "week"):
        return f'write the unit as one letter: "{number}{unit[0]}"'
    return ""


def spelled_duration(value: timedelta) -> str:
    """The shortest way to write a duration that the config accepts: `timedelta(days=30)` → `"30d"`."""
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(read_duration),
    PlainSerializer(spelled_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION}$", "examples": ["15m", "30d"]}),
]
"""A length of time, written "15m", "36h", "30d" or "2w"."""


class Feed(Table):
    """How records of one CRM source become activities of one kind.

    `source` is the CRM's word for where they are (HubSpot `emails`, Salesforce `Task`); `where` narrows them by the
    CRM's own values: one of those that it names, and none of those that it names after a "!"; `attributes` gives ours
    their names: `{subject = "Subject"}`.
    """

    source: str
    kind: str
    where: dict[str, Scalar | list[str]] = {}
    attributes: dict[str, str] = {}

    def fits(self, values: Mapping[str, Any]) -> bool:
        """Whether a record is one of these: its values, as text, are as `where` asks; neither case nor type matters.

        Where `false` alone is asked for, a value that is not there is false.
        """
        for name, (allowed, refused) in self.conditions.items():
            value = _text(values.get(name))
            if value in refused or (allowed and value not in allowed):
                return False
        return True

    @cached_property
    def conditions(self) -> Mapping[str, tuple[frozenset[str], frozenset[str]]]:
        """By the CRM's own name the values that fit (all, where there are none), and those that do not."""
        return {name: _condition(wanted) for name, wanted in self.where.items()}


def _condition(wanted: Scalar | list[str]) -> tuple[frozenset[str], frozenset[str]]:
    if wanted is False:
        return frozenset({"false", ""}), frozenset()
    texts = [_text(each) for each in (wanted if isinstance(wanted, list | tuple) else [wanted])]
    refused = frozenset(each[1:] for each in texts if each.startswith("!"))
    return frozenset(each for each in texts if not each.startswith("!")), refused


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).lower()
