"""What fields that nobody filled in could change: the range of a score, and which of them are worth knowing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from itertools import combinations, pairwise, product

import numpy as np

from crmsync.columns import Columns
from crmsync.model import Scalar
from crmsync.rules import Match, Model
from crmsync.scoring.engine import score
from crmsync.scoring.ledger import Scores
from crmsync.scoring.values import Matching, take
from crmsync.scoring.words import plain

MOST_COMBINATIONS = 2_000
"""Beyond this many combinations of unknown fields, each field is tried on its own, best first."""

_LEVELS: Mapping[str, str] = {
    "student": "Student",
    "entry": "Junior",
    "staff": "Specialist",
    "manager": "Manager",
    "director": "Director",
    "vp": "VP",
    "c_level": "Chief",
}
_DEPARTMENT_WORDS: Mapping[str, str] = {
    "it": "IT",
    "hr": "HR",
    "data": "Data",
    "general_management": "Board",
    "research": "Research",
}


@dataclass(frozen=True)
class Range:
    """The lowest and highest total over the fields that are not known, and the bands that come with them."""

    lowest: int | float
    highest: int | float
    bands: tuple[str, ...]
    unknown: tuple[str, ...]


def candidates(model: Model, name: str) -> list[Scalar]:
    """Values of a field that between them answer the model's questions about it in every way."""
    asked = [part for each in model.conditions() for part in each.parts() if part.field == name]
    if any(part.is_ in (True, False) and isinstance(part.is_, bool) for part in asked):
        return [True, False]
    numbers = _numbers(asked)
    texts = _texts(model, asked)
    if numbers and not texts:
        return numbers
    return [*numbers, *texts] or ["something"]


def _numbers(asked: Sequence[Match]) -> list[Scalar]:
    """Each number that a question names, and one on either side of it."""
    cuts: set[float] = set()
    for match in asked:
        cuts.update(each for each in (match.gt, match.gte, match.lt, match.lte) if each is not None)
        cuts.update(match.between or ())
        listed = [match.is_, *(match.in_ or ())]
        cuts.update(each for each in listed if isinstance(each, (int, float)) and not isinstance(each, bool))
    if not cuts:
        return []
    steps = sorted(cuts)
    between = [(low + high) / 2 for low, high in pairwise(steps)]
    return [*sorted({steps[0] - 1, *steps, *between, steps[-1] + 1})]


def _texts(model: Model, asked: Sequence[Match]) -> list[Scalar]:
    """Texts that questions name, alone and in pairs, and one that none of them names."""
    words = [word for match in asked for word in _words(model, match)]
    titles = _titles(asked)
    patterns = [match.regex for match in asked if match.regex is not None]
    if not words and not titles and not patterns and not any(_mail(match) for match in asked):
        return []
    made: list[Scalar] = [*dict.fromkeys([*words, *titles, *_mails(model, asked)])]
    made += [f"{one} {other}" for one, other in combinations([*dict.fromkeys([*words, *titles])][:12], 2)]
    made += [" ".join(words)] if len(words) > 2 else []
    chosen = [some for size in range(1, len(patterns) + 1) for some in combinations(patterns, size)][:64]
    made += [Matching(str(text), some) for some in chosen for text in ("?", *made[:20])]
    return [*made, "?"]


def _words(model: Model, match: Match) -> Iterator[str]:
    for listed in (match.contains, match.excludes, match.starts_with, match.ends_with, match.has):
        yield from listed or ()
    yield from (each for each in (match.is_, *(match.in_ or ())) if isinstance(each, str))
    yield from model.lists[match.in_list] if match.in_list else ()
    if match.has_all:
        yield ";".join(match.has_all)


def _titles(asked: Sequence[Match]) -> list[str]:
    departments = sorted({each for match in asked for each in match.department or ()})
    if not departments and not any(match.seniority or match.seniority_at_least for match in asked):
        return []
    words = ["", *(f", {_DEPARTMENT_WORDS.get(each, each.capitalize())}" for each in departments)]
    return [f"{level}{word}" for level in _LEVELS.values() for word in words]


def _mail(match: Match) -> bool:
    return match.free_mail is not None or bool(match.domain) or match.domain_list is not None


