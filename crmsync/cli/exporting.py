"""The commands that move a state to Parquet files and back: export, import."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from crmsync.bootstrap import existing_state, has_state, opened_state, say_landing
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    messages_console,
    opened_config,
    results_console,
    run_command,
)
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.errors import ConfigError
from crmsync.reporting.console import count_of, format_minute, print_sentences, progress_bar, say_command
from crmsync.store.restoring import is_empty, restore_state
from crmsync.store.sql import from_ms, to_ms

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the export.")]


def export(
    folder: Folder,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write the state to Parquet files, as of one instant; it works while `crmsync run` is running.

    people/ has everybody with fields and activities, facts.parquet what they did, scores/ the scores with every line,
    and state/ the rest, for import. The files name people, so that they are made for their owner alone.

    Example: crmsync export warehouse
    """
    from crmsync.batch.export import export_state

    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with (
            existing_state(settings) as store,
            raise_stop_on_signals(1, ending.cut_off) as stop,
            progress_bar(messages_console()) as told,
        ):
            if store is None:
                raise ConfigError("there is no state yet, so there is nothing to export", "crmsync sync")
            done = export_state(settings, store, folder, told, stop)
        ending.document = {"folder": str(folder), **done._asdict(), "at": done.at.isoformat()}
        if not as_json:
            counts = ((done.people, "person"), (done.activities, "activity"), (done.scores, "score"))
            said = ", ".join(count_of(number, what) for number, what in counts)
            print_sentences(results_console(), f"Exported to {folder}: {said}, as of {format_minute(done.at)}.")
            if done.pending:
                new = f"Of {count_of(done.pending, 'person')} there is news that the next run scores."
                print_sentences(results_console(), new)


def import_(
    folder: Folder,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make a state of an export; there must be none yet. Nothing is written to a CRM.

    The next run pulls everything again, and what it would change waits for approval.

    Example: crmsync import warehouse
    """
    from crmsync.batch.state_files import opened_export

    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        was_there = has_state(settings)
        with (
            raise_stop_on_signals(1, ending.cut_off) as stop,
            progress_bar(messages_console()) as told,
            opened_export(folder, told, stop) as source,
            opened_state(settings) as store,
        ):
            if was_there and not is_empty(store):
                said = f"there is a state at {store.url} already, and it was not changed; import into an empty one"
                raise ConfigError(said)
            restored = restore_state(source, store, to_ms(datetime.now(UTC)), told, stop, say_landing)
        ending.document = {
            "folder": str(folder),
            "made_at": from_ms(restored.made_at).isoformat(),
            "rows": restored.rows,
            "next": ending.typed("crmsync plan"),
        }
        if not as_json:
            records, made = count_of(restored.rows["record"], "record"), format_minute(from_ms(restored.made_at))
            print_sentences(results_console(), f"Imported: {records}, as of {made}. To see what a run would change:")
            say_command(results_console(), ending.document["next"])


import_.__name__ = "import"  # a word of Python's own, which no function can be defined as
