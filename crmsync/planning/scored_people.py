"""Scoring whoever may have changed, and what a plan needs of each person there is news of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection

from crmsync.columns import Columns
from crmsync.config import Config
from crmsync.dead_feeds import DeadFeed
from crmsync.model import Holding, Scalar
from crmsync.planning.account_counts import CountedPeople, read_counts
from crmsync.planning.accounts import AccountScores
from crmsync.planning.desk import (
    NO_ACCOUNT,
    Account,
    Setting,
    entry_of_person,
    read_account_views,
    read_marks,
    state_of_person,
    worth_in_pools,
)
from crmsync.planning.people_columns import name_planning, name_scoring, read_people_columns
from crmsync.planning.score_fields import FORESEEN, fill_score_fields, find_foresight_due
from crmsync.routing.decisions import RoutingDecision, decide_people
from crmsync.routing.exclusion import find_excluded
from crmsync.routing.lifecycle import StageReason
from crmsync.scoring import Scores, score
from crmsync.store.due_people import people_to_score
from crmsync.store.ledgers import ENTRY, ENTRY_DTYPE, number_lines
from crmsync.store.records import bands_in_crms
from crmsync.store.score_inputs import Facts
from crmsync.store.scores import (
    PEOPLE_AT_ONCE,
    StoredScore,
    dirty_people,
    edited_contacts,
    known_scores,
    live_contacts,
    save_scores,
    set_due,
    set_model,
)
from crmsync.store.sql import in_chunks
from crmsync.work import Work


class Scored(NamedTuple):
    """One person as the plan needs them; `edited` are records (row ids), among them perhaps others' too.

    `excluded` says why they are left out; the decision is `None` then. `worth` is by the name of a pool.
    """

    person: int
    total: int
    band: str
    email: str
    score_fields: Mapping[str, Scalar | None]
    because: str
    edited: Collection[int]
    is_new: bool
    before: StoredScore | None
    excluded: str = ""
    decision: RoutingDecision | None = None
    worth: Mapping[str, int] = {}
    account: Account = NO_ACCOUNT
    entry: StageReason = StageReason()


def score_changed_people(
    work: Work,
    tx: Connection,
    setting: Setting,
    run: str,
    holds: Sequence[DeadFeed],
    without: Collection[int],
    only: Collection[int] | None,
    accounts: AccountScores,
) -> Iterator[tuple[Scored, list[Holding]]]:
    """Score whoever may have changed, store the scores, and yield with their records those there is news of.

    There is none of people whom time or a changed rule might have moved and did not: of them only the next instant is
    stored at which they may be. Of `only` some people nothing is stored. `accounts` are those that decisions ask about.
    """
    config = work.config
    names = name_scoring(config, holds), name_planning(config, holds)
    timed, now = _tells_more_than_scores(config), int(work.now.timestamp())
    if only is None:
        wanted = people_to_score(tx, now, *names, list(work.crms))
    else:
        wanted = np.array(sorted(only), dtype=np.int64)
    if without:
        wanted = wanted[~np.isin(wanted, np.fromiter(without, dtype=np.int64))]
    dirty = dirty_people(tx, list(work.crms))
    counted = read_counts(tx, config, wanted, work.now, holds)
    # Kept from part to part, so that each distinct activity is read once.
    facts: Facts = {}
    for start in range(0, len(wanted), PEOPLE_AT_ONCE):
        some = wanted[start : start + PEOPLE_AT_ONCE].tolist()
        columns, scores, before, excluded = _score(work, tx, some, holds, facts, counted)
        # What is decided or told may change by time alone, although no line of a score does.
        moved = dirty | {each for each in some if timed and each in before and before[each].due <= now}
        told = _told(tx, scores, config, excluded)
        news = _find_news(scores, told, before, names[1], moved)
        if only is None:
            due = dict(zip(scores.people.tolist(), scores.due.tolist(), strict=True))
            quiet = due.keys() - {*scores.people[news].tolist()}
            # Whoever is no news has a score already (see `_find_news`).
            set_due(tx, {each: due[each] for each in quiet if before[each].due != due[each]})
            # Who lies between them and was not scored stays dirty or has no live record.
            set_model(tx, some, *names)
            save_scores(tx, _score_rows(scores, told, news, work.now_ms, run, names), before)
        work.progress("scored", "", len(some))
        yield from _with_records(tx, work, setting, _Batch(columns, scores, told, news, before), accounts)


def store_scores(work: Work, tx: Connection, run: str, holds: Sequence[DeadFeed], people: Sequence[int]) -> None:
    """Score people (ascending) and store it, with no decision about any of them."""
    names = name_scoring(work.config, holds), name_planning(work.config, holds)
    counted = read_counts(tx, work.config, np.array(people, dtype=np.int64), work.now, holds)
    facts: Facts = {}
    for some in in_chunks(people, PEOPLE_AT_ONCE):
        _columns, scores, before, excluded = _score(work, tx, some, holds, facts, counted)
        told = _told(tx, scores, work.config, excluded)
        news = _find_news(scores, told, before, names[1])
        save_scores(tx, _score_rows(scores, told, news, work.now_ms, run, names), before)


def _score(
    work: Work,
    tx: Connection,
    people: Sequence[int],
    holds: Sequence[DeadFeed],
    facts: Facts,
    counted: CountedPeople,
) -> tuple[Columns, Scores, dict[int, StoredScore], Sequence[str]]:
    """What is known of some people, what it scores, what was stored, and for each why they are left out."""
    config = work.config
    columns = read_people_columns(tx, config, people, holds, facts, now=work.now, counted=counted, keep=True)
    before = known_scores(tx, people)
    # Who has no score in this state may be in a band of the CRMs already: it was built anew.
    held = bands_in_crms(tx, [each for each in people if each not in before], config.band_names())
    previous = [before[each].band if each in before else held.get(each) for each in people]
    # What one more activity would bring is rounded as a whole: it may move although no line of today does.
    waits_for_rounded = "next" not in config.write.fields
    scores = score(config, columns, work.now, config.zone, previous, waits_for_rounded=waits_for_rounded)
    if counted.fields:
        scores = replace(scores, due=np.minimum(scores.due, counted.due_of(columns.people)))
    if not FORESEEN.isdisjoint(config.write.fields):
        scores = replace(scores, due=find_foresight_due(config, columns, scores, work.now))
    return columns, scores, before, find_excluded(config, columns, read_marks(tx, config, people), work.now)


def _tells_more_than_scores(config: Config) -> bool:
    """Whether time alone changes decisions, reasons or what is foreseen, and not only scores."""
    passing = any(each.on and each.window for each in config.disqualify)
    return passing or config.decides_by_dates() or not FORESEEN.isdisjoint(config.write.fields)


class _Told(NamedTuple):
    """What is told of a person's score: the ledger, packed, the band, and why they are left out."""

    ledger: bytes
    band: str
    excluded: str


