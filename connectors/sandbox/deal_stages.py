"""The way of a deal through its stages: how long it stays in each, and when it is closed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from connectors.sandbox.world import DEAL_STAGES, Firm

DAY = timedelta(days=1)
QUALIFICATION, PROPOSAL, NEGOTIATION, WON, LOST = DEAL_STAGES

LOST_REASONS = (
    "",
    "",
    "no budget",
    "No budget this year",
    "Budget frozen until Q3",
    "kein Budget",
    "Price",
    "too expensive",
    "Too expensive vs. competitor",
    "Went with a competitor",
    "chose competitor",
    "lost to competitor, cheaper",
    "No response",
    "no response after 4 mails",
    "ghosted",
    "Bad timing",
    "timing - call again in spring",
    "Postponed to next year",
    "not a fit",
    "Not a fit: too small",
    "Champion left the company",
    "wrong contact, no decision maker",
    "Missing feature: SSO",
    "needs on-prem",
    "Decided to build it themselves",
    "Duplicate",
)
"""Why deals were lost, as people type it."""

_STAYS = {QUALIFICATION: 14, PROPOSAL: 19, NEGOTIATION: 13, LOST: 40}
"""Days that half of the deals stay at least; `LOST` is that of a deal that is opened again."""


def enter_stages(
    rng: random.Random, begun: datetime, now: datetime, firm: Firm | None, won: bool
) -> Iterator[tuple[str, datetime]]:
    """The stages that a deal comes into by `now`, each with its instant; it goes on to be won or lost."""
    at = begun
    path = list(_path(rng, won))
    slow = 1.4 if firm and (firm.employees or 0) > 1_000 else 1.0
    forgotten = rng.random() < 0.03
    yield path[0], at
    for stage, following in pairwise(path):
        if forgotten and following == path[-1]:
            return
        # Nobody likes to call a deal lost.
        slower = slow * (1.8 if following == LOST else 1.0)
        after = move_to_work(rng, at + max(1.0, rng.lognormvariate(math.log(_STAYS[stage] * slower), 0.6)) * DAY)
        if following == WON:
            after = _booked(rng, at, after)
        if after > now:
            return
        at = after
        yield following, at


def _path(rng: random.Random, won: bool) -> Sequence[str]:
    first = 1 if rng.random() < 0.08 else 0
    if not won:
        last = max(first, rng.choices((0, 1, 2), (45, 35, 20))[0])
        return (*DEAL_STAGES[first : last + 1], LOST)
    again = (LOST, NEGOTIATION) if rng.random() < 0.07 else ()
    return (*DEAL_STAGES[first:3], *again, WON)


def _booked(rng: random.Random, since: datetime, at: datetime) -> datetime:
    """When a win is booked: half of those of the weeks around the end of a quarter in its last days."""
    year, quarter = divmod(at.year * 4 + (at.month - 1) // 3 + 1, 4)
    ends = datetime(year, quarter * 3 + 1, 1, tzinfo=UTC)
    if ends - at > 35 * DAY or rng.random() < 0.4:
        return at
    last = ends - rng.randint(1, 6) * DAY
    booked = move_to_work(rng, last if last.weekday() < 5 else last - (last.weekday() - 4) * DAY)
    return booked if booked - since > DAY else at


def move_to_work(rng: random.Random, at: datetime) -> datetime:
    """The same day or, of a weekend, the Monday after it, between seven and five."""
    day = at if at.weekday() < 5 else at + (7 - at.weekday()) * DAY
    return datetime(
        day.year, day.month, day.day, rng.randint(7, 16), rng.randint(0, 59), rng.randint(0, 59), tzinfo=UTC
    )
