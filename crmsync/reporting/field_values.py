"""Where a person's records, or the fields that one name is mapped to, say different things, and which one counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.connector import FieldMap, plain_name
from crmsync.folding import fold_text
from crmsync.model import Ref
from crmsync.planning.field_reading import name_reading
from crmsync.scoring.spellings import read_number
from crmsync.store.field_values import FieldReading, make_record_reader, read_live_values

SAMPLE = 20_000
"""Records that a check looks at."""


class RecordValue(NamedTuple):
    """What one field of a record says: `mapped` is the CRM's own name of the field."""

    ref: Ref
    mapped: str
    value: Any


def find_differences(config: Config, records: Sequence[Any]) -> list[dict[str, Any]]:
    """The fields of which live records of one person say different things, each with the value that counts first.

    `records` are rows in the order of `records_of`.
    """
    order = config.identity.source_of_truth
    ranked = sorted(records, key=lambda each: order.index(each.crm) if each.crm in order else len(order))
    found: dict[str, list[RecordValue]] = {}
    for each in ranked:
        for name, value in _read_record(config, each.crm, each.kind, each.ref_id, orjson.loads(each.fields)):
            found.setdefault(name, []).append(value)
    return [
        {"field": name, "values": [{"ref": str(it.ref), "mapped": it.mapped, "value": it.value} for it in values]}
        for name, values in sorted(found.items())
        if len({_comparable(each.value, config) for each in values}) > 1
    ]


def list_differing_records(config: Config, connection: Connection) -> Iterator[str]:
    """A sentence on each field that is mapped to several of one CRM and of which records have different values."""
    further = config.further_names()
    counts: dict[tuple[str, str, str], list[Ref]] = {}
    rows = read_live_values(connection, sorted({each for some in further.values() for each in some}), SAMPLE)
    for crm, kind, ref_id, text in rows:
        found: dict[str, list[RecordValue]] = {}
        for name, value in _read_record(config, crm, kind, ref_id, orjson.loads(text)):
            if name in further:
                found.setdefault(name, []).append(value)
        for name, values in found.items():
            if len({_comparable(each.value, config) for each in values}) > 1:
                fields = " and ".join(each.mapped for each in values)
                counts.setdefault((name, crm, fields), []).append(Ref(crm, kind, ref_id))
    for (name, crm, fields), refs in sorted(counts.items()):
        have = f"1 {crm} record has" if len(refs) == 1 else f"{len(refs):,} {crm} records have"
        first = fields.partition(" and ")[0]
        example = f"{refs[0].kind} {refs[0].id}"
        yield f"{name}: {have} different values in {fields}, and {first} counts; for example {example}"


def _read_record(
    config: Config, crm: str, kind: str, ref_id: str, values: Mapping[str, Any]
) -> Iterator[tuple[str, RecordValue]]:
    """What a record says of each field, by each field of the CRM that it is mapped to, in their order."""
    spelled = FieldMap.spelled(config.field_map(crm).fields, kind)
    # Of several mappings each one is told.
    known = make_record_reader(FieldReading(name_reading(config).missing))({**values})
    for own, mapped in spelled.items():
        if own in known:
            yield plain_name(own), RecordValue(Ref(crm, kind, ref_id), mapped, known[own])


def _comparable(value: Any, config: Config) -> Any:
    """A value as it is compared: of texts neither case nor how a number is written makes a difference."""
    if isinstance(value, list):
        return tuple(sorted(fold_text(str(each)) for each in value))
    if isinstance(value, str):
        number = read_number(value, config.values.decimal_mark)
        return fold_text(value) if number is None else number
    return value if isinstance(value, bool) else float(value)
