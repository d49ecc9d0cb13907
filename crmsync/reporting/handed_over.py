"""What users made of the people they were given: their tags, and how soon they got in touch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.deciding import SOURCE
from crmsync.config.tables import spelled_duration
from crmsync.model import Scalar
from crmsync.planning.deadlines import read_deadlines
from crmsync.reporting.console import in_order
from crmsync.routing.feedback import TagState, judge_tag
from crmsync.routing.sla import Deadline, measure_groups, measure_speed
from crmsync.store.hand_offs import names_of_people
from crmsync.store.overrides import OverrideCount, count_owner_overrides, count_stage_overrides
from crmsync.store.scores import count_tags
from crmsync.store.sql import from_ms, to_ms

MOST_NAMED = 50
"""Breaches that the status names."""


def feedback_counts(config: Config, reading: Connection) -> dict[str, dict[str, int]]:
    """People by their tag and band: the tags of the config first, in its order."""
    counts = {tag: in_order(bands, config.band_names()) for tag, bands in count_tags(reading).items()}
    known = list(config.feedback.tags) if config.feedback else []
    return {tag: counts[tag] for tag in [*known, *sorted(counts.keys() - set(known))] if tag in counts}


def feedback_of(config: Config, value: Scalar | None, before: Any, now: datetime) -> dict[str, Any] | None:
    """The tag of a person and what it does; until when, once a run has seen it. `before` is their stored row."""
    if config.feedback is None:
        return None
    seen = TagState() if before is None else TagState(before.feedback, before.feedback_since, before.feedback_left)
    tag = judge_tag(config.feedback, value, seen, to_ms(now))
    if not tag.state.tag:
        return None
    is_seen = tag.until is not None and tag.state.since == seen.since
    until = from_ms(tag.until).isoformat() if is_seen and tag.until is not None else None
    return {"tag": tag.state.tag, "action": tag.action, "until": until}


def sla_counts(config: Config, reading: Connection, now: datetime) -> dict[str, Any] | None:
    """Who was not contacted in time, those who still are not first, and how soon people are by owner, band, source."""
    if config.sla is None:
        return None
    deadlines = read_deadlines(reading, config, now)
    late = sorted((each for each in deadlines if each.breached), key=lambda each: (each.touched is not None, each.due))
    names = names_of_people(reading, [each.hand_off.person for each in late[:MOST_NAMED]])
    return {
        "within": spelled_duration(config.sla.within),
        "open": sum(1 for each in deadlines if each.touched is None),
        "touched": sum(1 for each in deadlines if each.touched is not None),
        "breaches": [
            {
                "person": each.hand_off.person,
                "name": names.get(each.hand_off.person, ""),
                "owner": each.hand_off.owner,
                "stage": each.hand_off.stage,
                "handed_off": from_ms(each.hand_off.at).isoformat(),
                "due": each.due.isoformat(),
            }
            for each in late[:MOST_NAMED]
        ],
        "breached": len(late),
        "speed_to_lead": [each._asdict() for each in measure_speed(deadlines)],
        "by_owner": [each._asdict() for each in measure_groups(deadlines, lambda each: each.hand_off.owner)],
        "by_band": _speed_by_band(config, deadlines),
        "by_source": _speed_by_source(config, reading, deadlines),
    }


def _speed_by_band(config: Config, deadlines: Sequence[Deadline]) -> list[dict[str, Any]]:
    """By the band at the hand-off, the highest first; bands that the config no longer has come last."""
    bands = {each.name: each for each in measure_groups(deadlines, lambda each: each.hand_off.band)}
    known = [name for name in reversed(config.band_names()) if name in bands]
    return [bands[name]._asdict() for name in [*known, *sorted(bands.keys() - set(known))]]


def _speed_by_source(config: Config, reading: Connection, deadlines: Sequence[Deadline]) -> list[dict[str, Any]]:
    """By what the CRMs say of where people came from (`""`: nothing), most people first; none where it is not read."""
    if SOURCE not in config.fields:
        return []
    people = sorted({each.hand_off.person for each in deadlines})
    # Here, because numpy, by which scores read fields, takes a while to load.
    from crmsync.store.score_inputs import read_field

    sources = read_field(reading, people, SOURCE, config.identity.source_of_truth)
    groups = measure_groups(deadlines, lambda each: _source_text(sources.get(each.hand_off.person, "")))
    return [each._asdict() for each in sorted(groups, key=lambda each: (-each.open - each.touched, each.name))]


def _source_text(value: Scalar) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


OVERRIDE_DAYS = 90
"""Days of hand-offs and moves among which those are counted that users overrode."""


def override_counts(config: Config, reading: Connection, now: datetime) -> dict[str, list[dict[str, Any]]]:
    """How often users overrode what was decided: by the route or stage, and by who was given the person."""
    since = to_ms(now - timedelta(days=OVERRIDE_DAYS))
    routes, reps = count_owner_overrides(reading, since)
    stages = count_stage_overrides(reading, since, [stage.name for stage in config.stage])
    places = {route.name: place for place, route in enumerate(config.route)}
    routes.sort(key=lambda each: (places.get(each.name, len(places)), each.name))
    return {
        "overrides": [
            *({"rule": each.name, "kind": "owner", "hand_offs": each.total, **_rate(each)} for each in routes),
            *({"rule": each.name, "kind": "stage", "moves": each.total, **_rate(each)} for each in stages),
        ],
        "overrides_by_rep": [{"rep": each.name, "hand_offs": each.total, **_rate(each)} for each in reps],
    }


def _rate(count: OverrideCount) -> dict[str, Any]:
    return {"overridden": count.overridden, "rate": round(count.overridden / count.total, 4)}


def sla_of(config: Config, reading: Connection, person: int, now: datetime) -> dict[str, Any] | None:
    """Until when a person has to be contacted, and when they were; `None` where nobody has to."""
    for each in read_deadlines(reading, config, now, person) if config.sla else ():
        touched = each.touched.isoformat() if each.touched else None
        return {"due": each.due.isoformat(), "touched": touched, "breached": each.breached}
    return None
