"""Parquet files of people: row groups read some rows at a time, of the columns that are needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmsync.errors import ConfigError
from crmsync.scoring.arrow import is_text, load_pyarrow
from crmsync.scoring.people_json import OUTCOME_KEYS
from crmsync.scoring.tables import NOT_FIELDS, name_field

if TYPE_CHECKING:
    import pyarrow as pa

BUFFER = 1 << 20
"""Bytes of a column that are read at a time: a whole row group is never in memory."""


def open_parquet(path: str | Path, dictionaries: Sequence[str] = ()) -> Any:
    """A Parquet file; text columns of `dictionaries` are read as such. Raises `ConfigError` where it is none."""
    pa = load_pyarrow()
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(
            path, buffer_size=BUFFER, pre_buffer=False, read_dictionary=list(dictionaries)
        )
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or 'it is no Parquet file'}") from None
    except pa.ArrowException:
        raise ConfigError(f"{path} cannot be read: it is no Parquet file, or it is not whole") from None


def count_groups(path: Path) -> list[int]:
    """How many rows each row group of a file has. Raises `ConfigError` where it cannot be read."""
    with open_parquet(path) as file:
        return [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]


def person_types(files: Sequence[Path]) -> set[str]:
    """The types of the people's ids in some files: `int64`, or empty for texts."""
    found = set()
    for path in files:
        with open_parquet(path) as file:
            schema = file.schema_arrow
        name = next((each for each in NOT_FIELDS[:2] if each in schema.names), None)
        kind = str(schema.field(name).type) if name is not None else ""
        found.add("int64" if kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32") else "")
    return found


def read_group(path: str, group: int, wanted: Collection[str] | None, at_once: int) -> Iterator[pa.Table]:
    """The rows of a row group, so many at a time: what is no field, and the `wanted` fields, or with `None` everything.

    Raises `ConfigError` where the file is damaged.
    """
    pa = load_pyarrow()
    with open_parquet(path) as file:
        schema = file.schema_arrow
    columns = None if wanted is None else list(_find_columns(schema, wanted))
    texts = [name for name in columns or () if is_text(_type_at(schema, name))]
    with open_parquet(path, texts) as file:
        try:
            for batch in file.iter_batches(at_once, row_groups=[group], columns=columns, use_threads=False):
                yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(f"{path} cannot be read to its end: {str(error).partition(chr(10))[0]}") from None


def _find_columns(schema: pa.Schema, wanted: Collection[str]) -> Iterator[str]:
    pa = load_pyarrow()
    for field in schema:
        if field.name == "fields" and pa.types.is_struct(field.type):
            yield from (f"fields.{inner.name}" for inner in field.type if name_field(inner.name) in wanted)
        elif name_field(field.name) in wanted or field.name in (*NOT_FIELDS, "created_at"):
            yield field.name


def _type_at(schema: pa.Schema, name: str) -> Any:
    if name in schema.names:
        return schema.field(name).type
    outer, _, inner = name.partition(".")
    return schema.field(outer).type.field(inner).type


def find_unused(path: str, wanted: Collection[str]) -> list[str]:
    """The columns of a file that may be meant as fields and are not among the `wanted` ones."""
    pa = load_pyarrow()
    with open_parquet(path) as file:
        schema = file.schema_arrow
    if "fields" in schema.names and pa.types.is_struct(schema.field("fields").type):
        names = [inner.name for inner in schema.field("fields").type]
    else:
        names = [name for name in schema.names if name not in (*NOT_FIELDS, *OUTCOME_KEYS)]
    return [name for name in map(name_field, names) if name not in wanted]
