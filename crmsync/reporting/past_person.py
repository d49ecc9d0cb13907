"""Why one person would have had a score as of a past instant: by what was known then, and by the present model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from crmsync.columns import Columns, renumber_facts
from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.planning.people_columns import ask_past, read_past_people
from crmsync.reporting.console import format_minute
from crmsync.reporting.person import find_person
from crmsync.scoring import choose_people, person_documents, score
from crmsync.scoring.wording import to_points
from crmsync.store.database import Store
from crmsync.store.hand_offs import entry_before
from crmsync.store.queries import records_of
from crmsync.store.sql import from_ms, to_ms


def explain_person_at(config: Config, store: Store | None, who: str, at: datetime, now: datetime) -> dict[str, Any]:
    """What crmsync can say of one person as of `at` (aware), with the present config; no value of today is in it.

    Raises `ConfigError` when `who` is nobody, was nobody then, or `at` is still to come; `SeveralFound` for several.
    """
    if store is None:
        raise ConfigError("No run yet, so there are no people to explain", "crmsync plan")
    if at > now:
        raise ConfigError(f"--at {format_minute(at)} is still to come; give an instant of the past")
    with store.read() as reading:
        return _document(config, reading, find_person(config, reading, who), at, now)


def _document(config: Config, connection: Connection, person: int, at: datetime, now: datetime) -> dict[str, Any]:
    then = np.array([int(at.timestamp())], dtype=np.int64)
    past = read_past_people(connection, config, [person], then, ask_past(config, now), {})
    records = records_of(connection, person)
    if not past.there[0]:
        raise ConfigError(f"no record of {_called(records)} was there at {format_minute(at)}; give a later instant")
    columns = drop_later(past.columns, int(then[0]))
    scores = score(config, columns, at, config.zone)
    (said,) = person_documents(choose_people(config, scores, columns, [0], at, config.zone))
    read = config.used_fields()
    entry = entry_before(connection, person, to_ms(at))
    return {
        "person": person,
        "refs": [],
        "name": next((each.name for each in records if each.name), ""),
        **said,
        "at": at.astimezone(UTC).isoformat(),
        "model": config.model_hash(),
        "stage": columns.fields["stage"][0],
        "owner": entry["owner"] or None if entry else None,
        "unknown_then": sorted(name for name, lacks in past.unknown.items() if name in read and lacks[0]),
        "entered": _entry(entry) if entry else None,
    }


def drop_later(columns: Columns, at: int) -> Columns:
    """Without the activities after an instant (seconds)."""
    kept = columns.at <= at
    used, fact = renumber_facts(columns.fact[kept])
    facts = [columns.facts[each] for each in used]
    return replace(columns, person=columns.person[kept], at=columns.at[kept], fact=fact, facts=facts)


def _called(records: Sequence[Any]) -> str:
    return next((each.name for each in records if each.name), "this person")


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    points = {name: to_points(row[name]) for name in ("total", "fit", "behavior")}
    told = {"at": from_ms(row["at"]).isoformat(), "stage": row["stage"] or None, "owner": row["owner"] or None}
    return {**{name: row[name] for name in ("run", "band", "model")}, **points, **told}
