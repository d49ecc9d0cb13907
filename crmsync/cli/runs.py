"""The commands about what runs did: show, history, undo."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer

from crmsync.alerting.conditions import CONCLUDED
from crmsync.bootstrap import existing_state, looking_on, open_work, opened_state
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    WHO,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    messages_console,
    opened_config,
    results_console,
    run_command,
    says_yes,
)
from crmsync.cli.cycles import TAKEN_UP_IN
from crmsync.config import Config
from crmsync.connector import Stop
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.errors import ConfigError, StateInUse
from crmsync.exit_codes import DONE, HELD, PARTLY, code_of
from crmsync.reporting.changes import read_names, show_changes
from crmsync.reporting.console import print_sentences, progress_bar
from crmsync.reporting.editors import ask_editors
from crmsync.reporting.history import person_history
from crmsync.reporting.print_changes import print_changes, print_history, print_undo
from crmsync.reporting.undone import draft_document, undo_document
from crmsync.store import run_journal
from crmsync.store.database import held_by
from crmsync.store.sql import to_ms
from crmsync.store.undone import drop_request, request_undo, undos_of
from crmsync.undo import OPEN_STILL, find_undoable, preview_undo, undo_run

RunShown = Annotated[
    str, typer.Argument(metavar="RUN", help="The id of a run or plan, or latest; crmsync status lists them.")
]
RunUndone = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run; crmsync status lists them.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Undo without being asked.")]
Whose = Annotated[str | None, WHO]
Who = Annotated[str, WHO]


def show(
    run: RunShown,
    who: Whose = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show every change of a run or plan, field by field: before, after, how it ended, and why.

    Example: crmsync show latest

    Example: crmsync show 20261121-204500-1f3a vera@kestrel.example
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with existing_state(settings) as store:
            ending.document = show_changes(settings, store, run, who, ending.typed)
        if not as_json:
            found = ending.document
            held = ending.typed(f"crmsync show {found['held']}")
            print_changes(results_console(), found, held)


def history(
    who: Who,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what somebody's score, stage and owner were: when, by which run and model, why, and who else changed them.

    Who that was is asked of HubSpot where somebody else changed something; nothing is written.

    Example: crmsync history vera@kestrel.example
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with existing_state(settings) as store:
            ask = None if store is None else partial(ask_editors, settings, store)
            ending.document = person_history(settings, store, who, ask)
        if not as_json:
            print_history(results_console(), ending.document)


def undo(
    run: RunUndone,
    yes: Yes = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Put back what a run wrote, field by field, where the CRMs still hold it; what somebody changed since is left.

    What was undone is not written again by the next run: it waits as a plan until the config changes or you approve it.
    On a terminal it shows what would be restored, and asks. If `crmsync run` is running, that process does it.

    Example: crmsync undo 20261121-204500-1f3a
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with raise_stop_on_signals(1, ending.cut_off) as stop:
            with existing_state(settings) as store:
                if store is None:
                    raise ConfigError("No run yet, so there is nothing to undo", "crmsync plan")
                with store.read() as reading:
                    found = run_journal.find_run(reading, run)
                    find_undoable(found, run)
                    # With nobody at it, it was killed.
                    if found.verdict == "running" and held_by(store) is not None:
                        said = f"run {run} is still in progress; undo it when it has ended"
                        raise ConfigError(said, "crmsync status")
                    is_again = any(row.verdict in CONCLUDED for row in undos_of(reading, run))
            if (
                not (yes or as_json)
                and sys.stdin.isatty()
                and not _is_agreed(ending, settings, run, stop, is_again=is_again)
            ):
                return
            ending.document = _undo(settings, run, stop)
        document = ending.document
        ending.code = HELD if document["verdict"] == "held" else code_of(document["verdict"], document["left"])
        if ending.code == PARTLY and is_again and _is_old_news(document):
            ending.code = DONE
        if not as_json:
            print_undo(results_console(), document)


def _is_agreed(ending: Ending, config: Config, run: str, stop: Stop, *, is_again: bool) -> bool:
    """Show what an undo would restore, and ask, unless there is nothing."""
    with progress_bar(messages_console()) as progress, looking_on(config, stop, progress) as work:
        draft, listed, skipped = preview_undo(work, run)
        with work.store.read() as reading:
            document = draft_document(run, draft, listed, skipped, read_names(reading, run))
    print_undo(results_console(), document)
    if not draft.restoring:
        ending.code = DONE if not draft.left or (is_again and _is_old_news(document)) else PARTLY
        return False
    if says_yes(f"Undo run {run}?"):
        return True
    print_sentences(results_console(), "Nothing was written.")
    ending.code = HELD
    return False


def _is_old_news(document: Mapping[str, Any]) -> bool:
    """Whether an undo restored nothing, and what it left was left, and told, the last time."""
    is_open = (
        document["skipped"] or document["problems"] or any(each["reason"] == OPEN_STILL for each in document["left"])
    )
    return not (document["restored"] or is_open)


def _undo(config: Config, run: str, stop: Stop) -> dict[str, Any]:
    """Undo a run; where somebody else works on the state, wait for them to do it or to leave."""
    known: set[str] | None = None
    for _second in range(TAKEN_UP_IN):
        try:
            with (
                progress_bar(messages_console()) as progress,
                open_work(config, "crmsync undo", stop, progress) as work,
            ):
                return undo_document(work.store, undo_run(work, run).run)
        except StateInUse as error:
            holder = error.holder
        with opened_state(config) as store:
            with store.read() as reading:
                found = [row for row in undos_of(reading, run) if known is not None and row.id not in known]
                asked = {row.id for row in undos_of(reading, run)}
            ended = next((row for row in found if row.verdict != "running"), None)
            if ended is not None:
                return undo_document(store, ended.id)
            if known is None:
                known = asked
                with store.begin() as writing:
                    request_undo(writing, run, to_ms(datetime.now(UTC)))
        if stop.wait(1.0):
            break
    if not holder.startswith(("crmsync run", "another")):
        # Only a daemon is asked; a command that takes long undoes nothing.
        with opened_state(config) as store, store.begin() as writing:
            drop_request(writing, run)
        raise StateInUse(holder)
    said = f"Asked for, but not done yet: {holder} is running, and undoes run {run} next."
    return {**NOT_YET, "undoes": run, "problems": [said]}


NOT_YET: Mapping[str, Any] = {
    "run": None, "verdict": "held", "restored": [], "left": [], "skipped": {}, "notes": [],
}  # fmt: skip
"""The document of an undo that another process is asked for."""
