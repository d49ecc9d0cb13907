"""The command about versions of the model: models."""

from __future__ import annotations

from datetime import UTC, datetime
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
)
from crmsync.errors import ConfigError
from crmsync.reporting.print_models import print_models
from crmsync.reporting.versions import models_document
from crmsync.store.database import Store
from crmsync.store.forgetting import pause_writer
from crmsync.store.sql import to_ms
from crmsync.store.versions import list_model_versions, note_version

LONGEST = 500
"""Characters of a reason or a name."""

What = Annotated[
    str | None, typer.Argument(metavar="[note]", help="note: write down why a version was made, and by whom.")
]
Hash = Annotated[
    str | None, typer.Argument(metavar="[HASH]", help="The version, or how its hash begins; by default the one in use.")
]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Of note: why it was made.")]
Author = Annotated[str | None, typer.Option("--author", metavar="NAME", help="Of note: who made it.")]
Approver = Annotated[str | None, typer.Option("--approver", metavar="NAME", help="Of note: who approved it.")]


def models(
    what: What = None,
    version: Hash = None,
    reason: Reason = None,
    author: Author = None,
    approver: Approver = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the versions of the model that were in use: since when, by whom, why, and what each changed.

    Author and reason come from Git where the config lies in a work tree, the approver from `crmsync apply`. What is
    missing or wrong is noted with `crmsync models note`; it works while `crmsync run` is running.

    Example: crmsync models

    Example: crmsync models note --reason "Webinar leads were accepted twice as often" --approver "Dana"
    """
    noted = {"reason": reason, "author": author, "approver": approver}
    values = {name: " ".join(text.split())[:LONGEST] for name, text in noted.items() if text is not None}
    if what not in (None, "note"):
        raise typer.BadParameter(f"{what!r} is not known; write crmsync models, or crmsync models note")
    if what is None and values:
        raise typer.BadParameter("--reason, --author and --approver go with note: crmsync models note --reason TEXT")
    if what == "note" and not values:
        raise typer.BadParameter("say what to note: --reason, --author or --approver")
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with existing_state(settings) as store:
            if store is None:
                raise ConfigError("No run yet, so there is no version of the model", "crmsync sync")
            found = _note(store, version, values) if what == "note" else None
            with store.read() as reading:
                ending.document = models_document(settings, reading, found)
        if not as_json:
            print_models(results_console(), ending.document, ending.typed)


def _note(store: Store, version: str | None, values: dict[str, str]) -> str:
    """Note it of a version. Returns its hash. Raises `ConfigError` where none begins so."""
    with store.begin() as writing:
        pause_writer(writing)
        versions = list_model_versions(writing)
        meant = [each for each in versions if version is None or each.hash.startswith(version)]
        if not meant:
            named = "" if version is None else f" with a hash that begins with {version!r}"
            raise ConfigError(f"no version of the model{named} was in use", "crmsync models")
        if len({each.hash for each in meant}) > 1 and version is not None:
            raise ConfigError(f"several versions have a hash that begins with {version!r}; write more of it")
        note_version(writing, meant[0].id, to_ms(datetime.now(UTC)), values)
    return meant[0].hash
