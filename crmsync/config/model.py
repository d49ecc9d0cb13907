"""A scoring model: rules, bands, segments and what holds them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from crmsync.config.conditions import (
    DEPARTMENTS,
    MOVING_KEYS,
    SENIORITIES,
    Condition,
    Match,
    Where,
    domains_with_star,
)
from crmsync.config.learned import Learned
from crmsync.config.machine_clicks import MachineClicks
from crmsync.config.mistakes import WRITE_TIME, Loc, Mistake, raise_mistakes, suggest_name
from crmsync.config.rules import (
    NOT_THEIR_DOING,
    Axis,
    Behavior,
    Disqualify,
    Fit,
    Inactivity,
    Pattern,
    Qualification,
    Rule,
    Sequence,
)
from crmsync.config.tables import Duration, Table, read_duration
from crmsync.config.units import Days, Points, Texts
from crmsync.config.values import Values
from crmsync.folding import fold_text

MONTHS = tuple(f"{month:02}" for month in range(1, 13))

MOST_OF_QUARTER = 92
"""Days of the longest quarter."""


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
        # They are counted in ten-thousandths.
        if any(round(each, 4) != each for each in (self.fit, self.behavior)):
            raise ValueError("weights can have at most four decimals")
        if not self.fit and not self.behavior:
            raise ValueError("both weights are 0, so every total would be 0")
        return self


class Score(Table):
    """How scores are rounded (`decimals`) and limited. There is no limit that is not written here."""

    decimals: int = Field(default=0, ge=0, le=2)
    fit: Limit = Limit()
    behavior: Limit = Limit()
    total: Limit = Limit()

    @property
    def unit(self) -> int:
        """How many hundredths one step of a score is."""
        return int(10 ** (2 - self.decimals))


class Band(Table):
    """What a band needs: `at` points in total, and the minimums. A person leaves it below `drop_below` (or `at`)."""

    at: Points | None = None
    drop_below: Points | None = None
    min_fit: Points | None = None
    min_behavior: Points | None = None

    @model_validator(mode="after")
    def _leaves_below(self) -> Band:
        if self.drop_below is not None and self.at is None:
            raise ValueError("drop_below needs at; write at = …, the points with which somebody enters the band")
        if self.drop_below is not None and self.at is not None and self.drop_below > self.at:
            said = f"drop_below is {self.drop_below:,g}, which is above at ({self.at:,g})"
            raise ValueError(f"{said}; write {self.at:,g} or less, or somebody would enter and leave at once")
        return self


def _band(value: Any) -> Any:
    if isinstance(value, str | bool):
        raise ValueError("write points without quotes, for example 25, or a table: { at = 25, min_fit = 10 }")
    return {"at": value} if isinstance(value, int | float) else value


Bands = dict[str, Annotated[Band, BeforeValidator(_band, json_schema_input_type=float | Band)]]


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
    """When somebody last looked at the model (`on`) and at its rules (`rules_on`), and how often that should be.

    A change that lets more people over the line alerts where it is adopted within `quarter_end` before the end of a
    quarter ("0d" switches that off); quarters are counted from `fiscal_year`, the month in which a year begins.
    """

    on: date | None = None
    every: Days = timedelta(days=92)
    rules_on: date | None = None
    rules_every: Days = timedelta(days=31)
    quarter_end: Duration = timedelta(days=14)
    fiscal_year: str = "01"
    most_rules: int = Field(default=40, ge=1)

    @field_validator("fiscal_year")
    @classmethod
    def _is_month(cls, value: str) -> str:
        if value not in MONTHS:
            raise ValueError('write the month in which the fiscal year begins, from "01" to "12"')
        return value

    @field_validator("quarter_end")
    @classmethod
    def _is_days(cls, value: timedelta) -> timedelta:
        if value.seconds or value.days > MOST_OF_QUARTER:
            raise ValueError(f'write whole days, at most "{MOST_OF_QUARTER}d"; "0d" switches the alert off')
        return value


class Expect(Table):
    """The expected result of a test lead. `lines` pins the points of single rules, decay and cap included."""

    total: Points | None = None
    fit: Points | None = None
    behavior: Points | None = None
    band: str | None = None
    grade: str | None = None
    grid: str | None = None
    segment: str | None = None
    stage: str | None = None
    owner: str | None = None
    track: str | None = None
    qualified: bool | None = None
    disqualified: str | None = None
    lines: dict[str, Points] = {}

    @model_validator(mode="after")
    def _tests_something(self) -> Expect:
        if not self.model_dump(exclude_none=True, exclude_defaults=True):
            said = 'write what is expected, for example { band = "mql" }'
            raise ValueError(f"{said}; without it nothing is tested")
        return self


ACCOUNT_GIVEN = ("account_score", "account_people", "account_missing_roles")
"""What of an account a test lead may be given, besides owners."""

ROUTING_GIVEN = ("owner", "account_owner", "colleague_owner", *ACCOUNT_GIVEN)
"""What a test lead may be given for routing, and no field of theirs."""

MOST_REPEATED = 1_000
"""So many `times` an activity of a test lead may have happened."""


def _check_given_activity(given: Any) -> None:
    """Raise `ValueError` where an activity of a test lead is none."""
    if not isinstance(given, Mapping) or not isinstance(given.get("kind"), str) or not given["kind"]:
        raise ValueError('write its kind: { kind = "page_viewed", ago = "1d" }')
    if "at" in given:
        raise ValueError('write ago = "3d" in place of at: how long before the test it was')
    times = given.get("times", 1)
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MOST_REPEATED:
        raise ValueError(f"times: write a whole number from 1 to {MOST_REPEATED:,}")
    try:
        read_duration(given.get("ago", "0d"))
    except ValueError as error:
        raise ValueError(f"ago: {error}") from None


class Golden(Table):
    """A test lead: an invented person, and the expected result.

    `given` has fields by their names, and `activities`, each with `kind`, `ago` ("3d"), `times` and attributes.
    `previous` is the band they were in before; `at` the instant of the test.
    """

    name: str
    given: dict[str, Any] = {}
    previous: str | None = None
    at: datetime | None = None
    expect: Expect

    @field_validator("given")
    @classmethod
    def _account(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in ACCOUNT_GIVEN[:2]:
            if isinstance(value.get(name, 0), bool) or not isinstance(value.get(name, 0), int | float):
                raise ValueError(f"{name}: write a number, for example {name} = 3")
        roles = value.get(ACCOUNT_GIVEN[2], [])
        if not isinstance(roles, list) or not all(isinstance(each, str) for each in roles):
            raise ValueError(f'{ACCOUNT_GIVEN[2]}: write the names of roles, for example ["Decision maker"]')
        return value

    @field_validator("given")
    @classmethod
    def _activities(cls, value: dict[str, Any]) -> dict[str, Any]:
        listed = value.get("activities", [])
        if not isinstance(listed, list):
            raise ValueError('activities: write a list, for example [{ kind = "page_viewed", ago = "1d" }]')
        for place, each in enumerate(listed, start=1):
            try:
                _check_given_activity(each)
            except ValueError as error:
                raise ValueError(f"activity no. {place}: {error}") from None
        return value

    @field_validator("at")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(WRITE_TIME)
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
    values: Values = Values()
    bands: Bands = {}
    grades: dict[str, Points] = {}
    grid: dict[str, Points] = {}
    machine_clicks: MachineClicks = MachineClicks()
    learned: Learned = Learned()
    review: Review = Review()
    test: list[Golden] = []

    @model_validator(mode="after")
    def _rules_agree(self) -> Model:
        raise_mistakes(
            [
                *self._twice(),
                *self._unknown_names(),
                *self._straddling_groups(),
                *_unordered(("bands",), "[bands]", self.bands),
                *(mistake for number, each in enumerate(self.segment) for mistake in self._odd_bands(number, each)),
                *_rising("grades", self.grades),
                *_rising("grid", self.grid),
            ]
        )
        return self

    def placed(self, *tables: str) -> Iterator[tuple[Loc, Any]]:
        """Each row of some tables with its place in the file."""
        for table in tables:
            yield from (((table, number), each) for number, each in enumerate(getattr(self, table)))

    def rules(self) -> tuple[Rule, ...]:
        """Every rule that gives points, in the order of the ledger."""
        return (*self.fit, *self.behavior, *self.inactivity, *self.sequence, *self.pattern)

    def axis(self, rule: Rule) -> Axis:
        """The axis that a rule's points count for."""
        return "fit" if isinstance(rule, Fit) else "behavior"

    def conditions(self) -> Iterator[Condition]:
        """Every question asked about a person, the outermost ones."""
        yield from (condition for _loc, condition in self.placed_conditions())

    def placed_conditions(self) -> Iterator[tuple[Loc, Condition]]:
        """The same with their places in the file."""
        for loc, each in self.placed(*RULE_TABLES, "disqualify", "qualification", "segment"):
            if each.when is not None:
                yield (*loc, "when"), each.when
        for number, adjustment in enumerate(self.learned.active):
            yield ("learned", "adjustment", number, "when"), adjustment.when

    def asked_fields(self) -> Iterator[Condition]:
        """Every question about one field that anything asks: here rules, in a whole config decisions, too."""
        yield from (part for each in self.conditions() for part in each.parts() if part.field is not None)

    def missing_words(self) -> dict[str, frozenset[str]]:
        """By field or attribute the folded texts that count as not known; under "" those of any other one.

        What a rule asks a field for is a value of this field: `NA` is a country where a rule asks for it.
        """
        words = frozenset(map(fold_text, self.values.missing))
        named: dict[str, set[str]] = {}
        asked: list[tuple[str, Match]] = [(part.field or "", part) for part in self.asked_fields()]
        for _on, where in selections_of(self):
            asked += where.items()
        for name, match in asked:
            texts = {fold_text(each) for each in (*match.words(), *self.lists.get(match.in_list or "", ()))}
            if match.country is not None:
                texts.add("na")  # the code of Namibia
            if found := texts & words:
                named.setdefault(name, set()).update(found)
        return {"": words, "stage": frozenset(), **{name: words - found for name, found in named.items()}}

    def moving_questions(self) -> list[Condition]:
        """The questions whose answer changes by time alone."""
        return [part for part in self.asked_fields() if not MOVING_KEYS.isdisjoint(part.keys())]

    def used_fields(self) -> set[str]:
        """The canonical fields that some rule reads."""
        read = {name for condition in self.conditions() for name in condition.fields()}
        return read | {each.since for each in self.inactivity if each.since}

    def count_fields(self) -> set[str]:
        """The fields that are counts of a person's account: a whole config may have some."""
        return set()

    def read_fields(self) -> set[str]:
        """The canonical fields that are read: here by rules, in a whole config by decisions, too."""
        return self.used_fields()

    def chosen_fields(self) -> set[str]:
        """The fields that are empty unless somebody chose a value: there is nothing to find out about them."""
        return set()

    def band_names(self) -> list[str]:
        """The bands from the lowest to the highest."""
        return list(self.bands)

    def _twice(self) -> Iterator[Mistake]:
        kinds = (("rules", RULE_TABLES), *((f"[[{table}]]", (table,)) for table in NAMED_TABLES))
        for what, tables in kinds:
            places: dict[str, list[Loc]] = {}
            for loc, each in self.placed(*tables):
                places.setdefault(each.name, []).append(loc)
            for name in sorted(name for name, locs in places.items() if len(locs) > 1):
                yield Mistake((*places[name][0], "name"), f"two {what} have the name {name!r}; give each its own name")
        adjustments = [each.name for each in self.learned.adjustment]
        for name in sorted({name for name in adjustments if adjustments.count(name) > 1}):
            loc = ("learned", "adjustment", adjustments.index(name), "name")
            yield Mistake(loc, f"two [[learned.adjustment]] have the name {name!r}; give each its own name")

    def _unknown_names(self) -> Iterator[Mistake]:
        segments = [each.name for each in self.segment]
        for loc, rule in self.placed(*RULE_TABLES):
            named = (
                ("segments", "[[segment]]", rule.segments, segments),
                ("group", "[groups]", [rule.group], self.groups),
            )
            for key, table, names, known in (*named, ("channel", "[channels]", [rule.limits.channel], self.channels)):
                yield from _strangers((*loc, key), repr(rule.name), table, names, known)
        for loc, match in self.placed_matches():
            for name in (match.in_list, match.domain_list):
                if name is not None and name not in self.lists:
                    said = f"a rule uses the list {name!r}, which is not in [lists]"
                    yield Mistake(loc, f"{said}; {suggest_name(name, self.lists, 'add it there')}")
        of_domains = {FREE_MAIL_LIST, *(match.domain_list for _loc, match in self.placed_matches())}
        for name, texts in self.lists.items():
            for said in domains_with_star(texts) if name in of_domains else ():
                yield Mistake(("lists", name), f"[lists] {name}: {said}")
        for loc, test in self.placed("test"):
            yield from _strangers(
                loc, f"test lead {test.name!r}", "[bands]", [test.previous, test.expect.band], self.bands
            )

    def placed_matches(self) -> Iterator[tuple[Loc, Match]]:
        """Every test of a value with its place in the file."""
        for loc, condition in self.placed_conditions():
            yield from ((loc, part) for part in condition.parts())
        for loc, each in self.placed(*RULE_TABLES, "disqualify"):
            yield from ((loc, match) for _on, where in selections_of_rule(each) for match in where.values())

    def _straddling_groups(self) -> Iterator[Mistake]:
        for name in self.groups:
            homes = {(self.axis(rule), rule.limits.channel) for rule in self.rules() if rule.group == name}
            if len({axis for axis, _ in homes}) > 1:
                said = f"the group {name!r} has rules of fit and of behavior; use two groups"
                yield Mistake(("groups", name), said)
            elif len(homes) > 1:
                yield Mistake(("groups", name), f"the group {name!r} has rules of several channels; use one channel")

    def _odd_bands(self, number: int, segment: Segment) -> Iterator[Mistake]:
        loc, where = ("segment", number, "bands"), f"[[segment]] {segment.name}"
        if segment.bands and list(segment.bands) != list(self.bands):
            names = ", ".join(self.bands) or "none"
            yield Mistake(loc, f"{where}: use the same bands as [bands], in the same order: {names}")
        yield from _unordered(loc, where, segment.bands)


