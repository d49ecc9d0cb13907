"""The commands to try crmsync with: sandbox and demo."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from crmsync import demo as demonstrating
from crmsync.cli.command import AsJson, Debug, messages_console, program_name, results_console, run_command
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.errors import ConfigError
from crmsync.reporting.console import print_sentences, steps_bar
from crmsync.reporting.print_status import print_demo

People = Annotated[int, typer.Option("--people", min=1, max=1_000_000, help="Number of invented people.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same people.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="The port on 127.0.0.1; 0 chooses a free one.")]
Latency = Annotated[str, typer.Option("--latency", help="Delay of each answer, for example 250ms or 1s.")]
RateLimits = Annotated[bool, typer.Option("--rate-limits", help="Refuse calls above the limits of the vendors.")]
Faults = Annotated[Path | None, typer.Option("--faults", help="A TOML or JSON file that says which calls fail.")]
History = Annotated[bool, typer.Option("--history", help="Also what people did before their deals of two years.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the sandbox running afterwards.")]
Folder = Annotated[Path, typer.Option("--folder", help="The folder for the config and the state of the demo.")]


def sandbox(
    port: Port = 8_400,
    people: People = 2_000,
    seed: Seed = 1,
    latency: Latency = "0ms",
    rate_limits: RateLimits = False,
    faults: Faults = None,
    history: History = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run both CRMs on this machine, with invented people, until it is stopped.

    The HubSpot token is sandbox-token; the Salesforce client id and the client secret are sandbox.

    Example: crmsync sandbox --port 8400 --people 2000 --seed 1
    """
    from connectors.sandbox import faults as scripts
    from connectors.sandbox.server import run_sandbox

    with run_command(as_json, debug) as ending:
        script = scripts.load_script(faults) if faults else []
        run_sandbox(
            people,
            seed,
            port,
            _seconds(latency),
            rate_limits,
            script,
            partial(print_sentences, messages_console() if as_json else results_console()),
            history,
        )
        ending.document = {"stopped": True}


def _seconds(latency: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", latency.strip())
    if not found:
        raise ConfigError(f"--latency {latency!r}: write for example 250ms or 1s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def demo(
    people: People = demonstrating.PEOPLE,
    seed: Seed = demonstrating.SEED,
    keep: Keep = False,
    folder: Folder = demonstrating.FOLDER,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show everything on this machine: both CRMs, a config, score fields, a backfill, and a second sync run.

    Example: crmsync demo --people 2000 --seed 1 --keep
    """
    with (
        run_command(as_json, debug, folder / "config.toml") as ending,
        raise_stop_on_signals(1, ending.cut_off) as stop,
    ):
        with steps_bar(messages_console(), demonstrating.STEPS) as begin:
            ending.document = demonstrating.run_demo(folder, people, seed, keep, stop, begin, program_name())
        ending.code = ending.document.pop("exit_code")
        if not as_json:
            print_demo(results_console(), ending.document)
