"""Parts of an input, scored: as documents with every explanation, or as tables of scores with their ledgers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crmsync.batch.good_lines import read_good_lines
from crmsync.batch.inputs import InputPart
from crmsync.batch.parquet_files import find_unused, open_parquet, read_group
from crmsync.batch.people_file import AT_ONCE, FileTally
from crmsync.columns import Columns
from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.scoring import score
from crmsync.scoring.arms import find_arms, find_period
from crmsync.scoring.arrow import combine_chunks, load_pyarrow, read_seconds
from crmsync.scoring.document import score_columns
from crmsync.scoring.people_json import columns_of_parsed
from crmsync.scoring.tables import TableFacts, make_score_table, read_facts, read_people_table

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 50_000
"""So many rows of a table are in memory at a time where they are not explained one by one."""


class PeopleBatch(NamedTuple):
    """Some people of a part: their lines or rows (from 1 on), ids, what scoring reads, and the band each was in."""

    numbers: Sequence[int]
    ids: Any
    columns: Columns
    previous: Sequence[str | None]


@dataclass(frozen=True)
class ScoreJob:
    """What parts are scored with; `facts` is a Parquet file, or empty. `person` is the type of ids: `int64`, or empty
    for texts.
    """

    config: Config
    now: datetime
    facts: str = ""
    person: str = ""

    @cached_property
    def known_facts(self) -> TableFacts | None:
        """The distinct activities that those of people point to, read once."""
        if not self.facts:
            return None
        with open_parquet(self.facts) as file:
            return read_facts(file.read())

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The fields that are read of tables."""
        return frozenset({*self.config.used_fields(), *self.config.arm_fields(), "stage", "email"})


def score_to_documents(job: ScoreJob, part: InputPart, tally: FileTally) -> Iterator[list[dict[str, Any]]]:
    """The documents of the people of a part, some at a time, each with the number of its line; the rest is in `tally`.

    A line or row with a mistake is told in `tally.problems` and the others are scored. Raises `ConfigError` where the
    file cannot be read, or is of another kind.
    """
    config = job.config
    for batch in read_batches(job, part, tally, AT_ONCE):
        ids = batch.ids.to_pylist() if part.kind == "parquet" else batch.ids
        documents = list(score_columns(config, batch.columns, ids, batch.previous, job.now, config.zone))
        tally.odd.update(each for document in documents for each in document["warnings"])
        yield [{"line": number, **document} for number, document in zip(batch.numbers, documents, strict=True)]


def score_to_tables(job: ScoreJob, part: InputPart, tally: FileTally) -> Iterator[pa.Table]:
    """The scores of the people of a part as `score_table` gives them, some at a time. Otherwise as
    `score_to_documents`.
    """
    pa = load_pyarrow()
    for batch in read_batches(job, part, tally, ROWS_AT_ONCE if part.kind == "parquet" else AT_ONCE):
        scores = score(job.config, batch.columns, job.now, job.config.zone, batch.previous)
        tally.odd.update(scores.warnings)
        if part.kind == "parquet":
            ids = batch.ids.cast(pa.int64() if job.person else pa.string())
        else:
            ids = pa.array([None if each is None else str(each) for each in batch.ids], pa.string())
        yield make_score_table(job.config, scores, ids)


def read_batches(job: ScoreJob, part: InputPart, tally: FileTally, at_once: int) -> Iterator[PeopleBatch]:
    """The people of a part, so many at a time. Raises and tells as `score_to_documents`."""
    if part.kind == "parquet":
        yield from _read_rows(job, part, tally, at_once)
        return
    for good in read_good_lines(job.config, part, tally, at_once):
        people = [person for _, person in good]
        ids, previous = [each.id for each in people], [each.previous for each in people]
        yield PeopleBatch([number for number, _ in good], ids, columns_of_parsed(people), previous)


def _read_rows(job: ScoreJob, part: InputPart, tally: FileTally, at_once: int) -> Iterator[PeopleBatch]:
    pa = load_pyarrow()
    if not part.group:
        tally.columns |= dict.fromkeys(find_unused(part.path, ()))
    first = part.first_row + 1
    for table in read_group(part.path, part.group, job.wanted, at_once):
        numbers = np.arange(first, first + len(table))
        first += len(table)
        facts = job.known_facts
        try:
            people = read_people_table(job.config, table, facts, job.wanted)
            if people.mistakes:
                tally.problems += [f"{part.path}, row {numbers[each.row]}: {each.said}" for each in people.mistakes]
                good = np.setdiff1d(np.arange(len(table)), [each.row for each in people.mistakes])
                numbers, table = numbers[good], table.take(pa.array(good))
                people = read_people_table(job.config, table, facts, job.wanted)
        except ConfigError as error:
            raise ConfigError([f"{part.path}: {each}" for each in error.problems]) from None
        tally.people += len(table)
        columns = people.columns
        tally.kinds.update(_count_kinds(columns))
        yield PeopleBatch(
            numbers.tolist(), people.ids, _add_arms(job.config, columns, people.ids, table), people.previous
        )


def _count_kinds(columns: Columns) -> dict[str, int]:
    """How many people have activities of each kind."""
    names, numbers = np.unique([each.kind for each in columns.facts], return_inverse=True)
    pairs = np.unique(columns.person.astype(np.int64) * len(names) + numbers[columns.fact])
    counts = np.bincount(pairs % max(len(names), 1), minlength=len(names))
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _add_arms(config: Config, columns: Columns, ids: pa.Array, table: pa.Table) -> Columns:
    """The columns with the arms that people are in, as of lines; a column of the table that says so itself holds."""
    if not config.experiment:
        return columns
    emails: Sequence[Any] = columns.fields.get("email") or [None] * len(table)
    keys = [
        str(email or ("" if given is None else given)) for email, given in zip(emails, ids.to_pylist(), strict=True)
    ]
    came = np.full(len(table), -1, dtype=np.int64)
    person, first = np.unique(columns.person, return_index=True)
    came[person] = columns.at[first]
    if "created_at" in table.column_names:
        seconds, known = read_seconds(combine_chunks(table["created_at"]))
        came = np.where(known, seconds, came)
    arms = {}
    for name in sorted(config.arm_fields() - columns.fields.keys()):
        experiment = name.partition(".")[2]
        begin = find_period(config.experiment[experiment], config.zone)[0]
        at = np.where(came < 0, begin, came).tolist()
        arms[name] = find_arms(experiment, config.experiment[experiment], keys, at, config.zone)
    return replace(columns, fields={**columns.fields, **arms})
