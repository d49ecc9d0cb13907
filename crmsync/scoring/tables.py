"""Scoring over tables: an Arrow table of people in, an Arrow table of scores out, by any model and without a CRM."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import RUNNING, Columns, Fact, renumber_facts
from crmsync.config.model import Model
from crmsync.errors import ConfigError
from crmsync.scoring.arrow import (
    AS_JSON,
    Codes,
    Encoded,
    combine_chunks,
    combine_codes,
    encode_values,
    is_list,
    load_pyarrow,
    make_field_column,
    read_mappings,
    read_seconds,
)
from crmsync.scoring.engine import score
from crmsync.scoring.ledger import Points, Scores
from crmsync.scoring.values import Column

if TYPE_CHECKING:
    import pyarrow as pa

NOT_FIELDS = ("person", "id", "previous", "activities", "fields", "clocks")
"""Columns of a table of people that are no fields; `person` and `id` are two names of one."""


class TableFacts(NamedTuple):
    """Distinct activities, and the number of each, ascending: what `fact` of an activity points to."""

    numbers: NDArray[np.int64]
    facts: Sequence[Fact]


class TableMistake(NamedTuple):
    """What is wrong with a row of a table (from 0 on)."""

    row: int
    said: str


class TablePeople(NamedTuple):
    """People of a table: who they are, what scoring reads, the band each was in, and the rows with mistakes."""

    ids: pa.Array
    columns: Columns
    previous: Sequence[str | None]
    mistakes: Sequence[TableMistake]


def score_table(
    model: Model, table: pa.Table, now: datetime, zone: tzinfo, facts: pa.Table | TableFacts | None = None
) -> pa.Table:
    """Score a table with one row a person, as of `now` (aware): the same points as `score` gives, line by line.

    Its columns: `person` (or `id`); `activities`, a list of structs with `at` and either `kind` and `attributes`, or
    `fact`, which points to a row of `facts` (`kind`, `attributes`; by its column `fact`, or else by its place);
    `previous`, the band at the last run; `fields`, a struct. Every other column is a field. All may be missing.
    Where the values of a field are not all of one type, each is JSON, and `#json` is added to the column's name.
    Without `fact`, activities of a person that agree in `id`, or without one in everything, count once.

    The result has a row for each, in their order: see `score_schema`. Raises `ConfigError` with every mistake.
    """
    people = read_people_table(model, table, facts)
    if people.mistakes:
        raise ConfigError([f"row {each.row + 1}: {each.said}" for each in people.mistakes])
    return make_score_table(model, score(model, people.columns, now, zone, people.previous), people.ids)


def score_schema(person: pa.DataType) -> pa.Schema:
    """The columns of `score_table`; points are numbers with at most two decimals."""
    pa = load_pyarrow()
    text, number = pa.string(), pa.float64()
    return pa.schema(
        [
            ("person", person),
            *((name, number) for name in ("fit", "behavior", "score")),
            *((name, text) for name in ("band", "grade", "grid", "segment")),
            ("qualified", pa.bool_()),
            ("disqualified", text),
            ("channels", pa.map_(text, number)),
            ("ledger", pa.list_(pa.struct([("line", text), ("points", number)]))),
        ]
    )


def read_facts(table: pa.Table) -> TableFacts:
    """Distinct activities from a table with `kind` and `attributes`. Raises `ConfigError` where one is unreadable."""
    pa = load_pyarrow()
    if "kind" not in table.column_names:
        raise ConfigError("the table of facts has no column kind; its columns are fact, kind and attributes")
    kinds = combine_chunks(table["kind"]).to_pylist()
    has = "attributes" in table.column_names
    given = read_mappings(combine_chunks(table["attributes"]) if has else pa.nulls(len(table)))
    values = [given.distinct[code] for code in given.codes.tolist()]
    odd = [row for row, (kind, each) in enumerate(zip(kinds, values, strict=True)) if not kind or each is None]
    if odd:
        raise ConfigError([f"row {row + 1} of the facts has no kind, or attributes that are no table" for row in odd])
    facts = [Fact(kind, each) for kind, each in zip(kinds, values, strict=True)]
    if "fact" not in table.column_names:
        return TableFacts(np.arange(len(facts), dtype=np.int64), facts)
    numbers = combine_chunks(table["fact"]).cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    order = np.argsort(numbers, kind="stable")
    return TableFacts(numbers[order], [facts[place] for place in order.tolist()])


def read_people_table(
    model: Model, table: pa.Table, facts: pa.Table | TableFacts | None = None, fields: Collection[str] | None = None
) -> TablePeople:
    """The people of a table as columns, of the fields those that the model reads, or these `fields`.

    Rows with mistakes are told and count for nothing. Raises `ConfigError` where a column has a type that none has.
    """
    pa = load_pyarrow()
    wanted = model.used_fields() if fields is None else fields
    rows, names = len(table), table.column_names
    known = facts if facts is None or isinstance(facts, TableFacts) else read_facts(facts)
    acts = _read_activities(combine_chunks(table["activities"]) if "activities" in names else pa.nulls(rows), known)
    name = next((each for each in NOT_FIELDS[:2] if each in names), None)
    ids = pa.nulls(rows, pa.string()) if name is None else _decoded(combine_chunks(table[name]))
    previous = table["previous"].to_pylist() if "previous" in names else [None] * rows
    bands = model.band_names()
    told = f"is not a band of the model; its bands are {', '.join(bands) or 'none'}"
    strange = [
        TableMistake(row, f"previous {each!r} {told}")
        for row, each in enumerate(previous)
        if each is not None and each not in bands
    ]
    columns = Columns(
        people=np.arange(rows, dtype=np.int64),
        fields=_read_fields(table, wanted, model.missing_words()),
        person=acts.person,
        at=acts.at,
        fact=acts.fact,
        facts=acts.facts,
        clocks=_read_clocks(table),
    )
    return TablePeople(ids, columns, previous, sorted([*strange, *acts.mistakes]))


def _decoded(array: pa.Array) -> pa.Array:
    pa = load_pyarrow()
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _read_fields(table: pa.Table, wanted: Collection[str], words: Mapping[str, frozenset[str]]) -> dict[str, Column]:
    pa = load_pyarrow()
    columns: dict[str, Column] = {}
    for name in table.column_names:
        if name_field(name) in wanted and name not in NOT_FIELDS:
            columns[name_field(name)] = _read_field(combine_chunks(table[name]), name, words)
    if "fields" in table.column_names:
        inner = combine_chunks(table["fields"])
        if not pa.types.is_struct(inner.type):
            raise ConfigError(
                f"the column fields has the type {inner.type}; use a struct, with a member for each field"
            )
        for name in (field.name for field in inner.type):
            if name_field(name) in wanted:
                columns[name_field(name)] = _read_field(pa.compute.struct_field(inner, [name]), name, words)
    return columns


def name_field(column: str) -> str:
    """The field that a column is of."""
    return column.removesuffix(AS_JSON)


def _read_field(array: pa.Array, name: str, words: Mapping[str, frozenset[str]]) -> Column:
    missing = words.get(name_field(name), words[""])
    return make_field_column(array, f"the field {name}", missing, as_json=name.endswith(AS_JSON))


def _read_clocks(table: pa.Table) -> dict[str, NDArray[np.int32]]:
    """The days on which clocks of dead feeds stand; see `Columns`."""
    pa = load_pyarrow()
    if "clocks" not in table.column_names:
        return {}
    clocks = combine_chunks(table["clocks"])
    return {
        field.name: pa.compute.struct_field(clocks, [field.name])
        .cast(pa.int32())
        .fill_null(RUNNING)
        .to_numpy(zero_copy_only=False)
        for field in clocks.type
    }


class _Activities(NamedTuple):
    """Activities in the shape of `Columns`, and the rows of people with one that is unreadable."""

    person: NDArray[np.int32]
    at: NDArray[np.int64]
    fact: NDArray[np.int32]
    facts: Sequence[Fact]
    mistakes: Sequence[TableMistake]


def _read_activities(listed: pa.Array, known: TableFacts | None) -> _Activities:
    pa = load_pyarrow()
    if pa.types.is_null(listed.type):
        nothing = np.zeros(0, dtype=np.int64)
        return _Activities(nothing.astype(np.int32), nothing, nothing.astype(np.int32), [], [])
    if not is_list(listed.type) or not pa.types.is_struct(listed.type.value_type):
        raise ConfigError(f"the column activities has the type {listed.type}; use a list of structs")
    members = [field.name for field in listed.type.value_type]
    if "at" not in members or ("fact" if known is not None else "kind") not in members:
        need = "at and fact" if known is not None else "at and kind (or give the facts, too)"
        raise ConfigError(f"the structs of activities have {', '.join(members) or 'nothing'}; they need {need}")
    counts = listed.value_lengths().cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    person = np.repeat(np.arange(len(listed), dtype=np.int64), counts)
    flat = listed.flatten()
    leaves = {name: pa.compute.struct_field(flat, [name]) for name in members}
    at, timed = read_seconds(leaves["at"])
    codes, facts = _point_to(leaves["fact"], known) if known is not None else _number_facts(leaves, len(flat))
    good = timed & (codes >= 0)
    starts = np.cumsum(counts) - counts
    mistakes = [
        TableMistake(int(person[place]), f"activity no. {place - int(starts[person[place]]) + 1}: {said}")
        for place in np.flatnonzero(~good).tolist()
        for said in [_describe_mistake(bool(timed[place]), known is not None)]
    ]
    given = encode_values(leaves["id"], "the id of activities") if known is None and "id" in leaves else None
    kept = _order_activities(person, at, codes, good, given, is_once=known is None)
    used, fact = renumber_facts(codes[kept]) if len(kept) else ([], np.zeros(0, dtype=np.int32))
    return _Activities(person[kept].astype(np.int32), at[kept], fact, [facts[each] for each in used], mistakes)


def _describe_mistake(is_timed: bool, by_fact: bool) -> str:
    if not is_timed:
        return "it needs at, an instant with its offset, for example 2026-11-21T12:00:00Z"
    return "its fact is not among the facts" if by_fact else "it needs a kind, and attributes that are a table"


def _point_to(fact: pa.Array, known: TableFacts) -> tuple[Codes, Sequence[Fact]]:
    """The place of each activity's fact among those known; -1 where it is not there."""
    pa = load_pyarrow()
    if not pa.types.is_integer(fact.type):
        raise ConfigError(f"the column fact of activities has the type {fact.type}; use whole numbers")
    numbers = fact.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    places = np.searchsorted(known.numbers, numbers)
    there = np.append(known.numbers, -2)[places] == numbers
    return np.where(there, places, -1), known.facts


