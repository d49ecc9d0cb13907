"""Why a learned adjustment is what it is: what it is made of, and what has cut it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crmsync.config.units import to_hundredths
from crmsync.scoring.adjustment import bounds_of_limit, clamp_adjustment
from crmsync.scoring.answers import YES
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.ledger import round_points
from crmsync.scoring.wording import format_points


def explain_adjustment(known: ScoringContext, at: int, before: int, points: int) -> str:
    """In words what has made `points` of the adjustments of one person, whose total was `before` (hundredths).

    `at` is their place in `known`. Empty where nothing was to be added.
    """
    model = known.model
    holding = [each for each in model.learned.active if known.asker.ask(each.when)[at] == YES]
    wanted = np.array([sum(to_hundredths(each.points) for each in holding)], dtype=np.int64)
    total, rounded, clamped = (
        np.array([before]),
        round_points(wanted, model.score.unit),
        clamp_adjustment(model, wanted),
    )
    limited = np.clip(total + clamped, *bounds_of_limit(model, total)) - total
    said = [", ".join(f"{each.name} {format_points(to_hundredths(each.points), '+')}" for each in holding)]
    steps = [int(each[0]) for each in (wanted, rounded, clamped, limited)] + [points]
    said += _cuts(*steps)
    return "; ".join(said) if wanted[0] or points else ""


def _cuts(wanted: int, rounded: int, clamped: int, limited: int, points: int) -> Iterator[str]:
    steps = (
        (wanted, rounded, "{} rounded to {}"),
        (rounded, clamped, "{} cut to {}, the most of [learned] clamp"),
        (clamped, limited, "{} cut to {} by the limit of total"),
        (limited, points, "{} cut to {}, since it moves nobody by more than one band"),
    )
    for before, after, said in steps:
        if before != after:
            yield said.format(*(format_points(each, "+") for each in (before, after)))
