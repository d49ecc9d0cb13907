"""Score → route → plan: from what is stored to the changes a run wants, and what of them must wait."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection

from crmsync.columns import Columns
from crmsync.config import Config
from crmsync.config.deciding import QUEUE
from crmsync.identity import matching
from crmsync.model import Change, Holding, Ref, Scalar
from crmsync.planning import approval
from crmsync.planning.approval import Approval
from crmsync.planning.changes import (
    EntryValues,
    Ladder,
    WantedValues,
    decide_change,
    is_owner_chosen,
    is_stage_overridden,
    noticed_at,
)
from crmsync.planning.desk import (
    NO_ACCOUNT,
    Account,
    ask_owner,
    entry_of_person,
    read_account_views,
    read_breaches,
    read_desk,
    read_marks,
    state_of_person,
    worth_in_pools,
)
from crmsync.planning.guard import NOBODY, ChangeCounts, Held, guard_violations, people_to_hold
from crmsync.result import Result, WaitingPlan
from crmsync.routing.assignment import NO_ASSIGNMENT, Assignment, assign_owners
from crmsync.routing.decisions import RoutingDecision, decide_people
from crmsync.routing.exclusion import find_excluded
from crmsync.routing.feedback import TagState, describe_strange_tags
from crmsync.routing.lifecycle import StageEntry, StageState
from crmsync.routing.owners import Owners
from crmsync.routing.rebuilt_turns import TurnCounter
from crmsync.routing.sla import Deadline, owners_to_replace
from crmsync.routing.tasks import Handed, Tagged, plan_breach_tasks, plan_tasks
from crmsync.scoring import Scores, score, summarize_many
from crmsync.store import hand_offs, journal, restoring, score_inputs, tasks
from crmsync.store.memberships import people_with_records
from crmsync.store.overrides import (
    OwnerOverride,
    StageOverride,
    mark_owner_overrides,
    mark_stage_overrides,
)
from crmsync.store.people import refresh_people
from crmsync.store.scores import (
    PEOPLE_AT_ONCE,
    Decided,
    Override,
    StoredScore,
    band_counts,
    carries_scores,
    clear_dirty,
    contacts_of,
    count_scored,
    count_tags,
    crms_of,
    destination_counts,
    dirty_people,
    edited_contacts,
    known_scores,
    live_contacts,
    make_dirty,
    people_to_score,
    plan_all_again,
    pulled_counts,
    save_decisions,
    save_scores,
    set_due,
    set_model,
    spread_edits,
)
from crmsync.store.sql import dump_json, from_ms
from crmsync.store.undone import release_by_config
from crmsync.work import Work


class Setting(NamedTuple):
    """What a plan is made under besides the config.

    `crms` take part; `orders` are their own orders of stages by (crm, kind); `edited` are CRMs that were last planned
    for with another config; `unread` are CRMs of which nothing was ever read; `unlisted` are CRMs with a list of
    `[exclude]` that was never read; `unguarded` says that nobody has to be asked.
    """

    crms: Sequence[str]
    owners: Owners
    orders: Mapping[tuple[str, str], Sequence[str]]
    edited: Collection[str] = ()
    approval: Approval = Approval()
    unread: Sequence[str] = ()
    unlisted: Sequence[str] = ()
    unguarded: bool = False


class BuiltPlan(NamedTuple):
    """How many records a plan would change in all, why some must wait, whom that concerns and how many records."""

    numbers: dict[str, dict[str, int]]
    reasons: list[str]
    held: Held
    held_numbers: dict[str, dict[str, int]]


class Prepared(NamedTuple):
    """What a plan rests on besides people: the owners that an interrupted run had chosen (the CRM's id by contact), and
    the hand-offs whose owner was not in touch in time.
    """

    promised: Mapping[int, str]
    breaches: Sequence[Deadline] = ()


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
    entry: StageEntry = StageEntry()


class PlanBuilder:
    """The plan in the making, within one transaction: what was decided so far."""

    def __init__(self, work: Work, setting: Setting, run: str, takes: Callable[[int, str], bool]) -> None:
        self.work, self.setting, self.run, self.takes = work, setting, run, takes
        self.names = {crm: work.config.field_map(crm) for crm in setting.crms}
        # Asked once: `crms` looks for the installed connectors.
        tables = work.config.crms
        self.only_forward = {crm for crm in setting.crms if not getattr(tables.get(crm), "backward_stages", True)}
        self.model_hash = work.config.model_hash()
        self.stage_names = [stage.name for stage in work.config.stage]
        self.tallies = {crm: ChangeCounts() for crm in setting.crms}
        # Journaled in parts, since there may be one for each record: see `journal_changes`.
        self.changes: list[tuple[int, Change]] = []
        # These three are stored once, by `_close`: who has to wait is known only after the whole plan was judged.
        self.given_up: list[tuple[int, Change]] = []
        self.overrides: dict[int, Override] = {}
        self.decided: list[Decided] = []
        self.given = NO_ASSIGNMENT
        self.reads_stage = "stage" in work.config.used_fields()
        self.again: set[int] = set()  # contacts to decide about again in the next run
        self.rescored: dict[str, int] = {}
        self.protected: dict[str, dict[str, int]] = {crm: {} for crm in setting.crms}
        self.hand_offs: list[Mapping[str, Any]] = []
        self.handed: list[Handed] = []
        self.tagged: list[Tagged] = []
        self.turns: TurnCounter | None = None
        self.owner_overrides: list[OwnerOverride] = []
        self.stage_overrides: list[StageOverride] = []
        # What waits since the same was undone, and for which records that was decided: of others it goes on waiting.
        self.undone: list[tuple[int, Change]] = []
        self.undone_owners: set[int] = set()
        self.decided_refs: set[Ref] | None = None

    def decide_all(self, person: Scored, records: Sequence[Holding], given: Assignment) -> None:
        """Decide about the records of a person in the CRMs that take part."""
        stage_whys: dict[str, str] = {}
        track = self._track(person, records, given)
        for held in records:
            self.rescored[held.ref.crm] = self.rescored.get(held.ref.crm, 0) + 1
            # A CRM that is skipped in this run is decided about in the next one; one that the config dropped never is.
            if held.ref.crm not in self.setting.crms:
                self.again |= {held.id} if held.ref.crm in self.work.crms else set()
            # By CRM, too: a first score may wait in one of them and be written in the other.
            elif self.takes(person.person, held.ref.crm):
                stage_whys[str(held.ref)] = self._decide(held, person, given.owner_of.get(held.id), track, records)
        waiting = given.waiting.get(person.person, "")
        is_undone = any(it.id in self.undone_owners for it in records)
        if is_undone and not any(self.setting.owners.somebody(it.ref.crm, it.owner) for it in records):
            waiting = UNDONE_OWNER
        owner_why = _told_once({str(it.ref): given.why[it.id] for it in records if it.id in given.why})
        if is_undone:
            owner_why = "" if waiting else f"the owner stays: {UNDONE_OWNER}"
        owner_why = owner_why or (f"none yet, because {waiting}" if waiting else self._no_move_why(person, records))
        self._keep_decision(person, records, given, (_told_once(stage_whys), owner_why, waiting))

    def count_turn(self, person: Scored, records: Sequence[Holding]) -> None:
        """Count a person as a turn of who owns them, where turns are counted again."""
        humans = (self.setting.owners.somebody(it.ref.crm, it.owner) for it in records)
        owner = next((each for each in humans if each is not None), None)
        if self.turns is not None and owner is not None and person.decision is not None:
            account = person.account
            self.turns.add(person.decision.routes, owner, person.worth, account.owners, account.colleague_owners)

    def _keep_decision(
        self, person: Scored, records: Sequence[Holding], given: Assignment, whys: tuple[str, str, str]
    ) -> None:
        stage_why, owner_why, waiting = whys
        decision, before = person.decision, person.before
        state = decision.move.state if decision else StageState()
        routes = decision.routes if decision else ()
        since = before.waiting_since if before is not None and before.waiting else None
        hand_off = given.hand_offs.get(person.person)
        if hand_off is not None:
            self.hand_offs.append({
                "person": person.person, "run": self.run, "at": self.work.now_ms, **hand_off._asdict(),
                "stage": state.stage, "band": person.band, "total": person.total,
                "model": self.model_hash,
            })  # fmt: skip
            self.handed.append(Handed(person.person, hand_off.owner, person.because, hand_off.why))
        if decision and decision.tag.action == "task" and decision.tag.state.since == self.work.now_ms:
            self._note_tag(person, records, decision.tag.state.tag)
        self.decided.append(
            Decided(
                person.person,
                stage_why,
                owner_why,
                waiting,
                (since or self.work.now_ms) if waiting else None,
                self._destination(person, records, given, waiting),
                given.routes.get(person.person, routes[0].name if routes else ""),
                state.stage,
                state.since,
                state.left,
                dump_json(dict(state.cool_downs)),
                self._track(person, records, given),
                *(decision.tag.state if decision else TagState()),
                person.entry.reason,
                person.entry.at,
            )
        )

    def _note_tag(self, person: Scored, records: Sequence[Holding], tag: str) -> None:
        """Remember a new tag that asks for a task, where the person has an owner to do it."""
        owners = (self.setting.owners.somebody(it.ref.crm, it.owner) for it in records)
        address = next((each for each in owners if each is not None), None)
        if address is not None:
            self.tagged.append(Tagged(person.person, address, tag, person.because))

    def _track(self, person: Scored, records: Sequence[Holding], given: Assignment) -> str:
        """The track that a route leads to, where nobody owns the person, else the one they are on anyway."""
        decision, routes = person.decision, person.decision.routes if person.decision else ()
        if decision is None or person.person in given.tracks:
            return given.tracks.get(person.person, "")
        leads_there = bool(routes) and routes[0].to in self.work.config.tracks
        return routes[0].to if leads_there and not self._is_owned(records, given) else decision.track

    def _is_owned(self, records: Sequence[Holding], given: Assignment) -> bool:
        owners = self.setting.owners
        return any(it.id in given.owner_of or owners.somebody(it.ref.crm, it.owner) is not None for it in records)

    def _destination(self, person: Scored, records: Sequence[Holding], given: Assignment, waiting: str) -> str:
        if person.decision is None or waiting:
            return "waiting" if waiting else ""
        if self._is_owned(records, given) or (person.person in given.routes and self._is_queued(records)):
            return "owned"
        if person.decision.tag.unrouted:
            return "nurture" if person.decision.tag.recycles else "disqualified"
        return "nurture" if person.decision.in_play or not self.work.config.route else "crm_owned"

    def _is_queued(self, records: Sequence[Holding]) -> bool:
        """Whether a record is in a queue that a route or a pool leads to, so that it is where it should be."""
        config = self.work.config
        led = {*(route.to for route in config.route), *(pool.fallback or "" for pool in config.owner_pool)}
        names = {each.removeprefix(QUEUE).strip().lower() for each in led if each.startswith(QUEUE)}
        queues = self.setting.owners.queues
        return any(it.owner and it.owner == queues.get((it.ref.crm, name)) for it in records for name in names)

    def leave_out(self, person: Scored, records: Sequence[Holding]) -> None:
        """Decide about somebody who is left out: nothing, but what `clear` takes away."""
        if self.work.config.exclude.clear:
            for held in records:
                if held.ref.crm in self.setting.crms and self.takes(person.person, held.ref.crm):
                    self._decide(held, person, None)
        self._keep_decision(person, records, NO_ASSIGNMENT, ("", f"excluded: {person.excluded}", ""))

    def _no_move_why(self, person: Scored, records: Sequence[Holding]) -> str:
        if not self.work.config.write.owner:
            return "[write] owner is false"
        if any(self.is_overridden(it) for it in records):
            return "protected: changed by a user"
        if all(self.setting.owners.somebody(it.ref.crm, it.owner) for it in records):
            return "the owner is active"
        decision, stays = person.decision, "the owner stays; " if any(it.owner for it in records) else ""
        if decision is None or not self.work.config.route:
            return f"{stays}the file has no [[route]]"
        if not decision.in_play:
            return f"{stays}not routed: {decision.unrouted_why}"
        route = decision.routes[0]
        return f"{stays}[[route]] {route.name} leads to {route.to}"

    @property
    def override_ms(self) -> int:
        """For how long a user's change is respected (milliseconds)."""
        return int(self.work.config.write.manual_override.total_seconds() * 1000)

    def is_overridden(self, held: Holding) -> bool:
        """Whether a user's own choice of the owner still holds."""
        return is_owner_chosen(held, self.work.now_ms, self.override_ms)

    def _decide(
        self, held: Holding, person: Scored, owner: str | None, track: str = "", leading: Sequence[Holding] = ()
    ) -> str:
        settings, crm = self.work.config.write, held.ref.crm
        move = person.decision.move if person.decision else None
        wanted = WantedValues(
            {**person.score_fields, "track": track or None},
            move.wanted if settings.stage and move else None,
            owner if settings.owner else None,
            person.because,
            move.leaves if move else "",
            move.why if move else "",
        )
        if person.decision is not None:
            wanted = self._with_truth(held, wanted, leading)
            wanted = wanted._replace(entry=self._entry_values(held, person.entry))
        ladder = Ladder(self.stage_names, self.setting.orders.get((crm, held.ref.kind), ()), crm in self.only_forward)
        self._note_overrides(held, ladder)
        decision = decide_change(
            held, wanted, self.names[crm], ladder, self.work.now_ms, self.override_ms, self.work.config.truth.flips
        )
        # A stage may be entered again when its cool-down ends, which nothing else would tell.
        ends = [*(person.decision.ends if person.decision else ()), *filter(None, [decision.wake_at])]
        if dict(decision.overrides) != dict(held.overrides) or ends:
            self.overrides[held.id] = Override(decision.overrides, min(ends, default=None))
        if decision.given_up:
            self.given_up.append((held.id, decision.given_up))
        if self.decided_refs is not None:
            self.decided_refs.add(held.ref)
        if decision.undone:
            self.undone.append((held.id, decision.undone))
            if "owner" in decision.undone.after:
                self.undone_owners.add(held.id)
        protected, change = list(decision.protected), decision.change
        # A score of ours stands, and a CRM it may rest on was never read: the new score may lack half of what is known.
        if change and self.setting.unread and change.before.get("score") is not None:
            protected.append(f"{self.setting.unread[0]}_was_never_read")
            self.again.add(held.id)
            change = None
        for why in protected:
            self.protected[crm][why] = self.protected[crm].get(why, 0) + 1
        if change:
            self._keep(held, person, change)
        return decision.stage_why or (move.why if move else "")

    def _note_overrides(self, held: Holding, ladder: Ladder) -> None:
        """Note what a user took back of what we wrote; where the owner had left, somebody had to take over."""
        crm, owners = held.ref.crm, self.setting.owners
        if is_stage_overridden(held, self.names[crm], ladder):
            since = noticed_at(held.overrides["stage"])
            self.stage_overrides.append(StageOverride(held.id, str(held.last_written["stage"]), since))
        ours = owners.somebody(crm, str(held.last_written.get("owner", "")))
        if ours is not None and (lease := held.overrides.get("owner")) is not None:
            value = lease["value"]
            if value is None or owners.somebody(crm, str(value)) != ours:
                self.owner_overrides.append(OwnerOverride(held.person, ours, noticed_at(lease)))

    def _entry_values(self, held: Holding, entry: StageEntry) -> EntryValues:
        lease = held.overrides.get("stage")
        since, chosen = (
            None if at is None else self._day(at) for at in (entry.at, noticed_at(lease) if lease else None)
        )
        return EntryValues(entry.stage, entry.reason, since, self._day(self.work.now_ms), chosen)

    def _day(self, at: int) -> str:
        return from_ms(at).astimezone(self.work.config.zone).date().isoformat()

    def _with_truth(self, held: Holding, wanted: WantedValues, records: Sequence[Holding]) -> WantedValues:
        """The stage and the owner that the CRM which leads has, where this record is of another one."""
        truth, settings, crm = self.work.config.truth, self.work.config.write, held.ref.crm
        if truth.stage and truth.stage != crm and settings.stage:
            theirs = [it for it in records if it.ref.crm == truth.stage and it.stage in self.stage_names]
            furthest = max((str(it.stage) for it in theirs), key=self.stage_names.index, default=None)
            # What we move forward in the CRM that leads comes here with it, unless a user decided otherwise there.
            chosen = any("stage" in it.overrides for it in theirs)
            ahead = wanted.stage is not None and furthest is not None and self._is_ahead(wanted.stage, furthest)
            ahead = ahead and not chosen
            if furthest is not None and not ahead:
                why = f"{furthest}, as in {truth.stage}"
                wanted = wanted._replace(stage=furthest, stage_why=why, carried=True)
        if truth.owner and truth.owner != crm and settings.owner:
            owners = self.setting.owners
            humans = (owners.somebody(it.ref.crm, it.owner) for it in records if it.ref.crm == truth.owner)
            human = next((each for each in humans if each is not None), None)
            same = owners.by_email.get((crm, human)) if human is not None else None
            if same is not None and same != held.owner:
                wanted = wanted._replace(owner=same)
        return wanted

    def _is_ahead(self, stage: str, of: str) -> bool:
        return self.stage_names.index(stage) > self.stage_names.index(of)

    def _keep(self, held: Holding, person: Scored, change: Change) -> None:
        is_odd = held.id in person.edited or person.is_new or held.ref.crm in self.setting.edited
        self.tallies[held.ref.crm].add(person.person, change, is_odd=is_odd)
        # A rule reads the stage, so that the stage we write now may change the score.
        if self.reads_stage and "stage" in change.after:
            self.again.add(held.id)
        self.changes.append((held.id, change))

    def journal_changes(self, tx: Connection) -> None:
        """Journal what was decided since the last time."""
        journal.add_changes(tx, self.run, self.changes, self.work.now_ms)
        self.changes = []


def _told_once(whys: Mapping[str, str]) -> str:
    """What holds for each record, in one text: once where it is the same for all."""
    if len(set(whys.values())) <= 1:
        return next(iter(whys.values()), "")
    return "; ".join(f"{ref}: {why}" for ref, why in whys.items())


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
        savepoint = tx.begin_nested()
        desk = _plan(work, tx, setting, result.run, prepared, without=Held(left))
        drafted = _judge(work, tx, desk)
        # Who waits for an absent CRM goes on waiting, whatever this draft says of them.
        held = drafted.held._replace(people=drafted.held.people | left)
        if drafted.held:
            savepoint.rollback()
            desk = _plan(work, tx, setting, result.run, prepared, without=held, turns=desk.turns)
        else:
            savepoint.commit()
        _close(work, tx, desk, held, prepared.breaches)
        # Where nothing waits, all that the backup led to was approved, or there was nothing.
        seen = [crm for crm in setting.crms if not drafted.held_numbers.get(crm, {}).get("records")]
        restoring.end_restored(tx, seen)
        result.held = _hold(work, tx, setting, prepared, drafted, approval.Left(left, frozenset(absent)))
        _hold_undone(work, tx, result, desk)
        # Not earlier: it compares what was seen with the changes that the plan has journaled by now.
        if setting.approval.plans:
            result.approved = approval.take_up(tx, setting.approval, result.run)
        _count(tx, result, desk)
    return drafted


def build_preview(work: Work, result: Result, setting: Setting, *, without_odd_data: bool = False) -> BuiltPlan:
    """Plan on a copy of the state for everybody who may have changed, whether or not some of it would have to wait.

    Whose odd data wait already are no reason against an edited config: with `without_odd_data` they are left out.
    """
    with work.store.begin() as tx:
        prepared = _prepare(work, tx, setting)
        odd = approval.people_with_odd_data(tx) if without_odd_data else frozenset[int]()
        left = Held(odd | _people_unlisted(tx, setting))
        desk = _plan(work, tx, setting, result.run, prepared, without=left)
        drafted = _judge(work, tx, desk)
        _close(work, tx, desk, left, prepared.breaches)
        _count(tx, result, desk)
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
        result.notes += [f"Not in this plan: {why}" for why in waiting.reasons]


def _prepare(work: Work, tx: Connection, setting: Setting) -> Prepared:
    """Settle who is who and whom time makes due."""
    identity = work.config.identity
    resolver = partial(
        matching.match_people,
        shared_address_limit=identity.shared_address_limit,
        shared_mailboxes=identity.shared_mailboxes,
    )
    promised = journal.take_unsent(tx, setting.crms)
    promised |= approval.release_undone(tx, setting.approval.plans)
    release_by_config(tx, work.config.decision_hash())
    adopted = journal.adopted_configs(tx)
    # A CRM that was absent when the config was adopted was never planned for by it.
    plan_all_again(tx, [crm for crm in setting.crms if adopted and crm not in adopted])
    refresh_people(tx, resolver)
    # After it is settled who is who: an edit concerns all records of its person.
    spread_edits(tx, setting.crms)
    breaches = read_breaches(tx, work.config, work.now)
    make_dirty(tx, sorted(contacts_of(tx, owners_to_replace(work.config.sla, breaches).keys())))
    journal.wake_up(tx, work.now_ms)
    return Prepared(promised, breaches)


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

    desk = PlanBuilder(work, setting, run, takes)
    # Whoever has to wait had their turns, too: the draft counted everybody.
    counts_again = turns is None and _has_lost_turns(tx)
    desk.turns = TurnCounter(work.config.owner_pool) if counts_again else turns
    if approval.tracks_undone(tx):
        desk.decided_refs = set()
    unowned: list[tuple[Scored, list[Holding]]] = []
    for person, records in _scored_people(
        work, tx, setting, run, without.people, only.everybody() if only is not None else None
    ):
        if counts_again and not person.excluded:
            desk.count_turn(person, records)
        if person.excluded:
            desk.leave_out(person, records)
        elif _may_need_owner(desk, person, records):
            # These wait until everybody is scored, because the hottest is served first.
            unowned.append((person, records))
        else:
            desk.decide_all(person, records, NO_ASSIGNMENT)
        # Journaled now and then, so that a plan of any size takes no more memory.
        if len(desk.changes) >= PEOPLE_AT_ONCE:
            desk.journal_changes(tx)
    _assign(work, tx, desk, unowned, prepared)
    desk.journal_changes(tx)
    return desk


def _has_lost_turns(tx: Connection) -> bool:
    """Whether crmsync has written to the CRMs, and this state, which was never planned for, knows nothing of it."""
    return not journal.adopted_configs(tx) and not hand_offs.read_standings(tx) and carries_scores(tx)


def _may_need_owner(desk: PlanBuilder, person: Scored, records: Sequence[Holding]) -> bool:
    """Whether a person has to be served after all others: not those who keep their owner, or whose route is a track."""
    config, routes = desk.work.config, person.decision.routes if person.decision else ()
    if not config.write.owner or not routes:
        return False
    if routes[0].to in config.tracks:
        # Whom a record belongs to belongs to them in the other CRM, too.
        owned = [desk.setting.owners.somebody(it.ref.crm, it.owner) is not None for it in records]
        return any(owned) and not all(owned)
    return True


def _assign(
    work: Work,
    tx: Connection,
    desk: PlanBuilder,
    routed: list[tuple[Scored, list[Holding]]],
    prepared: Prepared,
) -> None:
    """Serve the people who may need an owner: the hottest first, then those who came first, then by address.

    Records that a user left without an owner are theirs, and those in a CRM that the config no longer has are nobody's.
    """
    routed.sort(key=_turn_order)
    late = owners_to_replace(work.config.sla, prepared.breaches)
    served, absent = [], {}
    for person, records in routed:
        ours = [it for it in records if it.ref.crm in work.crms and not (desk.is_overridden(it) and not it.owner)]
        missing = sorted({it.ref.crm for it in ours} - set(desk.setting.crms))
        if not missing:
            # All records of a person get the same human (W14), so that none may be out of sight.
            routes = person.decision.routes if person.decision else ()
            is_chosen = any(map(desk.is_overridden, ours))
            served.append(
                ask_owner(
                    person.person,
                    routes,
                    ours,
                    person.worth,
                    person.account,
                    person.before,
                    is_chosen=is_chosen,
                    late=late.get(person.person, ""),
                )
            )
        elif not all(desk.setting.owners.somebody(it.ref.crm, it.owner) for it in ours if it.ref.crm not in missing):
            absent[person.person] = f"{missing[0]} is skipped in this run"
    refused = {it.id: str(it.on_hold["after"]["owner"]) for _, records in routed for it in records if _owner_waits(it)}
    # Whose turn it was stays so: a refusal or a crash must not cost somebody a second turn.
    undone = {it.id: str(value) for _, records in routed for it in records if (value := _undone_owner(it))}
    kept = {**undone, **refused, **prepared.promised}
    at = read_desk(tx, work.config, desk.setting.owners, kept, work.now)
    given = assign_owners(served, at if desk.turns is None else at._replace(standings=desk.turns.standings()))
    given = given._replace(waiting={**given.waiting, **absent})
    for person, records in routed:
        desk.decide_all(person, records, given)
    desk.given = given


def _turn_order(each: tuple[Scored, Sequence[Holding]]) -> tuple[int, int, str, int]:
    """Never by the order in which records came, or by the numbers that the state gave them (only between namesakes)."""
    person = each[0]
    since = person.before.waiting_since if person.before is not None else None
    return -person.total, since or FAR_MS, person.email, person.person


FAR_MS = 2**62
"""Later than any instant: who did not wait yet comes after those who did."""


def _undone_owner(held: Holding) -> Scalar | None:
    """The owner whom a record would get again: an undo takes nobody's turn back and gives nobody another one."""
    value: Scalar | None = held.undone.get("owner", {}).get("value")
    return value


def _owner_waits(held: Holding) -> bool:
    """Whether the CRM refused the whole record when it was to get an owner: whose turn it was stays so."""
    return bool(held.on_hold.get("whole", True) and held.on_hold.get("after", {}).get("owner"))


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


def _close(work: Work, tx: Connection, desk: PlanBuilder, held: Held, breaches: Sequence[Deadline]) -> None:
    """Settle everybody but those who wait: overrides, turns, tasks, and who has to be looked at again."""
    undecided = contacts_of(tx, held.people)
    for crm, some in held.first.items():
        undecided |= contacts_of(tx, some, crm)
    clear_dirty(tx, desk.setting.crms, desk.overrides, undecided)
    # In this order: the line above would take the marks away again.
    make_dirty(tx, sorted(desk.again))
    save_decisions(tx, desk.decided)
    journal.park_changes(tx, desk.given_up, CHANGED_BACK, work.now_ms)
    mark_owner_overrides(tx, desk.owner_overrides)
    mark_stage_overrides(tx, desk.stage_overrides)
    hand_offs.save_standings(tx, desk.given.standings)
    hand_offs.save_hand_offs(tx, desk.hand_offs)
    planned = plan_tasks(work.config, desk.run, work.now, desk.handed, desk.tagged)
    late = [each for each in breaches if each.hand_off.person not in desk.given.hand_offs]
    planned += plan_breach_tasks(work.config, desk.run, work.now, late)
    tasks.add_tasks(tx, [each._asdict() for each in planned])
    has_work = any(tally.people["records"] for tally in desk.tallies.values())
    if has_work or not held:  # a first run that waits whole adopts nothing: the config may still change freely
        journal.adopt_config(tx, work.config.decision_hash(), desk.setting.crms, list(work.crms))


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


def _scored_people(
    work: Work, tx: Connection, setting: Setting, run: str, without: Collection[int], only: Collection[int] | None
) -> Iterator[tuple[Scored, list[Holding]]]:
    """Score whoever may have changed, store the scores, and yield with their records those there is news of.

    There is none of people whom time or a changed rule might have moved and did not: of them only the next instant is
    stored at which they may be. Of `only` some people nothing is stored.
    """
    config, model, plan_hash = work.config, work.config.model_hash(), work.config.plan_hash()
    if only is None:
        wanted = people_to_score(tx, int(work.now.timestamp()), model, plan_hash, list(work.crms))
    else:
        wanted = np.array(sorted(only), dtype=np.int64)
    if without:
        wanted = wanted[~np.isin(wanted, np.fromiter(without, dtype=np.int64))]
    dirty = dirty_people(tx, list(work.crms))
    # Kept from part to part, so that each distinct activity is read once.
    facts: score_inputs.Facts = {}
    for start in range(0, len(wanted), PEOPLE_AT_ONCE):
        some = wanted[start : start + PEOPLE_AT_ONCE].tolist()
        columns = score_inputs.read_columns(
            tx, some, sorted(config.fields), config.identity.source_of_truth, facts, keep=True
        )
        before = known_scores(tx, some)
        previous = [before[each].band if each in before else None for each in some]
        scores = score(config, columns, work.now, config.zone, previous)
        excluded = find_excluded(config, columns, read_marks(tx, config, some))
        rows = _score_rows(scores, config, work, run, excluded)
        news = [place for place, row in enumerate(rows) if row["id"] in dirty or _is_news(before.get(row["id"]), row)]
        if only is None:
            quiet = {rows[place]["id"]: rows[place]["due"] for place in set(range(len(rows))) - set(news)}
            # Whoever is no news has a score already (see `_is_news`).
            set_due(tx, {each: due for each, due in quiet.items() if before[each].due != due})
            # A range, because 100,000 ids fit into no statement.
            # Who lies in it and was not scored stays dirty or has no live record.
            set_model(tx, some[0], some[-1], model, plan_hash)
            save_scores(tx, [rows[place] for place in news], before)
        work.progress("scored", "", len(some))
        batch = _Batch(columns, scores, news, before, excluded)
        yield from _with_records(tx, work, setting, batch)


class _Batch(NamedTuple):
    """Some people who were scored: of those in `rows` there is news; `excluded` has for each why they are left out."""

    columns: Columns
    scores: Scores
    rows: Sequence[int]
    before: Mapping[int, StoredScore]
    excluded: Sequence[str]


def _is_news(before: StoredScore | None, row: Mapping[str, Any]) -> bool:
    names = ("lines", "band", "plan", "excluded")
    return before is None or any(getattr(before, name) != row[name] for name in names)


def _ledgers(scores: Scores) -> list[str]:
    """For each person the lines that have points, as JSON: `[[line, hundredths], …]`; they sum to the total."""
    names = [line.name for line in scores.lines]
    points = np.stack(scores.points, axis=1) if scores.points else np.zeros((len(scores.people), 0), dtype=np.int64)
    rows, lines = np.nonzero(points)
    entries = [[names[line], value] for line, value in zip(lines.tolist(), points[rows, lines].tolist(), strict=True)]
    ends = np.searchsorted(rows, np.arange(1, len(points) + 1)).tolist()
    return [dump_json(entries[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _score_rows(scores: Scores, config: Config, work: Work, run: str, excluded: Sequence[str]) -> list[dict[str, Any]]:
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
            "scored_run": run,
            "lines": ledgers[row],
            "excluded": "",
            # Nothing is told of those who are left out.
            **({"fit": 0, "behavior": 0, "total": 0, "band": "", "lines": "[]", "excluded": why} if why else {}),
        }
        for row, why in enumerate(excluded)
    ]


def _with_records(
    tx: Connection, work: Work, setting: Setting, batch: _Batch
) -> Iterator[tuple[Scored, list[Holding]]]:
    config, scores, rows = work.config, batch.scores, batch.rows
    bands, why = config.band_names(), summarize_many(config, scores, rows)
    people = scores.people[rows].tolist()
    edited = edited_contacts(tx, people)
    records: dict[int, list[Holding]] = {}
    by = config.decision_hash()
    for held in live_contacts(tx, people):
        if held.undone:
            # Of what was undone only that waits which was decided by this config.
            held = held._replace(undone={name: it for name, it in held.undone.items() if by in it["configs"]})
        records.setdefault(held.person, []).append(held)
    accounts = read_account_views(tx, config, setting.owners, people, work.now)
    states = [
        state_of_person(setting.owners, batch.before.get(each), records.get(each, ()), accounts.get(each, NO_ACCOUNT))
        for each in people
    ]
    decisions = decide_people(config, scores, batch.columns, rows, states, work.now_ms)
    emails, zone = batch.columns.fields["email"], config.zone
    crm_owned = config.crm_owned  # once, since it looks for the installed connectors
    for row, person_id, because, decision, state in zip(rows, people, why, decisions, states, strict=True):
        band = _band(bands, scores.band[row])
        score_fields: dict[str, Scalar | None] = {
            "score": _points(scores.total[row]),
            "fit": _points(scores.fit[row]),
            "behavior": _points(scores.behavior[row]),
            "band": band,
            "reason": because,
        }
        left_out, before = batch.excluded[row], batch.before.get(person_id)
        common = (edited, before is None, before)
        if left_out:
            nothing = dict.fromkeys(score_fields)
            yield (
                Scored(person_id, 0, "", "", nothing, f"excluded: {left_out}", *common, left_out),
                records.get(person_id, []),
            )
            continue
        worth = worth_in_pools(config, batch.columns, scores, row) if decision.routes else {}
        yield (
            Scored(person_id, int(scores.total[row]), band, str(emails[row] or ""), score_fields, because, *common,
                   "", decision, worth, accounts.get(person_id, NO_ACCOUNT),
                   entry_of_person(zone, crm_owned, before, decision.move, state.records, records.get(person_id, ()))),
            records.get(person_id, []),
        )  # fmt: skip


def _band(bands: Sequence[str], number: Any) -> str:
    """The name of a band; a model without bands has none."""
    return bands[number] if number >= 0 else ""


def _points(hundredths: Any) -> int | float:
    """Points as they are written: a whole number wherever it is one."""
    whole, rest = divmod(int(hundredths), 100)
    return whole if rest == 0 else int(hundredths) / 100


def _count(tx: Connection, result: Result, desk: PlanBuilder) -> None:
    became = pulled_counts(tx, result.run)
    for crm, counts in result.crms.items():
        reasons_here = dict(became.get(crm, {}))
        # By construction, so that pulled = scored + skipped always holds (O01).
        counts.pulled = sum(reasons_here.values())
        counts.scored = reasons_here.pop("scored", 0)
        counts.skipped = reasons_here
        counts.rescored = desk.rescored.get(crm, 0)
        counts.protected = desk.protected.get(crm, {})
        counts.planned = len(desk.tallies[crm].people["records"]) if crm in desk.tallies else 0
    result.bands = band_counts(tx)
    result.routing = _count_destinations(tx, desk)
    result.tasks = tasks.count_tasks(tx, result.run)
    people = {tag: sum(bands.values()) for tag, bands in count_tags(tx).items()}
    result.notes += describe_strange_tags(desk.work.config.feedback, people)
    result.waiting_for_owner = {"count": result.routing["waiting"], "reasons": result.routing["reasons"]}


def _count_destinations(tx: Connection, desk: PlanBuilder) -> dict[str, Any]:
    """Where everybody is: nobody falls through."""
    counted = dict.fromkeys(("owned", "routed", "nurture", "excluded", "waiting"), 0)
    reasons: dict[str, int] = {}
    for (destination, why), many in destination_counts(tx).items():
        # Whose first decision is not stored yet waits for it.
        where = {"crm_owned": "excluded", "disqualified": "excluded", "": "waiting"}.get(destination, destination)
        counted[where] += many
        if where == "waiting":
            reasons[why or HELD] = reasons.get(why or HELD, 0) + many
    new = sum(1 for each in desk.decided if each.destination == "owned" and each.person_id in desk.given.hand_offs)
    counted["owned"] -= new
    counted["routed"] += new
    by_owner: dict[str, int] = {}
    for each in desk.hand_offs:
        by_owner[each["owner"]] = by_owner.get(each["owner"], 0) + 1
    everybody = sum(counted.values())
    return {"in": everybody, **counted, "reasons": dict(sorted(reasons.items())), "by_owner": _most_first(by_owner)}


def _most_first(numbers: Mapping[str, int]) -> dict[str, int]:
    """The largest first."""
    return dict(sorted(numbers.items(), key=lambda each: (-each[1], each[0])))


UNDONE_OWNER = "their owner was undone, and the same one is held for approval"
"""Why people have no owner from whom an undo took the one that a run gave them."""

HELD = "held for approval"
"""Why people have no owner whose plan waits."""
