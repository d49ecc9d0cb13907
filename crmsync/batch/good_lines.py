"""The people of a part, one by one, whatever kind of file it is of: each with its line or row, or with its mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson

from crmsync.batch.csv_people import read_csv_lines
from crmsync.batch.inputs import InputPart, open_bytes
from crmsync.batch.parquet_files import open_parquet, read_group
from crmsync.batch.people_file import FileLine, FileTally, keep_good_lines, read_json_lines
from crmsync.columns import Fact
from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.scoring.arrow import AS_JSON
from crmsync.scoring.people_json import OUTCOME_KEYS, ParsedPerson, parse_person
from crmsync.scoring.tables import NOT_FIELDS, name_field, read_facts

Facts = Mapping[int, Fact]


def read_good_lines(
    config: Config, part: InputPart, tally: FileTally, at_once: int, facts: str = ""
) -> Iterator[list[tuple[int, ParsedPerson]]]:
    """The people of a part, so many at a time, each with the number of its line or row (from 1 on).

    `facts` is the Parquet file that activities point to, or empty. What is wrong with a line is told in `tally`. Raises
    `ConfigError` where the file cannot be read.
    """
    if part.kind == "parquet":
        lines = _read_rows(config, part, at_once, _load_facts(facts) if facts else {})
        yield from keep_good_lines(config, lines, part.path, tally, at_once, unit="row")
        return
    try:
        file = open_bytes(part.path)
    except OSError as error:
        raise ConfigError(f"--input {part.path} cannot be read: {error.strerror}") from None
    try:
        if part.kind == "csv":
            lines = read_csv_lines(file, part.path, config)
        else:
            lines = read_json_lines(file, part.path, config.band_names())
        yield from keep_good_lines(config, lines, part.path, tally, at_once)
    finally:
        if part.path != "-":
            file.close()


def _load_facts(path: str) -> Facts:
    with open_parquet(path) as file:
        known = read_facts(file.read())
    return dict(zip(known.numbers.tolist(), known.facts, strict=True))


def _read_rows(config: Config, part: InputPart, at_once: int, facts: Facts) -> Iterator[FileLine]:
    number, bands = part.first_row, config.band_names()
    for table in read_group(part.path, part.group, None, at_once):
        for row in table.to_pylist():
            number += 1
            try:
                yield FileLine(number, parse_person(_person_of(row, facts), bands))
            except ConfigError as error:
                yield FileLine(number, None, error.problems)


def _person_of(row: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """A row as `parse_person` reads people."""
    given = row["fields"] if isinstance(row.get("fields"), dict) else None
    if given is None:
        given = {name: each for name, each in row.items() if name not in (*NOT_FIELDS, *OUTCOME_KEYS)}
    fields = {name_field(name): _plain(name, each) for name, each in given.items() if each is not None}
    person = {name: row[name] for name in ("previous", *OUTCOME_KEYS) if row.get(name) is not None}
    acts = [_act_of(each, place, facts) for place, each in enumerate(row.get("activities") or ())]
    return {**person, "id": row.get("person", row.get("id")), "fields": fields, "activities": acts}


def _plain(name: str, value: Any) -> Any:
    if name.endswith(AS_JSON):
        return json.loads(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def _act_of(act: Any, place: int, facts: Facts) -> Any:
    """An activity as `parse_person` reads it; what cannot be made one stays as it is, and is told there."""
    if not isinstance(act, dict):
        return act
    made = {name: each for name, each in act.items() if name in ("id", "kind", "at") and each is not None}
    attributes = act.get("attributes")
    if isinstance(made.get("at"), int):
        made["at"] = datetime.fromtimestamp(made["at"], UTC)
    if act.get("fact") in facts:
        fact = facts[act["fact"]]
        # An id of its own, because each of them counts, also those that agree in everything.
        made, attributes = {**made, "kind": fact.kind, "id": place}, dict(fact.attributes)
    if isinstance(attributes, str):
        attributes = orjson.loads(attributes) if _is_object(attributes) else attributes
    if isinstance(attributes, Sequence) and not isinstance(attributes, str):
        attributes = dict(attributes)
    if isinstance(attributes, dict):
        attributes = {name: each for name, each in attributes.items() if each is not None}
    return {**made, "attributes": attributes}


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
