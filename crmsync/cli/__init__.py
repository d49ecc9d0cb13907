"""The commands of crmsync, and how they start."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from crmsync.cli.group import HELP, Commands, give_config
from crmsync.cli.streams import is_output_lost, prepare_streams

app = typer.Typer(
    name="crmsync",
    help="A lead-scoring worker for Salesforce and HubSpot: it pulls, scores, assigns owners, plans and writes back.",
    epilog="Exit codes: 0 succeeded, 1 failed, 2 config or usage, 3 held for approval or paused, "
    "4 completed with errors.",
    cls=Commands,
    context_settings=HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # takes longer to load than all other commands want to wait

        typer.echo(f"crmsync {version('crmsync')}")
        raise typer.Exit


@app.callback()
def common(
    ctx: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Only print the version.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The config file; it may be given after the command, too.")
    ] = None,
) -> None:
    """Nothing happens before the command."""
    give_config(ctx, config)


GARBAGE = 50_000, 20, 50
"""How seldom Python looks for cyclic garbage. A run makes millions of small values that are none, and to walk them
again and again takes a fifth of it.
"""


def main() -> None:
    """Run the command line; the exit code is the process's own."""
    gc.set_threshold(*GARBAGE)
    prepare_streams()
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        sys.exit(end.code or int(is_output_lost()))
