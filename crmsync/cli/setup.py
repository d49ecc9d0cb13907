"""The commands before the first run: init, check, setup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

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
from crmsync.config import Config, connectors, template
from crmsync.config.json_schema import make_schema
from crmsync.config.mistakes import find_mistakes
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

Only = Annotated[str | None, typer.Option("--only", help="Use only this CRM: hubspot or salesforce.")]
InstanceUrl = Annotated[
    str | None,
    typer.Option("--instance-url", help="Your Salesforce address, for example https://acme.my.salesforce.com"),
]
Online = Annotated[bool, typer.Option("--online", help="Also check each CRM: log-in, scopes, fields, limits, owners.")]
Schema = Annotated[bool, typer.Option("--schema", help="Only print the JSON schema of the config, for editors.")]


def init(
    config: ConfigPath = DEFAULT_CONFIG,
    only: Only = None,
    instance_url: InstanceUrl = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a config with a first scoring model and an explanation of every key. It never overwrites a file.

    Example: crmsync init --instance-url https://acme.my.salesforce.com
    """
    with run_command(as_json, debug, config) as ending:
        if only is not None and only not in connectors():
            raise ConfigError(f"--only {only}: this CRM does not exist; use {' or '.join(sorted(connectors()))}")
        address = None if instance_url is None else _org_address(instance_url, only)
        _write_new(config, template.starter_config(only, address))
        following = [ending.typed(f"crmsync {each}") for each in ("check --online", "setup", "plan")]
        ending.document = {"config": str(config), "next": following}
        if not as_json:
            _say_next(config, only, following)


def _org_address(given: str, only: str | None) -> str:
    """The address as the config would take it. Raises `ConfigError` where it would not."""
    if "salesforce" in template.crms_left_out(only):
        raise ConfigError(f"--instance-url is the address of a Salesforce org; remove --instance-url or --only {only}")
    settings: type[BaseModel] = connectors()["salesforce"].Settings
    try:
        return str(settings.model_validate({"instance_url": given}).model_dump()["instance_url"])
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=True)
        raise ConfigError(
            [f"--instance-url {given}: {each.said}" for each in find_mistakes(details, settings)]
        ) from None


def _write_new(path: Path, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} already exists and was not changed; choose another file with --config") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _say_next(config: Path, only: str | None, following: list[str]) -> None:
    crms = [crm for crm in template.SECRETS if crm not in template.crms_left_out(only)]
    results_console().print(
        f"{config} is written. Read it, and set the secrets as environment variables:\n"
        f"  {', '.join(name for crm in crms for name in template.SECRETS[crm])}\n"
        "No owners are assigned until you name them: [[owner_pool]] and [[route]], near the end of the file.\n"
        "Next:\n"
        f"  {following[0]}   check what is still missing\n"
        f"  {following[1]}   create the score fields in the CRMs\n"
        f"  {following[2]}   see what would be written",
        soft_wrap=True,
    )


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
            found = diagnose(settings, datetime.now(UTC), stop if online else None)
        ending.document = {"config": str(config), **found}
        ending.code = _code_of_check(found)
        if not as_json:
            print_check(results_console(), ending.document)


def _code_of_check(found: Mapping[str, Any]) -> int:
    """Wrong where somebody must mend something; failed where all that is known is that a CRM was not reached."""
    if found["ok"]:
        return DONE
    return WRONG if found["problems"] or any(each["problems"] for each in found["crms"].values()) else FAILED


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
