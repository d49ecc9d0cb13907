"""The whole model on a page, in words: everything that can change a score, a band or who is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from crmsync.config import Config
from crmsync.config.learned import Learned
from crmsync.config.model import Band, Limit, Model, Segment, Weights
from crmsync.config.rules import Disqualify
from crmsync.config.units import to_hundredths
from crmsync.counts import count_of
from crmsync.scoring.machine_clicks import describe_machine_rules
from crmsync.scoring.operators import format_word
from crmsync.scoring.wording import (
    describe_condition,
    describe_limit,
    describe_rule,
    to_points,
    within_days,
)

RULES = ("fit", "behavior", "inactivity", "sequence", "pattern")
"""The tables of rules, in the order of the ledger."""

MOST_SHOWN = 30
"""Entries of a list that the page shows."""


class Said(NamedTuple):
    """One line of the page: its sort (a rule's table, or what else it is), points where it has a number, and words."""

    sort: str
    points: float | None
    name: str
    says: str


def describe_model(model: Model) -> dict[str, list[Said]]:
    """The lines of the page by part; a part that the model does not have is empty."""
    return {
        "rules": [
            Said(sort, each.points, each.name, describe_rule(each)) for sort in RULES for each in getattr(model, sort)
        ],
        "limits": [*_limits(model), *_machines(model), *_score(model), *_adjustments(model.learned)],
        "bands": [*_bands(model.bands), *_grades("grade", "fit", model), *_grades("grid", "behavior", model)],
        "disqualifiers": [Said("disqualify", None, each.name, _disqualifier(each)) for each in model.disqualify],
        "qualifications": [
            Said("qualification", None, each.name, describe_condition(each.when)) for each in model.qualification
        ],
        "segments": [Said("segment", None, each.name, _segment(each)) for each in model.segment],
        "words": [*_lists(model), *_titles(model)],
    }


def page_of(config: Config) -> dict[str, Any]:
    """The page as plain values for JSON, with what the config does with a band: stages and owners."""
    parts = {**describe_model(config), "stages": [*_stages(config)], "owners": [*_owners(config)]}
    lines = {part: [_plainly(each) for each in said] for part, said in parts.items()}
    return {"model": config.model_hash(), "timezone": config.schedule.timezone, **lines}


def _plainly(said: Said) -> dict[str, Any]:
    points = None if said.points is None else to_points(to_hundredths(said.points))
    return {"sort": said.sort, "points": points, "name": said.name, "says": said.says}


def _stages(config: Config) -> Iterator[Said]:
    for stage in config.stage:
        if stage.band:
            said = f"in the band {stage.band} or above"
        elif stage.enter:
            said = f"where {describe_condition(stage.enter)}"
        else:
            said = "set only by users"
        if stage.exit:
            back = f", back to {stage.recycle}" if stage.recycle else ""
            said += f"; left where {describe_condition(stage.exit)}{back}"
        yield Said("stage", None, stage.name, said)


def _owners(config: Config) -> Iterator[Said]:
    pools = {pool.name: pool for pool in config.owner_pool}
    for route in config.route:
        whom = "everybody else without an owner" if route.when is None else f"where {describe_condition(route.when)}"
        pool = pools.get(route.to)
        members = "" if pool is None else f" ({pool.method}: {', '.join(each.email for each in pool.members)})"
        yield Said("owner", None, route.name, f"{whom}: {route.to}{members}")


def _limits(model: Model) -> Iterator[Said]:
    for sort, limits in (("group", model.groups), ("channel", model.channels)):
        for name, limit in limits.items():
            alone = "" if sort == "group" else "; a separate sub-score"
            yield Said(
                sort,
                None,
                name,
                f"all its rules together give {describe_limit(limit) or 'any number of points'}{alone}",
            )


def _machines(model: Model) -> Iterator[Said]:
    if said := describe_machine_rules(model.machine_clicks):
        yield Said("machine_clicks", None, "machine clicks", said)


def _score(model: Model) -> Iterator[Said]:
    score = model.score
    yield Said("score", None, "fit", _summed("all rules of fit", score.fit))
    yield Said("score", None, "behavior", _summed("all rules of behavior", score.behavior))
    yield Said("score", None, "total", _summed(_weighed(model.weights), score.total))
    exact = ("whole points", "points with one decimal", "points with two decimals")[score.decimals]
    yield Said("score", None, "rounding", f"fit, behavior and total are {exact}; a half is rounded to the even number")


def _adjustments(learned: Learned) -> Iterator[Said]:
    if learned.active:
        yield Said(
            "learned",
            None,
            "adjustment",
            f"added to total at the end: the adjustments together, at most {count_of(learned.clamp, 'point')} up or "
            "down, cut so that they move nobody by more than one band",
        )
    for each in learned.active:
        yield Said("learned", each.points, each.name, describe_condition(each.when))


def _summed(what: str, limit: Limit) -> str:
    return ", ".join([what, *([describe_limit(limit)] if describe_limit(limit) else [])])


def _weighed(weights: Weights) -> str:
    parts = (("fit", weights.fit), ("behavior", weights.behavior))
    return " + ".join(name if weight == 1 else f"{name} × {weight:.15g}" for name, weight in parts)


def _bands(bands: Mapping[str, Band]) -> Iterator[Said]:
    """From the lowest, which needs nothing, to the highest."""
    for place, (name, band) in enumerate(bands.items()):
        yield Said("band", band.at, name, _band(band) if place else "everybody else")


def _band(band: Band) -> str:
    needs = (("total", band.at), ("fit", band.min_fit), ("behavior", band.min_behavior))
    parts = [f"{axis} of {points:,.15g} or more" for axis, points in needs if points is not None]
    leave = [] if band.drop_below is None else [f"dropped below {band.drop_below:,.15g}"]
    return "; ".join([" and ".join(parts), *leave])


def _grades(sort: str, axis: str, model: Model) -> Iterator[Said]:
    grades = model.grades if sort == "grade" else model.grid
    for name, points in grades.items():
        last = name == list(grades)[-1]
        yield Said(sort, points, name, "everybody else" if last else f"{axis} of {points:,.15g} or more")


def _disqualifier(rule: Disqualify) -> str:
    done = [within_days(rule.on, rule.where, rule.window)] if rule.on else []
    if rule.unless:
        later = within_days(rule.unless.on, rule.unless.where, rule.unless.window)
        done = [f"{done[0]}, unless later {later}"]
    return "; only if ".join([*done, *([describe_condition(rule.when)] if rule.when else [])])


def _segment(segment: Segment) -> str:
    weights = [f"total is {_weighed(segment.weights)}"] if segment.weights else []
    own = [f"{each.name}: {each.says}" for each in _bands(segment.bands)][1:]
    return "; ".join([describe_condition(segment.when), *weights, *own])


def _lists(model: Model) -> Iterator[Said]:
    yield from (Said("list", None, name, _shown(texts)) for name, texts in model.lists.items())


def _titles(model: Model) -> Iterator[Said]:
    for words in (model.titles.seniority, model.titles.department):
        for name, texts in words.items():
            yield Said("title", None, format_word(name), f"titles with {_shown(texts)}")


def _shown(texts: Sequence[str]) -> str:
    more = len(texts) - MOST_SHOWN
    return ", ".join(texts[:MOST_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
