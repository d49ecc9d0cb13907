"""Cases of the state: what was known of people as of an instant, and what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from crmsync.columns import Columns
from crmsync.config import Config
from crmsync.config.outcome import OutcomeRules
from crmsync.counts import count_of
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import LOST, NEVER, OPEN, WON, Cases
from crmsync.evaluation.line import find_bands_from_line, stages_from_line
from crmsync.planning.people_columns import ask_past, read_past_people
from crmsync.store.database import Store
from crmsync.store.hand_offs import names_of_people
from crmsync.store.outcomes import (
    Deals,
    Entries,
    OutcomeNames,
    first_entries,
    others_touches,
    read_arrivals,
    read_deals,
    read_population,
    was_read,
)
from crmsync.store.past import PastColumns
from crmsync.store.score_inputs import Facts, read_fields

PEOPLE_AT_ONCE = 50_000
"""People of one part: what is known of them takes the memory."""


@dataclass
class StateTally:
    """What is said beside the cases of a state, complete once all are read.

    `left_out`: how many people, or records of nobody, by why; `unlinked` opportunities are nobody's; of `pairs` of a
    person and a field that the model reads, `unknown` are those whose value as of then nobody can know any more.
    """

    left_out: Mapping[str, int] = field(default_factory=dict)
    unlinked: int = 0
    pairs: int = 0
    unknown: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def unknown_then(self) -> float | None:
        """The share of unknown values; `None` before there is a case."""
        return self.unknown / self.pairs if self.pairs else None


def read_state_cases(
    config: Config,
    store: Store | None,
    now: datetime,
    since: int | None,
    until: int | None,
    tally: StateTally | None = None,
) -> Iterator[Cases]:
    """People of the state who are judged between two instants (seconds; `None` for no end), some at a time.

    Each is judged as of the hand-off, if it came before their first opportunity; else as of the second before that
    was created; of those without either, as long after they came as others had to their first opportunity (drawn by
    the instant at which they came, so that when somebody is judged tells nothing) or `judged_after` so long, and if
    that is still to come, now.

    Raises `ConfigError` where no outcomes are read yet.
    """
    if config.outcome is None:
        said = "no outcomes are read yet; add [outcome] to the config, or give --input FILE"
        raise ConfigError(said, "crmsync sync")
    tally = StateTally() if tally is None else tally
    if store is None:
        raise ConfigError(
            "no run yet, so no outcomes are known; run crmsync sync, or give --input FILE", "crmsync sync"
        )
    with store.read() as reading:
        if not was_read(reading):
            said = "no opportunities are read yet, or the CRMs show none; run crmsync sync, or give --input FILE"
            raise ConfigError(said, "crmsync check --online")
        deals = read_deals(reading, OutcomeNames(config.outcome.won, config.outcome.lost, config.outcome.pipelines))
        population = read_population(reading)
        tally.left_out, tally.unlinked = population.left_out, deals.unlinked
        tally.notes += _notes(deals)
        reader = _Reader(config, config.outcome, reading, deals, now, tally)
        for start in range(0, len(population.people), PEOPLE_AT_ONCE):
            cases = reader.read(population.people[start : start + PEOPLE_AT_ONCE], since, until)
            if cases is not None:
                yield cases


def read_outcomes(
    config: Config, rules: OutcomeRules, reading: Connection, now: datetime
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Everybody of the state who can be judged (n,), and what came of them (n,), as of now."""
    deals = read_deals(reading, OutcomeNames(rules.won, rules.lost, rules.pipelines))
    people = read_population(reading).people
    then = _Reader(config, rules, reading, deals, now, StateTally()).judge(people)
    return then.people, then.outcome


def _notes(deals: Deals) -> Iterator[str]:
    if deals.unlinked:
        many = count_of(deals.unlinked, "opportunity")
        yield f"{many} without a person: no record that crmsync knows is named there"
    if len(deals.currencies) > 1:
        named = [each or "no currency" for each in deals.currencies]
        yield f"what was won is in {' and '.join(named)}; only values in {named[0]} count"


class _Then(NamedTuple):
    """As of when people are judged, and what came of them; all (n,), instants in seconds."""

    people: NDArray[np.int64]
    came: NDArray[np.int64]
    at: NDArray[np.int64]
    handed_off: NDArray[np.int64]
    scored_then: NDArray[np.int64]
    entered: NDArray[np.int64]
    accepted: NDArray[np.int64]
    created: NDArray[np.int64]
    outcome: NDArray[np.int8]
    outcome_at: NDArray[np.int64]
    value: NDArray[np.float64]
    deal: NDArray[np.int64]  # the row of the first opportunity, or -1
    owner: NDArray[np.object_]

    def only(self, rows: NDArray[np.intp]) -> _Then:
        some: Any = (each[rows] for each in self)
        return _Then(*some)


