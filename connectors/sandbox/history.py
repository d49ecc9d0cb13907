"""What people did before the last 90 days: once more what they do now, in the weeks before sales took them up.

Whoever has no deal of that time did it at some other time, so that an old activity says nothing by being old. Nobody
does then what they do not do now: the truth of `deals.py` is the same with and without it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connectors.sandbox.world import Deal, Happening, Human

RUN_UP = timedelta(days=90)
"""How long before a deal it begins, and how young nothing of it is."""

_NOT_TWICE = ("email_unsubscribed", "email_bounced")


def add_history(humans: Sequence[Human], deals: Sequence[Deal], seed: int, now: datetime) -> tuple[Human, ...]:
    """The same people with what they did before their first deal. Equal arguments make equal people."""
    rng = random.Random(f"history {seed}")
    first: dict[int, datetime] = {}
    for deal in deals:
        for number in deal.contacts:
            first.setdefault(number, deal.stages[0][1])
    return tuple(_with_past(rng, human, first.get(human.number), now) for human in humans)


def _with_past(rng: random.Random, human: Human, taken_up: datetime | None, now: datetime) -> Human:
    latest = now - RUN_UP
    somewhen = human.created_at + rng.random() * (latest - human.created_at)
    until = taken_up or somewhen
    if not human.created_at < until < latest:
        return human
    recent, since = max(human.created_at, latest), max(human.created_at, until - RUN_UP)
    pace = (until - since) / (now - recent)
    past = (
        _again(each, since + (each.at - recent) * pace, until)
        for each in human.happenings
        if each.at <= now and each.kind not in _NOT_TWICE
    )
    return replace(human, happenings=(*past, *human.happenings))


def _again(happening: Happening, at: datetime, until: datetime) -> Happening:
    """The same at another instant; a campaign of then has the month in its name, as marketing likes it."""
    attributes: Mapping[str, str | int] = happening.attributes
    name = str(attributes.get("campaign", ""))
    if name and name != "Newsletter":
        attributes = {**attributes, "campaign": f"{until:%Y-%m} {re.sub(r' 20[0-9]{2}$', '', name)}"}
    return replace(happening, at=at.replace(microsecond=0), attributes=attributes)
