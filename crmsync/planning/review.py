"""What a plan would change, summed up for the person who is to say yes to it, and what a CRM would not take."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from crmsync.model import Scalar
from crmsync.store import journal, run_journal
from crmsync.store.journal import JournalRow
from crmsync.store.owners import owner_names
from crmsync.store.queries import NamedRecord, RecordRefusal, names_of, refused_changes

MOVERS = 20
"""People that a review names, of each sort."""

KEPT = 100 * MOVERS
"""Rows among which they are chosen, so that a plan of any size takes no more memory."""

CAUSES = 20
"""Causes of refusals that are told one by one."""

UNNAMED = NamedRecord("", None)
"""A record that is not known any more."""

NOTHING = "–"
"""What stands for no value in a matrix."""

OwnerNames = Mapping[tuple[str, str], str]
"""What to call an owner, by CRM and id."""


@dataclass
class PlanReview:
    """A plan in numbers: records by CRM and by (old, new) value, and the rows that move somebody most.

    `moving` counts the records whose band, stage or owner changes, `moved` has some of these rows.
    """

    records: Counter[str] = field(default_factory=Counter)
    bands: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    stages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    owners: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    moving: int = 0
    moved: list[tuple[float, JournalRow]] = field(default_factory=list)
    movers: list[tuple[float, JournalRow]] = field(default_factory=list)

    def as_json(self, names: Mapping[int, NamedRecord], owners: OwnerNames) -> dict[str, Any]:
        """The review as plain values; `names` says what to call a record and whose it is, by its row id."""
        people = _people(self.moved, names, owners)
        return {
            "records": dict(self.records),
            "people": people,
            "more_records": self.moving - sum(len(each["refs"]) for each in people),
            "bands": _moves(self.bands, {}),
            "stages": _moves(self.stages, {}),
            "owners": _moves(self.owners, owners),
            "movers": [_mover(moved, row, names) for moved, row in self.movers],
        }


def changes_of(
    reading: Connection, run_id: str, typed: Callable[[str], str] = str, most: int | None = None
) -> dict[str, Any]:
    """What a run changed or would change, in plain values, and in `troubles` what of it did not go through.

    With `most` it looks at so many of the changes only.
    """
    found = review_changes(row for _state, _reason, row in journal.rows_of(reading, run_id, most))
    shown = [row.record for _moved, row in (*found.movers, *found.moved)]
    return {
        **found.as_json(names_of(reading, shown), {**run_journal.plan_owners(reading, run_id), **owner_names(reading)}),
        "troubles": group_refusals(refused_changes(reading, run_id, most), typed),
    }


def review_changes(rows: Iterable[JournalRow]) -> PlanReview:
    """Sum up changes."""
    found = PlanReview()
    for row in rows:
        crm, before, after = row.change.ref.crm, row.change.before, row.change.after
        found.records[crm] += 1
        for name, counter in (("band", found.bands), ("stage", found.stages), ("owner", found.owners)):
            if name in after:
                counter[(crm, _word(before.get(name)), _word(after[name]))] += 1
        if weight := _weight(row):
            found.moving += 1
            _keep_largest(found.moved, (weight, row))
        if moved := _moved(row):
            _keep_largest(found.movers, (moved, row))
    found.moved.sort(key=_largest_first)
    found.movers.sort(key=_largest_first)
    del found.movers[MOVERS:]
    return found


def _weight(row: JournalRow) -> float:
    """How much a change concerns people: another stage before another owner before another band; then the score."""
    after = row.change.after
    moves = [name in after for name in ("band", "owner", "stage")]
    if not any(moves):
        return 0.0
    # Powers far above any usual score: a moved stage outweighs all owners, and an owner all bands.
    return sum(2.0**place for place, is_moved in enumerate(moves, 40) if is_moved) + _number(after.get("score"))


def _keep_largest(rows: list[tuple[float, JournalRow]], row: tuple[float, JournalRow]) -> None:
    """Add a row; of very many only the largest stay."""
    rows.append(row)
    # Sorted only once it is twice as long, instead of for each of a million rows.
    if len(rows) > KEPT:
        rows.sort(key=_largest_first)
        del rows[KEPT // 2 :]


def _largest_first(row: tuple[float, JournalRow]) -> tuple[float, int]:
    return -abs(row[0]), row[1].id


def _moved(row: JournalRow) -> float:
    before, after = row.change.before.get("score"), row.change.after.get("score")
    return _number(after) - _number(before) if "score" in row.change.after else 0.0


def _number(value: Scalar | None) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _word(value: Scalar | None) -> str:
    return NOTHING if value in (None, "") else str(value)


def _moves(counter: Counter[tuple[str, str, str]], names: OwnerNames) -> list[dict[str, Any]]:
    return [
        {"crm": crm, "from": _named(names, crm, old), "to": _named(names, crm, new), "records": number}
        for (crm, old, new), number in sorted(counter.items())
    ]


def _named(names: OwnerNames, crm: str, value: str) -> str | None:
    return None if value == NOTHING else names.get((crm, value), value)


def _people(
    moved: Iterable[tuple[float, JournalRow]], names: Mapping[int, NamedRecord], owners: OwnerNames
) -> list[dict[str, Any]]:
    """Who moves, each with all records."""
    people: dict[int | str, dict[str, Any]] = {}
    for _weight, row in moved:
        ref, (name, whose) = row.change.ref, names.get(row.record, UNNAMED)
        key = str(ref) if whose is None else whose
        if key not in people and len(people) == MOVERS:
            continue
        person = people.setdefault(key, {"name": name or str(ref), "refs": []})
        person["refs"].append(str(ref))
        for each, called in (("score", {}), ("band", {}), ("stage", {}), ("owner", owners)):
            if each in row.change.after:
                before, after = (_word(values.get(each)) for values in (row.change.before, row.change.after))
                said = {"from": _named(called, ref.crm, before), "to": _named(called, ref.crm, after)}
                person.setdefault(each, said)
    return list(people.values())


def _mover(moved: float, row: JournalRow, names: Mapping[int, NamedRecord]) -> dict[str, Any]:
    change = row.change
    return {
        "ref": str(change.ref),
        "name": names.get(row.record, UNNAMED).name,
        "from": change.before.get("score"),
        "to": change.after.get("score"),
        "moved": int(moved) if moved == int(moved) else round(moved, 2),
        "because": change.because,
    }


_OF_ONE_RECORD = re.compile(
    r"(?P<other>\b(?:is|was) .+? instead of .+?(?=[,;]|$))"
    r"|\S+@\S+"
    r"|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|\b(?=[A-Za-z]*\d)[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?\b"
    r"|\b\d{5,}\b"
)
"""What differs from record to record in what a CRM says: values, addresses, ids, large numbers."""

_COMMAND = re.compile(r"crmsync (?:setup|backfill|check(?: --online)?)")


@lru_cache(1_000)
def refusal_cause(reason: str) -> str:
    """What a CRM said, without what belongs to one record alone."""
    return _OF_ONE_RECORD.sub(lambda found: "is not as written" if found["other"] else "…", reason)


def causes_of(reasons: Iterable[str]) -> str:
    """The causes of a refusal in one text, by which refusals are grouped."""
    return "; ".join(sorted({refusal_cause(why) for why in reasons}))


def group_refusals(refusals: Iterable[RecordRefusal], typed: Callable[[str], str] = str) -> list[dict[str, Any]]:
    """What did not go through by CRM, outcome, cause and fields: how many records and people, a few, what helps.

    Where there are very many causes, the rare ones are told as one.
    """
    groups: dict[tuple[str, str, str, tuple[str, ...]], dict[str, Any]] = {}
    people: dict[tuple[str, str, str, tuple[str, ...]], set[int]] = {}
    for each in refusals:
        key = each.crm, each.state, causes_of(each.reasons), tuple(sorted(each.fields))
        if key not in groups and len(groups) >= 10 * CAUSES:
            key = each.crm, each.state, "other causes", ()
        group = groups.setdefault(key, {"records": 0, "examples": []})
        group["records"] += 1
        people.setdefault(key, set()).update(() if each.person is None else (each.person,))
        if len(group["examples"]) < 3:
            group["examples"].append(each.name or each.ref)
    found = [
        {
            "crm": crm,
            "state": state,
            "cause": cause,
            "fields": list(fields),
            **group,
            "people": len(people[crm, state, cause, fields]),
            "fix": _fix(crm, state, cause, typed),
        }
        for (crm, state, cause, fields), group in groups.items()
    ]
    return sorted(found, key=lambda each: -each["records"])


def _fix(crm: str, state: str, cause: str, typed: Callable[[str], str]) -> str:
    """What to do about a refusal; a cause that names a command of ours has said it."""
    if state not in (journal.REJECTED, journal.PARTLY) or _is_of_a_user(cause):
        return ""
    if command := _COMMAND.search(cause):
        return typed(command[0])
    return f"correct it in {crm}; crmsync tries again within a day, or after {typed('crmsync setup')}"


def _is_of_a_user(cause: str) -> bool:
    """Whether a user's own value is the cause: it stands again, or the cause says to set it again."""
    return cause == journal.GIVEN_BACK or journal.NOT_GIVEN_BACK in cause
