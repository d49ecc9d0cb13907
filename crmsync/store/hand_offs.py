"""Whose turn it is, and who got whom: turns by pool and member, and each hand-off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from crmsync.model import Standing
from crmsync.store.schema import turn
from crmsync.store.sql import plain_rows, upsert


def read_standings(connection: Connection) -> dict[str, dict[str, Standing]]:
    """For each pool how often it was whose turn (by address)."""
    found: dict[str, dict[str, Standing]] = {}
    it = turn.c
    for pool, member, *standing in plain_rows(connection, select(it.pool, it.member, it.turns, it.value, it.made_up)):
        found.setdefault(pool, {})[member] = Standing(*standing)
    return found


def save_standings(connection: Connection, pools: Mapping[str, Mapping[str, Standing]]) -> None:
    """Store whose turns there were."""
    rows: list[dict[str, Any]] = [
        {"pool": pool, "member": member, **standing._asdict()}
        for pool, standings in pools.items()
        for member, standing in standings.items()
    ]
    upsert(connection, turn, rows)
