"""What was told to be wrong, so that a restart repeats nothing, and what a sink that was down has not heard yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, delete, select

from crmsync.store.schema import alert, unsent_alert
from crmsync.store.sql import upsert


class Unsent(NamedTuple):
    """What an address has not heard yet: what to call it, the lines, and since when (milliseconds) it is down."""

    name: str
    lines: tuple[str, ...] = ()
    down_since: int | None = None


def read_alerts(connection: Connection) -> list[dict[str, Any]]:
    """Every condition that was told, as it was saved, those that began first at the top."""
    return [row._asdict() for row in connection.execute(select(alert).order_by(alert.c.began, alert.c.key))]


def save_alerts(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Remember these conditions (`key`, `title`, `began`, `told`, `ended`, `quiet`), and no others."""
    connection.execute(delete(alert))
    upsert(connection, alert, [dict(row) for row in rows])


def read_unsent(connection: Connection) -> dict[str, Unsent]:
    """By address, as a hash, what it has not heard yet."""
    rows = connection.execute(select(unsent_alert).order_by(unsent_alert.c.sink))
    return {row.sink: Unsent(row.name, tuple(orjson.loads(row.lines)), row.down_since) for row in rows}


def save_unsent(connection: Connection, unsent: Mapping[str, Unsent]) -> None:
    """Keep what these addresses have not heard yet."""
    rows = [
        {"sink": sink, "name": each.name, "lines": orjson.dumps(each.lines).decode(), "down_since": each.down_since}
        for sink, each in unsent.items()
    ]
    upsert(connection, unsent_alert, rows)


def delete_unsent(connection: Connection, sinks: Collection[str]) -> None:
    """Forget what these addresses had not heard: they have, or there are no such ones any longer."""
    connection.execute(delete(unsent_alert).where(unsent_alert.c.sink.in_(list(sinks))))
