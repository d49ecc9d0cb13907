"""The scoring language: the tables of a model as an admin writes them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from crmsync.config.conditions import Condition, Where
from crmsync.config.tables import Table
from crmsync.config.units import Days, Points, Texts

Axis = Literal["fit", "behavior"]


TIERS = {"low": "low", "mid": "mid", "high": "high", "passive": "low", "research": "mid"}
"""How much intent an activity shows; the words on the right are the tiers, `passive` and `research` other names."""


MOST_SUM = 1e12
"""More than this no attribute adds up to."""

NOT_THEIR_DOING = frozenset(
    {
        "email_sent",
        "email_auto_replied",
        "email_bounced",
        "email_unsubscribed",
        "call_attempted",
        "task_completed",
        "note_logged",
    }
)
"""Types that do not end an inactivity, because somebody or something else did them or they show lost interest."""


def _per_cent(value: float) -> float:
    if 0 < value < 1:
        raise ValueError("write per cent: 50 keeps one half")
    return value


class Decay(Table):
    """Time decay of points: by `half_life`, `linear` down to 0, or by `steps`.

    `steps = { "15d" = 50, "30d" = 25, "60d" = 0 }` keeps 50 % from an age of 15 days, and so on.
    """

    half_life: Days | None = None
    linear: Days | None = None
    steps: dict[Days, Annotated[float, Field(ge=0, le=100), AfterValidator(_per_cent)]] | None = Field(
        default=None, min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _says_how(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(f'write how: {{ half_life = "{value}" }}, or linear or steps')
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Decay:
        if sum(each is not None for each in (self.half_life, self.linear, self.steps)) != 1:
            raise ValueError("write one of half_life, linear or steps")
        if self.steps:
            shares = [100.0, *(self.steps[age] for age in sorted(self.steps))]
            if shares != sorted(shares, reverse=True):
                raise ValueError("the percentages in steps must not rise with age")
        return self


class RuleLimits(NamedTuple):
    """What makes a rule give less: the channel it shares a limit with, its cap, its time decay and its window."""

    channel: str | None = None
    cap: float | None = None
    decay: Decay | None = None
    window: timedelta | None = None


def _plain(value: str) -> str:
    if re.search(r"[\x00-\x1f\ud800-\udfff]", value) or value != value.strip():
        raise ValueError("write the name on one line, without spaces around it")
    return value


def _worth_something(value: float) -> float:
    if value == 0:
        raise ValueError("a rule with 0 points has no effect; give it points or remove it")
    return value


RuleName = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_plain)]
RulePoints = Annotated[Points, AfterValidator(_worth_something)]


class Rule(Table):
    """What every rule has: a name that explanations show, points, and who it is for."""

    name: RuleName
    points: RulePoints
    when: Condition | None = None
    segments: list[str] = []
    group: str | None = None

    @property
    def limits(self) -> RuleLimits:
        """What makes it give less."""
        return RuleLimits()


class Fit(Rule):
    """Points for what a person and their company are."""

    when: Condition


class Selection(Table):
    """Activities: their kind, their attributes, and how old they may be."""

    on: Texts
    where: Where = {}
    window: Days | None = None


class ActivityRule(Rule):
    """What rules about activities have besides."""

    channel: str | None = None
    tier: Literal["low", "mid", "high", "passive", "research"] | None = None

    @property
    def limits(self) -> RuleLimits:
        """What makes it give less."""
        return RuleLimits(*(getattr(self, name, None) for name in RuleLimits._fields))


class Behavior(ActivityRule):
    """Points for each activity of a kind.

    Of the activities inside `window` the newest count first: at most `max_per_day` of a day, `max_per_week` of a week
    (Monday to Sunday) or `max_per_month` of a calendar month. Of fewer than `at_least` of these none counts, else at
    most `max_times` in all. Under `at_least_sum` none counts either: so much must an attribute of all of them inside
    `window` add up to.
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
    at_least_sum: dict[str, Annotated[float, Field(gt=0, le=MOST_SUM, allow_inf_nan=False)]] = {}
    unless: Selection | None = None

    @model_validator(mode="after")
    def _limits_agree(self) -> Behavior:
        if self.cap is not None and self.cap * self.points <= 0:
            raise ValueError("points and cap must have the same sign, for example a negative cap for negative points")
        if self.max_per_week and self.max_per_month:
            raise ValueError("use only one of max_per_week and max_per_month")
        if self.distinct_days and (self.max_per_day or 1) != 1:
            raise ValueError("distinct_days counts each day once; remove max_per_day")
        return self

    @property
    def per_day(self) -> int | None:
        """How many activities of one day count."""
        return 1 if self.distinct_days else self.max_per_day


class Inactivity(ActivityRule):
    """Points (negative ones) for inactivity: once `after`, or again `every` so often, at most `max_times`.

    It is the age of the newest activity of the types `on` (all types that are a person's own doing, if not given).
    For people without any activity it counts from the date in the field `since`; without it they get no points.
    """

    on: Texts | None = None
    where: Where = {}
    after: Days
    every: Days | None = None
    max_times: int | None = Field(default=None, ge=1, le=36_500)
    since: str | None = None

    @model_validator(mode="after")
    def _repeats(self) -> Inactivity:
        if self.max_times and not self.every:
            raise ValueError("max_times needs every, which says how often the rule repeats")
        if self.where and not self.on:
            raise ValueError("where needs on: the activity type that has these attributes")
        return self


class Step(Table):
    """A step of a sequence: so many activities (on different days, with `distinct_days`)."""

    on: Texts
    where: Where = {}
    times: int = Field(default=1, ge=1, le=20)
    distinct_days: bool = False


class Sequence(ActivityRule):
    """Points, once, for activities one after the other: each step strictly later than the one before.

    `within` is how many calendar days the whole may span, both ends counted; `window` how long ago it may have ended.
    """

    steps: list[Step] = Field(min_length=1, max_length=10)
    within: Days | None = None
    window: Days | None = None
    decay: Decay | None = None


class Pattern(ActivityRule):
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
            raise ValueError(f"{self.days:,} days do not fit within {self.within.days:,} days")
        if any(step.times != 1 or step.distinct_days for step in self.covering):
            raise ValueError("a step of covering can have only on and where")
        return self


RULE_KINDS: tuple[type[Rule], ...] = (Fit, Behavior, Inactivity, Sequence, Pattern)
"""Each of them is evaluated, described and bounded in a table of its own; a test holds that none is forgotten."""


class Disqualify(Table):
    """A reason to keep a person in the lowest band, whatever their score: a question, or an activity of theirs.

    `unless` is an activity that takes it back when it is later than that one.
    """

    name: str
    when: Condition | None = None
    on: Texts | None = None
    where: Where = {}
    window: Days | None = None
    unless: Selection | None = None

    @model_validator(mode="after")
    def _some_ground(self) -> Disqualify:
        if self.when is None and self.on is None:
            raise ValueError("add when (a condition) or on (an activity type)")
        if self.on is None and (self.where or self.window or self.unless):
            raise ValueError("where, window and unless need on")
        return self


class Qualification(Table):
    """Something sales wants to know (budget, authority, timing); kept apart from the score."""

    name: str
    when: Condition
