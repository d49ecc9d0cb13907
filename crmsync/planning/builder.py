"""Score → route → plan: from what is stored to the changes a run wants, and what of them must wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.dead_feeds import DeadFeed
from crmsync.identity import matching
from crmsync.model import Holding
from crmsync.planning import approval
from crmsync.planning.account_counts import notice_counts
from crmsync.planning.accounts import AccountScores, find_moved_accounts, read_account_scores
from crmsync.planning.deadlines import read_breaches
from crmsync.planning.desk import Setting
from crmsync.planning.guard import NOBODY, Held, guard_violations, people_to_hold
from crmsync.planning.open_turns import give_back_turns
from crmsync.planning.people_columns import name_planning, name_scoring, read_holds
from crmsync.planning.person_plan import PlanBuilder
from crmsync.planning.run_counts import count_run
from crmsync.planning.scored_people import Scored, score_changed_people, store_scores
from crmsync.planning.unowned import assign_unowned, may_need_owner
from crmsync.result import Result, WaitingPlan
from crmsync.routing.assignment import NO_ASSIGNMENT
from crmsync.routing.rebuilt_turns import TurnCounter
from crmsync.routing.sla import Deadline, owners_to_replace
from crmsync.routing.tasks import plan_breach_tasks, plan_tasks
from crmsync.store import hand_offs, journal, restoring, run_journal, tasks
from crmsync.store.due_people import people_to_score
from crmsync.store.events import settle_events
from crmsync.store.memberships import people_with_records
from crmsync.store.overrides import mark_owner_overrides, mark_stage_overrides
from crmsync.store.people import refresh_people
from crmsync.store.scores import (
    PEOPLE_AT_ONCE,
    carries_scores,
    clear_dirty,
    contacts_of,
    count_scored,
    crms_of,
    make_dirty,
    plan_all_again,
    save_decisions,
    spread_edits,
    wake_contacts,
)
from crmsync.store.undone import release_by_config
from crmsync.work import Work

NOT_PLANNED = "Not in this plan: "
"""How a preview begins to say what waits for approval besides it."""


class BuiltPlan(NamedTuple):
    """How many records a plan would change in all, why some must wait, whom that concerns and how many records."""

    numbers: dict[str, dict[str, int]]
    reasons: list[str]
    held: Held
    held_numbers: dict[str, dict[str, int]]


class Prepared(NamedTuple):
    """What a plan rests on besides people: the owners that an interrupted run had chosen (the CRM's id by contact), all
    that it was about to write (JSON by contact), the hand-offs whose owner was not in touch in time, the dead feeds
    that hold decay and inactivity, and, where decisions ask about the scores of accounts, who is to be scored and the
    accounts around them as this run makes them.
    """

    promised: Mapping[int, str]
    judged: Mapping[int, str]
    breaches: Sequence[Deadline]
    holds: Sequence[DeadFeed]
    due: Sequence[int] = ()
    accounts: AccountScores = {}


def build_plan(work: Work, result: Result, setting: Setting) -> BuiltPlan:
    """Plan for whoever may have changed and store it, in one transaction, but for those who must wait.

    Who must wait is left as if this run had not been: no score of theirs is stored and no turn is used; their changes
    are kept as a plan of their own, which `result.held` names.
    """
    with work.store.begin() as tx:
        prepared = _prepare(work, tx, setting)
        absent = () if setting.unguarded else set(work.crms) - set(setting.crms)
        left = approval.people_left_waiting(tx, absent) | _people_unlisted(tx, setting)
        # Who must wait is known only when everybody has been planned for: then this is undone, and made without them.
        prepared = _foresee_accounts(work, tx, prepared, result.run, left)
        savepoint = tx.begin_nested()
        desk = _plan(work, tx, setting, result.run, prepared, without=Held(left))
        drafted = _judge(work, tx, desk)
        closing = prepared
        # Who waits for an absent CRM goes on waiting, whatever this draft says of them.
        held = drafted.held._replace(people=drafted.held.people | left)
        if drafted.held:
            savepoint.rollback()
            closing = _foresee_accounts(work, tx, prepared, result.run, held.people)
            desk = _plan(work, tx, setting, result.run, closing, without=held, turns=desk.turns)
        else:
            savepoint.commit()
        _close(work, tx, desk, held, closing)
        # Where nothing waits, all that the backup led to was approved, or there was nothing.
        seen = [crm for crm in setting.crms if not drafted.held_numbers.get(crm, {}).get("records")]
        restoring.end_restored(tx, seen)
        result.held = _hold(work, tx, setting, prepared, drafted, approval.Left(left, frozenset(absent)))
        _hold_undone(work, tx, result, desk)
        # Not earlier: it compares what was seen with the changes that the plan has journaled by now.
        if setting.approval.plans:
            result.approved = approval.take_up(tx, setting.approval, result.run)
        count_run(tx, result, desk, prepared.holds)
    return drafted


def build_preview(work: Work, result: Result, setting: Setting, *, without_odd_data: bool = False) -> BuiltPlan:
    """Plan on a copy of the state for everybody who may have changed, whether or not some of it would have to wait.

    Whose odd data wait already are no reason against an edited config: with `without_odd_data` they are left out.
    """
    with work.store.begin() as tx:
        prepared = _prepare(work, tx, setting)
        odd = approval.people_with_odd_data(tx) if without_odd_data else frozenset[int]()
        left = Held(odd | _people_unlisted(tx, setting))
        prepared = _foresee_accounts(work, tx, prepared, result.run, left.people)
        desk = _plan(work, tx, setting, result.run, prepared, without=left)
        drafted = _judge(work, tx, desk)
        _close(work, tx, desk, left, prepared)
        count_run(tx, result, desk, prepared.holds)
        _note_undone(work, tx, result, desk)
    result.guard = drafted.reasons
    return drafted


def _people_unlisted(tx: Connection, setting: Setting) -> frozenset[int]:
    """Who may be on a list of `[exclude]` that was never read: nothing is decided about them in any CRM.

    Those with a record in the list's CRM; where no record of that CRM was ever read, everybody.
    """
    hidden = set(setting.unlisted) & set(setting.unread)
    return people_with_records(tx, None if hidden else setting.unlisted) if setting.unlisted else frozenset()


def _hold_undone(work: Work, tx: Connection, result: Result, desk: PlanBuilder) -> None:
    """Keep what was undone as a plan of its own; it is what waits after this run, unless something else does."""
    hashes = work.config.model_hash(), work.config.decision_hash()
    waiting = approval.keep_undone(tx, hashes, desk.undone, desk.decided_refs or (), work.now_ms)
    if waiting is not None and result.held is not None:
        result.notes.append(describe_other_plan(waiting))
    result.held = result.held or waiting


def describe_other_plan(waiting: WaitingPlan) -> str:
    """That another plan waits besides the one that a run reports."""
    return f"Plan {waiting.run} is held for approval too: {'; '.join(waiting.reasons)}"


def _note_undone(work: Work, tx: Connection, result: Result, desk: PlanBuilder) -> None:
    """Say in a preview what of it would wait; the plan of this id is the copy's own, so that none is named."""
    hashes = work.config.model_hash(), work.config.decision_hash()
    waiting = approval.keep_undone(tx, hashes, desk.undone, desk.decided_refs or (), work.now_ms)
    if waiting is not None:
        result.notes += [f"{NOT_PLANNED}{why}" for why in waiting.reasons]


def _prepare(work: Work, tx: Connection, setting: Setting) -> Prepared:
    """Settle who is who and whom time makes due."""
    identity = work.config.identity
    resolver = partial(
        matching.match_people,
        shared_address_limit=identity.shared_address_limit,
        shared_mailboxes=identity.shared_mailboxes,
    )
    promised, judged = journal.take_unsent(tx, setting.crms)
    give_back_turns(tx, promised, work.now_ms)
    promised |= approval.release_undone(tx, setting.approval.plans)
    release_by_config(tx, work.config.decision_hash(), work.config.band_names())
    adopted = run_journal.adopted_configs(tx)
    # A CRM that was absent when the config was adopted was never planned for by it.
    plan_all_again(tx, [crm for crm in setting.crms if adopted and crm not in adopted])
    refresh_people(tx, resolver, colleagues=work.config.follows_accounts())
    notice_counts(tx, work.config, settle_events(tx))
    # After it is settled who is who: an edit concerns all records of its person.
    spread_edits(tx, setting.crms)
    breaches = read_breaches(tx, work.config, work.now) if _acts_on_breaches(work.config) else []
    make_dirty(tx, sorted(contacts_of(tx, owners_to_replace(work.config.sla, breaches).keys())))
    journal.wake_up(tx, work.now_ms, setting.read_only, setting.crms)
    holds = read_holds(tx, work.config, work.now)
    due: list[int] = []
    if work.config.asks_about_account_scores():
        hashes = name_scoring(work.config, holds), name_planning(work.config, holds)
        due = people_to_score(tx, int(work.now.timestamp()), *hashes, list(work.crms)).tolist()
    return Prepared(promised, judged, breaches, holds, due)


def _foresee_accounts(work: Work, tx: Connection, prepared: Prepared, run: str, without: Collection[int]) -> Prepared:
    """With the accounts as the scores of this run make them; of those who wait the stored scores count.

    Whoever belongs to an account that is another one by that is planned for.
    """
    if not prepared.due:
        return prepared
    before = read_account_scores(tx, work.config, prepared.due)
    savepoint = tx.begin_nested()
    store_scores(work, tx, run, prepared.holds, [each for each in prepared.due if each not in without])
    accounts = read_account_scores(tx, work.config, prepared.due)
    savepoint.rollback()
    make_dirty(tx, sorted(contacts_of(tx, find_moved_accounts(before, accounts))))
    return prepared._replace(accounts=accounts)


def _acts_on_breaches(config: Config) -> bool:
    """Whether a plan has anything to do about them: to read them takes every hand-off there is."""
    makes_tasks = config.tasks is not None and "breach" in config.tasks.on
    return makes_tasks or (config.sla is not None and config.sla.reroute)


def _plan(
    work: Work,
    tx: Connection,
    setting: Setting,
    run: str,
    prepared: Prepared,
    *,
    without: Held = NOBODY,
    only: Held | None = None,
    turns: TurnCounter | None = None,
) -> PlanBuilder:
    """Score and decide, and journal the changes. With `only` of those alone, and nothing but their changes.

    `turns` are those that a draft of this plan counted again.
    """

    def takes(person: int, crm: str) -> bool:
        return only.holds(person, crm) if only is not None else not without.holds(person, crm)

    desk = PlanBuilder(work, setting, run, takes, prepared.judged)
    # Whoever has to wait had their turns, too: the draft counted everybody.
    counts_again = turns is None and _has_lost_turns(tx)
    desk.turns = TurnCounter(work.config.owner_pool) if counts_again else turns
    if approval.tracks_undone(tx):
        desk.decided_refs = set()
    late = owners_to_replace(work.config.sla, prepared.breaches)
    unowned: list[tuple[Scored, list[Holding]]] = []
    for person, records in score_changed_people(
        work,
        tx,
        setting,
        run,
        prepared.holds,
        without.people,
        only.everybody() if only is not None else None,
        prepared.accounts,
    ):
        if counts_again and not person.excluded:
            desk.count_turn(person, records)
        if person.excluded:
            desk.leave_out(person, records)
        elif may_need_owner(desk, person, records, late):
            # These wait until everybody is scored, because the hottest is served first. All others do not, or a plan
            # would hold everybody whom a route fits.
            unowned.append((person, records))
        else:
            desk.decide_all(person, records, NO_ASSIGNMENT)
        _journal_now_and_then(tx, desk)
    desk.given = assign_unowned(work, tx, desk, unowned, prepared.promised, late)
    # From the end, so that nobody is held any longer who is decided.
    unowned.reverse()
    while unowned:
        desk.decide_all(*unowned.pop(), desk.given)
        _journal_now_and_then(tx, desk)
    desk.journal_changes(tx)
    return desk


def _has_lost_turns(tx: Connection) -> bool:
    """Whether crmsync has written to the CRMs, and this state, which was never planned for, knows nothing of it."""
    return not run_journal.adopted_configs(tx) and not hand_offs.read_standings(tx) and carries_scores(tx)


def _journal_now_and_then(tx: Connection, desk: PlanBuilder) -> None:
    """So that a plan of any size takes no more memory."""
    if len(desk.changes) + len(desk.protections) >= PEOPLE_AT_ONCE:
        desk.journal_changes(tx)


def _judge(work: Work, tx: Connection, desk: PlanBuilder) -> BuiltPlan:
    """What of a plan is too large to be true: the reasons, and whose part of it must wait."""
    for crm, tally in desk.tallies.items():
        # Counting goes through all records of the CRM, so that it is done only where something would change.
        if tally.people["records"]:
            tally.live, tally.scored = count_scored(tx, crm)
    approved = desk.setting.approval
    if desk.setting.unguarded:
        return BuiltPlan({}, [], Held(), {})
    restored = restoring.restored_crms(tx)
    violations = list(guard_violations(desk.tallies, work.config.guard, approved.numbers, restored))
    numbers = {crm: tally.numbers() for crm, tally in desk.tallies.items() if tally.people["records"]}
    held = _without_half(tx, people_to_hold(desk.tallies, violations, approved.people))
    held_numbers = {
        crm: desk.tallies[crm].numbers(held.people | held.first.get(crm, frozenset()))
        for crm in numbers
        if held.people or held.first.get(crm)
    }
    return BuiltPlan(numbers, [each.sentence for each in violations], held, held_numbers)


def _without_half(tx: Connection, held: Held) -> Held:
    """Whose first scores wait in every CRM they are in wait as a whole: no score of theirs may be stored."""
    crms = crms_of(tx, frozenset[int]().union(*held.first.values()))
    whole = {each for each, where in crms.items() if all(each in held.first.get(crm, ()) for crm in where)}
    return Held(held.people | whole, {crm: people - whole for crm, people in held.first.items()})


def _close(work: Work, tx: Connection, desk: PlanBuilder, held: Held, prepared: Prepared) -> None:
    """Settle everybody but those who wait: overrides, turns, tasks, and who has to be looked at again."""
    undecided = contacts_of(tx, held.people)
    for crm, some in held.first.items():
        undecided |= contacts_of(tx, some, crm)
    clear_dirty(tx, desk.setting.crms, desk.overrides, undecided)
    # In this order: the line above would take the marks away again.
    make_dirty(tx, sorted(desk.again))
    save_decisions(tx, desk.decided)
    # A role may ask for the stage or the track: whose account is another one by then is planned for again.
    moved = find_moved_accounts(prepared.accounts, read_account_scores(tx, work.config, prepared.due))
    wake_contacts(tx, sorted(contacts_of(tx, moved)), work.now_ms)
    journal.park_changes(tx, desk.given_up, CHANGED_BACK, work.now_ms)
    mark_owner_overrides(tx, desk.owner_overrides)
    mark_stage_overrides(tx, desk.stage_overrides)
    hand_offs.save_standings(tx, desk.given.standings)
    hand_offs.save_hand_offs(tx, desk.hand_offs)
    this_run = {"run": desk.run, "at": work.now_ms}
    hand_offs.save_open_turns(tx, [{**this_run, **each._asdict()} for each in desk.given.turns])
    hand_offs.save_entries(tx, desk.run, work.now_ms, desk.model_hash, desk.entries)
    planned = plan_tasks(work.config, desk.run, work.now, desk.handed, desk.tagged)
    settled = desk.given.hand_offs.keys() | desk.not_routed
    late = [each for each in prepared.breaches if each.hand_off.person not in settled]
    planned += plan_breach_tasks(work.config, desk.run, work.now, late)
    tasks.add_tasks(tx, [each._asdict() for each in planned])
    has_work = any(tally.people["records"] for tally in desk.tallies.values())
    if has_work or not held:  # a first run that waits whole adopts nothing: the config may still change freely
        run_journal.adopt_config(tx, work.config.decision_hash(), desk.setting.crms, list(work.crms), work.now_ms)


CHANGED_BACK = "another tool keeps changing it back; look for a workflow, flow or sync that sets it"


def _hold(
    work: Work,
    tx: Connection,
    setting: Setting,
    prepared: Prepared,
    drafted: BuiltPlan,
    left: approval.Left,
) -> WaitingPlan | None:
    """Keep the changes of those who wait as a plan; one that waited for the same reason keeps its id."""
    hashes, now = (work.config.model_hash(), work.config.decision_hash()), work.now_ms
    waiting = approval.keep_waiting(tx, "data", hashes, drafted.held_numbers, drafted.reasons, now, left=left)
    if waiting is not None and drafted.held:
        # The plan above was made without them, so that nothing of theirs is journaled yet.
        _plan(work, tx, setting, waiting.run, prepared, only=drafted.held)
    return waiting
