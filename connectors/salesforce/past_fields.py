"""Former values of fields of leads and contacts, as far as an admin has Salesforce keep a history of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

from connectors.salesforce.client import QUERIES_PER_COMPOSITE, Org
from connectors.salesforce.contacts import RecordReader
from connectors.salesforce.errors import CRM, RequestRefused, is_id, query_page, text_of
from connectors.salesforce.lookups import Lookup, is_readable, read_lookups
from connectors.salesforce.paging import SHORT_IN_LIST, Row, text_literal
from connectors.salesforce.schema import OBJECTS, UNREADABLE, Field, Schema, instant_of, reader_of
from crmsync.connector import PastFields, PastValue
from crmsync.model import Ref, Scalar

KEPT = timedelta(days=540)
"""Salesforce promises 18 months of history, and deletes what is older when it likes."""

MOST_NAMED = 30
"""Fields that a query names; for more than these it asks for all."""

LONGEST = 255
"""Of a longer text the history says only that it was edited, and of a choice of several values too."""


def pull_past_fields(
    org: Org, schema: Schema, readers: Mapping[str, RecordReader], refs: Sequence[Ref]
) -> Iterator[PastFields]:
    """The former values of mapped fields of these records; nothing of kinds whose history this user does not see."""
    schema.learn(each for object_ in OBJECTS.values() for each in (object_, f"{object_}History"))
    for kind, reader in readers.items():
        ids = list(dict.fromkeys(ref.id for ref in refs if ref.kind == kind))
        kept = kept_fields(schema, reader)
        lookup = _lookup_of(schema, OBJECTS[kind], kept)
        if not ids or not kept or not is_readable(schema, lookup):
            continue
        whole_since = {kind: _whole_since(org, OBJECTS[kind], reader, kept)}
        for start in range(0, len(ids), SHORT_IN_LIST * QUERIES_PER_COMPOSITE):
            some = ids[start : start + SHORT_IN_LIST * QUERIES_PER_COMPOSITE]
            [rows] = read_lookups(org, schema, [lookup], some)
            yield PastFields(_past_values(kind, lookup.key, reader, kept, rows), whole_since)


def kept_fields(schema: Schema, reader: RecordReader) -> dict[str, Field]:
    """By how the history calls it each mapped field of the record itself whose values it can hold."""
    found = (schema.of(OBJECTS[reader.kind]).get(path.lower()) for path in reader.fields.values())
    return {_spelling(field): field for field in found if field and _is_kept(field)}


def _is_kept(field: Field) -> bool:
    is_long = field.length > LONGEST
    return not (is_long or field.calculated or field.type in UNREADABLE or field.type == "multipicklist")


def _spelling(field: Field) -> str:
    """`OwnerId` is `Owner` there, other names are the same."""
    is_standard = field.type == "reference" and not field.name.endswith("__c")
    return field.name.removesuffix("Id") if is_standard else field.name


def _lookup_of(schema: Schema, object_: str, kept: Mapping[str, Field]) -> Lookup:
    history = f"{object_}History"
    known = schema.resolve(history, "Field")
    named = ", ".join(text_literal(each) for each in sorted(kept))
    where = f"Field IN ({named})" if known and known.filterable and 0 < len(kept) <= MOST_NAMED else ""
    columns = ("Id", "Field", "OldValue", "NewValue", "CreatedDate")
    return Lookup(history, f"{object_}Id", columns, ("Field", "CreatedDate"), where)


def _whole_since(org: Org, object_: str, reader: RecordReader, kept: Mapping[str, Field]) -> dict[str, datetime | None]:
    """Since when nothing is missing, by the config's names.

    Salesforce does not tell when an admin switched the history of a field on: it is believed since the first edit that
    the org has of it.
    """
    untracked = _untracked_fields(org, object_)
    oldest = org.now() - KEPT
    first = {
        name: max(at, oldest)
        for row in org.rows(f"SELECT Field, MIN(CreatedDate) earliest FROM {object_}History GROUP BY Field")
        if (name := text_of(row.get("Field"))) in kept and (at := instant_of(row.get("earliest")))
    }
    names = _names_of(reader)
    return {
        name: at
        for spelling, at in first.items()
        if kept[spelling].name not in untracked
        for name in names.get(kept[spelling].name.lower(), ())
    }


def _names_of(reader: RecordReader) -> dict[str, list[str]]:
    """The config's names of each field."""
    names: dict[str, list[str]] = {}
    for name, path in reader.fields.items():
        names.setdefault(path.lower(), []).append(name)
    return names


def _untracked_fields(org: Org, object_: str) -> frozenset[str]:
    """The fields whose history is switched off; none where this user may not know."""
    soql = (
        "SELECT QualifiedApiName, IsFieldHistoryTracked FROM FieldDefinition "
        f"WHERE EntityDefinition.QualifiedApiName = {text_literal(object_)}"
    )
    try:
        found = org.rest("GET", f"tooling/query?q={quote(soql)}", read=query_page)["records"]
    except RequestRefused:
        return frozenset()
    rows = [each for each in found if isinstance(each, dict) and each.get("IsFieldHistoryTracked") is False]
    return frozenset(text_of(each.get("QualifiedApiName")) for each in rows)


def _past_values(
    kind: str, key: str, reader: RecordReader, kept: Mapping[str, Field], rows: Sequence[Row]
) -> list[PastValue]:
    names = _names_of(reader)
    found = [
        PastValue(Ref(CRM, kind, str(row[key])), name, _value(field, row.get("OldValue")), at)
        for row in rows
        if (field := kept.get(str(row["Field"]))) and _tells_values(field, row)
        if (at := instant_of(row["CreatedDate"]))
        for name in names[field.name.lower()]
    ]
    return list(dict.fromkeys(found))


def _tells_values(field: Field, row: Row) -> bool:
    """A change of a lookup has two rows: one with ids, one with the names of what they stand for."""
    return field.type != "reference" or all(is_id(row.get(each, row["Id"])) for each in ("OldValue", "NewValue"))


def _value(field: Field, old: Scalar | None) -> Scalar | None:
    return None if old is None else reader_of(field.type)(old)
