"""Where people come from: one file or a folder of many, of lines, of CSV or of Parquet, read in parts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from crmsync.batch.parquet_files import count_groups, person_types
from crmsync.errors import ConfigError

MANIFEST = "crmsync-export.json"
"""The file of an export that says what is in it, and as of when."""

Kind = Literal["lines", "csv", "parquet"]

_KINDS: dict[str, Kind] = {".jsonl": "lines", ".ndjson": "lines", ".csv": "csv", ".parquet": "parquet"}


class InputPart(NamedTuple):
    """What is read and scored in one piece: a file, or a row group of a Parquet file whose first row is so far down."""

    path: str
    kind: Kind
    number: int
    group: int = -1
    first_row: int = 0


class Inputs(NamedTuple):
    """What is to be scored: the parts; the Parquet file of facts and the instant, where an export says one.

    `problems` are files that cannot be read. `person` is the type of Parquet's ids, and empty where they are texts.
    """

    parts: Sequence[InputPart]
    is_folder: bool = False
    facts: str = ""
    at: datetime | None = None
    problems: Sequence[str] = ()
    person: str = ""


def find_inputs(given: Path) -> Inputs:
    """What there is to score. Raises `ConfigError` where there is nothing, or a file given by name cannot be read."""
    if not given.is_dir():
        kind = _KINDS.get(given.suffix.lower(), "lines") if str(given) != "-" else "lines"
        if kind != "parquet":
            return Inputs([InputPart(str(given), kind, 0)])
        return Inputs(list(_row_groups(given, 0)), person=_type_of([given]))
    manifest = given / MANIFEST
    if manifest.is_file():
        return _export_inputs(given, manifest)
    files = [each for each in sorted(given.rglob("*")) if each.suffix.lower() in _KINDS and _is_visible(each, given)]
    if not files:
        raise ConfigError(f"--input {given} has no file that ends in {', '.join(_KINDS)}")
    return _folder_inputs(files)


def _is_visible(path: Path, folder: Path) -> bool:
    """Whether it is no file that Spark and others keep for themselves."""
    return path.is_file() and not any(each.startswith((".", "_")) for each in path.relative_to(folder).parts)


def _folder_inputs(files: Sequence[Path]) -> Inputs:
    parts: list[InputPart] = []
    problems: list[str] = []
    for path in files:
        kind = _KINDS[path.suffix.lower()]
        try:
            found = (
                list(_row_groups(path, len(parts))) if kind == "parquet" else [InputPart(str(path), kind, len(parts))]
            )
        except ConfigError as error:
            problems += error.problems
        else:
            parts += found
    readable = {each.path for each in parts}
    are_tables = all(each.kind == "parquet" for each in parts)
    person = _type_of([path for path in files if str(path) in readable]) if are_tables else ""
    return Inputs(parts, True, problems=problems, person=person)


def _export_inputs(folder: Path, manifest: Path) -> Inputs:
    try:
        said = orjson.loads(manifest.read_bytes())
        at = datetime.fromisoformat(said["at"])
    except (OSError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{manifest} cannot be read; make the export again", "crmsync export FOLDER") from None
    inputs = _folder_inputs(sorted((folder / "people").glob("*.parquet")))
    return inputs._replace(facts=str(folder / "facts.parquet"), at=at)


def _row_groups(path: Path, number: int) -> Iterator[InputPart]:
    first = 0
    for group, rows in enumerate(count_groups(path)):
        yield InputPart(str(path), "parquet", number + group, group, first)
        first += rows


def _type_of(files: Sequence[Path]) -> str:
    found = person_types(files)
    return found.pop() if len(found) == 1 else ""


def open_bytes(path: str) -> Any:
    """A file to read bytes of, or what comes in by a pipe where the path is "-". Raises `OSError`."""
    return sys.stdin.buffer if path == "-" else open(path, "rb")
