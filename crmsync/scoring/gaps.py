"""What is not known of people, and which rules wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.rules import Condition, Model
from crmsync.scoring.titles import reader
from crmsync.scoring.truth import UNKNOWN, Asker
from crmsync.scoring.values import Column, column


def gaps(model: Model, columns: Columns, row: int) -> list[str]:
    """The fields that rules read and nobody filled in (or not with anything usable), each with the rules that wait."""
    return gaps_many(model, columns, [row])[0]


def gaps_many(model: Model, columns: Columns, rows: Sequence[int]) -> list[list[str]]:
    """What `gaps` says, for each of some people."""
    read = {
        name: column([values[row] for row in rows])
        for name, values in columns.fields.items()
        if name in model.used_fields()
    }
    asker = Asker(len(rows), read, model.lists, reader(model.titles))
    waiting: list[dict[str, list[str]]] = [{} for _ in rows]
    for rule in model.rules():
        for name, unknown in _unknown(asker, rule.when.parts() if rule.when else ()).items():
            for at in unknown.tolist():
                waiting[at].setdefault(name, []).append(rule.name)
    return [
        [f"{name} {_why(read.get(name), at)}: {', '.join(rules)}" for name, rules in sorted(each.items())]
        for at, each in enumerate(waiting)
    ]


def _unknown(asker: Asker, parts: Iterable[Condition]) -> dict[str, NDArray[np.intp]]:
    """For each field of a question, where its answer is not known."""
    places: dict[str, NDArray[np.intp]] = {}
    for part in parts:
        if part.field is not None:
            found = np.flatnonzero(asker.match(part.field, part) == UNKNOWN)
            places[part.field] = np.union1d(places[part.field], found) if part.field in places else found
    return places


def _why(values: Column | None, at: int) -> str:
    """Why the value of a row is not known."""
    code = -1 if values is None else int(values.codes[at])
    odd = next((why for why, codes in values.odd.items() if code in codes), "") if values is not None else ""
    if odd:
        return f"is not known, as its value is {odd}"
    if values is None or values.distinct[code] is None:
        return "is not known"
    return "cannot be read as its rules ask"
