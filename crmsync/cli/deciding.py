"""The command that says where somebody goes: route."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from crmsync.bootstrap import existing_state
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    WHO,
    AsJson,
    ConfigPath,
    Debug,
    opened_config,
    results_console,
    run_command,
)
from crmsync.reporting.print_route import print_route
from crmsync.reporting.route import route_document

Somebody = Annotated[str, WHO]


def route(who: Somebody, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show where a person goes: each route and why, whose turn it is, and what would have sent them elsewhere.

    It looks at the state of the last run with the routes of the file as it is now. Nothing is written.

    Example: crmsync route vera@kestrel.example
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with existing_state(settings) as store:
            ending.document = route_document(settings, store, who, datetime.now(UTC))
        if not as_json:
            print_route(results_console(), ending.document)
