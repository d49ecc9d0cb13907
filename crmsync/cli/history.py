"""What `backfill --history` reads: the former values of fields that the CRMs keep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from crmsync.bootstrap import open_work
from crmsync.cli.command import messages_console, opened_config, results_console, run_command
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.exit_codes import DONE, PARTLY
from crmsync.pull_history import HistoryResult, pull_history
from crmsync.reporting.console import count_of, print_sentences, progress_bar


def read_history(config: Path, as_json: bool, debug: bool) -> None:
    """Ask the CRMs for former values, and say how many came."""
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with (
            raise_stop_on_signals(1, ending.cut_off) as stop,
            progress_bar(messages_console()) as progress,
            open_work(settings, "crmsync backfill --history", stop, progress) as work,
        ):
            ending.document = _document(pull_history(work))
        ending.code = PARTLY if ending.document["problems"] else DONE
        if not as_json:
            _print_history(results_console(), ending.document)


def _document(result: HistoryResult) -> dict[str, Any]:
    crms = {
        crm: {"records": each.records, "values": each.values, "fields": list(each.fields)}
        for crm, each in result.crms.items()
    }
    return {"crms": crms, "notes": result.notes, "problems": result.problems}


def _print_history(console: Console, document: Mapping[str, Any]) -> None:
    for crm, each in document["crms"].items():
        came = f"{count_of(each['values'], 'former value')} of {count_of(each['records'], 'record')}"
        kept = f"; it keeps a history of {', '.join(each['fields'])}" if each["fields"] else ", since it keeps none"
        print_sentences(console, f"{crm}: {came} read{kept}.")
    for sentence in (*document["notes"], *document["problems"]):
        print_sentences(console, f"{sentence}.")
