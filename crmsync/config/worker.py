"""The tables that say how the worker works: its state, its schedule, its limits, and who is one person."""

from __future__ import annotations

import re
from datetime import timedelta

from pydantic import Field, field_validator

from crmsync.config.tables import Duration, Table
from crmsync.config.units import check_zone


class State(Table):
    """Where everything durable is kept.

    `lease` is how long a worker waits that replaces a crashed one whose changes may still arrive; if it is left out,
    90 seconds on PostgreSQL, where the other may only be paused, and 5 on SQLite.
    """

    url: str = "sqlite:///crmsync.db"
    keep: Duration = timedelta(days=400)
    lease: Duration | None = Field(default=None, ge=timedelta(seconds=1))

    @property
    def lease_seconds(self) -> float | None:
        """The lease in seconds."""
        return None if self.lease is None else self.lease.total_seconds()


_CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""The numbers that each field of a crontab line may have."""


def _is_cron_field(field: str, span: tuple[int, int]) -> bool:
    """Whether a field of a crontab line is made of `*`, `5`, `1-5`, each with a step or none, and commas."""
    parts = [re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?", part) for part in field.split(",")]
    numbers = [int(each) for part in parts if part for each in part.group(1, 2) if each]
    rising = all(int(part[1]) <= int(part[2]) for part in parts if part and part[2])
    return all(parts) and rising and all(span[0] <= number <= span[1] for number in numbers)


class Schedule(Table):
    """When the daemon starts a run.

    `stall_timeout` is how long a run may go on without any progress before the daemon ends itself, so that its
    supervisor restarts it. `full_resync` is how often a run pulls everything: what a CRM changes without a time stamp
    (formulas, new associations, purges) is only seen then.
    """

    every: Duration = timedelta(minutes=15)
    cron: str | None = None
    timezone: str = "UTC"
    stall_timeout: Duration = timedelta(hours=1)
    full_resync: Duration = timedelta(days=7)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return check_zone(value)

    @field_validator("cron")
    @classmethod
    def _readable_cron(cls, value: str | None) -> str | None:
        fields = [] if value is None else value.split()
        if value is not None and (len(fields) != 5 or not all(map(_is_cron_field, fields, _CRON))):
            many = "" if len(fields) == 5 else f", which are 5 fields and not {len(fields)}"
            written = f"write minute, hour, day, month and weekday (0 is Sunday){many}"
            raise ValueError(f'{written}, for example "*/15 * * * *" or "30 6 * * 1-5"')
        return value

    @field_validator("every")
    @classmethod
    def _not_frantic(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=10):
            raise ValueError('write at least "10s"')
        return value


class Guard(Table):
    """When a plan is too large to be true: it is not written and waits for `crmsync apply`.

    Shares are of the records in one CRM that already carry a score of ours; `from_records` keeps small numbers quiet.
    `scores` counts other scores although only data of records was edited, or after the model was changed; `bands`,
    `stages`, `owners` count moves in any run. More than `first_run` records that get their first score in one CRM wait,
    too, or more than the share of `scores` where that is a larger number.
    """

    first_run: int = Field(default=1000, ge=0)
    scores: float = Field(default=0.2, ge=0, le=1)
    bands: float = Field(default=0.25, ge=0, le=1)
    stages: float = Field(default=0.25, ge=0, le=1)
    owners: float = Field(default=0.1, ge=0, le=1)
    from_records: int = Field(default=20, ge=0)


class Identity(Table):
    """How records become one person.

    Records of one e-mail address are one person, unless more than `shared_address_limit` of one CRM share it or it is a
    shared mailbox (its part before the @ is in `shared_mailboxes`) that more than one record of a CRM carries: those
    are reported and not written. `source_of_truth` says whose value counts where two CRMs know different ones. A
    meeting, call or e-mail that two CRMs log no more than `same_activity` apart is one, and so is an e-mail that both
    log with one Message-ID; "0s" leaves both.
    """

    source_of_truth: list[str] = ["salesforce", "hubspot"]
    shared_address_limit: int = Field(default=5, ge=1)
    shared_mailboxes: list[str] = ["info", "sales", "office", "contact", "admin", "support", "hello", "team", "mail"]
    same_activity: Duration = timedelta(minutes=1)

    @field_validator("same_activity")
    @classmethod
    def _is_short(cls, value: timedelta) -> timedelta:
        if value > timedelta(hours=1):
            raise ValueError('write at most "1h": what lies further apart is not one activity')
        return value

    @property
    def seconds_apart(self) -> int:
        """How many seconds apart two CRMs log one activity, at the most."""
        return int(self.same_activity.total_seconds())
