"""The stage of each person: which one they enter, which one they leave, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from crmsync.config.deciding import Stage


class StageState(NamedTuple):
    """Where a person stands: the `stage` (`""` before one is known), `since` when crmsync decided it (milliseconds).

    `left` is the stage that they left last and did not enter again, `cool_downs` until when a stage is not entered.
    """

    stage: str = ""
    since: int | None = None
    left: str = ""
    cool_downs: Mapping[str, int] = {}


class RecordStage(NamedTuple):
    """The stage of one record, and since when a user's own choice of it holds (milliseconds)."""

    stage: str | None
    chosen_at: int | None = None


class StageMove(NamedTuple):
    """What is decided: the new `state`, the stage to write (`None`: none), and the reason in a sentence.

    `leaves` is the stage up to which a record may go back.
    """

    state: StageState
    wanted: str | None
    why: str
    leaves: str = ""


class StageReason(NamedTuple):
    """Why somebody came into a stage, and when (milliseconds), as far as that is known."""

    stage: str = ""
    reason: str = ""
    at: int | None = None


class StageHold(NamedTuple):
    """Stages that are `closed` for a while besides cool-downs (until when, in milliseconds), and why; with `leaves` the
    present stage is left, as if its exit held.
    """

    why: str = ""
    closed: Mapping[str, int] = {}
    leaves: bool = False


NO_HOLD = StageHold()
"""Every stage is open."""


def find_stage(
    stages: Sequence[Stage], crm_owned: Collection[str], state: StageState, records: Sequence[RecordStage]
) -> str:
    """The stage a person is in now: what a user chose last or the CRM itself gave, else what was decided, else the
    furthest of their records; `""` for none that the config names.
    """
    for record in records:
        if record.stage in crm_owned:
            return str(record.stage)
    places = {stage.name: place for place, stage in enumerate(stages)}
    named = [record for record in records if record.stage in places]
    chosen = [each for each in named if each.chosen_at is not None and each.chosen_at > (state.since or 0)]
    if not chosen and state.stage in places:
        return state.stage
    return max((str(each.stage) for each in chosen or named), key=lambda name: places[name], default="")


FOUND, BY_USER = "it was the stage when crmsync began", "set by a user"
"""Reasons of stages that crmsync did not decide."""


def find_entry(
    crm_owned: Collection[str],
    before: StageReason,
    since: int | None,
    move: StageMove,
    records: Sequence[RecordStage],
    written: StageReason,
) -> StageReason:
    """How somebody came into the stage of a `move`; it stays what it is until they come into another one.

    `before` is what was known, `since` when crmsync had decided a stage, and `written` what stands in a CRM, which
    counts where nothing is known, as after the loss of the state.
    """
    state = move.state
    if not state.stage:
        return StageReason()
    if state.since is not None and state.since != since:
        return StageReason(state.stage, move.why, state.since)
    chosen = [each.chosen_at for each in records if each.stage == state.stage and each.chosen_at is not None]
    if before.stage and before.stage != state.stage and chosen:
        return StageReason(state.stage, move.why if state.stage in crm_owned else BY_USER, max(chosen))
    if before.reason:
        return before._replace(stage=state.stage)
    if written.stage == state.stage:
        return written
    return StageReason(state.stage, move.why if state.since is not None else FOUND, state.since)


