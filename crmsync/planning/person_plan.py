"""What is decided of one person after the other, until the plan is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from crmsync.config.deciding import QUEUE
from crmsync.evaluation.line import find_bands_from_line
from crmsync.model import Change, Holding, Protection, Ref
from crmsync.planning.changes import (
    EntryValues,
    Ladder,
    WantedValues,
    decide_change,
    is_owner_chosen,
    is_stage_overridden,
    noticed_at,
)
from crmsync.planning.desk import Setting, owner_of_person
from crmsync.planning.guard import ChangeCounts
from crmsync.planning.scored_people import Scored
from crmsync.routing.assignment import NO_ASSIGNMENT, Assignment
from crmsync.routing.feedback import TagState
from crmsync.routing.lifecycle import StageReason, StageState
from crmsync.routing.rebuilt_turns import TurnCounter
from crmsync.routing.tasks import Handed, Tagged
from crmsync.store import journal
from crmsync.store.hand_offs import NewEntry
from crmsync.store.overrides import (
    OwnerOverride,
    StageOverride,
)
from crmsync.store.protections import add_protections
from crmsync.store.scores import (
    Decided,
    Override,
)
from crmsync.store.sql import dump_json, from_ms
from crmsync.work import Work

UNDONE_OWNER = "their owner was undone, and the same one is held for approval"
"""Why people have no owner from whom an undo took the one that a run gave them."""


class PlanBuilder:
    """The plan in the making, within one transaction: what was decided so far.

    `judged` is what an interrupted run was about to write (JSON by row id): to decide the same again is nothing new.
    """

    def __init__(
        self,
        work: Work,
        setting: Setting,
        run: str,
        takes: Callable[[int, str], bool],
        judged: Mapping[int, str],
    ) -> None:
        self.judged = judged
        self.work, self.setting, self.run, self.takes = work, setting, run, takes
        self.names = {crm: work.config.field_map(crm) for crm in setting.crms}
        # Asked once: `crms` looks for the installed connectors.
        tables = work.config.crms
        self.only_forward = {crm for crm in setting.crms if not getattr(tables.get(crm), "backward_stages", True)}
        self.model_hash = work.config.model_hash()
        self.stage_names = [stage.name for stage in work.config.stage]
        self.line = find_bands_from_line(work.config, work.config.outcome.line if work.config.outcome else None)
        self.tallies = {crm: ChangeCounts() for crm in setting.crms}
        # Journaled in parts, since there may be one for each record: see `journal_changes`.
        self.changes: list[tuple[int, Change]] = []
        self.protections: list[tuple[int, Protection]] = []
        # These three are stored once, by `_close`: who has to wait is known only after the whole plan was judged.
        self.given_up: list[tuple[int, Change]] = []
        self.overrides: dict[int, Override] = {}
        self.decided: list[Decided] = []
        self.given = NO_ASSIGNMENT
        self.reads_stage = "stage" in work.config.used_fields()
        self.tells_entries = not {"stage_reason", "stage_since"}.isdisjoint(work.config.write.fields)
        self.again: set[int] = set()  # contacts to decide about again in the next run
        self.rescored: Counter[str] = Counter()
        self.protected: dict[str, Counter[str]] = {crm: Counter() for crm in setting.crms}
        self.least = work.config.write.least_move
        self.small_moves: dict[str, set[int]] = {crm: set() for crm in setting.crms}  # people who moved by too little
        self.hand_offs: list[Mapping[str, Any]] = []
        self.handed: list[Handed] = []
        self.entries: list[NewEntry] = []
        self.tagged: list[Tagged] = []
        self.not_routed: set[int] = set()
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
            self.rescored[held.ref.crm] += 1
            # A CRM that is skipped in this run is decided about in the next one; one that the config dropped never is.
            if held.ref.crm not in self.setting.crms:
                self.again |= {held.id} if held.ref.crm in self.work.crms else set()
            # By CRM, too: a first score may wait in one of them and be written in the other.
            elif self.takes(person.person, held.ref.crm):
                stage_whys[str(held.ref)] = self._decide(held, person, given.owner_of, track, records)
        waiting = given.waiting.get(person.person, "")
        is_undone = any(it.id in self.undone_owners for it in records)
        if is_undone and self._owner_of(records) is None:
            waiting = UNDONE_OWNER
        owner_why = _told_once({str(it.ref): given.why[it.id] for it in records if it.id in given.why})
        if is_undone:
            owner_why = "" if waiting else f"the owner stays: {UNDONE_OWNER}"
        owner_why = owner_why or (f"none yet, because {waiting}" if waiting else self._no_move_why(person, records))
        self._keep_decision(person, records, given, (_told_once(stage_whys), owner_why, waiting))

    def count_turn(self, person: Scored, records: Sequence[Holding]) -> None:
        """Count a person as a turn of who owns them, where turns are counted again."""
        owner = self._owner_of(records)
        if self.turns is not None and owner is not None and person.decision is not None:
            account = person.account
            self.turns.add(person.decision.routes, owner, person.worth, account.owners, account.colleague_records)

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
        if self._has_entered(person):
            owner = hand_off.owner if hand_off is not None else self._owner_of(records) or ""
            self.entries.append(NewEntry(person.person, state.stage, owner))
        if not routes:
            self.not_routed.add(person.person)
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

    def _has_entered(self, person: Scored) -> bool:
        """Whether a person came into a stage, by whomever, or up into the band of the hand-off.

        At first sight nobody knows when a user gave them their stage.
        """
        decision, before = person.decision, person.before
        if decision is None:
            return False
        stage, last = decision.move.state.stage, before.stage if before is not None else ""
        moved = bool(stage) and stage != last and (before is not None or decision.move.wanted == stage)
        risen = person.band in self.line and (before is None or before.band not in self.line)
        return moved or (risen and decision.in_play)

    def _owner_of(self, records: Sequence[Holding]) -> str | None:
        return owner_of_person(self.setting.owners, records)

    def _note_tag(self, person: Scored, records: Sequence[Holding], tag: str) -> None:
        """Remember a new tag that asks for a task, where the person has an owner to do it."""
        if address := self._owner_of(records):
            self.tagged.append(Tagged(person.person, address, tag, person.because))

    def _track(self, person: Scored, records: Sequence[Holding], given: Assignment) -> str:
        """The track that a route leads to, where nobody owns the person, else the one they are on anyway."""
        decision, routes = person.decision, person.decision.routes if person.decision else ()
        if decision is None or person.person in given.tracks:
            return given.tracks.get(person.person, "")
        leads_there = bool(routes) and routes[0].to in self.work.config.tracks
        return routes[0].to if leads_there and not self._is_owned(records, given) else decision.track

    def _is_owned(self, records: Sequence[Holding], given: Assignment) -> bool:
        return any(it.id in given.owner_of for it in records) or self._owner_of(records) is not None

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
                    self._decide(held, person, {})
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
        self,
        held: Holding,
        person: Scored,
        owner_of: Mapping[int, str],
        track: str = "",
        leading: Sequence[Holding] = (),
    ) -> str:
        settings, crm = self.work.config.write, held.ref.crm
        move = person.decision.move if person.decision else None
        wanted = WantedValues(
            {**person.score_fields, "track": track or None},
            move.wanted if settings.stage and move else None,
            owner_of.get(held.id) if settings.owner else None,
            person.because,
            move.leaves if move else "",
            move.why if move else "",
        )
        if person.decision is not None:
            wanted = self._with_truth(held, wanted, leading, owner_of)
            wanted = wanted._replace(entry=self._entry_values(held, person.entry))
        ladder = Ladder(self.stage_names, self.setting.orders.get((crm, held.ref.kind), ()), crm in self.only_forward)
        self._note_overrides(held, ladder)
        decision = decide_change(
            held,
            wanted,
            self.names[crm],
            ladder,
            self.work.now_ms,
            self.override_ms,
            self.work.config.truth.flips,
            self.least,
        )
        self.small_moves[crm] |= {person.person} if decision.is_small else set()
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
        protections, change = list(decision.protections), decision.change
        # A score of ours stands, and a CRM it may rest on was never read: the new score may lack half of what is known.
        if change and self.setting.unread and change.before.get("score") is not None:
            why = f"{self.setting.unread[0]}_was_never_read"
            protections += [Protection(why, name, change.before[name], value) for name, value in change.after.items()]
            self.again.add(held.id)
            change = None
        self.protected[crm].update(dict.fromkeys((each.why for each in protections), 1))
        self.protections += [(held.id, each) for each in protections]
        if change:
            self._keep(held, person, change)
        return decision.stage_why

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

    def _entry_values(self, held: Holding, entry: StageReason) -> EntryValues | None:
        if not self.tells_entries:
            return None
        lease = held.overrides.get("stage")
        since, chosen = (
            None if at is None else self._day(at) for at in (entry.at, noticed_at(lease) if lease else None)
        )
        return EntryValues(entry.stage, entry.reason, since, self._day(self.work.now_ms), chosen)

    def _day(self, at: int) -> str:
        return from_ms(at).astimezone(self.work.config.zone).date().isoformat()

    def _with_truth(
        self, held: Holding, wanted: WantedValues, records: Sequence[Holding], owner_of: Mapping[int, str]
    ) -> WantedValues:
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
            # Whom it gets in this run comes along: nothing would ask for that later.
            whom = ((it, owner_of.get(it.id, it.owner)) for it in records if it.ref.crm == truth.owner)
            humans = (owners.somebody(it.ref.crm, owner) for it, owner in whom)
            human = next((each for each in humans if each is not None), None)
            same = owners.by_email.get((crm, human)) if human is not None else None
            if same is not None and same != held.owner:
                wanted = wanted._replace(owner=same)
        return wanted

    def _is_ahead(self, stage: str, of: str) -> bool:
        return self.stage_names.index(stage) > self.stage_names.index(of)

    def _keep(self, held: Holding, person: Scored, change: Change) -> None:
        is_odd = held.id in person.edited or person.is_new or held.ref.crm in self.setting.edited
        is_judged = held.id in self.judged and self.judged[held.id] == dump_json(dict(change.after))
        self.tallies[held.ref.crm].add(person.person, change, is_odd=is_odd, is_judged=is_judged)
        # A rule reads the stage, so that the stage we write now may change the score.
        if self.reads_stage and "stage" in change.after:
            self.again.add(held.id)
        self.changes.append((held.id, change))

    def journal_changes(self, tx: Connection) -> None:
        """Journal what was decided since the last time."""
        journal.add_changes(tx, self.run, self.changes, self.work.now_ms)
        add_protections(tx, self.run, self.protections)
        self.changes, self.protections = [], []


def _told_once(whys: Mapping[str, str]) -> str:
    """What holds for each record, in one text: once where it is the same for all."""
    if len(set(whys.values())) <= 1:
        return next(iter(whys.values()), "")
    return "; ".join(f"{ref}: {why}" for ref, why in whys.items())
