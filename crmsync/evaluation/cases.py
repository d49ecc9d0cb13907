"""People whose score can be judged: what was known of them as of an instant, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import tzinfo
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.model import Model
from crmsync.scoring import score_as_of, take_rows
from crmsync.scoring.calendar import local_days
from crmsync.scoring.conditions import Today, find_known

WON, LOST, OPEN = 1, 0, -1
"""Outcomes: open as long as neither of the others is known."""

NEVER = 0
"""An instant (seconds since 1970) that stands for "not so far"."""

GROUPS = ("source", "campaign", "rep")
"""What people are compared by, besides their segment and month."""


@dataclass(frozen=True)
class Cases:
    """`n` people, each as they were known at an instant; instants are seconds since 1970, UTC.

    `columns`: what was known (activities after `at` may still be there; they do not count). `at` (n,): as of when each
    is judged. `came` (n,): when they came. `outcome` int8 (n,): `WON`, `LOST` or `OPEN`; `outcome_at` (n,): when that
    was, or `NEVER`. `value` float64 (n,): what was won, NaN where not known. `milestones`: `mql`, `accepted`,
    `opportunity` → (n,) the instant of each person's first, or `NEVER`; a milestone that nobody can know is absent.
    `touched` (n,): the first touch after `at`, or `NEVER`. `handed_off` (n,): when they were handed over, or
    `NEVER`, and `scored_then` (n,) the score that was really theirs then (hundredths). `groups`: name (of `GROUPS`) → n
    texts, `""` where not known. `names`: n texts to call people by on screen.
    """

    columns: Columns
    at: NDArray[np.int64]
    came: NDArray[np.int64]
    outcome: NDArray[np.int8]
    outcome_at: NDArray[np.int64]
    value: NDArray[np.float64]
    milestones: Mapping[str, NDArray[np.int64]]
    touched: NDArray[np.int64]
    handed_off: NDArray[np.int64]
    scored_then: NDArray[np.int64]
    groups: Mapping[str, Sequence[str]]
    names: Sequence[str]

    def between(self, since: int | None, until: int | None) -> Cases:
        """Those that are judged from an instant (seconds) on and before another one; `None` is no end."""
        if since is None and until is None:
            return self
        kept = np.ones(len(self.at), dtype=bool)
        if since is not None:
            kept &= self.at >= since
        if until is not None:
            kept &= self.at < until
        return self.only(np.flatnonzero(kept))

    def only(self, rows: NDArray[np.intp]) -> Cases:
        """Some of them, by ascending rows."""
        same = {each.name: _some(getattr(self, each.name), each.name, rows) for each in fields(self)}
        texts = {name: [each[row] for row in rows.tolist()] for name, each in self.groups.items()}
        return Cases(**{**same, "columns": take_rows(self.columns, rows), "groups": texts})


class Group(NamedTuple):
    """What people are grouped by: `codes` int32 (n,) into `labels`."""

    codes: NDArray[np.int32]
    labels: Sequence[str]


@dataclass(frozen=True)
class JudgedCases:
    """Cases as a model scores them, without what they did: small enough to keep a million in memory.

    `total`, `fit`, `behavior` (n,) in hundredths; `band`, `segment` (n,) as in `Scores`. `rules`: the names of the
    rules; `points` int32 (n, rules): what each gave in hundredths, time decay and its own cap included. `known` bool
    (n, fields): which of `fields` were known. The rest as in `Cases`.
    """

    model: Model
    at: NDArray[np.int64]
    came: NDArray[np.int64]
    outcome: NDArray[np.int8]
    outcome_at: NDArray[np.int64]
    value: NDArray[np.float64]
    milestones: Mapping[str, NDArray[np.int64]]
    touched: NDArray[np.int64]
    handed_off: NDArray[np.int64]
    scored_then: NDArray[np.int64]
    groups: Mapping[str, Group]
    names: Sequence[str]
    total: NDArray[np.int64]
    fit: NDArray[np.int64]
    behavior: NDArray[np.int64]
    band: NDArray[np.int8]
    segment: NDArray[np.int16]
    disqualified: NDArray[np.int16]
    rules: Sequence[str]
    points: NDArray[np.int32]
    fields: Sequence[str]
    known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.at)

    @property
    def closed(self) -> NDArray[np.bool_]:
        """Whose outcome is known."""
        closed: NDArray[np.bool_] = self.outcome != OPEN
        return closed

    @property
    def won(self) -> NDArray[np.bool_]:
        """Who was won."""
        won: NDArray[np.bool_] = self.outcome == WON
        return won

    def only(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> JudgedCases:
        """Some of them."""
        rows = np.flatnonzero(which) if which.dtype == np.bool_ else np.asarray(which, dtype=np.intp)
        return JudgedCases(**{each.name: _some(getattr(self, each.name), each.name, rows) for each in fields(self)})


def judge_cases(model: Model, cases: Cases, zone: tzinfo) -> JudgedCases:
    """Score each case as of its own instant."""
    scores = score_as_of(model, cases.columns, cases.at, zone)
    rules = [rule.name for rule in model.rules()]
    place = {name: number for number, name in enumerate(rules)}
    points = np.zeros((len(cases.at), len(rules)), dtype=np.int32)
    for line, given in zip(scores.lines, scores.points, strict=True):
        if line.sort in ("rule", "decay", "cap"):
            points[:, place[line.about]] += given.astype(np.int32)
    read = sorted(model.read_fields())
    same = {each.name: getattr(cases, each.name) for each in fields(Cases) if each.name not in ("columns", "groups")}
    return JudgedCases(
        model=model,
        **same,
        groups={name: _group(texts) for name, texts in cases.groups.items()},
        total=scores.total,
        fit=scores.fit,
        behavior=scores.behavior,
        band=scores.band,
        segment=scores.segment,
        disqualified=scores.disqualified,
        rules=rules,
        points=points,
        fields=read,
        known=find_known(model, cases.columns, Today(local_days(cases.at, zone).astype(np.int64), zone), read),
    )


def join_judged(parts: Sequence[JudgedCases]) -> JudgedCases:
    """Several sets of cases of one model as one. Raises `ValueError` for none."""
    if not parts:
        raise ValueError("there are no cases to join")
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    joined: dict[str, Any] = {
        each.name: np.concatenate([getattr(part, each.name) for part in parts])
        for each in fields(JudgedCases)
        if isinstance(getattr(first, each.name), np.ndarray)
    }
    milestones = {name for part in parts for name in part.milestones}
    never = [np.zeros(len(part), dtype=np.int64) for part in parts]
    return JudgedCases(
        **{each.name: getattr(first, each.name) for each in fields(JudgedCases) if each.name not in joined}
        | joined
        | {
            "names": [name for part in parts for name in part.names],
            "milestones": {
                name: np.concatenate([part.milestones.get(name, no) for part, no in zip(parts, never, strict=True)])
                for name in sorted(milestones)
            },
            "groups": {name: _join_groups([part.groups[name] for part in parts]) for name in first.groups},
        }
    )


def _group(texts: Sequence[str]) -> Group:
    labels: dict[str, int] = {}
    codes = np.fromiter((labels.setdefault(text, len(labels)) for text in texts), np.int32, len(texts))
    return Group(codes, list(labels))


def _join_groups(parts: Sequence[Group]) -> Group:
    labels: dict[str, int] = {}
    codes = []
    for part in parts:
        places = np.array([labels.setdefault(label, len(labels)) for label in part.labels], dtype=np.int32)
        codes.append(places[part.codes] if len(places) else part.codes)
    return Group(np.concatenate(codes), list(labels))


def _some(values: Any, name: str, rows: NDArray[np.intp]) -> Any:
    if isinstance(values, np.ndarray):
        return values[rows]
    if name == "names":
        return [values[row] for row in rows.tolist()]
    if name == "milestones":
        return {key: each[rows] for key, each in values.items()}
    if name == "groups":
        return {key: Group(each.codes[rows], each.labels) for key, each in values.items() if isinstance(each, Group)}
    return values
