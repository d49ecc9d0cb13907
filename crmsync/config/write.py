"""What is written: the score fields, stages and owners of `[write]`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from crmsync.config.deciding import PerCrm, Spelling
from crmsync.config.mistakes import Mistake
from crmsync.config.model import Model
from crmsync.config.tables import Duration, Table
from crmsync.config.units import check_address
from crmsync.counts import count_of
from crmsync.model import CHANNEL_FIELD, SCORE_FIELDS

CHANNELS = CHANNEL_FIELD.rstrip(".")


def _name_channels(value: Any) -> Any:
    """`channels.email = {...}`, which TOML reads as a table of its own, under the name that a score field has."""
    if not isinstance(value, Mapping) or not isinstance(value.get(CHANNELS), Mapping):
        return value
    named = {f"{CHANNEL_FIELD}{name}": each for name, each in value[CHANNELS].items()}
    return {name: each for name, each in value.items() if name != CHANNELS} | named


class LeastMove(NamedTuple):
    """By how much the numbers of a record must have moved to be written: so many points, or so many percent."""

    points: float = 0
    percent: float = 0

    def __bool__(self) -> bool:
        return any(self)

    def __str__(self) -> str:
        return f"{self.percent:.15g} %" if self.percent else count_of(self.points, "point")


def _read_least(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return value
    if isinstance(value, str) and re.fullmatch(_PERCENT, value):
        return value
    raise ValueError('write a number of points, for example 2, or a share, for example "10%"')


_PERCENT = r"\s*\d{1,3}(\.\d+)?\s*%\s*"

Least = Annotated[
    float | str,
    BeforeValidator(_read_least),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_PERCENT}$"}],
            "examples": [2, "10%"],
        }
    ),
]


class Write(Table):
    """What is written, and how long crmsync respects what users change.

    `fields` maps the score fields to each CRM; what is not mapped is not written there. `manual_override` is how long a
    stage or owner that a user changed is protected. `unassigned_users` are users (by e-mail address) who count as "no
    owner", for example the user of an import; queues and inactive users always do. `verify_sample` scores are read
    back after each run, and every stage and owner. `attempts` is how often a change is tried that the CRM may take
    later. By `at_least` points, or such a share of the score that the CRM holds, must a score have moved to be written,
    unless more than numbers changed.
    """

    fields: Annotated[
        dict[str, PerCrm],
        BeforeValidator(_name_channels, json_schema_input_type=dict[str, dict[str, Spelling | dict[str, Spelling]]]),
    ] = {}
    stage: bool = True
    owner: bool = True
    manual_override: Duration = timedelta(days=14)
    unassigned_users: list[str] = []
    verify_sample: int = Field(default=100, ge=0)
    attempts: int = Field(default=5, ge=1)
    at_least: Least = 0

    @property
    def least_move(self) -> LeastMove:
        """`at_least` as numbers."""
        if isinstance(self.at_least, str):
            return LeastMove(percent=float(self.at_least.strip().removesuffix("%")))
        return LeastMove(points=self.at_least)

    @field_validator("unassigned_users")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        for each in value:
            check_address(each)
        return value

    @field_validator("fields")
    @classmethod
    def _known_score_fields(cls, value: dict[str, dict[str, Spelling]]) -> dict[str, dict[str, Spelling]]:
        if unknown := sorted(name for name in value.keys() - SCORE_FIELDS.keys() if not name.startswith(CHANNEL_FIELD)):
            raise ValueError(
                f"there is no score field {', '.join(map(repr, unknown))}; the score fields are "
                f"{', '.join(SCORE_FIELDS)}"
            )
        return value


def find_score_field_mistakes(names: Mapping[str, object], model: Model) -> Iterator[Mistake]:
    """Score fields that would always be empty, because the file lacks what they tell of."""
    needed: dict[str, tuple[str, bool]] = {
        "probability": ("[learned] calibration", model.learned.calibration is not None),
        "grade": ("[grades]", bool(model.grades)),
        "grid": ("[grades] and [grid]", bool(model.grades and model.grid)),
        "segment": ("[[segment]]", bool(model.segment)),
        "qualifications": ("[[qualification]]", bool(model.qualification)),
        "until": ("[bands]", bool(model.bands)),
        "next": ("[bands]", bool(model.bands)),
    }
    for name in names:
        channel = name.removeprefix(CHANNEL_FIELD)
        lacking = (f"[channels] {channel}", channel in model.channels) if channel != name else ("", True)
        table, is_there = needed.get(name, lacking)
        if not is_there:
            made = ", which `crmsync learn --write FILE` writes" if name == "probability" else "; add it to the file"
            yield Mistake(("write", "fields", name), f"[write.fields] {name} needs {table}{made}")
