"""The command that draws people whose scores somebody should look at: audit."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from crmsync.batch.verdict_file import COLUMNS, read_verdict_file
from crmsync.bootstrap import existing_state
from crmsync.cli import cases as reading
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    opened_config,
    results_console,
    run_command,
    save_rows,
)
from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.reporting.audit import audit_document, default_seed, keep_verdicts, sample_cases, sample_state
from crmsync.reporting.print_audit import print_audit

Many = Annotated[int, typer.Option("--n", min=1, max=1000, help="How many people.")]
Seed = Annotated[
    str | None,
    typer.Option("--seed", metavar="S", help="What the sample is drawn by; by default the week, for example 2026-W48."),
]
Verdicts = Annotated[
    Path | None, typer.Option("--verdicts", metavar="FILE", help="Read a reviewed CSV file, and keep its verdicts.")
]
ToCsv = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write the sample to a CSV file to fill in; - is standard output."),
]


def audit(
    n: Many = 10,
    seed: Seed = None,
    given: reading.Input = None,
    csv: ToCsv = None,
    verdicts: Verdicts = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Draw people of every band to look at: is their score right? The same seed draws the same people.

    They are drawn in turns from each band, its high and low scorers, and each outcome. Write right, too high, too low,
    or a note into the column verdict of the CSV file; --verdicts reads it, and agreement is counted by band.

    Example: crmsync audit --n 10 --csv audit.csv

    Example: crmsync audit --verdicts audit.csv
    """
    if verdicts is not None and (seed is not None or given is not None or csv is not None):
        raise typer.BadParameter("--verdicts reads a file; leave out --seed, --input and --csv")
    if as_json and csv is not None and str(csv) == "-":
        raise typer.BadParameter("only one of --json and --csv - can be on standard output")
    with run_command(as_json, debug, config) as ending:
        settings, now = opened_config(ending, read=[given]), datetime.now(UTC)
        if verdicts is not None:
            odd = _read_verdicts(ending, settings, verdicts, now)
        else:
            week = default_seed(now.astimezone(settings.zone).date())
            odd = _draw(ending, settings, n, _checked(seed) or week, given, now)
        reading.add_oddities(ending, odd)
        document = ending.document
        if csv is not None:
            rows = [_csv_row(document["seed"], each) for each in document["people"]]
            save_rows(csv, COLUMNS, rows, ending)
        if not as_json and str(csv) != "-":
            chosen = f" --seed {shlex.quote(seed)}" if seed else ""
            chosen += f" --input {shlex.quote(str(given))}" if given is not None else ""
            again = ending.typed(f"crmsync audit --n {n}{chosen} --csv audit.csv")
            print_audit(results_console(), document, ending.typed, again)
        reading.print_oddities(ending, odd)


def _checked(seed: str | None) -> str:
    """Raises `ConfigError` for a seed that no CSV file keeps as it is."""
    if seed is not None and (not seed.strip() or not seed.isprintable() or seed != seed.strip() or len(seed) > 80):
        raise ConfigError(f"--seed {seed!r}: write a word or number of at most 80 characters")
    return seed or ""


def _csv_row(seed: str, each: Mapping[str, Any]) -> dict[str, Any]:
    return {**each, "sample": seed, "verdict": "", "note": ""}


def _draw(
    ending: Ending, settings: Config, many: int, seed: str, given: Path | None, now: datetime
) -> reading.Oddities:
    if given is not None:
        with reading.opened_cases(settings, given, None, None) as reader:
            people = sample_cases(settings, reader.cases, many, seed)
        ending.document = audit_document(settings, None, seed, people)
        return reader.find_oddities(settings)
    with existing_state(settings) as store:
        if store is None:
            raise ConfigError("No run yet, so nobody is scored; give --input FILE", "crmsync sync")
        with store.read() as state:
            people = sample_state(settings, state, many, seed, now)
        ending.document = audit_document(settings, store, seed, people)
    return reading.Oddities()


def _read_verdicts(ending: Ending, settings: Config, path: Path, now: datetime) -> reading.Oddities:
    found = read_verdict_file(path)
    problems, kept = list(found.problems), 0
    with existing_state(settings) as store:
        if store is not None:
            kept, gone = keep_verdicts(store, found, now)
            problems += [f"{path}, {each}" for each in gone]
        further = [(each.band, each.verdict) for each in found.rows if each.person is None or store is None]
        read = {"verdicts": len(found.rows), "kept": kept, "blank": found.blank}
        ending.document = audit_document(settings, store, None, [], read, further)
    return reading.Oddities(problems, code=reading.rate_mistakes(problems, len(found.rows)))
