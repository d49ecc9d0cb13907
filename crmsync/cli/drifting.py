"""The commands that watch over time: drift and experiment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from crmsync.cli.cases import Input, Since, Until, add_oddities, opened_cases, print_oddities
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    opened_config,
    results_console,
    run_command,
    save_rows,
)
from crmsync.config.outcome import OutcomeRules
from crmsync.reporting.drift import drift_document
from crmsync.reporting.experiment import choose_experiment, experiment_document
from crmsync.reporting.print_drift import MONTH_COLUMNS, print_drift
from crmsync.reporting.print_experiment import print_experiment

ToCsv = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write the months to a CSV file; - is standard output.")
]


Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Which, where the config has several.")]


def drift(
    given: Input = None,
    since: Since = None,
    until: Until = None,
    csv: ToCsv = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show whether the score still says what it said: what became of people by month, against what was expected.

    The verdict comes first: whether fewer or more people are won than their scores and the season say, since when, and
    what else changed (bands, rules, sources). The state of the last runs is read, or a file. Nothing is written.

    Example: crmsync drift

    Example: crmsync drift --input people.jsonl --json
    """
    if as_json and csv is not None:
        raise typer.BadParameter("give --json or --csv, not both")
    now = datetime.now(UTC)
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending, read=[given])
        rules = settings.outcome or OutcomeRules()
        with opened_cases(settings, given, since, until, now) as reader:
            found = drift_document(settings, reader.cases, rules, settings.zone, now)
        ending.document = found
        odd = reader.find_oddities(settings)
        add_oddities(ending, odd)
        if csv is not None:
            save_rows(csv, MONTH_COLUMNS, found["months"], ending)
        elif not as_json:
            print_drift(results_console(), found)
        print_oddities(ending, odd)


def experiment(
    name: Name = None,
    given: Input = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show how the arms of an experiment of the config did, and whether one is better.

    A winner is told once each arm has the size that the config declares, or after its last day: until then only how
    many people are missing. The state of the last runs is read, or a file. Nothing is written.

    Example: crmsync experiment line

    Example: crmsync experiment line --input people.jsonl --json
    """
    now = datetime.now(UTC)
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        chosen = choose_experiment(settings, name)
        with opened_cases(settings, given, None, None, now) as reader:
            ending.document = experiment_document(settings, chosen, reader.cases, now)
        odd = reader.find_oddities(settings)
        add_oddities(ending, odd)
        if not as_json:
            print_experiment(results_console(), ending.document)
        print_oddities(ending, odd)
