"""What a plan would change, summed up for the person who is to say yes to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crmsync.model import Scalar
from crmsync.store.journal import Row

MOVERS = 20
NOTHING = "–"
"""What stands for no value in a matrix."""


@dataclass
class Review:
    """A plan in numbers: records by CRM and by (old, new) value, and the rows whose score moves most."""

    records: Counter[str] = field(default_factory=Counter)
    bands: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    stages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    owners: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    movers: list[tuple[float, Row]] = field(default_factory=list)
    troubles: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def as_json(self, names: Mapping[int, str]) -> dict[str, Any]:
        """The review as plain values; `names` says what to call a contact, by its row id."""
        return {
            "records": dict(self.records),
            "bands": _moves(self.bands),
            "stages": _moves(self.stages),
            "owners": _moves(self.owners),
            "movers": [_mover(moved, row, names) for moved, row in self.movers],
            "troubles": [
                {"crm": crm, "state": state, "reason": reason, "records": number}
                for (crm, state, reason), number in self.troubles.most_common(20)
            ],
        }


def review(rows: Iterable[tuple[str, str, Row]]) -> Review:
    """Sum up the changes (state, reason, row) of a run."""
    found = Review()
    for state, reason, row in rows:
        crm = row.change.ref.crm
        found.records[crm] += 1
        for name, counter in (("band", found.bands), ("stage", found.stages), ("owner", found.owners)):
            if name in row.change.after:
                counter[(crm, _word(row.change.before.get(name)), _word(row.change.after[name]))] += 1
        if state in ("failed", "skipped"):
            found.troubles[(crm, state, reason)] += 1
        if moved := _moved(row):
            found.movers.append((moved, row))
            if len(found.movers) > 100 * MOVERS:
                found.movers = _largest(found.movers)
    found.movers = _largest(found.movers)
    return found


def _largest(movers: list[tuple[float, Row]]) -> list[tuple[float, Row]]:
    """The largest moves, the first record of a person standing for the rest of equal ones."""
    return sorted(movers, key=lambda each: (-abs(each[0]), each[1].id))[:MOVERS]


def _moved(row: Row) -> float:
    before, after = row.change.before.get("score"), row.change.after.get("score")
    return _number(after) - _number(before) if "score" in row.change.after else 0.0


def _number(value: Scalar | None) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _word(value: Scalar | None) -> str:
    return NOTHING if value in (None, "") else str(value)


def _moves(counter: Counter[tuple[str, str, str]]) -> list[dict[str, Any]]:
    return [
        {"crm": crm, "from": None if old == NOTHING else old, "to": None if new == NOTHING else new, "records": number}
        for (crm, old, new), number in sorted(counter.items())
    ]


def _mover(moved: float, row: Row, names: Mapping[int, str]) -> dict[str, Any]:
    change = row.change
    return {
        "ref": str(change.ref),
        "name": names.get(row.contact, ""),
        "from": change.before.get("score"),
        "to": change.after.get("score"),
        "moved": int(moved) if moved == int(moved) else round(moved, 2),
        "because": change.because,
    }
