"""The command that tries a config on the people of the past: its routes, or its scoring model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

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
from crmsync.config import Config, load
from crmsync.config.load import config_of
from crmsync.errors import ConfigError
from crmsync.exit_codes import FAILED
from crmsync.planning.gates import FailCondition, check_gate, parse_gate
from crmsync.reporting.console import print_sentences, say_command
from crmsync.reporting.model_simulation import (
    FILE,
    IN_USE,
    ITSELF,
    Compared,
    Models,
    compare_past,
    compare_present,
    count_standings,
    join_fields,
    model_simulation_document,
)
from crmsync.reporting.print_model_simulation import CURVE_COLUMNS, print_model_simulation
from crmsync.reporting.print_simulation import print_simulation
from crmsync.reporting.simulation import simulation_document
from crmsync.store import run_journal

Routing = Annotated[bool, typer.Option("--routing", help="Route the arrivals of the last days again.")]
Days = Annotated[int, typer.Option("--days", min=1, max=365, help="Of --routing: the number of days.")]
Against = Annotated[
    Path | None,
    typer.Option("--against", metavar="FILE", help="The config to hold it against instead of the model in use."),
]
Capacity = Annotated[
    float | None,
    typer.Option(
        "--capacity",
        min=0,
        max=reading.MOST_A_WEEK,
        metavar="N",
        help="Find the lowest line that leaves at most N people a week.",
    ),
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="EXPR",
        help='Exit with 1 where this is met, for example "mql > +20%" or "people > 500". May be repeated.',
    ),
]
ToCsv = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write the curve to a CSV file; - is standard output.")
]


def simulate(
    routing: Routing = False,
    days: Days = 30,
    against: Against = None,
    capacity: Capacity = None,
    given: reading.Input = None,
    since: reading.Since = None,
    until: reading.Until = None,
    fail_if: FailIf = None,
    csv: ToCsv = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what the scoring model of a config would change, now and over the past; with --routing, who gets whom.

    The config is held against the model in use: who would be in which band, how many people each line would leave a
    week, and what came of them. With --capacity it finds the line. The past needs [outcome], or --input FILE.

    With --routing, whoever was created in a CRM in the last days comes again, scored as known today; nobody has an
    owner or had a turn. No CRM is asked, and nothing is written.

    Example: crmsync simulate --config edited.toml --capacity 80

    Example: crmsync simulate --input people.jsonl --against old.toml --csv curve.csv

    Example: crmsync simulate --routing --days 30 --config edited.toml
    """
    if routing and any(each is not None for each in (against, capacity, given, since, until, fail_if, csv)):
        raise typer.BadParameter("--routing goes with --days, --config and --json alone")
    if as_json and csv is not None and str(csv) == "-":
        raise typer.BadParameter("only one of --json and --csv - can be on standard output")
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending, read=[given, against])
        if routing:
            _simulate_routing(ending, settings, days)
            return
        gates = [parse_gate(each, settings.band_names(), (), counted=("people",)) for each in fail_if or ()]
        odd = _simulate_model(ending, settings, against, capacity, given, since, until)
        if failed := _judge(ending, gates):
            odd = odd._replace(problems=[*odd.problems, *failed], code=FAILED)
        reading.add_oddities(ending, odd)
        if csv is not None:
            save_rows(csv, CURVE_COLUMNS, ending.document["curve"], ending)
        if not as_json and str(csv) != "-":
            print_model_simulation(results_console(), ending.document)
        reading.print_oddities(ending, odd)


def _simulate_routing(ending: Ending, settings: Config, days: int) -> None:
    with existing_state(settings) as store:
        ending.document = simulation_document(settings, store, days, datetime.now(UTC))
    if not ending.as_json:
        console = results_console()
        print_simulation(console, ending.document)
        print_sentences(console, "Nothing was written. To see what a run would change with this config:")
        say_command(console, ending.typed("crmsync plan"))


def _simulate_model(
    ending: Ending,
    settings: Config,
    against: Path | None,
    capacity: float | None,
    given: Path | None,
    since: str | None,
    until: str | None,
) -> reading.Oddities:
    models = _models(settings, against, given)
    now, notes, odd = datetime.now(UTC), list[str](), reading.Oddities()
    past, present = None, None
    first, end = reading.read_day("--since", since, settings), reading.read_day("--until", until, settings, end=True)
    if given is not None or settings.outcome is not None:
        try:
            with reading.opened_cases(join_fields(models), given, since, until, now) as reader:
                past = compare_past(models, reader.cases, first, end)
            odd = reader.find_oddities(join_fields(models))
        except ConfigError as error:
            # The present needs no outcomes.
            if given is not None or (first is not None and end is not None and first >= end):
                raise
            notes += [f"Of the past nothing can be said: {each}" for each in error.problems]
    else:
        notes.append("Without [outcome] nobody knows what came of people: add it to see the past, too.")
    if given is None:
        present = _present(models, settings, now)
    if past is None and given is not None:
        said = odd.problems or [f"--input {given} has nobody" + (" in that period" if since or until else "")]
        raise ConfigError(said)
    ending.document = model_simulation_document(models, past, present, capacity, notes)
    return odd


def _present(models: Models, settings: Config, now: datetime) -> Compared | None:
    with existing_state(settings) as store:
        return None if store is None else compare_present(models, store, now)


def _models(settings: Config, against: Path | None, given: Path | None) -> Models:
    """The config and what it is held against. Raises `ConfigError` where no model is in use yet."""
    if against is not None:
        return Models(settings, load(against), FILE, str(against))
    if given is not None:
        return Models(settings, settings, ITSELF)
    with existing_state(settings) as store:
        if store is None:
            raise ConfigError("No run yet, so there is nobody to simulate with; give --input FILE", "crmsync sync")
        with store.read() as state:
            adopted = run_journal.adopted_config(state)
    if adopted is None:
        raise ConfigError("no model is in use yet; hold the config against a file: --against FILE", "crmsync sync")
    return Models(settings, config_of(adopted[1], settings), IN_USE)


def _judge(ending: Ending, gates: Sequence[FailCondition]) -> list[str]:
    """Hold the simulation against the conditions under which it fails; returns what is said of those that are met."""
    if not gates:
        return []
    standings = count_standings(ending.document)
    told = [(gate.text, *check_gate(gate, standings)) for gate in gates]
    ending.document["gates"] = [{"gate": text, "failed": is_met, "said": said} for text, is_met, said in told]
    return [said for _text, is_met, said in told if is_met]
