"""What a config would change that scores people by other rules: now, and over the past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import OPEN, Cases, JudgedCases, join_judged, judge_cases
from crmsync.evaluation.line import find_line
from crmsync.evaluation.simulation import (
    CapacityLine,
    ComparedPeople,
    ConversionTable,
    Over,
    Placed,
    count_moves,
    cross_bands,
    describe_population,
    draw_curve,
    estimate_conversion,
    expect_wins,
    find_capacity_line,
    measure_over,
    measure_reps,
    place_judged,
    place_people,
)
from crmsync.planning.desk import read_marks
from crmsync.planning.gates import PlanCount
from crmsync.planning.people_columns import read_holds, read_people_columns
from crmsync.reporting.console import count_of, show_points
from crmsync.reporting.numbers import describe_accepted, show_share
from crmsync.routing.exclusion import find_excluded
from crmsync.routing.simulation import find_routed_pools
from crmsync.scoring import score
from crmsync.store.arrivals import find_arrivals
from crmsync.store.database import Store
from crmsync.store.queries import some_people
from crmsync.store.score_inputs import Facts
from crmsync.store.scores import PEOPLE_AT_ONCE, known_scores
from crmsync.store.sql import in_chunks, to_ms

ARRIVED = timedelta(days=91)
"""Whose arrivals say how many people come a week, where nobody was judged yet."""

EVERYBODY = 2**31 - 1

IN_USE, FILE, ITSELF = "in_use", "file", "itself"
"""What a config is held against: the model in use, another file, or itself."""


class Models(NamedTuple):
    """The config that is tried and the one that it is held against; `against` says which that is."""

    new: Config
    old: Config
    against: str
    name: str = ""

    def line_of(self, config: Config) -> str | None:
        """The band that people are handed over in by one of them: the new config says which."""
        line = self.new.outcome.line if self.new.outcome else None
        return find_line(config, line if line in config.band_names() else None)


class Compared(NamedTuple):
    """The same people by both models."""

    people: ComparedPeople
    old: Placed
    new: Placed
    old_wins: ConversionTable | None = None
    new_wins: ConversionTable | None = None


def join_fields(models: Models) -> Config:
    """The new config, which reads the fields and counts of the old one besides: cases are read once for both."""
    old, new = models.old.account, models.new.account
    account = new or old
    if old is not None and new is not None:
        account = new.model_copy(update={"counts": {**old.counts, **new.counts}})
    return models.new.model_copy(update={"fields": {**models.old.fields, **models.new.fields}, "account": account})


def compare_past(models: Models, cases: Iterable[Cases], since: int | None, until: int | None) -> Compared | None:
    """People as they were known when they were judged, by both models; `None` where there are none."""
    zone = models.new.zone
    parts: list[tuple[JudgedCases, JudgedCases]] = []
    for each in cases:
        new = _slim(judge_cases(models.new, each, zone))
        parts.append((new, new if models.against == ITSELF else _slim(judge_cases(models.old, each, zone))))
    if not sum(len(new) for new, _old in parts):
        return None
    new = join_judged([each for each, _old in parts])
    old = new if models.against == ITSELF else join_judged([each for _new, each in parts])
    return Compared(
        describe_population(new, zone, since, until),
        place_judged(old, models.line_of(models.old)),
        place_judged(new, models.line_of(models.new)),
        estimate_conversion(old.total, old.outcome),
        estimate_conversion(new.total, new.outcome),
    )


def _slim(judged: JudgedCases) -> JudgedCases:
    """Without what each rule gave and what people are called: a million people by two models fit into memory."""
    nothing: NDArray[np.int32] = np.zeros((len(judged), 0), dtype=np.int32)
    return replace(judged, rules=(), points=nothing, fields=(), known=nothing.astype(bool), names=())


def compare_present(models: Models, store: Store, now: datetime) -> Compared | None:
    """Everybody of the state as they are known now, by both models; `None` where nobody was scored yet."""
    with store.read() as reading:
        people = some_people(reading, EVERYBODY)
        arrivals = find_arrivals(reading, list(models.new.crms), to_ms(now - ARRIVED), to_ms(now)).at
        came = np.array(list(arrivals), dtype=np.int64)
        columns_of = join_fields(models)
        facts: Facts = {}
        holds = read_holds(reading, columns_of, now)
        placed: dict[str, list[Placed]] = {"old": [], "new": []}
        in_flow = []
        for some in in_chunks(people, PEOPLE_AT_ONCE):
            columns = read_people_columns(reading, columns_of, some, holds, facts, now=now)
            before = known_scores(reading, some)
            bands = [before[each].band if each in before else None for each in some]
            for name, config in (("old", models.old), ("new", models.new)):
                scores = score(config, columns, now, config.zone, bands)
                left_out = np.array([bool(why) for why in _excluded(reading, config, columns, some, now)], dtype=bool)
                it = scores
                placed[name].append(
                    place_people(
                        config, models.line_of(config), it.total, it.fit, it.behavior, it.band, it.segment,
                        it.disqualified, left_out,
                    )
                )  # fmt: skip
            in_flow.append(np.isin(some, came))
    if not people:
        return None
    old, new = (_join_placed(each) for each in placed.values())
    # Whom both leave out is in neither model.
    kept = ~((old.band == len(old.bands)) & (new.band == len(new.bands)))
    flow = np.concatenate(in_flow)[kept]
    weeks = ARRIVED / timedelta(weeks=1) if flow.any() else None
    outcome = np.full(int(kept.sum()), OPEN, dtype=np.int8)
    return Compared(ComparedPeople(flow, weeks, outcome, None, None), _keep_placed(old, kept), _keep_placed(new, kept))


def _excluded(reading: Connection, config: Config, columns: Any, people: Any, now: datetime) -> list[str]:
    return find_excluded(config, columns, read_marks(reading, config, people), now)


def _join_placed(parts: list[Placed]) -> Placed:
    return Placed(
        np.concatenate([each.total for each in parts]),
        np.concatenate([each.band for each in parts]),
        parts[0].bands,
        np.concatenate([each.over for each in parts]),
        np.concatenate([each.able for each in parts]),
    )


def _keep_placed(placed: Placed, kept: Any) -> Placed:
    return Placed(placed.total[kept], placed.band[kept], placed.bands, placed.over[kept], placed.able[kept])


def model_simulation_document(
    models: Models, past: Compared | None, present: Compared | None, capacity: float | None, notes: list[str]
) -> dict[str, Any]:
    """What `crmsync simulate` prints; `past` counts where there is one, else `present`.

    Raises `ConfigError` where there is neither.
    """
    main = past or present
    if main is None:
        said = "there is nobody to simulate with; run crmsync sync first, or give --input FILE"
        raise ConfigError(said, "crmsync sync")
    reps, line = _count_reps(models.new, main), models.line_of(models.new)
    if present is not None and past is not None:
        present = present._replace(old_wins=past.old_wins, new_wins=past.new_wins)
    found = None
    if capacity is not None and line is not None:
        found = find_capacity_line(main.people, main.new, capacity, models.new.score.decimals, reps)
    compared = _compared(models, main, reps)
    return {
        "model": models.new.decision_hash(),
        "against": models.old.decision_hash(),
        "against_is": models.against,
        "population": "past" if past is not None else "now",
        "said": _say_change(models, compared, past is not None),
        "line_band": line,
        "weeks": main.people.weeks,
        "reps": reps,
        **compared,
        "curve": [_over(each) for each in draw_curve(main.people, main.new, reps)] if line is not None else [],
        "line": None if found is None else _line(found),
        "by_rep": [
            {"rep": rep, "old_per_week": old, "new_per_week": new}
            for rep, old, new in measure_reps(main.people, main.old, main.new)
        ],
        "now": None if present is None or past is None else _compared(models, present, reps),
        "notes": [*_notes(models, main, past is not None, capacity, line), *notes],
    }


def _count_reps(config: Config, main: Compared) -> int | None:
    """The members of the pools that a route leads to; without any, everybody who has had somebody."""
    members = {member.email.lower() for pool in find_routed_pools(config) for member in pool.members}
    rep = main.people.rep
    had = {label for label in rep.labels if label} if rep is not None else set()
    return len(members or had) or None


def _compared(models: Models, it: Compared, reps: int | None) -> dict[str, Any]:
    higher, lower = count_moves(it.old, it.new)
    sides = (
        ("old", models.old, it.old, it.old_wins),
        ("new", models.new, it.new, it.new_wins),
    )
    over = {}
    for name, config, placed, wins in sides:
        line = models.line_of(config)
        points = config.bands[line].at if line is not None else None
        over[name] = {
            **_over(measure_over(it.people, placed.over, reps, points)),
            "expected_wins": expect_wins(placed, it.people.outcome, wins),
        }
    return {
        "people": len(it.old.total),
        "higher": higher,
        "lower": lower,
        "matrix": cross_bands(it.old, it.new),
        "over_line": over,
    }


def _over(each: Over) -> dict[str, Any]:
    return each._asdict()


def _line(found: CapacityLine) -> dict[str, Any]:
    over = {name: value for name, value in found.over._asdict().items() if name != "points"}
    return {
        "capacity": found.capacity,
        "points": found.points,
        "over_by": found.over_by,
        **over,
        "said": _say_line(found),
    }


def _say_line(found: CapacityLine) -> str:
    over, room = found.over, show_points(round(found.capacity, 1))
    expected = f"expected conversion {show_share(over.conversion)}"
    if over.accepted is not None:
        expected = f"expected acceptance {show_share(over.acceptance)}"
    said = f"{room} a week: set it at {show_points(found.points)}, {expected}."
    if found.over_by is not None:
        present = found.over_by + found.capacity
        side = f"{show_points(round(abs(found.over_by), 1))} {'more' if found.over_by > 0 else 'fewer'} than that"
        side = "as many as that" if round(found.over_by, 1) == 0 else side
        said += f" The line of this config has {show_points(round(present, 1))} a week, {side};"
        said += f" the one at {show_points(found.points)} leaves {show_points(round(over.per_week or 0, 1))}."
    return said


def _say_change(models: Models, compared: Mapping[str, Any], is_past: bool) -> str:
    people = count_of(compared["people"], "person")
    who = f"{people}, each as known when they were judged" if is_past else f"{people}, as known now"
    moved = sum(many for row, cells in compared["matrix"].items() for column, many in cells.items() if row != column)
    if models.against == ITSELF:
        return f"The config is held against itself, so that nobody changes: {who}."
    if not moved:
        return f"Nobody would be in another band: {who}."
    over = compared["over_line"]
    sides = [describe_accepted(over[it]["people"], over[it]["accepted"], over[it]["settled"]) for it in ("old", "new")]
    return f"{count_of(moved, 'person')} would be in another band, of {who}; over the line {sides[0]} → {sides[1]}."


def _notes(models: Models, main: Compared, is_past: bool, capacity: float | None, line: str | None) -> list[str]:
    said = []
    if models.against == ITSELF:
        said.append("To hold the file against another config: --against FILE.")
    if line is None:
        said.append("The config has no bands, so that there is no line to move; add [bands].")
    if capacity is not None and main.people.weeks is None:
        said.append("Nobody knows when people came, so that no line can be found for a capacity a week.")
    if is_past:
        said.append(
            "Whom nobody handed over could not be accepted, so that a lower line would do a little better than it "
            "looks here. Bands have no memory here: drop_below does not count."
        )
    if any(each.bands for each in models.new.segment):
        said.append("The curve moves the line of all segments together, by the same points for all.")
    if line is not None and not (main.people.outcome != OPEN).any():
        said.append("No outcome is known, so that neither conversion nor acceptance is.")
    return said


def count_standings(document: Mapping[str, Any]) -> dict[str, PlanCount]:
    """People per band before and after, for conditions under which a pipeline fails: of now where that is known."""
    of = document["now"] or document
    matrix, people = of["matrix"], of["people"]
    names = dict.fromkeys([*matrix, *(name for row in matrix.values() for name in row)])
    before = {name: sum(matrix.get(name, {}).values()) for name in names}
    after = {name: sum(row.get(name, 0) for row in matrix.values()) for name in names}
    moved = people - sum(matrix.get(name, {}).get(name, 0) for name in names)
    bands = {name: PlanCount(before[name], after[name], people) for name in names}
    return {**bands, "people": PlanCount(0, moved, people, is_change=True)}
