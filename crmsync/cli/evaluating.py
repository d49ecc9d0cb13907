"""The command that holds scores against outcomes: evaluate."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from crmsync.bootstrap import existing_state
from crmsync.cli.cases import Input, Oddities, Since, Until, add_oddities, opened_cases, print_oddities
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    check_output,
    opened_config,
    results_console,
    run_command,
    save_rows,
)
from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import join_judged, judge_cases
from crmsync.evaluation.conversion import GROUP_NAMES
from crmsync.evaluation.timing import find_last_activity
from crmsync.reporting.evaluate import Evaluation, evaluate_document, list_reviewed
from crmsync.reporting.print_evaluation import REVIEWED_COLUMNS, print_evaluation, reviewed_row
from crmsync.reporting.versions import find_definitions

GroupName = StrEnum("GroupName", GROUP_NAMES)  # type: ignore[misc]

By = Annotated[GroupName | None, typer.Option("--by", help="Compare groups; a month is that in which people came.")]
ToCsv = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write all people to look at to a CSV file; - is standard output."),
]


def evaluate(
    given: Input = None,
    since: Since = None,
    until: Until = None,
    by: By = None,
    csv: ToCsv = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Hold the scores against what came of people: who was won, who was lost, and what each rule had to do with it.

    Each person is scored as they were known when they were handed over; nothing after that counts. No CRM is asked,
    and nothing is written. Another config (--config) is tried on the same people.

    Example: crmsync evaluate --by source

    Example: crmsync evaluate --input people.jsonl --config edited.toml
    """
    if as_json and csv is not None:
        raise typer.BadParameter("give --json or --csv, not both")
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending, read=[given])
        if csv is not None:
            check_output(csv, ending)
        found, odd = evaluate_cases(settings, given, since, until)
        evaluated = evaluate_document(found, None if by is None else str(by.value))
        ending.document = {**evaluated}
        add_oddities(ending, odd)
        if csv is not None:
            _save_reviewed(csv, found, ending)
        elif not as_json:
            print_evaluation(results_console(), evaluated, ending.typed, "" if given is None else str(given))
        print_oddities(ending, odd)


def evaluate_cases(
    config: Config, given: Path | None, since: str | None, until: str | None
) -> tuple[Evaluation, Oddities]:
    """Judge everybody of a file or of the state in a period. Raises `ConfigError` where there is nobody."""
    now = datetime.now(UTC)
    parts, last = [], []
    with opened_cases(config, given, since, until, now) as reader:
        for cases in reader.cases:
            parts.append(judge_cases(config, cases, config.zone))
            last.append(find_last_activity(cases))
    tally, state = reader.tally, reader.state
    if not parts:
        raise ConfigError(tally.problems or [_nobody(given, since, until)])
    mistaken = len({each.partition(": ")[0] for each in tally.problems})
    skipped = {"lines with a mistake": mistaken, **state.left_out}
    judged = join_judged(parts)
    del parts
    found = Evaluation(
        definitions=_read_definitions(config) if given is None else (),
        config=config,
        judged=judged,
        now=int(now.timestamp()),
        last=np.concatenate(last),
        unknown_then=state.unknown_then,
        skipped={name: number for name, number in skipped.items() if number},
    )
    return found, reader.find_oddities(config)


def _read_definitions(config: Config) -> list[tuple[int, str]]:
    with existing_state(config) as store:
        if store is None:
            return []
        with store.read() as reading:
            return find_definitions(config, reading)


def _nobody(given: Path | None, since: str | None, until: str | None) -> str:
    if since is not None or until is not None:
        return "nobody is judged in this period; leave out --since and --until"
    return "nobody is scored yet; run crmsync sync" if given is None else f"--input {given} has nobody"


def _save_reviewed(path: Path, found: Evaluation, ending: Ending) -> None:
    save_rows(path, REVIEWED_COLUMNS, [reviewed_row(each) for each in list_reviewed(found)], ending)