FREE_MAIL_LIST = "free_mail"
"""The list of domains that count as free mail besides those that are known; one after a "!" does not."""

RULE_TABLES = ("fit", "behavior", "inactivity", "sequence", "pattern")
"""The tables of rules that give points, in the order of the ledger."""

NAMED_TABLES = ("segment", "disqualify", "qualification", "test")
"""The other tables whose rows have names."""


def _strangers(loc: Loc, who: str, table: str, names: Iterable[str | None], known: Iterable[str]) -> Iterator[Mistake]:
    for name in names:
        if name and name not in known:
            said = suggest_name(name, known, "add it there, or correct the name")
            yield Mistake(loc, f"{who} uses {name!r}, which is not in {table}; {said}")


def _unordered(loc: Loc, where: str, bands: Mapping[str, Band]) -> Iterator[Mistake]:
    """Mistakes about bands whose points do not rise from the first to the last."""
    cuts = [(name, band.at) for name, band in bands.items() if band.at is not None]
    for (low, below), (high, above) in pairwise(cuts):
        if above <= below:
            said = f"{where}: {high!r} is at {above:,g}, which is not above {low!r} at {below:,g}"
            yield Mistake((*loc, high), f"{said}; write the lowest band first")
    for name in list(bands)[1:]:
        if bands[name].at is None and bands[name].min_fit is None and bands[name].min_behavior is None:
            said = f"{where}: {name!r} needs at, min_fit or min_behavior; only the first band needs none"
            yield Mistake((*loc, name), said)


