"""The commands that keep a worker's house: pause, resume, backup, restore."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from crmsync.bootstrap import has_state, opened_state, say_landing, state_to_keep
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    check_output,
    messages_console,
    opened_config,
    read_instant,
    results_console,
    run_command,
)
from crmsync.config.tables import DURATION, read_duration
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.errors import ConfigError
from crmsync.reporting.console import (
    count_of,
    format_minute,
    make_printable,
    print_sentences,
    progress_bar,
    say_command,
)
from crmsync.reporting.status import pause_document
from crmsync.store.backup import opened_backup, save_backup
from crmsync.store.pausing import begin_pause, end_pause
from crmsync.store.restoring import is_empty, restore_state
from crmsync.store.sql import from_ms, to_ms

Until = Annotated[
    str | None,
    typer.Option("--until", help="When it ends by itself: an instant such as 2026-11-22T08:00:00+01:00, or 2h."),
]
Why = Annotated[str, typer.Option("--why", help="Why, for everybody who meets the pause.")]

LONGEST_WHY = 500


def pause(
    until: Until = None,
    why: Why = "",
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Stop all writing to the CRMs, by `crmsync run` and by hand, until the end or until `crmsync resume`.

    A run under way sends nothing more. crmsync plan, explain and status go on. A second pause changes the end.

    Example: crmsync pause --until 2h --why "Salesforce is being migrated"
    """
    with run_command(as_json, debug, config) as ending:
        settings, now = opened_config(ending), datetime.now(UTC)
        end = None if until is None else _end_of(until, now)
        if len(why) > LONGEST_WHY:
            raise ConfigError(f"--why has {len(why):,} characters; write at most {LONGEST_WHY}")
        with opened_state(settings) as store, store.begin() as writing:
            begun = begin_pause(writing, to_ms(now), None if end is None else to_ms(end), " ".join(why.split()))
        ending.document = {"paused": pause_document(begun)}
        if not as_json:
            print_sentences(results_console(), f"{make_printable(begun.sentence())}. To write again:")
            say_command(results_console(), ending.typed("crmsync resume"))


def _end_of(written: str, now: datetime) -> datetime:
    """The instant at which a pause ends. Raises `ConfigError` where none is meant that is still to come."""
    try:
        end = now + read_duration(written)
    except ValueError:
        if re.fullmatch(DURATION, written):
            raise ConfigError(f"--until {written} is too far away") from None
        end = read_instant("--until", written, ", or 2h")
    if end <= now:
        raise ConfigError(f"--until {written} has passed; name an instant that is still to come, for example 2h")
    return end


def resume(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """End a pause: from now on crmsync writes again. If `crmsync run` is running, it starts a sync run at once.

    Example: crmsync resume
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with opened_state(settings) as store, store.begin() as writing:
            was_paused = end_pause(writing, to_ms(datetime.now(UTC)))
        ending.document = {"paused": None, "was_paused": was_paused}
        if not as_json:
            said = "Resumed: crmsync writes again." if was_paused else "It was not paused."
            print_sentences(results_console(), said)


File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
Replace = Annotated[bool, typer.Option("--yes", "-y", help="Replace what is there.")]


def backup(
    file: File,
    yes: Replace = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write the whole state to one file, as of one instant; it works while `crmsync run` is running.

    It has names and addresses, so that it is made for its owner alone; it has no token and no password.

    Example: crmsync backup crmsync-backup.db
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        check_output(file, ending)
        with (
            state_to_keep(settings) as store,
            raise_stop_on_signals(1, ending.cut_off) as stop,
            progress_bar(messages_console()) as told,
        ):
            if store is None:
                raise ConfigError("there is no state yet, so there is nothing to back up", "crmsync plan")
            size = save_backup(store, file, to_ms(datetime.now(UTC)), told, stop, replace=yes)
        ending.document = {"file": str(file), "bytes": size}
        if not as_json:
            print_sentences(results_console(), f"Backup written: {file}, {max(size // 1000, 1):,} kB.")


def restore(
    file: File,
    yes: Replace = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Put a backup in the place of the state; stop `crmsync run` first. Nothing is written to a CRM.

    The next run pulls everything again, and what it would change waits for approval.

    Example: crmsync restore crmsync-backup.db
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        was_there = has_state(settings)
        with (
            opened_backup(file) as source,
            opened_state(settings) as store,
            raise_stop_on_signals(1, ending.cut_off) as stop,
            progress_bar(messages_console()) as told,
        ):
            if was_there and not yes and not is_empty(store):
                raise ConfigError(
                    f"there is a state at {store.url} already, and it was not changed; make a backup of it, and "
                    "restore with --yes to replace it"
                )
            restored = restore_state(source, store, to_ms(datetime.now(UTC)), told, stop, say_landing)
        ending.document = {
            "file": str(file),
            "made_at": from_ms(restored.made_at).isoformat(),
            "rows": restored.rows,
            "next": ending.typed("crmsync plan"),
        }
        if not as_json:
            records, made = count_of(restored.rows["record"], "record"), format_minute(from_ms(restored.made_at))
            print_sentences(results_console(), f"Restored: {records}, as of {made}.")
            print_sentences(
                results_console(),
                "The next run pulls everything again, and what it would change waits for approval. To see it now:",
            )
            say_command(results_console(), ending.document["next"])
