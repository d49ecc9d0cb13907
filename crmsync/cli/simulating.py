"""The command that tries routes on the people of the last days: simulate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from crmsync.bootstrap import existing_state
from crmsync.cli.command import DEFAULT_CONFIG, AsJson, ConfigPath, Debug, opened_config, results_console, run_command
from crmsync.reporting.console import print_sentences, say_command
from crmsync.reporting.print_simulation import print_simulation
from crmsync.reporting.simulation import simulation_document

Routing = Annotated[bool, typer.Option("--routing", help="Route the arrivals of the last days again.")]
Days = Annotated[int, typer.Option("--days", min=1, max=365, help="Number of days.")]


def simulate(
    routing: Routing = False,
    days: Days = 30,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show who would have got the people of the last days by the routes and pools of a config.

    Whoever was created in a CRM in these days comes again, scored as known today; nobody has an owner or had a turn.
    It looks at the state of the last run. No CRM is asked, and nothing is written.

    Example: crmsync simulate --routing --days 30 --config edited.toml
    """
    if not routing:
        raise typer.BadParameter("say what to simulate: --routing replays the arrivals of the last days")
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with existing_state(settings) as store:
            ending.document = simulation_document(settings, store, days, datetime.now(UTC))
        if not as_json:
            console = results_console()
            print_simulation(console, ending.document)
            print_sentences(console, "Nothing was written. To see what a run would change with this config:")
            say_command(console, ending.typed("crmsync plan"))
