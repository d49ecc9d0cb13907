"""The state as Parquet: people with their fields and activities, the distinct facts, and scores with their ledgers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson
from sqlalchemy import Connection

from crmsync.batch.inputs import MANIFEST
from crmsync.batch.score_output import make_folder, private_file
from crmsync.batch.state_files import write_state_tables
from crmsync.columns import RUNNING, Columns, Fact
from crmsync.config import Config
from crmsync.connector import Stop
from crmsync.errors import Cancelled, ConfigError
from crmsync.planning.account_counts import read_counts
from crmsync.planning.field_reading import name_reading
from crmsync.planning.people_columns import name_scoring, read_holds, read_people_columns
from crmsync.scoring.arrow import AS_JSON, load_pyarrow
from crmsync.store.database import HEAD, Store
from crmsync.store.exported import (
    count_left_out,
    find_exported_people,
    find_last_scoring,
    find_pending,
    read_called,
    read_scores,
)
from crmsync.store.score_inputs import Facts, read_fields
from crmsync.store.sql import from_ms, in_chunks
from crmsync.work import Progress

if TYPE_CHECKING:
    import pyarrow as pa

PEOPLE_AT_ONCE = 50_000
"""So many people are in memory at a time, and in one file."""


class Exported(NamedTuple):
    """What an export has: how much of each, as of when the scores are, and of how many people there is newer news."""

    at: datetime
    people: int
    activities: int
    facts: int
    scores: int
    pending: int
    left_out: int


def export_state(config: Config, store: Store, folder: Path, progress: Progress, stop: Stop) -> Exported:
    """Write a state into an empty folder, as of one instant, beside whoever works on it.

    Raises `ConfigError` where nothing was scored yet or the folder cannot be written, `Cancelled` when `stop` is
    raised.
    """
    load_pyarrow()
    with store.snapshot() as reading:
        scored_at = find_last_scoring(reading)
        if scored_at is None:
            raise ConfigError("nobody was scored yet, so there is nothing to export", "crmsync sync")
        make_folder(folder)
        at = from_ms(scored_at)
        exporting = _Exporting(config, reading, folder, at, stop)
        counts = exporting.write_people(progress)
        write_state_tables(reading, folder / "state", progress, stop)
        done = Exported(at, *counts, left_out=count_left_out(reading))
    # Written last: a folder without it is no export.
    manifest = {**done._asdict(), "at": at.isoformat(), "model": config.model_hash(), "version": HEAD}
    with private_file(folder / MANIFEST) as file:
        file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    return done


class _Exporting:
    """One export under way: the facts that were met so far, each with its number."""

    def __init__(self, config: Config, reading: Connection, folder: Path, at: datetime, stop: Stop) -> None:
        self.config, self.reading, self.folder, self.at, self.stop = config, reading, folder, at, stop
        self.holds = read_holds(reading, config, at)
        self.people = find_exported_people(reading)
        self.counted = read_counts(reading, config, self.people, at, self.holds)
        self.known: Facts = {}
        self.numbers: dict[int, int] = {}
        self.facts: list[Fact] = []
        self.kinds: Mapping[str, pa.Field] = {}
        self.activities = 0

    def write_people(self, progress: Progress) -> tuple[int, int, int, int, int]:
        """Write people, scores and facts. Returns how many people, activities, facts, scores and pending people."""
        for name in ("people", "scores"):
            make_folder(self.folder / name)
        people = self.people.tolist()
        pending = find_pending(self.reading, name_scoring(self.config, self.holds))
        self.kinds = self._find_kinds(people)
        scores = waiting = 0
        for number, some in enumerate(in_chunks(people, PEOPLE_AT_ONCE)):
            if self.stop.is_set():
                raise Cancelled("stopped while the state was exported; the folder has a part of it")
            scored, late = self._write_part(number, some, pending)
            scores += scored
            waiting += late
            progress("exported", "", len(some))
        self._write_facts()
        return len(people), self.activities, len(self.facts), scores, waiting

    def _find_kinds(self, people: Sequence[int]) -> dict[str, pa.Field]:
        """The column of each field: of one type where all its values are, else of JSON."""
        pa = load_pyarrow()
        types: dict[str, set[type]] = {}
        fields, order = sorted(self.config.fields), self.config.identity.source_of_truth
        for some in in_chunks(people, PEOPLE_AT_ONCE):
            for name, values in read_fields(self.reading, some, fields, order, name_reading(self.config)).items():
                types.setdefault(name, set()).update(map(type, values))
        arrow = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64(), tuple: pa.list_(pa.string())}
        found = {name: pa.field(name, pa.float64()) for name in self.config.count_fields()}
        for name, kinds in types.items():
            kinds.discard(type(None))
            one = arrow[next(iter(kinds))] if len(kinds) == 1 else None
            is_mixed = len(kinds) > 1
            found[name] = pa.field(f"{name}{AS_JSON}" if is_mixed else name, one if one is not None else pa.string())
        return found

    def _write_part(self, number: int, people: Sequence[int], pending: set[int]) -> tuple[int, int]:
        pa = load_pyarrow()
        columns = read_people_columns(
            self.reading, self.config, people, self.holds, self.known, now=self.at, counted=self.counted
        )
        stored, called = read_scores(self.reading, people), read_called(self.reading, people)
        bands = set(self.config.band_names())
        late = [each in pending or each not in stored for each in people]
        before = [stored[each].band if each in stored else None for each in people]
        arrays = {
            "person": pa.array(people, pa.int64()),
            "name": pa.array([called[each].name or None for each in people], pa.string()),
            "records": pa.array([called[each].records for each in people], pa.list_(pa.string())),
            "previous": pa.array([each if each in bands else None for each in before], pa.string()),
            "pending": pa.array(late, pa.bool_()),
            "activities": self._activities(columns),
            "fields": self._fields(columns),
        }
        if columns.clocks:
            arrays["clocks"] = _clocks(columns)
        schema = pa.schema([(name, each.type) for name, each in arrays.items()])
        _write(
            self.folder / "people" / f"part-{number:05}.parquet",
            pa.Table.from_arrays([*arrays.values()], schema=schema),
        )
        found = [stored[each] for each in people if each in stored]
        _write(self.folder / "scores" / f"part-{number:05}.parquet", _scores(found))
        self.activities += len(columns.at)
        return len(found), sum(late)

    def _activities(self, columns: Columns) -> pa.Array:
        pa = load_pyarrow()
        numbers = np.array([self._number(each) for each in columns.facts] or [0], dtype=np.int64)
        counts = np.bincount(columns.person, minlength=len(columns.people))
        offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
        at = pa.array(columns.at).cast(pa.timestamp("s", "UTC"))
        fact = pa.array(numbers[columns.fact], pa.int64())
        return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([at, fact], ["at", "fact"]))

    def _number(self, fact: Fact) -> int:
        # By identity: every part gets a fact from `known`, where it stays.
        if id(fact) not in self.numbers:
            self.numbers[id(fact)] = len(self.facts)
            self.facts.append(fact)
        return self.numbers[id(fact)]

    def _fields(self, columns: Columns) -> pa.Array:
        pa = load_pyarrow()
        fields = [self.kinds.get(name) or pa.field(name, pa.string()) for name in columns.fields]
        arrays = [
            pa.array(_as_json(values) if field.name.endswith(AS_JSON) else _listed(values), field.type)
            for field, values in zip(fields, columns.fields.values(), strict=True)
        ]
        return pa.StructArray.from_arrays(arrays, fields=fields)

    def _write_facts(self) -> None:
        pa = load_pyarrow()
        texts = [orjson.dumps(each.attributes, option=orjson.OPT_SORT_KEYS).decode() for each in self.facts]
        arrays = {
            "fact": pa.array(range(len(self.facts)), pa.int64()),
            "kind": pa.array([each.kind for each in self.facts], pa.string()),
            "attributes": pa.array(texts, pa.string()),
        }
        _write(self.folder / "facts.parquet", pa.table(arrays))


def _as_json(values: Sequence[Any]) -> list[str | None]:
    return [None if each is None else orjson.dumps(each).decode() for each in values]


def _listed(values: Sequence[Any]) -> list[Any]:
    return [list(each) if isinstance(each, tuple) else each for each in values]


def _clocks(columns: Columns) -> pa.Array:
    """The days on which clocks stand; null for one that goes on."""
    pa = load_pyarrow()
    days = [pa.array(each, pa.int32(), mask=each == RUNNING).cast(pa.date32()) for each in columns.clocks.values()]
    return pa.StructArray.from_arrays(days, list(columns.clocks))


def _scores(stored: Sequence[Any]) -> pa.Table:
    pa = load_pyarrow()
    ledger = [[{"line": line, "points": points / 100} for line, points in each.ledger.items()] for each in stored]
    number, text = pa.float64(), pa.string()
    return pa.table(
        {
            "person": pa.array([each.id for each in stored], pa.int64()),
            "fit": pa.array([each.fit / 100 for each in stored], number),
            "behavior": pa.array([each.behavior / 100 for each in stored], number),
            "score": pa.array([each.total / 100 for each in stored], number),
            "band": pa.array([each.band or None for each in stored], text),
            "model": pa.array([each.model for each in stored], text),
            "scored_at": pa.array([each.scored_at for each in stored], pa.timestamp("ms", "UTC")),
            "ledger": pa.array(ledger, pa.list_(pa.struct([("line", text), ("points", number)]))),
        }
    )


def _write(path: Path, table: pa.Table) -> None:
    import pyarrow.parquet

    with private_file(path) as file:
        pyarrow.parquet.write_table(table, file)
