"""The `when` and `where` of a rule: what is asked about a field or an attribute."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Annotated, Any, Literal

import regex
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from crmsync.config.countries import INSTALL, find_strange, is_installed
from crmsync.config.tables import Table
from crmsync.config.units import Days, Texts, _listed, _some

BUILTIN_FIELDS = ("email", "stage")
"""Fields every person has without a mapping: the first e-mail address, and the lifecycle stage by its config name."""


SENIORITIES = ("student", "entry", "staff", "manager", "director", "vp", "c_level")
"""From the lowest to the highest."""


DEPARTMENTS = (
    *("it", "security", "engineering", "data", "product", "operations", "finance", "procurement"),
    *("marketing", "sales", "business_development", "support", "hr", "legal", "research", "education"),
    *("consulting", "project_management", "general_management"),
)


def _readable_pattern(value: str) -> str:
    try:
        regex.compile(value)
    except regex.error as error:
        raise ValueError(f"this is not a regular expression: {error}; for plain text write contains = …") from None
    return value


def _number(value: Any) -> Any:
    if isinstance(value, date) or (isinstance(value, str) and _DAY.match(value)):
        raise ValueError("write a number, for example 200; for a date use before, after, within or older_than")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("write a number without quotes and separators, for example 1000 or 0.5")
    return value


Number = Annotated[float, BeforeValidator(_number)]

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _day(value: Any) -> Any:
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:  # no such day
            pass
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError("write a day, for example 2026-10-01")
    return value


Day = Annotated[date, BeforeValidator(_day)]
"""A day, without a time."""


def domains_with_star(domains: Iterable[str]) -> Iterator[str]:
    """What is wrong with domains that have a `*` anywhere but in `*.` at the start, and what to write."""
    for each in domains:
        if "*" in each.strip().removeprefix("*.").removeprefix("*@"):
            yield f"{each!r} never matches; write for example rival.example, which holds for all below it, too"


def _domains(value: list[str]) -> list[str]:
    for said in domains_with_star(value):
        raise ValueError(said)
    return value


def _named(key: str) -> Callable[[list[str]], list[str]]:
    def check(value: list[str]) -> list[str]:
        if not is_installed():
            raise ValueError(INSTALL)
        for said in find_strange(key, value):
            raise ValueError(said)
        return value

    return check


Countries = Annotated[Texts, AfterValidator(_named("country"))]
States = Annotated[Texts, AfterValidator(_named("state"))]

Domains = Annotated[Texts, AfterValidator(_domains)]
"""Domains; `*.rival.example` is another way to write `rival.example`."""


def _small(value: Any) -> Any:
    """Words as they are written here, however their letters and blanks are: `VP` → `vp`, `C level` → `c_level`."""
    if isinstance(value, list):
        return [_small(each) for each in value]
    return re.sub(r"[\s\-]+", "_", value.strip().lower()) if isinstance(value, str) else value


Seniority = Annotated[
    list[Literal[SENIORITIES]],  # type: ignore[valid-type]
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    BeforeValidator(_small, json_schema_input_type=str | list[str]),
    AfterValidator(_some),
]


Department = Annotated[
    list[Literal[DEPARTMENTS]],  # type: ignore[valid-type]
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    BeforeValidator(_small, json_schema_input_type=str | list[str]),
    AfterValidator(_some),
]


class Match(Table):
    """What one value must be like; every key that is given must hold.

    Text is compared without regard to case; a list of texts means any of them. On a multi-select a text key holds when
    it holds for one of the values. A value that cannot be read as the key asks is unknown to the rule.
    """

    is_: str | bool | float | None = Field(default=None, alias="is")
    in_: list[str | float] | None = Field(default=None, alias="in", min_length=1)
    contains: Texts | None = None
    excludes: Texts | None = None
    starts_with: Texts | None = None
    ends_with: Texts | None = None
    regex: Annotated[str, AfterValidator(_readable_pattern)] | None = None
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None
    between: tuple[Number, Number] | None = None
    exists: Literal[True] | None = None
    missing: Literal[True] | None = None
    has: Texts | None = None
    has_all: Texts | None = None
    in_list: str | None = None
    domain: Domains | None = None
    domain_list: str | None = None
    free_mail: bool | None = None
    seniority: Seniority | None = None
    seniority_at_least: Annotated[Literal[SENIORITIES], BeforeValidator(_small)] | None = None  # type: ignore[valid-type]
    department: Department | None = None
    country: Countries | None = None
    state: States | None = None

    @field_validator("is_", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("write a text, a number, true or false")
        return value

    @field_validator("in_", mode="before")
    @classmethod
    def _no_switch(cls, value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(each, bool) for each in value):
            raise ValueError("true and false do not go into a list; write is = true or is = false in place of it")
        return value

    @field_validator("exists", "missing", mode="before")
    @classmethod
    def _true(cls, value: Any, info: ValidationInfo) -> Any:
        if value is False:
            what, other = ("not known", "missing") if info.field_name == "exists" else ("known", "exists")
            raise ValueError(f"write true; for what is {what} write {other} = true")
        return value

    @field_validator("between", mode="before")
    @classmethod
    def _two(cls, value: Any) -> Any:
        if isinstance(value, list) and len(value) != 2:
            raise ValueError("write two numbers in brackets, for example [50, 200]")
        return value

    @field_validator("between")
    @classmethod
    def _ascending(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value and value[0] > value[1]:
            raise ValueError("write the smaller number first")
        return value

    def keys(self) -> dict[str, Any]:
        """The keys that are given, by the name an admin writes, in a fixed order."""
        there = self.model_fields_set
        given = ((name, getattr(self, key)) for key, name in MATCH_KEYS.items() if key in there)
        return {name: wanted for name, wanted in given if wanted is not None}

    def words(self) -> list[str]:
        """The whole values that are asked for, without those of lists."""
        asked = (self.is_, *(self.in_ or ()), *(self.has or ()), *(self.has_all or ()))
        return [each for each in asked if isinstance(each, str)]


def _match(value: Any) -> Any:
    if isinstance(value, (str, bool, int, float)):
        return {"is": value}
    return {"in": value} if isinstance(value, list) else value


def _any_key(value: Match) -> Match:
    if not value.keys():
        raise ValueError('add a condition, for example { contains = "pricing" }')
    return value


def _attributes(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(f'write which attribute, for example {{ url = {{ contains = "{value}" }} }}')
    return value


_Attribute = Annotated[
    Match,
    BeforeValidator(_match, json_schema_input_type=str | bool | float | list[str | float] | Match),
    AfterValidator(_any_key),
]

Where = Annotated[dict[str, _Attribute], BeforeValidator(_attributes)]
"""Attribute → what it must be like. A bare value means `is`, a bare list means `in`."""


class Condition(Match):
    """A question about a person: one field and what it must be like, or several questions joined.

    A field that is not known makes the answer "unknown", and unknown gives no points, not even to `not`. The keys about
    dates ask for local dates: an age of N days is `within` N days, and not `older_than` N days.
    """

    before: Day | None = None
    after: Day | None = None
    within: Days | None = None
    within_next: Days | None = None
    older_than: Days | None = None
    field: str | None = None
    all_: list[Condition] | None = Field(default=None, alias="all", min_length=1)
    any_: list[Condition] | None = Field(default=None, alias="any", min_length=1)
    not_: Condition | None = Field(default=None, alias="not")

    @model_validator(mode="before")
    @classmethod
    def _is_question(cls, value: Any) -> Any:
        if isinstance(value, list):
            raise ValueError("write { all = […] } where all of these must hold, or { any = […] } where one is enough")
        if isinstance(value, str):
            raise ValueError('write a question, for example { field = "title", contains = "…" }')
        return value

    @model_validator(mode="after")
    def _one_question(self) -> Condition:
        joined = [each for each in (self.all_, self.any_, self.not_) if each is not None]
        if len(joined) + (self.field is not None) != 1:
            raise ValueError('write exactly one of: a field with a condition, "all", "any" or "not"')
        if joined and self.keys():
            raise ValueError('a condition needs a field: { field = "title", contains = "…" }')
        if self.field is not None and not self.keys():
            raise ValueError(f'add a condition for {self.field!r}, for example {{ field = "{self.field}", is = "…" }}')
        return self

    def parts(self) -> Iterator[Condition]:
        """This question and every one inside it."""
        yield self
        for part in (*(self.all_ or ()), *(self.any_ or ()), *((self.not_,) if self.not_ else ())):
            yield from part.parts()

    def fields(self) -> set[str]:
        """The fields it reads."""
        return {part.field for part in self.parts() if part.field is not None}


DATE_KEYS = ("before", "after", "within", "within_next", "older_than")
"""What is asked of dates."""

MOVING_KEYS = frozenset(DATE_KEYS[2:])
"""Of these the answer changes by time alone."""

MATCH_KEYS = {attribute: info.alias or attribute for attribute, info in Match.model_fields.items()}
MATCH_KEYS |= {name: name for name in DATE_KEYS}