def _number_facts(leaves: dict[str, pa.Array], length: int) -> tuple[Codes, Sequence[Fact]]:
    """For each activity a number for its kind and attributes, -1 where one is unreadable; and what they are."""
    kinds = encode_values(leaves["kind"], "the kind of activities")
    attributes = read_mappings(leaves["attributes"]) if "attributes" in leaves else Encoded(np.zeros(length, int), [{}])
    codes, first = combine_codes([kinds.codes, attributes.codes], length)
    read = [(kinds.distinct[kinds.codes[at]], attributes.distinct[attributes.codes[at]]) for at in first.tolist()]
    good = np.array([isinstance(kind, str) and kind != "" and each is not None for kind, each in read], dtype=bool)
    return np.where(good[codes], codes, -1), [Fact(kind, each) for kind, each in read]


def _order_activities(
    person: Codes, at: Codes, codes: Codes, good: NDArray[np.bool_], given: Encoded | None, *, is_once: bool
) -> NDArray[np.intp]:
    """The places of the activities that count, by person and instant."""
    places = np.flatnonzero(good)
    if not is_once:
        sorted_ = not len(places) or bool(((np.diff(person[places]) > 0) | (np.diff(at[places]) >= 0)).all())
        return places if sorted_ else places[np.lexsort((at[places], person[places]))]
    if given is not None:
        has = np.array([each is not None for each in given.distinct], dtype=bool)[given.codes]
        named, rest = places[has[places]], places[~has[places]]
        # Of several with one id the last one counts, as in a file of lines.
        named = _last_of(named, (given.codes[named], person[named]))
        places = np.concatenate([named, _last_of(rest, (codes[rest], at[rest], person[rest]))])
    else:
        places = _last_of(places, (codes[places], at[places], person[places]))
    return places[np.lexsort((codes[places], at[places], person[places]))]