class _Reader:
    """Reads one part of the people after the other."""

    def __init__(
        self,
        config: Config,
        rules: OutcomeRules,
        connection: Connection,
        deals: Deals,
        now: datetime,
        tally: StateTally,
    ) -> None:
        self.config, self.rules, self.connection, self.deals, self.tally = config, rules, connection, deals, tally
        self.now, self.asked = int(now.timestamp()), ask_past(config, now)
        self.bands = find_bands_from_line(config, rules.line)
        self.stages = stages_from_line(config)
        self.model_fields = sorted(config.read_fields() & {*config.fields, "stage", "email"})
        self.facts: Facts = {}

    @cached_property
    def delays(self) -> NDArray[np.int64]:
        """How long after they came people had their first opportunity (seconds), ascending."""
        people = np.unique(self.deals.person[self.deals.person >= 0])
        created, _row = self._first_deals(people)
        came = read_arrivals(self.connection, people)
        return np.sort(np.maximum(created - 1 - came, 0)[came != NEVER])

    def read(self, people: NDArray[np.int64], since: int | None, until: int | None) -> Cases | None:
        """The cases among some people; `None` where nobody of them is judged in the period."""
        then = self.judge(people)
        kept = np.ones(len(people), dtype=bool)
        if since is not None:
            kept &= then.at >= since
        if until is not None:
            kept &= then.at < until
        then = then.only(np.flatnonzero(kept))
        if not len(then.people):
            return None
        past = read_past_people(self.connection, self.config, then.people.tolist(), then.at, self.asked, self.facts)
        unknown, pairs = past.count_unknown(self.model_fields)
        self.tally.unknown += unknown
        self.tally.pairs += pairs
        names = names_of_people(self.connection, then.people.tolist())
        return Cases(
            columns=past.columns,
            at=then.at,
            came=then.came,
            outcome=then.outcome,
            outcome_at=then.outcome_at,
            value=then.value,
            milestones={"mql": then.entered, "accepted": then.accepted, "opportunity": then.created},
            touched=self._touched(then, past.columns),
            handed_off=then.handed_off,
            scored_then=then.scored_then,
            groups=self._groups(then, past),
            names=[names.get(each) or f"no. {each}" for each in then.people.tolist()],
        )

    def judge(self, people: NDArray[np.int64]) -> _Then:
        """As of when people (ascending ids) are judged, and what came of them."""
        entries = first_entries(self.connection, people, self.bands, self.stages)
        chosen = first_entries(self.connection, people, (), self.rules.accepted) if self.rules.accepted else None
        created, deal = self._first_deals(people)
        entered, total, owner = _spread(people, entries)
        handed_off = np.where((entered != NEVER) & ((created == NEVER) | (entered < created)), entered, NEVER)
        came = read_arrivals(self.connection, people)
        later = came + self._draw_delays(came)
        at = np.where(
            handed_off != NEVER, handed_off, np.where(created != NEVER, created - 1, np.minimum(later, self.now))
        )
        at = np.where((came == NEVER) & (handed_off == NEVER) & (created == NEVER), self.now, at)
        came = np.where(came == NEVER, at, np.minimum(came, at))
        accepted = created.copy()
        if chosen is not None:
            stage_at = _spread(people, chosen)[0]
            accepted = np.where(
                accepted == NEVER, stage_at, np.where(stage_at == NEVER, accepted, np.minimum(accepted, stage_at))
            )
        outcome, outcome_at, value = self._outcomes(people, at, created)
        return _Then(
            people, came, at, handed_off, np.where(handed_off != NEVER, total, 0), entered, accepted, created,
            outcome, outcome_at, value, deal, np.where(handed_off != NEVER, owner, ""),
        )  # fmt: skip

    def _draw_delays(self, came: NDArray[np.int64]) -> NDArray[np.int64]:
        """How long after they came those are judged who have no hand-off and no opportunity (seconds)."""
        fixed = self.rules.judged_after
        if fixed is not None or len(self.delays) < FEWEST_DELAYS:
            return np.full(len(came), int((fixed or JUDGED_AFTER).total_seconds()), dtype=np.int64)
        # By what the CRMs say alone: a state that is built anew draws the same.
        mixed = (came.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
        places = ((mixed * np.uint64(len(self.delays))) >> np.uint64(24)).astype(np.intp)
        drawn: NDArray[np.int64] = self.delays[places]
        return drawn

    def _first_deals(self, people: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """When the first opportunity of each was created, or `NEVER`, and its row, or -1."""
        created, row = np.full(len(people), NEVER, dtype=np.int64), np.full(len(people), -1, dtype=np.int64)
        order = np.lexsort((self.deals.created, self.deals.person))
        whose, first = np.unique(self.deals.person[order], return_index=True)
        inside = np.isin(whose, people)
        places = np.searchsorted(people, whose[inside])
        row[places] = order[first[inside]]
        created[places] = np.maximum(self.deals.created[row[places]], 1)
        return created, row

    def _outcomes(
        self, people: NDArray[np.int64], at: NDArray[np.int64], created: NDArray[np.int64]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.float64]]:
        """Won with the first that is won; lost with the last that is closed where none is open; lost without any one
        horizon after they were judged.
        """
        deals, n = self.deals, len(people)
        mine = np.flatnonzero(np.isin(deals.person, people))
        place = np.searchsorted(people, deals.person[mine])
        state, closed = deals.state[mine], deals.closed[mine]
        won_at, lost_at = np.full(n, FAR, dtype=np.int64), np.full(n, NEVER, dtype=np.int64)
        np.minimum.at(won_at, place[state == WON], closed[state == WON])
        np.maximum.at(lost_at, place[state == LOST], closed[state == LOST])
        is_open = np.zeros(n, dtype=bool)
        is_open[place[state == OPEN]] = True
        value = np.zeros(n, dtype=np.float64)
        np.add.at(value, place[state == WON], deals.value[mine][state == WON])
        has_won, matured = won_at != FAR, at + int(self.rules.horizon.total_seconds())
        has_lost = ~has_won & ~is_open & ((created != NEVER) | (matured <= self.now))
        outcome = np.where(has_won, WON, np.where(has_lost, LOST, OPEN)).astype(np.int8)
        lost_when = np.where(created != NEVER, lost_at, matured)
        outcome_at = np.where(has_won, won_at, np.where(has_lost, lost_when, NEVER))
        return outcome, outcome_at, np.where(has_won, value, np.nan)

    def _touched(self, then: _Then, columns: Columns) -> NDArray[np.int64]:
        """The first touch after each instant; by the owner, where there was one and the CRM says who it was."""
        kinds = np.array([each.kind in self.rules.touched for each in columns.facts], dtype=bool)
        after = columns.at > then.at[columns.person]
        rows = np.flatnonzero(after & kinds[columns.fact]) if len(columns.facts) else np.zeros(0, dtype=np.intp)
        owned = np.flatnonzero(then.owner != "")
        others = others_touches(self.connection, then.people[owned].tolist(), self.rules.touched) if len(owned) else []
        place = {whose: spot for spot, whose in enumerate(then.people.tolist())} if others else {}
        # What somebody else did counts for nobody's hand-off.
        foreign = {(place[whose], at) for whose, at, email in others if email != then.owner[place[whose]]}
        foreign -= {(place[whose], at) for whose, at, email in others if email == then.owner[place[whose]]}
        if foreign:
            pairs = zip(columns.person[rows].tolist(), columns.at[rows].tolist(), strict=True)
            rows = rows[[pair not in foreign for pair in pairs]]
        touched = np.full(len(then.people), FAR, dtype=np.int64)
        np.minimum.at(touched, columns.person[rows], columns.at[rows])
        return np.where(touched == FAR, NEVER, touched)

    def _groups(self, then: _Then, past: PastColumns) -> dict[str, list[str]]:
        named = [each for each in ("source", "campaign") if each in self.config.fields]
        asked = self.asked
        today = (
            read_fields(self.connection, then.people.tolist(), asked.fields, asked.precedence, asked.reading)
            if named
            else {}
        )
        groups: dict[str, list[str]] = {}
        for name, of_deals in (("source", self.deals.source), ("campaign", self.deals.campaign)):
            nobody: Sequence[None] = [None] * len(then.people)
            known = past.columns.fields.get(name, nobody)
            rows = zip(known, then.deal.tolist(), today.get(name, nobody), strict=True)
            groups[name] = [str(own or (of_deals[deal] if deal >= 0 else "") or now or "") for own, deal, now in rows]
        rep = zip(then.owner.tolist(), then.handed_off.tolist(), then.deal.tolist(), strict=True)
        groups["rep"] = [owner if at != NEVER or deal < 0 else self.deals.owner[deal] for owner, at, deal in rep]
        return groups


JUDGED_AFTER, FEWEST_DELAYS = timedelta(days=14), 20
"""When those are judged who have no opportunity, where fewer people than that have one."""

FAR = 2**62
"""Later than any instant (seconds)."""


def _spread(
    people: NDArray[np.int64], entries: Entries
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.object_]]:
    """Instants, totals and owners of entries for each of the people; `NEVER`, 0 and `""` for those without one."""
    at, total = np.full(len(people), NEVER, dtype=np.int64), np.zeros(len(people), dtype=np.int64)
    owner = np.full(len(people), "", dtype=object)
    places = np.searchsorted(people, entries.person)
    at[places], total[places] = entries.at, entries.total
    owner[places] = np.array(entries.owner, dtype=object)
    return at, total, owner
