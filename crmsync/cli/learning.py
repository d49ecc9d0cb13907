"""The command that learns points from outcomes: learn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from crmsync.cli.cases import MOST_A_WEEK, CaseReader, Input, Since, Until, add_oddities, opened_cases, print_oddities
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    check_output,
    open_output,
    opened_config,
    results_console,
    run_command,
    save_rows,
)
from crmsync.config import Config, load
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import Cases
from crmsync.evaluation.learning.thresholds import Target
from crmsync.exit_codes import WRONG
from crmsync.reporting.console import print_sentences, say_command
from crmsync.reporting.learning import Learning, OpenCases, learn_from_cases
from crmsync.reporting.print_learning import print_learning

Write = Annotated[
    Path | None,
    typer.Option("--write", metavar="FILE", help="Write the whole config with the learned points to this new file."),
]
Capacity = Annotated[
    float | None,
    typer.Option(
        "--capacity", min=0, max=MOST_A_WEEK, metavar="N", help="Set the line so that at most N a week reach it."
    ),
]


def _in_per_cent(value: float | None) -> float | None:
    if value is not None and 0 < value < 1:
        raise typer.BadParameter(f"write per cent: --precision {value * 100:g}")
    return value


Precision = Annotated[
    float | None,
    typer.Option(
        "--precision",
        min=0,
        max=100,
        metavar="P",
        callback=_in_per_cent,
        help="Set the line so that P per cent above it are won.",
    ),
]
Hybrid = Annotated[
    bool, typer.Option("--hybrid", help="Keep your points and bands; offer what is new as adjustments of the total.")
]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write the rules as CSV; - prints them.")]

COLUMNS = ("name", "points_now", "points", "low", "high", "people", "won", "rate", "rate_low", "rate_high", "note")


def learn(
    given: Input = None,
    since: Since = None,
    until: Until = None,
    write: Write = None,
    capacity: Capacity = None,
    precision: Precision = None,
    hybrid: Hybrid = False,
    csv: Csv = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Learn points for your rules from what came of people, tested on the latest ones; changes nothing by itself.

    It says "no better" or "not enough data" where that is so. The points are a patch of the config: --write saves the
    whole file under another name, if the verdict is "better". With --hybrid your points and bands stay as they are.

    Example: crmsync learn --input people.jsonl --write learned.toml
    """
    if capacity is not None and precision is not None:
        raise typer.BadParameter("give --capacity or --precision, not both")
    if hybrid and (capacity is not None or precision is not None):
        raise typer.BadParameter("--hybrid keeps the bands as they are; leave out --capacity and --precision")
    if csv is not None and as_json and str(csv) == "-":
        raise typer.BadParameter("--csv - and --json both print; give --csv a file")
    with run_command(as_json, debug, config) as ending:
        _need_scipy()
        settings = opened_config(ending, read=[given])
        if given is not None and str(given) == "-":
            raise ConfigError("learn reads the people twice, which a pipe cannot do; save them to a file")
        if write is not None:
            check_output(write, ending)
        target = Target(capacity=capacity, precision=None if precision is None else precision / 100)
        readers: list[CaseReader] = []
        opened = _case_opener(settings, given, since, until, readers)
        text = config.read_text(encoding="utf-8-sig")
        learning = learn_from_cases(settings, text, opened, target, hybrid=hybrid)
        ending.document = {**learning.document}
        odd = readers[-1].find_oddities(settings)
        is_better = ending.document["verdict"] == "better"
        if write is not None and is_better and not learning.text:
            said = f"nothing was written to {write}: {learning.document['notes'][0]}"
            odd = odd._replace(problems=[*odd.problems, said], code=WRONG)
        add_oddities(ending, odd)
        if write is not None and is_better and learning.text:
            _write_config(write, learning, ending)
            ending.document["written"] = str(write)
        if csv is not None:
            save_rows(csv, COLUMNS, ending.document["rules"], ending)
        if not as_json and str(csv) != "-":
            _print(ending, write)
        print_oddities(ending, odd)


def _need_scipy() -> None:
    if find_spec("scipy") is None:
        raise ConfigError("learning needs scipy; install it with: pip install 'crmsync[learn]'")


def _case_opener(
    settings: Config, given: Path | None, since: str | None, until: str | None, readers: list[CaseReader]
) -> OpenCases:
    """Opens the cases, each time anew, and remembers who reads them."""
    now = datetime.now(UTC)

    @contextmanager
    def opened() -> Iterator[Iterator[Cases]]:
        with opened_cases(settings, given, since, until, now) as reader:
            readers.append(reader)
            yield reader.cases

    return opened


def _write_config(path: Path, learning: Learning, ending: Ending) -> None:
    """Write the learned config, and hold that it is read as what was learned."""
    with open_output(path, ending) as file:
        file.write(learning.text.encode("utf-8"))
    if str(path) != "-" and learning.config is not None:
        names = ("fit", "behavior", "inactivity", "sequence", "pattern", "bands", "learned")
        made = load(path)
        if any(getattr(made, name) != getattr(learning.config, name) for name in names):
            raise ConfigError(f"{path} is not read as what was learned; take the patch by hand from --json")


def _print(ending: Ending, write: Path | None) -> None:
    console, document = results_console(), ending.document
    print_learning(console, document)
    if not document["patch"]:
        return
    console.print()
    if document["verdict"] != "better":
        said = "The patch is only for looking at; --json has it."
        print_sentences(console, said if write is None else f"{said} Nothing was written to {write}.")
    elif write is None:
        print_sentences(console, "To save the config with the learned points under another name, add --write FILE.")
    if document["written"]:
        print_sentences(console, f"Written to {write}; nothing else was changed. Next:")
        for command in ("simulate", "evaluate"):
            say_command(console, ending.typed(f"crmsync {command}").partition(" --config")[0] + f" --config {write}")
