"""The commands that run and write: sync, apply, backfill."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from sqlalchemy import Connection

from crmsync.bootstrap import open_work, opened_state
from crmsync.cli.alerting import send_failure
from crmsync.cli.command import (
    DEFAULT_CONFIG,
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
from crmsync.cli.git_log import note_file_commit
from crmsync.cli.history import read_history
from crmsync.config import Config
from crmsync.connector import Stop
from crmsync.cycle import run_cycle
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.errors import ConfigError, CrmsyncError, StateError, StateInUse
from crmsync.exit_codes import HELD, code_of, outcome_of
from crmsync.planning.approval import find_plan, plan_of
from crmsync.planning.builder import NOT_PLANNED
from crmsync.planning.review import changes_of
from crmsync.reporting.alerts import UNTOLD, Spoken, send_alerts
from crmsync.reporting.console import count_of, count_waiting, in_order, print_sentences, progress_bar, say_command
from crmsync.reporting.plan_report import stored_report
from crmsync.reporting.print_plan import print_plan
from crmsync.reporting.print_run import print_approved, print_run, print_troubles
from crmsync.result import Result
from crmsync.store import run_journal
from crmsync.store.database import Store
from crmsync.store.future import LEEWAY
from crmsync.store.pausing import refuse_while_paused
from crmsync.store.sql import to_ms
from crmsync.work import Work

RunId = Annotated[str | None, typer.Argument(metavar="RUN", help="The id of a plan; by default the plan that waits.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Approve without being asked.")]

History = Annotated[
    bool,
    typer.Option("--history", help="Only read the former values of fields that the CRMs keep; nothing is written."),
]

TAKEN_UP_IN = 120
"""Seconds for which apply waits until the worker that holds the state has written what was approved."""


def sync(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Run once: pull what is new, score, assign owners, and write the differences.

    Example: crmsync sync --json
    """
    _run("sync", lambda work: run_cycle(work, "sync"), config, as_json, debug)


