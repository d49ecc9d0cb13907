"""How much intent people showed lately: the activities of each tier."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.settings import kinds_of
from crmsync.scoring.tiers import TIER_NAMES, tier_of_kind
from crmsync.store.feed_days import DAY, read_feed_days

COUNTED_DAYS = 30
"""Activities of so many days are counted."""


def list_tiers(config: Config, connection: Connection | None, now: datetime) -> list[dict[str, Any]]:
    """For each tier, the highest first, its types of activity, and how many there were of each in the last 30 days.

    Every type that a CRM may bring, or has brought, is in exactly one. Without a state nothing is counted.
    """
    counts = Counter[str]()
    today = int(now.timestamp()) // DAY
    for (_crm, kind), days in (read_feed_days(connection) if connection else {}).items():
        counts[kind] += sum(many for day, many in days.items() if today - COUNTED_DAYS < day <= today)
    kinds: dict[str, dict[str, int]] = {tier: {} for tier in TIER_NAMES}
    for kind in sorted({*kinds_of(config), *counts}):
        kinds[tier_of_kind(config, kind)][kind] = counts[kind]
    return [
        {
            "tier": tier,
            "activities": None if connection is None else sum(each.values()),
            "days": COUNTED_DAYS,
            "kinds": {kind: None if connection is None else many for kind, many in each.items()},
        }
        for tier, each in kinds.items()
    ]
