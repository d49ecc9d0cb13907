"""The command that explains a score, and the model on a page: explain."""

from __future__ import annotations

from datetime import UTC, datetime
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
)
from crmsync.config import Config
from crmsync.errors import CrmsyncError
from crmsync.reporting import person as explaining
from crmsync.reporting.past_person import explain_person_at
from crmsync.reporting.print_person import print_explanation, print_model, print_past
from crmsync.reporting.tiers import list_tiers
from crmsync.scoring import page_of

Who = Annotated[str | None, WHO]
WholeModel = Annotated[bool, typer.Option("--model", help="Show the whole model on one page instead of a person.")]
AsOf = Annotated[
    str | None, typer.Option("--at", metavar="INSTANT", help="As of this past time, for example 2026-11-21T12:00:00Z.")
]


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
