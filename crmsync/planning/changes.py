"""What to change: the difference between what the CRM holds and what it should, field by field."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from crmsync.config.write import LeastMove
from crmsync.connector import FieldMap
from crmsync.model import SCORE_FIELDS, Change, Contact, Holding, Protection, Scalar
from crmsync.planning.small_moves import is_small_move
from crmsync.routing.lifecycle import BY_USER

PEOPLES_FIELDS = ("stage", "owner")
"""The CRM's own fields: they belong to people first."""


def is_personal(change: Change) -> bool:
    """Whether a change moves what belongs to people first."""
    return any(name in change.after for name in PEOPLES_FIELDS)


ANY_MOVE = LeastMove()


class EntryValues(NamedTuple):
    """A person's stage, and what the score fields say of it: why they have it and since which day.

    `today` is that of the run, `chosen` the day on which a user gave the record the stage that it has.
    """

    stage: str
    reason: str
    since: str | None
    today: str
    chosen: str | None = None


class WantedValues(NamedTuple):
    """What a record should hold. `None` for a stage or owner means: whatever is there, for `entry`: nothing.

    `leaves` is the stage up to which the record may go back, `stage_why` why the person has the stage. A stage that is
    `carried` over from the CRM that leads may go backwards, too.
    """

    score_fields: Mapping[str, Scalar | None]
    stage: str | None
    owner: str | None
    because: str
    leaves: str = ""
    stage_why: str = ""
    carried: bool = False
    entry: EntryValues | None = None


class Decision(NamedTuple):
    """A change, or why there is none although something differs.

    `overrides` are the manual overrides that still hold, `protections` the fields that were left and why, `wake_at` is
    when the first override ends (milliseconds), `stage_why` what was decided of the stage, `given_up` what is left for
    a while, since something else keeps changing it back, and `undone` what waits, since the same was undone. With
    `is_small`, what differs moved by too little to be written.
    """

    change: Change | None
    overrides: Mapping[str, Mapping[str, Scalar | None]]
    protections: Sequence[Protection] = ()
    wake_at: int | None = None
    stage_why: str = ""
    given_up: Change | None = None
    undone: Change | None = None
    is_small: bool = False

    @property
    def protected(self) -> list[str]:
        """Why fields were left, each reason once."""
        return list(dict.fromkeys(each.why for each in self.protections))


class Ladder(NamedTuple):
    """The order of stages: the names of the config in its order, and a CRM's own values in the CRM's order.

    With `only_forward` the CRM does not take a stage back.
    """

    names: Sequence[str]
    values: Sequence[str] = ()
    only_forward: bool = False


def decide_change(
    held: Holding,
    wanted: WantedValues,
    names: FieldMap,
    ladder: Ladder,
    now: int,
    override: int,
    flips: int = 3,
    least: LeastMove = ANY_MOVE,
) -> Decision:
    """The change that makes a record hold what is wanted, field by field against the CRM's present value.

    Score fields are ours. A stage only moves forward along `ladder`, and neither it nor the owner is touched while a
    user's own change holds: for `override` milliseconds from when it was noticed (`now` is in milliseconds). A value
    that something else changed back `flips` times is left, and so is what moved by less than `least`.
    """
    writable = FieldMap.spelled(names.score_fields, held.ref.kind)
    after: dict[str, Scalar | None] = {
        name: value
        for name, value in wanted.score_fields.items()
        if name in writable and held.current.get(name) != value
    }
    overrides = {name: lease for name, lease in held.overrides.items() if now < noticed_at(lease) + override}
    protections: list[Protection] = []
    move, stage_why = _stage_move(held, wanted, names, ladder)
    if stage_why == NOT_NAMED:
        protections.append(Protection("stage_not_in_config", "stage", held.stage, wanted.stage))
    moves = {"stage": wanted.stage if move else None, "owner": _owner_move(held, wanted.owner)}
    for name, value in moves.items():
        if value is not None and name in overrides:
            until = noticed_at(overrides[name]) + override
            protections.append(Protection(f"{name}_changed_by_a_user", name, getattr(held, name), value, until))
        elif value is not None:
            after[name] = value
    if "stage" in overrides and move:
        stage_why = f"protected: changed by a user, until {_day(noticed_at(overrides['stage']) + override)}"
    kept, _ = _without_refused(after, held)
    stage = kept.get("stage", held.stage)
    told = _stage_fields(held, wanted.entry, stage, ladder, is_protected="stage" in overrides)
    after |= {name: value for name, value in told.items() if name in writable and held.current.get(name) != value}
    is_small = is_small_move(held.current, held.last_written, after, least)
    after, on_hold = _without_refused({} if is_small else after, held)
    protections += _protect(held, "on_hold", on_hold)
    after, undone = _without_undone(after, held)
    # What is left may be as little, once the rest waits.
    if is_small_move(held.current, held.last_written, after, least):
        after, is_small = {}, True
    if undone:
        protections += _protect(held, "undone", undone.after)
        stage_why = f"held: {undone.because}" if "stage" in undone.after else stage_why
    # The first one to end wakes the record; then the others are looked at again.
    wake_at = min((noticed_at(lease) + override for lease in overrides.values()), default=None)
    settled = Decision(None, overrides, protections, wake_at, stage_why, undone=undone, is_small=is_small)
    if not after:
        return settled
    present = _present_values(held)
    # The present values go with the change: just before it is sent, they show whether somebody moved them since.
    change = Change(held.ref, {name: present.get(name) for name in after}, after, wanted.because, held.group)
    # Only where all of it was written before: a value that is new has not been changed back by anybody.
    if held.attempts >= flips - 1 and all(
        name in held.last_written and held.last_written[name] == after[name] for name in after
    ):
        protections += _protect(held, "changed_back_by_others", after)
        return settled._replace(protections=protections, given_up=change)
    return settled._replace(change=change)