def _rising(table: str, grades: Mapping[str, float]) -> Iterator[Mistake]:
    cuts = list(grades.items())
    for (best, above), (next_best, below) in pairwise(cuts):
        if below >= above:
            said = f"[{table}]: {next_best!r} is at {below:,g}, which is not below {best!r} at {above:,g}"
            yield Mistake((table, next_best), f"{said}; write the best first")


def matches_of(model: Model) -> Iterator[Match]:
    """Every test of a value, of a person's field or of an activity's attribute."""
    yield from (match for _loc, match in model.placed_matches())


def selects_kind(on: Iterable[str], kind: str) -> bool:
    """Whether a selection of the kinds `on` takes activities of a kind."""
    kinds = list(on)
    return kind in kinds if kinds else kind not in NOT_THEIR_DOING


def selections_of(model: Model) -> Iterator[tuple[list[str], Where]]:
    """Every choice of activities a model makes: kinds (none means all that are a person's own doing) and attributes."""
    for _loc, each in model.placed(*RULE_TABLES, "disqualify"):
        yield from selections_of_rule(each)


def selections_of_rule(each: Rule | Disqualify) -> Iterator[tuple[list[str], Where]]:
    """Every choice of activities that one rule makes."""
    match each:
        case Behavior():
            yield each.on, each.where
            if each.unless:
                yield each.unless.on, each.unless.where
        case Inactivity():
            yield each.on or [], each.where
        case Sequence():
            yield from ((step.on, step.where) for step in each.steps)
        case Pattern():
            yield each.on, each.where
            yield from ((step.on, step.where) for step in each.covering)
        case Disqualify(on=list()):
            yield each.on or [], each.where
            if each.unless:
                yield each.unless.on, each.unless.where
