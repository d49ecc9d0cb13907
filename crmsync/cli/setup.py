"""The commands before the first run: check, setup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from crmsync.bootstrap import connect_one, has_state, opened_state
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    messages_console,
    opened_config,
    print_json,
    results_console,
    run_command,
)
from crmsync.config import Config
from crmsync.config.json_schema import make_schema
from crmsync.connector import Stop
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.doctor import diagnose
from crmsync.errors import ConfigError, Unavailable
from crmsync.exit_codes import DONE, FAILED, PARTLY, WRONG
from crmsync.reporting.console import print_sentences, steps_bar
from crmsync.reporting.print_status import print_check
from crmsync.store import journal
from crmsync.store.pausing import refuse_while_paused
from crmsync.store.sql import to_ms

Online = Annotated[bool, typer.Option("--online", help="Also check each CRM: log-in, scopes, fields, limits, owners.")]
Schema = Annotated[bool, typer.Option("--schema", help="Only print the JSON schema of the config, for editors.")]


def check(
    online: Online = False,
    schema: Schema = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check the config: all errors at once, the test leads, and warnings about the model.

    Example: crmsync check --online
    """
    if schema:
        print_json(make_schema())
        return
    with run_command(as_json, debug, config, "crmsync check") as ending:
        settings = opened_config(ending)
        with raise_stop_on_signals(1, ending.cut_off) as stop:
            found = diagnose(settings, datetime.now(UTC), stop if online else None, config)
        ending.document = {"config": str(config), **found}
        ending.code = _code_of_check(found)
        if not as_json:
            print_check(results_console(), ending.document)


def _code_of_check(found: Mapping[str, Any]) -> int:
    """Wrong where somebody must mend something; failed where all that is known is that a CRM was not reached."""
    if found["ok"]:
        return DONE
    return (
        WRONG
        if found["problems"] or any(each["problems"] for each in (*found["crms"].values(), *found["events"].values()))
        else FAILED
    )


def setup(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Create the missing score fields in each CRM. You can repeat it at any time.

    Example: crmsync setup
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        _refuse_while_paused(settings)
        with (
            raise_stop_on_signals(1, ending.cut_off) as stop,
            steps_bar(messages_console(), len(settings.crms)) as begin,
        ):
            said = {}
            for crm in settings.crms:
                begin(crm)
                said[crm] = _created(settings, crm, stop)
            _try_again(settings)
        ending.document = {"crms": {crm: list(sentences) for crm, (sentences, _bad) in said.items()}}
        codes = [code for _sentences, code in said.values()]
        ending.code = PARTLY if any(codes) and DONE in codes else max(codes, default=WRONG)
        if WRONG in codes:
            ending.document["next"] = ending.typed("crmsync check --online")
        if not as_json:
            _print_created(ending.document)


def _refuse_while_paused(settings: Config) -> None:
    """Fields are the CRM's, too. Raises `Paused`."""
    if has_state(settings):
        with opened_state(settings) as store:
            refuse_while_paused(store, to_ms(datetime.now(UTC)))


def _print_created(document: Mapping[str, Any]) -> None:
    for crm, sentences in document["crms"].items():
        for sentence in sentences:
            print_sentences(results_console(), sentence if sentence.startswith(f"{crm}: ") else f"{crm}: {sentence}")
    if following := document.get("next"):
        results_console().print(f"Next: {following}", soft_wrap=True)


def _try_again(settings: Config) -> None:
    """What a CRM rejected because a field was missing is tried again in the next run."""
    if has_state(settings):
        with opened_state(settings) as store, store.begin() as tx:
            journal.unpark_changes(tx, to_ms(datetime.now(UTC)))


def _created(settings: Config, crm: str, stop: Stop) -> tuple[list[str], int]:
    """What was done about one CRM's fields, and the exit code of that."""
    try:
        with connect_one(settings, crm, {}, stop) as connected:
            return list(connected.create_fields()), DONE
    except Unavailable as error:
        return [f"not reached: {error}"], FAILED
    except ConfigError as error:
        return list(error.problems), WRONG
