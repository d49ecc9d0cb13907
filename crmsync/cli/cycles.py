"""The commands that run a cycle: plan, sync, apply, backfill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from crmsync.cli.frame import DEFAULT_CONFIG, AsJson, ConfigPath, Debug, Ending, err, opened_config, out, told
from crmsync.config import Config
from crmsync.cycle import apply_run, cycle
from crmsync.ending import code_of
from crmsync.errors import CrmsyncError, StateError
from crmsync.report import in_order, print_review, print_run, print_troubles, progress_bar
from crmsync.result import Result, Work
from crmsync.review import review
from crmsync.stopping import stoppable
from crmsync.store import asked, journal
from crmsync.workplace import at_work

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The name of the run, as `crmsync plan` printed it.")]


def plan(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Pull and score, and show what would change. Nothing is written to a CRM.

    The plan is kept: apply exactly what you saw with `crmsync apply RUN`.

    Example: crmsync plan
    """
    _run("plan", lambda work: cycle(work, "plan", dry=True), config, as_json, debug)


def sync(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Run one cycle: pull what is new, score, route, write what differs.

    Example: crmsync sync --json
    """
    _run("sync", lambda work: cycle(work, "sync"), config, as_json, debug)


def backfill(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Run a cycle that pulls everything, not only what is new.

    It can be stopped at any moment; run it again and it goes on where it was.

    Example: crmsync backfill
    """
    _run("backfill", lambda work: cycle(work, "backfill", full=True), config, as_json, debug)


def apply(run: RunId, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Write a plan that you have seen: one of `crmsync plan`, or one that was too large to be written unseen.

    Example: crmsync apply 20261121-204500-1f3a
    """
    _run("apply", lambda work: apply_run(work, run), config, as_json, debug, run)


def _run(
    command: str, act: Callable[[Work], Result], path: Path, as_json: bool, debug: bool, run_id: str | None = None
) -> None:
    with told(as_json, debug, path) as ending:
        config = opened_config(ending)
        with stoppable(1, ending.cut_off) as stop:
            try:
                with progress_bar(err()) as progress, at_work(config, f"crmsync {command}", stop, progress) as work:
                    ending.document = _done(work, act, run_id)
            except _Ended as ended:
                ending.document = ended.document
                _show(ending, config)
                raise ended.error from None
        ending.code = code_of(ending.document["verdict"], ending.document["problems"])
        _show(ending, config)


class _Ended(Exception):
    """A cycle that raised, with the document of what it did until then."""

    def __init__(self, document: dict[str, Any], error: Exception) -> None:
        self.document, self.error = document, error
        super().__init__(str(error))


def _done(work: Work, act: Callable[[Work], Result], run_id: str | None) -> dict[str, Any]:
    try:
        result = act(work)
    except CrmsyncError as error:
        raise _Ended(_whole(work, _stored(work, run_id)), error) from error
    return _whole(work, result.as_json())


def _whole(work: Work, document: dict[str, Any]) -> dict[str, Any]:
    """The document of a run with its bands in order, and what it changed or would change."""
    if not document:
        return document
    bands = in_order(document["bands"], work.config.band_names())
    return {**document, "bands": bands, "changes": _changes(work, document["run"])}


def _stored(work: Work, run_id: str | None) -> dict[str, Any]:
    """What a run that raised has left: its row in the journal, if it came so far."""
    try:
        with work.store.read() as reading:
            recent = journal.recent_runs(reading, 1)
    except StateError:
        return {}
    ours = [each for each in recent if each.id == run_id or (run_id is None and each.started == work.now_ms)]
    if not ours:
        return {}
    unfinished = {"run": ours[0].id, "verdict": "failed", "crms": {}, "bands": {}}
    return unfinished if ours[0].verdict == "running" else dict(orjson.loads(ours[0].result))


def _changes(work: Work, run_id: str) -> dict[str, Any]:
    with work.store.read() as reading:
        found = review(journal.rows_of(reading, run_id))
        names = asked.names_of(reading, [row.contact for _moved, row in found.movers])
    return found.as_json(names)


def _show(ending: Ending, config: Config) -> None:
    document = ending.document
    if ending.as_json or not document.get("crms"):
        return
    console = out()
    print_run(console, document)
    print_troubles(console, document["changes"]["troubles"])
    if document["verdict"] in ("dry", "unsafe"):
        print_review(console, document["changes"], config.band_names())
    console.print(_last_sentence(ending, document), soft_wrap=True)


def _last_sentence(ending: Ending, document: Mapping[str, Any]) -> str:
    planned, kept = (sum(each[name] for each in document["crms"].values()) for name in ("planned", "kept"))
    run, writing = document["run"], ending.typed(f"crmsync apply {document['run']}")
    match document["verdict"]:
        case "dry" if planned and document["guard"]:
            return "\n".join(["A sync would hold this plan back:", *document["guard"], f"To write it: {writing}"])
        case "dry" if planned:
            return f"Nothing was written. To write this plan: {writing}"
        case "dry":
            return "Nothing differs: there is nothing to write."
        case "ok":
            return f"Done: {kept:,} records written in run {run}."
        case "partial" if planned == kept:
            return f"Done in part, because a CRM sat out: {kept:,} records written in run {run}."
        case "partial":
            return f"Done in part: {kept:,} of {planned:,} records written; the next sync takes up the rest."
    return f"Run {run} ended {document['verdict']}; {kept:,} records written."
