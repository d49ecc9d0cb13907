"""The commands that only look: explain, status."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from crmsync.bootstrap import existing_state
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    WHO,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    opened_config,
    read_instant,
    results_console,
    run_command,
    save_rows,
)
from crmsync.config import Config
from crmsync.errors import CrmsyncError
from crmsync.exit_codes import DONE, FAILED
from crmsync.reporting import person as explaining
from crmsync.reporting import status as health
from crmsync.reporting.past_person import explain_person_at
from crmsync.reporting.print_person import print_explanation, print_model, print_past
from crmsync.reporting.print_status import REFUSED_COLUMNS, print_health, print_refused, print_status
from crmsync.reporting.tiers import list_tiers
from crmsync.scoring import page_of

Who = Annotated[str | None, WHO]
WholeModel = Annotated[bool, typer.Option("--model", help="Show the whole model on one page instead of a person.")]
AsOf = Annotated[
    str | None, typer.Option("--at", metavar="INSTANT", help="As of this past time, for example 2026-11-21T12:00:00Z.")
]
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


def explain(
    who: Who = None,
    model: WholeModel = False,
    at: AsOf = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show why a person has their score: every line of it, which fields are unknown, and what the CRMs hold.

    With --model, show the whole model in plain words on one page. This needs no CRM and no state; with a state it
    counts the activities of each intent tier.

    With --at, show the score as of a past instant, by what was known then: nothing after it counts.

    Example: crmsync explain vera@kestrel.example

    Example: crmsync explain vera@kestrel.example --at 2026-11-21T12:00:00Z

    Example: crmsync explain --model
    """
    if (who is None) is not model:
        raise typer.BadParameter("give a person or --model" + (", not both" if model else ""))
    if at is not None and who is None:
        raise typer.BadParameter("--at is for a person; the model is as the file has it")
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        if who is not None and at is not None:
            ending.document = _explained_at(settings, who, read_instant("--at", at))
        else:
            ending.document = _whole_model(settings) if who is None else _explained(ending, settings, who)
        if not as_json:
            shown = print_model if who is None else print_explanation if at is None else print_past
            shown(results_console(), ending.document)


def _whole_model(config: Config) -> dict[str, Any]:
    """The model, and how many activities of each tier there were; a state that cannot be read counts none."""
    page, now = page_of(config), datetime.now(UTC)
    try:
        with existing_state(config) as store:
            if store is not None:
                with store.read() as reading:
                    return {**page, "tiers": list_tiers(config, reading, now)}
    except CrmsyncError:
        # The page is of the file: it is there before the first run and whatever became of the state.
        pass
    return {**page, "tiers": list_tiers(config, None, now)}


def _explained(ending: Ending, config: Config, who: str) -> dict[str, Any]:
    with existing_state(config) as store:
        return explaining.explain_person(config, store, who, datetime.now(UTC), ending.typed)


def _explained_at(config: Config, who: str, at: datetime) -> dict[str, Any]:
    with existing_state(config) as store:
        return explain_person_at(config, store, who, at, datetime.now(UTC))


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
