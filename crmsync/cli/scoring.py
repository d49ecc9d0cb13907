"""The command that scores people of files: one, or a folder of many, here or on a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import orjson
import typer

from crmsync.cli.cases import rate_mistakes
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    messages_console,
    open_output,
    opened_config,
    read_instant,
    run_command,
    write_json,
)
from crmsync.cli.streams import is_unread
from crmsync.errors import ConfigError
from crmsync.reporting.console import count_of, format_minute, print_sentences, progress_bar
from crmsync.reporting.print_person import print_tally
from crmsync.work import Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from crmsync.batch.inputs import Inputs
    from crmsync.batch.people_file import FileTally
    from crmsync.batch.score_parts import ScoreJob


class Engine(StrEnum):
    """Where it is scored."""

    local = "local"
    ray = "ray"


Input = Annotated[
    Path,
    typer.Option(
        "--input",
        "-i",
        help="People: a file of JSON objects, one a line; .csv; .parquet; or a folder of such files. - reads a pipe.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="Write the scores there: .jsonl, .csv, .parquet, or a folder for a Parquet file of each part.",
    ),
]
At = Annotated[str | None, typer.Option("--at", help="Score as of this time, for example 2026-11-21T12:00:00Z.")]
On = Annotated[Engine, typer.Option("--engine", help="Score on this machine, or on a Ray cluster.")]


def score(
    given: Input,
    output: Output = None,
    engine: On = Engine.local,
    at: At = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Score people from files with the model of the config. This needs no CRM and no state.

    A line is {"id": …, "fields": {"title": …}, "activities": [{"kind": …, "at": …, "attributes": {…}}]}.
    It prints one JSON object for each person, in the order of the file; with --json all in one document.
    Lines with an error are reported by file and number, all others are scored; the exit code is then 4 (2 if no line
    was valid).

    What an export wrote is scored as of its last run, unless --at names another time.

    Example: crmsync score --input people.jsonl --at 2026-11-21T12:00:00Z

    Example: crmsync score --input people/ --output scores/
    """
    # What reads tables takes a while to load, and no other command needs it.
    from crmsync.batch.inputs import find_inputs
    from crmsync.batch.people_file import FileTally
    from crmsync.batch.score_parts import ScoreJob

    with run_command(as_json, debug, config) as ending:
        settings, tally = opened_config(ending, read=[given]), FileTally()
        inputs = find_inputs(given)
        now = read_instant("--at", at) if at is not None else inputs.at or datetime.now(UTC)
        tally.problems += inputs.problems
        job = ScoreJob(settings, now, inputs.facts, inputs.person)
        asked = _Asked(given, output, engine, as_json)
        people: list[dict[str, Any]] = []
        with _progress(as_json or output is not None) as progress:
            _score_inputs(asked, job, inputs, tally, progress, people, ending)
        ending.document = {
            "at": now.isoformat(),
            "count": tally.people,
            "output": None if output is None else str(output),
            "people": people,
            "problems": tally.problems,
            "warnings": tally.warnings(settings),
        }
        ending.code = rate_mistakes(tally.problems, tally.people)
        if not as_json:
            print_tally(messages_console(), given, tally.people, ending.document)
            _print_where(asked, now, tally.people, inputs.at is not None and at is None)


class _Asked(NamedTuple):
    """What the command line says."""

    given: Path
    output: Path | None
    engine: Engine
    as_json: bool


def _score_inputs(
    asked: _Asked,
    job: ScoreJob,
    inputs: Inputs,
    tally: FileTally,
    progress: Progress,
    people: list[dict[str, Any]],
    ending: Ending,
) -> None:
    from crmsync.batch.score_output import find_output_kind, write_csv_scores, write_parquet_scores

    output = asked.output
    kind = None if output is None else find_output_kind(output)
    if asked.engine is Engine.ray and kind != "folder":
        raise ConfigError("--engine ray writes a folder: add --output with its name, for example --output scores")
    if output is not None and asked.given.is_dir() and output.absolute().is_relative_to(asked.given.absolute()):
        raise ConfigError(f"--output {output} is in the folder that is read; name a place outside of {asked.given}")
    if output is None or kind == "lines":
        _write_documents(asked, _documents(job, inputs, tally, progress), people, ending)
    elif kind == "folder":
        for part in _write_folder(asked.engine, job, inputs, output):
            tally.add(part)
            progress("scored", "", part.people)
    else:
        with open_output(output, ending) as file:
            write = write_csv_scores if kind == "csv" else write_parquet_scores
            write(file, job, _tables(job, inputs, tally, progress))


def _write_documents(
    asked: _Asked, documents: Iterable[list[dict[str, Any]]], people: list[dict[str, Any]], ending: Ending
) -> None:
    with nullcontext() if asked.output is None else open_output(asked.output, ending) as file:
        for some in documents:
            if file is not None:
                file.write(_lines(some))
            elif asked.as_json:
                people += some
            else:
                write_json(_lines(some))
                if is_unread():
                    break


def _write_folder(engine: Engine, job: ScoreJob, inputs: Inputs, folder: Path) -> Iterator[FileTally]:
    from crmsync.batch.ray_engine import write_on_ray
    from crmsync.batch.score_output import make_folder, write_part

    make_folder(folder)
    if engine is Engine.ray:
        yield from write_on_ray(job, inputs.parts, folder)
        return
    for part in inputs.parts:
        yield write_part(job, part, folder)


def _documents(job: ScoreJob, inputs: Inputs, tally: FileTally, progress: Progress) -> Iterator[list[dict[str, Any]]]:
    """The documents of all parts; a file given by name that cannot be read is an error, one of a folder is told."""
    from crmsync.batch.score_parts import score_to_documents

    for part in inputs.parts:
        try:
            for some in score_to_documents(job, part, tally):
                progress("scored", "", len(some))
                yield [{"file": part.path, **each} for each in some] if inputs.is_folder else some
        except ConfigError as error:
            if not inputs.is_folder:
                raise
            tally.problems += error.problems


def _tables(job: ScoreJob, inputs: Inputs, tally: FileTally, progress: Progress) -> Iterator[pa.Table]:
    from crmsync.batch.score_output import score_or_tell

    for part in inputs.parts:
        for table in score_or_tell(job, part, tally):
            progress("scored", "", len(table))
            yield table


def _progress(is_free: bool) -> AbstractContextManager[Progress]:
    """A bar, unless the lines themselves are printed where it would be."""
    if not is_free and sys.stdout.isatty():
        return nullcontext(lambda _what, _crm, _more: None)
    return progress_bar(messages_console())


def _lines(documents: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(each) + b"\n" for each in documents)


def _print_where(asked: _Asked, now: datetime, people: int, is_of_export: bool) -> None:
    console = messages_console()
    if is_of_export:
        print_sentences(console, f"As of {format_minute(now)}, the last run of the export; --at names another time.")
    if asked.output is not None and str(asked.output) != "-":
        print_sentences(console, f"{count_of(people, 'score')} written to {asked.output}.")