def _last_of(places: NDArray[np.intp], keys: tuple[Codes, ...]) -> NDArray[np.intp]:
    """Of the places with the same keys the last one."""
    order = np.lexsort((places, *keys))
    last = np.ones(len(order), dtype=bool)
    for number, key in enumerate(keys):
        ordered = key[order]
        differs = ordered[1:] != ordered[:-1]
        last[:-1] = differs if not number else last[:-1] | differs
    return places[order[last]]


def make_score_table(model: Model, scores: Scores, ids: pa.Array) -> pa.Table:
    """Scores as a table, with a row for each of `ids`."""
    pa = load_pyarrow()
    rows = len(ids)
    grades, levels = list(model.grades), list(model.grid)
    grid = np.where((scores.grade < 0) | (scores.level < 0), -1, scores.grade * max(len(levels), 1) + scores.level)
    sums = ((name, pa.array(points / 100)) for name, points in _sums(scores))
    columns = {
        "person": ids,
        **dict(sums),
        "band": _take_names(model.band_names(), scores.band),
        "grade": _take_names(grades, scores.grade),
        "grid": _take_names([f"{grade}{level}" for grade in grades for level in levels], grid),
        "segment": _take_names([each.name for each in model.segment], scores.segment),
        "qualified": pa.array(scores.qualified == 2, mask=(scores.qualified == 1) | (not model.qualification)),
        "disqualified": _take_names([each.name for each in model.disqualify], scores.disqualified),
        "channels": _make_channels(scores, rows),
        "ledger": _make_ledger(scores, rows),
    }
    return pa.Table.from_arrays(list(columns.values()), schema=score_schema(ids.type))


