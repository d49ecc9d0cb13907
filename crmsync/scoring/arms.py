"""In which arm of an experiment somebody is: by chance, and always the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from crmsync.columns import Columns
from crmsync.config.experiment import NO_ARM, PREFIX, Experiment
from crmsync.scoring.people_json import ParsedPerson


def choose_arm(name: str, shares: Mapping[str, float], person: str) -> str:
    """The arm of whoever is known by a text (an e-mail address, or else an id of the CRM), whatever its case.

    Each experiment divides people anew: who is in the first arm of one may be in any arm of another.
    """
    digest = hashlib.blake2b(person.strip().lower().encode(), key=name.encode()[:64], digest_size=8).digest()
    place, reached = int.from_bytes(digest, "big") / 2**64, 0.0
    for arm, share in shares.items():
        reached += share
        if place < reached:
            return arm
    return list(shares)[-1]


def find_period(experiment: Experiment, zone: tzinfo) -> tuple[int, int]:
    """From when to before when people are divided (seconds since 1970)."""
    end = date.max if experiment.until is None else experiment.until + timedelta(days=1)
    return _begin(experiment.start, zone), _begin(end, zone) if end < date.max else 2**62


def _begin(day: date, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp())


def find_arms(
    name: str, experiment: Experiment, people: Sequence[str], came: Sequence[int | None], zone: tzinfo
) -> list[str]:
    """The arm of each of some people, who came then (seconds); of whom that is not known, it is none, nor without a
    text to know them by.
    """
    begin, end = find_period(experiment, zone)
    shares = experiment.shares()
    return [
        choose_arm(name, shares, person) if person and at is not None and begin <= at < end else NO_ARM
        for person, at in zip(people, came, strict=True)
    ]


def add_arms(
    columns: Columns,
    experiments: Mapping[str, Experiment],
    people: Sequence[str],
    came: Sequence[int | None],
    zone: tzinfo,
) -> Columns:
    """The columns with the arm of each person in each experiment, as fields."""
    arms = {f"{PREFIX}{name}": find_arms(name, each, people, came, zone) for name, each in experiments.items()}
    return replace(columns, fields={**columns.fields, **arms}) if arms else columns


def add_arms_of_file(
    people: Sequence[ParsedPerson], experiments: Mapping[str, Experiment], zone: tzinfo
) -> list[ParsedPerson]:
    """People of a file with their arms, as `add_arms`; what the file says itself holds.

    They came when they were created, or else with their first activity; of whom neither is known, they come now.
    """
    if not experiments:
        return list(people)
    keys = [str(each.fields.get("email") or ("" if each.id is None else each.id)) for each in people]
    first = [min((act.at for act in each.acts), default=None) for each in people]
    told = [
        each.outcome.created_at if each.outcome.created_at is not None else at
        for each, at in zip(people, first, strict=True)
    ]
    arms: dict[str, list[str]] = {}
    for name, experiment in experiments.items():
        begin = find_period(experiment, zone)[0]
        came = [begin if at is None else at for at in told]
        arms[f"{PREFIX}{name}"] = find_arms(name, experiment, keys, came, zone)
    return [
        each._replace(fields={**{field: some[row] for field, some in arms.items()}, **each.fields})
        for row, each in enumerate(people)
    ]
