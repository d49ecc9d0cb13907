"""The command that looks at what a run would do: plan, in words, as JSON, CSV and HTML."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from crmsync.bootstrap import looking_on
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    check_output,
    messages_console,
    open_output,
    opened_config,
    run_command,
)
from crmsync.cli.cycles import complete_document, show_run
from crmsync.config import Config
from crmsync.cycle import preview_run
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.errors import ConfigError
from crmsync.exit_codes import FAILED, code_of
from crmsync.planning.builder import BuiltPlan
from crmsync.planning.gates import FailCondition, check_gate, parse_gate
from crmsync.reporting.console import print_sentences, progress_bar
from crmsync.reporting.plan_csv import compared_rows, kept_rows, plan_rows, write_plan_csv
from crmsync.reporting.plan_report import plan_counts, plan_report
from crmsync.result import Result
from crmsync.work import Work

FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="EXPR",
        help='Exit with 1 where the plan meets this, for example "mql > +20%" or "changes > 500". May be repeated.',
    ),
]
ToCsv = Annotated[
    Path | None,
    typer.Option(
        "--csv", metavar="FILE", help="Write every change to a CSV file, a row a field; - is standard output."
    ),
]
ToHtml = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a report to one HTML file to read, print and send."),
]

SHOWN_ROWS = 1_000
"""Changes that the HTML report lists; the CSV file has all."""


def plan(
    fail_if: FailIf = None,
    csv: ToCsv = None,
    html: ToHtml = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Pull and score, and show what a run would change. Nothing is written to a CRM.

    It works while `crmsync run` is running. To approve the plan: `crmsync apply RUN`.

    --fail-if takes NAME > N, with >, <, >= or <=, where NAME is a band, stage:NAME, changes (records to update),
    owners (people who get another owner) or people (whom the plan changes). With a sign N is growth against what the
    CRMs hold; with % it is a share. The plan is stored all the same.

    Example: crmsync plan

    Example: crmsync plan --html plan.html --csv plan.csv

    Example: crmsync plan --fail-if "mql > +20%" --fail-if "owners > 50"
    """
    outputs = [each for each in (csv, html) if each is not None]
    if as_json + sum(str(each) == "-" for each in outputs) > 1:
        raise typer.BadParameter("only one of --json, --csv - and --html - can be on standard output")
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        stages = dict.fromkeys([*(each.name for each in settings.stage), *settings.lifecycle.crm_owned])
        gates = [parse_gate(each, settings.band_names(), list(stages)) for each in fail_if or ()]
        _check_outputs(outputs, ending)
        with (
            raise_stop_on_signals(1, ending.cut_off) as stop,
            progress_bar(messages_console()) as progress,
            looking_on(settings, stop, progress) as work,
        ):
            seen = _Seen(work, csv, html is not None, ending)
            result = preview_run(work, seen.look)
            ending.document = complete_document(work.store, settings, result.as_json())
        ending.document["changes"]["report"] = seen.report
        ending.code = code_of(ending.document["verdict"], ending.document["problems"])
        _judge(ending, gates)
        if html is not None:
            _write_html(html, ending, settings, seen)
        _say(ending, settings, outputs)


class _Seen:
    """What is kept of a plan while the copy of the state is there on which it was made."""

    def __init__(self, work: Work, csv: Path | None, lists_rows: bool, ending: Ending) -> None:
        self.work, self.csv, self.lists_rows, self.ending = work, csv, lists_rows, ending
        self.report: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.kept: list[dict[str, Any]] = []
        self.fields = 0

    def look(self, trial: Work, result: Result, drafted: BuiltPlan) -> None:
        """Report the plan, and write every change of it to the CSV file."""
        self.report = plan_report(self.work.store, trial, result, drafted)
        with trial.store.read() as reading:
            if self.lists_rows:
                rows = plan_rows(reading, result.run)
                self.rows = list(islice(rows, SHOWN_ROWS))
                self.fields = len(self.rows) + sum(1 for _row in rows)
                self.kept = list(islice(kept_rows(reading, result.run), SHOWN_ROWS))
            if self.csv is not None:
                with open_output(self.csv, self.ending) as file:
                    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
                    write_plan_csv(text, reading, result.run, compared_rows(reading, trial.config))
                    text.detach()


def _check_outputs(paths: Sequence[Path], ending: Ending) -> None:
    """Raise `ConfigError` for a file that cannot be, before a long pull ends in it."""
    for path in paths:
        check_output(path, ending)
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        raise ConfigError("--csv and --html name the same file; name two")


def _judge(ending: Ending, gates: Sequence[FailCondition]) -> None:
    """Hold the plan against the conditions under which it fails."""
    if not gates:
        return
    standings = plan_counts(ending.document["changes"]["report"])
    told = [(gate.text, *check_gate(gate, standings)) for gate in gates]
    ending.document["gates"] = [{"gate": text, "failed": is_met, "said": said} for text, is_met, said in told]
    failed = [said for _text, is_met, said in told if is_met]
    ending.document["problems"] = [*ending.document["problems"], *failed]
    ending.code = FAILED if failed else ending.code


def _write_html(path: Path, ending: Ending, config: Config, seen: _Seen) -> None:
    from crmsync.reporting.plan_html import render_plan  # it loads what draws charts, which no other command needs

    text = render_plan(ending.document, config, seen.rows, seen.fields, ending.typed, seen.kept)
    with open_output(path, ending) as file:
        file.write(text.encode("utf-8"))


def _say(ending: Ending, config: Config, outputs: Sequence[Path]) -> None:
    """Print the plan where standard output is free, and what was written where."""
    failed = [each["said"] for each in ending.document.get("gates", ()) if each["failed"]]
    if not any(str(each) == "-" for each in outputs):
        show_run(ending, config, told=failed)
    console = messages_console()
    for path in (each for each in outputs if str(each) != "-"):
        print_sentences(console, f"Written: {path}")
    for sentence in () if ending.as_json else failed:
        print_sentences(console, sentence)