def backfill(
    yes: Yes = False,
    history: History = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run once and pull everything, not only what is new. With --yes no plan waits for approval.

    You can stop it at any time. Run it again, and it continues where it stopped.

    With --history, only read what the CRMs still know of former values of fields: explain --at and evaluate use it.

    Example: crmsync backfill

    Example: crmsync backfill --history
    """
    if history:
        read_history(config, as_json, debug)
        return
    _run("backfill", lambda work: run_cycle(work, "backfill", full=True, approved=yes), config, as_json, debug)


def apply(
    run: RunId = None,
    yes: Yes = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Approve a plan, and write the values that are right now: at most 10 % more records than you saw.

    Without RUN it shows the plan that waits, and asks. If `crmsync run` is running, that process writes the plan.

    Example: crmsync apply 20261121-204500-1f3a
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with raise_stop_on_signals(1, ending.cut_off) as stop:
            with opened_state(settings) as store:
                refuse_while_paused(store, _now_ms())
                with store.read() as reading:
                    found = find_plan(reading, settings.decision_hash(), run, _now_ms())
                if found is None:
                    _say_nothing_waits(ending)
                    return
                if run is None and not yes and not _is_agreed(ending, store, settings, found):
                    return
                with store.begin() as tx:
                    # Another plan may have taken its place while somebody was asked.
                    if not run_journal.approve_plan(tx, found.id, _now_ms(), getpass.getuser()):
                        raise ConfigError(f"plan {found.id} does not wait for approval any longer", "crmsync apply")
            # With the state closed: the run opens it again, as its writer.
            _write_approved(found, settings, ending, stop)


def _write_approved(found: Any, config: Config, ending: Ending, stop: Stop) -> None:
    """Write what was approved; where somebody else works on the state, wait for them to do it or to leave."""
    for _second in range(TAKEN_UP_IN):
        try:
            _run_andshow_run("apply", lambda work: run_cycle(work, "apply"), config, ending, stop)
            return
        except StateInUse as error:
            holder = error.holder
        with opened_state(config) as store, store.read() as reading:
            # Only a daemon goes on with an old config; a command ends, and then the next attempt writes.
            if holder.startswith(("crmsync run", "another")) and _is_left_to_successor(reading, found):
                said = (
                    f"Approved. {holder} still uses the config it was started with; restart it, and it writes the plan."
                )
                _say_approved(ending, found, said)
                return
            if taken := _run_that_took_up(reading, found.id):
                ending.document = complete_document(store, config, taken)
                ending.code = code_of(taken["verdict"], taken["problems"])
                break
        if stop.wait(1.0):
            break
    else:
        _say_approved(
            ending, found, f"Approved, but not written yet: {holder} is running; the next run writes the plan."
        )
        return
    show_run(ending, config)


def _is_left_to_successor(reading: Connection, found: Any) -> bool:
    """Whether the daemon on this state was started with another config than the plan's, and never writes it."""
    return plan_of(found)["kind"] != "data" and run_journal.worker_config(reading) not in ("", found.config)


def _run_that_took_up(reading: Connection, plan_id: str) -> dict[str, Any]:
    """The result of the run that wrote an approved plan; empty until it has ended."""
    for row in run_journal.recent_runs(reading, 5, _now_ms() + LEEWAY):
        result: dict[str, Any] = orjson.loads(row.result)
        if plan_id in (result.get("approved") or {}).get("plans", ()) and row.verdict != "running":
            return result
    return {}


def _say_approved(ending: Ending, found: Any, sentence: str) -> None:
    ending.document = {"run": found.id, "verdict": "held", "held": None, "problems": [sentence], "crms": {}}
    ending.code = HELD
    if not ending.as_json:
        print_sentences(results_console(), sentence)


def _now_ms() -> int:
    return to_ms(datetime.now(UTC))


def _say_nothing_waits(ending: Ending) -> None:
    ending.document = {"verdict": "ok", "held": None, "crms": {}, "problems": []}
    if not ending.as_json:
        print_sentences(results_console(), "No plan waits for approval. To see what a run would write:")
        say_command(results_console(), ending.typed("crmsync plan"))


def _is_agreed(ending: Ending, store: Store, config: Config, found: Any) -> bool:
    """Show a plan and ask; where nobody can be asked, say what to type."""
    written = plan_of(found)
    command = ending.typed(f"crmsync apply {found.id}")
    held = {"run": found.id, "kind": written["kind"], "reasons": written["reasons"], "records": written["records"]}
    held["changes"] = _waiting_changes(store, config, found.id)
    ending.document = {"verdict": "held", "held": held, "crms": {}, "problems": written["reasons"], "next": command}
    if not ending.as_json:
        _print_waiting(ending, held)
        for reason in written["reasons"]:
            print_sentences(results_console(), reason)
    if not ending.as_json and sys.stdin.isatty() and says_yes(f"Write plan {found.id}?"):
        ending.document = {}
        return True
    if not ending.as_json:
        print_sentences(results_console(), "Nothing was written. To approve this plan:")
        say_command(results_console(), command)
    ending.code = HELD
    return False


def _run(command: str, act: Callable[[Work], Result], path: Path, as_json: bool, debug: bool) -> None:
    with run_command(as_json, debug, path) as ending:
        config = opened_config(ending)
        with raise_stop_on_signals(1, ending.cut_off) as stop:
            _run_andshow_run(command, act, config, ending, stop)


def _run_andshow_run(command: str, act: Callable[[Work], Result], config: Config, ending: Ending, stop: Stop) -> None:
    try:
        with (
            progress_bar(messages_console()) as progress,
            open_work(config, f"crmsync {command}", stop, progress) as work,
        ):
            ending.document = _done(work, act, Spoken(ending.typed, {}), ending.config)
    except _Ended as ended:
        ending.document = ended.document
        skipped = [f"{crm}: {why}" for crm, why in ended.document.get("skipped", {}).items()]
        show_run(ending, config, told=[*skipped, str(ended.error)])
        raise ended.error from None
    except CrmsyncError as error:
        send_failure(config, Spoken(ending.typed, {}), error)
        raise
    ending.code = code_of(ending.document["verdict"], ending.document["problems"])
    if held := ending.document["held"]:
        ending.document["next"] = ending.typed(f"crmsync apply {held['run']}")
    show_run(ending, config)


class _Ended(Exception):
    """A run that raised, with the document of what it did until then."""

    def __init__(self, document: dict[str, Any], error: Exception) -> None:
        self.document, self.error = document, error
        super().__init__(str(error))


def _done(work: Work, act: Callable[[Work], Result], spoken: Spoken, path: Path) -> dict[str, Any]:
    try:
        result = act(work)
    except Exception as error:
        if not isinstance(error, UNTOLD):
            send_alerts(work.config, work.store, spoken, outcome_of(error))
        if not isinstance(error, CrmsyncError):
            raise
        raise _Ended(complete_document(work.store, work.config, _stored(work)), error) from error
    note_file_commit(path, work.config, work.store)
    send_alerts(work.config, work.store, spoken)
    return complete_document(work.store, work.config, result.as_json())


def complete_document(store: Store, config: Config, document: dict[str, Any]) -> dict[str, Any]:
    """The document of a run with its bands in order, and what it changed or would change."""
    if not document:
        return document
    bands = in_order(document["bands"], config.band_names())
    whole = {**document, "bands": bands, "changes": _changes(store, document["run"])}
    if held := document.get("held"):
        whole["held"] = {**held, "changes": _waiting_changes(store, config, held["run"])}
    return whole


def _waiting_changes(store: Store, config: Config, plan_id: str) -> dict[str, Any]:
    """What a plan that waits would change, with its report."""
    with store.read() as reading:
        return {**changes_of(reading, plan_id), "report": stored_report(reading, config, plan_id, datetime.now(UTC))}


def _print_waiting(ending: Ending, held: Mapping[str, Any]) -> None:
    show = ending.typed(f"crmsync show {held['run']}")
    print_plan(results_console(), held["changes"]["report"], held, show)


def _stored(work: Work) -> dict[str, Any]:
    """What a run that raised has left: its row in the journal, if it came so far."""
    try:
        with work.store.read() as reading:
            recent = run_journal.recent_runs(reading, 1, work.now_ms)
    except StateError:
        return {}
    # The newest run may be somebody else's.
    ours = [each for each in recent if each.started == work.now_ms]
    if not ours:
        return {}
    unfinished = {"run": ours[0].id, "verdict": "failed", "crms": {}, "bands": {}}
    return unfinished if ours[0].verdict == "running" else dict(orjson.loads(ours[0].result))


def _changes(store: Store, run_id: str) -> dict[str, Any]:
    with store.read() as reading:
        return changes_of(reading, run_id)


def show_run(ending: Ending, config: Config, told: Sequence[str] = ()) -> None:
    """Print how a run ended; the error that follows has `told` some of its problems."""
    document = ending.document
    if ending.as_json or not document.get("crms"):
        return
    document = {**document, "problems": [each for each in document["problems"] if each not in told]}
    console = results_console()
    print_run(console, document)
    if document["approved"]:
        print_approved(console, document["approved"])
    print_troubles(console, document["changes"]["troubles"])
    if report := document["changes"].get("report"):
        print_plan(console, report, document, ending.typed(f"crmsync show {document['run']}"))
    elif document["verdict"] == "held":
        _print_waiting(ending, document["held"])
    sentence, command = _last_words(document)
    print_sentences(console, sentence)
    if command:
        say_command(console, ending.typed(command))


def _last_words(document: Mapping[str, Any]) -> tuple[str, str]:
    """How it ended in a sentence, and the command that comes next where there is one."""
    count = {name: sum(each[name] for each in document["crms"].values()) for name in ("planned", "updated", "partly")}
    written = f"{count['updated']:,} of {count_of(count['planned'], 'record')} updated"
    written += f", {count['partly']:,} partly" if count["partly"] else ""
    run, writing = document["run"], f"crmsync apply {document['run']}"
    match document["verdict"]:
        case "preview" if count["planned"] and document["guard"]:
            said = ["A run would hold this plan for approval:", *document["guard"], "To approve it:"]
            return "\n".join(said), writing
        case "preview" if count["planned"]:
            return "Nothing was written. To write this plan:", writing
        case "preview" if document["skipped"]:
            looked_at = [crm for crm in document["crms"] if crm not in document["skipped"]]
            unseen = " and ".join(document["skipped"])
            return f"There is nothing to write in {' and '.join(looked_at)}. {unseen} could not be checked.", ""
        case "preview" if any(note.startswith(NOT_PLANNED) for note in document["notes"]):
            waits = "There is nothing else to write: what was undone is held for approval by each sync run. To see it:"
            return waits, "crmsync status"
        case "preview":
            return "There is nothing to write: the CRMs already hold the right values.", ""
        case "ok":
            return f"Succeeded: {count_of(count['updated'], 'record')} updated in run {run}.", ""
        case "partial":
            return f"Completed with errors: {written} in run {run}.", ""
        case "held":
            held = document["held"]
            waits = f"Held for approval: {count_waiting(held['records'])}. To approve:"
            done = f"{written} in run {run}" if count["planned"] else f"Run {run} wrote nothing"
            return f"{done}. {waits}", f"crmsync apply {held['run']}"
    return f"Run {run} failed: {written}.", ""
