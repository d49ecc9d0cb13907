"""How many people had how many points on each of the last days: what the present is compared with."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from crmsync.store.feed_days import DAY
from crmsync.store.queries import count_scores
from crmsync.store.schema import distribution

KEPT_DAYS = 30


def keep_distribution(connection: Connection, now: int) -> None:
    """Keep how many people have how many points (`now` in milliseconds), once a day, as that reads everybody."""
    today = now // 1000 // DAY
    if connection.scalar(select(func.count()).where(distribution.c.day == today)):
        return
    # A day that was set in the future by mistake would never be over.
    past = distribution.c.day.between(today - KEPT_DAYS, today)
    connection.execute(delete(distribution).where(~past))
    rows = [{"day": today, "points": low, "people": many} for low, many in count_scores(connection).items()]
    if rows:
        connection.execute(distribution.insert(), rows)


def past_distribution(connection: Connection, at: int) -> dict[int, int]:
    """People by points, as `count_scores` has them, on the last known day that had begun by an instant (milliseconds).

    Empty where there is none.
    """
    day = select(func.max(distribution.c.day)).where(distribution.c.day <= at // 1000 // DAY).scalar_subquery()
    query = select(distribution.c.points, distribution.c.people).where(distribution.c.day == day)
    return {int(low): int(many) for low, many in connection.execute(query)}
