"""The command alert, and alerts of runs that could not begin."""

from __future__ import annotations

from typing import Annotated

import typer

from crmsync.bootstrap import opened_state
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    opened_config,
    results_console,
    run_command,
)
from crmsync.config import Config
from crmsync.config.alerts import name_url, read_urls
from crmsync.errors import ConfigError, CrmsyncError, StateError
from crmsync.exit_codes import FAILED, outcome_of
from crmsync.reporting.alerts import UNTOLD, Spoken, send_alerts
from crmsync.reporting.console import print_sentences
from crmsync.reporting.sinks import Message, call_addresses

Test = Annotated[bool, typer.Option("--test", help="Send a test message to each address.")]

NONE_SET = (
    "no alerts are set up; set CRMSYNC_ALERTS__URLS in the environment, or write a file of that name into the secrets "
    "folder, for example slack://TokenA/TokenB/TokenC/#revops"
)


def alert(
    test: Test = False, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False
) -> None:
    """Send a test message to each address of alerts, and say for each whether it took it. What lasts is in status.

    Example: crmsync alert --test
    """
    if not test:
        raise typer.BadParameter("to send a test message, add --test; what is wrong is in crmsync status")
    with run_command(as_json, debug, config, "crmsync alert --test") as ending:
        urls = read_urls(opened_config(ending).alerts)
        if not urls:
            raise ConfigError(NONE_SET)
        said = "This is a test. crmsync tells you here when something is wrong, and when it is over."
        down = call_addresses(dict.fromkeys(urls, Message("crmsync: test", [said], good=True)))
        ending.document = {
            "sinks": [{"sink": name_url(url), "ok": url not in down, "why": down.get(url, "")} for url in urls]
        }
        ending.code = FAILED if down else 0
        for each in () if as_json else ending.document["sinks"]:
            print_sentences(results_console(), f"{each['sink']}: {'sent' if each['ok'] else 'failed: ' + each['why']}")


def send_failure(config: Config, spoken: Spoken, error: CrmsyncError) -> None:
    """Tell that a run could not even begin; by its own memory where the state cannot be opened."""
    if isinstance(error, UNTOLD):
        return
    try:
        with opened_state(config) as store:
            send_alerts(config, store, spoken, outcome_of(error))
    except (ConfigError, StateError):
        send_alerts(config, None, spoken, outcome_of(error))
