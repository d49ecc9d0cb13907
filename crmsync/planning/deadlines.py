"""Until when owners are to get in touch with the people they were given, and who of them is late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.routing.feedback import TagState, judge_tag
from crmsync.routing.sla import Deadline, find_breaches
from crmsync.store import hand_offs


def read_deadlines(tx: Connection, config: Config, now: datetime, person: int | None = None) -> list[Deadline]:
    """Until when each hand-off, of everybody or of one person, asks for a touch, as of `now` (aware)."""
    if config.sla is None:
        return []
    handed = hand_offs.latest_hand_offs(tx, int(now.timestamp() * 1000), person)
    found = find_breaches(config.sla, config.owner_pool, handed, now, config.zone)
    settled = _people_not_routed(tx, config, [each.hand_off.person for each in found if each.touched is None], now)
    return [each for each in found if each.touched is not None or each.hand_off.person not in settled]


def _people_not_routed(tx: Connection, config: Config, people: Sequence[int], now: datetime) -> frozenset[int]:
    """Those whom a tag keeps from every route or the CRM itself took further, as of the last run."""
    crm_owned, now_ms = config.crm_owned, int(now.timestamp() * 1000)
    return frozenset(
        whose
        for whose, stage, tag, since in hand_offs.stages_and_tags(tx, people)
        if stage in crm_owned or judge_tag(config.feedback, tag or None, TagState(tag, since), now_ms).unrouted
    )


def read_breaches(tx: Connection, config: Config, now: datetime, person: int | None = None) -> list[Deadline]:
    """Those of which the owner was not in touch in time, and still is not."""
    return [each for each in read_deadlines(tx, config, now, person) if each.breached and each.touched is None]
