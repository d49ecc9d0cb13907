"""People as they are scored: what is stored of them, and the clocks that stand for them while a feed is dead."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from crmsync.columns import RUNNING, Columns
from crmsync.config import Config
from crmsync.dead_feeds import DeadFeed, find_holds
from crmsync.planning.account_counts import CountedPeople, read_counts
from crmsync.planning.field_reading import name_reading
from crmsync.planning.score_fields import FORESEEN
from crmsync.scoring.arms import add_arms
from crmsync.store.arrivals import read_first_records
from crmsync.store.due_people import read_people_of_crm
from crmsync.store.feed_days import read_feed_days
from crmsync.store.past import PastColumns, PastQuestion, read_past_columns
from crmsync.store.score_inputs import Facts, read_columns
from crmsync.store.scores import crms_of


def read_holds(connection: Connection, config: Config, now: datetime) -> list[DeadFeed]:
    """The dead feeds that hold decay and inactivity as of `now` (aware), by what is stored and nothing else."""
    return find_holds(read_feed_days(connection), config, now)


def name_scoring(config: Config, holds: Sequence[DeadFeed]) -> str:
    """What scores rest on besides people: the model's hash, and while feeds are dead one of what they hold.

    Whoever was scored under another name is scored again: when a hold begins, moves or ends, that is everybody.
    """
    if not holds:
        return config.model_hash()
    told = repr([(each.crm, each.kind, each.last) for each in holds])
    return f"{config.model_hash()}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def name_planning(config: Config, holds: Sequence[DeadFeed]) -> str:
    """What plans rest on besides the lines of scores: with score fields that look ahead, the rules and holds, too."""
    name = config.plan_hash()
    return name if FORESEEN.isdisjoint(config.write.fields) else f"{name}-{name_scoring(config, holds)}"


def read_people_columns(
    connection: Connection,
    config: Config,
    people: Sequence[int],
    holds: Sequence[DeadFeed],
    facts: Facts | None = None,
    *,
    now: datetime,
    counted: CountedPeople | None = None,
    keep: bool = False,
) -> Columns:
    """What is known of these people (ascending ids), with the clocks that `holds` stop: of who has a live record there.

    The counts of their accounts are those `counted`, or as of `now`. `facts` and `keep` as in `read_columns`.
    """
    fields, order = sorted(config.fields), config.identity.source_of_truth
    columns = read_columns(connection, people, fields, order, facts, keep=keep, reading=name_reading(config))
    columns = _add_arms(connection, config, columns)
    if counted is None:
        counted = read_counts(connection, config, columns.people, now, holds)
    columns = counted.add_to(columns)
    if not holds:
        return columns
    sources = {each.name for each in config.events}
    there = {
        # Who is in no CRM's feed may still be in one of these.
        crm: np.ones(len(columns.people), dtype=bool)
        if crm in sources
        else np.isin(columns.people, read_people_of_crm(connection, people, crm))
        for crm in {it.crm for it in holds}
    }
    clocks: dict[str, NDArray[np.int32]] = {}
    for each in holds:
        days = np.where(there[each.crm], np.int32(each.last), np.int32(RUNNING))
        # Of two dead feeds of one kind the one that died first stops the clock.
        clocks[each.kind] = np.minimum(clocks.get(each.kind, days), days)
    return replace(columns, clocks=clocks)


def _add_arms(connection: Connection, config: Config, columns: Columns) -> Columns:
    """The columns with the arms that people are in: by their address, or else the id of their first record."""
    if not config.experiment:
        return columns
    people = columns.people.tolist()
    first = read_first_records(connection, people)
    emails = columns.fields["email"]
    keys = [
        str(email or (first[each].ref if each in first else "")) for each, email in zip(people, emails, strict=True)
    ]
    came = [first[each].came if each in first else None for each in people]
    return add_arms(columns, config.experiment, keys, came, config.zone)


def read_past_people(
    connection: Connection,
    config: Config,
    people: Sequence[int],
    at: NDArray[np.int64],
    asked: PastQuestion,
    facts: Facts,
) -> PastColumns:
    """What was known of these people (ascending ids), each as of an instant of their own; see `read_past_columns`."""
    past = read_past_columns(connection, people, at, asked, facts)
    columns = _add_arms(connection, config, past.columns)
    counted = read_counts(connection, config, columns.people, at)
    return past._replace(columns=counted.add_to(columns))


def holds_of_person(connection: Connection, config: Config, person: int, holds: Sequence[DeadFeed]) -> list[DeadFeed]:
    """The holds that stop a clock of one person."""
    crms = crms_of(connection, [person]).get(person, set()) if holds else set()
    crms |= {each.name for each in config.events}
    return [each for each in holds if each.crm in crms]


def ask_past(config: Config, now: datetime) -> PastQuestion:
    """What to ask of the past, by what the config maps and calls stable; what is older than `[state] keep` is gone."""
    crms = sorted({crm for value in config.fields.values() for crm in value})
    return PastQuestion(
        sorted(config.fields),
        {crm: config.field_map(crm).fields for crm in crms},
        config.identity.source_of_truth,
        config.outcome.stable if config.outcome else (),
        int((now - config.state.keep).timestamp()),
        name_reading(config),
    )