def _mails(model: Model, asked: Sequence[Match]) -> list[str]:
    named = [each for match in asked for each in (match.domain or ())]
    named += [each for match in asked if match.domain_list for each in model.lists[match.domain_list]]
    domains = [each.rpartition("@")[2] for each in named]
    return [f"someone@{each}" for each in (*domains, "gmail.com", "unlisted.example")] if any(map(_mail, asked)) else []


def possible(model: Model, scores: Scores, columns: Columns, row: int, now: datetime, zone: tzinfo) -> Range:
    """The range of one person's total over the fields that rules read and nobody filled in."""
    lacking = _lacking(model, columns, row)
    names = model.band_names()
    found = [(int(scores.total[row]), int(scores.band[row]))]
    values = [candidates(model, name) for name in lacking]
    if lacking and np.prod([float(len(each)) for each in values]) <= MOST_COMBINATIONS:
        found = _results(model, columns, row, now, zone, lacking, list(product(*values)))
    elif lacking:
        found += _climbed(model, columns, row, now, zone, lacking, values)
    totals, bands = [total for total, _ in found], sorted({band for _, band in found if band >= 0})
    return Range(plain(min(totals)), plain(max(totals)), tuple(names[each] for each in bands), tuple(lacking))


def _lacking(model: Model, columns: Columns, row: int) -> list[str]:
    return sorted(
        name for name in _decisive(model) if name not in columns.fields or columns.fields[name][row] in (None, "")
    )


def _decisive(model: Model) -> set[str]:
    """The fields that can change a score or a band: all that are read, save by qualifications."""
    return {name for each in model.model_copy(update={"qualification": []}).conditions() for name in each.fields()}


def _results(
    model: Model,
    columns: Columns,
    row: int,
    now: datetime,
    zone: tzinfo,
    names: Sequence[str],
    values: Sequence[tuple[Scalar | None, ...]],
) -> list[tuple[int, int]]:
    """Total and band of the person for each way to fill in the fields."""
    copies = take(columns, [row] * len(values))
    filled = {name: [each[at] for each in values] for at, name in enumerate(names)}
    then = score(model, replace(copies, fields={**copies.fields, **filled}), now, zone)
    return [(int(total), int(band)) for total, band in zip(then.total, then.band, strict=True)]


def _climbed(
    model: Model,
    columns: Columns,
    row: int,
    now: datetime,
    zone: tzinfo,
    names: Sequence[str],
    values: Sequence[Sequence[Scalar]],
) -> list[tuple[int, int]]:
    """The results on two walks, up and down, that fill in one field after the other with what moves the total most.

    Each field has its turn twice, because what a field can do depends on the others.
    """
    seen = []
    for best in (max, min):
        filled: list[Scalar | None] = [None] * len(names)
        for at, options in [*enumerate(values)] * 2:
            ways = [(*filled[:at], option, *filled[at + 1 :]) for option in options]
            results = _results(model, columns, row, now, zone, names, ways)
            filled[at] = options[results.index(best(results))]
            seen += results
    return seen


def worth_knowing(
    model: Model, scores: Scores, columns: Columns, now: datetime, zone: tzinfo
) -> list[tuple[str, int, int]]:
    """For each field: how many people lack it, and for how many of them it could change the band; most first."""
    ranked = [(name, *_moved(model, scores, columns, now, zone, name)) for name in sorted(_decisive(model))]
    return sorted((each for each in ranked if each[1]), key=lambda each: (-each[2], -each[1], each[0]))


def _moved(model: Model, scores: Scores, columns: Columns, now: datetime, zone: tzinfo, name: str) -> tuple[int, int]:
    values = columns.fields.get(name, [None] * len(columns.people))
    rows = [row for row, value in enumerate(values) if value in (None, "")]
    some = take(columns, rows)
    moved = np.zeros(len(rows), dtype=bool)
    for value in candidates(model, name) if rows else ():
        then = score(model, replace(some, fields={**some.fields, name: [value] * len(rows)}), now, zone)
        moved |= then.band != scores.band[rows]
    return len(rows), int(moved.sum())
