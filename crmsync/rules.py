"""The scoring language: the tables of a model as an admin writes them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal

import regex
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from crmsync.tables import Duration, Table

Axis = Literal["fit", "behavior"]

BUILTIN_FIELDS = ("email", "stage")
"""Fields every person has without a mapping: the first e-mail address, and the lifecycle stage by its config name."""

SENIORITIES = ("student", "entry", "staff", "manager", "director", "vp", "c_level")
"""From the lowest to the highest."""

DEPARTMENTS = (
    *("it", "security", "engineering", "data", "product", "operations", "finance", "procurement"),
    *("marketing", "sales", "support", "hr", "legal", "research", "education", "general_management"),
)

TIERS = {"low": "low", "mid": "mid", "high": "high", "passive": "low", "research": "mid"}
"""How much intent an activity shows; the words on the right are the tiers, `passive` and `research` other names."""

NOT_THEIR_DOING = frozenset({"email_sent", "email_bounced", "email_unsubscribed", "task_completed", "note_logged"})
"""Kinds that do not end a silence, because somebody else did them or because they are a goodbye."""

MOST_POINTS = 100_000


def _points(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("write a number, for example 25 or -7.5")
    if abs(value) > MOST_POINTS:
        raise ValueError(f"points lie between -{MOST_POINTS} and {MOST_POINTS}")
    if round(value, 2) != value:
        raise ValueError("points have at most two decimals")
    return float(value) + 0.0


Points = Annotated[float, BeforeValidator(_points)]
"""Points: a number with at most two decimals."""


def hundredths(points: float) -> int:
    """Points as the whole number of hundredths that everything is calculated in."""
    return round(points * 100)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _some(value: list[str]) -> list[str]:
    if not value:
        raise ValueError("the list is empty; name at least one")
    return value


Texts = Annotated[list[str], BeforeValidator(_listed), AfterValidator(_some)]
"""One text or a list of them."""


def _whole_days(value: timedelta) -> timedelta:
    if value.seconds or value.days < 1:
        raise ValueError('ages are whole days here; write for example "30d" or "2w"')
    if value.days > 36_500:
        raise ValueError("that is more than a hundred years")
    return value


Days = Annotated[Duration, AfterValidator(_whole_days)]
"""A duration of whole days."""


def _readable_pattern(value: str) -> str:
    try:
        regex.compile(value)
    except regex.error as error:
        raise ValueError(f"this is not a regular expression: {error}") from None
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("write a number, for example 200")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Seniority = Annotated[list[Literal[SENIORITIES]], BeforeValidator(_listed), AfterValidator(_some)]  # type: ignore[valid-type]
Department = Annotated[list[Literal[DEPARTMENTS]], BeforeValidator(_listed), AfterValidator(_some)]  # type: ignore[valid-type]


class Match(Table):
    """What one value must be like; every key that is given must hold.

    Text is compared without regard to case; a list of texts means any of them. On a multi-select a text key holds when
    it holds for one of the values. A value of the wrong type is unknown to the rule.
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
    domain: Texts | None = None
    domain_list: str | None = None
    free_mail: bool | None = None
    seniority: Seniority | None = None
    seniority_at_least: Literal[SENIORITIES] | None = None  # type: ignore[valid-type]
    department: Department | None = None

    @field_validator("is_", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("write a text, a number, true or false")
        return value

    @field_validator("between")
    @classmethod
    def _ascending(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value and value[0] > value[1]:
            raise ValueError("write the smaller number first")
        return value

    def keys(self) -> dict[str, Any]:
        """The keys that are given, by the name an admin writes, in a fixed order."""
        return {name: getattr(self, attribute) for attribute, name in MATCH_KEYS.items() if self._given(attribute)}

    def _given(self, attribute: str) -> bool:
        return getattr(self, attribute) is not None


MATCH_KEYS = {attribute: info.alias or attribute for attribute, info in Match.model_fields.items()}


def _match(value: Any) -> Any:
    if isinstance(value, (str, bool, int, float)):
        return {"is": value}
    return {"in": value} if isinstance(value, list) else value


def _any_key(value: Match) -> Match:
    if not value.keys():
        raise ValueError('say what the value must be like, for example { contains = "pricing" }')
    return value


Where = dict[str, Annotated[Match, BeforeValidator(_match), AfterValidator(_any_key)]]
"""Attribute → what it must be like. A bare value means `is`, a bare list means `in`."""


class Condition(Match):
    """A question about a person: one field and what it must be like, or several questions joined.

    A field that is not known makes the answer "unknown", and unknown gives no points, not even to `not`.
    """

    field: str | None = None
    all_: list[Condition] | None = Field(default=None, alias="all", min_length=1)
    any_: list[Condition] | None = Field(default=None, alias="any", min_length=1)
    not_: Condition | None = Field(default=None, alias="not")

    @model_validator(mode="after")
    def _one_question(self) -> Condition:
        joined = [each for each in (self.all_, self.any_, self.not_) if each is not None]
        if len(joined) + (self.field is not None) != 1:
            raise ValueError('write one of: a field with its test, "all", "any" or "not"')
        if joined and self.keys():
            raise ValueError('a test needs its field: { field = "title", contains = "…" }')
        if self.field is not None and not self.keys():
            raise ValueError(
                f'say what {self.field!r} must be like, for example {{ field = "{self.field}", is = "…" }}'
            )
        return self

    def parts(self) -> Iterator[Condition]:
        """This question and every one inside it."""
        yield self
        for part in (*(self.all_ or ()), *(self.any_ or ()), *((self.not_,) if self.not_ else ())):
            yield from part.parts()

    def fields(self) -> set[str]:
        """The fields it reads."""
        return {part.field for part in self.parts() if part.field is not None}


class Decay(Table):
    """How points fade with age: halved each `half_life`, down to nothing over `linear`, or by `steps`.

    `steps = { "15d" = 50, "30d" = 25, "60d" = 0 }` keeps 50 % from an age of 15 days on, and so forth.
    """

    half_life: Days | None = None
    linear: Days | None = None
    steps: dict[Days, Annotated[float, Field(ge=0, le=100)]] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_way(self) -> Decay:
        if sum(each is not None for each in (self.half_life, self.linear, self.steps)) != 1:
            raise ValueError("write one of half_life, linear or steps")
        if self.steps:
            shares = [100.0, *(self.steps[age] for age in sorted(self.steps))]
            if shares != sorted(shares, reverse=True):
                raise ValueError("the percentages of steps must not rise with age")
        return self


class Rule(Table):
    """What every rule has: a name that explanations show, points, and who it is for."""

    name: str = Field(min_length=1, max_length=120)
    points: Points
    when: Condition | None = None
    segments: list[str] = []
    group: str | None = None

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if re.search(r"[\x00-\x1f\ud800-\udfff]", value) or value != value.strip():
            raise ValueError("a name is one line of text without spaces around it")
        return value

    @field_validator("points")
    @classmethod
    def _worth_something(cls, value: float) -> float:
        if value == 0:
            raise ValueError("a rule of 0 points does nothing; give it points or remove it")
        return value


class Fit(Rule):
    """Points for what a person and their company are."""

    when: Condition


class Selection(Table):
    """Activities: their kind, their attributes, and how old they may be."""

    on: Texts
    where: Where = {}
    window: Days | None = None


class _Limits(Rule):
    channel: str | None = None
    tier: Literal["low", "mid", "high", "passive", "research"] | None = None


class Behavior(_Limits):
    """Points for each activity of a kind.

    Of the activities inside `window` the newest count first: at most `max_per_day` of a day, `max_per_week` of a week
    (Monday to Sunday) or `max_per_month` of a calendar month, and `max_times` in all; under `at_least` none counts.
    `distinct_days` counts days instead of activities. `unless` takes all points away while such an activity exists.
    """

    on: Texts
    where: Where = {}
    window: Days | None = None
    decay: Decay | None = None
    cap: Points | None = None
    max_times: int | None = Field(default=None, ge=1)
    max_per_day: int | None = Field(default=None, ge=1)
    max_per_week: int | None = Field(default=None, ge=1)
    max_per_month: int | None = Field(default=None, ge=1)
    distinct_days: bool = False
    at_least: int = Field(default=1, ge=1)
    unless: Selection | None = None

    @model_validator(mode="after")
    def _limits_agree(self) -> Behavior:
        if self.cap is not None and self.cap * self.points <= 0:
            raise ValueError("the cap has the sign of the points: a negative cap for negative points")
        if self.max_per_week and self.max_per_month:
            raise ValueError("weeks and months overlap; choose max_per_week or max_per_month")
        if self.distinct_days and (self.max_per_day or 1) != 1:
            raise ValueError("distinct_days counts a day once; leave out max_per_day")
        if self.max_times and self.max_times < self.at_least:
            raise ValueError("at_least is more than max_times, so that the rule never counts")
        return self

    @property
    def per_day(self) -> int | None:
        """How many activities of one day count."""
        return 1 if self.distinct_days else self.max_per_day


class Inactivity(_Limits):
    """Points (negative ones) for silence: once `after`, or again `every` so often, at most `max_times`.

    Silence is the age of the newest activity of the kinds `on` (all kinds that are a person's own doing, if not given).
    Who never did anything is silent since the date in the field `since`; without it nothing is known and nothing given.
    """

    on: Texts | None = None
    where: Where = {}
    after: Days
    every: Days | None = None
    max_times: int | None = Field(default=None, ge=1)
    since: str | None = None

    @model_validator(mode="after")
    def _repeats(self) -> Inactivity:
        if self.max_times and not self.every:
            raise ValueError("max_times limits a repetition; say how often it repeats with every")
        if self.where and not self.on:
            raise ValueError("where needs on: say which kind has these attributes")
        return self


class Step(Table):
    """A step of a sequence: so many activities (on different days, with `distinct_days`)."""

    on: Texts
    where: Where = {}
    times: int = Field(default=1, ge=1, le=20)
    distinct_days: bool = False


class Sequence(_Limits):
    """Points, once, for activities one after the other: each step strictly later than the one before.

    `within` is how many calendar days the whole may span, both ends counted; `window` how long ago it may have ended.
    """

    steps: list[Step] = Field(min_length=1, max_length=10)
    within: Days | None = None
    window: Days | None = None
    decay: Decay | None = None


class Pattern(_Limits):
    """Points, once, for a stretch of `within` calendar days with enough activities, on enough days, covering a set.

    `covering` lists kinds with attributes of which each must occur in the stretch; `window` is how long ago it may have
    ended.
    """

    on: Texts
    where: Where = {}
    within: Days
    times: int = Field(default=1, ge=1)
    days: int = Field(default=1, ge=1)
    covering: list[Step] = []
    window: Days | None = None
    decay: Decay | None = None

    @model_validator(mode="after")
    def _fits(self) -> Pattern:
        if self.days > self.within.days:
            raise ValueError(f"{self.days} days do not fit within {self.within.days} days")
        if any(step.times != 1 or step.distinct_days for step in self.covering):
            raise ValueError("covering takes kinds and attributes only")
        return self


class Disqualify(Table):
    """A reason to keep a person in the lowest band, whatever their score: a question, or an activity of theirs."""

    name: str
    when: Condition | None = None
    on: Texts | None = None
    where: Where = {}
    window: Days | None = None

    @model_validator(mode="after")
    def _some_ground(self) -> Disqualify:
        if self.when is None and self.on is None:
            raise ValueError("say what disqualifies: a question (when) or a kind of activity (on)")
        if self.on is None and (self.where or self.window):
            raise ValueError("where and window need on")
        return self


class Qualification(Table):
    """Something sales wants to know (budget, authority, timing); kept apart from the score."""

    name: str
    when: Condition


class Limit(Table):
    """The most (`cap`) and the least (`floor`) that rules give together."""

    cap: Points | None = None
    floor: Points | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Limit:
        if self.cap is not None and self.floor is not None and self.cap < self.floor:
            raise ValueError("the cap is below the floor")
        return self


class Weights(Table):
    """How much fit and behavior count in the total; at most four decimals."""

    fit: float = Field(default=1.0, ge=0, le=100)
    behavior: float = Field(default=1.0, ge=0, le=100)

    @model_validator(mode="after")
    def _exact(self) -> Weights:
        if any(round(each, 4) != each for each in (self.fit, self.behavior)):
            raise ValueError("weights have at most four decimals")
        if not self.fit and not self.behavior:
            raise ValueError("both weights are 0, so that every total would be 0")
        return self


class Score(Table):
    """How scores are rounded (`decimals`) and limited. There is no limit that is not written here."""

    decimals: int = Field(default=0, ge=0, le=2)
    fit: Limit = Limit()
    behavior: Limit = Limit()
    total: Limit = Limit()


class Band(Table):
    """What it takes to be in a band: `at` points in total, and the gates. It is left below `leave` (or below `at`)."""

    at: Points | None = None
    leave: Points | None = None
    min_fit: Points | None = None
    min_behavior: Points | None = None

    @model_validator(mode="after")
    def _leaves_below(self) -> Band:
        if self.leave is not None and (self.at is None or self.leave > self.at):
            raise ValueError("leave is a number of points at or below at")
        return self


def _band(value: Any) -> Any:
    return {"at": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Bands = dict[str, Annotated[Band, BeforeValidator(_band)]]


class Segment(Table):
    """People who are scored by rules of their own. The first segment that fits a person is theirs.

    A rule with `segments` counts for these only. `weights` and `bands` replace the model's.
    """

    name: str
    when: Condition
    weights: Weights | None = None
    bands: Bands = {}


class Titles(Table):
    """Words of your own for job titles: `seniority = { vp = ["Prokurist"] }`, `department = { it = ["EDV"] }`."""

    seniority: dict[Literal[SENIORITIES], Texts] = {}  # type: ignore[valid-type]
    department: dict[Literal[DEPARTMENTS], Texts] = {}  # type: ignore[valid-type]


class Review(Table):
    """When somebody last looked at the model, and how often that should be."""

    on: date | None = None
    every: Days = timedelta(days=92)
    most_rules: int = Field(default=40, ge=1)


class Expect(Table):
    """What a golden lead must come to. `lines` pins the points of single rules, decay and cap included."""

    total: Points | None = None
    fit: Points | None = None
    behavior: Points | None = None
    band: str | None = None
    grade: str | None = None
    grid: str | None = None
    segment: str | None = None
    stage: str | None = None
    owner: str | None = None
    qualified: bool | None = None
    disqualified: str | None = None
    lines: dict[str, Points] = {}


class Golden(Table):
    """A golden lead: a person made up for the purpose, and what the model must say of them.

    `given` has fields by their names, and `activities`, each with `kind`, `ago` ("3d"), `times` and attributes.
    `previous` is the band they were in before; `at` the instant of the test.
    """

    name: str
    given: dict[str, Any] = {}
    previous: str | None = None
    at: datetime | None = None
    expect: Expect

    @field_validator("at")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("write the instant with its offset, for example 2026-11-21T12:00:00Z")
        return value


class Model(Table):
    """A scoring model."""

    score: Score = Score()
    weights: Weights = Weights()
    fit: list[Fit] = []
    behavior: list[Behavior] = []
    inactivity: list[Inactivity] = []
    sequence: list[Sequence] = []
    pattern: list[Pattern] = []
    disqualify: list[Disqualify] = []
    qualification: list[Qualification] = []
    segment: list[Segment] = []
    channels: dict[str, Limit] = {}
    groups: dict[str, Limit] = {}
    lists: dict[str, Texts] = {}
    titles: Titles = Titles()
    bands: Bands = {}
    grades: dict[str, Points] = {}
    grid: dict[str, Points] = {}
    review: Review = Review()
    test: list[Golden] = []

    @model_validator(mode="after")
    def _rules_agree(self) -> Model:
        problems = [*self._twice(), *self._unknown_names(), *self._straddling_groups()]
        problems += _unordered("[bands]", self.bands)
        for segment in self.segment:
            problems += self._odd_bands(segment)
        problems += [*_rising("[grades]", self.grades), *_rising("[grid]", self.grid)]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def rules(self) -> tuple[Rule, ...]:
        """Every rule that gives points, in the order of the ledger."""
        return (*self.fit, *self.behavior, *self.inactivity, *self.sequence, *self.pattern)

    def axis(self, rule: Rule) -> Axis:
        """The axis that a rule's points count for."""
        return "fit" if isinstance(rule, Fit) else "behavior"

    def conditions(self) -> Iterator[Condition]:
        """Every question asked about a person, the outermost ones."""
        asking: tuple[Rule | Disqualify | Qualification | Segment, ...] = (
            *self.rules(),
            *self.disqualify,
            *self.qualification,
            *self.segment,
        )
        yield from (each.when for each in asking if each.when is not None)

    def used_fields(self) -> set[str]:
        """The canonical fields that some rule reads."""
        read = {name for condition in self.conditions() for name in condition.fields()}
        return read | {each.since for each in self.inactivity if each.since}

    def band_names(self) -> list[str]:
        """The bands from the lowest to the highest."""
        return list(self.bands)

    def _twice(self) -> Iterator[str]:
        for what, names in (
            ("rules", [rule.name for rule in self.rules()]),
            ("[[segment]]", [each.name for each in self.segment]),
            ("[[disqualify]]", [each.name for each in self.disqualify]),
            ("[[qualification]]", [each.name for each in self.qualification]),
            ("[[test]]", [each.name for each in self.test]),
        ):
            for name in sorted({each for each in names if names.count(each) > 1}):
                yield f"two {what} are called {name!r}; explanations could not tell them apart"

    def _unknown_names(self) -> Iterator[str]:
        segments = [each.name for each in self.segment]
        for rule in self.rules():
            yield from _strangers(rule.name, "[[segment]]", rule.segments, segments)
            yield from _strangers(rule.name, "[groups]", [rule.group] if rule.group else [], self.groups)
            channel = getattr(rule, "channel", None)
            yield from _strangers(rule.name, "[channels]", [channel] if channel else [], self.channels)
        for match in matches(self):
            for name in (match.in_list, match.domain_list):
                if name is not None and name not in self.lists:
                    yield f"a rule reads the list {name!r}, which [lists] does not have"
        for test in self.test:
            for band in (test.previous, test.expect.band):
                yield from _strangers(f"test {test.name}", "[bands]", [band] if band else [], self.bands)

    def _straddling_groups(self) -> Iterator[str]:
        for name in self.groups:
            homes = {(self.axis(rule), getattr(rule, "channel", None)) for rule in self.rules() if rule.group == name}
            if len({axis for axis, _ in homes}) > 1:
                yield f"the group {name!r} has rules of fit and of behavior; a group belongs to one of them"
            elif len(homes) > 1:
                yield f"the group {name!r} has rules of several channels; give them all the same channel"

    def _odd_bands(self, segment: Segment) -> Iterator[str]:
        where = f"[[segment]] {segment.name}"
        if segment.bands and list(segment.bands) != list(self.bands):
            yield f"{where}: name the same bands as [bands], in the same order: {', '.join(self.bands) or 'none'}"
        yield from _unordered(where, segment.bands)


def _strangers(who: str, table: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{who!r} names {name!r}, which {table} does not have"


def _unordered(where: str, bands: Mapping[str, Band]) -> Iterator[str]:
    """Sentences about bands whose points do not rise from the first to the last."""
    cuts = [(name, band.at) for name, band in bands.items() if band.at is not None]
    for (low, below), (high, above) in pairwise(cuts):
        if above <= below:
            yield f"{where}: {high!r} begins at {above:g}, which is not above {low!r} at {below:g}; lowest first"
    for name in list(bands)[1:]:
        if bands[name].at is None and bands[name].min_fit is None and bands[name].min_behavior is None:
            yield f"{where}: {name!r} has no points to reach and no gate; only the first band may be without"


def _rising(where: str, grades: Mapping[str, float]) -> Iterator[str]:
    cuts = list(grades.items())
    for (best, above), (next_best, below) in pairwise(cuts):
        if below >= above:
            yield f"{where}: {next_best!r} needs {below:g}, which is not less than {best!r} with {above:g}; best first"


def matches(model: Model) -> Iterator[Match]:
    """Every test of a value, of a person's field or of an activity's attribute."""
    for condition in model.conditions():
        yield from condition.parts()
    for _, where in selections(model):
        yield from where.values()


def takes(on: Iterable[str], kind: str) -> bool:
    """Whether a selection of the kinds `on` takes activities of a kind."""
    kinds = list(on)
    return kind in kinds if kinds else kind not in NOT_THEIR_DOING


def selections(model: Model) -> Iterator[tuple[list[str], Where]]:
    """Every choice of activities a model makes: kinds (none means all that are a person's own doing) and attributes."""
    for behavior in model.behavior:
        yield behavior.on, behavior.where
        if behavior.unless:
            yield behavior.unless.on, behavior.unless.where
    for quiet in model.inactivity:
        yield quiet.on or [], quiet.where
    for sequence in model.sequence:
        yield from ((step.on, step.where) for step in sequence.steps)
    for pattern in model.pattern:
        yield pattern.on, pattern.where
        yield from ((step.on, step.where) for step in pattern.covering)
    for each in model.disqualify:
        if each.on:
            yield each.on, each.where
