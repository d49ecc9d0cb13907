"""What the commands share that hold scores against outcomes: where the people come from, and which of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from crmsync.batch import cases_file, people_file
from crmsync.bootstrap import existing_state
from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import Cases
from crmsync.reporting.cases import StateTally, read_state_cases

Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        "-i",
        metavar="FILE",
        help="People from a file instead of the state: one JSON object a line, as score reads it, with outcome (won or "
        "lost) and outcome_at; neither for open ones. - reads a pipe.",
    ),
]
Since = Annotated[str | None, typer.Option("--since", metavar="DAY", help="Only people judged on this day or later.")]
Until = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Only people judged on this day or before.")]


class CaseReader(NamedTuple):
    """Some cases at a time, once, and what was odd about the file that they come from, or is said of a state's."""

    cases: Iterator[Cases]
    tally: people_file.FileTally
    state: StateTally


def read_day(option: str, written: str | None, zone_of: Config, *, end: bool = False) -> int | None:
    """The first second (since 1970) of a day in the config's zone, or with `end` that of the day after it.

    Raises `ConfigError` where it is no day.
    """
    if written is None:
        return None
    try:
        day = date.fromisoformat(written)
    except ValueError:
        raise ConfigError(f"{option} {written!r} is not a day; write for example 2026-11-21") from None
    if end:
        day = date.fromordinal(day.toordinal() + 1)
    return int(datetime.combine(day, time(), zone_of.zone).timestamp())


@contextmanager
def opened_cases(
    config: Config, given: Path | None, since: str | None, until: str | None, now: datetime | None = None
) -> Iterator[CaseReader]:
    """The cases of a file, or else those of the state, that are judged in a period.

    Raises `ConfigError` where there are none to be had, with what to do.
    """
    now = now or datetime.now(UTC)
    first, end = read_day("--since", since, config), read_day("--until", until, config, end=True)
    if first is not None and end is not None and first >= end:
        raise ConfigError(f"--since {since} is after --until {until}; swap them")
    tally, state = people_file.FileTally(), StateTally()
    if given is None:
        with existing_state(config) as store:
            yield CaseReader(read_state_cases(config, store, now, first, end, state), tally, state)
        return
    with people_file.open_people(given) as file:
        found = cases_file.read_cases_file(config, file, str(given), int(now.timestamp()), tally)
        yield CaseReader((each.between(first, end) for each in found), tally, state)
