"""What the status says of alerts: where they go, what lasts as it was told, and who could not be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.alerts import name_url, read_urls
from crmsync.reporting.console import format_minute
from crmsync.store.alerts import read_alerts, read_unsent
from crmsync.store.sql import from_ms


def alerts_document(config: Config, reading: Connection | None, typed: Callable[[str], str]) -> dict[str, Any]:
    """What `crmsync status` says of alerts: the sinks, what lasts as it was told, and who could not be told."""
    retry = typed("crmsync alert --test")
    return {
        "sinks": [name_url(url) for url in read_urls(config.alerts)],
        "heartbeat": config.alerts.heartbeat is not None,
        "open": [
            {"key": row["key"], "title": row["title"], "since": from_ms(row["began"]).isoformat()}
            for row in (read_alerts(reading) if reading else ())
            if row["ended"] is None
        ],
        "down": [
            {
                "sink": each.name,
                "since": format_minute(from_ms(each.down_since)),
                "unsent": len(each.lines),
                "next": retry if each.lines else "",
            }
            for each in (read_unsent(reading) if reading else {}).values()
            if each.down_since is not None
        ],
    }
