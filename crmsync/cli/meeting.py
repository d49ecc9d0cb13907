"""The command that makes the file for the monthly meeting: report."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from crmsync.bootstrap import existing_state
from crmsync.cli.cases import Input, Since, Until, opened_cases, print_oddities
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    check_output,
    messages_console,
    open_output,
    opened_config,
    run_command,
)
from crmsync.cli.evaluating import evaluate_cases
from crmsync.config import Config
from crmsync.config.outcome import OutcomeRules
from crmsync.reporting.console import print_sentences
from crmsync.reporting.drift import drift_document
from crmsync.reporting.evaluate import evaluate_document, group_documents
from crmsync.reporting.experiment import experiment_document
from crmsync.reporting.model_simulation import ITSELF, Models, compare_past, model_simulation_document
from crmsync.reporting.versions import models_document

ToHtml = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write the report to this file; - is standard output.")
]


def report(
    html: ToHtml = None,
    given: Input = None,
    since: Since = None,
    until: Until = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write the report for the monthly meeting: one HTML file with charts, tables and what they mean.

    It has everything of `crmsync evaluate`, also by segment, source, campaign, month and rep; where the line could be,
    what drifts, how experiments stand, and who changed the model. It needs no network and runs nothing. It names
    people, so it is readable for you alone.

    Example: crmsync report --html report.html

    Example: crmsync report --html report.html --since 2026-01-01
    """
    if html is None and not as_json:
        raise typer.BadParameter("say where to write it: --html report.html, or --json to print what is in it")
    if as_json and str(html) == "-":
        raise typer.BadParameter("--json and --html - both go to standard output; write the report to a file")
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending, read=[given])
        if html is not None:
            check_output(html, ending)
        found, odd = evaluate_cases(settings, given, since, until)
        # They load what draws charts, which no other command needs.
        from crmsync.reporting.report_html import render_report, report_document
        from crmsync.reporting.report_sections import make_sections

        evaluated = evaluate_document(found)
        documents = {"evaluate": evaluated, "groups": group_documents(found)}
        del found  # a million people, which are read again
        sections = make_sections({**documents, **_watch(settings, given, since, until)})
        warnings = [*evaluated["warnings"], *odd.warnings]
        made = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        document = report_document(sections, made, evaluated["model"], warnings, odd.problems)
        ending.document = {**document, "html": None if html is None else str(html)}
        ending.code = odd.code
        if html is not None:
            with open_output(html, ending) as file:
                file.write(render_report(document, sections).encode("utf-8"))
            if str(html) != "-":
                print_sentences(messages_console(), f"Written: {html}")
        if not as_json:
            print_oddities(ending, odd._replace(warnings=()))  # which stand in the file


def _watch(config: Config, given: Path | None, since: str | None, until: str | None) -> dict[str, Any]:
    """The other documents of a report; of people that come by a pipe, and are gone, there are none."""
    if str(given) == "-":
        return {}
    now, rules = datetime.now(UTC), config.outcome or OutcomeRules()
    found: dict[str, Any] = {}
    with opened_cases(config, given, since, until, now) as reader:
        itself = Models(config, config, ITSELF)
        past = compare_past(itself, reader.cases, None, None)
        found["simulate"] = model_simulation_document(itself, past, None, None, [])
    with opened_cases(config, given, since, until, now) as reader:
        found["drift"] = drift_document(config, reader.cases, rules, config.zone, now)
    found["experiments"] = []
    for name in config.experiment:
        with opened_cases(config, given, None, None, now) as reader:
            found["experiments"].append(experiment_document(config, name, reader.cases, now))
    with existing_state(config) if given is None else nullcontext() as store:
        if store is not None:
            with store.read() as reading:
                found["models"] = models_document(config, reading)
    return found
