"""Experiments: which arms there are, who is in them, and when they may be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from crmsync.config.conditions import Condition
from crmsync.config.mistakes import Loc, Mistake
from crmsync.config.tables import Duration, Table

PREFIX = "experiment."
"""How the field begins that says in which arm of an experiment somebody is."""

NO_ARM = "none"
"""The arm of those who are not in the experiment."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")

Metric = Literal["won", "accepted", "opportunity", "meeting"]


def _arms(value: Any) -> Any:
    """Arms without lines as a table, too."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        if len(set(value)) < len(value):
            raise ValueError("two arms have the same name; give each its own")
        return dict.fromkeys(value)
    return value


class Experiment(Table):
    """People who come from `start` on are divided among `arms` by chance; the same person is always in the same arm.

    `arms` are names, or names with a line each (points), which is then theirs: `{ a = 50, b = 70 }`. `share` says how
    large an arm is beside the others. Whoever comes within `wash_out` of the start is in an arm and does not count.
    The arms are compared once each has `size` people of whom it is known whether they came to the `metric`, or after
    `until` (the last day on which people are divided), and not before: what is looked at daily will look good once.
    """

    arms: Annotated[dict[str, float | None], BeforeValidator(_arms)]
    share: dict[str, Annotated[float, Field(gt=0)]] = {}
    start: date
    until: date | None = None
    wash_out: Duration = timedelta(days=14)
    size: int | None = Field(default=None, ge=1)
    metric: Metric = "won"

    @field_validator("arms")
    @classmethod
    def _named(cls, value: dict[str, float | None]) -> dict[str, float | None]:
        for name in value:
            if not _NAME.fullmatch(name) or name == NO_ARM:
                raise ValueError(
                    f"{name!r} cannot be the name of an arm; write letters, digits, - and _, without blanks"
                )
        if len(value) < 2:
            raise ValueError("one arm is nothing to compare; write at least two")
        lines = [line is not None for line in value.values()]
        if any(lines) and not all(lines):
            raise ValueError('give every arm a line, for example { a = 50, b = 70 }, or none of them: ["a", "b"]')
        return value

    @model_validator(mode="after")
    def _complete(self) -> Experiment:
        if strange := sorted(set(self.share) - set(self.arms)):
            raise ValueError(f"share names {', '.join(map(repr, strange))}; the arms are {', '.join(self.arms)}")
        if self.size is None and self.until is None:
            raise ValueError("say when the arms may be compared: size (people per arm) or until (a day)")
        if self.until is not None and self.until < self.start:
            raise ValueError("until is before start")
        return self

    @property
    def has_lines(self) -> bool:
        """Whether the arms are lines."""
        return all(line is not None for line in self.arms.values())

    def shares(self) -> dict[str, float]:
        """The part of the people that each arm gets; together 1."""
        parts = {name: self.share.get(name, 1.0) for name in self.arms}
        whole = sum(parts.values())
        return {name: part / whole for name, part in parts.items()}


def segment_name(experiment: str, arm: str) -> str:
    """The segment of those for whom the line of an arm holds."""
    return f"{experiment}: {arm}"


def add_experiment_segments(given: Any) -> Any:
    """What a config says, with a segment for each arm that is a line: its people have the model's bands but for that.

    What cannot be put together is left as it is, for `find_experiment_mistakes` to say; nor is anything added twice, so
    that a stored config reads as it was.
    """
    if not isinstance(given, Mapping) or not isinstance(given.get("experiment"), Mapping):
        return given
    rows, bands = given.get("segment", []), given.get("bands")
    line = _line_of(given)
    if rows or not isinstance(bands, Mapping) or line not in bands:
        return given
    with_lines = {name: arms for name, each in given["experiment"].items() if (arms := _lines_of(each))}
    if len(with_lines) != 1 or any(not _NAME.fullmatch(name) for name in with_lines):
        return given
    ((name, arms),) = with_lines.items()
    made = [
        {"name": segment_name(name, arm), "when": {"field": f"{PREFIX}{name}", "is": arm}, "bands": moved}
        for arm, at in arms.items()
        if (moved := _with_line(bands, line, at)) is not None
    ]
    return {**given, "segment": made} if len(made) == len(arms) else given


def _line_of(given: Mapping[str, Any]) -> str:
    """The name of the line as `find_line` tells it, of a config that was not checked yet."""
    outcome, bands = given.get("outcome"), given.get("bands")
    named = outcome.get("line") if isinstance(outcome, Mapping) else getattr(outcome, "line", None)
    names = list(bands) if isinstance(bands, Mapping) else []
    return str(named) if named else "mql" if "mql" in names else str(names[-1]) if names else ""


def _lines_of(experiment: Any) -> Mapping[str, float]:
    arms = experiment.get("arms") if isinstance(experiment, Mapping) else getattr(experiment, "arms", None)
    numbers = isinstance(arms, Mapping) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in arms.values()
    )
    return arms if numbers and isinstance(arms, Mapping) else {}


def _with_line(bands: Mapping[str, Any], line: str, at: float) -> dict[str, Any] | None:
    """The bands with another line; `None` where they would not rise any more."""
    cuts = {name: at if name == line else _cut(band) for name, band in bands.items()}
    points = [each for each in cuts.values() if each is not None]
    band = bands[line]
    leaves = band.get("drop_below") if isinstance(band, Mapping) else getattr(band, "drop_below", None)
    if any(high <= low for low, high in pairwise(points)) or (leaves is not None and leaves > at):
        return None
    plain = band.model_dump(exclude_unset=True) if isinstance(band, Table) else band
    moved = {**plain, "at": at} if isinstance(plain, Mapping) else at
    return {name: moved if name == line else each for name, each in bands.items()}


def _cut(band: Any) -> float | None:
    cut = band.get("at") if isinstance(band, Mapping) else getattr(band, "at", band)
    return float(cut) if isinstance(cut, int | float) else None


def find_experiment_mistakes(experiments: Mapping[str, Experiment], segments: Sequence[str]) -> Iterator[Mistake]:
    """Experiments whose names or lines cannot be; `segments` are those of the config, with those that were added."""
    for name in (each for each in experiments if not _NAME.fullmatch(each)):
        said = f"{name!r} cannot be the name of an experiment; write letters, digits, - and _"
        yield Mistake(("experiment", name), said)
    with_lines = [name for name, each in experiments.items() if each.has_lines]
    if len(with_lines) > 1:
        said = f"{' and '.join(with_lines)} both move the line; run one after the other"
        yield Mistake(("experiment", with_lines[1], "arms"), said)
        return
    for name in with_lines:
        loc = ("experiment", name, "arms")
        if all(segment_name(name, arm) in segments for arm in experiments[name].arms):
            continue
        if segments:
            said = (
                "lines and [[segment]] do not go together, since a segment may have bands of its own; write arms as a "
                f'list, and a [[segment]] with bands for each: when = {{ field = "{PREFIX}{name}", is = "…" }}'
            )
            yield Mistake(loc, said)
        else:
            said = (
                "with these lines the bands would not rise from the first to the last, or one begins below drop_below"
            )
            yield Mistake(loc, f"{said}; see [bands]")


def find_arm_mistakes(loc: Loc, part: Condition, experiments: Mapping[str, Experiment]) -> Iterator[Mistake]:
    """Arms that a question asks for, and that its experiment does not have."""
    arms = experiments[(part.field or "").removeprefix(PREFIX)].arms
    for asked in (part.is_, *(part.in_ or ())):
        if asked is not None and asked not in (*arms, NO_ARM):
            said = f"there is no arm {asked!r} in {part.field}; the arms are {', '.join(arms)}"
            yield Mistake(loc, f"{said}, and {NO_ARM} for whoever is in none")