def _protect(held: Holding, why: str, wanted: Mapping[str, Scalar | None]) -> list[Protection]:
    """Leave these fields as they are."""
    present = _present_values(held)
    return [Protection(why, name, present.get(name), value) for name, value in wanted.items()]


def _stage_fields(
    held: Holding, entry: EntryValues | None, stage: Scalar | None, ladder: Ladder, *, is_protected: bool
) -> dict[str, Scalar | None]:
    """What the score fields say of the stage of a record, which may not be the one that its person has, or come to it
    later.
    """
    if entry is None or not stage:
        return {"stage_reason": None, "stage_since": None}
    if stage == entry.stage:
        reason, there = _shorten(entry.reason) or None, str(held.current.get("stage_since", ""))
        is_later = held.current.get("stage_reason") == reason and there > (entry.since or "")
        since = entry.today if stage != held.stage else there if is_later else entry.since
        return {"stage_reason": reason, "stage_since": since}
    if is_protected:
        return {"stage_reason": BY_USER, "stage_since": entry.chosen}
    names = ladder.names
    is_back = stage in names and entry.stage in names and names.index(entry.stage) < names.index(str(stage))
    if ladder.only_forward and is_back:
        # The stage stays, and so does since when it is there.
        said = f"{entry.stage}: {entry.reason}; {held.ref.crm} moves stages only forward"
        return {"stage_reason": _shorten(said), "stage_since": held.current.get("stage_since")}
    return {"stage_reason": None, "stage_since": None}


def _shorten(text: str) -> str:
    """As much of a text as its field takes: CRMs count UTF-16 units, and a text that they cut would differ for ever."""
    units = 2 * SCORE_FIELDS["stage_reason"].length
    return text.encode("utf-16-le")[:units].decode("utf-16-le", "ignore").rstrip()


def noticed_at(lease: Mapping[str, Scalar | None]) -> int:
    """When a user's change was noticed (milliseconds)."""
    return int(str(lease["since"]))


def is_owner_chosen(held: Holding, now: int, override: int) -> bool:
    """Whether a user's own choice of the owner still holds at `now`: for `override`, both in milliseconds."""
    lease = held.overrides.get("owner")
    return lease is not None and now < noticed_at(lease) + override


def is_stage_overridden(held: Holding, names: FieldMap, ladder: Ladder) -> bool:
    """Whether a user moved a record back from the stage that we wrote last, or cleared it.

    Forward, and to a stage whose place nobody knows, is where sales may well go from ours.
    """
    spelled = FieldMap.spelled(names.stages, held.ref.kind)
    ours, lease = held.last_written.get("stage"), held.overrides.get("stage")
    if lease is None or ours not in ladder.names or ours not in spelled:
        return False
    return not lease["value"] or _is_forward(str(lease["value"]), str(ours), spelled, ladder) is True


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"


def _owner_move(held: Holding, wanted: str | None) -> str | None:
    return wanted if wanted is not None and wanted != held.owner else None


NOT_NAMED = "not moved, because neither the config nor the CRM's order of stages has the present stage"


def _stage_move(held: Holding, wanted: WantedValues, names: FieldMap, ladder: Ladder) -> tuple[bool, str]:
    """Whether to move to the wanted stage, and why (not)."""
    spelled, stage = FieldMap.spelled(names.stages, held.ref.kind), wanted.stage
    if stage is None:
        return False, wanted.stage_why or "no stage is earned"
    if stage not in spelled:
        return False, f"[[stage]] {stage} has no value for {held.ref.crm} {held.ref.kind}s"
    if held.stage == stage:
        return False, wanted.stage_why if wanted.leaves else f"already {stage}"
    forward = _is_forward(held.stage, stage, spelled, ladder)
    if wanted.carried or _is_left_behind(held.stage, wanted, ladder.names):
        if ladder.only_forward and not forward:
            said = f"{held.ref.crm} moves stages only forward (see [{held.ref.crm}] backward_stages)"
            return False, f"{wanted.stage_why}; stays {held.stage}: {said}"
        return True, wanted.stage_why
    if forward is None:
        return False, NOT_NAMED
    return forward, f"moves forward to {stage}" if forward else f"already further along: {held.stage}"


