"""What tells the outcome because it is filled in with the outcome: named, with numbers, and not learned from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import Model
from crmsync.evaluation.learning.candidates import label_field, list_cuts, list_levels
from crmsync.evaluation.metrics import Mask, measure_auc, tally_scores
from crmsync.scoring.values import Column

FEWEST = 30
"""So many people a suspicion needs."""

ALL, NONE = 0.98, 0.02
"""Above the one rate, or below the other as a share of everybody's, a value separates almost perfectly."""

EXPECTED = 10
"""So many of the outcome that does not occur would have to be expected."""

ODDS = 3.0
"""How many times the odds where a field is known may differ from those where it is not."""

APART = 0.1
"""So far the shares of won and of lost people without a value must be apart for the field to be left out."""

ALONE = 0.95
"""The AUC above which a single field or rule is too good to be true."""

CHANGED = 0.05
"""The share of people whose field was changed after the hand-off from which on it is left out."""


class Leak(NamedTuple):
    """A field or rule that tells the outcome: `kind` is `missing`, `separates`, `alone` or `changed`.

    `people`, of whom `won` were won: those without a value, or with that value.
    """

    kind: str
    name: str
    field: str
    people: int
    won: int
    said: str


def find_leaks(columns: Mapping[str, Column], won: Mask, changed: Mapping[str, float]) -> Iterator[Leak]:
    """Fields that tell the outcome. `changed`: field → share of people whose value changed after the hand-off."""
    for name, share in sorted(changed.items()):
        if share >= CHANGED:
            said = f"changed after the hand-off for {share:.0%} of people"
            yield Leak("changed", label_field(name), name, round(share * len(won)), 0, said)
    for name in sorted(columns):
        yield from _tells_by_absence(name, columns[name], won)
        yield from _tells_alone(name, columns[name], won)
        yield from _separates(name, columns[name], won)


def find_rule_leaks(model: Model, doses: NDArray[np.float64], won: Mask) -> Iterator[Leak]:
    """Rules that separate almost perfectly."""
    for place, rule in enumerate(model.rules()):
        given = doses[:, place]
        holds = given != 0
        field = ", ".join(sorted(rule.when.fields())) if rule.when else ""
        if why := _why_separates(holds, won):
            yield Leak("separates", rule.name, field, int(holds.sum()), int((holds & won).sum()), why)
        elif (area := _either_way(given, won)) > ALONE:
            said = f"alone tells won from lost with an AUC of {area:.3f}"
            yield Leak("alone", rule.name, field, int(holds.sum()), int((holds & won).sum()), said)


def list_leaky_fields(leaks: Iterable[Leak]) -> frozenset[str]:
    """The fields that are left out as a whole."""
    return frozenset(each.field for each in leaks if each.kind != "separates")


def _tells_by_absence(name: str, column: Column, won: Mask) -> Iterator[Leak]:
    empty = column.missing[column.codes]
    people, hits = int(empty.sum()), int((empty & won).sum())
    others, others_won = len(won) - people, int(won.sum()) - hits
    if min(people, others) < FEWEST:
        return
    # Half a person more in each cell, so that none is empty.
    cells = np.array([hits, people - hits, others_won, others - others_won]) + 0.5
    log_ratio = float(np.log(cells[0] * cells[3] / (cells[1] * cells[2])))
    says = abs(hits / max(int(won.sum()), 1) - (people - hits) / max(int((~won).sum()), 1))
    if says >= APART and abs(log_ratio) > np.log(ODDS) and abs(log_ratio) > 4 * float(np.sqrt((1 / cells).sum())):
        said = f"{hits / people:.0%} were won where it is not known, {others_won / others:.0%} where it is"
        yield Leak("missing", label_field(name), name, people, hits, said)


def _tells_alone(name: str, column: Column, won: Mask) -> Iterator[Leak]:
    hits = np.bincount(column.codes[won], minlength=len(column.distinct))
    people = np.bincount(column.codes, minlength=len(column.distinct))
    values = column.numbers[column.codes]
    known = ~np.isnan(values)
    area = 0.0
    if known.sum() >= FEWEST and 0 < won[known].sum() < known.sum():
        area = _either_way(values[known], won[known])
    elif len(people) and people.mean() >= FEWEST / 3:
        # A value's rate without the person themselves, or rare values would tell their own outcome.
        alone = (hits[column.codes] - won + won.mean()) / np.maximum(people[column.codes], 1)
        area = measure_auc(tally_scores(alone, won)) or 0.0
    if area > ALONE:
        said = f"alone tells won from lost with an AUC of {area:.3f}"
        yield Leak("alone", label_field(name), name, int(known.sum() or len(won)), int(won.sum()), said)


def _either_way(values: NDArray[np.float64], won: Mask) -> float:
    area = measure_auc(tally_scores(values, won))
    return 0.0 if area is None else max(area, 1 - area)


def _separates(name: str, column: Column, won: Mask) -> Iterator[Leak]:
    for each in (*list_cuts(name, column), *list_levels(name, column)):
        if why := _why_separates(each.holds, won):
            yield Leak("separates", each.name, name, int(each.holds.sum()), int((each.holds & won).sum()), why)


def _why_separates(holds: Mask, won: Mask) -> str:
    people, hits, base = int(holds.sum()), int((holds & won).sum()), float(won.mean())
    if people < FEWEST:
        return ""
    is_all = hits / people >= ALL and people * (1 - base) >= EXPECTED
    is_none = hits / people <= base * NONE and people * base >= EXPECTED
    return f"{hits:,} of {people:,} were won, of everybody {base:.0%}" if is_all or is_none else ""
