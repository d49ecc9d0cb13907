"""A CSV file of people, as spreadsheets and warehouses save it: a line each, with a column for each field."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import orjson
import regex

from crmsync.batch.people_file import FileLine
from crmsync.config.conditions import Match
from crmsync.config.model import Model
from crmsync.errors import ConfigError
from crmsync.scoring.people_json import OUTCOME_KEYS, parse_person

_NUMBER = regex.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,9})?")
_FLAGS = {"true": True, "false": False}

KEYS = ("id", "person", "previous", "activities", *OUTCOME_KEYS)
"""Columns that are no fields; `id` and `person` are two names of one, and activities are JSON."""


def read_csv_lines(file: Iterable[bytes], name: str, model: Model) -> Iterator[FileLine]:
    """The people of a CSV file with a header, each by the line it ends on. Raises `ConfigError` where it has none.

    An empty cell is a field that is not known. A cell has no type: it is read as a number, or as yes or no, where the
    model asks for one of that field.
    """
    lines = iter(file)
    first = next(lines, b"").removeprefix(b"\xef\xbb\xbf")
    # Spreadsheets write what parts the columns by the country they are in.
    sign = max(",;\t", key=first.decode("utf-8", "replace").count)
    texts = (each.decode("utf-8", "surrogateescape") for each in chain([first], lines))
    reader = csv.reader(texts, delimiter=sign, strict=True)
    rows = _rows(reader)
    header = _read_header(next(rows, None), name)
    typed, bands = find_types(model), model.band_names()
    for cells in rows:
        if isinstance(cells, str):
            yield FileLine(reader.line_num, None, (cells,))
        elif any(map(str.strip, cells)):
            yield _read_line(reader.line_num, header, cells, typed, bands)


def _rows(reader: Any) -> Iterator[list[str] | str]:
    """The cells of each row, or what is wrong with it."""
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"this is not CSV: {error}"
            continue
        yield cells


def _read_header(cells: list[str] | str | None, name: str) -> Sequence[str]:
    header = [] if cells is None or isinstance(cells, str) else [each.strip() for each in cells]
    if not any(header):
        raise ConfigError(f"{name} has no header; write the names of the columns into its first line: id,title,…")
    twice = sorted({each for each in header if header.count(each) > 1})
    if twice:
        raise ConfigError(f"{name} has two columns {twice[0]!r}; give each its own name")
    return header


def _read_line(
    number: int, header: Sequence[str], cells: Sequence[str], typed: Mapping[str, type], bands: Collection[str]
) -> FileLine:
    if len(cells) != len(header):
        said = f"it has {len(cells)} cells, and the header {len(header)}; put a text with the separator in quotes"
        return FileLine(number, None, (said,))
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return FileLine(number, None, ("this is not UTF-8; save the file in UTF-8",))
    given = {name: cell for name, cell in zip(header, cells, strict=True) if name and cell.strip()}
    person: dict[str, Any] = {name: each for name, each in given.items() if name in KEYS}
    person["fields"] = {name: _read_cell(each, typed.get(name)) for name, each in given.items() if name not in KEYS}
    if "person" in person:
        person.setdefault("id", person.pop("person"))
    try:
        if "activities" in person:
            person["activities"] = orjson.loads(person["activities"])
        if "value" in person:
            person["value"] = float(person["value"])
    except ValueError:
        said = 'activities are JSON, and value is a number: [{"kind": "page_viewed", "at": "2026-11-21T12:00:00Z"}]'
        return FileLine(number, None, (said,))
    try:
        return FileLine(number, parse_person(person, bands))
    except ConfigError as error:
        return FileLine(number, None, error.problems)


def _read_cell(cell: str, kind: type | None) -> Any:
    text = cell.strip()
    if kind is bool:
        return _FLAGS.get(text.lower(), cell)
    return float(text) if kind is float and _NUMBER.fullmatch(text) else cell


def find_types(model: Model) -> dict[str, type]:
    """The fields that the model compares as numbers (`float`), or as yes or no (`bool`)."""
    found: dict[str, type] = {}
    for condition in model.conditions():
        for part in condition.parts():
            if part.field is not None and (kind := _type_of(part)) is not None:
                found[part.field] = kind
    return found


def _type_of(part: Match) -> type | None:
    if isinstance(part.is_, bool):
        return bool
    values = (part.gt, part.gte, part.lt, part.lte, part.between, part.is_, *(part.in_ or ()))
    return float if any(isinstance(each, int | float | tuple) for each in values) else None
