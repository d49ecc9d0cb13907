"""The command that says how things stand: status."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from crmsync.bootstrap import existing_state
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
from crmsync.exit_codes import DONE, FAILED
from crmsync.reporting import status as health
from crmsync.reporting.print_status import REFUSED_COLUMNS, print_health, print_refused, print_status

Health = Annotated[
    bool, typer.Option("--health", help="Only check that runs are on schedule: exit code 0 if so, 1 if not.")
]
Refused = Annotated[bool, typer.Option("--refused", help="Only list what the CRMs reject, by cause.")]
ToCsv = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Of --refused: a CSV file; - is standard output."),
]
Feeds = Annotated[bool, typer.Option("--feeds", help="Also count the activities of each type (reads all activities).")]
Runs = Annotated[int, typer.Option("--runs", min=1, help="How many of the last runs to show.")]


def status(
    only_health: Health = False,
    refused: Refused = False,
    csv: ToCsv = None,
    feeds: Feeds = False,
    runs: Runs = 5,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show the health, plans that wait for approval, the last runs, people per band, and what a CRM rejects.

    Example: crmsync status --health

    Example: crmsync status --refused --csv refused.csv
    """
    if only_health and refused:
        raise typer.BadParameter("give --health or --refused, not both")
    if csv is not None and (as_json or not refused):
        raise typer.BadParameter("--csv is for --refused, without --json")
    with run_command(as_json, debug, config) as ending:
        settings, now = opened_config(ending), datetime.now(UTC)
        with existing_state(settings) as store:
            if only_health:
                ending.document = health.health_document(settings, store, now, ending.typed)
                ending.code = DONE if ending.document["healthy"] else FAILED
            elif refused:
                ending.document = health.refused_document(store, ending.typed)
            else:
                ending.document = health.status_document(settings, store, now, ending.typed, runs=runs, feeds=feeds)
        if csv is not None:
            save_rows(csv, REFUSED_COLUMNS, ending.document["refused"], ending)
        elif not as_json:
            shown = print_health if only_health else print_refused if refused else print_status
            shown(results_console(), ending.document)
