"""When runs begin, as `[schedule]` says it."""

from __future__ import annotations

from datetime import UTC, datetime

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from crmsync.config.worker import Schedule

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def trigger_of(schedule: Schedule) -> BaseTrigger:
    """When cycles begin. Raises `ValueError` for a cron line that cannot be read."""
    if schedule.cron is None:
        return IntervalTrigger(seconds=int(schedule.every.total_seconds()), timezone=UTC)
    minute, hour, day, month, weekday = schedule.cron.split()
    return _OncePerHour(
        minute=minute, hour=hour, day=day, month=month, day_of_week=_weekdays(weekday), timezone=schedule.timezone
    )


def _weekdays(field: str) -> str:
    """Weekdays by name: crontab's 0 and 7 are Sunday, APScheduler's 0 is Monday (agronholm/apscheduler#286)."""
    days = {number % 7 for part in field.split(",") for number in _numbers(part)}
    return ",".join(_WEEKDAYS[day] for day in sorted(days))


def _numbers(part: str) -> range:
    """The weekdays of one part of a crontab field: `*`, `5`, `1-5`, each with a step or none."""
    span, _, step = part.partition("/")
    first, _, last = ("0-6" if span == "*" else span).partition("-")
    return range(int(first), int(last or first) + 1, int(step or 1))


class _OncePerHour(CronTrigger):  # type: ignore[misc]
    """A cron that does not run again in the hour that autumn repeats, where it names its hours.

    APScheduler 3.11.3 runs `30 2 * * *` twice on that night (agronholm/apscheduler#1059, 2026-11).
    """

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        following: datetime | None = super().get_next_fire_time(previous_fire_time, now)
        every_hour = next(str(each) for each in self.fields if each.name == "hour").startswith("*")
        while following is not None and following.fold and not every_hour:
            following = super().get_next_fire_time(following, following)
        return following