class _Batch(NamedTuple):
    """Some people who were scored, and what is told of each; of those in `rows` there is news."""

    columns: Columns
    scores: Scores
    told: Sequence[_Told]
    rows: Sequence[int]
    before: Mapping[int, StoredScore]


def _find_news(
    scores: Scores, told: Sequence[_Told], before: Mapping[int, StoredScore], plan: str, moved: Collection[int] = ()
) -> list[int]:
    """The places of the people there is news of, those of `moved` in any case."""
    return [
        place
        for place, (person_id, now) in enumerate(zip(scores.people.tolist(), told, strict=True))
        if person_id in moved
        or (was := before.get(person_id)) is None
        or (was.ledger, was.band, was.excluded, was.plan) != (*now, plan)
    ]


def _told(tx: Connection, scores: Scores, config: Config, excluded: Sequence[str]) -> list[_Told]:
    """For each person what is told of their score; nothing of those who are left out."""
    bands = [*config.band_names(), ""]  # a model without bands numbers them -1
    return [
        _Told(b"", "", why) if why else _Told(ledger, bands[band], "")
        for ledger, band, why in zip(_pack_ledgers(tx, scores), scores.band.tolist(), excluded, strict=True)
    ]


def _pack_ledgers(tx: Connection, scores: Scores) -> Iterator[bytes]:
    """For each person the lines that have points, as they are stored; they sum to the total."""
    points = np.stack(scores.points, axis=1) if scores.points else np.zeros((len(scores.people), 0), dtype=np.int64)
    rows, lines = np.nonzero(points)
    entries = np.empty(len(rows), dtype=ENTRY_DTYPE)
    entries["f0"] = np.array(number_lines(tx, [line.name for line in scores.lines]), dtype=np.uint32)[lines]
    entries["f1"] = points[rows, lines]
    packed = entries.tobytes()
    ends = (np.searchsorted(rows, np.arange(1, len(points) + 1)) * ENTRY.size).tolist()
    return (packed[start:end] for start, end in pairwise([0, *ends]))


