"""What the commands share that hold scores against outcomes: where the people come from, and which of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from crmsync.batch import cases_file, people_file
from crmsync.bootstrap import existing_state
from crmsync.cli.command import Ending, messages_console
from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import Cases
from crmsync.exit_codes import DONE, PARTLY, WRONG
from crmsync.reporting.cases import StateTally, read_state_cases
from crmsync.reporting.console import print_sentences, progress_bar
from crmsync.work import Progress

MOST_A_WEEK = 1_000_000_000
"""More people a week than a `--capacity` may name."""

Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        "-i",
        metavar="PATH",
        help="People from a file or a folder instead of the state, as score reads them, with outcome (won or lost) and "
        "outcome_at; neither for open ones. - reads a pipe.",
    ),
]
Since = Annotated[str | None, typer.Option("--since", metavar="DAY", help="Only people judged on this day or later.")]
Until = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Only people judged on this day or before.")]


class Oddities(NamedTuple):
    """What is said beside the results: lines with mistakes, what was not used, and the exit code for that."""

    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    code: int = DONE


class CaseReader(NamedTuple):
    """Some cases at a time, once, and what was odd about the file that they come from, or is said of a state's."""

    cases: Iterator[Cases]
    tally: people_file.FileTally
    state: StateTally

    def find_oddities(self, config: Config) -> Oddities:
        """What is odd about the cases, once all are read."""
        problems = list(self.tally.problems)
        return Oddities(
            problems, [*self.state.notes, *self.tally.warnings(config)], rate_mistakes(problems, self.tally.people)
        )


def rate_mistakes(problems: Sequence[str], good: int) -> int:
    """The exit code for lines with mistakes beside so many good ones."""
    return DONE if not problems else PARTLY if good else WRONG


def add_oddities(ending: Ending, odd: Oddities) -> None:
    """Put what is odd into the document, and end with the exit code for it."""
    document = ending.document
    document["problems"] = [*document.get("problems", ()), *odd.problems]
    document["warnings"] = [*document.get("warnings", ()), *odd.warnings]
    ending.code = odd.code


def print_oddities(ending: Ending, odd: Oddities) -> None:
    """Print what is odd beside the results; with --json the document has it."""
    if not ending.as_json:
        for sentence in (*odd.problems, *odd.warnings):
            print_sentences(messages_console(), sentence)


def read_day(option: str, written: str | None, zone_of: Config, *, end: bool = False) -> int | None:
    """The first second (since 1970) of a day in the config's zone, or with `end` that of the day after it.

    Raises `ConfigError` where it is no day.
    """
    if written is None:
        return None
    try:
        day = date.fromisoformat(written) + timedelta(days=int(end))
        return int(datetime.combine(day, time(), zone_of.zone).timestamp())
    except (ValueError, OverflowError):  # the calendar ends with the year 9999
        raise ConfigError(f"{option} {written!r} is not a day; write for example 2026-11-21") from None


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
    with progress_bar(messages_console()) as progress:
        if given is None:
            with existing_state(config) as store:
                found = read_state_cases(config, store, now, first, end, state)
                yield CaseReader(_tell_progress(found, progress), tally, state)
            return
        found = cases_file.read_input_cases(config, given, int(now.timestamp()), tally)
        yield CaseReader(_tell_progress((each.between(first, end) for each in found), progress), tally, state)


def _tell_progress(found: Iterable[Cases], progress: Progress) -> Iterator[Cases]:
    """The cases without those of nobody, counted where the terminal shows it."""
    for cases in found:
        if len(cases.at):
            yield cases
            progress("scored", "", len(cases.at))