def _is_left_behind(current: str | None, wanted: WantedValues, names: Sequence[str]) -> bool:
    """Whether a record is still in the stage that its person left, or in one on the way back."""
    if wanted.leaves not in names or current not in names or wanted.stage not in names:
        return False
    return names.index(wanted.stage) < names.index(current) <= names.index(wanted.leaves)


def _is_forward(current: str | None, wanted: str, spelled: Mapping[str, str], ladder: Ladder) -> bool | None:
    """Whether a stage is further along; `None` where nobody knows the place of the present one.

    A stage that the config names has its place in the config; another one has it in the CRM's own order.
    """
    # Every stage is ahead of none.
    if not current:
        return True
    if current in ladder.names:
        return ladder.names.index(wanted) > ladder.names.index(current)
    if current in ladder.values and spelled[wanted] in ladder.values:
        return ladder.values.index(spelled[wanted]) > ladder.values.index(current)
    return None


def _without_refused(
    after: dict[str, Scalar | None], held: Holding
) -> tuple[dict[str, Scalar | None], dict[str, Scalar | None]]:
    """The change without what the CRM refused and would refuse again, and what was left out.

    A record that was refused whole is tried again as soon as anything else is wanted of it; of one that was partly
    updated only the refused values wait.
    """
    refused = held.on_hold.get("after")
    if not refused or not after:
        return after, {}
    same = {name for name in after if name in refused and refused[name] == after[name]}
    if held.on_hold.get("whole", True) and same != set(after):
        return after, {}
    left, waiting = ({name: value for name, value in after.items() if (name in same) is kept} for kept in (False, True))
    return left, waiting


TOGETHER = ("fit", "behavior", "band", "reason")
"""What goes with the score: it waits where the same score does, and not where another one comes."""


def _present_values(held: Holding) -> dict[str, Scalar | None]:
    return {**held.current, "stage": held.stage, "owner": held.owner}


def _without_undone(after: dict[str, Scalar | None], held: Holding) -> tuple[dict[str, Scalar | None], Change | None]:
    """The change without the values that were undone, and these as a change that waits."""
    undone = held.undone
    same = {name for name, value in after.items() if name in undone and undone[name]["value"] == value}
    if "score" in undone and "score" in after:
        same = (same | set(TOGETHER)) if "score" in same else (same - set(TOGETHER))
    waiting = {name: value for name, value in after.items() if name in same}
    if not waiting:
        return after, None
    runs = dict.fromkeys(str(undone[name]["run"]) for name in waiting if name in undone)
    because, present = f"run {', '.join(runs)} was undone", _present_values(held)
    left = {name: value for name, value in after.items() if name not in same}
    return left, Change(held.ref, {name: present.get(name) for name in waiting}, waiting, because, held.group)


def without_human_edits(change: Change, present: Contact, names: Collection[str] = PEOPLES_FIELDS) -> Change | None:
    """The change without those fields that somebody moved since it was planned; `None` when nothing is left."""
    now: dict[str, Scalar | None] = {**present.current, "stage": present.stage, "owner": present.owner}
    moved = {name for name in names if name in change.after and _filled(now.get(name)) != _filled(change.before[name])}
    return without_fields(change, moved) if moved else change


def without_fields(change: Change, names: Collection[str]) -> Change | None:
    """The change without some fields; `None` when nothing is left."""
    after = {name: value for name, value in change.after.items() if name not in names}
    before = {name: value for name, value in change.before.items() if name not in names}
    return replace(change, before=before, after=after) if after else None


def unconfirmed_fields(change: Change, present: Contact) -> dict[str, Scalar | None]:
    """What the CRM holds instead, for each field of the change that it does not hold as written."""
    now: dict[str, Scalar | None] = {**present.current, "stage": present.stage, "owner": present.owner}
    return {name: now.get(name) for name, value in change.after.items() if _filled(now.get(name)) != _filled(value)}


def _filled(value: Scalar | None) -> Scalar | None:
    """CRMs do not tell "" from nothing."""
    return None if value == "" else value


def describe_refusals(refused: Mapping[str, str]) -> str:
    """Which fields a CRM refused, each with the reason."""
    return "; ".join(f"{name}: {why}" for name, why in sorted(refused.items()))