def _sums(scores: Scores) -> tuple[tuple[str, Any], ...]:
    return ("fit", scores.fit), ("behavior", scores.behavior), ("score", scores.total)


def _take_names(names: Sequence[str], numbers: NDArray[Any]) -> pa.Array:
    pa = load_pyarrow()
    return pa.array(names, pa.string()).take(pa.array(numbers.astype(np.int64), mask=numbers < 0))


def _make_channels(scores: Scores, rows: int) -> pa.Array:
    pa = load_pyarrow()
    names, many = list(scores.channels), len(scores.channels)
    parts = [scores.channels[name] for name in names]
    points: Points = np.stack(parts, axis=1) if parts else np.zeros((rows, 0), dtype=np.int64)
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * many)
    keys = _take_names(names, np.tile(np.arange(many), rows))
    return pa.MapArray.from_arrays(offsets, keys, pa.array(points.reshape(-1) / 100, pa.float64()))


def _make_ledger(scores: Scores, rows: int) -> pa.Array:
    """For each person the lines that have points."""
    pa = load_pyarrow()
    stacked = np.stack(scores.points, axis=1) if scores.points else np.zeros((rows, 0), dtype=np.int64)
    points: Points = stacked.astype(np.int64)
    row, line = np.nonzero(points)
    offsets = np.searchsorted(row, np.arange(rows + 1)).astype(np.int32)
    names = _take_names([each.name for each in scores.lines], line)
    entries = pa.StructArray.from_arrays([names, pa.array(points[row, line] / 100, pa.float64())], ["line", "points"])
    return pa.ListArray.from_arrays(pa.array(offsets), entries)