def decide_stage(
    stages: Sequence[Stage],
    crm_owned: Collection[str],
    state: StageState,
    current: str,
    enters: Mapping[str, str],
    exits: Mapping[str, str],
    now: int,
    hold: StageHold = NO_HOLD,
) -> StageMove:
    """Where a person goes from the stage they are in: out where its exit holds, then forward to the furthest they earn.

    `enters` and `exits` have a reason for each stage whose condition holds; `now` is in milliseconds. A stage whose
    exit holds, whose cool-down lasts, or that `hold` closes, is not entered.
    """
    names = [stage.name for stage in stages]
    cooling = {name: until for name, until in state.cool_downs.items() if until > now}
    if current in crm_owned:
        settled = state._replace(stage=current, cool_downs=cooling)
        return StageMove(settled, None, f"the CRM itself gives the stage {current}")
    place = names.index(current) if current in names else -1
    # Whom a person put into another stage since they left one has nowhere to go back to.
    left = state.left if current == state.stage else ""
    settled = state._replace(stage=current, left=left, cool_downs=cooling)
    if place >= 0 and (current in exits or hold.leaves):
        return _leave(stages, settled, enters, exits, now, hold)
    closed = {**cooling, **hold.closed}
    earned = _furthest(names, enters, exits, closed)
    if earned > place:
        entered = StageState(names[earned], now, "", cooling)
        return StageMove(entered, names[earned], f"enters {names[earned]}: {enters[names[earned]]}")
    back = current if left and place >= 0 else None  # for a record that is still in the stage that was left
    waits = next((name for name in reversed(names) if name in enters and name not in exits and name in closed), None)
    if waits is not None and names.index(waits) > place:
        until = datetime.fromtimestamp(closed[waits] / 1000, UTC)
        said = f" ({hold.why})" if waits in hold.closed else ""
        return StageMove(settled, back, f"{waits} is not entered again before {until:%Y-%m-%d}{said}", left)
    # The stage that they earn is wanted of each record, since one CRM may be behind the other.
    wanted = back or (names[earned] if earned >= 0 else None)
    return StageMove(settled, wanted, _stay_why(names, place, earned, enters), left)


def _leave(
    stages: Sequence[Stage],
    state: StageState,
    enters: Mapping[str, str],
    exits: Mapping[str, str],
    now: int,
    hold: StageHold,
) -> StageMove:
    """Out of the stage and of each that this leads to and whose exit holds as well: the next run has nothing to add."""
    names, cooling, whys = [stage.name for stage in stages], dict(state.cool_downs), []
    place = at = names.index(state.stage)
    reached, leaving = {place}, {**({state.stage: hold.why} if hold.leaves else {}), **exits}
    while at >= 0 and names[at] in leaving:
        stage = stages[at]
        whys.append(f"leaves {stage.name}: {leaving[stage.name]}")
        if stage.cool_down is not None and stage.name in exits:
            cooling[stage.name] = now + int(stage.cool_down.total_seconds() * 1000)
        back = _next_out(stages, at)
        at = back if back not in reached else at - 1
        reached.add(at)
    target, why = names[at] if at >= 0 else "", "; ".join(whys)
    earned = _furthest(names, enters, leaving, {**cooling, **hold.closed})
    if earned > at:
        name = names[earned]
        left = state.stage if earned < place else ""
        return StageMove(StageState(name, now, left, cooling), name, f"{why}; enters {name}: {enters[name]}", left)
    moved = StageState(target, now, state.stage, cooling)
    return StageMove(moved, target or None, f"{why}; back to {target}" if target else why, state.stage)


def _next_out(stages: Sequence[Stage], place: int) -> int:
    """Where whoever leaves a stage goes: what it recycles to, else the stage before it (-1: none)."""
    return next((at for at, stage in enumerate(stages) if stage.name == stages[place].recycle), place - 1)


def find_recycled_track(stages: Sequence[Stage], tracks: Collection[str], state: StageState) -> str:
    """The track that the stages they left last recycle to; `""` for none."""
    names, found = [stage.name for stage in stages], ""
    if state.left not in names:
        return ""
    at, end = names.index(state.left), names.index(state.stage) if state.stage in names else -1
    for _ in stages:
        if stages[at].recycle in tracks:
            found = str(stages[at].recycle)
        at = _next_out(stages, at)
        if at <= end:
            break
    return found


def _stay_why(names: Sequence[str], place: int, earned: int, enters: Mapping[str, str]) -> str:
    if place < 0:
        return "no stage is earned"
    if earned < 0:
        return f"stays {names[place]}: no further stage is earned"
    if earned < place:
        return f"stays {names[place]}, which is further along than {names[earned]}"
    return f"stays {names[place]}: {enters[names[earned]]}"


def _furthest(names: Sequence[str], enters: Collection[str], exits: Collection[str], cooling: Collection[str]) -> int:
    earned = [place for place, name in enumerate(names) if name in enters and name not in exits and name not in cooling]
    return max(earned, default=-1)
