"""What to change: the difference between what the CRM holds and what it should, and whether that is too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from crmsync.config import Guard
from crmsync.model import Change, Contact, FieldMap, Holding, Scalar

REWRITES = 2
"""How often the same value is written again after something else changed it back, before crmsync gives way."""

PEOPLES_FIELDS = ("stage", "owner")
"""The CRM's own fields: they belong to people first."""


class Wanted(NamedTuple):
    """What a record should hold. `None` for a stage or owner means: whatever is there."""

    outputs: Mapping[str, Scalar | None]
    stage: str | None
    owner: str | None
    because: str


class Decision(NamedTuple):
    """A change, or why there is none although something differs; and the leases as they stand now."""

    change: Change | None
    leases: Mapping[str, int]
    left_alone: Sequence[str] = ()


def decide(held: Holding, wanted: Wanted, names: FieldMap, ladder: Sequence[str], now: int, respect: int) -> Decision:
    """The change that makes a record hold what is wanted, field by field against the CRM's present value.

    Outputs are ours. A stage only moves forward along `ladder`, and neither it nor the owner is touched while a
    person's own change is respected: for `respect` milliseconds from when it was noticed (`now` is in milliseconds).
    """
    writable = FieldMap.spelled(names.outputs, held.ref.kind)
    after: dict[str, Scalar | None] = {
        name: value for name, value in wanted.outputs.items() if name in writable and held.current.get(name) != value
    }
    leases: dict[str, int] = {}
    left_alone: list[str] = []
    for name, value in _moves(held, wanted, names, ladder).items():
        noticed = held.leases.get(name, now) if _touched_by_others(held, name) else None
        if noticed is not None and now < noticed + respect:
            leases[name] = noticed
            left_alone.append(f"{name}_changed_by_a_person")
        else:
            after[name] = value
    if not after:
        return Decision(None, leases, left_alone)
    if after == held.parked.get("after"):
        return Decision(None, leases, [*left_alone, "parked"])
    if held.attempts >= REWRITES and all(name in held.base and held.base[name] == after[name] for name in after):
        return Decision(None, leases, [*left_alone, "changed_back_by_others"])
    present: dict[str, Scalar | None] = {**held.current, "stage": held.stage, "owner": held.owner}
    before = {name: present.get(name) for name in after}
    return Decision(Change(held.ref, before, after, wanted.because, held.group), leases, left_alone)


def _moves(held: Holding, wanted: Wanted, names: FieldMap, ladder: Sequence[str]) -> dict[str, str]:
    moves: dict[str, str] = {}
    if (
        wanted.stage is not None
        and wanted.stage in FieldMap.spelled(names.stages, held.ref.kind)
        and _is_forward(held.stage, wanted.stage, ladder)
    ):
        moves["stage"] = wanted.stage
    if wanted.owner is not None and wanted.owner != held.owner:
        moves["owner"] = wanted.owner
    return moves


def _is_forward(current: str | None, wanted: str, ladder: Sequence[str]) -> bool:
    """Whether a stage is further along; a stage that the config does not name is somebody else's business."""
    if not current:
        return True
    return current in ladder and ladder.index(wanted) > ladder.index(current)


def _touched_by_others(held: Holding, name: str) -> bool:
    present = held.stage if name == "stage" else held.owner
    return name in held.base and held.base[name] != present


def narrowed(change: Change, present: Contact) -> Change | None:
    """The change without the people's fields that somebody moved since it was planned; `None` when nothing is left."""
    now = {"stage": present.stage, "owner": present.owner}
    moved = {
        name for name in PEOPLES_FIELDS if name in change.after and _filled(now[name]) != _filled(change.before[name])
    }
    if not moved:
        return change
    after = {name: value for name, value in change.after.items() if name not in moved}
    before = {name: value for name, value in change.before.items() if name not in moved}
    return replace(change, before=before, after=after) if after else None


def not_kept(change: Change, present: Contact) -> dict[str, Scalar | None]:
    """What the CRM holds instead, for each field of the change that it does not hold as written."""
    now: dict[str, Scalar | None] = {**present.current, "stage": present.stage, "owner": present.owner}
    return {name: now.get(name) for name, value in change.after.items() if _filled(now.get(name)) != _filled(value)}


def _filled(value: Scalar | None) -> Scalar | None:
    """CRMs do not tell "" from nothing."""
    return None if value == "" else value


@dataclass
class Tally:
    """How much a plan changes in one CRM: the `records` there are, how many are `scored` already, and the moves."""

    records: int = 0
    scored: int = 0
    rescored: int = 0
    bands: int = 0
    stages: int = 0
    owners: int = 0

    def add(self, change: Change) -> None:
        """Count one change; a value that was empty before is no loss and does not count."""
        self.rescored += change.before.get("score") is not None
        self.bands += change.before.get("band") is not None
        self.stages += bool(change.before.get("stage"))
        self.owners += bool(change.before.get("owner"))


def too_much(tallies: Mapping[str, Tally], guard: Guard, model_changed: bool) -> list[str]:
    """Why a plan is too large to be true, in sentences; empty when it is not."""
    reasons: list[str] = []
    for crm, tally in sorted(tallies.items()):
        if tally.scored < guard.from_records:
            continue
        counted = [
            ("bands", tally.bands, tally.scored, guard.bands),
            ("stages", tally.stages, tally.records, guard.stages),
            ("owners", tally.owners, tally.records, guard.owners),
        ]
        if model_changed:
            counted.insert(0, ("scores", tally.rescored, tally.scored, guard.scores))
        reasons += [
            f"{crm}: {_WORDS[name]} {moves:,} of {of:,} records ({moves / of:.0%}); [guard] {name} allows {limit:.0%}"
            for name, moves, of, limit in counted
            if of and moves / of > limit
        ]
    return reasons


_WORDS = {
    "scores": "the changed model would rescore",
    "bands": "another band for",
    "stages": "another stage for",
    "owners": "another owner for",
}
