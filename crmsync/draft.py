"""Score → route → plan: from what is stored to the changes a run wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection

from crmsync import people, plan, route
from crmsync.config import Config
from crmsync.model import Change, Holding, Owner, Scalar
from crmsync.result import Result, Work
from crmsync.scoring import Scores, reasons, score
from crmsync.store import journal, scored, sheets
from crmsync.store.pulled import dump

PARKED_FOR = 86_400_000
"""Milliseconds after which a change that a CRM would not take is tried again: what was in its way may be mended."""


class Scored(NamedTuple):
    """One person as the plan needs them."""

    person: int
    total: int
    band: str
    outputs: Mapping[str, Scalar]
    because: str


class Desk:
    """The plan in the making, within one transaction: what was decided so far."""

    def __init__(self, work: Work, crms: Sequence[str]) -> None:
        self.work, self.crms = work, crms
        self.names = {crm: work.config.field_map(crm) for crm in crms}
        self.ladder = [stage.name for stage in work.config.stage]
        self.stage_of = route.stage_of_band(work.config.stage, work.config.band_names())
        self.tallies = {crm: plan.Tally() for crm in crms}
        self.changes: list[tuple[int, Change]] = []
        self.leases: dict[int, Mapping[str, int]] = {}
        self.reads_stage = "stage" in work.config.used_fields()
        self.again: list[int] = []  # contacts to decide about again in the next cycle
        self.planned = dict.fromkeys(crms, 0)
        self.rescored: dict[str, int] = {}
        self.left_alone: dict[str, dict[str, int]] = {crm: {} for crm in crms}

    def decide_all(self, person: Scored, records: Sequence[Holding], owner_of: Mapping[int, str]) -> None:
        """Decide about the records of a person in the CRMs that take part."""
        for held in records:
            self.rescored[held.ref.crm] = self.rescored.get(held.ref.crm, 0) + 1
            if held.ref.crm in self.crms:
                self._decide(held, person, owner_of.get(held.id))
            else:
                self.again.append(held.id)

    def _decide(self, held: Holding, person: Scored, owner: str | None) -> None:
        settings = self.work.config.write
        wanted = plan.Wanted(
            person.outputs,
            self.stage_of.get(person.band) if settings.stage else None,
            owner if settings.owner else None,
            person.because,
        )
        respect = int(settings.respect_people.total_seconds() * 1000)
        crm = held.ref.crm
        decision = plan.decide(held, wanted, self.names[crm], self.ladder, self.work.now_ms, respect)
        if dict(decision.leases) != dict(held.leases):
            self.leases[held.id] = decision.leases
        for why in decision.left_alone:
            self.left_alone[crm][why] = self.left_alone[crm].get(why, 0) + 1
        if decision.change:
            self.tallies[crm].add(decision.change)
            self.planned[crm] += 1
            if self.reads_stage and "stage" in decision.change.after:
                self.again.append(held.id)
            self.changes.append((held.id, decision.change))

    def store(self, tx: Connection, run: str) -> None:
        """Journal what was decided since the last time."""
        journal.add_changes(tx, run, self.changes, self.work.now_ms)
        self.changes = []


def draft(
    work: Work, result: Result, crms: Sequence[str], owners: Sequence[Owner], *, going_on: bool, approved: bool
) -> list[str]:
    """Score whoever may have changed, decide about their records in `crms`, and store it all in one transaction.

    Returns why the plan is unsafe, in sentences; none when it is safe or `approved`. Only a safe plan that is
    `going_on` moves the rotation and settles who is dirty: any other is kept for review and changes nothing else.
    """
    config, identity = work.config, work.config.identity
    with work.store.begin() as tx:
        last = journal.last_model(tx)
        model_changed = last is not None and last != config.model_hash()
        resolver = partial(
            people.resolve, most_records=identity.most_records, shared_mailboxes=identity.shared_mailboxes
        )
        scored.refresh_people(tx, resolver)
        journal.unpark(tx, work.now_ms - PARKED_FOR)
        desk = Desk(work, crms)
        waiting: list[tuple[Scored, list[Holding]]] = []
        for person, records in _scored_people(work, tx, result):
            if config.write.owner and route.pool_of_band(person.band, config.route) is not None:
                waiting.append((person, records))
            else:
                desk.decide_all(person, records, {})
            if len(desk.changes) >= scored.PEOPLE_AT_ONCE:
                desk.store(tx, result.run)
        pointers = _assign(work, tx, desk, waiting, owners)
        desk.store(tx, result.run)
        for crm in [crm for crm, planned in desk.planned.items() if planned]:
            desk.tallies[crm].records, desk.tallies[crm].scored = scored.carrying(tx, crm)
        reasons = [] if approved else plan.too_much(desk.tallies, config.guard, model_changed)
        _count(tx, result, desk)
        if going_on and not reasons:
            scored.settle(tx, crms, desk.leases)
            journal.set_pointers(tx, pointers)
        else:
            journal.hold(tx, result.run, pointers)
        scored.make_dirty(tx, desk.again)
    return reasons


def _assign(
    work: Work, tx: Connection, desk: Desk, waiting: list[tuple[Scored, list[Holding]]], owners: Sequence[Owner]
) -> Mapping[str, str]:
    """Serve the people who may need an owner, the hottest first, then those known longest."""
    directory = route.owners_of(owners, work.config.write.nobody)
    waiting.sort(key=lambda each: (-each[0].total, each[0].person))
    complete = [(person.band, records) for person, records in waiting if all(it.ref.crm in desk.crms for it in records)]
    given = route.assign(complete, work.config.route, work.config.owner_pool, journal.pointers(tx), directory)
    for person, records in waiting:
        desk.decide_all(person, records, given.owner_of)
    return given.pointers


def _scored_people(work: Work, tx: Connection, result: Result) -> Iterator[tuple[Scored, list[Holding]]]:
    """Score whoever may have changed, store the scores, and yield with their records those there is news of.

    There is none of people whom time or a changed rule might have moved and did not: of them only the next instant is
    stored at which they may be.
    """
    config, model, plan = work.config, work.config.model_hash(), work.config.plan_hash()
    wanted = scored.people_to_score(tx, int(work.now.timestamp()), model, plan)
    dirty = scored.dirty_people(tx)
    facts: sheets.Facts = {}
    for start in range(0, len(wanted), scored.PEOPLE_AT_ONCE):
        some = wanted[start : start + scored.PEOPLE_AT_ONCE].tolist()
        columns = sheets.columns(tx, some, sorted(config.fields), config.identity.precedence, facts, keep=True)
        before = scored.known_scores(tx, some)
        previous = [before[each].band if each in before else None for each in some]
        scores = score(config, columns, work.now, config.zone, previous)
        rows = _score_rows(scores, config, work, result)
        news = [place for place, row in enumerate(rows) if row["id"] in dirty or _is_news(before.get(row["id"]), row)]
        quiet = {rows[place]["id"]: rows[place]["due"] for place in set(range(len(rows))) - set(news)}
        scored.postpone(tx, {each: due for each, due in quiet.items() if before[each].due != due})
        scored.renew(tx, some[0], some[-1], model, plan)
        scored.save_scores(tx, [rows[place] for place in news], before)
        work.progress("scored", "", len(some))
        yield from _with_records(tx, config, scores, news)


def _is_news(before: scored.Known | None, row: Mapping[str, Any]) -> bool:
    return before is None or (before.lines, before.band, before.plan) != (row["lines"], row["band"], row["plan"])


def _ledgers(scores: Scores) -> list[str]:
    """For each person the lines that have points, as JSON: `[[line, hundredths], …]`; they sum to the total."""
    names = [line.name for line in scores.lines]
    points = np.stack(scores.points, axis=1) if scores.points else np.zeros((len(scores.people), 0), dtype=np.int64)
    rows, lines = np.nonzero(points)
    entries = [[names[line], value] for line, value in zip(lines.tolist(), points[rows, lines].tolist(), strict=True)]
    ends = np.searchsorted(rows, np.arange(1, len(points) + 1)).tolist()
    return [dump(entries[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _score_rows(scores: Scores, config: Config, work: Work, result: Result) -> list[dict[str, Any]]:
    bands, ledgers = config.band_names(), _ledgers(scores)
    settings = {"model": config.model_hash(), "plan": config.plan_hash()}
    return [
        {
            "id": int(scores.people[row]),
            "fit": int(scores.fit[row]),
            "behavior": int(scores.behavior[row]),
            "total": int(scores.total[row]),
            "band": _band(bands, scores.band[row]),
            "due": int(scores.due[row]),
            **settings,
            "scored_at": work.now_ms,
            "scored_run": result.run,
            "lines": ledgers[row],
        }
        for row in range(len(scores.people))
    ]


def _with_records(
    tx: Connection, config: Config, scores: Scores, rows: Sequence[int]
) -> Iterator[tuple[Scored, list[Holding]]]:
    bands, why = config.band_names(), reasons(config, scores, rows)
    people = scores.people[rows].tolist()
    records: dict[int, list[Holding]] = {}
    for held in scored.live_contacts(tx, people):
        records.setdefault(held.person, []).append(held)
    for row, person_id, because in zip(rows, people, why, strict=True):
        band = _band(bands, scores.band[row])
        outputs: dict[str, Scalar] = {
            "score": _points(scores.total[row]),
            "fit": _points(scores.fit[row]),
            "behavior": _points(scores.behavior[row]),
            "band": band,
            "reason": because,
        }
        yield Scored(person_id, int(scores.total[row]), band, outputs, because), records.get(person_id, [])


def _band(bands: Sequence[str], number: Any) -> str:
    """The name of a band; a model without bands has none."""
    return bands[number] if number >= 0 else ""


def _points(hundredths: Any) -> int | float:
    """Points as they are written: a whole number wherever it is one."""
    whole, rest = divmod(int(hundredths), 100)
    return whole if rest == 0 else int(hundredths) / 100


def _count(tx: Connection, result: Result, desk: Desk) -> None:
    became = scored.pulled_counts(tx, result.run)
    for crm, counts in result.crms.items():
        reasons_here = dict(became.get(crm, {}))
        counts.pulled = sum(reasons_here.values())
        counts.scored = reasons_here.pop("scored", 0)
        counts.skipped = reasons_here
        counts.rescored = desk.rescored.get(crm, 0)
        counts.left_alone = desk.left_alone.get(crm, {})
        counts.planned = desk.planned.get(crm, 0)
    result.bands = scored.band_counts(tx)
