"""How much intent activities show: low, mid or high."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo

import numpy as np

from crmsync.columns import Columns
from crmsync.config.model import Model
from crmsync.config.rules import TIERS, Behavior
from crmsync.scoring.activities import ActivityTable, select_facts

_STRONG_WORDS = ("demo", "contact", "trial", "pricing", "price", "quote", "sales")
_WEAK_WORDS = ("blog", "news", "career")


def tier_of(rule: Behavior) -> str | None:
    """The tier of a rule: the one it names, or what its kind and words speak for; `None` when neither does."""
    if rule.tier is not None:
        return TIERS[rule.tier]
    words = " ".join(str(wanted) for match in rule.where.values() for wanted in match.keys().values()).lower()
    if any(kind.startswith("meeting") for kind in rule.on) or any(word in words for word in _STRONG_WORDS):
        return "high"
    weak = {"email_opened"} | ({"page_viewed"} if any(word in words for word in _WEAK_WORDS) else set())
    return "low" if set(rule.on) <= weak else None


def tier_counts(model: Model, columns: Columns, now: datetime, zone: tzinfo) -> Mapping[str, int]:
    """How many activities the rules of each tier take; an activity that two rules of a tier take is one."""
    activities = ActivityTable(select_facts(model, columns.facts), columns, now, zone)
    taken: dict[str, list[int]] = {"low": [], "mid": [], "high": []}
    for rule in model.behavior:
        tier = tier_of(rule)
        if tier is not None:
            taken[tier] += activities.select(rule.on, rule.where).tolist()
    return {tier: len(np.unique(indexes)) for tier, indexes in taken.items()}
