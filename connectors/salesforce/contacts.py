"""Leads and contacts as crmsync sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from connectors.salesforce.answers import CRM
from connectors.salesforce.pulling import (
    Row,
    Source,
    after_all,
    after_stream,
    begun,
    cells,
    column_types,
    id_lists,
    pages,
    place,
)
from connectors.salesforce.schema import OBJECTS, UNREADABLE, Schema, instant
from connectors.salesforce.session import QUERIES_PER_COMPOSITE, Org
from connectors.salesforce.settings import Settings
from crmsync.errors import ConfigError
from crmsync.model import Contact, FieldMap, Page, Ref, Scalar

BASE = {
    "lead": ("IsDeleted", "MasterRecordId", "Email", "Name", "OwnerId", "Company", "IsConverted", "ConvertedContactId"),
    "contact": ("IsDeleted", "MasterRecordId", "Email", "Name", "OwnerId", "AccountId", "Account.SystemModstamp"),
}
"""What is read of every record, beside what the config maps."""

NEVER = datetime.min.replace(tzinfo=UTC)


class Reader:
    """Turns rows of one kind into contacts."""

    def __init__(self, kind: str, settings: Settings, names: FieldMap) -> None:
        self.kind = kind
        self.fields = FieldMap.spelled(names.fields, kind)
        self.outputs = FieldMap.spelled(names.outputs, kind)
        self.stage_field = settings.stage_field.get("lead" if kind == "lead" else "contact", "")
        self.stages = {value: name for name, value in FieldMap.spelled(names.stages, kind).items()}

    def source(self, schema: Schema) -> Source:
        """What to read: only columns that exist, that this user sees, and that every API can read."""
        wanted = dict.fromkeys((*BASE[self.kind], self.stage_field, *self.fields.values(), *self.outputs.values()))
        known = {path: schema.resolve(OBJECTS[self.kind], path) for path in wanted if path}
        columns = tuple(path for path, field in known.items() if field and field.type not in UNREADABLE)
        return Source(OBJECTS[self.kind], OBJECTS[self.kind], columns)

    def contact(self, row: Row) -> Contact:
        """One record. `changed_at` is the later of its own time and its account's, whose fields may be mapped."""
        stage = row.get(self.stage_field)
        return Contact(
            ref=Ref(CRM, self.kind, str(row["Id"])),
            changed_at=_changed_at(row),
            emails=tuple(str(row[path]) for path in ("Email",) if path in row),
            fields=_named(self.fields, row),
            stage=None if stage is None else self.stages.get(str(stage), str(stage)),
            owner=_text(row, "OwnerId") or None,
            current=_named(self.outputs, row),
            name=_text(row, "Name"),
            gone=row.get("IsDeleted") is True,
            merged_into=self._other(self.kind, row, "MasterRecordId"),
            converted_into=self._other("contact", row, "ConvertedContactId")
            if row.get("IsConverted") is True
            else None,
            group=_text(row, "AccountId") or _text(row, "Company"),
        )

    @staticmethod
    def _other(kind: str, row: Row, path: str) -> Ref | None:
        return Ref(CRM, kind, str(row[path])) if path in row else None


def _text(row: Row, path: str) -> str:
    return str(row.get(path, ""))


def _named(names: Mapping[str, str], row: Row) -> dict[str, Scalar]:
    return {name: row[path] for name, path in names.items() if path in row}


def _changed_at(row: Row) -> datetime:
    told = (instant(row.get(path)) for path in ("SystemModstamp", "Account.SystemModstamp"))
    return max((each for each in told if each), default=NEVER)


def readers(settings: Settings, names: FieldMap) -> dict[str, Reader]:
    """A reader for each kind."""
    return {kind: Reader(kind, settings, names) for kind in OBJECTS}


def sources(all_readers: Mapping[str, Reader], schema: Schema) -> list[tuple[Reader, Source]]:
    """What a pull reads, in order: leads, contacts, and the contacts of accounts that changed.

    An account's change does not touch its contacts, so that where an account's field is mapped they are read for it.
    """
    schema.learn([*OBJECTS.values(), "Account"])
    each = [(reader, reader.source(schema)) for reader in all_readers.values()]
    for _reader, source in each:
        if not {"id", "systemmodstamp"} <= set(schema.of(source.object)):
            raise ConfigError(
                f"the integration user cannot read {source.object} records; give its permission set 'Read' and "
                f"'View All Records' on {source.object}"
            )
    reader, source = next((reader, source) for reader, source in each if reader.kind == "contact")
    mapped = any(path.startswith("Account.") for path in reader.fields.values())
    if mapped and any(path.startswith("Account.") for path in source.columns):
        by_account = replace(source, stream="ContactByAccount", order=("Id",), parent=("AccountId", "Account"))
        each.append((reader, by_account))
    return each


def contacts(
    org: Org, schema: Schema, all_readers: Mapping[str, Reader], cursor: str | None
) -> Iterator[Page[Contact]]:
    """Pages of everything that changed since the cursor, the deleted, merged and converted ones too."""
    at = begun(place(cursor), org)
    for reader, source in sources(all_readers, schema):
        if source.stream in at.finished:
            continue
        for rows, behind in pages(org, schema, source, at):
            yield Page([reader.contact(row) for row in rows], behind.spelled())
        at = after_stream(at, source)
    yield Page((), after_all(at).spelled())


def read(org: Org, schema: Schema, all_readers: Mapping[str, Reader], refs: Sequence[Ref]) -> Iterator[Contact]:
    """The records as they are now, in no particular order; one that Salesforce does not know comes back as `gone`."""
    for kind, reader in all_readers.items():
        ids = list(dict.fromkeys(ref.id for ref in refs if ref.kind == kind))
        found: set[str] = set()
        for row in rows_by_id(org, schema, reader.source(schema), ids) if ids else ():
            found.add(str(row["Id"]))
            yield reader.contact(row)
        yield from (Contact(Ref(CRM, kind, each), NEVER, gone=True) for each in ids if each not in found)


def rows_by_id(org: Org, schema: Schema, source: Source, ids: Sequence[str]) -> Iterator[Row]:
    """The rows with these ids, deleted ones too."""
    types = column_types(source, schema)
    columns = ", ".join(dict.fromkeys((*source.order, *source.columns)))
    queries = [f"SELECT {columns} FROM {source.object} WHERE Id IN {some}" for some in id_lists(ids)]
    for start in range(0, len(queries), QUERIES_PER_COMPOSITE):
        for record in org.many_rows(queries[start : start + QUERIES_PER_COMPOSITE]):
            yield cells(record, types)