def _score_rows(
    scores: Scores, told: Sequence[_Told], places: Sequence[int], now: int, run: str, names: tuple[str, str]
) -> list[dict[str, Any]]:
    """The rows to store of the people at some places; `now` in milliseconds."""
    numbers = [scores.people, scores.fit, scores.behavior, scores.total, scores.due]
    model, plan = names
    return [
        {
            "id": person_id, "fit": 0 if it.excluded else fit, "behavior": 0 if it.excluded else behavior,
            "total": 0 if it.excluded else total, "band": it.band, "due": due, "model": model, "plan": plan,
            "scored_at": now, "scored_run": run, "ledger": it.ledger, "excluded": it.excluded,
        }
        for it, person_id, fit, behavior, total, due in zip(
            [told[place] for place in places], *(each[places].tolist() for each in numbers), strict=True
        )
    ]  # fmt: skip


def _with_records(
    tx: Connection, work: Work, setting: Setting, batch: _Batch, scored: AccountScores | None
) -> Iterator[tuple[Scored, list[Holding]]]:
    config, scores, rows = work.config, batch.scores, batch.rows
    filled = fill_score_fields(config, scores, batch.columns, rows, work.now)
    people = scores.people[rows].tolist()
    edited = edited_contacts(tx, people)
    records: dict[int, list[Holding]] = {each: [] for each in people}
    by = config.decision_hash()
    for held in live_contacts(tx, people):
        if held.person not in records:  # there may be others among them
            continue
        if held.undone:
            # Of what was undone only that waits which was decided by this config.
            held = held._replace(undone={name: it for name, it in held.undone.items() if by in it["configs"]})
        records[held.person].append(held)
    views = read_account_views(tx, config, setting.owners, people, work.now, scored)
    accounts = [views.get(each, NO_ACCOUNT) for each in people]
    states = [
        state_of_person(setting.owners, batch.before.get(each), records[each], account)
        for each, account in zip(people, accounts, strict=True)
    ]
    decisions = decide_people(config, scores, batch.columns, rows, states, work.now_ms)
    emails, zone = batch.columns.fields["email"], config.zone
    crm_owned = config.crm_owned  # once, since it looks for the installed connectors
    for row, person_id, score_fields, account, decision, state in zip(
        rows, people, filled, accounts, decisions, states, strict=True
    ):
        told, before, theirs = batch.told[row], batch.before.get(person_id), records[person_id]
        common = (edited, before is None, before)
        if told.excluded:
            nothing = dict.fromkeys(score_fields)
            because = f"excluded: {told.excluded}"
            yield Scored(person_id, 0, told.band, "", nothing, because, *common, told.excluded), theirs
            continue
        worth = worth_in_pools(config, batch.columns, scores, row) if decision.routes else {}
        entry = entry_of_person(zone, crm_owned, before, decision.move, state.records, theirs)
        yield (
            Scored(person_id, int(scores.total[row]), told.band, str(emails[row] or ""), score_fields,
                   str(score_fields["reason"]), *common, "", decision, worth, account, entry),
            theirs,
        )  # fmt: skip
