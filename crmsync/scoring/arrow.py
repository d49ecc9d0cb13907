"""Arrow arrays as numpy: distinct values and their codes, instants, and list offsets; pyarrow is loaded when needed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.errors import ConfigError
from crmsync.scoring.values import Column, column_of_codes

if TYPE_CHECKING:
    import pyarrow as pa

Codes = NDArray[np.int64]

AS_JSON = "#json"
"""How the name of a column ends whose texts are each the JSON of a value, since its values are not all of one type."""

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_ENCODED = json.JSONEncoder(sort_keys=True, default=str).encode


def load_pyarrow() -> Any:
    """The package pyarrow. Raises `ConfigError` where it is not installed."""
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError:
        raise ConfigError('tables need a further package; install it: pip install "crmsync[tables]"') from None
    return pyarrow


class Encoded(NamedTuple):
    """`m` values as codes (m,) into `distinct`, of which the last one is `None`."""

    codes: Codes
    distinct: Sequence[Any]


def encode_values(array: pa.Array, what: str, *, as_json: bool = False) -> Encoded:
    """The distinct values of an array as scoring reads them: dates as ISO 8601 text, decimals as numbers, lists as
    tuples; with `as_json` each text is read as JSON. Raises `ConfigError` for a type that no field has.
    """
    pa = load_pyarrow()
    types = pa.types
    kind = array.type.value_type if types.is_dictionary(array.type) else array.type
    if types.is_struct(kind) or types.is_map(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        said = f"{what} has the type {kind}; write texts, numbers, yes/no values, dates or lists of texts"
        raise ConfigError(said)
    if is_list(kind) and not types.is_dictionary(array.type):
        return _encode_objects([None if each is None else tuple(each) for each in array.to_pylist()])
    encoded = array if types.is_dictionary(array.type) else pa.compute.dictionary_encode(array)
    distinct = [_plain(each) for each in encoded.dictionary.to_pylist()]
    if as_json:
        distinct = [_read_json(each, what) for each in distinct]
    codes = encoded.indices.cast(pa.int64()).fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    return Encoded(codes, [*distinct, None])


def _read_json(text: Any, what: str) -> Any:
    try:
        return _plain(json.loads(text))
    except (TypeError, ValueError):
        raise ConfigError(f"{what} has a value that is not JSON") from None


def _encode_objects(values: Sequence[Any]) -> Encoded:
    index: dict[Any, int] = {}
    codes = [-1 if each is None else index.setdefault(each, len(index)) for each in values]
    found = np.array(codes, dtype=np.int64)
    return Encoded(np.where(found < 0, len(index), found), [*index, None])


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return tuple(value) if isinstance(value, list) else value


def make_field_column(array: pa.Array, what: str, missing: Collection[str], *, as_json: bool = False) -> Column:
    """A field as scoring reads it; texts among `missing`, folded, are unknown. Raises as `encode_values`."""
    encoded = encode_values(array, what, as_json=as_json)
    return column_of_codes(encoded.codes.astype(np.int32), list(encoded.distinct), missing)


def is_list(kind: Any) -> bool:
    """Whether a type of Arrow is one of lists."""
    types = load_pyarrow().types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def combine_chunks(column: pa.ChunkedArray) -> pa.Array:
    """A column of a table in one piece."""
    pa = load_pyarrow()
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pa.array([], type=column.type)
    return pa.concat_arrays(column.unify_dictionaries().chunks)


def read_seconds(array: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Instants as whole seconds since 1970 (always down), and which of them are readable.

    They are timestamps with a time zone, whole seconds, or ISO 8601 texts with their offset. Raises `ConfigError` for
    another type.
    """
    pa = load_pyarrow()
    types = pa.types
    if types.is_timestamp(array.type) and array.type.tz:
        ticks = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        return ticks // _PER_SECOND[array.type.unit], _valid(array)
    if types.is_integer(array.type):
        return array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), _valid(array)
    if not is_text(array.type):
        said = f"the column at of activities has the type {array.type}; use a timestamp with the time zone UTC"
        raise ConfigError(said)
    encoded = encode_values(array, "the column at of activities")
    read = [_seconds_of(each) for each in encoded.distinct]
    good = np.array([each is not None for each in read], dtype=bool)
    return np.array([each or 0 for each in read], dtype=np.int64)[encoded.codes], good[encoded.codes]


def is_text(kind: Any) -> bool:
    """Whether a type of Arrow is one of texts, dictionary-encoded or not."""
    types = load_pyarrow().types
    inner = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(inner) or types.is_large_string(inner))


def _valid(array: pa.Array) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _seconds_of(value: Any) -> int | None:
    try:
        at = datetime.fromisoformat(value)
        return int(at.timestamp() // 1) if at.tzinfo is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def read_mappings(array: pa.Array) -> Encoded:
    """Attributes as distinct mappings: of structs (what is null is absent), maps, or texts that are JSON objects.

    What is unreadable has the code of `None`, as what is null has that of no attributes. Raises `ConfigError` for
    another type.
    """
    pa = load_pyarrow()
    if pa.types.is_null(array.type):
        return Encoded(np.zeros(len(array), dtype=np.int64), [{}, None])
    if pa.types.is_struct(array.type):
        return _read_structs(array)
    if is_text(array.type):
        encoded = encode_values(array, "attributes")
        read = [{} if each is None else _object_of(each) for each in encoded.distinct]
    elif pa.types.is_map(array.type):
        encoded = _encode_objects([tuple(each or ()) for each in array.to_pylist()])
        read = [{} if each is None else _without_none(dict(each)) for each in encoded.distinct]
    else:
        raise ConfigError(f"attributes have the type {array.type}; use a struct, a map, or JSON as text")
    # The same attributes may be written in several ways.
    index: dict[str, int] = {}
    kept: list[Any] = []
    places = []
    for each in read:
        key = _ENCODED(each)
        if key not in index and each is not None:
            index[key] = len(kept)
            kept.append(each)
        places.append(-1 if each is None else index[key])
    codes = np.array(places, dtype=np.int64)[encoded.codes]
    return Encoded(np.where(codes < 0, len(kept), codes), [*kept, None])


def _object_of(text: str) -> Any:
    try:
        read = json.loads(text)
    except ValueError:
        return None
    return _without_none(read) if isinstance(read, dict) else None


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(each) for name, each in values.items() if each is not None}


def _read_structs(array: pa.Array) -> Encoded:
    pc = load_pyarrow().compute
    names = [field.name for field in array.type]
    leaves = [encode_values(pc.struct_field(array, [name]), f"the attribute {name}") for name in names]
    codes, first = combine_codes([each.codes for each in leaves], len(array))
    rows = [[leaf.distinct[leaf.codes[place]] for leaf in leaves] for place in first.tolist()]
    return Encoded(codes, [*(_without_none(dict(zip(names, row, strict=True))) for row in rows), None])


def combine_codes(parts: Sequence[Codes], length: int) -> tuple[Codes, Codes]:
    """One code (m,) for each distinct combination of several, and the place at which each is there first."""
    combined = np.zeros(length, dtype=np.int64)
    span = 1
    for part in parts:
        width = int(part.max(initial=0)) + 1
        if span * width >= 2**62:
            combined = np.unique(combined, return_inverse=True)[1]
            span = int(combined.max(initial=0)) + 1
        combined = combined * width + part
        span *= width
    _, first, codes = np.unique(combined, return_index=True, return_inverse=True)
    return codes, first
