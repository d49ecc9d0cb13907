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

    `leaves` is the stage that a record may leave backwards.
    """

    state: StageState
    wanted: str | None
    why: str
    leaves: str = ""


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
    if current in crm_owned:
        return StageMove(state._replace(stage=current), None, f"the CRM itself gives the stage {current}")
    names = [stage.name for stage in stages]
    cooling = {name: until for name, until in state.cool_downs.items() if until > now}
    place = names.index(current) if current in names else -1
    settled = state._replace(stage=current, cool_downs=cooling)
    if place >= 0 and (current in exits or hold.leaves):
        stage = stages[place]
        back = names.index(stage.recycle) if stage.recycle in names else max(place - 1, -1)
        target = names[back] if back >= 0 else ""
        if stage.cool_down is not None and current in exits:
            cooling = {**cooling, current: now + int(stage.cool_down.total_seconds() * 1000)}
        settled = StageState(target, now, current, cooling)
        why = f"leaves {current}: {exits.get(current, hold.why)}"
        earned = _furthest(names, enters, exits, {**cooling, **hold.closed})
        if earned > back and earned != place:
            entered = settled._replace(stage=names[earned])
            return StageMove(entered, names[earned], f"{why}; enters {names[earned]}: {enters[names[earned]]}", current)
        return StageMove(settled, target or None, f"{why}; back to {target}" if target else why, current)
    closed = {**cooling, **hold.closed}
    earned = _furthest(names, enters, exits, closed)
    if earned > place:
        entered = StageState(names[earned], now, "", cooling)
        return StageMove(entered, names[earned], f"enters {names[earned]}: {enters[names[earned]]}")
    waits = next((name for name in reversed(names) if name in enters and name not in exits and name in closed), None)
    if waits is not None and names.index(waits) > place:
        until = datetime.fromtimestamp(closed[waits] / 1000, UTC)
        said = f" ({hold.why})" if waits in hold.closed else ""
        return StageMove(settled, _back_to(settled, names),
                         f"{waits} is not entered again before {until:%Y-%m-%d}{said}", settled.left)  # fmt: skip
    # The stage that they earn is wanted of each record, since one CRM may be behind the other.
    wanted = names[earned] if earned >= 0 else _back_to(settled, names)
    return StageMove(settled, wanted, _stay_why(names, place, earned, enters), settled.left)


def _stay_why(names: Sequence[str], place: int, earned: int, enters: Mapping[str, str]) -> str:
    if place < 0:
        return "no stage is earned"
    if earned < 0:
        return f"stays {names[place]}: no further stage is earned"
    if earned < place:
        return f"stays {names[place]}, which is further along than {names[earned]}"
    return f"stays {names[place]}: {enters[names[earned]]}"


def _back_to(state: StageState, names: Sequence[str]) -> str | None:
    """The stage that a record which is still in the one that was left goes back to."""
    return state.stage if state.left and state.stage in names else None


def _furthest(names: Sequence[str], enters: Collection[str], exits: Collection[str], cooling: Collection[str]) -> int:
    earned = [place for place, name in enumerate(names) if name in enters and name not in exits and name not in cooling]
    return max(earned, default=-1)
