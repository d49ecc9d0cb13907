"""Where scores are written: lines, CSV or Parquet in one file, or a folder with a Parquet file for each part."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import orjson

from crmsync.batch.inputs import InputPart
from crmsync.batch.people_file import FileTally
from crmsync.batch.score_parts import ScoreJob, score_to_tables
from crmsync.errors import ConfigError
from crmsync.reporting.csv_text import disarm_formula
from crmsync.scoring import score_schema
from crmsync.scoring.arrow import load_pyarrow

if TYPE_CHECKING:
    import pyarrow as pa

_SUFFIXES: dict[str, Literal["lines", "csv", "parquet"]] = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".csv": "csv",
    ".parquet": "parquet",
}


def find_output_kind(path: Path) -> Literal["lines", "csv", "parquet", "folder"]:
    """What is written to a path, by how its name ends."""
    return "folder" if path.is_dir() else _SUFFIXES.get(path.suffix.lower(), "folder")


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone. Raises `ConfigError` where there is something in it already."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ConfigError(f"{path} is not empty; name a folder that is empty or not there yet")
        path.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A file for its owner alone, which has its name once it is whole. Raises `ConfigError` where it cannot be."""
    # By the process, so that two that write the same part do not write into one file.
    under_way = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(under_way, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            yield file
        os.replace(under_way, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        under_way.unlink(missing_ok=True)


def write_part(job: ScoreJob, part: InputPart, folder: Path) -> FileTally:
    """Score a part into its file of the folder; to do it again changes nothing."""
    tally = FileTally()
    with private_file(folder / f"part-{part.number:05}.parquet") as file:
        write_parquet_scores(file, job, score_or_tell(job, part, tally))
    return tally


def score_or_tell(job: ScoreJob, part: InputPart, tally: FileTally) -> Iterator[pa.Table]:
    """The scores of a part; a file that cannot be read, or not to its end, is told in the tally."""
    try:
        yield from score_to_tables(job, part, tally)
    except ConfigError as error:
        tally.problems += error.problems


def write_parquet_scores(file: BinaryIO, job: ScoreJob, tables: Iterable[pa.Table]) -> None:
    """Write scores into one Parquet file."""
    pa = load_pyarrow()
    import pyarrow.parquet

    schema = score_schema(pa.int64() if job.person else pa.string())
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for table in tables:
            writer.write_table(table)


def write_csv_scores(file: BinaryIO, job: ScoreJob, tables: Iterable[pa.Table]) -> None:
    """Write scores as CSV with a header; channels and ledger are JSON."""
    pa = load_pyarrow()
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text)
    rows.writerow(score_schema(pa.string()).names)
    for table in tables:
        for row in table.to_pylist():
            row["person"] = "" if row["person"] is None else disarm_formula(str(row["person"]))
            row["channels"] = orjson.dumps(dict(row["channels"])).decode()
            row["ledger"] = orjson.dumps(row["ledger"]).decode()
            rows.writerow(["" if each is None else _plain(each) for each in row.values()])
    text.flush()
    text.detach()


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else value
