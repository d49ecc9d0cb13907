"""How quickly activities lose their worth, as far as the outcomes say so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.config.model import Model
from crmsync.config.rules import Behavior
from crmsync.evaluation.learning.people import HALF_LIVES
from crmsync.evaluation.learning.regression import fit_logistic
from crmsync.evaluation.metrics import Floats, Mask

FEWEST_PEOPLE, FEWEST_WON = 100, 20
"""So many people with the activity, and so many won ones among them, an estimate needs."""

DROP = 1.92
"""By so much the log-likelihood may be below its best inside a 95 % interval."""

NARROW = 4.0
"""An interval whose ends are further apart than this says too little."""


class HalfLife(NamedTuple):
    """A rule's half-life in days: `now` (`None` without one), the best of those tried with its interval, and whether
    to change it. An end of the interval that lies outside of what was tried is `None`.
    """

    rule: str
    now: int | None
    days: int
    low: float | None
    high: float | None
    people: int
    suggested: bool
    note: str


def estimate_half_lives(
    model: Model, doses: Floats, fading: dict[str, NDArray[np.float16]], points: Floats, won: Mask
) -> Iterator[HalfLife]:
    """For each behavior rule the half-life by its profile likelihood, the other rules together as one number.

    `doses` (n, rules), `points` (rules,), `fading` as in `LearningPeople`, all of the same people.
    """
    for place, rule in enumerate(model.rules()):
        if not isinstance(rule, Behavior):
            continue
        given = fading[rule.name].astype(np.float64)
        holds = given[:, -1] > 0
        people, hits = int(holds.sum()), int((holds & won).sum())
        if people < FEWEST_PEOPLE or hits < FEWEST_WON:
            continue
        others = doses @ np.where(np.arange(len(points)) == place, 0.0, points)
        fits = np.array([_likelihood(others, given[:, number], won) for number in range(given.shape[1])])
        yield _read_profile(rule, fits, people)


def _likelihood(others: Floats, given: Floats, won: Mask) -> float:
    spread = float(others.std()) or 1.0
    size = float(np.sqrt((given**2).mean())) or 1.0
    design = np.column_stack([np.ones(len(won)), (others - others.mean()) / spread, given / size])
    fitted = fit_logistic(design, won, np.zeros(3), np.array([0.0, 1e-3, 1e-3]))
    log_odds = design @ fitted.weights
    return float((won * log_odds - np.logaddexp(0, log_odds)).sum())


def _read_profile(rule: Behavior, fits: Floats, people: int) -> HalfLife:
    days = np.array(HALF_LIVES, dtype=np.float64)
    best = int(np.argmax(fits))
    low, high = _edge(days, fits, best, -1), _edge(days, fits, best, 1)
    now = rule.decay.half_life.days if rule.decay and rule.decay.half_life else None
    is_narrow = low is not None and high is not None and high / low <= NARROW
    is_other = now is None or (low is not None and now < low) or (high is not None and now > high)
    has_other_decay = rule.decay is not None and now is None
    suggested = is_narrow and is_other and not has_other_decay
    if not is_narrow:
        note = "the interval is too wide to change it"
    elif not is_other:
        note = "today's is inside the interval"
    else:
        note = "it decays in another way" if has_other_decay else ""
    return HalfLife(rule.name, now, HALF_LIVES[best], low, high, people, suggested, note)


def _edge(days: Floats, fits: Floats, best: int, step: int) -> float | None:
    """Where the log-likelihood has fallen by `DROP` on one side of its best, between what was tried."""
    wanted = fits[best] - DROP
    place = best
    while 0 <= place + step < len(days):
        if fits[place + step] < wanted:
            share = float((fits[place] - wanted) / (fits[place] - fits[place + step]))
            edge = np.log(days[place]) + share * (np.log(days[place + step]) - np.log(days[place]))
            return round(float(np.exp(edge)), 1)
        place += step
    return None
