"""The one sentence on a score that fits into a CRM field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import Model
from crmsync.counts import count_of
from crmsync.scoring.explanation.lines import held_back
from crmsync.scoring.ledger import Line, Scores
from crmsync.scoring.wording import LONGEST_REASON, format_points, to_points, truncate


def summarize(model: Model, scores: Scores, row: int) -> str:
    """One sentence on a person's score, at most 255 characters."""
    return summarize_many(model, scores, [row])[0]


def summarize_many(model: Model, scores: Scores, rows: Sequence[int] | NDArray[np.intp]) -> list[str]:
    """One sentence for each of some people: band and points, then what weighs most, rules net of decay and cap."""
    rows = np.asarray(rows, dtype=np.intp)
    names, nets = _nets(scores, rows)
    order = np.ascontiguousarray(np.argsort(-np.abs(nets), axis=0, kind="stable").T)
    present = (nets != 0).sum(axis=0).tolist()
    nets = np.ascontiguousarray(nets.T)

    @cache  # many people have the same points by the same rule
    def say(name: int, points: int) -> str:
        return f"{names[name]} {format_points(points, '+')}"

    return [
        truncate(_sentence(model, scores, row, map(say, ranked[:many].tolist(), given[ranked[:many]].tolist())))
        for row, ranked, given, many in zip(rows.tolist(), order, nets, present, strict=True)
    ]


def _nets(scores: Scores, rows: NDArray[np.intp]) -> tuple[list[str], NDArray[np.int64]]:
    """For each rule (and each limit) what it gives after its own decay and cap, for some people."""
    numbers: dict[str, int] = {}
    for line in scores.lines:
        if line.sort != "rounding":
            numbers.setdefault(_heading(line), len(numbers))
    nets = np.zeros((len(numbers), len(rows)), dtype=np.int64)
    for line, points in zip(scores.lines, scores.points, strict=True):
        if line.sort != "rounding":
            nets[numbers[_heading(line)]] += points[rows]
    return list(numbers), nets


def _heading(line: Line) -> str:
    return line.about if line.sort in ("rule", "decay", "cap") else line.name


def _sentence(model: Model, scores: Scores, row: int, parts: Iterable[str]) -> str:
    band = f"{model.band_names()[scores.band[row]]}, " if scores.band[row] >= 0 else ""
    head = f"{band}{count_of(to_points(int(scores.total[row])), 'point')}"
    back = [f"{line['rule']} ({line['why']})" for line in held_back(model, scores, row)]
    told, length = [], len(head)
    for each in chain(back, parts):
        told.append(each)
        length += len(each)
        if length > LONGEST_REASON:  # the rest would be cut off
            break
    return f"{head}: {', '.join(told) or 'no rule matches yet'}"
