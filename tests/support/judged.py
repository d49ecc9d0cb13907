"""Judged people made of columns, for tests of what is measured on them."""

from __future__ import annotations

import numpy as np

from crmsync.evaluation.cases import LOST, NEVER, OPEN, WON, Group, JudgedCases, _group
from crmsync.scoring.bands import band_of

DAY = 86_400
START = 1_767_225_600
"""1 January 2026, UTC."""


def judged_of(config, total, outcome, *, hits=None, groups=None, milestones=None, **columns):
    """People with these scores (points) and outcomes: `w`, `l` and `o` in a text, or one for each.

    `hits`: rule → whom it gave its points; `groups`: name → texts. Other columns are those of `JudgedCases`.
    """
    came = {"w": WON, "l": LOST, "o": OPEN}
    count = len(outcome)
    hundredths = (np.asarray(total) * 100).astype(np.int64)
    rules = [rule.name for rule in config.rules()]
    points = np.zeros((count, len(rules)), dtype=np.int32)
    for name, given in (hits or {}).items():
        worth = next(rule.points for rule in config.rules() if rule.name == name)
        points[:, rules.index(name)] = np.asarray(given) * int(worth * 100)
    nothing = np.full(count, -1)
    outcomes = np.array([came[each] for each in outcome], dtype=np.int8)
    start = np.full(count, START, dtype=np.int64)
    band, _ = band_of(config.bands, hundredths, hundredths, hundredths, nothing.astype(np.int8))
    made = {
        "at": start + DAY,
        "came": start,
        "outcome": outcomes,
        "outcome_at": np.where(outcomes == OPEN, NEVER, start + 30 * DAY),
        "value": np.full(count, np.nan),
        "touched": np.full(count, NEVER, dtype=np.int64),
        "handed_off": np.full(count, NEVER, dtype=np.int64),
        "scored_then": np.zeros(count, dtype=np.int64),
        "names": [f"p{number}" for number in range(count)],
        "fit": hundredths,
        "behavior": hundredths * 0,
        "band": band,
        "segment": nothing.astype(np.int16),
        "disqualified": nothing.astype(np.int16),
        "fields": (),
        "known": np.zeros((count, 0), dtype=bool),
    }
    unknown = Group(np.zeros(count, dtype=np.int32), [""])
    named = {"source": unknown, "campaign": unknown, "rep": unknown}
    return JudgedCases(
        model=config,
        total=hundredths,
        rules=rules,
        points=points,
        groups={**named, **{name: _group(texts) for name, texts in (groups or {}).items()}},
        milestones={name: np.asarray(each, dtype=np.int64) for name, each in (milestones or {}).items()},
        **{**made, **columns},
    )
